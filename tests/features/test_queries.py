"""What `laterctl add queries` promises, on PostgreSQL with an awaited engine, and on SQLite with one that is not."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import asyncpg
import httpx
import pytest

from tests import memory
from tests.features.ops_app import write
from tests.features.resources_app import imported
from tests.servers import Server, postgres_server, uvicorn_server

PYPROJECT: Final = """\
[project]
name = "depot"
version = "1"
requires-python = ">=3.10"
dependencies = ["fastapi>=0.115", "sqlalchemy[asyncio]>=2.0.36", "asyncpg", "uvicorn"]

[dependency-groups]
dev = ["pytest>=8", "httpx"]
"""
MODELS: Final = """\
from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    pass


class Parent(Base):
    __tablename__ = "parents"

    id: Mapped[int] = mapped_column(primary_key=True)
    created_at: Mapped[datetime]
    children: Mapped[list["Child"]] = relationship()


class Child(Base):
    __tablename__ = "children"

    id: Mapped[int] = mapped_column(primary_key=True)
    parent_id: Mapped[int] = mapped_column(ForeignKey("parents.id"))
"""
DATABASE: Final = """\
import os

from sqlalchemy.ext.asyncio import create_async_engine

engine = create_async_engine(os.environ["DB_URL"])
"""
MAIN: Final = """\
import tracemalloc

from fastapi import FastAPI
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from depot.database import engine
from depot.models import Parent

app = FastAPI()


@app.get("/statements/{count}")
async def statements(count: int) -> int:
    async with AsyncSession(engine) as session:
        for number in range(count):
            await session.execute(text("SELECT CAST(:number AS integer)"), {"number": number})
    return count


@app.get("/rows")
async def rows(streamed: bool) -> dict[str, int]:
    found = 0
    tracemalloc.start()
    async with AsyncSession(engine) as session:
        statement = text("SELECT n, repeat('x', 200) FROM generate_series(1, 100000) n")
        if streamed:
            result = await session.stream(statement, execution_options={"yield_per": 1000})
            async for _ in result:
                found += 1
        else:
            found = len((await session.execute(statement)).all())
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return {"rows": found, "bytes": most}
"""
PAGES: Final = """

from depot.core.paging import after, cursor_at


@app.get("/pages")
async def pages(cursor: str = "", size: int = 10) -> dict[str, object]:
    statement = (
        select(Parent)
        .where(after(cursor, Parent.created_at, Parent.id))
        .order_by(Parent.created_at, Parent.id)
        .limit(size)
    )
    async with AsyncSession(engine) as session:
        found = [*await session.scalars(statement)]
        last = cursor_at(found[-1].created_at, found[-1].id) if found else ""
    return {"ids": [item.id for item in found], "next": last}
"""
"""What somebody writes with the feature afterwards."""
TESTS: Final = """\
import pytest
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session, selectinload

from depot.models import Base, Child, Parent
from datetime import datetime


@pytest.fixture
def session():
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        for number in range(20):
            session.add(Parent(created_at=datetime(2026, 1, 1), children=[Child()]))
        session.commit()
        yield session


def test_each_parent_asks(session, assert_max_queries):
    with assert_max_queries(2):
        for parent in session.scalars(select(Parent)).all():
            assert len(parent.children) == 1


def test_all_at_once(session, assert_max_queries):
    with assert_max_queries(2):
        for parent in session.scalars(select(Parent).options(selectinload(Parent.children))).all():
            assert len(parent.children) == 1
