"""What doctor rules read from one file of the user's: resolved calls, literal values, and headers that code sets."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from msgspec import Struct

from laterctl.project.names import imports_in, imports_of, resolve
from laterctl.project.places import is_test_or_docs
from laterctl.project.source import Unreadable
from laterctl.project.statements import Function, Scope, Spot, blocks, expressions, spots
from laterctl.project.tree import Outside

if TYPE_CHECKING:
    from laterctl.project.discover import Project

Found = tuple[str, int, str, str]
"""A finding of a rule: its id, the line, the reason, the fix."""

MIDDLEWARE = "starlette.middleware.Middleware"
BASE_HTTP = "starlette.middleware.base.BaseHTTPMiddleware"

_RESPONSES = (
    "starlette.responses.",
    "fastapi.responses.",
    "starlette.exceptions.HTTPException",
    "fastapi.HTTPException",
)


class Code(Struct, frozen=True, dict=True):
    """A file for rules: its tree, and names resolved as they are seen at each statement."""

    path: str
    tree: ast.Module

    @property
    def module(self) -> str:
        """The dotted name that the path gives; only relative imports depend on it."""
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    def statements(self) -> Iterator[tuple[Spot, Mapping[str, str]]]:
        """Yield every statement with the imports in force there."""
        package = self.path.endswith("__init__.py")
        outer = imports_of(self.tree, self.module, package)
        inner: dict[tuple[Scope, ...], Mapping[str, str]] = {(): outer}
        for spot in spots(self.tree):
            if spot.scope not in inner:
                inner[spot.scope] = imports_in(spot.scope, outer, self.module, package)
            yield spot, inner[spot.scope]

    def calls(self) -> Iterator[tuple[ast.Call, Spot, Mapping[str, str]]]:
        """Yield every call with its statement and the imports in force there."""
        for spot, imports in self.statements():
            for node in expressions(spot.node):
                if isinstance(node, ast.Call):
                    yield node, spot, imports

    def value(self, node: ast.expr) -> ast.expr:
        """Return what a name stands for when the whole file binds it once, to a value; else the node itself."""
        found = self._bound.get(node.id, []) if isinstance(node, ast.Name) else []
        return found[0] if len(found) == 1 and found[0] is not None else node

    def literal(self, node: ast.expr) -> object:
        """Return the value of a constant, or of a list, tuple or set with nothing but constants; else `None`."""
        try:
            return ast.literal_eval(self.value(node))
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            return None

    @cached_property
    def _bound(self) -> Mapping[str, list[ast.expr | None]]:
        found: dict[str, list[ast.expr | None]] = {}
        for name, value in _bindings(self.tree):
            found.setdefault(name, []).append(value)
        return found


class Registration(Struct, frozen=True):
    """A middleware put on an application: its class as written and as resolved, and its keywords.

    `group` stands for the application and the list of statements, or the list literal, that puts it there; it is
    empty when nothing is known. Of two in one group, the one with the smaller `depth` is outside of the other.
    """

    line: int
    written: ast.expr
    target: str
    keywords: Mapping[str, ast.expr]
    imports: Mapping[str, str]
    group: tuple[object, ...] = ()
    depth: int = 0


class HeaderWrite(Struct, frozen=True):
    """A response header that code sets: lower-case name, value, line, the enclosing functions and classes."""

    name: str
    value: ast.expr
    line: int
    spot: Spot


def code_of(project: Project, needles: Iterable[bytes]) -> Iterator[tuple[str, Code]]:
    """Yield the files of a project's application that contain one of `needles`; unreadable ones are left out."""
    for path in project.tree.files_containing_any(needles):
        if is_test_or_docs(path):
            continue
        try:
            yield path, Code(path, project.tree.python(path).tree)
        except (Unreadable, Outside):
            continue


def registrations(code: Code) -> Iterator[Registration]:
    """Yield the middleware that a file registers: `app.add_middleware(C)`, `Middleware(C)`, and `C(app)` itself."""
    items: dict[int, tuple[tuple[object, ...], int]] = {
        id(item): ((id(node),), number)
        for node in ast.walk(code.tree)
        if isinstance(node, ast.List | ast.Tuple)
        for number, item in enumerate(node.elts)
    }
    for call, spot, imports in code.calls():
        keywords = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
        function, target = call.func, resolve(call.func, imports)
        if isinstance(function, ast.Attribute) and function.attr == "add_middleware":
            written = call.args[0] if call.args else keywords.get("middleware_class")
            if written is not None:
                # The call that comes last is the outermost.
                group = group_of(spot, function.value)
                target = resolve(written, imports)
                yield Registration(call.lineno, written, target, keywords, imports, group, -spot.index)
        elif target == MIDDLEWARE and call.args:
            # The item of a list that comes first is the outermost.
            group, depth = items.get(id(call), ((), 0))
            target = resolve(call.args[0], imports)
            yield Registration(call.lineno, call.args[0], target, keywords, imports, group, depth)
        elif target:
            yield Registration(call.lineno, function, target, keywords, imports)


