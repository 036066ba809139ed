"""The `load` feature: its acceptance line, by locust as a process of its own against real servers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest

from tests import memory
from tests.features.ops_app import PYPROJECT, write
from tests.servers import uvicorn_server

MAIN: Final = '''\
"""An application of which one path may be asked for by anybody."""

from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPBearer

app = FastAPI()
asked: list[str] = []


@app.get("/asked")
async def show() -> list[str]:
    asked.append("/asked")
    return asked


@app.get("/private", dependencies=[Depends(HTTPBearer())])
@app.get("/things/{number}")
@app.post("/asked")
async def other(number: int) -> None:
    asked.append("/other")


@app.get("/failing", include_in_schema=False)
async def failing() -> None:
    raise HTTPException(500)
'''


# locust counts a run's time from before its imports, which a busy machine may need all of.
STOP: Final = """\
import gevent
from locust import events


@events.init.add_listener
def prepare(environment, **_):
    def stop(**_):
        if environment.stats.total.num_requests >= 4:
            gevent.spawn(environment.runner.quit)

    environment.events.request.add_listener(stop)
"""
DEAD: Final = "http://127.0.0.1:9"  # where nobody listens
ELSEWHERE: Final = "http://127.0.0.2:9"
CASES: Final[Mapping[str, tuple[str, dict[str, str]]]] = {
    "discovered": ("", {}),
    "failing": ("", {"LOAD_PATHS": "/failing"}),
    "failing allowed": ("", {"LOAD_PATHS": "/failing", "LOAD_FAILURES": "1"}),
    "slow": ("", {"LOAD_PATHS": "/asked", "LOAD_P95_MS": "0.001"}),
    "nobody there": (DEAD, {}),
    "nobody there, paths named": (DEAD, {"LOAD_PATHS": "/asked"}),
    "elsewhere": (ELSEWHERE, {}),
    "elsewhere allowed": (ELSEWHERE, {"LOAD_ALLOW_REMOTE": "1"}),
}
"""What is run: the host, if it is not that of the application, and what is set."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, tuple[int, str]]:
    """Exit codes and output of the cases."""
    folder = tmp_path_factory.mktemp("project")
    texts = {"pyproject.toml": PYPROJECT, "depot/__init__.py": "", "depot/main.py": MAIN}
    write(folder, memory.add({path: text.encode() for path, text in texts.items()}, "load"))
    write(folder, {"stop.py": STOP.encode()})
    options = ("--headless", "--only-summary", "-u", "2", "-r", "2", "-t", "60s")

    def run(host: str, environment: dict[str, str]) -> tuple[int, str]:
        command = [
            sys.executable,
            "-m",
            "locust",
            "-f",
            "load/locustfile.py,stop.py",
            *options,
            "--host",
            host or server.url,
        ]
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return done.returncode, done.stderr

    with uvicorn_server("depot.main:app", folder) as server, ThreadPoolExecutor(4) as pool:
        return dict(zip(CASES, pool.map(run, *zip(*CASES.values(), strict=True)), strict=True))


def test_1_the_exit_code_is_that_of_the_requests(runs: Mapping[str, tuple[int, str]]) -> None:
    """B4: the paths are those of the application's document that can be asked for without anything else."""
    code, output = runs["discovered"]
    assert (code, "/asked" in output) == (0, True), output
    assert not [path for path in ("/private", "/things", "/failing") if path in output]


@pytest.mark.parametrize(
    ("case", "reason"),
    [("failing", "100.0% failed"), ("slow", "19 of 20 requests took up to"), ("nobody there", DEAD)],
)
def test_1_each_bound_makes_it_1(runs: Mapping[str, tuple[int, str]], case: str, reason: str) -> None:
    code, output = runs[case]
    assert (code, reason in output) == (1, True), output


def test_1_bounds_may_be_others(runs: Mapping[str, tuple[int, str]]) -> None:
    assert runs["failing allowed"][0] == 0, runs["failing allowed"][1]
    assert runs["nobody there, paths named"][0] == 1


def test_another_machine_is_left_alone_unless_that_is_allowed(runs: Mapping[str, tuple[int, str]]) -> None:
    """Another address of this one stands for it."""
    hint = "LOAD_ALLOW_REMOTE=1"
    assert [(code, hint in text) for code, text in (runs["elsewhere"], runs["elsewhere allowed"])] == [
        (1, True),
        (1, False),
    ]
