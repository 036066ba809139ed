"""All features in one project: the tree is the same in any order, and a service of it does what each of them promises."""

from __future__ import annotations

import base64
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from laterctl.doctor import rules
from laterctl.doctor.run import look
from laterctl.engine.plan import Request
from laterctl.finding import Verdict
from tests import memory
from tests.dialect_projects import NAMES, dialect, features
from tests.otlp import Collector, http_collector
from tests.servers import Server, end, http_server, redis_server
from tests.shapes import FOUNDATION_PACKAGE, SHAPES, Shape, shape_named
from tests.test_laws import project_files, taken
from tests.test_running import AUTHENTICATOR
from tests.turns import turn

SHARED: Final = {
    "jwt": {"refresh": "redis"},
    "rate-limit": {"store": "redis"},
    "cache": {"store": "redis"},
    "websocket": {"store": "redis"},
    "tasks": {"store": "redis"},
    "logging": {"config_file": "yes"},
}
"""For more than one process: what has a store of its own has it on one server, and the supervisor logs as they do."""

SHOP: Final = '''\
"""Routes as their owner would write them."""

import asyncio
import logging
import os
from functools import partial
from pathlib import Path
from typing import Annotated

import dramatiq
from fastapi import APIRouter, Depends
from pydantic import TypeAdapter

from {top}api.cache import shared_cache
from {top}api.permissions import require
from {top}core.auth.tokens import Principal, get_current_user
from {top}core.cache import Cache, Namespace
from {top}core.permissions import Permission
from {top}core.rate_limit import limit
from {top}core.tasks import broker, enqueue

router = APIRouter(prefix='/shop')
PRICES = Namespace('prices', TypeAdapter(dict[str, int]), ttl=60)
LOADS = Path(os.environ['LOADS'])
SHIPPED = LOADS.with_name('shipped')


@router.get('/me')
async def me(user: Annotated[Principal, Depends(get_current_user)]) -> str:
    logging.getLogger('shop').info('asked for itself')
    return user.subject


@router.get('/admin')
async def admin(user: Annotated[Principal, require(Permission.ADMIN)]) -> str:
    return user.subject


@router.get('/few', dependencies=[limit('5/hour')])
async def few() -> int:
    return os.getpid()


@router.get('/prices/{shop}')
async def prices(shop: str, cache: Annotated[Cache, Depends(shared_cache)]) -> dict[str, int]:
    return await cache.get_or_set(PRICES, shop, partial(load, shop))


async def load(shop: str) -> dict[str, int]:
    with LOADS.open('a') as log:
        log.write(f'{shop}\\n')
    await asyncio.sleep(0.2)
    return {shop: 1}


@dramatiq.actor(broker=broker)
async def ship(order: str) -> None:
    note('begun', order)
    await asyncio.sleep(3)
    note('done', order)


def note(what: str, order: str) -> None:
    with SHIPPED.open('a') as log:
        log.write(f'{what} {order}\\n')


@router.post('/orders/{order}', status_code=202)
async def take(order: str) -> None:
    await enqueue(ship.message(order))


@router.get('/slow')
async def slow() -> str:
    await asyncio.sleep(1.5)
    return 'done'
'''
PROFILING: Final = "a-long-random-text-for-profiles"
CREDENTIALS: Final = {"email": "ada@example.com", "password": "correct horse battery staple"}


@pytest.mark.parametrize(
    "shape", [item for item in SHAPES if item.name in {"foundation", "foundation_pydantic", "flat", "factory"}]
)
def test_any_order_gives_the_same_tree_and_back(shape: Shape) -> None:
    """Adding and taking out one by one, each in an order of its own."""
    files, names, draw = project_files(shape), taken(shape), random.Random(turn())
    expected = memory.run(files, Request(add=tuple(names)), shape.app_flag)
    for _ in range(2):
        draw.shuffle(names)
        made = files
        for name in names:
            made = memory.run(made, Request(add=(name,)), shape.app_flag)
        assert made == expected, names
    draw.shuffle(names)
    left = [*names]
    while left:
        plan = memory.planned(made, Request(remove=(left[0],)), shape.app_flag)
        if any(item.code == "required" for item in plan.refusals):
            left.append(left.pop(0))  # what needs it goes first
            continue
        made = memory.applied(made, plan)
        left.pop(0)
    assert made == files, names


