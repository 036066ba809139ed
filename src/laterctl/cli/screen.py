"""Lines on the screen: results on standard output, progress and errors on standard error, all without credentials.

Rich is loaded for a coloured diff alone: for lines it would cost more than most commands do.
"""

from __future__ import annotations

import os
import sys

import typer

from laterctl.masking import masked


def say(line: str = "") -> None:
    """Print a line of a result."""
    typer.echo(masked(line), color=_color())


def tell(line: str) -> None:
    """Print a line of progress, or of an error."""
    typer.echo(masked(line), err=True, color=_color())


def show_diff(text: str) -> None:
    """Print a patch for a person to read."""
    from rich.console import Console
    from rich.syntax import Syntax

    console = Console(highlight=False, soft_wrap=True)
    console.print(Syntax(masked(text), "diff", background_color="default"))


def is_terminal() -> bool:
    """Whether results go to a person's terminal."""
    return sys.stdout.isatty()


def _color() -> bool | None:
    """No colours where https://no-color.org asks for none; otherwise it depends on where the line goes."""
    return False if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" else None


def strong(text: str) -> str:
    """What a line is about."""
    return typer.style(masked(text), bold=True)


def faint(text: str) -> str:
    """What matters less."""
    return typer.style(masked(text), dim=True)


def good(text: str) -> str:
    """A success, or something that is there."""
    return typer.style(masked(text), fg="green", bold=True)


def bad(text: str) -> str:
    """A failure, or something that is gone."""
    return typer.style(masked(text), fg="red", bold=True)


def careful(text: str) -> str:
    """Something to look at."""
    return typer.style(masked(text), fg="yellow")


def label(text: str) -> str:
    """What kind of line it is."""
    return typer.style(masked(text), fg="cyan")
