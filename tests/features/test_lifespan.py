"""The lifespan capability: what the generated `core/lifespan.py` promises, in each place where it can be entered."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
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
    """The generated module."""
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


class Opened:
    """What stands in the open function of the module: steps that open, each with what closes it."""

    def __init__(self, module: ModuleType, *steps: tuple[str, Any, Any]) -> None:
        self.module, self.steps = module, steps
        module.open_resources = self

    async def __call__(self, stack: AsyncExitStack) -> None:
        for name, step, close in self.steps:
            await step()
            self.module.closing(stack, name, close)


def cycle(app: FastAPI) -> None:
    """Start and stop an application on an event loop of its own."""

    async def run() -> None:
        async with app.router.lifespan_context(app):
            pass

    asyncio.run(run())


def test_who_owns_something_says_so_in_the_open_function_by_rank(tmp_path: Path) -> None:
    write_project(tmp_path, "functions")
    text = (tmp_path / "depot/core/lifespan.py").read_text()
    body = ast.parse(text).body
    opened = next(node for node in body if isinstance(node, ast.AsyncFunctionDef) and node.name == "open_resources")
    assert [ast.unparse(node) for node in opened.body[1:]] == [
        "closing(stack, 'redis', get_redis().aclose)",
        "stack.callback(get_redis.cache_clear)",
        "closing(stack, 'http_client', get_http_client().aclose)",
        "stack.callback(get_http_client.cache_clear)",
    ]


def test_what_is_opened_last_is_closed_first_at_each_start(lifespan: ModuleType) -> None:
    log = Log()
    Opened(lifespan, *((name, log(f"open {name}"), log(f"close {name}")) for name in ("a", "b")))
    app = FastAPI(lifespan=lifespan.managed_resources)
    for _ in range(2):
        log.clear()
        cycle(app)
        assert log == ["open a", "open b", "close b", "close a"]


def test_contexts_may_be_entered_too(lifespan: ModuleType) -> None:
    log = Log()

    @asynccontextmanager
    async def pool() -> AsyncIterator[None]:
        log.append("open")
        yield
        log.append("close")

    async def opened(stack: AsyncExitStack) -> None:
        await stack.enter_async_context(pool())

    lifespan.open_resources = opened
    cycle(FastAPI(lifespan=lifespan.managed_resources))
    assert log == ["open", "close"]


def test_every_closer_runs_and_every_error_surfaces(lifespan: ModuleType, caplog: pytest.LogCaptureFixture) -> None:
    log = Log()
    Opened(
        lifespan,
        ("pool", log("open"), log("pool")),
        ("cache", log("open"), log("cache", fails=True)),
        ("queue", log("open"), log("queue", fails=True)),
    )
    for _ in range(2):  # closers are forgotten, also those that failed
        log.clear()
        caplog.clear()
        with pytest.raises(RuntimeError, match="cache"):
            cycle(FastAPI(lifespan=lifespan.managed_resources))
        assert log[3:] == ["queue", "cache", "pool"]
        assert caplog.messages == ["queue did not close", "cache did not close"]


def test_a_start_that_fails_in_the_middle_closes_what_was_opened(lifespan: ModuleType) -> None:
    log = Log()
    Opened(
        lifespan,
        ("pool", log("open pool"), log("close pool")),
        ("broken", log("broken", fails=True), log("close broken")),
        ("later", log("later"), log("close later")),
    )
    app = FastAPI(lifespan=lifespan.managed_resources)
    for _ in range(2):
        log.clear()
        with pytest.raises(RuntimeError, match="broken"):
            cycle(app)
        assert log == ["open pool", "broken", "close pool"]


def test_a_hanging_closer_is_named_and_costs_its_time_limit_once(
    lifespan: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    log = Log()
    lifespan.CLOSE_TIMEOUT_SECONDS = 0.05
    Opened(lifespan, ("pool", log("open"), log("pool")), ("stuck", log("open"), anyio.sleep_forever))
    with pytest.raises(TimeoutError):
        cycle(FastAPI(lifespan=lifespan.managed_resources))
    assert log[2:] == ["pool"]
    assert caplog.messages == ["stuck did not close"]


def test_a_cancelled_application_still_closes(lifespan: ModuleType) -> None:
    log = Log()

    async def close() -> None:
        await anyio.sleep(0)
        log.append("close")

    Opened(lifespan, ("pool", log("open"), close))

    async def run() -> None:
        app = FastAPI(lifespan=lifespan.managed_resources)
        with anyio.CancelScope() as scope:
            async with app.router.lifespan_context(app):
                scope.cancel()
                await anyio.sleep_forever()

    asyncio.run(run())
    assert log == ["open", "close"]


def test_an_error_of_the_running_application_closes_and_surfaces(lifespan: ModuleType) -> None:
    log = Log()
    Opened(lifespan, ("pool", log("open"), log("close")))

    async def run() -> None:
        async with lifespan.managed_resources(FastAPI()):
            raise LookupError("lost")

    with pytest.raises(LookupError, match="lost"):
        asyncio.run(run())
    assert log == ["open", "close"]


def test_on_the_application_and_on_a_router_it_runs_once(lifespan: ModuleType) -> None:
    log = Log()
    Opened(lifespan, ("pool", log("open"), log("close")))
    app = FastAPI(lifespan=lifespan.managed_resources)
    app.include_router(APIRouter(lifespan=lifespan.managed_resources))
    cycle(app)
    cycle(app)
    assert log == ["open", "close"] * 2


def test_two_applications_share_what_one_of_them_opened_until_both_stopped(lifespan: ModuleType) -> None:
    log = Log()
    Opened(lifespan, ("pool", log("open"), log("close")))

    async def run() -> None:
        first, second = lifespan.managed_resources(FastAPI()), lifespan.managed_resources(FastAPI())
        await first.__aenter__()
        await second.__aenter__()
        await first.__aexit__(None, None, None)
        log.append("one stopped")
        await second.__aexit__(None, None, None)

    asyncio.run(run())
    assert log == ["open", "one stopped", "close"]


def test_state_of_an_own_lifespan_still_reaches_requests(lifespan: ModuleType) -> None:
    log = Log()

    Opened(lifespan, ("pool", log("build"), log("close")))

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

from depot.core import lifespan

app = FastAPI()
app.include_router(APIRouter(lifespan=lifespan.managed_resources))
log = []


@app.on_event("startup")
async def start():
    log.append("on_event")


@app.on_event("shutdown")
async def stop():
    print("on_event stopped", flush=True)


async def opened(stack):
    log.append("opened")
    lifespan.closing(stack, "pool", close)
    lifespan.closing(stack, "broken", fail)


lifespan.open_resources = opened


async def close():
    print("pool closed", flush=True)


async def fail():
    raise RuntimeError("broken closer")



@app.get("/log")
async def read():
    return log
'''


def test_handlers_of_on_event_still_run_and_sigterm_closes(tmp_path: Path) -> None:
    write_project(tmp_path, "functions")
    (tmp_path / "depot" / "served.py").write_text(SERVED)
    with uvicorn_server("depot.served:app", cwd=tmp_path) as server:
        assert get(f"{server.url}/log").json() == ["on_event", "opened"]
        server.stop()
        printed = server.output()
    assert "on_event stopped" in printed
    assert "pool closed" in printed
    assert "RuntimeError: broken closer" in printed
    assert "broken did not close" in printed
