"""An HTTP client and a Redis client, one of each for the whole application, closed at shutdown."""

from collections.abc import Iterator

from laterctl.edits.alias import DependencyAlias
from laterctl.edits.chosen import Chosen
from laterctl.edits.context import Edit, FeatureContext
from laterctl.edits.dropped_test import FLOORS, DroppedTest
from laterctl.edits.file import File, http_client
from laterctl.edits.manifest import DependencyFloor
from laterctl.edits.provider import Provider
from laterctl.edits.setting import Setting
from laterctl.feature import ExistingSigns, Feature, Group, Option, Stage


def client(context: FeatureContext) -> Iterator[Edit]:
    """Depend on the HTTP client library that the project uses, and say how to use what is there."""
    name = http_client(context)
    parameters = "http: HttpClientDep" + (", redis: RedisDep" if context.options["redis"] else "")
    context.notice(f"use it: async def route({parameters}), from {context.path('api/clients.py')}")
    yield DependencyFloor(FLOORS[name])
    yield DependencyAlias(
        "HttpClientDep",
        "Annotated[AsyncClient, Depends(http_client)]",
        ("typing:Annotated", "fastapi:Depends", f"{name}:AsyncClient", "api.clients:http_client"),
    )


feature = Feature(
    name="resources",
    group=Group.INJECTION,
    summary="one HTTP client and one Redis client, with timeouts, closed at shutdown",
    requires=("settings", "lifespan"),
    floors={"python": "3.10", "fastapi": "0.112.2", "pydantic": "2"},
    options=(
        Option(
            "redis",
            "whether there is a Redis client too",
            bool,
            default=True,
            requires={True: ("redis",)},
            by_hand=ExistingSigns(
                imports=("aioredis",),
                names=("redis_client", "RedisClient", "get_redis", "get_redis_client", "redis_pool", "get_redis_pool"),
            ),
            instead=False,
        ),
    ),
    edits=(
        Setting("http_timeout_seconds", "PositiveFloat", 10.0, help="how long each read or write may take"),
        Setting("http_connect_timeout_seconds", "PositiveFloat", 3.0, help="how long connecting may take"),
        Setting("http_max_connections", "PositiveInt", 100, help="connections at a time, of each process"),
        File("core/http_client.py", "resources/core/http_client.py.jinja"),
        Chosen("redis", (True,), (File("api/clients.py", "resources/api/clients.py.jinja"),)),
        Chosen("redis", (False,), (File("api/clients.py", "resources/api/http_client.py.jinja"),)),
        Provider("http_client", "core.http_client:build_http_client", closed_by="aclose", rank=30),
        Chosen(
            "redis",
            (True,),
            (
                DependencyAlias(
                    "RedisDep",
                    "Annotated[Redis, Depends(redis_client)]",
                    ("typing:Annotated", "fastapi:Depends", "redis.asyncio:Redis", "api.clients:redis_client"),
                ),
                DroppedTest("test_resources.py", "resources/tests/test_resources.py.jinja"),
            ),
        ),
        Chosen("redis", (False,), (DroppedTest("test_resources.py", "resources/tests/test_http_client.py.jinja"),)),
    ),
    edits_for=client,
    by_hand=ExistingSigns(names=("http_client", "get_http_client")),
    stage=Stage.MORE,
    why="when other servers are called: by one client, with timeouts, closed at the stop",
)
