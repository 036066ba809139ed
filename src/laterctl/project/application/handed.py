"""What comes back from a call that is handed an application: the application, something around it, or another one."""

from __future__ import annotations

import ast
from enum import IntEnum

from msgspec import Struct

from laterctl.project.names import Names, Own, dotted_path
from laterctl.project.places import Place
from laterctl.project.statements import (
    Function,
    Scope,
    assigned_value,
    bound_targets,
    own_body,
    spots_in,
)

FASTAPI = "fastapi.FastAPI"
_DEPTH = 4  # functions of the project that call functions of the project
_SAME = frozenset({"typing.cast", "gradio.mount_gradio_app", "gradio.routes.mount_gradio_app"})
_AROUND = frozenset(
    {
        *("mangum.Mangum", "a2wsgi.ASGIMiddleware", "asgiref.wsgi.WsgiToAsgi", "engineio.ASGIApp", "socketio.ASGIApp"),
        *("asgi_correlation_id.CorrelationIdMiddleware", "starlette.testclient.TestClient", "uvicorn.Config"),
    }
)


class Given(IntEnum):
    """What a call gives back, from the harmless to what loses the application."""

    SAME = 0
    AROUND = 1
    UNKNOWN = 2
    OTHER = 3


class HandOver(Struct, frozen=True):
    """A call that is handed an application, and what it gives back: `what` is called, at `place`."""

    given: Given
    what: str
    place: Place

    @property
    def lost(self) -> str:
        """Why what is registered on the application may not be on what comes back, `""` when it is."""
        if self.given is Given.OTHER:
            return f"{self.place}: {self.what}() makes another application of it"
        return f"{self.place}: {self.what}() may make another application of it" if self.given > Given.AROUND else ""

    @property
    def around(self) -> str:
        """What the application is handed to, `""` when that gives it back."""
        return self.what if self.given is not Given.SAME else ""


def hand_over(
    names: Names,
    value: ast.expr | None,
    path: str,
    held: set[str],
    scope: tuple[Scope, ...] = (),
    made: ast.Call | None = None,
) -> HandOver | None:
    """Read an expression: the call in it that is handed what `held` names hold, or `made`; `None` when none is.

    Calls inside of each other count together, as the one that changes most.
    """
    if not isinstance(value, ast.Call):
        return None
    arguments = [*value.args, *(word.value for word in value.keywords)]
    inner = [found for each in arguments if (found := hand_over(names, each, path, held, scope, made)) is not None]
    if not inner and not any(argument is made or dotted_path(argument) in held for argument in arguments):
        return None
    what = names.resolve(value.func, path, scope) or dotted_path(value.func) or "?"
    own = HandOver(_given(names, value.func, path, scope, _DEPTH), what, Place(path, value.lineno))
    return max([own, *inner], key=lambda item: item.given)


def handed_out(
    names: Names, path: str, scope: tuple[Scope, ...], name: str, call: ast.Call | None = None
) -> HandOver | None:
    """Return what comes between an application and what the innermost function of `scope` returns, if anything.

    The function holds the application as `name`; where nothing holds it, `call` is the expression that makes it.
    """
    function = scope[-1]
    found: list[HandOver] = []
    for node in own_body(function) if isinstance(function, Function) else ():
        bound = isinstance(node, ast.Assign | ast.AnnAssign) and any(
            dotted_path(target) == name for target in bound_targets(node)
        )
        value = assigned_value(node) if isinstance(node, ast.stmt) and bound else None
        value = node.value if isinstance(node, ast.Return) else value
        given = hand_over(names, value, path, {name}, scope, call)
        found += [given] if given is not None else []
    return max(found, key=lambda item: item.given, default=None)


def gives_back(names: Names, value: ast.expr | None, path: str, held: set[str]) -> bool:
    """Whether an expression is a call that is handed the application and gives it back (`app = setup(app)`)."""
    found = hand_over(names, value, path, held)
    return found is not None and found.given is Given.SAME


def _given(names: Names, func: ast.expr, path: str, scope: tuple[Scope, ...], depth: int) -> Given:
    for part in reversed(scope):  # a function that is defined in the function around
        local = next((s for s in part.body if isinstance(s, Function) and s.name == dotted_path(func)), None)
        if local is not None and isinstance(part, Function):
            return _of_function(names, local, path, (*scope, local), depth)
    target = names.lookup(func, path, scope)
    if isinstance(target, Own):
        node, inner = _definition(names, target, depth)
        if isinstance(node, ast.ClassDef):
            return _of_class(names, node, target.path, depth)
        return _of_function(names, node, target.path, inner, depth) if node is not None else Given.UNKNOWN
    if target == FASTAPI:
        return Given.OTHER
    if target in _SAME:
        return Given.SAME
    known = target in _AROUND or target.endswith("Middleware")
    return Given.AROUND if known else Given.UNKNOWN


def _definition(names: Names, own: Own, depth: int) -> tuple[Scope | None, tuple[Scope, ...]]:
    """Return the function or class of the project that a name stands for: also the method of a class or an object."""
    node = names.statement(own)
    method = own.name.partition(".")[2]
    if isinstance(node, Scope) and not method:
        return node, (node,)
    value = assigned_value(node) if node is not None else None
    if isinstance(value, ast.Call):
        target = names.lookup(value.func, own.path)
        node = names.statement(target) if isinstance(target, Own) and depth > 0 else None
    if isinstance(node, ast.ClassDef):
        member = next((each for each in node.body if isinstance(each, Function) and each.name == method), None)
        return member, (node, member) if member is not None else ()
    return None, ()


def _of_class(names: Names, node: ast.ClassDef, path: str, depth: int) -> Given:
    """An own class: another application, or one that is called like an ASGI application around what it is given."""
    members = {member.name for member in node.body if isinstance(member, Function)}
    if "__call__" in members:
        return Given.AROUND
    if depth == 0:
        return Given.UNKNOWN
    found = [_given(names, base, path, (), depth - 1) for base in node.bases]
    return next((given for given in found if given in {Given.OTHER, Given.AROUND}), Given.UNKNOWN)


def _of_function(names: Names, node: Function, path: str, scope: tuple[Scope, ...], depth: int) -> Given:
    """An own function: by what its `return` statements give back."""
    if depth == 0:
        return Given.UNKNOWN
    arguments = node.args
    parameters = {each.arg for each in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]}
    values = [part.value for part in own_body(node) if isinstance(part, ast.Return) and part.value is not None]
    found = {_of_value(names, value, node, path, scope, parameters, depth) for value in values}
    if not found:
        return Given.UNKNOWN
    if len(found) > 1 and Given.OTHER in found:
        return Given.UNKNOWN
    return max(found)


def _of_value(
    names: Names,
    value: ast.expr | None,
    node: Function,
    path: str,
    scope: tuple[Scope, ...],
    held: set[str],
    depth: int,
) -> Given:
    if depth == 0:
        return Given.UNKNOWN
    if isinstance(value, ast.Name):
        bound = [
            assigned_value(spot.node)
            for spot in spots_in(node.body, ())
            if not spot.scope and any(dotted_path(target) == value.id for target in bound_targets(spot.node))
        ]
        found = {_of_value(names, each, node, path, scope, held, depth - 1) for each in bound}
        return max(found, default=Given.SAME if value.id in held else Given.UNKNOWN)
    if isinstance(value, ast.Call):
        return _given(names, value.func, path, scope, depth - 1)
    return Given.UNKNOWN
