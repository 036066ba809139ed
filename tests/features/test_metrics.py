"""Acceptance of the feature `metrics`, on real servers: M1 to M9 of its specification."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from websockets.sync.client import connect

from tests.features.metrics_app import FORMS, write_project
from tests.servers import Server, uvicorn_server, worker_processes

APP = "project.main:app"
REQUESTS = "http_server_requests_total"
SECONDS = "http_server_request_duration_seconds"
IN_PROGRESS = "http_server_requests_in_progress"
OPENMETRICS = {"accept": "application/openmetrics-text; version=1.0.0"}
DEADLINE = 20.0
"""Seconds in which a count that a server makes after its response has to appear."""

WEB = httpx.Client(timeout=30, limits=httpx.Limits(max_keepalive_connections=0))
"""Opens a connection for each request, so that any worker may answer."""

parse_openmetrics: Callable[[str], Iterable[Metric]] = openmetrics.text_string_to_metric_families


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a project that has the feature."""
    folder = tmp_path_factory.mktemp("project")
    write_project(folder, "functions")
    return folder


@pytest.fixture(scope="module")
def server(project: Path) -> Iterator[Server]:
    """The project's server, with the HTTP parser that lets any method pass."""
    with uvicorn_server(APP, project, arguments=["--http", "h11"]) as running:
        yield running


def scrape(server: Server) -> str:
    """Read `/metrics`."""
    response = WEB.get(f"{server.url}/metrics")
    assert response.status_code == 200
    return response.text


def samples(text: str, name: str) -> list[Sample]:
    """Return the samples of one name."""
    families = text_string_to_metric_families(text)
    return [sample for family in families for sample in family.samples if sample.name == name]


def counts(text: str) -> dict[tuple[str, str, str], float]:
    """Return how often each method, route and status was counted, without the server's readiness checks on `/`."""
    labels = ("method", "route", "status")
    found = {tuple(sample.labels[label] for label in labels): sample.value for sample in samples(text, REQUESTS)}
    return {(method, route, status): value for (method, route, status), value in found.items() if route != "/"}


def total(text: str, route: str) -> float:
    """Return the number of requests counted under a route."""
    return sum(value for (_, counted, _), value in counts(text).items() if counted == route)


def value(text: str, series: str, /, **labels: str) -> float:
    """Return the one sample of this name and these labels."""
    (found,) = [sample.value for sample in samples(text, series) if labels.items() <= sample.labels.items()]
    return found


def until(server: Server, settled: Callable[[str], bool]) -> str:
    """Scrape until the text is as wanted; fail with the text when it does not come to that."""
    deadline = time.monotonic() + DEADLINE
    while not settled(text := scrape(server)):
        assert time.monotonic() < deadline, text
        time.sleep(0.1)
    return text


def test_m1_series_are_bounded(project: Path) -> None:
    def scan(server: Server, numbers: range) -> list[tuple[str, str]]:
        with httpx.Client(base_url=server.url, timeout=30) as client:
            for number in numbers:
                assert client.get(f"/api/items/{number}").status_code == 200
                assert client.get(f"/{number}/wp-admin.php").status_code == 404
                if number % 20 == 0:
                    assert client.request(f"SCAN{number}", f"/api/items/{number}").status_code == 405
        families = text_string_to_metric_families(scrape(server))
        return sorted((sample.name, str(sample.labels)) for family in families for sample in family.samples)

    with uvicorn_server(APP, project, arguments=["--http", "h11"]) as server:
        first = scan(server, range(1000))
        assert len(first) < 200
        assert scan(server, range(1000, 1200)) == first
        assert total(scrape(server), "/api/items/{item_id}") == 1200 + 60


def test_m2_labels_are_exact(server: Server) -> None:
    preflight = {"origin": "https://a.example", "access-control-request-method": "GET"}
    with httpx.Client(base_url=server.url, timeout=30) as client:
        before = counts(scrape(server))
        answers = [
            client.get("/api/items/7"),
            client.get("/shop/orders/7"),
            client.get("/no/such/thing"),
            client.get("/shop/no/such/thing"),
            client.post("/api/items/7"),
            client.get("/api/items/seven"),
            client.options("/api/items/7", headers=preflight),
            client.get("/fail"),
        ]
    with connect(f"ws{server.url.removeprefix('http')}/echo") as echo:
        echo.send("hello")
        assert echo.recv(timeout=10) == "hello"
    assert [answer.status_code for answer in answers] == [200, 200, 404, 404, 405, 422, 200, 500]
    after = counts(scrape(server))
    grown = {key: after[key] - before.get(key, 0) for key in after if after[key] != before.get(key, 0)}
    assert grown == {
        ("GET", "/api/items/{item_id}", "200"): 1,
        ("GET", "/shop/orders/{order_id}", "200"): 1,
        ("GET", "<unmatched>", "404"): 2,
        ("POST", "/api/items/{item_id}", "405"): 1,
        ("GET", "/api/items/{item_id}", "422"): 1,
        ("GET", "/fail", "500"): 1,
        ("OPTIONS", "/api/items/{item_id}", "200"): 1,
    }


