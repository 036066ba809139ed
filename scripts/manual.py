"""Write the manual page `docs/laterctl.1` from the help of the commands: `python scripts/manual.py`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import typer.main

from laterctl import __version__
from laterctl.cli.app import app
from laterctl.project.configuration import KEYS, TABLE

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = ROOT / "docs/laterctl.1"
DESCRIPTION: Final = """\
laterctl edits a project that is there already: it puts a feature's code, settings, dependencies and tests where the
project has such things. Everything is shown before it is written, and checked first; a run that fails, or is interrupted,
leaves every file as it was. What the project has by hand is respected.

Commands work on the project around the current folder. Without a feature, \\fBadd\\fR and \\fBremove\\fR let a person
choose from a list.
"""
VARIABLES: Final = {
    "NO_COLOR": "When it is set, nothing is coloured.",
    "COLUMNS": "How wide the terminal is, where it does not say so itself.",
    "XDG_STATE_HOME": "Below this folder is what \\fBundo\\fR needs, in \\fIlaterctl\\fR; \\fI~/.local/state\\fR without it.",
    "VIRTUAL_ENV": "An active environment, the project's Python where there is no \\fI.venv\\fR in it.",
}
FILES: Final = {
    "pyproject.toml": f"The table \\fB{TABLE}\\fR configures laterctl; its keys are listed above.",
    ".laterctl/": "What is installed, one file a feature. It belongs into version control.",
}


def page() -> str:
    """Return the manual page."""
    command: Any = typer.main.get_command(app)
    parts = [
        f'.TH LATERCTL 1 "" "laterctl {__version__}"',
        ".SH NAME",
        f"laterctl \\- {text(first_lower(command.help)).rstrip('.')}",
        ".SH SYNOPSIS",
        "\\fBlaterctl\\fR [\\fIoptions\\fR] \\fIcommand\\fR [\\fIarguments\\fR]",
        ".SH DESCRIPTION",
        DESCRIPTION.replace("\n\n", "\n.PP\n").rstrip(),
        ".SH OPTIONS",
        *options(command),
        ".SH COMMANDS",
    ]
    for name, each in command.commands.items():
        arguments = [
            text(item.metavar or item.name.upper()) for item in each.params if item.param_type_name == "argument"
        ]
        words = "".join(f" \\fI{argument}\\fR" for argument in arguments)
        parts += [f".SS laterctl {name}{words}", text(each.help), *options(each)]
    parts += [".SH CONFIGURATION", f"Keys of the table \\fB{TABLE}\\fR in \\fIpyproject.toml\\fR; none is needed."]
    parts += listed((f"\\fB{key.name}\\fR = {text(key.kind)}", f"{text(key.decides)}.") for key in KEYS)
    parts += [".SH EXIT STATUS", *listed(codes())]
    parts += [".SH ENVIRONMENT", *listed((f"\\fB{name}\\fR", what) for name, what in VARIABLES.items())]
    parts += [".SH FILES", *listed((f"\\fI{name}\\fR", what) for name, what in FILES.items())]
    return "\n".join(parts) + "\n"


def options(command: Any) -> Iterator[str]:
    """Yield the options of a command, each below its spellings."""
    found = []
    for item in command.params:
        if item.param_type_name == "option":
            value = "" if item.is_flag else f" \\fI{text(item.metavar or item.name.upper())}\\fR"
            names = ", ".join(f"\\fB{text(name)}\\fR" for name in sorted(item.opts, key=len))
            usual = (
                f" It is {item.default} unless you say otherwise."
                if value and isinstance(item.default, str) and item.default
                else ""
            )
            found.append((f"{names}{value}", text(f"{item.help}{usual}")))
    return listed(found)


def codes() -> Iterator[tuple[str, str]]:
    """Yield the exit codes and what they mean, as the documentation has them."""
    for code, name, meaning in re.findall(
        r"^\| (\d+) \| (\w+) \| (.+) \|$", (ROOT / "docs/exit-codes.md").read_text(encoding="utf-8"), re.MULTILINE
    ):
        yield f"\\fB{code}\\fR ({name})", f"{text(meaning)}."


def listed(items: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield tagged paragraphs."""
    for tag, what in items:
        yield from (".TP", tag, what)


def text(words: str) -> str:
    """Return words as roff has them: what stands between backticks is bold, and no hyphen is typeset."""
    escaped = words.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"`([^`]+)`", r"\\fB\1\\fR", re.sub(r"^([.'])", r"\\&\1", escaped))


def first_lower(words: str) -> str:
    """Return words that go on a sentence."""
    return words[:1].lower() + words[1:]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
