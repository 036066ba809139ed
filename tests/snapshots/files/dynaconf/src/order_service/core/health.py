# From laterctl: health.
"""Whether the application can take requests.

What it cannot work without goes into CHECKS: a coroutine function that raises
while the other side does not answer.

    CHECKS: list[Check] = [Check('search', search.ping, critical=False)]
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from pydantic import NonNegativeFloat, PositiveFloat

from order_service.core.feature_settings import FeatureSettings
from order_service.core.health_database import ping_database
from order_service.core.health_redis import ping_redis
from order_service.core.shutdown import draining

Results = dict[str, dict[str, str | int]]

logger = logging.getLogger(__name__)


class HealthSettings(FeatureSettings):
    """How long a check may take, and how long its result holds."""

    health_timeout_seconds: PositiveFloat = 1.0
    health_cache_seconds: NonNegativeFloat = 1.0


SETTINGS = HealthSettings()


@dataclass(frozen=True)
class Check:
    """What has to answer, in seconds of its own or those of the setting.

    When it is not critical, its failure is shown and changes nothing else.
    """

    name: str
    probe: Callable[[], Coroutine[Any, Any, object]]
    critical: bool = True
    timeout: float = SETTINGS.health_timeout_seconds


CHECKS: list[Check] = [Check('database', ping_database), Check('redis', ping_redis)]

# Each gives the reason why no requests are to come, '' when there is none.
NOT_READY: list[Callable[[], str]] = [draining]


async def readiness() -> tuple[str, Results]:
    """Return 'ready', or why not, and what came of each check."""
    if reason := next(filter(None, (give() for give in NOT_READY)), ''):
        return reason, {}
    results = await _round.latest()
    critical = (results[check.name] for check in CHECKS if check.critical)
    passed = all(result['status'] == 'pass' for result in critical)
    return 'ready' if passed else 'not_ready', results


class _Round:
    """The checks, run all at once: one round at a time, kept for a while."""

    def __init__(self) -> None:
        self.running: asyncio.Task[Results] | None = None
        self.stale_at = 0.0
        self.told: dict[str, str] = {}

    async def latest(self) -> Results:
        task = self.running
        if (
            task is None
            or task.get_loop() is not asyncio.get_running_loop()
            or (task.done() and time.monotonic() >= self.stale_at)
        ):
            task = self.running = asyncio.create_task(self.run())
        # A request that goes away leaves the others their results.
        return await asyncio.shield(task)

    async def run(self) -> Results:
        found = await asyncio.gather(*(self.result(check) for check in CHECKS))
        self.stale_at = time.monotonic() + SETTINGS.health_cache_seconds
        return dict(found)

    async def result(self, check: Check) -> tuple[str, dict[str, str | int]]:
        began = time.perf_counter()
        task = asyncio.create_task(check.probe())
        # Unlike `wait_for`, this does not wait for one that hangs on.
        await asyncio.wait({task}, timeout=check.timeout)
        status, error = 'timeout', None
        if not task.cancel() and not task.cancelled():
            error = task.exception()
            status = 'fail' if error else 'pass'
        if status != self.told.get(check.name, 'pass'):
            logger.warning('%s: %s', check.name, status, exc_info=error)
        self.told[check.name] = status
        ms = round((time.perf_counter() - began) * 1000)
        return check.name, {'status': status, 'ms': ms}


_round = _Round()
