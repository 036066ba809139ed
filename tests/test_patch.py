"""One engine: the patch of `--diff`, applied with `git apply`, is byte for byte the tree of the real run."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from laterctl.cli.app import app
from tests import memory
from tests.shapes import Shape, copy, git
from tests.test_laws import FEATURES, assert_same, each_shape

RUNNER = CliRunner()


def laterctl(folder: Path, shape: Shape, *arguments: str) -> bytes:
    """Run the command line in a shape's project and return what it printed; it must succeed."""
    flags = ["--app", shape.app_flag] if shape.app_flag else []
    result = RUNNER.invoke(app, ["-C", str(folder), *flags, *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout_bytes


@each_shape
@pytest.mark.parametrize("feature", FEATURES)
def test_the_patch_is_the_run(shape: Shape, feature: str, tmp_path: Path) -> None:
    if feature in shape.refuses:
        flags = ["--app", shape.app_flag] if shape.app_flag else []
        result = RUNNER.invoke(app, ["-C", str(copy(shape, tmp_path)), *flags, "add", feature, "--diff"])
        assert result.exit_code == 3
        return
    previewed, run = tmp_path / "previewed", tmp_path / "run"
    previewed.mkdir()
    run.mkdir()
    patch = laterctl(copy(shape, previewed), shape, "add", feature, "--diff")
    before = memory.read(previewed)
    subprocess.run(["git", "apply", "-"], cwd=previewed, input=patch, check=True)
    project = copy(shape, run)
    laterctl(project, shape, "add", feature, "--yes", "--no-install")
    assert_same(memory.read(previewed), memory.read(run), "git apply of --diff")
    git(run, "add", "--all")
    git(run, "commit", "--quiet", "--message=The feature")
    laterctl(project, shape, "remove", feature, "--yes", "--no-install")
    assert_same(memory.read(run), before, "add, commit, remove")
    assert not [
        path for path in run.rglob("*") if path.is_dir() and not any(path.iterdir()) and ".git" not in path.parts
    ]
