"""Doctor rules of `lifespan`: what an application does not do when it starts and stops, though its code says so.

Each rule takes the path and the tree of one file and yields (rule id, line, reason, fix).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from laterctl.doctor.code import Code, Found
from laterctl.project.names import dotted_path, resolve
from laterctl.project.statements import Scope, Spot, assigned_value, blocks, bound_targets, expressions, spots_in

NEEDLES = (b"lifespan", b"on_startup", b"on_shutdown")


def check_app001(path: str, tree: ast.Module) -> Iterator[Found]:
    """An application with `lifespan=` never runs its startup and shutdown handlers.

    https://fastapi.tiangolo.com/advanced/events/#alternative-events-deprecated
    """
    code = Code(path, tree)
    apps = {place: call for place, call in _apps(code).items() if _given(call, "lifespan")}
    for call in apps.values():
        for name in ("on_startup", "on_shutdown"):
            if _given(call, name):
                reason = f"lifespan-and-on-event: {name}= is ignored beside lifespan="
                yield "APP001", call.lineno, reason, _ONE_LIFESPAN
    for call, spot, _ in code.calls():
        owner = _receiver(call).removesuffix(".router")
        if _attribute(call) in {"on_event", "add_event_handler"} and (spot.scope, owner) in apps:
            reason = f"lifespan-and-on-event: {owner} has a lifespan, so this handler never runs"
            yield "APP001", call.lineno, reason, _ONE_LIFESPAN


def check_app002(path: str, tree: ast.Module) -> Iterator[Found]:
    """A lifespan waits for an event after its `yield`: nobody sets it while the server stops, so the stop hangs.

    Setting it in a signal handler does not help: uvicorn installs its own handlers over the application's.
    """
    code = Code(path, tree)
    for function, spot, imports in _lifespans(code):
        yielded = False
        for inner in spots_in(function.body, (), (*spot.scope, function)):
            if inner.scope[-1] is not function:
                continue
            for node in expressions(inner.node):
                yielded = yielded or isinstance(node, ast.Yield)
                if not yielded or not isinstance(node, ast.Await) or _bounded(function, inner):
                    continue
                if _waits(code, node.value, imports):
                    reason = f"lifespan-wait: {function.name} waits after `yield`, for an event that nobody sets"
                    yield "APP002", node.lineno, reason, "drop the wait: the code after `yield` runs at the stop"


def check_app003(path: str, tree: ast.Module) -> Iterator[Found]:
    """`add_middleware` in a lifespan raises: the middleware stack stands before the lifespan is entered."""
    code = Code(path, tree)
    apps = {name for scope, name in _apps(code) if not scope}
    for function, _, imports in _lifespans(code):
        names = apps | {item.arg for item in function.args.args[:1] if _may_be_app(item.annotation, imports)}
        for inner in spots_in(function.body, ()):
            for node in expressions(inner.node) if not inner.scope else ():
                if isinstance(node, ast.Call) and _attribute(node) == "add_middleware" and _receiver(node) in names:
                    reason = "middleware-in-lifespan: RuntimeError, the middleware stack is built already"
                    yield "APP003", node.lineno, reason, "call add_middleware where the application is made"


_ONE_LIFESPAN = "move the handlers into the lifespan, or include an APIRouter(lifespan=...) and drop lifespan="

_Lifespan = tuple[ast.AsyncFunctionDef, Spot, Mapping[str, str]]
_App = tuple[tuple[Scope, ...], str]


def _apps(code: Code) -> dict[_App, ast.Call]:
    """Map scope and name to `name = FastAPI(...)`, where it is the one such statement for the name."""
    found: dict[_App, list[ast.Call]] = {}
    for spot, imports in code.statements():
        value = assigned_value(spot.node)
        if isinstance(value, ast.Call) and resolve(value.func, imports) == "fastapi.FastAPI":
            for target in bound_targets(spot.node):
                found.setdefault((spot.scope, dotted_path(target)), []).append(value)
    return {place: calls[0] for place, calls in found.items() if len(calls) == 1}


def _given(call: ast.Call, name: str) -> bool:
    value = next((item.value for item in call.keywords if item.arg == name), None)
    return value is not None and not (isinstance(value, ast.Constant) and value.value is None)


def _lifespans(code: Code) -> Iterator[_Lifespan]:
    """The async context managers of a file that an application gets as `lifespan=`, or that are called so."""
    used = {
        dotted_path(keyword.value)
        for call, _, _ in code.calls()
        for keyword in call.keywords
        if keyword.arg == "lifespan"
    }
    for spot, imports in code.statements():
        function = spot.node
        if not isinstance(function, ast.AsyncFunctionDef) or not (function.name in used or "lifespan" in function.name):
            continue
        if any(resolve(item, imports) == "contextlib.asynccontextmanager" for item in function.decorator_list):
            yield function, spot, imports


def _may_be_app(annotation: ast.expr | None, imports: Mapping[str, str]) -> bool:
    return annotation is None or resolve(annotation, imports) in {"fastapi.FastAPI", "starlette.applications.Starlette"}


def _waits(code: Code, node: ast.expr, imports: Mapping[str, str]) -> bool:
    """Whether `node` is `event.wait()` on an event of this file that is set nowhere but in signal handlers."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or _attribute(node) != "wait":
        return False
    event = _receiver(node)
    made = code.value(node.func.value)
    if not isinstance(made, ast.Call) or resolve(made.func, imports) not in {"asyncio.Event", "anyio.Event"}:
        return False
    handlers = {
        dotted_path(item)
        for call, _, names in code.calls()
        if resolve(call.func, names) == "signal.signal" or _attribute(call) == "add_signal_handler"
        for item in call.args
    }
    setters = [
        spot.scope[-1].name if spot.scope else ""
        for call, spot, _ in code.calls()
        if _attribute(call) == "set" and _receiver(call) == event
    ]
    return handlers.issuperset(setters)


def _attribute(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ""


def _receiver(call: ast.Call) -> str:
    return dotted_path(call.func.value) if isinstance(call.func, ast.Attribute) else ""


def _bounded(function: ast.AsyncFunctionDef, spot: Spot) -> bool:
    """Whether a statement of a function stands in a `with`, which may bound its time."""
    statements: list[ast.stmt] = function.body
    for ordinal, name in spot.body:
        if isinstance(statements[ordinal], ast.With | ast.AsyncWith):
            return True
        statements = dict(blocks(statements[ordinal]))[name]
    return False
