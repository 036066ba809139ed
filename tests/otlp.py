"""A collector of traces for tests: takes what is sent by OTLP, over HTTP or gRPC, and keeps the spans."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SentSpan

from tests.servers import LOOPBACK

DEADLINE = 20.0


@dataclass(frozen=True)
class Span:
    """A span as it was sent: ids in hexadecimal, `kind` and `status` in words, `text` all there is of it."""

    name: str
    kind: str
    trace: str
    id: str
    parent: str
    status: str
    attributes: dict[str, Any]
    resource: dict[str, Any]
    text: str


@dataclass
class Collector:
    """What arrived so far at `url`."""

    url: str = ""
    spans: list[Span] = field(default_factory=list)
    _arrived: threading.Condition = field(default_factory=threading.Condition)

    def until(self, wanted: Callable[[Span], bool], count: int = 1) -> list[Span]:
        """Return the spans that are wanted, as soon as there are that many."""
        with self._arrived:
            enough = self._arrived.wait_for(lambda: sum(map(wanted, self.spans)) >= count, DEADLINE)
            assert enough, [span.name for span in self.spans]
            return [span for span in self.spans if wanted(span)]

    def take(self, request: ExportTraceServiceRequest) -> None:
        """Keep what a request brings."""
        found = [
            _read(span, _values(group.resource.attributes))
            for group in request.resource_spans
            for scope in group.scope_spans
            for span in scope.spans
        ]
        with self._arrived:
            self.spans += found
            self._arrived.notify_all()


@contextmanager
def http_collector() -> Iterator[Collector]:
    """Run a collector that is spoken to over HTTP."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            assert self.path == "/v1/traces"
            unzipped = gzip.decompress(body) if self.headers["content-encoding"] == "gzip" else body
            collector.take(ExportTraceServiceRequest.FromString(unzipped))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer((LOOPBACK, 0), Handler) as server:
        collector.url = f"http://{LOOPBACK}:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        try:
            yield collector
        finally:
            server.shutdown()


@contextmanager
def grpc_collector() -> Iterator[Collector]:
    """Run a collector that is spoken to over gRPC."""
    collector = Collector()

    class Service(trace_service_pb2_grpc.TraceServiceServicer):
        def Export(self, request: ExportTraceServiceRequest, context: object) -> ExportTraceServiceResponse:  # noqa: N802
            collector.take(request)
            return ExportTraceServiceResponse()

    server = grpc.server(ThreadPoolExecutor(2))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Service(), server)
    collector.url = f"http://{LOOPBACK}:{server.add_insecure_port(f'{LOOPBACK}:0')}"
    server.start()
    try:
        yield collector
    finally:
        server.stop(None)


def _read(span: SentSpan, resource: dict[str, Any]) -> Span:
    kind = SentSpan.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_")
    status = {0: "", 1: "OK", 2: "ERROR"}[span.status.code]
    ids = (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex())
    return Span(span.name, kind, *ids, status, _values(span.attributes), resource, str(span))


def _values(pairs: Sequence[KeyValue]) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
