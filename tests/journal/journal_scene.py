"""A project, a run on it, and what stands where: for the tests of the journal and their child processes."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from laterctl import journal
from laterctl.changeset import Change, Changeset

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs fork, signals and permission bits")

Tree = dict[str, tuple[str, bytes | str, int]]
"""What stands where: kind, content and permission bits of everything in a project but its `.git`."""

MAIN, SCRIPT, LINKED = "app/main.py", "run.sh", "settings.toml"
NEW, TOOL, GONE, LOCK = "app/core/auth/jwt.py", "tool.sh", "old/deep/only.py", "uv.lock"

BEFORE = {
    MAIN: b"\xef\xbb\xbfapp = 1\r\n",
    SCRIPT: b"#!/bin/sh\n",
    "config/settings.toml": b"a = 1\n",
    GONE: b"gone = 1\n",
    LOCK: b"lock before\n",
    "app/mine.py": b"mine = 1",
}
CHANGES = Changeset(
    {
        MAIN: Change(BEFORE[MAIN], b"\xef\xbb\xbfapp = 1\r\nadded = 1\r\n"),
        SCRIPT: Change(BEFORE[SCRIPT], b"#!/bin/sh\ntrue\n"),
        LINKED: Change(b"a = 1\n", b"a = 1\nb = 2\n"),
        GONE: Change(BEFORE[GONE], None),
        NEW: Change(None, b"jwt = 1\n"),
        TOOL: Change(None, b"#!/bin/sh\nfalse\n", 0o750),
        "app/core/__init__.py": Change(None, b""),
    }
)
COMMAND = "laterctl add jwt"


def build(folder: Path) -> Path:
    """Make the project, in what looks like a git work tree."""
    root = folder / "project"
    (root / ".git").mkdir(parents=True)
    (root / ".git/HEAD").write_text("ref: refs/heads/main\n")
    for path, data in BEFORE.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    (root / SCRIPT).chmod(0o755)
    (root / "old/deep").chmod(0o750)
    (root / LINKED).symlink_to("config/settings.toml")
    return root


def look(root: Path) -> Tree:
    found: Tree = {}
    for at, folders, names in os.walk(root):
        for name in [*folders, *names]:
            path = Path(at, name)
            mode = stat.S_IMODE(path.lstat().st_mode)
            if path.is_symlink():
                entry: tuple[str, bytes | str, int] = ("link", os.readlink(path), 0)
            else:
                entry = ("folder", "", mode) if path.is_dir() else ("file", path.read_bytes(), mode)
            found[path.relative_to(root).as_posix()] = entry
        if ".git" in folders:
            folders.remove(".git")
    del found[".git"]
    return found


def look_at(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def install(root: Path) -> None:
    """What a package manager does while the journal is open."""
    (root / LOCK).write_bytes(b"lock after\n")


def change(root: Path) -> None:
    """A whole run, as a command does it."""
    with journal.lock(root) as held:
        journal.recover(held)
        with journal.begin(held, CHANGES, command=COMMAND, extra=[LOCK]) as open_run:
            open_run.apply()
            install(root)
            open_run.commit()


def take_back(root: Path) -> None:
    with journal.lock(root) as held:
        journal.recover(held)
        journal.undo(held)


@contextmanager
def begun(root: Path, changeset: Changeset = CHANGES, extra: Iterable[str] = (LOCK,)) -> Iterator[journal.Run]:
    """Hold the lock and an open journal."""
    with journal.lock(root) as held, journal.begin(held, changeset, command=COMMAND, extra=extra) as open_run:
        yield open_run


def recover(root: Path) -> journal.Recovered | None:
    with journal.lock(root) as held:
        return journal.recover(held)


def in_child(job: Callable[[], object]) -> int:
    """Run `job` in a forked process, which ends without any clean-up; return its exit code."""
    child = os.fork()
    if child == 0:
        with suppress(BaseException):
            job()
            os._exit(0)
        os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def die_in(root: Path, last_words: Callable[[], object]) -> None:
    """Let a run die between its last write and the commit."""

    def job() -> None:
        with journal.lock(root) as held, journal.begin(held, CHANGES, command=COMMAND, extra=[LOCK]) as open_run:
            open_run.apply()
            install(root)
            last_words()

    assert in_child(job) == 9


WAITING = """
import os, sys, time
sys.path[:0] = {path!r}
from pathlib import Path
from tests.journal import journal_scene as scene
root = Path({root!r})
with scene.journal.lock(root) as held, scene.journal.begin(held, scene.CHANGES, command="x", extra=[scene.LOCK]) as run:
    run.apply()
    scene.install(root)
    try:
        os.write(1, b"go")
        time.sleep(60)
    except KeyboardInterrupt:
        os.write(1, b"interrupted")
        raise
"""


@contextmanager
def waiting_run(root: Path) -> Iterator[subprocess.Popen[bytes]]:
    code = WAITING.format(path=[str(Path(__file__).parents[2]), *sys.path], root=str(root))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.read(2) == b"go"
            yield child
        finally:
            child.kill()


@contextmanager
def protected(folder: Path) -> Iterator[None]:
    """Make a folder read-only, for root too; skip where that cannot be had."""
    if os.geteuid():
        mode = stat.S_IMODE(folder.stat().st_mode)
        folder.chmod(0o555)
        try:
            yield
        finally:
            folder.chmod(mode)
        return
    chattr = shutil.which("chattr")
    if chattr is None or subprocess.run([chattr, "+i", folder], capture_output=True, check=False).returncode:
        pytest.skip("root cannot make a folder read-only here")
    try:
        yield
    finally:
        subprocess.run([chattr, "-i", folder], check=True)


def git(folder: Path, *arguments: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "protocol.file.allow=always"]
    command = ["git", "-C", str(folder), *who, *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=60, check=True
    ).stdout.strip()
