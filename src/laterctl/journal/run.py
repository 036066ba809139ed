"""Opens a journal, writes a changeset under it, and closes it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from laterctl.changeset import Change, Changeset
from laterctl.journal import disk, record
from laterctl.journal.capture import captured, check, resolved
from laterctl.journal.errors import ChangedError, JournalError, named
from laterctl.journal.locking import Lock, is_locked
from laterctl.journal.record import File, Journal
from laterctl.journal.restore import beside, take_back
from laterctl.journal.signals import terminable, uninterrupted
from laterctl.state_dir import LAST, PENDING, state_dir


class Pending(Struct, frozen=True):
    """A run that is not finished: still `running`, or dead and to be taken back by the next changing command."""

    command: str
    paths: tuple[str, ...]
    pid: int
    running: bool


class LastRun(Struct, frozen=True):
    """The last finished run on this machine, which `undo` takes back."""

    command: str
    changeset: Changeset


def pending(root: Path) -> Pending | None:
    """Report the unfinished run of a project, `None` when there is none. Reads only."""
    state = state_dir(root)
    journal = record.load(state, PENDING)
    if journal is None:
        return None
    return Pending(journal.command, tuple(file.path for file in journal.files), journal.pid, is_locked(state))


def last_run(root: Path) -> LastRun | None:
    """Return the run that `undo` would take back, `None` when there is none. Reads only."""
    state = state_dir(root)
    journal = record.load(state, LAST)
    if journal is None or journal.reverts:
        return None
    return LastRun(journal.command, journal.changeset)


def last_written(root: Path) -> Mapping[str, str]:
    """Return the digest of what laterctl itself last wrote, by path; `""` for a file that it deleted. Reads only.

    A file is as laterctl left it when `digest` of its bytes equals its entry. Runs that were undone do not count.
    """
    last = record.load(state_dir(root), LAST)
    return {} if last is None else last.all_written


class Run:
    """An open journal, made by `begin` and `begin_undo`."""

    def __init__(self, held: Lock, journal: Journal) -> None:
        """Take what the journal on disk says."""
        self._root = held.root
        self._state = held.state
        self._journal = journal

    def apply(self) -> None:
        """Write the changeset to the project and flush it to disk.

        All new bytes first go into files beside their targets, so that a full disk or a read-only folder shows
        before anything is replaced; then each target is replaced in one step.

        Raises:
            ChangedError: a file is not what the changeset says it was.
            WriteError: the system refused.
        """
        journal = self._journal
        check(self._root, journal.targets)
        for folder in journal.created:
            with named(folder):
                disk.make_folder(self._root, folder, journal.modes)
        for file in journal.targets:
            self._stage(file)
        for file in journal.targets:
            # Once more, just before: whoever saves the file in this instant is not overwritten.
            check(self._root, [file])
            self._place(file)
        for folder in journal.folders:
            with named(folder or "."):
                disk.sync_folder(self._root / folder)
        with named(os.fspath(self._state)):
            record.mark_applied(self._state)

    def commit(self) -> None:
        """Close the journal: the change stays, and is now the run that `undo` takes back.

        Folders that the run emptied go only now, because to make them again would need space on a full disk.

        Raises `WriteError` when that fails; leaving the `begin` block then restores everything.
        """
        with uninterrupted():
            with named(os.fspath(self._state)):
                if any(file.extra for file in self._journal.files):  # while there is nothing yet that needs space again
                    files = tuple(map(self._settled, self._journal.files))
                    record.rewrite(self._state, replace(self._journal, files=files))
            for folder in self._journal.emptied:
                with named(folder):
                    disk.remove_folder(self._root / folder)
            with named(os.fspath(self._state)):
                record.finish(self._state)

    def _settled(self, file: File) -> File:
        """Return a file of the journal with what others wrote into it."""
        return replace(file, after=disk.read(self._root / file.place), known=True) if file.extra else file

    def _stage(self, file: File) -> None:
        if file.after is not None:
            with named(file.path):
                spare = beside(self._root, self._journal, file)
                disk.create(spare, file.after, file.mode, file.owner)
                disk.copy_attributes(self._root / file.place, spare)

    def _place(self, file: File) -> None:
        target = self._root / file.place
        with named(file.path):
            if file.after is None:
                os.unlink(target)
            else:
                os.replace(beside(self._root, self._journal, file), target)


@contextmanager
def begin(held: Lock, changeset: Changeset, *, command: str, extra: Iterable[str] = ()) -> Iterator[Run]:
    """Open a journal for `changeset`; the project is not touched before `Run.apply`.

    Leaving the block without `Run.commit` puts every file back: by an exception, by Ctrl-C, SIGTERM or SIGHUP (all
    three arrive as `KeyboardInterrupt`) or just so. Signals are ignored while that happens.

    Args:
        held: the lock on the project, recovered first.
        changeset: what to write, not empty. Folders that its deletions leave empty are removed.
        command: what the user typed, for `pending` and `last_run`.
        extra: files that others write while the journal is open (lock files, also `../uv.lock` or an absolute path):
            put back on failure, and by `undo` as long as they are as the run left them.

    Raises:
        ChangedError: files are not what the changeset says they were.
        WriteError: the journal cannot be written, or a target is read-only.
        JournalError: an unfinished run was not recovered, a link leaves the project, or two paths are one file.
        RestoreError, KeptError: on leaving the block, as `recover`.
    """
    last = record.load(held.state, LAST)
    deleted = [path for path, change in changeset.items() if change.after is None]
    emptied = disk.ancestors(resolved(held.root, path) for path in deleted)[::-1]
    draft = _draft(command, emptied=emptied, written={} if last is None else last.all_written)
    with _opened(held, draft, changeset, extra) as run:
        yield run


@contextmanager
def begin_undo(held: Lock, *, extra: Iterable[str] = ()) -> Iterator[Run]:
    """Open a journal that takes back the last run, with the empty folders that it made; otherwise like `begin`.

    Raises:
        ChangedError: files are no longer as that run left them; `paths` names each.
        JournalError: there is nothing to undo; and what `begin` raises.
    """
    last = _undoable(held)
    draft = _draft(f"undo of {last.command}", emptied=last.created[::-1], written=last.written)
    changeset = last.changeset.inverted()
    extra = [path for path in extra if path not in changeset]
    above = {path: Change(change.after, change.before) for path, change in last.above.items()}
    with _opened(held, replace(draft, modes=last.modes, reverts=True), changeset, extra, above) as run:
        yield run


def undo(held: Lock) -> LastRun:
    """Take back the last run and return it. Raises what `begin_undo` and `Run` raise."""
    last = _undoable(held)
    undone = LastRun(last.command, last.changeset)
    with begin_undo(held) as run:
        run.apply()
        run.commit()
    return undone


def _undoable(held: Lock) -> Journal:
    last = record.load(held.state, LAST)
    if last is None or last.reverts:
        message = "there is no run to undo"
        raise JournalError(message)
    return last


def _draft(command: str, *, emptied: Iterable[str], written: Mapping[str, str]) -> Journal:
    import secrets

    return Journal(
        id=secrets.token_hex(6),
        command=command,
        pid=os.getpid(),
        reverts=False,
        files=(),
        created=(),
        emptied=tuple(emptied),
        modes={},
        written=written,
    )


@contextmanager
def _opened(
    held: Lock, draft: Journal, changeset: Changeset, extra: Iterable[str], above: Mapping[str, Change] | None = None
) -> Iterator[Run]:
    if record.is_pending(held.state):
        message = "an unfinished run has to be recovered first"
        raise JournalError(message)
    if not changeset:
        message = "there is nothing to write"
        raise ValueError(message)
    journal = captured(held.root, draft, {**changeset, **(above or {})}, extra)
    reported: tuple[str, ...] = ()
    with terminable():
        try:
            with named(os.fspath(held.state)):
                record.save(held.state, journal)
            yield Run(held, journal)
        except ChangedError as error:
            reported = error.paths
            raise
        finally:
            with uninterrupted():
                if record.is_pending(held.state):
                    take_back(held, journal, dead=False, reported=reported)
                else:
                    record.clear_reserve(held.state)