def group_of(spot: Spot, receiver: ast.expr) -> tuple[object, ...]:
    """Return the group of the middleware that a statement puts on `receiver`; see `Registration`."""
    return (spot.body, spot.scope, ast.unparse(receiver))


def header_writes(code: Code) -> Iterator[HeaderWrite]:
    """Yield the response headers that a file sets by a constant name.

    AppSnapshot are `x.headers["Name"] = value`, `x.headers.setdefault("Name", value)` and its like, `x.headers.update({...})`,
    `headers={...}` of a response or an HTTPException, and pairs of bytes as ASGI messages have them.
    """
    for spot, imports in code.statements():
        if isinstance(spot.node, ast.Assign):
            for target in spot.node.targets:
                if isinstance(target, ast.Subscript) and _is_headers(target.value):
                    yield from _write(target.slice, spot.node.value, spot)
        for node in expressions(spot.node):
            if isinstance(node, ast.Call):
                yield from _written_by(node, spot, imports)
            elif isinstance(node, ast.Tuple) and len(node.elts) == 2 and _is_bytes(node):
                yield from _write(node.elts[0], node.elts[1], spot)


def http_middleware(code: Code) -> Iterator[Function | ast.ClassDef]:
    """Yield the functions and classes of a file that are HTTP middleware.

    `@app.middleware("http")`, subclasses of BaseHTTPMiddleware, and classes that are called as ASGI applications.
    """
    for spot, imports in code.statements():
        node = spot.node
        if (isinstance(node, Function) and any(is_http_decorator(item) for item in node.decorator_list)) or (
            isinstance(node, ast.ClassDef) and (is_base_http(node, imports) or is_asgi(node))
        ):
            yield node


def is_base_http(node: ast.ClassDef, imports: Mapping[str, str]) -> bool:
    """Whether a class derives directly from Starlette's BaseHTTPMiddleware."""
    return any(resolve(base, imports) == BASE_HTTP for base in node.bases)


def is_asgi(node: ast.ClassDef) -> bool:
    """Whether instances of a class are called as ASGI applications: with scope, receive and send."""
    calls = [item for item in node.body if isinstance(item, Function) and item.name == "__call__"]
    return any([argument.arg for argument in item.args.args[1:]] == ["scope", "receive", "send"] for item in calls)


def is_http_decorator(node: ast.expr) -> bool:
    """Whether a decorator is `@app.middleware("http")`."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr != "middleware":
        return False
    return [getattr(item, "value", None) for item in node.args] == ["http"]


def enclosing(code: Code, spot: Spot) -> list[ast.stmt]:
    """Return the statements that contain a statement, outermost first."""
    found: list[ast.stmt] = []
    body = code.tree.body
    for ordinal, name in spot.body:
        found.append(body[ordinal])
        body = dict(blocks(body[ordinal]))[name]
    return found


def also_in(lines: Iterable[int]) -> str:
    """Return the rest of a reason that holds in further lines: `" (also in lines 3, 7)"`, `""` when there are none."""
    more = sorted(set(lines))
    word = "line" if len(more) == 1 else "lines"
    return f" (also in {word} {', '.join(map(str, more))})" if more else ""


def _bindings(tree: ast.Module) -> Iterator[tuple[str, ast.expr | None]]:
    simple: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Name) and (isinstance(node, ast.AnnAssign) or len(node.targets) == 1):
                simple.add(id(target))
                yield target.id, node.value
        elif isinstance(node, ast.arg):
            yield node.arg, None
        elif isinstance(node, ast.alias | Scope):
            yield getattr(node, "asname", None) or node.name, None
    # A name that is bound in any other way (a loop, `with`, `+=`, several targets) has a value that nobody knows.
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load) and id(node) not in simple:
            yield node.id, None


def _written_by(call: ast.Call, spot: Spot, imports: Mapping[str, str]) -> Iterator[HeaderWrite]:
    function = call.func
    if isinstance(function, ast.Attribute) and _is_headers(function.value):
        if function.attr in {"setdefault", "append", "add"} and len(call.args) == 2:
            yield from _write(call.args[0], call.args[1], spot)
        elif function.attr == "update" and call.args and isinstance(call.args[0], ast.Dict):
            yield from _write_all(call.args[0], spot)
    if resolve(function, imports).startswith(_RESPONSES):
        for keyword in call.keywords:
            if keyword.arg == "headers" and isinstance(keyword.value, ast.Dict):
                yield from _write_all(keyword.value, spot)


def _write_all(node: ast.Dict, spot: Spot) -> Iterator[HeaderWrite]:
    for key, value in zip(node.keys, node.values, strict=True):
        if key is not None:
            yield from _write(key, value, spot)


def _write(key: ast.expr, value: ast.expr, spot: Spot) -> Iterator[HeaderWrite]:
    if isinstance(key, ast.Constant) and isinstance(key.value, str | bytes):
        name = key.value if isinstance(key.value, str) else key.value.decode("latin-1")
        yield HeaderWrite(name.lower(), value, key.lineno, spot)


def _is_headers(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "headers"


def _is_bytes(node: ast.Tuple) -> bool:
    return all(isinstance(item, ast.Constant) and isinstance(item.value, bytes) for item in node.elts)
