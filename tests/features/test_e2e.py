"""The `e2e` feature: its acceptance list, on tests that a project's own pytest runs against real servers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from tests import memory
from tests.features.ops_app import PYPROJECT, write
from tests.servers import uvicorn_server
from tests.shapes import shape_named
from tests.test_laws import project_files

MAIN: Final = '''\
"""An application that says which processes it runs in, and may neither start nor stop."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import StreamingResponse

if "BROKEN" in os.environ:
    raise RuntimeError("no database here")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    Path(os.environ["STARTED"], str(os.getpid())).touch()
    yield
    await asyncio.sleep(60 if "STUCK" in os.environ else 0)


app = FastAPI(lifespan=lifespan)


@app.get("/greeting")
async def greet() -> str:
    print("greeted")
    if "FAILING" in os.environ:
        raise RuntimeError("a greeting fails")
    return "hello"


@app.get("/endless")
async def endless() -> StreamingResponse:
    async def ticks() -> AsyncIterator[str]:
        while True:
            yield "tick"
            await asyncio.sleep(0.05)

    return StreamingResponse(ticks())


@app.get("/strict")
async def strict(number: int) -> None:
    raise RuntimeError("nobody asks without a number")
'''
UNIT: Final = "def test_one() -> None:\n    pass\n"
WAITING: Final = """\
import os
import time


def test_waits(client):
    assert client.get("/greeting").json() == "hello"
    if "WAIT" in os.environ:
        open(os.environ["WAIT"], "w").close()
        time.sleep(60)
"""
OPTIONS: Final = ("-W", "error", "--strict-markers", "-p", "no:cacheprovider", "-p", "no:asyncio")


class Project:
    """The application in a folder: runs of its tests, and the processes that it has been started in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started = folder / "started"

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of a run, without what a coverage run of ours has put there."""
        own = {name: text for name, text in os.environ.items() if not name.startswith(("COV", "PYTEST"))}
        return {**own, "PYTHONPATH": ".", "STARTED": str(self.started), **more}

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run pytest."""
        self.started.mkdir(exist_ok=True)
        for path in self.started.iterdir():
            path.unlink()
        command = [sys.executable, "-m", "pytest", "-q", *OPTIONS, *arguments]
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment(environment),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def processes(self) -> list[int]:
        """Return the processes of the last run that were started."""
        return [int(path.name) for path in self.started.iterdir()]

    def left(self) -> list[int]:
        """Return those that have not ended."""
        return [number for number in self.processes() if Path(f"/proc/{number}").exists()]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("project")
    texts = {
        "pyproject.toml": PYPROJECT,
        "depot/__init__.py": "",
        "depot/main.py": MAIN,
        "tests/test_one.py": UNIT,
        "tests/e2e/test_own.py": WAITING,
    }
    write(folder, memory.add({path: text.encode() for path, text in texts.items()}, "e2e", "coverage"))
    conftest = folder / "tests/e2e/conftest.py"
    conftest.write_text(conftest.read_text().replace("STOP_SECONDS = 10", "STOP_SECONDS = 1"))
    return Project(folder)


def test_a_run_of_all_tests_leaves_them_out(project: Project) -> None:
    done = project.run()
    assert "1 passed, 2 deselected" in done.stdout, done.stdout + done.stderr
    assert project.processes() == []


def test_e3_e5_they_cover_what_a_server_runs_that_ends_with_them(project: Project) -> None:
    done = project.run("-m", "e2e", "--cov")
    assert "2 passed, 1 deselected" in done.stdout, done.stdout + done.stderr
    assert len(project.processes()) == 1
    assert project.left() == []
    command = [sys.executable, "-m", "coverage", "json", "-q", "-o", "coverage.json"]
    subprocess.run(command, cwd=project.folder, env=project.environment({}), check=True)
    files = json.loads((project.folder / "coverage.json").read_text())["files"]
    lines = MAIN.splitlines()
    assert lines.index('    print("greeted")') + 1 in files["depot/main.py"]["executed_lines"]


def test_e4_each_worker_has_a_server(project: Project) -> None:
    done = project.run("tests/e2e", "-n", "2")
    assert "2 passed" in done.stdout, done.stdout + done.stderr
    assert len(project.processes()) == 2
    assert project.left() == []


def test_e2_an_application_that_cannot_start_fails_them_and_says_why(project: Project) -> None:
    done = project.run("tests/e2e", BROKEN="1")
    assert done.returncode == 1
    assert "2 errors" in done.stdout
    assert "RuntimeError: no database here" in done.stdout
    assert "the application does not start" in done.stdout


def test_e2_e3_what_fails_in_it_is_shown_and_nothing_is_left(project: Project) -> None:
    """Its paths that need nothing are asked for, also those whose answer has no end."""
    done = project.run("tests/e2e", FAILING="1")
    assert "2 failed" in done.stdout, done.stdout + done.stderr
    assert "RuntimeError: a greeting fails" in done.stdout
    assert "['/greeting'] == []" in done.stdout
    assert project.left() == []


def test_e3_one_that_does_not_stop_is_an_error_and_nothing_is_left(project: Project) -> None:
    done = project.run("tests/e2e", STUCK="1")
    assert "2 passed, 1 error" in done.stdout, done.stdout + done.stderr
    assert "timed out after 1 second" in done.stdout
    assert project.left() == []


def test_e3_nothing_is_left_after_ctrl_c(project: Project, tmp_path: Path) -> None:
    waits = tmp_path / "waits"
    project.run("--collect-only")  # which empties what the run before has left
    command = [sys.executable, "-m", "pytest", "-q", *OPTIONS, "tests/e2e/test_own.py"]
    environment = project.environment({"WAIT": str(waits)})
    with subprocess.Popen(command, cwd=project.folder, env=environment, stdout=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not waits.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    assert (process.returncode, "KeyboardInterrupt" in output) == (2, True), output
    assert len(project.processes()) == 1
    assert project.left() == []


def test_one_that_runs_already_is_asked_instead(project: Project) -> None:
    project.run("--collect-only")
    with uvicorn_server("depot.main:app", project.folder, {"STARTED": str(project.started)}) as server:
        (own,) = project.processes()
        done = project.run("tests/e2e", E2E_BASE_URL=server.url)
        assert "2 passed" in done.stdout, done.stdout + done.stderr
        assert (project.processes(), Path(f"/proc/{own}").exists()) == ([], True)


def test_e1_they_pass_again_on_the_same_database(tmp_path: Path) -> None:
    """What other features bring is in the journey: tables by migrations, a key for tokens, probes."""
    files = project_files(shape_named("foundation"))
    write(tmp_path, memory.add(files, "e2e", "jwt", "health", "migrations"))
    environment = {**os.environ, "PYTHONPATH": "src", "APP_DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path}/own"}

    def run(*arguments: str) -> str:
        command = [sys.executable, "-m", *arguments]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        return done.stdout + done.stderr

    run("alembic", "revision", "--autogenerate", "-m", "first")
    for _ in range(2):
        output = run("pytest", "-q", "tests/e2e", "-p", "no:benchmark", "-p", "no:cacheprovider")
        assert "4 passed" in output, output
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} - files.keys() == {"alembic.ini", "own"}


@pytest.mark.parametrize("shape", ["factory_only", "flat"])
def test_they_pass_as_they_come(shape: str, tmp_path: Path) -> None:
    """In a factory, without a package, and where nobody may sign in yet."""
    given = shape_named(shape)
    write(tmp_path, memory.add(project_files(given), "e2e", "jwt", "health", app=given.app_flag))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:asyncio", "-p", "no:cacheprovider", "tests/e2e"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert "3 passed" in done.stdout, done.stdout + done.stderr


BUILT: Final = (
    "from fastapi import FastAPI\n\n\ndef build(name: str) -> FastAPI:\n    app = FastAPI(title=name)\n    return app\n"
)
WRAPPED: Final = """\
import socketio
from fastapi import FastAPI

app = FastAPI()
app = socketio.ASGIApp(socketio.AsyncServer(), app)
"""


@pytest.mark.parametrize(
    ("feature", "main", "code"),
    [
        ("e2e", "print('hello')\n", "no-app"),
        ("e2e", BUILT, "app-not-importable"),
        ("bench", BUILT, "app-not-importable"),
        ("bench", WRAPPED, "app-not-importable"),
    ],
)
def test_an_application_that_nobody_can_import_is_refused(feature: str, main: str, code: str) -> None:
    with pytest.raises(memory.Refusing) as refusing:
        memory.add({"main.py": main.encode(), "requirements.txt": b"fastapi>=0.115\n"}, feature)
    assert [item.code for item in refusing.value.refusals] == [code]


def test_one_that_is_wrapped_is_served_as_it_is() -> None:
    after = memory.add({"main.py": WRAPPED.encode(), "requirements.txt": b"fastapi>=0.115\n"}, "e2e")
    assert b'"uvicorn", "main:app", "--port"' in after["tests/e2e/conftest.py"]
