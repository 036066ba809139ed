"""Questions to a person at a terminal; without one nothing is asked and nothing is guessed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from laterctl.cli.exits import Exit
from laterctl.cli.screen import faint, say, show_diff, shown, tell
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


def accept(prepared: Prepared, *, prove: Level, install: bool) -> Level | None:
    """Ask the one question of a run: it names the dirty files, the install step and the proof.

    The plan may be looked at more closely first: the diff, one file, a patch to keep.

    Returns:
        The proof that goes with the answer; `None` when nothing is to be written.
    """
    from laterctl.cli import show_plan

    _warn(prepared)
    keys = {"y": "yes", "n": "no", "d": "the diff", "v": "view a file", "p": "patch to a file"}
    if prove is not Level.NONE:
        keys["w"] = "write without starting the app"
    say(faint(", ".join(f"{key} {what}" for key, what in keys.items())))
    question = f"{_question(prepared, prove=prove, install=install)}? [{'/'.join(keys).replace('n', 'N')}]"
    while True:
        answer = _answer(question, "n").lower()
        if answer in {"y", "yes"}:
            return prove
        if answer in {"n", "no"}:
            return None
        if answer == "w" and "w" in keys:
            return Level.NONE
        if answer == "d":
            show_diff(show_plan.read_patch(prepared), pager=True)
        elif answer == "v":
            _view(prepared)
        elif answer == "p":
            _save(prepared)
        else:
            say(f"{shown(answer)} is none of {', '.join(keys)}")


def _warn(prepared: Prepared) -> None:
    if prepared.dirty:
        say(f"Uncommitted changes in {', '.join(prepared.dirty)}: a reset would lose them together with this.")
    elif prepared.dirty is None:
        say("The project is not in git: `laterctl undo` is the only way back.")


def _question(prepared: Prepared, *, prove: Level, install: bool) -> str:
    parts = ["Write this"]
    if install and prepared.dependencies.runs:
        parts.append("install the dependencies" if prepared.plan.requirements else "bring the lock file up to date")
    if prove is Level.APP:
        parts.append("start the app in a scratch copy to prove it")
    elif prove is Level.TESTS:
        parts.append("start the app and run the tests in a scratch copy to prove it")
    return ", ".join(parts[:-1]) + f" and {parts[-1]}" if len(parts) > 1 else parts[0]


def _answer(question: str, default: str) -> str:
    with _on_its_own_line():
        answer: str = typer.prompt(shown(question), default=default, show_default=False)
    return answer.strip()


def _view(prepared: Prepared) -> None:
    """Show what becomes of one file."""
    from laterctl.cli import show_plan

    asked = _answer("Which file", "")
    fitting = [path for path in prepared.plan.changeset if asked and f"/{path}".endswith(f"/{asked}")]
    for path in fitting:
        show_diff(show_plan.read_patch(prepared, path), pager=True)
    if asked and not fitting:
        say(f"this plan has no file {asked}")


def _save(prepared: Prepared) -> None:
    """Write the patch to a file, as `-o` does."""
    from laterctl.cli import show_plan

    if asked := _answer("Write the patch to", ""):
        try:
            show_plan.patch_file(prepared, Path(asked))
        except OSError as error:
            say(f"{asked}: {error.strerror}")


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
