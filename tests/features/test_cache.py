"""The `cache` feature: its acceptance list, in one process and, with a real Redis server, in several."""

from __future__ import annotations

import asyncio
import math
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import httpx
import pytest
import redis
from pydantic import BaseModel, Field, SecretStr, TypeAdapter

from laterctl.engine.plan import Request
from tests import memory
from tests.features.resources_app import MAIN, PYPROJECT, imported
from tests.servers import Server, free_port, redis_server, uvicorn_server

pytestmark = pytest.mark.filterwarnings("error")

STORES: Final = ("memory", "redis")
RETRY: Final = 0.3
QUICK: Final = ("--timeout-graceful-shutdown", "1")
ROUTES: Final = '''

import asyncio
import os
from pathlib import Path

from pydantic import TypeAdapter

from depot.api.cache import CacheDep
from depot.core.cache import Namespace

SLOW = Namespace("slow", TypeAdapter(int), ttl=60)


async def load() -> int:
    """Note each load in a file that all processes share."""
    with Path(os.environ["LOADS"]).open("a") as file:
        file.write(f"{os.getpid()}\\n")
    await asyncio.sleep(1)
    return 7


@app.get("/slow/{key}")
async def slow(key: str, cache: CacheDep) -> tuple[int, int]:
    return await cache.get_or_set(SLOW, key, load), os.getpid()


@app.get("/who")
async def who() -> int:
    return os.getpid()


@app.get("/endless")
async def endless(cache: CacheDep) -> int:
    return await cache.get_or_set(SLOW, "endless", asyncio.Event().wait)
'''


class Line(BaseModel):
    """What is bought."""

    price: Decimal
    at: datetime
    id: UUID
    title: str = Field(alias="name")


class Hidden(BaseModel):
    """What JSON does not show."""

    key: SecretStr = SecretStr("hush")


class Excluded(BaseModel):
    """What JSON leaves out."""

    note: str = Field(default="", exclude=True)


