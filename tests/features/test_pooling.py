"""The `pooling` feature: its acceptance list, on a real PostgreSQL, with PgBouncer, and on SQLite."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import asyncpg
import httpx
import pytest

from laterctl.engine.plan import Request
from tests import memory
from tests.features.ops_app import PYPROJECT, write
from tests.features.resources_app import imported
from tests.servers import Server, pgbouncer_server, postgres_server, uvicorn_server

LIMITS: Final = {"DB_POOL_SIZE": "1", "DB_MAX_OVERFLOW": "1", "DB_STATEMENT_TIMEOUT_SECONDS": "4"}
MAIN: Final = '''\
"""Asks its database, which it awaits."""

import asyncio

from fastapi import FastAPI
from sqlalchemy import text

from depot.db import engine

app = FastAPI()


@app.get("/sleep")
async def sleep(seconds: float = 0) -> str:
    async with engine.connect() as connection:
        await connection.execute(text("SELECT pg_sleep(:seconds)"), {"seconds": seconds})
    return "done"


@app.get("/cancelled")
async def cancelled() -> int:
    task = asyncio.create_task(sleep(30))
    await asyncio.sleep(0.3)
    task.cancel()
    await asyncio.wait([task])
    return engine.pool.checkedout()
'''
DB: Final = """\
import os

from sqlalchemy.ext.asyncio import create_async_engine

engine = create_async_engine(os.environ["DB_URL"])
"""
SYNC_MAIN: Final = '''\
"""Asks its database from threads."""

from fastapi import FastAPI
from sqlalchemy import text

from depot.db import engine

app = FastAPI()


@app.get("/sleep")
def sleep(seconds: float = 0) -> str:
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_sleep(:seconds)"), {"seconds": seconds})
    return "done"
'''
SYNC_DB: Final = """\
import os

from sqlmodel import create_engine

