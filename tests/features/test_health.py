"""The `health` feature: its acceptance list, over HTTP, with servers that are there, stall and are gone."""

from __future__ import annotations

import asyncio
import importlib.util
import selectors
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from laterctl.engine.plan import Request
from tests import memory
from tests.features.ops_app import ASYNC, TOKEN, made, write
from tests.features.resources_app import imported
from tests.servers import free_port, missing, redis_server, uvicorn_server
from tests.shapes import shape_named
from tests.test_laws import project_files

FLAT = {"main.py": b"from fastapi import FastAPI\n\napp = FastAPI()\n", "requirements.txt": b"fastapi>=0.115\n"}
LIVE, READY = "/health/live", "/health/ready"
PASSWORD = "hush"
HANGING = """\
import time

from sqlalchemy import create_engine

opened = []


def hang():
    opened.append(1)
    time.sleep(0.5)
    raise OSError("nobody there")


engine = create_engine("sqlite://", creator=hang)
"""


class Silent:
    """A listener that accepts on `port` and never answers; `accepted` counts who came."""

    def __init__(self, listener: socket.socket) -> None:
        self.port: int = listener.getsockname()[1]
        self.accepted = 0


@contextmanager
def silent() -> Iterator[Silent]:
    """Listen on a loopback port."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener, selectors.DefaultSelector() as selector:
        found = Silent(listener)
        selector.register(listener, selectors.EVENT_READ)
        kept = []

        def accept() -> None:
            while not stop.is_set():
                if selector.select(timeout=0.05):
                    kept.append(listener.accept()[0])
                    found.accepted += 1

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield found
        finally:
            stop.set()
            thread.join()
            for connection in kept:
                connection.close()


def database_url(port: int) -> str:
    """Return the URL of a PostgreSQL server on a loopback port."""
    if importlib.util.find_spec("asyncpg") is None:
        missing("asyncpg is not installed")
    return f"postgresql+asyncpg://user:{PASSWORD}@127.0.0.1:{port}/db"


def redis_url(port: int) -> str:
    return f"redis://:{PASSWORD}@127.0.0.1:{port}/0"


def statuses(response: httpx.Response) -> dict[str, str]:
    return {name: check["status"] for name, check in response.json()["checks"].items()}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a database and Redis."""
    folder = tmp_path_factory.mktemp("project")
    write(folder, made("resources", "health", more={"depot/db.py": ASYNC}))
    return folder


@contextmanager
def loaded(folder: Path, **environment: str) -> Iterator[ModuleType]:
    """Import the application of a project."""
    with imported(folder, "main", environment) as main:
        yield main


def module(name: str) -> Any:
    return sys.modules[f"depot.{name}"]


def asked(main: ModuleType, *paths: str) -> list[httpx.Response]:
    """Return the answers to requests, one after the other."""

    async def run() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=main.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return [await client.get(path) for path in paths]

    return asyncio.run(run())


@pytest.mark.parametrize("workers", [1, 2])
def test_h1_h2_nothing_that_stalls_keeps_an_answer_back(project: Path, workers: int) -> None:
    """H1: alive at once, without a connection; H2: 503 in time, with the names of both; then a stop is quick."""
    with silent() as database, silent() as redis:
        environment = {"DB_URL": database_url(database.port), "REDIS_URL": redis_url(redis.port)}
        with (
            uvicorn_server("depot.main:app", project, environment, workers) as server,
            httpx.Client(base_url=server.url) as client,
        ):
            began = time.perf_counter()
            for _ in range(20):
                alive = client.get(LIVE)
                assert (alive.status_code, alive.json()) == (200, {"status": "alive"})
                assert alive.headers["cache-control"] == "no-store"
            assert time.perf_counter() - began < 0.5, "half of what one of the two would cost"
            assert (database.accepted, redis.accepted) == (0, 0)

            began = time.perf_counter()
            found = client.get(READY)
            spent = time.perf_counter() - began
            assert (found.status_code, found.json()["status"]) == (503, "not_ready")
            assert statuses(found) == {"database": "timeout", "redis": "timeout"}
            assert 0.9 < spent < 1.5
            assert found.headers["cache-control"] == "no-store"
            assert client.get("/slow").status_code == 401, "what is no probe still wants a token"
            assert client.head(LIVE).status_code == 200

            server.process.send_signal(signal.SIGTERM)
            began = time.perf_counter()
            server.process.wait(timeout=10)
            assert time.perf_counter() - began < 2 + workers


def test_h3_a_storm_of_probes_is_one_probe_for_each_dependency(project: Path) -> None:
    with silent() as database, silent() as redis:
        environment = {
            "DB_URL": database_url(database.port),
            "REDIS_URL": redis_url(redis.port),
            "HEALTH_TIMEOUT_SECONDS": "0.5",
            "HEALTH_CACHE_SECONDS": "60",
        }
        with uvicorn_server("depot.main:app", project, environment) as server:

            async def storm() -> list[int]:
                limits = httpx.Limits(max_connections=None)
                async with httpx.AsyncClient(limits=limits, timeout=20) as client:
                    answers = await asyncio.gather(*(client.get(server.url + READY) for _ in range(100)))
                return [answer.status_code for answer in answers]

            for _ in range(2):
                assert asyncio.run(storm()) == [503] * 100
            assert (database.accepted, redis.accepted) == (1, 1)


