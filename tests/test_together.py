"""All features in one project: the tree is the same in any order, and a service of it does what each of them promises."""

from __future__ import annotations

import asyncio
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

import asyncpg
import httpx
import jwt
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
from tests.openbao import Bao
from tests.otlp import Collector, http_collector
from tests.servers import (
    LOOPBACK,
    Server,
    end,
    http_server,
    openbao_server,
    postgres_replica,
    postgres_server,
    redis_server,
)
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

FOLLOWED: Final = {"secrets": {"provider": "vault", "database": "yes"}}
"""For a database whose password changes while all of it runs."""

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
WITH_DATABASE: Final = """

from sqlalchemy import text

from {top}api.read_session import ReadSessionDep
from {top}core.container import container

READ = text('SELECT pg_is_in_recovery(), current_user, count(*) FROM users')


@router.get('/users')
async def users(session: ReadSessionDep) -> list[str | int]:
    return list((await session.execute(READ)).one())


@dramatiq.actor(broker=broker)
async def count(order: str) -> None:
    async with container.engine().connect() as connection:
        note('counted', str((await connection.execute(READ)).one().count))


@router.post('/counts', status_code=202)
async def count_users() -> None:
    await enqueue(count.message('users'))
"""
PROFILING: Final = "a-long-random-text-for-profiles"
KEYS: Final = {name: f"{name}:{base64.b64encode(name.encode() * 16).decode()}" for name in ("k1", "k2")}
CREDENTIALS: Final = {"email": "ada@example.com", "password": "correct horse battery staple"}


@pytest.mark.parametrize(
    "shape",
    [
        item
        for item in SHAPES
        if item.name in {"foundation", "foundation_pydantic", "flat", "factory", "nested_containers"}
    ],
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
    Service("nested_containers", "harbour.", versioned=("GET", "/ships")),
)
"""The foundation has its users in PostgreSQL, reads from a replica and follows secrets, once under either server; the
others have no database, which is what a replica and a password are of.
"""


def written(service: Service, top: Path) -> Path:
    """Write it with everything, with routes of its owner, and with whom they let in where it has no users of its own."""
    shape = shape_named(service.shape)
    options = SHARED | (FOLLOWED if has_users(service) else {})
    files = memory.run(project_files(shape), Request(add=tuple(taken(shape)), options=options), shape.app_flag)
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
    return (SHOP + WITH_DATABASE * has_users(service)).replace("{top}", service.top)


def has_users(service: Service) -> bool:
    """Whether it keeps users, in a database."""
    return service.shape.startswith("foundation")


