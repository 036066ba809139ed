"""The code that rules read: a project, its files, and the nodes of their trees, each walked through once."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property, wraps
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from laterctl.project.names import Own, dotted_path, resolve
from laterctl.project.places import is_test_or_docs
from laterctl.project.source import Unreadable
from laterctl.project.statements import BLOCKS, Scope, StatementRef, blocks, children, nodes, spots
from laterctl.project.tree import Outside

if TYPE_CHECKING:
    from laterctl.project.discover import Project

_LEAVES = (ast.Name, ast.Constant, ast.expr_context, ast.operator, ast.cmpop, ast.boolop, ast.unaryop)
_PASSED = (*_LEAVES, *BLOCKS)
"""What the walk through a statement passes by: leaves, and what is a statement of its own or has some."""

Node_co = TypeVar("Node_co", bound=ast.AST, covariant=True)
Subject = TypeVar("Subject", bound="Code | Codebase")
Answer = TypeVar("Answer")


def once(analyse: Callable[[Subject], Answer]) -> Callable[[Subject], Answer]:
    """Keep what an analyser gives for a file or a project, so that it is computed once for all rules."""

    @wraps(analyse)
    def kept(subject: Subject) -> Answer:
        if analyse not in subject.answers:
            subject.answers[analyse] = analyse(subject)
        answer: Answer = subject.answers[analyse]
        return answer

    return kept


class Codebase:
    """A project as rules see it: its facts, and its production files."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.answers: dict[Callable[..., Any], Any] = {}
        self._codes: dict[str, Code] = {}

    def code(self, path: str) -> Code:
        """Return a Python file. Raises what `Source.tree` does."""
        if path not in self._codes:
            self._codes[path] = Code(path, self.project.tree.python(path).tree, self)
        return self._codes[path]

    def containing(self, *needles: bytes) -> Iterator[Code]:
        """Yield the production files that hold one of `needles`; unreadable ones are left out."""
        for path in self.project.tree.files_containing_any(needles):
            code = None if is_test_or_docs(path) else self.readable(path)
            if code is not None:
                yield code

    def readable(self, path: str) -> Code | None:
        """Return a Python file, `None` when it cannot be read."""
        try:
            return self.code(path)
        except (Unreadable, Outside):
            return None

    def texts(self, paths: Iterable[str]) -> Iterator[tuple[str, str]]:
        """Yield those of some files that exist, with their texts."""
        for path in paths:
            data = self.project.tree.read(path)
            if data is not None:
                yield path, data.decode("utf-8", errors="replace")

    def statement(self, dotted: str, near: str) -> tuple[Own, ast.stmt] | None:
        """Return where the project defines what a dotted name stands for in file `near`, `None` if elsewhere."""
        found = self.project.names.trace(dotted, near) if dotted else ""
        statement = self.project.names.statement(found) if isinstance(found, Own) else None
        return (found, statement) if isinstance(found, Own) and statement is not None else None


class Code:
    """A file for rules: what it contains by kind, and names resolved as they are seen at each statement."""

    def __init__(self, path: str, tree: ast.Module, codebase: Codebase) -> None:
        self.path = path
        self.tree = tree
        self.codebase = codebase
        self.answers: dict[Callable[..., Any], Any] = {}
        self._visits: dict[type, list[Visit[Any]]] = {}

    def mentions(self, *words: bytes) -> bool:
        """Whether the file holds one of some words, in any case: quicker to find out than what they are used for."""
        data = (self.codebase.project.tree.read(self.path) or b"").lower()
        return any(word in data for word in words)

    @cached_property
    def _found(self) -> Mapping[type, list[tuple[ast.AST, StatementRef]]]:
        """The one walk: every statement, and every expression with the statement that it belongs to, by their types."""
        found: defaultdict[type, list[tuple[ast.AST, StatementRef]]] = defaultdict(list)
        for spot in spots(self.tree):
            found[ast.stmt].append((spot.node, spot))
            todo: list[ast.AST] = [spot.node]
            while todo:
                node = todo.pop()
                found[type(node)].append((node, spot))
                todo += [item for item in reversed(children(node)) if not isinstance(item, _PASSED)]
        return found

    def visits(self, *kinds: type) -> list[Visit[Any]]:
        """Return the nodes of some kinds in the order of the file; `ast.stmt` stands for all statements.

        There are too many names and constants to visit each: ask the node that they are in.
        """
        assert not any(issubclass(kind, _LEAVES) for kind in kinds)
        for kind in kinds:
            if kind not in self._visits:
                self._visits[kind] = [Visit(node, spot, self) for node, spot in self._found.get(kind, ())]
        return self._visits[kinds[0]] if len(kinds) == 1 else [each for kind in kinds for each in self._visits[kind]]

    @property
    def calls(self) -> list[Visit[ast.Call]]:
        """Every call."""
        return self.visits(ast.Call)

    @property
    def statements(self) -> list[Visit[ast.stmt]]:
        """Every statement."""
        return self.visits(ast.stmt)

    @property
    def functions(self) -> list[Visit[Any]]:
        """Every function and method."""
        return self.visits(ast.FunctionDef, ast.AsyncFunctionDef)

    def imports(self, scope: tuple[Scope, ...] = ()) -> Mapping[str, str]:
        """Return the imports in force inside functions and classes; those of the module without any."""
        return self.codebase.project.names.imports(self.path, scope)

    def resolve(self, node: ast.AST, scope: tuple[Scope, ...] = ()) -> str:
        """Return the canonical dotted name of a name or attribute by the imports in force, `""` when unknown."""
        base = node.value if isinstance(node, ast.Subscript) else node
        while isinstance(base, ast.Attribute):
            base = base.value
        # Most names are no imports, and what is in force in a function costs something to find out.
        known = isinstance(base, ast.Name) and base.id in self._imported
        return resolve(node, self.imports(scope)) if known else ""

    @cached_property
    def _imported(self) -> frozenset[str]:
        """The names that imports bind anywhere in the file."""
        aliases = [alias for visit in self.visits(ast.Import, ast.ImportFrom) for alias in visit.node.names]
        return frozenset((alias.asname or alias.name).partition(".")[0] for alias in aliases)

    def value(self, node: ast.expr) -> ast.expr:
        """Return what a name stands for when the whole file binds it once, to a value; else the node itself."""
        found = self._bound.get(node.id, []) if isinstance(node, ast.Name) else []
        return found[0] if len(found) == 1 and found[0] is not None else node

    def literal(self, node: ast.expr | None) -> Any:
        """Return the value of a constant, or of a list, tuple or set with nothing but constants; else `None`."""
        try:
            return ast.literal_eval(self.value(node)) if node is not None else None
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            return None

    def enclosing(self, spot: StatementRef) -> list[ast.stmt]:
        """Return the statements that contain a statement, outermost first."""
        found: list[ast.stmt] = []
        body = self.tree.body
        for ordinal, name in spot.body:
            found.append(body[ordinal])
            body = dict(blocks(body[ordinal]))[name]
        return found

    @cached_property
    def _bound(self) -> Mapping[str, list[ast.expr | None]]:
        found: dict[str, list[ast.expr | None]] = {}
        for name, value in _bindings(self.tree):
            found.setdefault(name, []).append(value)
        return found