LINE: Final = Line(price=Decimal("1.50"), at=datetime(2030, 1, 2, tzinfo=UTC), id=UUID(int=7), name="tea")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with redis_server() as running:
        yield running


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A project with the feature for each store, in which `DEPOT_`... nothing is set."""
    found = {}
    files = {
        "pyproject.toml": PYPROJECT.replace("HTTP_CLIENT", "httpx"),
        "depot/main.py": MAIN,
        "depot/__init__.py": "",
    }
    for store in STORES:
        found[store] = tmp_path_factory.mktemp(store)
        request = Request(add=("cache",), options={"cache": {"store": store}})
        after = memory.run({path: text.encode() for path, text in files.items()}, request)
        after["depot/main.py"] += ROUTES.encode()
        for path, data in after.items():
            (found[store] / path).parent.mkdir(parents=True, exist_ok=True)
            (found[store] / path).write_bytes(data)
    return found


@dataclass
class Depot:
    """The modules of a project, loaded in this process."""

    module: Any
    store: str

    def namespace(self, kind: Any = int, *, name: str = "things", ttl: float = 60) -> Any:
        return self.module.Namespace(name, TypeAdapter(kind), ttl=ttl)

    def run(self, use: Callable[..., Awaitable[None]], caches: int = 1) -> None:
        """Use caches on an event loop of their own; each is what a process has. They are closed at the end."""

        async def used() -> None:
            made = [self.module.build_cache() for _ in range(caches)]
            try:
                await use(*made)
            finally:
                for cache in made:
                    await cache.aclose()

        asyncio.run(used())

    def set(self, monkeypatch: pytest.MonkeyPatch, name: str, value: float) -> None:
        """Set a constant wherever it is imported."""
        for module in [item for key, item in sys.modules.items() if key.startswith("depot.core.")]:
            if hasattr(module, name):
                monkeypatch.setattr(module, name, value)


Load = Callable[..., Depot]


@pytest.fixture
def load(projects: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    opened: list[Any] = []

    def close() -> None:
        while opened:
            opened.pop().__exit__(None, None, None)

    def loaded(store: str, url: str = "", prefix: str = "cache") -> Depot:
        close()
        opened.append(imported(projects[store], "core.cache", {"REDIS_URL": url, "CACHE_PREFIX": prefix}))
        depot = Depot(opened[-1].__enter__(), store)
        depot.set(monkeypatch, "RETRY_SECONDS", RETRY)
        return depot

    yield loaded
    close()


@pytest.fixture(params=STORES)
def depot(request: pytest.FixtureRequest, load: Load) -> Depot:
    """A cache with either store; Redis is empty."""
    if request.param == "memory":
        return load("memory")
    server: Server = request.getfixturevalue("server")
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    return load("redis", server.url)


class Loader:
    """Counts its calls, and gives a value when it is let go."""

    def __init__(self, value: Any = 7, *, held: bool = False) -> None:
        self.value = value
        self.calls = 0
        self.begun = asyncio.Event()
        self.free = asyncio.Event()
        if not held:
            self.free.set()

    async def __call__(self) -> Any:
        self.calls += 1
        value = self.value
        self.begun.set()
        await self.free.wait()
        if isinstance(value, BaseException):
            raise value
        return value


async def gathered(cache: Any, space: Any, loader: Loader, count: int, key: str = "a") -> list[Any]:
    asked = (cache.get_or_set(space, key, loader) for _ in range(count))
    return await asyncio.gather(*asked, return_exceptions=True)


async def held(cache: Any, space: Any, loader: Loader, count: int) -> list[Any]:
    """Let a loader go when all callers wait for it."""
    begin, begun = cache._store.begin, []

    async def counted(*arguments: Any) -> bytes:
        entry: bytes = await begin(*arguments)
        begun.append(entry)
        return entry

    cache._store.begin = counted
    waiting = asyncio.create_task(gathered(cache, space, loader, count))
    while len(begun) < count:
        await asyncio.sleep(0.01)
    loader.free.set()
    return await waiting


def keys(server: Server) -> list[bytes]:
    """Return the keys of entries."""
    with redis.Redis.from_url(server.url) as client:
        return [key for key in client.scan_iter() if not key.endswith(b"}")]


def test_callers_share_one_load(depot: Depot) -> None:
    """A1 in one process; A3: nothing is a value too; each gets an object of its own."""

    async def use(cache: Any) -> None:
        space = depot.namespace(dict[str, int] | None)
        loader = Loader({"a": 1})
        found = await gathered(cache, space, loader, 100)
        assert found == [{"a": 1}] * 100
        found[0]["a"] = 2
        assert await cache.get_or_set(space, "a", loader) == {"a": 1}
        assert loader.calls == 1
        nothing = Loader(None)
        assert [await cache.get_or_set(space, "none", nothing) for _ in range(2)] == [None, None]
        assert nothing.calls == 1

    depot.run(use)


def test_four_processes_and_200_callers_load_once(projects: dict[str, Path], server: Server, tmp_path: Path) -> None:
    """A1; and a load that never ends does not keep the server from stopping."""
    loads = tmp_path / "loads"
    with redis.Redis.from_url(server.url) as observer:
        observer.flushall()
        environment = {"REDIS_URL": server.url, "LOADS": str(loads), "REDIS_TIMEOUT_SECONDS": "20"}
        with uvicorn_server("depot.main:app", projects["redis"], environment, workers=4, arguments=QUICK) as served:

            async def ask(path: str) -> list[Any]:
                limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
                async with httpx.AsyncClient(timeout=60, limits=limits) as client:
                    asked = (client.get(served.url + path) for _ in range(200))
                    return [answer.json() for answer in await asyncio.gather(*asked)]

            begun = time.monotonic()
            while len({*asyncio.run(ask("/who"))}) < 4:
                assert time.monotonic() - begun < 60, "the workers do not start"
            answers = asyncio.run(ask("/slow/a"))
            assert {value for value, _ in answers} == {7}
            assert len({process for _, process in answers}) > 1
            assert len(loads.read_text().split()) == 1
            with suppress(httpx.TimeoutException):
                httpx.get(f"{served.url}/endless", timeout=0.5)
            assert {entry["name"] for entry in observer.client_list()} >= {"cache"}
            served.process.send_signal(signal.SIGTERM)
            assert served.process.wait(timeout=20) in {0, -signal.SIGTERM}
        assert len(keys(server)) == 1


def test_an_error_is_everybody_s_and_not_kept(depot: Depot, server: Server) -> None:
    """A6."""

    async def use(cache: Any) -> None:
        space = depot.namespace()
        loader = Loader(LookupError("no such thing"), held=True)
        found = await held(cache, space, loader, 50)
        assert [type(item) for item in found] == [LookupError] * 50
        assert loader.calls == 1
        assert keys(server) == [] or depot.store == "memory"
        assert await cache.get_or_set(space, "a", Loader(1)) == 1

    depot.run(use)


def test_a_caller_that_is_cancelled_takes_nobody_along(depot: Depot) -> None:
    """A9: not even when all are; the load goes on, and its value is kept."""

    async def use(cache: Any) -> None:
        space, loader = depot.namespace(), Loader(held=True)
        callers = [asyncio.create_task(cache.get_or_set(space, "a", loader)) for _ in range(3)]
        await loader.begun.wait()
        callers[0].cancel()
        loader.free.set()
        assert (await asyncio.gather(*callers, return_exceptions=True))[1:] == [7, 7]
        alone, other = Loader(8, held=True), Loader(9)
        caller = asyncio.create_task(cache.get_or_set(space, "b", alone))
        await alone.begun.wait()
        caller.cancel()
        await asyncio.gather(caller, return_exceptions=True)
        alone.free.set()
        assert await cache.get_or_set(space, "b", other) == 8
        assert other.calls == 0

    depot.run(use)


@pytest.mark.parametrize("whole", [False, True], ids=["key", "namespace"])
def test_what_loads_during_an_invalidation_is_not_kept(depot: Depot, whole: bool) -> None:
    """A4: nor given to those who ask after it."""

    async def use(cache: Any) -> None:
        space, old, new = depot.namespace(), Loader(1, held=True), Loader(2)
        other = depot.namespace(name="others")
        assert await cache.get_or_set(other, "a", Loader(3)) == 3
        before = asyncio.create_task(cache.get_or_set(space, "a", old))
        await old.begun.wait()
        await cache.invalidate(space, None if whole else "a")
        assert await gathered(cache, space, new, 10) == [2] * 10
        old.free.set()
        assert await before == 1
        assert await cache.get_or_set(space, "a", Loader(4)) == 2
        assert await cache.get_or_set(other, "a", Loader(5)) == 3
        await cache.invalidate(space, None if whole else "a")
        assert await cache.get_or_set(space, "a", Loader(6)) == 6

    depot.run(use)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Line, LINE),
        (list[Line], [LINE]),
        (tuple[int, datetime], (1, LINE.at)),
        (dict[int, UUID], {1: LINE.id}),
        (Decimal | None, Decimal("0.10")),
        (bytes, b"\x00text"[1:]),
        (str, "\u00e9"),
    ],
)
def test_values_come_back_as_they_were(depot: Depot, kind: Any, value: Any) -> None:
    """A10: by type and value."""

    async def use(cache: Any) -> None:
        space, loader = depot.namespace(kind), Loader(value)
        for _ in range(2):
            found = await cache.get_or_set(space, "a", loader)
            assert found == value
            assert type(found) is type(value)
        assert loader.calls == 1

    depot.run(use)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (float, math.inf),
        (Hidden, Hidden()),
        (Excluded, Excluded(note="hush")),
        (list[int], (1, 2)),
        (int, "hush"),
        (Any, object()),
    ],
)
def test_what_json_does_not_give_back_is_not_kept(
    depot: Depot, kind: Any, value: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """It is the caller's all the same, and the log does not show it."""

    async def use(cache: Any) -> None:
        space, loader = depot.namespace(kind), Loader(value)
        for _ in range(2):
            assert await cache.get_or_set(space, "a", loader) is value
        assert loader.calls == 2

    depot.run(use)
    assert caplog.messages == ["things: JSON gives back no value"] * 2


