"""The `migrations` feature: its acceptance list, with Alembic's own command, on PostgreSQL and SQLite."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final
from urllib.parse import quote

import asyncpg
import pytest

from laterctl.engine.plan import Request
from tests import memory
from tests.features.ops_app import PYPROJECT, write
from tests.servers import Server, postgres_server
from tests.shapes import shape_named
from tests.test_laws import project_files

MAIN: Final = 'import logging\n\nfrom fastapi import FastAPI\n\napp = FastAPI()\nlogger = logging.getLogger("depot")\n'
DB: Final = """\
import os

from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import DeclarativeBase

engine = create_async_engine(os.environ["DB_URL"])


class Base(DeclarativeBase):
    pass
"""
MODELS: Final = '''\
"""Tables, in the same file as their base and not."""

import enum
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from depot.db import Base


class Kind(enum.Enum):
    SMALL = "small"
    LARGE = "large"


class Shelf(Base):
    __tablename__ = "shelves"
    __table_args__ = (UniqueConstraint("row", "place"), CheckConstraint("place > 0", name="positive"))

    number: Mapped[int] = mapped_column(primary_key=True)
    row: Mapped[str]
    place: Mapped[int]
    kind: Mapped[Kind]
    built: Mapped[datetime] = mapped_column(server_default=func.now())


class Box(Base):
    __tablename__ = "boxes"
    __table_args__ = (Index(None, "label"),)

    number: Mapped[int] = mapped_column(primary_key=True)
    label: Mapped[str] = mapped_column(unique=True)
    shelf: Mapped[int] = mapped_column(ForeignKey("shelves.number"), index=True)
'''
SQLMODEL: Final = """\
import os

from sqlmodel import Field, SQLModel, create_engine

engine = create_engine(os.environ["DB_URL"])


class Parcel(SQLModel, table=True):
    number: int | None = Field(default=None, primary_key=True)
    code: str = Field(unique=True)
"""


def made(more: Mapping[str, str], *features: str, **options: str) -> dict[str, bytes]:
    """Return the files of package `depot` with the feature."""
    manifest = PYPROJECT.replace(">=3.10", ">=3.11")
    files = {"pyproject.toml": manifest, "depot/__init__.py": "", "depot/main.py": MAIN, **more}
    request = Request(add=("migrations", *features), options={"migrations": options})
    return memory.run({path: text.encode() for path, text in files.items()}, request)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    with postgres_server() as server:
        yield server


@pytest.fixture
def database(postgres: Server, request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty database, by its URL."""
    name = f"test_{abs(hash(request.node.name))}"
    asked(postgres.url, f"CREATE DATABASE {name}")
    yield postgres.url.removesuffix("postgres") + name
    asked(postgres.url, f"DROP DATABASE {name} WITH (FORCE)")


def asked(url: str, statement: str) -> list[str]:
    """Return the first column of what PostgreSQL answers."""

    async def run() -> list[str]:
        connection = await asyncpg.connect(url)
        try:
            return [str(row[0]) for row in await connection.fetch(statement)]
        finally:
            await connection.close()

    return asyncio.run(run())


COMMANDS: Final = """
import sys
from alembic.config import main

folder, *commands = sys.argv[1:]
for command in commands:
    main(["-c", f"{folder}/alembic.ini", *command.split()])
"""


