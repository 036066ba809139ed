"""Engines with a bounded pool of connections, statements that end, and 503 while the database does not answer."""

from collections.abc import Iterator

from laterctl.edits.app_statements import ExceptionHandler
from laterctl.edits.context import Edit, FeatureContext
from laterctl.edits.database import SEVERAL, without_database
from laterctl.edits.dropped_test import DroppedTest, has_importable_app
from laterctl.edits.file import File
from laterctl.edits.manifest import DependencyFloor
from laterctl.edits.rewritten_call import RewrittenCall
from laterctl.edits.setting import Setting
from laterctl.feature import Feature, Group, Stage
from laterctl.refusal import Refusal

FUNCTIONS = (
    "sqlalchemy.create_engine",
    "sqlalchemy.engine.create_engine",
    "sqlalchemy.ext.asyncio.create_async_engine",
    "sqlalchemy.ext.asyncio.engine.create_async_engine",
    "sqlmodel.create_engine",
)


def makes_engines(context: FeatureContext) -> Refusal | None:
    """Refuse a project in which nothing makes an engine, or only from a mapping of options."""
    database, refusal = context.project.database, without_database(context)
    if database is None:
        return None if refusal is not None and refusal.code in SEVERAL else refusal
    if any(made.call in FUNCTIONS for made in database.engines):
        return None
    return Refusal(
        "call-not-editable",
        f"the engine is made by {database.engines[0].call}, which takes its options from a mapping",
        database.place,
        expected="create_engine(...) or create_async_engine(...)",
        remedy="call one of the two, or put pool_pre_ping and the other options into that mapping by hand",
        feature=context.feature,
    )


def library(context: FeatureContext) -> Iterator[Edit]:
    """Depend on SQLAlchemy itself, with what makes it asynchronous where it is used so."""
    database = context.project.database
    yield DependencyFloor(f"sqlalchemy{'[asyncio]' if database is not None and database.asynchronous else ''}>=2.0.36")


feature = Feature(
    name="pooling",
    group=Group.DATABASE,
    summary="engines with a bounded pool and time limits; 503 while the database does not answer",
    requires=("settings",),
    floors={"python": "3.11", "fastapi": "0.112.2", "pydantic": "2"},
    edits=(
        Setting("db_pool_size", "PositiveInt", 5, help="connections that each process keeps open"),
        Setting(
            "db_max_overflow",
            "NonNegativeInt",
            5,
            help="further connections in a burst; those of all processes have to stay below max_connections",
        ),
        Setting(
            "db_statement_timeout_seconds",
            "NonNegativeFloat",
            30.0,
            help="longest time of a statement; 0 for no limit",
        ),
        Setting("db_pgbouncer", "bool", False, help="the URL is that of PgBouncer in transaction mode"),
        File("core/pooling.py", "pooling/core/pooling.py.jinja"),
        RewrittenCall("core.pooling:pooled", FUNCTIONS),
        ExceptionHandler("core.pooling:DatabaseUnavailableError", "core.pooling:handle_unavailable"),
        ExceptionHandler("core.pooling:PoolTimeoutError", "core.pooling:handle_unavailable"),
        DroppedTest("test_pooling.py", "pooling/tests/test_pooling.py.jinja", client=False, when=has_importable_app),
    ),
    edits_for=library,
    check=makes_engines,
    changes=(
        "a database that is gone, full or too slow answers 503 with Retry-After instead of 500",
        "PostgreSQL ends statements after 30 seconds, and transactions that nobody uses after 60",
    ),
    stage=Stage.DATABASE,
    after=("migrations",),
    why="a database that is away or slow is answered for, before more depends on it",
    notes=(
        "options of create_engine and of the URL that you give yourself stay as they are",
        "behind PgBouncer in transaction mode: {db_pgbouncer}=true, and a statement_timeout for the role in PostgreSQL",
    ),
)
