"""PDM, with dev groups in a table of its own."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from laterctl.dialects.manifest.base import PYPROJECT, Manifest
from laterctl.dialects.manifest.manager import Change, Image, Manager
from laterctl.dialects.manifest.pyproject import ANY, Table
from laterctl.install import Argv
from laterctl.project.facts import Requirement
from laterctl.project.places import Place
from laterctl.project.requirements_file import canonical_name
from laterctl.project.tomlfile import line_of, table
from laterctl.project.tree import Tree

_OVERRIDES = ("tool", "pdm", "resolution", "overrides")


class Pdm(Manager):
    name = "pdm"
    lock = "pdm.lock"
    backend = "pdm"
    tables = (Table(("tool", "pdm", "dev-dependencies", ANY), rank=0),)

    def constraints(self, project: Mapping[str, Any], text: str) -> Iterator[Requirement]:
        for name, version in table(project, *_OVERRIDES).items():
            if isinstance(version, str):
                entry = f"{name}{version if version[:1] in set('<>=!~') else f'=={version}'}"
                yield Requirement(canonical_name(name), entry, Place(PYPROJECT, line_of(text, _OVERRIDES, name)))

    def steps(self, change: Change) -> tuple[Argv, ...]:
        kept, chosen = self._kept_groups(change), self.options(change.homes, extra="--group", group="--group")
        return (
            ("pdm", "--non-interactive", "lock", "--skip", ":all", "--update-reuse", *kept),
            ("pdm", "--non-interactive", "install", "--skip", ":all", "--frozen-lockfile", "--no-self", *chosen),
        )

    def _kept_groups(self, change: Change) -> Argv:
        """Return the options that keep the groups which the lock file knows when it has to learn another one."""
        text = (change.tree.read(change.manifest.lock or self.lock) or b"").decode("utf-8", errors="replace")
        try:
            locked = tomllib.loads(text).get("metadata", {}).get("groups", [])
        except tomllib.TOMLDecodeError:
            locked = []
        wanted = [name for _, name in self.named_groups(change.homes)]
        if not locked or set(wanted) <= set(locked):
            return ()
        groups = sorted({*locked, *wanted} - {"default"})
        return tuple(option for group in groups for option in ("--group", group))

    def image(self, tree: Tree, manifest: Manifest) -> Image | None:
        install = "pdm install --check --prod"
        prepare = 'pip install --no-cache-dir "pdm>=2.20,<3"'
        return Image("PDM_CHECK_UPDATE=0", prepare, (PYPROJECT, self.lock), f"{install} --no-self", install)

    def environments(self, root: Path) -> list[Path]:
        chosen = root / ".pdm-python"
        return [Path(chosen.read_text(encoding="utf-8").strip()).parent.parent] if chosen.is_file() else []


MANAGER = Pdm()