@pytest.mark.parametrize("ttl", [0, -1, math.inf, math.nan])
def test_a_time_that_is_over_at_once_or_never_is_refused(load: Load, ttl: float) -> None:
    with pytest.raises(ValueError, match=r"name=.things"):
        load("memory").namespace(ttl=ttl)


def test_values_expire(depot: Depot) -> None:
    async def use(cache: Any) -> None:
        space, loader = depot.namespace(ttl=0.05), Loader()
        await cache.get_or_set(space, "a", loader)
        async with asyncio.timeout(5):
            while loader.calls == 1:
                await asyncio.sleep(0.01)
                await cache.get_or_set(space, "a", loader)

    depot.run(use)


def test_the_stop_cancels_what_loads(depot: Depot, server: Server) -> None:
    """A13: it would open a connection again. Another run, on another event loop, loads anew."""
    loaders = []

    async def use(cache: Any) -> None:
        loader = Loader(held=True)
        loaders.append(asyncio.create_task(cache.get_or_set(depot.namespace(), "a", loader)))
        await loader.begun.wait()
        await cache.aclose()
        await asyncio.wait(loaders)
        assert loaders[0].cancelled()
        assert keys(server) == [] or depot.store == "memory"

    async def again(cache: Any) -> None:
        assert await cache.get_or_set(depot.namespace(), "a", Loader(8)) == 8

    depot.run(use)
    with redis.Redis.from_url(server.url) as observer:
        begun = time.monotonic()
        while "cache" in {entry["name"] for entry in observer.client_list()}:
            assert time.monotonic() - begun < 5
    depot.run(again)


