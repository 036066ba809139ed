"""Doctor rules about how middleware fits together."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from laterctl.doctor.code import Codebase, Visit, method_of
from laterctl.doctor.http import BASE_HTTP, is_asgi
from laterctl.doctor.rule import Found, Rule, Severity
from laterctl.project.application.registered import outermost_first
from laterctl.project.facts import Registration
from laterctl.project.names import Own
from laterctl.project.statements import Function, assigned_value, nodes

ROUTER = "fastapi.APIRouter"


def below_a_reader(codebase: Codebase) -> Iterator[Found]:
    """Look at the middleware of each application, from the outside."""
    for app in codebase.project.apps:
        readers: list[Registration] = []
        for item in outermost_first(app):
            own = codebase.statement(item.target, item.place.path)
            # Two that stand in branches may never be there together.
            outer = [reader for reader in readers if not (reader.conditional and item.conditional)]
            if outer and (item.target == BASE_HTTP or (own and _isolates(codebase, *own))):
                yield Found(
                    item.place,
                    f"{_last(item)} keeps context variables that routes set from {_last(outer[0])} ({outer[0].place}): "
                    "BaseHTTPMiddleware runs what is below it in a task of its own",
                )
            if own and isinstance(own[1], ast.ClassDef) and is_asgi(own[1]) and _reads(codebase, *own):
                readers.append(item)


def on_a_router(call: Visit[ast.Call]) -> Iterator[Found]:
    """Look for middleware that is added to a router instead of an application."""
    if call.method not in {"add_middleware", "middleware"} or not isinstance(call.node.func, ast.Attribute):
        return
    held = call.node.func.value
    code = call.code
    made: ast.expr | None = code.value(held)
    if made is held:
        own = code.codebase.project.names.lookup(held, code.path, call.spot.scope)
        statement = code.codebase.project.names.statement(own) if isinstance(own, Own) else None
        made = assigned_value(statement) if statement is not None else None
        code = (code.codebase.readable(own.path) if isinstance(own, Own) else None) or code
    if isinstance(made, ast.Call) and code.resolve(made.func, call.spot.scope if code is call.code else ()) == ROUTER:
        yield Found(call.line, f"AttributeError: {call.receiver} is an APIRouter, which has no {call.method}()")


def _last(item: Registration) -> str:
    return item.target.rpartition(".")[2]


def _isolates(codebase: Codebase, own: Own, node: ast.stmt) -> bool:
    """Whether what is put on an application derives from BaseHTTPMiddleware, or is a function, which is put into one."""
    bases = node.bases if isinstance(node, ast.ClassDef) else []
    return isinstance(node, Function) or any(
        codebase.project.names.resolve(base, own.path) == BASE_HTTP for base in bases
    )


def _reads(codebase: Codebase, own: Own, node: ast.stmt) -> bool:
    """Whether `get()` is called on a context variable of the project's."""
    names = codebase.project.names
    for item in nodes(node):
        if method_of(item) == "get" and isinstance(item, ast.Call) and isinstance(item.func, ast.Attribute):
            found = names.lookup(item.func.value, own.path)
            statement = names.statement(found) if isinstance(found, Own) else None
            made = assigned_value(statement) if statement is not None else None
            called = (
                names.resolve(made.func, found.path) if isinstance(made, ast.Call) and isinstance(found, Own) else ""
            )
            if called == "contextvars.ContextVar":
                return True
    return False


_LAYERS = """\
from contextvars import ContextVar

from fastapi import FastAPI
from starlette.middleware.base import BaseHTTPMiddleware

user = ContextVar("user", default="")


class AccessLog:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        await self.app(scope, receive, send)
        print(user.get())


class Timing(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        return await call_next(request)


app = FastAPI()
"""

_ROUTER = """\
from fastapi import APIRouter, FastAPI
from fastapi.middleware.gzip import GZipMiddleware

app = FastAPI()
router = APIRouter()
"""

MW002 = Rule(
    id="MW002",
    title="A BaseHTTPMiddleware is below a middleware that reads context variables",
    why="It runs what is below it in a task of its own, so that the outer one does not see what a route put into a "
    "context variable. https://www.starlette.io/middleware/#limitations",
    fix="write it as an ASGI middleware, or put it outside of the other",
    needles=(b"BaseHTTPMiddleware", b".middleware("),
    checks={Codebase: below_a_reader},
    bad=(f"{_LAYERS}app.add_middleware(Timing)  # MW002\napp.add_middleware(AccessLog)\n",),
    good=(f"{_LAYERS}app.add_middleware(AccessLog)\napp.add_middleware(Timing)\n",),
)
MW003 = Rule(
    id="MW003",
    title="Middleware is added to a router",
    why="Only applications have middleware; a router has dependencies and a route class. "
    "https://fastapi.tiangolo.com/reference/apirouter/",
    fix="put it on the application, or use APIRouter(dependencies=[...])",
    severity=Severity.ERROR,
    needles=(b"add_middleware", b".middleware("),
    checks={ast.Call: on_a_router},
    bad=(
        f"{_ROUTER}router.add_middleware(GZipMiddleware)  # MW003\napp.include_router(router)\n",
        f'{_ROUTER}\n\n@router.middleware("http")  # MW003\nasync def pass_on(request, call_next):\n'
        "    return await call_next(request)\n",
    ),
    good=(f"{_ROUTER}app.add_middleware(GZipMiddleware)\napp.include_router(router)\n",),
)
