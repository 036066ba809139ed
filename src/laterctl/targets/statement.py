"""A statement of ours in a list of statements of the user's."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import ClassVar

from laterctl.codemods.statements import same_code
from laterctl.targets.base import Binding, Effect, Inspection, Record, State, Target, of_kind
from laterctl.targets.document import Document
from laterctl.targets.python_target import CodeTarget
from laterctl.targets.python_text import Located, Spot, Text


class Statement(CodeTarget, frozen=True):
    """A statement in the list of statements of `scope` (a qualified name, `""` for the module).

    `order` sorts it among our other statements at the same place. `does` is its effect on the running application,
    as the two fields of `Effect`.
    """

    kind: ClassVar[str] = "statement"
    restorable: ClassVar[bool] = True
    live_when_edited: ClassVar[bool] = True
    scope: str
    code: str
    order: tuple[int, str] = (0, "")
    does: tuple[str, str] = ("", "")

    @property
    def key(self) -> tuple[str, ...]:
        return self.kind, self.path, self.scope, self.code

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
        return locate(document.text, self)[0]

    def bindings(self) -> tuple[Binding, ...]:
        name = self.binds
        if not name:
            return ()
        return (Binding("member" if self.scope else "name", self.path, name, self.scope),)

    @property
    def binds(self) -> str:
        """The name that the statement binds, `""` when it binds none."""
        node = ast.parse(self.code).body[0]
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            return node.name
        bound = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        return bound.id if isinstance(bound, ast.Name) else ""

    @property
    def serves_code(self) -> bool:
        return bool(self.scope) and bool(self.binds)

    @classmethod
    def statements(cls, text: Text, records: Sequence[Record]) -> set[Spot]:
        located = (locate(text, target)[1] for target in of_kind(records, cls))
        return {item.spot for item in located if item is not None}


def locate(text: Text, target: Statement) -> tuple[Inspection, Located | None]:
    """Find a statement of ours: in its own scope first, elsewhere in the file otherwise."""
    found: Located | None = None
    altered: Located | None = None
    for item in text.like(target.code):
        if same_code(text.code(item), target.code) and not text.comment_after(item.node):
            if item.scope == target.scope:
                return _inspection(State.PRESENT, item), item
            found = found or item
        elif item.scope == target.scope:
            altered = altered or item
    if found is not None:
        return _inspection(State.PRESENT, found, "moved"), found
    if altered is not None:
        return _inspection(State.ALTERED, altered, text.code(altered)), None
    return Inspection(State.ABSENT), None


def _inspection(state: State, item: Located, detail: str = "") -> Inspection:
    return Inspection(state, item.node.lineno, detail, ((item.node, ()),))
