"""The `profiling` feature: its acceptance list, over HTTP, from a real server."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest
from websockets.sync.client import connect

from tests.features.ops_app import made, write
from tests.servers import Server, uvicorn_server

MAIN: Final = '''\
"""An application that is busy in one way and another."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator

from fastapi import FastAPI, WebSocket
from fastapi.responses import StreamingResponse

from depot.core.profiling import profile_block

app = FastAPI()


def spin_alpha() -> None:
    spin()


def spin_beta() -> None:
    spin()


def spin() -> None:
    end = time.perf_counter() + 0.02
    while time.perf_counter() < end:
        pass


@app.get("/alpha")
async def alpha() -> None:
    for _ in range(10):
        spin_alpha()
        await asyncio.sleep(0.01)


@app.get("/beta")
async def beta() -> None:
    for _ in range(10):
        spin_beta()
        await asyncio.sleep(0.01)


@app.get("/threaded")
def threaded() -> None:
    with profile_block():
        for _ in range(5):
            spin_alpha()


@app.get("/broken")
async def broken() -> None:
    spin_alpha()
    raise RuntimeError("broken")


@app.get("/stream")
async def stream() -> StreamingResponse:
    async def parts() -> AsyncIterator[str]:
        yield "first"
        await asyncio.sleep(1)
        spin_alpha()
        yield "last"

    return StreamingResponse(parts())


@app.get("/modules")
async def modules() -> list[str]:
    return [name for name in sys.modules if name.startswith("pyinstrument")]


@app.get("/stack")
async def stack() -> list[str]:
    layers, layer = [], app.middleware_stack
    while layer is not None:
        layers.append(type(layer).__name__)
        layer = getattr(layer, "app", None)
    return layers


