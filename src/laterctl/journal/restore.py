"""Takes a run back: the same way when it fails, when it is interrupted and after it died."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct, field

from laterctl.journal import disk, record
from laterctl.journal.errors import KeptError, RestoreError
from laterctl.journal.locking import Lock
from laterctl.journal.record import File, Journal
from laterctl.journal.signals import uninterrupted
from laterctl.state_dir import PENDING


class Recovered(Struct, frozen=True):
    """What was put back. `saved` names copies of extra files whose unknown bytes were replaced."""

    command: str
    restored: tuple[str, ...]
    saved: Mapping[str, Path] = field(default_factory=dict)


def recover(held: Lock) -> Recovered | None:
    """Take back what a dead run left: the first thing a changing command does. `None` when there is nothing.

    Each file whose bytes are those before or after the run is put back. One with any other bytes is left alone; the
    two versions are kept in the state folder. Extra files, whose bytes nobody can foretell, are put back when the run
    had come so far and all else could be put back, after a copy of what is there is saved. May itself be killed at any
    moment, and repeated.

    Raises:
        KeptError: files were left alone; the rest is restored and the journal closed.
        RestoreError: the system refused to restore a file; the journal stays open.
        JournalError: the journal cannot be read.
    """
    journal = record.load(held.state, PENDING)
    if journal is None:
        return None
    with uninterrupted():
        return take_back(held, journal, dead=True)


def take_back(held: Lock, journal: Journal, *, dead: bool, reported: Collection[str] = ()) -> Recovered:
    """Put everything back and close the journal.

    `dead` says that the run is over and others may have worked since. `reported` are paths which the user is told
    about anyway when they are left alone.
    """
    failed: dict[str, OSError] = {}
    restored: list[str] = []
    foreign: list[File] = []
    saved: dict[str, Path] = {}
    for file in journal.files:
        with _collected(failed, file.path):
            if disk.holds(held.root / file.place, file.before):
                continue
            if not _is_from_run(held, file, sure=not dead, foreign=foreign):
                foreign.append(file)
                continue
            if file.extra and dead:
                saved |= _saved(held, journal, file)
            _put_back(held, journal, file)
            restored.append(file.path)
    _tidy(held, journal, failed)
    versions: dict[str, tuple[Path, ...]] = {}
    for file in foreign:
        if file.path not in reported:
            with _collected(failed, file.path):
                versions[file.path] = _kept(held, journal, file)
    if not failed:
        with _collected(failed, os.fspath(held.state)):
            record.discard(held.state)
    if failed:
        raise RestoreError(journal.command, failed)
    record.clear_reserve(held.state)
    if versions:
        raise KeptError(journal.command, versions)
    return Recovered(journal.command, tuple(restored), saved)


def beside(root: Path, journal: Journal, file: File) -> Path:
    """Return the name of the file in which new bytes wait beside their target."""
    return (root / file.place).with_name(f".laterctl-{journal.id}-{file.number}")


def _is_from_run(held: Lock, file: File, *, sure: bool, foreign: Collection[File]) -> bool:
    """Say whether what stands in the place of a file is what the run left there.

    Nobody knows what an extra file, which comes after all others, should hold. A run that lives is `sure` to have had
    it written itself. One that died may have, once it had applied its own changes, if nobody went on from there.
    """
    place = held.root / file.place
    if not file.extra:
        return disk.holds(place, file.after)
    return disk.is_plain(place) and (sure or (record.is_applied(held.state) and not foreign))


def _put_back(held: Lock, journal: Journal, file: File) -> None:
    target = held.root / file.place
    if file.before is None:
        disk.remove(target)
        return
    if folder := file.place.rpartition("/")[0]:
        disk.make_folder(held.root, folder, journal.modes)
    source = record.reserve(held.state, file)
    if disk.holds(source, file.before):
        disk.copy_attributes(target, source)
        if disk.move(source, target, file.mode, file.owner):
            return
    spare = beside(held.root, journal, file)
    disk.remove(spare)
    disk.create(spare, file.before, file.mode, file.owner)
    disk.copy_attributes(target, spare)
    os.replace(spare, target)


def _tidy(held: Lock, journal: Journal, failed: dict[str, OSError]) -> None:
    for file in journal.files:
        with _collected(failed, file.path):
            disk.remove(beside(held.root, journal, file))
    for folder in reversed(journal.created):
        with _collected(failed, folder):
            disk.remove_folder(held.root / folder)
    for folder in journal.folders:
        with _collected(failed, folder or "."):
            disk.sync_folder(held.root / folder)


def _kept(held: Lock, journal: Journal, file: File) -> tuple[Path, ...]:
    """Write both versions of a file that stays as it is to where nothing sweeps them away."""
    before = [] if file.before is None else [_keep(held, journal, file, "before", file.before)]
    after = [] if file.after is None else [_keep(held, journal, file, "after", file.after)]
    return (*before, *after)


def _saved(held: Lock, journal: Journal, file: File) -> dict[str, Path]:
    data = disk.read(held.root / file.place)
    return {} if data is None else {file.path: _keep(held, journal, file, "found", data)}


def _keep(held: Lock, journal: Journal, file: File, side: str, data: bytes) -> Path:
    folder = held.state / "kept" / journal.id
    os.makedirs(folder, mode=0o700, exist_ok=True)
    copy = folder / f"{file.number}-{Path(file.path).name}.{side}"
    disk.remove(copy)
    disk.create(copy, data, 0o600)
    disk.sync_folder(folder)
    return copy


@contextmanager
def _collected(failed: dict[str, OSError], path: str) -> Iterator[None]:
    """Go on with the next file: what can be put back is put back."""
    try:
        yield
    except OSError as error:
        failed.setdefault(path, error)
