"""What can go wrong when a changeset is written or taken back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


class JournalError(Exception):
    """A change could not be made or taken back; `paths` are the files concerned, relative to the project."""

    def __init__(self, message: str, paths: Iterable[str] = ()) -> None:
        """Say what happened, and to which files."""
        self.paths = tuple(paths)
        super().__init__(message)


class BusyError(JournalError):
    """Another process changes the project; `pid` is its process number, 0 when unknown."""

    def __init__(self, pid: int) -> None:
        """Name the other process."""
        self.pid = pid
        super().__init__(f"another laterctl run is changing this project (process {pid or 'unknown'})")


class ChangedError(JournalError):
    """Files are no longer as they were planned on, or as the run to undo left them."""


class WriteError(JournalError):
    """The system refused a write; `cause` says why. Once it leaves the `begin` block, everything is restored."""

    def __init__(self, path: str, cause: OSError) -> None:
        """Name the path and the cause."""
        self.cause = cause
        super().__init__(f"cannot write {path}: {cause.strerror or cause}", [path])


class RestoreError(JournalError):
    """Files could not be put back. The journal stays open: the next changing command tries again."""

    def __init__(self, command: str, causes: Mapping[str, OSError]) -> None:
        """Name each path and its cause."""
        self.causes = dict(causes)
        lines = [f"  {path}: {cause.strerror or cause}" for path, cause in causes.items()]
        super().__init__("\n".join([f"`{command}` could not be taken back completely:", *lines]), causes)


class KeptError(JournalError):
    """All is put back but files that hold neither the bytes before the run nor those after it: they are untouched.

    `versions` names, for each, the files in the state folder that hold the two. The journal is closed.
    """

    def __init__(self, command: str, versions: Mapping[str, tuple[Path, ...]]) -> None:
        """Name each path and where its two versions are."""
        self.versions = dict(versions)
        lines = [f"  {path}: see {' and '.join(map(str, kept))}" for path, kept in versions.items()]
        head = f"`{command}` was taken back, except for files that were changed meanwhile and are left as they are:"
        super().__init__("\n".join([head, *lines]), versions)


@contextmanager
def named(path: str) -> Iterator[None]:
    """Turn what the system says into an error that names the path."""
    try:
        yield
    except OSError as error:
        raise WriteError(path, error) from error
