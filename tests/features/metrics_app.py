"""A small project with the feature `metrics` and its capability `routing`, rendered from the templates into a folder.

Two forms: `container` (Dynaconf settings and a dependency-injector container, as the foundation has them) and
`functions` (pydantic-settings and no container). In both, `APP_METRICS_TOKEN` sets the token.
"""

from __future__ import annotations

from pathlib import Path

from laterctl.render import Context, Expr, Import, Style, render

FORMS = ("container", "functions")

FILES = {
    "routing/core/routing.py.jinja": "project/core/routing.py",
    "metrics/core/metrics.py.jinja": "project/core/metrics.py",
    "metrics/core/metrics_middleware.py.jinja": "project/core/metrics_middleware.py",
    "metrics/api/metrics.py.jinja": "project/api/metrics.py",
    "metrics/tests/test_metrics.py.jinja": "tests/test_metrics.py",
}

MAIN = '''\
"""The application: nested routers, a mounted application, a stream, a failure, and the metrics."""

import asyncio
import os
from collections.abc import AsyncGenerator

from fastapi import APIRouter, FastAPI, Request, WebSocket
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import StreamingResponse

from project.api.metrics import router as metrics_router
from project.core.metrics_middleware import MetricsMiddleware

app = FastAPI(title="shop", version="1.2.3")
api = APIRouter(prefix="/api")
items = APIRouter(prefix="/items")


@items.get("/{item_id}")
async def read_item(item_id: int) -> int:
    return item_id


@app.get("/fail")
async def fail() -> None:
    message = "on purpose"
    raise RuntimeError(message)


@app.get("/stream")
async def stream(seconds: float = 1.0) -> StreamingResponse:
    async def chunks() -> AsyncGenerator[bytes]:
        yield b"first"
        await asyncio.sleep(seconds)
        yield b"last"

    return StreamingResponse(chunks())


@app.get("/endless")
async def endless() -> StreamingResponse:
    async def chunks() -> AsyncGenerator[bytes]:
        while True:
            yield b"again"
            await asyncio.sleep(0.05)

    return StreamingResponse(chunks())


@app.get("/patient")
async def patient(request: Request) -> str:
    while not await request.is_disconnected():
        await asyncio.sleep(0.05)
    return "nobody is left to read this"


@app.get("/pid")
async def pid() -> int:
    return os.getpid()


@app.websocket("/echo")
async def echo(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text(await socket.receive_text())
    await socket.close()


shop = FastAPI()


@shop.get("/orders/{order_id}")
async def read_order(order_id: int) -> int:
    return order_id


api.include_router(items)
app.include_router(api)
app.mount("/shop", shop)
app.include_router(metrics_router)
app.add_middleware(CORSMiddleware, allow_origins=["https://a.example"])
app.add_middleware(MetricsMiddleware)
'''

CONTAINER = '''\
"""The container."""

from dependency_injector import containers, providers

from project.core.metrics import get_metrics


class Container(containers.DeclarativeContainer):
    """Providers."""

    metrics = providers.Callable(get_metrics)


container = Container()
'''

DYNACONF = '''\
"""Settings of the project."""

from dynaconf import Dynaconf

settings = Dynaconf(envvar_prefix="APP")
'''

PYDANTIC = '''\
"""Settings of the project."""

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Settings."""

    model_config = SettingsConfigDict(env_prefix="APP_")

    environment: str = "development"
    metrics_token: SecretStr | None = None


settings = Settings()
'''

SETTINGS = (Import("project.core.config", "settings"),)


def write_project(folder: Path, form: str, *, http_client: str = "httpx", style: Style | None = None) -> None:
    """Write package `project` and its dropped test below `folder`, in one of `FORMS`."""
    context = _context(form, http_client, style or Style())
    for template, path in FILES.items():
        _write(folder / path, render(template, context))
    for package in ("project", "project/core", "project/api", "tests"):
        _write(folder / package / "__init__.py", "")
    _write(folder / "project/main.py", MAIN)
    _write(folder / "project/core/config.py", DYNACONF if form == "container" else PYDANTIC)
    if form == "container":
        _write(folder / "project/core/container.py", CONTAINER)


def _context(form: str, http_client: str, style: Style) -> Context:
    container = form == "container"
    if container:
        provided = Expr("container.metrics()", (Import("project.core.container", "container"),))
    else:
        provided = Expr("get_metrics()", (Import("project.core.metrics", "get_metrics"),))
    return Context(
        setting=lambda name: Expr(
            f"settings.get({name.upper()!r}, None)" if container else f"settings.{name}", SETTINGS
        ),
        provided=lambda _name: provided,
        module=lambda name: f"project.{name}",
        environment=Expr("str(settings.current_env)" if container else "settings.environment", SETTINGS),
        style=style,
        first_party=frozenset({"project"}),
        values={"http_client": http_client, "app_module": "project.main", "app_name": "app", "app_call": "app"},
    )


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