@pytest.mark.parametrize("name", NAMES)
def test_the_doctor_finds_nothing_in_what_is_added(name: str) -> None:
    """But for the authenticator that a person has to write, where the project has no users of its own."""
    made = memory.project(memory.add(dialect(name), *features(name)))
    found = look(made, frozenset(rule.id for rule in rules.every()))
    problems = [f"{item.rule} {item.place} {item.message}" for item in found if item.verdict is Verdict.PROBLEM]
    assert [item for item in problems if not item.startswith("JWT006")] == []


class Service(NamedTuple):
    """A shape with everything: its packages, what its settings' variables begin with, what serves it, and an old path."""

    shape: str
    top: str = ""
    prefix: str = ""
    root: str = ""
    gunicorn: bool = False
    versioned: tuple[str, str] | None = None

    @property
    def folder(self) -> str:
        """Where its packages are, from the top of the project."""
        return "/".join(filter(None, (self.root, *self.top.split("."))))


SERVICES: Final = (
    Service("foundation", f"{FOUNDATION_PACKAGE}.", "APP_", "src", versioned=("POST", "/api/users")),
    Service("foundation_pydantic", f"{FOUNDATION_PACKAGE}.", "APP_", "src", True, ("POST", "/api/users")),
    Service("flat"),
    Service("factory", "app.", "BOOKSHOP_", gunicorn=True, versioned=("GET", "/books")),
)


def written(service: Service, top: Path) -> Path:
    """Write it with everything, with routes of its owner, and with whom they let in where it has no users of its own."""
    shape = shape_named(service.shape)
    files = memory.run(project_files(shape), Request(add=tuple(taken(shape)), options=SHARED), shape.app_flag)
    place = service.folder
    main, users = (str(Path(place, name)) for name in ("main.py", "core/auth/authenticator.py"))
    added = f"\nfrom {service.top}api.shop import router as shop_router\n\napp.include_router(shop_router)\n"
    made = {**files, main: files[main] + added.encode(), str(Path(place, "api/shop.py")): shop_of(service).encode()}
    if not has_users(service):
        made[users] = files[users] + AUTHENTICATOR.encode()
    for path, data in made.items():
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_bytes(data)
    return top


def shop_of(service: Service) -> str:
    """Return the owner's routes as they are imported there."""
    return SHOP.replace("{top}", service.top)


def has_users(service: Service) -> bool:
    """Whether it keeps users, in a database."""
    return service.shape.startswith("foundation")


@contextmanager
def served(service: Service, folder: Path, collector: Collector) -> Iterator[tuple[Server, dict[str, str]]]:
    """Run it on four workers, when its tables have been made; give the environment too."""
    with redis_server() as redis:
        environment = {
            "PYTHONPATH": service.root or ".",
            f"{service.prefix}DATABASE_URL": f"sqlite+aiosqlite:///{folder}/shop.db",
            f"{service.prefix}JWT_KEYS": f"k1:{base64.b64encode(b'k' * 32).decode()}",
            f"{service.prefix}PROFILING_TOKEN": PROFILING,
            f"{service.prefix}REDIS_URL": redis.url,
            f"{service.prefix}SHUTDOWN_DRAIN_SECONDS": "1",
            f"{service.prefix}TASKS_HEARTBEAT_SECONDS": "3",
            "LOADS": str(folder / "loads"),
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "PROMETHEUS_MULTIPROC_DIR": str(folder / "metrics"),
        }
        made = (("revision", "--autogenerate", "-m", "first"), ("upgrade", "head"), ("check",))
        for command in made if has_users(service) else ():
            alembic = [sys.executable, "-m", "alembic", *command]
            subprocess.run(alembic, cwd=folder, env=os.environ | environment, check=True, capture_output=True)
        with http_server(lambda port: command_of(service, port), folder, environment) as found:
            yield found, environment


