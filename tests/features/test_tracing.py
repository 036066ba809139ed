"""Acceptance of the feature `tracing`, on real servers and collectors: O1 to O12 of its specification."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from laterctl.engine.plan import Request
from tests import memory
from tests.memory import Refusing
from tests.otlp import Collector, grpc_collector, http_collector
from tests.servers import LOOPBACK, Server, free_port, uvicorn_server

APP = "shop.main:app"
ITEM = "GET /api/items/{item_id}"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = "00f067aa0ba902b7"
PYPROJECT = """\
[project]
name = "shop"
version = "1"
requires-python = ">=3.11"
dependencies = ["fastapi>=0.142", "httpx>=0.27", "sqlalchemy[asyncio]>=2", "aiosqlite", "uvicorn"]

[dependency-groups]
dev = ["pytest>=8"]
"""
DATABASE = """\
from sqlalchemy.ext.asyncio import create_async_engine

engine = create_async_engine("sqlite+aiosqlite://")
"""
MAIN = '''\
"""The application: items of a database, and calls of other servers."""

import httpx
from fastapi import APIRouter, FastAPI, HTTPException, Request
from sqlalchemy import text

from shop.database import engine

api = APIRouter(prefix="/api")
items = APIRouter(prefix="/items")
app = FastAPI()


@items.get("/{item_id}")
async def item(item_id: str) -> str:
    async with engine.connect() as connection:
        found = await connection.execute(text("SELECT :item_id"), {"item_id": item_id})
        return str(found.scalar())


@app.get("/headers")
async def headers(request: Request) -> dict[str, str]:
    return dict(request.headers)


@app.get("/call")
async def call(request: Request) -> dict[str, str]:
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.get(str(request.base_url.replace(path="/headers", query="key=hunter2")))).json()


@app.get("/fail")
async def fail() -> None:
    raise RuntimeError("failed")


@app.get("/missing")
async def missing() -> None:
    raise HTTPException(404)


api.include_router(items)
app.include_router(api)
'''
FEATURES = ("tracing", "logging", "metrics", "health")
ONCE = """\
import asyncio
import threading

import httpx
from shop.main import app


async def run() -> None:
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            print((await client.get("/api/items/1")).json())
            await client.get("/fail")
        print(*(thread.name for thread in threading.enumerate()))


