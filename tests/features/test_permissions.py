"""What `laterctl add permissions` promises: on a real server, and in each of the places that say what a caller may do."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from laterctl.engine.plan import Request
from tests import memory
from tests.features.jwt_app import environment, forged, write_app
from tests.features.resources_app import imported
from tests.servers import Server, uvicorn_server

ITEMS = '''\
"""Routes with permissions, in a module whose annotations are text."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from fastapi import APIRouter, WebSocket

from project.api.permissions import CallerDep, require, require_owner
from project.core.permissions import Permission

router = APIRouter(prefix="/items", dependencies=[require(Permission.READ)])


class Item(NamedTuple):
    """An item of somebody."""

    owner_id: str


async def load(owner: str) -> Item | None:
    """Return an item of an owner, or none."""
    return Item(owner) if owner else None


@router.get("/")
def read() -> str:
    """Answer who may read."""
    return "read"


@router.delete("/{number}", dependencies=[require(Permission.DELETE)])
async def delete(number: int, body: dict[str, int]) -> int:
    """Answer who may read and delete."""
    return number + len(body)


@router.get("/me")
def me(user: CallerDep) -> str:
    """Show the caller."""
    return user.subject


@router.get("/owned")
async def owned(item: Annotated[Item, require_owner(load)]) -> str:
    """Answer the owner."""
    return item.owner_id


@router.websocket("/ws")
async def socket(websocket: WebSocket) -> None:
    """Greet who may read."""
    await websocket.accept()
    await websocket.send_text("hello")
    await websocket.close()
