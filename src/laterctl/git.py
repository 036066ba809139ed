"""What git knows about the user's project, asked read-only. Without git, or outside a repository, nobody raises."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

TIMEOUT = 30.0
"""Seconds before a question counts as not answered."""

_REDIRECTIONS = frozenset(
    {
        "GIT_COMMON_DIR",
        "GIT_DIR",
        "GIT_GLOB_PATHSPECS",
        "GIT_ICASE_PATHSPECS",
        "GIT_INDEX_FILE",
        "GIT_LITERAL_PATHSPECS",
        "GIT_NOGLOB_PATHSPECS",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PREFIX",
        "GIT_WORK_TREE",
    }
)
"""Set by git for its hooks; they would answer for another repository than the one that holds the folder."""


def root_of(path: Path) -> Path | None:
    """Return the top folder of the work tree that holds `path`, links resolved.

    `None` when there is no repository, no git, or a repository that git refuses to read (another owner's).
    """
    folder = path if path.is_dir() else path.parent
    output = _git(folder, "rev-parse", "--show-toplevel")
    return Path(os.fsdecode(output.removesuffix(b"\n"))) if output else None


def prefix(root: Path) -> str:
    """Return the way from the top of the repository to `root`, such as `backend/`; empty at the top or without one."""
    return os.fsdecode((_git(root, "rev-parse", "--show-prefix") or b"").removesuffix(b"\n"))


def dirty(root: Path, paths: Iterable[str]) -> frozenset[str] | None:
    """Return those of `paths` whose present bytes are not committed: staged, changed, deleted, untracked or ignored.

    `paths` are relative to `root`, with forward slashes; they need not exist. `None` when git cannot say.
    """
    asked = frozenset(paths)
    top = prefix(root) if asked else ""
    unfiltered = _without_filters(root) if asked else ()
    if unfiltered is None:
        return None
    command = (
        *unfiltered,
        "--literal-pathspecs",
        "status",
        "--porcelain=v1",
        "-z",
        "--no-renames",
        "--untracked-files=all",
        "--ignored=matching",
        "--ignore-submodules=dirty",  # git would look into each, under the configuration of its own that it has
    )
    output = _git(root, *command, "--", *sorted(asked)) if asked else b""
    if output is None:
        return None
    # Each entry is two letters, a blank and a path from the top; an ignored folder stands for all that is in it.
    found = {os.fsdecode(entry[3:]) for entry in output.split(b"\0") if entry}
    return frozenset(path for path in asked if any(_covers(entry, top + path) for entry in found))


def ignored(root: Path, paths: Iterable[str]) -> frozenset[str]:
    """Return those of `paths` that git ignores, or would ignore once they exist; tracked files never are.

    `paths` are relative to `root`, with forward slashes. Empty when git cannot say.
    """
    asked = sorted(set(paths))
    if not asked:
        return frozenset()
    # Behind `./` a leading colon is not magic; this command does not know literal path specifications.
    output = _git(root, "check-ignore", "--stdin", "-z", data=b"".join(b"./%b\0" % os.fsencode(path) for path in asked))
    if output is not None:
        return frozenset(os.fsdecode(path.removeprefix(b"./")) for path in output.split(b"\0") if path)
    if len(asked) == 1 or root_of(root) is None:
        return frozenset()
    # One path behind a symbolic link or in a submodule makes git give up on all of them.
    return frozenset().union(*(ignored(root, [path]) for path in asked))


def ignore_rule(root: Path, path: str) -> str:
    """Return the rule by which git ignores a path, as `.gitignore:2:build/`; empty when git cannot say."""
    output = _git(root, "check-ignore", "--verbose", f"./{path}") or b""
    return os.fsdecode(output).partition("\t")[0]


def _without_filters(root: Path) -> list[str] | None:
    """Return options that keep git from running the filters of its configuration, which are programs.

    Without them a file whose time alone has changed may count as dirty. `None` when a filter has a name that no option
    can give, or when git cannot say which there are.
    """
    output = _git(root, "config", "-z", "--name-only", "--get-regexp", r"^filter\.")
    if output is None:
        return None
    keys = {os.fsdecode(key).rpartition(".")[0] for key in output.split(b"\0") if key}
    if any("=" in key for key in keys):
        return None
    values = ("clean=", "smudge=", "process=", "required=false")
    return [word for key in sorted(keys) for value in values for word in ("-c", f"{key}.{value}")]


def _covers(entry: str, path: str) -> bool:
    return entry == path or (entry.endswith("/") and path.startswith(entry))


def _may_be_in_repository(folder: Path) -> bool:
    """Whether asking git is worth a process; its environment does not name a repository here."""
    start = Path(os.path.realpath(folder))
    return any(os.path.lexists(top / ".git") for top in (start, *start.parents))


def _git(folder: Path, *arguments: str, data: bytes = b"") -> bytes | None:
    """Run one read-only git command; `None` when it could not run or says it failed (1 only means: found nothing)."""
    if not _may_be_in_repository(folder):
        return None
    import subprocess

    environment = {name: value for name, value in os.environ.items() if name not in _REDIRECTIONS}
    environment |= {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    # A monitor is a program that the repository's configuration names: it would run the user's code.
    command = ["git", "-C", os.fspath(folder), "-c", "core.fsmonitor=false", "-c", "core.quotePath=false", *arguments]
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=TIMEOUT, env=environment, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.returncode in {0, 1} else None
