"""uv, on a project of its own or a member of a workspace; on other manifests as a faster pip."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from laterctl.dialects.manifest.base import PYPROJECT, Manifest
from laterctl.dialects.manifest.manager import Change, Image, Manager, tables_in
from laterctl.dialects.manifest.pip import IMAGE_VARIABLES, UV_FOR_IMAGE, installed_by_uv, installed_in_image
from laterctl.dialects.manifest.pyproject import Table
from laterctl.install import Argv
from laterctl.project.facts import Requirement
from laterctl.project.places import Place
from laterctl.project.requirements_file import requirement_name
from laterctl.project.tomlfile import line_of, load_toml, table
from laterctl.project.tree import Tree

_LIMITS = ("constraint-dependencies", "override-dependencies")


class Uv(Manager):
    name = "uv"
    lock = "uv.lock"
    backend = "uv_build"
    tables = (Table(("tool", "uv", "dev-dependencies"), "dev"),)
    builds = False  # it is told not to install what is local

    def lock_above(self, root: Path) -> str:
        folder, above = root.resolve(), ""
        while not (folder / ".git").exists() and folder.parent != folder:
            folder, above = folder.parent, f"../{above}"
            if (folder / self.lock).is_file():
                return f"{above}{self.lock}"
        return ""

    def constraints(self, project: Mapping[str, Any], text: str) -> Iterator[Requirement]:
        for key in _LIMITS:
            listed = table(project, "tool", self.name).get(key)
            for entry in listed if isinstance(listed, list) else ():
                if isinstance(entry, str) and (name := requirement_name(entry)):
                    yield Requirement(name, entry, Place(PYPROJECT, line_of(text, ("tool", self.name, key), entry)))

    def sources(self, project: Mapping[str, Any]) -> Mapping[str, Any]:
        return table(project, "tool", self.name, "sources")

    def asks(self, project: Mapping[str, Any]) -> bool:
        return "project" in project and table(project, "tool", self.name).get("package") is not False

    def commands(self, change: Change) -> tuple[Argv, ...]:
        if change.manifest.path == PYPROJECT:
            return super().commands(change)
        return (installed_by_uv(change),) if change.new else ()

    def steps(self, change: Change) -> tuple[Argv, ...]:
        sources = self.sources(load_toml(change.tree, PYPROJECT) or {})
        local = sorted(name for name in sources if any("path" in item for item in tables_in({name: sources[name]})))
        left_out = ("--no-install-workspace", *(word for name in local for word in ("--no-install-package", name)))
        chosen = self.options(change.homes, extra="--extra", group="--group")
        return ("uv", "lock"), ("uv", "sync", "--frozen", "--inexact", "--no-install-project", *left_out, *chosen)

    def derived(self, manifest: Manifest, root: Path | None = None) -> tuple[str, ...]:
        if manifest.path != PYPROJECT:
            return ()
        (lock,) = super().derived(manifest)
        above = self.lock_above(root) if root is not None and not (root / lock).exists() else ""
        return (above or lock,)

    def image(self, tree: Tree, manifest: Manifest) -> Image | None:
        if manifest.path != PYPROJECT:
            return installed_in_image(tree, manifest)
        sync = "uv sync --locked --no-dev"
        return Image(IMAGE_VARIABLES, UV_FOR_IMAGE, (PYPROJECT, self.lock), f"{sync} --no-install-project", sync)

    def environments(self, root: Path) -> list[Path]:
        named = os.environ.get("UV_PROJECT_ENVIRONMENT")
        return [root / named] if named else []


MANAGER = Uv()