"""


def made(more: str = "", pyproject: str = PYPROJECT) -> dict[str, bytes]:
    """Return the project with the feature."""
    texts = {
        "pyproject.toml": pyproject,
        "depot/__init__.py": "",
        "depot/main.py": MAIN,
        "depot/models.py": MODELS,
        "depot/database.py": DATABASE,
    }
    files = memory.add({path: text.encode() for path, text in texts.items()}, "queries")
    files["depot/main.py"] += more.encode()
    return files


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    with postgres_server() as server:
        asyncio.run(asked(server, TABLES))
        yield server


TABLES: Final = """
CREATE TABLE parents (id serial PRIMARY KEY, created_at timestamp NOT NULL);
CREATE INDEX pages ON parents (created_at, id);
INSERT INTO parents (created_at) SELECT '2026-01-01'::timestamp + (n / 7) * interval '1 s' FROM generate_series(1, 5000) n;
ANALYZE parents;
"""


async def asked(server: Server, statement: str) -> list[Any]:
    """Return the first column of what PostgreSQL answers."""
    connection = await asyncpg.connect(server.url)
    try:
        if statement is TABLES:
            await connection.execute(statement)
            return []
        return [row[0] for row in await connection.fetch(statement)]
    finally:
        await connection.close()


@pytest.fixture(scope="module")
def server(postgres: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("project")
    write(folder, made(PAGES))
    url = postgres.url.replace("postgresql:", "postgresql+asyncpg:")
    with uvicorn_server("depot.main:app", folder, {"DB_URL": url, "QUERIES_MAX_REPEATS": "30"}) as running:
        yield running


def test_a1_a_test_fails_where_each_parent_asks(tmp_path: Path) -> None:
    write(tmp_path, made() | {"tests/test_mine.py": TESTS.encode()})
    options = ("-p", "no:cacheprovider", "-p", "no:asyncio", "-p", "no:anyio", "-W", "error")
    command = (sys.executable, "-m", "pytest", "-q", *options, "tests")
    environment = os.environ | {"DB_URL": "sqlite+aiosqlite://"}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env=environment)
    assert "21 statements instead of 2: 20 times SELECT children.id" in done.stdout, done.stdout + done.stderr
    assert done.stdout.count("FAILED") == 1
    assert "FAILED tests/test_mine.py::test_each_parent_asks" in done.stdout


def test_a2_tasks_count_for_themselves(server: Server) -> None:
    async def run() -> list[tuple[int, str]]:
        async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:
            counts = [number % 20 for number in range(100)]
            found = await asyncio.gather(*(client.get(f"/statements/{count}") for count in counts))
            return [(item.json(), item.headers["x-db-queries"]) for item in found]

    before = len(server.output())
    assert all(str(count) == header for count, header in asyncio.run(run()))
    assert "sends" not in server.output()[before:]


def test_a2_what_is_repeated_is_logged(server: Server) -> None:
    httpx.get(f"{server.url}/statements/31")
    assert "/statements/31 sends 31 times: SELECT CAST($1 AS integer)" in server.output()


def test_a3_pages_stay_while_rows_come(server: Server, postgres: Server) -> None:
    before = asyncio.run(asked(postgres, "SELECT id FROM parents ORDER BY created_at, id"))
    found: list[int] = []
    cursor = ""
    new = "INSERT INTO parents (created_at) VALUES ('2025-01-01'), ('2026-01-01 00:05:00') RETURNING id"
    while True:
        part = httpx.get(f"{server.url}/pages", params={"cursor": cursor, "size": 400}).json()
        if not part["ids"]:
            break
        found += part["ids"]
        cursor = part["next"]
        asyncio.run(asked(postgres, new))
    assert len(found) == len({*found})
    assert [item for item in found if item in {*before}] == before


def test_a3_a_page_is_found_by_the_index(postgres: Server, tmp_path: Path) -> None:
    write(tmp_path, made())
    with imported(tmp_path, "core.paging", {"DB_URL": "sqlite+aiosqlite://"}) as paging:
        from sqlalchemy import select
        from sqlalchemy.dialects import postgresql

        models: Any = __import__("depot.models", fromlist=["Parent"])
        keys = models.Parent.created_at, models.Parent.id
        cursor = paging.cursor_at("2026-01-01T00:05:00", 2100)
        statement = select(models.Parent.id).where(paging.after(cursor, *keys)).order_by(*keys).limit(10)
        sql = statement.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True})
    plan = "\n".join(asyncio.run(asked(postgres, f"EXPLAIN {sql}")))
    assert "using pages on parents" in plan
    assert "Index Cond: (ROW(created_at, id) > ROW(" in plan
    assert "Sort" not in plan


def test_a4_a_stream_holds_a_part_of_its_rows(server: Server) -> None:
    streamed, whole = (
        httpx.get(f"{server.url}/rows", params={"streamed": value}, timeout=60).json() for value in (True, False)
    )
    assert streamed["rows"] == whole["rows"] == 100_000
    assert streamed["bytes"] < 8_000_000 < whole["bytes"]


def test_a5_nothing_listens_unless_somebody_counts(tmp_path: Path) -> None:
    write(tmp_path, made())
    code = (
        "import depot.main\nfrom depot.core import queries\nfrom sqlalchemy import Engine, event\n"
        "from fastapi.testclient import TestClient\nclient = TestClient(depot.main.app)\n"
        "assert 'x-db-queries' not in client.get('/docs').headers\n"
        "print(event.contains(Engine, 'before_cursor_execute', queries._note))"
    )
    for most, listens in (("0", "False"), ("5", "True")):
        environment = os.environ | {"DB_URL": "sqlite+aiosqlite://", "QUERIES_MAX_REPEATS": most}
        text = code if most == "0" else code.replace("not in", "in")
        done = subprocess.run(
            [sys.executable, "-c", text], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.stdout.strip() == listens, done.stderr


def test_pages_are_left_to_what_turns_them_already() -> None:
    files = made(pyproject=PYPROJECT.replace('"asyncpg"', '"asyncpg", "fastapi-pagination"'))
    assert "depot/core/queries.py" in files
    assert "depot/core/paging.py" not in files
