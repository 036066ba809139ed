"""Migrations by Alembic, on the application's own engine, one process at a time."""

from collections.abc import Iterator

from laterctl.edits.chosen import Chosen
from laterctl.edits.context import Edit, FeatureContext
from laterctl.edits.database import without_database
from laterctl.edits.dropped_test import DroppedTest
from laterctl.edits.file import File, engine
from laterctl.edits.manifest import DependencyFloor
from laterctl.edits.rewritten_call import RewrittenCall
from laterctl.feature import ExistingSigns, Feature, Group, Option, Stage
from laterctl.project.bindings import bound_to
from laterctl.project.places import Place
from laterctl.refusal import Refusal

FOUNDATION = "core/database.py"


def migrates(context: FeatureContext) -> Refusal | None:
    """Refuse a project without models or an engine that a new file can import, or with migrations already."""
    project, refusal = context.project, without_database(context)
    for path in project.tree.files_containing(b"run_migrations"):
        if path.endswith("env.py") and not context.is_from_us(path):
            return Refusal(
                "already-by-hand",
                "the project has migrations already",
                Place(path, 1),
                remedy="go on with these",
                feature=context.feature,
            )
    app, database = project.app, project.database
    if database is None:
        return refusal
    if engine(context) is None or (app is not None and app.module in database.tables):
        return Refusal(
            "engine-not-importable",
            "migrations cannot import the engine and the models without the application",
            database.place,
            remedy="put them into modules of their own",
            feature=context.feature,
        )
    if not database.models:
        return Refusal(
            "no-models",
            "there are no models whose tables could be migrated",
            database.place,
            remedy="declare a model first",
            feature=context.feature,
        )
    return None


def for_database(context: FeatureContext) -> Iterator[Edit]:
    """Await the engine where the application does, and say who else makes tables."""
    database = context.project.database
    if database is None:
        return
    form = "async" if database.asynchronous else "sync"
    yield DependencyFloor(f"sqlalchemy{'[asyncio]' if database.asynchronous else ''}>=2.0.36")
    yield File("migrations/env.py", f"migrations/root/env.{form}.py.jinja", root=True)
    made = database.create_all
    if is_foundation(context):
        yield File("core/tables.py", "migrations/core/tables.py.jinja")
        yield RewrittenCall("core.tables:only_in_memory", (f"{context.module('core.database')}.create_tables",))
        made = tuple(item for item in made if item.place.path != context.path(FOUNDATION))
    for item in made:
        context.warn(
            "create_all makes tables that no migration knows: where it runs before `alembic upgrade head`, that fails",
            item.place,
        )


def is_foundation(context: FeatureContext) -> bool:
    """Whether the tables are made by the functions that `laterctl new` writes."""
    names = ("create_tables", "build_engine", "build_session_factory")
    path = context.path(FOUNDATION)
    return all(bound_to(context.project, path, name)[0] is not None for name in names)


feature = Feature(
    name="migrations",
    group=Group.DATABASE,
    aliases=("alembic",),
    summary="migrations by Alembic on the application's own engine, one process at a time",
    floors={"python": "3.10", "fastapi": "0.112.2"},
    options=(
        Option("enums", "whether enum types of PostgreSQL are migrated too", default="no", choices=("no", "yes")),
    ),
    edits=(
        DependencyFloor("alembic>=1.19.2"),
        Chosen("enums", ("yes",), (DependencyFloor("alembic-postgresql-enum>=1.11"),)),
        File("alembic.ini", "migrations/root/alembic.ini.jinja", root=True),
        File("core/migrations.py", "migrations/core/migrations.py.jinja", open=True),
        File("migrations/__init__.py", "migrations/root/package.py.jinja", root=True),
        File("migrations/script.py.mako", "migrations/root/script.py.mako.jinja", root=True),
        File("migrations/versions/__init__.py", "migrations/root/package.py.jinja", root=True),
        DroppedTest("test_migrations.py", "migrations/tests/test_migrations.py.jinja", client=False),
    ),
    edits_for=for_database,
    check=migrates,
    by_hand=ExistingSigns(
        imports=("aerich", "yoyo", "piccolo.apps.migrations"),
        dependencies=("aerich", "yoyo-migrations"),
    ),
    changes=("tables are made by `alembic upgrade head`, before the application starts",),
    stage=Stage.DATABASE,
    why="tables change in steps that can be repeated, before code needs new ones",
    notes=(
        "make the first revision on an empty database: alembic revision --autogenerate -m first; alembic upgrade head",
        "where the tables are there already: alembic stamp head, and alembic check",
        "columns with an Enum on PostgreSQL: laterctl add migrations --set migrations.enums=yes",
    ),
)
