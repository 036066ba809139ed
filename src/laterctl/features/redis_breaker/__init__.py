"""A Redis client that fails at once while the server is down, for what can do without it."""

from laterctl.edits.file import File
from laterctl.feature import Feature

feature = Feature(
    name="redis-breaker",
    hidden=True,
    summary="a Redis client that is not asked while it is down",
    requires=("redis",),
    floors={"python": "3.10", "fastapi": "0.112.2", "pydantic": "2"},
    edits=(File("core/redis_breaker.py", "redis-breaker/core/redis_breaker.py.jinja"),),
)
