# From laterctl: replicas.
"""The replica of the database, for sessions that only read."""

import logging
import time
from functools import cache

import anyio
from pydantic import PositiveFloat, SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from order_service.core.feature_settings import FeatureSettings
from order_service.core.pooling import pooled

# Of a replica that was promoted there is no such position.
HAS = text(
    'SELECT coalesce(pg_last_wal_replay_lsn()'
    ' >= CAST(CAST(:position AS text) AS pg_lsn), true)',
)

logger = logging.getLogger(__name__)


class ReplicaSettings(FeatureSettings):
    """Where the replica is, and how long to wait for it."""

    replica_database_url: SecretStr | None = None
    replica_timeout_seconds: PositiveFloat = 0.5
    replica_cooldown_seconds: PositiveFloat = 10.0


class Replica:
    """A replica that is passed over for a while when it does not answer."""

    def __init__(self, settings: ReplicaSettings) -> None:
        """Connect to nothing so far."""
        self._settings = settings
        self._back_at = 0.0
        self.engine = None
        if url := settings.replica_database_url:
            self.engine = pooled(create_async_engine)(
                url.get_secret_value(),
                execution_options={'postgresql_readonly': True},
            )

    async def session(self, position: str) -> AsyncSession | None:
        """Return a session, but none where the replica has not come so far.

        The position is one of PostgreSQL's log: what was written before it
        is seen.
        """
        if self.engine is None or time.monotonic() < self._back_at:
            return None
        session = AsyncSession(self.engine)
        try:
            with anyio.fail_after(self._settings.replica_timeout_seconds):
                if await session.scalar(HAS, {'position': position}):
                    return session
        except Exception as error:  # noqa: BLE001 - drivers raise their own
            cooldown = self._settings.replica_cooldown_seconds
            self._back_at = time.monotonic() + cooldown
            logger.warning('no replica: %s', type(error).__name__)
        await session.close()
        return None

    async def aclose(self) -> None:
        """Close the connections."""
        if self.engine is not None:
            await self.engine.dispose()


def build_replica() -> Replica:
    """Return the replica of this application."""
    return Replica(ReplicaSettings())


get_replica = cache(build_replica)
