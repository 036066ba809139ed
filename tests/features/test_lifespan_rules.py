"""The doctor rules of `lifespan`: what they find, what they leave alone, and that what they say is true."""

from __future__ import annotations

import asyncio
from textwrap import dedent
from typing import Any

import pytest

from tests.ruling import code as reported

HEAD = """
from contextlib import asynccontextmanager
import asyncio, signal
from fastapi import APIRouter, FastAPI, FastAPI as F
from fastapi.middleware.gzip import GZipMiddleware
stop = asyncio.Event()
"""


def lines(rule: str, code: str) -> list[str]:
    """Return the source lines that a rule reports."""
    return reported(rule, HEAD + dedent(code))


HANDLERS = """
app = FastAPI({given})

@app.on_event("startup")
async def start():
    ran.append("handler")
"""


@pytest.mark.parametrize("given", ["lifespan=lifespan", "title='x', lifespan=lifespan"])
def test_app001_handlers_beside_a_lifespan(given: str) -> None:
    assert lines("APP001", HANDLERS.format(given=given)) == ['@app.on_event("startup")']


def test_app001_in_a_factory_and_by_call() -> None:
    code = """
    def create_app():
        application = F(lifespan=lifespan, on_startup=[start])
        application.router.add_event_handler("startup", start)
        application.add_event_handler("shutdown", start)
        return application
    """
    assert lines("APP001", code) == [
        "application = F(lifespan=lifespan, on_startup=[start])",
        'application.router.add_event_handler("startup", start)',
        'application.add_event_handler("shutdown", start)',
    ]


@pytest.mark.parametrize(
    "code",
    [
        HANDLERS.format(given=""),
        HANDLERS.format(given="lifespan=None"),
        "app = FastAPI()\napp.include_router(APIRouter(lifespan=lifespan))\napp.on_event('startup')(start)",
        "app = FastAPI(lifespan=lifespan)\nother = FastAPI()\nother.on_event('startup')(start)",
        "app = FastAPI(lifespan=lifespan)\ndef setup(app):\n    app.on_event('startup')(start)",
        "if debug:\n    app = FastAPI()\nelse:\n    app = FastAPI(lifespan=lifespan)\napp.on_event('startup')(start)",
        "class FastAPI: ...\napp = FastAPI(lifespan=lifespan)\napp.on_event('startup')(start)",
    ],
)
def test_app001_leaves_alone(code: str) -> None:
    assert lines("APP001", code) == []


@pytest.mark.parametrize(
    "body",
    [
        "yield\n    await stop.wait()",
        "try:\n        yield\n    finally:\n        await stop.wait()",
        "yield {'a': 1}\n    if stop:\n        await stop.wait()",
    ],
)
def test_app002_a_wait_after_the_yield(body: str) -> None:
    code = f"@asynccontextmanager\nasync def lifespan(app):\n    {body}\napp = FastAPI(lifespan=lifespan)"
    assert lines("APP002", code) == ["await stop.wait()"]


def test_app002_setting_it_in_a_signal_handler_is_no_help() -> None:
    code = """
    def on_signal(*_):
        stop.set()

    @asynccontextmanager
    async def lifespan(app):
        signal.signal(signal.SIGTERM, on_signal)
        yield
        await stop.wait()
    """
    assert lines("APP002", code) == ["await stop.wait()"]


@pytest.mark.parametrize(
    "body",
    [
        "await stop.wait()\n    yield",
        "yield\n    await asyncio.wait_for(stop.wait(), 5)",
        "yield\n    async with asyncio.timeout(5):\n        await stop.wait()",
        "yield\n    stop.set()\n    await stop.wait()",
        "yield\n    await process.wait()",
        "yield\n    async def later():\n        await stop.wait()",
    ],
)
def test_app002_leaves_alone(body: str) -> None:
    code = f"@asynccontextmanager\nasync def lifespan(app):\n    {body}\napp = FastAPI(lifespan=lifespan)"
    assert lines("APP002", code) == []


def test_app002_knows_events_that_a_task_sets() -> None:
    code = """
    async def drain():
        stop.set()

    @asynccontextmanager
    async def lifespan(app):
        yield
        await stop.wait()
    """
    assert lines("APP002", code) == []


MIDDLEWARE = """
@asynccontextmanager
async def lifespan({parameter}):
    {receiver}.add_middleware(GZipMiddleware)
    yield

app = FastAPI(lifespan=lifespan)
"""


@pytest.mark.parametrize(("parameter", "receiver"), [("app: FastAPI", "app"), ("api", "api"), ("_", "app")])
def test_app003_middleware_added_in_a_lifespan(parameter: str, receiver: str) -> None:
    code = MIDDLEWARE.format(parameter=parameter, receiver=receiver)
    assert lines("APP003", code) == [f"{receiver}.add_middleware(GZipMiddleware)"]


@pytest.mark.parametrize(
    ("parameter", "receiver"), [("app: FastAPI", "server"), ("server: FastMCP", "server"), ("app: FastAPI", "app.mcp")]
)
def test_app003_leaves_alone(parameter: str, receiver: str) -> None:
    assert lines("APP003", MIDDLEWARE.format(parameter=parameter, receiver=receiver)) == []


def run(code: str) -> list[str]:
    """Start and stop the application of a snippet; return what it noted in `ran`."""
    scope: dict[str, Any] = {"ran": []}
    exec(HEAD + dedent(code), scope)

    async def cycle() -> None:
        messages = iter(({"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}))

        async def receive() -> dict[str, str]:
            return next(messages)

        async def send(message: dict[str, str]) -> None:
            scope["ran"].append(message["type"])

        await scope["app"]({"type": "lifespan", "app": scope["app"], "state": {}}, receive, send)

    asyncio.run(cycle())
    return list(scope["ran"])


LIFESPAN = """
@asynccontextmanager
async def lifespan(app):
    yield
"""


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_it_is_true_that_a_lifespan_disables_handlers() -> None:
    done = ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert run(LIFESPAN + HANDLERS.format(given="")) == ["handler", *done]
    assert run(LIFESPAN + HANDLERS.format(given="lifespan=lifespan")) == done


def test_it_is_true_that_middleware_cannot_be_added_in_a_lifespan() -> None:
    with pytest.raises(RuntimeError, match="Cannot add middleware"):
        run(MIDDLEWARE.format(parameter="app", receiver="app"))
