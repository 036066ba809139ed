# From laterctl: cache.
"""The entries of a cache in the memory of one process."""

import time

LEASE = b'L'
LEASE_SECONDS = 10.0
VALUE = b'V'

Name = tuple[str, str]


class MemoryStore:
    """Entries by namespace and key: a value, or the lease of one that loads.

    The one that nobody asked for longest makes room for another.
    """

    def __init__(self, max_entries: int = 10_000) -> None:
        """Keep so many entries."""
        self._max_entries = max_entries
        self._entries: dict[Name, tuple[bytes, float]] = {}

    async def begin(self, name: Name, lease: bytes) -> bytes:
        """Return what is there; the lease where nothing was, and now it is."""
        now = time.monotonic()
        entry, end = self._entries.pop(name, (lease, 0.0))
        if end <= now:
            entry, end = lease, now + LEASE_SECONDS
        self._entries[name] = entry, end
        if len(self._entries) > self._max_entries:
            del self._entries[next(iter(self._entries))]
        return entry

    async def replace(
        self,
        name: Name,
        old: bytes,
        new: bytes = b'',
        milliseconds: int = 0,
    ) -> None:
        """Put a value, or nothing, where an entry still is."""
        if self._entries.get(name, (b'', 0.0))[0] == old:
            self._entries[name] = new, time.monotonic() + milliseconds / 1000
            if not new:
                del self._entries[name]

    async def invalidate(self, namespace: str, key: str | None) -> None:
        """Forget an entry, or those of a namespace."""
        for name in list(self._entries):
            if name[0] == namespace and key in {name[1], None}:
                del self._entries[name]
