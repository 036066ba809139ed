"""The `security-headers` feature: every answer of a real server, HSTS, and pages that still work."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from urllib.parse import urljoin, urlsplit

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from websockets.sync.client import connect

from laterctl.engine.plan import Request
from tests import memory, servers
from tests.features import edge_app

ORIGIN = "https://app.example.com"
# uvicorn closes a connection after an exception without saying so: one connection for each request.
NO_REUSE = httpx2.Limits(max_keepalive_connections=0)
CSP = "Content-Security-Policy"
HSTS = "Strict-Transport-Security"
EVERYWHERE = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
EXPECTED = EVERYWHERE | {"Cache-Control": "no-store", CSP: "default-src 'none'; frame-ancestors 'none'"}


@pytest.fixture(scope="module", params=edge_app.DIALECTS)
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("headers")
    edge_app.write_app(folder, request.param)
    return folder


@pytest.fixture(scope="module")
def client(project: Path) -> Iterator[httpx2.Client]:
    with running(project) as open_client:
        yield open_client


@pytest.fixture(scope="module")
def module(project: Path) -> ModuleType:
    with edge_app.imported(project, {}, "edge.core.security_headers") as found:
        return found


@contextmanager
def running(project: Path, *arguments: str, **environment: str) -> Iterator[httpx2.Client]:
    with (
        servers.uvicorn_server("edge.main:app", project, environment, arguments=arguments) as server,
        httpx2.Client(base_url=server.url, timeout=30, limits=NO_REUSE) as client,
    ):
        yield client


def answer(project: Path, path: str, headers: Mapping[str, str] | None = None, **environment: str) -> httpx2.Response:
    """Get a path of the application in this process over https, with the settings that `environment` gives."""
    with edge_app.imported(project, environment) as main:

        async def fetch() -> httpx2.Response:
            transport = httpx2.ASGITransport(app=main.app, raise_app_exceptions=False)
            async with httpx2.AsyncClient(transport=transport, base_url="https://api.example.com") as client:
                return await client.get(path, headers=headers)

        return asyncio.run(fetch())


# Accept 1: every answer


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/json", 200),
        ("HEAD", "/json", 200),
        ("GET", "/empty", 204),
        ("GET", "/redirect", 307),
        ("GET", "/locked", 401),
        ("GET", "/nowhere", 404),
        ("DELETE", "/stream", 405),
        ("GET", "/number/many", 422),
        ("GET", "/limited", 429),
        ("GET", "/boom?mark=x", 500),
        ("GET", "/page", 200),
        ("GET", "/sub/nowhere", 404),
    ],
)
def test_data_has_each_header_once(client: httpx2.Client, method: str, path: str, status: int) -> None:
    response = client.request(method, path)

    assert response.status_code == status
    assert {name: response.headers.get_list(name) for name in EXPECTED} == {
        name: [value] for name, value in EXPECTED.items()
    }
    features = response.headers.get_list("Permissions-Policy")
    assert len(features) == 1
    assert {"camera=()", "microphone=()", "geolocation=()"} <= set(features[0].split(", "))
    assert all(feature.endswith("=()") for feature in features[0].split(", "))
    assert "X-XSS-Protection" not in response.headers
    assert HSTS not in response.headers


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/unchanged", 304),
        ("GET", "/stream", 200),
        ("GET", "/image", 200),
        ("GET", "/sub/boom?mark=x", 500),
    ],
)
def test_files_texts_and_what_is_unchanged_keep_their_caching(
    client: httpx2.Client, method: str, path: str, status: int
) -> None:
    response = client.request(method, path)

    assert response.status_code == status
    assert {name: response.headers.get_list(name) for name in EVERYWHERE} == {
        name: [value] for name, value in EVERYWHERE.items()
    }
    assert "Cache-Control" not in response.headers
    assert CSP not in response.headers


def test_a_preflight_has_them_too(project: Path) -> None:
    with running(project, APP_CORS_ORIGINS=ORIGIN) as client:
        asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET"}
        headers = client.options("/json", headers=asked).headers

    shared = EVERYWHERE | {"Cross-Origin-Resource-Policy": "cross-origin"}
    assert {name: headers.get_list(name) for name in shared} == {name: [value] for name, value in shared.items()}


# A page that shows an image says nothing of its own origin.
@pytest.mark.parametrize("headers", [{}, {"Origin": ORIGIN}, {"Origin": "https://app.example.co"}])
@pytest.mark.parametrize("path", ["/image", "/unchanged", "/json", "/boom?mark=x"])
def test_what_cors_lists_may_be_embedded(project: Path, path: str, headers: dict[str, str]) -> None:
    def policy(**environment: str) -> str:
        return str(answer(project, path, headers, **environment).headers["Cross-Origin-Resource-Policy"])

    assert policy(APP_CORS_ORIGINS=ORIGIN) == "cross-origin"
    assert policy(APP_CORS_ORIGIN_REGEX=r"https://pr-\d+\.example\.com") == "cross-origin"
    assert policy() == "same-origin"


# Accept 2: a route's own headers


def test_what_a_route_sets_wins(client: httpx2.Client) -> None:
    headers = client.get("/own", headers={"X-Forwarded-Proto": "https"}).headers

    own = {
        "X-Frame-Options": "SAMEORIGIN",
        "Cache-Control": "max-age=60",
        CSP: "default-src https:",
        "Cross-Origin-Resource-Policy": "same-site",
        HSTS: "max-age=1",
    }
    assert {name: headers.get_list(name) for name in own} == {name: [value] for name, value in own.items()}
    assert headers["X-Content-Type-Options"] == "nosniff"


# Accept 3: HSTS


def test_hsts_behind_a_trusted_proxy_only(project: Path, client: httpx2.Client) -> None:
    forwarded = {"X-Forwarded-Proto": "https"}

    assert client.get("/json", headers=forwarded).headers[HSTS] == "max-age=31536000"
    assert client.get("/boom?mark=x", headers=forwarded).headers[HSTS] == "max-age=31536000"
    assert HSTS not in client.get("/json", headers=forwarded | {"Host": "localhost:8000"}).headers
    with running(project, "--forwarded-allow-ips", "10.1.1.1", "--no-server-header") as stranger:
        response = stranger.get("/json", headers=forwarded)
        assert HSTS not in response.headers
        assert "Server" not in response.headers


@pytest.mark.parametrize(
    ("environment", "value"),
    [
        ({"APP_SECURITY_HSTS_SECONDS": "0"}, None),
        ({"APP_SECURITY_HSTS_SECONDS": "300"}, "max-age=300"),
        ({"APP_SECURITY_HSTS_SUBDOMAINS": "true"}, "max-age=31536000; includeSubDomains"),
        (
            {"APP_SECURITY_HSTS_SUBDOMAINS": "true", "APP_SECURITY_HSTS_PRELOAD": "true"},
            "max-age=31536000; includeSubDomains; preload",
        ),
    ],
)
def test_hsts_settings(project: Path, environment: dict[str, str], value: str | None) -> None:
    assert answer(project, "/json", **environment).headers.get(HSTS) == value


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"HSTS_SECONDS": "-1"}, "SECURITY_HSTS_SECONDS: "),
        ({"HSTS_SECONDS": "soon"}, "SECURITY_HSTS_SECONDS: "),
        ({"HSTS_SUBDOMAINS": "perhaps"}, "SECURITY_HSTS_SUBDOMAINS: "),
        ({"HSTS_PRELOAD": "true"}, "SECURITY_HSTS_PRELOAD: .*APP_SECURITY_HSTS_SUBDOMAINS and a year"),
        (
            {"HSTS_PRELOAD": "true", "HSTS_SUBDOMAINS": "true", "HSTS_SECONDS": "300"},
            "SECURITY_HSTS_PRELOAD: ",
        ),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, environment: dict[str, str], reason: str) -> None:
    edge_app.write_app(tmp_path)
    given = {f"APP_SECURITY_{name}": value for name, value in environment.items()}
    with (
        edge_app.imported(tmp_path, given, "edge.core.security_headers") as module,
        pytest.raises(ValueError, match=f"APP_{reason}"),
    ):
        module.SecurityHeadersSettings()


def test_a_wrong_setting_stops_the_server(project: Path) -> None:
    command = [sys.executable, "-m", "uvicorn", "edge.main:app", "--port", str(servers.free_port())]
    environment = {**os.environ, "APP_SECURITY_HSTS_SECONDS": "-1"}
    done = subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode != 0
    assert "security_hsts_seconds" in done.stderr.lower()


# Accept 4: pages


@dataclass
class Page(HTMLParser):
    """What a page makes a browser load: pairs of the directive that rules it, and a URL or `inline`."""

    text: str
    loads: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.text)

    def __hash__(self) -> int:
        return id(self)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "script":
            self.loads.append(("script-src", given.get("src", "inline")))
        elif tag == "style" or "style" in given:
            self.loads.append(("style-src", "inline"))
        elif tag == "link" and "stylesheet" in given.get("rel", ""):
            self.loads.append(("style-src", given["href"]))
        elif tag == "link" and "icon" in given.get("rel", ""):
            self.loads.append(("img-src", given["href"]))
        elif tag == "redoc":
            self.loads.append(("connect-src", given["spec-url"]))


def permits(policy: str, directive: str, target: str, page: str) -> bool:
    """Whether a Content-Security-Policy lets `page` load `target`: the part of CSP level 3 that such pages need."""
    directives = {words[0]: words[1:] for words in (part.split() for part in policy.split(";"))}
    sources = directives.get(directive, directives["default-src"])
    if target == "inline":
        return "'unsafe-inline'" in sources
    url, own = urlsplit(urljoin(page, target)), urlsplit(page)
    hosts = {f"{url.scheme}://{url.netloc}", f"{url.scheme}:"}
    if (url.scheme, url.netloc) == (own.scheme, own.netloc):
        hosts.add("'self'")
    return bool(hosts & set(sources))


@pytest.mark.parametrize(
    "path", ["/docs", "/redoc", "/docs/oauth2-redirect", "/sub/handbook", "/sub/redoc", "/reference"]
)
def test_the_docs_may_load_what_they_need(client: httpx2.Client, path: str) -> None:
    response = client.get(path)
    page = Page(response.text)

    assert response.status_code == 200
    assert {directive for directive, _ in page.loads} >= {"script-src"}
    policy = response.headers[CSP]
    for directive, target in page.loads:
        assert permits(policy, directive, target, str(response.url)), (directive, target)
        assert not permits(EXPECTED[CSP], directive, target, str(response.url))
    # Swagger UI and ReDoc fetch the schema, and style and run themselves while they do.
    assert permits(policy, "connect-src", "/openapi.json", str(response.url))
    assert permits(policy, "style-src", "inline", str(response.url))
    assert "worker-src blob:" in policy
    assert "frame-ancestors 'none'" in policy
    # The window that logs in keeps its opener.
    assert response.headers["Cross-Origin-Opener-Policy"] == "unsafe-none"
    assert response.headers["X-Frame-Options"] == "DENY"


def test_behind_a_path_prefix_too(project: Path) -> None:
    with running(project, "--root-path", "/api/v1") as client:
        assert "script-src" in client.get("/docs").headers[CSP]
        assert "script-src" not in client.get("/page").headers[CSP]


@pytest.mark.parametrize("path", ["/docs/", "/DOCS", "/json/docs", "/handbook", "/sub/docs", "/page"])
def test_only_the_applications_own_docs(client: httpx2.Client, path: str) -> None:
    assert client.get(path).headers[CSP] == EXPECTED[CSP]


def test_an_application_without_docs(module: ModuleType) -> None:
    app = FastAPI(docs_url=None, redoc_url=None)
    app.add_api_route("/docs", lambda: HTMLResponse("mine"))
    app.add_middleware(module.SecurityHeadersMiddleware, settings=module.SecurityHeadersSettings())

    async def fetch() -> httpx2.Response:
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.get("/docs")

    response = asyncio.run(fetch())
    assert (response.text, response.headers[CSP]) == ("mine", EXPECTED[CSP])


def test_report_only(project: Path) -> None:
    environment = {"APP_SECURITY_CSP_REPORT_ONLY": "true"}

    data = answer(project, "/json", **environment).headers
    own = answer(project, "/own", **environment).headers

    assert data.get_list(f"{CSP}-Report-Only") == [EXPECTED[CSP]]
    assert CSP not in data
    assert own.get_list(CSP) == ["default-src https:"]
    assert f"{CSP}-Report-Only" not in own


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    edge_app.write_app(folder, profile="html")
    return folder


def test_an_application_with_pages(pages: Path) -> None:
    page = answer(pages, "/page").headers
    data = answer(pages, "/json").headers

    url = "https://api.example.com/page"
    for directive in ("script-src", "style-src", "img-src", "connect-src", "font-src"):
        assert permits(page[CSP], directive, "/static/file", url)
    assert not permits(page[CSP], "script-src", "inline", url)
    assert not permits(page[CSP], "script-src", "https://elsewhere.example/x.js", url)
    assert page["Cache-Control"] == "no-cache"
    assert (data[CSP], data["Cache-Control"]) == (EXPECTED[CSP], "no-store")
    assert CSP not in answer(pages, "/image").headers
    assert "script-src 'unsafe-inline'" in answer(pages, "/reference").headers[CSP]


HEAD = "from fastapi import FastAPI\n"
MAKE_DOCS = "get_swagger_ui_html(openapi_url='/openapi.json', title='x')"


# Documentation on a route of the user's own, in many hands.
@pytest.mark.parametrize(
    "code",
    [
        f"from fastapi.openapi.docs import get_swagger_ui_html\n\n\n@app.get('/d')\ndef d():\n    return {MAKE_DOCS}\n",
        "from fastapi.openapi.docs import get_redoc_html as redoc\n\n\n@app.get('/d')\nasync def d():\n"
        "    return redoc(openapi_url='/openapi.json', title='x')\n",
        f"from fastapi.openapi import docs\n\n\n@app.get('/d')\ndef d():\n    return docs.{MAKE_DOCS}\n",
        f"import fastapi.openapi.docs\n\n\n@app.get('/d')\ndef d():\n    return fastapi.openapi.docs.{MAKE_DOCS}\n",
        f"@app.get('/d')\ndef d():\n    from fastapi.openapi.docs import get_swagger_ui_html\n\n    return {MAKE_DOCS}\n",
        "from fastapi.openapi.docs import get_swagger_ui_html as made\n\n\ndef page():\n"
        "    return made(openapi_url='/openapi.json', title='x')\n\n\n@app.get('/d')\ndef d():\n    return page()\n",
        "from functools import wraps\nfrom fastapi.openapi.docs import get_swagger_ui_html\n\n\ndef kept(function):\n"
        "    @wraps(function)\n    def inner():\n        return function()\n\n    return inner\n\n\n"
        f"@app.get('/d')\n@kept\ndef d():\n    return {MAKE_DOCS}\n",
        f"from fastapi.openapi.docs import get_swagger_ui_html\n\napp.add_route('/d', lambda request: {MAKE_DOCS})\n",
    ],
)
def test_23_documentation_on_a_route_of_ones_own(tmp_path: Path, code: str) -> None:
    files = edge_app.project(main=f"{HEAD}\napp = FastAPI(docs_url=None, redoc_url=None)\n{code}")
    edge_app.write(tmp_path, memory.add(files, "security-headers", app="edge.main:app"))

    response = answer(tmp_path, "/d")

    assert "script-src" in [directive for directive, _ in Page(response.text).loads]
    for directive, target in Page(response.text).loads:
        assert permits(response.headers[CSP], directive, target, str(response.url)), (directive, target)


@pytest.mark.parametrize(
    ("code", "profile"),
    [
        ("", "api"),
        ("# from fastapi.responses import HTMLResponse\nHTMLResponse = None\n", "api"),
        ("from fastapi.responses import HTMLResponse\n", "api"),
        ("class StaticFiles:\n    pass\n\n\nfiles = StaticFiles()\n", "api"),
        ("from fastapi.responses import HTMLResponse as Page\n\nANSWER = Page\n", "html"),
        ("import fastapi.responses\n\nANSWER = fastapi.responses.HTMLResponse\n", "html"),
        ("from starlette.staticfiles import StaticFiles\n\nfiles = StaticFiles(directory='x')\n", "html"),
        ("from fastapi.templating import Jinja2Templates\n\npages = Jinja2Templates('x')\n", "html"),
        ("from fastapi import responses\n\n\ndef get():\n    return responses.HTMLResponse('x')\n", "html"),
    ],
)
def test_120_the_profile_is_what_the_code_shows(code: str, profile: str) -> None:
    main = f"{HEAD}from edge.core.config import settings\n\napp = FastAPI()\n"
    files = {**edge_app.project(main=main), "edge/views.py": code.encode()}

    plan = memory.planned(files, Request(add=("security-headers",)), "edge.main:app")

    shown = [note.place.path for note in plan.notes if note.level == "choice" and note.place]
    assert shown == (["edge/views.py"] if profile == "html" else [])
    written = memory.applied(files, plan)["edge/core/header_values.py"]
    assert (b"PAGE = {" in written) is (profile == "html")
    other = "api" if profile == "html" else "html"
    asked = Request(add=("security-headers",), options={"security-headers": {"profile": other}})
    assert (b"PAGE = {" in memory.run(files, asked, "edge.main:app")["edge/core/header_values.py"]) is (other == "html")


STATIC = """\
from fastapi import FastAPI, Response
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

