"""What a package manager answers: its lock file, its commands, its environment, and its tables in pyproject.toml."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from msgspec import Struct

from laterctl import install
from laterctl.dialects.manifest.base import PYPROJECT, Manifest
from laterctl.dialects.manifest.pyproject import EXTRAS, GROUPS, Table
from laterctl.install import Argv
from laterctl.project.facts import DependencyHome, Requirement
from laterctl.project.places import Place
from laterctl.project.source import Unreadable
from laterctl.project.tomlfile import line_of, load_toml, table
from laterctl.project.tree import Outside, Tree

_HOOKS = (  # tables of build backends that name code of the project's
    ("tool", "hatch", "metadata", "hooks", "custom"),
    ("tool", "hatch", "build", "hooks", "custom"),
    ("tool", "pdm", "version", "getter"),
    ("tool", "pdm", "build", "custom-hook"),
    ("tool", "poetry", "build"),
)
_SCRIPTS = {"setuptools": "setup.py", "hatchling": "hatch_build.py", "pdm": "pdm_build.py", "": "setup.py"}


class Change(Struct, frozen=True):
    """A manifest that was just changed, in the project of `tree`.

    `homes` are those that got entries, none when entries only went. `new` are the PEP 508 entries; `python` is the
    interpreter of an environment to install them into.
    """

    tree: Tree
    manifest: Manifest
    homes: Sequence[DependencyHome] = ()
    new: Sequence[str] = ()
    python: Path | None = None


class Image(Struct, frozen=True):
    """How the image of an application gets its dependencies.

    `variables` are set for the commands: `prepare` brings the manager, `install` puts what is locked or listed in `files`
    into `.venv`, and `finish` installs the project itself, `""` where that is not done.
    """

    variables: str
    prepare: str
    files: Sequence[str]
    install: str
    finish: str = ""


class Manager:
    """A package manager.

    `lock` is the name of its lock file, `""` without one, and `backend` what its build backends' names start with.
    `tables` list dependencies in pyproject.toml, beside the standard ones, and `python` are the keys of a range of
    Python. `left` says why its commands are told and not run, `""` when they are run. `builds` says whether it builds
    the projects that it asks for their metadata.
    """

    name: ClassVar[str]
    lock: ClassVar[str] = ""
    backend: ClassVar[str] = ""
    tables: ClassVar[tuple[Table, ...]] = ()
    python: ClassVar[tuple[str, ...]] = ()
    left: ClassVar[str] = ""
    builds: ClassVar[bool] = True

    def is_stated(self, project: Mapping[str, Any]) -> bool:
        """Whether a pyproject.toml has a table of it."""
        return self.name in table(project, "tool")

    def lock_above(self, root: Path) -> str:
        """Return the lock file of a workspace that the project at `root` is a member of, `""` without one."""
        return ""

    def hides(self, project: Mapping[str, Any], name: str) -> str:
        """Return why a declaration of `name` in a table of it cannot be edited, `""` when it can."""
        return ""

    def new_group(self, project: Mapping[str, Any], name: str) -> DependencyHome:
        """Return where the dependencies of a group go that a pyproject.toml does not have yet."""
        return GROUPS.home(name)

    def constraints(self, project: Mapping[str, Any], text: str) -> Iterator[Requirement]:
        """Yield the versions that its tables in a pyproject.toml hold without listing them; `text` is the file's."""
        return iter(())

    def sources(self, project: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return its table in a pyproject.toml that says where a dependency is taken from, by names."""
        return {}

    def asks(self, project: Mapping[str, Any]) -> bool:
        """Whether it asks the project itself, or a member of its workspace, for metadata when it locks."""
        return False

    def own_build(self, tree: Tree) -> Place | None:
        """Return the place that makes locking run code of the repository's, `None` when nothing of it runs.

        Raises:
            laterctl.project.source.Unreadable: a pyproject.toml cannot be read.
        """
        from laterctl.dialects.manifest.local import locked_with

        for folder, is_member in locked_with(tree):
            there = tree if folder == tree.root else Tree(folder)
            if is_member and not self.asks(load_toml(there, PYPROJECT) or {}):
                continue
            if place := _runs_own_code(there, self.builds):
                return Place(Path(os.path.relpath(folder / place.path, tree.root)).as_posix(), place.line)
        return None

    def commands(self, change: Change) -> tuple[Argv, ...]:
        """Return the commands that bring lock and environment in line with a manifest that was just changed.

        Each is a list of arguments, to be run in the folder of the manifest, in order. Without new entries the lock
        alone follows. What is locked stays locked, packages that are installed but not in the lock are left alone,
        and neither hooks of the project's own nor its build run.

        Raises:
            laterctl.install.CannotInstall: there is no environment to install into.
        """
        return self.steps(change)[: None if change.homes else 1]

    def steps(self, change: Change) -> tuple[Argv, ...]:
        """Return the command that brings the lock in line, and those that install what is locked."""
        raise NotImplementedError

    def refined(self, command: Argv, folder: Path) -> Argv:
        """Return a command as the manager's own version takes it, which may be asked for it."""
        return command

    def derived(self, manifest: Manifest, root: Path | None = None) -> tuple[str, ...]:
        """Return the files that the commands write, relative to the project at `root`, there already or not."""
        return ((manifest.manager == self.name and manifest.lock) or self.lock,) if self.lock else ()

    def named_groups(self, homes: Sequence[DependencyHome]) -> list[tuple[str, str]]:
        """Return what is beside the dependencies proper: `extra` or `group`, and the name."""
        tables = (EXTRAS, GROUPS, *self.tables)
        return [(item.option, name) for home in homes for item in tables if (name := item.name_in(home))]

    def options(self, homes: Sequence[DependencyHome], *, extra: str, group: str) -> Argv:
        """Return the options that select the extras and groups of `homes` beside what is installed without being asked.

        All managers install the group `dev` unasked, and fail when they are asked for one that nothing declares.
        """
        chosen = [item for item in self.named_groups(homes) if item != ("group", "dev")]
        return tuple(option for kind, name in chosen for option in ({"extra": extra, "group": group}[kind], name))

    def version(self, folder: Path) -> tuple[int, ...]:
        """Return the version that it reports, `()` when it does not run."""
        outcome = install.run((self.name, "--version"), folder, timeout=60)
        found = re.search(r"\d+(?:\.\d+)+", outcome.output) if outcome.ok else None
        return tuple(map(int, found[0].split("."))) if found else ()

    def image(self, tree: Tree, manifest: Manifest) -> Image | None:
        """Return how it installs what the application needs into an image, `None` when that is left to the user.

        Raises:
            laterctl.project.source.Unreadable: a file that lists dependencies cannot be read.
        """
        return None

    def environments(self, root: Path) -> list[Path]:
        """Return the environments that it is told to use for the project at `root`."""
        return []

    def interpreter(self, root: Path) -> Path | None:
        """Return the Python of the project's own virtual environment, `None` when none is found."""
        return install.interpreter(root, self.environments(root))


def tables_in(values: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the values that are tables, also those in arrays."""
    for value in values.values():
        yield from (item for item in (value if isinstance(value, list) else [value]) if isinstance(item, dict))


def _runs_own_code(tree: Tree, is_built: bool) -> Place | None:
    """Return the place that makes asking a project for its metadata run code of its own, else `None`.

    With `is_built` it is built, also when its metadata is written down.
    """
    path = PYPROJECT
    try:
        project = load_toml(tree, path) or {}
        has_setup = tree.exists("setup.py")
    except (Unreadable, Outside):
        return None
    metadata, build = table(project, "project"), table(project, "build-system")
    if metadata and not metadata.get("dynamic") and not is_built:
        return None
    if not (build or has_setup):
        return None
    text = (tree.read(path) or b"").decode("utf-8", "replace")
    if build.get("backend-path"):
        return Place(path, line_of(text, ("build-system", "backend-path"), "backend-path"))
    for keys in _HOOKS:
        if keys[-1] in table(project, *keys[:-1]):
            return Place(path, line_of(text, keys, keys[-1]))
    if table(project, "tool", "hatch", "version").get("source") == "code":
        return Place(path, line_of(text, ("tool", "hatch", "version"), "source"))
    attributes = [item for item in tables_in(table(project, "tool", "setuptools", "dynamic")) if "attr" in item]
    if attributes:
        return Place(path, line_of(text, ("tool", "setuptools", "dynamic"), "attr"))
    backend = str(build.get("build-backend", ""))
    script = next(name for start, name in _SCRIPTS.items() if backend.startswith(start))
    if not build or backend.startswith(tuple(name for name in _SCRIPTS if name)):
        return Place(script, 1) if tree.exists(script) else None
    return None
