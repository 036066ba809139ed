# From laterctl: jwt.
"""The application's refresh store: in Redis, or in this process."""

import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import cache

import anyio
from redis.asyncio import Redis
from redis.exceptions import RedisError

from order_service.core.auth.config import auth_config
from order_service.core.auth.errors import AuthUnavailableError
from order_service.core.auth.refresh import (
    GRACE_SECONDS,
    REUSED,
    MemoryRefreshStore,
    RefreshStore,
    RefreshToken,
)
from order_service.core.redis import RedisSettings, build_redis

TIMEOUT_SECONDS = 0.7
RETRY_AFTER_SECONDS = 5

ROTATE = """
local live = redis.call('GET', KEYS[1])
if not live then return 'dead' end
if string.match(live, '^%S+') == ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
  redis.call('SET', KEYS[2], '', 'PX', ARGV[4])
  return ARGV[2]
end
if redis.call('EXISTS', KEYS[2]) == 1 then return live end
redis.call('DEL', KEYS[1])
return 'reused'
"""
"""One step for all workers. Keys: the family, the grace of the old token.
Arguments: the old id, "id time" of the new one, two lives in milliseconds.
"""

logger = logging.getLogger(__name__)

_connect = cache(build_redis)


class RedisRefreshStore:
    """Shared by all workers. It holds ids, never a token."""

    def __init__(
        self,
        connect: Callable[[], Redis],
        ttl_seconds: float,
    ) -> None:
        """Use the client that ``connect`` gives at each call."""
        self._connect = connect
        self._ttl = int(ttl_seconds * 1000)

    async def start(self, token: RefreshToken) -> None:
        key = _family(token.family)
        async with _bounded():
            await self._connect().set(key, _packed(token), px=self._ttl)

    async def rotate(
        self,
        old: RefreshToken,
        new: RefreshToken,
    ) -> RefreshToken | None:
        key = _family(old.family)
        grace = int(GRACE_SECONDS * 1000)
        async with _bounded():
            answer = await self._connect().register_script(ROTATE)(
                keys=[key, f'{key}:{old.token_id}'],
                args=[old.token_id, _packed(new), self._ttl, grace],
            )
        text = answer.decode() if isinstance(answer, bytes) else str(answer)
        if text == 'reused':
            logger.warning(REUSED, old.family)
        token_id, _, issued_at = text.partition(' ')
        if not issued_at:
            return None
        return RefreshToken(old.family, token_id, int(issued_at))

    async def revoke(self, family: str) -> None:
        async with _bounded():
            await self._connect().delete(_family(family))

    async def deny(self, token_id: str, seconds: int) -> None:
        async with _bounded():
            await self._connect().set(_denied(token_id), '', ex=seconds)

    async def denied(self, token_id: str) -> bool:
        async with _bounded():
            return bool(await self._connect().exists(_denied(token_id)))


@cache
def get_refresh_store() -> RefreshStore:
    """Return the store: in Redis, or in memory while there is none.

    REDIS_URL says where Redis is.
    """
    ttl_seconds = auth_config().refresh_ttl
    if RedisSettings().redis_url:
        return RedisRefreshStore(_connect, ttl_seconds)
    return MemoryRefreshStore(ttl_seconds)


@asynccontextmanager
async def _bounded() -> AsyncGenerator[None]:
    try:
        with anyio.fail_after(TIMEOUT_SECONDS):
            yield
    except (RedisError, OSError) as error:
        message = f'refresh store: {type(error).__name__}'
        logger.warning(message)
        raise AuthUnavailableError(message, RETRY_AFTER_SECONDS) from error


def _family(family: str) -> str:
    # Braces keep the keys of a family on one node of a Redis Cluster.
    return 'jwt:family:{' + family + '}'


def _denied(token_id: str) -> str:
    return f'jwt:denied:{token_id}'


def _packed(token: RefreshToken) -> str:
    return f'{token.token_id} {token.issued_at}'


async def close_store() -> None:
    """Close the connections of the store."""
    client = _connect()
    _connect.cache_clear()
    await client.aclose()


async def check_store() -> None:
    """Tell when sign-ins end with this process."""
    if not RedisSettings().redis_url:
        logger.warning(
            'REDIS_URL is not set: refresh tokens are '
            'kept in this process, lost when it ends and unknown to other workers',
        )
