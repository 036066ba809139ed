"""One name of a `from` import at the top of a Python file."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

from laterctl.project.bindings import bound_to
from laterctl.targets.base import Binding, Imported, Inspection, Record, State, of_kind
from laterctl.targets.document import Document
from laterctl.targets.python_target import PythonTarget
from laterctl.targets.python_text import Located, Spot, Text, import_of, imported_names, module_text


class ImportName(PythonTarget, frozen=True):
    """`from module import name as asname`. `source` is the absolute dotted name it stands for."""

    kind: ClassVar[str] = "import"
    restorable: ClassVar[bool] = True
    module: str
    name: str
    asname: str = ""
    source: str = ""

    @property
    def key(self) -> tuple[str, ...]:
        return self.kind, self.path, self.module, self.name, self.asname

    @property
    def local(self) -> str:
        """The name that the import binds."""
        return self.asname or self.name

    def describe(self) -> str:
        alias = f" as {self.asname}" if self.asname else ""
        return f"from {self.module} import {self.name}{alias}"

    def inspect(self, document: Document) -> Inspection:
        for node in document.text.tree.body:
            if not isinstance(node, ast.ImportFrom) or module_text(node) != self.module:
                continue
            for alias in node.names:
                if (alias.name, alias.asname or "") == (self.name, self.asname):
                    return Inspection(State.PRESENT, alias.lineno, nodes=((alias, ()),))
        if document.project is not None:
            place, dotted = bound_to(document.project, self.path, self.local)
            if place is not None and dotted and dotted != self.source:
                return Inspection(State.ALTERED, place.line, dotted)
        return Inspection(State.ABSENT)

    def uses(self, document: Document) -> frozenset[str]:
        return frozenset()

    def imports(self, document: Document) -> Iterator[Imported]:
        module, _, name = self.source.rpartition(".")
        yield Imported(module, name)

    def bindings(self) -> tuple[Binding, ...]:
        return (Binding("import", self.path, self.local),)

    @classmethod
    def statements(cls, text: Text, records: Sequence[Record]) -> set[Spot]:
        """Return the imports of which every name is ours, and none was put to names of the user's."""
        names: dict[str, set[tuple[str, str]]] = {}
        extended: set[str] = set()
        for target, record in of_kind(records, cls).items():
            names.setdefault(target.module, set()).add((target.name, target.asname))
            if record.replaced is not None:
                extended.add(target.module)
        found: Iterable[Located | None] = (import_of(text, name, names[name]) for name in names.keys() - extended)
        return {
            item.spot
            for item in found
            if item is not None and set(imported_names(item.node)) <= names[module_text(item.node)]
        }
