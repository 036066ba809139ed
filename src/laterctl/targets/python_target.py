"""What the kinds of target share that live in Python files."""

from __future__ import annotations

import ast
from abc import abstractmethod
from collections.abc import Iterator, Sequence

from laterctl.targets.base import Binding, Imported, Record, Target
from laterctl.targets.document import Document
from laterctl.targets.python_text import Spot, Text


class PythonTarget(Target, frozen=True):
    """A target in a Python file."""

    @classmethod
    @abstractmethod
    def statements(cls, text: Text, records: Sequence[Record]) -> set[Spot]:
        """Return the places of whole statements that are ours: those that others must not lean on."""


class CodeTarget(PythonTarget, frozen=True):
    """A piece of code of ours: it imports nothing itself and uses the names that stand in it."""

    @property
    @abstractmethod
    def source(self) -> str:
        """The code, as something that `ast.parse` takes."""

    def uses(self, document: Document) -> frozenset[str]:
        found = (node for node in ast.walk(ast.parse(self.source)) if isinstance(node, ast.Name))
        return frozenset(node.id for node in found if isinstance(node.ctx, ast.Load))

    def imports(self, document: Document) -> Iterator[Imported]:
        return iter(())

    def bindings(self) -> tuple[Binding, ...]:
        return ()

    @classmethod
    def statements(cls, text: Text, records: Sequence[Record]) -> set[Spot]:
        return set()


def own_spots(text: Text, records: Sequence[Record]) -> set[Spot]:
    """Return the places of whole statements that are ours: those that anchors and orders must not lean on."""
    grouped: dict[type[PythonTarget], list[Record]] = {}
    for record in records:
        if record.ours and isinstance(record.target, PythonTarget):
            grouped.setdefault(type(record.target), []).append(record)
    return {spot for kind, own in grouped.items() for spot in kind.statements(text, own)}
