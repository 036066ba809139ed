# From laterctl: resources.
"""The application's clients as dependencies of path operations.

Coroutines, so that FastAPI does not send them to a worker thread.
"""

from typing import Annotated

from fastapi import Depends
from httpx import AsyncClient
from redis.asyncio import Redis

from order_service.core.container import container


async def http_client() -> AsyncClient:
    """Return the application's HTTP client."""
    return container.http_client()


async def redis_client() -> Redis:
    """Return the application's Redis client; 503 when none is configured."""
    return container.redis()


HttpClientDep = Annotated[AsyncClient, Depends(http_client)]
RedisDep = Annotated[Redis, Depends(redis_client)]
