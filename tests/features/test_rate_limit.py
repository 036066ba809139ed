"""What `laterctl add rate-limit` promises, on real servers: one worker and four, Redis that stalls, stops and comes back."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from types import ModuleType

import httpx
import pytest
import redis
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from laterctl.engine.plan import Request
from tests import memory
from tests.features.jwt_app import environment, forged, write_app
from tests.features.resources_app import imported
from tests.servers import Server, free_port, paused, redis_server, uvicorn_server, worker_processes

APP = "project.main:app"
PREFIX = b"rate-limit:1:"
ROUTES = '''

from typing import Annotated

from fastapi import APIRouter, Header, HTTPException
from fastapi.responses import JSONResponse

from project.core.rate_limit import limit
from project.core.rate_limit_user import by_user


async def by_name(x_name: Annotated[str, Header()]) -> str:
    """Count the requests of a name."""
    return x_name


things = APIRouter(prefix="/things", dependencies=[limit("5/minute")])


@app.get("/free")
async def free() -> str:
    """Answer without a limit of its own."""
    return "free"


@app.get("/named", dependencies=[limit("5/minute", key=by_name)])
async def named() -> str:
    """Answer five times a minute."""
    return "named"


@app.get("/few", dependencies=[limit("5/hour", key=by_name)])
async def few() -> str:
    """Answer so seldom that a slow machine does not show."""
    return "few"


@app.get("/soon", dependencies=[limit("1/second", key=by_name)])
async def soon() -> str:
    """Answer once a second."""
    return "soon"


@app.get("/user", dependencies=[limit("2/minute", key=by_user)])
async def of_user(user: CurrentUser) -> str:
    """Answer a user twice a minute."""
    return user.subject


@things.get("/{thing_id}")
def thing(thing_id: int) -> JSONResponse:
    """Answer, raise, or fail."""
    if thing_id == 404:
        raise HTTPException(404)
    return JSONResponse({"part": 1 // thing_id}, headers={"Retry-After": "inner"} if thing_id == 2 else None)


@things.post("/{thing_id}")
def changed(thing_id: int) -> int:
    """Have a limit apart from the other method's."""
    return thing_id


@app.websocket("/limited")
async def limited(websocket: WebSocket, _taken: Annotated[None, limit("2/minute")]) -> None:
    """Greet whoever may connect."""
    await websocket.accept()
    await websocket.send_text("hello")
    await websocket.close()


