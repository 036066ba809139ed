"""Questions to a person at a terminal; without one nothing is asked and nothing is guessed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from laterctl.cli.exits import Exit
from laterctl.cli.screen import say, shown, tell
from laterctl.proof.levels import Level

if TYPE_CHECKING:
    from laterctl.commands.change import Prepared


def interactive() -> bool:
    """Whether there is a person at a terminal to ask."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def yes_no(question: str) -> bool:
    """Ask a question whose default is no."""
    with _on_its_own_line():
        return typer.confirm(shown(question), default=False)


@contextmanager
def _on_its_own_line() -> Iterator[None]:
    """End the line of a question that is interrupted, so that what is said next begins one."""
    try:
        yield
    except (typer.Abort, KeyboardInterrupt):
        tell("")
        raise


def accept(prepared: Prepared, *, prove: Level, install: bool) -> bool:
    """Ask the one question of a run: it names the dirty files, the install step and the proof."""
    parts = ["Write this"]
    if install and prepared.dependencies.runs:
        parts.append("install the dependencies" if prepared.plan.requirements else "bring the lock file up to date")
    if prove is Level.APP:
        parts.append("start the app in a scratch copy to prove it")
    elif prove is Level.TESTS:
        parts.append("start the app and run the tests in a scratch copy to prove it")
    question = ", ".join(parts[:-1]) + f" and {parts[-1]}" if len(parts) > 1 else parts[0]
    if prepared.dirty:
        say(f"Uncommitted changes in {', '.join(prepared.dirty)}: a reset would lose them together with this.")
    elif prepared.dirty is None:
        say("The project is not in git: `laterctl undo` is the only way back.")
    return yes_no(f"{question}?")


def pick(directory: Path, *, as_json: bool) -> list[str]:
    """Let a person choose features from the list.

    Raises:
        typer.Exit: there is nobody to ask, or nothing was chosen.
        typer.BadParameter: a number is not in the list.
    """
    from laterctl.cli import show
    from laterctl.commands import read

    if as_json or not interactive():
        show.failure("usage", "name at least one feature; `laterctl list` shows them", as_json=as_json)
        raise typer.Exit(Exit.USAGE)
    offered = [item for item in read.listing(directory).features if not item.installed]
    if not offered:
        show.progress("every feature is installed")
        raise typer.Exit(Exit.DONE)
    show.choices(offered)
    with _on_its_own_line():
        answer = typer.prompt("Features to add, by number or name, separated by spaces", default="", show_default=False)
    chosen = [_named(word, [item.name for item in offered]) for word in answer.replace(",", " ").split()]
    if not chosen:
        show.progress("nothing was written")
        raise typer.Exit(Exit.DONE)
    return chosen


def _named(word: str, names: list[str]) -> str:
    if not word.isdigit():
        return word
    if not 0 < int(word) <= len(names):
        raise typer.BadParameter(f"{word} is not in the list of 1 to {len(names)}", param_hint="FEATURE")
    return names[int(word) - 1]
