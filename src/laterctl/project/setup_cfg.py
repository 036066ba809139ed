"""Lists of dependencies in a `setup.cfg`: a key, and below it one indented line an entry.

https://setuptools.pypa.io/en/latest/userguide/declarative_config.html
"""

from __future__ import annotations

import re

from msgspec import Struct

from laterctl.project.source import split_lines

RUNTIME = ("options", "install_requires")
EXTRAS = "options.extras_require"

_SECTION = re.compile(r"\[([^\]]+)\]")
_KEY = re.compile(r"([\w.-]+)\s*[=:]\s*(.*)")


class Value(Struct, frozen=True):
    """A value of a `setup.cfg`: the line of its key (from 1), what stands behind the key, and the lines below it.

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


def values(text: str) -> dict[tuple[str, str], Value]:
    """Return the values of a `setup.cfg` by section and key; where a key is there twice, the first."""
    lines = [line.rstrip("\r\n") for line in split_lines(text.removeprefix("\ufeff"))]
    found: dict[tuple[str, str], Value] = {}
    section = ""
    for number, line in enumerate(lines):
        if match := _SECTION.match(line):
            section = match[1]
        elif match := _KEY.match(line):
            stop = end = number + 1
            while end < len(lines) and (not lines[end].strip() or lines[end][0] in " \t#;"):
                end += 1
                if lines[end - 1][:1] in {" ", "\t"} and lines[end - 1].strip():
                    stop = end
            inline = re.split(r"\s[#;]", match[2])[0] if match[2][:1] not in {"#", ";"} else ""
            below = lines[number + 1 : stop]
            value = Value(number + 1, inline.strip(), number + 1, stop, _margin(below))
            found.setdefault((section, match[1].lower()), value)
    return found


def _margin(lines: list[str]) -> str | None:
    filled = [line for line in lines if line.strip()]
    margins = {line[: len(line) - len(line.lstrip())] for line in filled}
    # A line of blanks alone could not be told from one that lost its entry.
    return margins.pop() if len(margins) == 1 and all(line.strip() or not line for line in lines) else None
