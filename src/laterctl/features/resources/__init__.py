"""An HTTP client and a Redis client, one of each for the whole application, closed at shutdown."""

from collections.abc import Iterator

from laterctl.edits.alias import DependencyAlias
from laterctl.edits.context import Edit, FeatureContext
from laterctl.edits.dropped_test import FLOORS, DroppedTest
from laterctl.edits.file import File, http_client
from laterctl.edits.manifest import DependencyFloor
from laterctl.edits.provider import Provider
from laterctl.edits.setting import Setting
from laterctl.feature import ExistingSigns, Feature, Group


def client(context: FeatureContext) -> Iterator[Edit]:
    """Depend on the HTTP client library that the project uses."""
    name = http_client(context)
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
    requires=("settings", "lifespan", "redis"),
    floors={"python": "3.10", "fastapi": "0.112.2", "pydantic": "2"},
    edits=(
        Setting(
            "http_timeout_seconds",
            "PositiveFloat",
            10.0,
            imports=("pydantic:PositiveFloat",),
            help="for each wait, in seconds",
        ),
        Setting(
            "http_connect_timeout_seconds",
            "PositiveFloat",
            3.0,
            imports=("pydantic:PositiveFloat",),
            help="for connecting, in seconds",
        ),
        Setting(
            "http_max_connections",
            "PositiveInt",
            100,
            imports=("pydantic:PositiveInt",),
            help="connections at a time",
        ),
        File("core/http_client.py", "resources/core/http_client.py.jinja"),
        File("api/clients.py", "resources/api/clients.py.jinja"),
        Provider("http_client", "core.http_client:build_http_client", closed_by="aclose", rank=30),
        DependencyAlias(
            "RedisDep",
            "Annotated[Redis, Depends(redis_client)]",
            ("typing:Annotated", "fastapi:Depends", "redis.asyncio:Redis", "api.clients:redis_client"),
        ),
        DroppedTest("test_resources.py", "resources/tests/test_resources.py.jinja"),
    ),
    edits_for=client,
    by_hand=ExistingSigns(
        imports=("aioredis",),
        names=(
            *("redis_client", "RedisClient", "get_redis", "get_redis_client", "redis_pool", "get_redis_pool"),
            *("http_client", "get_http_client"),
        ),
    ),
    notes=(
        "use them: async def route(http: HttpClientDep, redis: RedisDep), from api/clients.py",
        "set {redis_url}; until then what needs Redis answers 503",
    ),
)
