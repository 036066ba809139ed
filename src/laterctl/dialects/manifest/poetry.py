"""Poetry: tables of name = constraint, and its commands.

Its forms are those of python-poetry.org/docs/dependency-specification.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from laterctl import install
from laterctl.codemods import requirements, toml
from laterctl.codemods.placement import TextEditError
from laterctl.dialects.manifest.base import PYPROJECT, Manifest
from laterctl.dialects.manifest.manager import Change, Image, Manager
from laterctl.dialects.manifest.pyproject import ANY, Table, TomlForm
from laterctl.install import Argv
from laterctl.project.facts import DependencyHome, Requirement
from laterctl.project.requirements_file import canonical_name
from laterctl.project.tomlfile import table
from laterctl.project.tree import Tree


class Constraints(TomlForm):
    """A TOML table of name = constraint."""

    kind: ClassVar[str] = "poetry"

    @classmethod
    def range_of(cls, item: Requirement) -> str:
        return item.text.partition(" ")[2] or "*"

    def listed(self, value: Any) -> list[tuple[str, str]]:
        listed = value.items() if isinstance(value, dict) else ()
        return [(name, f"{name} {_constraint(item)}".strip()) for name, item in listed if name != "python"]

    def declared(self, text: str) -> dict[str, str]:
        listed = self._table(text)
        return {canonical_name(key): _shown(listed[key]) for key in reversed(listed) if key != "python"}

    def spelling(self, text: str, name: str) -> str:
        # `declared` has only the values: where the user has a table, its source is kept.
        value = self._table(text)[self._key(text, name)]
        try:
            return value if isinstance(value, str) else toml.source_of(text, (*self.home.table, self._key(text, name)))
        except KeyError:  # a table with its own header
            return _shown(value)

    def key_of(self, text: str, name: str) -> str:
        return self._key(text, name)

    def replaced(self, text: str, name: str, new: str) -> str:
        keys = (*self.home.table, self._key(text, name))
        try:
            source = toml.source_of(text, keys)
        except KeyError as error:
            raise TextEditError(f"{name} has a table of its own", toml.line_of(text, keys)) from error
        quote = re.search("[\"']", source)
        return toml.replace_value(text, keys, _requoted(new, quote[0] if quote else '"'))

    def pieces(self, text: str, entries: Sequence[str]) -> list[toml.Piece]:
        named = [(requirements.parse(entry).name, requirements.to_poetry(entry)) for entry in entries]
        return [toml.Key((*self.home.table, name), value, by_name=True) for name, value in named]

    def _table(self, text: str) -> dict[str, Any]:
        listed = toml.get(text, self.home.table)
        return listed if isinstance(listed, dict) else {}

    def _key(self, text: str, name: str) -> str:
        for key in self._table(text):
            if canonical_name(key) == canonical_name(name):
                return key
        raise KeyError(name)


def _constraint(value: object) -> str:
    if isinstance(value, dict):
        return str(value.get("version", ""))
    return value if isinstance(value, str) and value != "*" else ""


def _shown(constraint: Any) -> str:
    return constraint if isinstance(constraint, str) else toml.render(constraint)


def _requoted(constraint: str, quote: str) -> str:
    if not constraint.lstrip().startswith(("{", "[")):
        return toml.quoted(constraint, quote)
    if quote == "'" and "'" not in constraint:
        return constraint.replace('"', "'")
    return constraint


_RUNTIME = Table(("tool", "poetry", "dependencies"), form=Constraints)
_GROUPS = Table(("tool", "poetry", "group", ANY, "dependencies"), form=Constraints)


class Poetry(Manager):
    name = "poetry"
    lock = "poetry.lock"
    backend = "poetry"
    python = (*_RUNTIME.keys, "python")
    tables = (_RUNTIME, _GROUPS, Table(("tool", "poetry", "dev-dependencies"), "dev", form=Constraints))

    def is_stated(self, project: Mapping[str, Any]) -> bool:
        # PDM leaves poetry's table where it took a project over.
        return super().is_stated(project) and "pdm" not in table(project, "tool")

    def hides(self, project: Mapping[str, Any], name: str) -> str:
        value = table(project, *_RUNTIME.keys).get(name)
        if not isinstance(value, dict) or not value.get("optional"):
            return ""
        return f"{name} is an optional dependency of poetry, behind [tool.poetry.extras], which is not edited"

    def new_group(self, project: Mapping[str, Any], name: str) -> DependencyHome:
        return super().new_group(project, name) if "dependency-groups" in project else _GROUPS.home(name)

    def sources(self, project: Mapping[str, Any]) -> Mapping[str, Any]:
        lists = [listing.listed(project, name) for listing in self.tables for name in listing.groups(project)]
        return {name: value for listed in lists if isinstance(listed, dict) for name, value in listed.items()}

    def steps(self, change: Change) -> tuple[Argv, ...]:
        chosen = self.options(change.homes, extra="--extras", group="--with")
        return ("poetry", "lock", "--no-interaction"), ("poetry", "install", "--no-root", "--no-interaction", *chosen)

    def refined(self, command: Argv, folder: Path) -> Argv:
        if command[:2] == ("poetry", "lock") and () < self.version(folder) < (2,):
            # `poetry lock` moved every version up until 2.0 made `--no-update` the only way.
            return (*command[:2], "--no-update", *command[2:])
        return command

    def image(self, tree: Tree, manifest: Manifest) -> Image | None:
        # Whether it could install the project as well is known to nobody: many leave that out everywhere.
        install = "poetry install --only main --no-root --no-interaction --no-cache --compile"
        variables = "POETRY_VIRTUALENVS_IN_PROJECT=1"
        return Image(variables, 'pip install --no-cache-dir "poetry>=2,<3"', (PYPROJECT, self.lock), install)

    def interpreter(self, root: Path) -> Path | None:
        found = super().interpreter(root)
        if found is not None or shutil.which("poetry") is None:
            return found
        outcome = install.run(("poetry", "env", "info", "--path", "--no-interaction"), root, timeout=60)
        lines = outcome.output.strip().splitlines()
        return install.python_in(Path(lines[-1])) if outcome.ok and lines else None


MANAGER = Poetry()
