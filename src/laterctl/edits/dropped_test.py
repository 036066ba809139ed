"""Tests that are dropped in beside a feature's code, with the development dependencies they run on."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from msgspec import Struct, field

from laterctl import git
from laterctl.edits.context import FeatureContext
from laterctl.edits.file import File, http_client
from laterctl.edits.manifest import DependencyFloor
from laterctl.project.origin import is_signed
from laterctl.targets.resolved import Resolved

_PYTEST = re.compile(rb"^[ \t]*(?:import|from) pytest\b", re.MULTILINE)
FLOORS = {"pytest": "pytest>=8", "httpx": "httpx>=0.27", "httpx2": "httpx2>=2"}


class DroppedTest(Struct, frozen=True):
    """The test file `tests/<name>` from `template`; `client` says that it talks to an application over HTTP.

    `needs` are further development dependencies, with their floors; `given` are words as `File` has them. pytest and the
    HTTP client are added to the development dependencies where the project declares neither, pytest not where tests of
    the user's import it: they have it from somewhere, and need it when ours are gone.
    """

    name: str
    template: str
    client: bool = True
    when: Callable[[FeatureContext], bool] | None = None
    given: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()

    def resolve(self, context: FeatureContext) -> Iterator[Resolved]:
        if not context.tests or (self.when is not None and not self.when(context)) or self._is_ignored(context):
            return
        yield from test_dependencies(context, ["pytest", *([http_client(context)] if self.client else [])])
        for requirement in self.needs:
            yield from DependencyFloor(requirement, dev=True).resolve(context)
        yield from self.file.resolve(context)

    def _is_ignored(self, context: FeatureContext) -> bool:
        """Whether git would never see the file, so that the feature goes in without it, which is said."""
        path = context.path(self.file.path)
        root = context.project.root
        if context.project.tree.read(path) is not None or not git.ignored(root, [path]):
            return False
        context.warn(f"git ignores {path} ({git.ignore_rule(root, path)}): {context.feature} goes in without it")
        return True

    @property
    def file(self) -> File:
        """The test file itself."""
        return File(f"tests/{self.name}", self.template, when=self.when, given=self.given)


def has_importable_app(context: FeatureContext) -> bool:
    """Whether a module has the FastAPI application itself under a name that a test can import."""
    app = context.project.app
    return app is not None and bool(app.reference) and not app.wrapped


def test_dependencies(context: FeatureContext, names: Iterable[str]) -> Iterator[Resolved]:
    """Yield the development dependencies that tests need, of `FLOORS`, but for those that the user has."""
    for name in names:
        if not _declared_by_user(context, name) and not (name == "pytest" and _tested_by_user(context)):
            yield from DependencyFloor(FLOORS[name], dev=True).resolve(context)


def _declared_by_user(context: FeatureContext, name: str) -> bool:
    """Whether the user declares a distribution, as far as what is declared is not ours."""
    manifest = context.project.manifest
    declared = sum(item.name == name for item in manifest.requirements) if manifest else 0
    own = {item.target.key for item in context.installed if item.target.requires and item.ours}
    return declared > sum(key[-1] == name for key in own)


def _tested_by_user(context: FeatureContext) -> bool:
    """Whether a file of the user's imports pytest."""
    tree = context.project.tree
    users = (path for path in tree.files_containing(b"pytest") if path.endswith(".py") and not context.own_file(path))
    return any(_PYTEST.search(tree.read(path) or b"") for path in users if not is_signed(tree, path))
