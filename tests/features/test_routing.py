"""The hidden capability `routing`: the template of a request's route, before and after the application handled it."""

from __future__ import annotations

import asyncio
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from httpx import ASGITransport, AsyncClient
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Mount, Route, Router
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.features.metrics_app import write_project


@pytest.fixture
def routing(tmp_path: Path) -> ModuleType:
    """The rendered module; it needs nothing else of the project."""
    write_project(tmp_path, "functions")
    spec = importlib.util.spec_from_file_location("rendered_routing", tmp_path / "project/core/routing.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Ask:
    """A middleware that asks for the template before and after the application."""

    def __init__(self, app: ASGIApp, routing: ModuleType, answers: list[str]) -> None:
        self.app, self.routing, self.answers = app, routing, answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.answers.append(self.routing.route_template(scope))
        try:
            await self.app(scope, receive, send)
        finally:
            self.answers.append(self.routing.route_template(scope))


class CopyScope:
    """A middleware that hides from those outside of it what the router notes in the scope."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(dict(scope), receive, send)


async def answer() -> str:
    return "fine"


async def wildcard(rest: str) -> str:
    return rest


def build(folder: Path) -> FastAPI:
    """An application with every kind of route."""
    (folder / "file.txt").write_text("text")
    deep = APIRouter(prefix="/deep")
    deep.add_api_route("/{thing}/", answer)
    deep.add_api_route("/files/{rest:path}", wildcard)
    deep.add_api_route("/split", answer, methods=["GET"])
    deep.add_route("/plain", lambda _request: PlainTextResponse("plain"))
    deep.mount("/static", StaticFiles(directory=folder))
    middle = APIRouter(prefix="/middle")
    middle.include_router(deep)
    late = APIRouter()
    late.add_api_route("/middle/deep/{other}", answer, methods=["POST"])
    lazy = Starlette(routes=[Route("/page/{number:int}", lambda _request: PlainTextResponse("page"))])
    shop = FastAPI()
    shop.include_router(middle)
    shop.add_api_route("/{rest:path}", wildcard, methods=["PUT"])
    shop.mount("/older", lazy)
    app = FastAPI()
    app.include_router(middle, prefix="/api")
    app.include_router(middle)
    app.include_router(late)
    app.mount("/shop/{tenant}", shop)
    app.mount("/assets", StaticFiles(directory=folder))
    app.router.routes.append(Host("host.example", Router([Route("/hosted", lambda _request: PlainTextResponse("x"))])))
    app.router.routes.append(Mount("/group", routes=[Mount("/inner", routes=[Route("/end", answer)])]))
    return app


def ask(app: FastAPI, routing: ModuleType, path: str, method: str = "GET", **options: Any) -> tuple[int, list[str]]:
    """Return the status, and the templates given before and after the application."""
    answers: list[str] = []
    app.add_middleware(Ask, routing=routing, answers=answers)

    async def run() -> int:
        transport = ASGITransport(app, raise_app_exceptions=False, **options)
        async with AsyncClient(transport=transport, base_url="http://test") as client:
            return (await client.request(method, path)).status_code

    return asyncio.run(run()), answers


@pytest.mark.parametrize("copied", [False, True])
@pytest.mark.parametrize(
    ("method", "path", "status", "template"),
    [
        ("GET", "/middle/deep/7/", 200, "/middle/deep/{thing}/"),
        ("GET", "/api/middle/deep/7/", 200, "/api/middle/deep/{thing}/"),
        ("PUT", "/api/middle/deep/7/", 405, "/api/middle/deep/{thing}/"),
        ("GET", "/api/middle/deep/files/a/b/c", 200, "/api/middle/deep/files/{rest}"),
        ("GET", "/api/middle/plain", 200, "/api/middle/plain"),
        ("GET", "/middle/deep/split", 200, "/middle/deep/split"),
        ("POST", "/middle/deep/split", 200, "/middle/deep/{other}"),
        ("GET", "/api/middle/deep/7", 307, "<unmatched>"),
        ("GET", "/api/middle", 404, "<unmatched>"),
        ("GET", "/", 404, "<unmatched>"),
        ("GET", "/api/middle/static/file.txt", 200, "/api/middle/static/{path}"),
        ("GET", "/assets/file.txt", 200, "/assets/{path}"),
        ("GET", "/assets/none.txt", 404, "/assets/{path}"),
        ("GET", "/shop/a/middle/deep/7/", 200, "/shop/{tenant}/middle/deep/{thing}/"),
        ("PUT", "/shop/a/any/thing", 200, "/shop/{tenant}/{rest}"),
        ("GET", "/shop/a/older/page/3", 200, "/shop/{tenant}/older/page/{number}"),
        ("GET", "/shop/a/older/page/x", 404, "<unmatched>"),
        ("GET", "/shop/a/openapi.json", 200, "/shop/{tenant}/openapi.json"),
        ("GET", "/openapi.json", 200, "/openapi.json"),
    ],
)
def test_template(
    routing: ModuleType, tmp_path: Path, method: str, path: str, status: int, template: str, copied: bool
) -> None:
    app = build(tmp_path)
    if copied:
        app.add_middleware(CopyScope)
    assert ask(app, routing, path, method) == (status, [template, template])


@pytest.mark.parametrize("root_path", ["/proxy", "/proxy/"])
@pytest.mark.parametrize("prefix", ["", "/proxy"])
def test_root_path_is_no_part_of_it(routing: ModuleType, tmp_path: Path, root_path: str, prefix: str) -> None:
    app = build(tmp_path)
    _, answers = ask(app, routing, f"{prefix}/api/middle/deep/7/", root_path=root_path)
    assert set(answers) == {"/api/middle/deep/{thing}/"}
    app = build(tmp_path)
    _, answers = ask(app, routing, f"{prefix}/shop/a/middle/deep/7/", root_path=root_path)
    assert answers[0] == "/shop/{tenant}/middle/deep/{thing}/"


def test_inside_a_mounted_application_the_template_is_the_whole(routing: ModuleType, tmp_path: Path) -> None:
    inner = build(tmp_path)
    answers: list[str] = []
    inner.add_middleware(Ask, routing=routing, answers=answers)
    outer = FastAPI()
    outer.mount("/{version}", inner)

    async def run() -> None:
        async with AsyncClient(transport=ASGITransport(outer), base_url="http://test") as client:
            await client.get("/v1/api/middle/deep/7/")

    asyncio.run(run())
    assert answers == ["/{version}/api/middle/deep/{thing}/"] * 2


def test_websocket_route_is_found_by_its_own_kind(routing: ModuleType) -> None:
    async def greet(socket: Any) -> None:
        await socket.accept()
        await socket.close()

    inner = APIRouter(prefix="/inner")
    inner.add_api_route("/{name}", answer)
    inner.add_api_websocket_route("/{room}", greet)
    app = FastAPI()
    app.include_router(inner)
    answers: list[str] = []
    app.add_middleware(Ask, routing=routing, answers=answers)

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(_message: Message) -> None:
        pass

    scope = {"type": "websocket", "path": "/inner/x", "headers": [], "query_string": b""}
    asyncio.run(app(scope, receive, send))
    assert answers == ["/inner/{room}"] * 2


def test_anything_else_is_unmatched(routing: ModuleType) -> None:
    assert routing.route_template({"type": "http", "method": "GET", "path": "/x"}) == "<unmatched>"
    assert routing.route_template({"type": "lifespan"}) == "<unmatched>"


def test_probe_paths(routing: ModuleType) -> None:
    assert routing.PROBE_PATHS == ["/metrics"]
    assert routing.is_probe({"type": "http", "path": "/metrics"})
    assert routing.is_probe({"type": "http", "path": "/proxy/metrics", "root_path": "/proxy"})
    assert not routing.is_probe({"type": "http", "path": "/api/metrics"})
    assert not routing.is_probe({"type": "lifespan"})
