# From laterctl: cache.
"""The application's cache as a dependency of path operations."""

from typing import Annotated

from fastapi import Depends

from order_service.core.cache import Cache, get_cache


async def shared_cache() -> Cache:
    """Return the cache; a coroutine, so that no worker thread is taken."""
    return get_cache()


CacheDep = Annotated[Cache, Depends(shared_cache)]
