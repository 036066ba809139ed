"""A key of a TOML table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from msgspec.structs import replace

from laterctl.refusal import Refusal
from laterctl.targets.base import Conflict, Inspection, Record, State, frozen, of_kind
from laterctl.targets.document import Document
from laterctl.targets.text_target import TextTarget, thawed

if TYPE_CHECKING:
    from laterctl.codemods import toml


class TomlKey(TextTarget, frozen=True):
    """A key of a TOML table. `value` is plain data; lists are tuples."""

    kind: ClassVar[str] = "toml"
    restorable: ClassVar[bool] = False
    table: tuple[str, ...]
    name: str
    value: Any

    @property
    def key(self) -> tuple[str, ...]:
        return self.kind, self.path, ".".join(self.table), self.name

    def describe(self) -> str:
        return f"[{'.'.join(self.table)}] {self.name} = {self.value!r}"

    def inspect(self, document: Document) -> Inspection:
        from laterctl.codemods import toml

        keys = (*self.table, self.name)
        value = toml.get(document.plain, keys)
        if value is None:
            return Inspection(State.ABSENT)
        state = State.PRESENT if toml.same(value, self.value) else State.ALTERED
        return Inspection(state, toml.line_of(document.plain, keys), f"{self.name} = {value!r}")

    def as_found(self, document: Document) -> TextTarget:
        from laterctl.codemods import toml

        value = toml.get(document.plain, (*self.table, self.name))
        return self if value is None else replace(self, value=frozen(value))

    def shared(self, other: Record) -> Record:
        if isinstance(other.target, TomlKey) and other.target.value != self.value:
            raise Conflict(other.target.describe())
        return super().shared(other)

    def clash(self, inspection: Inspection) -> Refusal:
        found = super().clash(inspection)
        if self.table[:1] != ("tool",):
            return found
        # A tool's own configuration, not a name of ours.
        return replace(
            found,
            code="already-by-hand",
            message=f"{self.path} configures {self.table[1]} already, in another way",
            remedy="keep yours, or take it out and run the command again",
        )

    @classmethod
    def toml_pieces(cls, text: str, records: Sequence[Record]) -> list[toml.Piece]:
        from laterctl.codemods import toml

        keys = {target.key: target for target in of_kind(records, cls)}
        return [toml.Key((*item.table, item.name), thawed(item.value)) for _, item in sorted(keys.items())]

    @classmethod
    def converge_text(cls, text: str, before: Sequence[Record], after: Sequence[Record]) -> str:
        return text  # only TOML has keys
