"""What is found out about a project's database, on the shapes that real code has."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from laterctl.dialects.database.base import Database
from laterctl.dialects.providers import providers_of
from laterctl.project.discover import Project
from tests import memory
from tests.project.making import make
from tests.shapes import files, shape_named

MAIN = "import db\nfrom fastapi import FastAPI\n\napp = FastAPI()\n"
ASYNC = "from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine\n"
SYNC = "from sqlalchemy import create_engine\nfrom sqlalchemy.orm import Session, sessionmaker\n"


def found(tmp_path: Path, db: str, main: str = MAIN, **more: str) -> Project:
    return make(tmp_path, {"db.py": db, "main.py": main, **{f"{name}.py": text for name, text in more.items()}})


def the_database(project: Project) -> Database:
    database = project.database
    assert database is not None, project.why_not("database")
    return database


def engines(database: Database) -> list[tuple[str, str, str, str]]:
    return [(made.name, made.held, str(made.place), made.setting) for made in database.engines]


@pytest.mark.parametrize(
    ("db", "kind", "expected"),
    [
        (SYNC + "engine = create_engine('sqlite://')\n", "sqlalchemy", ("engine", "module", "db.py:3", "")),
        (
            ASYNC
            + "from config import settings\nengine = create_async_engine(str(settings.DATABASE_URL), echo=True)\n",
            "sqlalchemy-async",
            ("engine", "module", "db.py:3", "DATABASE_URL"),
        ),
        (
            "import os\n" + SYNC + "URL = os.environ['DB_URL']\nengine = create_engine(URL)\n",
            "sqlalchemy",
            ("engine", "module", "db.py:5", "DB_URL"),
        ),
        (
            "import os\n" + SYNC + "engine = create_engine(url=os.getenv('DB_URL', 'sqlite://'))\n",
            "sqlalchemy",
            ("engine", "module", "db.py:4", "DB_URL"),
        ),
        (
            "import sqlalchemy as sa\nfrom sqlalchemy.engine import URL\nfrom config import settings\n"
            "engine = sa.create_engine(URL.create('postgresql', host=settings.db_host))\n",
            "sqlalchemy",
            ("engine", "module", "db.py:4", "db_host"),
        ),
        (
            ASYNC + "from config import settings\n\ndef build(url):\n    return create_async_engine(url)\n\n"
            "engine = build(settings.database_url.get_secret_value())\n",
            "sqlalchemy-async",
            ("engine", "module", "db.py:7", "database_url"),
        ),
        (
            ASYNC + "from functools import cache\nfrom config import get_settings\n\n@cache\ndef get_engine():\n"
            "    url = get_settings().db.url\n    return create_async_engine(url)\n",
            "sqlalchemy-async",
            ("get_engine", "function", "db.py:8", "url"),
        ),
        (
            ASYNC + "_engine = None\n\ndef get_engine():\n    global _engine\n    if _engine is None:\n"
            "        _engine = create_async_engine('sqlite://')\n    return _engine\n",
            "sqlalchemy-async",
            ("_engine", "module", "db.py:7", ""),
        ),
        (
            ASYNC + "class Database:\n    def __init__(self, url):\n        self.engine = create_async_engine(url)\n",
            "sqlalchemy-async",
            ("Database.engine", "class", "db.py:4", ""),
        ),
        (
            SYNC + "class Database:\n    engine = create_engine('sqlite://')\n",
            "sqlalchemy",
            ("Database.engine", "class", "db.py:4", ""),
        ),
        (
            ASYNC + "from dependency_injector import containers, providers\n\n"
            "class Container(containers.DeclarativeContainer):\n    config = providers.Configuration()\n"
            "    engine = providers.Singleton(create_async_engine, config.DATABASE_URL)\n",
            "sqlalchemy-async",
            ("Container.engine", "container", "db.py:6", "DATABASE_URL"),
        ),
        (
            SYNC + "from config import settings\nfrom core import pooled\n"
            "engine = pooled(create_engine)(settings.url, echo=True)\n",
            "sqlalchemy",
            ("engine", "module", "db.py:5", "url"),
        ),
        (
            ASYNC + "from dependency_injector import containers, providers\nfrom core import pooled, timed\n\n"
            "class Container(containers.DeclarativeContainer):\n    config = providers.Configuration()\n"
            "    engine = providers.Singleton(timed(pooled(create_async_engine)), config.DATABASE_URL)\n",
            "sqlalchemy-async",
            ("Container.engine", "container", "db.py:7", "DATABASE_URL"),
        ),
        (
            "from sqlmodel import SQLModel, create_engine\n\nengine = create_engine('sqlite://')\n",
            "sqlmodel",
            ("engine", "module", "db.py:3", ""),
        ),
    ],
)
def test_where_the_engine_is_made(tmp_path: Path, db: str, kind: str, expected: tuple[str, ...]) -> None:
    database = the_database(found(tmp_path, db))
    assert (database.kind, engines(database)) == (kind, [expected])
    assert any(item.place == database.place and "engine" in item.what for item in database.evidence)


def test_branches_are_one_engine(tmp_path: Path) -> None:
    db = SYNC + (
        "from config import settings\n\nif settings.testing:\n    engine = create_engine('sqlite://')\nelse:\n"
        "    engine = create_engine(settings.url, pool_size=5)\n"
    )
    database = the_database(found(tmp_path, db))
    assert engines(database) == [("engine", "module", "db.py:6", ""), ("engine", "module", "db.py:8", "url")]


def test_several_engines_are_undecided_until_one_is_named(tmp_path: Path) -> None:
    db = SYNC + "writer = create_engine('sqlite://')\nreader = create_engine('sqlite://')\n"
    project = found(tmp_path, db)
    reason = project.why_not("database")
    assert reason is not None
    assert (reason.code, [str(place) for place in reason.places]) == ("several-engines", ["db.py:3", "db.py:4"])
    assert "db:writer" in reason.message
    assert "several-engines" not in [item.code for item in project.undecided], "no feature asks for it"
    manifest = "[tool.laterctl]\ndatabase = '{}'\n"
    chosen = make(tmp_path, {"pyproject.toml": manifest.format("db:reader")})
    assert engines(the_database(chosen)) == [("reader", "module", "db.py:4", "")]
    wrong = make(tmp_path, {"pyproject.toml": manifest.format("db:other")}).why_not("database")
    assert wrong is not None
    assert wrong.code == "database-not-found"


def test_engines_of_a_mapping_are_several(tmp_path: Path) -> None:
    db = SYNC + "engines = {'writer': create_engine('sqlite://'), 'reader': create_engine('sqlite://')}\n"
    reason = found(tmp_path, db).why_not("database")
    assert reason is not None
    assert "db:engines['writer'], db:engines['reader']" in reason.message


@pytest.mark.parametrize(
    "made",
    [
        "database = Database(settings.database_url)\n",
        "database = Database(db_url=str(settings.database_url))\n",
        "from dependency_injector import containers, providers\n\nclass Container(containers.DeclarativeContainer):\n"
        "    database = providers.Singleton(Database, db_url=settings.database_url)\n",
    ],
)
def test_the_url_is_an_argument_of_the_class(tmp_path: Path, made: str) -> None:
    db = SYNC + "class Database:\n    def __init__(self, db_url):\n        self.engine = create_engine(db_url)\n"
    use = "from config import settings\nfrom db import Database\n\n" + made
    database = the_database(found(tmp_path, db, use=use))
    assert engines(database) == [("Database.engine", "class", "db.py:5", "database_url")]


def test_the_url_is_put_together_from_variables(tmp_path: Path) -> None:
    db = SYNC + (
        "from config import settings\n\nSCHEME = settings.scheme\nURI = settings.db_uri\nURL = f'{SCHEME}{URI}'\n"
        "engine = create_engine(URL)\n"
    )
    assert engines(the_database(found(tmp_path, db))) == [("engine", "module", "db.py:8", "db_uri")]


def test_the_engine_that_the_app_file_imports_counts(tmp_path: Path) -> None:
    engine = SYNC + "engine = create_engine('sqlite://')\n"
    assert engines(the_database(found(tmp_path, engine, old_db=engine))) == [("engine", "module", "db.py:3", "")]


def test_one_engine_of_both_kinds_is_undecided(tmp_path: Path) -> None:
    db = (
        SYNC
        + ASYNC
        + "if True:\n    engine = create_engine('sqlite://')\nelse:\n    engine = create_async_engine('x')\n"
    )
    reason = found(tmp_path, db).why_not("database")
    assert reason is not None
    assert reason.code == "mixed-engines"


def test_functions_of_scripts_are_left_out_beside_what_requests_use(tmp_path: Path) -> None:
    db = SYNC + "engine = create_engine('sqlite://')\n" + FACTORY + next(iter(SESSIONS))
    script = "from db import SessionLocal\n\ndef main():\n    SessionLocal().close()\n"
    database = the_database(found(tmp_path, db, script=script))
    assert [item.name for item in database.sessions] == ["get_db"]


def test_tests_and_migrations_do_not_count(tmp_path: Path) -> None:
    engine = SYNC + "engine = create_engine('sqlite://')\n"
    env = "from alembic import context\n" + engine
    project = make(
        tmp_path,
        {
            "main.py": MAIN,
            "tests/conftest.py": engine,
            "alembic/env.py": env,
            "schema/env.py": env,
            "schema/a.py": env.replace("context", "op"),
        },
    )
    assert (project.database, project.why_not("database")) == (None, None)


def test_names_that_only_look_alike_are_none(tmp_path: Path) -> None:
    db = "# sqlalchemy\ndef create_engine(url):\n    return url\n\nengine = create_engine('sqlite://')\n"
    assert found(tmp_path, db).database is None


MODELS = {
    "from sqlalchemy.orm import DeclarativeBase\nclass Base(DeclarativeBase):\n    pass\n": [("Base", "class", 5)],
    "from sqlalchemy.orm import declarative_base\nBase = declarative_base()\n": [("Base", "class", 5)],
    "from sqlalchemy.ext.declarative import declarative_base\nModel = declarative_base()\n": [("Model", "class", 5)],
    "from sqlalchemy.orm import registry\nreg = registry()\nBase = reg.generate_base()\n": [("Base", "class", 6)],
    "from sqlalchemy import MetaData\nmetadata = MetaData()\n": [("metadata", "metadata", 5)],
    "from sqlmodel import SQLModel\nclass Shared(SQLModel):\n    pass\nclass Item(Shared, table=True):\n    pass\n": [
        ("SQLModel", "sqlmodel", 7)
    ],
}


@pytest.mark.parametrize("source", MODELS)
def test_models(tmp_path: Path, source: str) -> None:
    database = the_database(
        found(tmp_path, ASYNC + "engine = create_async_engine('x')\n\n" + source.replace("\n", "\n"))
    )
    assert [(item.name, item.kind, item.place.line) for item in database.models] == [
        (name, kind, line) for name, kind, line in MODELS[source]
    ]
    assert database.asynchronous
    assert database.kind == ("sqlmodel" if "sqlmodel" in source else "sqlalchemy-async")


FACTORY = "SessionLocal = sessionmaker(engine)\n"
SESSIONS: Mapping[str, tuple[str, str]] = {
    "def get_db():\n    with SessionLocal() as session:\n        yield session\n": ("get_db", "dependency"),
    "def get_db():\n    db = SessionLocal()\n    try:\n        yield db\n    finally:\n        db.close()\n": (
        "get_db",
        "dependency",
    ),
    "def get_db():\n    with Session(engine) as session:\n        yield session\n": ("get_db", "dependency"),
    "from contextlib import contextmanager\n\n@contextmanager\ndef session():\n    with SessionLocal() as db:\n        yield db\n": (
        "session",
        "context",
    ),
    "class SessionMiddleware:\n    async def dispatch(self, request, call_next):\n        request.state.db = SessionLocal()\n": (
        "SessionMiddleware.dispatch",
        "middleware",
    ),
    "def get_db():\n    factory = SessionLocal\n    with factory() as session:\n        yield session\n": (
        "get_db",
        "dependency",
    ),
    "def read():\n    def rows():\n        yield 1\n    return SessionLocal().execute(rows())\n": ("read", "function"),
    "async def middleware(request, call_next):\n    make = sessionmaker(engine)\n    request.state.db = make()\n": (
        "middleware",
        "middleware",
    ),
    "def read():\n    return SessionLocal().execute('select 1')\n": ("read", "function"),
}


@pytest.mark.parametrize("source", SESSIONS)
def test_where_sessions_come_from(tmp_path: Path, source: str) -> None:
    db = SYNC + "engine = create_engine('sqlite://')\n" + FACTORY + source
    database = the_database(found(tmp_path, db))
    assert [(item.name, item.kind) for item in database.sessions] == [SESSIONS[source]]
    assert [(made.name, made.held) for made in database.factories] == [("SessionLocal", "module")]


def test_sessions_of_another_module(tmp_path: Path) -> None:
    db = ASYNC + "engine = create_async_engine('x')\nfactory = async_sessionmaker(engine)\n"
    deps = "import db\n\nasync def session():\n    async with db.factory() as made:\n        yield made\n"
    database = the_database(found(tmp_path, db, deps=deps))
    assert [(item.name, item.kind, str(item.place)) for item in database.sessions] == [
        ("session", "dependency", "deps.py:4")
    ]


def test_create_all(tmp_path: Path) -> None:
    db = ASYNC + (
        "from sqlalchemy.orm import DeclarativeBase\n\nclass Base(DeclarativeBase):\n    pass\n\n"
        "engine = create_async_engine('x')\n\nasync def create():\n    async with engine.begin() as connection:\n"
        "        await connection.run_sync(Base.metadata.create_all)\n"
    )
    main = MAIN + "\nfrom db import Base, engine\n\nBase.metadata.create_all(bind=engine)\n"
    database = the_database(found(tmp_path, db, main))
    assert [(item.scope, str(item.place)) for item in database.create_all] == [
        ("create", "db.py:11"),
        ("", "main.py:8"),
    ]


@pytest.mark.parametrize("name", ["foundation", "foundation_pydantic"])
def test_the_foundation(name: str, tmp_path: Path) -> None:
    database = the_database(make(tmp_path, files(shape_named(name))))
    url = {"foundation": "DATABASE_URL", "foundation_pydantic": "database_url"}[name]
    assert (database.kind, [(made.name, made.held, made.setting) for made in database.engines]) == (
        "sqlalchemy-async",
        [("Container.engine", "container", url)],
    )
    assert [(made.name, made.held) for made in database.factories] == [("Container.session_factory", "container")]
    assert [(item.name, item.kind) for item in database.sessions] == [("Container.user_service", "container")]
    assert [(item.name, item.kind) for item in database.models] == [("Base", "class")]
    assert [item.scope for item in database.create_all] == ["create_tables"]


@pytest.mark.parametrize(
    ("db", "expected"),
    [
        ("engine = create_engine('sqlite://')\n", ("engine", "engine")),
        ("if True:\n    engine = create_engine('a')\nelse:\n    engine = create_engine('b')\n", ("engine", "engine")),
        ("def build(url):\n    return create_engine(url)\n\nengine = build('sqlite://')\n", ("engine", "engine")),
        ("class Database:\n    engine = create_engine('sqlite://')\n", ("Database.engine", "Database")),
        ("@cache\ndef get():\n    engine = create_engine('sqlite://')\n    return engine\n", ("get()", "get")),
        ("@lru_cache(maxsize=1)\ndef get(url='sqlite://'):\n    return create_engine(url)\n", ("get()", "get")),
        (
            "_it = None\n\ndef get():\n    global _it\n    if _it is None:\n        _it = create_engine('sqlite://')\n"
            "    return _it\n",
            ("get()", "get"),
        ),
        ("engines = {'main': create_engine('sqlite://')}\n", ("engines['main']", "engines")),
        ("_it = None\n\ndef init():\n    global _it\n    _it = create_engine('sqlite://')\n", None),
        ("def make():\n    return create_engine('sqlite://')\n", None),
        ("@cache\ndef get(url):\n    return create_engine(url)\n", None),
        ("@cache\nasync def get():\n    return create_engine('sqlite://')\n", None),
        ("class Database:\n    def __init__(self):\n        self.engine = create_engine('sqlite://')\n", None),
    ],
)
def test_how_another_module_gets_the_engine(tmp_path: Path, db: str, expected: tuple[str, str] | None) -> None:
    """A function that makes a new one, or has to be told how, gives no engine that is the application's."""
    project = found(tmp_path, f"from functools import cache, lru_cache\n{SYNC}{db}")
    read = the_database(project).read(providers_of(project))
    assert (read and (read.text, *(item.name for item in read.imports))) == expected
    assert read is None or [item.module for item in read.imports] == ["db"]


def test_the_engine_of_a_container_is_what_its_provider_gives() -> None:
    project = memory.project(files(shape_named("foundation")))
    read = the_database(project).read(providers_of(project))
    assert read is not None
    assert read.text == "container.engine()"
