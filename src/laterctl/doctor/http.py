"""Middleware and response headers in the user's code, for the rules of several features."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from msgspec import Struct

from laterctl.doctor.code import Code, Codebase, Visit, argument_of, constant, once
from laterctl.project.application.registered import middleware_class
from laterctl.project.facts import Registration
from laterctl.project.names import dotted_path
from laterctl.project.statements import Function, StatementRef, assigned_value, bound_targets, nodes

VERBS = frozenset(
    {"get", "post", "put", "patch", "delete", "options", "head", "trace", "api_route", "route", "websocket"}
)
BASE_HTTP = "starlette.middleware.base.BaseHTTPMiddleware"
_CACHES = frozenset({"functools.cache", "functools.lru_cache"})
_REDIRECT = "starlette.responses.RedirectResponse"
_RESPONSES = (
    "starlette.responses.",
    "fastapi.responses.",
    "starlette.exceptions.HTTPException",
    "fastapi.HTTPException",
)


class HeaderWrite(Struct, frozen=True):
    """A response header that code sets: lower-case name, value, line, and the statement."""

    name: str
    value: ast.expr
    line: int
    spot: StatementRef


def middleware_of(visit: Visit[ast.Call]) -> str:
    """Return the dotted name of the middleware class that a call puts around an application.

    Anything else that is called comes back by its name too: it may be a middleware class itself.
    """
    written = middleware_class(visit.node, visit.resolve)
    return visit.resolve(written) if written is not None else ""


@once
def header_writes(code: Code) -> list[HeaderWrite]:
    """Return the response headers that a file sets by a constant name.

    Seen are `x.headers["Name"] = value`, `x.headers.setdefault("Name", value)` and its like, `x.headers.update({...})`,
    `headers={...}` of a response or an HTTPException, and pairs of bytes as ASGI messages have them.
    """
    found: list[HeaderWrite] = []
    for visit in code.visits(ast.Assign, ast.Call, ast.Tuple):
        for key, value in _written(visit):
            name = constant(key)
            if isinstance(name, str | bytes):
                name = name if isinstance(name, str) else name.decode("latin-1")
                found.append(HeaderWrite(name.lower(), value, key.lineno, visit.spot))
    return sorted(found, key=lambda write: write.line)


def _written(visit: Visit[ast.AST]) -> Iterator[tuple[ast.expr, ast.expr]]:
    node = visit.node
    if isinstance(node, ast.Assign):
        slots = [target for target in node.targets if isinstance(target, ast.Subscript) and _is_headers(target.value)]
        yield from ((slot.slice, node.value) for slot in slots)
    elif isinstance(node, ast.Tuple):
        if len(node.elts) == 2 and all(isinstance(constant(item), bytes) for item in node.elts):
            yield node.elts[0], node.elts[1]
    elif isinstance(node, ast.Call):
        given: ast.expr | None = None
        if isinstance(node.func, ast.Attribute) and _is_headers(node.func.value):
            if visit.method in {"setdefault", "append", "add"} and len(node.args) == 2:
                yield node.args[0], node.args[1]
            elif visit.method == "update":
                given = visit.argument(0)
                given = visit.code.value(given) if given is not None else None
        elif visit.target.startswith(_RESPONSES):
            given = visit.keyword("headers")
        if isinstance(given, ast.Dict):
            yield from ((key, value) for key, value in zip(given.keys, given.values, strict=True) if key is not None)


@once
def http_middleware(code: Code) -> list[Function | ast.ClassDef]:
    """Return the functions and classes of a file that are HTTP middleware.

    `@app.middleware("http")`, subclasses of BaseHTTPMiddleware, and classes that are called as ASGI applications.
    """
    classes = [visit for visit in code.visits(ast.ClassDef) if is_base_http(visit) or is_asgi(visit.node)]
    functions = [visit for visit in code.functions if any(map(is_http_decorator, visit.node.decorator_list))]
    return [visit.node for visit in (*functions, *classes)]


def is_base_http(visit: Visit[ast.ClassDef]) -> bool:
    """Whether a class derives directly from Starlette's BaseHTTPMiddleware."""
    return any(visit.resolve(base) == BASE_HTTP for base in visit.node.bases)


def is_asgi(node: ast.ClassDef) -> bool:
    """Whether instances of a class are called as ASGI applications: with scope, receive and send."""
    calls = [item for item in node.body if isinstance(item, Function) and item.name == "__call__"]
    return any([argument.arg for argument in item.args.args[1:]] == ["scope", "receive", "send"] for item in calls)


