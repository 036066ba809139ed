"""A block put around a statement of the user's."""

from __future__ import annotations

import ast
from typing import ClassVar

from laterctl.targets.base import Inspection, State
from laterctl.targets.document import Document
from laterctl.targets.python_target import CodeTarget
from laterctl.targets.python_text import Located, Text


class Block(CodeTarget, frozen=True):
    """A block put around the one `yield` statement of function `scope`. `header` ends with its colon."""

    kind: ClassVar[str] = "block"
    restorable: ClassVar[bool] = True
    scope: str
    header: str

    @property
    def key(self) -> tuple[str, ...]:
        return self.kind, self.path, self.scope, self.header

    def describe(self) -> str:
        return f"{self.header} around the yield of {self.scope}()"

    @property
    def source(self) -> str:
        return f"async def _():\n {self.header}\n  pass"

    def inspect(self, document: Document) -> Inspection:
        block = block_of(document.text, self)
        if block is None:
            return Inspection(State.ABSENT)
        assert isinstance(block.node, ast.With | ast.AsyncWith)
        return Inspection(State.PRESENT, block.node.lineno, nodes=((block.node, block.node.body),))


def block_of(text: Text, target: Block) -> Located | None:
    """Find the `with` statement of a block of ours."""
    header = _header(target.source)
    for item in text.statements:
        if item.scope == target.scope and isinstance(item.node, ast.With | ast.AsyncWith):
            probe = ast.unparse(item.node).split("\n", 1)[0]
            if probe == header:
                return item
    return None


def _header(source: str) -> str:
    function = ast.parse(source).body[0]
    assert isinstance(function, ast.AsyncFunctionDef)
    return ast.unparse(function.body[0]).split("\n", 1)[0]


def yield_of(text: Text, scope: str) -> Located | None:
    """Find the statement of the one `yield` in a function."""
    found = [
        item
        for item in text.statements
        if item.scope == scope and isinstance(item.node, ast.Expr) and isinstance(item.node.value, ast.Yield)
    ]
    return found[0] if len(found) == 1 else None
