"""An option whose default brings what the project does by itself has another value there, and the plan says so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from laterctl.engine.plan import Request
from laterctl.project.places import Place
from tests import memory
from tests.dialect_projects import dialect
from tests.project.making import write
from tests.shapes import shape_named
from tests.test_laws import assert_same, project_files

GETTERS = {
    "a getter": (b"from redis.asyncio import Redis\n\n\ndef get_redis() -> Redis:\n    return Redis()\n", 4),
    "a class": (b"import redis\n\n\nclass RedisClient:\n    client = redis.from_url('redis://x')\n", 4),
    "a client": (b"import redis\n\nredis_client = redis.Redis()\n", 3),
    "an older library": (b"import aioredis\n", 1),
}
STORES = {"flat": "store.py", "foundation": "src/order_service/store.py", "poetry": "recipes/store.py"}
IGNORED = "CPY,D,COM812,TC,ISC001,Q,PLR2004,S101"
WITHOUT = Request(add=("resources",), options={"resources": {"redis": False}})
WITH = Request(add=("resources",), options={"resources": {"redis": True}})


@pytest.mark.parametrize("shape", STORES)
@pytest.mark.parametrize("getter", GETTERS)
def test_what_the_project_does_by_itself_is_not_brought(getter: str, shape: str) -> None:
    path, (code, line) = STORES[shape], GETTERS[getter]
    before = {**project_files(shape_named(shape)), path: code}

    plan = memory.planned(before, Request(add=("resources",)))
    after = memory.applied(before, plan)

    said = [(item.level, item.place) for item in plan.notes if "resources.redis=false" in item.message]
    assert said == [("choice", Place(path, line))]
    assert "redis" not in plan.entries
    (clients,) = [data for name, data in after.items() if name.endswith("/clients.py")]
    assert b"HttpClientDep" in clients
    assert b"edis" not in clients
    assert_same(after, memory.run(before, WITHOUT), "asked for")
    assert memory.add(after, "resources") == after
    assert memory.remove(after, "resources") == before


@pytest.mark.parametrize("shape", STORES)
def test_who_asks_for_it_gets_it_all_the_same(shape: str) -> None:
    before = {**project_files(shape_named(shape)), STORES[shape]: GETTERS["a getter"][0]}
    made = memory.run(before, WITH)
    assert "redis" in memory.planned(before, WITH).entries
    assert_same(memory.run(memory.add(before, "resources"), WITH), made, "asked for later")
    assert_same(memory.run(made, WITHOUT), memory.add(before, "resources"), "and taken back")


def test_what_another_feature_brought_is_not_the_project_s_own() -> None:
    before = project_files(shape_named("flat"))
    store = memory.run(before, Request(add=("jwt",), options={"jwt": {"refresh": "redis"}}))
    plan = memory.planned(store, Request(add=("resources",)))
    assert not plan.entries["resources"].options
    assert not [item for item in plan.notes if "resources.redis" in item.message]


def test_what_is_ours_is_not_the_project_s_own_when_the_ledger_is_lost() -> None:
    after = memory.add(project_files(shape_named("flat")), "resources")
    lost = {path: data for path, data in after.items() if not path.startswith(".laterctl/")}
    plan = memory.planned(lost, Request(add=("resources",)))
    assert not plan.refusals
    assert "redis" in plan.entries


@pytest.mark.parametrize("name", ["dynaconf", "none"])
def test_what_is_written_without_it_is_clean_and_its_test_passes(name: str, tmp_path: Path) -> None:
    write(tmp_path, memory.run(dialect(name), WITHOUT))
    for command in (
        ("mypy", "--strict", "src", "tests"),
        (
            "ruff",
            "check",
            "--no-cache",
            "--select=ALL",
            f"--ignore={IGNORED}",
            "--config=src = ['src']",
            "src",
            "tests",
        ),
        ("pytest", "-q", "tests/test_resources.py"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", *command], cwd=tmp_path, capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": "src"},
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
