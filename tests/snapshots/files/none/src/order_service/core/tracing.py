# From laterctl: tracing.
"""Traces: a span for each request and for what it waits for, sent by OTLP.

Nothing is traced without an endpoint: OTEL_EXPORTER_OTLP_ENDPOINT. The other
variables of OpenTelemetry hold too, such as OTEL_SERVICE_NAME, and
OTEL_TRACES_SAMPLER with OTEL_TRACES_SAMPLER_ARG.
"""

import os
import threading
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from typing import Protocol

from fastapi.telemetry import TelemetryConfig
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.instrumentation.redis import RedisInstrumentor
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from order_service.core.routing import is_probe
from order_service.core.tracing_database import DatabaseInstrumentor

SERVICE = 'order_service'
FLUSH_SECONDS = 2.0
ENDPOINTS = (
    'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT',
    'OTEL_EXPORTER_OTLP_ENDPOINT',
)
URLS = {'http.target', 'http.url', 'url.full'}

# What FastAPI does: one span for a request, none for its parts.
TELEMETRY: TelemetryConfig = {
    'auto_configure': False,
    'exclude': is_probe,
    'operation_spans': False,
}


class Instrumentor(Protocol):
    """Has a library open spans of its own."""

    def instrument(
        self,
        *,
        tracer_provider: TracerProvider,
        skip_dep_check: bool,
    ) -> object:
        """Do so from now on."""


# What opens spans when the application waits for databases and others.
INSTRUMENTORS: list[Instrumentor] = [
    DatabaseInstrumentor(),
    HTTPXClientInstrumentor(),
    RedisInstrumentor(),
]


class WithoutQueries(SpanProcessor):
    """Takes queries out of URLs: they hold secrets."""

    def on_start(self, span: Span, *_: object, **__: object) -> None:
        """Look at what a span is opened with."""
        given = dict(span.attributes or {})
        for name in URLS & given.keys():
            span.set_attribute(name, str(given[name]).partition('?')[0])
        if 'url.query' in given:
            span.set_attribute('url.query', '')


@contextmanager
def tracing() -> Generator[None]:
    """Trace while the application runs, and send the last spans at its end."""
    if not _is_wanted():
        yield
        return
    provider = _provider()
    try:
        yield
    finally:
        # Whoever sends does not keep the process from ending.
        sender = threading.Thread(target=provider.force_flush, daemon=True)
        sender.start()
        sender.join(FLUSH_SECONDS)


def trace_ids() -> dict[str, str]:
    """Return the ids of the current span, if there is one."""
    span = trace.get_current_span().get_span_context()
    if not span.is_valid:
        return {}
    return {
        'trace_id': trace.format_trace_id(span.trace_id),
        'span_id': trace.format_span_id(span.span_id),
    }


def _is_wanted() -> bool:
    disabled = os.environ.get('OTEL_SDK_DISABLED', '').lower() == 'true'
    disabled |= os.environ.get('OTEL_TRACES_EXPORTER', '').lower() == 'none'
    return not disabled and any(map(os.environ.get, ENDPOINTS))


@cache
def _provider() -> TracerProvider:
    """Set up what a process can have one of: it stays until its end."""
    named = OTELResourceDetector().detect().attributes
    resource = Resource.create({'service.name': SERVICE, **named})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(WithoutQueries())
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    for each in INSTRUMENTORS:
        # What a library is tried with is no reason to leave it out.
        each.instrument(tracer_provider=provider, skip_dep_check=True)
    return provider
