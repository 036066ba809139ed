"""Acceptance of the feature `logging`, on real servers: L1 to L9 of its specification, line by line."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from laterctl.engine.plan import Request
from tests import memory
from tests.features.observed_app import APP, write_project
from tests.memory import Refusing
from tests.servers import Server, free_port, uvicorn_server

HEADER = "X-Request-ID"
LIBRARIES = ("structlog", "loguru")
LOGGING = Request(add=("logging",), options={"logging": {"config_file": "yes"}})
MAIN = "from fastapi import FastAPI\n\napp = FastAPI()\n"
DEADLINE = 20.0

Event = dict[str, Any]


@pytest.fixture(scope="module", params=LIBRARIES)
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a project that has the feature, once with each library."""
    folder = tmp_path_factory.mktemp(request.param)
    write_project(folder, LOGGING, library=request.param)
    return folder


def events(text: str) -> list[Event]:
    """Read each line as strict JSON, in which there is no NaN."""
    return [json.loads(line, parse_constant=pytest.fail) for line in text.splitlines()]


def until(server: Server, name: str, value: str, count: int = 1) -> list[Event]:
    """Return the events of a request once there are as many as wanted."""
    deadline = time.monotonic() + DEADLINE
    while len(found := [each for each in events(server.output()) if each.get(name) == value]) < count:
        assert time.monotonic() < deadline, server.output()
        time.sleep(0.05)
    return found


def ask_all(url: str) -> None:
    """Ask for every kind of answer."""
    for path, status in {
        "/async": 200,
        "/sync": 200,
        "/stream": 200,
        "/no/such": 404,
        "/number/x": 422,
        "/fail": 500,
        "/odd": 200,
        "/background": 200,
        "/call": 200,
    }.items():
        response = httpx.get(f"{url}{path}?token=hunter2", headers={HEADER: f"ask{path.replace('/', '-')}"})
        assert response.status_code == status


@contextmanager
def gunicorn(folder: Path, workers: int) -> Iterator[tuple[str, Path]]:
    """Run gunicorn with the configuration that the feature writes; give its address and the file it prints to."""
    port = free_port()
    log = folder / "gunicorn.log"
    command = ["-m", "gunicorn", APP, "-k", "uvicorn_worker.UvicornWorker", "-b", f"127.0.0.1:{port}"]
    command += ["--workers", str(workers), "--log-config-json", "log_config.json"]
    with log.open("wb") as sink:
        process = subprocess.Popen([sys.executable, *command], cwd=folder, stdout=sink, stderr=sink)
    try:
        deadline = time.monotonic() + 60
        while log.read_text().count("Application startup complete") < workers:
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}", log
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


def test_l1_each_line_is_strict_json(project: Path) -> None:
    with uvicorn_server(APP, project) as server:
        ask_all(server.url)
        until(server, "event", "in background")
        server.stop()
        found = events(server.output())

    said = [each["event"] for each in found]
    assert {"Application startup complete.", "Finished server process"} <= {event.partition(" [")[0] for event in said}
    assert said.count("in async") == said.count("in sync") == said.count("in background") == 1
    (extra,) = (each for each in found if each["event"] == "args has 2")
    assert (extra["order"], extra["broken"], extra["level"]) == (7, "<Broken>", "info")
    (odd,) = (each for each in found if each["event"] == "odd")
    assert (odd["nan"], odd["keys"], odd["broken"], odd["whole"]) == ("nan", "{(1, 2): 3}", "<Broken>", "[[...]]")
    (warned,) = (each for each in found if each["logger"] == "py.warnings")
    assert "warned\nin two lines" in warned["event"]
    for each in found:
        assert each["timestamp"].endswith("Z")
        assert list(each)[:4] == ["timestamp", "level", "logger", "event"]


