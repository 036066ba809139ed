"""What the tests of the journal share."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journal.journal_scene import (
    Tree,
    build,
    change,
    look,
)


@pytest.fixture(autouse=True)
def user_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "state-home"
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))
    return folder


@pytest.fixture(scope="module")
def fast() -> Iterator[Path]:
    """A folder in memory where there is one: these tests flush to disk thousands of times."""
    folder = tempfile.mkdtemp(prefix="laterctl-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    yield Path(folder).resolve()
    shutil.rmtree(folder)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return build(tmp_path)


@pytest.fixture(scope="module")
def trees(fast: Path) -> tuple[Tree, Tree]:
    """The project before and after the run."""
    root = build(fast / "model")
    before = look(root)
    change(root)
    return before, look(root)
