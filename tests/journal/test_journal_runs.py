"""What a run does, and how it is undone."""

# ruff: noqa: PT012 - leaving the block is what raises
from __future__ import annotations

import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from laterctl import journal
from laterctl.changeset import Change, Changeset, patch
from laterctl.journal import (
    ChangedError,
    JournalError,
    KeptError,
)
from tests.journal.journal_scene import (
    BEFORE,
    CHANGES,
    COMMAND,
    GONE,
    LINKED,
    LOCK,
    MAIN,
    NEW,
    SCRIPT,
    TOOL,
    begun,
    change,
    git,
    install,
    look,
    look_at,
    posix,
    take_back,
)


def test_a_run_writes_its_changeset_and_nothing_else(root: Path) -> None:
    before = look(root)
    change(root)
    after = look(root)
    assert (root / MAIN).read_bytes() == CHANGES[MAIN].after
    assert after[NEW][:2] == ("file", b"jwt = 1\n")
    assert after[TOOL] == ("file", b"#!/bin/sh\nfalse\n", 0o750)
    assert after[SCRIPT] == ("file", b"#!/bin/sh\ntrue\n", 0o755)
    assert after[LINKED] == before[LINKED]
    assert after["config/settings.toml"][1] == b"a = 1\nb = 2\n"
    assert "old" not in after
    touched = {
        NEW,
        TOOL,
        MAIN,
        SCRIPT,
        GONE,
        LOCK,
        "config/settings.toml",
        "old",
        "old/deep",
        "app/core",
        "app/core/auth",
    }
    touched.add("app/core/__init__.py")
    assert {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)} == touched
    assert journal.pending(root) is None
    last = journal.last_run(root)
    assert last is not None
    assert last.command == COMMAND
    assert last.changeset.keys() == {*CHANGES, LOCK}


def test_undo_gives_everything_back_lock_files_too(root: Path) -> None:
    before = look(root)
    change(root)
    with journal.lock(root) as held:
        undone = journal.undo(held)
        assert undone.command == COMMAND
        assert dict(undone.changeset) == {
            path: Change(given.before, given.after, undone.changeset[path].mode)
            for path, given in {**CHANGES, LOCK: Change(BEFORE[LOCK], b"lock after\n")}.items()
        }
        with pytest.raises(JournalError, match="no run to undo"):
            journal.undo(held)
    assert look(root) == before
    assert journal.last_run(root) is None


def test_undo_refuses_when_anything_changed_and_names_it(root: Path) -> None:
    change(root)
    (root / MAIN).write_bytes(b"mine\n")
    (root / NEW).unlink()
    (root / GONE).parent.mkdir(parents=True)
    (root / GONE).write_bytes(b"again\n")
    changed = look(root)
    with journal.lock(root) as held, pytest.raises(ChangedError) as caught:
        journal.undo(held)
    assert caught.value.paths == (NEW, MAIN, GONE)
    assert look(root) == changed
    assert journal.last_run(root) is not None


def test_undo_leaves_folders_that_hold_something_or_were_there(root: Path) -> None:
    (root / "empty").mkdir()
    with journal.lock(root) as held:
        changes = Changeset({"empty/a.py": Change(None, b""), "new/sub/b.py": Change(None, b"")})
        with journal.begin(held, changes, command="x") as open_run:
            open_run.apply()
            open_run.commit()
        (root / "new/notes.txt").write_text("mine")
        journal.undo(held)
    assert (root / "empty").is_dir()
    assert not (root / "new/sub").exists()
    assert (root / "new/notes.txt").read_text() == "mine"


@posix
def test_undo_makes_removed_folders_again_as_they_were(root: Path) -> None:
    (root / "old/deep").chmod(0o777)
    before = look(root)
    change(root)
    assert not (root / "old").exists()
    take_back(root)
    assert look(root)["old/deep"] == before["old/deep"]


def test_undo_can_have_steps_that_fail_too(root: Path) -> None:
    change(root)
    after = look(root)
    with (
        pytest.raises(ZeroDivisionError),
        journal.lock(root) as held,
        journal.begin_undo(held, extra=["poetry.lock"]) as open_run,
    ):
        open_run.apply()
        (root / "poetry.lock").write_bytes(b"third\n")
        raise ZeroDivisionError
    assert look(root) == after
    assert journal.last_run(root) is not None


def test_undo_refuses_when_the_lock_file_changed_since(root: Path) -> None:
    change(root)
    (root / LOCK).write_bytes(b"updated since\n")
    changed = look(root)
    with journal.lock(root) as held, pytest.raises(ChangedError) as caught:
        journal.undo(held)
    assert caught.value.paths == (LOCK,)
    assert look(root) == changed


