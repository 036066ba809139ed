"""A function in a statement of the user's, which calls it or hands it on: what is made of it stands there."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Sequence
from typing import ClassVar

from laterctl.codemods.statements import named, unwrapped, wrapped, wrapped_names
from laterctl.project.statements import Position, StatementRef, is_compound
from laterctl.render import Style
from laterctl.targets.base import Inspection, Record, State, of_kind
from laterctl.targets.document import Document
from laterctl.targets.python_target import own_statements
from laterctl.targets.python_text import Text, holder_of
from laterctl.targets.statement_part import StatementPart


class CallName(StatementPart, frozen=True):
    """`new(old)` where the user has `old` (a name, or dotted), everywhere in one simple statement of `scope`.

    It is statement `number` of those of the user's that have `old` and assign to `holder` (see `holder_of`); the statement
    as it stood is the record's `replaced`. The user's name stays: its import is used as before, and who looks for it finds it.
    """

    kind: ClassVar[str] = "call"
    restorable: ClassVar[bool] = True
    scope: str
    holder: str
    old: str
    new: str
    number: int = 0

    @property
    def key(self) -> tuple[str, ...]:
        return self.kind, self.path, self.scope, self.holder, self.old, self.new, str(self.number)

    def describe(self) -> str:
        return f"{self.holder or self.scope or 'module'}: {self.new}({self.old})"

    @property
    def expressions(self) -> tuple[str, ...]:
        return (self.old, self.new)

    @property
    def source(self) -> str:
        return f"{self.new}({self.old})"

    def inspect(self, document: Document) -> Inspection:
        own = own_statements(document.text, document.records) if document.records else None
        moved = self.moved_in(document.text)
        found = moved or self.statement_in(document.text, own)
        if found is None:
            return self._edited(document.text)
        nodes = tuple((node, node.args) for node in self.nodes_in(found.node))
        detail = "moved" if moved is not None else ""
        return Inspection(State.PRESENT if nodes else State.ABSENT, found.node.lineno, detail, nodes)

    def _edited(self, text: Text) -> Inspection:
        for item in text.in_scope(self.scope):
            if self.holder and holder_of(item.node) == self.holder:
                return Inspection(State.ALTERED, item.node.lineno, text.code(item))
        return Inspection(State.ABSENT)

    def statement_in(self, text: Text, own: Collection[Position] | None = None) -> StatementRef | None:
        found = [
            item
            for item in text.in_scope(self.scope)
            if item.position not in (own or ())
            and not is_compound(item.node)
            and holder_of(item.node) == self.holder
            and named(item.node, self.old)
        ]
        if own is None:  # which are ours is not known, but they are left as they are
            found = [item for item in found if self.nodes_in(item.node)] or found
        return found[self.number] if self.number < len(found) else None

    def nodes_in(self, statement: ast.stmt) -> list[ast.Call]:
        return wrapped_names(statement, self.old, self.new)

    @classmethod
    def put_in(cls, code: str, parts: Sequence[CallName], ours: Sequence[CallName], style: Style) -> str:
        for part in sorted(parts, key=lambda item: item.new):
            code = wrapped(code, part.old, part.new)
        return code

    def take_out(self, code: str) -> str:
        return unwrapped(code, self.old, self.new)

    @classmethod
    def among(cls, records: Sequence[Record], new: str) -> Iterator[CallName]:
        """Yield the targets that have the function `new` around another."""
        return (target for target, record in of_kind(records, cls).items() if target.new == new and record.ours)
