# From laterctl: jwt.
"""Sessions: each has one live refresh token, which every use replaces.

A token that was replaced more than ``GRACE_MILLISECONDS`` ago has been copied,
so its session ends (RFC 9700, 4.14). Until then it gets the live one: tabs
that refresh at once all stay signed in.
"""

import logging
import time
from typing import NamedTuple

GRACE_MILLISECONDS = 10_000

logger = logging.getLogger(__name__)


class RefreshToken(NamedTuple):
    """What a refresh token is; its version is the time, in milliseconds."""

    subject: str
    session: str
    version: int


class Sessions:
    """The sessions of one process, which end with it.

    Nothing awaits in here: between two lines nobody else runs.
    """

    def __init__(self, ttl_seconds: int) -> None:
        """Forget sessions that were not refreshed for ``ttl_seconds``."""
        self._ttl = ttl_seconds * 1000
        # By subject, in the order of their last use.
        self._live: dict[str, dict[str, int]] = {}
        self._grace: dict[RefreshToken, int] = {}

    async def start(self, token: RefreshToken) -> None:
        """Begin a session, or go on with it, with its live token."""
        subject, session, version = token
        oldest = version - self._ttl
        others = self._live.pop(subject, {}).items()
        kept = {name: live for name, live in others if live > oldest}
        self._live[subject] = kept | {session: version}
        while max(next(iter(self._live.values())).values()) <= oldest:
            del self._live[next(iter(self._live))]

    async def rotate(self, token: RefreshToken) -> RefreshToken | None:
        """Return the live token after this use; None when there is none."""
        now = milliseconds()
        live = self._live.get(token.subject, {}).get(token.session)
        if live is None:
            return None
        if live != token.version:
            if self._grace.get(token, 0) > now:
                return token._replace(version=live)
            logger.warning('%r: a copied refresh token was used', token.subject)
            await self.end(token)
            return None
        successor = token._replace(version=max(live + 1, now))
        self._grace[token] = now + GRACE_MILLISECONDS
        while next(iter(self._grace.values())) <= now:
            del self._grace[next(iter(self._grace))]
        await self.start(successor)
        return successor

    async def end(self, token: RefreshToken) -> None:
        """End the session of a token, if it is there."""
        sessions = self._live.get(token.subject, {})
        sessions.pop(token.session, None)
        if not sessions:
            await self.end_all(token.subject)

    async def end_all(self, subject: str) -> None:
        """End all sessions of a subject."""
        self._live.pop(subject, None)


def milliseconds() -> int:
    """Return the time."""
    return time.time_ns() // 1_000_000
