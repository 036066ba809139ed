"""What the kinds of target share that are a part of one statement of the user's: several may be in one."""

from __future__ import annotations

import ast
from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Self

from laterctl.project.statements import Position, StatementRef, is_compound
from laterctl.render import Style
from laterctl.targets.base import Anchor, Record, State, Target, of_kind
from laterctl.targets.document import Document
from laterctl.targets.file_edit import FileEdit, Line, fitted, is_ours, refusing_at
from laterctl.targets.python_target import CodeTarget
from laterctl.targets.python_text import Text


class StatementPart(CodeTarget, frozen=True):
    """A part of a statement of the user's. Texts of statements are as they stand in the file, indentation included."""

    @abstractmethod
    def statement_in(self, text: Text, own: Collection[Position] | None = None) -> StatementRef | None:
        """Find the statement that it is a part of, or goes into; `own` are the places of whole ones that are ours."""

    def moved_in(self, text: Text) -> StatementRef | None:
        """Find the statement that it is a part of in another scope by now: the only one that has it."""
        scope = self.key[2]
        simple = [item for item in text.statements if not is_compound(item.node)]
        if any(self.nodes_in(item.node) for item in simple if item.qualname == scope):
            return None
        found = [item for item in simple if item.qualname != scope and self.is_in(item.node)]
        return found[0] if len(found) == 1 else None

    def is_in(self, statement: ast.stmt) -> bool:
        """Whether a statement has it, as it was put in."""
        return bool(self.nodes_in(statement))

    @abstractmethod
    def nodes_in(self, statement: ast.stmt) -> Sequence[ast.AST]:
        """Find its syntax nodes in its statement."""

    @classmethod
    @abstractmethod
    def put_in(cls, code: str, parts: Sequence[Self], ours: Sequence[Self], style: Style) -> str:
        """Return a statement with `parts` of this kind more; `ours` may be in it already."""

    @abstractmethod
    def take_out(self, code: str) -> str:
        """Return a statement without it."""

    @classmethod
    def fit(cls, code: str, parts: Sequence[Self], style: Style, line: Line) -> str:
        """Return a statement with `parts`, which starts on `line`, on as many lines as these need."""
        return code

    @classmethod
    def converge(
        cls, edit: FileEdit, before: Sequence[Record], after: Sequence[Record], anchors: Mapping[Target, Anchor]
    ) -> None:
        # Called for all kinds of part at once: those of one statement are put in together.
        grouped: dict[int, tuple[StatementRef, _Parts, _Parts]] = {}
        for side, records in enumerate((before, after)):
            for target, record in of_kind(records, cls).items():
                moved = target.moved_in(edit.text)
                found = moved or target.statement_in(edit.text, edit.own)
                if moved is not None:
                    record = record.elsewhere(target)
                if found is not None:
                    group = grouped.setdefault(id(found.node), (found, {}, {}))
                    (group[1], group[2])[side][target] = record
                elif side == 0:
                    edit.left[target] = "gone"
        for found, had, wanted in grouped.values():
            if had.keys() != wanted.keys():
                with refusing_at(found.node):
                    _rewrite(edit, found, had, wanted)


_Parts = dict[StatementPart, Record]


def _rewrite(edit: FileEdit, statement: StatementRef, had: _Parts, wanted: _Parts) -> None:
    code = edit.code(statement.node)
    original = next((item.replaced for item in [*had.values(), *wanted.values()] if item.replaced is not None), None)
    given = partial(_with, ours=[*had, *wanted], style=edit.layout.style, line=edit.line(statement.node))
    fresh = wanted.keys() - had.keys()
    replacing = {item.key for item in had}
    for target in [item for item in fresh if item.key not in replacing and _is_present(edit.text, item)]:
        # There already: its ledger was lost. What the user would have without it is the statement without it.
        fresh = fresh - {target}
        original = target.take_out(original or code)
    going = had.keys() - wanted.keys()
    if original is not None and is_ours(code, given(original, list(had)), adding=bool(fresh)):
        result = given(original, list(wanted))
        edit.gone.update(id(node) for target in going for node in target.nodes_in(statement.node))
    else:
        result = code
        for target in going:
            nodes = target.nodes_in(statement.node)
            if nodes and _is_present(edit.text, target):
                edit.gone.update(map(id, nodes))
                result = target.take_out(result)
            else:
                edit.left[target] = "edited"
        result = given(result, list(fresh))
    for target in wanted.keys() - had.keys():
        edit.replaced[target] = code if original is None else original
    if result != code:
        edit.retext[statement.position] = result


def _with(code: str, parts: Sequence[StatementPart], ours: Sequence[StatementPart], style: Style, line: Line) -> str:
    """Return a statement, which starts on `line`, with more parts; `ours` may be in it already."""
    kinds = sorted({type(item) for item in parts}, key=lambda kind: kind.kind)
    for kind in kinds:
        own, others = ([item for item in side if isinstance(item, kind)] for side in (parts, ours))
        code = kind.put_in(code, own, others, style)
    if parts:
        code = fitted(code, style, line)
    for kind in kinds:
        code = kind.fit(code, [item for item in parts if isinstance(item, kind)], style, line)
    return code


def _is_present(text: Text, target: StatementPart) -> bool:
    return target.inspect(Document.of_text(target.path, text)).state is State.PRESENT