def test_m3_both_formats_parse_and_carry_a_version(server: Server) -> None:
    before = total(scrape(server), "/api/items/{item_id}")
    WEB.get(f"{server.url}/api/items/7")
    plain = WEB.get(f"{server.url}/metrics")
    assert plain.headers["content-type"].startswith("text/plain; version=")
    assert total(plain.text, "/api/items/{item_id}") == before + 1
    assert value(plain.text, "app_info", name="shop", version="1.2.3") == 1
    modern = WEB.get(f"{server.url}/metrics", headers=OPENMETRICS)
    assert modern.headers["content-type"].startswith("application/openmetrics-text; version=")
    assert modern.text.endswith("# EOF\n")
    kinds = {family.name: family.type for family in parse_openmetrics(modern.text)}
    assert kinds["http_server_requests"] == "counter"
    assert kinds[SECONDS] == "histogram"
    assert kinds[IN_PROGRESS] == "gauge"


def test_m4_duration_reaches_to_the_last_byte(server: Server) -> None:
    assert WEB.get(f"{server.url}/stream").text == "firstlast"
    text = until(server, lambda text: total(text, "/stream") == 1)
    assert value(text, f"{SECONDS}_sum", route="/stream") >= 1.0
    assert value(text, f"{SECONDS}_bucket", route="/stream", le="0.5") == 0


@pytest.mark.parametrize("path", ["/endless", "/patient", "/slow"])
def test_m5_a_client_that_leaves_is_counted_once(server: Server, path: str) -> None:
    where = urlsplit(server.url)
    assert where.hostname is not None
    assert where.port is not None
    with socket.create_connection((where.hostname, where.port), timeout=10) as leaver:
        leaver.sendall(f"GET {path} HTTP/1.1\r\nhost: test\r\n\r\n".encode())
        until(server, lambda text: value(text, IN_PROGRESS) == 1)
        assert total(scrape(server), path) == 0
    text = until(server, lambda text: value(text, IN_PROGRESS) == 0)
    assert {key: number for key, number in counts(text).items() if key[1] == path} == {("GET", path, "499"): 1}
    assert value(text, f"{SECONDS}_count", route=path) == 1


def test_who_stays_is_not_counted_as_gone(server: Server) -> None:
    before = counts(scrape(server)).get(("GET", "/slow", "200"), 0)
    assert WEB.get(f"{server.url}/slow?seconds=0.1").status_code == 200
    assert counts(scrape(server))["GET", "/slow", "200"] == before + 1


def test_the_duration_ends_with_the_answer_and_not_with_its_background_task(server: Server) -> None:
    assert WEB.get(f"{server.url}/later").json() == "done"
    text = until(server, lambda text: total(text, "/later") == 1)
    assert counts(text)["GET", "/later", "200"] == 1
    assert value(text, f"{SECONDS}_sum", route="/later") < 0.9


def test_metrics_of_the_users_own_are_shown(server: Server) -> None:
    assert WEB.get(f"{server.url}/order").status_code == 200
    text = scrape(server)
    assert value(text, "orders_total", channel="web") == 1
    assert "process_cpu_seconds_total" in text


def test_m6_workers_share_their_counts(project: Path, tmp_path: Path) -> None:
    route = "/api/items/{item_id}"

    # The folder does not exist yet: it is made, not missed.
    first = tmp_path / "first" / "run"
    with uvicorn_server(APP, project, env={"PROMETHEUS_MULTIPROC_DIR": str(first)}, workers=3) as server:
        workers = _workers(server)
        for number in range(300):
            assert WEB.get(f"{server.url}/api/items/{number}").status_code == 200
        until(server, lambda text: total(text, route) == 300)
        assert {total(scrape(server), route) for _ in range(20)} == {300}
        for _ in range(10):
            WEB.get(f"{server.url}/order")
        assert {value(scrape(server), "orders_total", channel="web") for _ in range(10)} == {10}
        assert len(list(first.glob("counter_*.db"))) >= 2
        os.kill(workers[0], signal.SIGKILL)
        assert {total(scrape(server), route) for _ in range(20)} == {300}
        for number in range(30):
            assert WEB.get(f"{server.url}/api/items/{number}").status_code == 200
        until(server, lambda text: total(text, route) == 330)
        deadline = time.monotonic() + DEADLINE
        while server.output().count("Application startup complete.") < 4:
            assert time.monotonic() < deadline, "no worker takes the place of the one that was killed"
            time.sleep(0.05)
        assert workers[0] not in _workers(server)
        assert {total(scrape(server), route) for _ in range(20)} == {330}
    second = tmp_path / "second"
    with uvicorn_server(APP, project, env={"PROMETHEUS_MULTIPROC_DIR": str(second)}, workers=3) as server:
        assert total(scrape(server), route) == 0
        WEB.get(f"{server.url}/api/items/1")
        until(server, lambda text: total(text, route) == 1)


