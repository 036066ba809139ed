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
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from laterctl.doctor import rules
from laterctl.doctor.run import look
from laterctl.engine.plan import Request
from laterctl.finding import Verdict
from tests import memory
from tests.dialect_projects import NAMES, dialect, features
from tests.otlp import Collector, http_collector
from tests.servers import Server, redis_server, uvicorn_server
from tests.shapes import FOUNDATION_PACKAGE, SHAPES, Shape, shape_named
from tests.test_laws import project_files, taken
from tests.turns import turn

PACKAGE: Final = f"src/{FOUNDATION_PACKAGE}"
SHARED: Final = {
    "jwt": {"refresh": "redis"},
    "rate-limit": {"store": "redis"},
    "cache": {"store": "redis"},
    "websocket": {"store": "redis"},
    "tasks": {"store": "redis"},
    "logging": {"config_file": "yes"},
}
"""For more than one process: what has a store of its own has it on one server, and the supervisor logs as they do."""

SHOP: Final = f'''\
"""Routes as their owner would write them."""

import asyncio
import logging
import os
from functools import partial
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter
from pydantic import TypeAdapter

from {FOUNDATION_PACKAGE}.api.deps import CacheDep, CurrentUser
from {FOUNDATION_PACKAGE}.api.permissions import require
from {FOUNDATION_PACKAGE}.core.auth.tokens import Principal
from {FOUNDATION_PACKAGE}.core.cache import Namespace
from {FOUNDATION_PACKAGE}.core.permissions import Permission
from {FOUNDATION_PACKAGE}.core.rate_limit import limit

router = APIRouter(prefix='/shop')
PRICES = Namespace('prices', TypeAdapter(dict[str, int]), ttl=60)
LOADS = Path(os.environ['LOADS'])


@router.get('/me')
async def me(user: CurrentUser) -> str:
    logging.getLogger('shop').info('asked for itself')
    return user.subject


@router.get('/admin')
async def admin(user: Annotated[Principal, require(Permission.ADMIN)]) -> str:
    return user.subject


@router.get('/few', dependencies=[limit('5/hour')])
async def few() -> int:
    return os.getpid()


@router.get('/prices/{{shop}}')
async def prices(shop: str, cache: CacheDep) -> dict[str, int]:
    return await cache.get_or_set(PRICES, shop, partial(load, shop))


async def load(shop: str) -> dict[str, int]:
    with LOADS.open('a') as log:
        log.write(f'{{shop}}\\n')
    await asyncio.sleep(0.2)
    return {{shop: 1}}


@router.get('/slow')
async def slow() -> str:
    await asyncio.sleep(1.5)
    return 'done'
'''
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


def written(top: Path) -> Path:
    """Write the foundation with everything, and with routes of its owner."""
    shape = shape_named("foundation")
    files = memory.run(project_files(shape), Request(add=tuple(taken(shape)), options=SHARED))
    main = f"{PACKAGE}/main.py"
    text = files[main].decode()
    text = text.replace(
        "\napp = FastAPI(", f"\nfrom {FOUNDATION_PACKAGE}.api.shop import router as shop_router\n\napp = FastAPI(", 1
    )
    made = {
        **files,
        main: f"{text}\napp.include_router(shop_router)\n".encode(),
        f"{PACKAGE}/api/shop.py": SHOP.encode(),
    }
    for path, data in made.items():
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_bytes(data)
    return top


@contextmanager
def served(folder: Path, collector: Collector) -> Iterator[Server]:
    """Run it on four workers, when its tables have been made."""
    with redis_server() as redis:
        environment = {
            "PYTHONPATH": "src",
            "APP_DATABASE_URL": f"sqlite+aiosqlite:///{folder}/shop.db",
            "APP_JWT_KEYS": f"k1:{base64.b64encode(b'k' * 32).decode()}",
            "APP_REDIS_URL": redis.url,
            "APP_SHUTDOWN_DRAIN_SECONDS": "1",
            "LOADS": str(folder / "loads"),
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "PROMETHEUS_MULTIPROC_DIR": str(folder / "metrics"),
        }
        for command in (("revision", "--autogenerate", "-m", "first"), ("upgrade", "head"), ("check",)):
            alembic = [sys.executable, "-m", "alembic", *command]
            subprocess.run(alembic, cwd=folder, env=os.environ | environment, check=True, capture_output=True)
        with uvicorn_server(
            f"{FOUNDATION_PACKAGE}.main:app", folder, environment, 4, ("--log-config", "log_config.json")
        ) as found:
            yield found


def lines(server: Server) -> list[dict[str, Any]]:
    """Return what was logged: each line has to be JSON."""
    return [json.loads(line) for line in server.output().splitlines()]


def test_a_journey_through_all_of_them(tmp_path: Path) -> None:
    with http_collector() as collector, served(written(tmp_path), collector) as server:
        travel(server, collector, tmp_path)
        leave(server)


def travel(server: Server, collector: Collector, folder: Path) -> None:
    """Register, sign in, be refused in three ways, read what is kept, and find all of it in metrics, traces and logs."""
    trace, caller = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    with httpx.Client(base_url=server.url, timeout=20) as client:
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
    assert all(line["level"] != "error" for line in lines(server)), server.output()