@contextmanager
def worker(service: Service, folder: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process that does tasks, with a session of its own."""
    command = [sys.executable, "-m", "dramatiq", f"{service.top}worker:broker", f"{service.top}api.shop", "-p", "1"]
    with (folder / "worker.log").open("ab") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | environment | {"PROMETHEUS_MULTIPROC_DIR": ""},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            end(process)


def command_of(service: Service, port: int) -> list[str]:
    """Return what starts it, so that the server's own lines are written as those of the application."""
    app, where = f"{service.top}main:app", f"127.0.0.1:{port}"
    if service.gunicorn:
        options = ("-k", "uvicorn_worker.UvicornWorker", "-w", "4", "--log-config-json", "log_config.json")
        return [sys.executable, "-m", "gunicorn", app, "-b", where, *options]
    # Four that import all of it at once take longer on a busy machine than uvicorn waits for a sign of life.
    options = ("--workers", "4", "--log-config", "log_config.json", "--timeout-worker-healthcheck", "60")
    return [sys.executable, "-m", "uvicorn", app, "--port", str(port), *options]


def lines(server: Server) -> list[dict[str, Any]]:
    """Return what was logged: each line has to be JSON."""
    return [json.loads(line) for line in server.output().splitlines()]


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.shape)
def test_a_journey_through_all_of_them(service: Service, tmp_path: Path) -> None:
    with http_collector() as collector, served(service, written(service, tmp_path), collector) as (server, environment):
        travel(service, server, collector, tmp_path)
        have_done(service, server, tmp_path, environment)
        leave(server)


def travel(service: Service, server: Server, collector: Collector, folder: Path) -> None:
    """Register, sign in, be refused in three ways, read what is kept, and find all of it in metrics, traces and logs."""
    trace, caller = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    with httpx.Client(base_url=server.url, timeout=20) as client:
        if has_users(service):
            assert client.post("/api/users", json=CREDENTIALS).status_code == 201
        form = {"username": CREDENTIALS["email"], "password": CREDENTIALS["password"]}
        pair = client.post("/auth/token", data=form).json()
        bearer = {"Authorization": f"Bearer {pair['access_token']}"}

        refused = client.get("/shop/me")
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        allowed = client.get("/shop/me", headers=bearer | {"traceparent": f"00-{trace}-{caller}-01"})
        assert allowed.status_code == 200
        forbidden = client.get("/shop/admin", headers=bearer)
        assert forbidden.status_code == 403
        assert "insufficient_scope" in forbidden.headers["www-authenticate"]
        for answer in (refused, allowed, forbidden):
            assert answer.headers["x-request-id"]
            assert answer.headers["x-content-type-options"] == "nosniff"

        talk(server, pair["access_token"])
        assert "x-profile-id" not in allowed.headers
        profiled = client.get("/shop/me", headers=bearer | {"X-Profile-Token": PROFILING})
        await_that((folder / "profiles" / f"{profiled.headers['x-profile-id']}.html").is_file)
        if service.versioned:
            method, path = service.versioned
            old, new = (client.request(method, each, json=CREDENTIALS) for each in (path, in_version(path)))
            assert (old.status_code, without_ids(old)) == (new.status_code, without_ids(new))
            assert old.headers["deprecation"]
            assert f'<{in_version(path)}>; rel="successor-version"' in old.headers["link"]
            assert "deprecation" not in new.headers

        few = [client.get("/shop/few", headers={"connection": "close"}) for _ in range(12)]
        assert [answer.status_code for answer in few] == [200] * 5 + [429] * 7
        assert 1 <= int(few[-1].headers["retry-after"]) <= 720

        again = client.post("/auth/refresh", json={"refresh_token": pair["refresh_token"]})
        assert again.status_code == 200

        assert parallel(client, "/shop/prices/a", 40) == [{"a": 1}] * 40
        assert (folder / "loads").read_text() == "a\n", "one load for all processes"

        refusals = re.compile(r'requests_total\{[^}]*route="/shop/few"[^}]*429[^}]*\} ([0-9.]+)')
        shown = {tuple(refusals.findall(client.get("/metrics").text)) for _ in range(8)}
        assert shown == {("7.0",)}, "whichever process answers"
        assert client.get("/health/ready").json()["status"] == "ready"

        spans = collector.until(lambda span: span.trace == trace and span.kind == "SERVER")
        assert [(span.name, span.parent) for span in spans] == [("GET /shop/me", caller)]
        assert not [span for span in collector.spans if "/health" in span.name or "/metrics" in span.name]
        about = [line for line in lines(server) if line.get("request_id") == allowed.headers["x-request-id"]]
        assert {"asked for itself"} <= {line["event"] for line in about}
        assert {line["trace_id"] for line in about} == {trace}
        assert CREDENTIALS["password"] not in server.output()
        assert pair["refresh_token"] not in server.output()


