"""How an app starts and stops: its lifespan function, its `on_event` handlers, or neither."""

from __future__ import annotations

import ast

from laterctl.project.facts import BodyPath, Lifespan
from laterctl.project.names import Names, Own, dotted_path
from laterctl.project.places import Place
from laterctl.project.statements import Function, Scope, own_nodes, spots, spots_in

_MANAGERS = frozenset({"contextlib.asynccontextmanager"})


def lifespan_of(names: Names, value: ast.expr, path: str, scope: tuple[Scope, ...]) -> Lifespan:
    """Describe the expression that was passed as `lifespan=` in file `path`, inside the functions of `scope`."""
    place = Place(path, value.lineno)
    if isinstance(value, ast.Call) and names.resolve(value.func, path, scope) == "functools.partial" and value.args:
        value = value.args[0]
    if isinstance(value, ast.Constant) and value.value is None:
        return Lifespan()
    shown = dotted_path(value)
    if not shown:
        return Lifespan("foreign", place, ast.unparse(value), reason="the lifespan is made by an expression")
    for count in range(len(scope), 0, -1):
        for spot in spots(names.tree.python(path).tree):
            if spot.scope == scope[:count] and isinstance(spot.node, Function) and spot.node.name == shown:
                return _function(names, path, spot.node, spot.inner, spot.scope)
    found = names.lookup(value, path, scope)
    if not isinstance(found, Own):
        reason = f"`lifespan={shown}` is not a function of this project"
        return Lifespan("foreign", place, shown, reason=reason)
    for spot in spots(names.tree.python(found.path).tree):
        if spot.scope == () and isinstance(spot.node, Function) and spot.node.name == found.name:
            return _function(names, found.path, spot.node, spot.inner)
    statement = names.statement(found)
    there = Place(found.path, statement.lineno) if statement is not None else place
    return Lifespan("foreign", there, shown, reason=f"`lifespan={shown}` is not a plain function")


def _function(names: Names, path: str, node: Function, inner: BodyPath, scope: tuple[Scope, ...] = ()) -> Lifespan:
    place = Place(path, node.lineno)
    qualname = ".".join([*(part.name for part in scope), node.name])

    def foreign(reason: str) -> Lifespan:
        return Lifespan("foreign", place, node.name, reason=reason)

    decorators = {names.resolve(decorator, path, scope) for decorator in node.decorator_list}
    if not decorators <= _MANAGERS:
        return foreign(f"the lifespan `{node.name}` has a decorator other than asynccontextmanager")
    if not isinstance(node, ast.AsyncFunctionDef):
        return foreign(f"the lifespan `{node.name}` is not an async function")
    yields = [part for part in _own(node) if isinstance(part, ast.Yield | ast.YieldFrom)]
    if len(yields) != 1:
        return foreign(f"the lifespan `{node.name}` has {len(yields)} yields, not one")
    for spot in spots_in(node.body, inner):
        if isinstance(spot.node, ast.Expr) and spot.node.value is yields[0]:
            return Lifespan("function", place, qualname, spot.body, spot.index)
    return foreign(f"the yield of the lifespan `{node.name}` is not a statement of its own")


def _own(node: Function) -> list[ast.AST]:
    return [part for statement in node.body if not isinstance(statement, Scope) for part in own_nodes(statement)]