{cors_import}app = FastAPI()
app.mount("/static", StaticFiles(directory="static"))


@app.get("/report")
def report():
    return FileResponse("static/x.js", filename="x.js")
{cors}"""


@pytest.mark.parametrize("by_hand", [False, True])
@pytest.mark.parametrize("path", ["/static/logo.svg", "/static/x.js", "/report"])
def test_120_files_are_shown_and_kept(tmp_path: Path, path: str, by_hand: bool) -> None:
    (tmp_path / "static").mkdir()
    (tmp_path / "static/logo.svg").write_text("<svg/>")
    (tmp_path / "static/x.js").write_text("1")
    main = STATIC.format(
        cors_import="from starlette.middleware.cors import CORSMiddleware\n\n" if by_hand else "\n",
        cors=f'\napp.add_middleware(CORSMiddleware, allow_origins=["{ORIGIN}"])\n' if by_hand else "",
    )
    features = ("security-headers",) if by_hand else ("cors", "security-headers")
    edge_app.write(tmp_path, memory.add(edge_app.project(main=main), *features, app="edge.main:app"))

    first = answer(tmp_path, path, APP_CORS_ORIGINS=ORIGIN)
    again = answer(tmp_path, path, {"If-None-Match": first.headers["ETag"]}, APP_CORS_ORIGINS=ORIGIN)

    assert [first.status_code, again.status_code] == [200, 304 if path.startswith("/static") else 200]
    for response in (first, again):
        assert "Cache-Control" not in response.headers
        assert CSP not in response.headers
        assert response.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
        assert response.headers["X-Content-Type-Options"] == "nosniff"


# Accept 5: everything else is left alone


def test_a_websocket_is_left_alone(client: httpx2.Client) -> None:
    url = f"{str(client.base_url).rstrip('/').replace('http', 'ws', 1)}/socket"
    with connect(url) as connection:
        assert connection.recv() == "hello"
        assert connection.response is not None
        names = {name.lower() for name, _ in connection.response.headers.raw_items()}

    assert not names & {name.lower() for name in EXPECTED}
