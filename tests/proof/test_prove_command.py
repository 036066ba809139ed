"""`--prove` from the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli import command
from tests.cli.command import COMMAND
from tests.proof.scene import MANIFEST, SHOP, committed, environment, project, run, tree, wait_for, write
from tests.shapes import git

BREAKS = """

if app.user_middleware:  # nothing of the kind before something is added
    app.router.routes[:] = [route for route in app.router.routes if getattr(route, "path", "") != "/items"]
"""


def test_add_and_remove_are_proved(tmp_path: Path) -> None:
    root = committed(project(tmp_path / "shop", {"main.py": SHOP}))
    before = tree(root)
    added = run(root, "add", "metrics", "--yes", "--no-install", "--prove")
    assert added.code == 0, added.screen
    assert "proved: 6 routes as before, 1 new, 1 middleware more" in added.out
    started = run(root, "doctor", "--run", "--only", "LTR011")
    assert started.code == 0, started.screen
    assert "the app starts: 7 routes, 1 middleware; it starts and stops" in started.out
    removed = run(root, "remove", "metrics", "--yes", "--no-install", "--prove", "--allow-dirty", "--json")
    assert removed.code == 0, removed.screen
    assert json.loads(removed.out)["proof"] == {
        "ran": True,
        "summary": "6 routes as before, 1 gone, 1 middleware less, the same OpenAPI for what was there; "
        "it starts and stops",
        "failures": [],
        "started": True,
        "tests": "",
        "tested": False,
    }
    assert tree(root) == before


def test_a_broken_route_restores_everything(tmp_path: Path) -> None:
    root = committed(project(tmp_path / "shop", {"main.py": SHOP + BREAKS}))
    before = tree(root)
    ran = run(root, "add", "metrics", "--yes", "--no-install", "--prove")
    assert ran.code == 4, ran.screen
    assert "GET /items is gone" in ran.err
    assert "Every file is as it was." in ran.err
    assert tree(root) == before
    assert git(root, "status", "--porcelain") == ""


HANGS = """

if app.user_middleware:
    import os
    import time

    os.mkdir(os.environ["REACHED"])
    time.sleep(600)
"""


def test_interrupted_while_proving(tmp_path: Path, scratches: Path) -> None:
    root = committed(project(tmp_path / "shop", {"main.py": SHOP + HANGS}))
    before = tree(root)
    reached = tmp_path / "reached"
    private = {"XDG_STATE_HOME": str(tmp_path / "state"), "REACHED": str(reached)}
    process = subprocess.Popen(
        [*COMMAND, "add", "metrics", "--yes", "--no-install", "--prove"],
        cwd=root,
        env=command.environment() | private,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        wait_for(reached.exists)
        assert tree(root) != before
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130, output
    assert tree(root) == before
    assert os.listdir(scratches) == []


def lacking_metrics(folder: Path) -> Path:
    """A project in whose environment a dependency of `metrics` is missing."""
    write(folder, {"pyproject.toml": MANIFEST, "main.py": SHOP})
    environment(folder / ".venv", without=("prometheus",))
    return folder


def not_importable(folder: Path) -> Path:
    return project(folder, {"main.py": "import os\n\nos.environ['SHOP_DB_URL']\n" + SHOP})


def not_starting(folder: Path) -> Path:
    start = "@app.router.on_event('startup')\ndef start() -> None:\n    raise ConnectionError('no database')\n"
    return project(folder, {"main.py": f"{SHOP}\n\n{start}"})


def without_environment(folder: Path) -> Path:
    write(folder, {"pyproject.toml": MANIFEST, "main.py": SHOP})
    return folder


def without_fastapi(folder: Path) -> Path:
    environment(without_environment(folder) / ".venv", without=None)
    return folder


IMPOSSIBLE = [
    (lacking_metrics, "not installed in the project's environment: prometheus-client>=", True),
    (not_importable, "main:app does not import here: KeyError: 'SHOP_DB_URL' (main.py:3)", True),
    (not_starting, "it does not start here: ConnectionError: no database", True),
    (without_environment, "no virtual environment of the project was found", False),
    (without_fastapi, "not installed for ", False),
]


@pytest.mark.parametrize(("made", "why", "begins"), IMPOSSIBLE)
def test_what_cannot_be_proved_is_not_written(
    made: Callable[[Path], Path], why: str, begins: bool, tmp_path: Path
) -> None:
    root = committed(made(tmp_path / "shop").resolve())
    before = tree(root)
    ran = run(root, "add", "metrics", "--yes", "--no-install", "--prove")
    assert ran.code == 7, ran.screen
    assert f"not proved: {why}" in ran.err or f"not proved: 6 routes, 0 middleware; {why}" in ran.err, ran.err
    assert ("starting the app" in ran.screen) == begins
    assert tree(root) == before
    told = run(root, "add", "metrics", "--yes", "--no-install", "--prove", "--json")
    assert (told.code, told.document["code"]) == (7, "unproved")
    assert tree(root) == before


@pytest.mark.parametrize(("made", "why", "begins"), IMPOSSIBLE)
def test_what_only_the_configuration_wants_proved_is_checked(
    made: Callable[[Path], Path], why: str, begins: bool, tmp_path: Path
) -> None:
    root = made(tmp_path / "shop").resolve()
    write(root, {"pyproject.toml": f"{MANIFEST}\n[tool.laterctl]\nprove = true\n"})
    ran = run(committed(root), "add", "metrics", "--yes", "--no-install")
    assert ran.code == 0, ran.screen
    assert "checked, not started: " in ran.out
    assert why in ran.out
    assert "  proved" not in ran.out
    assert ("starting the app" in ran.screen) == begins
    assert "again: laterctl add metrics --yes --no-install\n" in ran.out, "with --prove it would end with 7"
    assert "MetricsMiddleware" in (root / "main.py").read_text()


@pytest.mark.parametrize("arguments", [("--yes",), ("--yes", "--no-prove"), ("--dry-run",)])
def test_without_being_asked_nothing_runs(arguments: tuple[str, ...], tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    root = committed(project(tmp_path / "shop", {"main.py": f"open({str(marker)!r}, 'w').close()\n{SHOP}"}))
    ran = run(root, "add", "metrics", "--no-install", *arguments)
    assert ran.code == 0, ran.screen
    assert not marker.exists()
    assert "proved" not in ran.out
    assert "starting" not in ran.screen
    assert ("checked, not started (--prove" in ran.out) == ("--yes" in arguments)


def test_the_key_asks_for_it(tmp_path: Path) -> None:
    root = project(tmp_path / "shop", {"main.py": SHOP})
    write(root, {"pyproject.toml": f"{MANIFEST}\n[tool.laterctl]\nprove = true\n"})
    ran = run(committed(root), "add", "metrics", "--yes", "--no-install")
    assert ran.code == 0, ran.screen
    assert "proved: 6 routes as before" in ran.out


def test_doctor_does_not_call_started_what_does_not_start(tmp_path: Path) -> None:
    code = (
        SHOP + "\n\n@app.router.on_event('startup')\ndef start() -> None:\n    raise ConnectionError('no database')\n"
    )
    root = project(tmp_path / "shop", {"main.py": code})
    ran = run(root, "doctor", "--run", "--only", "LTR011")
    assert ran.code == 7, ran.screen
    assert (
        "unknown LTR011 main.py:18 the app imports: 6 routes, 0 middleware; "
        "it does not start here: ConnectionError: no database" in " ".join(ran.out.split())
    )
