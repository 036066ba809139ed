"""Where a project begins: the folder with its manifest, which may be below the root of its repository."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from laterctl.project.tree import Tree

_DECLARING = (b"[project]", b"[tool.poetry]", b"[tool.laterctl]", b"[dependency-groups]")
_OTHERS = ("setup.py", "setup.cfg", "Pipfile", "environment.yml")
_REQUIREMENTS = ("requirements.txt", "requirements.in", "requirements")


def repository_of(root: Path) -> Path:
    """Return the folder of the repository that a project is in, or the project itself. `root` has its links resolved."""
    return next((folder for folder in (root, *root.parents) if (folder / ".git").exists()), root)


def find_root(start: Path) -> Path:
    """Return the project that `start` is in: the nearest folder above with a manifest, not beyond the git root.

    A pyproject.toml that only configures tools counts when there is nothing better up to the git root. Without any
    manifest the git root is the project, without git `start` itself.
    """
    start = start.resolve()
    start = start if start.is_dir() else start.parent
    tools: Path | None = None
    for folder in (start, *start.parents):
        pyproject = folder / "pyproject.toml"
        if (folder / ".laterctl").is_dir() or _declares(pyproject):
            return folder
        if any((folder / name).exists() for name in (*_REQUIREMENTS, *_OTHERS)):
            return folder
        if pyproject.is_file():
            tools = tools or folder
        if (folder / ".git").exists():
            return tools or folder
    return tools or start


def _declares(path: Path) -> bool:
    try:
        data = path.read_bytes() if path.is_file() else b""  # a FIFO would wait for a writer
    except OSError:
        return False
    return any(mark in data for mark in _DECLARING)


def project_below(tree: Tree, path: str) -> str:
    """Return the folder of the project that file `path` belongs to when that is not the root of `tree`, else `""`.

    A pyproject.toml of its own makes a folder a project; a list of requirements does so unless the root lists FastAPI.
    """
    listed = any(
        b"fastapi" in _read(tree, name).lower() for name in ("pyproject.toml", "setup.cfg", *_REQUIREMENTS[:2])
    )
    return next((folder for folder, own in manifests_above(tree, path) if own or not listed), "")


def manifests_above(tree: Tree, path: str) -> Iterator[tuple[str, bool]]:
    """Yield the folders above a file, below the root, that list FastAPI, and whether a pyproject.toml makes it one."""
    folder = path.rpartition("/")[0]
    while folder:
        names = tree.names(folder) if tree.is_dir(folder) else ()
        pyproject = _read(tree, f"{folder}/pyproject.toml") if "pyproject.toml" in names else b""
        if any(mark in pyproject for mark in _DECLARING):
            yield folder, True
        else:
            lists = [f"{folder}/{name}" for name in names if name in {*_OTHERS, *_REQUIREMENTS}]
            if tree.is_dir(inner := f"{folder}/requirements"):
                lists += [f"{inner}/{name}" for name in tree.names(inner) if name.endswith((".txt", ".in"))]
            if any(_lists_fastapi(tree, name) for name in lists):
                yield folder, False
        folder = folder.rpartition("/")[0]


def _lists_fastapi(tree: Tree, path: str) -> bool:
    """Whether a list of dependencies names FastAPI; a setup.py of something else is code of the application."""
    data = _read(tree, path).lower()
    return b"fastapi" in data and (not path.endswith(".py") or b"setuptools" in data)


def _read(tree: Tree, path: str) -> bytes:
    """Return a file's bytes, those of UTF-16 as UTF-8 (`pip freeze >` writes it on Windows); none when unreadable."""
    from laterctl.project.source import Unreadable
    from laterctl.project.tree import Outside

    try:
        data = tree.read(path) or b""
    except (Outside, Unreadable):
        return b""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", errors="replace").encode()
    return data


def folders_above(root: Path) -> list[Path]:
    """Return the folders above that of a project, up to the top of its repository, nearest first; none without one."""
    here = root.resolve()
    top = repository_of(here)
    return [folder for folder in here.parents if folder == top or top in folder.parents]
