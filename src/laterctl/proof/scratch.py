"""A scratch copy of a project, for code that must not touch the original. It is always deleted."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from msgspec import Struct, field

from laterctl.journal.signals import terminable, uninterrupted
from laterctl.project.roots import repository_of

MAX_BYTES = 200 * 1024 * 1024
MAX_FILES = 50_000
MAX_BESIDE = 1024 * 1024
"""Bytes that a file may have which is not the project's, but stands in a folder above it in the same repository."""

_LEFT_OUT = frozenset(
    {
        ".direnv",
        ".eggs",
        ".git",
        ".hg",
        ".hypothesis",
        ".mypy_cache",
        ".nox",
        ".pytest_cache",
        ".ruff_cache",
        ".svn",
        ".tox",
        ".venv",
        "__pycache__",
        "__pypackages__",
        "node_modules",
        "venv",
    }
)
_ENVIRONMENT = ("pyvenv.cfg", "conda-meta")
"""What marks the folder of a Python environment, whatever its name is."""


class TooLarge(Exception):
    """The project is too large to be copied; the message says how large it may be."""


class Scratch(Struct, frozen=True):
    """A copy of the project `original`, in `root`; both without symbolic links in their paths.

    `omitted` are the folders that were left out, relative to the project. `folder` holds the copy, in `above`, and
    nothing of the project besides; it goes with it.
    """

    original: Path
    root: Path
    folder: Path
    omitted: tuple[str, ...]

    @property
    def above(self) -> Path:
        """The folder that stands for the one around the repository, or around a project that is in none."""
        return self.folder / "copy"

    def moved(self, value: str) -> str:
        """Return a value of the environment with paths into the project turned into those of the copy.

        Paths into what was left out, such as a virtual environment, stay as they are.
        """
        kept = "".join(f"(?!/{re.escape(path)}(?:/|$|{os.pathsep}))" for path in self.omitted)
        pattern = rf"(?<![\w.-]){re.escape(self.original.as_posix())}(?![\w.-]){kept}"
        return re.sub(pattern, lambda _: self.root.as_posix(), value)


@contextmanager
def scratch_copy(root: Path, overlay: Mapping[str, bytes | None] | None = None) -> Iterator[Scratch]:
    """Copy a project to a private folder, which is deleted with everything in it when the block ends.

    Every file becomes one of its own: what a symbolic link leads to, in the project or outside, is copied too.
    Version control, environments, caches and what is no plain file are left out. Of a repository around the project
    come the small files in the folders above it: an app may read `../.env`. SIGTERM and SIGHUP arrive as
    `KeyboardInterrupt` in the block.

    Args:
        root: the project.
        overlay: files as they are to be in the copy, `None` for absent, by path relative to the project.

    Raises:
        TooLarge: the project has more than `MAX_BYTES` or `MAX_FILES`.
        OSError: the copy cannot be written.
    """
    original = root.resolve()
    found = _survey(os.fspath(original))
    with terminable():
        folder = Path(tempfile.mkdtemp(prefix="laterctl-")).resolve()
        try:
            (folder / "tmp").mkdir()
            # The same names as the original's: a project may be a package itself, or take its title from its folder.
            outer = repository_of(original)
            copy = folder / "copy" / (outer.name or "project") / original.relative_to(outer)
            copy.mkdir(parents=True)
            for file in _beside(original, outer):
                _copy_file(os.fspath(file), folder / "copy" / file.relative_to(outer.parent))
            for path in found.folders:
                (copy / path).mkdir()
            for path, source in found.files.items():
                _copy_file(source, copy / path)
            for path, data in (overlay or {}).items():
                _put(copy / path, data)
            yield Scratch(original, copy, folder, tuple(found.omitted))
        finally:
            with uninterrupted():
                _delete(folder)


def _beside(original: Path, outer: Path) -> Iterator[Path]:
    """Yield the small files in the folders above a project, up to that of its repository."""
    for folder in original.parents if original != outer else ():
        for entry in _entries(os.fspath(folder)):
            with suppress(OSError):
                if entry.is_file() and entry.stat().st_size <= MAX_BESIDE:
                    yield Path(entry.path)
        if folder == outer:
            return


class _Survey(Struct):
    """What there is to copy: folders, outer ones first, files with the real paths behind them, and what is left out."""

    folders: list[str] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    omitted: list[str] = field(default_factory=list)


def _survey(root: str) -> _Survey:
    """Look at the whole project before anything is copied. Raises `TooLarge`."""
    found = _Survey()
    size = 0
    pending = [("", root, frozenset({os.path.realpath(root)}))]
    while pending:
        prefix, directory, above = pending.pop()
        for entry in _entries(directory):
            path, real = prefix + entry.name, entry.path
            try:
                if entry.is_symlink():
                    real = os.path.realpath(entry.path, strict=True)
                if entry.is_dir():
                    if entry.name in _LEFT_OUT or any(os.path.exists(f"{real}/{mark}") for mark in _ENVIRONMENT):
                        found.omitted.append(path)
                    elif real not in above:  # a link to a folder above itself has no end
                        found.folders.append(path)
                        pending.append((f"{path}/", real, above | {real}))
                elif entry.is_file():
                    found.files[path] = real
                    size += entry.stat().st_size
            except OSError:  # a link that leads nowhere, or a file that is gone by now
                continue
            if size > MAX_BYTES or len(found.files) > MAX_FILES:
                raise TooLarge(
                    f"the project holds more than {MAX_BYTES // 2**20} MB or {MAX_FILES} files, "
                    "which is too much for a scratch copy"
                )
    return found


def _entries(directory: str) -> list[os.DirEntry[str]]:
    with suppress(OSError), os.scandir(directory) as entries:
        return sorted(entries, key=lambda entry: entry.name)
    return []


def _copy_file(source: str, target: Path) -> None:
    try:
        shutil.copyfile(source, target)
        target.chmod(0o700 if os.access(source, os.X_OK) else 0o600)
    except (FileNotFoundError, PermissionError):  # what we cannot read, the app cannot read either
        target.unlink(missing_ok=True)


def _put(target: Path, data: bytes | None) -> None:
    if data is None:
        target.unlink(missing_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)


def _delete(folder: Path) -> None:
    """Delete a folder also when what ran in it took away its own permissions, or is just writing its last file."""
    for _ in range(3):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        for directory, _, _ in os.walk(folder):
            with suppress(OSError):
                os.chmod(directory, 0o700)
