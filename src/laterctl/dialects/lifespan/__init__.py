"""The lifespan ladder: how the managed resources get into the app's start and stop.

`lifespan=` silently disables `on_event` handlers, so it is given only where there are none: an own lifespan gets the
context around its `yield`; handlers, somebody else's function that may add some, or a lifespan that cannot be edited,
get a router with a lifespan, which FastAPI merges from 0.112.2 on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from laterctl.dialects.ground import Ground
from laterctl.dialects.lifespan import argument, router, wrapped
from laterctl.project.facts import App, Lifespan
from laterctl.refusal import Refusal, Refused
from laterctl.targets.resolved import Resolved

After = Callable[[str], int]
"""Gives the ordinal of the statement after which a statement that includes a router goes."""


class Dialect(Protocol):
    """One way for a resource to be open while the app runs: a module of this package."""

    def fits(self, source: str, app: App, ground: Ground) -> bool:
        """Whether the app is of this kind."""
        ...

    def declare(self, source: str, app: App, ground: Ground, after: After) -> Iterator[Resolved]:
        """Yield the targets that enter the async context manager `source` (`module:name`) while the app runs.

        Raises:
            laterctl.refusal.Refused: the app has no safe place for it.
        """
        ...


def is_there(lifespan: Lifespan) -> bool:
    """Whether the application does something when it starts or stops."""
    return lifespan.kind not in {"none", "handed"}


def is_read(lifespan: Lifespan) -> bool:
    """Whether it is known what is done: by a context manager, or by handlers."""
    return lifespan.kind in {"function", "on_event"}


def words(lifespan: Lifespan) -> str:
    """Return what it is called."""
    return "start-up handler" if lifespan.kind == "on_event" else "lifespan"


def is_assigned(lifespan: Lifespan) -> bool:
    """Whether it is put on the router of an application that is there already."""
    return lifespan.kind == "foreign" and "lifespan_context" in lifespan.reason


LADDER: tuple[Dialect, ...] = (wrapped, argument, router)
"""The dialects, the one that changes least about an app first; the last one fits every app."""


def lifespan_dialect(source: str, app: App, ground: Ground) -> Dialect:
    """Return the first dialect of the ladder that fits an app; say which other lifespans never run.

    Raises:
        Refused: the app is mounted in another one, which does not run its lifespan.
    """
    if app.mounted is not None:
        raise Refused(
            Refusal(
                "app-mounted",
                f"{app.reference or app.name} is mounted in another application, so its lifespan never runs",
                app.mounted,
                expected="the application that is served, or one that enters the lifespan of what it mounts",
                remedy="name the application that is served with --app MODULE:ATTR",
                feature=ground.feature,
            )
        )
    for other in ground.project.apps:
        if other.mounted is not None and is_there(other.lifespan):
            place = other.lifespan.place or other.place
            ground.notice(
                f"the lifespan of {other.reference or other.name} never runs: {other.mounted} mounts it", place
            )
    return next(dialect for dialect in LADDER if dialect.fits(source, app, ground))
