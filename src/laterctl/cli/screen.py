"""Lines on the screen: results on standard output, progress and errors on standard error, all without credentials.

Rich is loaded for a coloured diff alone: for lines it would cost more than most commands do.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import typer

from laterctl.masking import masked
from laterctl.patterns import pattern

_CONTROL = pattern(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What would move the cursor, change the terminal, or turn the text around."""

_STYLED = f"\ue000{os.urandom(8).hex()}"
"""Stands for the escape character of laterctl's own styles until a line is printed: nobody else's text can hold it."""


def shown(text: str) -> str:
    """Return a text as it can be shown: without credentials, and with escapes for control characters in it."""
    return _CONTROL.sub(_escaped, masked(text).replace("\r\n", "\n"))


def json_shown(text: str) -> str:
    """Return a JSON document with escapes for what would control a terminal; it says the same."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape", "backslashreplace").decode()


def _line(text: str) -> str:
    return shown(text).replace(_STYLED, "\x1b")


def _styled(text: str, **style: Any) -> str:
    return typer.style(shown(text), **style).replace("\x1b", _STYLED)


_quiet = False


def is_quiet() -> bool:
    """Whether nothing is printed but errors and what programs read."""
    return _quiet


@contextmanager
def quiet(wanted: bool = True) -> Iterator[None]:
    """Print no results and no progress within the block; when not `wanted`, print them there again."""
    global _quiet  # noqa: PLW0603 - there is one screen
    before, _quiet = _quiet, wanted
    try:
        yield
    finally:
        _quiet = before


def say(line: str = "", *, hang: int | None = None) -> None:
    """Print a line of a result; on a terminal it breaks between words, and goes on `hang` columns from the edge."""
    if _quiet:
        return
    typer.echo(_wrapped(_line(line), _width(sys.stdout), hang), color=_color())


def group(title: str, lines: Iterable[str], *, hang: int = 4) -> None:
    """Print lines below a title and behind an empty one, nothing when there are none."""
    for number, line in enumerate(lines):
        if not number:
            say()
            say(strong(title))
        say(f"  {line}", hang=hang)


def tell(line: str, *, progress: bool = False) -> None:
    """Print a line of progress, or of an error."""
    if progress and _quiet:
        return
    typer.echo(_wrapped(_line(line), _width(sys.stderr), None), err=True, color=_color())


def overwrite(line: str) -> None:
    """Show a line on the terminal until `erase`; nothing where there is none, or where lines cannot be drawn again."""
    if _quiet or not sys.stderr.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        return
    text = _STYLE.sub("", _line(line))[: (_width(sys.stderr) or 80) - 1]
    sys.stderr.write(f"\r\x1b[K{text}" if _color() is False else f"\r\x1b[K\x1b[2m{text}\x1b[0m")
    sys.stderr.flush()
    _drawn.append(text)


def erase() -> None:
    """Take away the line that `overwrite` drew, if there is one."""
    if _drawn:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()
        _drawn.clear()


_drawn: list[str] = []


def show_diff(text: str, *, pager: bool = False) -> None:
    """Print a patch for a person to read, in the pager where one is asked for."""
    from contextlib import nullcontext

    from rich.console import Console
    from rich.syntax import Syntax

    console = Console(highlight=False, soft_wrap=True, no_color=_color() is False)
    os.environ.setdefault("LESS", "-RFX")  # as git does: colours, and no pager for what fits the screen
    with console.pager(styles=_color() is not False) if pager else nullcontext():
        console.print(Syntax(shown(text), "diff", background_color="default"))


def is_terminal() -> bool:
    """Whether results go to a person's terminal."""
    return sys.stdout.isatty()


NARROWEST = 40
_WORDS = pattern(r"( *)([^ ]+)")
_STYLE = pattern(r"\x1b\[[0-9;]*m")


def columns() -> int:
    """Return how wide the terminal is that results go to; 80 where that is not known."""
    return _width(sys.stdout) or 80


def _width(stream: TextIO) -> int:
    """Return how many columns lines may have, 0 when nobody looks at them: what reads a pipe wants whole lines."""
    if not stream.isatty():
        return 0
    given = os.environ.get("COLUMNS", "")
    try:
        width = int(given) if given.isdigit() else os.get_terminal_size(stream.fileno()).columns
    except OSError:
        width = 0
    return max(width, NARROWEST) if width else 0


def _wrapped(text: str, width: int, hang: int | None) -> str:
    return "\n".join(_wrapped_line(line, width, hang) for line in text.split("\n")) if width else text


def _wrapped_line(line: str, width: int, hang: int | None) -> str:
    if len(_STYLE.sub("", line)) <= width:
        return line
    indent = len(line) - len(line.lstrip(" "))
    later = " " * min(indent + 2 if hang is None else hang, width // 2)
    lines, current, at = [], "", 0
    for gap, word in _WORDS.findall(line):
        length = len(_STYLE.sub("", word))
        if current.strip() and at + len(gap) + length > width:
            lines.append(current)
            current, at = later + word, len(later) + length
        else:
            current, at = current + gap + word, at + len(gap) + length
    return "\n".join([*lines, current])


def _color() -> bool | None:
    """No colours where https://no-color.org asks for none; otherwise it depends on where the line goes."""
    return False if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" else None


def strong(text: str) -> str:
    """What a line is about."""
    return _styled(text, bold=True)


def faint(text: str) -> str:
    """What matters less."""
    return _styled(text, dim=True)


def good(text: str) -> str:
    """A success, or something that is there."""
    return _styled(text, fg="green", bold=True)


def bad(text: str) -> str:
    """A failure, or something that is gone."""
    return _styled(text, fg="red", bold=True)


def careful(text: str) -> str:
    """Something to look at."""
    return _styled(text, fg="yellow")


def label(text: str) -> str:
    """What kind of line it is."""
    return _styled(text, fg="cyan")
