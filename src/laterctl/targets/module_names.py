"""What the code of one module loads, binds and imports, found in one walk."""

from __future__ import annotations

import ast

from laterctl.project.statements import nodes
from laterctl.targets.base import Imported


class ModuleNames:
    """Names of a module, at any depth.

    Attributes:
        loads, bound: names that are read, and names that something binds.
        imports: absolute imports that have to succeed: those that nothing catches, and not for type checkers alone.
    """

    def __init__(self, tree: ast.Module) -> None:
        self.loads: set[str] = set()
        self.bound: set[str] = set()
        self.imports: list[Imported] = []
        for statement in tree.body:
            optional = _is_caught(statement) or _is_type_checking(statement)
            for node in nodes(statement):
                self._read(node, optional=optional)

    def _read(self, node: ast.AST, *, optional: bool) -> None:
        if isinstance(node, ast.Name):
            (self.loads if isinstance(node.ctx, ast.Load) else self.bound).add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            self.bound.add(node.name)
        elif isinstance(node, ast.arg):
            self.bound.add(node.arg)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            self.bound.update((alias.asname or alias.name).partition(".")[0] for alias in node.names)
            if not optional:
                self.imports += _imported(node)
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            self.bound.add(node.name)


def _imported(node: ast.Import | ast.ImportFrom) -> list[Imported]:
    if isinstance(node, ast.Import):
        return [Imported(alias.name, "", node.lineno) for alias in node.names]
    return [Imported(node.module or "", alias.name, node.lineno) for alias in node.names if not node.level]


def _is_caught(statement: ast.stmt) -> bool:
    """Whether a `try` statement catches failing imports."""
    types = [item.type for item in statement.handlers if item.type] if isinstance(statement, ast.Try) else []
    names = {node.id for item in types for node in ast.walk(item) if isinstance(node, ast.Name)}
    return bool(names & {"ImportError", "ModuleNotFoundError"})


def _is_type_checking(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.If) and ast.unparse(statement.test).endswith("TYPE_CHECKING")
