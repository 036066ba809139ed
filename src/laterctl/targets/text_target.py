"""What the kinds of target share that live in files that are not Python."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from laterctl.targets.base import Binding, Imported, Record, Target
from laterctl.targets.document import Document

if TYPE_CHECKING:
    from laterctl.codemods import toml


class TextTarget(Target, frozen=True):
    """A target in a TOML document or a list of lines. The verbs of a kind take the records of all kinds in a file."""

    @property
    def serves_code(self) -> bool:
        return True

    def uses(self, document: Document) -> frozenset[str]:
        return frozenset()

    def imports(self, document: Document) -> Iterator[Imported]:
        return iter(())

    def bindings(self) -> tuple[Binding, ...]:
        return ()

    def as_found(self, document: Document) -> TextTarget:
        """Return what the user made of it, for taking that out all the same; itself where that cannot be told."""
        return self

    @classmethod
    @abstractmethod
    def toml_pieces(cls, text: str, records: Sequence[Record]) -> list[toml.Piece]:
        """Return what records of this kind are in the TOML document `text`.

        Raises:
            laterctl.codemods.placement.TextEditError: the document does not take them.
        """

    @classmethod
    @abstractmethod
    def converge_text(cls, text: str, before: Sequence[Record], after: Sequence[Record]) -> str:
        """Bring a document that is no TOML from the records of this kind in `before` to those in `after`.

        Raises:
            laterctl.codemods.placement.TextEditError: no clean edit is possible.
        """

    @classmethod
    def converge_first(cls, text: str, before: Sequence[Record], after: Sequence[Record]) -> str:
        """Change what is the user's own, in any format, before the rest is converged."""
        return text


def thawed(value: Any) -> Any:
    """Return plain data of a target as TOML has it: with lists for tuples."""
    return [thawed(item) for item in value] if isinstance(value, tuple) else value
