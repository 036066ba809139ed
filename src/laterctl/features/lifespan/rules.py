"""Doctor rules of `lifespan`: what an application does not do when it starts and stops, though its code says so."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from laterctl.dialects import lifespan
from laterctl.doctor.code import Code, Codebase, Visit, argument_of, constant, method_of, once, receiver_of
from laterctl.doctor.http import is_lifespan
from laterctl.doctor.rule import MAIN, Found, Rule, Severity
from laterctl.project.facts import App
from laterctl.project.names import Own, dotted_path
from laterctl.project.places import Place
from laterctl.project.statements import (
    Function,
    Scope,
    StatementRef,
    assigned_value,
    blocks,
    bound_targets,
    expressions,
    spots_in,
)

HOOKS = ("on_event", "add_event_handler")
_CONTEXT = ".router.lifespan_context"


def idle_handlers(code: Code) -> Iterator[Found]:
    """Look for handlers of applications that have a lifespan, given or assigned, in the file that makes them."""
    made = {place: call for place, call in apps(code).items() if _is_given(call, "lifespan")}
    for call in made.values():
        for name in ("on_startup", "on_shutdown"):
            if _is_given(call, name):
                yield Found(call.lineno, f"{name}= is ignored beside lifespan=")
    assigned = _assigned_to(code) if code.mentions(b"lifespan_context") else set()
    for visit in code.calls if made or assigned else ():
        owner = visit.receiver.removesuffix(".router")
        if visit.method in HOOKS and ((visit.spot.scope, owner) in made or owner in assigned):
            yield Found(visit.line, f"{owner} has a lifespan, so this handler never runs")


def idle_handlers_elsewhere(codebase: Codebase) -> Iterator[Found]:
    """Look for handlers that another module puts on an application with a lifespan, or that has one assigned there."""
    for app in codebase.project.apps:
        assigned = _assigned_elsewhere(codebase, app)
        place = assigned or app.lifespan.place
        if app.scope or not (app.lifespan.name or _is_assigned(app) or assigned):
            continue
        for code in codebase.containing(*(hook.encode() for hook in HOOKS)):
            for visit in code.calls if code.path != app.path or assigned else ():
                called = visit.node.func
                owner = called.value if isinstance(called, ast.Attribute) and visit.method in HOOKS else None
                if owner is not None and _is_app(code, owner, visit.spot.scope, app):
                    reason = f"{app.name} has a lifespan ({place}), so this handler never runs"
                    yield Found(Place(code.path, visit.line), reason)


def _assigned_elsewhere(codebase: Codebase, app: App) -> Place | None:
    """Return where another module replaces the `router.lifespan_context` of an application."""
    for code in codebase.containing(b"lifespan_context"):
        for visit in code.visits(ast.Assign) if code.path != app.path and not _calls_other(code) else ():
            for target in bound_targets(visit.node):
                router = (
                    target.value if isinstance(target, ast.Attribute) and target.attr == "lifespan_context" else None
                )
                if isinstance(router, ast.Attribute) and _is_app(code, router.value, visit.spot.scope, app):
                    return Place(code.path, visit.line)
    return None


def _is_app(code: Code, node: ast.expr, scope: tuple[Scope, ...], app: App) -> bool:
    return code.codebase.project.names.lookup(node, code.path, scope) == Own(app.path, app.name)


def mounted_lifespan(codebase: Codebase) -> Iterator[Found]:
    """Look for applications that do something when they start, and are mounted on another."""
    for app, place in _mounted(codebase):
        span = app.lifespan
        if not lifespan.is_read(span) and not span.name and not _is_assigned(app):
            continue
        words = (b"lifespan_context(", b"LifespanManager(", b".router.startup(")
        entered = span.name and any(
            call.receiver == "" and dotted_path(call.node.func).rpartition(".")[2] == span.name
            for code in codebase.containing(span.name.encode())
            for call in code.calls
        )
        if not entered and not any(code.path for code in codebase.containing(*words)):
            what = lifespan.words(span)
            yield Found(
                place, f"no {what} of {app.name or app.module} ever runs ({span.place}): it is mounted on another"
            )


def mounted_elsewhere(codebase: Codebase) -> Iterator[Found]:
    """Look for a FastAPI application without a lifespan below one of Starlette's: what it gets would not run."""
    for app, place in _mounted_by_starlette(codebase):
        if not lifespan.is_there(app.lifespan):
            reason = (
                f"a lifespan that {app.name} gets would never run: Starlette runs that of the outermost application"
            )
            yield Found(place, reason)


