"""Doctor rules of `replicas`: routing that never happens, and writing where nothing can be written."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from laterctl.doctor.code import Visit, method_of
from laterctl.doctor.http import is_verb
from laterctl.doctor.rule import Found, Rule, Severity
from laterctl.project.statements import Function, nodes

_SESSIONS = frozenset({"sqlalchemy.ext.asyncio.AsyncSession", "sqlmodel.ext.asyncio.session.AsyncSession"})
_WRITES = frozenset({"post", "put", "patch", "delete"})


def unused_routing(visit: Visit[ast.ClassDef]) -> Iterator[Found]:
    """Look for sessions that are awaited and choose the engine of a statement themselves."""
    if _SESSIONS.isdisjoint(map(visit.resolve, visit.node.bases)):
        return
    for item in visit.node.body:
        if isinstance(item, Function) and item.name == "get_bind":
            yield Found(item.lineno, f"{visit.node.name}.get_bind is never called: all goes to one engine")


def written_through_reading(visit: Visit[Any]) -> Iterator[Found]:
    """Look for routes that change something and have the session that only reads."""
    verbs = {method_of(item) for item in visit.node.decorator_list if is_verb(item)}
    if not verbs or not verbs <= _WRITES:
        return
    arguments = visit.node.args
    for item in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        named = (
            (node for node in nodes(item.annotation) if isinstance(node, ast.Name | ast.Attribute))
            if item.annotation
            else ()
        )
        if any(visit.resolve(node).rpartition(".")[2] in {"ReadSessionDep", "read_session"} for node in named):
            yield Found(item.lineno, f"{visit.node.name} has a session in which PostgreSQL refuses to write")


_ROUTE = """\
from fastapi import FastAPI

from app.api.read_session import ReadSessionDep

app = FastAPI()


@app.{verb}("/notes")
async def notes(session: ReadSessionDep):{mark}
    ...
"""
_CLASS = """\
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session


class RoutingSession({base}):
    def get_bind(self, mapper=None, clause=None, **kw):{mark}
        return ENGINES["replica"]


sessions = RoutingSession()
"""

REP001 = Rule(
    id="REP001",
    title="An asynchronous session has get_bind, which nobody calls",
    why="AsyncSession hands all to a synchronous session, and asks that for the engine: what is meant for a replica goes to "
    "the primary. https://docs.sqlalchemy.org/en/20/orm/extensions/asyncio.html",
    fix="put get_bind into a subclass of Session, as AsyncSession(sync_session_class=...); it returns a sync_engine",
    severity=Severity.ERROR,
    needles=(b"get_bind",),
    checks={ast.ClassDef: unused_routing},
    bad=(_CLASS.format(base="AsyncSession", mark="  # REP001"),),
    good=(_CLASS.format(base="Session", mark=""),),
)
REP002 = Rule(
    id="REP002",
    title="A route that changes something has the session that only reads",
    why="Its transaction is read-only, with a replica and without one: the first statement that writes fails. "
    "https://www.postgresql.org/docs/current/sql-set-transaction.html",
    fix="give it the session of the primary",
    severity=Severity.ERROR,
    needles=(b"ReadSessionDep", b"read_session"),
    checks={ast.AsyncFunctionDef: written_through_reading, ast.FunctionDef: written_through_reading},
    bad=(_ROUTE.format(verb="post", mark="  # REP002"),),
    good=(_ROUTE.format(verb="get", mark=""),),
)
