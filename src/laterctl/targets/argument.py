"""A keyword argument of a call of the user's."""

from __future__ import annotations

import ast
from collections.abc import Collection, Sequence
from typing import ClassVar

from laterctl.codemods import rows
from laterctl.project.statements import Position, StatementRef
from laterctl.render import Style
from laterctl.targets.base import Effect, Inspection, State
from laterctl.targets.document import Document
from laterctl.targets.python_target import entered
from laterctl.targets.python_text import Text, holder_of
from laterctl.targets.statement_part import StatementPart


class Argument(StatementPart, frozen=True):
    """A keyword argument of the call that `holder` is assigned from (`app`, `self.app`; `return` when returned)."""

    kind: ClassVar[str] = "argument"
    restorable: ClassVar[bool] = True
    scope: str
    holder: str
    keyword: str
    value: str

    @property
    def key(self) -> tuple[str, ...]:
        return self.kind, self.path, self.scope, self.holder, self.keyword

    def describe(self) -> str:
        return f"{self.holder} = ...({self.keyword}={self.value})"

    @property
    def effect(self) -> Effect | None:
        return entered(self.path, ast.parse(self.value, mode="eval").body) if self.keyword == "lifespan" else None

    @property
    def expressions(self) -> tuple[str, ...]:
        return (self.value,)

    @property
    def source(self) -> str:
        return self.value

    def inspect(self, document: Document) -> Inspection:
        found = call_of(document.text, self)
        for keyword in found[1].keywords if found is not None else ():
            if keyword.arg == self.keyword:
                same = ast.unparse(keyword.value) == ast.unparse(ast.parse(self.value, mode="eval"))
                state = State.PRESENT if same else State.ALTERED
                return Inspection(state, keyword.value.lineno, nodes=((keyword, ()),))
        moved = self.moved_in(document.text)
        if moved is not None:
            nodes = tuple((node, ()) for node in self.nodes_in(moved.node))
            return Inspection(State.PRESENT, moved.node.lineno, "moved", nodes)
        return Inspection(State.ABSENT)

    def is_in(self, statement: ast.stmt) -> bool:
        same = ast.unparse(ast.parse(self.value, mode="eval"))
        return [ast.unparse(node.value) for node in self.nodes_in(statement) if isinstance(node, ast.keyword)] == [same]

    def statement_in(self, text: Text, own: Collection[Position] | None = None) -> StatementRef | None:
        found = call_of(text, self)
        return found[0] if found else None

    def nodes_in(self, statement: ast.stmt) -> list[ast.AST]:
        keywords = getattr(getattr(statement, "value", None), "keywords", ())
        return [item for item in keywords if item.arg == self.keyword]

    @classmethod
    def put_in(cls, code: str, parts: Sequence[Argument], ours: Sequence[Argument], style: Style) -> str:
        for part in sorted(parts, key=lambda item: item.keyword):
            code = rows.with_argument(code, f"{part.keyword}={part.value}", style.indent)
        return code

    def take_out(self, code: str) -> str:
        return rows.without_argument(code, self.keyword)


def call_of(text: Text, target: Argument) -> tuple[StatementRef, ast.Call] | None:
    """Find the call that an argument belongs to, and its statement."""
    for item in text.in_scope(target.scope):
        value = getattr(item.node, "value", None)
        if isinstance(value, ast.Call) and holder_of(item.node) == target.holder:
            return item, value
    return None