def _mounted(codebase: Codebase) -> Iterator[tuple[App, Place]]:
    """Yield the applications that are mounted on others, with where."""
    every = codebase.project.apps
    for outer in every:
        for item in outer.mounts:
            for app in every:
                if item.target in {f"{app.module}.{app.name}", app.reference.replace(":", ".")} and app is not outer:
                    yield app, item.place
    yield from _mounted_by_starlette(codebase)


def _mounted_by_starlette(codebase: Codebase) -> Iterator[tuple[App, Place]]:
    """Yield the applications in a `Mount`, where no lifespan is handed to the one around."""
    owns = {Own(app.path, app.name): app for app in codebase.project.apps if not app.scope}
    for code in codebase.containing(b"Mount("):
        given = any(
            call.target == "starlette.applications.Starlette" and call.keyword("lifespan") for call in code.calls
        )
        for call in code.calls if not given else ():
            node = call.argument(1, "app") if call.target == "starlette.routing.Mount" else None
            found = codebase.project.names.lookup(node, code.path, call.spot.scope) if node is not None else ""
            if isinstance(found, Own) and found in owns:
                yield owns[found], Place(code.path, call.line)


def _is_assigned(app: App) -> bool:
    return lifespan.is_assigned(app.lifespan)


def _assigned_to(code: Code) -> set[str]:
    """Return the applications whose `router.lifespan_context` a file replaces, without calling the one it was."""
    targets = [target for visit in code.visits(ast.Assign) for target in map(dotted_path, bound_targets(visit.node))]
    owners = {target.removesuffix(_CONTEXT) for target in targets if target.endswith(_CONTEXT)}
    return set() if _calls_other(code) else owners


def _calls_other(code: Code) -> bool:
    """Whether a file reads a `lifespan_context`, which it then hands on to."""
    return any(
        visit.node.attr == "lifespan_context" and isinstance(visit.node.ctx, ast.Load)
        for visit in code.visits(ast.Attribute)
    )


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


def late_middleware(visit: Visit[Any]) -> Iterator[Found]:
    """Look for middleware that is put on an application while it starts: in its lifespan, or in a start-up handler."""
    function: Function = visit.node
    names = _started_by(visit)
    if is_lifespan(visit):
        names |= {name for scope, name in apps(visit.code) if not scope}
        names |= {item.arg for item in function.args.args[:1] if _may_be_app(visit, item.annotation)}
    if names:
        yield from (Found(line, "RuntimeError: the middleware stack is built already") for line in _adds(visit, names))


def _started_by(visit: Visit[Any]) -> set[str]:
    """Return the applications, by the names they have here, that run a function when they start."""
    owners = {
        receiver_of(item).removesuffix(".router")
        for item in visit.node.decorator_list
        if method_of(item) == "on_event" and [constant(argument) for argument in item.args] == ["startup"]
    }
    for call in visit.code.calls if visit.code.mentions(b"add_event_handler") else ():
        handler = call.argument(1, "func") if call.method == "add_event_handler" else None
        if handler is not None and dotted_path(handler) == visit.node.name and constant(call.argument(0)) == "startup":
            owners.add(call.receiver.removesuffix(".router"))
    return owners


def _adds(visit: Visit[Any], names: set[str], depth: int = 1) -> Iterator[int]:
    """Yield the lines of a function that put middleware on what one of `names` holds, or call one that does."""
    for inner in spots_in(visit.node.body, ()):
        if inner.scope:
            continue
        for node in expressions(inner.node):
            if not isinstance(node, ast.Call):
                continue
            handed = [dotted_path(item) in names for item in node.args]
            instruments = method_of(node) == "instrument" and any(handed[:1]) and _is_instrumentator(visit, node)
            adds = method_of(node) in {"add_middleware", "middleware"} and receiver_of(node) in names
            if adds or instruments or (depth and any(handed) and _adds_through(visit, node, handed)):
                yield node.lineno


def _adds_through(visit: Visit[Any], call: ast.Call, handed: list[bool]) -> bool:
    codebase = visit.code.codebase
    own = codebase.project.names.lookup(call.func, visit.code.path, visit.spot.scope)
    statement = codebase.project.names.statement(own) if isinstance(own, Own) else None
    code = codebase.readable(own.path) if isinstance(own, Own) else None
    if code is None or not isinstance(statement, Function):
        return False
    found = next(item for item in code.functions if item.node is statement)
    given = {item.arg for item, is_app in zip(statement.args.args, handed, strict=False) if is_app}
    return any(True for _ in _adds(found, given, 0))


