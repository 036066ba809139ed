"""Scratch copies: real copies of what counts, and nothing left behind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from laterctl.proof.scratch import MAX_BYTES, TooLarge, scratch_copy
from tests.proof.scene import environment, tree, write


def test_what_is_copied(tmp_path: Path) -> None:
    write(
        tmp_path,
        dict.fromkeys(("main.py", ".env", "static/app.js", "data/dump.sql", ".laterctl/feature-jwt.json"), "x"),
    )
    write(tmp_path, dict.fromkeys((".git/HEAD", "node_modules/a/b.js", "app/__pycache__/a.pyc", ".mypy_cache/c"), "x"))
    (tmp_path / "uploads").mkdir()
    environment(tmp_path / "my-env", without=None)
    with scratch_copy(tmp_path) as scratch:
        assert sorted(tree(scratch.root)) == [
            ".env",
            ".laterctl/feature-jwt.json",
            "data/dump.sql",
            "main.py",
            "static/app.js",
        ]
        assert (scratch.root / "uploads").is_dir()
        assert scratch.root.name == tmp_path.name
        assert {".git", "node_modules", "my-env", "app/__pycache__", ".mypy_cache"} == set(scratch.omitted)


def test_writing_to_the_copy_does_not_reach_the_original(tmp_path: Path) -> None:
    write(tmp_path, {"project/main.py": "a", "elsewhere/notes": "b"})
    (tmp_path / "project/notes").symlink_to("../elsewhere/notes")
    (tmp_path / "project/all").symlink_to(tmp_path / "elsewhere")
    os.link(tmp_path / "project/main.py", tmp_path / "project/twin.py")
    (tmp_path / "project/main.py").chmod(0o444)
    with scratch_copy(tmp_path / "project") as scratch:
        for path in [path for path in scratch.root.rglob("*") if path.is_file()]:
            assert not path.is_symlink()
            assert path.stat().st_nlink == 1
            path.write_text("overwritten")
        assert (scratch.root / "all/notes").read_text() == "overwritten"
    assert (tmp_path / "project/main.py").read_text() == "a"
    assert (tmp_path / "elsewhere/notes").read_text() == "b"


def test_links_without_an_end(tmp_path: Path) -> None:
    write(tmp_path, {"app/main.py": "a"})
    (tmp_path / "app/up").symlink_to(tmp_path)
    (tmp_path / "app/nowhere").symlink_to("missing")
    os.mkfifo(tmp_path / "pipe")
    with scratch_copy(tmp_path) as scratch:
        assert list(tree(scratch.root)) == ["app/main.py"]


def test_the_overlay_wins(tmp_path: Path) -> None:
    write(tmp_path, {"main.py": "now", "core/new.py": "new"})
    with scratch_copy(tmp_path, {"main.py": b"then", "core/new.py": None, "core/old.py": b"old"}) as scratch:
        assert tree(scratch.root) == {"main.py": b"then", "core/old.py": b"old"}


def test_too_large(tmp_path: Path) -> None:
    with (tmp_path / "model.bin").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(TooLarge, match="200 MB"), scratch_copy(tmp_path):
        pass


def test_it_is_deleted_whatever_happens_in_it(tmp_path: Path, scratches: Path) -> None:
    write(tmp_path, {"app/main.py": "a"})

    def interrupted() -> None:
        with scratch_copy(tmp_path) as scratch:
            (scratch.root / "app").chmod(0o500)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert os.listdir(scratches) == []


@pytest.mark.parametrize(
    ("value", "moved"),
    [
        ("{original}", "{copy}"),
        ("{original}/src:/usr/lib", "{copy}/src:/usr/lib"),
        ("sqlite:///{original}/app.db", "sqlite:///{copy}/app.db"),
        ("{original}/.venv/bin:{original}", "{original}/.venv/bin:{copy}"),
        ("{original}-other/src", "{original}-other/src"),
        ("/mnt{original}", "/mnt{original}"),
    ],
)
def test_paths_in_the_environment(value: str, moved: str, tmp_path: Path) -> None:
    root = (tmp_path / "shop").resolve()
    write(root, {".venv/pyvenv.cfg": "", "main.py": ""})
    with scratch_copy(root) as scratch:
        names = {"original": str(root), "copy": str(scratch.root)}
        assert scratch.moved(value.format(**names)) == moved.format(**names)
