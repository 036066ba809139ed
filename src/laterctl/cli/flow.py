"""How a changing command goes: prepare, show, ask once, carry out, sum up."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from laterctl.cli import ask, show
from laterctl.cli.exits import Exit
from laterctl.commands import change

if TYPE_CHECKING:
    from laterctl.commands.change import Prepared
    from laterctl.plan import Request


@dataclass(frozen=True)
class Flags:
    """The flags that all changing commands share."""

    dry_run: bool = False
    diff: bool = False
    output: Path | None = None
    check: bool = False
    json: bool = False
    yes: bool = False
    install: bool = True
    manager: str = ""
    prove: bool | None = None
    allow_dirty: bool = False


def run(where: tuple[Path, str | None], request: Request, verb: str, flags: Flags, options: Sequence[str]) -> None:
    """Carry a changing command through to its summary or its exit code."""
    directory, reference = where
    _recover(directory, flags)
    prepared = change.prepare(directory, request, reference)
    again = _command(where, request, verb, flags, options)
    if not prepared.plan.changeset:
        show.nothing_to_do(prepared, as_json=flags.json)
        return
    if flags.diff or flags.output is not None:
        show.patch(prepared, flags.output)
        return
    if flags.check:
        show.plan(prepared, "check", as_json=flags.json)
        raise typer.Exit(Exit.PENDING)
    if flags.dry_run:
        show.plan(prepared, "dry-run", as_json=flags.json)
        return
    prove, allow_dirty = _agreed(prepared, flags, again)
    choices = change.Choices(flags.install, flags.manager, prove, allow_dirty, again, show.progress)
    done = change.carry_out(prepared, choices)
    show.done(done, again, as_json=flags.json)


def _recover(directory: Path, flags: Flags) -> None:
    from laterctl import journal
    from laterctl.project.discover import find_root

    root = find_root(directory)
    if journal.pending(root) is None or flags.dry_run or flags.diff or flags.check:
        return
    with journal.lock(root) as held:
        recovered = journal.recover(held)
    if recovered is not None:
        show.progress(f"restored the files of an interrupted run: {recovered.command}")


def _agreed(prepared: Prepared, flags: Flags, again: str) -> tuple[bool, bool]:
    """Ask the one question. Returns whether to prove by running, and whether a dirty tree was accepted."""
    configured = prepared.project.config.get("prove") is True
    if flags.yes:
        return (flags.prove if flags.prove is not None else configured), flags.allow_dirty
    if flags.json or not ask.interactive():
        show.unanswered(prepared, again, as_json=flags.json)
        raise typer.Exit(Exit.UNANSWERED)
    prove = flags.prove if flags.prove is not None else True
    show.plan(prepared, "question", as_json=False)
    if not ask.accept(prepared, prove=prove, install=flags.install):
        show.progress("nothing was written")
        raise typer.Exit(Exit.DONE)
    return prove, True


def _command(
    where: tuple[Path, str | None], request: Request, verb: str, flags: Flags, options: Sequence[str]
) -> str:
    """Return the command that repeats this run without questions."""
    directory, reference = where
    words = ["laterctl"]
    if directory != Path():
        words += ["-C", str(directory)]
    if reference:
        words += ["--app", reference]
    words += [verb, *(request.add or request.remove), "--yes"]
    for option in options:
        words += ["--set", option]
    if not flags.install:
        words.append("--no-install")
    if flags.manager:
        words += ["--install", flags.manager]
    if flags.prove is not None:
        words.append("--prove" if flags.prove else "--no-prove")
    if flags.allow_dirty:
        words.append("--allow-dirty")
    return shlex.join(words)


def undo(directory: Path, *, yes: bool, as_json: bool) -> None:
    """Take the last run back."""
    from laterctl import journal
    from laterctl.project.discover import find_root

    root = find_root(directory)
    last = journal.last_run(root)
    if last is None:
        show.failure("nothing-to-undo", "no run of laterctl on this machine is on record; `laterctl remove` takes a "
                     "feature out", as_json=as_json)
        raise typer.Exit(Exit.REFUSED)
    if not yes:
        if as_json or not ask.interactive():
            show.failure("unanswered", "undo needs --yes without a terminal", as_json=as_json)
            raise typer.Exit(Exit.UNANSWERED)
        if not ask.yes_no(f"Take back `{last.command}`?"):
            return
    with journal.lock(root) as held:
        journal.recover(held)
        undone = journal.undo(held)
    show.undone(undone, as_json=as_json)


def fix(where: tuple[Path, str | None], *, yes: bool, allow_dirty: bool, as_json: bool) -> None:
    """Put missing wiring back, as a run of its own."""
    from laterctl.commands.mend import prepare_mend

    directory, reference = where
    prepared = prepare_mend(directory, reference)
    if not prepared.plan.changeset:
        return
    flags = Flags(json=as_json, yes=yes, allow_dirty=allow_dirty, install=False)
    prove, dirty = _agreed(prepared, flags, "laterctl doctor --fix --yes")
    done = change.carry_out(prepared, change.Choices(False, "", prove, dirty, "laterctl doctor --fix", show.progress))
    if not as_json:
        show.done(done, "laterctl doctor --fix --yes", as_json=False)
    sys.stdout.flush()
