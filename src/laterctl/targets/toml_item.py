"""An item of a TOML array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from laterctl.targets.base import Inspection, Record, State, of_kind
from laterctl.targets.document import Document
from laterctl.targets.text_target import TextTarget, thawed

if TYPE_CHECKING:
    from laterctl.codemods import toml


class TomlItem(TextTarget, frozen=True):
    """An item of the array `name` of a TOML table. `value` is plain data; lists are tuples."""

    kind: ClassVar[str] = "item"
    restorable: ClassVar[bool] = True
    table: tuple[str, ...]
    name: str
    value: Any

    @property
    def key(self) -> tuple[str, ...]:
        return self.kind, self.path, ".".join(self.table), self.name, repr(self.value)

    def describe(self) -> str:
        return f"[{'.'.join(self.table)}] {self.name} = [... {self.value!r} ...]"

    def inspect(self, document: Document) -> Inspection:
        from laterctl.codemods import toml

        if not toml.is_present(document.plain, self._piece()):
            return Inspection(State.ABSENT)
        return Inspection(State.PRESENT, toml.line_of(document.plain, (*self.table, self.name)))

    def _piece(self) -> toml.Item:
        from laterctl.codemods import toml

        return toml.Item((*self.table, self.name), thawed(self.value))

    @classmethod
    def toml_pieces(cls, text: str, records: Sequence[Record]) -> list[toml.Piece]:
        items = {target.key: target for target in of_kind(records, cls)}
        return [item._piece() for _, item in sorted(items.items())]

    @classmethod
    def converge_text(cls, text: str, before: Sequence[Record], after: Sequence[Record]) -> str:
        return text  # only TOML has arrays