app.include_router(things)
'''
CLIENT = httpx.Client(timeout=30, limits=httpx.Limits(max_keepalive_connections=0))
"""A connection for each request: the kernel spreads them over the workers of a server."""

_numbers = count(1)


def somebody() -> dict[str, str]:
    """Return the headers of a client that has not asked before: the server trusts a proxy on this machine."""
    return {"X-Forwarded-For": f"198.51.{(number := next(_numbers)) // 250}.{number % 250 + 1}"}


def named() -> dict[str, str]:
    """Return the headers of a new client with a name of its own."""
    return {"X-Name": f"name {next(_numbers)}", **somebody()}


def write(folder: Path, *others: str, **options: str) -> Path:
    """Write the application with the feature beside `jwt`, and with other features."""
    write_app(folder)
    files = memory.read(folder)
    main = files["project/main.py"]
    after = memory.run(files, Request(add=("rate-limit", *others), options={"rate-limit": options}))
    assert main != after["project/main.py"]
    after["project/main.py"] += ROUTES.encode()
    for path, data in after.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("project"), "cors", "metrics")


@pytest.fixture(scope="module")
def redis_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("redis_project"), store="redis")


@pytest.fixture(scope="module")
def server(project: Path) -> Iterator[Server]:
    """One worker that counts in memory, where each client may ask eight times a minute."""
    more = environment(RATE_LIMIT_DEFAULT="8/minute", CORS_ORIGINS="https://app.example.com")
    with uvicorn_server(APP, project, more) as running:
        yield running


@pytest.fixture(scope="module")
def store() -> Iterator[Server]:
    with redis_server() as running:
        yield running


@pytest.fixture(scope="module")
def workers(redis_project: Path, store: Server) -> Iterator[Server]:
    """Four workers that count in Redis."""
    with uvicorn_server(APP, redis_project, environment(REDIS_URL=store.url), workers=4) as running:
        yield running


def ask(server: Server, path: str, headers: dict[str, str], method: str = "GET") -> httpx.Response:
    return CLIENT.request(method, f"{server.url}{path}", headers=headers)


def statuses(server: Server, path: str, headers: dict[str, str], times: int) -> list[int]:
    return [ask(server, path, headers).status_code for _ in range(times)]


# 1. The limit holds, on whatever worker ------------------------------------------------------------------------------


def test_1_four_workers_let_exactly_the_limit_through(workers: Server) -> None:
    serial = named()
    processes = worker_processes(lambda: int(ask(workers, "/free", named()).headers["X-Worker"]), 4)
    found = []
    for process in processes:
        with paused({*processes} - {process}):
            found += statuses(workers, "/few", serial, 3)
    assert found == [200] * 5 + [429] * 7

    together = named()
    with ThreadPoolExecutor(50) as pool:
        assert Counter(pool.map(lambda _: ask(workers, "/few", together).status_code, range(200))) == {200: 5, 429: 195}


@pytest.mark.parametrize("kind", ["server", "workers"])
def test_1_whoever_waits_as_long_as_told_is_let_in(kind: str, request: pytest.FixtureRequest) -> None:
    found: Server = request.getfixturevalue(kind)
    who = named()
    assert ask(found, "/soon", who).status_code == 200
    refused = ask(found, "/soon", who)
    assert (refused.status_code, refused.json()) == (429, {"detail": "Too many requests"})
    assert refused.headers["Retry-After"] == "1"
    time.sleep(1)
    assert ask(found, "/soon", who).status_code == 200


def test_1_a_refused_request_does_not_delay_the_next(server: Server) -> None:
    who = named()
    waits = [ask(server, "/named", who).headers.get("Retry-After") for _ in range(8)]
    assert waits[:5] == [None] * 5
    assert all(11 <= int(wait or 0) <= 12 for wait in waits[5:])


# 2. Headers ----------------------------------------------------------------------------------------------------------


def test_2_whatever_the_answer_it_tells_what_is_left(server: Server) -> None:
    """Also where the handler raises, fails, or answers by itself; and each header once."""
    who = somebody()
    paths = ("/things/1", "/things/404", "/things/x", "/things/0", "/things/2", "/things/1")
    answers = [ask(server, path, who) for path in paths]
    assert [answer.status_code for answer in answers] == [200, 404, 422, 500, 200, 429]
    left = [answer.headers.get_list("RateLimit") for answer in answers]
    assert [only.partition(";t=")[0] for (only,) in left] == [f'"default";r={number}' for number in (4, 3, 2, 1, 0, 0)]
    assert [int(only.partition(";t=")[2]) for (only,) in left] == pytest.approx([12, 24, 36, 48, 60, 60], abs=2)
    assert {answer.headers["RateLimit-Policy"] for answer in answers} == {'"default";q=5;w=60'}
    assert answers[4].headers["Retry-After"] == "inner"
    (wait,) = answers[5].headers.get_list("Retry-After")
    assert 10 <= int(wait) <= 12


def test_2_of_several_limits_the_tightest_is_told(server: Server) -> None:
    who = named()
    told = [ask(server, "/named", who).headers["RateLimit-Policy"] for _ in range(2)]
    assert told == ['"default";q=5;w=60'] * 2
    assert ask(server, "/free", who).headers["RateLimit-Policy"] == '"default";q=8;w=60'


def test_2_pages_may_read_them_also_of_a_429(server: Server) -> None:
    who = {**named(), "Origin": "https://app.example.com"}
    answer = [ask(server, "/named", who) for _ in range(6)][-1]
    assert answer.status_code == 429
    assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example.com"
    assert {"RateLimit", "Retry-After"} <= {*answer.headers["Access-Control-Expose-Headers"].split(", ")}


# 3. Who and what is counted ------------------------------------------------------------------------------------------


def test_3_each_client_has_a_limit_in_all_that_probes_and_preflights_do_not_use(server: Server) -> None:
    who = {**somebody(), "Origin": "https://app.example.com", "Access-Control-Request-Method": "GET"}
    for _ in range(10):
        assert ask(server, "/free", who, "OPTIONS").status_code == 200
        assert ask(server, "/metrics", who).status_code == 200
    assert ask(server, "/named", {"X-Forwarded-For": "198.51.100.77"}, "OPTIONS").status_code == 405
    assert statuses(server, "/free", who, 9) == [200] * 8 + [429]
    assert ask(server, "/nowhere", who).status_code == 429
    assert ask(server, "/metrics", who).status_code == 200
    assert "RateLimit" not in ask(server, "/metrics", who).headers
    assert ask(server, "/free", somebody()).status_code == 200


def test_3_the_limit_of_a_route_counts_its_template_for_each_method(server: Server) -> None:
    who = somebody()
    assert [ask(server, f"/things/{number}", who).status_code for number in (1, 3, 4, 5, 6, 7)] == [200] * 5 + [429]
    assert ask(server, "/things/1", who, "POST").status_code == 200


def test_3_networks_of_ipv6_are_one_client_and_mapped_addresses_are_the_ipv4_ones(server: Server) -> None:
    for one, same, other in (
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "2001:db8:1:3::1"),
        ("::ffff:203.0.113.5", "203.0.113.5", "::ffff:203.0.113.6"),
    ):
        assert statuses(server, "/free", {"X-Forwarded-For": one}, 9)[-1] == 429
        assert ask(server, "/free", {"X-Forwarded-For": same}).status_code == 429
        assert ask(server, "/free", {"X-Forwarded-For": other}).status_code == 200


def test_3_users_are_counted_after_they_are_known(server: Server) -> None:
    """A token that is refused uses up nothing, and an address has no part in it."""
    bearer = {"Authorization": f"Bearer {forged({'sub': 'user-3'})}"}
    for _ in range(3):
        assert ask(server, "/user", {**somebody(), "Authorization": "Bearer x"}).status_code == 401
    assert [ask(server, "/user", {**somebody(), **bearer}).status_code for _ in range(3)] == [200, 200, 429]
    other = {"Authorization": f"Bearer {forged({'sub': 'user-4'})}"}
    assert ask(server, "/user", {**somebody(), **other}).status_code == 200


# 4. Redis that is gone -----------------------------------------------------------------------------------------------


def key_of(who: dict[str, str]) -> bytes:
    """Return the key of a client's requests for `/named`."""
    return PREFIX + f"5:60:GET/named:{who['X-Name']}".encode()


def timed(server: Server, path: str, headers: dict[str, str]) -> tuple[int, float]:
    begun = time.perf_counter()
    return ask(server, path, headers).status_code, time.perf_counter() - begun


def until_counted_in(store: Server, server: Server) -> None:
    """Ask until Redis knows somebody new."""
    deadline = time.monotonic() + 10
    with closing(redis.Redis.from_url(store.url)) as client:
        who = named()
        while not client.exists(key_of(who)):
            assert time.monotonic() < deadline
            time.sleep(0.05)
            who = named()
            ask(server, "/named", who)


def test_4_while_redis_stalls_is_stopped_or_comes_back_the_limit_holds(redis_project: Path) -> None:
    """Each process then counts by itself; a stall delays a request or two, and no other route."""
    with redis_server() as store, uvicorn_server(APP, redis_project, environment(REDIS_URL=store.url)) as server:
        until_counted_in(store, server)
        with closing(redis.Redis.from_url(store.url)) as client:
            who = named()
            assert statuses(server, "/named", who, 6)[-1] == 429
            client.flushall()
            client.script_flush()
            assert statuses(server, "/named", who, 6) == [200] * 5 + [429]
            client.flushall()

        store.pause()
        who = named()
        with ThreadPoolExecutor(2) as pool:
            waiting = pool.submit(timed, server, "/named", who)
            status, unlimited = timed(server, "/free", who)
            answer, stalled = waiting.result()
        assert (answer, status) == (200, 200)
        assert unlimited < stalled
        assert 0.2 < stalled < 1.5
        rest = [timed(server, "/named", who) for _ in range(10)]
        assert [code for code, _ in rest] == [200] * 4 + [429] * 6
        assert sorted(took for _, took in rest)[5] < 0.2
        store.resume()
        until_counted_in(store, server)

        port = store.port
        store.stop()
        assert statuses(server, "/named", named(), 7) == [200] * 5 + [429] * 2
        with redis_server(port) as again:
            until_counted_in(again, server)
        server.stop()
        said = [line for line in server.output().splitlines() if line.startswith("rate-limit: ")]
        assert said[:2] == ["rate-limit: no Redis: TimeoutError", "rate-limit: Redis answers again"]
        assert said[2:4] == ["rate-limit: no Redis: ConnectionError", "rate-limit: Redis answers again"]
        assert len(said) == 4
        assert "Traceback" not in server.output()


@contextmanager
def loaded(folder: Path, **settings: str) -> Iterator[ModuleType]:
    """Import the application of a folder, with these settings."""
    with imported(folder, "main", environment(**settings), package="project") as main:
        yield main


def asked(main: ModuleType, times: int, headers: dict[str, str]) -> list[httpx.Response]:
    """Return what the application answers, in a run of its own, to requests for a limited route."""

    async def run() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=main.app)
        async with (
            main.app.router.lifespan_context(main.app),
            httpx.AsyncClient(transport=transport, base_url="http://test") as client,
        ):
            return [await client.get("/named", headers=headers) for _ in range(times)]

    return asyncio.run(run())


@pytest.mark.parametrize(("on_error", "status"), [("allow", 200), ("deny", 503)])
def test_4_without_redis_all_is_allowed_or_denied_where_that_is_chosen(
    tmp_path: Path, on_error: str, status: int
) -> None:
    write(tmp_path, store="redis", on_error=on_error, headers="legacy")
    nobody = f"redis://127.0.0.1:{free_port()}/0"
    for settings in ({}, {"RATE_LIMIT_DEFAULT": "100/minute"}):
        with loaded(tmp_path, REDIS_URL=nobody, **settings) as main:
            answers = asked(main, 7, named())
        assert [answer.status_code for answer in answers] == [status] * 7
        assert {answer.headers.get("Retry-After") for answer in answers} == ({None} if status == 200 else {"5"})


def test_2_older_headers_or_none_where_that_is_chosen(tmp_path: Path) -> None:
    for name in ("legacy", "off"):
        with loaded(write(tmp_path / name, headers=name)) as main:
            now = time.time()
            first, *_, last = asked(main, 6, named())
        assert "RateLimit" not in first.headers
        assert last.headers["Retry-After"] == "12"
        if name == "off":
            assert not [header for header in (*first.headers, *last.headers) if "ratelimit" in header]
        else:
            names = ("X-RateLimit-Limit", "X-RateLimit-Remaining")
            assert [first.headers[key] for key in names] == ["5", "4"]
            assert [last.headers[key] for key in names] == ["5", "0"]
            assert float(last.headers["X-RateLimit-Reset"]) == pytest.approx(now + 60, abs=3)


# 5. Behind a proxy ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("trusted", "passes"), [("127.0.0.1", 3), ("10.9.8.7", 1)])
def test_5_what_a_client_prepends_does_not_change_who_it_is(project: Path, trusted: str, passes: int) -> None:
    """The last address that no trusted proxy has counts; without trust, the header does not count at all."""
    settings = environment(RATE_LIMIT_DEFAULT="3/minute", FORWARDED_ALLOW_IPS=trusted)
    with uvicorn_server(APP, project, settings) as server:
        clients = [f"6.6.6.{number}, 203.0.113.9" for number in range(8)]
        found = [ask(server, "/free", {"X-Forwarded-For": chain}).status_code for chain in clients]
        assert found == [200] * 3 + [429] * 5 if passes == 3 else 429 in found
        other = ask(server, "/free", {"X-Forwarded-For": "203.0.113.10"}).status_code
        assert other == (200 if passes == 3 else 429)


# 6. WebSockets -------------------------------------------------------------------------------------------------------


def handshake(server: Server, path: str, who: dict[str, str]) -> str:
    """Return what a socket says first, or how it was refused."""
    try:
        with connect(f"{server.url.replace('http', 'ws')}{path}", additional_headers=who) as socket:
            return str(socket.recv())
    except InvalidStatus as refused:
        told = refused.response.headers
        return f"{refused.response.status_code} {told['RateLimit'].partition(';t=')[0]} {'Retry-After' in told}"


@pytest.mark.parametrize("kind", ["server", "workers"])
def test_6_handshakes_count_and_above_the_limit_are_answered_429(kind: str, request: pytest.FixtureRequest) -> None:
    found: Server = request.getfixturevalue(kind)
    who = somebody()
    refused = '429 "default";r=0 True'
    assert [handshake(found, "/limited", who) for _ in range(3)] == ["hello", "hello", refused]
    if kind == "server":
        assert statuses(found, "/free", who, 6) == [200] * 5 + [429]
        assert handshake(found, "/limited", who) == refused


# 7. Keys -------------------------------------------------------------------------------------------------------------


def test_7_keys_have_a_prefix_and_an_end(workers: Server, store: Server) -> None:
    who = named()
    statuses(workers, "/named", who, 7)
    with closing(redis.Redis.from_url(store.url)) as client:
        keys = client.keys("*")
        assert all(key.startswith(PREFIX) for key in keys)
        endless = [key for key in keys if client.pttl(key) == -1]
        assert 0 < client.pttl(key_of(who)) <= 60_000, "no longer than its window"
    assert endless == []


# What is written into the project ------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "5", "0/minute", "5/fortnight", "5 / minute", "1/minute;10/hour", "-1/second"])
def test_a_text_that_is_no_rate_is_an_error_of_the_start(project: Path, text: str) -> None:
    with loaded(project) as main, pytest.raises(ValueError, match="is no rate such as"):
        main.limit(text)
    if text:
        with pytest.raises(ValueError, match="RATE_LIMIT_DEFAULT"), loaded(project, RATE_LIMIT_DEFAULT=text):
            pass


def test_any_rate_is_let_in_as_often_as_it_says(project: Path) -> None:
    """No rounding takes one away, or gives one more."""

    async def run(module: ModuleType, requests: int) -> None:
        rate = module.Rate(requests, 60)
        for _ in range(requests):
            await module._take({"type": "http"}, rate, "key")
        with pytest.raises(module.HTTPException):
            await module._take({"type": "http"}, rate, "key")

    with loaded(project) as main:
        module = sys.modules[main.limit.__module__]
        now = time.monotonic_ns()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(time, "monotonic_ns", lambda: now)
            for requests in (1, 3, 7, 11, 59, 61, 997):
                asyncio.run(run(module, requests))


def test_memory_is_bounded(project: Path) -> None:
    """The one that was let in longest ago goes first."""
    with loaded(project) as main:
        module = sys.modules["project.core.rate_store"]
        assert main.limit

        async def run() -> None:
            store = module.RateStore()
            for number in (*range(4), 0, 4):
                await store.take(str(number), 10**9, 10**10)
            assert [await store.take(str(number), 10**9, 0) for number in (0, 1)] == [
                pytest.approx(3 * 10**9, rel=0.01),
                10**9,
            ]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "MAX_KEYS", 4)
            asyncio.run(run())


@pytest.mark.parametrize("kind", ["project", "redis_project"])
def test_the_dropped_test_passes_in_the_project(kind: str, request: pytest.FixtureRequest) -> None:
    """Without Redis, and with every warning an error."""
    folder: Path = request.getfixturevalue(kind)
    quiet = ("-q", "-W", "error", "-p", "no:cacheprovider", "-o", "asyncio_default_fixture_loop_scope=function")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "pytest", *quiet, "tests/test_rate_limit.py"],
        cwd=folder,
        env={**os.environ, **environment(), "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
