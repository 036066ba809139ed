"""One document as targets see it: its bytes, and what they mean, read once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from laterctl.project.source import Source, decoded
from laterctl.targets.base import Inspection, Record, State, Target
from laterctl.targets.module_names import ModuleNames
from laterctl.targets.python_text import Text, read_text

if TYPE_CHECKING:
    from laterctl.project.discover import Project


class Document:
    """The file `path` with the content `data`.

    `records` are those of our targets in it, from all features. `project` resolves names where one is given.
    """

    def __init__(self, path: str, data: bytes, records: Sequence[Record] = (), project: Project | None = None) -> None:
        self.path = path
        self.data = data
        self.records = records
        self.project = project

    @classmethod
    def of_text(cls, path: str, text: Text) -> Document:
        """Return the document of a Python text that has been read."""
        document = cls(path, text.source.encode())
        document.__dict__["text"] = text
        return document

    @cached_property
    def text(self) -> Text:
        """The document as Python.

        Raises:
            SyntaxError: it is none.
            Unreadable: it is not the text that it claims to be.
        """
        return read_text(Source(self.path, self.data).text)

    @cached_property
    def names(self) -> ModuleNames:
        """What the document loads, binds and imports, as Python. Raises what `text` does."""
        return ModuleNames(self.text.tree)

    @cached_property
    def plain(self) -> str:
        """The document as text, without a byte order mark. Raises `Unreadable`."""
        return decoded_text(self.path, self.data)[0].removeprefix("\ufeff")


def decoded_text(path: str, data: bytes) -> tuple[str, str]:
    """Return the text of a document, with its byte order mark, and its encoding. Raises `Unreadable`."""
    return decoded(path, data, wide=path.endswith((".txt", ".in")))


def inspect(
    target: Target, data: bytes | None, records: Sequence[Record] = (), project: Project | None = None
) -> Inspection:
    """Inspect one target in its document.

    Args:
        target: any target.
        data: the document's bytes, `None` when there is no such file.
        records: of our own targets in the same document.
        project: resolves names; without it a name that the user has bound to something else counts as absent.

    Raises:
        Unreadable: the document is not the text that it claims to be.
    """
    if data is None:
        return Inspection(State.ABSENT)
    return inspect_in(target, Document(target.path, data, records, project))


def inspect_in(target: Target, document: Document) -> Inspection:
    """Inspect one of several targets in the same document. Raises `Unreadable` as `inspect` does."""
    try:
        return target.inspect(document)
    except SyntaxError as error:
        return Inspection(State.ALTERED, error.lineno or 1, "syntax error")
