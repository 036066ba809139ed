"""Tests that are dropped in beside a feature's code, with the development dependencies they run on."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from msgspec import Struct

from laterctl.edits.manifest import DependencyFloor
from laterctl.edits.owned_file import ORIGIN, File, http_client
from laterctl.edits.pieces import Dependency
from laterctl.edits.site import Site, Wanted

_PYTEST = re.compile(rb"^[ \t]*(?:import|from) pytest\b", re.MULTILINE)
FLOORS = {"pytest": "pytest>=8", "httpx": "httpx>=0.27", "httpx2": "httpx2>=2"}


class DroppedTest(Struct, frozen=True):
    """The test file `tests/<name>` from `template`; `client` says that it talks to an application over HTTP.

    pytest and the HTTP client are added to the development dependencies where the project declares neither, pytest
    not where tests of the user's import it: they have it from somewhere, and need it when ours are gone.
    """

    name: str
    template: str
    client: bool = True
    when: Callable[[Site], bool] | None = None

    def resolve(self, site: Site) -> Iterator[Wanted]:
        if self.when is not None and not self.when(site):
            return
        for name in ["pytest", *([http_client(site)] if self.client else [])]:
            if not _declared_by_user(site, name) and not (name == "pytest" and _tested_by_user(site)):
                yield from DependencyFloor(FLOORS[name], dev=True).resolve(site)
        yield from self.file.resolve(site)

    @property
    def file(self) -> File:
        """The test file itself."""
        return File(f"tests/{self.name}", self.template, when=self.when)


def _declared_by_user(site: Site, name: str) -> bool:
    """Whether the user declares a distribution, as far as what is declared is not ours."""
    manifest = site.project.manifest
    declared = sum(item.name == name for item in manifest.requirements) if manifest else 0
    own = {item.piece.target for item in site.installed if isinstance(item.piece, Dependency) and item.ours}
    return declared > sum(target[-1] == name for target in own)


def _tested_by_user(site: Site) -> bool:
    """Whether a file of the user's imports pytest."""
    tree = site.project.tree
    users = (path for path in tree.holding(b"pytest") if path.endswith(".py") and not site.own_file(path))
    contents = (tree.read(path) or b"" for path in users)
    return any(_PYTEST.search(data) for data in contents if not data.startswith(f"# {ORIGIN}".encode()))