engine = create_engine(os.environ["DB_URL"], echo=False)
"""
APPS: Final = {"asyncpg": (MAIN, DB), "psycopg": (SYNC_MAIN, SYNC_DB)}


def made(main: str, db: str) -> dict[str, bytes]:
    """Return the files of a project with the feature."""
    manifest = PYPROJECT.replace(">=3.10", ">=3.11")
    files = {"pyproject.toml": manifest, "depot/__init__.py": "", "depot/main.py": main, "depot/db.py": db}
    return memory.add({path: text.encode() for path, text in files.items()}, "pooling")


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    with postgres_server("-c", "max_connections=20") as server:
        yield server


@pytest.fixture(scope="module", params=APPS)
def driver(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def project(driver: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(driver)
    write(folder, made(*APPS[driver]))
    return folder


@pytest.fixture(scope="module")
def server(project: Path, driver: str, postgres: Server) -> Iterator[Server]:
    with uvicorn_server("depot.main:app", project, LIMITS | {"DB_URL": url(postgres, driver)}) as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=20) as client:
        yield client


def url(server: Server, driver: str) -> str:
    return server.url.replace("postgresql:", f"postgresql+{driver}:")


def asked(server: Server, statement: str) -> list[Any]:
    """Return the first column of what PostgreSQL answers."""

    async def run() -> list[Any]:
        connection = await asyncpg.connect(server.url)
        try:
            return [row[0] for row in await connection.fetch(statement)]
        finally:
            await connection.close()

    return asyncio.run(run())


OURS: Final = "FROM pg_stat_activity WHERE application_name = 'depot.core.pooling'"


def assert_busy(response: httpx.Response) -> None:
    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"
    assert response.json() == {"detail": "The database is busy"}


def test_a1_a3_a4_what_takes_too_long_is_bounded(client: httpx.Client, postgres: Server) -> None:
    """A1: no connection in time is 503; A3: who leaves is not noticed, the statement's limit is; A4: that is 503."""

    def ask(seconds: float, patience: float = 20) -> tuple[httpx.Response | None, float]:
        began = time.perf_counter()
        try:
            found = httpx.get(f"{client.base_url}/sleep", params={"seconds": seconds}, timeout=patience)
        except httpx.ReadTimeout:
            return None, 0
        return found, time.perf_counter() - began

    assert client.get("/sleep").status_code == 200
    with ThreadPoolExecutor(3) as pool:
        slow, left = pool.submit(ask, 30), pool.submit(ask, 30, 0.3)
        assert left.result()[0] is None
        third, waited = pool.submit(ask, 0).result()
        ended, spent = slow.result()
    assert third is not None
    assert_busy(third)
    assert 2.5 < waited < 3.5
    assert ended is not None
    assert_busy(ended)
    assert 3.9 < spent < 5.5
    assert client.get("/sleep").status_code == 200
    deadline = time.monotonic() + 2
    while (found := asked(postgres, f"SELECT pid {OURS} AND state = 'active'")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert found == []


def test_a2_a_connection_that_the_server_ended_is_replaced(client: httpx.Client, postgres: Server) -> None:
    assert client.get("/sleep").status_code == 200
    assert asked(postgres, f"SELECT pg_terminate_backend(pid) {OURS}") != []
    assert client.get("/sleep").status_code == 200


def test_a3_a_task_that_is_cancelled_gives_its_connection_back(
    client: httpx.Client, postgres: Server, driver: str
) -> None:
    if driver == "asyncpg":  # a thread cannot be cancelled
        assert client.get("/cancelled").json() == 0
        assert asked(postgres, f"SELECT pid {OURS} AND state = 'active'") == []
        assert client.get("/sleep").status_code == 200


def test_a5_a8_a_restart_of_postgresql_is_survived_and_a_stop_leaves_nothing(
    client: httpx.Client, server: Server, postgres: Server
) -> None:
    """A8: 503 while it is gone, 200 without a restart of the application; A5: it has a name, and is gone at the end."""
    assert client.get("/sleep").status_code == 200
    postgres.stop()
    for _ in range(3):
        began = time.perf_counter()
        assert_busy(client.get("/sleep"))
        assert time.perf_counter() - began < 1
    postgres.restart()
    assert client.get("/sleep").status_code == 200
    assert asked(postgres, f"SELECT count(*) {OURS}") == [1]
    assert "no database: " in server.output()
    assert "Traceback" not in server.output()
    server.stop()
    assert asked(postgres, f"SELECT pid {OURS}") == []
    server.restart()


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
def test_a6_pgbouncer_in_transaction_mode(driver: str, postgres: Server, tmp_path: Path) -> None:
    write(tmp_path, made(MAIN, DB))
    with pgbouncer_server(postgres) as bouncer:
        environment = {"DB_URL": url(bouncer, driver), "DB_PGBOUNCER": "true"}
        with imported(tmp_path, "main", environment) as main:

            async def work(number: int) -> int:
                for each in range(20):
                    async with main.engine.begin() as connection:
                        found = await connection.execute(main.text(f"SELECT {number}, :each + 0"), {"each": each})
                        assert found.one() == (number, each)
                return 20

            async def run() -> int:
                try:
                    return sum(await asyncio.gather(*(work(number) for number in range(12))))
                finally:
                    await main.engine.dispose()

            assert asyncio.run(run()) == 240


@pytest.mark.parametrize("database", ["sqlite+aiosqlite://", "sqlite+aiosqlite:///{}/app.db"])
def test_a7_sqlite_starts(database: str, tmp_path: Path) -> None:
    write(tmp_path, made(MAIN, DB))
    with imported(tmp_path, "main", {"DB_URL": database.format(tmp_path)}) as main:

        async def run() -> int:
            async with main.engine.connect() as connection:
                found: int = (await connection.execute(main.text("SELECT 1"))).scalar_one()
            await main.engine.dispose()
            return found

        assert asyncio.run(run()) == 1


@pytest.mark.parametrize("driver", APPS)
def test_options_and_query_of_the_user_win(driver: str, postgres: Server, tmp_path: Path) -> None:
    named = {
        "asyncpg": 'connect_args={"server_settings": {"application_name": "mine"}}, pool_size=7',
        "psycopg": 'connect_args={"application_name": "mine"}, pool_size=7',
    }
    main, db = APPS[driver]
    write(tmp_path, made(main, db.replace('["DB_URL"]', f'["DB_URL"], {named[driver]}').replace(", echo=False", "")))
    with imported(tmp_path, "main", {"DB_URL": url(postgres, driver)}) as loaded:
        engine, text = getattr(loaded.engine, "sync_engine", loaded.engine), loaded.text
        assert engine.pool.size() == 7
        shown = [f"SELECT current_setting('{name}')" for name in ("application_name", "statement_timeout")]

        async def awaited() -> list[str]:
            async with loaded.engine.connect() as connection:
                found = [(await connection.execute(text(each))).scalar_one() for each in shown]
            await loaded.engine.dispose()
            return found

        if driver == "asyncpg":
            found = asyncio.run(awaited())
        else:
            with engine.connect() as connection:
                found = [connection.execute(text(each)).scalar_one() for each in shown]
            engine.dispose()
        assert found == ["mine", "30s"]


@pytest.mark.parametrize("order", [("pooling", "health"), ("health", "pooling")])
def test_others_find_the_engine_behind_it(order: tuple[str, str]) -> None:
    grown = made(MAIN, DB)
    grown = memory.remove(grown, "pooling")
    for name in order:
        grown = memory.add(grown, name)
    assert b"from depot.db import engine" in grown["depot/core/health_database.py"]
    assert b"engine = pooled(create_async_engine)(" in grown["depot/db.py"]


@pytest.mark.parametrize(
    ("db", "code"),
    [
        ("", "no-database"),
        ("import sqlalchemy\n\nengine = sqlalchemy.engine_from_config(SETTINGS)\n", "call-not-editable"),
        ("import sqlalchemy as sa\n\nwith sa.create_engine(URL) as engine:\n    pass\n", "call-not-editable"),
    ],
)
def test_what_it_does_not_fit_is_refused(db: str, code: str) -> None:
    files = {
        "main.py": b"import db\nfrom fastapi import FastAPI\n\napp = FastAPI()\n",
        "requirements.txt": b"fastapi\n",
    }
    (refusal,) = memory.planned(files | {"db.py": db.encode()}, Request(add=("pooling",))).refusals
    assert refusal.code == code


def test_each_of_several_engines_is_pooled() -> None:
    db = "from sqlalchemy import create_engine\n\nwriter = create_engine(ONE)\nreader = create_engine(OTHER)\n"
    after = made(MAIN, db)["depot/db.py"].decode()
    assert "writer = pooled(create_engine)(ONE)" in after
    assert "reader = pooled(create_engine)(OTHER)" in after
