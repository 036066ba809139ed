# From laterctl: shutdown.
"""A signal to stop is announced, handed on, and not taken for good."""

import asyncio
import signal
from collections.abc import AsyncGenerator

import pytest

from order_service.core import lifespan, shutdown


async def endless() -> AsyncGenerator[int]:
    while True:
        yield 1
        await asyncio.sleep(0)


def test_a_signal_is_announced_before_the_server_gets_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The second one is handed on at once, and both only once."""
    patience = shutdown.ShutdownSettings(shutdown_drain_seconds=60)
    monkeypatch.setattr(shutdown, 'ShutdownSettings', lambda: patience)
    got: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: got.append(number))

    async def run() -> None:
        with shutdown.announced_shutdown():
            assert not shutdown.draining()
            signal.raise_signal(signal.SIGINT)
            assert [item async for item in shutdown.until_stopping(endless())]
            assert shutdown.draining()
            assert not got
            signal.raise_signal(signal.SIGINT)
            await asyncio.sleep(0.05)
            assert got == [signal.SIGINT]

    try:
        asyncio.run(run())
        signal.raise_signal(signal.SIGINT)
        assert got == [signal.SIGINT, signal.SIGINT]
    finally:
        signal.signal(signal.SIGINT, before)


def test_the_application_announces_it() -> None:
    before = signal.getsignal(signal.SIGTERM)

    async def run() -> None:
        async with lifespan.managed_resources('application'):
            assert signal.getsignal(signal.SIGTERM) is not before

    asyncio.run(run())
    assert signal.getsignal(signal.SIGTERM) is before
