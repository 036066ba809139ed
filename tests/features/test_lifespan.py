"""The lifespan capability: what the generated `core/lifespan.py` promises, in each place where it can be entered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import anyio
import pytest
from fastapi import APIRouter, FastAPI, Request
from httpx import ASGITransport, AsyncClient, get

from tests.features.resources_app import imported, write_project
from tests.servers import uvicorn_server

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture
def lifespan(tmp_path: Path) -> Iterator[ModuleType]:
    """The generated module, with nothing registered."""
    write_project(tmp_path, "functions")
    with imported(tmp_path, "core.lifespan") as module:
        yield module


class Log(list[str]):
    """What ran, in order. `log("x")` is a step that writes x down; `log("x", fails=True)` one that raises as well."""

    def __call__(self, entry: str, *, fails: bool = False) -> Any:
        async def step() -> None:
            self.append(entry)
            if fails:
                raise RuntimeError(entry)

        return step


def cycle(app: FastAPI) -> None:
    """Start and stop an application on an event loop of its own."""

    async def run() -> None:
        async with app.router.lifespan_context(app):
            pass

    asyncio.run(run())


def test_closers_run_in_reverse_of_their_ranks_and_ties_in_reverse_of_registration(lifespan: ModuleType) -> None:
    log = Log()
    for name, rank in (("a", 50), ("b", 10), ("c", 50), ("d", 90)):
        lifespan.on_shutdown(name, log(name), rank=rank)
    cycle(FastAPI(lifespan=lifespan.managed_resources))
    assert log == ["d", "c", "a", "b"]


def test_the_same_name_replaces_and_counts_as_built_last(lifespan: ModuleType) -> None:
    log = Log()
    for name, entry in (("a", "first a"), ("b", "b"), ("a", "second a")):
        lifespan.on_startup(name, log(f"start {entry}"))
        lifespan.on_shutdown(name, log(f"close {entry}"))
    cycle(FastAPI(lifespan=lifespan.managed_resources))
    assert log == ["start second a", "start b", "close second a", "close b"]


def test_hooks_run_by_rank_and_ties_in_order_of_registration(lifespan: ModuleType) -> None:
    log = Log()
    for name, rank in (("a", 50), ("b", 90), ("c", 50), ("d", 10)):
        lifespan.on_startup(name, log(name), rank=rank)
    cycle(FastAPI(lifespan=lifespan.managed_resources))
    assert log == ["d", "a", "c", "b"]


def test_start_stop_start_in_one_process_on_two_event_loops(lifespan: ModuleType) -> None:
    log = Log()

    async def build() -> None:
        log.append("build")
        lifespan.on_shutdown("pool", log("close"))

    lifespan.on_startup("pool", build)
    app = FastAPI(lifespan=lifespan.managed_resources)
    cycle(app)
    cycle(app)
    assert log == ["build", "close", "build", "close"]


def test_every_closer_runs_and_every_error_surfaces(lifespan: ModuleType, caplog: pytest.LogCaptureFixture) -> None:
    log = Log()
    lifespan.on_shutdown("pool", log("pool"), rank=10)
    lifespan.on_shutdown("cache", log("cache", fails=True), rank=20)
    lifespan.on_shutdown("queue", log("queue", fails=True), rank=30)
    with pytest.raises(RuntimeError, match="cache"):
        cycle(FastAPI(lifespan=lifespan.managed_resources))
    assert log == ["queue", "cache", "pool"]
    assert caplog.messages == ["queue did not close", "cache did not close"]
    cycle(FastAPI(lifespan=lifespan.managed_resources))  # closers are forgotten, also those that failed


def test_a_start_that_fails_in_the_middle_closes_what_was_opened(lifespan: ModuleType) -> None:
    log = Log()

    async def build() -> None:
        lifespan.on_shutdown("pool", log("close pool"))

    lifespan.on_startup("pool", build, rank=10)
    lifespan.on_startup("broken", log("broken", fails=True), rank=20)
    lifespan.on_startup("later", log("later"), rank=30)
    app = FastAPI(lifespan=lifespan.managed_resources)
    for _ in range(2):
        log.clear()
        with pytest.raises(RuntimeError, match="broken"):
            cycle(app)
        assert log == ["broken", "close pool"]


def test_a_hanging_closer_is_named_and_costs_its_time_limit_once(
    lifespan: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    log = Log()
    resources = lifespan.ManagedResources(close_timeout_seconds=0.05)
    resources.on_shutdown("pool", log("pool"), rank=10)
    resources.on_shutdown("stuck", anyio.sleep_forever, rank=20)
    with pytest.raises(TimeoutError):
        cycle(FastAPI(lifespan=resources.run))
    assert log == ["pool"]
    assert caplog.messages == ["stuck did not close"]


def test_a_cancelled_application_still_closes(lifespan: ModuleType) -> None:
    log = Log()

    async def close() -> None:
        await anyio.sleep(0)
        log.append("close")

    lifespan.on_shutdown("pool", close)

    async def run() -> None:
        app = FastAPI(lifespan=lifespan.managed_resources)
        with anyio.CancelScope() as scope:
            async with app.router.lifespan_context(app):
                scope.cancel()
                await anyio.sleep_forever()

    asyncio.run(run())
    assert log == ["close"]


def test_an_error_of_the_running_application_closes_and_surfaces(lifespan: ModuleType) -> None:
    log = Log()
    lifespan.on_shutdown("pool", log("close"))

    async def run() -> None:
        async with lifespan.managed_resources(FastAPI()):
            raise LookupError("lost")

    with pytest.raises(LookupError, match="lost"):
        asyncio.run(run())
    assert log == ["close"]


def test_on_the_application_and_on_a_router_it_runs_once(lifespan: ModuleType) -> None:
    log = Log()

    async def build() -> None:
        log.append("build")
        lifespan.on_shutdown("pool", log("close"))

    lifespan.on_startup("pool", build)
    app = FastAPI(lifespan=lifespan.managed_resources)
    app.include_router(APIRouter(lifespan=lifespan.managed_resources))
    cycle(app)
    cycle(app)
    assert log == ["build", "close", "build", "close"]


def test_two_applications_share_what_one_of_them_opened_until_both_stopped(lifespan: ModuleType) -> None:
    log = Log()
    lifespan.on_shutdown("pool", log("close"))

    async def run() -> None:
        first, second = lifespan.managed_resources(FastAPI()), lifespan.managed_resources(FastAPI())
        await first.__aenter__()
        await second.__aenter__()
        await first.__aexit__(None, None, None)
        log.append("one stopped")
        await second.__aexit__(None, None, None)

    asyncio.run(run())
    assert log == ["one stopped", "close"]


def test_state_of_an_own_lifespan_still_reaches_requests(lifespan: ModuleType) -> None:
    log = Log()

    async def build() -> None:
        log.append("build")
        lifespan.on_shutdown("pool", log("close"))

    lifespan.on_startup("pool", build)

    @asynccontextmanager
    async def own(app: FastAPI) -> AsyncIterator[dict[str, str]]:
        log.append("own start")
        async with lifespan.managed_resources(app):
            yield {"colour": "blue"}
        log.append("own stop")

    app = FastAPI(lifespan=own)

    @app.get("/colour")
    async def colour(request: Request) -> str:
        return str(request.state.colour)

    async def run() -> str:
        async with app.router.lifespan_context(app) as state:
            # What a server does with the state of a lifespan: it goes into the scope of each request.
            async def served(scope: Any, receive: Any, send: Any) -> None:
                await app({**scope, "state": dict(state or {})}, receive, send)

            async with AsyncClient(transport=ASGITransport(app=served), base_url="http://test") as client:
                return (await client.get("/colour")).text

    assert asyncio.run(run()) == '"blue"'
    assert log == ["own start", "build", "close", "own stop"]


SERVED = '''\
"""An application with handlers of the old kind, and managed resources beside them."""

from fastapi import APIRouter, FastAPI

from depot.core.lifespan import managed_resources, on_shutdown, on_startup

app = FastAPI()
app.include_router(APIRouter(lifespan=managed_resources))
log = []


@app.on_event("startup")
async def start():
    log.append("on_event")


@app.on_event("shutdown")
async def stop():
    print("on_event stopped", flush=True)


async def build():
    log.append("hook")
    on_shutdown("pool", close, rank=10)
    on_shutdown("broken", fail, rank=20)


async def close():
    print("pool closed", flush=True)


async def fail():
    raise RuntimeError("broken closer")


on_startup("pool", build)


@app.get("/log")
async def read():
    return log
'''


def test_handlers_of_on_event_still_run_and_sigterm_closes(tmp_path: Path) -> None:
    write_project(tmp_path, "functions")
    (tmp_path / "depot" / "served.py").write_text(SERVED)
    with uvicorn_server("depot.served:app", cwd=tmp_path) as server:
        assert get(f"{server.url}/log").json() == ["on_event", "hook"]
        server.stop()
        printed = server.output()
    assert "on_event stopped" in printed
    assert "pool closed" in printed
    assert "RuntimeError: broken closer" in printed
    assert "broken did not close" in printed
