"""A read-only view of a project's files, with an overlay of changes that are not written yet."""

from __future__ import annotations

import errno
import os
import re
import stat
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from functools import cached_property
from itertools import accumulate
from pathlib import Path, PurePosixPath

from msgspec import Struct, field

from laterctl.project.source import Repair, Source, Unreadable

_CHUNK = 1 << 16  # of a regular file, a read gives less only at its end
_FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)  # a FIFO would wait for a writer
PRUNED = frozenset({"node_modules", "__pycache__", "build", "dist", "site-packages"})


class Outside(Exception):
    """A path or symbolic link that leads out of the project."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} leads out of the project")
        self.path = path


class Haystack:
    """Many files' bytes as one string: there are twenty searches or more in a run, and one search of all is quicker."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._paths = list(files)
        self._bytes = b"\0".join(files.values())
        self._starts = list(accumulate([len(data) + 1 for data in files.values()], initial=0))

    def files_containing(self, needle: bytes) -> list[str]:
        """Return the paths of the files that contain `needle`, in their order."""
        found: list[str] = []
        at = self._bytes.find(needle)
        while at >= 0:
            number = bisect_right(self._starts, at)
            found.append(self._paths[number - 1])
            at = self._bytes.find(needle, self._starts[number])
        return found


class _Shared(Struct):
    """What is known about the disk; shared by all overlays of one root, so each file is read once."""

    listing: dict[str, bool] | None = None  # path -> is a symbolic link
    files: list[str] | None = None  # their paths, sorted
    haystack: Haystack | None = None  # the Python files among them
    data: dict[str, bytes | None] = field(default_factory=dict)
    sources: dict[str, Source] = field(default_factory=dict)
    laid_over: dict[tuple[str, bytes | None], Source] = field(default_factory=dict)  # nodes are known by identity
    files_containing: dict[bytes, list[str]] = field(default_factory=dict)
    refused: dict[str, Outside | Unreadable] = field(default_factory=dict)
    inside: set[str] = field(default_factory=set)  # paths that no link leads out of the root


