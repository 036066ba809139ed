"""What `laterctl add versioning` promises: old paths that answer as before, and versions that say when they end."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from fastapi.testclient import TestClient
from websockets.sync.client import connect

from laterctl.engine.plan import Request
from tests import memory
from tests.features.ops_app import write
from tests.features.resources_app import imported
from tests.servers import Server, uvicorn_server
from tests.shapes import shape_named
from tests.test_laws import project_files

PYPROJECT = """\
[project]
name = "shop"
version = "1"
requires-python = ">=3.10"
dependencies = ["fastapi>=0.115", "uvicorn"]

[dependency-groups]
dev = ["pytest>=8", "httpx"]
"""
MAIN = '''\
"""The application: a router of anything comes first, and would answer for versions too."""

from fastapi import Depends, FastAPI, Header, HTTPException
from fastapi.staticfiles import StaticFiles

from shop.routers import anything, chat, items, nested


def check(token: str = Header("")) -> None:
    if token != "secret":
        raise HTTPException(401)


app = FastAPI(title="Shop")
app.include_router(anything.router, prefix="/api")
app.include_router(items.router, dependencies=[Depends(check)], tags=["items"])
app.include_router(nested.router)
app.include_router(chat.router)


@app.get("/health")
def health() -> str:
    return "fine"
'''
ANYTHING = """\
from fastapi import APIRouter

router = APIRouter()


@router.get("/{kind}/items/{number}", operation_id="anything")
def anything(kind: str, number: str) -> str:
    return f"{number} of {kind}"
"""
ITEMS = """\
from collections.abc import AsyncIterator

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse, StreamingResponse
from pydantic import BaseModel


class Item(BaseModel):
    name: str
    price: int = 0


router = APIRouter(prefix="/api/items")


@router.get("/{number}", operation_id="readItem", responses={404: {"description": "none"}})
def item(number: int) -> Item:
    if number > 9:
        raise HTTPException(404, "no such item")
    return Item(name=str(number))


@router.post("", status_code=201)
def create(item: Item, request: Request, response: Response) -> Item:
    response.headers["Location"] = str(request.url_for("item", number=1))
    return item


@router.head("/{number}")
def head(number: int) -> None:
    return None


@router.get("/{number}/direct")
def direct(number: int) -> JSONResponse:
    return JSONResponse({"direct": number}, 202, {"X-Own": "yes"})


@router.get("/{number}/boom")
def boom(number: int) -> None:
    raise RuntimeError("boom")


@router.get("/{number}/away")
def away(number: int, request: Request) -> RedirectResponse:
    return RedirectResponse(request.url_for("item", number=number))


@router.get("/{number}/lines")
async def lines(number: int) -> AsyncIterator[Item]:
    yield Item(name="one")
    yield Item(name="two")


@router.get("/{number}/stream")
def stream(number: int) -> StreamingResponse:
    return StreamingResponse(iter(["one", "two"]), media_type="text/plain")
"""
NESTED = """\
from fastapi import APIRouter, Depends, HTTPException

inner = APIRouter(prefix="/users")
router = APIRouter(prefix="/api")


def refuse() -> None:
    raise HTTPException(403, "not you")


@inner.get("/me")
def me() -> str:
    return "me"


@inner.get("/others", dependencies=[Depends(refuse)])
def others() -> str:
    return "others"


router.include_router(inner, tags=["people"])
"""
CHAT = """\
from fastapi import APIRouter, WebSocket

router = APIRouter(prefix="/chat")


