"""An entry of a list literal."""

from __future__ import annotations

import ast
from typing import ClassVar

from laterctl.targets.base import Effect, Inspection, State, Target
from laterctl.targets.document import Document
from laterctl.targets.python_target import CodeTarget
from laterctl.targets.python_text import Located, Text, holder_of, list_in


class ListEntry(CodeTarget, frozen=True):
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


def _inspection(state: State, element: ast.expr, detail: str = "") -> Inspection:
    return Inspection(state, element.lineno, detail, ((element, ()),))


def entry_text(target: ListEntry) -> str:
    """Return an entry of ours as `ast.unparse` spells it."""
    return ast.unparse(ast.parse(target.code, mode="eval"))


def list_of(text: Text, target: ListEntry) -> tuple[Located, ast.List] | None:
    """Find the list literal that an entry belongs to, and its statement."""
    for item in text.statements:
        if item.scope == target.scope and holder_of(item.node) == target.holder:
            literal = list_in(item.node, target.keyword)
            if literal is not None:
                return item, literal
    return None
