"""Sessions that only read, on replicas of PostgreSQL that have what their client wrote."""

from laterctl.edits.alias import DependencyAlias
from laterctl.edits.app_statements import Middleware
from laterctl.edits.context import FeatureContext
from laterctl.edits.database import without_database
from laterctl.edits.dropped_test import DroppedTest
from laterctl.edits.file import File, engine, session
from laterctl.edits.provider import Provider
from laterctl.edits.setting import Setting
from laterctl.feature import ExistingSigns, Feature, Group, Stage
from laterctl.refusal import Refusal


def awaits_engine(context: FeatureContext) -> Refusal | None:
    """Refuse a project without an engine that it awaits, and that a new module can import."""
    database = context.project.database
    if database is None:
        return without_database(context)
    if not database.asynchronous:
        return Refusal(
            "engine-not-awaited",
            "the engine is synchronous: a thread that waits for a replica that hangs cannot give up",
            database.place,
            expected="create_async_engine(...)",
            remedy="let a proxy in front of the replicas decide, such as Pgpool-II or HAProxy",
            feature=context.feature,
        )
    if engine(context) is None:
        return Refusal(
            "engine-not-importable",
            "a new module cannot import the engine",
            database.place,
            remedy="make it in a module of its own",
            feature=context.feature,
        )
    return None


def read_session(context: FeatureContext) -> str:
    """Choose whether reading depends on what gives sessions in this project, so that tests override both at once."""
    return f"replicas/api/read_session.{'alone' if session(context) is None else 'depends'}.py.jinja"


feature = Feature(
    name="replicas",
    group=Group.DATABASE,
    summary="sessions that only read, on a replica that has what their client wrote",
    requires=("settings", "lifespan", "pooling"),
    floors={"python": "3.11", "fastapi": "0.112.2", "pydantic": "2"},
    edits=(
        Setting(
            "replica_database_url",
            "SecretStr | None",
            None,
            secret=True,
            help="postgresql+asyncpg://host/name; several with ?host=one:5432&host=other:5432, tried in order",
        ),
        Setting(
            "replica_timeout_seconds",
            "PositiveFloat",
            0.5,
            help="how long connecting may take; then a request reads from the primary",
        ),
        Setting(
            "replica_cooldown_seconds",
            "PositiveFloat",
            10.0,
            help="pause for a replica that failed",
        ),
        File("core/replicas.py", "replicas/core/replicas.py.jinja"),
        Provider("replica", "core.replicas:build_replica", closed_by="aclose", rank=15),
        File("core/read_your_writes.py", "replicas/core/read_your_writes.py.jinja"),
        Middleware("core.read_your_writes:ReadYourWritesMiddleware", rank="read-your-writes"),
        File("api/read_session.py", read_session),
        DependencyAlias(
            "ReadSessionDep",
            "Annotated[AsyncSession, Depends(read_session)]",
            (
                *("typing:Annotated", "fastapi:Depends"),
                *("sqlalchemy.ext.asyncio:AsyncSession", "api.read_session:read_session"),
            ),
        ),
        DroppedTest("test_replicas.py", "replicas/tests/test_replicas.py.jinja", client=False),
    ),
    check=awaits_engine,
    by_hand=ExistingSigns(names=("ReadSessionDep", "RoutingSession", "get_read_session")),
    changes=("responses to requests that wrote have a cookie, db_position, once there is a replica",),
    stage=Stage.SPEED,
    after=("cache",),
    why="what is not asked at all is cheaper than what is asked elsewhere",
    notes=(
        "routes that only read: session: ReadSessionDep, from {api.read_session}; until {replica_database_url} is set they read from the primary",
        "commit before you return: what a GET commits after its answer may be read late",
    ),
)