@router.websocket("/ws")
async def talk(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(websocket.url.path)
    await websocket.close()


@router.get("/rooms")
def rooms() -> list[str]:
    return ["hall"]
"""
BEFORE: Final[Mapping[str, str]] = {
    "pyproject.toml": PYPROJECT,
    "shop/__init__.py": "",
    "shop/main.py": MAIN,
    "shop/routers/__init__.py": "",
    "shop/routers/anything.py": ANYTHING,
    "shop/routers/items.py": ITEMS,
    "shop/routers/nested.py": NESTED,
    "shop/routers/chat.py": CHAT,
}
PLUGINS: Final = ("-p", "no:asyncio", "-p", "no:anyio")
TOKEN = {"token": "secret"}
ASKED: Final = (
    *(
        ("GET", f"/api/items/{rest}")
        for rest in ("1", "99", "x", "1/direct", "1/boom", "1/away", "1/lines", "1/stream")
    ),
    *(("HEAD", "/api/items/1"), ("PUT", "/api/items/1"), ("POST", "/api/items"), ("DELETE", "/api/items")),
    *(("GET", "/api/tools/items/7"), ("GET", "/api/users/me"), ("GET", "/api/users/others"), ("GET", "/chat/rooms")),
    *(("GET", "/health"), ("GET", "/api"), ("GET", "/api/none"), ("GET", "/api/items/1/"), ("GET", "/docs")),
)
"""Requests of each existing route, and of none: method and path."""
UNVERSIONED: Final = {"/health", "/api", "/api/none", "/api/items/1/", "/docs"}
LATE: Final = "2000-01-01T00:00:00+00:00"
EARLY: Final = "2100-01-01T00:00:00+00:00"


def encoded(files: Mapping[str, str]) -> dict[str, bytes]:
    return {path: text.encode() for path, text in files.items()}


def added(**options: Any) -> dict[str, bytes]:
    """Return the project with the feature and its options."""
    request = Request(add=("versioning",), options={"versioning": options}, tests=True)
    return memory.run(encoded(BEFORE), request)


def ask(url: str, method: str, path: str, **more: Any) -> httpx.Response:
    body = {"name": "nail"} if method == "POST" else None
    return httpx.request(method, f"{url}{path}", json=body, **{"headers": TOKEN, "timeout": 20, **more})


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The project as it was, but for what stands beside the feature."""
    folder = tmp_path_factory.mktemp("plain")
    write(folder, memory.add(encoded(BEFORE), "errors"))
    with uvicorn_server("shop.main:app", folder) as server:
        yield server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The project with the feature."""
    folder = tmp_path_factory.mktemp("versioned")
    write(folder, added())
    with uvicorn_server("shop.main:app", folder) as running:
        yield running


COPIED = ITEMS.replace("Item", "ItemV2").replace("price: int = 0", "price: float = 0.5")


def with_versions() -> dict[str, bytes]:
    """Return the project with three versions: the first has ended, the second is going to."""
    files = memory.run(added(), Request(add=("rate-limit",)))
    files = memory.run(files, Request(add=("versioning",), options={"versioning": {"new": "v3"}}))
    table = files["shop/routers/versions.py"].decode()
    empty = "LIFETIMES: dict[str, Lifetime] = {}"
    assert empty in table
    ends = f"""LIFETIMES: dict[str, Lifetime] = {{
    "v1": Lifetime(datetime.fromisoformat("{LATE}"), datetime.fromisoformat("{LATE}")),
    "v2": Lifetime(datetime.fromisoformat("{LATE}"), datetime.fromisoformat("{EARLY}"), "https://shop.example/v2"),
}}"""
    files["shop/routers/versions.py"] = table.replace(empty, ends).encode()
    files["shop/routers/items_v2.py"] = COPIED.encode()
    changed = files["shop/routers/v2.py"].decode()
    pair = "\nfrom shop.routers import items, items_v2\n\nCHANGED: list[tuple[APIRouter, APIRouter]] = [(items.router, items_v2.router)]\n"
    files["shop/routers/v2.py"] = changed.replace("\nCHANGED: list[tuple[APIRouter, APIRouter]] = []\n", pair).encode()
    limited = '\n\n@router.get("/often", dependencies=[limit("1/hour")])\ndef often() -> str:\n    return "often"\n'
    head = "from shop.core.rate_limit import limit\n"
    files["shop/routers/nested.py"] = (
        f"{head}{NESTED.replace('router.include_router', limited + chr(10) + 'router.include_router')}".encode()
    )
    return files


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Three versions behind a proxy that takes a part of the path off, in two processes."""
    folder = tmp_path_factory.mktemp("three")
    write(folder, with_versions())
    environment = {"VERSIONS_ENFORCE_SUNSET": "true"}
    with uvicorn_server("shop.main:app", folder, environment, 2, ["--root-path", "/svc"]) as running:
        yield running


def shown(response: httpx.Response) -> tuple[int, bytes, dict[str, str]]:
    own = {"date", "deprecation", "link"}
    headers = {name: value for name, value in response.headers.items() if name not in own}
    port = str(response.url.port).encode()
    headers = {name: value.replace(port.decode(), "PORT") for name, value in headers.items()}
    return response.status_code, response.content.replace(port, b"PORT"), headers


@pytest.mark.parametrize(("method", "path"), ASKED, ids=lambda item: item)
def test_1_each_route_answers_as_before(plain: Server, server: Server, method: str, path: str) -> None:
    before, after = ask(plain.url, method, path), ask(server.url, method, path)
    assert shown(before) == shown(after)
    assert shown(ask(plain.url, method, path, headers={})) == shown(ask(server.url, method, path, headers={}))
    if path in UNVERSIONED or ((method, path) == ("DELETE", "/api/items") and before.status_code == 404):
        assert "deprecation" not in after.headers
        return
    successor = f"/api/v1{path.removeprefix('/api')}"
    assert after.headers["deprecation"] == "@1767225600"
    assert after.headers["link"] == f'<{successor}>; rel="successor-version"'
    new = ask(server.url, method, successor)
    assert (new.status_code, new.content) == (before.status_code, before.content)
    assert "deprecation" not in new.headers


def test_1_the_document_has_versions_alone(plain: Server, server: Server) -> None:
    was, is_now = (ask(item.url, "GET", "/openapi.json").json() for item in (plain, server))
    versions = {f"/api/v1{path.removeprefix('/api')}" for path in was["paths"] if path != "/health"}
    assert is_now["paths"].keys() == versions | {"/health"}
    assert was["components"] == is_now["components"]
    old, new = was["paths"]["/api/items/{number}"]["get"], is_now["paths"]["/api/v1/items/{number}"]["get"]
    assert new == old


def test_1_a_websocket_has_both_paths(server: Server) -> None:
    for path in ("/chat/ws", "/api/v1/chat/ws"):
        with connect(f"ws{server.url[4:]}{path}") as socket:
            assert socket.recv() == path


def test_1_old_paths_can_be_dropped(tmp_path: Path) -> None:
    write(tmp_path, added(legacy="drop"))
    with imported(tmp_path, "main", package="shop") as module:
        client = TestClient(module.app, headers=TOKEN, raise_server_exceptions=False)
        assert client.get("/api/items/1").status_code == 404
        assert (
            client.get("/api/v1/items/1/away", follow_redirects=False).headers["location"].endswith("/api/v1/items/1")
        )
        assert client.get("/health").status_code == 200
        document = client.get("/openapi.json").json()
        assert document["paths"]["/api/v1/items/{number}"]["get"]["operationId"] == "readItem"


@pytest.mark.parametrize(
    ("method", "rest", "status"),
    [
        *(("GET", "/items/1", 200), ("GET", "/items/99", 404), ("GET", "/no/such", 404), ("DELETE", "/users/me", 405)),
        *(
            ("GET", "/items/x", 422),
            ("GET", "/items/1/boom", 500),
            ("HEAD", "/items/1", 200),
            ("GET", "/items/1/direct", 202),
        ),
    ],
)
def test_2_every_response_of_a_deprecated_version_says_so(three: Server, method: str, rest: str, status: int) -> None:
    response = ask(three.url, method, f"/api/v2{rest}")
    assert response.status_code == status
    assert response.headers["deprecation"] == "@946684800"
    assert response.headers["sunset"] == "Fri, 01 Jan 2100 00:00:00 GMT"
    assert response.headers["link"] == '<https://shop.example/v2>; rel="deprecation"'
    assert "deprecation" not in ask(three.url, method, f"/api/v3{rest}").headers


def test_2_a_429_of_a_route_says_so_too(three: Server) -> None:
    found = [ask(three.url, "GET", "/api/v2/often") for _ in range(6)]
    refused = [item for item in found if item.status_code == 429]
    assert refused
    assert all("sunset" in item.headers for item in refused)


def test_2_a_version_that_has_ended_is_gone(three: Server) -> None:
    response = ask(three.url, "GET", "/api/v1/items/1")
    assert (response.status_code, response.json()) == (410, {"detail": "v1 ended, use v3"})
    assert response.headers["sunset"] == "Sat, 01 Jan 2000 00:00:00 GMT"


def test_2_a_sunset_before_the_deprecation_stops_the_start(tmp_path: Path) -> None:
    files = added()
    table = "shop/routers/versions.py"
    wrong = f'LIFETIMES = {{"v1": Lifetime(datetime.fromisoformat("{EARLY}"), datetime.fromisoformat("{LATE}"))}}'
    files[table] = files[table].replace(b"LIFETIMES: dict[str, Lifetime] = {}", wrong.encode())
    write(tmp_path, files)
    done = subprocess.run([sys.executable, "-c", "import shop.main"], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode
    assert b"ValueError: Lifetime(" in done.stderr


def test_3_a_version_has_what_it_changes_and_the_rest_of_the_one_before(three: Server) -> None:
    assert ask(three.url, "GET", "/api/items/1").json() == {"name": "1", "price": 0}
    for version in ("v2", "v3"):
        assert ask(three.url, "GET", f"/api/{version}/items/1").json() == {"name": "1", "price": 0.5}
        assert ask(three.url, "GET", f"/api/{version}/items/1", headers={}).status_code == 401
        assert ask(three.url, "GET", f"/api/{version}/users/me").json() == "me"


def test_3_documents_and_their_names(three: Server) -> None:
    whole = ask(three.url, "GET", "/openapi.json").json()
    ids = [operation["operationId"] for item in whole["paths"].values() for operation in item.values()]
    assert len(ids) == len({*ids})
    assert {"Item", "ItemV2"} <= whole["components"]["schemas"].keys()
    assert not [name for name in whole["components"]["schemas"] if "__" in name]
    document = ask(three.url, "GET", "/api/v2/openapi.json").json()
    assert document["info"] == {"title": "Shop", "version": "v2"}
    assert document["servers"] == [{"url": "/svc"}]
    assert all(path.startswith("/api/v2/") for path in document["paths"])
    assert document["paths"]["/api/v2/items/{number}"]["get"]["deprecated"]
    assert "ItemV2" in document["components"]["schemas"]
    assert "Item" not in document["components"]["schemas"]


def test_3_two_models_of_one_name_keep_it_in_each_document(tmp_path: Path) -> None:
    files = with_versions()
    files["shop/routers/items_v2.py"] = ITEMS.replace("price: int", "cost: int").encode()
    write(tmp_path, files)
    with imported(tmp_path, "main", package="shop") as module:
        client = TestClient(module.app)
        for version in ("v1", "v2"):
            schemas = client.get(f"/api/{version}/openapi.json").json()["components"]["schemas"]
            assert [name for name in schemas if "Item" in name] == ["Item"]


def test_3_what_says_nothing_in_the_whole_says_nothing_of_a_version(tmp_path: Path) -> None:
    files = added()
    files["shop/main.py"] = files["shop/main.py"].replace(b'title="Shop"', b"openapi_url=None")
    write(tmp_path, files)
    with imported(tmp_path, "main", package="shop") as module:
        assert TestClient(module.app).get("/api/v1/openapi.json").status_code == 404


def test_3_versions_come_and_go() -> None:
    first = added()
    request = Request(add=("versioning",), options={"versioning": {"new": "v2"}})
    second = memory.run(first, request)
    assert (
        b'VERSIONS: list[Version] = [Version("v1", []), Version("v2", v2.CHANGED)]'
        in second["shop/routers/versions.py"]
    )
    assert second["shop/main.py"] == first["shop/main.py"]
    back = Request(add=("versioning",), options={"versioning": {"new": "v1"}})
    third = memory.run(second, back)
    assert {path for path in third if third[path] != first[path]} == {".laterctl/feature-versioning.json"}
    assert memory.remove(second, "versioning") == encoded(BEFORE)


def test_4_a_version_that_does_not_exist_names_those_that_do(three: Server) -> None:
    for path in ("/api/v9", "/api/v9/items/1", "/api/v0/items/1", "/api/v10/tools"):
        response = ask(three.url, "GET", path)
        assert response.status_code == 404
        assert response.json()["detail"].endswith(", only v1, v2, v3")
    for path in ("/health", "/docs", "/openapi.json", "/api/vx"):
        response = ask(three.url, "GET", path)
        assert "sunset" not in response.headers
        assert b"only v1" not in response.content


def test_5_paths_are_those_below_the_root_path(three: Server) -> None:
    # The proxy has taken /svc off, and uvicorn puts it in front again.
    response = ask(three.url, "GET", "/api/items/1")
    assert response.headers["link"] == '</svc/api/v1/items/1>; rel="successor-version"'
    assert response.headers["deprecation"]


def test_5_the_middleware_stands_in_its_place() -> None:
    files = memory.add(added(), "cors", "rate-limit")
    lines = [line for line in files["shop/main.py"].decode().splitlines() if "add_middleware" in line]
    names = [line.partition("(")[2].partition(",")[0].rstrip(")") for line in lines]
    assert names == ["ErrorBoundary", "VersionMiddleware", "RateLimitMiddleware", "CorsMiddleware"]


def test_routes_that_have_a_version_by_hand_are_taken_as_they_are(tmp_path: Path) -> None:
    files = dict(BEFORE)
    files["shop/routers/nested.py"] = NESTED.replace('prefix="/api"', 'prefix="/api/v1"')
    after = memory.add(encoded(files), "versioning")
    write(tmp_path, after)
    with imported(tmp_path, "main", package="shop") as module:
        client = TestClient(module.app, headers=TOKEN)
        assert client.get("/api/v1/users/me").json() == "me"
        assert client.get("/api/v1/v1/users/me").status_code == 404
        assert "/api/v1/users/me" in client.get("/api/v1/openapi.json").json()["paths"]
        assert client.get("/api/v1/items/1").status_code == 200


def test_routes_with_a_version_of_their_own_are_named_and_how_they_come_to_the_others() -> None:
    by_hand = {path: text.replace('prefix="/chat"', 'prefix="/api/v1/chat"') for path, text in BEFORE.items()}
    assert by_hand != BEFORE
    for files, told in ((BEFORE, False), (by_hand, True)):
        made = memory.planned(encoded(files), Request(add=("versioning",)))
        said = [note.message for note in made.notes if "in their own path" in note.message]
        assert [("shop/routers/chat.py" in text and "with the prefix /api" in text) for text in said] == [True] * told


def test_another_prefix_than_that_of_versions_by_hand_is_refused() -> None:
    files = encoded({**BEFORE, "shop/routers/chat.py": CHAT.replace('"/chat"', '"/v2/chat"')})
    (refusal,) = memory.planned(files, Request(add=("versioning",))).refusals
    assert refusal.code == "already-by-hand"
    assert refusal.remedy.startswith("--set versioning.prefix= ")
    assert not memory.planned(files, Request(add=("versioning",), options={"versioning": {"prefix": ""}})).refusals


def test_the_proof_lets_old_paths_leave_the_document(tmp_path: Path) -> None:
    write(tmp_path, encoded(BEFORE))
    with (tmp_path / "pyproject.toml").open("a") as manifest:
        manifest.write(f'\n[tool.laterctl]\npython = "{sys.executable}"\n')
    for verb, *options in (("add",), ("add", "--set", "versioning.legacy=drop"), ("remove",)):
        command = (sys.executable, "-m", "laterctl", "-C", str(tmp_path), verb, "versioning", *options)
        flags = ("--yes", "--prove", "--no-install", "--allow-dirty")
        done = subprocess.run([*command, *flags], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "proved" in done.stdout


def test_the_dropped_test_passes(tmp_path: Path) -> None:
    write(tmp_path, added(legacy="drop", new="v2"))
    command = (sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", *PLUGINS, "tests")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("shape", ["flat", "poetry", "middleware_list"])
def test_routes_of_the_application_itself_are_named(shape: str) -> None:
    """They have no router that could be included again: the refusal names them, and says what gives them one."""
    files = project_files(shape_named(shape))
    (refusal,) = (
        item for item in memory.planned(files, Request(add=("versioning",))).refusals if item.code == "no-routers"
    )
    path = shape_named(shape).facts.path
    lines = [number for number, line in enumerate(files[path].decode().splitlines(), 1) if line.startswith("@app.")]
    assert refusal.seen == f"routes of app itself: {path}:{', '.join(map(str, lines))}"
    assert "app.include_router(router)" in refusal.snippet


def test_routes_without_a_version_are_named_beside_routers() -> None:
    files = project_files(shape_named("nested_containers"))
    notes = [note.message for note in memory.planned(files, Request(add=("versioning",))).notes]
    assert [text for text in notes if "have no version" in text and "harbour/main.py:12" in text]
