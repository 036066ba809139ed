"""Previews write nothing, and the patch is exactly what the run does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command import COMMAND, YES, append, commit, contents, done, environment, project, run, tree
from tests.shapes import git


def piped(folder: Path, *arguments: str) -> bytes:
    """Return what `laterctl ARGUMENTS` writes into a pipe, byte for byte; nothing else may be said."""
    done = subprocess.run([*COMMAND, *arguments], cwd=folder, env=environment(), capture_output=True, check=True)
    assert done.stderr == b""
    return done.stdout


@pytest.mark.parametrize("shape", ["flat", "foundation", "crlf", "subfolder", "no_newline", "main_guard"])
def test_the_patch_is_the_run(shape: str, tmp_path: Path) -> None:
    folder = project(tmp_path, shape)
    top = tmp_path / "repository"
    features = ("metrics", "resources")
    before = tree(top)
    patch = piped(folder, "add", *features, "--diff")
    assert tree(top) == before
    assert patch.startswith(b"diff --git ")
    assert b"\x1b" not in patch, "no colours in a pipe"

    git(folder, "apply", str(written(tmp_path / "add.patch", patch)))
    applied = tree(top, times=False)
    git(folder, "reset", "--hard", "--quiet")
    git(folder, "clean", "-fdq")
    done(folder, "add", *features, *YES)
    assert tree(top, times=False) == applied

    commit(folder)
    patch = piped(folder, "remove", *features, "--diff")
    git(folder, "apply", str(written(tmp_path / "remove.patch", patch)))
    assert contents(top) == {
        path: content for path, (_, _, content) in before.items() if content or path in contents(top)
    }


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_the_patch_can_go_to_a_file(tmp_path: Path) -> None:
    folder = project(tmp_path)
    patch = piped(folder, "add", "metrics", "--diff")
    file = tmp_path / "metrics.patch"
    for flags in (("--diff", "-o"), ("-o",), ("--diff", "--output")):
        ran = done(folder, "add", "metrics", *flags, str(file))
        assert ran.out == ""
        assert str(file) in ran.err
        assert file.read_bytes() == patch
        file.unlink()
    ran = done(folder, "add", "metrics", "--dry-run", "--json", "-o", str(file))
    assert ran.document["patch"].encode() == file.read_bytes() == patch
    ran = run(folder, "add", "metrics", "-o", str(tmp_path / "nowhere/metrics.patch"))
    assert ran.code == 3
    assert "nowhere/metrics.patch: No such file or directory" in ran.err
    assert git(folder, "status", "--porcelain") == ""


def test_with_nothing_to_do_the_patch_is_empty(tmp_path: Path) -> None:
    folder = project(tmp_path)
    ran = done(folder, "remove", "metrics", "--diff")
    assert ran.out == ""
    assert "Nothing to do" in ran.err


def test_the_plan_names_what_happens(tmp_path: Path) -> None:
    folder = project(tmp_path, "factory")
    before = tree(folder)
    ran = done(folder, "add", "metrics", "--dry-run")
    assert tree(folder) == before
    lines = ran.out.splitlines()
    assert lines[0] == (
        "app app.main:app (app/main.py:11); settings pydantic-settings (app/config.py:4); uv (pyproject.toml)"
    )
    assert "add metrics (with routing, settings)" in lines
    groups = {block.splitlines()[0]: block.splitlines()[1:] for block in ran.out.split("\n\n")[1:]}
    wiring = groups["Your files"]
    assert wiring[wiring.index("  ~ app/main.py") :][:2] == [
        "  ~ app/main.py",
        "      + from app.api.metrics import router as metrics_router",
    ]
    assert "      +     application.add_middleware(MetricsMiddleware)" in wiring
    (new,) = (line for line in groups["New files"] if line.startswith("  + app/core/metrics.py"))
    assert re.fullmatch(r"  \+ app/core/metrics.py  \d+ lines", new)
    assert "  prometheus-client>=0.22" in groups["Dependencies"]
    assert groups["What behaves differently"] == ["  GET /metrics answers at the root of the application"]
    assert lines[-1].endswith(" deleted")


def test_a_link_inside_of_the_project(tmp_path: Path) -> None:
    folder = project(tmp_path)
    (folder / "main.py").rename(folder / "real.py")
    (folder / "main.py").symlink_to("real.py")
    commit(folder)
    before = tree(folder, times=False)
    patch = piped(folder, "add", "metrics", "--diff")
    git(folder, "apply", str(written(tmp_path / "add.patch", patch)))
    applied = tree(folder, times=False)
    assert os.readlink(folder / "main.py") == "real.py"
    assert b"MetricsMiddleware" in (folder / "real.py").read_bytes()
    git(folder, "reset", "--hard", "--quiet")
    git(folder, "clean", "-fdq")
    done(folder, "add", "metrics", *YES)
    assert tree(folder, times=False) == applied
    done(folder, "undo", "--yes")
    assert tree(folder, times=False) == before


def test_an_interrupted_run_is_named_and_left_alone(tmp_path: Path) -> None:
    """The app's import kills laterctl in the middle of the proof: files are written, and the journal is open."""
    folder = project(tmp_path)
    append(
        folder / "main.py",
        "\nimport os, signal\nif app.user_middleware:\n    os.kill(int(os.environ['VICTIM']), signal.SIGKILL)\n",
    )
    append(folder / "pyproject.toml", f'[tool.laterctl]\npython = "{sys.executable}"\n')
    commit(folder)
    before = contents(folder)
    script = (
        "import os, sys; os.environ['VICTIM'] = str(os.getpid()); "
        "sys.argv = ['laterctl', 'add', 'security-headers', '--yes', '--no-install', '--prove']; "
        "from laterctl.__main__ import main; main()"
    )
    killed = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, env=environment(), capture_output=True, check=False
    )
    assert killed.returncode == -9, killed.stderr
    between = tree(folder)
    assert contents(folder) != before

    for arguments in (["list"], ["add", "cors", "--dry-run"], ["add", "cors", "--check"], ["add", "cors", "--diff"]):
        ran = run(folder, *arguments)
        assert "`laterctl add security-headers --yes --no-install --prove` was interrupted" in ran.err, arguments
        assert tree(folder) == between
    ran = run(folder, "doctor")
    assert (ran.code, "LTR001" in ran.out) == (1, True)
    assert tree(folder) == between

    ran = done(folder, "remove", "cors", *YES)
    assert "restored the files of an interrupted run" in ran.err
    assert contents(folder) == before
    assert git(folder, "status", "--porcelain") == ""


def test_the_plan_says_where_new_routers_go_and_why(tmp_path: Path) -> None:
    folder = project(tmp_path, "router_loop")
    ran = run(folder, "add", "metrics", "jwt", "--dry-run")
    choice = "What was chosen\n  new routers go to zoo/routers/, where yours are; api in [tool.laterctl] chooses another place\n\n"
    assert choice in ran.out
    assert re.search(r"\+ zoo/routers/  auth.py, metrics.py  \d+ lines\n", ran.out)
    append(folder / "pyproject.toml", '[tool.laterctl]\napi = "zoo.api"\n')
    commit(folder)
    ran = run(folder, "add", "metrics", "--dry-run")
    assert "What was chosen" not in ran.out
    assert "+ zoo/api/metrics.py" in ran.out
