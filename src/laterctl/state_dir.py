"""Where laterctl keeps what is private to this machine: beside the project's git directory, or in the user's state."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

PENDING = "pending.json"
"""The journal of a run that is not finished."""

LAST = "last.json"
"""The journal of the last finished run."""


VARIABLE = "LOCALAPPDATA" if sys.platform == "win32" else "XDG_STATE_HOME"
"""The environment variable that says where the user's state is."""


def state_dir(root: Path) -> Path:
    """Return the state folder of the project at `root`; it need not exist yet.

    In a git work tree it lies below the git directory of that work tree (what `git rev-parse --git-path laterctl`
    prints), one folder for each project of the repository; elsewhere in the user's state folder. A project that
    already has a record there keeps it when it becomes a repository later; one whose git directory cannot be written has
    it there too.
    """
    root = root.resolve()
    found = _git_dir(root)
    if found is None:
        return _outside(root)
    with suppress(RuntimeError):  # no home folder
        outside = _outside(root)
        if not os.path.exists(found[0] / "laterctl") and not os.access(found[0], os.W_OK):
            return outside
        if any(os.path.exists(outside / name) for name in (PENDING, LAST)):
            return outside
    git_dir, top = found
    return git_dir / "laterctl" / _key(root.relative_to(top).as_posix())


def _outside(root: Path) -> Path:
    return _user_state(os.environ).resolve() / "laterctl" / _key(os.fspath(root))


def _key(name: str) -> str:
    import hashlib

    return hashlib.sha256(os.fsencode(name)).hexdigest()[:16]


def _user_state(environment: Mapping[str, str]) -> Path:
    """Follow the XDG base directory specification (absolute paths only), with the local counterpart on Windows."""
    if os.path.isabs(xdg := environment.get("XDG_STATE_HOME", "")):
        return Path(xdg)
    if sys.platform == "win32" and (local := environment.get("LOCALAPPDATA")):
        return Path(local)
    return Path.home() / ".local" / "state"


def _git_dir(root: Path) -> tuple[Path, Path] | None:
    """Return the git directory and the top of the work tree that holds `root`.

    Read from `.git` itself, a folder or (worktrees, submodules) a file that points to one: the answer must be the
    same in every run, also when git is not installed or refuses a repository of another owner.
    """
    for top in (root, *root.parents):
        git_dir = top / ".git"
        with suppress(OSError, UnicodeError):
            if git_dir.is_file() and (text := git_dir.read_text()).startswith("gitdir:"):
                git_dir = top / text.removeprefix("gitdir:").strip()
        if os.path.exists(git_dir / "HEAD"):
            return git_dir.resolve(), top
    return None
