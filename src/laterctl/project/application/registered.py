"""What is registered on an app: middleware, routers, exception handlers, mounts and start-up hooks, in order."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from laterctl.project.facts import App, Registration
from laterctl.project.names import Names, Own, dotted_path
from laterctl.project.places import Place
from laterctl.project.statements import (
    Function,
    Scope,
    assigned_value,
    blocks,
    bound_targets,
    expressions,
    wrapped_function,
)

_DEPTH = 4  # helpers that hand the app to helpers
_INERT = frozenset(
    {
        *("uvicorn.run", "mangum.Mangum", "starlette.testclient.TestClient", "a2wsgi.ASGIMiddleware"),
        *("socketio.ASGIApp", "gradio.mount_gradio_app", "asgiref.wsgi.WsgiToAsgi"),
        *("uvicorn.Config", "httpx.ASGITransport", "nest_asyncio.apply", "asyncio.run"),
    }
)
_NOT_AT_THE_START = (
    *("prometheus_fastapi_instrumentator.", "opentelemetry.instrumentation.", "logfire."),
    *("dishka.integrations.", "sqladmin."),
)
"""What adds middleware and routes to an app that it is handed, and nothing that runs when it starts."""

_BUILTIN = frozenset({"print", "id", "type", "isinstance", "hasattr", "getattr", "setattr", "cast", "repr", "len"})


_MIDDLEWARE = "starlette.middleware.Middleware"


def middleware_class(call: ast.Call, resolve: Callable[[ast.expr], str]) -> ast.expr | None:
    """Return the class that a call puts around an application, as written; `None` when it cannot be told.

    That is `Class` of `x.add_middleware(Class)`, whatever `x` is, and of `Middleware(Class)`. Anything else that is
    called is given back: it may be the class itself, as in `Class(app)`.
    """
    adds = isinstance(call.func, ast.Attribute) and call.func.attr == "add_middleware"
    if adds or resolve(call.func) == _MIDDLEWARE:
        return _argument(call, 0, "middleware_class", "cls")
    return call.func


def outermost_first(app: App) -> list[Registration]:
    """Return the middleware of an application, outermost first.

    Calls are outside of `FastAPI(middleware=[...])`, the last one outermost; the list has its outermost first.
    """
    calls = [item for item in app.middleware if item.style != "list"]
    return [*reversed(calls), *(item for item in app.middleware if item.style == "list")]


class Context(Struct, frozen=True):
    """An assignment to `router.lifespan_context`: what is assigned, as seen inside the functions of `scope`."""

    place: Place
    value: ast.expr
    scope: tuple[Scope, ...]


class Registered(Struct):
    """What was found, in the order in which it runs.

    `hooks` are `on_event` and its kin; `contexts` assignments to `router.lifespan_context`; `strangers` are calls of
    other distributions that are handed the app, and may do the same.
    """

    middleware: list[Registration] = field(default_factory=list)
    routers: list[Registration] = field(default_factory=list)
    handlers: list[Registration] = field(default_factory=list)
    mounts: list[Registration] = field(default_factory=list)
    hooks: list[Place] = field(default_factory=list)
    contexts: list[Context] = field(default_factory=list)
    strangers: list[Registration] = field(default_factory=list)

    def extend(self, other: Registered) -> None:
        """Add what `other` holds behind what is here."""
        self.middleware += other.middleware
        self.routers += other.routers
        self.handlers += other.handlers
        self.mounts += other.mounts
        self.hooks += other.hooks
        self.contexts += other.contexts
        self.strangers += other.strangers


class _View(Struct, frozen=True):
    """Where the scan stands: the file and scope names are resolved in, and what holds the app there."""

    path: str
    scope: tuple[Scope, ...]
    receivers: frozenset[str]
    index: int | None = None
    style: str = ""
    conditional: bool = False
    outside: bool = False
    depth: int = _DEPTH
    loops: Mapping[str, tuple[ast.expr, ...] | None] = field(default_factory=dict)


def registered_on(
    names: Names,
    path: str,
    body: list[ast.stmt],
    receivers: Iterable[str],
    *,
    scope: tuple[Scope, ...] = (),
    after: int = -1,
    index: int | None = None,
    style: str = "",
    outside: bool = False,
    everywhere: bool = False,
) -> Registered:
    """Collect what the statements of `body` after number `after` register on the app.

    `receivers` are the expressions that hold the app there. `index` is the ordinal to record, each statement's own
    when `None`; `style` likewise. `everywhere` also looks into the functions of `body`.
    """
    found = Registered()
    view = _View(path, scope, frozenset(receivers), index, style, outside=outside)
    _scan(names, body, view, found, after, everywhere)
    return found


def _scan(
    names: Names, body: list[ast.stmt], view: _View, found: Registered, after: int = -1, everywhere: bool = False
) -> None:
    for number, statement in enumerate(body):
        if number > after:
            here = view if view.index is not None else replace(view, index=number)
            _statement(names, statement, here, found, everywhere)


def _statement(names: Names, node: ast.stmt, view: _View, found: Registered, everywhere: bool) -> None:
    if isinstance(node, Scope):
        for decorator in node.decorator_list:
            _decorator(names, decorator, node, view, found)
        if everywhere:
            _scan(names, node.body, replace(view, scope=(*view.scope, node)), found, everywhere=True)
        return
    for inner in expressions(node):
        if isinstance(inner, ast.Call):
            _call(names, inner, view, found)
    if isinstance(node, ast.Assign):
        for target in bound_targets(node):
            if _after_receiver(dotted_path(target), view) == "router.lifespan_context":
                found.contexts.append(Context(Place(view.path, node.lineno), node.value, view.scope))
    inner_view = view
    if isinstance(node, ast.For | ast.AsyncFor):
        loops = {**view.loops, **_loop(names, node, view)}
        inner_view = replace(view, conditional=True, style=view.style or "loop", loops=loops)
    elif isinstance(node, ast.If | ast.Try | ast.While | ast.Match):
        inner_view = replace(view, conditional=True)
    for _, block in blocks(node):
        _scan(names, block, inner_view, found, everywhere=everywhere)


def _loop(names: Names, node: ast.For | ast.AsyncFor, view: _View) -> Mapping[str, tuple[ast.expr, ...] | None]:
    """Map the variable of a loop to the elements of the literal it runs over, `None` when they cannot be told."""
    iterated: ast.expr = node.iter
    if isinstance(iterated, ast.Name):
        iterated = _literal(names, iterated, view) or iterated
    if not isinstance(node.target, ast.Name):
        return {target: None for target in map(dotted_path, bound_targets(node)) if target}
    if isinstance(iterated, ast.List | ast.Tuple) and not any(isinstance(e, ast.Starred) for e in iterated.elts):
        return {node.target.id: tuple(iterated.elts)}
    return {node.target.id: None}


def _literal(names: Names, node: ast.Name, view: _View) -> ast.expr | None:
    scopes: list[list[ast.stmt]] = [part.body for part in reversed(view.scope) if isinstance(part, Function)]
    for body in [*scopes, names.tree.python(view.path).tree.body]:
        for statement in body:
            if any(isinstance(t, ast.Name) and t.id == node.id for t in bound_targets(statement)):
                return assigned_value(statement)
    return None


def _after_receiver(path: str, view: _View) -> str:
    """Return what follows the app in a dotted path: `add_middleware` for `app.add_middleware`, else `""`."""
    for receiver in view.receivers:
        if path.startswith(f"{receiver}."):
            return path[len(receiver) + 1 :]
    return ""


def _decorator(
    names: Names, decorator: ast.expr, node: Function | ast.ClassDef, view: _View, found: Registered
) -> None:
    if not isinstance(decorator, ast.Call):
        return
    method = _after_receiver(dotted_path(decorator.func), view)
    own = _own_name(names, node, view)
    place = Place(view.path, decorator.lineno)
    if method == "middleware":
        found.middleware.append(_entry(view, own, "decorator", place))
    elif method == "exception_handler" and decorator.args:
        target = _spelled(names, decorator.args[0], view)
        found.handlers.append(_entry(view, target, "decorator", place, function=own))
    elif method in {"on_event", "router.on_event"}:
        found.hooks.append(place)


def _own_name(names: Names, node: Function | ast.ClassDef, view: _View) -> str:
    qualname = ".".join([*(part.name for part in view.scope), node.name])
    return f"{names.module_name(view.path)}.{qualname}"


def _entry(view: _View, target: str, style: str, place: Place, function: str = "") -> Registration:
    style = view.style or style
    return Registration(view.index or 0, target, style, place, view.conditional, function, view.outside)


def _spelled(names: Names, node: ast.expr, view: _View) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    found = _resolved(names, node, view)
    if not found and isinstance(node, ast.Name) and hasattr(builtins, node.id):
        return f"builtins.{node.id}"
    return found


def _resolved(names: Names, node: ast.expr, view: _View) -> str:
    """Resolve a name; one that an enclosing function defines itself is spelled with that function's name."""
    head = dotted_path(node).partition(".")[0]
    for count in range(len(view.scope), 0, -1):
        part = view.scope[count - 1]
        for statement in part.body:
            if isinstance(statement, Scope) and statement.name == head:
                return _own_name(names, statement, replace(view, scope=view.scope[:count]))
    return names.spelled(node, view.path, view.scope)


