"""A small project to which the engine adds `errors`, `cors` and `security-headers`.

Two dialects of settings, Dynaconf and pydantic-settings; both read `APP_*` variables. The application has a route for
every kind of answer that the acceptance lists name. Its request ids come from the template of the foundation.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from laterctl.engine.plan import Request
from laterctl.render import Context, Expr, Style, render
from tests import memory

PACKAGE = "edge"
DIALECTS = ("dynaconf", "pydantic")
FEATURES = ("cors", "security-headers")

MAIN = '''\
"""The application: one route for each kind of answer."""

import os
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response, WebSocket
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from edge.core.config import settings
from edge.core.request_id import RequestIDMiddleware

OWN = """X-Frame-Options: SAMEORIGIN
Cache-Control: max-age=60
Content-Security-Policy: default-src https:
Cross-Origin-Resource-Policy: same-site
Strict-Transport-Security: max-age=1"""

sub = FastAPI(docs_url="/handbook")
app = FastAPI(debug="EDGE_DEBUG" in os.environ)
app.state.settings = settings
app.mount("/sub", sub)


@sub.get("/boom")
async def sub_boom(mark: str) -> None:
    raise RuntimeError(mark)


@app.api_route("/json", methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
async def json() -> dict[str, str]:
    return {"answer": "yes"}


@app.get("/empty", status_code=204)
async def empty() -> None:
    return None


@app.get("/unchanged")
async def unchanged() -> Response:
    return Response(status_code=304, headers={"ETag": '"1"'})


@app.get("/locked")
async def locked() -> None:
    raise HTTPException(401, headers={"WWW-Authenticate": "Bearer"})


@app.get("/forbidden")
async def forbidden() -> None:
    raise HTTPException(403)


@app.get("/number/{number}")
async def number(number: int) -> int:
    return number


@app.get("/redirect")
async def redirect() -> RedirectResponse:
    return RedirectResponse("/json")


@app.get("/stream")
async def stream() -> StreamingResponse:
    async def pieces() -> AsyncIterator[str]:
        yield "one"
        yield "two"

    return StreamingResponse(pieces(), media_type="text/plain")


@app.get("/broken-stream")
async def broken_stream(mark: str) -> StreamingResponse:
    async def pieces() -> AsyncIterator[str]:
        yield "one"
        raise RuntimeError(mark)

    return StreamingResponse(pieces(), media_type="text/plain")


@app.get("/boom")
async def boom(mark: str) -> None:
    raise RuntimeError(mark)


@app.get("/image")
async def image() -> Response:
    return Response(b"PNG", media_type="image/png", headers={"ETag": '"1"'})


@app.get("/reference", include_in_schema=False)
def reference() -> HTMLResponse:
    return get_swagger_ui_html(openapi_url="/openapi.json", title="edge")


@app.get("/page")
async def page() -> HTMLResponse:
    return HTMLResponse("<p>hello")


@app.get("/own")
async def own() -> Response:
    return JSONResponse({}, headers=dict(line.split(": ") for line in OWN.splitlines()))


@app.websocket("/socket")
async def socket(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text("hello")
    await websocket.close()


class Limiter:
    """Stands for a rate limiter: it answers before the routes are reached."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/limited":
            answer = JSONResponse({"detail": "Slow down."}, 429, {"Retry-After": "7"})
            await answer(scope, receive, send)
            return
        await self.app(scope, receive, send)


calls: list[str] = []


async def own_handler(request: Request, error: Exception) -> Response:
    calls.append(request.url.path)
    if os.environ["EDGE_HANDLER"] == "broken":
        raise LookupError("handler failed")
    return JSONResponse({"sorry": len(calls)}, status_code=500)


class CallableHandler:
    """A handler that is an object, called the way Starlette calls a plain function."""

    def __call__(self, request: Request, error: Exception) -> Any:
        return own_handler(request, error)


HANDLERS: dict[str, Any] = {"async": own_handler, "broken": own_handler, "object": CallableHandler()}
if "EDGE_HANDLER" in os.environ:
    app.add_exception_handler(Exception, HANDLERS[os.environ["EDGE_HANDLER"]])

app.add_middleware(Limiter)
app.add_middleware(RequestIDMiddleware)
'''

CONFIG = {
    "dynaconf": """\
from dynaconf import Dynaconf

settings = Dynaconf(envvar_prefix="APP", environments=True, env_switcher="APP_ENV", settings_files=["settings.toml"])
""",
    "pydantic": """\
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="APP_")

    env: str = "development"


settings = Settings()
""",
}

PYPROJECT = """\
[project]
name = "edge"
version = "1.0"
requires-python = ">=3.11"
dependencies = ["dynaconf>=3.2", "fastapi>=0.115", "pydantic-settings>=2.6", "uvicorn>=0.32"]

[dependency-groups]
dev = ["httpx2>=2", "pytest>=8"]

[tool.pytest.ini_options]
filterwarnings = ["error"]
"""
FOUNDATION_ERRORS = "must/common/src/__package__/core/errors.py.jinja"
REQUEST_ID = "request-scope/core/request_id.py.jinja"


def project(dialect: str = "dynaconf", *, api_error: bool = False, main: str = MAIN) -> dict[str, bytes]:
    """Return the files of package `edge` without features; with `api_error` it has the foundation's errors."""
    missing = Expr("")
    context = Context(str, lambda _: missing, str, missing, style=Style(quote="'"))
    texts = {
        "pyproject.toml": PYPROJECT,
        "settings.toml": "[default]\n[development]\n[production]\n",
        f"{PACKAGE}/__init__.py": "",
        f"{PACKAGE}/core/__init__.py": "",
        f"{PACKAGE}/core/config.py": CONFIG[dialect],
        f"{PACKAGE}/core/request_id.py": render(REQUEST_ID, context),
        f"{PACKAGE}/main.py": main,
    }
    if api_error:
        texts[f"{PACKAGE}/core/errors.py"] = render(FOUNDATION_ERRORS, context)
    return {path: text.encode() for path, text in texts.items()}


def write_app(
    folder: Path, dialect: str = "dynaconf", *, api_error: bool = False, body: str = "", profile: str = "api"
) -> None:
    """Write package `edge` with the features below `folder`; `body` and `profile` are options of theirs."""
    options = {"security-headers": {"profile": profile}, **({"errors": {"body": body}} if body else {})}
    request = Request(add=FEATURES, options=options)
    write(folder, memory.run(project(dialect, api_error=api_error), request, f"{PACKAGE}.main:app"))


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files below a folder."""
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)


@contextmanager
def imported(folder: Path, environment: Mapping[str, str], module: str = f"{PACKAGE}.main") -> Iterator[ModuleType]:
    """Import a module of the project with `environment` set; all of the project is forgotten at the end."""
    here, before = os.getcwd(), dict(os.environ)
    sys.path.insert(0, str(folder))
    os.environ.update(environment)
    os.chdir(folder)
    importlib.invalidate_caches()
    try:
        yield importlib.import_module(module)
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == PACKAGE]:
            del sys.modules[name]
        sys.path.remove(str(folder))
        os.chdir(here)
        os.environ.clear()
        os.environ.update(before)