@pytest.mark.parametrize(
    ("code", "level"),
    [
        ('raise RuntimeError("first\\nsecond")', "critical"),
        ("asyncio.get_event_loop_policy().new_event_loop().call_exception_handler({'message': 'lost'})", "error"),
    ],
)
def test_l1_nobodys_exceptions_are_one_line(project: Path, code: str, level: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import asyncio\nimport project.main\n{code}"],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )

    (event,) = events(done.stdout)
    assert event["level"] == level
    assert done.stderr == ""


def test_l2_with_workers_and_a_supervisor(project: Path) -> None:
    arguments = ["--log-config", "log_config.json"]
    with uvicorn_server(APP, project, workers=2, arguments=arguments) as server:
        ask_all(server.url)
        until(server, "event", "in background")
        os.kill(server.process.pid, signal.SIGTERM)
        server.process.wait(timeout=30)
        found = events(server.output())

    said = [each["event"] for each in found]
    assert sum(event.startswith("Started parent process") for event in said) == 1
    assert said.count("Application startup complete.") == 2
    assert [each["route"] for each in found if each["logger"] == "access" and each["route"] == "/sync"] == ["/sync"]


def test_l2_gunicorn(project: Path) -> None:
    with gunicorn(project, 2) as (url, log):
        ask_all(url)
    found = events(log.read_text())

    said = [each["event"] for each in found]
    assert any(event.startswith("Starting gunicorn") for event in said)
    assert any(event.startswith("Shutting down") for event in said)
    assert [each["route"] for each in found if each["logger"] == "access" and each["route"] == "/sync"] == ["/sync"]


def test_l3_an_exception_is_one_line_without_variables(project: Path) -> None:
    with uvicorn_server(APP, project) as server:
        httpx.get(f"{server.url}/fail", headers={HEADER: "failing"})
        found = until(server, "request_id", "failing", 2)
        text = server.output()

    (failed,) = (each for each in found if "exception" in each)
    assert failed["exception"] == "RuntimeError"
    assert failed["traceback"].endswith("RuntimeError: first line\nsecond line 13\n")
    assert "in fail" in failed["traceback"]
    assert "planted-local" not in text


def test_l4_the_id_is_the_same_everywhere(project: Path) -> None:
    with uvicorn_server(APP, project) as server:
        ask_all(server.url)
        until(server, "event", "in background")
        async_, sync, background = (
            until(server, "request_id", f"ask-{name}", 2) for name in ("async", "sync", "background")
        )
        failed = until(server, "request_id", "ask-fail", 2)
        bad = httpx.get(f"{server.url}/async", headers={HEADER: '"quoted\t' + "a" * 300}).headers[HEADER]
        until(server, "request_id", bad, 2)

    assert [each["event"] for each in async_] == ["in async", "request"]
    assert [each["event"] for each in sync] == ["in sync", "request"]
    assert {each["event"] for each in background} == {"in background", "request"}
    assert {each["event"].strip() for each in failed} == {"Exception in ASGI application", "request"}
    assert {each["status"] for each in failed if each["logger"] == "access"} == {500}


def test_l4_parallel_requests_never_mix(project: Path) -> None:
    async def ask(url: str) -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            asked = (client.get("/async", headers={HEADER: f"caller-{n}"}) for n in range(50))
            return await asyncio.gather(*asked)

    with uvicorn_server(APP, project) as server:
        asyncio.run(ask(server.url))
        for number in range(50):
            found = until(server, "request_id", f"caller-{number}", 2)
            assert [each["event"] for each in found] == ["in async", "request"]


def test_l5_further_ids_come_from_functions_in_the_open_list(tmp_path: Path) -> None:
    more = "\n\nfrom project.core.logs import CONTEXT\n\nCONTEXT.append(lambda: {'trace_id': 'a' * 32})\n"
    write_project(tmp_path, LOGGING, more=more)
    with uvicorn_server(APP, tmp_path) as server:
        httpx.get(f"{server.url}/sync", headers={HEADER: "traced"})
        found = until(server, "request_id", "traced", 2)

    assert {each["trace_id"] for each in found} == {"a" * 32}


@pytest.mark.parametrize("ws", ["websockets", "websockets-sansio"])
def test_l6_queries_and_secrets_are_nowhere(project: Path, ws: str) -> None:
    with uvicorn_server(APP, project, arguments=["--ws", ws]) as server:
        ask_all(server.url)
        with connect(f"ws{server.url.removeprefix('http')}/socket?token=hunter2") as opened:
            opened.recv(timeout=10)
        (socket,) = until(server, "method", "WEBSOCKET")
        text = server.output()

    assert "hunter2" not in text
    assert (socket["route"], socket["status"]) == ("/socket", 101)


@pytest.mark.parametrize(("level", "said"), [("warning", False), ("INFO", True), ("debug", True)])
def test_l7_the_level_is_honoured(project: Path, level: str, said: bool) -> None:
    with uvicorn_server(APP, project, env={"APP_LOG_LEVEL": level}) as server:
        httpx.get(f"{server.url}/sync")
        httpx.get(f"{server.url}/no/such")
        until(server, "status", 404, 2)  # type: ignore[arg-type]
        found = events(server.output())

    assert any(each["event"] == "in sync" for each in found) is said
    assert any(each["event"] == "Application startup complete." for each in found) is said


@pytest.mark.parametrize(("name", "value"), [("APP_LOG_LEVEL", "LOUD"), ("APP_LOG_FORMAT", "xml")])
def test_l7_a_wrong_setting_stops_the_start_by_name(project: Path, name: str, value: str) -> None:
    done = _import(project, "import project.main", {name: value})

    assert done.returncode == 1
    own = f"\n{name.removeprefix('APP_').lower()}\n  Input should be 'json' or 'console'"  # the project's class says it
    assert done.stderr.splitlines()[-1].startswith(f"ValueError: {name}: ") or own in done.stderr


def test_l7_people_get_text(project: Path) -> None:
    with uvicorn_server(APP, project, env={"APP_LOG_FORMAT": "console"}) as server:
        httpx.get(f"{server.url}/fail")
        deadline = time.monotonic() + DEADLINE
        while "second line 13" not in server.output():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        text = server.output()

    assert " info uvicorn.error Application startup complete. {}" in text
    assert "\nRuntimeError: first line\n" in text
    assert "planted-local" not in text


def test_l8_caplog_works_and_nothing_is_there_twice(project: Path) -> None:
    tests = """
import importlib
import logging

from project import early, main


def test_records(caplog):
    with caplog.at_level(logging.INFO):
        logging.getLogger("mine").info("seen %s", 1)
        early.say("seen 2", order=7)
    CHECK


def test_twice():
    importlib.reload(main)
    importlib.reload(main)
    assert [each.get_name() for each in logging.getLogger().handlers].count("logs") == 1
"""
    structlog = "import structlog" in (project / "project/early.py").read_text()
    check = 'assert caplog.messages == ["seen 1", "seen 2"]' if structlog else 'assert caplog.messages == ["seen 1"]'
    path = project / "tests/test_own.py"
    path.write_text(tests.replace("CHECK", check))
    try:
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-W",
            "error",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:asyncio",
            "tests",
        ]
        done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    finally:
        path.unlink()
    assert done.returncode == 0, done.stdout


