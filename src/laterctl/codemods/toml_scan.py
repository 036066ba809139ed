"""Where things stand in a TOML text: tables, pairs, values, as offsets.

`tomllib` and tomlkit say what a document means, neither says where. This reads the layout of a text that `tomllib`
has accepted already, so it does not judge; it follows TOML 1.0 (toml.io/en/v1.0.0).
"""

from __future__ import annotations

import re
import tomllib
from functools import lru_cache
from typing import NamedTuple

from msgspec import Struct, field

Path = tuple[str | int, ...]
"""Keys from the root; an element of an array of tables is an integer."""

_TOKEN = re.compile(
    r"""
    (?P<blank>[ \t]+)
  | (?P<newline>\r?\n)
  | (?P<comment>\#[^\r\n]*)
  | (?P<string>
        \"{3}(?:\\.|[^\\])*?\"{3}\"{0,2}
      | '{3}.*?'{3}'{0,2}
      | "(?:\\.|[^"\\\n])*"
      | '[^'\n]*'
    )
  | (?P<mark>[\[\]{}=,.])
  | (?P<bare>[^\s\[\]{}=,.\#"']+)
    """,
    re.VERBOSE | re.DOTALL,
)


class Value(Struct, frozen=True):
    """A value, `text[start:end]`. Of an array `items` are set, of an inline table `pairs`.

    `comma` is the offset of the comma that follows it in an array, -1 where none does.
    """

    start: int
    end: int
    items: tuple[Value, ...] | None = None
    pairs: tuple[Pair, ...] | None = None
    comma: int = -1


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


class _Token(NamedTuple):
    kind: str
    text: str
    start: int
    end: int


class _Header(Struct):
    path: Path
    start: int
    body: int
    element: bool
    pairs: list[Pair] = field(default_factory=list)


def comments(text: str) -> list[str]:
    """Return the comments of a valid TOML text, in order."""
    return [match[0] for match in _TOKEN.finditer(text) if match.lastgroup == "comment"]


def strings(text: str) -> list[str]:
    """Return the strings of a valid TOML text as they are written, in order."""
    return [match[0] for match in _TOKEN.finditer(text) if match.lastgroup == "string"]


@lru_cache(maxsize=8)  # an edit looks at the same text several times
def scan(text: str) -> tuple[Section, ...]:
    """Return the sections of `text`, which must be valid TOML; the first is the root."""
    reader = _Reader(text)
    headers = [_Header((), 0, 0, element=False)]
    counts: dict[Path, int] = {}
    while (token := reader.skip()) is not None:
        if token.text == "[" and token.kind == "mark":
            headers.append(_header(text, reader, counts))
        else:
            headers[-1].pairs.append(reader.pair())
    ends = [header.start for header in headers[1:]] + [len(text)]
    return tuple(
        Section(header.path, header.start, header.body, end, header.element, tuple(header.pairs))
        for header, end in zip(headers, ends, strict=True)
    )


def _header(text: str, reader: _Reader, counts: dict[Path, int]) -> _Header:
    start = reader.take().start
    element = reader.peek("[")
    if element:
        reader.take()
    keys = reader.keys()
    while reader.peek("]"):
        reader.take()
    path: Path = ()
    for key in keys[:-1]:
        path += (key,)
        if path in counts:
            path += (counts[path] - 1,)
    path += (keys[-1],)
    if element:
        counts[path] = counts.get(path, 0) + 1
        path += (counts[path] - 1,)
    line = text.rfind("\n", 0, start) + 1
    return _Header(path, line, line_end(text, start), element)


def line_end(text: str, offset: int) -> int:
    """Return the offset after the line feed that ends the line of `offset`, or the end of the text."""
    return text.find("\n", offset) + 1 or len(text)


def line_start(text: str, offset: int) -> int:
    """Return the offset at which the line of `offset` starts."""
    return text.rfind("\n", 0, offset) + 1


class _Reader:
    """Tokens with a cursor."""

    def __init__(self, text: str) -> None:
        self.tokens = [
            _Token(match.lastgroup or "", match[0], match.start(), match.end())
            for match in _TOKEN.finditer(text)
            if match.lastgroup != "blank"
        ]
        self.at = 0

    def skip(self) -> _Token | None:
        """Go to the next token that is neither a comment nor a line's end."""
        while self.at < len(self.tokens) and self.tokens[self.at].kind in {"newline", "comment"}:
            self.at += 1
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def take(self) -> _Token:
        self.at += 1
        return self.tokens[self.at - 1]

    def peek(self, mark: str) -> bool:
        if self.at >= len(self.tokens):
            return False
        token = self.tokens[self.at]
        return token.kind == "mark" and token.text == mark

    def keys(self) -> tuple[str, ...]:
        found = [_key(self.take())]
        while self.peek("."):
            self.take()
            found.append(_key(self.take()))
        return tuple(found)

    def pair(self) -> Pair:
        start = self.tokens[self.at].start
        keys = self.keys()
        equals = self.take().start
        return Pair(keys, start, equals, self.value())

    def value(self) -> Value:
        if self.peek("["):
            return self.array()
        if self.peek("{"):
            return self.table()
        first = last = self.take()
        while self.at < len(self.tokens) and first.kind != "string":
            token = self.tokens[self.at]
            if token.kind not in {"bare", "mark"} or token.text in {",", "]", "}"}:
                break
            last = self.take()
        return Value(first.start, last.end)

    def array(self) -> Value:
        start = self.take().start
        items: list[Value] = []
        self.skip()
        while not self.peek("]"):
            item = self.value()
            self.skip()
            comma = self.take().start if self.peek(",") else -1
            items.append(Value(item.start, item.end, item.items, item.pairs, comma))
            self.skip()
        return Value(start, self.take().end, items=tuple(items))

    def table(self) -> Value:
        start = self.take().start
        pairs: list[Pair] = []
        self.skip()
        while not self.peek("}"):
            pairs.append(self.pair())
            self.skip()
            if self.peek(","):
                self.take()
            self.skip()
        return Value(start, self.take().end, pairs=tuple(pairs))


def _key(token: _Token) -> str:
    if token.kind == "bare":
        return token.text
    return next(iter(tomllib.loads(f"{token.text} = 0")))
