# From laterctl: redis.
"""The connection to Redis: with timeouts, and not opened before it is used."""

import logging
from functools import cache
from typing import Annotated

from pydantic import BeforeValidator, PositiveFloat, PositiveInt, SecretStr
from redis.asyncio import BlockingConnectionPool, Connection, Redis
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

from order_service.core.feature_settings import FeatureSettings

NOT_SET = 'APP_REDIS_URL is not set: what needs Redis answers 503'

logger = logging.getLogger(__name__)


def _redis_url(url: object) -> SecretStr:
    secret = url if isinstance(url, SecretStr) else SecretStr(str(url))
    try:
        parse_url(secret.get_secret_value())
    except ValueError:
        message = 'not a URL of a Redis server'
        raise ValueError(message) from None
    return secret


class RedisSettings(FeatureSettings):
    """Where the server is, and how long to wait for it."""

    redis_url: Annotated[SecretStr | None, BeforeValidator(_redis_url)] = None
    redis_timeout_seconds: PositiveFloat = 1.0
    redis_max_connections: PositiveInt = 100


class NotConfigured(Connection):
    """A connection to no server, which cannot be opened."""

    async def connect(self) -> None:
        """Fail as the connection to a server that is down does."""
        raise RedisConnectionError(NOT_SET)


@cache
def _say_it_once() -> None:
    logger.warning(NOT_SET)


def build_redis(client_name: str = __name__) -> Redis:
    """Return a client that gives bytes, with connections of its own.

    A command waits for a free connection as long as for an answer. One that
    finds its connection gone is tried once more, one that timed out is not.
    Options in the query of the URL win over ours.
    """
    settings = RedisSettings()
    if settings.redis_url is None:
        _say_it_once()
        pool = BlockingConnectionPool(connection_class=NotConfigured)
    else:
        pool = BlockingConnectionPool.from_url(  # pyright: ignore[reportUnknownMemberType]
            settings.redis_url.get_secret_value(),
            client_name=client_name,
            max_connections=settings.redis_max_connections,
            retry=Retry(NoBackoff(), 1, (RedisConnectionError,)),
            socket_connect_timeout=settings.redis_timeout_seconds,
            socket_timeout=settings.redis_timeout_seconds,
            timeout=settings.redis_timeout_seconds,
        )
    return Redis.from_pool(pool)


get_redis = cache(build_redis)
