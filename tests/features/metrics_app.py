"""A small project to which the engine adds the feature `metrics`, with its capability `routing`.

Two forms: `container` (Dynaconf settings and a dependency-injector container, as the foundation has them) and
`functions` (pydantic-settings and no container). In both, `APP_METRICS_TOKEN` sets the token.
"""

from __future__ import annotations

from pathlib import Path

from tests import memory

FORMS = ("container", "functions")

MAIN = '''\
"""The application: nested routers, a mounted application, a stream and a failure."""

import asyncio
import os
from collections.abc import AsyncGenerator

from fastapi import APIRouter, BackgroundTasks, FastAPI, Request, WebSocket
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import StreamingResponse
from prometheus_client import Counter

ORDERS = Counter("orders_total", "Orders.", ["channel"])
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


@app.get("/slow")
async def slow(seconds: float = 1.0) -> str:
    await asyncio.sleep(seconds)
    return "nobody asked whether anybody is left"


@app.get("/later")
async def later(tasks: BackgroundTasks) -> str:
    tasks.add_task(asyncio.sleep, 1.0)
    return "done"


@app.get("/order")
async def order() -> None:
    ORDERS.labels("web").inc()


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
app.add_middleware(CORSMiddleware, allow_origins=["https://a.example"])
'''

CONTAINER = '''\
"""The container."""

from dependency_injector import containers


class Container(containers.DeclarativeContainer):
    """Providers."""


container = Container()
'''

DYNACONF = '''\
"""Settings of the project."""

from dynaconf import Dynaconf

settings = Dynaconf(envvar_prefix="APP")
'''

PYDANTIC = '''\
"""Settings of the project."""

from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Settings."""

    model_config = SettingsConfigDict(env_prefix="APP_")

    environment: str = "development"


settings = Settings()
'''

PYPROJECT = """\
[project]
name = "shop"
version = "1.2.3"
requires-python = ">=3.10"
dependencies = ["fastapi>=0.115", "prometheus-client>=0.22", "uvicorn"]

[dependency-groups]
dev = ["pytest>=8", "HTTP_CLIENT"]
"""


def write_project(folder: Path, form: str, *, http_client: str = "httpx") -> None:
    """Write package `project` with the feature, and its dropped test, below `folder`, in one of `FORMS`."""
    container = form == "container"
    files = {
        "pyproject.toml": PYPROJECT.replace("HTTP_CLIENT", http_client),
        "project/main.py": MAIN,
        "project/core/config.py": DYNACONF if container else PYDANTIC,
        **({"project/core/container.py": CONTAINER} if container else {}),
        **{f"{package}/__init__.py": "" for package in ("project", "project/core", "tests")},
    }
    before = {path: text.encode() for path, text in files.items()}
    for path, data in memory.add(before, "metrics", app="project.main:app").items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