def test_l8_handlers_of_others_stay_and_change_no_line(project: Path) -> None:
    code = "import logging\nlogging.basicConfig(level=20)\nimport project.main\nlogging.getLogger('x').info('once')"
    done = _import(project, code)

    assert [[*event] for event in events(done.stdout)] == [["timestamp", "level", "logger", "event"]]
    assert done.stderr == "INFO:x:once\n"


def test_l9_loggers_from_before_write_json_too(project: Path) -> None:
    code = "from project import early\nimport project.main\nearly.say('late', name='taken', message='taken')"
    (event,) = events(_import(project, code).stdout)

    assert (event["event"], event["name"], event["message"]) == ("late", "taken", "taken")


def test_what_an_earlier_request_bound_is_forgotten(tmp_path: Path) -> None:
    write_project(tmp_path, LOGGING)
    code = """
import asyncio
from httpx import ASGITransport, AsyncClient
from structlog.contextvars import bind_contextvars
from project import early
from project.main import app

async def run():
    bind_contextvars(user="ada")
    early.say("before")
    async with AsyncClient(transport=ASGITransport(app=app), base_url="http://test") as client:
        await client.get("/sync")

asyncio.run(run())
"""
    found = events(_import(tmp_path, code).stdout)

    assert [(each["event"], each.get("user")) for each in found] == [
        ("before", "ada"),
        ("in sync", None),
        ("request", None),
    ]


def test_probes_are_not_logged(tmp_path: Path) -> None:
    write_project(tmp_path, Request(add=("logging", "metrics")))
    with uvicorn_server(APP, tmp_path) as server:
        assert httpx.get(f"{server.url}/metrics").status_code == 200
        httpx.get(f"{server.url}/sync", headers={HEADER: "after"})
        until(server, "request_id", "after", 2)
        routes = [each["route"] for each in events(server.output()) if each["logger"] == "access"]

    assert "/sync" in routes
    assert "/metrics" not in routes


def test_an_application_given_to_uvicorn_logs_no_queries_either(tmp_path: Path) -> None:
    port = free_port()
    more = f'\n\nif __name__ == "__main__":\n    import uvicorn\n\n    uvicorn.run(app, port={port})\n'
    write_project(tmp_path, LOGGING, more=more)
    process = subprocess.Popen(
        [sys.executable, "-m", "project.main"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{port}/sync?token=hunter2")
                break
            except httpx.TransportError:
                assert time.monotonic() < deadline
                time.sleep(0.1)
    finally:
        process.send_signal(signal.SIGTERM)
        text, _ = process.communicate(timeout=30)

    assert "hunter2" not in text
    assert [each["route"] for each in events(text[text.index("{") :]) if each["logger"] == "access"] == ["/sync"]


def _import(folder: Path, code: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    "code",
    [
        "import structlog\n\nstructlog.configure()\n",
        "from loguru import logger\n\nlogger.add('x.log')\n",
        "from logging.config import dictConfig\n\ndictConfig({'version': 1})\n",
        "import logging\n\nlogging.basicConfig(level='INFO')\n",
        "from asgi_correlation_id import CorrelationIdMiddleware\n\napp.add_middleware(CorrelationIdMiddleware)\n",
    ],
)
def test_what_is_there_by_hand_is_not_doubled(code: str) -> None:
    files = {"main.py": f"{MAIN}\n\n{code}".encode(), "requirements.txt": b"fastapi\n"}
    with pytest.raises(Refusing) as refused:
        memory.add(files, "logging")

    assert {item.code for item in refused.value.refusals} == {"already-by-hand"}


@pytest.mark.parametrize("path", ["alembic/env.py", "scripts/load.py"])
def test_what_the_application_does_not_import_is_another_thing(path: str) -> None:
    code = "import logging\nfrom logging.config import fileConfig\n\nfileConfig('alembic.ini')\nlogging.basicConfig()\n"
    files = {"main.py": MAIN.encode(), path: code.encode(), "requirements.txt": b"fastapi\n"}

    assert "core/logs.py" in memory.add(files, "logging")
