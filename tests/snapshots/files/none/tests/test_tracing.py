# From laterctl: tracing.
"""A request is one span, without its query; what polls is none."""

import asyncio

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from order_service.core.routing import PROBE_PATHS
from order_service.core.tracing import (
    ENDPOINTS,
    TELEMETRY,
    WithoutQueries,
    trace_ids,
    tracing,
)
from order_service.main import app

PATH = '/no/such/path'

application: FastAPI = app


@pytest.fixture(name='exporter')
def keep_spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Trace for the time of a test, to memory."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(WithoutQueries())
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, 'get_tracer_provider', lambda: provider)
    return exporter


def call(app: FastAPI, path: str) -> None:
    async def run() -> None:
        transport = ASGITransport(app=app, raise_app_exceptions=False)
        async with AsyncClient(
            transport=transport,
            base_url='http://test',
        ) as client:
            await client.get(path)

    asyncio.run(run())


def test_a_request_is_one_span(exporter: InMemorySpanExporter) -> None:
    call(application, f'{PATH}?token=hunter2')

    spans: tuple[ReadableSpan, ...] = exporter.get_finished_spans()
    [span] = [each for each in spans if each.kind is SpanKind.SERVER]
    assert span.attributes is not None
    assert span.attributes['url.path'] == PATH
    assert 'hunter2' not in span.to_json()


def test_its_parts_and_probes_are_none(
    exporter: InMemorySpanExporter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[dict[str, str]] = []
    app = FastAPI(telemetry=TELEMETRY)
    app.add_api_route(PATH, lambda: seen.append(trace_ids()))
    call(app, PATH)
    monkeypatch.setattr(
        'order_service.core.routing.PROBE_PATHS',
        [*PROBE_PATHS, PATH],
    )
    call(app, PATH)

    [span] = exporter.get_finished_spans()
    assert span.context is not None
    assert seen[0]['trace_id'] == trace.format_trace_id(span.context.trace_id)
    assert seen[1:] == [{}]


def test_without_an_endpoint_nothing_is_traced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ENDPOINTS:
        monkeypatch.delenv(name, raising=False)
    before = trace.get_tracer_provider()
    with tracing():
        assert trace.get_tracer_provider() is before
