"""Middleware and response headers in the user's code, for the rules of several features."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from msgspec import Struct

from laterctl.doctor.code import Code, Visit, constant, once
from laterctl.project.application.registered import middleware_class
from laterctl.project.statements import Function, StatementRef

BASE_HTTP = "starlette.middleware.base.BaseHTTPMiddleware"
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