def _argument(call: ast.Call, position: int, *keywords: str) -> ast.expr | None:
    if len(call.args) > position and not any(isinstance(arg, ast.Starred) for arg in call.args[: position + 1]):
        return call.args[position]
    return next((word.value for word in call.keywords if word.arg in keywords), None)


def _call(names: Names, call: ast.Call, view: _View, found: Registered) -> None:
    method = _after_receiver(dotted_path(wrapped_function(call.func)), view)
    place = Place(view.path, call.lineno)
    if method == "add_middleware":
        _each(names, _argument(call, 0, "middleware_class"), view, found.middleware, place)
    elif method in {"user_middleware.append", "user_middleware.insert"}:
        found.middleware.append(_entry(view, "", "call", place))
    elif method in {"include_router", "router.include_router"}:
        _each(names, _argument(call, 0, "router"), view, found.routers, place)
    elif method in {"mount", "router.mount"}:
        _each(names, _argument(call, 1, "app"), view, found.mounts, place)
    elif method == "add_exception_handler":
        _handler(
            names, _argument(call, 0, "exc_class_or_status_code"), _argument(call, 1, "handler"), view, found, place
        )
    elif method.removeprefix("router.") in {"add_event_handler", "on_startup.append", "on_shutdown.append"}:
        found.hooks.append(place)
    elif isinstance(call.func, ast.Call):
        _called_decorator(names, call, call.func, view, found, place)
    elif (own := _own_method(call.func, view)) is not None:
        _through_method(names, call, own, view, found)
    elif not method:
        _helper(names, call, view, found, place)


