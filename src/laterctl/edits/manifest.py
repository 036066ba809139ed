"""Dependencies, TOML keys and ignore lines: what goes into the project's manifest and beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from laterctl.dialects.manifest import declared_range
from laterctl.dialects.manifest.base import PYPROJECT, Manifest
from laterctl.edits.context import FeatureContext
from laterctl.project.facts import Requirement
from laterctl.project.requirements_file import canonical_name, requirement_name
from laterctl.project.roots import folders_above
from laterctl.refusal import Refusal, Refused
from laterctl.targets.base import frozen
from laterctl.targets.dependency import Dependency, version_cap
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
    `accepts` is a lower floor, for a declaration of the user's that keeps to older versions.
    """

    requirement: str
    dev: bool = False
    provides: tuple[str, ...] = ()
    group: str = ""
    accepts: str = ""

    def resolve(self, context: FeatureContext) -> Iterator[Resolved]:
        manifest = manifest_of(context, self.requirement)
        name = requirement_name(self.requirement)
        home = manifest.dev if self.dev else manifest.runtime
        listed, brought = (
            [item for item in items if item.name == name]
            for items in (_of_the_user(context, manifest), manifest.brought)
        )
        if self.group:
            home = manifest.group(context.project.tree, self.group)
        elif self.dev:
            home = next((item.home for item in listed if item.home is not None), home)
        locked = manifest.locked.get(name) if listed else None  # what the user does not list is locked anew
        wanted = self._fitting([*map(declared_range, [*listed, *brought]), *([f"{name}=={locked}"] if locked else ())])
        self._check_hidden(context, manifest, name)
        self._check_limits(context, manifest, wanted, [*brought, *(item for item in listed if item.home != home)])
        if locked:
            self._check_lock(context, manifest, wanted, locked, listed[0])
        yield Resolved(Dependency(home.path, home.form, home.table, name, wanted, self.provides))

    def _fitting(self, ranges: Sequence[str]) -> str:
        """Return the floor, or the lower one when nothing else fits what the user declares and has locked."""
        from laterctl.codemods.requirements import satisfiable

        fits = not self.accepts or all(satisfiable(item, self.requirement) for item in ranges)
        return self.requirement if fits else self.accepts

    def _check_hidden(self, context: FeatureContext, manifest: Manifest, name: str) -> None:
        """Refuse beside a distribution that brings a module of the same name: one of the two would be imported."""
        module = self.provides[0] if self.provides else name
        declared = (*manifest.requirements, *manifest.brought)
        other = next((item for item in declared if item.name == canonical_name(module) != name), None)
        if other is not None:
            raise Refused(
                Refusal(
                    "module-hidden",
                    f"{other.name} brings a module {module}, and so does {name}: one would hide the other",
                    other.place,
                    seen=other.text,
                    expected=self.requirement,
                    remedy=f"take {other.name} out, and run the command again",
                    feature=context.feature,
                )
            )

    def _check_limits(
        self, context: FeatureContext, manifest: Manifest, wanted: str, listed: Sequence[Requirement]
    ) -> None:
        """Refuse what a constraint, or a declaration in another place, excludes."""
        from laterctl.codemods.requirements import satisfiable

        limits = [item for item in manifest.constraints if item.name == requirement_name(wanted)]
        for item in [*limits, *listed]:
            if not satisfiable(declared_range(item), wanted):
                message = f"{item.place.path} holds {item.text}, which excludes {wanted}"
                raise Refused(replace(version_cap(message, item.place, item.text, wanted), feature=context.feature))

    def _check_lock(
        self, context: FeatureContext, manifest: Manifest, wanted: str, locked: str, item: Requirement
    ) -> None:
        """Refuse a version that is locked below the floor: the user's own range allows it, so that it stays locked."""
        from laterctl.codemods.requirements import satisfiable

        if not satisfiable(f"{item.name}=={locked}", wanted):
            raise Refused(
                Refusal(
                    "below-floor",
                    f"{manifest.lock} locks {item.name} {locked}, which is too old",
                    item.place,
                    seen=item.text,
                    expected=wanted,
                    remedy="lock a newer one, if the project can take it, and run the command again",
                    feature=context.feature,
                )
            )


def _of_the_user(context: FeatureContext, manifest: Manifest) -> list[Requirement]:
    """Return what the user declares, without what is compiled from it."""
    own = {(item.target.home, item.target.key[-1]) for item in context.installed if item.target.requires and item.ours}
    return [
        item
        for item in manifest.requirements
        if (item.home, item.name) not in own and item.place.path not in manifest.compiled
    ]


def is_required(context: FeatureContext, name: str) -> bool:
    """Whether the user declares a distribution among what the application needs at run time."""
    manifest = context.project.manifest
    if manifest is None:
        return False
    return any(item.name == name and item.home == manifest.runtime for item in _of_the_user(context, manifest))


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
    """A line of the project's `.gitignore`; nothing where that of a folder above, in the same repository, has it."""

    line: str
    path: str = ".gitignore"

    def resolve(self, context: FeatureContext) -> Iterator[Resolved]:
        for folder in folders_above(context.project.tree.root):
            with suppress(OSError):
                if self.line in (folder / self.path).read_text("utf-8", "replace").splitlines():
                    return
        yield Resolved(TextLine(self.path, "ignore", self.line))