def start(folder: Path, url: str, *commands: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "DB_URL": url}
    whole = (sys.executable, "-c", COMMANDS, str(folder), *commands)
    return subprocess.run(
        whole, cwd=cwd or folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def alembic(folder: Path, url: str, *commands: str, cwd: Path | None = None) -> str:
    """Run Alembic in a project, or from another folder, and return what it printed."""
    done = start(folder, url, *commands, cwd=cwd)
    assert done.returncode == 0, f"{commands}\n{done.stdout}{done.stderr}"
    assert all("No new upgrade operations" in done.stdout for command in commands if command == "check")
    return done.stdout


def python(folder: Path, url: str, code: str) -> str:
    """Run Python in a project, and return what it printed."""
    environment = {**os.environ, "DB_URL": url, "PYTHONPATH": "."}
    command = (sys.executable, "-c", textwrap.dedent(code))
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def through_asyncpg(url: str) -> str:
    return url.replace("postgresql:", "postgresql+asyncpg:")


TABLES: Final = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1"
TYPES: Final = "SELECT typname FROM pg_type WHERE typtype = 'e'"
SHAPE: Final = """
SELECT string_agg(line, ' | ') FROM (
  SELECT conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    AND conrelid::regclass::text <> 'alembic_version'
  UNION SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'
  UNION SELECT table_name || column_name || data_type || is_nullable || coalesce(column_default, '')
    FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'alembic_version'
  ORDER BY 1) AS found(line)
"""
CREATE_ALL: Final = """
import asyncio
from depot.db import engine
from depot.models import Base

async def run():
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    await engine.dispose()

asyncio.run(run())
"""


def test_a1_a4_a9_there_and_back_with_enums(database: str, postgres: Server, tmp_path: Path) -> None:
    """A1: up, check, down, up; A4: the schema is that of `create_all`; A9: a new module of models is seen."""
    write(tmp_path, made({"depot/db.py": DB, "depot/models.py": MODELS}, enums="yes"))
    url = through_asyncpg(database)
    alembic(tmp_path, url, "revision --autogenerate -m first", "upgrade head", "check")
    migrated = asked(database, SHAPE)
    assert asked(database, TYPES) == ["kind"]
    alembic(tmp_path, url, "downgrade base")
    assert asked(database, TABLES) == ["alembic_version"]
    assert asked(database, TYPES) == []

    asked(postgres.url, "CREATE DATABASE by_hand")
    by_hand = postgres.url.removesuffix("postgres") + "by_hand"
    python(tmp_path, through_asyncpg(by_hand), CREATE_ALL)
    assert asked(by_hand, SHAPE) == migrated
    # What a project has that made its tables itself is what the models say.
    alembic(tmp_path, through_asyncpg(by_hand), "stamp head", "check")

    grown = MODELS.replace('LARGE = "large"', 'LARGE = "large"\n    HUGE = "huge"')
    write(tmp_path, {"depot/models.py": grown.encode(), "depot/more/models/pallet.py": PALLET.encode()})
    alembic(tmp_path, url, "upgrade head", "revision --autogenerate -m more", "upgrade head")
    assert "pallets" in asked(database, TABLES)
    assert asked(database, "SELECT unnest(enum_range(null::kind))") == ["SMALL", "LARGE", "HUGE"]
    alembic(tmp_path, url, "downgrade -1", "upgrade head", "check")


PALLET: Final = """\
from sqlalchemy.orm import Mapped, mapped_column

from depot.db import Base


class Pallet(Base):
    __tablename__ = "pallets"

    number: Mapped[int] = mapped_column(primary_key=True)
"""
SLOW: Final = '''\
"""A slow first revision, and an index that is made beside other work."""

from alembic import op

revision, down_revision = "{revision}", {before}


def upgrade() -> None:
    {up}


def downgrade() -> None:
    pass
'''


def test_a2_starts_at_the_same_time_wait_for_each_other(database: str, tmp_path: Path) -> None:
    """Four at once end well; a limit of the application's does not end the slow one."""
    db = DB.replace('["DB_URL"])', '["DB_URL"], connect_args={"server_settings": {"statement_timeout": "500"}})')
    write(tmp_path, made({"depot/db.py": db, "depot/models.py": MODELS}))
    first = 'op.execute("CREATE TABLE slow (id int)")\n    op.execute("SELECT pg_sleep(1)")'
    second = (
        "with op.get_context().autocommit_block():\n        "
        'op.create_index("slow_id", "slow", ["id"], postgresql_concurrently=True)'
    )
    revisions = {"one": SLOW.format(revision="one", before=None, up=first)}
    revisions["two"] = SLOW.format(revision="two", before="'one'", up=second)
    write(tmp_path, {f"migrations/versions/{name}.py": text.encode() for name, text in revisions.items()})
    url = through_asyncpg(database)
    with ThreadPoolExecutor(4) as pool:
        done = [item.result() for item in [pool.submit(start, tmp_path, url, "upgrade head") for _ in range(4)]]
    assert [item.returncode for item in done] == [0] * 4, "\n".join(item.stderr for item in done)
    assert asked(database, "SELECT version_num FROM alembic_version") == ["two"]
    assert asked(database, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'slow_id'::regclass") == ["True"]


def test_a3_a5_a7_sql_without_a_server_and_odd_passwords(postgres: Server, database: str, tmp_path: Path) -> None:
    """A3: the same bytes each time; A5: the URL goes through no other language; A7: from any folder."""
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    elsewhere.mkdir()
    write(project, made({"depot/db.py": DB, "depot/models.py": MODELS}))
    asked(postgres.url, "CREATE ROLE odd LOGIN SUPERUSER PASSWORD 'a%40@:/b'")
    odd = through_asyncpg(database).replace("tester@", f"odd:{quote('a%40@:/b', safe='')}@")
    alembic(project, odd, "revision --autogenerate -m first", "upgrade head", cwd=elsewhere)
    nowhere = "postgresql+asyncpg://nobody:secret@127.0.0.1:1/none"
    printed = [alembic(project, nowhere, "upgrade head --sql") for _ in range(2)]
    assert printed[0] == printed[1]
    assert "CREATE TABLE shelves" in printed[0]
    assert "CREATE TYPE kind AS ENUM" in printed[0]
    assert "secret" not in printed[0]


def test_a6_loggers_of_the_application_stay(database: str, tmp_path: Path) -> None:
    """Run in a process that has loggers, on a connection of a loop that runs."""
    write(tmp_path, made({"depot/db.py": DB, "depot/models.py": MODELS}))
    code = """
    import asyncio, logging
    from alembic import command
    from alembic.config import Config
    from depot.main import logger
    from depot.db import engine

    logging.basicConfig(level=logging.DEBUG, force=True)
    handlers = list(logging.getLogger().handlers)

    async def run():
        async with engine.connect() as connection:
            config = Config("alembic.ini")
            config.attributes["connection"] = await connection.get_raw_connection() and connection.sync_connection
            await connection.run_sync(lambda _: command.upgrade(config, "head"))
        await engine.dispose()

    asyncio.run(run())
    print(logger.disabled, logging.getLogger().handlers == handlers, logging.getLogger().level)
    """
    assert python(tmp_path, through_asyncpg(database), code) == "False True 10\n"


def test_a8_sqlite_in_batches(tmp_path: Path) -> None:
    """And what is dropped in beside it passes."""
    write(tmp_path, made({"depot/db.py": DB, "depot/models.py": MODELS}))
    url = f"sqlite+aiosqlite:///{tmp_path}/app.db"
    alembic(tmp_path, url, "revision --autogenerate -m first", "upgrade head")
    changed = MODELS.replace("row: Mapped[str]", "row: Mapped[str | None]").replace('"row", "place"', '"place", "kind"')
    assert "batch_alter_table" in there_and_back(tmp_path, url, {"depot/models.py": changed})
    environment = {**os.environ, "DB_URL": url, "PYTHONPATH": "."}
    command = (
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-W",
        "error",
        "-p",
        "no:asyncio",
        "-p",
        "no:cacheprovider",
        "tests",
    )
    tested = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert tested.stdout.splitlines()[-1].startswith("2 passed"), tested.stdout


def test_a8_sqlmodel_without_a_package(tmp_path: Path) -> None:
    """A revision imports the types of others that it names."""
    parcel = SQLMODEL.partition("\n\n\n")[2]
    model = f"from sqlmodel import Field, SQLModel\n\n\n{parcel}"
    engine = "import os\n\nfrom sqlmodel import create_engine\n\nengine = create_engine(os.environ['DB_URL'])\n"
    files = {"main.py": MAIN, "db.py": engine, "models/parcel.py": model, "requirements.txt": "fastapi\nsqlmodel\n"}
    write(tmp_path, memory.add({path: text.encode() for path, text in files.items()}, "migrations"))
    url = f"sqlite:///{tmp_path}/app.db"
    alembic(tmp_path, url, "revision --autogenerate -m first", "upgrade head")
    changed = model.replace("code: str = Field(unique=True)", "code: str | None = Field(default=None)")
    text = there_and_back(tmp_path, url, {"models/parcel.py": changed})
    assert "\nimport sqlmodel.sql.sqltypes\n" in text
    assert "batch_alter_table" in text


def there_and_back(folder: Path, url: str, changed: Mapping[str, str]) -> str:
    """Make another revision after a change, go all the way with it, and return the text of all revisions."""
    write(folder, {path: text.encode() for path, text in changed.items()})
    alembic(folder, url, "revision --autogenerate -m second", "upgrade head", "check", "downgrade base", "upgrade head")
    return "".join(item.read_text() for item in (folder / "migrations/versions").glob("2*.py"))


def test_tables_that_an_application_made_are_clean_under_their_own_names(database: str, tmp_path: Path) -> None:
    """Constraints have the names that PostgreSQL gave them, so that one can be dropped by name."""
    write(tmp_path, made({"depot/db.py": DB, "depot/models.py": MODELS}, enums="yes"))
    url = through_asyncpg(database)
    python(tmp_path, url, CREATE_ALL)
    alembic(tmp_path, url, "check")
    write(tmp_path, {"depot/models.py": MODELS.replace("mapped_column(unique=True)", "mapped_column()").encode()})
    alembic(tmp_path, url, "revision --autogenerate -m without")
    (text,) = [item.read_text() for item in (tmp_path / "migrations/versions").glob("2*.py")]
    assert "op.drop_constraint(op.f('boxes_label_key')" in text
    assert "op.create_unique_constraint(op.f('boxes_label_key')" in text


def test_the_limits_of_a_pool_do_not_hold_for_it(database: str, tmp_path: Path) -> None:
    write(tmp_path, made({"depot/db.py": DB, "depot/models.py": MODELS}, "pooling"))
    revision = SLOW.format(revision="one", before=None, up='op.execute("SELECT pg_sleep(2)")')
    write(tmp_path, {"migrations/versions/one.py": revision.encode()})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DB_STATEMENT_TIMEOUT_SECONDS", "1")
        alembic(tmp_path, through_asyncpg(database), "upgrade head")
    assert asked(database, "SELECT version_num FROM alembic_version") == ["one"]


def test_the_foundation_leaves_its_tables_to_migrations() -> None:
    before = project_files(shape_named("foundation"))
    after = memory.add(before, "migrations")
    main = after["src/order_service/main.py"].decode()
    assert "        await only_in_memory(create_tables)(engine)\n" in main
    assert memory.remove(after, "migrations") == before


def test_create_all_of_the_user_is_shown_and_stays() -> None:
    main = f"from depot.models import Base\n{MAIN}\n\ndef start(engine):\n    Base.metadata.create_all(engine)\n"
    files = {"depot/__init__.py": "", "depot/main.py": main, "depot/db.py": DB, "depot/models.py": MODELS}
    before = {path: text.encode() for path, text in files.items()} | {"requirements.txt": b"fastapi\nsqlalchemy\n"}
    plan = memory.planned(before, Request(add=("migrations",)))
    (note,) = [item for item in plan.notes if "create_all" in item.message]
    assert str(note.place) == "depot/main.py:11"
    assert memory.applied(before, plan)["depot/main.py"] == before["depot/main.py"]


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"depot/main.py": MAIN}, "no-database"),
        (
            {"depot/main.py": MAIN, "depot/db.py": "import sqlalchemy\n\nengine = sqlalchemy.create_engine('x')\n"},
            "no-models",
        ),
        ({"depot/main.py": f"{SQLMODEL}\n{MAIN}"}, "engine-not-importable"),
        ({"depot/main.py": MAIN, "depot/db.py": SQLMODEL, "alembic.ini": "[alembic]\n"}, "file-exists"),
        (
            {"depot/main.py": MAIN, "depot/db.py": SQLMODEL, "db/env.py": "context.run_migrations()\n"},
            "already-by-hand",
        ),
    ],
)
def test_what_it_does_not_fit_is_refused(more: dict[str, str], code: str) -> None:
    files = {"depot/__init__.py": "", "requirements.txt": "fastapi\nsqlalchemy\n", **more}
    before = {path: text.encode() for path, text in files.items()}
    refusals = memory.planned(before, Request(add=("migrations",))).refusals
    assert {item.code for item in refusals} == {code}
