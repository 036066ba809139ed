# From laterctl: metrics.
"""Prometheus metrics of every HTTP request, and of what else you count.

    ORDERS = Counter('orders_total', 'Orders.', ['channel'])
    ORDERS.labels('web').inc()

Keep the values of a label few: never a raw path, an id, an e-mail address.

Several worker processes share their numbers through the directory named by
the environment variable PROMETHEUS_MULTIPROC_DIR. Whatever starts the server
sets it and empties the directory before each start; a worker never does.
Under gunicorn call `prometheus_client.multiprocess.mark_process_dead` in the
`child_exit` hook. Uvicorn has no such hook: what a killed worker had in
progress stays counted until the next start. Exemplars and the `process_` and
`python_` metrics exist with a single process only.
"""

import asyncio
import functools
import os
import sys
import time
from collections.abc import Awaitable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector as Workers
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from order_service.core.routing import is_probe, route_template

METHODS = {'GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE'}
# The second is nginx's number for: nobody waits any more.
SERVER_ERROR, CLIENT_CLOSED_REQUEST = 500, 499
PATIENCE_SECONDS = 0.05
BODIES = {'http.response.body', 'http.response.pathsend'}
DIRECTORY = os.environ.get('PROMETHEUS_MULTIPROC_DIR')
if DIRECTORY:
    Path(DIRECTORY).mkdir(parents=True, exist_ok=True)

# Apart from the registry of all others, which takes each name only once: this
# module may be imported under two names.
HTTP = CollectorRegistry()
REQUESTS = Counter(
    'http_server_requests_total',
    'HTTP requests, by how they ended.',
    ('method', 'route', 'status'),
    registry=HTTP,
)
DURATION = Histogram(
    'http_server_request_duration_seconds',
    'Time from a request to the last byte of its response.',
    ('method', 'route'),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
    registry=HTTP,
)
IN_PROGRESS = Gauge(
    'http_server_requests_in_progress',
    'HTTP requests that are being handled.',
    multiprocess_mode='livesum',
    registry=HTTP,
)
APP = Gauge(
    'app_info',
    'The application.',
    ('name', 'version'),
    multiprocess_mode='max',
    registry=HTTP,
)


def scrape(accept: str) -> tuple[bytes, str]:
    """Return all metrics in the format asked for, and its media type."""
    encode, media_type = choose_encoder(accept)
    registry = CollectorRegistry()
    registry.register(_Everything())
    return encode(registry), media_type


class _Everything(Collector):
    def collect(self) -> Iterable[Metric]:
        if DIRECTORY:
            files = _worker_files(DIRECTORY)
            yield from Workers.merge(files)  # type: ignore[no-untyped-call]
        else:
            yield from REGISTRY.collect()
            yield from HTTP.collect()


def _worker_files(directory: str) -> Iterator[str]:
    # A worker makes its file empty and then gives it a size: the library
    # fails on an empty one, for good when a worker is killed in between.
    for entry in os.scandir(directory):
        with suppress(FileNotFoundError):
            if entry.name.endswith('.db') and entry.stat().st_size:
                yield entry.path


class MetricsMiddleware:
    """Counts and times every HTTP request except those of probes."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap all that may answer in place of a route, such as CORS."""
        self.app = app

    async def __call__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        """Run the application."""
        if scope['type'] != 'http' or is_probe(scope):
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()
        status, seconds, is_gone = SERVER_ERROR, 0.0, False

        async def send_late(message: Message) -> None:
            nonlocal is_gone, seconds
            is_gone = await Request(scope, receive).is_disconnected()
            await send(message)
            seconds = time.perf_counter() - began

        def watch(message: Message) -> Awaitable[None]:
            nonlocal seconds, status
            if message['type'] == 'http.response.start':
                status = message['status']
            elif message['type'] in BODIES and not message.get('more_body'):
                seconds = time.perf_counter() - began
                # Asking costs: nobody leaves in less than this.
                if seconds > PATIENCE_SECONDS:
                    return send_late(message)
            return send(message)

        IN_PROGRESS.inc()
        try:
            await self.app(scope, receive, watch)
        except asyncio.CancelledError:
            is_gone = is_gone or not seconds
            raise
        finally:
            IN_PROGRESS.dec()
            if not seconds and not is_gone:
                status = SERVER_ERROR
                is_gone = await Request(scope, receive).is_disconnected()
            status = CLIENT_CLOSED_REQUEST if is_gone else status
            _record(scope, status, seconds or time.perf_counter() - began)


def _record(scope: Scope, status: int, seconds: float) -> None:
    method = scope['method'] if scope['method'] in METHODS else '_OTHER'
    requests, duration = _children(method, route_template(scope), status)
    exemplar = _trace_ids()
    requests.inc(1, exemplar)
    duration.observe(seconds, exemplar)


@functools.cache
def _children(
    method: str,
    route: str,
    status: int,
) -> tuple[Counter, Histogram]:
    """Return what counts and times a request; they are few, and kept."""
    requests = REQUESTS.labels(method, route, str(status))
    return requests, DURATION.labels(method, route)


def _trace_ids() -> dict[str, str] | None:
    """Return an exemplar that names the current trace, if that is kept."""
    trace = sys.modules.get('opentelemetry.trace')  # as FastAPI has from 0.142
    # Without a context there is no span, and to ask for one costs more.
    if not (trace and sys.modules['opentelemetry.context'].get_current()):
        return None
    span = trace.get_current_span().get_span_context()
    if not (span.is_valid and span.trace_flags.sampled):
        return None
    return {
        'trace_id': f'{span.trace_id:032x}',
        'span_id': f'{span.span_id:016x}',
    }
