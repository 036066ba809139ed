# From laterctl: resources.
"""The application's clients as dependencies of path operations.

Coroutines, so that FastAPI does not send them to a worker thread.
"""

import logging
from collections.abc import AsyncGenerator
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, HTTPException
from httpx2 import AsyncClient
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from order_service.core.container import container

logger = logging.getLogger(__name__)


async def http_client() -> AsyncClient:
    """Return the application's HTTP client."""
    return container.http_client()


async def redis_client() -> AsyncGenerator[Redis]:
    """Give the application's Redis client; 503 while there is no server."""
    try:
        yield container.redis()
    except (RedisConnectionError, RedisTimeoutError) as error:
        logger.warning('Redis does not answer: %s', error)
        raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE) from error


HttpClientDep = Annotated[AsyncClient, Depends(http_client)]
RedisDep = Annotated[Redis, Depends(redis_client)]