'''
INCLUDED = "\n\nfrom project.api.items import router as items\n\napp.include_router(items)\n"
DENIED = 'Bearer error="insufficient_scope", scope="{}"'


def write(folder: Path, **options: str) -> Path:
    """Write the application with `jwt` and the feature, and routes that use it."""
    write_app(folder)
    after = memory.run(memory.read(folder), Request(add=("permissions",), options={"permissions": options}))
    after["project/main.py"] += INCLUDED.encode()
    after["project/api/items.py"] = ITEMS.encode()
    return put(after, folder)


def put(files: memory.Files, folder: Path) -> Path:
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def server(project: Path) -> Iterator[Server]:
    with uvicorn_server("project.main:app", project, environment()) as running:
        yield running


def ask(server: Server, path: str, scopes: str | None, method: str = "GET", **more: Any) -> httpx.Response:
    """Ask as a caller with scopes, `None` for nobody."""
    headers = {} if scopes is None else {"Authorization": f"Bearer {forged({'scope': scopes})}"}
    return httpx.request(method, f"{server.url}/items{path}", headers=headers, **more)


# 1. and 2. Who is let in ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "method"), [("/", "GET"), ("/me", "GET"), ("/7", "DELETE")])
def test_1_no_token_is_401_too_little_is_403_enough_is_answered(server: Server, path: str, method: str) -> None:
    """Whatever the handler is and takes, and before the body is looked at."""
    nobody = ask(server, path, None, method, json=[])
    assert (nobody.status_code, nobody.headers["WWW-Authenticate"]) == (401, "Bearer")
    denied = ask(server, path, "other", method, json=[])
    assert (denied.status_code, denied.headers["WWW-Authenticate"]) == (403, DENIED.format("read"))
    assert ask(server, path, "read delete", method, json={}).status_code == 200


def test_2_permissions_of_router_and_route_add_up(server: Server) -> None:
    found = [(ask(server, "/7", scopes, "DELETE", json={})) for scopes in ("read", "delete", "delete read")]
    assert [answer.status_code for answer in found] == [403, 403, 200]
    challenges = [answer.headers.get("WWW-Authenticate") for answer in found]
    assert challenges == [DENIED.format("delete"), DENIED.format("read"), None]
    assert ask(server, "/7", "read", "DELETE", content="{").status_code == 403


def test_1_websockets_too(server: Server) -> None:
    def refused(scopes: str | None) -> int:
        headers = {} if scopes is None else {"Authorization": f"Bearer {forged({'scope': scopes})}"}
        try:
            with connect(f"{server.url.replace('http', 'ws')}/items/ws", additional_headers=headers) as socket:
                assert socket.recv() == "hello"
        except InvalidStatus as error:
            return error.response.status_code
        return 101

    assert [refused(scopes) for scopes in (None, "other", "read")] == [401, 403, 101]


def test_3_an_admin_may_do_what_that_implies(server: Server) -> None:
    assert ask(server, "/7", "admin", "DELETE", json={}).status_code == 200
    assert ask(server, "/", "write").status_code == 403


def test_5_what_belongs_to_others_is_not_found(server: Server) -> None:
    """An admin finds all that there is."""
    asked = [("user-1", "read"), ("user-2", "read"), ("user-2", "read admin"), ("", "read"), ("", "admin"), ("x", None)]
    found = [ask(server, "/owned", scopes, params={"owner": owner}).status_code for owner, scopes in asked]
    assert found == [200, 404, 200, 404, 404, 401]


def test_the_document_names_the_permissions(server: Server) -> None:
    operation = httpx.get(f"{server.url}/openapi.json").json()["paths"]["/items/{number}"]["delete"]
    assert {scope for way in operation["security"] for scopes in way.values() for scope in scopes} == {"read", "delete"}


def test_nothing_of_it_was_an_error_of_the_server(server: Server) -> None:
    assert "Traceback" not in server.output()


# What is wrong is an error of the import -----------------------------------------------------------------------------


def test_2_and_3_what_is_no_permission_and_a_cycle_are_errors_of_the_import(project: Path, tmp_path: Path) -> None:
    with imported(project, "api.permissions", environment(), package="project") as module:
        for wrong in ((), ("fly",), (module.Permission.READ, None)):
            with pytest.raises(ValueError, match=r"no permission|is not a valid Permission"):
                module.require(*wrong)
        assert module.require("read").scopes == ["read"]
    files = memory.read(project)
    core = files["project/core/permissions.py"].replace(
        b"IMPLIES: dict[Permission, set[Permission]] = {", b"IMPLIES = {"
    )
    cyclic = core.replace(b"IMPLIES = {", b"IMPLIES = {\n    Permission.READ: {Permission.ADMIN},", 1)
    put({**files, "project/core/permissions.py": cyclic}, tmp_path)
    with pytest.raises(ValueError, match="cycle"), imported(tmp_path, "core.permissions", package="project"):
        pass


# 4. and 6. -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("source", "revoked"), [("token", 200), ("database", 403)])
def test_4_in_the_database_a_change_counts_at_the_next_request(tmp_path: Path, source: str, revoked: int) -> None:
    """In a token it does when that has expired."""
    scopes: set[str] | None = {"read"}

    async def now(_self: object, _subject: str) -> Collection[str] | None:
        return scopes

    async def asked(main: Any, held: str) -> int:
        transport = httpx.ASGITransport(app=main.app)
        headers = {"Authorization": f"Bearer {forged({'scope': held})}"}
        async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers) as client:
            return (await client.get("/items/")).status_code

    write(tmp_path, source=source)
    with imported(tmp_path, "main", environment(), package="project") as main, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules["project.core.auth.authenticator"].OneUser, "scopes", now)
        assert asyncio.run(asked(main, "read")) == 200
        scopes = set()
        assert asyncio.run(asked(main, "read")) == revoked
        scopes = None
        assert asyncio.run(asked(main, "read")) == (200 if source == "token" else 401)
        scopes = {"read"}
        assert asyncio.run(asked(main, "")) == (403 if source == "token" else 200)


UNPROTECTED = {
    "a route": ('\n\n@app.post("/open")\ndef opened() -> None: ...\n', "/open"),
    "in a router": (
        "\n\nfrom fastapi import APIRouter\n\ninner = APIRouter(prefix='/in')\nouter = APIRouter(prefix='/out')\n\n\n"
        '@inner.put("/{x}")\ndef opened(x: int) -> None: ...\n\n\nouter.include_router(inner)\napp.include_router(outer)\n',
        "/out/in/{x}",
    ),
    "in a mount": (
        '\n\nsub = FastAPI()\n\n\n@sub.get("/x")\ndef opened() -> None: ...\n\n\napp.mount("/sub", sub)\n',
        "/sub/x",
    ),
    "a socket": ('\n\n@app.websocket("/free")\nasync def free(websocket: WebSocket) -> None: ...\n', "/free"),
}
PUBLIC = b'PUBLIC_ROUTES: list[str] = ["/health/*", "/auth/*"]'


def dropped(folder: Path, files: memory.Files) -> subprocess.CompletedProcess[str]:
    put(files, folder)
    quiet = ("-q", "-W", "error", "-p", "no:cacheprovider", "-o", "asyncio_default_fixture_loop_scope=function")
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "pytest", *quiet, "tests/test_permissions.py"],
        cwd=folder,
        env={**os.environ, **environment(), "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("kind", ["none", *UNPROTECTED])
def test_6_a_route_without_a_caller_fails_the_dropped_test(project: Path, tmp_path: Path, kind: str) -> None:
    """Once the routes for anybody are named; those with a caller of their own are protected, as are those of routers."""
    files = memory.read(project)
    core = files["project/core/permissions.py"]
    assert core.count(b'PUBLIC_ROUTES: list[str] = ["*"]') == 1
    files["project/core/permissions.py"] = core.replace(b'PUBLIC_ROUTES: list[str] = ["*"]', PUBLIC)
    code, path = UNPROTECTED.get(kind, ("", ""))
    files["project/main.py"] += code.encode()
    done = dropped(tmp_path, files)
    assert done.returncode == bool(code), done.stdout
    assert repr(path) in done.stdout or not code


def test_the_dropped_test_passes_before_anything_is_named(project: Path, tmp_path: Path) -> None:
    done = dropped(tmp_path, memory.read(project))
    assert done.returncode == 0, done.stdout


# The project's own users ---------------------------------------------------------------------------------------------

OWN = {
    "pyproject.toml": '[project]\nname = "shop"\nversion = "1"\nrequires-python = ">=3.10"\ndependencies = ["fastapi>=0.115.4"]\n'
    '[dependency-groups]\ndev = ["pytest>=8", "httpx>=0.27"]\n',
    "project/__init__.py": "",
    "project/main.py": "from fastapi import FastAPI\n\napp = FastAPI()\n",
    "project/api/__init__.py": "",
    "project/api/deps.py": """\
from typing import Annotated

from fastapi import Depends, Header, HTTPException


class User:
    def __init__(self, name: str) -> None:
        self.id = name
        self.permissions = ["read"] if name == "ada" else []


async def get_current_user(x_user: Annotated[str | None, Header()] = None) -> User:
    if x_user is None:
        raise HTTPException(401)
    return User(x_user)


CurrentUser = Annotated[User, Depends(get_current_user)]
""",
}


def test_a_projects_own_callers_are_asked_instead_of_tokens(tmp_path: Path) -> None:
    before = {path: text.encode() for path, text in OWN.items()}
    plan = memory.planned(before, Request(add=("permissions",)))
    after = memory.applied(before, plan)
    assert {*plan.entries} == {"permissions"}
    assert memory.remove(after, "permissions") == before
    after["project/main.py"] += INCLUDED.encode()
    after["project/api/items.py"] = ITEMS.encode()
    put(after, tmp_path)

    async def asked(main: Any, **headers: str) -> list[int]:
        transport = httpx.ASGITransport(app=main.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers) as client:
            paths = ("/items/", "/items/owned?owner=ada", "/items/owned?owner=bob")
            return [(await client.get(path)).status_code for path in paths]

    with imported(tmp_path, "main", package="project") as main:
        assert asyncio.run(asked(main)) == [401] * 3
        assert asyncio.run(asked(main, **{"x-user": "ada"})) == [200, 200, 404]
        assert asyncio.run(asked(main, **{"x-user": "bob"})) == [403] * 3
    assert dropped(tmp_path, {}).returncode == 0


def test_where_no_module_can_ask_for_the_caller_that_is_to_be_written() -> None:
    deps = OWN["project/api/deps.py"]
    files = {**OWN, "project/main.py": f"{deps}\n{OWN['project/main.py']}", "project/api/deps.py": ""}
    plan = memory.planned({path: text.encode() for path, text in files.items()}, Request(add=("permissions",)))
    assert b"HTTPException(503" in (plan.changeset["project/api/callers.py"].after or b"")
    assert any("write get_caller" in item.message for item in plan.notes)
