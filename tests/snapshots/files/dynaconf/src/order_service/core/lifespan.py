# From laterctl: lifespan.
"""What happens when the application starts and stops.

Modules that own something with a lifetime register it here themselves:
a hook with ``on_startup`` when they are imported, a closer with
``on_shutdown`` when they build the thing. ``managed_resources`` runs them.
"""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import anyio

logger = logging.getLogger(__name__)

CLOSE_TIMEOUT_SECONDS = 10.0

Step = Callable[[], Awaitable[None]]


class ManagedResources:
    """Start-up hooks, and closers of what has been built since.

    The application uses the one instance below; tests make their own.
    """

    def __init__(
        self,
        close_timeout_seconds: float = CLOSE_TIMEOUT_SECONDS,
    ) -> None:
        """Give each closer at most ``close_timeout_seconds``."""
        self._close_timeout_seconds = close_timeout_seconds
        self._hooks: dict[str, tuple[int, Step]] = {}
        self._closers: dict[str, tuple[int, Step]] = {}
        self._entered = 0

    def on_startup(self, name: str, hook: Step, *, rank: int = 50) -> None:
        """Run ``hook`` at each start, lower ranks first.

        Call it when a module is imported. The same name again replaces the
        hook, because a module may be imported under two names.
        """
        self._hooks[name] = (rank, hook)

    def on_shutdown(self, name: str, close: Step, *, rank: int = 50) -> None:
        """Run ``close`` at the next stop, higher ranks first, then forget it.

        Call it when a thing is built, so that only what exists is closed
        and the next start builds anew. Equal ranks close last built first.
        """
        self._closers.pop(name, None)
        self._closers[name] = (rank, close)

    @asynccontextmanager
    async def run(self, _app: object) -> AsyncGenerator[None]:
        """Run the hooks, then the block, then the closers.

        Use it as ``lifespan=`` of the application or of a router, or around
        the ``yield`` of a lifespan of your own. Entered a second time while
        it runs, it waits for the outermost exit to close.

        A hook that raises stops the start, after what was built so far has
        been closed. Every closer runs whatever the others do; each error is
        logged and the last one raised.
        """
        self._entered += 1
        try:
            if self._entered == 1:
                for _, hook in sorted(self._hooks.values(), key=_rank):
                    await hook()
            yield
        finally:
            self._entered -= 1
            if self._entered == 0:
                await self._close_all()

    async def _close_all(self) -> None:
        # The stack calls back in reverse, and all of them come what may.
        closers = sorted(self._closers.items(), key=lambda item: item[1][0])
        self._closers.clear()
        async with AsyncExitStack() as stack:
            for name, (_, close) in closers:
                stack.push_async_callback(self._close, name, close)

    async def _close(self, name: str, close: Step) -> None:
        # Shielded: a cancelled application still closes what it opened.
        # Logged here, because the stack keeps only the last error.
        try:
            with anyio.fail_after(self._close_timeout_seconds, shield=True):
                await close()
        except Exception:
            logger.exception('%s did not close', name)
            raise


def _rank(entry: tuple[int, Step]) -> int:
    return entry[0]


_resources = ManagedResources()

on_startup = _resources.on_startup
on_shutdown = _resources.on_shutdown
managed_resources = _resources.run
