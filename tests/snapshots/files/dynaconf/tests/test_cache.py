# From laterctl: cache.
"""One load for all who ask, until it is forgotten."""

import asyncio
from collections.abc import Awaitable, Callable

from pydantic import TypeAdapter

from order_service.core.cache import Cache, Namespace
from order_service.core.cache_memory import MemoryStore

NUMBERS = Namespace('numbers', TypeAdapter(int), ttl=60)

Check = Callable[[Cache], Awaitable[None]]


def with_cache(check: Check) -> None:
    """Check a cache of its own, which asks no server."""

    async def run() -> None:
        cache = Cache(MemoryStore())
        try:
            await check(cache)
        finally:
            await cache.aclose()

    asyncio.run(run())


def test_callers_share_a_load_until_it_is_invalidated() -> None:
    """The next one loads anew."""
    loads: list[int] = []

    async def load() -> int:
        loads.append(1)
        await asyncio.sleep(0)
        return len(loads)

    async def check(cache: Cache) -> None:
        for expected in (1, 2):
            asked = (cache.get_or_set(NUMBERS, 'a', load) for _ in range(10))
            assert await asyncio.gather(*asked) == [expected] * 10
            await cache.invalidate(NUMBERS)

    with_cache(check)
    assert len(loads) == 2


def test_a_load_that_fails_is_tried_again() -> None:
    """Its error is raised, and not kept."""

    async def fail() -> int:
        raise LookupError

    async def load() -> int:
        return 1

    async def check(cache: Cache) -> None:
        failed = cache.get_or_set(NUMBERS, 'a', fail)
        (error,) = await asyncio.gather(failed, return_exceptions=True)
        assert isinstance(error, LookupError)
        assert await cache.get_or_set(NUMBERS, 'a', load) == 1

    with_cache(check)
