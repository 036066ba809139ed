"""One run at a time, and where the state lies."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from laterctl import journal
from laterctl.journal import (
    BusyError,
)
from tests.journal.journal_scene import (
    BEFORE,
    COMMAND,
    LINKED,
    LOCK,
    change,
    git,
    look,
    look_at,
    posix,
    recover,
    take_back,
    waiting_run,
)


def git_path(folder: Path) -> Path:
    return (folder / git(folder, "rev-parse", "--git-path", "laterctl")).resolve()


@posix
def test_a_second_run_is_refused_until_the_first_is_dead(root: Path) -> None:
    before = look(root)
    with waiting_run(root) as child:
        with pytest.raises(BusyError, match=str(child.pid)) as caught, journal.lock(root):
            pytest.fail("entered")
        assert caught.value.pid == child.pid
        waiting = journal.pending(root)
        assert waiting is not None
        assert waiting.running
        assert waiting.pid == child.pid
        child.kill()
        child.wait()
        waiting = journal.pending(root)
        assert waiting is not None
        assert not waiting.running
        recover(root)
        assert look(root) == before


def test_the_lock_is_free_again_after_an_error(root: Path) -> None:
    with suppress(ZeroDivisionError), journal.lock(root):
        with pytest.raises(BusyError), journal.lock(root):
            pytest.fail("entered")
        raise ZeroDivisionError
    with journal.lock(root) as held:
        assert held.root == root


def test_state_lies_in_the_git_directory_of_the_work_tree(tmp_path: Path) -> None:
    top = tmp_path / "top"
    (top / "backend").mkdir(parents=True)
    git(top, "init", "-q")
    git(top, "commit", "-q", "--allow-empty", "-m", "x")
    git(top, "worktree", "add", "-q", str(tmp_path / "linked"))
    git(top, "submodule", "--quiet", "add", str(top), "module")
    (tmp_path / "linked/backend").mkdir()

    places = [top, top / "backend", tmp_path / "linked", tmp_path / "linked/backend", top / "module"]
    folders = [journal.state_dir(place) for place in places]
    assert [folder.parent for folder in folders] == [git_path(place) for place in places]
    assert len(set(folders)) == len(places)
    with journal.lock(top / "backend") as held:
        assert held.state == folders[1]
        with journal.lock(top):
            assert git(top, "status", "--porcelain", "--ignored", "--", "backend", ".git") == ""
        assert stat.S_IMODE(held.state.stat().st_mode) == 0o700 or sys.platform == "win32"


def test_state_lies_with_the_user_where_there_is_no_git(tmp_path: Path, user_state: Path) -> None:
    root = tmp_path / "plain"
    (root / "app").mkdir(parents=True)
    for path, data in BEFORE.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    (root / LINKED).symlink_to("config/settings.toml")
    (root / ".git").mkdir()
    before = look(root)
    change(root)
    assert journal.state_dir(root).is_relative_to(user_state / "laterctl")

    (root / ".git/HEAD").write_text("ref: refs/heads/main\n")
    assert journal.last_run(root) is not None
    take_back(root)
    assert {p: e[:2] for p, e in look(root).items() if p != LOCK} == {p: e[:2] for p, e in before.items() if p != LOCK}


def test_readers_write_nothing(root: Path) -> None:
    before = look_at(root)
    assert journal.pending(root) is None
    assert journal.last_run(root) is None
    assert journal.last_written(root) == {}
    assert look_at(root) == before


def test_a_project_reached_through_a_link_is_the_same_project(root: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(root)
    assert journal.state_dir(tmp_path / "alias") == journal.state_dir(root)
    before = look(root)
    change(tmp_path / "alias")
    with pytest.raises(BusyError), journal.lock(root), journal.lock(tmp_path / "alias"):
        pytest.fail("entered")
    take_back(root)
    (root / LOCK).write_bytes(BEFORE[LOCK])
    assert look(root) == before


def test_the_journal_on_disk_is_private_and_plain_json(root: Path) -> None:
    change(root)
    file = journal.state_dir(root) / "last.json"
    assert json.loads(file.read_bytes())["command"] == COMMAND
    if sys.platform != "win32":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_importing_it_does_not_import_what_only_a_write_needs() -> None:
    heavy = {"json", "base64", "hashlib", "secrets", "difflib", "subprocess"}
    code = f"import sys; sys.path[:0] = {sys.path!r}; import laterctl.journal; print({heavy!r} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "set()"