def is_http_decorator(node: ast.expr) -> bool:
    """Whether a decorator is `@app.middleware("http")`."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr != "middleware":
        return False
    return [constant(item) for item in node.args] == ["http"]


def _is_headers(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "headers"


def is_verb(node: ast.expr) -> bool:
    """Whether a decorator registers a path operation: `@x.get("/path")`, where no other `get` takes a path."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr not in VERBS:
        return False
    text = constant(argument_of(node, 0, "path"))
    return isinstance(text, str) and (not text or text.startswith("/"))


@once
def per_request(code: Code) -> list[Function]:
    """Return the functions of a file that run for each request.

    Path operations, HTTP middleware, what `Depends(...)` names, and the functions of the file that these call, but for
    those with a cache.
    """
    named = {
        dotted_path(item) for call in code.calls if call.target == "fastapi.Depends" for item in call.node.args[:1]
    }
    found: list[Function] = []
    todo = []
    for visit in code.functions:
        function, owner = visit.node, visit.spot.scope[-1] if visit.spot.scope else None
        middleware = isinstance(owner, ast.ClassDef) and owner in http_middleware(code)
        if (
            (middleware and function.name in {"dispatch", "__call__"})
            or function in http_middleware(code)
            or function.name in named
            or any(map(is_verb, function.decorator_list))
        ):
            todo.append(function)
    top = {node.name: node for node in code.tree.body if isinstance(node, Function)}
    while todo:
        function = todo.pop()
        decorators = [item.func if isinstance(item, ast.Call) else item for item in function.decorator_list]
        if function not in found and not any(code.resolve(item) in _CACHES for item in decorators):
            found.append(function)
            called = {dotted_path(node.func) for node in nodes(function) if isinstance(node, ast.Call)}
            todo += [top[name] for name in sorted(called & top.keys())]
    return found


def answers(codebase: Codebase, item: Registration) -> bool:
    """Whether a middleware of the project's own may answer a request without asking the application.

    It returns, or as an ASGI application sends, a response that it makes, and that is not made of the application's.
    Redirects do not count: they are for people.
    """
    own = codebase.statement(item.target, item.place.path)
    code = codebase.readable(own[0].path) if own is not None else None
    if own is None or code is None:
        return False
    names = {"dispatch", "__call__"}
    members = own[1].body if isinstance(own[1], ast.ClassDef) else [own[1]]
    functions = [node for node in members if isinstance(node, Function) and (node is own[1] or node.name in names)]
    return any(_answers(code, function) for function in functions)


def _answers(code: Code, function: Function) -> bool:
    scope = next((visit.spot.scope for visit in code.functions if visit.node is function), ())
    inside = list(nodes(function))
    made: set[str] = set()
    theirs: set[str] = set()
    for node in inside:
        if isinstance(node, ast.Assign):
            targets = set(map(dotted_path, bound_targets(node)))
            asked = any(
                isinstance(part, ast.Call) and dotted_path(part.func) == "call_next" for part in nodes(node.value)
            )
            if asked:
                theirs |= targets
            elif _is_response(code, assigned_value(node), scope):
                made |= targets

    def is_own(node: ast.AST | None) -> bool:
        if isinstance(node, ast.Name):
            return node.id in made - theirs
        if node is None or not _is_response(code, node, scope):
            return False
        return not any(isinstance(part, ast.Name) and part.id in theirs for part in nodes(node))

    for node in inside:
        if isinstance(node, ast.Return) and is_own(node.value):
            return True
        if isinstance(node, ast.Await) and isinstance(node.value, ast.Call) and is_own(node.value.func):
            return True  # await JSONResponse(...)(scope, receive, send)
    return False


def _is_response(code: Code, node: ast.AST | None, scope: tuple[Function | ast.ClassDef, ...]) -> bool:
    target = code.resolve(node.func, scope) if isinstance(node, ast.Call) else ""
    return target.startswith(_RESPONSES[:2]) and target.endswith("Response") and target != _REDIRECT


@once
def _given_as_lifespan(code: Code) -> set[str]:
    return {dotted_path(value) for visit in code.calls if (value := visit.keyword("lifespan")) is not None}


def is_lifespan(visit: Visit[ast.AsyncFunctionDef]) -> bool:
    """Whether a function is an async context manager that an application gets as `lifespan=`, or that is called so."""
    if visit.node.name not in _given_as_lifespan(visit.code) and "lifespan" not in visit.node.name:
        return False
    return any(visit.resolve(item) == "contextlib.asynccontextmanager" for item in visit.node.decorator_list)
