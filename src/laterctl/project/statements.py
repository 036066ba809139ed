"""Statement lists of a module and the ordinal paths that name them."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from msgspec import Struct

from laterctl.project.facts import BodyPath

Function = ast.FunctionDef | ast.AsyncFunctionDef
Scope = Function | ast.ClassDef
_APART = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_PARTED = ("handlers", "cases")
"""Fields whose parts have a statement list each."""
BLOCKS = (ast.stmt, ast.excepthandler, ast.match_case)
"""What is a statement of its own, or has some."""
_PLAIN = frozenset(
    {
        "arg",
        "asname",
        "attr",
        "conversion",
        "ctx",
        "id",
        "is_async",
        "kind",
        "level",
        "module",
        "simple",
        "type_comment",
    }
)
"""Fields that hold no node, but for contexts, whatever they belong to."""
_KINDS: tuple[type[ast.AST], ...] = tuple(
    kind for kind in vars(ast).values() if isinstance(kind, type) and issubclass(kind, ast.AST)
)
_NODE_FIELDS = {kind: tuple(name for name in kind._fields if name not in _PLAIN) for kind in _KINDS}
_BLOCK_FIELDS = {
    kind: tuple(name for name in ("body", "orelse", "finalbody", *_PARTED) if name in kind._fields)
    for kind in _KINDS
    if issubclass(kind, ast.stmt)
}

Position = tuple[BodyPath, int]
"""Which statement of a module: the path of its list, and its number there."""


class StatementRef(Struct, frozen=True):
    """A statement: number `index` of list `body`, inside the functions and classes of `scope`, outermost first."""

    body: BodyPath
    index: int
    node: ast.stmt
    scope: tuple[Scope, ...] = ()

    @property
    def position(self) -> Position:
        """Where it is, as a key."""
        return self.body, self.index

    @property
    def qualname(self) -> str:
        """The qualified name of the function or class around it, `""` in the module."""
        return ".".join(node.name for node in self.scope)

    @property
    def inner(self) -> BodyPath:
        """The path of the statement's own `body`."""
        return (*self.body, (self.index, "body"))


def blocks(node: ast.stmt) -> Iterator[tuple[str, list[ast.stmt]]]:
    """Yield the statement lists of a compound statement with the field names that a `BodyPath` uses."""
    for name in _BLOCK_FIELDS[type(node)]:
        block = getattr(node, name, [])
        if name in _PARTED:
            yield from ((f"{name}.{number}", part.body) for number, part in enumerate(block))
        elif block:
            yield name, block


def is_compound(node: ast.stmt) -> bool:
    """Whether a statement can hold others."""
    return bool(_BLOCK_FIELDS[type(node)])


def body_at(tree: ast.Module, path: BodyPath) -> list[ast.stmt]:
    """Return the statement list that `path` names. Raises `LookupError` when there is none."""
    body = tree.body
    for ordinal, name in path:
        body = dict(blocks(body[ordinal]))[name]
    return body


def spots(tree: ast.Module) -> Iterator[StatementRef]:
    """Yield every statement of a module, each before those it contains."""
    yield from spots_in(tree.body, ())


def spots_in(body: list[ast.stmt], path: BodyPath, scope: tuple[Scope, ...] = ()) -> Iterator[StatementRef]:
    """Yield every statement of a statement list, each before those it contains."""
    # A stack instead of recursion: a long chain of `elif` is as deep as it is long.
    todo = [StatementRef(path, index, node, scope) for index, node in reversed(list(enumerate(body)))]
    while todo:
        spot = todo.pop()
        yield spot
        scope = (*spot.scope, spot.node) if isinstance(spot.node, Scope) else spot.scope
        below = [
            StatementRef((*spot.body, (spot.index, name)), index, node, scope)
            for name, block in blocks(spot.node)
            for index, node in enumerate(block)
        ]
        todo.extend(reversed(below))


def children(node: ast.AST) -> list[ast.AST]:
    """Return the nodes that `node` consists of, as `ast.iter_child_nodes` yields them; contexts are left out."""
    found: list[ast.AST] = []
    for name in _NODE_FIELDS[type(node)]:
        value = getattr(node, name, None)
        if type(value) is list:
            found += [item for item in value if isinstance(item, ast.AST)]
        elif isinstance(value, ast.AST):
            found.append(value)
    return found


def nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield what `ast.walk` does, in the same order and a third of the time; contexts are left out."""
    todo = [tree]
    for node in todo:
        yield node
        todo += children(node)


def own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield `node` and what it contains, without functions, classes and lambdas below it; contexts are left out."""
    todo = [node]
    while todo:
        node = todo.pop()
        yield node
        todo += [item for item in reversed(children(node)) if not isinstance(item, _APART)]


def own_body(function: Function) -> Iterator[ast.AST]:
    """Yield the nodes of a function's body without those of functions and classes inside it."""
    for statement in function.body:
        if not isinstance(statement, Scope):
            yield from own_nodes(statement)


def expressions(node: ast.stmt) -> Iterator[ast.AST]:
    """Yield the expressions that belong to a statement itself, not to the statements it contains."""
    for child in children(node):
        if not isinstance(child, BLOCKS):
            yield from own_nodes(child)


def calls(tree: ast.Module) -> Iterator[tuple[StatementRef, ast.Call]]:
    """Yield every call of a module with the statement it belongs to."""
    for spot in spots(tree):
        for node in expressions(spot.node):
            if isinstance(node, ast.Call):
                yield spot, node


def bound_targets(node: ast.stmt) -> list[ast.expr]:
    """Return the plain targets (names, attributes) that an assignment binds, tuples flattened."""
    if isinstance(node, ast.Assign):
        todo = list(node.targets)
    elif isinstance(node, ast.AnnAssign):
        todo = [node.target] if node.value is not None else []
    elif isinstance(node, ast.AugAssign | ast.For | ast.AsyncFor):
        todo = [node.target]
    elif isinstance(node, ast.With | ast.AsyncWith):
        todo = [item.optional_vars for item in node.items if item.optional_vars is not None]
    else:
        return []
    found: list[ast.expr] = []
    while todo:
        target = todo.pop(0)
        if isinstance(target, ast.Tuple | ast.List):
            todo[:0] = target.elts
        elif isinstance(target, ast.Starred):
            todo.insert(0, target.value)
        else:
            found.append(target)
    return found


def assigned_value(node: ast.stmt) -> ast.expr | None:
    """Return the right-hand side of an assignment, `await` taken off."""
    value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
    return value.value if isinstance(value, ast.Await) else value


def wrapped_function(node: ast.expr) -> ast.expr:
    """Return the function that another is made of where that one is called or handed on: `f` of `timed(f)`, and of `f`."""
    while isinstance(node, ast.Call) and len(node.args) == 1 and not node.keywords:
        node = node.args[0]
    return node


def is_main_guard(node: ast.stmt) -> bool:
    """Whether a statement is `if __name__ == "__main__":`, either way round."""
    if not isinstance(node, ast.If) or not isinstance(node.test, ast.Compare):
        return False
    sides = [node.test.left, *node.test.comparators]
    names = {side.id for side in sides if isinstance(side, ast.Name)}
    values = {side.value for side in sides if isinstance(side, ast.Constant)}
    return names == {"__name__"} and values == {"__main__"}


def bound_names(tree: ast.Module) -> dict[str, int]:
    """Return the names that a module's top level binds, each with the line where it is first bound.

    Function and class bodies do not count, branches and loops do; star imports bind what nobody can tell.
    """
    found: dict[str, int] = {}
    todo = list(reversed(tree.body))
    while todo:
        node = todo.pop()
        names: list[str] = []
        if not isinstance(node, Scope):
            todo.extend(reversed([inner for _, block in blocks(node) for inner in block]))
        if isinstance(node, Scope):
            names = [node.name]
        elif isinstance(node, ast.Import):
            names = [alias.asname or alias.name.split(".")[0] for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [alias.asname or alias.name for alias in node.names if alias.name != "*"]
        elif isinstance(node, ast.Try):
            names = [handler.name for handler in node.handlers if handler.name]
        names += [target.id for target in bound_targets(node) if isinstance(target, ast.Name)]
        names += [
            inner.target.id
            for inner in expressions(node)
            if isinstance(inner, ast.NamedExpr) and isinstance(inner.target, ast.Name)
        ]
        for name in names:
            found.setdefault(name, node.lineno)
    return found
