"""How a changing command goes: prepare, show, ask once, carry out, sum up."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from laterctl import __version__
from laterctl.cli.exits import Exit, InterruptedLate
from laterctl.cli.screen import quiet
from laterctl.cli.steps import Steps
from laterctl.proof.levels import Level

if TYPE_CHECKING:
    from laterctl.commands.change import Prepared, Requesting, RunResult
    from laterctl.engine.plan import Request


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
    prove: Level | None = None
    allow_dirty: bool = False
    verbose: bool = False

    @property
    def looks(self) -> bool:
        """Whether nothing is to be written to the project."""
        return self.dry_run or self.diff or self.output is not None or self.check


@dataclass(frozen=True)
class Command:
    """What the user typed: where, the verb with its words, and what only this verb takes."""

    directory: Path
    reference: str | None
    verb: Sequence[str]
    options: Sequence[str] = ()

    def again(self, flags: Flags) -> str:
        """Return the command that repeats this run without questions."""
        import shlex

        words = [*start_of(self.directory, self.reference), *self.verb, "--yes", *self.options]
        if not flags.install and "doctor" not in self.verb:
            words.append("--no-install")
        if flags.manager:
            words += ["--install", flags.manager]
        if flags.prove is not None:
            words += {Level.NONE: ["--no-prove"], Level.APP: ["--prove"], Level.TESTS: ["--prove", "tests"]}[
                flags.prove
            ]
        if flags.allow_dirty:
            words.append("--allow-dirty")
        return shlex.join(words)

    def undo(self) -> str:
        """Return the command that takes this run back without questions."""
        import shlex

        return shlex.join([*start_of(self.directory), "undo", "--yes"])


def start_of(directory: Path, reference: str | None = None) -> list[str]:
    """Return what a command starts with that is about the same project."""
    start = ["laterctl"]
    if directory != Path():
        start += ["-C", str(directory)]
    if reference:
        start += ["--app", reference]
    return start


def is_settled(directory: Path, names: Sequence[str], reference: str | None) -> bool:
    """Whether features of these names are all installed, by request and as this version has them, and nothing is pending.

    The ledger alone answers, so that adding again costs next to nothing; not for an application that was chosen, for
    the features may be those of another one.
    """
    from laterctl import state_dir as private
    from laterctl.project import installed
    from laterctl.project.roots import find_root

    root = find_root(directory)
    if reference or installed.chooses(root):
        return False
    known = installed.requested(root, __version__)
    return set(names) <= known and not os.path.lexists(private.state_dir(root) / private.PENDING)


def installed_in(directory: Path) -> frozenset[str]:
    """Return the names of the features that are installed in the project around a folder, as far as can be told."""
    from laterctl.project import installed
    from laterctl.project.roots import find_root

    return frozenset(installed.options(find_root(directory)))


def run(command: Command, request: Request | Requesting, flags: Flags) -> None:
    """Carry a changing command through to its summary or its exit code."""
    from laterctl.cli import show_plan
    from laterctl.commands import change

    if flags.looks:
        pending(command.directory)
    else:
        _recover(command.directory)
    with _undisturbed(command.directory), Steps(verbose=flags.verbose) as steps:
        steps.waits_for("reading the project and planning")
        prepared = change.prepare(
            command.directory, request, command.reference, install=flags.install, manager=flags.manager
        )
    if not prepared.plan.changeset:
        if flags.output is not None:
            show_plan.patch_file(prepared, flags.output)
        show_plan.nothing_to_do(prepared, as_json=flags.json, aside=flags.diff)
        return
    if flags.looks:
        _preview(prepared, flags)
        return
    with _noticing(prepared.root, f"the change is written and stays; `{command.undo()}` takes it back"):
        done, again = _carry_out(command, prepared, flags)
        show_plan.done(done, again, command.undo(), as_json=flags.json)


@contextmanager
def _noticing(root: Path, written: str) -> Iterator[None]:
    """Raise `InterruptedLate`, which says what is `written`, when an interruption comes after the commit.

    An error that nobody foresaw gets that as a note.
    """
    from laterctl import state_dir as private

    last = private.state_dir(root) / private.LAST
    before = _stamp(last)
    try:
        yield
    except (KeyboardInterrupt, typer.Abort) as error:
        if _stamp(last) == before:
            raise
        raise InterruptedLate(written) from error
    except Exception as error:
        if _stamp(last) != before:
            error.add_note(f"{written[0].upper()}{written[1:]}.")
        raise


@contextmanager
def _undisturbed(directory: Path) -> Iterator[None]:
    """Let a plan fail for its own reasons alone: one that was made while another run wrote looked at two trees.

    Raises:
        laterctl.journal.BusyError: another run was, or is, at work.
    """
    from laterctl import journal
    from laterctl import state_dir as private
    from laterctl.commands.change import ProofFailed
    from laterctl.project.roots import find_root
    from laterctl.refusal import Refused

    root = find_root(directory)
    last = private.state_dir(root) / private.LAST
    before, pending_before = _stamp(last), journal.pending(root)
    try:
        yield
    except (Refused, ProofFailed) as error:
        now = journal.pending(root)
        running = next((found for found in (now, pending_before) if found is not None and found.running), None)
        if running is not None or _stamp(last) != before:
            raise journal.BusyError(running.pid if running is not None else 0) from error
        raise


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def _preview(prepared: Prepared, flags: Flags) -> None:
    from laterctl.cli import show_plan

    if flags.output is not None:
        show_plan.patch_file(prepared, flags.output)
    if flags.json:
        stage = "check" if flags.check else "diff" if flags.diff or flags.output is not None else "dry-run"
        show_plan.plan(prepared, stage, as_json=True)
    elif flags.diff and flags.output is None:
        show_plan.patch(prepared)
    elif flags.check or flags.dry_run:
        show_plan.plan(prepared, "check" if flags.check else "dry-run", as_json=False)
    if flags.check:
        raise typer.Exit(Exit.PENDING)


def _carry_out(command: Command, prepared: Prepared, flags: Flags) -> tuple[RunResult, str]:
    """Ask the one question and write. Returns what was done, and the command that repeats it without questions."""
    from laterctl.commands import change

    agreed = _agreed(command, prepared, flags)
    with Steps(verbose=flags.verbose) as steps:
        choices = change.RunOptions(
            install=agreed.install,
            manager=agreed.manager,
            prove=agreed.prove or Level.NONE,
            required=flags.prove not in {None, Level.NONE},
            allow_dirty=agreed.allow_dirty,
            command=command.again(agreed),
            progress=steps.begins,
            heard=steps.hears,
        )
        done = change.execute(prepared, choices)
    if done.proof is not None and not done.proof.proves(choices.prove):
        agreed = replace(agreed, prove=flags.prove)  # where it cannot be proved, asking for it would end otherwise
    return done, command.again(agreed)


def _agreed(command: Command, prepared: Prepared, flags: Flags) -> Flags:
    """Ask the one question. Returns the flags with what it settled: whether to prove by running, and a dirty tree."""
    from laterctl.cli import ask, show, show_plan

    if flags.yes:
        return flags if flags.prove is not None else replace(flags, prove=_configured(prepared))
    if flags.json or not ask.interactive():
        show_plan.unanswered(
            prepared, command.again(replace(flags, allow_dirty=bool(prepared.dirty))), as_json=flags.json
        )
        raise typer.Exit(Exit.UNANSWERED)
    prove = flags.prove if flags.prove is not None else _configured(prepared) or Level.APP
    with quiet(False):  # nobody agrees to what was not shown
        show_plan.plan(prepared, "question", as_json=False)
        agreed = ask.accept(prepared, prove=prove, install=flags.install)
    if agreed is None:
        show.progress("nothing was written")
        raise typer.Exit(Exit.DONE)
    return replace(flags, prove=agreed, allow_dirty=flags.allow_dirty or bool(prepared.dirty))


def _configured(prepared: Prepared) -> Level | None:
    """Return the proof that the configuration asks for, `None` when it asks for none."""
    return {True: Level.APP, "tests": Level.TESTS}.get(prepared.project.config.get("prove", False))


def pending(directory: Path) -> None:
    """Say when a run is unfinished, and leave it alone: only changing commands take it back."""
    from laterctl import journal
    from laterctl.cli import show
    from laterctl.project.discover import find_root

    found = journal.pending(find_root(directory))
    if found is None:
        return
    if found.running:
        show.progress(f"`{found.command}` is changing this project just now (process {found.pid})")
    else:
        show.progress(f"`{found.command}` was interrupted; the next changing command restores its files first")


def _recover(directory: Path) -> None:
    from laterctl import journal
    from laterctl.cli import show
    from laterctl.project.discover import find_root

    root = find_root(directory)
    if journal.pending(root) is None:
        return
    with journal.lock(root) as held:
        recovered = journal.recover(held)
    if recovered is not None:
        show.progress(f"restored the files of an interrupted run: {recovered.command}")


def undo(directory: Path, *, yes: bool, as_json: bool) -> None:
    """Take the last run back."""
    from laterctl import journal
    from laterctl.cli import ask, show, show_plan
    from laterctl.project.discover import find_root

    root = find_root(directory)
    _recover(directory)
    last = journal.last_run(root)
    if last is None:
        show.failure(
            "nothing-to-undo",
            "undo takes back the last run on this machine, and there is none; `laterctl remove FEATURE` takes a feature out",
            as_json=as_json,
        )
        raise typer.Exit(Exit.REFUSED)
    if not yes:
        if as_json or not ask.interactive():
            message = f"there is no terminal to ask whether to take back `{last.command}`: --yes accepts it"
            show.failure("unanswered", message, as_json=as_json)
            raise typer.Exit(Exit.UNANSWERED)
        with quiet(False):
            show_plan.files(last.changeset.inverted())
            agreed = ask.yes_no(f"Take back `{last.command}`?")
        if not agreed:
            show.progress("nothing was written")
            return
    try:
        with journal.lock(root) as held, _noticing(root, f"`{last.command}` is taken back"):
            undone = journal.undo(held)
    except journal.ChangedError as error:
        show.failure(
            "changed",
            f"{', '.join(error.paths)} changed since `{last.command}`, and undo would lose that; "
            "`laterctl remove FEATURE`, or add, goes the other way and keeps what you edited",
            as_json=as_json,
        )
        raise typer.Exit(Exit.REFUSED) from error
    show.undone(undone, as_json=as_json)


def fix(command: Command, flags: Flags) -> dict[str, Any] | None:
    """Put missing wiring back, as a run of its own. Returns the summary for JSON; `None` when nothing was missing."""
    from laterctl.cli import show_plan
    from laterctl.commands.repair import prepare_repair

    _recover(command.directory)
    prepared = prepare_repair(command.directory, command.reference)
    if not prepared.plan.changeset:
        return None
    with _noticing(prepared.root, f"the change is written and stays; `{command.undo()}` takes it back"):
        done, again = _carry_out(command, prepared, flags)
        if not flags.json:
            show_plan.done(done, again, command.undo(), as_json=False)
    return show_plan.summary(done, again, command.undo())
