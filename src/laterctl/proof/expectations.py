"""What a plan says that the running app will have, or will not have any more."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from laterctl.project.places import Place
from laterctl.targets import document as converge
from laterctl.targets.base import ImportName, ListEntry, State, Statement

if TYPE_CHECKING:
    from laterctl.engine.ledger import Entry
    from laterctl.engine.plan import Plan

ROUTER = "router"
MIDDLEWARE = "middleware"

_CALLS = {"include_router": ROUTER, "add_middleware": MIDDLEWARE}


class Expectation(Struct, frozen=True):
    """A router or a middleware class, by dotted name, that a plan puts on the app, or takes off when not `comes`.

    `code` is the statement that does it, and `place` where that stands.
    """

    kind: str
    dotted: str
    comes: bool
    code: str
    place: Place


def expectations(plan: Plan, installed: Mapping[str, Entry]) -> tuple[Expectation, ...]:
    """Return what a plan promises, given the ledger before it.

    Statements that are ours count when the plan brings or removes them: one that the user moved, edited or deleted
    stays what it is.
    """
    entries = (*installed.values(), *plan.entries.values())
    ours = dict.fromkeys(record.target for entry in entries for record in entry.records if record.ours)
    imported = dict.fromkeys(
        record.target for entry in entries for record in entry.records if isinstance(record.target, ImportName)
    )
    sources = {(target.path, target.local): target.source for target in imported if isinstance(target, ImportName)}
    found: list[Expectation] = []
    for target in ours:
        change = plan.changeset.get(target.path)
        kind, name = _put_on_app(target) if isinstance(target, Statement | ListEntry) else ("", "")
        if change is None or (target.path, name) not in sources:
            continue
        was, is_now = (converge.inspect(target, data) for data in (change.before, change.after))
        if (was.state is State.PRESENT) == (is_now.state is State.PRESENT):
            continue
        comes = is_now.state is State.PRESENT
        place = Place(target.path, (is_now if comes else was).line or 1)
        found.append(Expectation(kind, sources[target.path, name], comes, target.describe(), place))
    return tuple(found)


def _put_on_app(target: Statement | ListEntry) -> tuple[str, str]:
    """Return what kind of thing a statement or an entry puts on the app, and its local name; `("", "")` for others."""
    match ast.parse(target.code).body:
        case [ast.Expr(ast.Call(args=[ast.Name(id=name)]))] if isinstance(target, ListEntry):
            return MIDDLEWARE, name
        case [ast.Expr(ast.Call(func=ast.Attribute(attr=method), args=[ast.Name(id=name), *_]))] if method in _CALLS:
            return _CALLS[method], name
    return "", ""
