"""Dependencies, TOML keys and ignore lines: what goes into the project's manifest and beside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from laterctl.edits.context import FeatureContext, Resolved
from laterctl.project.facts import Manifest
from laterctl.refusal import Refused
from laterctl.targets.base import frozen
from laterctl.targets.dependency import Dependency
from laterctl.targets.text_line import TextLine
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


class DependencyFloor(Struct, frozen=True):
    """A declared dependency with its floor, as a PEP 508 requirement; `dev` puts it among the development ones.

    `provides` are the modules that the distribution brings, when they are not called like it.
    """

    requirement: str
    dev: bool = False
    provides: tuple[str, ...] = ()

    def resolve(self, context: FeatureContext) -> Iterator[Resolved]:
        from laterctl.codemods.placement import entry_name

        manifest = manifest_of(context, self.requirement)
        home = manifest.dev if self.dev else manifest.runtime
        name = entry_name(self.requirement)
        yield Resolved(Dependency(home.path, home.form, home.table, name, self.requirement, self.provides))


class TomlTable(Struct, frozen=True):
    """Keys of a table of `pyproject.toml` (created when the project has none)."""

    table: tuple[str, ...]
    values: tuple[tuple[str, Any], ...]

    def resolve(self, context: FeatureContext) -> Iterator[Resolved]:
        path = manifest_of(context, f"[{'.'.join(self.table)}]").path
        folder = path.rpartition("/")[0]
        target = f"{folder}/pyproject.toml" if folder else "pyproject.toml"
        for key, value in self.values:
            yield Resolved(TomlKey(target, self.table, key, frozen(value)))


class IgnoreLine(Struct, frozen=True):
    """A line of the project's `.gitignore`; nothing where there is no such file and no git."""

    line: str
    path: str = ".gitignore"

    def resolve(self, context: FeatureContext) -> Iterator[Resolved]:
        yield Resolved(TextLine(self.path, "ignore", self.line))
