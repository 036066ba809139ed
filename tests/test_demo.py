"""The demo does what it promises, from the first command to the empty difference."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

DEMO = Path(__file__).parents[1] / "scripts" / "demo.py"


def play(tmp_path: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the demo with its temporary folder below `tmp_path`."""
    environment = {**os.environ, "TMPDIR": str(tmp_path), **variables}
    return subprocess.run(
        [sys.executable, str(DEMO)],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=300,
        check=False,
    )


def test_every_step_keeps_its_promise(tmp_path: Path) -> None:
    done = play(tmp_path, APP_DATABASE_URL="postgresql://nowhere.invalid/none")

    assert done.returncode == 0, done.stdout
    answers = [line.split()[0] for line in done.stdout.splitlines() if line.startswith(("  2", "  4"))]
    assert answers == ["201", "401", "200", "200", "401"]
    assert "still-used" in done.stdout
    assert done.stdout.rstrip().endswith("The demo is over: every step did what it promises.")
    assert list(tmp_path.iterdir()) == [], "it leaves something behind"


def test_it_needs_no_git(tmp_path: Path) -> None:
    empty = tmp_path / "bin"
    empty.mkdir()
    done = play(tmp_path, PATH=str(empty))

    assert done.returncode == 0, done.stdout
    assert "git is not installed" in done.stdout
    assert "byte for byte" in done.stdout


def test_a_broken_promise_is_an_exit_code(tmp_path: Path) -> None:
    """A `laterctl` that always fails, found before the real one."""
    package = tmp_path / "fake" / "laterctl"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text("raise SystemExit('broken')\n")

    done = play(tmp_path, PYTHONPATH=str(package.parent))

    assert done.returncode == 1
    assert "The demo failed: laterctl new" in done.stdout