def _own_method(func: ast.expr, view: _View) -> Function | None:
    """Return the method that `self.name(...)` calls inside a method of the same class."""
    if len(view.scope) < 2 or not isinstance(func, ast.Attribute) or dotted_path(func.value) != "self":
        return None
    owner = view.scope[-2]
    members = owner.body if isinstance(owner, ast.ClassDef) else []
    return next((node for node in members if isinstance(node, Function) and node.name == func.attr), None)


def _through_method(names: Names, call: ast.Call, method: Function, view: _View, found: Registered) -> None:
    """Follow a method of the class that holds the app: it reaches the app through `self` or is handed it."""
    if view.depth == 0:
        return
    parameters = [argument.arg for argument in method.args.args[1:]]
    given = {name for name, node in zip(parameters, call.args, strict=False) if dotted_path(node) in view.receivers}
    named = {word.arg for word in call.keywords if word.arg and dotted_path(word.value) in view.receivers}
    kept = {receiver for receiver in view.receivers if receiver.partition(".")[0] == "self"}
    inner = replace(
        view,
        scope=(*view.scope[:-1], method),
        receivers=frozenset(given | named | kept),
        style="helper",
        depth=view.depth - 1,
        loops={},
    )
    _scan(names, method.body, inner, found)


def _called_decorator(
    names: Names, call: ast.Call, inner: ast.Call, view: _View, found: Registered, place: Place
) -> None:
    """Record `app.middleware("http")(function)` and its kin."""
    method = _after_receiver(dotted_path(inner.func), view)
    if method == "middleware":
        _each(names, _argument(call, 0), view, found.middleware, place)
    elif method == "exception_handler":
        _handler(names, _argument(inner, 0), _argument(call, 0), view, found, place)
    elif method in {"on_event", "router.on_event"}:
        found.hooks.append(place)


