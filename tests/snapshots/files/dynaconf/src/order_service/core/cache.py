# From laterctl: cache.
"""What takes long to load, kept for a while as JSON.

    PRICES = Namespace('prices', TypeAdapter(dict[str, Decimal]), ttl=60)

    prices = await cache.get_or_set(PRICES, shop, partial(load_prices, shop))
    await cache.invalidate(PRICES, shop)

Whoever asks for a value while it loads waits for that one load.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from pydantic import TypeAdapter

from order_service.core.cache_memory import LEASE, VALUE, MemoryStore

T = TypeVar('T')
Load = Callable[[], Awaitable[T]]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Namespace:
    """Values of one type, which are kept for ``ttl`` seconds."""

    name: str
    adapter: TypeAdapter[Any]
    ttl: float

    def __post_init__(self) -> None:
        """Refuse a time that is over at once or never."""
        if not 0 < self.ttl < float('inf'):
            raise ValueError(self)


class Cache:
    """Values by namespace and key."""

    def __init__(self, store: MemoryStore) -> None:
        """Keep the values in a store."""
        self._store = store
        # By lease: what is asked for after an invalidation loads anew.
        self._loads: dict[bytes, asyncio.Task[tuple[bytes, Any]]] = {}

    async def get_or_set(
        self,
        space: Namespace,
        key: str,
        load: Load[T],
    ) -> T:
        """Return what is kept under a key, else what ``load`` returns.

        All that the value depends on belongs in the key: the user, say. A load
        goes on without its caller, so it must not use what ends with a
        request, such as the session of the database. Its error is raised for
        all who wait and is not kept, nor is a value that JSON does not give
        back as it was.
        """
        while True:
            lease = LEASE + secrets.token_bytes(16)
            task = asyncio.create_task(self._find(space, key, load, lease))
            self._keep(lease, task)
            value: T
            # A caller that is cancelled does not cancel it for the others.
            entry, value = await asyncio.shield(task)
            if entry:
                try:
                    value = space.adapter.validate_json(entry[1:])
                except ValueError:
                    logger.warning('%s: an entry of another type', space.name)
                    await self._store.replace((space.name, key), entry)
                    continue
            return value

    async def invalidate(
        self,
        space: Namespace,
        key: str | None = None,
    ) -> None:
        """Forget a value, or all of a namespace; those that load now, too."""
        await self._store.invalidate(space.name, key)

    async def aclose(self) -> None:
        """Cancel what loads, which would go on without the application."""
        tasks = set(self._loads.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _keep(self, lease: bytes, task: asyncio.Task[Any]) -> None:
        self._loads[lease] = task
        task.add_done_callback(partial(self._loads.pop, lease))

    async def _find(
        self,
        space: Namespace,
        key: str,
        load: Load[T],
        lease: bytes,
    ) -> tuple[bytes, Any]:
        name, me = (space.name, key), self._loads[lease]
        entry = await self._store.begin(name, lease)
        leader = self._loads.get(entry, me)
        if leader is not me:
            return await asyncio.shield(leader)
        if not entry.startswith(LEASE):
            return entry, None
        entry = b''
        dump, parse = space.adapter.dump_json, space.adapter.validate_json
        try:
            value = await load()
            with suppress(ValueError):  # whose message may hold what is secret
                text = dump(
                    value,
                    by_alias=True,
                    round_trip=True,
                    warnings=False,
                )
                entry = VALUE + text if parse(text) == value else b''
            if not entry:
                logger.warning('%s: JSON gives back no value', space.name)
            return entry, value
        finally:
            # Not all at once: up to a tenth sooner or later.
            life = 1 + int(space.ttl * (900 + secrets.randbelow(200)))
            await self._store.replace(name, lease, entry, life)


def build_cache() -> Cache:
    """Return a cache; no connection is opened before it is used."""
    return Cache(MemoryStore())
