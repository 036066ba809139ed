"""A journal that was damaged or forged, and what hangs on a file beside its bytes."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from laterctl import journal
from laterctl.changeset import Change, Changeset
from laterctl.journal import JournalError, WriteError
from laterctl.state_dir import LAST, PENDING

OUTSIDE = ["../outside.txt", "/tmp/laterctl-outside.txt", ".git/hooks/pre-commit", "a/../../x"]
DAMAGED = [b"", b"{", b"[]", b"null", b"[" * 100_000, b"\xff", b'{"version": 1}', b'{"version": 2}']


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "a.py").write_bytes(b"a = 1\n")
    changes = Changeset({"a.py": Change(b"a = 1\n", b"a = 2\n")})
    with journal.lock(folder) as held, journal.begin(held, changes, command="x") as run:
        run.apply()
        run.commit()
    return folder


def forge(root: Path, name: str, **fields: Any) -> None:
    state = journal.state_dir(root)
    values = json.loads((state / LAST).read_bytes())
    for key, value in fields.items():
        (values["files"][0] if key in values["files"][0] else values)[key] = value
    (state / name).write_text(json.dumps(values))


@pytest.mark.parametrize("name", [LAST, PENDING])
@pytest.mark.parametrize("path", OUTSIDE)
@pytest.mark.parametrize("field", ["place", "path", "created", "emptied", "modes", "extra"])
def test_nothing_outside_of_the_project_is_written(root: Path, name: str, field: str, path: str) -> None:
    lists = {"created": [path], "emptied": [path], "modes": {path: 0o777}}
    given = {"place": path, "extra": True} if field == "extra" else {field: lists.get(field, path)}
    forge(root, name, **given)
    with journal.lock(root) as held, pytest.raises(JournalError, match="not a path inside the project"):
        journal.recover(held) if name == PENDING else journal.undo(held)
    assert [item.name for item in root.iterdir()] == ["a.py"]
    assert [item.name for item in root.parent.iterdir() if item.name == "outside.txt"] == []


@pytest.mark.parametrize(
    "given",
    [{"id": "../../x"}, {"id": 3}, {"number": "../x"}, {"mode": "x"}, {"command": 3}, {"files": 3}, {"before": "?"}],
)
def test_a_field_is_something_else(root: Path, given: dict[str, Any]) -> None:
    forge(root, LAST, **given)
    with journal.lock(root) as held, pytest.raises(JournalError, match="delete it to go on"):
        journal.undo(held)


@pytest.mark.parametrize("name", [LAST, PENDING])
@pytest.mark.parametrize("data", DAMAGED)
def test_a_damaged_journal_says_what_to_do(root: Path, name: str, data: bytes) -> None:
    path = journal.state_dir(root) / name
    path.write_bytes(data)
    for question in (journal.last_run, journal.last_written) if name == LAST else (journal.pending,):
        with pytest.raises(JournalError) as caught:
            question(root)
        assert str(path) in str(caught.value)
        assert "delete it to go on" in str(caught.value)


def test_hard_links_are_not_broken(root: Path) -> None:
    os.link(root / "a.py", root.parent / "other.py")
    changes = Changeset({"a.py": Change(b"a = 2\n", b"a = 3\n")})
    with (
        journal.lock(root) as held,
        pytest.raises(WriteError, match="2 hard links"),
        journal.begin(held, changes, command="x"),
    ):
        pytest.fail("begun")
    assert (root / "a.py").samefile(root.parent / "other.py")
    deletion = Changeset({"a.py": Change(b"a = 2\n", None)})
    with journal.lock(root) as held, journal.begin(held, deletion, command="x") as run:
        run.apply()
        run.commit()
    assert (root.parent / "other.py").read_bytes() == b"a = 2\n"


@pytest.mark.skipif(sys.platform != "linux", reason="extended attributes of Linux")
@pytest.mark.parametrize("ending", ["commit", "take back", "undo"])
def test_extended_attributes_stay(root: Path, ending: str) -> None:
    try:
        os.setxattr(root / "a.py", "user.note", b"mine")
    except OSError:
        pytest.skip("the file system has no extended attributes")
    changes = Changeset({"a.py": Change(b"a = 2\n", b"a = 3\n")})
    with journal.lock(root) as held:
        with journal.begin(held, changes, command="x") as run:
            run.apply()
            if ending != "take back":
                run.commit()
        if ending == "undo":
            journal.undo(held)
    assert (root / "a.py").read_bytes() == (b"a = 3\n" if ending == "commit" else b"a = 2\n")
    assert os.getxattr(root / "a.py", "user.note") == b"mine"
