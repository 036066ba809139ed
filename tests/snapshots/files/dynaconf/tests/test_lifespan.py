# From laterctl: lifespan.
"""What the application opens is closed again, whatever happens."""

import asyncio
from contextlib import AsyncExitStack

import anyio
import pytest

from order_service.core import lifespan


def test_it_starts_and_stops_again() -> None:
    """On another event loop, and with two that enter it in one run."""

    async def run() -> None:
        async with (
            lifespan.managed_resources('application'),
            lifespan.managed_resources('router'),
        ):
            pass

    asyncio.run(run())
    asyncio.run(run())


def test_a_closer_that_fails_or_hangs_stops_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The others still run, and the last error is raised."""
    monkeypatch.setattr(lifespan, 'CLOSE_TIMEOUT_SECONDS', 0.05)
    closed: list[str] = []

    async def close() -> None:
        closed.append('pool')

    async def fail() -> None:
        raise RuntimeError

    async def run() -> None:
        async with AsyncExitStack() as stack:
            lifespan.closing(stack, 'pool', close)
            lifespan.closing(stack, 'stuck', anyio.sleep_forever)
            lifespan.closing(stack, 'broken', fail)

    with pytest.raises(TimeoutError):
        asyncio.run(run())
    assert closed == ['pool']
