"""Acceptance of the feature `request-scope`, on real servers: 3.4 of its specification, number by number."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from websockets.sync.client import connect

from laterctl.engine.plan import Request
from tests import memory
from tests.features.observed_app import APP, write_project
from tests.memory import Refusing
from tests.servers import Server, uvicorn_server
from tests.shapes import shape_named
from tests.test_laws import project_files

HEADER = "X-Request-ID"
OWN_HANDLER = """

async def sorry(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse([request.state.request_id, current_request_id()], 500)


app.add_exception_handler(Exception, sorry)
"""
MAIN = "from fastapi import FastAPI\n\napp = FastAPI()\n"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a project that has the feature."""
    folder = tmp_path_factory.mktemp("project")
    write_project(folder, Request(add=("request-scope",)))
    return folder


@pytest.fixture(scope="module", params=[1, 4])
def server(project: Path, request: pytest.FixtureRequest) -> Iterator[Server]:
    with uvicorn_server(APP, project, workers=request.param) as running:
        yield running


@pytest.mark.parametrize(
    ("path", "status"), [("/async", 200), ("/stream", 200), ("/no/such", 404), ("/number/x", 422), ("/fail", 500)]
)
def test_1_each_response_has_an_id(server: Server, path: str, status: int) -> None:
    first, second = (httpx.get(f"{server.url}{path}") for _ in range(2))
    own = httpx.get(f"{server.url}{path}", headers={HEADER: "caller-1"})

    assert {response.status_code for response in (first, second, own)} == {status}
    assert first.headers[HEADER] != second.headers[HEADER]
    assert own.headers.get_list(HEADER) == ["caller-1"]


def test_1_a_handler_of_the_users_has_it_too(tmp_path: Path) -> None:
    more = f"\n\nfrom fastapi.responses import JSONResponse\n{OWN_HANDLER}"
    write_project(tmp_path, Request(add=("request-scope",)), more=more)
    with uvicorn_server(APP, tmp_path) as server:
        response = httpx.get(f"{server.url}/fail", headers={HEADER: "caller-1"})

    assert (response.status_code, response.json()) == (500, ["caller-1"] * 2)
    assert response.headers.get_list(HEADER) == ["caller-1"]


def test_2_parallel_requests_see_their_own(project: Path) -> None:
    async def ask(url: str) -> dict[str, httpx.Response]:
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            paths = {f"caller-{n}": ("/async", "/sync", "/stream", "/background")[n % 4] for n in range(100)}
            asked = (client.get(path, headers={HEADER: name}) for name, path in paths.items())
            return dict(zip(paths, await asyncio.gather(*asked), strict=True))

    with uvicorn_server(APP, project) as server:
        answers = asyncio.run(ask(server.url))
        later = httpx.get(f"{server.url}/later").json()
    for name, response in answers.items():
        assert response.headers[HEADER] == name
        seen = response.text.split() if response.request.url.path == "/stream" else response.json()
        assert seen in ([name, name], "later"), response.request.url
    assert sorted(later) == sorted([name, name] for number, name in enumerate(answers) if number % 4 == 3)


@pytest.mark.parametrize("sent", [b"a" * 129, b"two words", b'"quoted"', b"\xc3\xa4", b"", b"a\tb", b"<b>"])
def test_3_an_unfit_id_is_replaced(server: Server, sent: bytes) -> None:
    response = httpx.get(f"{server.url}/async", headers={HEADER.encode(): sent})

    assert len(response.headers[HEADER]) == 32
    assert response.json() == [response.headers[HEADER]] * 2


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n\tSet-Cookie: a=b"])
def test_3_line_ends_are_never_sent_back(server: Server, end: bytes) -> None:
    address = urlsplit(server.url)
    with socket.create_connection((str(address.hostname), address.port or 0), timeout=10) as connection:
        connection.sendall(
            b"GET /async HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Request-ID: abc" + end + b"\r\n\r\n"
        )
        answer = b"".join(iter(lambda: connection.recv(65536), b""))

    assert b"abc\n" not in answer.replace(b"\r", b"\n")
    assert b"Set-Cookie" not in answer


def test_4_outside_of_a_request_there_is_a_clear_error(project: Path) -> None:
    code = "from project.core.request_id import current_request_id; current_request_id()"
    done = subprocess.run([sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=False)

    assert done.stderr.splitlines()[-1] == "LookupError: no request is being served, so there is no request id"


def test_5_a_request_on_the_same_connection_sees_nothing_of_the_one_before(server: Server) -> None:
    address = urlsplit(server.url)
    ask = "GET /async HTTP/1.1\r\nHost: x\r\n{}\r\n"
    with socket.create_connection((str(address.hostname), address.port or 0), timeout=10) as connection:
        both = [ask.format(f"{header}\r\n") for header in ("X-Request-ID: first", "Connection: close")]
        connection.sendall("".join(both).encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b"")).decode()

    one, two = answer.split("HTTP/1.1 200")[1:]
    assert '["first","first"]' in one
    assert "first" not in two


def test_6_a_websocket_has_an_id(server: Server) -> None:
    with connect(f"ws{server.url.removeprefix('http')}/socket", additional_headers={HEADER: "caller-1"}) as opened:
        assert opened.recv(timeout=10) == "caller-1"
        assert opened.response is not None
        assert opened.response.headers[HEADER] == "caller-1"


def test_7_it_stands_outside_of_all_other_middleware() -> None:
    before = project_files(shape_named("flat"))
    main = memory.add(before, "cors", "metrics", "security-headers", "request-scope")["main.py"].decode()

    calls = [line for line in main.splitlines() if ".add_middleware(" in line]
    assert "RequestIDMiddleware" in calls[-1]
    assert len(calls) == 5


@pytest.mark.parametrize("name", ["foundation", "foundation_pydantic"])
def test_the_foundation_has_it_already(name: str) -> None:
    before = project_files(shape_named(name))
    plan = memory.planned(before, Request(add=("request-scope",), without=("errors",)))

    assert not plan.refusals
    assert [record.ours for record in plan.entries["request-scope"].records] == [False] * 4
    assert all(path.startswith(".laterctl/") for path in plan.changeset)


@pytest.mark.parametrize(
    "code",
    [
        "from asgi_correlation_id import CorrelationIdMiddleware\n\napp.add_middleware(CorrelationIdMiddleware)\n",
        '@app.middleware("http")\nasync def add(request, call_next):\n    response = await call_next(request)\n'
        '    response.headers["X-Request-Id"] = "1"\n    return response\n',
        "class RequestIdMiddleware:\n    def __init__(self, app):\n        self.app = app\n",
        'def wrap(send, message):\n    message["headers"].append((b"x-request-id", b"1"))\n    return send(message)\n',
    ],
)
def test_what_is_there_by_hand_is_not_doubled(code: str) -> None:
    files = {"main.py": f"{MAIN}\n\n{code}".encode(), "requirements.txt": b"fastapi\n"}
    with pytest.raises(Refusing) as refused:
        memory.add(files, "request-scope")

    assert [item.code for item in refused.value.refusals] == ["already-by-hand"]


@pytest.mark.parametrize(
    "code",
    [
        'def call(client, number):\n    return client.get("/", headers={"X-Request-ID": number})\n',
        'EXPOSED = ["X-Request-ID", "X-Total"]\n',
        'def read(request):\n    return request.headers.get("X-Request-ID", "none"), request.headers["X-Request-ID"]\n',
    ],
)
def test_reading_or_sending_an_id_is_another_thing(code: str) -> None:
    files = {"main.py": f"{MAIN}\n\n{code}".encode(), "requirements.txt": b"fastapi\n"}

    assert "core/request_id.py" in memory.add(files, "request-scope")
