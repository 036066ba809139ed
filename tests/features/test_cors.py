"""The `cors` feature: checked settings, exact origins, and answers that carry the headers whatever happened."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx2
import pytest
from starlette.responses import PlainTextResponse

from tests import servers
from tests.features import edge_app

ORIGIN = "https://app.example.com"
# uvicorn closes a connection after an exception without saying so: one connection for each request.
NO_REUSE = httpx2.Limits(max_keepalive_connections=0)
ALLOWED = "Access-Control-Allow-Origin"

STRANGERS = [
    "https://app.example.co",
    "https://app.example",
    "https://app.example.com.evil.io",
    "https://evil-app.example.com",
    "https://sub.app.example.com",
    "https://app.example.com:8443",
    "http://app.example.com",
    "https://app.example.com/",
    "h",
    "null",
]


@pytest.fixture(scope="module", params=edge_app.DIALECTS)
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cors")
    edge_app.write_app(folder, request.param)
    return folder


@pytest.fixture(scope="module")
def cors(project: Path) -> ModuleType:
    with edge_app.imported(project, {}, "edge.core.cors") as module:
        return module


@pytest.fixture(scope="module")
def client(project: Path) -> Iterator[httpx2.Client]:
    # One entry, as text, with credentials: the setting that a substring match gives away.
    allowed = {"APP_CORS_ORIGINS": ORIGIN, "APP_CORS_CREDENTIALS": "true", "APP_CORS_EXPOSE": "X-Total"}
    with running(project, **allowed) as open_client:
        yield open_client


@contextmanager
def running(project: Path, **environment: str) -> Iterator[httpx2.Client]:
    with (
        servers.uvicorn_server("edge.main:app", project, environment) as server,
        httpx2.Client(base_url=server.url, timeout=30, limits=NO_REUSE) as client,
    ):
        yield client


def answer(project: Path, headers: dict[str, str], path: str = "/json", **environment: str) -> httpx2.Response:
    """Get a path of the application in this process, with the settings that `environment` gives."""
    with edge_app.imported(project, environment) as main:

        async def fetch() -> httpx2.Response:
            transport = httpx2.ASGITransport(app=main.app, raise_app_exceptions=False)
            async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
                return await client.get(path, headers=headers)

        return asyncio.run(fetch())


# Accept 1: settings


def settings_of(cors: ModuleType, **given: object) -> Any:
    """Return the settings with values of which the project has none."""
    return cors.CorsSettings(**{f"cors_{name}": value for name, value in given.items()})


@pytest.mark.parametrize(
    "value",
    [
        "https://one.example.com,https://two.example.com",
        " https://one.example.com , https://two.example.com, ",
        json.dumps(["https://one.example.com", "https://two.example.com"]),
    ],
)
def test_a_list_may_be_written_in_several_ways(project: Path, value: str) -> None:
    with edge_app.imported(project, {"APP_CORS_ORIGINS": value}, "edge.core.cors") as cors:
        assert cors.CorsSettings().cors_origins == ("https://one.example.com", "https://two.example.com")


def test_lists_of_the_settings_file(tmp_path: Path) -> None:
    edge_app.write_app(tmp_path, "dynaconf")
    (tmp_path / "settings.toml").write_text(f'[default]\ncors_origins = ["{ORIGIN}"]\ncors_expose = ["X-Total"]\n')

    with edge_app.imported(tmp_path, {}, "edge.core.cors") as cors:
        settings = cors.CorsSettings()

    assert (settings.cors_origins, settings.cors_expose) == ((ORIGIN,), ("X-Total",))
    assert (settings.cors_credentials, settings.cors_origin_regex) == (False, None)


def test_nothing_is_allowed_by_default(cors: ModuleType) -> None:
    settings = cors.CorsSettings()
    assert (settings.cors_origins, settings.cors_origin_regex, settings.cors_credentials) == ((), None, False)


@pytest.mark.parametrize(
    ("entry", "origin"),
    [
        ("HTTPS://App.Example.com", ORIGIN),
        ("https://app.example.com:443", ORIGIN),
        ("http://localhost:80", "http://localhost"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("https://app.example.com:80", "https://app.example.com:80"),
        ("http://localhost:5173", "http://localhost:5173"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("http://[::80]", "http://[::80]"),
        ("http://web_1:3000", "http://web_1:3000"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("chrome-extension://abcdef", "chrome-extension://abcdef"),
    ],
)
def test_an_entry_takes_the_form_that_browsers_send(cors: ModuleType, entry: str, origin: str) -> None:
    assert settings_of(cors, origins=(entry,)).cors_origins == (origin,)


@pytest.mark.parametrize(
    "entry",
    [
        "app.example.com",
        "https://",
        "https://app.example.com/",
        "https://app.example.com/path",
        "https://app.example.com?x=1",
        "https://app.example.com#x",
        "https://user@app.example.com",
        "https://user:secret@app.example.com",
        "https://*.example.com",
        "https://app.example.com:port",
        "https://app.example.com:",
        "https://app example.com",
        "https://app.example.com\n",
        "https://bücher.example",
        "null",
        "NULL",
    ],
)
def test_what_is_no_origin_is_refused(cors: ModuleType, entry: str) -> None:
    with pytest.raises(ValueError, match=f"APP_CORS_ORIGINS: .*{re.escape(repr(entry))}"):
        settings_of(cors, origins=(ORIGIN, entry))


def production(project: Path) -> Any:
    """Import the module as it is where the project says that it is production."""
    return edge_app.imported(project, {"APP_ENV": "production"}, "edge.core.cors")


def test_everyone_only_without_credentials_and_not_in_production(project: Path, cors: ModuleType) -> None:
    assert settings_of(cors, origins=("*",)).cors_origins == ("*",)
    with pytest.raises(ValueError, match=r"APP_CORS_ORIGINS: .*'\*' .*APP_CORS_CREDENTIALS"):
        settings_of(cors, origins=("*",), credentials=True)
    with production(project) as served, pytest.raises(ValueError, match=r"APP_CORS_ORIGINS: .*'\*' .*production"):
        settings_of(served, origins=("*",))


def test_http_in_production_only_from_the_same_machine(project: Path) -> None:
    local = ("http://localhost:3000", "http://localhost", "http://127.0.0.1:3000", "http://[::1]:3000")
    with production(project) as served:
        assert settings_of(served, origins=local).cors_origins == local
        for entry in ("http://app.example.com", "HTTP://app.example.com", "http://localhost.example.com"):
            with pytest.raises(ValueError, match=f"APP_CORS_ORIGINS: .*'{entry}' .*production"):
                settings_of(served, origins=(entry,))


@pytest.mark.parametrize(
    "pattern",
    [
        r"https://app.example\.com",
        r"https://pr-\d+.example\.com",
        r"https://(app|web).example\.com",
        r".*\.example\.com",
        r".+",
        r"https://.*\.example\.com",
        r"https?://[^/]+",
        r"https://\w+",
        r"https://[a-z]+\.com",
        r"http://[a-z.]+:\d+",
        r"\S*",
        r"[\w:/.-]+",
        r"null|https://app\.example\.com",
    ],
)
def test_a_loose_pattern_is_refused(cors: ModuleType, pattern: str) -> None:
    with pytest.raises(ValueError, match=f"APP_CORS_ORIGIN_REGEX: .*{re.escape(repr(pattern))}"):
        settings_of(cors, origin_regex=pattern)


def test_what_is_no_pattern_is_refused(cors: ModuleType) -> None:
    with pytest.raises(ValueError, match="APP_CORS_ORIGIN_REGEX: "):
        settings_of(cors, origin_regex=r"https://(app\.example\.com")


@pytest.mark.parametrize(
    "pattern",
    [
        r"https://[a-z0-9-]+\.example\.com",
        r"https://[a-z0-9.-]+\.example\.com",
        r"https://[]a.]+\.example\.com",
        r"https://pr-\d+\.preview\.example\.com(:\d+)?",
    ],
)
def test_a_tight_pattern_is_not(cors: ModuleType, pattern: str) -> None:
    assert settings_of(cors, origin_regex=pattern).cors_origin_regex.pattern == pattern


def test_68_a_wrong_setting_fails_a_test_of_the_users_and_never_hangs(project: Path) -> None:
    code = "from starlette.testclient import TestClient\nfrom edge.main import app\nwith TestClient(app) as c:\n    c.get('/')\n"
    environment = {**os.environ, "PYTHONPATH": str(project), "APP_CORS_ORIGINS": "*, nonsense"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=project,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.rstrip().splitlines()[-1].startswith("ValueError: ")
    assert "CORS_ORIGINS" in done.stderr


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("APP_CORS_ORIGINS", "https://app.example.com/"),
        ("APP_CORS_ORIGIN_REGEX", "https://.*"),
    ],
)
def test_a_wrong_setting_stops_the_server(project: Path, variable: str, value: str) -> None:
    command = [sys.executable, "-m", "uvicorn", "edge.main:app", "--port", str(servers.free_port())]
    environment = {**os.environ, variable: value}
    done = subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode != 0
    assert done.stderr.rstrip().splitlines()[-1].startswith(f"ValueError: {variable}: ")
    assert repr(value) in done.stderr


# Accept 2: who is allowed


def test_only_the_listed_origin_is_echoed(client: httpx2.Client) -> None:
    response = client.get("/json", headers={"Origin": ORIGIN})
    assert response.headers[ALLOWED] == ORIGIN
    assert response.headers["Access-Control-Allow-Credentials"] == "true"
    assert "Origin" in response.headers["Vary"]
    for stranger in STRANGERS:
        response = client.get("/json", headers={"Origin": stranger})
        assert (response.status_code, ALLOWED in response.headers) == (200, False), stranger


def test_credentials_are_off_by_default(project: Path) -> None:
    response = answer(project, {"Origin": ORIGIN}, APP_CORS_ORIGINS=ORIGIN)

    assert response.headers[ALLOWED] == ORIGIN
    assert "Access-Control-Allow-Credentials" not in response.headers


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://pr-7.example.com", True),
        ("https://pr-7.example.com.evil.io", False),
        ("https://pr-7.exampleXcom", False),
        ("https://example.com", False),
    ],
)
def test_a_pattern_matches_whole_origins(project: Path, origin: str, allowed: bool) -> None:
    response = answer(project, {"Origin": origin}, APP_CORS_ORIGIN_REGEX=r"https://pr-\d+\.example\.com")

    assert (response.headers.get(ALLOWED) == origin) is allowed


# Accept 3: preflights


def test_preflight(client: httpx2.Client) -> None:
    ask = {"Origin": ORIGIN, "Access-Control-Request-Headers": "authorization, content-type, traceparent, sentry-trace"}
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        # The path is one that the limiter refuses: a preflight never gets that far.
        response = client.options("/limited", headers={**ask, "Access-Control-Request-Method": method})
        assert (response.status_code, response.headers[ALLOWED]) == (200, ORIGIN), method
        assert response.headers["Access-Control-Max-Age"] == "600"
        assert method in response.headers["Access-Control-Allow-Methods"]


@pytest.mark.parametrize("change", [{"Origin": STRANGERS[0]}, {"Access-Control-Request-Headers": "x-unlisted"}])
def test_a_preflight_for_anything_else_is_refused(client: httpx2.Client, change: dict[str, str]) -> None:
    ask = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET"}

    assert client.options("/json", headers=ask).status_code == 200
    assert client.options("/json", headers={**ask, **change}).status_code == 400


def test_request_headers_are_a_setting(project: Path) -> None:
    ask = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET"}
    with running(project, APP_CORS_ORIGINS=ORIGIN, APP_CORS_HEADERS="Idempotency-Key, X-Tenant") as client:
        for names, status in (("x-tenant, idempotency-key", 200), ("authorization", 400)):
            asked = client.options("/json", headers={**ask, "Access-Control-Request-Headers": names})
            assert asked.status_code == status


# Accept 4: errors


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/locked", 401),
        ("/forbidden", 403),
        ("/nowhere", 404),
        ("/number/many", 422),
        ("/limited", 429),
        ("/boom?mark=x", 500),
    ],
)
def test_errors_carry_the_headers_too(client: httpx2.Client, path: str, status: int) -> None:
    response = client.get(path, headers={"Origin": ORIGIN})

    assert (response.status_code, response.headers.get(ALLOWED)) == (status, ORIGIN)
    exposed = response.headers["Access-Control-Expose-Headers"]
    assert {"Retry-After", "X-Request-ID", "RateLimit", "X-Total"} <= set(exposed.split(", "))


@pytest.mark.parametrize("headers", [{}, {"Origin": "https://app.example.co"}])
def test_a_response_for_others_is_not_cached_for_pages(client: httpx2.Client, headers: dict[str, str]) -> None:
    assert client.get("/json", headers=headers).headers["Vary"] == "Origin"


def test_headers_of_a_response_that_is_sent_again_do_not_pile_up(cors: ModuleType) -> None:
    again = PlainTextResponse("same", headers={"Access-Control-Allow-Origin": "*", "Vary": "Accept"})
    app = cors.CorsMiddleware(again, settings=settings_of(cors, origins=(ORIGIN,)))

    async def fetch() -> list[httpx2.Response]:
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
            asks = ({"Origin": ORIGIN}, {"Origin": "https://app.example.co"}, {"Origin": ORIGIN})
            return [await client.get("/", headers=ask) for ask in asks]

    for response, allowed in zip(asyncio.run(fetch()), ([ORIGIN], [], [ORIGIN]), strict=True):
        assert response.headers.get_list(ALLOWED) == allowed
        assert response.headers.get_list("Vary") == ["Accept", "Origin"]


def test_everyone_may_read_what_is_for_everyone(project: Path) -> None:
    response = answer(project, {"Origin": ORIGIN}, APP_CORS_ORIGINS="*")

    assert response.headers.get_list(ALLOWED) == [ORIGIN]
    assert "Access-Control-Allow-Credentials" not in response.headers


# Accept 5: nothing listed


def test_without_origins_there_is_no_header_at_all(project: Path) -> None:
    preflight = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET"}
    with running(project) as bare:
        answers = [bare.get("/json", headers={"Origin": ORIGIN}), bare.options("/json", headers=preflight)]

    assert [response.status_code for response in answers] == [200, 405]
    for response in answers:
        assert not [name for name in response.headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize(
    ("variable", "value"), [("APP_CORS_CREDENTIALS", "perhaps"), ("APP_CORS_ORIGINS", '["https://a')]
)
def test_a_value_of_the_wrong_kind_is_named(tmp_path: Path, variable: str, value: str) -> None:
    edge_app.write_app(tmp_path, "dynaconf")
    with (
        edge_app.imported(tmp_path, {variable: value}, "edge.core.cors") as cors,
        pytest.raises(ValueError, match=f"^{variable}: "),
    ):
        cors.CorsSettings()
