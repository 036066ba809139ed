# From laterctl: replicas.
"""Who has written reads what was written, wherever that is read."""

import re
from contextvars import ContextVar

import anyio
from fastapi.requests import HTTPConnection
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from order_service.core.replicas import get_replica
from order_service.db import engine

COOKIE, HEADER = 'db_position', 'X-DB-Position'
POSITION = re.compile(r'[0-9A-F]{1,8}-[0-9A-F]{1,8}')
KEPT_SECONDS = 60
# No replica ever has it: for what is committed after the answer.
END, END_SECONDS = 'FFFFFFFF-FFFFFFFF', 5
READS = {'GET', 'HEAD', 'OPTIONS'}
TIMEOUT_SECONDS = 1.0
NOW = text('SELECT CAST(pg_current_wal_lsn() AS text)')

_steps: ContextVar[set[str]] = ContextVar('steps')


@event.listens_for(Engine, 'begin')
def _begun(_connection: Connection) -> None:
    _steps.get(set()).add('begun')


@event.listens_for(Engine, 'commit')
def _committed(_connection: Connection) -> None:
    _steps.get(set()).add('committed')


def position_of(connection: HTTPConnection) -> str:
    """Return how far a replica has to be for this client; others are lost."""
    given = connection.cookies.get(COOKIE) or connection.headers.get(HEADER)
    found = POSITION.fullmatch(given or '')
    return found[0].replace('-', '/') if found else '0/0'


class ReadYourWritesMiddleware:
    """Tells each client that has written how far a replica has to be.

    A position is no secret. One that is made up leads its sender to the
    primary, and nobody else anywhere.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Stand anywhere around the routes."""
        self.app = app

    async def __call__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        """Run the application."""
        replica = get_replica()
        if scope['type'] != 'http' or replica.engine is None:
            await self.app(scope, receive, send)
            return
        steps: set[str] = set()
        _steps.set(steps)

        async def send_with_position(message: Message) -> None:
            if message['type'] == 'http.response.start':
                position = ''
                if 'committed' in steps:
                    position = await _position(engine)
                elif 'begun' in steps and scope['method'] not in READS:
                    position = END
                if position:
                    message = _with(message, position, scope['scheme'])
            await send(message)

        await self.app(scope, receive, send_with_position)


async def _position(primary: AsyncEngine) -> str:
    try:
        with anyio.fail_after(TIMEOUT_SECONDS):
            async with primary.connect() as connection:
                position: str = (await connection.execute(NOW)).scalar_one()
    except Exception:  # noqa: BLE001 - drivers raise their own
        return END
    return position.replace('/', '-')


def _with(message: Message, position: str, scheme: str) -> Message:
    seconds = END_SECONDS if position == END else KEPT_SECONDS
    cookie = f'{COOKIE}={position}; Max-Age={seconds}; Path=/; HttpOnly'
    secure = '; Secure' if scheme == 'https' else ''
    # Copied, because responses are reused.
    headers = MutableHeaders(raw=[*message.get('headers', ())])
    headers.append('Set-Cookie', f'{cookie}; SameSite=Lax{secure}')
    headers[HEADER] = position
    return {**message, 'headers': headers.raw}
