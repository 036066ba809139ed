"""What is said when laterctl itself fails: what became of the project, where to report it, and what to attach."""

from __future__ import annotations

import platform
import shlex
import tempfile
import traceback
from pathlib import Path

from laterctl import __version__
from laterctl.cli import show
from laterctl.cli.exits import Exit
from laterctl.cli.screen import shown, tell

PACKAGE = Path(__file__).parents[1]
UNHARMED = "Every file is as it was."


def crashed(error: Exception, arguments: list[str]) -> Exit:
    """Say that a command failed for a reason that nobody foresaw. What is noted on the error says what was written.

    Args:
        error: the reason.
        arguments: the words of the command, the program's own left out.
    """
    command = shlex.join(["laterctl", *arguments])
    notes = getattr(error, "__notes__", None) or [UNHARMED]
    what = f"laterctl failed, which is a mistake of its own: {_said(error)}"
    text = "\n".join(
        [
            f"laterctl {__version__}, Python {platform.python_version()}, {platform.platform()}",
            f"$ {command}",
            "",
            "".join(traceback.format_exception(error)),
        ]
    )
    kept = _kept(shown(text))
    where = f"please report it{f' at {url}' if (url := tracker()) else ' where you got laterctl'}"
    if "--json" in arguments:
        about = "; ".join([what, *notes, where, *([f"attach {kept}"] if kept else [])])
        show.failure("crash", about, as_json=True)
        return Exit.UNKNOWN
    show.failure("crash", what, as_json=False)
    for note in notes:
        tell(note)
    tell(f"{where[0].upper()}{where[1:]}, and attach {kept or 'this'}")
    tell(
        "  It has the versions, the command and where it failed; credentials are masked, look through it all the same."
    )
    if kept is None:
        tell(text)
    return Exit.UNKNOWN


def _said(error: Exception) -> str:
    """Return the error in a line, with the place in laterctl where it came up."""
    inside = [at for at in traceback.extract_tb(error.__traceback__) if Path(at.filename).is_relative_to(PACKAGE)]
    where = (
        f" ({Path(inside[-1].filename).relative_to(PACKAGE.parent).as_posix()}:{inside[-1].lineno})" if inside else ""
    )
    first = next(iter(str(error).splitlines()), "")
    return f"{type(error).__name__}{': ' if first else ''}{first}{where}"


def _kept(text: str) -> Path | None:
    """Write a text to a file that only its owner can read; `None` when there is no place for one."""
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", prefix="laterctl-", suffix=".txt", delete=False
        ) as file:
            file.write(f"{text}\n")
    except OSError:
        return None
    return Path(file.name)


def tracker() -> str:
    """Return where mistakes are reported, as laterctl's own metadata says it; `""` when it does not."""
    from importlib.metadata import PackageNotFoundError, metadata

    try:
        urls = metadata("laterctl").get_all("Project-URL") or []
    except PackageNotFoundError:
        return ""
    return next((url.partition(",")[2].strip() for url in urls if url.lower().startswith("issues,")), "")