class Databases(NamedTuple):
    """A primary, a replica of it, and who changes the password that the application enters both with."""

    primary: Server
    replica: Server
    operator: Bao

    def asked(self, server: Server, *statements: str, database: str = "postgres") -> None:
        """Have a server do something, as its owner."""

        async def run() -> None:
            connection = await asyncpg.connect(server.url, database=database)
            try:
                for statement in statements:
                    await connection.execute(statement)
            finally:
                await connection.close()

        asyncio.run(run())

    def environment(self, service: Service, folder: Path) -> dict[str, str]:
        """Make a database for a service, and say where everything is."""
        self.operator.allow((folder / "vault-policy.hcl").read_text())
        self.operator.delete("secret/metadata/app")
        self.operator.keep(jwt_keys=KEYS["k1"])
        self.asked(self.primary, f"CREATE DATABASE {service.shape} OWNER app")
        where = "postgresql+asyncpg://app@{}:{}/{}"
        settings = self.operator.settings(folder) | {
            "DATABASE_URL": where.format(LOOPBACK, self.primary.port, service.shape),
            "REPLICA_DATABASE_URL": where.format(LOOPBACK, self.replica.port, service.shape),
            # A busy machine is no replica that hangs, and a password may be on the primary before it is on the replica.
            "REPLICA_TIMEOUT_SECONDS": "10",
            "REPLICA_COOLDOWN_SECONDS": "0.2",
            "VAULT_POLL_SECONDS": "2",
        }
        return {f"{service.prefix}{name}": value for name, value in settings.items()}

    @contextmanager
    def changing(self) -> Iterator[set[str]]:
        """Change the password again and again; give those that it was.

        A connection tries again once: two changes while it is made, on a busy machine, would be one too many.
        """
        over, passwords = threading.Event(), set[str]()

        def change() -> None:
            while not over.wait(1.5):
                passwords.add(self.operator.rotate())

        thread = threading.Thread(target=change)
        thread.start()
        try:
            yield passwords
        finally:
            over.set()
            thread.join()

    def disconnect(self) -> None:
        """End the connections of the application, which has to enter anew."""
        for server in (self.primary, self.replica):
            self.asked(server, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'")


@pytest.fixture(scope="module")
def databases() -> Iterator[Databases]:
    with postgres_server() as primary, openbao_server() as openbao, Bao(openbao) as operator:
        operator.let_in(token_ttl="10s")
        operator.change_passwords(primary)
        with postgres_replica(primary) as replica:
            yield Databases(primary, replica, operator)


@contextmanager
def served(
    service: Service, folder: Path, more: dict[str, str], collector: Collector
) -> Iterator[tuple[Server, dict[str, str]]]:
    """Run it on four workers, when its tables have been made; give the environment too."""
    with redis_server() as redis:
        environment = {
            "PYTHONPATH": service.root or ".",
            f"{service.prefix}JWT_KEYS": KEYS["k1"],
            f"{service.prefix}PROFILING_TOKEN": PROFILING,
            f"{service.prefix}REDIS_URL": redis.url,
            f"{service.prefix}SHUTDOWN_DRAIN_SECONDS": "1",
            f"{service.prefix}TASKS_HEARTBEAT_SECONDS": "3",
            "LOADS": str(folder / "loads"),
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "PROMETHEUS_MULTIPROC_DIR": str(folder / "metrics"),
            **more,
        }
        made = (("revision", "--autogenerate", "-m", "first"), ("upgrade", "head"), ("check",))
        for command in made if has_users(service) else ():
            alembic = [sys.executable, "-m", "alembic", *command]
            subprocess.run(alembic, cwd=folder, env=os.environ | environment, check=True)
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
def test_a_journey_through_all_of_them(service: Service, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    folder, more, databases = written(service, tmp_path), dict[str, str](), None
    if has_users(service):
        databases = request.getfixturevalue("databases")
        more = databases.environment(service, folder)
    with http_collector() as collector, served(service, folder, more, collector) as (server, environment):
        if databases is None:
            travel(service, server, collector, folder)
        else:
            with databases.changing() as passwords:
                travel(service, server, collector, folder)
                read(server, databases)
            assert len(passwords) > 2
        have_done(service, server, folder, environment)
        leave(server)


def travel(service: Service, server: Server, collector: Collector, folder: Path) -> None:
    """Register, sign in, be refused in three ways, read what is kept, and find all of it in metrics, traces and logs."""
    trace, caller = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    with httpx.Client(base_url=server.url, timeout=20) as client:
        if has_users(service):
            assert client.post("/api/users", json=CREDENTIALS).status_code == 201
        pair = client.post("/auth/token", data=form_of(CREDENTIALS)).json()
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


def read(server: Server, databases: Databases) -> None:
    """Read from the replica what was written, with a password of now, and have a token with a key of now."""
    with httpx.Client(base_url=server.url, timeout=20) as client:
        other = {"email": "bob@example.com", "password": CREDENTIALS["password"]}
        assert client.post("/api/users", json=other).status_code == 201
        assert client.get("/shop/users").json()[1:] == ["app", 2], "who has written reads it"
        await_that(lambda: client.get("/shop/users").json()[0])
        for _ in range(3):
            databases.disconnect()
            assert [row[1:] for row in parallel(client, "/shop/users", 8)] == [["app", 2]] * 8
            await_that(lambda: client.get("/shop/users").json()[0])
            assert client.post("/auth/token", data=form_of(other)).status_code == 200

        old = signed(client)
        databases.operator.keep(jwt_keys=KEYS["k2"])
        await_that(lambda: jwt.get_unverified_header(signed(client))["kid"] == "k2")
        for token in (old, signed(client)):
            assert client.get("/shop/me", headers={"Authorization": f"Bearer {token}"}).status_code == 200


def form_of(credentials: dict[str, str]) -> dict[str, str]:
    """Return what signs somebody in."""
    return {"username": credentials["email"], "password": credentials["password"]}


def signed(client: httpx.Client) -> str:
    """Return a new token."""
    token: str = client.post("/auth/token", data=form_of(CREDENTIALS)).json()["access_token"]
    return token


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
        if has_users(service):
            assert httpx.post(f"{server.url}/shop/counts", timeout=20).status_code == 202
            await_line(folder, "counted 2")
    assert (folder / "shipped").read_text().splitlines()[:3] == ["begun a", "begun a", "done a"]


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
