"""Doctor rules of `websocket`: strangers that get in, tokens in logs, and connections that stay or stall the others."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from laterctl.doctor.code import Codebase, Visit, constant, method_of
from laterctl.doctor.processes import kept_apart
from laterctl.doctor.rule import MAIN, Found, Rule, Severity
from laterctl.project.installed import file_of
from laterctl.project.names import dotted_path
from laterctl.project.statements import Function

_SOCKETS = {"fastapi.WebSocket", "fastapi.websockets.WebSocket", "starlette.websockets.WebSocket"}
_DISCONNECTS = {name.replace("WebSocket", "WebSocketDisconnect") for name in _SOCKETS}
_SENDERS = {"send_text", "send_json", "send_bytes"}
_RECEIVERS = {"receive_text", "receive_json", "receive_bytes", "iter_text", "iter_json", "iter_bytes"}
_FORGETTERS = {"disconnect", "remove", "discard", "pop", "unregister", "unsubscribe"}
_TOKENS = {"token", "access_token", "auth_token", "jwt", "jwt_token", "api_key", "apikey"}
_ELSEWHERE = {"Depends", "Security", "Header", "Cookie", "Path"}


def handed_on_by_one(codebase: Codebase) -> Iterator[Found]:
    """Look for places that start several processes, where messages stay in each."""
    what = "has its own clients, and what it sends reaches no others"
    return kept_apart(codebase, "websocket", "store", what)


def cookie_of_any_page(function: Visit[Function]) -> Iterator[Found]:
    """Look for functions that know who connects by a cookie, in files that never look at an origin."""
    if not _takes_socket(function) or function.code.mentions(b"origin", b"Origin", b"ORIGIN"):
        return
    sockets = _sockets(function)
    for node in ast.walk(function.node):
        if (
            isinstance(node, ast.Attribute)
            and node.attr in {"cookies", "session"}
            and dotted_path(node.value) in sockets
        ):
            yield Found(node.lineno, f"{function.node.name} reads {node.attr}, which any page has a browser send")
            return
    for name, given in _given(function):
        if _marker(given) == "Cookie":
            yield Found(
                name.lineno, f"{function.node.name} reads the cookie {name.arg}, which any page has a browser send"
            )
            return


def token_in_url(function: Visit[Function]) -> Iterator[Found]:
    """Look for functions that take a token from the query of a WebSocket."""
    if not _takes_socket(function):
        return
    path = next((constant(item.args[0]) for item in _routes(function.node) if item.args), "")
    for name, given in _given(function):
        in_path = f"{{{name.arg}" in str(path)
        if name.arg in _TOKENS and not in_path and _marker(given) not in _ELSEWHERE:
            yield Found(name.lineno, f"{name.arg} is a part of the URL")
    sockets = {f"{socket}.query_params" for socket in _sockets(function)}
    for node in ast.walk(function.node):
        read: list[ast.expr] = []
        if isinstance(node, ast.Subscript) and dotted_path(node.value) in sockets:
            read = [node.slice]
        elif isinstance(node, ast.Call) and method_of(node) == "get" and dotted_path(_object(node)) in sockets:
            read = node.args[:1]
        for item in read:
            if constant(item) in _TOKENS:
                yield Found(item.lineno, f"{constant(item)} is a part of the URL")


def one_after_the_other(loop: Visit[ast.For]) -> Iterator[Found]:
    """Look for loops that wait for each client in turn, and end with the first that is gone."""
    for statement in loop.node.body:
        value = statement.value if isinstance(statement, ast.Expr) else None
        call = value.value if isinstance(value, ast.Await) else None
        if call is not None and method_of(call) in _SENDERS and dotted_path(_object(call)) in _bound(loop.node.target):
            yield Found(statement.lineno, f"{dotted_path(_object(call))} is waited for before the others get it")


def left_in_the_list(attempt: Visit[ast.Try]) -> Iterator[Found]:
    """Look for connections that are forgotten after one kind of exception alone."""
    node = attempt.node
    if node.finalbody or len(node.handlers) != 1 or node.handlers[0].type is None:
        return
    handler = node.handlers[0]
    if attempt.resolve(node.handlers[0].type) not in _DISCONNECTS or not _calls(node.body, _RECEIVERS):
        return
    if found := _calls(handler.body, _FORGETTERS):
        reason = f"{method_of(found[0])} is not called after any other exception, such as KeyError for a binary message"
        yield Found(found[0].lineno, reason)


def _calls(body: list[ast.stmt], methods: set[str]) -> list[ast.Call]:
    """Return the calls of these methods in statements."""
    found = (node for statement in body for node in ast.walk(statement))
    return [node for node in found if isinstance(node, ast.Call) and method_of(node) in methods]


def _object(call: ast.AST) -> ast.expr:
    """Return the object whose method a call calls."""
    assert isinstance(call, ast.Call)
    assert isinstance(call.func, ast.Attribute)
    return call.func.value


def _bound(target: ast.expr) -> set[str]:
    """Return the names that a loop binds."""
    return {node.id for node in ast.walk(target) if isinstance(node, ast.Name)}


def _sockets(function: Visit[Function]) -> set[str]:
    """Return the parameters that are WebSockets."""
    arguments = function.node.args
    every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    return {item.arg for item in every if item.annotation is not None and function.resolve(item.annotation) in _SOCKETS}


def _takes_socket(function: Visit[Function]) -> bool:
    """Whether a function is a route for WebSockets, or a dependency of one."""
    marked = any(_marker(given) in {"Query", "Cookie"} for _, given in _given(function))
    return bool(_sockets(function)) and (marked or bool(_routes(function.node)))


def _routes(function: Function) -> list[ast.Call]:
    """Return the decorators that make a function a route for WebSockets."""
    return [item for item in function.decorator_list if isinstance(item, ast.Call) and method_of(item) == "websocket"]


def _given(function: Visit[Function]) -> Iterator[tuple[ast.arg, ast.expr | None]]:
    """Yield the parameters of a function with what FastAPI fills them from: what is in `Annotated`, else the default."""
    arguments = function.node.args
    positional = (*arguments.posonlyargs, *arguments.args)
    defaults = (*(None for _ in positional[len(arguments.defaults) :]), *arguments.defaults)
    pairs = (*zip(positional, defaults, strict=True), *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True))
    for name, default in pairs:
        annotation = name.annotation
        inner = annotation.slice if isinstance(annotation, ast.Subscript) else None
        marked = inner.elts[1] if isinstance(inner, ast.Tuple) and len(inner.elts) > 1 else None
        yield name, marked if isinstance(marked, ast.Call) else default


def _marker(given: ast.expr | None) -> str:
    """Return the last part of the name of what is called: `Cookie`."""
    return dotted_path(given.func).rpartition(".")[2] if isinstance(given, ast.Call) else ""


_HEAD = """\
from fastapi import Cookie, FastAPI, WebSocket, WebSocketDisconnect

