"""Whether the application lives and whether it can take requests, for orchestrators and load balancers."""

from collections.abc import Iterator

from laterctl.edits.app_statements import Router
from laterctl.edits.context import Edit, FeatureContext
from laterctl.edits.dropped_test import DroppedTest, has_importable_app
from laterctl.edits.file import File, engine
from laterctl.edits.open_file import Listed
from laterctl.edits.setting import Setting
from laterctl.feature import ExistingSigns, Feature, Group, Option, Stage
from laterctl.project.signs import all_routes

WORDS = ("health", "healthz", "healthcheck", "health-check", "health_check", "heartbeat", "ping")
"""The last part of routes that say whether an application lives."""


def probed(context: FeatureContext) -> Iterator[Edit]:
    """Name the paths as those of probes, and check the database whose engine other modules can import."""
    for name in ("live", "ready"):
        yield Listed(f'"{context.options["prefix"]}/{name}"', into="core.routing:PROBE_PATHS")
    # Below a prefix a route is for people and monitors: what deploys the application asks at the root.
    for route in all_routes(context.project, [f"/{word}" for word in WORDS]):
        if route.path.rstrip("/").rpartition("/")[2] in WORDS and not context.own_file(route.place.path):
            context.choice(f"{min(route.full)} is yours, and answers as before", route.place)
    database, reason = context.project.database, context.project.why_not("database")
    if database is None:
        if reason is not None:
            context.choice(f"the database is not checked: {reason.message}", next(iter(reason.places), None))
        return
    if engine(context) is None:
        context.choice("the database is not checked: a new module cannot import its engine", database.place)
        return
    form = "async" if database.asynchronous else "sync"
    yield File("core/health_database.py", f"health/core/health_database.{form}.py.jinja")
    yield Listed(
        "core.health:Check",
        into="core.health:CHECKS",
        arguments='"database", ping_database',
        imports=("core.health_database:ping_database",),
        rank=10,
    )


feature = Feature(
    name="health",
    group=Group.OPERATIONS,
    summary="liveness and readiness for orchestrators, with checks that are bounded in time",
    requires=("settings", "routing"),
    floors={"python": "3.10", "fastapi": "0.112.2", "pydantic": "2"},
    options=(Option("prefix", "of the routes", default="/health", pattern=r"(/[A-Za-z0-9._~-]+)+"),),
    edits=(
        Setting(
            "health_timeout_seconds",
            "PositiveFloat",
            1.0,
            help="how long a check may take",
        ),
        Setting("health_cache_seconds", "NonNegativeFloat", 1.0, help="how long a result is kept"),
        File("core/health.py", "health/core/health.py.jinja", open=True),
        File("api/health.py", "health/api/health.py.jinja"),
        Router("api.health:router", alias="health_router"),
        DroppedTest("test_health.py", "health/tests/test_health.py.jinja", when=has_importable_app),
    ),
    edits_for=probed,
    by_hand=ExistingSigns(
        imports=("fastapi_health", "fastapi_healthcheck", "fastapi_healthchecks", "dockerflow.fastapi"),
        routes=(
            *("{prefix}", "{prefix}/live", "{prefix}/liveness", "{prefix}/ready", "{prefix}/readiness"),
            *("/healthz", "/livez", "/readyz", "/live", "/liveness", "/ready", "/readiness"),
            *("/healthz/live", "/healthz/liveness", "/healthz/ready", "/healthz/readiness"),
            *("/healthcheck", "/health-check", "/health_check", "{prefix}/check"),
            *("/__heartbeat__", "/__lbheartbeat__"),
        ),
        dependencies=("fastapi-health", "fastapi-healthcheck", "fastapi-healthchecks"),
    ),
    changes=("GET /health/live and /health/ready answer at the root, or below another health.prefix",),
    stage=Stage.LIFE,
    why="what deploys it, and what sends it requests, has to know when it serves",
    notes=(
        "point the liveness probe at /health/live, and what sends requests at /health/ready",
        "add what the application cannot work without to CHECKS in {core.health}",
    ),
)
