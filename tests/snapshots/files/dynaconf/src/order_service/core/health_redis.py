# From laterctl: redis.
"""The check of Redis."""

from order_service.core.redis import RedisSettings, build_redis


async def ping_redis() -> None:
    """Fail while the server does not answer, if there is to be one.

    The connection is its own: a pool that is busy is no server that is down.
    """
    if RedisSettings().redis_url is not None:
        async with build_redis(__name__) as client:
            await client.ping()  # pyright: ignore[reportUnknownMemberType]
