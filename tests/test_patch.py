"""One engine: the patch of `--diff`, applied with `git apply`, is byte for byte the tree of the real run."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from laterctl.cli.app import app
from tests import memory
from tests.shapes import REFUSED, Shape, copy, git, shape_named
from tests.test_laws import FEATURES, assert_same, each_shape, taken

RUNNER = CliRunner()


def laterctl(folder: Path, shape: Shape, *arguments: str) -> bytes:
    """Run the command line in a shape's project and return what it printed; it must succeed."""
    flags = ["--app", shape.app_flag] if shape.app_flag else []
    result = RUNNER.invoke(app, ["-C", str(folder), *flags, *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout_bytes


@each_shape
def test_the_patch_is_the_run(shape: Shape, tmp_path: Path) -> None:
    hold(shape, taken(shape), tmp_path)


@pytest.mark.parametrize("name", ["foundation", "crlf", "subfolder"])
@pytest.mark.parametrize("feature", FEATURES)
def test_the_patch_of_one_feature_is_the_run(name: str, feature: str, tmp_path: Path) -> None:
    shape = shape_named(name)
    if feature not in shape.refuses:
        hold(shape, [feature], tmp_path)


@pytest.mark.parametrize(("shape", "feature"), REFUSED, ids=lambda item: item if isinstance(item, str) else item.name)
def test_what_is_refused_has_no_patch(shape: Shape, feature: str, tmp_path: Path) -> None:
    flags = ["--app", shape.app_flag] if shape.app_flag else []
    result = RUNNER.invoke(app, ["-C", str(copy(shape, tmp_path)), *flags, "add", feature, "--diff"])
    assert result.exit_code == 3
    assert result.stdout_bytes == b""


def hold(shape: Shape, features: list[str], folder: Path) -> None:
    """The patch gives the tree of the run; from a commit of that tree, removing gives the tree before."""
    previewed, run = folder / "previewed", folder / "run"
    previewed.mkdir()
    run.mkdir()
    patch = laterctl(copy(shape, previewed), shape, "add", *features, "--diff")
    before = memory.read(previewed)
    subprocess.run(["git", "apply", "-"], cwd=previewed, input=patch, check=True)
    project = copy(shape, run)
    laterctl(project, shape, "add", *features, "--yes", "--no-install")
    assert_same(memory.read(previewed), memory.read(run), "git apply of --diff")
    git(run, "add", "--all")
    git(run, "commit", "--quiet", "--message=The features")
    laterctl(project, shape, "remove", *features, "--yes", "--no-install")
    assert_same(memory.read(run), before, "add, commit, remove")
    assert not [
        path for path in run.rglob("*") if path.is_dir() and not any(path.iterdir()) and ".git" not in path.parts
    ]