def test_one_process_keeps_so_many(load: Load) -> None:
    """The one that nobody asked for longest goes."""
    depot = load("memory")

    async def use(_: Any) -> None:
        cache = depot.module.Cache(depot.module.MemoryStore(max_entries=3))
        space, loader = depot.namespace(), Loader()
        for key in "abcad":
            await cache.get_or_set(space, key, loader)
        assert loader.calls == 4
        for key in "acd":
            await cache.get_or_set(space, key, loader)
        assert loader.calls == 4
        await cache.get_or_set(space, "b", loader)
        assert loader.calls == 5

    depot.run(use)


def test_without_a_url_each_process_has_its_own(load: Load, caplog: pytest.LogCaptureFixture) -> None:
    """It is said once."""
    depot = load("redis")

    async def use(cache: Any) -> None:
        loader = Loader()
        assert await gathered(cache, depot.namespace(), loader, 10) == [7] * 10
        assert await gathered(cache, depot.namespace(), loader, 10) == [7] * 10
        assert loader.calls == 1

    depot.run(use)
    assert caplog.messages == ["REDIS_URL is not set: each process has a cache of its own"]


# What follows is about Redis.


@pytest.fixture
def shared(load: Load, server: Server) -> Depot:
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    return load("redis", server.url)


@pytest.fixture
def client(server: Server) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(server.url) as connected:
        yield connected


def test_entries_expire_a_little_apart(shared: Depot, client: redis.Redis, server: Server) -> None:
    """A2."""

    async def use(cache: Any) -> None:
        space = shared.namespace(ttl=100)
        for key in range(50):
            await cache.get_or_set(space, str(key), Loader())

    shared.run(use)
    lives = [client.pttl(key) for key in keys(server)]
    assert all(89_000 < life <= 110_001 for life in lives)
    assert max(lives) - min(lives) > 5_000


