"""Edits of files in which a line is an entry: requirements, ignore files, example environments.

A text keeps its byte order mark, its line endings, and a missing newline at its end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from laterctl.codemods import placement
from laterctl.codemods.placement import ENTRY_ORDERS, TextEditError, position
from laterctl.patterns import pattern
from laterctl.project.requirements_file import generated, read_requirements, requirement_name
from laterctl.project.source import split_lines

_BOM = "\ufeff"
_ENV_KEY = pattern(r"\s*#?\s*(?:export\s+)?([A-Za-z_]\w*)\s*=")


class Block(Struct, frozen=True):
    """Lines below a key or an item: the line of that (from 1), what stands behind it, and the lines that belong to it.

    These are `start` up to `stop` (from 0), without blank and comment lines at the end; `indent` is the margin that
    all of them have, `None` when they have none in common. Lines that hold nothing count as having it.
    """

    line: int
    inline: str
    start: int
    stop: int
    indent: str | None

    @property
    def is_list(self) -> bool:
        """Whether every entry has a line of its own, below the key, at one margin."""
        return not self.inline and self.start < self.stop and self.indent is not None

    def body(self, text: str) -> str:
        """Return its lines without their margin."""
        lines = split_lines(text)[self.start : self.stop]
        return "".join(line.removeprefix(self.indent or "") for line in lines)

    def edited(self, text: str, edit: Callable[[str], str]) -> str:
        """Return `text` with `edit` carried out on its lines. What `edit` raises gets the line in the whole file."""
        lines = split_lines(text)
        try:
            new = split_lines(edit(self.body(text)))
        except TextEditError as error:
            raise TextEditError(error.reason, self.start + error.line) from error
        inner = [(self.indent or "") + line if line.strip() else line for line in new]
        return "".join([*lines[: self.start], *inner, *lines[self.stop :]])


def converge_requirements(text: str, own_before: Sequence[str], own_after: Sequence[str]) -> str:
    """Return a requirements file with PEP 508 entries `own_after` where it had `own_before`.

    Entries go to their sorted places when the user's are sorted, else to the end. For the rest see `converge_lines`.

    Raises `TextEditError` when an entry's name is there with another text, and when entries would be added to a file
    that is generated, or that pins hashes (pip then demands a hash of every entry).
    """
    return _converge(text, own_before, own_after, _insert_requirements, requirement_name)


def converge_ignores(text: str, own_before: Sequence[str], own_after: Sequence[str]) -> str:
    """Return an ignore file with lines `own_after` at its end where it had `own_before`.

    They are never sorted in: later lines override earlier ones. For the rest see `converge_lines`.
    """
    return converge_lines(text, own_before, own_after, name=str.strip)


def converge_env(text: str, own_before: Sequence[str], own_after: Sequence[str]) -> str:
    """Return an example environment with entries `own_after` at its end where it had `own_before`.

    An entry is `KEY=value`, after comment lines if it has any. A key that the user's text mentions, also commented out,
    is not added. For the rest see `converge_lines`.
    """
    return converge_lines(text, own_before, own_after, name=env_key)


def converge_lines(
    text: str, own_before: Sequence[str], own_after: Sequence[str], *, name: Callable[[str], str] = str
) -> str:
    """Return `text` with own entries `own_after` at its end, sorted, where it had `own_before`.

    An entry is one line or several, joined by `\\n`; `name` says what it is about, from its last line: a name that the
    user's lines have is not added. Entries of `own_before` that are gone or were changed are left alone and not made
    again. The result depends on the user's text and `own_after` alone, unless own entries were moved: those stay.
    Entries that the user has written must not be passed.

    Raises `TextEditError` when the result could not be taken back exactly.
    """

    def about(entry: str) -> str:
        return name(entry.rsplit("\n", 1)[-1])

    def insert(user: str, entries: Sequence[str]) -> tuple[str, list[str]]:
        names = {name(line) for line in _lines(user)}
        fresh = [entry for entry in dict.fromkeys(entries) if about(entry) not in names]
        own = [line for entry in sorted(fresh, key=lambda entry: (about(entry), entry)) for line in entry.split("\n")]
        return _put(user, {_end(user): own}), fresh

    return _converge(text, own_before, own_after, insert, about)


def env_key(line: str) -> str:
    """Return the key of a line of an environment file, also of one that is commented out; `""` when it has none."""
    match = _ENV_KEY.match(line)
    return match[1] if match else ""


def replace_requirement(text: str, old: str, new: str) -> str:
    """Return `text` with the entry `old` written as `new`; options and comments behind it stay.

    Raises `KeyError` when there is no such entry, `TextEditError` when it is spread over lines.
    """
    for found in read_requirements(text):
        if found.text == old:
            lines = text.split("\n")
            if old not in lines[found.start]:
                raise TextEditError(f"{found.name} is spread over several lines", found.line)
            lines[found.start] = lines[found.start].replace(old, new, 1)
            return "\n".join(lines)
    raise KeyError(old)


def _insert_requirements(text: str, entries: Sequence[str]) -> tuple[str, list[str]]:
    user = read_requirements(text)
    taken = {found.name: found for found in user}
    fresh = []
    for entry in dict.fromkeys(entries):
        found = taken.get(requirement_name(entry))
        if found is None:
            fresh.append(entry)
        elif all(other.text != entry for other in user):
            raise TextEditError(f"{found.name} is there with another value", found.line)
    if fresh:
        _refuse_closed(text)
    places = [found for found in user if not found.is_option]
    present = [found.text for found in places]
    own: dict[int, list[str]] = {}
    for entry in sorted(fresh, key=lambda entry: (requirement_name(entry), entry)):
        index = position(present, entry, ENTRY_ORDERS, present)
        at = (places[index - 1].end if index else places[0].start) if index < len(places) else _end(text)
        own.setdefault(at, []).append(entry)
    return _put(text, own), fresh


def _refuse_closed(text: str) -> None:
    if _lines(text)[_end(text) - 1].endswith("\\"):
        raise TextEditError("the last line is continued, but nothing follows", _end(text))
    if (made := generated(text)) is not None:
        line, tool = made
        reason = "is generated from another one, which should get" if tool else "pins hashes, which are not made up for"
        raise TextEditError(f"the file {reason} the entry", line)


def _converge(
    text: str,
    before: Sequence[str],
    after: Sequence[str],
    insert: placement.Insert[str],
    identity: Callable[[str], str],
) -> str:
    bom = _BOM if text.startswith(_BOM) else ""
    body = text.removeprefix(_BOM)
    open_end = bool(body) and not body.endswith("\n")
    work = body + ("\r\n" if _is_crlf(body) else "\n") if open_end else body
    result = placement.converge(work, before, after, strip=_strip, insert=insert, identity=identity)
    return bom + (re.sub(r"\r?\n\Z", "", result) if open_end else result)


def _strip(text: str, entries: Sequence[str]) -> tuple[str, list[str]]:
    found = []
    for entry in entries:
        raw = text.split("\n")
        lines = [line.removesuffix("\r") for line in raw]
        own = entry.split("\n")
        for start in range(len(lines) - len(own), -1, -1):
            if lines[start : start + len(own)] == own:
                text = "\n".join(raw[:start] + raw[start + len(own) :])
                found.append(entry)
                break
    return text, found


def _put(text: str, own: Mapping[int, Sequence[str]]) -> str:
    """Return `text`, which is empty or ends in a newline, with lines put in front of those that the keys count."""
    ending = "\r" if _is_crlf(text) else ""
    raw = text.split("\n")
    for at in sorted(own, reverse=True):
        raw[at:at] = [line + ending for line in own[at]]
    return "\n".join(raw)


def _lines(text: str) -> list[str]:
    return [line.removesuffix("\r") for line in text.split("\n")]


def _end(text: str) -> int:
    """Return the number of lines up to the last one that is not blank."""
    lines = _lines(text)
    while lines and not lines[-1].strip():
        lines.pop()
    return len(lines)


def _is_crlf(text: str) -> bool:
    return text[: text.find("\n") + 1].endswith("\r\n")
