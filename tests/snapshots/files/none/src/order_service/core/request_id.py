# From laterctl: request-scope.
"""Request ids: the caller's `X-Request-ID` or a new one, on every response."""

import os
import re
from collections.abc import Awaitable
from contextvars import ContextVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = 'X-Request-ID'
# Short and plain, so that an id can go into a log line or a header as it is.
ACCEPTED = re.compile(rb'[A-Za-z0-9._-]{1,128}')
ANSWERS = {
    'http.response.start',
    'websocket.accept',
    'websocket.http.response.start',
}

_name = HEADER.lower().encode()
_request_id: ContextVar[str] = ContextVar('request_id')


def current_request_id() -> str:
    """Return the id of the request being served.

    Raises LookupError outside of a request.
    """
    try:
        return _request_id.get()
    except LookupError:
        message = 'no request is being served, so there is no request id'
        raise LookupError(message) from None


def request_ids() -> dict[str, str]:
    """Return what log lines say of the request, nothing outside of one."""
    request_id = _request_id.get('')
    return {'request_id': request_id} if request_id else {}


class RequestIDMiddleware:
    """Gives each HTTP request and WebSocket an id.

    The id is in `request.state.request_id`, in `current_request_id()` and in
    the response's header.
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
        """Run the application with an id for the request."""
        if scope['type'] not in {'http', 'websocket'}:
            await self.app(scope, receive, send)
            return
        inbound: bytes = dict(scope['headers']).get(_name, b'')
        # 128 random bits; a UUID would cost more than all else that is here.
        accepted = inbound and ACCEPTED.fullmatch(inbound)
        request_id = inbound.decode() if accepted else os.urandom(16).hex()
        header = (_name, request_id.encode())
        scope.setdefault('state', {})['request_id'] = request_id
        # Replaces what an earlier request left behind and is not reset after
        # this one: the server logs an unhandled exception later than that.
        _request_id.set(request_id)

        def send_with_id(message: Message) -> Awaitable[None]:
            if message['type'] in ANSWERS:
                own = message.get('headers', ())
                others = [pair for pair in own if pair[0].lower() != _name]
                message = {**message, 'headers': [*others, header]}
            return send(message)

        await self.app(scope, receive, send_with_id)
