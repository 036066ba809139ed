"""What `laterctl add websocket` promises, on real servers: one worker and four, Redis that is stopped and comes back."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from laterctl.engine.plan import Request
from tests import memory
from tests.features.jwt_app import environment, forged, write_app
from tests.features.resources_app import imported
from tests.servers import Server, paused, redis_server, uvicorn_server, worker_processes

APP = "project.main:app"
PAGE = "https://app.example.com"
PYPROJECT = """\
[project]
name = "project"
version = "1"
requires-python = ">=3.10"
dependencies = ["fastapi>=0.145", "uvicorn"]
"""
MAIN = "from fastapi import FastAPI\n\napp = FastAPI()\n"
ROUTES = '''

import asyncio

from fastapi import APIRouter

from project.api.ws import CallerDep, HubDep, admit
from project.core.realtime import topic_of


@app.get("/count")
async def count(hub: HubDep) -> int:
    """Tell how many are connected."""
    return hub.count()


@app.post("/publish/{topic}")
async def publish(topic: str, text: str, hub: HubDep) -> int:
    """Send a text to a topic."""
    await hub.publish(text, topic)
    return os.getpid()


@app.post("/flood/{times}")
async def flood(times: int, size: int, pause: float, hub: HubDep) -> None:
    """Send texts to everybody."""
    for number in range(times):
        await hub.publish(f"{number:{size}}")
        if pause:
            await asyncio.sleep(pause)


@app.post("/out/{subject}")
async def out(subject: str, hub: HubDep) -> None:
    """Take a permission away."""
    await hub.disconnect(topic_of(subject))


more = APIRouter(dependencies=[Depends(admit)])


@more.websocket("/fails")
async def fails(websocket: WebSocket, caller: CallerDep, hub: HubDep) -> None:
    """Fail at the first text."""
    async with hub.connected(websocket, caller, "news") as connection:
        async for text in connection.texts():
            if text != "wait":
                raise LookupError(text)


app.include_router(more)
'''


def write(folder: Path, *others: str, **options: str) -> Path:
    """Write the application with the feature beside `jwt`, and with other features."""
    write_app(folder)
    files = memory.read(folder)
    options = {"path": "/live", **options}
    after = memory.run(files, Request(add=("websocket", *others), options={"websocket": options}))
    routes = ROUTES.replace("from fastapi import", "from fastapi import Depends,")
    after["project/main.py"] += routes.encode()
    for path, data in after.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("project"), "cors")


@pytest.fixture(scope="module")
def redis_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("redis_project"), store="redis")


@pytest.fixture(scope="module")
def server(project: Path) -> Iterator[Server]:
    more = environment(
        CORS_ORIGINS=f"{PAGE},https://other.example",
        WS_ORIGINS='["https://own.example", "http://localhost:3000/"]',
        WS_MAX_OF_USER="4",
        WS_MAX_CONNECTIONS="6",
    )
    with uvicorn_server(APP, project, more) as running:
        yield running


@pytest.fixture(scope="module")
def store() -> Iterator[Server]:
    with redis_server() as running:
        yield running


@pytest.fixture(scope="module")
def redis_server_of_one(redis_project: Path, store: Server) -> Iterator[Server]:
    with uvicorn_server(APP, redis_project, environment(REDIS_URL=store.url)) as running:
        yield running


def bearer(**claims: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {forged(claims)}"}


def opened(server: Server, path: str = "/live", **options: Any) -> connect:
    """Return a connection to open, of a caller whom the server knows unless `additional_headers` say otherwise."""
    headers = options.pop("additional_headers", None)
    more: dict[str, Any] = {
        "ping_interval": None,
        "compression": None,
        "open_timeout": 30,
        "close_timeout": 2,
        **options,
    }
    url = server.url.replace("http", "ws", 1) + path
    return connect(url, additional_headers=bearer() if headers is None else headers, **more)


def run(check: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a check of several connections, for a minute at most."""
    asyncio.run(asyncio.wait_for(check(), 60))


async def refusal(server: Server, **options: Any) -> tuple[int, str | None]:
    """Return the status of a handshake that is refused, and how to authenticate."""
    with pytest.raises(InvalidStatus) as raised:
        await opened(server, **options)
    response = raised.value.response
    return response.status_code, response.headers.get("WWW-Authenticate")


async def code_of(client: ClientConnection) -> int | None:
    """Return the code that a server closes a connection by."""
    with suppress(ConnectionClosed):
        while True:
            await client.recv()
    return client.close_code


def count(server: Server) -> int:
    return int(httpx.get(f"{server.url}/count", timeout=30).text)