asyncio.run(run())
"""
"""A process that starts the application, asks it, and says which threads it has."""


def files(main: str = MAIN, pyproject: str = PYPROJECT) -> dict[str, bytes]:
    """Return the project as its owner has it."""
    found = {"pyproject.toml": pyproject, "shop/__init__.py": "", "shop/main.py": main, "shop/database.py": DATABASE}
    return {path: text.encode() for path, text in found.items()}


def written(folder: Path, request: Request) -> Path:
    """Write the project with what a request adds."""
    for path, data in memory.run(files(), request).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("project"), Request(add=FEATURES))


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with http_collector() as found:
        yield found


@pytest.fixture(scope="module")
def server(project: Path, collector: Collector) -> Iterator[Server]:
    """A server that sends what it has ten times a second."""
    environment = {"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip", "OTEL_BSP_SCHEDULE_DELAY": "100"}
    with uvicorn_server(APP, project, to(collector.url) | environment) as found:
        yield found


def to(url: str) -> dict[str, str]:
    """Return the environment of a process that traces."""
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": url}


def run_once(folder: Path, environment: Mapping[str, str]) -> list[str]:
    """Run `ONCE`; return what it printed, of which nothing may be noise."""
    command = [sys.executable, "-W", "error", "-c", ONCE]
    done = subprocess.run(
        command, cwd=folder, env=os.environ | environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def stopped(server: Server) -> float:
    """Ask the process to stop as an orchestrator does; return how long it took."""
    began = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(timeout=30) in {-signal.SIGTERM, 0}
    return time.monotonic() - began


def lines(server: Server) -> list[dict[str, Any]]:
    return [json.loads(line) for line in server.output().splitlines()]


def named(name: str) -> Any:
    return lambda span: span.name == name


def parent_id(trace: str = TRACE, flags: str = "01") -> str:
    return f"00-{trace}-{CALLER}-{flags}"


def test_o1_a_request_and_its_statement_are_one_trace(server: Server, collector: Collector) -> None:
    assert httpx.get(f"{server.url}/api/items/o1").json() == "o1"

    (span,) = collector.until(lambda span: span.name == ITEM and span.attributes["url.path"].endswith("/o1"))
    (statement,) = collector.until(lambda each: each.parent == span.id and "SELECT" in str(each.attributes))
    assert (span.kind, span.parent, span.resource["service.name"]) == ("SERVER", "", "shop")
    assert (span.attributes["http.route"], span.attributes["http.response.status_code"]) == (ITEM.split()[1], 200)
    assert (statement.kind, statement.trace) == ("CLIENT", span.trace)


def test_o1_a_call_of_another_server_is_the_same_trace(server: Server, collector: Collector) -> None:
    others = {span.id for span in collector.spans}
    httpx.get(f"{server.url}/call")

    (outer,) = collector.until(lambda span: span.name == "GET /call" and span.id not in others)
    (client,) = collector.until(lambda span: span.parent == outer.id)
    (inner,) = collector.until(lambda span: span.parent == client.id)
    assert [span.kind for span in (outer, client, inner)] == ["SERVER", "CLIENT", "SERVER"]
    assert inner.name == "GET /headers"
    assert len({span.trace for span in (outer, client, inner)}) == 1


@pytest.mark.parametrize("workers", [1, 4])
def test_o2_what_was_traced_last_is_sent_at_the_stop(project: Path, workers: int) -> None:
    with http_collector() as late:
        environment = to(late.url) | {"OTEL_BSP_SCHEDULE_DELAY": "600000"}
        with uvicorn_server(APP, project, environment, workers) as server:
            for number in range(8):
                httpx.get(f"{server.url}/api/items/{number}")
            stopped(server)

        spans = late.until(named(ITEM), 8)
        assert sorted(span.attributes["url.path"][-1] for span in spans) == list("01234567")


@pytest.mark.parametrize("listening", [False, True])
def test_o3_a_collector_that_is_down_or_silent_holds_nothing_up(project: Path, listening: bool) -> None:
    with socket.socket() as hole:
        hole.bind((LOOPBACK, 0))
        if listening:
            hole.listen()
        environment = to(f"http://{LOOPBACK}:{hole.getsockname()[1]}") | {"OTEL_BSP_SCHEDULE_DELAY": "50"}
        with uvicorn_server(APP, project, environment) as server:
            began = time.monotonic()
            with httpx.Client(base_url=server.url) as client:
                for _ in range(20):
                    assert client.get("/api/items/1").status_code == 200
            assert time.monotonic() - began < 5
            assert stopped(server) < 5  # two seconds for the collector; without a bound it would be six or ten


def test_o4_probes_are_no_spans(server: Server, collector: Collector) -> None:
    for path in ("/health/live", "/health/ready", "/metrics"):
        assert httpx.get(f"{server.url}{path}").status_code == 200
    httpx.get(f"{server.url}/headers", headers={"traceparent": parent_id("4" * 32)})

    collector.until(lambda span: span.trace == "4" * 32)
    assert [
        span for span in collector.spans if span.attributes.get("url.path", "").startswith(("/health", "/met"))
    ] == []


def test_o5_failures_are_told_from_refusals(server: Server, collector: Collector) -> None:
    assert httpx.get(f"{server.url}/fail").status_code == 500
    assert httpx.get(f"{server.url}/missing").status_code == 404

    (failed,) = collector.until(named("GET /fail"))
    (missing,) = collector.until(named("GET /missing"))
    assert (failed.status, failed.attributes["error.type"]) == ("ERROR", "500")  # as the error boundary answers
    assert (missing.status, missing.attributes["http.response.status_code"]) == ("", 404)


def test_o6_a_request_is_one_server_span_and_nothing_else(server: Server, collector: Collector) -> None:
    httpx.get(f"{server.url}/headers", headers={"traceparent": parent_id("6" * 32)})
    httpx.get(f"{server.url}/headers", headers={"traceparent": parent_id("66" + "0" * 30)})

    collector.until(lambda span: span.trace.startswith("660"))
    assert [span.kind for span in collector.spans if span.trace == "6" * 32] == ["SERVER"]


def test_o7_the_callers_trace_goes_on(server: Server, collector: Collector) -> None:
    given = {"traceparent": parent_id(), "tracestate": "vendor=1", "baggage": "tenant=7"}
    passed = httpx.get(f"{server.url}/call", headers=given).json()

    (outer,) = collector.until(lambda span: span.trace == TRACE and span.name == "GET /call")
    assert outer.parent == CALLER
    assert passed["traceparent"].split("-")[1::2] == [TRACE, "01"]
    assert (passed["tracestate"], passed["baggage"]) == ("vendor=1", "tenant=7")


def test_o7_what_is_no_trace_or_not_to_be_kept(server: Server, collector: Collector) -> None:
    malformed = httpx.get(f"{server.url}/call", headers={"traceparent": "00-nonsense"}).json()
    unsampled = httpx.get(f"{server.url}/call", headers={"traceparent": parent_id("7" * 32, "00")}).json()
    httpx.get(f"{server.url}/headers", headers={"traceparent": parent_id("77" + "0" * 30)})

    collector.until(lambda span: span.trace.startswith("770"))
    assert len(collector.until(lambda span: span.trace == malformed["traceparent"].split("-")[1], 3)) == 3
    assert unsampled["traceparent"].split("-")[1::2] == ["7" * 32, "00"]
    assert [span for span in collector.spans if span.trace == "7" * 32] == []


@pytest.mark.parametrize("more", [{}, {"OTEL_SDK_DISABLED": "true"}])
def test_o8_without_an_endpoint_there_is_nothing(project: Path, more: dict[str, str]) -> None:
    environment = to(f"http://{LOOPBACK}:{free_port()}") | more if more else {}

    access, answer, *_, threads = run_once(project, environment)
    assert (answer, json.loads(access).get("trace_id")) == ("1", None)
    assert "Otel" not in threads


def test_o10_what_is_not_sampled_has_its_ids_in_the_log(project: Path, collector: Collector) -> None:
    sampler = {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.0"}

    access, *_ = run_once(project, to(collector.url) | sampler | {"OTEL_SERVICE_NAME": "unsampled"})
    assert len(json.loads(access)["trace_id"]) == 32
    assert [span for span in collector.spans if span.resource["service.name"] == "unsampled"] == []


def test_o11_and_l5_log_lines_name_the_span(server: Server, collector: Collector) -> None:
    httpx.get(f"{server.url}/api/items/o11")

    (span,) = collector.until(lambda span: span.name == ITEM and span.attributes["url.path"].endswith("/o11"))
    found = [line for line in lines(server) if line.get("trace_id") == span.trace]
    assert [(line["event"], line["span_id"], line["route"]) for line in found] == [
        ("request", span.id, ITEM.split()[1])
    ]
    assert all("trace_id" not in line for line in lines(server) if line["logger"].startswith("uvicorn"))


def test_o12_no_span_holds_a_secret(server: Server, collector: Collector) -> None:
    headers = {"authorization": "Bearer hunter2", "cookie": "session=hunter2", "traceparent": parent_id("12" * 16)}
    httpx.get(f"{server.url}/call?token=hunter2", headers=headers)
    httpx.get(f"{server.url}/api/items/secret?token=hunter2", headers=headers)

    spans = collector.until(lambda span: span.trace == "12" * 16, 5)
    assert {span.attributes["url.query"] for span in spans if "url.query" in span.attributes} == {""}
    assert [span.text for span in spans if "hunter2" in span.text] == []
    statements = [span.text for span in spans if "SELECT" in span.text]
    assert statements
    assert not any("secret" in text for text in statements)


def test_measurements_name_a_trace_as_an_example(server: Server, collector: Collector) -> None:
    httpx.get(f"{server.url}/headers", headers={"traceparent": parent_id("e" * 32)})

    text = httpx.get(f"{server.url}/metrics", headers={"accept": "application/openmetrics-text"}).text
    assert f'trace_id="{"e" * 32}"' in text


def test_over_grpc_under_the_name_that_the_environment_gives(tmp_path: Path) -> None:
    written(tmp_path, Request(add=("tracing",), options={"tracing": {"protocol": "grpc"}}))
    with grpc_collector() as late:
        run_once(tmp_path, to(late.url) | {"OTEL_RESOURCE_ATTRIBUTES": "service.name=desk,service.version=2"})

        *_, failed = late.until(lambda span: span.kind == "SERVER", 2)
    assert {span.kind for span in late.spans} == {"SERVER", "CLIENT"}
    assert (failed.resource["service.name"], failed.resource["service.version"]) == ("desk", "2")
    assert (failed.status, failed.attributes["error.type"]) == ("ERROR", "RuntimeError")  # where nothing answers it


def test_clients_are_traced_that_are_there() -> None:
    bare = files(pyproject=PYPROJECT.replace('"httpx>=0.27", ', ""))
    alone = memory.add(bare, "tracing")
    with_clients = memory.add(bare, "tracing", "resources")

    assert b"INSTRUMENTORS: list[Instrumentor] = [DatabaseInstrumentor()]" in alone["shop/core/tracing.py"]
    for name in (b"HTTPX2ClientInstrumentor", b"RedisInstrumentor"):
        assert name in with_clients["shop/core/tracing.py"]
    assert memory.remove(with_clients, "resources") == alone
    assert b"HTTPXClientInstrumentor" in memory.add(files(), "tracing")["shop/core/tracing.py"]


def test_an_application_that_is_given_telemetry_is_left_alone() -> None:
    with pytest.raises(Refusing, match="already-by-hand"):
        memory.add(files(MAIN.replace("FastAPI()", 'FastAPI(telemetry={"logs": False})')), "tracing")


@pytest.mark.parametrize("path", ["Dockerfile", "Procfile", "compose.yaml"])
def test_an_application_that_an_agent_traces_is_left_alone(path: str) -> None:
    command = b"opentelemetry-instrument uvicorn shop.main:app\n"
    before = {"Dockerfile": b"CMD ", "Procfile": b"web: ", "compose.yaml": b"services:\n  web:\n    command: "}[path]
    with pytest.raises(Refusing, match="already-by-hand") as refusing:
        memory.add(files() | {path: before + command}, "tracing")
    assert [item.place and item.place.path for item in refusing.value.refusals] == [path]
    assert memory.add(files() | {path: before + command.partition(b" ")[2]}, "tracing")


def test_an_application_whose_arguments_are_elsewhere_is_traced_and_that_is_said() -> None:
    main = MAIN.replace("app = FastAPI()", 'OPTIONS = {"title": "Shop"}\napp = FastAPI(**OPTIONS)')
    plan = memory.planned(files(main), Request(add=("tracing",)))

    assert not plan.refusals
    assert any("telemetry=TELEMETRY" in note.message and note.level == "warning" for note in plan.notes)


def test_a_fastapi_without_telemetry_is_refused() -> None:
    with pytest.raises(Refusing, match="below-floor"):
        memory.add(files(pyproject=PYPROJECT.replace("fastapi>=0.142", "fastapi<0.142")), "tracing")
