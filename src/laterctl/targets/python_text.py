"""A Python file of the user's as edits see it: its statements, and which of them are targets of ours."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from functools import cached_property, lru_cache

from laterctl.codemods import newer
from laterctl.codemods.statements import segment, split_lines
from laterctl.project.facts import BodyPath
from laterctl.project.statements import StatementRef, spots


class Text:
    """A Python document: its text and its statements, read once."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.tree = newer.parse(source)
        self.lines = split_lines(source)
        self._codes: dict[int, str] = {}

    @cached_property
    def statements(self) -> list[StatementRef]:
        """Every statement, outer ones first."""
        return list(spots(self.tree))

    @cached_property
    def _by_identity(self) -> dict[tuple[type[ast.stmt], str], list[StatementRef]]:
        found: dict[tuple[type[ast.stmt], str], list[StatementRef]] = {}
        for item in self.statements:
            found.setdefault((type(item.node), identity(item.node)), []).append(item)
        return found

    def like(self, code: str) -> list[StatementRef]:
        """The statements that are one of ours or may be what a person made of it."""
        wanted = ast.parse(code).body[0]
        return self._by_identity.get((type(wanted), identity(wanted)), [])

    @cached_property
    def _by_scope(self) -> dict[str, list[StatementRef]]:
        found: dict[str, list[StatementRef]] = {}
        for item in self.statements:
            found.setdefault(item.qualname, []).append(item)
        return found

    def in_scope(self, scope: str) -> list[StatementRef]:
        """The statements of one function or class, given by its qualified name, or of the module (`""`)."""
        return self._by_scope.get(scope, [])

    def in_body(self, body: BodyPath) -> list[StatementRef]:
        """The statements that stand directly in one statement list."""
        return [item for item in self.statements if item.body == body]

    def code(self, statement: StatementRef) -> str:
        """The statement's text as it stands, without its indentation."""
        code = self._codes.get(id(statement.node))
        if code is None:
            code = self._codes[id(statement.node)] = segment(self.source, statement.node)
        return code

    def behind(self, node: ast.stmt) -> str:
        """Return what follows a statement on its last line: a comment."""
        line = self.lines[(node.end_lineno or node.lineno) - 1]
        return line.encode()[node.end_col_offset :].decode().rstrip()

    def comment_after(self, node: ast.stmt) -> bool:
        """Tell whether something (a comment) follows a statement on its last line."""
        return bool(self.behind(node).strip())


@lru_cache(maxsize=256)
def read_text(source: str) -> Text:
    """Return the document of a source text, read once however many targets are looked for in it.

    Raises:
        SyntaxError: it is no Python.
    """
    return Text(source)


def module_text(node: ast.stmt) -> str:
    """Return the module of a `from` import as it stands, leading dots included."""
    assert isinstance(node, ast.ImportFrom)
    return "." * node.level + (node.module or "")


def identity(node: ast.stmt) -> str:
    """What stays the same when a person edits a statement of ours: the name it binds, or the call, its subject and literals."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return f"def {node.name}"
    if isinstance(node, ast.Assign):
        return "=" + ",".join(ast.unparse(target) for target in node.targets)
    if isinstance(node, ast.AnnAssign):
        return "=" + ast.unparse(node.target)
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        call = node.value
        named = (item for item in call.args[1:] if isinstance(item, ast.Constant))
        return ast.unparse(call.func) + "(" + ", ".join(map(ast.unparse, (*call.args[:1], *named)))
    return ast.unparse(node)


def list_in(node: ast.stmt, keyword: str) -> ast.List | None:
    """Return the list literal that a statement assigns or returns, or hands to `keyword` of the call that it does."""
    value = getattr(node, "value", None)
    if keyword and isinstance(value, ast.Call):
        value = next((word.value for word in value.keywords if word.arg == keyword), None)
    elif keyword:
        return None
    return value if isinstance(value, ast.List) else None


def holder_of(node: ast.stmt) -> str:
    """Return what a statement assigns its value to, `return` when it returns it, `""` for others."""
    if isinstance(node, ast.Return):
        return "return"
    if isinstance(node, ast.Assign):
        return ast.unparse(node.targets[0])
    return ast.unparse(node.target) if isinstance(node, ast.AnnAssign) else ""


def imported_names(node: ast.stmt) -> list[tuple[str, str]]:
    """Return the names that an import statement imports, each with its alias or `""`."""
    return [(alias.name, alias.asname or "") for alias in getattr(node, "names", [])]


def imports_from(text: Text, module: str, names: Iterable[tuple[str, str]] = ()) -> list[StatementRef]:
    """The top-level imports from a module that can be extended; with `names`, those that import one of them."""
    wanted = set(names)
    return [
        item
        for ordinal, node in enumerate(text.tree.body)
        if isinstance(node, ast.ImportFrom)
        and module_text(node) == module
        and (not wanted or wanted & set(imported_names(node)))
        and text.code(item := StatementRef((), ordinal, node)).startswith("from")  # a lazy one is not extended
    ]