def test_h4_what_is_not_critical_is_shown(project: Path) -> None:
    with loaded(project, DB_URL="sqlite+aiosqlite://") as main:
        health = module("core.health")

        async def fail() -> None:
            raise RuntimeError

        health.CHECKS.append(health.Check("search", fail, critical=False))
        (found,) = asked(main, READY)
        assert (found.status_code, found.json()["status"]) == (200, "ready")
        assert statuses(found) == {"database": "pass", "redis": "pass", "search": "fail"}


def test_h5_it_is_ready_again_without_a_restart(project: Path) -> None:
    with redis_server() as redis:
        environment = {"DB_URL": "sqlite+aiosqlite://", "REDIS_URL": redis.url, "HEALTH_CACHE_SECONDS": "0.1"}
        with uvicorn_server("depot.main:app", project, environment) as server:

            def becomes(status: str) -> bool:
                deadline = time.monotonic() + 10
                while statuses(httpx.get(server.url + READY, timeout=5))["redis"] != status:
                    if time.monotonic() > deadline:
                        return False
                    time.sleep(0.1)
                return True

            assert becomes("pass")
            redis.pause()
            assert becomes("timeout")
            redis.resume()
            assert becomes("pass")
            redis.stop()
            assert becomes("fail")
            assert server.output().count("redis: ") == 3, "each change is logged once"


