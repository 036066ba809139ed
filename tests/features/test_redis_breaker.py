"""The `redis-breaker` capability, with a real Redis server that stalls, stops and comes back."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.features.resources_app import imported, write_project
from tests.servers import free_port, redis_server

pytestmark = pytest.mark.filterwarnings("error")

TIMEOUT, RETRY = 0.25, 0.4
Load = Callable[[str], Any]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    write_project(folder, "functions", others=("redis-breaker",))
    return folder


@pytest.fixture
def load(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Import the module, with a server's URL in the environment; it tries again after `RETRY` seconds."""
    opened = []

    def load_module(url: str) -> Any:
        opened.append(imported(project, "core.redis_breaker", {"REDIS_URL": url, "REDIS_MAX_CONNECTIONS": "2"}))
        module = opened[-1].__enter__()
        monkeypatch.setattr(module, "RETRY_SECONDS", RETRY)
        return module

    yield load_module
    for context in opened:
        context.__exit__(None, None, None)


async def asked(module: Any, breaker: Any) -> tuple[bool, float]:
    """Return whether the server answered, and how long it took to know."""
    begun = time.perf_counter()
    try:
        async with breaker.connected() as client:
            await client.ping()
    except module.RedisDownError:
        return False, time.perf_counter() - begun
    return True, time.perf_counter() - begun


async def answering(module: Any, breaker: Any) -> None:
    """Wait until the server answers again."""
    async with asyncio.timeout(10):
        while not (await asked(module, breaker))[0]:
            await asyncio.sleep(0.05)


def run(module: Any, use: Callable[[Any], Awaitable[None]]) -> None:
    async def used() -> None:
        breaker = module.RedisBreaker("limits")
        try:
            await use(breaker)
        finally:
            await breaker.aclose()

    asyncio.run(used())


def test_a_stall_costs_the_timeout_once_and_says_so_once(load: Load, caplog: pytest.LogCaptureFixture) -> None:
    async def use(breaker: Any) -> None:
        assert (await asked(module, breaker))[0]
        server.pause()
        together = await asyncio.gather(*(asked(module, breaker) for _ in range(20)))
        assert not any(answered for answered, _ in together)
        assert TIMEOUT * 0.9 <= max(took for _, took in together) < TIMEOUT * 4
        soon = [await asked(module, breaker) for _ in range(20)]
        assert not any(answered for answered, _ in soon)
        assert sum(took for _, took in soon) < TIMEOUT / 2
        await asyncio.sleep(RETRY)
        probing = await asyncio.gather(*(asked(module, breaker) for _ in range(20)))
        assert sorted(took > TIMEOUT / 2 for _, took in probing) == [False] * 19 + [True]
        server.resume()
        await answering(module, breaker)

    with redis_server() as server:
        module = load(server.url)
        run(module, use)
    assert caplog.messages == ["limits: no Redis: TimeoutError", "limits: Redis answers again"]


def test_a_server_that_is_started_again_is_found(load: Load, caplog: pytest.LogCaptureFixture) -> None:
    """Its connections are gone, and what it knew."""

    async def use(breaker: Any) -> None:
        assert not (await asked(module, breaker))[0]
        with redis_server(port) as server:
            await answering(module, breaker)
            server.stop()
            assert not (await asked(module, breaker))[0]
        with redis_server(port):
            await answering(module, breaker)

    port = free_port()
    module = load(f"redis://127.0.0.1:{port}/0")
    run(module, use)
    down = "limits: no Redis: ConnectionError"
    assert caplog.messages == [down, "limits: Redis answers again"] * 2


@pytest.mark.parametrize(
    ("error", "is_down"),
    [
        (OSError("no route"), True),
        (redis.ResponseError("OOM command not allowed"), True),
        (KeyError("a mistake of the caller's"), False),
    ],
)
def test_what_counts_as_down(load: Load, error: Exception, is_down: bool) -> None:
    async def use(breaker: Any) -> None:
        with pytest.raises(module.RedisDownError if is_down else type(error)):
            async with breaker.connected():
                raise error
        assert (await asked(module, breaker))[0] is not is_down

    with redis_server() as server:
        module = load(server.url)
        run(module, use)


def test_the_application_cannot_starve_it(load: Load) -> None:
    """Each has connections of its own; a caller that is cancelled while it tries leaves nothing shut."""

    async def use(breaker: Any) -> None:
        other = sys.modules["depot.core.redis"].build_redis("application")
        blocked = [asyncio.create_task(other.blpop(["nothing"], timeout=5)) for _ in range(3)]
        while sum(entry["cmd"] == "blpop" for entry in observer.client_list()) < 2:
            await asyncio.sleep(0.01)
        assert (await asked(module, breaker))[0]
        assert {"limits", "application"} <= {entry["name"] for entry in observer.client_list()}
        for task in blocked:
            task.cancel()
        await asyncio.gather(*blocked, return_exceptions=True)
        await other.aclose()
        server.pause()
        await asked(module, breaker)
        await asyncio.sleep(RETRY)
        probe = asyncio.create_task(asked(module, breaker))
        await asyncio.sleep(0)
        probe.cancel()
        with suppress(asyncio.CancelledError):
            await probe
        server.resume()
        await answering(module, breaker)

    with redis_server() as server, redis.Redis.from_url(server.url) as observer:
        module = load(server.url)
        run(module, use)


def test_a_busy_process_does_not_take_its_own_lateness_for_the_servers(load: Load) -> None:
    """Each turn of its event loop is long, as with many requests at once; connecting alone takes several of them."""

    async def busy() -> None:
        while True:
            time.sleep(TIMEOUT / 4)
            await asyncio.sleep(0)

    async def use(breaker: Any) -> None:
        task = asyncio.create_task(busy())
        answered, took = await asked(module, breaker)
        task.cancel()
        assert answered
        assert took > TIMEOUT

    with redis_server() as server:
        module = load(server.url)
        run(module, use)
