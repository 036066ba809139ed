"""Tests that are dropped in beside a feature's code, with the development dependencies they run on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from laterctl.edits.manifest import DependencyFloor
from laterctl.edits.owned_file import File, http_client
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
        manifest = site.project.manifest
        declared = {item.name for item in manifest.requirements} if manifest else set()
        own = {record.piece.target[-1] for record in site.records if record.piece.kind == "dependency" and record.ours}
        for name in ["pytest", *([http_client(site)] if self.client else [])]:
            if name not in declared - own:
                yield from DependencyFloor(FLOORS[name], dev=True).resolve(site)
        yield from File(f"tests/{self.name}", self.template).resolve(site)