def test_h6_nothing_is_told_but_names_and_states(project: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The reason is in the log, once."""
    port = free_port()
    environment = {"DB_URL": database_url(port), "REDIS_URL": redis_url(port), "HEALTH_CACHE_SECONDS": "0"}
    with loaded(project, **environment) as main:
        found = asked(main, READY, READY)[-1]
        assert found.status_code == 503
        assert {*found.json()} == {"status", "checks"}
        assert statuses(found) == {"database": "fail", "redis": "fail"}
        assert all({*check} == {"status", "ms"} for check in found.json()["checks"].values())
        for word in (PASSWORD, "user", "127.0.0.1", str(port), "refused", "Error", "asyncpg"):
            assert word not in found.text
    assert sorted(caplog.messages) == ["database: fail", "redis: fail"]
    assert PASSWORD not in caplog.text
    assert "Connect call failed" in caplog.text


def test_h8_probes_are_not_counted(tmp_path: Path) -> None:
    assert made("health", "metrics") == memory.add(made("metrics"), "health") == memory.add(made("health"), "metrics")
    write(tmp_path, made("health", "metrics"))
    with loaded(tmp_path) as main:
        *_, scraped = asked(main, LIVE, READY, "/slow?seconds=0", "/metrics")
        assert 'route="/slow"' in asked_metrics(main)
        assert "/health" not in asked_metrics(main)
        assert scraped.status_code == 401, "the application wants a token here too"


def asked_metrics(main: ModuleType) -> str:
    async def run() -> str:
        transport = httpx.ASGITransport(app=main.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=TOKEN) as client:
            return (await client.get("/metrics")).text

    return asyncio.run(run())


def test_h9_probes_that_fail_leave_no_connection_behind(project: Path) -> None:
    with silent() as database:
        environment = {
            "DB_URL": database_url(database.port),
            "HEALTH_CACHE_SECONDS": "0",
            "HEALTH_TIMEOUT_SECONDS": "0.005",
        }
        with loaded(project, **environment) as main:
            engine = module("db").engine

            async def run() -> None:
                transport = httpx.ASGITransport(app=main.app)
                async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                    for _ in range(500):
                        assert (await client.get(READY)).status_code == 503
                await asyncio.sleep(0.1)
                assert engine.pool.checkedout() == 0
                await engine.dispose()

            asyncio.run(run())


def test_a_synchronous_engine_that_hangs_costs_one_thread(tmp_path: Path) -> None:
    """A thread cannot be cancelled: until it is back there is no second one, and afterwards there is."""
    write(tmp_path, made("health", more={"depot/db.py": HANGING}))
    with loaded(tmp_path, HEALTH_TIMEOUT_SECONDS="0.1", HEALTH_CACHE_SECONDS="0") as main:
        opened = module("db").opened

        async def run() -> list[str]:
            transport = httpx.ASGITransport(app=main.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                found = [statuses(await client.get(READY))["database"] for _ in range(3)]
                assert len(opened) == 1
                await asyncio.sleep(0.6)
                await client.get(READY)
            return found

        assert asyncio.run(run()) == ["timeout", "fail", "fail"]
        assert len(opened) == 2


def test_a_probe_that_does_not_let_itself_be_cancelled_keeps_nobody_waiting(project: Path) -> None:
    with loaded(project, DB_URL="sqlite+aiosqlite://", HEALTH_TIMEOUT_SECONDS="0.1") as main:
        health = module("core.health")
        free = False

        async def stubborn() -> None:
            while not free:
                try:
                    await asyncio.sleep(0.05)
                except asyncio.CancelledError:
                    continue

        async def run() -> None:
            nonlocal free
            health.CHECKS[:] = [health.Check("stubborn", stubborn)]
            began = time.perf_counter()
            assert (await health.readiness())[0] == "not_ready"
            assert time.perf_counter() - began < 1
            free = True
            await asyncio.sleep(0.1)

        asyncio.run(run())
        assert main.app


def test_a_request_that_goes_away_leaves_the_others_their_answer(project: Path) -> None:
    with loaded(project, DB_URL="sqlite+aiosqlite://"):
        health = module("core.health")
        calls = []

        async def slow() -> None:
            calls.append(1)
            await asyncio.sleep(0.2)

        async def run() -> None:
            health.CHECKS[:] = [health.Check("slow", slow)]
            first, second = (asyncio.create_task(health.readiness()) for _ in range(2))
            await asyncio.sleep(0.05)
            first.cancel()
            assert (await second)[0] == "ready"
            assert calls == [1]

        asyncio.run(run())


def test_a_busy_pool_of_redis_is_no_server_that_is_down(project: Path) -> None:
    with redis_server() as redis:
        environment = {"DB_URL": "sqlite+aiosqlite://", "REDIS_URL": redis.url, "REDIS_MAX_CONNECTIONS": "1"}
        with loaded(project, **environment) as main:

            async def run() -> str:
                client = module("core.redis").get_redis()
                held = await client.connection_pool.get_connection()
                transport = httpx.ASGITransport(app=main.app)
                async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
                    found = statuses(await http.get(READY))["redis"]
                await client.connection_pool.release(held)
                await client.aclose()
                return found

            assert asyncio.run(run()) == "pass"


@pytest.mark.parametrize("name", ["HEALTH_TIMEOUT_SECONDS", "HEALTH_CACHE_SECONDS"])
def test_a_wrong_setting_is_named(project: Path, name: str) -> None:
    with (
        pytest.raises(ValueError, match=name.lower()),
        loaded(project, DB_URL="sqlite+aiosqlite://", **{name: "soon"}),
    ):
        pytest.fail("imported")


@pytest.mark.parametrize(
    ("database", "said"),
    [
        ("def get_engine(url):\n    return create_engine(url)\n", "a new module cannot import its engine"),
        (
            "class Database:\n    def __init__(self):\n        self.engine = create_engine('sqlite://')\n",
            "cannot import",
        ),
        ("one = create_engine('sqlite://')\ntwo = create_engine('sqlite://')\n", "several database engines"),
    ],
)
def test_a_database_that_is_not_checked_is_told_of(database: str, said: str) -> None:
    main = b"import db\n" + FLAT["main.py"]
    files = FLAT | {"main.py": main, "db.py": f"from sqlalchemy import create_engine\n\n{database}".encode()}
    plan = memory.planned(files, Request(add=("health",)))
    assert not plan.refusals
    assert any(said in note.message for note in plan.notes)
    assert "core/health_database.py" not in plan.changeset


def test_an_engine_in_the_file_of_the_application_is_not_imported_in_a_circle() -> None:
    main = FLAT["main.py"] + b"\nfrom sqlalchemy import create_engine\nengine = create_engine('sqlite://')\n"
    assert "core/health_database.py" not in memory.add(FLAT | {"main.py": main}, "health")


@pytest.mark.parametrize(
    "path",
    [
        *("/health", "/health/", "/health/live", "/health/readiness", "/healthz", "/livez", "/readyz", "/ready"),
        *("/healthz/live", "/__heartbeat__"),
    ],
)
def test_probes_of_the_users_own_are_by_hand(path: str) -> None:
    route = f"\n\n@app.get('{path}')\ndef probe():\n    return 1\n".encode()
    (refusal,) = memory.planned(FLAT | {"main.py": FLAT["main.py"] + route}, Request(add=("health",))).refusals
    assert (refusal.code, str(refusal.place)) == ("already-by-hand", "main.py:6")
    assert ("--set health.prefix=/OTHER" in refusal.remedy) is path.startswith("/health/") or path == "/health"


def test_ours_can_stand_elsewhere() -> None:
    route = b"\n\n@app.get('/health')\ndef probe():\n    return 1\n"
    request = Request(add=("health",), options={"health": {"prefix": "/probes"}})
    after = memory.run(FLAT | {"main.py": FLAT["main.py"] + route}, request)
    assert b"['/probes/live', '/probes/ready']" in after["core/routing.py"]
    assert b"'/probes/ready'" in after["api/health.py"]


def test_the_route_of_the_foundation_is_another_one() -> None:
    """/api/health says that the API is there; it depends on nothing and stays."""
    before = project_files(shape_named("foundation"))
    after = memory.add(before, "health")
    path = "src/order_service/api/routes.py"
    assert b"'/health'" in before[path]
    assert after[path] == before[path]
