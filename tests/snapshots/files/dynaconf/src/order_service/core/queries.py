# From laterctl: queries.
"""Counts the statements that a task sends to databases, while somebody asks.

As in ``with max_queries(2): await list_orders(session)``.
"""

import logging
from collections import Counter
from collections.abc import Awaitable, Generator
from contextlib import contextmanager
from contextvars import ContextVar

from pydantic import NonNegativeInt
from sqlalchemy import Engine, event
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from order_service.core.feature_settings import FeatureSettings

logger = logging.getLogger(__name__)
_noted: ContextVar[list[str] | None] = ContextVar('queries', default=None)


class QuerySettings(FeatureSettings):
    """How often a request may repeat a statement; 0 counts nothing."""

    queries_max_repeats: NonNegativeInt = 0


class TooManyQueriesError(AssertionError):
    """More statements were sent than somebody wanted."""


@contextmanager
def recorded() -> Generator[list[str]]:
    """Give the list of what this task sends, and the tasks that it starts."""
    if not event.contains(Engine, 'before_cursor_execute', _note):
        event.listen(Engine, 'before_cursor_execute', _note)
    outer, found = _noted.get(), list[str]()
    token = _noted.set(found)
    try:
        yield found
    finally:
        _noted.reset(token)
        if outer is not None:
            outer += found


@contextmanager
def max_queries(count: int) -> Generator[list[str]]:
    """Raise TooManyQueriesError when more statements were sent than that."""
    with recorded() as found:
        yield found
    if len(found) > count:
        every = Counter(found).most_common(3)
        most = '; '.join(f'{times} times {text}' for text, times in every)
        message = f'{len(found)} statements instead of {count}: {most}'
        raise TooManyQueriesError(message)


class QueriesMiddleware:
    """Says how many statements a request took, and which it repeats."""

    def __init__(self, app: ASGIApp, settings: QuerySettings) -> None:
        """Stand inside of all others."""
        self.app = app
        self._most = settings.queries_max_repeats

    async def __call__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        """Run the application, and count."""
        if not self._most or scope['type'] != 'http':
            await self.app(scope, receive, send)
            return
        with recorded() as found:

            def send_with_count(message: Message) -> Awaitable[None]:
                if message['type'] == 'http.response.start':
                    count = (b'x-db-queries', str(len(found)).encode())
                    # Copied, because responses are reused.
                    headers = [*message['headers'], count]
                    message = {**message, 'headers': headers}
                return send(message)

            await self.app(scope, receive, send_with_count)
        for statement, times in Counter(found).items():
            if times > self._most:
                path = scope['path']
                logger.warning('%s sends %d times: %s', path, times, statement)


def _note(_connection: object, _cursor: object, sent: str, *_: object) -> None:
    noted = _noted.get()
    if noted is not None:
        noted.append(sent)
