"""An `import module` at the top of a Python file."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from laterctl.project.statements import Position, StatementRef
from laterctl.targets.base import Anchor, Binding, Imported, Inspection, Record, State, Target, of_kind
from laterctl.targets.document import Document
from laterctl.targets.file_edit import FileEdit, Insertion
from laterctl.targets.import_name import import_order, import_place
from laterctl.targets.python_target import PythonTarget
from laterctl.targets.python_text import Text


class ImportModule(PythonTarget, frozen=True):
    """`import module`, on a line of its own; one of the user's, among others too, does as well."""

    kind: ClassVar[str] = "module"
    restorable: ClassVar[bool] = True
    turn: ClassVar[int] = 1
    module: str

    @property
    def key(self) -> tuple[str, ...]:
        return self.kind, self.path, self.module

    @property
    def local(self) -> str:
        """The name that the import binds."""
        return self.module.partition(".")[0]

    def describe(self) -> str:
        return f"import {self.module}"

    def inspect(self, document: Document) -> Inspection:
        for node in document.text.tree.body:
            for alias in node.names if isinstance(node, ast.Import) else ():
                if (alias.name, alias.asname) == (self.module, None):
                    return Inspection(State.PRESENT, node.lineno, nodes=((alias, ()),))
        return Inspection(State.ABSENT)

    def uses(self, document: Document) -> frozenset[str]:
        return frozenset()

    def imports(self, document: Document) -> Iterator[Imported]:
        yield Imported(self.module)

    def bindings(self) -> tuple[Binding, ...]:
        return (Binding("import", self.path, self.local),)

    def statement_in(self, text: Text) -> StatementRef | None:
        """Find the import where it stands alone on its line."""
        for item in text.in_body(()):
            if isinstance(item.node, ast.Import) and ast.unparse(item.node) == self.describe():
                return item
        return None

    @classmethod
    def statements(cls, text: Text, records: Sequence[Record]) -> set[Position]:
        found = (target.statement_in(text) for target in of_kind(records, cls))
        return {item.position for item in found if item is not None}

    @classmethod
    def converge(
        cls, edit: FileEdit, before: Sequence[Record], after: Sequence[Record], anchors: Mapping[Target, Anchor]
    ) -> None:
        had, wanted = of_kind(before, cls), of_kind(after, cls)
        used = edit.used() if had.keys() - wanted.keys() else set()
        for target in had:
            found = target.statement_in(edit.text)
            if found is not None:
                edit.order[found.position] = import_order(edit, target.module, plain=True)
            if target in wanted:
                continue
            if found is None:
                edit.left[target] = "gone"
            elif target.local in used:
                edit.left[target] = "used"
            else:
                edit.drop.add(found.position)
        for target in wanted.keys() - had.keys():
            if target.statement_in(edit.text) is None:
                order = import_order(edit, target.module, plain=True)
                edit.put((), import_place(edit, order), Insertion(order, target.describe(), order[1]))
