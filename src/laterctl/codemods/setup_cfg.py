"""Edits of the lists of dependencies in a `setup.cfg` and of conda's pip list: each is a requirements file with a margin."""

from __future__ import annotations

from collections.abc import Callable

from laterctl.codemods.placement import TextEditError
from laterctl.project import conda
from laterctl.project.setup_cfg import values

_BOM = "\ufeff"


def entries(text: str, table: tuple[str, ...]) -> str:
    """Return a list as the requirements file that it would be, `""` when it is not there.

    Raises `TextEditError` for a value that is no list of lines.
    """
    return _split(text, table)[1]


def edited(text: str, table: tuple[str, ...], edit: Callable[[str], str]) -> str:
    """Return `text` with `edit` carried out on the list at `table`, a section and a key.

    Raises `TextEditError` for a value that is no list of lines, with the line of its key, and what `edit` raises, with
    its lines counted in the whole file.
    """
    head, body, tail, margin = _split(text, table)
    try:
        new = edit(body)
    except TextEditError as error:
        raise TextEditError(error.reason, head.count("\n") + error.line) from error
    return head + "".join(margin + line if line.strip() else line for line in new.splitlines(keepends=True)) + tail


def _split(text: str, table: tuple[str, ...]) -> tuple[str, str, str, str]:
    """Return what is above a list, the list without its margin, what is below it, and the margin."""
    section, key = table
    value = conda.pip_list(text) if table == conda.PIP else values(text).get((section, key))
    if value is None:
        raise TextEditError(f"there is no {key} in [{section}]")
    if not value.is_list or value.indent is None:
        raise TextEditError(f"the entries of {key} do not stand on lines of their own, at one margin", value.line)
    lines = text.split("\n")
    lines = [line + "\n" for line in lines[:-1]] + [lines[-1]]
    body = "".join(line.removeprefix(value.indent) for line in lines[value.start : value.stop])
    return "".join(lines[: value.start]), body, "".join(lines[value.stop :]), value.indent
