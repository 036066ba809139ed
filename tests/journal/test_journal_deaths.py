"""What the next run makes of one that died, at any moment, and of what somebody did meanwhile."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from laterctl import journal
from laterctl.changeset import Change
from laterctl.journal import (
    JournalError,
    KeptError,
)
from tests.journal.faulty_os import (
    JOBS,
    Action,
    changes_something,
    each_call,
    scene,
    stop,
    stop_half_way,
    stopped_job,
)
from tests.journal.journal_scene import (
    BEFORE,
    CHANGES,
    COMMAND,
    LOCK,
    MAIN,
    NEW,
    SCRIPT,
    Tree,
    begun,
    build,
    change,
    die_in,
    in_child,
    look,
    look_at,
    posix,
    recover,
    take_back,
)

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def edit(root: Path) -> dict[str, bytes | None]:
    """What somebody does to the files of a dead run; returns the bytes they must still find."""
    theirs: dict[str, bytes | None] = {}
    for path in (MAIN, NEW):
        if (root / path).exists():
            (root / path).write_bytes((root / path).read_bytes() + b"# mine\n")
            theirs[path] = (root / path).read_bytes()
    (root / SCRIPT).unlink()
    theirs[SCRIPT] = None
    (root / "app/unrelated.py").write_bytes(b"new\n")
    theirs["app/unrelated.py"] = b"new\n"
    return theirs


@posix
@JOBS
@pytest.mark.parametrize("how", [stop, stop_half_way])
def test_death_at_every_call(fast: Path, trees: tuple[Tree, Tree], how: Action, undoing: bool) -> None:
    job, prepare, start, end = scene(undoing, trees)
    half_done = 0
    for at, name, root in each_call(fast, job, prepare, changes_something):
        where = f"call {at}: {name}"
        assert stopped_job(root, job, at, how) == 9, where
        half_done += look(root) not in (start, end)
        waiting = journal.pending(root)
        assert waiting is None or not waiting.running
        report = recover(root)
        assert (report is None) == (waiting is None), where
        assert look(root) in (start, end), where
        assert waiting is None or look(root) == start, where
        assert recover(root) is None
        if look(root) == start:
            job(root)
        assert look(root) == end, where
    assert half_done > 10


@posix
def test_death_at_every_call_of_the_recovery(fast: Path, trees: tuple[Tree, Tree]) -> None:
    before, _ = trees

    def recover_only(root: Path) -> None:
        recover(root)

    def prepare(root: Path) -> None:
        die_in(root, lambda: os._exit(9))

    for at, name, root in each_call(fast, recover_only, prepare, changes_something):
        assert stopped_job(root, recover_only, at, stop_half_way) == 9
        recover(root)
        assert look(root) == before, f"call {at}: {name}"
        assert journal.pending(root) is None


@posix
def test_edits_made_after_a_death_at_any_call_are_never_overwritten(fast: Path, trees: tuple[Tree, Tree]) -> None:
    before, after = trees
    for at, name, root in each_call(fast, change, choice=changes_something):
        where = f"call {at}: {name}"
        assert stopped_job(root, change, at, stop) == 9
        theirs = edit(root)
        waiting = journal.pending(root)
        if waiting is None:
            assert recover(root) is None
        else:
            with pytest.raises(KeptError) as caught:
                recover(root)
            assert {MAIN, SCRIPT} <= set(caught.value.paths), where
            for path, kept in caught.value.versions.items():
                settled = path == LOCK and len(kept) > 1  # it died when it had noted what others wrote
                given = CHANGES.get(path, Change(BEFORE.get(path), b"lock after\n" if settled else None))
                versions = [data for data in (given.before, given.after) if data is not None]
                assert [file.read_bytes() for file in kept] == versions, where
                assert all(str(file) in str(caught.value) for file in kept)
            now = look(root)
            # Where they put a file, its folder stays.
            new_folders = {"app/core", "app/core/auth"} & now.keys() if NEW in theirs else set()
            free = {*theirs, *caught.value.paths, *new_folders}
            assert {p: e for p, e in now.items() if p not in free} == {p: e for p, e in before.items() if p not in free}
        for path, data in theirs.items():
            found = (root / path).read_bytes() if (root / path).exists() else None
            assert found == data, f"{where}: {path}"
        assert recover(root) is None
        assert look(root).keys() - theirs.keys() <= before.keys() | after.keys(), where


@posix
def test_a_lock_file_is_put_back_after_a_copy_was_saved(root: Path) -> None:
    before = look(root)
    die_in(root, lambda: os._exit(9))
    (root / LOCK).write_bytes(b"who wrote this?\n")
    report = recover(root)
    assert report is not None
    assert report.command == COMMAND
    assert set(report.restored) == {*CHANGES, LOCK}
    assert report.saved[LOCK].read_bytes() == b"who wrote this?\n"
    assert look(root) == before


@posix
def test_a_lock_file_that_the_dead_run_never_came_to_is_somebody_elses(root: Path) -> None:
    def die_before_writing() -> None:
        with begun(root):
            os._exit(9)

    assert in_child(die_before_writing) == 9
    (root / LOCK).write_bytes(b"of my run\n")
    theirs = look(root)
    with pytest.raises(KeptError) as caught:
        recover(root)
    assert caught.value.paths == (LOCK,)
    assert look(root) == theirs
    assert journal.pending(root) is None


@posix
def test_a_lock_file_stays_when_somebody_went_on_from_there(root: Path) -> None:
    die_in(root, lambda: os._exit(9))
    (root / MAIN).write_bytes(b"mine\n")
    (root / LOCK).write_bytes(b"of my run\n")
    with pytest.raises(KeptError) as caught:
        recover(root)
    assert set(caught.value.paths) == {MAIN, LOCK}
    assert (root / LOCK).read_bytes() == b"of my run\n"
    assert [file.read_bytes() for file in caught.value.versions[LOCK]] == [BEFORE[LOCK]]


@posix
def test_no_new_run_before_the_dead_one_is_recovered(root: Path) -> None:
    change(root)
    after = look(root)

    def die_undoing() -> None:
        with journal.lock(root) as held, journal.begin_undo(held) as open_run:
            open_run.apply()
            os._exit(9)

    assert in_child(die_undoing) == 9
    half_done = look(root)
    with journal.lock(root) as held:
        with pytest.raises(JournalError, match="recovered first"):
            journal.undo(held)
        with pytest.raises(JournalError, match="recovered first"), journal.begin(held, CHANGES, command="x"):
            pytest.fail("opened")
        assert look(root) == half_done
        waiting = journal.pending(root)
        assert waiting is not None
        assert waiting.command == f"undo of {COMMAND}"
        assert waiting.running
        journal.recover(held)
    assert look(root) == after


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"version": 1}', b'{"version": 2}', b"\xff"])
def test_a_journal_that_cannot_be_read_stops_everything_that_writes(root: Path, data: bytes) -> None:
    folder = journal.state_dir(root)
    folder.mkdir(parents=True)
    (folder / "pending.json").write_bytes(data)
    before = look(root)
    with pytest.raises(JournalError, match=r"pending\.json"):
        journal.pending(root)
    with pytest.raises(JournalError, match=r"pending\.json"):
        change(root)
    assert look(root) == before
    assert (folder / "pending.json").read_bytes() == data


@posix
def test_a_link_put_in_the_way_of_a_recovery_is_not_followed(root: Path, tmp_path: Path) -> None:
    die_in(root, lambda: os._exit(9))
    outside = tmp_path / "outside"
    shutil.copytree(root / "app", outside)
    shutil.rmtree(root / "app")
    (root / "app").symlink_to(outside)
    theirs = look_at(outside)
    with pytest.raises(KeptError) as caught:
        recover(root)
    assert {MAIN, NEW} <= set(caught.value.paths)
    assert look_at(outside) == theirs
    assert (root / SCRIPT).read_bytes() == BEFORE[SCRIPT]


LOOP = """
import os, sys
sys.path[:0] = {path!r}
from pathlib import Path
from tests.journal import journal_scene as scene
root = Path({root!r})
os.write(1, b"go")
while True:
    scene.change(root)
    scene.take_back(root)
"""


@posix
def test_kill_9_at_random_moments(tmp_path: Path, trees: tuple[Tree, Tree]) -> None:
    """On a real disk. The child changes and undoes without end, so that nearly every moment is within a run."""
    before, after = trees
    chance = random.Random(20)
    root = build(tmp_path)
    caught = 0
    for _ in range(15):
        code = LOOP.format(path=[str(Path(__file__).parents[2]), *sys.path], root=str(root))
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            assert child.stdout.read(2) == b"go"
            time.sleep(chance.uniform(0, 0.25))
            child.send_signal(signal.SIGKILL)
        caught += journal.pending(root) is not None
        recover(root)
        assert look(root) in (before, after)
        assert journal.pending(root) is None
        if look(root) == after:
            take_back(root)
        assert look(root) == before
    assert caught > 0