def test_m6_a_worker_killed_while_it_makes_its_file_breaks_no_scrape(project: Path, tmp_path: Path) -> None:
    # The library creates the file empty and sizes it afterwards; a new worker is in between for a moment, too.
    with uvicorn_server(APP, project, env={"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "run")}) as server:
        WEB.get(f"{server.url}/api/items/1")
        until(server, lambda text: total(text, "/api/items/{item_id}") == 1)
        for kind in ("counter", "histogram", "gauge_livesum"):
            (tmp_path / "run" / f"{kind}_999999999.db").touch()
        assert total(scrape(server), "/api/items/{item_id}") == 1


def _workers(server: Server) -> list[int]:
    return worker_processes(lambda: int(WEB.get(f"{server.url}/pid").text), 3)


def test_m7_an_exemplar_names_the_trace(project: Path) -> None:
    (project / "traced.py").write_text(
        '''\
"""The application inside of a trace."""

from opentelemetry import trace
from project.main import app as inner

FLAGS = {b"kept": trace.TraceFlags.SAMPLED, b"dropped": trace.TraceFlags.DEFAULT}


async def app(scope, receive, send):
    flag = FLAGS.get(dict(scope.get("headers", [])).get(b"x-trace"))
    if flag is None:
        await inner(scope, receive, send)
        return
    context = trace.SpanContext(0xABC, 0xDEF, is_remote=False, trace_flags=trace.TraceFlags(flag))
    with trace.use_span(trace.NonRecordingSpan(context)):
        await inner(scope, receive, send)
'''
    )
    with uvicorn_server("traced:app", project) as server:

        def exemplars() -> list[dict[str, str]]:
            text = WEB.get(f"{server.url}/metrics", headers=OPENMETRICS).text
            every = [sample for family in parse_openmetrics(text) for sample in family.samples]
            return [sample.exemplar.labels for sample in every if sample.exemplar and sample.name == REQUESTS]

        WEB.get(f"{server.url}/api/items/7")
        WEB.get(f"{server.url}/api/items/7", headers={"x-trace": "dropped"})
        assert exemplars() == []
        WEB.get(f"{server.url}/api/items/7", headers={"x-trace": "kept"})
        assert exemplars() == [{"trace_id": f"{0xABC:032x}", "span_id": f"{0xDEF:016x}"}]


def test_m8_scrapes_are_not_counted(server: Server) -> None:
    before = counts(scrape(server))
    for _ in range(5):
        scrape(server)
    assert counts(scrape(server)) == before
    assert not any(route == "/metrics" for _, route, _ in before)


@pytest.mark.parametrize("form", FORMS)
def test_m9_a_token_closes_the_endpoint(tmp_path: Path, form: str) -> None:
    write_project(tmp_path, form)
    with uvicorn_server(APP, tmp_path, env={"APP_METRICS_TOKEN": "open-sesame"}) as server:
        with httpx.Client(base_url=server.url, timeout=30) as client:
            refused = client.get("/metrics")
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"] == "Bearer"
            for wrong in ("Bearer open", "Basic open-sesame", "open-sesame", "Bearer"):
                assert client.get("/metrics", headers={"authorization": wrong}).status_code == 401
            allowed = client.get("/metrics", headers={"authorization": "Bearer open-sesame"})
            assert allowed.status_code == 200
            assert "open-sesame" not in allowed.text
        assert "open-sesame" not in server.output()


def test_without_a_token_it_is_open_and_out_of_the_schema(server: Server) -> None:
    assert "/metrics" not in WEB.get(f"{server.url}/openapi.json").json()["paths"]
    assert REQUESTS in scrape(server)


def test_a_wrong_directory_stops_the_start_and_is_named(project: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "file"
    wrong.write_text("not a directory")
    finished = subprocess.run(
        [sys.executable, "-m", "uvicorn", APP, "--port", "0"],
        cwd=project,
        env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(wrong)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert finished.returncode != 0
    assert finished.stderr.rstrip().endswith(f"File exists: '{wrong}'")


def test_a_second_import_does_not_register_twice(project: Path) -> None:
    script = """
import importlib, sys
from project.core import metrics
importlib.reload(metrics)
del sys.modules["project.core.metrics"]
importlib.import_module("project.core.metrics").REQUESTS.labels("GET", "/", "200").inc()
assert b'route="/",status="200"} 1.0' in sys.modules["project.core.metrics"].scrape("")[0]
"""
    subprocess.run([sys.executable, "-W", "error", "-c", script], cwd=project, check=True, timeout=60)


@pytest.mark.parametrize(("form", "http_client"), [(FORMS[0], "httpx"), (FORMS[1], "httpx2")])
def test_the_dropped_test_passes(tmp_path: Path, form: str, http_client: str) -> None:
    write_project(tmp_path, form, http_client=http_client)
    options = ["-W", "error", "-p", "no:cacheprovider", "-o", "asyncio_default_fixture_loop_scope=function"]
    finished = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *options, "tests"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
