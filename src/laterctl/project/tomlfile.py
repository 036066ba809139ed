"""TOML files, parsed to look at and never to be written again."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from laterctl.patterns import pattern
from laterctl.project.source import Unreadable
from laterctl.project.tree import Tree

_AT = pattern(r"\(at line (\d+), column \d+\)")


class InvalidToml(ValueError):
    """A text is not TOML: why, and the `line` (from 1) on which that shows."""

    def __init__(self, reason: str, line: int) -> None:
        super().__init__(reason)
        self.line = line


def load_toml(tree: Tree, path: str) -> Mapping[str, Any] | None:
    """Return a parsed TOML file, `None` when it is absent.

    Raises:
        Unreadable: it is not UTF-8 or not TOML; the line is given.
        Outside: it leads out of the project.
    """
    data = tree.read(path)
    if data is None:
        return None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise Unreadable(path, line, "the file is not valid UTF-8", "save the file as UTF-8", code="encoding") from None
    try:
        return parse(text)
    except InvalidToml as error:
        raise Unreadable(path, error.line, str(error), "correct the file first", code="toml") from None


@lru_cache(maxsize=64)  # facts, style and every edit look at the same few texts, and at their sections
def parse(text: str) -> dict[str, Any]:
    """Return what a text without a byte order mark says; nobody may change it. Raises `InvalidToml`."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        match = _AT.search(str(error))
        line = int(match[1]) if match else text.count("\n") + 1
        reason = _AT.sub("", str(error)).removesuffix("(at end of document)").strip()
        raise InvalidToml(f"not valid TOML: {reason}", line) from error


def table(parent: Mapping[str, Any] | None, *names: str) -> Mapping[str, Any]:
    """Return a nested table, `{}` when any part of the way is missing or something else."""
    for name in names:
        value = parent.get(name) if parent else None
        parent = value if isinstance(value, dict) else {}
    return parent or {}


def line_of(text: str, header: tuple[str, ...], needle: str) -> int:
    """Return the line where `needle` stands below table `header`, or anywhere; 1 when nowhere.

    `header` may end in a key of the table. A parser that keeps positions is only needed to edit; this is for people.
    An element, or where `header` is a table a key, is `needle` as a whole before it is a part of another.
    """
    lines = [line.strip() for line in text.splitlines()]
    starts: list[str] = [f"[{'.'.join(header[:count])}]" for count in range(len(header), 0, -1)]
    begin = next((lines.index(start) for start in starts if start in lines), 0)
    key = re.compile(rf"[\"']?(?:[\w-]+\.)*{re.escape(header[-1])}[\"']?\s*=")
    element = rf"[\"']{re.escape(needle)}[\"'](?!\s*=)"
    if f"[{'.'.join(header)}]" in lines:
        element = rf"^[\"']?{re.escape(needle)}[\"']?\s*="
    else:
        begin = next((number for number in range(begin, len(lines)) if key.match(lines[number])), begin)
    order = [*range(begin, len(lines)), *range(begin)]
    whole = re.compile(element)
    exact = next((number + 1 for number in order if whole.search(lines[number])), 0)
    return exact or next((number + 1 for number in order if needle in lines[number]), 1)
