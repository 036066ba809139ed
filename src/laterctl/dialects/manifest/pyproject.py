"""pyproject.toml: the tables that list dependencies, by PEP 621, PEP 735 or a manager, and which manager that is."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from msgspec import Struct

from laterctl.codemods import toml
from laterctl.codemods.placement import TextEditError
from laterctl.dialects.manifest import MANAGERS, named
from laterctl.dialects.manifest.base import DEV_GROUPS, PYPROJECT, Form, Manifest, only
from laterctl.dialects.manifest.requirements import dev_file, for_development, requirements_in
from laterctl.project.facts import DependencyHome, Requirement, Undecided
from laterctl.project.places import Place
from laterctl.project.requirements_file import canonical_name, requirement_name
from laterctl.project.tomlfile import line_of, load_toml, table
from laterctl.project.tree import Tree

if TYPE_CHECKING:
    from laterctl.dialects.manifest.manager import Manager

ANY = "*"
"""Stands for the name of a group in the keys of a `Table`."""


class TomlForm(Form):
    """Entries that are pieces of a TOML document."""

    @abstractmethod
    def listed(self, value: Any) -> list[tuple[str, str]]:
        """Return the entries in a parsed value, each after the text to look for on its line."""

    def requirements(self, text: str, value: Any, group: str) -> Iterator[Requirement]:
        """Yield what a parsed value of the document `text` lists, as that of a group."""
        for needle, entry in self.listed(value):
            if name := requirement_name(entry):
                place = Place(self.home.path, line_of(text, self.home.table, needle))
                yield Requirement(name, entry, place, group, self.home)

    def converged(self, text: str, before: Sequence[str], after: Sequence[str]) -> str:
        return toml.converge(text, self.pieces(text, before), self.pieces(text, after))


class Array(TomlForm):
    """An array of PEP 508 strings."""

    kind: ClassVar[str] = "array"

    def listed(self, value: Any) -> list[tuple[str, str]]:
        return [(entry, entry) for entry in value if isinstance(entry, str)] if isinstance(value, list) else []

    def declared(self, text: str) -> dict[str, str]:
        listed = self.listed(toml.get(text, self.home.table))
        return {requirement_name(entry): entry for entry, _ in reversed(listed) if requirement_name(entry)}

    def replaced(self, text: str, name: str, new: str) -> str:
        listed = self.listed(toml.get(text, self.home.table))
        entries = [entry for entry, _ in listed if requirement_name(entry) == canonical_name(name)]
        old = only(name, entries, toml.line_of(text, self.home.table) if entries else 1)
        return toml.replace_item(text, self.home.table, old, new)

    def pieces(self, text: str, entries: Sequence[str]) -> list[toml.Piece]:
        keys = self.home.table
        if keys[0] == "project" and keys[1] in toml.parse(text).get("project", {}).get("dynamic", ()):
            line = toml.line_of(text, ("project", "dynamic"))
            raise TextEditError(f"{keys[1]} are dynamic: they come from another file", line)
        return [toml.Item(keys, entry, by_name=True) for entry in entries]


class Table(Struct, frozen=True):
    """A place of pyproject.toml that lists dependencies: `keys`, and how entries are written there.

    `group` is the group that it is where the keys have no name of one, `""` for runtime dependencies. `option` says
    how a manager is asked for what it lists: as a `group` or an `extra`. Of several that have a group of the same
    name, that with the lowest `rank` takes new entries.
    """

    keys: tuple[str, ...]
    group: str = ""
    option: str = "group"
    form: type[TomlForm] = Array
    rank: int = 2

    @property
    def is_runtime(self) -> bool:
        """Whether it lists what the application needs."""
        return not self.group and ANY not in self.keys

    def home(self, name: str) -> DependencyHome:
        """Return where the dependencies of group `name` go."""
        return DependencyHome(self.form.kind, PYPROJECT, tuple(name if key == ANY else key for key in self.keys))

    def groups(self, project: Mapping[str, Any]) -> list[str]:
        """Return the names of the groups that are there."""
        if ANY in self.keys:
            return list(table(project, *self.keys[: self.keys.index(ANY)]))
        return [] if self.listed(project, self.group) in (None, {}) else [self.group]

    def listed(self, project: Mapping[str, Any], name: str) -> Any:
        """Return what is there for a group."""
        *above, last = self.home(name).table
        return table(project, *above).get(last)

    def requirements(self, project: Mapping[str, Any], text: str, name: str) -> Iterator[Requirement]:
        """Yield what is listed for a group in a pyproject.toml, of which `text` is the text."""
        return self.form(self.home(name)).requirements(text, self.listed(project, name), name)

    def name_in(self, home: DependencyHome) -> str:
        """Return the name of the group that a home is, `""` when it has none or is somewhere else."""
        if ANY not in self.keys or len(home.table) != len(self.keys):
            return ""
        name = home.table[self.keys.index(ANY)]
        return name if self.home(name).table == home.table else ""


DEPENDENCIES = Table(("project", "dependencies"))
EXTRAS = Table(("project", "optional-dependencies", ANY), option="extra", rank=1)
GROUPS = Table(("dependency-groups", ANY), rank=0)


class Pyproject(Manifest, frozen=True):
    """A pyproject.toml."""

    def other_group(self, tree: Tree, name: str) -> DependencyHome:
        return _group_home(load_toml(tree, PYPROJECT) or {}, named(self.manager), (name,))


def find(tree: Tree, project: Mapping[str, Any]) -> Manifest | Undecided | None:
    """Return the manifest that a pyproject.toml is, why it is none that is edited, or `None` when it lists nothing."""
    text = (tree.read(PYPROJECT) or b"").decode("utf-8-sig")
    lists = [(item, name) for item in _tables() for name in item.groups(project)]
    requirements = tuple(found for item, name in lists for found in item.requirements(project, text, name))
    fastapi = [item for item in requirements if item.name == "fastapi"]
    runtime = _runtime(project, fastapi)
    if isinstance(runtime, str):
        return Undecided("manifest-unsupported", runtime, "add the dependencies by hand", (Place(PYPROJECT, 1),))
    if runtime is None:
        return None
    manager = _manager(tree, project)
    tested = [item for item in requirements if item.name == "pytest" and item.group in DEV_GROUPS and item.home]
    first = min(tested, key=lambda item: DEV_GROUPS.index(item.group), default=None)
    dev = (first and first.home) or _group_home(project, manager, DEV_GROUPS)
    if not any(item.home(name) == dev for item, name in lists) and (path := dev_file(tree)):
        dev = DependencyHome("lines", path)
        requirements += tuple(requirements_in(tree, path))
    return Pyproject(manager.name, PYPROJECT, runtime, dev, requires_python(project), requirements)


def requires_python(project: Mapping[str, Any]) -> str:
    """Return the range of Python that a pyproject.toml declares, `""` for none."""
    for *above, last in (("project", "requires-python"), *(item.python for item in _managers() if item.python)):
        if isinstance(found := table(project, *above).get(last), str) and found:
            return found
    return ""


def named_files(project: Mapping[str, Any]) -> list[str]:
    """Return the requirements files that pyproject.toml itself reads its dynamic dependencies from."""
    dynamic = table(project, "tool", "setuptools", "dynamic", "dependencies").get("file", [])
    hatch = table(project, "tool", "hatch", "metadata", "hooks", "requirements_txt").get("files", [])
    named = [*([dynamic] if isinstance(dynamic, str) else dynamic), *(hatch if isinstance(hatch, list) else [])]
    return [name for name in named if isinstance(name, str)]


def _managers() -> list[Manager]:
    """Return the managers of projects that have a pyproject.toml."""
    return [found for found in map(named, MANAGERS) if found.backend]


def _tables() -> list[Table]:
    """Return the tables that list dependencies, the runtime ones first."""
    tables = [DEPENDENCIES, GROUPS, EXTRAS, *(item for manager in _managers() for item in manager.tables)]
    return sorted(tables, key=lambda item: (not item.is_runtime, item.rank))


def _runtime(project: Mapping[str, Any], fastapi: Sequence[Requirement]) -> DependencyHome | str | None:
    """Return where runtime dependencies go, a sentence when that is nothing this tool edits, or `None`.

    That is the list FastAPI is in: the main one, else the extra or group that has it.
    """
    if reason := next(filter(None, (manager.hides(project, "fastapi") for manager in _managers())), ""):
        return reason

    def rank(item: Requirement) -> tuple[bool, bool, bool]:
        is_extra = item.home is not None and bool(EXTRAS.name_in(item.home))
        return bool(item.group), for_development(item.group), not is_extra

    if fastapi:
        return min(fastapi, key=rank).home
    if "dependencies" in table(project, "project").get("dynamic", ()):
        return "dependencies are dynamic: another file declares them"
    runtimes = [item for item in _tables() if item.is_runtime]
    best = next((item for item in runtimes if item.groups(project)), None)
    best = best or next((item for item in runtimes if table(project, *item.keys[:-1])), None)
    return best.home("") if best is not None else None


def _group_home(project: Mapping[str, Any], manager: Manager, names: Sequence[str]) -> DependencyHome:
    """Return where dependencies of a group go: the first of `names` that exists, else a group that the manager makes.

    Names of groups are compared in their normal form, as PEP 685 and PEP 735 demand.
    """
    for item in _tables():
        known = {canonical_name(name): name for name in item.groups(project)}
        for wanted in map(canonical_name, names):
            if wanted in known:
                return item.home(known[wanted])
    return manager.new_group(project, names[0])


def _manager(tree: Tree, project: Mapping[str, Any]) -> Manager:
    """Return the manager: by its lock file, else by its table or build backend, else by the workspace around."""
    managers = _managers()
    backend = str(table(project, "build-system").get("build-backend", ""))
    stated = [item for item in managers if item.is_stated(project)]
    stated += [item for item in managers if backend.startswith(item.backend)]
    locked = [item for item in managers if tree.read(item.lock) is not None]
    if locked:
        return next((item for item in stated[:1] if item in locked), locked[0])
    return next(iter(stated or [item for item in managers if item.lock_above(tree.root)]), named("pip"))
