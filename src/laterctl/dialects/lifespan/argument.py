"""`FastAPI(lifespan=...)`, for an app that has neither a lifespan nor handlers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from laterctl.dialects.ground import Ground
from laterctl.project.facts import App
from laterctl.targets.argument import Argument
from laterctl.targets.resolved import Resolved


def fits(source: str, app: App, ground: Ground) -> bool:
    """Whether nothing is in the place of the argument, or it is there in our form."""
    if app.lifespan.kind == "none" and not app.open_keywords and "lifespan" not in app.keywords:
        return True
    name = source.partition(":")[2]
    return ground.is_present(Argument(app.path, app.scope, app.holder, "lifespan", name))


def declare(source: str, app: App, ground: Ground, after: Callable[[str], int]) -> Iterator[Resolved]:
    """Yield the import and the argument."""
    wanted, local = ground.imported(app.path, source)
    yield wanted
    yield Resolved(Argument(app.path, app.scope, app.holder, "lifespan", local))
