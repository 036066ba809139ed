"""Dependencies, TOML keys and ignore lines: what goes into the project's manifest and beside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from laterctl.edits.context import FeatureContext
from laterctl.project.facts import Manifest
from laterctl.project.manifest import PYPROJECT, group_home
from laterctl.refusal import Refused
from laterctl.targets.base import frozen
from laterctl.targets.dependency import Dependency
from laterctl.targets.resolved import Resolved
from laterctl.targets.text_line import TextLine
from laterctl.targets.toml_item import TomlItem
from laterctl.targets.toml_key import TomlKey


def manifest_of(context: FeatureContext, snippet: str) -> Manifest:
    """Return the project's manifest.

    Raises:
        Refused: there is none that can be edited.
    """
    manifest = context.project.manifest
    if manifest is not None:
        return manifest
    raise Refused(context.undecided("manifest", snippet))


def pyproject_of(context: FeatureContext, snippet: str) -> str:
    """Return the path of the project's pyproject.toml, where tools look for it; it may not exist yet.

    Raises:
        Refused: the project has no manifest that can be edited.
    """
    manifest_of(context, snippet)
    return PYPROJECT


class DependencyFloor(Struct, frozen=True):
    """A declared dependency with its floor, as a PEP 508 requirement; `dev` puts it among the development ones.

    `group` puts it into a group of any name, which is made when there is none: an array, a table or a file, as the
    project has them. `provides` are the modules that the distribution brings, when they are not called like it.
    """

    requirement: str
    dev: bool = False
    provides: tuple[str, ...] = ()
    group: str = ""

    def resolve(self, context: FeatureContext) -> Iterator[Resolved]:
        from laterctl.codemods.placement import entry_name

        manifest = manifest_of(context, self.requirement)
        home = manifest.dev if self.dev else manifest.runtime
        if self.group:
            home = group_home(context.project.tree, manifest, self.group)
        name = entry_name(self.requirement)
        yield Resolved(Dependency(home.path, home.form, home.table, name, self.requirement, self.provides))


class TomlTable(Struct, frozen=True):
    """Keys of a table of `pyproject.toml` (created when the project has none)."""

    table: tuple[str, ...]
    values: tuple[tuple[str, Any], ...]

    def resolve(self, context: FeatureContext) -> Iterator[Resolved]:
        path = pyproject_of(context, f"[{'.'.join(self.table)}]")
        for key, value in self.values:
            yield Resolved(TomlKey(path, self.table, key, frozen(value)))


class TomlEntry(Struct, frozen=True):
    """An item of the array `name` in a table of `pyproject.toml`; array, table and file are made where they are not."""

    table: tuple[str, ...]
    name: str
    value: Any

    def resolve(self, context: FeatureContext) -> Iterator[Resolved]:
        path = pyproject_of(context, f"[{'.'.join(self.table)}]")
        yield Resolved(TomlItem(path, self.table, self.name, frozen(self.value)))


class IgnoreLine(Struct, frozen=True):
    """A line of the project's `.gitignore`; nothing where there is no such file and no git."""

    line: str
    path: str = ".gitignore"

    def resolve(self, context: FeatureContext) -> Iterator[Resolved]:
        yield Resolved(TextLine(self.path, "ignore", self.line))
