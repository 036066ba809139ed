# From laterctl: jwt.
"""Which refresh tokens are alive: rotation with reuse detection (RFC 9700).

A family is what one sign-in starts. It has one live refresh token, and each
refresh replaces that with a successor. A token that was replaced more than
``GRACE_SECONDS`` ago has been copied, so its family dies. Within that time
it gets the live token again: tabs that refresh at once all stay signed in.
"""

import heapq
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

GRACE_SECONDS = 10.0
REUSED = 'A used refresh token was presented: family %s is revoked'

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RefreshToken:
    """A refresh token as a store knows it; issued in Unix seconds."""

    family: str
    token_id: str
    issued_at: int


class RefreshStore(Protocol):
    """Raises AuthUnavailableError when what it stands on is not reached."""

    async def start(self, token: RefreshToken) -> None:
        """Begin a family with its first token."""

    async def rotate(
        self,
        old: RefreshToken,
        new: RefreshToken,
    ) -> RefreshToken | None:
        """Replace ``old`` by ``new`` and return the family's live token.

        None when the family is dead; presenting a copy kills it.
        """

    async def revoke(self, family: str) -> None:
        """End a family, if it is alive."""

    async def deny(self, token_id: str, seconds: int) -> None:
        """Remember for that long that an access token was revoked."""

    async def denied(self, token_id: str) -> bool:
        """Tell whether an access token was revoked."""
        ...


class MemoryRefreshStore:
    """Lives and dies with its process, so it serves one worker only.

    Nothing awaits in here: between two lines nobody else runs.
    """

    def __init__(
        self,
        ttl_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Forget families that were not refreshed for ``ttl_seconds``."""
        self._ttl = ttl_seconds
        self._clock = clock
        self._live: dict[str, RefreshToken] = {}
        self._expiry: dict[str, float] = {}
        self._queue: list[tuple[float, str]] = []

    async def start(self, token: RefreshToken) -> None:
        self._expire()
        self._live[token.family] = token
        self._keep(token.family, self._ttl)

    async def rotate(
        self,
        old: RefreshToken,
        new: RefreshToken,
    ) -> RefreshToken | None:
        self._expire()
        live = self._live.get(old.family)
        if live is None:
            return None
        if live.token_id == old.token_id:
            await self.start(new)
            self._keep(f'grace {old.token_id}', GRACE_SECONDS)
            return new
        if f'grace {old.token_id}' in self._expiry:
            return live
        await self.revoke(old.family)
        logger.warning(REUSED, old.family)
        return None

    async def revoke(self, family: str) -> None:
        self._live.pop(family, None)

    async def deny(self, token_id: str, seconds: int) -> None:
        self._expire()
        self._keep(f'denied {token_id}', seconds)

    async def denied(self, token_id: str) -> bool:
        self._expire()
        return f'denied {token_id}' in self._expiry

    def _keep(self, name: str, seconds: float) -> None:
        expiry = self._clock() + seconds
        self._expiry[name] = expiry
        heapq.heappush(self._queue, (expiry, name))

    def _expire(self) -> None:
        now = self._clock()
        while self._queue and self._queue[0][0] <= now:
            _, name = heapq.heappop(self._queue)
            # What was kept again since then has a later entry, too.
            if self._expiry.get(name, now + 1) <= now:
                del self._expiry[name]
                self._live.pop(name, None)
