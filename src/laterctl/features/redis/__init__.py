"""A Redis client that is made on first use and closed at shutdown; no server is needed until something uses it."""

from laterctl.edits.beside import Beside
from laterctl.edits.dropped_test import DroppedTest
from laterctl.edits.file import File
from laterctl.edits.manifest import DependencyFloor
from laterctl.edits.open_file import Listed
from laterctl.edits.provider import Provider
from laterctl.edits.setting import Setting
from laterctl.feature import Feature

feature = Feature(
    name="redis",
    hidden=True,
    summary="a Redis client",
    requires=("settings", "lifespan"),
    floors={"python": "3.10", "fastapi": "0.112.2", "pydantic": "2"},
    edits=(
        DependencyFloor("redis[hiredis]>=5.0.2"),  # a blocking pool of 5.0.1 hangs where no server answers
        Setting("redis_url", "SecretStr | None", help="redis://host:6379/0"),
        Setting("redis_timeout_seconds", "PositiveFloat", 1.0, help="how long Redis may take to answer"),
        Setting("redis_max_connections", "PositiveInt", 100, help="connections at a time, of each process"),
        File("core/redis.py", "redis/core/redis.py.jinja"),
        Provider("redis", "core.redis:build_redis", closed_by="aclose", rank=20),
        Beside(
            "health",
            (
                File("core/health_redis.py", "redis/core/health_redis.py.jinja"),
                Listed(
                    "core.health:Check",
                    into="core.health:CHECKS",
                    arguments='"redis", ping_redis',
                    imports=("core.health_redis:ping_redis",),
                    rank=20,
                ),
            ),
        ),
        DroppedTest("test_redis.py", "redis/tests/test_redis.py.jinja", client=False),
    ),
    notes=("set {redis_url}; until then what needs Redis answers 503",),
)
