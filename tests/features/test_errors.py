"""The `errors` capability: unhandled exceptions on a real server, and the bodies of errors."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Message, Scope

from laterctl.engine.plan import Request
from laterctl.features import catalogue
from tests import memory, servers
from tests.features import edge_app

ORIGIN = "https://app.example.com"
ENVIRONMENT = {"APP_CORS_ORIGINS": ORIGIN}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("errors")
    edge_app.write_app(folder)
    return folder


@pytest.fixture(scope="module")
def server(project: Path) -> Iterator[servers.Server]:
    with servers.uvicorn_server("edge.main:app", project, ENVIRONMENT) as running:
        yield running


def get(server: servers.Server, path: str) -> httpx2.Response:
    return httpx2.get(f"{server.url}{path}", headers={"Origin": ORIGIN, "X-Request-ID": "abc"}, timeout=30)


def logged(server: servers.Server, mark: str) -> int:
    """Count the tracebacks of the exception with that text, after one more request: the log is complete by then."""
    assert get(server, "/json").status_code == 200
    return server.output().count(f"RuntimeError: {mark}\n")


def in_process(project: Path, path: str, raises: bool, **environment: str) -> tuple[httpx2.Response, list[str]]:
    """Get a path of the application in this process; also return the paths that its own handler was called for."""
    with edge_app.imported(project, {**ENVIRONMENT, **environment}) as main:

        async def fetch() -> httpx2.Response:
            transport = httpx2.ASGITransport(app=main.app, raise_app_exceptions=raises)
            async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
                return await client.get(path, headers={"Origin": ORIGIN})

        return asyncio.run(fetch()), list(main.calls)


def test_a_500_passes_through_all_middleware(server: servers.Server) -> None:
    response = get(server, "/boom?mark=m-plain")

    assert response.status_code == 500
    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["X-Request-ID"] == "abc"
    assert response.headers["Content-Type"] == "application/json"
    assert "m-plain" not in response.text


def test_the_body_is_like_that_of_other_errors(server: servers.Server) -> None:
    assert get(server, "/boom?mark=m-body").json() == {"detail": "An unexpected error occurred."}
    assert get(server, "/nowhere").json() == {"detail": "Not Found"}


PROBLEM = {
    "type": "about:blank",
    "title": "Internal Server Error",
    "status": 500,
    "detail": "An unexpected error occurred.",
    "instance": "/boom",
    "code": "internal_error",
}


def is_problem(response: httpx2.Response) -> bool:
    return response.headers["Content-Type"] == "application/problem+json" and response.json() == PROBLEM


def test_the_body_is_a_problem_where_that_was_asked_for(tmp_path: Path) -> None:
    edge_app.write_app(tmp_path, body="problem")

    assert is_problem(in_process(tmp_path, "/boom?mark=x", raises=False)[0])


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ('ERROR = "application/problem+json"\n', True),
        ("def answer(send):\n    return send(media_type='application/problem+json')\n", True),
        ("# never application/problem+json\nERROR = 'application/json'\n", False),
    ],
)
def test_the_body_is_a_problem_where_the_project_sends_them(tmp_path: Path, code: str, expected: bool) -> None:
    files = {**edge_app.project(), "edge/faults.py": code.encode()}
    edge_app.write(tmp_path, memory.add(files, "cors", app="edge.main:app"))

    assert is_problem(in_process(tmp_path, "/boom?mark=x", raises=False)[0]) is expected


def test_another_body_is_an_option_of_what_is_installed() -> None:
    files = memory.add(edge_app.project(), "cors", app="edge.main:app")

    changed = memory.run(files, Request(add=("cors",), options={"errors": {"body": "problem"}}), "edge.main:app")

    assert b"application/problem+json" in changed["edge/core/problems.py"]
    back = memory.run(changed, Request(add=("cors",), options={"errors": {"body": "detail"}}), "edge.main:app")
    assert back["edge/core/problems.py"] == files["edge/core/problems.py"]


@pytest.mark.parametrize("name", ["cors", "security-headers"])
def test_who_declines_it_is_told_what_is_missing(name: str) -> None:
    files = edge_app.project()
    plan = memory.planned(files, Request(add=(name,), without=("errors",)), "edge.main:app")

    assert [note.message for note in plan.notes if note.level == "warning"] == [
        f"without errors, {catalogue.feature(name).without['errors']}"
    ]
    assert "edge/core/error_boundary.py" not in memory.applied(files, plan)
    whole = memory.planned(files, Request(add=(name,)), "edge.main:app")
    assert not [note for note in whole.notes if note.level == "warning"]


def test_an_unhandled_exception_is_logged_once(server: servers.Server) -> None:
    get(server, "/boom?mark=m-once")

    assert logged(server, "m-once") == 1


def test_a_mounted_application_answers_for_itself(server: servers.Server) -> None:
    response = get(server, "/sub/boom?mark=m-mounted")

    assert response.status_code == 500
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "m-mounted" not in response.text
    assert logged(server, "m-mounted") == 1


def test_a_stream_that_fails_midway_is_cut_off(server: servers.Server) -> None:
    with httpx2.stream("GET", f"{server.url}/broken-stream?mark=m-stream") as response:
        pieces = response.iter_text()
        assert (response.status_code, next(pieces)) == (200, "one")
        with pytest.raises(httpx2.RemoteProtocolError):
            next(pieces)

    assert logged(server, "m-stream") == 1


@pytest.mark.parametrize("environment", [{}, {"EDGE_HANDLER": "async"}])
def test_no_second_start_after_the_first(project: Path, environment: dict[str, str]) -> None:
    sent: list[str] = []

    async def receive() -> Message:
        return await asyncio.Future()  # the client stays and says nothing more

    async def send(message: Message) -> None:
        sent.append(message["type"])

    path = {"path": "/broken-stream", "raw_path": b"/broken-stream", "query_string": b"mark=m-direct"}
    scope: Scope = {"type": "http", "method": "GET", "headers": [], "scheme": "http", **path}
    with (
        edge_app.imported(project, {**ENVIRONMENT, **environment}) as main,
        pytest.raises(RuntimeError, match="m-direct"),
    ):
        asyncio.run(main.app(scope, receive, send))

    assert sent == ["http.response.start", "http.response.body"]


@pytest.mark.parametrize("kind", ["async", "object"])
def test_a_handler_of_the_user_answers_once(project: Path, kind: str) -> None:
    with servers.uvicorn_server("edge.main:app", project, {**ENVIRONMENT, "EDGE_HANDLER": kind}) as server:
        response = get(server, "/boom?mark=m-own")

        assert (response.status_code, response.json()) == (500, {"sorry": 1})
        assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert logged(server, "m-own") == 1
        assert "Exception in ASGI application" not in server.output()


def test_a_handler_of_the_user_ends_the_exception(project: Path) -> None:
    response, calls = in_process(project, "/boom?mark=x", raises=True, EDGE_HANDLER="async")

    assert response.json() == {"sorry": 1}
    assert calls == ["/boom"]


def test_a_handler_that_fails_is_called_once_too(project: Path) -> None:
    with servers.uvicorn_server("edge.main:app", project, {**ENVIRONMENT, "EDGE_HANDLER": "broken"}) as server:
        response = get(server, "/boom?mark=m-broken")

        assert response.json() == {"detail": "An unexpected error occurred."}
        assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert logged(server, "m-broken") == 1
        assert server.output().count("LookupError: handler failed\n") == 1


def test_the_exception_is_raised_again_without_a_handler(project: Path) -> None:
    with pytest.raises(RuntimeError, match="m-again"):
        in_process(project, "/boom?mark=m-again", raises=True)


def test_debug_keeps_the_traceback_page(project: Path) -> None:
    response, _ = in_process(project, "/boom?mark=m-debug", raises=False, EDGE_DEBUG="1")

    assert response.status_code == 500
    assert "RuntimeError: m-debug" in response.text


def test_the_foundations_error_shape(tmp_path: Path) -> None:
    edge_app.write_app(tmp_path, "pydantic", api_error=True)

    response, _ = in_process(tmp_path, "/boom?mark=x", raises=False)

    body = response.json()
    assert response.status_code == 500
    assert response.headers["Content-Type"] == "application/json"
    assert set(body) == {"error", "detail", "timestamp", "path", "request_id"}
    assert (body["error"], body["path"]) == ("internal_error", "/boom")
    assert body["request_id"] == response.headers["X-Request-ID"]


@pytest.mark.parametrize("method", ["exception_handler", "add_exception_handler"])
@pytest.mark.parametrize("key", [500, Exception])
def test_every_way_to_register_a_handler_counts(project: Path, method: str, key: object) -> None:
    with edge_app.imported(project, ENVIRONMENT) as main:
        calls = []

        def handle(_request: object, error: Exception) -> PlainTextResponse:
            calls.append(str(error))
            return PlainTextResponse("mine", status_code=500)

        if method == "exception_handler":
            main.app.exception_handler(key)(handle)
        else:
            main.app.add_exception_handler(key, handle)

        async def fetch() -> str:
            transport = httpx2.ASGITransport(app=main.app)
            async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
                return (await client.get("/boom?mark=x")).text

        assert asyncio.run(fetch()) == "mine"
        assert calls == ["x"]
