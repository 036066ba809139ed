"""What the kinds of target share that live in Python files."""

from __future__ import annotations

import ast
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from laterctl.project.statements import Position
from laterctl.targets.base import Anchor, Binding, Effect, Imported, Record, Target
from laterctl.targets.document import Document
from laterctl.targets.python_text import Text

if TYPE_CHECKING:
    from laterctl.targets.file_edit import FileEdit


class PythonTarget(Target, frozen=True):
    """A target in a Python file.

    Attributes:
        turn: kinds with a lower one converge earlier. Imports come last: what else goes says which names are used.
    """

    turn: ClassVar[int] = 0

    @classmethod
    @abstractmethod
    def converge(
        cls, edit: FileEdit, before: Sequence[Record], after: Sequence[Record], anchors: Mapping[Target, Anchor]
    ) -> None:
        """Note in `edit` what brings the targets of this kind from `before` to `after`.

        Args:
            edit: the document, and what is to be done with it.
            before: records of our own targets of all kinds that are in it.
            after: records wanted; new ones have no `replaced` text yet.
            anchors: where new statements go.

        Raises:
            TextEditError: a place cannot be edited without touching what is not ours.
        """

    @classmethod
    @abstractmethod
    def statements(cls, text: Text, records: Sequence[Record]) -> set[Position]:
        """Return the places of whole statements that are ours: those that others must not lean on."""


class CodeTarget(PythonTarget, frozen=True):
    """A piece of code of ours: it imports nothing itself and uses the names that stand in it."""

    @property
    @abstractmethod
    def source(self) -> str:
        """The code, as something that `ast.parse` takes."""

    def verify(self) -> None:
        super().verify()
        for code in self.expressions:
            ast.parse(code, mode="eval")
        if not ast.parse(self.source).body:
            raise ValueError("its code is empty")

    @property
    def expressions(self) -> tuple[str, ...]:
        """Those of its texts that are expressions."""
        return ()

    def uses(self, document: Document) -> frozenset[str]:
        found = (node for node in ast.walk(ast.parse(self.source)) if isinstance(node, ast.Name))
        return frozenset(node.id for node in found if isinstance(node.ctx, ast.Load))

    def imports(self, document: Document) -> Iterator[Imported]:
        return iter(())

    def bindings(self) -> tuple[Binding, ...]:
        return ()

    @classmethod
    def statements(cls, text: Text, records: Sequence[Record]) -> set[Position]:
        return set()


def own_statements(text: Text, records: Sequence[Record]) -> set[Position]:
    """Return the places of whole statements that are ours: those that anchors and orders must not lean on."""
    grouped: dict[type[PythonTarget], list[Record]] = {}
    for record in records:
        if record.ours and isinstance(record.target, PythonTarget):
            grouped.setdefault(type(record.target), []).append(record)
    return {position for kind, own in grouped.items() for position in kind.statements(text, own)}


def entered(path: str, context: ast.expr) -> Effect:
    """Return the effect of a context manager, as it is called in a file, that is open while the app runs."""
    module = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    return Effect("lifespan", f"{module}.{ast.unparse(context)}")