def test_undo_takes_a_lock_file_away_that_the_run_made_and_leaves_one_that_it_did_not_touch(root: Path) -> None:
    before = look(root)
    with begun(root, extra=["poetry.lock", LOCK]) as open_run:
        open_run.apply()
        (root / "poetry.lock").write_text("new")
        open_run.commit()
    (root / LOCK).write_bytes(b"updated since\n")
    take_back(root)
    assert look(root) == before | {LOCK: ("file", b"updated since\n", before[LOCK][2])}


def test_undo_gives_back_the_lock_file_of_a_workspace(root: Path) -> None:
    above = root.parent / "uv.lock"
    above.write_text("before")
    with begun(root, extra=["../uv.lock"]) as open_run:
        open_run.apply()
        above.write_text("after")
        open_run.commit()
    take_back(root)
    assert above.read_text() == "before"


def test_leaving_without_commit_restores(root: Path) -> None:
    before = look(root)
    with begun(root) as open_run:
        open_run.apply()
        install(root)
        assert look(root) != before
    assert look(root) == before
    assert journal.pending(root) is None
    assert journal.last_run(root) is None


def test_a_lock_file_that_did_not_exist_goes_and_a_deleted_one_comes_back(root: Path) -> None:
    before = look(root)
    with begun(root, extra=[LOCK, "poetry.lock"]) as open_run:
        open_run.apply()
        (root / LOCK).unlink()
        (root / "poetry.lock").write_text("new")
    assert look(root) == before


def test_the_lock_file_of_a_workspace_lies_above_the_project(root: Path) -> None:
    above = root.parent / "uv.lock"
    above.write_text("before")
    with begun(root, extra=["../uv.lock"]) as open_run:
        open_run.apply()
        above.write_text("after")
    assert above.read_text() == "before"


def test_the_steps_after_the_write_see_it_and_their_error_comes_through(root: Path) -> None:
    before = look(root)
    with pytest.raises(FileNotFoundError, match="uv"), begun(root) as open_run:
        open_run.apply()
        assert (root / NEW).exists()
        subprocess.run(["uv-that-is-not-installed"], check=True)
    assert look(root) == before


def test_an_error_after_the_commit_changes_nothing(root: Path) -> None:
    with pytest.raises(ZeroDivisionError), begun(root) as open_run:
        open_run.apply()
        open_run.commit()
        raise ZeroDivisionError
    assert (root / NEW).exists()
    assert journal.last_run(root) is not None


def test_nothing_is_written_when_a_file_is_not_what_was_planned_on(root: Path) -> None:
    (root / MAIN).write_bytes(b"other\n")
    (root / TOOL).write_bytes(b"in the way\n")
    before = look(root)
    with pytest.raises(ChangedError) as caught, begun(root):
        pytest.fail("opened")
    assert set(caught.value.paths) == {MAIN, TOOL}
    assert look(root) == before
    assert journal.pending(root) is None


def test_a_file_saved_between_begin_and_apply_is_not_overwritten(root: Path) -> None:
    before = look(root)
    with pytest.raises(ChangedError) as caught, begun(root) as open_run:
        (root / MAIN).write_bytes(b"saved\n")
        open_run.apply()
    assert caught.value.paths == (MAIN,)
    assert journal.pending(root) is None
    assert look(root) == before | {MAIN: ("file", b"saved\n", before[MAIN][2])}


def test_a_file_edited_while_packages_install_stays_when_the_rest_is_restored(root: Path) -> None:
    before = look(root)
    with pytest.raises(KeptError) as caught, begun(root) as open_run:
        open_run.apply()
        install(root)
        (root / MAIN).write_bytes(b"edited\n")
        raise ZeroDivisionError
    assert isinstance(caught.value.__context__, ZeroDivisionError)
    assert [path.read_bytes() for path in caught.value.versions[MAIN]] == [CHANGES[MAIN].before, CHANGES[MAIN].after]
    assert look(root) == before | {MAIN: ("file", b"edited\n", before[MAIN][2])}
    assert journal.pending(root) is None


