# From laterctl: lifespan.
"""What the application opens when it starts and closes when it stops."""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import anyio

from order_service.core.cache import get_cache
from order_service.core.http_client import get_http_client
from order_service.core.realtime import get_hub
from order_service.core.redis import get_redis
from order_service.core.shutdown import announced_shutdown
from order_service.core.tasks import tasks_here
from order_service.core.tracing import tracing

CLOSE_TIMEOUT_SECONDS = 10.0

logger = logging.getLogger(__name__)

_running: list[object] = []
_stack = AsyncExitStack()


async def open_resources(stack: AsyncExitStack) -> None:
    """Open one thing after the other; the last one is closed first."""
    stack.enter_context(tracing())
    closing(stack, 'redis', get_redis().aclose)
    stack.callback(get_redis.cache_clear)
    closing(stack, 'http_client', get_http_client().aclose)
    stack.callback(get_http_client.cache_clear)
    closing(stack, 'cache', get_cache().aclose)
    stack.callback(get_cache.cache_clear)
    closing(stack, 'hub', get_hub().aclose)
    stack.callback(get_hub.cache_clear)
    await stack.enter_async_context(tasks_here())
    stack.enter_context(announced_shutdown())


@asynccontextmanager
async def managed_resources(app: object) -> AsyncGenerator[None]:
    """Keep the resources open: from the first entry to the last exit.

    An error of the start closes what was opened so far.
    """
    _running.append(app)
    try:
        if len(_running) == 1:
            await open_resources(_stack)
        yield
    finally:
        _running.pop()
        if not _running:
            await _stack.aclose()


def closing(
    stack: AsyncExitStack,
    name: str,
    close: Callable[[], Awaitable[object]],
) -> None:
    """Call ``close`` at the stop, within a time limit.

    Cancellation does not keep it from closing. An error is logged with the
    name, and raised when everything else has been closed.
    """

    async def bounded() -> None:
        try:
            with anyio.fail_after(CLOSE_TIMEOUT_SECONDS, shield=True):
                await close()
        except Exception:
            logger.exception('%s did not close', name)
            raise

    stack.push_async_callback(bounded)
