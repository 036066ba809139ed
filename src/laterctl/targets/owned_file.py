"""Owned files: whole files that laterctl created, compared by content."""

from __future__ import annotations

from msgspec.structs import replace

from laterctl.codemods.statements import same_code
from laterctl.targets.base import Inspection, OwnedFile, Record, State
from laterctl.targets.python_text import Text, own_spots

ORIGIN = "From laterctl: "
"""How the one line begins that says where an owned file came from."""

ORIGIN_COMMENT = f"# {ORIGIN}".encode()


def unsigned(target: OwnedFile) -> OwnedFile:
    """Return an owned file without the line that says where it came from: as `laterctl new` writes it."""
    lines = target.lines[1:] if target.lines and target.lines[0].startswith(f"# {ORIGIN}") else target.lines
    return replace(target, lines=lines)


def inspect(target: OwnedFile, data: bytes | None, records: list[Record]) -> Inspection:
    """Compare an owned file with what it was created with.

    Args:
        target: with its content.
        data: the file as it is.
        records: of our targets that were put into the file; their statements do not count.
    """
    if data is None:
        return Inspection(State.ABSENT)
    text = data.decode("utf-8", errors="replace").removeprefix("\ufeff")
    plain = text.replace("\r\n", "\n")
    if plain == target.text.replace("\r\n", "\n"):
        return Inspection(State.PRESENT, 1)
    if target.path.endswith(".py"):
        try:
            current = _without(plain, records) if records else plain
        except SyntaxError as error:
            return Inspection(State.ALTERED, error.lineno or 1, "syntax error")
        if same_code(current, target.text.replace("\r\n", "\n")):
            return Inspection(State.PRESENT, 1, "reformatted")
    return Inspection(State.ALTERED, _first_difference(plain, target.text), "edited")


def _without(text: str, records: list[Record]) -> str:
    """Cut our own whole statements out of a Python text."""
    document = Text(text)
    spots = own_spots(document, records)
    gone: set[int] = set()
    for item in document.statements:
        if item.spot in spots:
            gone.update(range(item.node.lineno, (item.node.end_lineno or item.node.lineno) + 1))
    return "".join(line for number, line in enumerate(document.lines, 1) if number not in gone)


def _first_difference(left: str, right: str) -> int:
    for number, (one, other) in enumerate(zip(left.split("\n"), right.split("\n"), strict=False), 1):
        if one != other:
            return number
    return 1
