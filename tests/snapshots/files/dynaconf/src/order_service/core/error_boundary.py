# From laterctl: errors.
"""The innermost middleware: answers for exceptions that nothing else handles.

Starlette sends its own 500 from outside of all middleware, so that it has
neither CORS nor security headers. This one is sent from inside.
"""

import inspect
import logging
from collections.abc import Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from order_service.core.problems import problem_response

Handler = Callable[[Request, Exception], Any]

logger = logging.getLogger(__name__)


class ErrorBoundary:
    """Sends a 500 without the exception's text, then raises again.

    What is raised again reaches test clients and error trackers, and the
    server logs it. A handler of your own for ``Exception`` or 500 answers
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

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message['type'] == 'http.response.start'
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except Exception as error:
            if started:
                raise
            handler = _own_handler(owner)
            if handler is None:
                await _internal_error(scope)(scope, receive, send)
                raise
            response = await _answer(handler, scope, error)
            await response(scope, receive, send)


def _own_handler(owner: object) -> Handler | None:
    # Of two handlers, Starlette takes the one that was registered last.
    handlers: dict[Any, Handler] = getattr(owner, 'exception_handlers', {})
    found = [handlers[key] for key in handlers if key in (500, Exception)]
    return found[-1] if found else None


async def _answer(handler: Handler, scope: Scope, error: Exception) -> ASGIApp:
    try:
        response = await _called(handler, Request(scope), error)
    except Exception:
        # The traceback has both: the first exception is the context.
        logger.exception('The handler of unexpected exceptions failed')
        return _internal_error(scope)
    logger.error('Unexpected exception', exc_info=error)
    return response


async def _called(
    handler: Handler,
    request: Request,
    error: Exception,
) -> ASGIApp:
    if inspect.iscoroutinefunction(handler):
        answer = handler(request, error)
    else:
        answer = await run_in_threadpool(handler, request, error)
    # A callable object or a partial may give a coroutine all the same.
    response: ASGIApp = await answer if inspect.isawaitable(answer) else answer
    return response


def _internal_error(scope: Scope) -> ASGIApp:
    return problem_response(
        scope,
        500,
        'internal_error',
        'An unexpected error occurred.',
    )
