"""What a plan says that the running app will have, or will not have any more."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from laterctl.edits import converge
from laterctl.edits.pieces import ImportName, ListEntry, State, Statement
from laterctl.project.places import Place

if TYPE_CHECKING:
    from laterctl.ledger import Entry
    from laterctl.plan import Plan

ROUTER = "router"
MIDDLEWARE = "middleware"

_CALLS = {"include_router": ROUTER, "add_middleware": MIDDLEWARE}


class Promise(Struct, frozen=True):
    """A router or a middleware class, by dotted name, that a plan puts on the app, or takes off when not `comes`.

    `code` is the statement that does it, and `place` where that stands.
    """

    kind: str
    dotted: str
    comes: bool
    code: str
    place: Place


def promises(plan: Plan, installed: Mapping[str, Entry]) -> tuple[Promise, ...]:
    """Return what a plan promises, given the ledger before it.

    Statements that are ours count when the plan brings or removes them: one that the user moved, edited or deleted
    stays what it is.
    """
    entries = (*installed.values(), *plan.entries.values())
    ours = dict.fromkeys(record.piece for entry in entries for record in entry.records if record.ours)
    imported = dict.fromkeys(
        record.piece for entry in entries for record in entry.records if isinstance(record.piece, ImportName)
    )
    sources = {(piece.path, piece.local): piece.source for piece in imported if isinstance(piece, ImportName)}
    found: list[Promise] = []
    for piece in ours:
        change = plan.changeset.get(piece.path)
        kind, name = _put_on_app(piece) if isinstance(piece, Statement | ListEntry) else ("", "")
        if change is None or (piece.path, name) not in sources:
            continue
        was, is_now = (converge.inspect(piece, data) for data in (change.before, change.after))
        if (was.state is State.PRESENT) == (is_now.state is State.PRESENT):
            continue
        comes = is_now.state is State.PRESENT
        place = Place(piece.path, (is_now if comes else was).line or 1)
        found.append(Promise(kind, sources[piece.path, name], comes, piece.describe(), place))
    return tuple(found)


def _put_on_app(piece: Statement | ListEntry) -> tuple[str, str]:
    """Return what kind of thing a statement or an entry puts on the app, and its local name; `("", "")` for others."""
    match ast.parse(piece.code).body:
        case [ast.Expr(ast.Call(args=[ast.Name(id=name)]))] if isinstance(piece, ListEntry):
            return MIDDLEWARE, name
        case [ast.Expr(ast.Call(func=ast.Attribute(attr=method), args=[ast.Name(id=name), *_]))] if method in _CALLS:
            return _CALLS[method], name
    return "", ""