class Visit(Generic[Node_co]):
    """A node of a file: the statement that it belongs to, and what names stand for there."""

    __slots__ = ("code", "node", "spot")

    def __init__(self, node: Node_co, spot: StatementRef, code: Code) -> None:
        self.node = node
        self.spot = spot
        self.code = code

    @property
    def line(self) -> int:
        """The line of the node."""
        line: int = getattr(self.node, "lineno", self.spot.node.lineno)
        return line

    @property
    def imports(self) -> Mapping[str, str]:
        """The imports in force here."""
        return self.code.imports(self.spot.scope)

    def resolve(self, node: ast.AST) -> str:
        """Return the canonical dotted name of a name or attribute by the imports in force, `""` when unknown."""
        return self.code.resolve(node, self.spot.scope)

    # What follows is about calls.

    @property
    def target(self) -> str:
        """The dotted name of what is called, `""` when unknown."""
        return self.resolve(self.node.func) if isinstance(self.node, ast.Call) else ""

    @property
    def method(self) -> str:
        """What is called of an object: `get` for `client.get()`, else `""`."""
        return method_of(self.node)

    @property
    def receiver(self) -> str:
        """The object whose method is called, as written: `app.router` for `app.router.get()`, else `""`."""
        return receiver_of(self.node)

    def argument(self, position: int, *names: str) -> ast.expr | None:
        """Return an argument by its place or one of its names, `None` without it."""
        return argument_of(self.node, position, *names)

    def keyword(self, name: str) -> ast.expr | None:
        """Return a keyword argument, `None` without it."""
        return argument_of(self.node, -1, name)

    def literal(self, name: str) -> Any:
        """Return the value of a keyword argument that is a literal, else `None`."""
        return self.code.literal(self.keyword(name))


def method_of(node: ast.AST) -> str:
    """Return what a call calls of an object: `get` for `client.get()`, else `""`."""
    return node.func.attr if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else ""


def receiver_of(node: ast.AST) -> str:
    """Return the object whose method a call calls, as written: `client` for `client.get()`, else `""`."""
    called = node.func if isinstance(node, ast.Call) else None
    return dotted_path(called.value) if isinstance(called, ast.Attribute) else ""


def argument_of(node: ast.AST, position: int, *names: str) -> ast.expr | None:
    """Return an argument of a call by its place (-1 for none) or one of its names, `None` without it."""
    if not isinstance(node, ast.Call):
        return None
    if 0 <= position < len(node.args) and not any(isinstance(item, ast.Starred) for item in node.args[: position + 1]):
        return node.args[position]
    return next((item.value for item in node.keywords if item.arg in names), None)


def constant(node: ast.AST | None) -> Any:
    """Return the value of a constant, `None` for anything else."""
    return node.value if isinstance(node, ast.Constant) else None


def also_in(lines: Iterable[int]) -> str:
    """Return the rest of a reason that holds in further lines: `" (also in lines 3, 7)"`, `""` when there are none."""
    more = sorted(set(lines))
    word = "line" if len(more) == 1 else "lines"
    return f" (also in {word} {', '.join(map(str, more))})" if more else ""


def _bindings(tree: ast.Module) -> Iterator[tuple[str, ast.expr | None]]:
    simple: set[int] = set()
    others: list[ast.Name] = []
    for node in nodes(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Name) and (isinstance(node, ast.AnnAssign) or len(node.targets) == 1):
                simple.add(id(target))
                yield target.id, node.value
        elif isinstance(node, ast.arg):
            yield node.arg, None
        elif isinstance(node, ast.alias | Scope):
            yield getattr(node, "asname", None) or node.name, None
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            others.append(node)
    # A name that is bound in any other way (a loop, `with`, `+=`, several targets) has a value that nobody knows.
    yield from ((node.id, None) for node in others if id(node) not in simple)