def in_version(path: str) -> str:
    """Return a path in the first version."""
    return f"/api/v1{path.removeprefix('/api')}"


def without_ids(answer: httpx.Response) -> Any:
    """Return a body without what is another one for each request."""
    found = answer.json()
    return {key: found[key] for key in ("error", "detail")} if isinstance(found, dict) else found


def talk(server: Server, token: str) -> None:
    """Say something that clients of all processes hear, each once; without a token nobody is let in."""
    url = f"{server.url.replace('http', 'ws', 1)}/ws"
    with pytest.raises(InvalidStatus, match="401"), connect(url):
        pass
    with ExitStack() as stack:
        bearer = [Subprotocol("bearer"), Subprotocol(token)]
        clients = [stack.enter_context(connect(url, subprotocols=bearer)) for _ in range(8)]
        clients[0].send("hello")
        assert [client.recv(timeout=20) for client in clients] == ["hello"] * 8


def have_done(service: Service, server: Server, folder: Path, environment: dict[str, str]) -> None:
    """Leave a task: the worker that has it is killed, and another does it."""
    assert httpx.post(f"{server.url}/shop/orders/a", timeout=20).status_code == 202
    with worker(service, folder, environment) as process:
        await_line(folder, "begun a")
        os.killpg(process.pid, signal.SIGKILL)
    with worker(service, folder, environment):
        await_line(folder, "done a")
    assert (folder / "shipped").read_text().splitlines() == ["begun a", "begun a", "done a"]


def await_line(folder: Path, line: str) -> None:
    """Wait until tasks have written a line."""
    shipped = folder / "shipped"
    await_that(lambda: shipped.is_file() and line in shipped.read_text().splitlines(), folder / "worker.log")


def await_that(holds: Callable[[], bool], log: Path | None = None) -> None:
    """Wait until something holds; what a process wrote is shown if it does not."""
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, log.read_text() if log is not None else ""
        time.sleep(0.05)


def parallel(client: httpx.Client, path: str, count: int) -> list[Any]:
    """Return the answers to requests at once, each on a connection of its own."""
    answers: list[Any] = []

    def ask() -> None:
        answers.append(httpx.get(client.base_url.join(path), timeout=20).json())

    threads = [threading.Thread(target=ask) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def leave(server: Server) -> None:
    """Ask it to end: what is under way is answered, and readiness says so before."""
    under_way: list[int] = []
    asking = threading.Thread(
        target=lambda: under_way.append(httpx.get(f"{server.url}/shop/slow", timeout=20).status_code)
    )
    asking.start()
    time.sleep(0.5)
    server.process.send_signal(signal.SIGTERM)
    states = set()
    with suppress(httpx.TransportError):
        for _ in range(100):
            states.add(httpx.get(f"{server.url}/health/ready", timeout=5).json()["status"])
            time.sleep(0.02)
    asking.join()
    assert under_way == [200]
    assert "draining" in states
    server.process.wait(timeout=30)
    errors = [line["event"] for line in lines(server) if line["level"] == "error"]
    # uvicorn says so of each WebSocket that is refused by HTTP.
    assert {*errors} <= {"ASGI callable returned without completing handshake."}, server.output()
