"""Doctor rules of `lifespan`: what an application does not do when it starts and stops, though its code says so."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from laterctl.doctor.code import Code, Visit, argument_of, constant, method_of, once, receiver_of
from laterctl.doctor.rule import Found, Rule, Severity
from laterctl.project.names import dotted_path
from laterctl.project.statements import (
    Scope,
    StatementRef,
    assigned_value,
    blocks,
    bound_targets,
    expressions,
    spots_in,
)


def idle_handlers(code: Code) -> Iterator[Found]:
    """Look for handlers of applications that have a lifespan, in the file that makes them."""
    made = {place: call for place, call in apps(code).items() if _is_given(call, "lifespan")}
    for call in made.values():
        for name in ("on_startup", "on_shutdown"):
            if _is_given(call, name):
                yield Found(call.lineno, f"{name}= is ignored beside lifespan=")
    for visit in code.calls if made else ():
        owner = visit.receiver.removesuffix(".router")
        if visit.method in {"on_event", "add_event_handler"} and (visit.spot.scope, owner) in made:
            yield Found(visit.line, f"{owner} has a lifespan, so this handler never runs")


def endless_wait(lifespan: Visit[ast.AsyncFunctionDef]) -> Iterator[Found]:
    """Look behind the `yield` of a lifespan for an event that nobody sets."""
    function = lifespan.node
    if not is_lifespan(lifespan):
        return
    yielded = False
    for inner in spots_in(function.body, (), (*lifespan.spot.scope, function)):
        for node in expressions(inner.node) if inner.scope[-1] is function else ():
            yielded = yielded or isinstance(node, ast.Yield)
            waits = yielded and isinstance(node, ast.Await) and not _is_bounded(function, inner)
            if waits and isinstance(node, ast.Await) and _is_never_set(lifespan, node.value):
                yield Found(node.lineno, f"{function.name} waits after `yield`, for an event that nobody sets")


def late_middleware(lifespan: Visit[ast.AsyncFunctionDef]) -> Iterator[Found]:
    """Look for `add_middleware` on the application in its own lifespan."""
    if not is_lifespan(lifespan):
        return
    names = {name for scope, name in apps(lifespan.code) if not scope}
    names |= {item.arg for item in lifespan.node.args.args[:1] if _may_be_app(lifespan, item.annotation)}
    for inner in spots_in(lifespan.node.body, ()):
        for node in expressions(inner.node) if not inner.scope else ():
            if isinstance(node, ast.Call) and method_of(node) == "add_middleware" and receiver_of(node) in names:
                yield Found(node.lineno, "RuntimeError: the middleware stack is built already")


@once
def apps(code: Code) -> dict[tuple[tuple[Scope, ...], str], ast.Call]:
    """Map scope and name to `name = FastAPI(...)`, where it is the one such statement for the name."""
    found: dict[tuple[tuple[Scope, ...], str], list[ast.Call]] = {}
    for visit in code.visits(ast.Assign, ast.AnnAssign):
        value = assigned_value(visit.node)
        if isinstance(value, ast.Call) and visit.resolve(value.func) == "fastapi.FastAPI":
            for target in bound_targets(visit.node):
                found.setdefault((visit.spot.scope, dotted_path(target)), []).append(value)
    return {place: calls[0] for place, calls in found.items() if len(calls) == 1}


@once
def _given_as_lifespan(code: Code) -> set[str]:
    return {dotted_path(value) for visit in code.calls if (value := visit.keyword("lifespan")) is not None}


def is_lifespan(visit: Visit[ast.AsyncFunctionDef]) -> bool:
    """Whether a function is an async context manager that an application gets as `lifespan=`, or that is called so."""
    if visit.node.name not in _given_as_lifespan(visit.code) and "lifespan" not in visit.node.name:
        return False
    return any(visit.resolve(item) == "contextlib.asynccontextmanager" for item in visit.node.decorator_list)


def _is_given(call: ast.Call, name: str) -> bool:
    value = argument_of(call, -1, name)
    return value is not None and not (isinstance(value, ast.Constant) and constant(value) is None)


def _may_be_app(visit: Visit[ast.AsyncFunctionDef], annotation: ast.expr | None) -> bool:
    return annotation is None or visit.resolve(annotation) in {"fastapi.FastAPI", "starlette.applications.Starlette"}


def _is_never_set(visit: Visit[ast.AsyncFunctionDef], node: ast.expr) -> bool:
    """Whether `node` is `event.wait()` on an event of this file that is set nowhere but in signal handlers."""
    if method_of(node) != "wait" or not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    made = visit.code.value(node.func.value)
    if not isinstance(made, ast.Call) or visit.resolve(made.func) not in {"asyncio.Event", "anyio.Event"}:
        return False
    calls = visit.code.calls
    installs = [call for call in calls if call.target == "signal.signal" or call.method == "add_signal_handler"]
    handlers = {dotted_path(item) for call in installs for item in call.node.args}
    setters = [call for call in calls if call.method == "set" and call.receiver == receiver_of(node)]
    return handlers.issuperset(call.spot.scope[-1].name if call.spot.scope else "" for call in setters)


def _is_bounded(function: ast.AsyncFunctionDef, spot: StatementRef) -> bool:
    """Whether a statement of a function stands in a `with`, which may bound its time."""
    statements: list[ast.stmt] = function.body
    for ordinal, name in spot.body:
        if isinstance(statements[ordinal], ast.With | ast.AsyncWith):
            return True
        statements = dict(blocks(statements[ordinal]))[name]
    return False


_LIFESPAN = """\
import asyncio
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.middleware.gzip import GZipMiddleware

