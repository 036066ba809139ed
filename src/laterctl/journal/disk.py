"""The few things done to files, each flushed so that it survives a power cut."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath

_BINARY = getattr(os, "O_BINARY", 0)
_NOT_THERE = (FileNotFoundError, NotADirectoryError)
_UNSYNCABLE = {errno.EINVAL, errno.ENOTSUP}
_NOT_EMPTY = {errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT, errno.ENOTDIR}


def digest(data: bytes | None) -> str:
    """Return the SHA-256 of a file's bytes in hexadecimal, `""` for a file that does not exist."""
    import hashlib

    return "" if data is None else hashlib.sha256(data).hexdigest()


def read(path: Path) -> bytes | None:
    """Return the bytes of a file, `None` when it does not exist."""
    try:
        file = os.open(path, os.O_RDONLY | _BINARY)
    except _NOT_THERE:
        return None
    try:
        chunks = []
        while chunk := os.read(file, 1 << 20):
            chunks.append(chunk)
        return b"".join(chunks)
    finally:
        os.close(file)


def is_plain(path: Path) -> bool:
    """Say whether nothing or a regular file stands at `path`, and no link leads there."""
    if os.path.realpath(path.parent) != os.fspath(path.parent):
        return False
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except _NOT_THERE:
        return True


def holds(path: Path, data: bytes | None) -> bool:
    """Say whether exactly these bytes stand at `path`; `None` asks for no file."""
    return is_plain(path) and read(path) == data


def permissions(path: Path) -> tuple[int, tuple[int, int]] | None:
    """Return the permission bits and the owner of a file or folder, `None` when it does not exist."""
    try:
        status = os.lstat(path)
    except _NOT_THERE:
        return None
    return stat.S_IMODE(status.st_mode), (status.st_uid, status.st_gid)


def refuse_read_only(path: Path) -> None:
    """Raise `PermissionError` for a file that its owner protected: replacing it would not ask, editing it would."""
    status = permissions(path)
    if status is not None and (not status[0] & 0o222 or not os.access(path, os.W_OK)):
        raise PermissionError(errno.EACCES, "the file is read-only", os.fspath(path))


def refuse_hard_links(path: Path) -> None:
    """Raise `PermissionError` for a file that has other names: they would keep the old bytes."""
    with suppress(*_NOT_THERE):
        if (links := os.lstat(path).st_nlink) > 1:
            reason = f"it has {links} hard links, and an edit would break them: make it a file of its own first"
            raise PermissionError(errno.EMLINK, reason, os.fspath(path))


def copy_attributes(source: Path, target: Path) -> None:
    """Give a file the extended attributes of another, such as access lists, as far as the system lets us."""
    if sys.platform != "linux":
        return
    with suppress(OSError):
        for name in os.listxattr(source, follow_symlinks=False):
            with suppress(OSError):
                os.setxattr(target, name, os.getxattr(source, name, follow_symlinks=False), follow_symlinks=False)


def create(
    path: Path, data: bytes, mode: int | None = None, owner: tuple[int, int] | None = None, *, flush: bool = True
) -> None:
    """Write a new file. Without `mode` the umask decides."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o666 if mode is None else 0o600)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(file, rest) :]
        _set_permissions(path, mode, owner)
        if flush:
            os.fsync(file)
    finally:
        os.close(file)


def move(source: Path, target: Path, mode: int | None, owner: tuple[int, int] | None) -> bool:
    """Put an existing file in the place of `target` in one step, which needs no free space.

    Returns false, having done nothing, when the two are on different file systems.
    """
    _set_permissions(source, mode, owner)
    _flush(source)
    try:
        os.replace(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return False
    return True


def remove(path: Path) -> None:
    """Delete a file, if it is there."""
    with suppress(*_NOT_THERE):
        os.unlink(path)


def remove_folder(path: Path) -> None:
    """Delete a folder, if it is there and empty."""
    try:
        os.rmdir(path)
    except OSError as error:
        if error.errno not in _NOT_EMPTY:
            raise


def make_folder(root: Path, folder: str, modes: Mapping[str, int]) -> None:
    """Make `folder`, relative to `root`, and what is missing above it, with the permission bits in `modes`."""
    for name in [*ancestors([folder]), folder]:
        if not os.path.isdir(root / name):
            os.mkdir(root / name, modes.get(name, 0o777))
            if name in modes:
                os.chmod(root / name, modes[name])


def ancestors(paths: Iterable[str]) -> list[str]:
    """Return all folders above relative POSIX paths, without the root itself, from the top down."""
    folders = {parent.as_posix() for path in paths for parent in PurePosixPath(path).parents}
    return sorted(folders - {"."}, key=lambda folder: (folder.count("/"), folder))


def sync_folder(path: Path) -> None:
    """Flush the entries of a folder, where there is one and the system can do that."""
    if os.name == "nt":
        return
    try:
        _flush(path)
    except OSError as error:
        if not isinstance(error, _NOT_THERE) and error.errno not in _UNSYNCABLE:
            raise


def _flush(path: Path) -> None:
    file = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _set_permissions(path: Path, mode: int | None, owner: tuple[int, int] | None) -> None:
    if owner is not None and hasattr(os, "chown"):
        status = os.lstat(path)
        if (status.st_uid, status.st_gid) != owner:
            # Only root, or a member of the group, may keep somebody else's file theirs.
            with suppress(PermissionError):
                os.chown(path, *owner)
    if mode is not None:
        os.chmod(path, mode)
