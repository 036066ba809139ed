"""What `laterctl add replicas` promises, with a primary and a replica that streams from it."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import asyncpg
import httpx
import pytest

from laterctl.engine.plan import Request
from tests import memory
from tests.features.ops_app import PYPROJECT, write
from tests.features.resources_app import imported
from tests.servers import LOOPBACK, Server, free_port, postgres_replica, postgres_server, uvicorn_server

DB: Final = """\
import os
from collections.abc import AsyncIterator

from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

engine = create_async_engine(os.environ["DB_URL"])


async def get_session() -> AsyncIterator[AsyncSession]:
    async with AsyncSession(engine) as session:
        yield session
"""
MAIN: Final = '''\
"""Writes notes, and reads them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from depot.db import engine, get_session


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)
SessionDep = Annotated[AsyncSession, Depends(get_session)]


async def late(session: SessionDep) -> AsyncIterator[AsyncSession]:
    yield session
    await session.commit()


@app.post("/notes")
async def add(session: SessionDep, note: str) -> None:
    await session.execute(text("INSERT INTO notes VALUES (:note)"), {"note": note})
    await session.commit()


@app.post("/late")
async def add_late(session: Annotated[AsyncSession, Depends(late)], note: str) -> None:
    await session.execute(text("INSERT INTO notes VALUES (:note)"), {"note": note})


@app.get("/primary")
async def primary(session: SessionDep) -> bool:
    return (await session.execute(text("SELECT pg_is_in_recovery()"))).scalar_one()
