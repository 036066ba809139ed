"""Read-only files and folders, owners, full disks: the real ones."""

# ruff: noqa: PT012 - leaving the block is what raises
from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from laterctl import journal
from laterctl.changeset import Change, Changeset
from laterctl.journal import (
    RestoreError,
    WriteError,
)
from tests.journal.journal_scene import (
    BEFORE,
    CHANGES,
    COMMAND,
    GONE,
    LOCK,
    MAIN,
    NEW,
    SCRIPT,
    TOOL,
    begun,
    build,
    change,
    in_child,
    install,
    look,
    posix,
    protected,
    recover,
)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 400 KB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(folder)]
    if sys.platform != "linux" or os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("cannot mount a small file system here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill_up(folder: Path) -> Path:
    filler = folder / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 1024)
    with pytest.raises(OSError, match="No space"):
        (folder / "more").write_bytes(b"x" * 8192)
    (folder / "more").unlink(missing_ok=True)
    return filler


@posix
def test_a_read_only_file_is_not_replaced(root: Path) -> None:
    (root / SCRIPT).chmod(0o555)
    before = look(root)
    with pytest.raises(WriteError, match=f"{SCRIPT}: the file is read-only"):
        change(root)
    assert look(root) == before
    assert journal.pending(root) is None


@posix
@pytest.mark.parametrize("folder", ["app", "old/deep", "config", "."])
def test_a_read_only_folder(root: Path, folder: str) -> None:
    before = look(root)
    journal.state_dir(root).mkdir(parents=True)
    with protected(root / folder):
        with pytest.raises(WriteError, match="cannot write") as caught:
            change(root)
        assert caught.value.cause.errno in {errno.EACCES, errno.EPERM, errno.EROFS}
        assert journal.pending(root) is None
    assert look(root) == before


@posix
def test_a_folder_that_turns_read_only_before_the_restoration_is_caught_up_later(root: Path) -> None:
    before = look(root)
    with ExitStack() as stack:
        with pytest.raises(RestoreError) as caught, begun(root) as open_run:
            open_run.apply()
            install(root)
            stack.enter_context(protected(root / "app"))
            raise ZeroDivisionError
        assert set(caught.value.paths) == {MAIN, "app/core"}
        assert (root / SCRIPT).read_bytes() == BEFORE[SCRIPT]
    recover(root)
    assert look(root) == before


@posix
def test_an_ordinary_user_in_a_read_only_folder() -> None:
    if os.geteuid():
        pytest.skip("the test above runs as an ordinary user already")
    folder = Path(tempfile.mkdtemp(prefix="laterctl-"))
    try:
        root = build(folder)
        before = look(root)
        for at, _, _ in os.walk(folder):
            os.chown(at, 65534, 65534)
        (root / "app").chmod(0o555)
        before = look(root)

        def as_nobody() -> None:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            try:
                change(root)
            except WriteError as error:
                os._exit(9 if error.cause.errno == errno.EACCES else 8)

        assert in_child(as_nobody) == 9
        assert look(root) == before
    finally:
        shutil.rmtree(folder)


@posix
def test_owners_stay_when_root_writes(root: Path) -> None:
    if os.geteuid():
        pytest.skip("only root can write for somebody else")
    os.chown(root / MAIN, 65534, 65534)
    os.chown(root / GONE, 65534, 65534)
    with begun(root, extra=()) as open_run:
        open_run.apply()
        assert (root / MAIN).stat().st_uid == 65534
    assert (root / MAIN).stat().st_uid == 65534
    assert (root / GONE).stat().st_gid == 65534


@pytest.mark.parametrize("when", ["before", "after begin", "after apply"])
def test_a_really_full_disk(small_disk: Path, when: str) -> None:
    root = build(small_disk)
    before = look(root)
    expected = RuntimeError if when == "after apply" else WriteError
    with journal.lock(root) as held:
        if when == "before":
            fill_up(small_disk)
        with pytest.raises(expected) as caught, journal.begin(held, CHANGES, command=COMMAND, extra=[LOCK]) as open_run:
            if when == "after begin":
                fill_up(small_disk)
            open_run.apply()
            install(root)
            fill_up(small_disk)
            raise RuntimeError
    if isinstance(caught.value, WriteError):
        assert caught.value.cause.errno == errno.ENOSPC
    assert look(root) == before
    assert journal.pending(root) is None
    (small_disk / "filler").unlink()
    change(root)
    assert (root / NEW).exists()


def test_a_file_larger_than_what_is_left(small_disk: Path) -> None:
    root = build(small_disk)
    before = look(root)
    large = Changeset({MAIN: Change(BEFORE[MAIN], b"x" * 100_000), TOOL: Change(None, b"y" * 150_000)})
    with pytest.raises(WriteError, match="No space left"), begun(root, large) as open_run:
        open_run.apply()
        open_run.commit()
    assert look(root) == before
