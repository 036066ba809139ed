# From laterctl: profiling.
"""Profiles of single requests, for who sends APP_PROFILING_TOKEN.

curl -i -H "X-Profile-Token: ..." URL answers as ever, with the name of the
profile in X-Profile-Id. Without a token in the settings nothing of this is a
part of the application.
"""

import hmac
import logging
import os
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

from anyio import CancelScope, to_thread
from pydantic import Field, PositiveInt, SecretStr
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from order_service.core.feature_settings import FeatureSettings

TOKEN = b'x-profile-token'
PROFILE_ID = b'x-profile-id'

logger = logging.getLogger(__name__)

_block: ContextVar[Callable[[], AbstractContextManager[None]]]
_block = ContextVar('profile_block', default=nullcontext)


class ProfilingSettings(FeatureSettings):
    """Who gets profiles, where they are, and how many of them are kept."""

    profiling_token: Annotated[SecretStr, Field(min_length=16)] | None = None
    profiling_dir: Path = Path('profiles')
    profiling_keep: PositiveInt = 20


def profiled(app: ASGIApp, settings: ProfilingSettings) -> ASGIApp:
    """Return the application, which makes profiles where there is a token."""
    if settings.profiling_token is None:
        return app
    return RequestProfiler(app, settings, settings.profiling_token)


def profile_block() -> AbstractContextManager[None]:
    """Profile a part of a `def` route, while its request is profiled.

    Such a route runs in a thread, which the profile of the request does not
    see. The name of the part's profile begins like that of the request's.
    """
    return _block.get()()


class RequestProfiler:
    """Profiles the requests that have the token, each by itself."""

    def __init__(
        self,
        app: ASGIApp,
        settings: ProfilingSettings,
        token: SecretStr,
    ) -> None:
        """Import the profiler, which only this needs."""
        self.app = app
        self._token = token.get_secret_value().encode()
        self._folder = settings.profiling_dir
        self._keep = settings.profiling_keep
        self._profiler: Any = import_module('pyinstrument').Profiler

    async def __call__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        """Run the application, and write what took how long."""
        headers = scope.get('headers', ())
        sent = next((v for k, v in headers if k == TOKEN), b'')
        is_asked = hmac.compare_digest(sent, self._token)
        if scope['type'] != 'http' or not is_asked:
            await self.app(scope, receive, send)
            return
        # The names sort by their age.
        name = f'profile-{time.time_ns()}-{os.urandom(8).hex()}'

        def send_with_id(message: Message) -> Awaitable[None]:
            if message['type'] == 'http.response.start':
                own = message.get('headers', ())
                message = {
                    **message,
                    'headers': [*own, (PROFILE_ID, name.encode())],
                }
            return send(message)

        profiler = self._profiler(async_mode='enabled')
        reset = _block.set(lambda: self._thread(name))
        profiler.start()
        try:
            await self.app(scope, receive, send_with_id)
        finally:
            profiler.stop()
            _block.reset(reset)
            with CancelScope(shield=True):
                html = profiler.output_html
                await to_thread.run_sync(self._write, name, html)

    @contextmanager
    def _thread(self, name: str) -> Generator[None]:
        """Profile what a thread does."""
        profiler = self._profiler(async_mode='disabled')
        with profiler:
            yield
        part = f'{name}-{os.urandom(4).hex()}'
        self._write(part, profiler.output_html)

    def _write(self, name: str, html: Callable[[], str]) -> None:
        """Write a profile, and remove the oldest ones."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = self._folder / f'{name}.html'
            path.write_text(html(), encoding='utf-8')
            found = sorted(self._folder.glob('profile-*.html'))
            for old in found[: -self._keep]:
                old.unlink(missing_ok=True)
        except OSError:
            logger.exception('%s was not written', name)
