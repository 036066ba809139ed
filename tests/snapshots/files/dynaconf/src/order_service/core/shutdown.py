# From laterctl: shutdown.
"""What the application does before its server stops.

A signal to stop is announced first: readiness fails, and streams end. Requests
are still taken for as long as this setting says, or until a second signal:
APP_SHUTDOWN_DRAIN_SECONDS. Then the server gets the signal, and
drains as it always does.

Streams and other requests that go on for ever are bounded by the server
alone: start it with `--timeout-graceful-shutdown 30`.
"""

import asyncio
import signal
import threading
from collections.abc import AsyncGenerator, AsyncIterable, Generator
from contextlib import contextmanager
from typing import Any

from pydantic import NonNegativeFloat

from order_service.core.feature_settings import FeatureSettings

# The second is Ctrl-Break on Windows, which has no other signal to stop.
SIGNALS = (signal.SIGINT, getattr(signal, 'SIGBREAK', signal.SIGTERM))


class ShutdownSettings(FeatureSettings):
    """How long requests are taken after a signal to stop."""

    shutdown_drain_seconds: NonNegativeFloat = 0.0


class _Run:
    stopping = asyncio.Event()  # each run has a new one, for its own loop


def draining() -> str:
    """Return 'draining' as soon as the application is to stop, else ''."""
    return 'draining' if _Run.stopping.is_set() else ''


@contextmanager
def announced_shutdown() -> Generator[None]:
    """Announce signals to stop, and hand them on to the server's handlers.

    Outside of the main thread, which gets all signals, nothing is done.
    """
    stopping = _Run.stopping = asyncio.Event()
    seconds = ShutdownSettings().shutdown_drain_seconds
    loop = asyncio.get_running_loop()
    is_main = threading.current_thread() is threading.main_thread()
    handlers = {
        number: handler
        for number in (SIGNALS if is_main else ())
        if (handler := signal.getsignal(number)) not in {None, signal.SIG_IGN}
    }
    timers: list[asyncio.TimerHandle] = []

    def announce(number: int, _frame: object) -> None:
        loop.call_soon_threadsafe(stop, number)

    def stop(number: int) -> None:
        # Only one is handed on: the server takes a second one for more.
        for timer in timers:
            timer.cancel()
        delay = 0 if stopping.is_set() else seconds
        timers.append(loop.call_later(delay, hand_on, number))
        stopping.set()

    def hand_on(number: int) -> None:
        restore()
        signal.raise_signal(number)

    def restore() -> None:
        for number, handler in handlers.items():
            if signal.getsignal(number) is announce:
                signal.signal(number, handler)

    for number in handlers:
        signal.signal(number, announce)
    try:
        yield
    finally:
        restore()
        _Run.stopping = asyncio.Event()  # what starts next is not stopping


async def until_stopping(items: AsyncIterable[Any]) -> AsyncGenerator[Any]:
    """Yield the items of a stream that has no end, until there is a stop."""
    iterator = aiter(items)
    stop = asyncio.ensure_future(_Run.stopping.wait())
    tasks: set[asyncio.Future[Any]] = {stop}
    try:
        while not stop.done():
            tasks = {stop, asyncio.ensure_future(anext(iterator))}
            done, _ = await asyncio.wait(tasks, return_when='FIRST_COMPLETED')
            for item in done - {stop}:
                yield item.result()
    except StopAsyncIteration:
        pass
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
