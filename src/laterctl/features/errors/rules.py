"""Doctor rules about how middleware fits together."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator

from msgspec import Struct

from laterctl.doctor.code import (
    BASE_HTTP,
    Code,
    Found,
    group_of,
    is_asgi,
    is_base_http,
    is_http_decorator,
    registrations,
)
from laterctl.project.facts import App, Registration
from laterctl.project.names import dotted_path, resolve
from laterctl.project.statements import Function, assigned_value, bound_targets

NEEDLES = (b"BaseHTTPMiddleware", b".middleware(")


class _Layer(Struct, frozen=True):
    line: int
    name: str
    group: tuple[object, ...]
    depth: int
    isolates: bool
    reads: bool


def onion(app: App) -> list[Registration]:
    """Return the middleware of an application, outermost first.

    Calls are outside of `FastAPI(middleware=[...])`, the last one outermost; the list has its outermost first.
    """
    calls = [item for item in app.middleware if item.style != "list"]
    return [*reversed(calls), *(item for item in app.middleware if item.style == "list")]


def check_mw002(path: str, tree: ast.Module, readers: Collection[str] = ()) -> Iterator[Found]:
    """A BaseHTTPMiddleware is below a middleware that reads context variables.

    It runs what is below it in a task of its own, so that the outer one does not see what a route put into a context
    variable. `readers` are dotted classes known to read them; classes of the same file are looked at.
    https://www.starlette.io/middleware/#limitations
    """
    layers = list(_layers(Code(path, tree), readers))
    for inner in layers:
        outer = [layer for layer in layers if layer.reads and _contains(layer, inner)]
        if inner.isolates and outer:
            reason = (
                f"{inner.name} keeps context variables that routes set from {outer[0].name} (line {outer[0].line}): "
                "BaseHTTPMiddleware runs what is below it in a task of its own"
            )
            yield "MW002", inner.line, reason, "write it as an ASGI middleware, or put it outside of the other"


def _contains(outer: _Layer, inner: _Layer) -> bool:
    return outer.group == inner.group and outer.depth < inner.depth


def _layers(code: Code, readers: Collection[str]) -> Iterator[_Layer]:
    variables = _context_variables(code)
    classes = {node.name: node for node in code.tree.body if isinstance(node, ast.ClassDef)}
    isolating: set[str] = set()
    for spot, imports in code.statements():
        node = spot.node
        if isinstance(node, ast.ClassDef) and is_base_http(node, imports):
            isolating.add(node.name)
        if not isinstance(node, Function):
            continue
        for item in node.decorator_list:
            if is_http_decorator(item) and isinstance(item, ast.Call) and isinstance(item.func, ast.Attribute):
                group = group_of(spot, item.func.value)
                yield _Layer(node.lineno, node.name, group, -spot.index, isolates=True, reads=False)
    for found in registrations(code):
        if not found.group:
            continue
        name = dotted_path(found.written)
        own = classes.get(name)
        reads = found.target in readers or (own is not None and is_asgi(own) and _reads(own, variables))
        isolates = name in isolating or found.target == BASE_HTTP
        yield _Layer(found.line, name, found.group, found.depth, isolates, reads)


def _context_variables(code: Code) -> set[str]:
    found: set[str] = set()
    for spot, imports in code.statements():
        value = assigned_value(spot.node)
        if not spot.scope and isinstance(value, ast.Call) and resolve(value.func, imports) == "contextvars.ContextVar":
            found.update(target.id for target in bound_targets(spot.node) if isinstance(target, ast.Name))
    return found


def _reads(node: ast.ClassDef, variables: Collection[str]) -> bool:
    return any(
        isinstance(item, ast.Call)
        and isinstance(item.func, ast.Attribute)
        and item.func.attr == "get"
        and dotted_path(item.func.value) in variables
        for item in ast.walk(node)
    )
