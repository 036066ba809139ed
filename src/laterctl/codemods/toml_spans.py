"""Where things stand in a TOML text: tables, pairs and values as offsets, read off tomlkit's documents.

tomlkit keeps what a section is made of, in order and as it is written, but no offsets. The walk goes along the text
and adds up the lengths of what the document says comes next; blanks, commas and comments between are skipped.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from laterctl.codemods.placement import TextEditError
from laterctl.patterns import pattern

if TYPE_CHECKING:
    from tomlkit import TOMLDocument
    from tomlkit.container import Container
    from tomlkit.items import Item

Path = tuple[str | int, ...]
"""Keys from the root; an element of an array of tables is an integer."""

_GAP = pattern(r"(?:[ \t\r\n,]+|#[^\r\n]*)*")
_HEADER = pattern(r"^[ \t]*\[", re.MULTILINE)
_MARK = pattern(r"#[^\r\n]*|,")


class TomlEditError(TextEditError):
    """A TOML text cannot be read, or cannot be edited safely."""


class Value(Struct, frozen=True):
    """A value, `text[start:end]`. Of an array `items` are set, of an inline table `pairs`."""

    start: int
    end: int
    items: tuple[Value, ...] | None = None
    pairs: tuple[Pair, ...] | None = None


class Pair(Struct, frozen=True):
    """`keys = value`; the keys are those written here, `start` is where they start, `equals` where the sign is."""

    keys: tuple[str, ...]
    start: int
    equals: int
    value: Value


class Section(Struct, frozen=True):
    """The root, or a table with its header.

    `start` is where the header's line starts, `body` the line after it; `end` is where the next header's line starts.
    """

    path: Path
    start: int
    body: int
    end: int
    element: bool = False
    pairs: tuple[Pair, ...] = ()


class Layout(Struct, frozen=True):
    """The sections of a text, the root first; its comments, and its string values as written, in order."""

    sections: tuple[Section, ...]
    comments: tuple[str, ...]
    strings: tuple[str, ...]


@lru_cache(maxsize=8)  # an edit looks at the same text several times
def layout(text: str) -> Layout:
    """Return the layout of `text`, which must be valid TOML without a byte order mark.

    Raises `TomlEditError` for what tomlkit refuses, such as a hundred arrays in each other.
    """
    from tomlkit.exceptions import ParseError

    walk = _Walk(text)
    above = 0
    for section in cut(text):
        try:
            document = _document(section)
        except ParseError as error:
            raise TomlEditError("tomlkit cannot read it", above + error.line) from error
        walk.tables(document, ())
        above += section.count("\n")
    walk.skip()
    ends = [header.start for header in walk.headers[1:]] + [len(text)]
    sections = tuple(
        Section(header.path, header.start, header.body, end, header.element, tuple(header.pairs))
        for header, end in zip(walk.headers, ends, strict=True)
    )
    return Layout(sections, tuple(walk.comments), tuple(walk.strings))


@lru_cache(maxsize=8)
def cut(text: str) -> tuple[str, ...]:
    """Cut a text before each header: a bracket that starts a line where what is above can be read on its own.

    tomlkit keeps neither order nor count of tables that are split, as `[[a]]`, `[b]`, `[[a]]` or `[a.b]`, `[c]`,
    `[a.b.d]` are, and refuses some of them; one section at a time it reads them all.
    """
    found = []
    start = 0
    for match in _HEADER.finditer(text):
        if match.start() > start and _is_whole(text[start : match.start()]):
            found.append(text[start : match.start()])
            start = match.start()
    return (*found, text[start:])


def _is_whole(text: str) -> bool:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True


@lru_cache(maxsize=128)  # an edit leaves most sections as they are
def _document(section: str) -> TOMLDocument:
    import tomlkit

    return tomlkit.parse(section)


def comma_in(gap: str) -> int:
    """Return the offset of the first comma outside comments in what stands between two values, -1 without one."""
    return next((match.start() for match in _MARK.finditer(gap) if match[0] == ","), -1)


def line_end(text: str, offset: int) -> int:
    """Return the offset after the line feed that ends the line of `offset`, or the end of the text."""
    return text.find("\n", offset) + 1 or len(text)


def line_start(text: str, offset: int) -> int:
    """Return the offset at which the line of `offset` starts."""
    return text.rfind("\n", 0, offset) + 1


class _Header(Struct):
    path: Path
    start: int
    body: int
    element: bool
    pairs: list[Pair] = field(default_factory=list)


class _Walk:
    """A position in a text that goes along with a walk over its document."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.headers = [_Header((), 0, 0, element=False)]
        self.counts: dict[Path, int] = {}  # the last elements of arrays of tables
        self.comments: list[str] = []
        self.strings: list[str] = []

    def tables(self, container: Container, path: Path) -> None:
        """Go over the body of a section's document, or of a table in it."""
        from tomlkit.items import AoT, Table

        for key, item in container.body:
            if key is None:  # blanks and comments
                continue
            if key.is_dotted() or not isinstance(item, AoT | Table):
                self.headers[-1].pairs += [self.pair(*parts) for parts in _flat(key, item)]
                continue
            inner: Path = (*path, key.key)
            if isinstance(item, AoT):
                self.counts[inner] = self.counts.get(inner, -1) + 1
                self.table(item.body[0], (*inner, self.counts[inner]), element=True)
            else:
                self.table(item, (*inner, self.counts[inner]) if inner in self.counts else inner)

    def table(self, table: Any, path: Path, *, element: bool = False) -> None:
        if table.display_name is not None:  # else a table that is only named in the headers of those below it
            self.skip()
            start = self.at
            self.take(f"[[{table.display_name}]]" if element else f"[{table.display_name}]")
            header = _Header(path, line_start(self.text, start), line_end(self.text, start), element)
            self.headers.append(header)
        self.tables(table.value, path)

    def pair(self, keys: tuple[str, ...], source: str, separator: str, item: Item) -> Pair:
        self.skip()
        start = self.at
        self.take(source)
        equals = self.at + separator.find("=")
        self.take(separator)
        return Pair(keys, start, equals, self.value(item))

    def value(self, item: Any) -> Value:
        from tomlkit.items import Array, InlineTable, String

        start = self.at
        if isinstance(item, Array):
            self.take("[")
            items = []
            for inner in item:
                self.skip()
                items.append(self.value(inner))
            self.skip()
            self.take("]")
            return Value(start, self.at, items=tuple(items))
        if isinstance(item, InlineTable):
            self.take("{")
            body = [parts for key, inner in item.value.body if key is not None for parts in _flat(key, inner)]
            pairs = tuple(self.pair(*parts) for parts in body)
            self.skip()
            self.take("}")
            return Value(start, self.at, pairs=pairs)
        source = item.as_string()
        if isinstance(item, String):
            self.strings.append(source)
        self.take(source)
        return Value(start, self.at)

    def skip(self) -> None:
        """Go over blanks, commas and comments."""
        match = _GAP.match(self.text, self.at)
        assert match is not None
        self.comments += [mark[0] for mark in _MARK.finditer(match[0]) if mark[0] != ","]
        self.at = match.end()

    def take(self, source: str) -> None:
        """Go over what must come next. Raises `TomlEditError` when something else does."""
        if not self.text.startswith(source, self.at):
            line = self.text.count("\n", 0, self.at) + 1
            raise TomlEditError("tomlkit does not keep what is here as it is written", line)
        self.at += len(source)


def _flat(key: Any, item: Any) -> Iterator[tuple[tuple[str, ...], str, str, Item]]:
    """Yield keys, their source, the separator and the value of a pair, which has a table for each dot in its keys."""
    from tomlkit.items import Table

    if not (key.is_dotted() and isinstance(item, Table)):
        yield (key.key,), key.as_string(), key.sep, item
        return
    for inner, value in item.value.body:
        if inner is not None:
            for keys, source, separator, last in _flat(inner, value):
                yield (key.key, *keys), f"{key.as_string()}.{source}", separator, last
