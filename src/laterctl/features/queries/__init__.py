"""Counts of the statements that requests and tests send, and pages by key."""

from collections.abc import Iterator

from laterctl.edits.app_statements import Middleware
from laterctl.edits.context import Edit, FeatureContext
from laterctl.edits.database import SEVERAL, without_database
from laterctl.edits.dropped_test import DroppedTest, has_importable_app
from laterctl.edits.file import File
from laterctl.edits.fixture import Fixture
from laterctl.edits.manifest import DependencyFloor
from laterctl.edits.setting import Setting
from laterctl.feature import ExistingSigns, Feature, Group, Stage
from laterctl.refusal import Refusal

PAGINATION = "fastapi-pagination"


def has_engine(context: FeatureContext) -> Refusal | None:
    """Refuse a project without an engine; that there are several does not matter."""
    refusal = without_database(context)
    return None if refusal is not None and refusal.code in SEVERAL else refusal


def library(context: FeatureContext) -> Iterator[Edit]:
    """Depend on SQLAlchemy itself, and turn pages where nothing else does."""
    database, manifest = context.project.database, context.project.manifest
    yield DependencyFloor(f"sqlalchemy{'[asyncio]' if database is not None and database.asynchronous else ''}>=2.0.36")
    paged = next((item for item in manifest.requirements if item.name == PAGINATION), None) if manifest else None
    if paged is not None:
        context.choice(f"there are no pages by key beside {PAGINATION}", paged.place)
        return
    context.notice(f"pages by key: after and cursor_at, from {context.module('core.paging')}")
    yield File("core/paging.py", "queries/core/paging.py.jinja")
    yield DroppedTest("test_paging.py", "queries/tests/test_paging.py.jinja", client=False)


feature = Feature(
    name="queries",
    group=Group.DATABASE,
    summary="counts of statements for tests and requests, those that repeat, and pages by key",
    requires=("settings",),
    floors={"python": "3.10", "fastapi": "0.112.2", "pydantic": "2"},
    edits=(
        Setting(
            "queries_max_repeats",
            "NonNegativeInt",
            0,
            help="log statements sent more often; 0 for off",
        ),
        File("core/queries.py", "queries/core/queries.py.jinja"),
        Middleware("core.queries:QueriesMiddleware", rank="profiling", settings="core.queries:QuerySettings"),
        Fixture("queries/conftest/max_queries.py.jinja"),
        DroppedTest("test_queries.py", "queries/tests/test_queries.py.jinja", client=False, when=has_importable_app),
    ),
    edits_for=library,
    check=has_engine,
    by_hand=ExistingSigns(
        imports=("nplusone", "sqltap", "sqlalchemy_nplus1"),
        names=("QueriesMiddleware",),
        dependencies=("nplusone", "sqltap"),
    ),
    changes=(
        "once a number is set, X-DB-Queries says how many statements a request sent, and those that it repeats are logged",
    ),
    stage=Stage.SPEED,
    after=("profiling",),
    why="most of that time goes to statements, and they can be counted",
    notes=(
        "in a test: with assert_max_queries(2), around what is to send no more; while developing {queries_max_repeats}=5",
        "many rows: await session.stream(statement, execution_options=dict(yield_per=1000)) holds as many at a time",
    ),
)
