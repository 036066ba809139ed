"""A row: the items of an array, or the pairs of an inline table, with the gaps between them.

An insert splits a gap in two and a removal joins two gaps, so that joining what was split is the identity. What the
entries are is read off tomlkit's array, which itself does not give back what it got: `append("c")` and `remove("c")`
leave `["b"]` of `["b",]`, and a comma behind `"b"` in an array that closes on the next line. So gaps are written here.
"""

from __future__ import annotations

import re

from laterctl.codemods.toml_spans import Value, comma_in, line_end, line_start
from laterctl.patterns import pattern

Edit = tuple[int, int, str]
"""A start, an end, and the text to put between them."""

INDENT = "    "
_COMMENT_BESIDE = pattern(r"[ \t]*,?[ \t]*#")
_OWN_LINE = pattern(r"\n([ \t]*)\Z")
_REST_OF_LINE = pattern(r"[ \t]*(,)?[ \t]*(#[^\n]*)?\r?\n")
_BLANK_REST = pattern(r"[ \t]*,?[ \t]*\r?\n")


class Row:
    """The entries of `text[value.start:value.end]`: spans of those that are there, sources of those that are new."""

    def __init__(self, text: str, value: Value) -> None:
        items, pairs = value.items or (), value.pairs or ()
        parts = [(item.start, item.end) for item in items] + [(pair.start, pair.value.end) for pair in pairs]
        self._text = text
        self._start, self._end = value.start + 1, value.end - 1
        self.entries: list[tuple[int, int] | str] = list(parts)
        bounds = [self._start, *(offset for part in parts for offset in part), self._end]
        self.gaps = [text[start:end] for start, end in zip(bounds[::2], bounds[1::2], strict=True)]

    def source(self, index: int) -> str:
        """Return an entry as it is written."""
        entry = self.entries[index]
        return entry if isinstance(entry, str) else self._text[slice(*entry)]

    def ends_in_comma(self) -> bool:
        """Say whether a comma follows the last entry."""
        return comma_in(self.gaps[-1]) >= 0

    def insert(self, index: int, source: str, newline: str) -> None:
        """Add an entry in the manner of those around it; `newline` ends lines that are added."""
        self.gaps[index : index + 1] = self._split(index, newline)
        self.entries.insert(index, source)

    def remove(self, index: int) -> bool:
        """Take an entry out; `False` when it has a comment on a line of its own, and stays."""
        joined = self._join(index)
        if joined is None:
            return False
        self.gaps[index : index + 2] = [joined]
        del self.entries[index]
        return True

    def edits(self) -> list[Edit]:
        """Return what changed, without the entries that stay."""
        found = []
        start, new = self._start, self.gaps[0]
        for entry, gap in zip([*self.entries, (self._end, self._end)], [*self.gaps[1:], ""], strict=True):
            if isinstance(entry, str):
                new += entry + gap
                continue
            if new != self._text[start : entry[0]]:
                found.append((start, entry[0], new))
            start, new = entry[1], gap
        return found

    def _split(self, index: int, newline: str) -> tuple[str, str]:
        gap = self.gaps[index]
        if not self.entries:
            return self._split_empty(gap, newline)
        rest = _REST_OF_LINE.match(gap)
        if index == 0:
            if rest:
                return gap[: rest.end()] + gap[line_start(gap, len(gap)) :], f",{newline}{gap[rest.end() :]}"
            return gap, "," + self._blank()
        if rest and rest[1]:
            return gap[: rest.end()] + self._indent(index), f",{newline}{gap[rest.end() :]}"
        if rest and comma_in(gap) < 0:
            return f",{gap[: rest.end()]}{self._indent(index)}", newline + gap[rest.end() :]
        line = _OWN_LINE.search(self.gaps[index - 1])
        # A comment that follows would look like one on the new line.
        if index == len(self.entries) and line and not _COMMENT_BESIDE.match(gap):
            return f",{newline}{line[1]}", gap
        return "," + self._blank(), gap

    def _split_empty(self, gap: str, newline: str) -> tuple[str, str]:
        if "\n" not in gap:
            return "", gap
        closing = line_start(gap, len(gap))
        comment = re.search(r"^([ \t]*)#", gap[line_end(gap, 0) : closing], re.MULTILINE)
        indent = comment[1] if comment else gap[closing:] + INDENT
        return gap[:closing] + indent, newline + gap[closing:]

    def _join(self, index: int) -> str | None:
        left, right = self.gaps[index : index + 2]
        line = _OWN_LINE.search(left)
        if line and _COMMENT_BESIDE.match(right):
            return None
        rest = _BLANK_REST.match(right)
        comma = comma_in(right)
        if line and rest and comma < rest.end():
            left = left[: line.start(1)]
            if comma < 0 and index > 0:
                left = _without_comma(left)
            return left + right[rest.end() :]
        if index > 0 and "#" not in left:
            return right
        if index + 1 < len(self.entries) and "#" not in right:
            return left
        return left + _without_comma(right) if comma >= 0 else _without_comma(left) + right

    def _indent(self, index: int) -> str:
        """Return the indent of an entry's line: that of the entry before, or after, that starts its line."""
        for gap in [*reversed(self.gaps[:index]), *self.gaps[index:-1]]:
            if line := _OWN_LINE.search(gap):
                return line[1]
        return indent_of(self._text, self._start) + INDENT

    def _blank(self) -> str:
        """Return the blanks that the row puts after a comma."""
        for gap in self.gaps[1:-1]:
            blank = gap[comma_in(gap) + 1 :]
            if not blank.strip(" "):
                return blank
        return " "


def indent_of(text: str, offset: int) -> str:
    """Return the blanks that the line of `offset` starts with."""
    line = text[line_start(text, offset) : line_end(text, offset)]
    return line[: len(line) - len(line.lstrip(" \t"))]


def apply(text: str, edits: list[Edit]) -> str:
    """Return `text` with edits carried out; those at one place in their order, those inside another one not at all."""
    parts, at = [], 0
    for start, end, new in sorted(edits, key=lambda edit: edit[0]):
        if start >= at:
            parts.append(text[at:start] + new)
        at = max(at, end)
    return "".join(parts) + text[at:]


def _without_comma(gap: str) -> str:
    at = comma_in(gap)
    return gap[:at] + gap[at + 1 :] if at >= 0 else gap