def test_an_entry_that_is_none_of_ours_is_loaded_anew(
    shared: Depot, client: redis.Redis, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """A5: also one of another version of the application, whose type was another."""

    async def use(cache: Any) -> None:
        space = shared.namespace()
        await cache.get_or_set(space, "a", Loader(1))
        (key,) = keys(server)
        for found, wrong in enumerate((b"", b"rubbish", client.get(key)[:17] + b'"hush"', client.get(key)[:16]), 2):
            client.set(key, wrong)
            assert await cache.get_or_set(space, "a", Loader(found)) == found
            assert await cache.get_or_set(space, "a", Loader(0)) == found

    shared.run(use)
    assert set(caplog.messages) == {"things: an entry of another type"}


def test_who_loads_may_die(shared: Depot, monkeypatch: pytest.MonkeyPatch) -> None:
    """A7: others wait as long as its lease."""
    shared.set(monkeypatch, "LEASE_SECONDS", 0.5)

    async def use(cache: Any, dead: Any) -> None:
        lease = shared.module.LEASE + b"of a process that is gone"
        assert await dead._store.begin(("things", "a"), lease) == lease
        loader, begun = Loader(), time.monotonic()
        assert await gathered(cache, shared.namespace(), loader, 20) == [7] * 20
        assert loader.calls == 1
        assert 0.3 < time.monotonic() - begun < 1.5
        assert await dead.get_or_set(shared.namespace(), "a", Loader(1)) == 7

    shared.run(use, caches=2)


def test_who_holds_on_to_a_lease_is_not_waited_for_any_longer(
    shared: Depot, client: redis.Redis, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A7: the others load, and keep nothing; one of each process looks whether the lease is gone."""
    shared.set(monkeypatch, "LEASE_SECONDS", 0.5)

    async def use(cache: Any, other: Any) -> None:
        lease = shared.module.LEASE + b"of a process that goes on and on"
        assert await other._store.begin(("things", "a"), lease) == lease
        (key,) = keys(server)
        client.persist(key)
        before = client.info("commandstats")["cmdstat_evalsha"]["calls"]
        loader = Loader()
        async with asyncio.timeout(10):
            assert await gathered(cache, shared.namespace(), loader, 50) == [7] * 50
        assert loader.calls == 1
        assert client.info("commandstats")["cmdstat_evalsha"]["calls"] - before < 200
        assert client.get(key)[16:] == lease

    shared.run(use, caches=2)


def test_another_process_loads_or_fails_or_forgets(shared: Depot) -> None:
    """A4 and A6 between processes: who begins after an invalidation gets no value from before it."""

    async def use(one: Any, other: Any) -> None:
        space, loader, second = shared.namespace(), Loader(1, held=True), Loader(2)
        first = asyncio.create_task(one.get_or_set(space, "a", loader))
        await loader.begun.wait()
        waiting = asyncio.create_task(gathered(other, space, second, 20))
        await asyncio.sleep(0.05)
        loader.free.set()
        assert [await first, *await waiting] == [1] * 21
        failing = Loader(LookupError(), held=True)
        first = asyncio.create_task(one.get_or_set(space, "b", failing))
        await failing.begun.wait()
        waiting = asyncio.create_task(gathered(other, space, second, 20, "b"))
        await asyncio.sleep(0.05)
        failing.free.set()
        assert await waiting == [2] * 20
        assert second.calls == 1
        with pytest.raises(LookupError):
            await first
        stale = Loader(1, held=True)
        first = asyncio.create_task(one.get_or_set(space, "c", stale))
        await stale.begun.wait()
        await other.invalidate(space, "c")
        assert await one.get_or_set(space, "c", second) == 2
        stale.free.set()
        assert await first == 1
        assert await other.get_or_set(space, "c", Loader(3)) == 2

    shared.run(use, caches=2)


def test_prefixes_are_apart(load: Load, server: Server, client: redis.Redis) -> None:
    """A12."""
    client.flushall()
    for prefix, value, found in (("one", 1, 1), ("other", 2, 2), ("one", 3, 1)):
        depot = load("redis", server.url, prefix)

        async def use(cache: Any, depot: Depot = depot, value: int = value, found: int = found) -> None:
            assert await cache.get_or_set(depot.namespace(), "a", Loader(value)) == found
            await cache.invalidate(depot.namespace(name="elsewhere"))
            if value == 2:
                await cache.invalidate(depot.namespace())

        depot.run(use)


def test_what_redis_forgets_is_loaded_anew(shared: Depot, client: redis.Redis) -> None:
    """A11: all of it, what it evicts, and scripts; in the middle of a load, too."""

    async def use(cache: Any) -> None:
        space = shared.namespace()
        assert await cache.get_or_set(space, "a", Loader(1)) == 1
        client.script_flush()
        assert await cache.get_or_set(space, "a", Loader(2)) == 1
        generations = [key for key in client.scan_iter() if key.endswith(b"}")]
        client.delete(*generations)
        assert await cache.get_or_set(space, "a", Loader(3)) == 3
        held = Loader(4, held=True)
        caller = asyncio.create_task(cache.get_or_set(space, "b", held))
        await held.begun.wait()
        client.flushall()
        held.free.set()
        assert await caller == 4
        assert await gathered(cache, space, Loader(5), 10, "b") == [5] * 10

    shared.run(use)


def test_redis_is_down_and_comes_back(load: Load, caplog: pytest.LogCaptureFixture) -> None:
    """A8 and A14: refused, then started again."""
    port = free_port()
    depot = load("redis", f"redis://127.0.0.1:{port}/0")

    async def use(cache: Any) -> None:
        space, loader = depot.namespace(), Loader(held=True)
        assert await held(cache, space, loader, 100) == [7] * 100
        assert loader.calls == 1
        begun = time.monotonic()
        for _ in range(100):
            assert await cache.get_or_set(space, "a", loader) == 7
        assert time.monotonic() - begun < 1
        assert loader.calls > 90
        old = Loader(1, held=True)
        before = asyncio.create_task(cache.get_or_set(space, "a", old))
        await old.begun.wait()
        await cache.invalidate(space, "a")
        assert await cache.get_or_set(space, "a", loader) == 7
        old.free.set()
        assert await before == 1
        with redis_server(port) as server:
            async with asyncio.timeout(10):
                while not keys(server):
                    await asyncio.sleep(0.05)
                    await cache.get_or_set(space, "a", loader)
            calls = loader.calls
            assert await gathered(cache, space, loader, 10) == [7] * 10
            assert loader.calls == calls

    depot.run(use)
    assert caplog.messages == [
        "cache: no Redis: ConnectionError",
        "things: an invalidation is lost",
        "cache: Redis answers again",
    ]


def test_redis_stalls(load: Load, caplog: pytest.LogCaptureFixture) -> None:
    """A8: the wait is short, and once; who loads when it begins still gives its value."""

    async def use(cache: Any) -> None:
        space, held = depot.namespace(), Loader(1, held=True)
        caller = asyncio.create_task(cache.get_or_set(space, "held", held))
        await held.begun.wait()
        server.pause()
        begun = time.monotonic()
        for _ in range(100):
            assert await cache.get_or_set(space, "a", Loader()) == 7
        assert time.monotonic() - begun < 2
        held.free.set()
        assert await caller == 1
        server.resume()
        async with asyncio.timeout(10):
            while len(caplog.messages) < 2:
                await asyncio.sleep(0.05)
                await cache.get_or_set(space, "b", Loader())

    with redis_server() as server:
        depot = load("redis", server.url)
        depot.run(use)
    assert caplog.messages[0] == "cache: no Redis: TimeoutError"
    assert caplog.messages[-1] == "cache: Redis answers again"
    assert len(caplog.messages) == 2
