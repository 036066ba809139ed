# From laterctl: errors.
"""Answers unexpected exceptions from inside of the other middleware.

Starlette's own 500 is sent from outside of all middleware, so that it has
neither CORS nor security headers.
"""

import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Any, cast

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from order_service.core.problems import problem_response

Handler = Callable[[Request, Exception], Any]

logger = logging.getLogger(__name__)


class ErrorBoundary:
    """Sends a 500 without the exception's text, then raises again.

    What is raised again reaches test clients and error trackers, and the
    server logs it. A handler of your own for `Exception` or 500 answers
    instead: it is called once, nothing is raised, and the exception is
    logged here. Once a response has started, and in debug mode, exceptions
    pass untouched.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Wrap the rest of the application."""
        self.app = app

    async def __call__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        """Run the application."""
        # Looked at first: a mounted application puts itself in its place.
        owner = scope.get('app')
        if scope['type'] != 'http' or getattr(owner, 'debug', False):
            await self.app(scope, receive, send)
            return
        started = False

        def watch(message: Message) -> Awaitable[None]:
            nonlocal started
            started = True
            return send(message)

        try:
            await self.app(scope, receive, watch)
        except Exception as error:
            if started:
                raise
            handlers = getattr(owner, 'exception_handlers', {})
            own = [handlers[k] for k in handlers if k in (500, Exception)]
            if not own:
                await _internal_error(scope)(scope, receive, send)
                raise
            # Of two handlers, Starlette takes the one that came last.
            response = await answer_of(own[-1], scope, error)
            await response(scope, receive, send)


async def answer_of(
    handler: Handler,
    scope: Scope,
    error: Exception,
) -> ASGIApp:
    """Return what a handler answers, or the usual 500 when it fails."""
    try:
        # Called in a thread, a coroutine function only makes its coroutine.
        answer = await run_in_threadpool(handler, Request(scope), error)
        if inspect.isawaitable(answer):
            answer = await answer
    except Exception:
        # The traceback has both: the first exception is the context.
        logger.exception('The handler of unexpected exceptions failed')
        return _internal_error(scope)
    logger.error('Unexpected exception', exc_info=error)
    return cast('ASGIApp', answer)


def _internal_error(scope: Scope) -> ASGIApp:
    detail = 'An unexpected error occurred.'
    return problem_response(scope, 500, 'internal_error', detail)
