"""An entry of a list literal."""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar

from laterctl.codemods import newer, rows
from laterctl.codemods.statements import split_lines
from laterctl.project.statements import Position, StatementRef
from laterctl.render import Style
from laterctl.targets.base import Effect, Inspection, State, Target
from laterctl.targets.document import Document
from laterctl.targets.file_edit import Line
from laterctl.targets.python_text import Text, holder_of, list_in
from laterctl.targets.statement_part import StatementPart

AT_END = 9999
"""Behind all entries of the user's, however many there will be."""


class ListEntry(StatementPart, frozen=True):
    """An entry of a list literal: what `holder` is assigned (`return`: what is returned), or `keyword` of its call.

    It stands behind `behind` entries of the user's; `order` sorts it among ours at the same place. `does` is its
    effect on the running application, as the two fields of `Effect`.
    """

    kind: ClassVar[str] = "entry"
    restorable: ClassVar[bool] = True
    live_when_edited: ClassVar[bool] = True
    scope: str
    holder: str
    code: str
    keyword: str = ""
    behind: int = 0
    order: tuple[int, str] = (0, "")
    does: tuple[str, str] = ("", "")

    @property
    def key(self) -> tuple[str, ...]:
        return self.kind, self.path, self.scope, self.holder, self.keyword, self.code

    def describe(self) -> str:
        return self.code

    @property
    def expressions(self) -> tuple[str, ...]:
        return (self.code,)

    @property
    def source(self) -> str:
        return self.code

    def equals(self, other: Target) -> bool:
        return self.key == other.key  # where it stands and what it does are no part of it

    @property
    def effect(self) -> Effect | None:
        return Effect(*self.does) if self.does[0] else None

    def inspect(self, document: Document) -> Inspection:
        found = list_of(document.text, self)
        wanted = entry_text(self)
        for element in found[1].elts if found else ():
            if ast.unparse(element) == wanted:
                return _inspection(State.PRESENT, element)
        for node in ast.walk(document.text.tree):
            for element in node.elts if isinstance(node, ast.List) else ():
                if ast.unparse(element) == wanted:
                    return _inspection(State.PRESENT, element, "moved")
        start = wanted.removesuffix(")")
        for element in found[1].elts if found else ():
            if ast.unparse(element).startswith(f"{start},"):
                return _inspection(State.ALTERED, element, ast.unparse(element))
        return Inspection(State.ABSENT)

    def statement_in(self, text: Text, own: Collection[Position] | None = None) -> StatementRef | None:
        found = list_of(text, self)
        return found[0] if found else None

    def nodes_in(self, statement: ast.stmt) -> list[ast.AST]:
        literal = list_in(statement, self.keyword)
        places = _places(literal, self) if literal is not None else []
        return [literal.elts[place] for place in places[:1]] if literal is not None else []

    @classmethod
    def put_in(cls, code: str, parts: Sequence[ListEntry], ours: Sequence[ListEntry], style: Style) -> str:
        known = {entry_text(item): item for item in ours}
        for entry in sorted(parts, key=lambda item: (item.behind, item.order), reverse=True):
            code = rows.with_entry(code, entry.keyword, entry.code, _place_of(entry, code, known), style.indent)
        return code

    def take_out(self, code: str) -> str:
        places = _places(_list(code, self.keyword), self)
        return rows.without_entry(code, self.keyword, places[0]) if places else code

    @classmethod
    def fit(cls, code: str, parts: Sequence[ListEntry], style: Style, line: Line) -> str:
        for keyword in dict.fromkeys(item.keyword for item in parts):
            code = _with_fitted_list(code, keyword, style, line)
        return code


def _inspection(state: State, element: ast.expr, detail: str = "") -> Inspection:
    return Inspection(state, element.lineno, detail, ((element, ()),))


def entry_text(target: ListEntry) -> str:
    """Return an entry of ours as `ast.unparse` spells it."""
    return ast.unparse(ast.parse(target.code, mode="eval"))


def list_of(text: Text, target: ListEntry) -> tuple[StatementRef, ast.List] | None:
    """Find the list literal that an entry belongs to, and its statement."""
    for item in text.in_scope(target.scope):
        if holder_of(item.node) == target.holder:
            literal = list_in(item.node, target.keyword)
            if literal is not None:
                return item, literal
    return None


def _list(code: str, keyword: str) -> ast.List:
    literal = list_in(newer.parse(code).body[0], keyword)
    assert literal is not None
    return literal


def _places(literal: ast.List, target: ListEntry) -> list[int]:
    wanted = entry_text(target)
    return [place for place, item in enumerate(literal.elts) if ast.unparse(item) == wanted]


def _place_of(entry: ListEntry, code: str, known: Mapping[str, ListEntry]) -> int:
    """Return the place for an entry among those that are there, ours in their order between the user's."""
    users = 0
    literal = _list(code, entry.keyword)
    for number, element in enumerate(literal.elts):
        other = known.get(ast.unparse(element))
        if other is None and users == entry.behind:
            return number
        if other is None:
            users += 1
        elif (other.behind, other.order) > (entry.behind, entry.order):
            return number
    return len(literal.elts)


def _with_fitted_list(text: str, keyword: str, style: Style, line: Line) -> str:
    """Return a statement whose list literal, when its one line is too long, has a line for each entry."""
    literal = _list(text, keyword)
    code = split_lines(text)[literal.lineno - 1].rstrip("\r\n")
    first = literal.lineno == 1
    length = len(code) + (line.column if first else 0)
    if line.followed or literal.lineno != literal.end_lineno or length <= style.line_length:
        return text
    margin = line.margin if first else code[: len(code) - len(code.lstrip())]
    return rows.wrapped(text, rows.Wrapping(margin, style.indent, line.newline), keyword)
