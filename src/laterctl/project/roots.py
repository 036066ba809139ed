"""Where a project begins: the folder with its manifest, which may be below the root of its repository."""

from __future__ import annotations

import codecs
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
    folder = path.rpartition("/")[0]
    while folder:
        pyproject = _read(tree, f"{folder}/pyproject.toml")
        if any(mark in pyproject for mark in _DECLARING):
            return folder
        if not listed and any(b"fastapi" in _read(tree, f"{folder}/{name}").lower() for name in _REQUIREMENTS[:2]):
            return folder
        folder = folder.rpartition("/")[0]
    return ""


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
