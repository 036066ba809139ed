"""A line of an ignore file or of an example environment file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from msgspec.structs import replace

from laterctl.targets.base import Inspection, Record, State, of_kind
from laterctl.targets.document import Document
from laterctl.targets.text_target import TextTarget

if TYPE_CHECKING:
    from laterctl.codemods import toml


class TextLine(TextTarget, frozen=True):
    """A line of an ignore file, or `KEY=value` of an example environment file (`form` `ignore` or `env`).

    The latter may be commented out, and have lines of comments above it.
    """

    kind: ClassVar[str] = "line"
    restorable: ClassVar[bool] = False
    form: str
    text: str

    @property
    def key(self) -> tuple[str, ...]:
        return self.kind, self.path, self._about

    @property
    def _about(self) -> str:
        from laterctl.codemods import lines

        return lines.env_key(self.text.rpartition("\n")[2]) if self.form == "env" else self.text.strip()

    def describe(self) -> str:
        return self.text.rpartition("\n")[2]

    def inspect(self, document: Document) -> Inspection:
        from laterctl.codemods import lines

        for number, line in enumerate(document.plain.splitlines(), 1):
            if (lines.env_key(line) if self.form == "env" else line.strip()) == self._about:
                return Inspection(State.PRESENT, number)
        return Inspection(State.ABSENT)

    def as_found(self, document: Document) -> TextTarget:
        from laterctl.codemods import lines

        if self.form != "env":
            return self
        comment = self.text.rpartition("\n")[0].split("\n")
        there = document.plain.splitlines()
        for number, line in enumerate(there):
            if lines.env_key(line) == self._about:
                above = comment if there[max(0, number - len(comment)) : number] == comment else []
                return replace(self, text="\n".join([*above, line]))
        return self

    @classmethod
    def toml_pieces(cls, text: str, records: Sequence[Record]) -> list[toml.Piece]:
        return []

    @classmethod
    def converge_text(cls, text: str, before: Sequence[Record], after: Sequence[Record]) -> str:
        from laterctl.codemods import lines

        text = lines.converge_env(text, _texts(before, "env"), _texts(after, "env"))
        return lines.converge_ignores(text, _texts(before, "ignore"), _texts(after, "ignore"))


def _texts(records: Sequence[Record], form: str) -> list[str]:
    return sorted({target.text for target in of_kind(records, TextLine) if target.form == form})
