"""Looks at the project before a run: what stands where, and whether a changeset still fits it and may be written."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from msgspec.structs import replace

from laterctl.changeset import Change
from laterctl.journal import disk
from laterctl.journal.errors import ChangedError, JournalError, named
from laterctl.journal.record import File, Journal


def captured(root: Path, draft: Journal, changes: Mapping[str, Change], extra: Iterable[str]) -> Journal:
    """Complete a journal with what is on disk now, and check that the changeset fits it and may be written."""
    written = [_file(root, number, path, change) for number, (path, change) in enumerate(changes.items())]
    others = [_extra_file(root, number, path) for number, path in enumerate(extra, start=len(written))]
    check(root, written)
    _check_places(root, [*written, *others])
    for file in written:
        with named(file.path):
            disk.refuse_read_only(root / file.place)
            if file.after is not None:
                disk.refuse_hard_links(root / file.place)
    folders = disk.ancestors(file.place for file in written if file.after is not None)
    return replace(
        draft,
        files=(*written, *others),
        created=tuple(folder for folder in folders if not os.path.lexists(root / folder)),
        modes={**draft.modes, **_folder_modes(root, draft.emptied)},
    )


def resolved(root: Path, path: str) -> str:
    """Follow the links of a path, which must not leave the project; return the place relative to the root."""
    real = Path(os.path.realpath(root / path))
    if not real.is_relative_to(root):
        message = f"{path} is reached by a symbolic link that leaves the project: {real}"
        raise JournalError(message, [path])
    return real.relative_to(root).as_posix()


def check(root: Path, files: Iterable[File]) -> None:
    """Raise `ChangedError` unless each file is on disk what the journal says it was before."""
    changed = []
    for file in files:
        with named(file.path):
            if not disk.holds(root / file.place, file.before):
                changed.append(file.path)
    if changed:
        message = f"changed by somebody else: {', '.join(changed)}"
        raise ChangedError(message, changed)


def _file(root: Path, number: int, path: str, change: Change) -> File:
    place = _lock_above(root, path) or resolved(root, path)
    with named(path):
        mode, owner = disk.permissions(root / place) or (change.mode, None)
    return File(number, path, place, change.before, change.after, extra=False, mode=mode, owner=owner)


def _lock_above(root: Path, path: str) -> str:
    """Return the place of the lock file of a workspace that the project is a member of, `""` for any other path.

    It is the one file outside of the project that an undo writes.
    """
    folder, name = os.path.split(path)
    if name != "uv.lock" or not folder or set(folder.split("/")) != {".."}:
        return ""
    place = Path(os.path.normpath(root / path))
    return place.as_posix() if not place.is_symlink() else ""


def _extra_file(root: Path, number: int, path: str) -> File:
    # The lock file of a workspace lies above its members; what is only put back may stand anywhere.
    real = Path(os.path.realpath(root / path))
    place = resolved(root, path) if real.is_relative_to(root) else real.as_posix()
    with named(path):
        mode, owner = disk.permissions(real) or (None, None)
        return File(number, path, place, disk.read(real), None, extra=True, mode=mode, owner=owner)


def _check_places(root: Path, files: Iterable[File]) -> None:
    paths: dict[str, str] = {}
    for file in files:
        if file.place in paths:
            message = f"{paths[file.place]} and {file.path} of one run are the same file"
            raise JournalError(message, [paths[file.place], file.path])
        paths[file.place] = file.path
        if not file.extra and file.after is None and os.path.islink(root / file.path):
            message = f"{file.path} is a symbolic link, which is not deleted"
            raise JournalError(message, [file.path])


def _folder_modes(root: Path, folders: Iterable[str]) -> dict[str, int]:
    modes = {}
    for folder in folders:
        with named(folder):
            if status := disk.permissions(root / folder):
                modes[folder] = status[0]
    return modes
