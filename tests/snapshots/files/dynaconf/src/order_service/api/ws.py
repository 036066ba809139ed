# From laterctl: websocket.
"""The WebSocket of the application.

Pages of other origins are refused, and so are those who are not known where
callers are: before the connection is accepted, by 401, 403 or 503. A browser
gives its token as a protocol, and never in the URL, which servers log:

    new WebSocket('wss://api.example.com/ws', ['bearer', token])
"""

import re
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, WebSocket

from order_service.api.ws_token import token_caller
from order_service.core.container import container
from order_service.core.realtime import Caller, Hub, RealtimeSettings
from order_service.core.realtime_cors import has_cors


def is_listed(origin: str) -> bool:
    """Tell whether APP_WS_ORIGINS has an origin."""
    # It is a list, a list as JSON, or text with commas.
    listed = str(RealtimeSettings().ws_origins).lower()
    return origin in re.findall(r'\w[\w+.-]*://[^\s,/\'"]+', listed)


async def anybody() -> Caller:
    """Return a caller without a name."""
    return Caller()


# What says whether pages of an origin may connect: one is enough.
ORIGINS: list[Callable[[str], bool]] = [is_listed, has_cors]
# Dependencies that say who connects: the last one is asked.
CALLERS: list[Callable[..., Any]] = [anybody, token_caller]


async def admit(websocket: WebSocket) -> None:
    """Refuse pages of other origins, and take the token of a browser."""
    headers, scope = websocket.headers, websocket.scope
    origin, host = headers.get('Origin', ''), headers.get('Host', '')
    ours = f'{websocket.url.scheme}://{host}'.replace('ws', 'http', 1)
    known = origin in {'', ours} or any(may(origin) for may in ORIGINS)
    if not known:
        raise HTTPException(403, 'Pages of this origin may not connect')
    protocols: list[str] = scope.get('subprotocols', [])
    if protocols[:1] == ['bearer'] and 'Authorization' not in headers:
        bearer = f'Bearer {protocols[-1]}'.encode()
        scope['headers'].append((b'authorization', bearer))


async def shared_hub() -> Hub:
    """Return the hub; a coroutine, so that no worker thread is taken."""
    return container.hub()


HubDep = Annotated[Hub, Depends(shared_hub)]
CallerDep = Annotated[Caller, Depends(CALLERS[-1])]

router = APIRouter(tags=['ws'], dependencies=[Depends(admit)])


@router.websocket('/ws')
async def ws_messages(
    websocket: WebSocket,
    caller: CallerDep,
    hub: HubDep,
) -> None:
    """Send everybody what each of them sends: yours to change."""
    async with hub.connected(websocket, caller) as connection:
        async for text in connection.texts():
            await hub.publish(text)
