"""The `bench` feature: its acceptance list, on benchmarks that a project's own pytest runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from tests import memory
from tests.features.ops_app import PYPROJECT, write

MAIN: Final = '''\
"""An application that counts who asks, and has what a benchmark cannot ask for."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, HTTPException
from fastapi.responses import StreamingResponse

counts = {"asked": 0}


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with asyncio.timeout(None):  # ends in the task that it began in, or raises
        counts["started"] = 1
        yield
    Path(os.environ["COUNTS"]).write_text(str(counts["asked"]))


app = FastAPI(lifespan=lifespan)


@app.get("/count")
async def count() -> int:
    counts["asked"] += counts["started"]
    await asyncio.sleep(float(os.environ["SLOW"]))
    return counts["asked"]


@app.get("/broken")
async def broken() -> None:
    raise RuntimeError("broken")


@app.get("/private")
async def private(key: str) -> str:
    return key


@app.get("/things/{number}")
async def thing(number: int) -> int:
    return number


@app.get("/endless")
async def endless() -> StreamingResponse:
    async def ticks() -> AsyncIterator[str]:
        while True:
            yield "tick"
            await asyncio.sleep(0.05)

    return StreamingResponse(ticks())
'''
CASE: Final = "from depot.main import app\n\n\ndef test_one() -> None:\n    assert app\n"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    texts = {"pyproject.toml": PYPROJECT, "depot/__init__.py": "", "depot/main.py": MAIN, "tests/test_one.py": CASE}
    write(folder, memory.add({path: text.encode() for path, text in texts.items()}, "bench", "load"))
    bench = folder / "tests/bench_requests.py"
    bench.write_text(bench.read_text().replace("LONGEST_SECONDS = 10", "LONGEST_SECONDS = 0.5"))
    return folder


def run(folder: Path, *arguments: str, slow: str = "0") -> subprocess.CompletedProcess[str]:
    """Run the project's pytest, with warnings as errors, and what the application counted in `counted`."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "-p", "no:asyncio", *arguments],
        cwd=folder,
        env={"COUNTS": str(folder / "counted"), "PYTHONPATH": ".", "SLOW": slow},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_b1_no_test_imports_locust_or_gevent(project: Path) -> None:
    """And a run of all tests measures nothing."""
    plugin = "import sys\n\n\ndef pytest_collection_finish():\n    assert not {'gevent', 'locust'} & {*sys.modules}\n"
    (project / "watch.py").write_text(plugin)
    (project / "counted").unlink(missing_ok=True)  # of another test
    done = run(project, "-p", "watch")
    assert "1 passed" in done.stdout, done.stdout + done.stderr
    assert "benchmark: " not in done.stdout
    assert not (project / "counted").exists()


def test_b2_b3_what_is_measured_is_executed_and_written(project: Path) -> None:
    """In an application that has been started; what fails, or has no end, is told and not measured."""
    measured = ["tests/bench_requests.py", "--benchmark-max-time=0.1", "--benchmark-storage=.runs"]
    done = run(project, *measured, "--benchmark-json=results.json", "--benchmark-autosave")
    assert "1 passed, 3 skipped" in done.stdout, done.stdout + done.stderr
    results: dict[str, Any] = json.loads((project / "results.json").read_text())
    (result,) = results["benchmarks"]
    assert result["params"] == {"path": "/count"}
    asked = int((project / "counted").read_text())
    assert asked > result["stats"]["rounds"] >= 5

    compare = (*measured, "--benchmark-compare", "--benchmark-compare-fail=median:400%")
    again = run(project, *compare)
    assert again.returncode == 0, again.stdout + again.stderr
    slower = run(project, *compare, slow="0.02")
    assert slower.returncode == 1
    assert "Performance has regressed" in slower.stderr
