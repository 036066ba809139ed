# From laterctl: metrics.
"""Prometheus metrics: of the HTTP server, and a place for your own.

    ORDERS = get_metrics().counter('orders_total', 'Orders.', 'channel')
    ORDERS.labels('web').inc()

Keep the values of a label few: never a raw path, an id, an e-mail address.
Time a coroutine with `with SECONDS.time():` inside of it: as a decorator,
`time()` measures how long it takes to make one, not to run it.

Several worker processes share their numbers through the directory named by
the environment variable PROMETHEUS_MULTIPROC_DIR. Whatever starts the server
sets it and empties the directory before each start; a worker never does.
Under gunicorn call `prometheus_client.multiprocess.mark_process_dead` in the
`child_exit` hook. Uvicorn has no such hook: what a killed worker had in
progress stays counted until the next start. Exemplars and the `process_` and
`python_` metrics exist with a single process only.
"""

import functools
import importlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from order_service.core.config import settings
from order_service.core.startup import as_text

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
MULTIPROC_DIR = 'PROMETHEUS_MULTIPROC_DIR'

# By name, because the library has no types for it.
_merge: Callable[[list[str]], Iterable[Metric]] = importlib.import_module(
    'prometheus_client.multiprocess',
).MultiProcessCollector.merge


@dataclass(frozen=True)
class MetricsConfig:
    """`token`: what a scraper has to send; empty for an open endpoint."""

    token: str = field(default='', repr=False)


def metrics_config() -> MetricsConfig:
    """Read the settings of the metrics endpoint."""
    return MetricsConfig(token=as_text(settings.metrics_token))


class Metrics:
    """Metrics in one registry: those of the HTTP server, and your own.

    A metric that is asked for again, as by a module that is imported twice,
    is the same object. With other labels it raises ValueError, naming it.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        _make_multiprocess_directory()
        self.registry = registry
        self.requests = self.counter(
            'http_server_requests_total',
            'HTTP requests, by how they ended.',
            'method',
            'route',
            'status',
        )
        self.duration = self.histogram(
            'http_server_request_duration_seconds',
            'Time from a request to the last byte of its response.',
            'method',
            'route',
        )
        self.in_progress = self.gauge(
            'http_server_requests_in_progress',
            'HTTP requests that are being handled.',
        )

    def counter(self, name: str, about: str, *labels: str) -> Counter:
        """Return the counter of this name."""
        known = self._known(name, labels)
        if isinstance(known, Counter):
            return known
        return Counter(name, about, labels, registry=self.registry)

    def gauge(
        self,
        name: str,
        about: str,
        *labels: str,
        merge: Literal['livesum', 'max'] = 'livesum',
    ) -> Gauge:
        """Return the gauge of this name; `merge` is over worker processes."""
        known = self._known(name, labels)
        if isinstance(known, Gauge):
            return known
        return Gauge(
            name,
            about,
            labels,
            registry=self.registry,
            multiprocess_mode=merge,
        )

    def histogram(
        self,
        name: str,
        about: str,
        *labels: str,
        buckets: tuple[float, ...] = BUCKETS,
    ) -> Histogram:
        """Return the histogram of this name; `buckets` are in its unit."""
        known = self._known(name, labels)
        if isinstance(known, Histogram):
            return known
        return Histogram(
            name,
            about,
            labels,
            registry=self.registry,
            buckets=buckets,
        )

    def _known(self, name: str, labels: tuple[str, ...]) -> object:
        # The registry has no public way to ask for what it holds.
        names = getattr(self.registry, '_names_to_collectors', {})
        known: object = names.get(name)
        return known if getattr(known, '_labelnames', ()) == labels else None

    def show_app(self, name: str, version: str) -> None:
        """Put the name and version of the application among the metrics."""
        labels = ('name', 'version')
        info = self.gauge('app_info', 'The app.', *labels, merge='max')
        info.labels(name, version).set(1)

    def scrape(self, accept: str) -> tuple[bytes, str]:
        """Return the metrics in the format asked for, and its media type."""
        encode, media_type = choose_encoder(accept)
        registry = self.registry
        directory = os.environ.get(MULTIPROC_DIR)
        if directory:
            registry = CollectorRegistry()
            registry.register(_WorkerFiles(directory))
        return encode(registry), media_type


class _WorkerFiles(Collector):
    """Adds up what the worker processes have written.

    A worker makes its file empty and then gives it a size. The library fails
    on an empty one: for a moment in each new worker, and for good when the
    worker is killed in between.
    """

    def __init__(self, directory: str) -> None:
        self._directory = Path(directory)

    def collect(self) -> Iterable[Metric]:
        files = self._directory.glob('*.db')
        return _merge([str(file) for file in files if _size(file)])


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:  # a worker that ended has been cleaned up
        return 0


def _make_multiprocess_directory() -> None:
    directory = os.environ.get(MULTIPROC_DIR)
    if directory:
        try:
            Path(directory).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            message = f'{MULTIPROC_DIR}: cannot use the directory {directory}'
            raise RuntimeError(message) from error


@functools.cache
def get_metrics() -> Metrics:
    """Return the metrics of this process."""
    return Metrics()
