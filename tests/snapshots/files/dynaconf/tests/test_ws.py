# From laterctl: websocket.
"""Who may connect by WebSocket, and which messages close a connection."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.types import Message

from order_service.api import ws
from order_service.core import realtime
from order_service.main import app

application: FastAPI = app


@pytest.fixture(name='hub')
def use_hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[realtime.Hub]:
    """Have a hub of its own, and somebody who connects."""
    small = realtime.RealtimeSettings.model_construct(ws_max_message=9)
    monkeypatch.setattr(realtime, 'RealtimeSettings', lambda: small)
    hub = realtime.Hub()
    overrides = application.dependency_overrides
    overrides[ws.shared_hub] = lambda: hub
    overrides[ws.CALLERS[-1]] = lambda: realtime.Caller('ada')
    yield hub
    del overrides[ws.shared_hub], overrides[ws.CALLERS[-1]]


def talk(*sent: Message, origin: str = 'http://test') -> list[Message]:
    """Return what a client gets that connects, and sends this."""

    async def run() -> list[Message]:
        to_app: asyncio.Queue[Message] = asyncio.Queue()
        from_app: asyncio.Queue[Message] = asyncio.Queue()
        path = application.url_path_for(ws.ws_messages.__name__)
        scope: dict[str, Any] = {
            'type': 'websocket',
            'asgi': {'version': '3.0'},
            'scheme': 'ws',
            'path': path,
            'raw_path': path.encode(),
            'query_string': b'',
            'root_path': '',
            'headers': [(b'host', b'test'), (b'origin', origin.encode())],
            'subprotocols': ['bearer', 'token'],
            'extensions': {'websocket.http.response': {}},
        }
        app = application(scope, to_app.get, from_app.put)
        task = asyncio.ensure_future(app)
        got: list[Message] = []
        for message in ({'type': 'websocket.connect'}, *sent):
            await to_app.put(message)
            got.append(await from_app.get())
        await to_app.put({'type': 'websocket.disconnect', 'code': 1000})
        await task
        return got

    return asyncio.run(run())


def text(text: str) -> Message:
    return {'type': 'websocket.receive', 'text': text}


def test_a_client_gets_its_own_message(hub: realtime.Hub) -> None:
    """The token that it gives as a protocol does not come back."""
    accepted, message = talk(text('hello'))
    assert accepted['type'] == 'websocket.accept'
    assert accepted['subprotocol'] == 'bearer'
    assert message['text'] == 'hello'
    assert not hub.count()


@pytest.mark.usefixtures('hub')
def test_pages_of_strangers_may_not_connect() -> None:
    (refused,) = talk(origin='https://evil.example')
    assert refused['type'] == 'websocket.http.response.start'
    assert refused['status'] == 403


@pytest.mark.parametrize(
    ('message', 'code'),
    [({'type': 'websocket.receive', 'bytes': b'x'}, 1003), (text('x' * 10), 1009)],
)
def test_what_is_no_text_or_too_large_closes(
    hub: realtime.Hub,
    message: Message,
    code: int,
) -> None:
    _, closed = talk(message)
    assert closed['code'] == code
    assert not hub.count()