def test_remembers_what_it_wrote_itself_over_several_runs_and_undo(root: Path) -> None:
    assert journal.last_written(root) == {}
    change(root)
    first = {path: journal.digest(given.after) for path, given in CHANGES.items()}
    assert journal.last_written(root) == first
    assert first[GONE] == ""
    second = Changeset({MAIN: Change(CHANGES[MAIN].after, b"second\n")})
    with journal.lock(root) as held:
        with journal.begin(held, second, command="second") as open_run:
            open_run.apply()
            open_run.commit()
        assert journal.last_written(root) == first | {MAIN: journal.digest(b"second\n")}
        with suppress(ZeroDivisionError), journal.begin(held, second.inverted(), command="fails") as open_run:
            open_run.apply()
            raise ZeroDivisionError
        assert journal.last_written(root) == first | {MAIN: journal.digest(b"second\n")}
        journal.undo(held)
        assert journal.last_written(root) == first
        assert journal.digest((root / MAIN).read_bytes()) == first[MAIN]


def test_what_an_undo_puts_back_was_not_written_by_laterctl(root: Path) -> None:
    change(root)
    take_back(root)
    assert journal.last_written(root) == {}


@pytest.mark.parametrize("extra", [[MAIN], ["config/settings.toml"], [LOCK, LOCK]])
def test_no_file_is_named_twice(root: Path, extra: list[str]) -> None:
    before = look(root)
    changeset = Changeset({path: CHANGES[path] for path in (MAIN, LINKED)})
    with pytest.raises(JournalError, match="the same file") as caught, begun(root, changeset, extra=extra):
        pytest.fail("opened")
    assert caught.value.paths
    assert look(root) == before


def test_an_empty_run_would_only_lose_the_last_one(root: Path) -> None:
    with pytest.raises(ValueError, match="nothing to write"), begun(root, Changeset()):
        pytest.fail("opened")


@posix
def test_links_are_written_through_only_inside_the_project(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file.py").write_bytes(b"theirs\n")
    (root / "file.py").symlink_to(outside / "file.py")
    (root / "folder").symlink_to(outside)
    (root / "dangling.py").symlink_to(outside / "missing.py")
    (root / "inside.py").symlink_to("app/mine.py")
    before = look(root)
    theirs = b"theirs\n"
    for path, old in {"file.py": theirs, "folder/file.py": theirs, "folder/new.py": None, "dangling.py": None}.items():
        changeset = Changeset({path: Change(old, b"x")})
        with pytest.raises(JournalError, match="leaves the project"), begun(root, changeset):
            pytest.fail("opened")
    deletion = Changeset({"inside.py": Change(b"mine = 1", None)})
    with pytest.raises(JournalError, match="symbolic link, which is not deleted"), begun(root, deletion):
        pytest.fail("opened")
    assert look(root) == before
    with begun(root, Changeset({"inside.py": Change(b"mine = 1", b"x")})) as open_run:
        open_run.apply()
        open_run.commit()
    assert (root / "app/mine.py").read_bytes() == b"x"
    take_back(root)
    assert look(root) == before
    assert (outside / "file.py").read_bytes() == b"theirs\n"
    assert not (outside / "new.py").exists()


names = st.text("ab é'\"\\", min_size=1, max_size=4).filter(lambda name: name.strip("."))
data = st.none() | st.binary(max_size=40) | st.text("ab\r\n\x0c\u2028é", max_size=40).map(str.encode)


@settings(deadline=None, max_examples=40, suppress_health_check=[*HealthCheck])
@given(st.dictionaries(st.lists(names, min_size=1, max_size=3).map("/".join), st.tuples(data, data), max_size=4))
def test_the_patch_applied_by_git_and_the_run_give_the_same_tree_and_undo_the_first(
    fast: Path, files: dict[str, tuple[bytes | None, bytes | None]]
) -> None:
    try:
        changeset = Changeset({path: Change(*pair) for path, pair in files.items()})
    except ValueError:
        return
    if not changeset:
        return
    with tempfile.TemporaryDirectory(dir=fast) as folder:
        roots = Path(folder, "run/sub"), Path(folder, "patched/sub")
        for root in roots:
            root.mkdir(parents=True)
            git(root.parent, "init", "-q")
            for path, change_ in changeset.items():
                if change_.before is not None:
                    (root / path).parent.mkdir(parents=True, exist_ok=True)
                    (root / path).write_bytes(change_.before)
            (root / "anchor").touch()
        start = look_at(roots[0])
        shown = Path(folder, "patch")
        shown.write_bytes(patch(changeset, prefix="sub/"))
        git(roots[1].parent, "apply", "--whitespace=nowarn", str(shown))
        with journal.lock(roots[0]) as held:
            with journal.begin(held, changeset, command="x") as open_run:
                open_run.apply()
                open_run.commit()
            assert look_at(roots[0]) == look_at(roots[1])
            assert {*roots[0].rglob("*/")} == {roots[0] / p.relative_to(roots[1]) for p in roots[1].rglob("*/")}
            journal.undo(held)
        assert look_at(roots[0]) == start