@app.websocket("/socket")
async def socket(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text("hello")
    await websocket.close()
'''
TOKEN: Final = "a-long-random-token"
SENT: Final = {"X-Profile-Token": TOKEN}
KEPT: Final = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    write(folder, made("profiling", more={"depot/main.py": MAIN}))
    return folder


@pytest.fixture(scope="module")
def profiles(folder: Path) -> Path:
    """The folder of the profiles, in which somebody has a file of that kind."""
    (folder / "out").mkdir()
    (folder / "out" / "own.html").touch()
    return folder / "out"


@pytest.fixture(scope="module")
def server(folder: Path, profiles: Path) -> Iterator[Server]:
    environment = {"PROFILING_TOKEN": TOKEN, "PROFILING_DIR": str(profiles), "PROFILING_KEEP": str(KEPT)}
    with uvicorn_server("depot.main:app", folder, environment) as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url) as client:
        yield client


def written(profiles: Path, name: str) -> str:
    """Return a profile, which is written after the answer."""
    path = profiles / f"{name}.html"
    deadline = time.monotonic() + 20
    while not (path.exists() and path.read_text().rstrip().endswith("</html>")) and time.monotonic() < deadline:
        time.sleep(0.02)
    return path.read_text()


def names(profiles: Path) -> set[str]:
    return {path.stem for path in profiles.iterdir()}


def test_1_without_a_token_it_is_neither_there_nor_imported(folder: Path) -> None:
    with uvicorn_server("depot.main:app", folder) as server, httpx.Client(base_url=server.url, headers=SENT) as client:
        assert "RequestProfiler" not in client.get("/stack").json()
        assert client.get("/modules").json() == []
        assert "X-Profile-Id" not in client.get("/alpha").headers
    assert not (folder / "profiles").exists()


@pytest.mark.parametrize("headers", [{}, {"X-Profile-Token": "another"}, {"X-Profile-Token": ""}])
def test_2_without_the_token_of_the_settings_nothing_is_written(
    client: httpx.Client, profiles: Path, headers: dict[str, str]
) -> None:
    before = names(profiles)
    response = client.get("/stack", headers=headers)
    assert "RequestProfiler" in response.json()
    assert "X-Profile-Id" not in response.headers
    assert names(profiles) == before


def test_3_requests_at_the_same_time_are_kept_apart(server: Server, profiles: Path) -> None:
    async def ask() -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=server.url, headers=SENT) as client:
            return await asyncio.gather(client.get("/alpha"), client.get("/beta"))

    alpha, beta = (written(profiles, response.headers["X-Profile-Id"]) for response in asyncio.run(ask()))
    assert ("spin_alpha" in alpha, "spin_beta" in alpha) == (True, False)
    assert ("spin_alpha" in beta, "spin_beta" in beta) == (False, True)


def test_3_a_part_of_a_route_in_a_thread_has_its_own(client: httpx.Client, profiles: Path) -> None:
    response = client.get("/threaded", headers=SENT)
    assert "spin_alpha" not in written(profiles, response.headers["X-Profile-Id"])
    (part,) = profiles.glob(f"{response.headers['X-Profile-Id']}-*.html")
    assert "spin_alpha" in part.read_text()
    before = names(profiles)
    assert client.get("/threaded").status_code == 200
    assert names(profiles) == before


def test_4_an_exception_has_its_profile_and_the_next_one_too(
    client: httpx.Client, server: Server, profiles: Path
) -> None:
    before = names(profiles)
    # uvicorn closes the connection of a request that raised.
    assert httpx.get(f"{server.url}/broken", headers=SENT).status_code == 500
    response = client.get("/alpha", headers=SENT)
    assert "spin_alpha" in written(profiles, response.headers["X-Profile-Id"])
    (broken,) = names(profiles) - before - {response.headers["X-Profile-Id"]}
    assert "spin_alpha" in written(profiles, broken)


def test_5_streams_and_websockets_are_as_they_were(client: httpx.Client, server: Server, profiles: Path) -> None:
    with client.stream("GET", "/stream", headers=SENT) as response:
        began = time.monotonic()
        parts = [(part, time.monotonic() - began) for part in response.iter_text()]
    assert [part for part, _ in parts] == ["first", "last"]
    assert parts[1][1] - parts[0][1] > 0.5
    assert "spin_alpha" in written(profiles, response.headers["X-Profile-Id"])

    before = names(profiles)
    with connect(f"{server.url.replace('http', 'ws')}/socket", additional_headers=SENT) as socket:
        assert socket.recv() == "hello"
    assert names(profiles) == before


def test_6_only_the_newest_are_kept_under_names_of_its_own(client: httpx.Client, profiles: Path) -> None:
    headers = {**SENT, "X-Profile-Id": "../../mine", "X-Request-ID": "../../mine"}
    responses = [client.get("/modules", headers=headers) for _ in range(KEPT + 2)]
    written(profiles, responses[-1].headers["X-Profile-Id"])
    newest = {response.headers["X-Profile-Id"] for response in responses[-KEPT:]}
    assert names(profiles) == {"own", *newest}
    assert all(re.fullmatch(r"profile-\d+-[0-9a-f]{16}", name) for name in newest)


def test_a_token_that_can_be_guessed_stops_the_start_by_name(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import depot.main"],
        cwd=folder,
        env={**os.environ, "PROFILING_TOKEN": "guess-me"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "PROFILING_TOKEN: " in done.stderr.splitlines()[-1]
    assert "guess-me" not in done.stderr


def test_a_folder_that_cannot_be_written_costs_no_answer(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    environment = {"PROFILING_TOKEN": TOKEN, "PROFILING_DIR": str(tmp_path / "file" / "below")}
    with uvicorn_server("depot.main:app", folder, environment) as server:
        response = httpx.get(f"{server.url}/alpha", headers=SENT)
        assert response.status_code == 200
        deadline = time.monotonic() + 20
        while "was not written" not in server.output() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert f"{response.headers['X-Profile-Id']} was not written" in server.output()
