"""A statement of ours in a list of statements of the user's."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from typing import ClassVar

from laterctl.codemods.statements import same_code
from laterctl.project.facts import BodyPath
from laterctl.project.statements import Position, StatementRef
from laterctl.targets.base import Anchor, Binding, Effect, Inspection, Record, State, Target, of_kind
from laterctl.targets.document import Document
from laterctl.targets.file_edit import FileEdit, Insertion, Line, fitted, is_docstring
from laterctl.targets.pruning import is_filler
from laterctl.targets.python_target import CodeTarget, entered
from laterctl.targets.python_text import Text


class Statement(CodeTarget, frozen=True):
    """A statement in the list of statements of `scope` (a qualified name, `""` for the module).

    `order` sorts it among our other statements at the same place. `does` is its effect on the running application,
    as the two fields of `Effect`. `comment` goes behind it, as many of its clauses as fit the line: it comes and goes with
    the statement, and whatever a person makes of it says nothing about the statement.
    """

    kind: ClassVar[str] = "statement"
    restorable: ClassVar[bool] = True
    live_when_edited: ClassVar[bool] = True
    scope: str
    code: str
    order: tuple[int, str] = (0, "")
    does: tuple[str, str] = ("", "")
    comment: str = ""

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

    def is_same(self, code: str) -> bool:
        """Whether code is this statement; formatters move a comment behind a long line into parentheses."""
        return same_code(code, self.code) or any(same_code(code, form) for form in self.commented())

    def commented(self) -> list[str]:
        """Return the code with its comment, the whole one first, then without its last clauses."""
        ends = [found.start() for found in re.finditer(r"[;:] |$", self.comment)] if self.comment else []
        return [f"{self.code}  # {self.comment[:end]}" for end in reversed(ends)]

    @property
    def effect(self) -> Effect | None:
        if self.does[0]:
            return Effect(*self.does)
        words = (item for item in ast.walk(ast.parse(self.code)) if isinstance(item, ast.keyword))
        opened = next((item.value for item in words if item.arg == "lifespan"), None)
        return entered(self.path, opened) if opened is not None else None

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
    def statements(cls, text: Text, records: Sequence[Record]) -> set[Position]:
        located = (locate(text, target)[1] for target in of_kind(records, cls))
        return {item.position for item in located if item is not None}

    @classmethod
    def converge(
        cls, edit: FileEdit, before: Sequence[Record], after: Sequence[Record], anchors: Mapping[Target, Anchor]
    ) -> None:
        had, wanted = of_kind(before, cls), of_kind(after, cls)
        for target, record in had.items():
            inspection, found = locate(edit.text, target)
            if found is not None:
                edit.order[found.position] = (1, *target.order)
            if target in wanted:
                continue
            if found is None and target in edit.deleted:
                found = _altered(edit.text, target)
                edit.own.update({found.position} if found is not None else ())
            if found is None:
                edit.left[target] = "edited" if inspection.state is State.ALTERED else "gone"
                continue
            edit.drop.add(found.position)
            if record.replaced is not None:
                _restore_placeholder(edit, found, record.replaced)
        for target, record in wanted.items():
            if target in had or target not in anchors:
                continue
            anchor = anchors[target]
            column = len(edit.layout.style.indent) * len(anchor.body)
            code = fitted(target.code, edit.layout.style, Line(column))
            room = edit.layout.style.line_length - column
            code = next((form for form in target.commented() if code == target.code and len(form) <= room), code)
            placeholder = _placeholder(edit, anchor.body)
            if placeholder is not None:
                edit.drop.add(placeholder.position)
                edit.own.add(placeholder.position)
                edit.replaced[target] = edit.text.code(placeholder)
            elif (filler := record.replaced or _filler(had, target.scope)) is not None:
                edit.replaced[target] = filler
            edit.put(anchor.body, anchor.after, Insertion((1, *target.order), code))


def locate(text: Text, target: Statement) -> tuple[Inspection, StatementRef | None]:
    """Find a statement of ours: in its own scope first, elsewhere in the file otherwise."""
    found: StatementRef | None = None
    altered: StatementRef | None = None
    for item in text.like(target.code):
        if target.is_same(text.code(item)) and (target.comment or not text.comment_after(item.node)):
            if item.qualname == target.scope:
                return _inspection(State.PRESENT, item), item
            found = found or item
        elif item.qualname == target.scope:
            altered = altered or item
    if found is not None:
        return _inspection(State.PRESENT, found, "moved"), found
    if altered is not None:
        return _inspection(State.ALTERED, altered, text.code(altered)), None
    return Inspection(State.ABSENT), None


def _altered(text: Text, target: Statement) -> StatementRef | None:
    """Find what a person made of a statement of ours."""
    return next((item for item in text.like(target.code) if item.qualname == target.scope), None)


def _inspection(state: State, item: StatementRef, detail: str = "") -> Inspection:
    return Inspection(state, item.node.lineno, detail, ((item.node, ()),))


def _filler(had: Mapping[Statement, Record], scope: str) -> str | None:
    """The placeholder that our statements in a scope took the place of."""
    return next((record.replaced for target, record in had.items() if record.replaced and target.scope == scope), None)


def _placeholder(edit: FileEdit, body: BodyPath) -> StatementRef | None:
    """The `pass` or `...` that is all there is in a block besides a docstring and our own statements.

    One with a comment stays: the comment is the user's.
    """
    rest = [item for item in edit.text.in_body(body) if not is_docstring(item.node)]
    users = [item for item in rest if item.position not in edit.own or item.position in edit.drop]
    if not body or len(users) != 1 or edit.text.comment_after(users[0].node):
        return None
    return users[0] if is_filler(users[0].node) else None


def _restore_placeholder(edit: FileEdit, statement: StatementRef, code: str) -> None:
    body = statement.body
    rest = [item for item in edit.text.in_body(body) if not is_docstring(item.node) and item.position not in edit.drop]
    if not rest:
        first = min(item.index for item in edit.text.in_body(body) if item.position in edit.drop)
        edit.put(body, first, Insertion((0, 0, ""), code))
