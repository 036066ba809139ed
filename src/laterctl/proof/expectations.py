"""What a plan says that the running app will have, or will not have any more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from laterctl.project.places import Place
from laterctl.targets.base import State
from laterctl.targets.document import inspect

if TYPE_CHECKING:
    from laterctl.engine.ledger import Entry
    from laterctl.engine.plan import Plan

ROUTER = "router"
MIDDLEWARE = "middleware"
LIFESPAN = "lifespan"


class Expectation(Struct, frozen=True):
    """A router, a middleware class or a lifespan, by dotted name, that a plan puts on the app, or takes off when not `comes`.

    `code` is the statement that does it, and `place` where that stands; `feature` is whose it is.
    """

    kind: str
    dotted: str
    comes: bool
    code: str
    place: Place
    feature: str = ""


def expectations(plan: Plan, installed: Mapping[str, Entry]) -> tuple[Expectation, ...]:
    """Return what a plan promises, given the ledger before it.

    What is ours counts when the plan brings or removes it: what the user moved, edited or deleted is the user's.
    """
    found: list[Expectation] = []
    entries = [*installed.values(), *plan.entries.values()]
    targets = {
        record.target.key: (record.target, entry.feature)
        for entry in entries
        for record in entry.records
        if record.ours
    }
    for target, feature in targets.values():
        effect, change = target.effect, plan.changeset.get(target.path)
        if effect is None or change is None:
            continue
        was, is_now = (inspect(target, data) for data in (change.before, change.after))
        there, stays = was.state is State.PRESENT, is_now.state is State.PRESENT
        if there == stays:
            continue
        place = Place(target.path, (is_now if stays else was).line or 1)
        found.append(Expectation(effect.what, effect.dotted, stays, target.describe(), place, feature))
    return tuple(found)