async def until_nobody(server: Server, expected: int = 0) -> None:
    """Wait until nobody is connected any more."""
    deadline = time.monotonic() + 10
    while (found := await asyncio.to_thread(count, server)) != expected:
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.05)


# 1. and 2. The handshake ---------------------------------------------------------------------------------------------


def test_1_strangers_are_refused_before_they_are_connected(server: Server) -> None:
    async def check() -> None:
        for origin in ("https://evil.example", f"{PAGE}.evil.io", "null", "http://app.example.com", f"{PAGE}:8443"):
            assert await refusal(server, origin=origin) == (403, None)
        assert await refusal(server, additional_headers={}) == (401, "Bearer")
        for token in ("Bearer x", f"Bearer {forged({'exp': 1})}"):
            refused = await refusal(server, additional_headers={"Authorization": token})
            assert refused == (401, 'Bearer error="invalid_token"')
        assert await asyncio.to_thread(count, server) == 0

    run(check)


def test_1_pages_of_listed_origins_and_of_the_host_may_connect(server: Server) -> None:
    async def check() -> None:
        listed = (None, PAGE, "https://other.example", "https://own.example", "http://localhost:3000", server.url)
        for origin in listed:
            async with opened(server, origin=origin) as client:
                await client.send("hello")
                assert await client.recv() == "hello"

    run(check)


def test_2_a_browser_gives_its_token_as_a_protocol(server: Server) -> None:
    """Only `bearer` comes back, and the log has no token."""

    async def check() -> None:
        token = forged()
        async with opened(server, additional_headers={}, subprotocols=["bearer", token]) as client:
            assert client.subprotocol == "bearer"
            assert token not in str(client.response.headers if client.response else "")
        for protocols in (["bearer"], ["bearer", "x"], ["chat", token]):
            status, _ = await refusal(server, additional_headers={}, subprotocols=protocols)
            assert status == 401
        assert token not in server.output()

    run(check)


# 3. The end of a permission ------------------------------------------------------------------------------------------


def test_3_an_expired_token_and_a_lost_permission_close(server: Server) -> None:
    async def check() -> None:
        now = int(time.time())
        async with (
            opened(server, additional_headers=bearer(exp=now + 2)) as brief,
            opened(server, additional_headers=bearer(sub="user-2")) as other,
            opened(server, additional_headers=bearer()) as stays,
        ):
            assert await code_of(brief) == 4401
            assert now + 2 <= time.time() < now + 3
            await asyncio.to_thread(httpx.post, f"{server.url}/out/user-2")
            assert await code_of(other) == 4403
            await stays.send("still here")
            assert await stays.recv() == "still here"

    run(check)


# 4. Whatever ends a connection ---------------------------------------------------------------------------------------


def test_4_what_is_no_text_or_too_large_closes(server: Server) -> None:
    async def check() -> None:
        for message, code in ((b"x", 1003), ("x" * 65537, 1009), ("\N{SNOWMAN}" * 21846, 1009)):
            async with opened(server) as client:
                await client.send(message)
                assert await code_of(client) == code
        async with opened(server) as client:
            await client.send("x" * 65536)
            assert await client.recv() == "x" * 65536

    run(check)


@pytest.mark.parametrize("way", ["close", "abort", "binary", "error"])
def test_4_nothing_stays_whatever_ends_a_hundred_connections(server: Server, way: str) -> None:
    async def once() -> None:
        client = await opened(server, "/fails" if way == "error" else "/live")
        if way == "abort":
            client.transport.abort()
            return
        if way in {"binary", "error"}:
            await client.send(b"x" if way == "binary" else "x")
            assert await code_of(client) == (1003 if way == "binary" else 1011)
        await client.close()

    async def check() -> None:
        for _ in range(25):
            await asyncio.gather(*(once() for _ in range(4)))
            if way == "abort":
                await until_nobody(server)
        await until_nobody(server)

    run(check)


# 5. Bounds -----------------------------------------------------------------------------------------------------------


async def flooded(server: Server, reader: ClientConnection, times: int, **how: float) -> None:
    """Have everybody sent many texts, and read them."""
    flood = partial(httpx.post, f"{server.url}/flood/{times}", params=how, timeout=60)
    flooding = asyncio.create_task(asyncio.to_thread(flood))
    for number in range(times):
        assert int(await asyncio.wait_for(reader.recv(), 5)) == number
    assert (await flooding).status_code == 200


