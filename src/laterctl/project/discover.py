"""The facts about a project, each found when it is first asked for. Parses; never imports or runs user code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from laterctl.project.application.select import Apps, find_apps
from laterctl.project.application.served import Served, find_served
from laterctl.project.configuration import Misconfigured, configuration
from laterctl.project.facts import App, Evidence, Layout, Undecided
from laterctl.project.layout import find_layout, import_roots, routers_package, shared_package
from laterctl.project.names import Names
from laterctl.project.places import ALTERNATIVE, is_test_or_docs
from laterctl.project.roots import find_root
from laterctl.project.source import Repair, Unreadable
from laterctl.project.style import find_style
from laterctl.project.tree import Outside, Tree
from laterctl.project.unreadable import as_undecided

if TYPE_CHECKING:
    from laterctl.dialects.database.base import Database
    from laterctl.dialects.manifest.base import Manifest
    from laterctl.dialects.providers.container import Container
    from laterctl.dialects.settings import Settings


@dataclass(frozen=True)
class Project:
    """Read-only facts about the project at `root`. `asked` is the `module:attr` of `--app`, or `""`.

    Every attribute is computed when first read. What could not be decided is in `undecided`, with the place and the
    flag that decides it; the fact is then `None`.
    """

    tree: Tree
    asked: str = ""
    _before: Project | None = field(default=None, repr=False, compare=False)
    _changed: frozenset[str] = field(default=frozenset(), repr=False, compare=False)

    @property
    def root(self) -> Path:
        return self.tree.root

    def with_overlay(self, more: Mapping[str, bytes | None]) -> Project:
        """Return the project as it will be with `more` written; what was read from disk is not read again."""
        return Project(self.tree.with_overlay(more), self.asked, self, frozenset(more))

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """The user's `[tool.laterctl]` table, `{}` without one or when it cannot be read: see `check_configuration`."""
        try:
            return configuration(self.tree)
        except (Unreadable, Outside):
            return {}

    def check_configuration(self) -> None:
        """Make sure that the user's table is what it has to be.

        Raises:
            laterctl.project.configuration.Misconfigured: it is not; the key and its line are named.
        """
        with suppress(Outside):
            try:
                configuration(self.tree)
            except Misconfigured:
                raise
            except Unreadable:  # a broken file is said by what needs it
                return

    @cached_property
    def names(self) -> Names:
        """The resolver of names."""
        if self._before is not None:
            return self._before.names.with_files(self.tree, self._changed)
        # Without an application, what is wired and routed tells where imports start.
        words = ((b"FastAPI",), (b"fastapi", b"dependency_injector"))
        found = next(filter(None, map(self.tree.files_containing_any, words)), [])
        paths = [path for path in found if not is_test_or_docs(path)]
        return Names(self.tree, import_roots(self.tree, paths, self._served))

    @cached_property
    def _served(self) -> list[Served]:
        return find_served(self.tree) if self._before is None else self._before._served

    @cached_property
    def python_files(self) -> list[str]:
        """All Python files."""
        return self.tree.python_files()

    @cached_property
    def _apps(self) -> Apps:
        return find_apps(self.names, self._served, self.asked or self._configured("app"))

    @property
    def apps(self) -> tuple[App, ...]:
        """Every FastAPI application found, best first."""
        return self._apps.apps

    @property
    def app(self) -> App | None:
        """The application that is meant."""
        return self._apps.app

    @property
    def notes(self) -> tuple[Evidence, ...]:
        """What discovery passed over, and why: files that cannot be read."""
        return self._apps.notes

    @property
    def _elsewhere(self) -> tuple[Undecided, ...]:
        """Why what is found here belongs to other projects, in folders of this one; `()` when it does not."""
        return tuple(item for item in self._apps.undecided if item.code == "project-below")

    @cached_property
    def _settings(self) -> tuple[Settings | None, tuple[Undecided, ...]]:
        if self._elsewhere:
            return None, ()
        from laterctl.dialects.settings.find import find_settings

        return _tried(lambda: find_settings(self.names, self.app, self._configured("settings"), self.apps))

    @property
    def settings(self) -> Settings | None:
        """Where settings are read, `None` when there is no system for it."""
        return self._settings[0]

    @cached_property
    def _container(self) -> tuple[Container | None, tuple[Undecided, ...]]:
        if self._elsewhere:
            return None, ()
        from laterctl.dialects.providers.container import find_container

        return _tried(lambda: find_container(self.names, self.app, self._configured("container")))

    @property
    def container(self) -> Container | None:
        """The dependency-injector container, if any."""
        return self._container[0]

    @cached_property
    def _database(self) -> tuple[Database | None, tuple[Undecided, ...]]:
        if self._elsewhere:
            return None, ()
        from laterctl.dialects.database.find import find_database

        return _tried(lambda: find_database(self.names, self.app, self._configured("database"), self.runs))

    @property
    def database(self) -> Database | None:
        """The database, if any. What is undecided about it is in `why_not` alone: few features ask for it."""
        return self._database[0]

    @cached_property
    def running(self) -> frozenset[str] | None:
        """The files that the applications import, through others too; `None` without an application."""
        from laterctl.project.imported import imported

        return imported(self)

    def runs(self, path: str) -> bool:
        """Whether a file runs in an application, as far as that can be told: a script does not."""
        return self.running is None or path in self.running

    @cached_property
    def _manifest(self) -> tuple[Manifest | None, tuple[Undecided, ...]]:
        from laterctl.dialects.manifest.find import find_manifest

        return _tried(lambda: find_manifest(self.tree, [path for path in self.tree.files() if "ocker" in path]))

    @property
    def manifest(self) -> Manifest | None:
        """The file that declares dependencies."""
        return self._manifest[0]

    @cached_property
    def layout(self) -> Layout:
        """Where code lives. Without an application: the project root, flat."""
        if self.app is None:
            return Layout("", "", "", "tests")
        style = find_style(self.tree, self.app.path)
        return find_layout(self.names, self.app.path, tests=self._configured("tests"), style=style)

    def package_of(self, head: str) -> str:
        """Return the dotted package of the modules that are meant for `core` or `api`.

        That is the user's choice; the package `core` nearest to the application's file; the package where the project
        has such modules (see `homes`); or `core` below the application's package. Where a module of the user's has that
        name, which a folder would hide, it is `app_core`, and stays it for as long as there is no `core`.
        """
        if chosen := self._configured(head) or self._nearer(head) or self.homes.get(head):
            return chosen
        stays = self._below(f"{ALTERNATIVE}{head}")
        moved = bool(self.in_the_way(head)) or (not self.tree.is_dir(self._below(head)) and self.tree.is_dir(stays))
        return ".".join(filter(None, (self.layout.package, f"{ALTERNATIVE}{head}" if moved else head)))

    def _nearer(self, head: str) -> str:
        """Return the package of that name which is nearer to the application's file than its package; `""` for none."""
        if self.app is None or self.tree.is_dir(self._below(head)):
            return ""
        package = self.app.module if self.app.path.endswith("/__init__.py") else self.app.module.rpartition(".")[0]
        while package and package != self.layout.package and package.startswith(f"{self.layout.package}."):
            folder = "/".join(filter(None, (self.layout.import_root, *package.split("."), head)))
            if self.tree.read(f"{folder}/__init__.py") is not None:
                return f"{package}.{head}"
            package = package.rpartition(".")[0]
        return ""

    def folder_of(self, head: str) -> str:
        """Return the folder of `package_of`."""
        root = self.layout.import_root
        return "/".join(filter(None, ("" if root == "." else root, self.package_of(head).replace(".", "/"))))

    @cached_property
    def homes(self) -> Mapping[str, str]:
        """The packages of the user's where new modules of `core` and of `api` go instead of folders of that name."""
        if self.app is None:
            return {}
        taken = {head for head in ("core", "api") if any(map(self.tree.is_dir, self._usual(head)))}
        found = {
            "core": shared_package(self.tree, self.layout) if "core" not in taken else "",
            "api": routers_package(self.names, self.app, self.layout) if "api" not in taken else "",
        }
        return {head: package for head, package in found.items() if package and not self._configured(head)}

    def _usual(self, head: str) -> tuple[str, str]:
        return self._below(head), self._below(f"{ALTERNATIVE}{head}")

    def in_the_way(self, head: str) -> str:
        """Return the module of the user's that a folder `core` or `api` would hide; `""` without one."""
        usual = self._below(head)
        if self._configured(head) or self._nearer(head) or self.tree.read(f"{usual}/__init__.py") is not None:
            return ""
        return f"{usual}.py" if self.tree.read(f"{usual}.py") is not None else ""

    def _below(self, name: str) -> str:
        return "/".join(filter(None, (self.layout.folder, name)))

    @property
    def undecided(self) -> tuple[Undecided, ...]:
        """Everything that could not be decided, but about the database. Computes all other facts."""
        manifest = () if self._elsewhere else self._manifest[1]
        return (*self._apps.undecided, *self._settings[1], *self._container[1], *manifest)

    def why_not(self, fact: str) -> Undecided | None:
        """Return why there is no `app`, `settings`, `container`, `database` or `manifest`; `None` when none is missed."""
        if getattr(self, fact) is not None:
            return None
        reasons = self._apps.undecided if fact == "app" else getattr(self, f"_{fact}")[1]
        return next(iter([*self._elsewhere, *reasons] if fact == "manifest" else reasons), None)

    def module_of(self, path: str) -> str:
        """Return the dotted name under which the project's own code imports a file (which need not exist)."""
        return self.names.module_name(path)

    def file_of(self, module: str, *, near: str | None = None) -> str | None:
        """Return the file of one of the project's modules, as the file `near` (the app's) would import it."""
        if near is None:
            near = self.app.path if self.app is not None else ""
        return self.names.module_file(module, near) or self.names.module_file_at_root(module)

    def _configured(self, key: str) -> str:
        return str(self.config.get(key) or "")


Fact = TypeVar("Fact")


def _tried(
    find: Callable[[], tuple[Fact | None, tuple[Undecided, ...]]],
) -> tuple[Fact | None, tuple[Undecided, ...]]:
    """Turn a file that cannot be read into something undecided, named with its place."""
    try:
        return find()
    except (Unreadable, Outside) as error:
        return None, (as_undecided(error),)


__all__ = ["Project", "discover", "find_root"]


def discover(
    root: Path,
    *,
    app: str | None = None,
    overlay: Mapping[str, bytes | None] | None = None,
    repair: Repair | None = None,
) -> Project:
    """Return the facts about the project at `root`.

    Args:
        root: the project's folder, as `find_root` gives it.
        app: `module:attr` of the application that is meant, when the user said so.
        overlay: files as they are to be, `None` for absent, instead of what is on disk.
        repair: blanks out syntax that is too new for the running interpreter's `ast`.
    """
    return Project(Tree(root, overlay, repair=repair), app or "")
