# From laterctl: websocket.
"""Messages for clients that are connected by WebSocket.

Each is delivered once at the most: nothing is kept for a client that is away,
and one that does not read what it is sent is closed.
"""

import asyncio
import logging
import math
import time
from collections import defaultdict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from functools import cache
from typing import NamedTuple

import anyio
from fastapi import HTTPException, WebSocket, WebSocketDisconnect
from pydantic import PositiveInt

from order_service.core.feature_settings import FeatureSettings

EVERYBODY = 'everybody'
GONE = suppress(RuntimeError, WebSocketDisconnect)
TRY_LATER = {'Retry-After': '5'}

logger = logging.getLogger(__name__)


class RealtimeSettings(FeatureSettings):
    """Whose pages may connect, and how much one process takes."""

    ws_max_connections: PositiveInt = 1000
    ws_max_message: PositiveInt = 65536
    ws_max_of_user: PositiveInt = 20
    ws_origins: list[str] | str = ''


class Caller(NamedTuple):
    """Who is connected, '' for anybody; until when, in seconds since 1970."""

    subject: str = ''
    expires: float = math.inf


def topic_of(subject: str) -> str:
    """Return the topic that the connections of a caller are on, and no other.

    Topics of your own begin otherwise.
    """
    return f'user:{subject}'


class Connection:
    """One client: the texts that it sends, and those that wait for it."""

    def __init__(self, websocket: WebSocket, max_message: int) -> None:
        """Send nothing yet."""
        self._websocket = websocket
        self._max_message = max_message
        self._waiting: asyncio.Queue[str] = asyncio.Queue(64)
        self._scope = anyio.CancelScope()
        self._code = 0

    def send(self, text: str) -> None:
        """Send a text after those that wait; closes by 1013 above 64."""
        try:
            self._waiting.put_nowait(text)
        except asyncio.QueueFull:
            self.end(1013)

    def end(self, code: int) -> None:
        """Close it, and cancel whatever serves it; the first code holds."""
        self._code = self._code or code
        self._scope.cancel()

    async def texts(self) -> AsyncGenerator[str]:
        """Yield what the client sends; closes by 1003 or 1009 otherwise."""
        while not self._code:
            message = await self._websocket.receive()
            if message['type'] == 'websocket.disconnect':
                return
            text = message.get('text')
            if text is None or len(text.encode()) > self._max_message:
                self.end(1003 if text is None else 1009)
            else:
                yield text

    @asynccontextmanager
    async def served(self, expires: float) -> AsyncGenerator[None]:
        """Send what waits; closes by 4401 when the caller expires, or 1011."""
        sender = asyncio.create_task(self._send_waiting())
        self._scope.deadline = anyio.current_time() + expires - time.time()
        code = 1011
        try:
            with self._scope:
                yield
            code = 4401 if self._scope.cancelled_caught else 1000
        except (HTTPException, WebSocketDisconnect) as error:
            logger.warning('A WebSocket is closed: %r', error)
        finally:
            sender.cancel()
            # A client that is gone, or reads nothing, is not waited for.
            with anyio.move_on_after(1), GONE:
                await self._websocket.close(self._code or code)

    async def _send_waiting(self) -> None:
        with GONE:
            while True:
                await self._websocket.send_text(await self._waiting.get())


class Hub:
    """The connections of this process, by topic."""

    def __init__(self) -> None:
        """Connect to nothing yet; ValueError when a setting is wrong."""
        self._settings = RealtimeSettings()
        self._topics: defaultdict[str, set[Connection]] = defaultdict(set)
        logger.warning('Messages reach clients of this process alone')

    def count(self, topic: str = EVERYBODY) -> int:
        """Return how many clients of this process a topic has."""
        return len(self._topics.get(topic, ()))

    @asynccontextmanager
    async def connected(
        self,
        websocket: WebSocket,
        caller: Caller,
        *topics: str,
    ) -> AsyncGenerator[Connection]:
        """Accept a client, and give it what is published for everybody.

        It is on the caller's topic, and on others. 503 above the limits.
        """
        settings, own = self._settings, topic_of(caller.subject)
        full = self.count(EVERYBODY) >= settings.ws_max_connections
        if caller.subject:
            full |= self.count(own) >= settings.ws_max_of_user
        if full:
            raise HTTPException(503, 'Too many connections', TRY_LATER)
        connection = Connection(websocket, settings.ws_max_message)
        mine = {EVERYBODY, own, *topics}
        for topic in mine:
            self._topics[topic].add(connection)
        try:
            asked = 'bearer' in websocket.scope.get('subprotocols', ())
            await websocket.accept('bearer' if asked else None)
            async with connection.served(caller.expires):
                yield connection
        finally:
            for topic in mine:
                self._topics[topic].discard(connection)
                if not self._topics[topic]:
                    del self._topics[topic]

    async def publish(self, text: str, topic: str = EVERYBODY) -> None:
        """Send a text to the clients of a topic."""
        await self._deliver(topic, text, 0)

    async def disconnect(self, topic: str, code: int = 4403) -> None:
        """Close the clients of a topic, such as a user's."""
        await self._deliver(topic, '', code)

    async def aclose(self) -> None:
        """Close the clients."""
        await self._deliver(EVERYBODY, '', 1001)

    async def _deliver(self, topic: str, text: str, code: int) -> None:
        for connection in self._topics.get(topic, ()):
            if code:
                connection.end(code)
            else:
                connection.send(text)
        await asyncio.sleep(0)  # for those that send: a burst fills no queue


get_hub = cache(Hub)