def test_5_a_client_that_reads_nothing_is_closed_and_delays_nobody(server: Server) -> None:
    async def check() -> None:
        async with opened(server) as reader:
            slow = await opened(server, max_queue=1)
            slow.transport.pause_reading()
            await flooded(server, reader, 600, size=50_000, pause=0.002)
            await until_nobody(server, 1)
            slow.transport.resume_reading()
            assert await code_of(slow) in {1013, 1006}

    run(check)


@pytest.mark.parametrize("kind", ["server", "redis_server_of_one"])
def test_5_a_burst_is_not_too_much(kind: str, request: pytest.FixtureRequest) -> None:
    """More texts at once than may wait for a client, which are sent between two of them."""
    found: Server = request.getfixturevalue(kind)

    async def check() -> None:
        async with opened(found) as reader:
            await flooded(found, reader, 500, size=10, pause=0)

    run(check)


def test_5_connections_are_bounded_for_a_user_and_in_all(server: Server) -> None:
    async def check() -> None:
        async with AsyncExitStack() as stack:
            for _ in range(4):
                await stack.enter_async_context(opened(server))
            assert (await refusal(server))[0] == 503
            for _ in range(2):
                await stack.enter_async_context(opened(server, additional_headers=bearer(sub="user-2")))
            assert (await refusal(server, additional_headers=bearer(sub="user-3")))[0] == 503
        await until_nobody(server)

    run(check)


# 6. and 7. Several processes -----------------------------------------------------------------------------------------


def test_6_what_one_process_sends_reaches_the_clients_of_all(redis_project: Path, store: Server) -> None:
    """And the client that sent it, once."""

    async def check() -> None:
        async with AsyncExitStack() as stack:
            clients = []
            for worker in workers:
                with paused({*workers} - {worker}):
                    clients += [await stack.enter_async_context(opened(server)) for _ in range(3)]
            await clients[0].send("hello")
            await asyncio.to_thread(httpx.post, f"{server.url}/publish/everybody", params={"text": "bye"}, timeout=30)
            for client in clients:
                assert [await asyncio.wait_for(client.recv(), 10) for _ in range(2)] == ["hello", "bye"]
            await asyncio.to_thread(httpx.post, f"{server.url}/out/user-1", timeout=30)
            assert [await code_of(client) for client in clients] == [4403] * 12

    with uvicorn_server(APP, redis_project, environment(REDIS_URL=store.url), workers=4) as server:
        workers = worker_processes(lambda: int(httpx.post(f"{server.url}/publish/nobody?text=").text), 4)
        run(check)


def test_7_while_redis_is_down_connections_stay_and_come_back_to_it(redis_project: Path) -> None:
    async def check() -> None:
        async with opened(server) as sender, opened(server) as other:
            await sender.send("one")
            assert await other.recv() == "one"
            store.stop()
            await sender.send("two")
            assert await code_of(sender) == 1011
            answer = await asyncio.to_thread(httpx.post, f"{server.url}/publish/everybody", params={"text": "no"})
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
            with redis_server(store.port):
                async with httpx.AsyncClient() as http:
                    await asyncio.sleep(2)
                    (await http.post(f"{server.url}/publish/everybody", params={"text": "three"})).raise_for_status()
                assert await asyncio.wait_for(other.recv(), 5) == "three"

    with redis_server() as store, uvicorn_server(APP, redis_project, environment(REDIS_URL=store.url)) as server:
        run(check)
        assert server.output().count("Messages do not arrive") == 2  # once each time
        assert "Traceback" not in server.output()


