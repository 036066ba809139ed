"""Dependencies, TOML keys and ignore lines: what goes into the project's manifest and beside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from laterctl.edits.pieces import Dependency, TextLine, TomlKey, frozen
from laterctl.edits.site import Site, Wanted
from laterctl.outcome import Refused
from laterctl.project.facts import Manifest


def manifest_of(site: Site, snippet: str) -> Manifest:
    """Return the project's manifest.

    Raises:
        Refused: there is none that can be edited.
    """
    manifest = site.project.manifest
    if manifest is not None:
        return manifest
    raise Refused(site.undecided("manifest", snippet))


class DependencyFloor(Struct, frozen=True):
    """A declared dependency with its floor, as a PEP 508 requirement; `dev` puts it among the development ones."""

    requirement: str
    dev: bool = False

    def resolve(self, site: Site) -> Iterator[Wanted]:
        from laterctl.codemods.placement import entry_name

        manifest = manifest_of(site, self.requirement)
        home = manifest.dev if self.dev else manifest.runtime
        name = entry_name(self.requirement)
        yield Wanted(Dependency(home.path, home.form, home.table, name, self.requirement))


class TomlTable(Struct, frozen=True):
    """Keys of a table of `pyproject.toml` (created when the project has none)."""

    table: tuple[str, ...]
    values: tuple[tuple[str, Any], ...]

    def resolve(self, site: Site) -> Iterator[Wanted]:
        path = manifest_of(site, f"[{'.'.join(self.table)}]").path
        folder = path.rpartition("/")[0]
        target = f"{folder}/pyproject.toml" if folder else "pyproject.toml"
        for key, value in self.values:
            yield Wanted(TomlKey(target, self.table, key, frozen(value)))


class IgnoreLine(Struct, frozen=True):
    """A line of the project's `.gitignore`; nothing where there is no such file and no git."""

    line: str
    path: str = ".gitignore"

    def resolve(self, site: Site) -> Iterator[Wanted]:
        yield Wanted(TextLine(self.path, "ignore", self.line))
