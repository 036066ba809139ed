# From laterctl: redis.
"""The application's Redis client, built when it is first asked for.

Building it does not connect: a server that is down fails the command that
needs it, not the start. The client closes with the application.
"""

import logging
import math
import threading
from dataclasses import dataclass, field
from functools import cache
from http import HTTPStatus

from fastapi import HTTPException
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

from order_service.core.config import config
from order_service.core.lifespan import on_shutdown, on_startup
from order_service.core.startup import as_positive, as_text

CLIENT_NAME = __name__

logger = logging.getLogger(__name__)

_built: list[Redis] = []
_lock = threading.Lock()


class RedisNotConfigured(HTTPException):
    """No Redis server is configured: a request that needs one answers 503."""

    def __init__(self) -> None:
        """Tell the client no more than that."""
        super().__init__(HTTPStatus.SERVICE_UNAVAILABLE, 'Service unavailable')

    def __str__(self) -> str:
        """Name the setting, for those who read the log."""
        return 'REDIS_URL is not set'


@dataclass(frozen=True)
class RedisConfig:
    """How to reach the server; the URL may hold a password."""

    url: str = field(repr=False)
    timeout_seconds: float = 1.0
    max_connections: int = 100


def redis_url() -> str:
    """Return the URL of the Redis server, or '' when there is none."""
    return as_text(config('REDIS_URL', default=''))


def redis_config() -> RedisConfig:
    """Return the settings of the client.

    Raises ValueError naming a setting that is not a positive number.
    """
    return RedisConfig(
        url=redis_url(),
        timeout_seconds=as_positive(
            'REDIS_TIMEOUT_SECONDS',
            config('REDIS_TIMEOUT_SECONDS', default='1.0'),
        ),
        max_connections=math.ceil(
            as_positive(
                'REDIS_MAX_CONNECTIONS',
                config('REDIS_MAX_CONNECTIONS', default='100'),
            ),
        ),
    )


def build_redis(config: RedisConfig) -> Redis:
    """Return a client that gives bytes, without connecting.

    A command that finds its connection gone (an idle one that the server
    dropped, a server that restarted) is tried once more; one that timed
    out is not. Options in the query of the URL win over ours.

    Raises RedisNotConfigured without a URL (logged once), and ValueError
    for one that redis-py cannot read; its message does not repeat the URL.
    """
    if not config.url:
        _log_missing()
        raise RedisNotConfigured
    try:
        client: Redis = Redis.from_url(  # pyright: ignore[reportUnknownMemberType]
            config.url,
            client_name=CLIENT_NAME,
            decode_responses=False,
            max_connections=config.max_connections,
            retry=Retry(NoBackoff(), 1, (RedisConnectionError,)),
            socket_connect_timeout=config.timeout_seconds,
            socket_timeout=config.timeout_seconds,
        )
    except ValueError:
        message = 'REDIS_URL is not a URL of a Redis server'
        raise ValueError(message) from None
    return client


def get_redis() -> Redis:
    """Return the application's one client, built on the first call.

    Safe from any thread. Raises what ``build_redis`` raises.
    """
    with _lock:
        if not _built:
            _built.append(build_redis(redis_config()))
            on_shutdown(__name__, _close, rank=20)
        return _built[0]


async def _close() -> None:
    # Forgotten first, so that whatever happens the next start builds anew.
    client = _built.pop()
    await client.aclose()


async def _check() -> None:
    # A wrong setting is an error of the start; a missing one is not.
    if redis_url():
        get_redis()


@cache
def _log_missing() -> None:
    logger.error(
        'REDIS_URL is not set: what needs Redis answers 503',
    )


on_startup(__name__, _check, rank=20)