app = FastAPI()


"""
_ROUTE = '@app.websocket("/ws")\nasync def live(websocket: WebSocket{}):\n'
_ACCEPT = "    await websocket.accept()\n"
_MANAGED = (
    _HEAD
    + _ROUTE.format("")
    + "    await manager.connect(websocket)\n    try:\n        while True:\n            await websocket.receive_text()\n"
)
_LEDGER = '{"feature": "websocket", "format": 1, "laterctl": "0.1.0", "options": {}, "records": [], "requested": true}'
_WORKERS = {MAIN: "from fastapi import FastAPI\n\napp = FastAPI()\n", file_of("websocket"): _LEDGER}
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

WS001 = Rule(
    id="WS001",
    title="Who connects by WebSocket is known by a cookie, and the origin is not checked",
    why="A browser sends the cookie whatever page opens the connection, CORS does not apply to WebSockets, and the page "
    "reads what comes back: https://owasp.org/www-community/attacks/csrf and RFC 6455, section 10.2.",
    fix="refuse a handshake whose Origin is not one of yours, before it is accepted",
    severity=Severity.ERROR,
    needles=(b"WebSocket",),
    checks=dict.fromkeys(_FUNCTIONS, cookie_of_any_page),
    bad=(
        _HEAD + _ROUTE.format("") + '    user = websocket.cookies.get("session")  # WS001\n' + _ACCEPT,
        _HEAD + _ROUTE.format(", session: str = Cookie()").replace(":\n", ":  # WS001\n") + _ACCEPT,
    ),
    good=(
        _HEAD
        + _ROUTE.format("")
        + '    if websocket.headers.get("origin") != "https://app.example.com":\n        return\n'
        + '    user = websocket.cookies.get("session")\n'
        + _ACCEPT,
    ),
)
WS002 = Rule(
    id="WS002",
    title="Clients are sent a message one after the other",
    why="One that does not read stalls all behind it, and one that is gone ends the loop with an exception.",
    fix="give each connection a bounded queue and a task that sends from it, or send to all of them at once",
    needles=(b"send_text", b"send_json", b"send_bytes"),
    checks={ast.For: one_after_the_other},
    bad=(
        "async def broadcast(connections: list, text: str):\n    for connection in connections:\n"
        "        await connection.send_text(text)  # WS002\n",
    ),
    good=(
        "import asyncio\n\n\nasync def broadcast(connections: list, text: str):\n"
        "    await asyncio.gather(*(each.send_text(text) for each in connections), return_exceptions=True)\n",
    ),
)
WS003 = Rule(
    id="WS003",
    title="A connection is forgotten after WebSocketDisconnect alone",
    why="A binary message where text is expected raises KeyError, and a handler may raise anything: the connection then "
    "stays in the list, and the next broadcast fails on it.",
    fix="forget it in `finally`",
    severity=Severity.ERROR,
    needles=(b"WebSocketDisconnect",),
    checks={ast.Try: left_in_the_list},
    bad=(_MANAGED + "    except WebSocketDisconnect:\n        manager.disconnect(websocket)  # WS003\n",),
    good=(
        _MANAGED
        + "    except WebSocketDisconnect:\n        pass\n    finally:\n        manager.disconnect(websocket)\n",
    ),
)
WS004 = Rule(
    id="WS004",
    title="A token is in the URL of a WebSocket",
    why="Servers and proxies write URLs into their logs: https://www.rfc-editor.org/rfc/rfc6750#section-5.3",
    fix='take it from a protocol, `new WebSocket(url, ["bearer", token])`, or from the first message',
    severity=Severity.ERROR,
    needles=(b"WebSocket",),
    checks=dict.fromkeys(_FUNCTIONS, token_in_url),
    bad=(
        _HEAD + _ROUTE.format(", token: str").replace(":\n", ":  # WS004\n") + _ACCEPT,
        _HEAD + _ROUTE.format("") + '    token = websocket.query_params.get("token")  # WS004\n' + _ACCEPT,
    ),
    good=(_HEAD + _ROUTE.format("") + '    token = websocket.headers.get("Authorization")\n' + _ACCEPT,),
)
WS005 = Rule(
    id="WS005",
    title="Several processes send messages to their own clients alone",
    why="The application is started as several workers or replicas, and websocket hands messages on in the memory of "
    "each: a client gets those of the process that it is connected to.",
    fix="laterctl add websocket --set websocket.store=redis, or start one process",
    severity=Severity.ERROR,
    scripts=True,
    checks={Codebase: handed_on_by_one},
    bad=({**_WORKERS, "Dockerfile": "CMD gunicorn -w 4 app.main:app  # WS005\n"},),
    good=(
        {
            **_WORKERS,
            file_of("websocket"): _LEDGER.replace("{}", '{"store": "redis"}'),
            "Dockerfile": "CMD gunicorn -w 4 app.main:app\n",
        },
    ),
)