stop = asyncio.Event()


@asynccontextmanager
async def lifespan(app: FastAPI):
    yield


app = FastAPI(lifespan=lifespan)
"""
_HANDLER = 'async def start():\n    print("starting")\n'

APP001 = Rule(
    id="APP001",
    title="An application with `lifespan=` never runs its startup and shutdown handlers",
    why="Starlette takes one or the other. https://fastapi.tiangolo.com/advanced/events/#alternative-events-deprecated",
    fix="move the handlers into the lifespan, or include an APIRouter(lifespan=...) and drop lifespan=",
    severity=Severity.ERROR,
    needles=(b"on_event", b"on_startup", b"on_shutdown", b"add_event_handler"),
    checks={Code: idle_handlers},
    bad=(f'{_LIFESPAN}\n\n@app.on_event("startup")  # APP001\n{_HANDLER}',),
    good=(f'from fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.on_event("startup")\n{_HANDLER}', _LIFESPAN),
)
APP002 = Rule(
    id="APP002",
    title="A lifespan waits for an event after its `yield`",
    why="Nobody sets it while the server stops, so the stop hangs. Setting it in a signal handler does not help: "
    "uvicorn installs its own handlers over the application's.",
    fix="drop the wait: the code after `yield` runs at the stop",
    severity=Severity.ERROR,
    needles=(b"asynccontextmanager",),
    checks={ast.AsyncFunctionDef: endless_wait},
    bad=(_LIFESPAN.replace("    yield\n", "    yield\n    await stop.wait()  # APP002\n"),),
    good=(_LIFESPAN.replace("    yield\n", "    yield\n    await asyncio.wait_for(stop.wait(), 5)\n"),),
)
APP003 = Rule(
    id="APP003",
    title="Middleware is added in a lifespan",
    why="`add_middleware` raises a RuntimeError there: the stack is built before the lifespan is entered.",
    fix="call add_middleware where the application is made",
    severity=Severity.ERROR,
    needles=(b"asynccontextmanager",),
    checks={ast.AsyncFunctionDef: late_middleware},
    bad=(_LIFESPAN.replace("    yield\n", "    app.add_middleware(GZipMiddleware)  # APP003\n    yield\n"),),
    good=(f"{_LIFESPAN}app.add_middleware(GZipMiddleware)\n",),
)
