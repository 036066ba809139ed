"""A keyword argument of a call of the user's."""

from __future__ import annotations

import ast
from typing import ClassVar

from laterctl.targets.base import Inspection, State
from laterctl.targets.document import Document
from laterctl.targets.python_target import CodeTarget
from laterctl.targets.python_text import Located, Text, holder_of


class Argument(CodeTarget, frozen=True):
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
    def source(self) -> str:
        return self.value

    def inspect(self, document: Document) -> Inspection:
        found = call_of(document.text, self)
        for keyword in found[1].keywords if found is not None else ():
            if keyword.arg == self.keyword:
                same = ast.unparse(keyword.value) == ast.unparse(ast.parse(self.value, mode="eval"))
                state = State.PRESENT if same else State.ALTERED
                return Inspection(state, keyword.value.lineno, nodes=((keyword, ()),))
        return Inspection(State.ABSENT)


def call_of(text: Text, target: Argument) -> tuple[Located, ast.Call] | None:
    """Find the call that an argument belongs to, and its statement."""
    for item in text.statements:
        if item.scope == target.scope and holder_of(item.node) == target.holder:
            value = getattr(item.node, "value", None)
            if isinstance(value, ast.Call):
                return item, value
    return None