class Tree:
    """The files below `root`. Paths are relative, with forward slashes.

    `overlay` maps paths to the bytes they are to have, or to `None` when they are to be absent. Nothing is ever
    written. `repair` is handed to each `Source`.
    """

    def __init__(
        self, root: Path, overlay: Mapping[str, bytes | None] | None = None, *, repair: Repair | None = None
    ) -> None:
        self.root = root.resolve()
        self._root = str(self.root)
        self.overlay: Mapping[str, bytes | None] = dict(overlay or {})
        self._repair = repair
        self._shared = _Shared()

    def with_overlay(self, more: Mapping[str, bytes | None]) -> Tree:
        """Return a tree that shows `more` on top of this one and shares what was read from disk."""
        tree = Tree(self.root, {**self.overlay, **more}, repair=self._repair)
        tree._shared = self._shared
        return tree

    def read(self, path: str) -> bytes | None:
        """Return the bytes of a file, `None` when there is no such file.

        Raises:
            Outside: the path, or a symbolic link on it, leaves the project.
            Unreadable: the file exists and may not be read.
        """
        path = _normal(path)
        if path in self.overlay:
            return self.overlay[path]
        known = self._shared.data
        if path not in known:
            known[path] = self._read_disk(path)
        return known[path]

    def exists(self, path: str) -> bool:
        """Whether `path` is a file or a folder with files in it."""
        path = _normal(path)
        if path in self.overlay:
            return self.overlay[path] is not None
        if any(name.startswith(f"{path}/") for name, data in self.overlay.items() if data is not None):
            return True
        return os.path.exists(self._checked(path))

    def is_dir(self, path: str) -> bool:
        """Whether `path` is a folder (`""` is the root)."""
        path = _normal(path) if path else ""
        prefix = f"{path}/" if path else ""
        if any(name.startswith(prefix) for name, data in self.overlay.items() if data is not None):
            return True
        return os.path.isdir(self._checked(path))

    def names(self, folder: str = "") -> list[str]:
        """Return the names of the files that stand directly in `folder`, dot files included, sorted."""
        prefix = f"{_normal(folder)}/" if folder else ""
        directory = self._checked(folder) if folder else self._root
        found: set[str] = set()
        if os.path.isdir(directory):
            with os.scandir(directory) as entries:
                found.update(entry.name for entry in entries if entry.is_file())
        for path, data in self.overlay.items():
            if path.startswith(prefix) and "/" not in (name := path[len(prefix) :]):
                found.discard(name)
                if data is not None:
                    found.add(name)
        return sorted(found)

    def files(self) -> list[str]:
        """Return all files, sorted, without what is installed, generated or hidden."""
        return list(self._files)

    def python_files(self) -> list[str]:
        """Return the Python files of `files()`."""
        return list(self._python_files)

    @cached_property
    def _files(self) -> list[str]:
        if not self.overlay:
            return self._sorted()
        found = [path for path in self._sorted() if path not in self.overlay]
        found += [path for path, data in self.overlay.items() if data is not None and not _hidden(path)]
        return sorted(found)

    @cached_property
    def _python_over(self) -> dict[str, bytes]:
        """The Python files of the overlay."""
        every = self.overlay.items()
        return {path: data for path, data in every if data is not None and path.endswith(".py") and not _hidden(path)}

    @cached_property
    def _python_files(self) -> list[str]:
        return [path for path in self._files if path.endswith(".py")]

    def files_containing(self, needle: bytes, *also: bytes) -> list[str]:
        """Return the Python files whose bytes contain `needle` and `also`; what cannot be read is left out.

        Only `needle` is looked for in all files, so the rarest comes first.
        """
        known = self._shared.files_containing
        if needle not in known:
            wider = next((word for word in known if word in needle), None)
            known[needle] = (
                self._haystack().files_containing(needle)
                if wider is None
                else [path for path in known[wider] if needle in (self._quietly(path) or b"")]
            )
        found = [path for path in known[needle] if path not in self.overlay]
        here = [path for path, data in self._python_over.items() if needle in data]
        found = sorted([*found, *here]) if here else found
        return [path for path in found if all(word in self._bytes(path) for word in also)] if also else found

    def files_containing_any(self, needles: Iterable[bytes]) -> list[str]:
        """Return the Python files whose bytes contain one of `needles`, sorted."""
        words = set(needles)
        alike: dict[bytes, list[bytes]] = {}
        for word in words:
            alike.setdefault(re.split(rb"\W|_", word, maxsplit=1)[0], []).append(word)
        for head, members in alike.items():
            # The shorter a word, the longer the search; these are then looked for in few files.
            if head and 1 / len(head) < sum(1 / len(word) for word in members):
                self.files_containing(head)
        return sorted({path for word in sorted(words) for path in self.files_containing(word)})

    def _bytes(self, path: str) -> bytes:
        data = self.overlay[path] if path in self.overlay else self._quietly(path)
        return data or b""

    @property
    def refused(self) -> Mapping[str, Outside | Unreadable]:
        """The files that a search could not read, with the reason."""
        return self._shared.refused

    def python(self, path: str) -> Source:
        """Return a Python file. Raises `FileNotFoundError` besides what `read` raises."""
        path = _normal(path)
        if path in self.overlay:
            key = path, self.overlay[path]
            if key not in self._shared.laid_over:
                self._shared.laid_over[key] = self._source(path)
            return self._shared.laid_over[key]
        if path not in self._shared.sources:
            self._shared.sources[path] = self._source(path)
        return self._shared.sources[path]

    def _source(self, path: str) -> Source:
        data = self.read(path)
        if data is None:
            raise FileNotFoundError(path)
        return Source(path, data, self._repair)

    def _listing(self) -> dict[str, bool]:
        if self._shared.listing is None:
            listing: dict[str, bool] = {}
            _walk(self._root, "", listing)
            self._shared.listing = listing
        return self._shared.listing

    def _sorted(self) -> list[str]:
        if self._shared.files is None:
            self._shared.files = sorted(self._listing())
        return self._shared.files

    def _haystack(self) -> Haystack:
        """The Python files on disk."""
        if self._shared.haystack is None:
            paths = [path for path in self._sorted() if path.endswith(".py")]
            self._shared.haystack = Haystack({path: self._quietly(path) or b"" for path in paths})
        return self._shared.haystack

    def _quietly(self, path: str) -> bytes | None:
        known = self._shared.data
        if path not in known:
            try:
                known[path] = self._read_disk(path)
            except (Outside, Unreadable) as error:
                self._shared.refused[path] = error
                return None
        return known[path]

    def _read_disk(self, path: str) -> bytes | None:
        # Resolving every path costs more than reading it: what the walk saw as a plain file is inside.
        listed = self._shared.listing
        plain = listed is not None and listed.get(path) is False
        full = f"{self._root}/{path}" if plain else self._checked(path)
        try:
            return _contents(full, regular=plain)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None
        except OSError as error:
            if error.errno == errno.ENXIO:  # a socket
                return None
            raise Unreadable(
                path, 1, error.strerror or str(error), "make the file readable", code="permission"
            ) from None

    def _checked(self, path: str) -> str:
        root, full = self._root, f"{self._root}/{path}"
        if path in self._shared.inside:
            return full
        folder = path.rpartition("/")[0]
        if folder and not os.path.islink(full):
            self._checked(folder)  # its other files share the way
        else:
            real = os.path.realpath(full)
            if real != root and not real.startswith(root.rstrip("/") + "/"):
                raise Outside(path)
        self._shared.inside.add(path)
        return full


def _contents(path: str, *, regular: bool) -> bytes | None:
    """Read a file with a third of the system calls that a file object makes; `None` for what is no regular file."""
    descriptor = os.open(path, _FLAGS)
    try:
        if not regular and not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        data = os.read(descriptor, _CHUNK)
        while len(data) % _CHUNK == 0 and (more := os.read(descriptor, _CHUNK)):
            data += more
        return data
    finally:
        os.close(descriptor)


def _normal(path: str) -> str:
    if path and path[0] not in "/." and "//" not in path and "/." not in path and path[-1] != "/":
        return path  # what the walk lists; building a path object for each costs more than reading the file
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts:
        raise Outside(path)
    return str(pure)


def _hidden(path: str) -> bool:
    return any(part in PRUNED or part.startswith(".") for part in path.split("/")[:-1])


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Whether it is a regular file, or a link to one: no FIFO, socket or device, and no link to itself."""
    try:
        return entry.is_file()
    except OSError:
        return False


def _walk(directory: str, prefix: str, listing: dict[str, bool]) -> None:
    folders: list[str] = []
    files: dict[str, bool] = {}
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                name = entry.name
                if entry.is_dir(follow_symlinks=False):
                    if name not in PRUNED and name[0] != ".":
                        folders.append(name)
                elif _is_file(entry):
                    files[prefix + name] = entry.is_symlink()
    except OSError:  # a folder that may not be listed hides what is in it, as it does from Python
        return
    if prefix and f"{prefix}pyvenv.cfg" in files:
        return
    listing.update(files)
    for name in folders:
        _walk(f"{directory}/{name}", f"{prefix}{name}/", listing)
