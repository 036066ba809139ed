# From laterctl: metrics.
"""Measures every HTTP request, for Prometheus."""

import asyncio
import importlib
import time
from types import ModuleType

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from order_service.core.metrics import Metrics, get_metrics
from order_service.core.routing import is_probe, route_template

METHODS = {'GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE'}
OTHER_METHOD = '_OTHER'
SERVER_ERROR = 500
CLIENT_CLOSED_REQUEST = 499  # nginx's number for: nobody waits any more
BODY_MESSAGES = {'http.response.body', 'http.response.pathsend'}


class MetricsMiddleware:
    """Counts and times every HTTP request except those of probes.

    Belongs outside of all that may answer in place of a route, such as CORS
    and rate limits.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics | None = None) -> None:
        self.app = app
        self._metrics = metrics

    async def __call__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        if scope['type'] == 'http' and not is_probe(scope):
            await self._measure(scope, receive, send)
        elif scope['type'] == 'lifespan' and (problem := self._problem()):
            # An exception here would not stop the server from starting.
            await receive()
            await send({'type': 'lifespan.startup.failed', 'message': problem})
        else:
            await self.app(scope, receive, send)

    def _problem(self) -> str:
        try:
            self._metrics = self._metrics or get_metrics()
        except (RuntimeError, ValueError) as error:
            return str(error)
        return ''

    async def _measure(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        metrics = self._metrics or get_metrics()
        exchange = _Exchange(metrics, scope, receive, send)
        with metrics.in_progress.track_inprogress():
            try:
                await self.app(scope, exchange.receive, exchange.send)
            except asyncio.CancelledError:
                exchange.abandoned = True
                raise
            except BaseException:
                exchange.status = SERVER_ERROR
                raise
            finally:
                exchange.record()


class _Exchange:
    """One request and its response, recorded once, at the last byte."""

    def __init__(
        self,
        metrics: Metrics,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        self.status = SERVER_ERROR  # unless the application answers
        self.abandoned = False
        self._recorded = False
        self._metrics, self._scope = metrics, scope
        self._receive, self._send = receive, send
        self._exemplar = _trace_ids()
        self._began = time.perf_counter()

    async def receive(self) -> Message:
        message = await self._receive()
        if message['type'] == 'http.disconnect':
            self.abandoned = True
        return message

    async def send(self, message: Message) -> None:
        if message['type'] == 'http.response.start':
            self.status = message['status']
        try:
            await self._send(message)
        except OSError:
            self.abandoned = True
            raise
        if message['type'] in BODY_MESSAGES and not message.get('more_body'):
            self.record()

    def record(self) -> None:
        if self._recorded:
            return
        self._recorded = True
        seconds = time.perf_counter() - self._began
        status = CLIENT_CLOSED_REQUEST if self.abandoned else self.status
        method = self._scope['method']
        if method not in METHODS:
            method = OTHER_METHOD
        route = route_template(self._scope)
        requests = self._metrics.requests.labels(method, route, str(status))
        requests.inc(exemplar=self._exemplar)
        duration = self._metrics.duration.labels(method, route)
        duration.observe(seconds, exemplar=self._exemplar)


def _trace_api() -> ModuleType | None:
    try:
        return importlib.import_module('opentelemetry.trace')
    except ImportError:
        return None


_trace = _trace_api()


def _trace_ids() -> dict[str, str] | None:
    """Return an exemplar that names the current trace, if that is kept."""
    if _trace is None:
        return None
    span = _trace.get_current_span().get_span_context()
    if not (span.is_valid and span.trace_flags.sampled):
        return None
    return {
        'trace_id': f'{span.trace_id:032x}',
        'span_id': f'{span.span_id:016x}',
    }
