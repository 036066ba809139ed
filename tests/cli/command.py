"""Runs `laterctl` from outside, as users and programs do, and compares whole trees before and after."""

from __future__ import annotations

import atexit
import ctypes
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final

import jsonschema
import pytest

import laterctl.cli
from tests.shapes import copy, git, shape_named

COMMAND: Final = (sys.executable, "-m", "laterctl")
YES: Final = ("--yes", "--no-install")
TIMEOUT: Final = 300
SCHEMA: Final = Path(laterctl.cli.__file__).with_name("schema.json")

_KEPT: Final = ("PATH", "HOME", "LANG", "SYSTEMROOT", "TMPDIR")
_STATE: Final = tempfile.mkdtemp(prefix="laterctl-state-")
atexit.register(shutil.rmtree, _STATE, ignore_errors=True)


@dataclass(frozen=True)
class Ran:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    @cached_property
    def document(self) -> dict[str, Any]:
        """The JSON document on standard output, which holds nothing else; it has to fit the published schema."""
        made: dict[str, Any] = json.loads(self.out)
        validator().validate(made)
        return made

    @property
    def screen(self) -> str:
        """Everything that was printed."""
        return f"{self.out}\n{self.err}"


def run(folder: Path, *arguments: str, env: Mapping[str, str] | None = None, **more: Any) -> Ran:
    """Run `laterctl ARGUMENTS` in a folder without a terminal; it may end in any way but a traceback."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env=environment() | dict(env or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=TIMEOUT,
        check=False,
        **more,
    )
    ran = Ran(done.returncode, done.stdout, done.stderr)
    assert "Traceback (most" not in ran.screen, ran.screen
    return ran


def done(folder: Path, *arguments: str, **more: Any) -> Ran:
    """Run `laterctl ARGUMENTS`, which has to work."""
    ran = run(folder, *arguments, **more)
    assert ran.code == 0, ran.screen
    return ran


def environment() -> dict[str, str]:
    """The variables of a user who has configured nothing, with a folder of the tests' own for what laterctl keeps."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    git_alone = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    return kept | git_alone | {"XDG_STATE_HOME": _STATE, "COLUMNS": "200"}


@cache
def validator() -> Any:
    """The published schema of the JSON documents."""
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


# Projects


def project(tmp_path: Path, shape: str = "flat") -> Path:
    """Write a shape as a repository with one commit and return the project's folder in it."""
    return copy(shape_named(shape), tmp_path / "repository")


def commit(folder: Path) -> str:
    """Commit everything there is and return the commit."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message=More")
    return git(folder, "rev-parse", "HEAD").strip()


def replace(path: Path, old: str, new: str) -> None:
    """Replace a text that stands in a file once; line ends stay as they are."""
    text = path.read_bytes().decode()
    assert text.count(old) == 1, (old, text)
    path.write_bytes(text.replace(old, new).encode())


def append(path: Path, more: str | bytes) -> None:
    """Put something at the end of a file, which is made when there is none."""
    before = path.read_bytes() if path.exists() else b""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(before + (more.encode() if isinstance(more, str) else more))


Tree = dict[str, tuple[int, int, bytes]]


def tree(folder: Path, *, times: bool = True) -> Tree:
    """Everything below a folder but git's own files: mode, time of the last write and content, or target of a link."""
    found: Tree = {}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if ".git" in relative.parts:
            continue
        status = path.lstat()
        is_link, is_file = path.is_symlink(), path.is_file()
        content = os.fsencode(os.readlink(path)) if is_link else path.read_bytes() if is_file else b""
        written = status.st_mtime_ns if times and not path.is_dir() else 0
        found[relative.as_posix()] = (stat.S_IFMT(status.st_mode) | stat.S_IMODE(status.st_mode), written, content)
    return found


def contents(folder: Path) -> dict[str, bytes]:
    """The files below a folder but git's own."""
    return {path: content for path, (mode, _, content) in tree(folder).items() if stat.S_ISREG(mode)}


# A machine on which not everything may be read or written


def unprivileged() -> Callable[[], None] | None:
    """What a child runs first so that permissions hold for it: root reads and writes everything else.

    Skips the test where that cannot be had.
    """
    if os.name != "posix":
        pytest.skip("POSIX permissions")
    if os.geteuid():
        return None
    with tempfile.NamedTemporaryFile() as file:
        os.chmod(file.name, 0)
        opened = subprocess.run(["cat", file.name], preexec_fn=_drop, capture_output=True, check=False)
    if not opened.returncode:
        pytest.skip("root reads everything here")
    return _drop


def _drop() -> None:
    drop_from_bounding_set, dac_override, dac_read_search = 24, 1, 2  # linux/prctl.h, linux/capability.h
    libc = ctypes.CDLL(None)
    for capability in (dac_override, dac_read_search):
        libc.prctl(drop_from_bounding_set, capability, 0, 0, 0)
