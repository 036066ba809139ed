"""A router with a lifespan, which FastAPI merges with whatever the app has."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from laterctl.dialects.ground import Ground
from laterctl.project.facts import App
from laterctl.refusal import Refusal, Refused
from laterctl.targets.base import Anchor
from laterctl.targets.resolved import Resolved
from laterctl.targets.statement import Statement


def fits(source: str, app: App, ground: Ground) -> bool:
    """Every app can include a router."""
    return True


def declare(source: str, app: App, ground: Ground, after: Callable[[str], int]) -> Iterator[Resolved]:
    """Yield the imports and the statement that includes the router; say why the app's lifespan is left alone.

    Raises:
        Refused: what is assigned to the app later would take the router's lifespan away.
    """
    if app.lifespan.kind == "assigned":
        raise Refused(
            Refusal(
                "lifespan-assigned",
                app.lifespan.reason,
                app.lifespan.place,
                snippet=f"async with {source.partition(':')[2]}(app):\n    yield",
                expected="a lifespan that is a function of the project with one yield",
                remedy="hand such a function to FastAPI(lifespan=...), or assign it",
                feature=ground.feature,
            )
        )
    wanted, local = ground.imported(app.path, source)
    router, router_name = ground.imported(app.path, "fastapi:APIRouter")
    code = f"{app.name}.include_router({router_name}(lifespan={local}))"
    yield wanted
    yield router
    reason = (
        "its on_event handlers would be disabled by lifespan="
        if app.lifespan.kind == "on_event"
        else (app.lifespan.reason or "the app's own lifespan is left as it is")
    )
    ground.choice(f"resources are managed by a router's lifespan: {reason}", app.lifespan.place)
    yield Resolved(Statement(app.path, app.scope, code, (110, local)), Anchor(app.body, after(code)))
