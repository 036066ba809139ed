"""A small project to which the engine adds `request-scope` and `logging`, with a route for each way of running code.

Its settings are pydantic-settings, read from `APP_*` variables. With `library="loguru"` it logs by loguru.
"""

from __future__ import annotations

from pathlib import Path

from laterctl.engine.plan import Request
from tests import memory

APP = "project.main:app"

MAIN = '''\
"""The application: each route tells the request id that it sees."""

import asyncio
import warnings
from collections.abc import AsyncGenerator
from logging import getLogger

import httpx
from fastapi import BackgroundTasks, FastAPI, Request, WebSocket
from fastapi.responses import StreamingResponse

from project import early

try:
    from project.core.request_id import current_request_id
except ImportError:
    def current_request_id() -> str:
        return ""

app = FastAPI()
log = getLogger(__name__)
later: list[list[str]] = []


@app.get("/async")
async def read_async(request: Request) -> list[str]:
    log.info("in async")
    await asyncio.sleep(0.01)
    return [request.state.request_id, current_request_id()]


@app.get("/sync")
def read_sync(request: Request) -> list[str]:
    early.say("in sync", password="hunter2", nested={"Authorization": "Bearer hunter2"})
    return [request.state.request_id, current_request_id()]


@app.get("/number/{number}")
async def number(number: int) -> int:
    return number


@app.get("/fail")
async def fail() -> None:
    planted = "planted-local"
    raise RuntimeError(f"first line\\nsecond line {len(planted)}")


@app.get("/stream")
async def stream(request: Request) -> StreamingResponse:
    async def chunks() -> AsyncGenerator[str]:
        yield request.state.request_id + " "
        await asyncio.sleep(0.01)
        yield current_request_id()

    return StreamingResponse(chunks())


@app.get("/background")
async def background(request: Request, tasks: BackgroundTasks) -> str:
    async def remember() -> None:
        await asyncio.sleep(0.01)
        log.info("in background")
        later.append([request.state.request_id, current_request_id()])

    tasks.add_task(remember)
    return "later"


@app.get("/later")
async def read_later() -> list[list[str]]:
    return later


@app.get("/odd")
async def odd() -> None:
    class Broken:
        def __str__(self) -> str:
            raise ValueError

    whole: list[object] = []
    whole.append(whole)
    early.say("odd", nan=float("nan"), keys={(1, 2): 3}, broken=Broken(), whole=whole, many=10**5000)
    log.info("%s has %d", "args", 2, extra={"order": 7, "broken": Broken()})
    warnings.warn("warned\\nin two lines", UserWarning)


@app.get("/call")
async def call(request: Request) -> int:
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.get(str(request.base_url.replace(path="/number/7", query="key=hunter2")))).status_code


@app.websocket("/socket")
async def socket(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(current_request_id())
    await websocket.close()
'''

EARLY = {
    "structlog": '''\
"""A module that has its logger before anything is configured."""

import structlog

log = structlog.get_logger()


def say(event: str, **fields: object) -> None:
    log.info(event, **fields)
''',
    "loguru": '''\
"""A module that logs by loguru."""

from loguru import logger


def say(event: str, **fields: object) -> None:
    logger.bind(**fields).info(event)
''',
}

CONFIG = '''\
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
name = "observed"
version = "1"
requires-python = ">=3.11"
dependencies = ["fastapi>=0.115", "httpx>=0.27", "pydantic-settings>=2.6", "uvicorn"]

[dependency-groups]
dev = ["pytest>=8"]
"""


def write_project(folder: Path, request: Request, *, library: str = "structlog", more: str = "") -> None:
    """Write package `project` with what a request adds below `folder`, and code behind the application."""
    files = {
        "pyproject.toml": PYPROJECT,
        "project/main.py": MAIN + more,
        "project/early.py": EARLY[library],
        "project/core/config.py": CONFIG,
        **{f"{package}/__init__.py": "" for package in ("project", "project/core", "tests")},
    }
    before = {path: text.encode() for path, text in files.items()}
    for path, data in memory.run(before, request, APP).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
