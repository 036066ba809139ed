"""The view of the files: what is listed, what an overlay shows, what is refused."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

import pytest

from laterctl.project import installed
from laterctl.project.roots import find_root
from laterctl.project.source import Unreadable
from laterctl.project.tree import Outside, Tree
from tests.project.making import write


def test_files_are_pruned_and_sorted(tmp_path: Path) -> None:
    kept = ["a.py", "pkg/b.py", "pkg/data.txt"]
    dropped = [".git/x.py", "node_modules/x.py", "pkg/__pycache__/x.py", "build/x.py", "dist/x.py", "venv/x.py"]
    write(tmp_path, dict.fromkeys([*reversed(kept), *dropped, "venv/pyvenv.cfg"], ""))
    tree = Tree(tmp_path)
    assert tree.files() == kept
    assert tree.python_files() == ["a.py", "pkg/b.py"]


def test_overlay_adds_changes_and_hides(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": "a = 1\n", "b.py": "b = 1\n"})
    base = Tree(tmp_path)
    tree = base.with_overlay({"a.py": b"a = 2\n", "b.py": None, "new/c.py": b"a = 3\n", ".venv/x.py": b"a = 4"})
    assert tree.files() == ["a.py", "new/c.py"]
    assert (tree.read("a.py"), tree.read("b.py"), base.read("a.py")) == (b"a = 2\n", None, b"a = 1\n")
    assert (tree.exists("b.py"), tree.exists("new"), tree.is_dir("new"), base.exists("new")) == (
        False,
        True,
        True,
        False,
    )
    assert tree.files_containing(b"a = ") == ["a.py", "new/c.py"]
    assert base.files_containing(b"a = ") == ["a.py"]
    assert tree.names() == ["a.py"]
    assert tree.names("new") == ["c.py"]


def test_overlays_share_what_was_read(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": "a = 1\n", "b.py": "b = 1\n"})
    base = Tree(tmp_path)
    source = base.python("a.py")
    (tmp_path / "a.py").write_text("changed on disk")
    tree = base.with_overlay({"b.py": b"x"})
    assert tree.python("a.py") is source
    assert tree.python("b.py").text == "x"
    assert base.python("b.py").text == "b = 1\n"


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../x"])
def test_paths_that_leave_the_project(tmp_path: Path, path: str) -> None:
    tree = Tree(tmp_path)
    with pytest.raises(Outside):
        tree.read(path)
    with pytest.raises(Outside):
        tree.exists(path)


def test_links(tmp_path: Path) -> None:
    write(tmp_path, {"other/secret.py": "x", "root/real.py": "y", "root/pkg/z.py": ""})
    root = tmp_path / "root"
    (root / "inside.py").symlink_to("real.py")
    (root / "outside.py").symlink_to("../other/secret.py")
    (root / "folder").symlink_to("../other")
    tree = Tree(root)
    assert tree.read("inside.py") == b"y"
    for path in ("outside.py", "folder/secret.py"):
        with pytest.raises(Outside):
            tree.read(path)
    assert tree.files() == ["inside.py", "outside.py", "pkg/z.py", "real.py"]  # folders are never followed
    with pytest.raises(Outside):  # also once it has been listed
        tree.read("outside.py")


def test_absent_and_folder(tmp_path: Path) -> None:
    write(tmp_path, {"pkg/a.py": ""})
    tree = Tree(tmp_path)
    assert (tree.read("x.py"), tree.read("pkg"), tree.read("pkg/a.py/b")) == (None, None, None)
    with pytest.raises(FileNotFoundError):
        tree.python("x.py")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_file_without_permission(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": "x"})
    (tmp_path / "a.py").chmod(0)
    with pytest.raises(Unreadable) as caught:
        Tree(tmp_path).read("a.py")
    assert caught.value.code == "permission"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX")
def test_what_is_no_regular_file_is_passed_over(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": "a = 1\n", "pkg/b.py": "b = 1\n"})
    (tmp_path / ".laterctl").mkdir()
    for path in ("fifo.py", "pkg/fifo.py", "pyproject.toml", ".env.example", ".laterctl/feature-cors.json"):
        os.mkfifo(tmp_path / path)
    (tmp_path / "linked.py").symlink_to("fifo.py")
    (tmp_path / "loop.py").symlink_to("loop.py")
    with socket.socket(socket.AF_UNIX) as bound, contextlib.chdir(tmp_path):
        bound.bind("socket.py")
        tree = Tree(tmp_path)
        assert tree.python_files() == ["a.py", "pkg/b.py"]
        assert tree.files_containing(b"a = 1") == ["a.py"]
        assert [tree.read(path) for path in ("fifo.py", "linked.py", ".env.example", "socket.py")] == [None] * 4
        assert find_root(tmp_path) == tmp_path
        assert installed.requested(tmp_path, "1") == frozenset()
