"""The journal on disk: one JSON file with all that a run does, and the bytes before and after.

`pending.json` exists as long as a run is not finished; finishing renames it to `last.json`, in one step.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

from laterctl.changeset import Change, Changeset, checked_path
from laterctl.journal import disk
from laterctl.journal.errors import JournalError
from laterctl.state_dir import LAST, PENDING

VERSION = 1
_RESERVE = "reserve"
_APPLIED = "applied"
_SIDES = ("before", "after")


class File(Struct, frozen=True):
    """One file of a journal; `place` is `path` with its links resolved, `None` bytes mean that it does not exist.

    `extra` files are written by others: what they hold afterwards is `known` only when the run is finished.
    `mode` and `owner` are those of the file before; for a new one, `mode` is what it is to get.
    """

    number: int
    path: str
    place: str
    before: bytes | None
    after: bytes | None
    extra: bool
    mode: int | None
    owner: tuple[int, int] | None
    known: bool = False


class Journal(Struct, frozen=True):
    """What one run does; all names are relative to the project's root.

    `created` are the folders that it makes, from the top down; `emptied` those that it removes if it leaves them
    empty, from the bottom up; `modes` the permission bits of folders that may have to be made again. `written` holds
    what laterctl wrote before this run, as digests by path. `reverts` is true for an undo.
    """

    id: str
    command: str
    pid: int
    reverts: bool
    files: tuple[File, ...]
    created: tuple[str, ...]
    emptied: tuple[str, ...]
    modes: Mapping[str, int]
    written: Mapping[str, str]
    version: int = VERSION

    @property
    def targets(self) -> tuple[File, ...]:
        """The files that the run itself writes."""
        return tuple(file for file in self.files if not file.extra)

    @property
    def folders(self) -> list[str]:
        """The folders whose entries the run changes; the root is `""`."""
        names = [*(file.place for file in self.files), *self.created, *self.emptied]
        return sorted({name.rpartition("/")[0] for name in names})

    @property
    def changeset(self) -> Changeset:
        """What the run writes, and what it is known to have had written by others."""
        known = {path: change for path, change in self._known.items() if not path.startswith("../")}
        return Changeset({file.path: Change(file.before, file.after, file.mode) for file in self.targets} | known)

    @property
    def above(self) -> dict[str, Change]:
        """What others are known to have written above the project: the lock file of a workspace."""
        return {path: change for path, change in self._known.items() if path.startswith("../")}

    @property
    def _known(self) -> dict[str, Change]:
        known = (file for file in self.files if file.known and file.before != file.after)
        return {file.path: Change(file.before, file.after, file.mode) for file in known}

    @property
    def all_written(self) -> dict[str, str]:
        """The digests of what laterctl last wrote by path, up to and with this run."""
        own = {} if self.reverts else {file.path: disk.digest(file.after) for file in self.targets}
        return {**self.written, **own}


def load(state: Path, name: str) -> Journal | None:
    """Read `pending.json` or `last.json`, `None` when there is none.

    Raises `JournalError` when it cannot be understood, such as one written by a newer laterctl, or leads out of the
    project: a state folder may come with an archive of somebody else's.
    """
    import json

    from msgspec import convert

    try:
        data = disk.read(state / name)
        if data is None:
            return None
        fields: dict[str, Any] = json.loads(data)
        if fields["version"] != VERSION:
            message = f"{state / name} was written by another version of laterctl; {_REMEDIES[name]}"
            raise JournalError(message)
        files = [_decoded(file) for file in fields["files"]]
        journal = convert({**fields, "files": [asdict(file) for file in files]}, Journal)
        _check(journal)
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        message = f"cannot read {state / name}: {error}; {_REMEDIES[name]}"
        raise JournalError(message) from error
    else:
        return journal


_REMEDIES = {
    LAST: "delete it to go on: `laterctl undo` then has nothing to take back",
    PENDING: "a run died: compare the project with version control, then delete it to go on",
}


def _check(journal: Journal) -> None:
    """Raise `ValueError` for names that lead out of the project, or out of the state folder."""
    if not re.fullmatch(r"[0-9a-f]{12}", journal.id):
        raise ValueError(f"{journal.id!r} is no name of a run")
    targets = [name for file in journal.targets for name in (file.path, file.place)]
    for name in (*targets, *journal.created, *journal.emptied, *journal.modes):
        checked_path(name)
    for file in journal.files:
        if file.extra and not file.place.endswith(".lock"):  # that of a workspace lies above its members
            checked_path(file.place)


def save(state: Path, journal: Journal) -> None:
    """Put the journal on disk; it is pending once this returns.

    The bytes before are also laid out as files ready to be moved back: taking back must work on a full disk. They
    are not flushed, being a copy.
    """
    disk.remove(state / _APPLIED)
    clear_reserve(state)
    os.makedirs(state / _RESERVE, mode=0o700, exist_ok=True)
    for file in journal.files:
        if file.before is not None:
            disk.create(reserve(state, file), file.before, 0o600, flush=False)
    rewrite(state, journal)


def rewrite(state: Path, journal: Journal) -> None:
    """Put the journal on disk in place of the pending one, in one step."""
    import json

    fields = {**asdict(journal), "files": [_encoded(file) for file in journal.files]}
    fresh = state / f"{PENDING}.new"
    disk.remove(fresh)
    disk.create(fresh, json.dumps(fields).encode(), 0o600)
    os.replace(fresh, state / PENDING)
    disk.sync_folder(state)


def mark_applied(state: Path) -> None:
    """Note that the pending run has written all it had to, and that extra files may be written from now on."""
    disk.create(state / _APPLIED, b"", 0o600, flush=False)


def is_applied(state: Path) -> bool:
    """Say whether the pending run came that far."""
    return os.path.lexists(state / _APPLIED)


def is_pending(state: Path) -> bool:
    """Say whether a run is not finished."""
    return os.path.lexists(state / PENDING)


def finish(state: Path) -> None:
    """Make the pending run the last one."""
    os.replace(state / PENDING, state / LAST)
    _try_sync(state)


def discard(state: Path) -> None:
    """Forget the pending run."""
    disk.remove(state / PENDING)
    _try_sync(state)


def reserve(state: Path, file: File) -> Path:
    """Return the file that holds the bytes before, ready to be moved back."""
    return state / _RESERVE / str(file.number)


def clear_reserve(state: Path) -> None:
    """Delete the files of an earlier run that were not needed; what cannot be deleted is left for the next time."""
    with suppress(OSError):
        for name in os.listdir(state / _RESERVE):
            disk.remove(state / _RESERVE / name)


def _try_sync(state: Path) -> None:
    # Without it a power cut may bring the journal back: then the run is taken back, which is still all or nothing.
    with suppress(OSError):
        disk.sync_folder(state)


def _encoded(file: File) -> dict[str, Any]:
    from base64 import b64encode

    data = {side: getattr(file, side) for side in _SIDES}
    return {**asdict(file), **{side: None if it is None else b64encode(it).decode() for side, it in data.items()}}


def _decoded(fields: dict[str, Any]) -> File:
    from base64 import b64decode

    data = {side: None if fields[side] is None else b64decode(fields[side], validate=True) for side in _SIDES}
    return File(**{**fields, **data, "owner": fields["owner"] and tuple(fields["owner"])})