def _handler(
    names: Names, error: ast.expr | None, function: ast.expr | None, view: _View, found: Registered, place: Place
) -> None:
    target = _spelled(names, error, view) if error is not None else ""
    own = _resolved(names, function, view) if function is not None else ""
    found.handlers.append(_entry(view, target, "call", place, function=own))


def _each(names: Names, node: ast.expr | None, view: _View, into: list[Registration], place: Place) -> None:
    """Record a registration, or one for each element when its argument is the variable of a loop over a literal."""
    if node is None:
        into.append(_entry(view, "", "call", place))
        return
    if isinstance(node, ast.Call):  # StaticFiles(directory=...), Mount(...)
        node = node.func
    head, _, rest = dotted_path(node).partition(".")
    if head in view.loops:
        for element in view.loops[head] or (None,):
            target = _resolved(names, element, view) if element is not None else ""
            into.append(_entry(view, f"{target}.{rest}" if rest and target else target, "loop", place))
        return
    into.append(_entry(view, _resolved(names, node, view), "call", place))


def _helper(names: Names, call: ast.Call, view: _View, found: Registered, place: Place) -> None:
    """Follow a function that is handed the app, or that uses the module's app itself."""
    given = [number for number, arg in enumerate(call.args) if dotted_path(arg) in view.receivers]
    named = [word.arg for word in call.keywords if word.arg and dotted_path(word.value) in view.receivers]
    target = names.lookup(call.func, view.path, view.scope)
    function = names.statement(target) if isinstance(target, Own) else None
    local = _local_function(call.func, view)
    if not given and not named:
        here = isinstance(target, Own) and target.path == view.path and not view.scope
        if here and isinstance(function, Function) and not call.args and view.depth > 0:
            inner = replace(view, scope=(function,), style="helper", depth=view.depth - 1)
            _scan(names, function.body, inner, found)
        return
    if local is not None:
        scope = (*view.scope, local)
        _follow(names, local, view.path, scope, given, named, view, found)
    elif isinstance(target, Own) and isinstance(function, Function) and target.name == function.name:
        _follow(names, function, target.path, (function,), given, named, view, found)
    elif not _is_inert(names, call, view):
        entry = _entry(view, _call_name(names, call.func, view), "helper", place)
        found.middleware.append(entry)
        if not entry.target.startswith(_NOT_AT_THE_START):
            found.strangers.append(entry)


def _local_function(func: ast.expr, view: _View) -> Function | None:
    if isinstance(func, ast.Name):
        for part in reversed(view.scope):
            for statement in part.body if isinstance(part, Function) else ():
                if isinstance(statement, Function) and statement.name == func.id:
                    return statement
    return None


def _follow(
    names: Names,
    function: Function,
    path: str,
    scope: tuple[Scope, ...],
    given: list[int],
    named: list[str],
    view: _View,
    found: Registered,
) -> None:
    parameters = [argument.arg for argument in [*function.args.posonlyargs, *function.args.args]]
    receivers = {parameters[number] for number in given if number < len(parameters)} | set(named)
    if not receivers or view.depth == 0:
        found.middleware.append(_entry(view, "", "helper", Place(path, function.lineno)))
        return
    inner = replace(
        view, path=path, scope=scope, receivers=frozenset(receivers), style="helper", depth=view.depth - 1, loops={}
    )
    _scan(names, function.body, inner, found)


def _is_inert(names: Names, call: ast.Call, view: _View) -> bool:
    """Whether a call that is handed the app is known to register nothing on it."""
    if isinstance(call.func, ast.Name) and call.func.id in _BUILTIN:
        return True
    if isinstance(call.func, ast.Attribute) and call.func.attr in {"mount", "wire", "debug", "info", "append"}:
        return True
    return _call_name(names, call.func, view) in _INERT


def _call_name(names: Names, func: ast.expr, view: _View) -> str:
    """Return the dotted name of what is called, through calls: `Instrumentator().instrument` has its class's name."""
    if isinstance(func, ast.Attribute) and isinstance(func.value, ast.Call):
        base = _call_name(names, func.value.func, view)
        return f"{base}.{func.attr}" if base else ""
    return _resolved(names, func, view)
