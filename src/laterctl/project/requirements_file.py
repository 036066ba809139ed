"""Requirements files (pip.pypa.io, "Requirements File Format") and the names of distributions, read and not judged."""

from __future__ import annotations

import re

from msgspec import Struct

_NAME = re.compile(r"^\s*([A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)\s*(?=$|[\s\[<>=!~;@(,#])")
_EGG = re.compile(r"#egg=([A-Za-z0-9._-]+)")


class Entry(Struct, frozen=True):
    """One requirement of a requirements file: its canonical name, the entry as written, without options, comments
    and continuations, and the line it starts on (from 1). `start` and `end` delimit its lines, from 0.
    """

    name: str
    text: str
    line: int
    start: int
    end: int

    @property
    def is_option(self) -> bool:
        """Whether it is written as an option, as an editable install is."""
        return self.text.startswith("-")


def canonical_name(name: str) -> str:
    """Return a distribution's name in its normal form (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def requirement_name(text: str) -> str:
    """Return the canonical name in a PEP 508 requirement, `""` when it has none (an option, a bare URL)."""
    match = _NAME.match(text)
    return canonical_name(match[1]) if match else ""


def read_requirements(text: str) -> list[Entry]:
    """Return the requirements of a requirements file, in order.

    Options, includes and URLs without a name are left out; an editable install that names its package with `#egg=` is
    not.
    """
    lines = [line.removesuffix("\r") for line in text.removeprefix("\ufeff").split("\n")]
    found = []
    start = 0
    while start < len(lines):
        end = start + 1
        while lines[end - 1].endswith("\\") and end < len(lines) and not lines[start].lstrip().startswith("#"):
            end += 1
        whole = " ".join(line.removesuffix("\\").strip() for line in lines[start:end]).strip()
        if whole.startswith("-"):
            egg = _EGG.search(whole)
            name, entry = (canonical_name(egg[1]), whole) if egg else ("", whole)
        else:
            entry = re.split(r"(?:^|\s)#|\s--", whole, maxsplit=1)[0].strip()
            name = requirement_name(entry)
        if name:
            found.append(Entry(name, entry, start + 1, start, end))
        start = end
    return found
