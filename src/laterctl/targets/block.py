"""A block put around a statement of the user's."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import ClassVar

from laterctl.project.statements import StatementRef
from laterctl.targets.base import Anchor, Effect, Inspection, Record, State, Target, of_kind
from laterctl.targets.document import Document
from laterctl.targets.file_edit import FileEdit
from laterctl.targets.python_target import CodeTarget, entered
from laterctl.targets.python_text import Text


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

    @property
    def effect(self) -> Effect | None:
        context = _block(self.source).items[0].context_expr
        return entered(self.path, context.func if isinstance(context, ast.Call) else context)

    def inspect(self, document: Document) -> Inspection:
        block = block_of(document.text, self)
        if block is None:
            return Inspection(State.ABSENT)
        assert isinstance(block.node, ast.With | ast.AsyncWith)
        return Inspection(State.PRESENT, block.node.lineno, nodes=((block.node, block.node.body),))

    @classmethod
    def converge(
        cls, edit: FileEdit, before: Sequence[Record], after: Sequence[Record], anchors: Mapping[Target, Anchor]
    ) -> None:
        from laterctl.codemods.placement import TextEditError
        from laterctl.codemods.python import Unwrap, Wrap

        had, wanted = of_kind(before, cls), of_kind(after, cls)
        for target in had.keys() - wanted.keys():
            found = block_of(edit.text, target)
            if found is None:
                edit.left[target] = "gone"
            else:
                edit.blocks.append(Unwrap(found.body, found.index))
                edit.gone.update(id(item) for item in getattr(found.node, "items", ()))
        for target in wanted.keys() - had.keys():
            if block_of(edit.text, target) is not None:
                continue  # its ledger was lost
            statement = yield_of(edit.text, target.scope)
            if statement is None:
                raise TextEditError(f"{target.scope}() has no single yield statement")
            edit.replaced[target] = edit.text.code(statement)
            edit.blocks.append(Wrap(statement.body, statement.index, target.header))


def block_of(text: Text, target: Block) -> StatementRef | None:
    """Find the `with` statement of a block of ours."""
    header = ast.unparse(_block(target.source)).split("\n", 1)[0]
    for item in text.in_scope(target.scope):
        if isinstance(item.node, ast.With | ast.AsyncWith):
            probe = ast.unparse(item.node).split("\n", 1)[0]
            if probe == header:
                return item
    return None


def _block(source: str) -> ast.AsyncWith:
    function = ast.parse(source).body[0]
    assert isinstance(function, ast.AsyncFunctionDef)
    block = function.body[0]
    assert isinstance(block, ast.AsyncWith)
    return block


def yield_of(text: Text, scope: str) -> StatementRef | None:
    """Find the statement of the one `yield` in a function."""
    found = [
        item
        for item in text.in_scope(scope)
        if isinstance(item.node, ast.Expr) and isinstance(item.node.value, ast.Yield)
    ]
    return found[0] if len(found) == 1 else None