def _is_instrumentator(visit: Visit[Any], call: ast.Call) -> bool:
    """Whether the object is an Instrumentator of prometheus-fastapi-instrumentator, made here or held by a name."""
    node: ast.expr = call.func
    while True:
        value = visit.code.value(node)
        if value is not node:
            node = value
        elif isinstance(node, ast.Attribute):
            node = node.value
        elif isinstance(node, ast.Call) and not visit.resolve(node.func):
            node = node.func
        else:
            made = visit.resolve(node.func) if isinstance(node, ast.Call) else ""
            return made.startswith("prometheus_fastapi_instrumentator.")


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
_ASSIGNED = _LIFESPAN.replace("FastAPI(lifespan=lifespan)", "FastAPI()") + "app.router.lifespan_context = lifespan\n"
_BELOW = """\
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount

api = FastAPI()
"""
_HANDLER = 'async def start():\n    print("starting")\n'

APP001 = Rule(
    id="APP001",
    title="An application with `lifespan=` never runs its startup and shutdown handlers",
    why="Starlette takes one or the other. https://fastapi.tiangolo.com/advanced/events/#alternative-events-deprecated",
    fix="move the handlers into the lifespan, or include an APIRouter(lifespan=...) and drop lifespan=",
    severity=Severity.ERROR,
    needles=(b"on_event", b"on_startup", b"on_shutdown", b"add_event_handler"),
    checks={Code: idle_handlers, Codebase: idle_handlers_elsewhere},
    bad=(
        f'{_LIFESPAN}\n\n@app.on_event("startup")  # APP001\n{_HANDLER}',
        f'{_ASSIGNED}\n\n@app.on_event("startup")  # APP001\n{_HANDLER}',
        {
            MAIN: f"import app.warm\n{_LIFESPAN}",
            "app/warm.py": f'from app.main import app\n\n\n@app.on_event("startup")  # APP001\n{_HANDLER}',
        },
    ),
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
    title="Middleware is added while the application starts",
    why="`add_middleware`, and what calls it, raises a RuntimeError in a lifespan and in a start-up handler: the stack is "
    "built before they run.",
    fix="call add_middleware where the application is made",
    severity=Severity.ERROR,
    needles=(b"asynccontextmanager", b"on_event", b"add_event_handler"),
    checks={ast.AsyncFunctionDef: late_middleware, ast.FunctionDef: late_middleware},
    bad=(
        _LIFESPAN.replace("    yield\n", "    app.add_middleware(GZipMiddleware)  # APP003\n    yield\n"),
        "from fastapi import FastAPI\nfrom prometheus_fastapi_instrumentator import Instrumentator\n\napp = FastAPI()\n\n\n"
        '@app.on_event("startup")\nasync def start() -> None:\n    Instrumentator().instrument(app).expose(app)  # APP003\n',
    ),
    good=(
        f"{_LIFESPAN}app.add_middleware(GZipMiddleware)\n",
        "from fastapi import FastAPI\nfrom prometheus_fastapi_instrumentator import Instrumentator\n\napp = FastAPI()\n"
        "instrumentator = Instrumentator().instrument(app)\n\n\n"
        '@app.on_event("startup")\nasync def start() -> None:\n    instrumentator.expose(app)\n',
    ),
)
APP004 = Rule(
    id="APP004",
    title="The lifespan of a mounted application never runs",
    why="Only the application that the server starts gets the messages of the lifespan. "
    "https://www.starlette.io/lifespan/",
    fix="enter it in the lifespan of the outer one: async with inner.router.lifespan_context(inner): yield",
    severity=Severity.ERROR,
    needles=(b".mount(", b"Mount("),
    checks={Codebase: mounted_lifespan},
    bad=(f'{_LIFESPAN}outer = FastAPI()\nouter.mount("/inner", app)  # APP004\n',),
    good=(
        'from fastapi import FastAPI\n\ninner = FastAPI()\napp = FastAPI()\napp.mount("/inner", inner)\n',
        f"{_LIFESPAN}\n\n@asynccontextmanager\nasync def both(outer: FastAPI):\n"
        "    async with app.router.lifespan_context(app):\n        yield\n\n\n"
        'outer = FastAPI(lifespan=both)\nouter.mount("/inner", app)\n',
    ),
)
APP005 = Rule(
    id="APP005",
    title="The application is mounted on one of Starlette's that hands it no lifespan",
    why="It has nothing to do when it starts yet. A feature that opens connections puts a lifespan there, and only that "
    "of the outermost application runs. https://www.starlette.io/lifespan/",
    fix="hand it on: Starlette(routes=[...], lifespan=lambda outer: app.router.lifespan_context(app))",
    severity=Severity.INFO,
    needles=(b"Mount(",),
    checks={Codebase: mounted_elsewhere},
    bad=(f'{_BELOW}app = Starlette(routes=[Mount("/api", app=api)])  # APP005\n',),
    good=(
        f'{_BELOW}app = Starlette(routes=[Mount("/api", app=api)], lifespan=lambda app: api.router.lifespan_context(api))\n',
    ),
)
