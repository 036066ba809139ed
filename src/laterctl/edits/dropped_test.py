"""Tests that are dropped in beside a feature's code, with the development dependencies they run on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from laterctl.edits.manifest import DependencyFloor
from laterctl.edits.owned_file import File, http_client
from laterctl.edits.pieces import Dependency
from laterctl.edits.site import Site, Wanted

FLOORS = {"pytest": "pytest>=8", "httpx": "httpx>=0.27", "httpx2": "httpx2>=2"}


@dataclass(frozen=True)
class DroppedTest:
    """The test file `tests/<name>` from `template`; `client` says that it talks to an application over HTTP.

    pytest and the HTTP client are added to the development dependencies where the project declares neither.
    """

    name: str
    template: str
    client: bool = True
    when: Callable[[Site], bool] | None = None

    def resolve(self, site: Site) -> Iterator[Wanted]:
        if self.when is not None and not self.when(site):
            return
        for name in ["pytest", *([http_client(site)] if self.client else [])]:
            if not _declared_by_user(site, name):
                yield from DependencyFloor(FLOORS[name], dev=True).resolve(site)
        yield from File(f"tests/{self.name}", self.template).resolve(site)


def _declared_by_user(site: Site, name: str) -> bool:
    """Whether the user declares a distribution, as far as what is declared is not ours."""
    manifest = site.project.manifest
    declared = sum(item.name == name for item in manifest.requirements) if manifest else 0
    own = {item.piece.target for item in site.installed if isinstance(item.piece, Dependency) and item.ours}
    return declared > sum(target[-1] == name for target in own)