def test_7_a_redis_that_stalls_is_noticed(redis_project: Path) -> None:
    """A connection that is quiet is asked whether it is there."""

    async def until(event: asyncio.Event, *, is_set: bool) -> None:
        deadline = time.monotonic() + 10
        while event.is_set() is not is_set:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)

    async def check() -> None:
        hub = realtime.Hub()
        listening = asyncio.create_task(hub._listen(hub._redis))
        await until(hub._listens, is_set=True)
        await asyncio.sleep(0.5)  # quiet, and answered
        assert hub._listens.is_set()
        store.pause()
        await until(hub._listens, is_set=False)
        store.resume()
        await until(hub._listens, is_set=True)
        listening.cancel()
        await hub.aclose()

    with (
        redis_server() as store,
        imported(redis_project, "core.realtime", environment(REDIS_URL=store.url), package="project") as realtime,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(realtime, "QUIET_SECONDS", 0.1)
        run(check)


# 8. The end ----------------------------------------------------------------------------------------------------------


def test_8_it_ends_whatever_the_listener_is_doing(redis_project: Path, store: Server) -> None:
    """Python 3.11 loses a cancellation that comes while something is sent: of 300 like these, 30 hung."""

    async def closed(number: int) -> None:
        hub = realtime.Hub()
        hub._listener = asyncio.create_task(hub._listen(hub._redis))
        await asyncio.sleep(number / 200)
        async with asyncio.timeout(5):
            await hub.aclose()

    async def check() -> None:
        await asyncio.gather(*map(closed, range(200)))

    settings = environment(REDIS_URL=store.url)
    with (
        imported(redis_project, "core.realtime", settings, package="project") as realtime,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(realtime, "QUIET_SECONDS", 0.1)
        run(check)


@pytest.mark.parametrize("kind", ["project", "redis_project"])
def test_8_at_a_stop_every_client_is_told(kind: str, store: Server, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(kind)

    async def check() -> None:
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(opened(server)) for _ in range(50)]
            begun = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            assert {await code_of(client) for client in clients} <= {1001, 1012}
            await asyncio.to_thread(server.process.wait, 5)
            assert time.monotonic() - begun < 5

    with uvicorn_server(APP, folder, environment(REDIS_URL=store.url, WS_MAX_OF_USER="50")) as server:
        run(check)
        assert "Traceback" not in server.output()


# Whoever the project knows as callers ---------------------------------------------------------------------------------

OWN = '''
from fastapi import HTTPException
from fastapi.requests import HTTPConnection


async def get_current_user(connection: HTTPConnection) -> str:
    """Return the name that is in the header."""
    scheme, _, name = connection.headers.get("Authorization", "").partition(" ")
    if scheme != "Bearer" or name == "nobody":
        raise HTTPException(401, headers={"WWW-Authenticate": "Bearer"})
    return name
'''
OF_ONE = """

from fastapi import APIRouter

from project.api.ws import CallerDep


@app.websocket("/name")
async def name(websocket: WebSocket, caller: CallerDep) -> None:
    await websocket.accept()
    await websocket.send_text(caller.subject or "anybody")
    await websocket.close()
"""


@pytest.mark.parametrize("own", [OWN, ""])
def test_1_without_jwt_the_project_s_own_dependency_knows_who_connects(tmp_path: Path, own: str) -> None:
    """And anybody may connect where there is none."""
    files = {"pyproject.toml": PYPROJECT, "project/main.py": MAIN, "project/users.py": own, "project/__init__.py": ""}
    after = memory.add({path: text.encode() for path, text in files.items()}, "websocket")
    after["project/main.py"] += OF_ONE.encode().replace(b"import APIRouter", b"import WebSocket")
    for path, data in after.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)

    async def check() -> None:
        async with opened(server, additional_headers={"Authorization": "Bearer ada"}, path="/name") as client:
            assert await client.recv() == ("ada" if own else "anybody")
        if own:
            for protocols in (None, ["bearer", "nobody"]):
                refused = await refusal(server, path="/ws", additional_headers={}, subprotocols=protocols)
                assert refused == (401, "Bearer")
        async with opened(server, "/ws", additional_headers={}, subprotocols=["bearer", "bob"]) as client:
            await client.send("hello")
            assert await client.recv() == "hello"

    with uvicorn_server(APP, tmp_path) as server:
        run(check)


# What is written into the project ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["project", "redis_project"])
def test_the_dropped_test_passes_in_the_project(kind: str, request: pytest.FixtureRequest) -> None:
    """Without Redis, and with every warning an error."""
    folder: Path = request.getfixturevalue(kind)
    quiet = ("-q", "-W", "error", "-p", "no:cacheprovider", "-o", "asyncio_default_fixture_loop_scope=function")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "pytest", *quiet, "tests/test_ws.py"],
        cwd=folder,
        env={**os.environ, **environment(), "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "code",
    [
        "class ConnectionManager:\n    def __init__(self) -> None:\n        self.active = []\n",
        "import socketio\n",
        "from broadcaster import Broadcast\n",
        "from project.main import app\n\n\n@app.websocket('/ws')\nasync def live(websocket): ...\n",
    ],
)
def test_what_is_done_by_hand_is_not_done_twice(code: str) -> None:
    files = {"pyproject.toml": PYPROJECT, "project/main.py": f"{MAIN}\nfrom project import live as live\n"}
    files |= {"project/live.py": code, "project/__init__.py": ""}
    with pytest.raises(memory.Refusing) as raised:
        memory.add({path: text.encode() for path, text in files.items()}, "websocket")
    assert {item.code for item in raised.value.refusals} == {"already-by-hand"}
