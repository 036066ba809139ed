"""A small project with `errors`, `cors` and `security-headers`, rendered from the templates into a folder.

Two dialects of settings, Dynaconf as the foundation has it and pydantic-settings; both read `APP_*` variables.
The application has a route for every kind of answer that the acceptance lists name.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from laterctl.render import TEMPLATES, Context, Expr, Import, Style, render

PACKAGE = "edge"
DIALECTS = ("dynaconf", "pydantic")
FEATURES = ("errors", "cors", "security-headers")

SETTINGS: dict[str, tuple[str, str]] = {
    "cors_origins": ("list[str] | str", "[]"),
    "cors_origin_regex": ("str", "''"),
    "cors_credentials": ("bool", "False"),
    "cors_expose": ("list[str] | str", "[]"),
    "security_hsts_seconds": ("int", "31536000"),
    "security_hsts_subdomains": ("bool", "False"),
    "security_hsts_preload": ("bool", "False"),
    "security_csp_report_only": ("bool", "False"),
    "security_profile": ("str", "'api'"),
}
"""Settings of the three features: name, annotation and default."""

MAIN = '''\
"""The application: one route for each kind of answer."""

import os
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response, WebSocket
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from edge.core.cors import CorsMiddleware
from edge.core.error_boundary import ErrorBoundary
from edge.core.problems import problem_response
from edge.core.request_id import RequestIDMiddleware
from edge.core.security_headers import SecurityHeadersMiddleware

sub = FastAPI(docs_url="/handbook")
app = FastAPI(debug="EDGE_DEBUG" in os.environ)
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


@app.get("/page")
async def page() -> HTMLResponse:
    return HTMLResponse("<p>hello")


@app.get("/own")
async def own() -> Response:
    return JSONResponse(
        {},
        headers={
            "X-Frame-Options": "SAMEORIGIN",
            "Cache-Control": "max-age=60",
            "Content-Security-Policy": "default-src https:",
            "Cross-Origin-Resource-Policy": "same-site",
            "Strict-Transport-Security": "max-age=1",
        },
    )


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
            answer = problem_response(scope, 429, "rate_limited", "Slow down.", {"Retry-After": "7"})
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

app.add_middleware(ErrorBoundary)
app.add_middleware(Limiter)
app.add_middleware(CorsMiddleware)
app.add_middleware(SecurityHeadersMiddleware)
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
{fields}

settings = Settings()
""",
}

PYPROJECT = """\
[tool.pytest.ini_options]
filterwarnings = ["error"]
"""

FOUNDATION_ERRORS = "must/common/src/__package__/core/errors.py.jinja"


def write_app(
    folder: Path,
    dialect: str = "dynaconf",
    *,
    shape: str = "problem",
    http_client: str = "httpx2",
    style: Style | None = None,
) -> None:
    """Write package `edge` below `folder`, and the features' own tests to `folder/tests`.

    `shape` is that of error bodies: `problem` (RFC 9457) or `apierror` (the foundation's).
    """
    context = context_of(dialect, http_client, style or Style(quote="'"))
    sources = {
        f"{PACKAGE}/core/{name}": f"{feature}/core/{name}.jinja"
        for feature in FEATURES
        for name in _names(feature, "core")
        if not name.startswith("problems.")
    }
    sources[f"{PACKAGE}/core/startup.py"] = "settings/core/startup.py.jinja"
    sources[f"{PACKAGE}/core/request_id.py"] = "request-scope/core/request_id.py.jinja"
    sources[f"{PACKAGE}/core/problems.py"] = f"errors/core/problems.{shape}.py.jinja"
    if shape == "apierror":
        sources[f"{PACKAGE}/core/errors.py"] = FOUNDATION_ERRORS
    for feature in FEATURES:
        sources |= {f"tests/{name}": f"{feature}/tests/{name}.jinja" for name in _names(feature, "tests")}
    texts = {path: render(template, context) for path, template in sources.items()}
    fields = "".join(f"    {name}: {kind} = {default}\n" for name, (kind, default) in SETTINGS.items())
    texts |= {
        f"{PACKAGE}/__init__.py": "",
        f"{PACKAGE}/core/__init__.py": "",
        f"{PACKAGE}/core/config.py": CONFIG[dialect].replace("{fields}", fields),
        f"{PACKAGE}/main.py": MAIN,
        "tests/__init__.py": "",
        "pyproject.toml": PYPROJECT,
        "settings.toml": "[default]\n[development]\n[production]\n",
    }
    for path, text in texts.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


def context_of(dialect: str, http_client: str, style: Style) -> Context:
    """Return what a template sees in one of the two `DIALECTS`."""
    config = (Import(f"{PACKAGE}.core.config", "settings"),)

    def setting(name: str) -> Expr:
        if dialect == "pydantic":
            return Expr(f"settings.{name}", config)
        return Expr(f"settings.get({name.upper()!r}, {SETTINGS[name][1]})", config)

    def provided(name: str) -> Expr:
        raise LookupError(f"none of the three features has a provider, not {name}")

    return Context(
        setting=setting,
        variable=lambda name: f"APP_{name}".upper(),
        provided=provided,
        module=lambda name: f"{PACKAGE}.{name}",
        environment=Expr("settings.env" if dialect == "pydantic" else "str(settings.current_env)", config),
        style=style,
        first_party=frozenset({PACKAGE, "tests"}),
        values={
            "http_client": http_client,
            "app_module": f"{PACKAGE}.main",
            "app_name": "app",
            "app_call": "app",
            "package": PACKAGE,
        },
    )


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


def _names(feature: str, folder: str) -> Iterable[str]:
    return sorted(path.name.removesuffix(".jinja") for path in (TEMPLATES / feature / folder).glob("*.jinja"))
