"""The lock that lets one changing run in at a time."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from msgspec import Struct

from laterctl.journal.errors import BusyError, named
from laterctl.state_dir import VARIABLE, state_dir

_LOCK = "lock"
_LOCK_BYTE = 1 << 20
"""Where Windows locks: far behind the process number, which others may then still read."""


class Lock(Struct, frozen=True):
    """The right to change one project, held as long as `lock` is open. `root` has its links resolved."""

    root: Path
    state: Path


@contextmanager
def lock(root: Path) -> Iterator[Lock]:
    """Hold the project at `root` against every other changing run, on this machine, until the block ends.

    The kernel drops the lock when the process dies, however it dies, so a dead run never blocks the next one.

    Raises:
        BusyError: another process holds it.
        WriteError: the state folder cannot be written.
    """
    state = state_dir(root)
    with named(f"{state} ({VARIABLE} names another folder)"):
        os.makedirs(state, mode=0o700, exist_ok=True)
        file = os.open(state / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        with named(os.fspath(state)):
            if not _acquire(file):
                raise BusyError(_owner(file))
            os.ftruncate(file, 0)
            os.write(file, b"%d\n" % os.getpid())
        yield Lock(root.resolve(), state)
    finally:
        with suppress(OSError):
            os.close(file)


def is_locked(state: Path) -> bool:
    """Say whether a living process holds the lock of this state folder. Writes nothing."""
    try:
        file = os.open(state / _LOCK, os.O_RDWR)
    except OSError:
        return False
    try:
        return not _try_lock(file)
    finally:
        os.close(file)


def _acquire(file: int) -> bool:
    """Try for an instant: a reader that asks `is_locked` holds the lock for as long as the question takes."""
    for pause in (0.01, 0.05, 0.1):
        if _try_lock(file):
            return True
        time.sleep(pause)
    return _try_lock(file)


def _owner(file: int) -> int:
    os.lseek(file, 0, os.SEEK_SET)
    text = os.read(file, 20).strip()
    return int(text) if text.isdigit() else 0


if sys.platform == "win32":
    import msvcrt

    def _try_lock(file: int) -> bool:
        os.lseek(file, _LOCK_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(file, 0, os.SEEK_SET)
        return True

else:
    import fcntl

    def _try_lock(file: int) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