'''
ROUTES: Final = """

from depot.api.read_session import ReadSessionDep


@app.get("/replica")
async def replica(session: ReadSessionDep) -> bool:
    return (await session.execute(text("SELECT pg_is_in_recovery()"))).scalar_one()


@app.get("/notes")
async def notes(session: ReadSessionDep) -> list[str]:
    return list((await session.execute(text("SELECT note FROM notes"))).scalars())


@app.post("/wrong")
async def wrong(session: ReadSessionDep) -> None:
    await session.execute(text("INSERT INTO notes VALUES ('wrong')"))
"""


TIMEOUT: Final = 2.0
"""A new connection has to fit: on a machine with eight programs for each core it takes more than the usual half second.

One that does not is thrown away, and the next starts anew: the replica would not be read from as long as that lasts.
"""
COOLDOWN: Final = 1.5
"""Shorter than the wait, which it does not include."""


def made(db: str = DB) -> dict[str, bytes]:
    files = {
        "pyproject.toml": PYPROJECT.replace(">=3.10", ">=3.11"),
        "depot/__init__.py": "",
        "depot/db.py": db,
        "depot/main.py": MAIN,
    }
    after = memory.add({path: text.encode() for path, text in files.items()}, "replicas")
    after["depot/main.py"] += ROUTES.encode()
    return after


def asked(server: Server, statement: str) -> list[Any]:
    """Return the first column of what a server answers."""

    async def run() -> list[Any]:
        connection = await asyncpg.connect(server.url)
        try:
            return [row[0] for row in await connection.fetch(statement)]
        finally:
            await connection.close()

    return asyncio.run(run())


@pytest.fixture(scope="module")
def primary() -> Iterator[Server]:
    with postgres_server("-c", "max_connections=40") as server:
        asked(server, "CREATE TABLE notes (note text)")
        yield server


@pytest.fixture(scope="module")
def replica(primary: Server) -> Iterator[Server]:
    with postgres_replica(primary, "-c", "max_connections=40") as server:
        yield server


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("depot")
    write(folder, made())
    return folder


def environment(primary: Server, replica: str = "") -> dict[str, str]:
    urls = {"DB_URL": primary.url, "REPLICA_DATABASE_URL": replica}
    driven = {name: url.replace("postgresql:", "postgresql+asyncpg:") for name, url in urls.items() if url}
    return driven | {"REPLICA_COOLDOWN_SECONDS": str(COOLDOWN), "REPLICA_TIMEOUT_SECONDS": str(TIMEOUT)}


@pytest.fixture(scope="module")
def server(project: Path, primary: Server, replica: Server) -> Iterator[Server]:
    with uvicorn_server("depot.main:app", project, environment(primary, replica.url)) as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=20) as client:
        until(lambda: client.get("/replica").json() is True)  # after whatever another test did to it
        yield client


@contextmanager
def behind(replica: Server) -> Iterator[None]:
    """Keep a replica from seeing what is written."""
    asked(replica, "SELECT pg_wal_replay_pause()")
    until(lambda: asked(replica, "SELECT pg_get_wal_replay_pause_state()") == ["paused"])
    try:
        yield
    finally:
        asked(replica, "SELECT pg_wal_replay_resume()")


def until(true: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never was"
        time.sleep(0.05)


OURS: Final = "SELECT pid FROM pg_stat_activity WHERE application_name = 'depot.core.pooling'"


def took(client: httpx.Client) -> float:
    began = time.perf_counter()
    assert client.get("/replica").status_code == 200
    return time.perf_counter() - began


def test_a1_reading_is_done_on_the_replica(client: httpx.Client) -> None:
    assert client.get("/replica").json() is True
    assert client.get("/primary").json() is False


def test_a2_who_has_written_reads_it(client: httpx.Client, server: Server, replica: Server) -> None:
    """Another client is on the replica all the while, and the writer is again as soon as that has it."""
    with httpx.Client(base_url=server.url, timeout=20) as other:
        with behind(replica):
            written = client.post("/notes", params={"note": "first"})
            assert "HttpOnly" in written.headers["set-cookie"]
            assert "first" in client.get("/notes").json()
            assert client.get("/replica").json() is False
            assert "first" not in other.get("/notes").json()
            assert other.get("/replica").json() is True
            assert "set-cookie" not in other.get("/notes").headers
            by_header = {"X-DB-Position": written.headers["x-db-position"]}
            assert "first" in other.get("/notes", headers=by_header).json()
        until(lambda: client.get("/replica").json() is True)
        assert "first" in client.get("/notes").json() == other.get("/notes").json()


def test_a2_what_is_committed_after_the_answer_counts_too(client: httpx.Client, replica: Server) -> None:
    with behind(replica):
        assert client.post("/late", params={"note": "late"}).status_code == 200
        until(lambda: "late" in client.get("/notes").json(), 2)
        assert client.get("/replica").json() is False


@pytest.mark.parametrize(
    "given", ["", "0/0", "G-0", "0-0; DROP TABLE notes", "1" * 9 + "-0", "%00", "é", "FFFFFFFF-FFFFFFFF"]
)
def test_a3_a_position_that_is_made_up_harms_nobody(client: httpx.Client, server: Server, given: str) -> None:
    """What is none is passed over; one that is too far leads to the primary, and for its sender alone."""
    answer = client.get("/replica", headers={"Cookie": f"db_position={given}".encode("latin-1")})
    assert (answer.status_code, answer.json()) == (200, given != "FFFFFFFF-FFFFFFFF")
    assert client.get("/replica").json() is True


def test_a5_nothing_is_written_through_it(client: httpx.Client, project: Path, primary: Server) -> None:
    """With a replica and, A6, without one: it fails the same way."""
    with uvicorn_server("depot.main:app", project, environment(primary)) as alone:
        for url in (str(client.base_url), alone.url):
            assert httpx.post(f"{url}/wrong").status_code == 500
            assert httpx.get(f"{url}/notes").status_code == 200
        assert "ReadOnlySQLTransactionError" in alone.output()
        assert httpx.post(f"{alone.url}/notes", params={"note": "second"}).headers.get("set-cookie") is None
        assert "second" in httpx.get(f"{alone.url}/notes").json()
    assert asked(primary, "SELECT note FROM notes WHERE note = 'wrong'") == []


@contextmanager
def hanging(replica: Server) -> Iterator[None]:
    """Stop a server and the processes behind the application's connections, which stay open."""
    processes = asked(replica, OURS)
    assert processes
    replica.pause()
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            os.kill(process, signal.SIGCONT)
        replica.resume()


def test_a4_a_replica_that_hangs_costs_one_wait(client: httpx.Client, replica: Server) -> None:
    """It is passed over then, and used again after the cooldown; also where it does not let anybody in."""
    assert client.get("/replica").json() is True
    with hanging(replica):
        for _ in range(2):
            until(lambda: took(client) > 0.8 * TIMEOUT)  # the first, and the first after the cooldown
            assert max(took(client) for _ in range(5)) < 0.8 * TIMEOUT
            assert client.get("/replica").json() is False
    until(lambda: client.get("/replica").json() is True)


def test_a4_a_replica_that_refuses_costs_nothing(client: httpx.Client, replica: Server, server: Server) -> None:
    assert client.get("/replica").json() is True
    before = len(server.output())
    replica.stop()
    first, others = took(client), [took(client) for _ in range(20)]
    assert client.get("/replica").json() is False
    assert first < 0.8 * TIMEOUT
    assert sum(others) / 20 < 0.2
    told = server.output()[before:]
    assert "no replica: " in told
    assert "Traceback" not in told.partition("no replica: ")[2]
    replica.restart()
    until(lambda: client.get("/replica").json() is True)


def test_a4_a_replica_that_lets_nobody_in_costs_nothing(project: Path, primary: Server) -> None:
    """Drivers say so in their own words."""
    stranger = primary.url.replace("tester@", "stranger@")
    with imported(project, "main", environment(primary, stranger)) as main:

        async def run() -> list[Any]:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app=main.app), base_url="http://test") as api:
                answers = [await api.get("/replica"), await api.post("/notes", params={"note": "by nobody"})]
            await main.engine.dispose()
            return [answer.json() for answer in answers]

        assert asyncio.run(run()) == [False, None]


def test_a7_the_end_leaves_no_connection(project: Path, primary: Server, replica: Server) -> None:
    databases = (primary, replica)
    others = [{*asked(each, OURS)} for each in databases]
    with uvicorn_server("depot.main:app", project, environment(primary, replica.url)) as server:
        assert httpx.get(f"{server.url}/replica").json() is True
        assert httpx.get(f"{server.url}/primary").json() is False
        mine = [{*asked(each, OURS)} - known for each, known in zip(databases, others, strict=True)]
        assert all(mine)
        server.stop()
        assert "did not close" not in server.output()
    # Servers end the process behind a connection some time after the client has closed it.
    for each, own in zip(databases, mine, strict=True):
        until(lambda each=each, own=own: own.isdisjoint(asked(each, OURS)))


def test_a8_one_override_replaces_both(project: Path, primary: Server) -> None:
    """What a test writes in a transaction is read in it, and gone afterwards."""
    url = f"postgresql://{LOOPBACK}:{free_port()}/postgres"
    with imported(project, "main", environment(primary, url)) as main:

        async def run() -> list[str]:
            async with main.engine.connect() as connection:
                outer = await connection.begin()

                async def session() -> Any:
                    options = {"join_transaction_mode": "create_savepoint"}
                    async with main.AsyncSession(connection, **options) as bound:
                        yield bound

                main.app.dependency_overrides[main.get_session] = session
                transport = httpx.ASGITransport(app=main.app)
                async with httpx.AsyncClient(transport=transport, base_url="http://test") as api:
                    await api.post("/notes", params={"note": "gone"})
                    found: list[str] = (await api.get("/notes")).json()
                await outer.rollback()
            await main.engine.dispose()
            return found

        assert "gone" in asyncio.run(run())
    assert asked(primary, "SELECT note FROM notes WHERE note = 'gone'") == []


@pytest.mark.parametrize(
    ("db", "code"),
    [
        ("", "no-database"),
        ("from sqlalchemy import create_engine\n\nengine = create_engine('sqlite://')\n", "engine-not-awaited"),
    ],
)
def test_what_it_does_not_fit_is_refused(db: str, code: str) -> None:
    files = {
        "requirements.txt": "fastapi\n",
        "db.py": db,
        "main.py": "import db\nfrom fastapi import FastAPI\n\napp = FastAPI()\n",
    }
    made = memory.planned({path: text.encode() for path, text in files.items()}, Request(add=("replicas",)))
    assert code in {refusal.code for refusal in made.refusals}
