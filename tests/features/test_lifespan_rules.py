"""The doctor rules of `lifespan`: what they find, what they leave alone, and that what they say is true."""

from __future__ import annotations

import asyncio
from textwrap import dedent
from typing import Any

import pytest

from tests.ruling import code as reported
from tests.ruling import places

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


APP = "from contextlib import asynccontextmanager\nfrom fastapi import FastAPI\n@asynccontextmanager\nasync def up(app):\n    yield\n"
HOOK = "@app.on_event('startup')\ndef warm(): ...\n"


@pytest.mark.parametrize(
    "code",
    [
        f"app = FastAPI()\n{HOOK}app.router.lifespan_context = up\n",
        f"app = FastAPI()\napp.router.lifespan_context = up\n{HOOK}",
        "app = FastAPI()\napp.router.lifespan_context = up\napp.add_event_handler('startup', print)\n",
    ],
)
def test_app001_finds_handlers_beside_an_assigned_lifespan(code: str) -> None:
    assert len(lines("APP001", APP + code)) == 1


def test_app001_leaves_an_assigned_lifespan_alone_that_calls_the_first() -> None:
    code = "app = FastAPI()\nbefore = app.router.lifespan_context\napp.router.lifespan_context = up\n"
    assert lines("APP001", APP + code + HOOK) == []


def test_app001_looks_into_other_modules() -> None:
    main = f"import app.hooks\n{APP}"
    hooks = f"from app.main import app\n{HOOK}"
    given = {"app/main.py": f"{main}app = FastAPI(lifespan=up)\n", "app/hooks.py": hooks}
    assert places(given, "APP001") == ["app/hooks.py:2"]
    assigned = f"from app.main import app\n{APP}app.router.lifespan_context = up\n"
    bare = {"app/main.py": f"{main}import app.life\napp = FastAPI()\n", "app/hooks.py": hooks}
    assert places({**bare, "app/life.py": assigned}, "APP001") == ["app/hooks.py:2"]
    assert places(bare, "APP001") == []


@pytest.mark.parametrize(
    "code",
    [
        "@app.on_event('startup')\ndef start():\n    app.add_middleware(M)\n",
        "@app.on_event('startup')\nasync def start():\n    @app.middleware('http')\n    async def m(request, call_next): ...\n",
        "def start():\n    app.add_middleware(M)\napp.add_event_handler('startup', start)\n",
        "x = Instrumentator()\n@app.on_event('startup')\ndef start():\n    x.instrument(app)\n",
        "def put(app):\n    app.add_middleware(M)\n@app.on_event('startup')\ndef start():\n    put(app)\n",
        "def make():\n    inner = FastAPI()\n    @inner.on_event('startup')\n    def start():\n        inner.add_middleware(M)\n    return inner\n"
        "x = make()\n",
    ],
)
def test_app003_finds_middleware_in_start_up_handlers(code: str) -> None:
    head = (
        "from fastapi import FastAPI\nfrom prometheus_fastapi_instrumentator import Instrumentator\napp = FastAPI()\n"
    )
    assert len(lines("APP003", head + code)) == 1


@pytest.mark.parametrize(
    "code",
    [
        "@app.on_event('shutdown')\ndef stop():\n    app.add_middleware(M)\n",
        "@app.on_event('startup')\ndef start():\n    other.add_middleware(M)\n    Other().instrument(app)\n",
        "@app.on_event('startup')\ndef start():\n    Instrumentator().expose(app)\n    report(app)\n",
        "def put(app):\n    app.add_middleware(M)\nput(app)\n",
    ],
)
def test_app003_leaves_handlers_alone(code: str) -> None:
    head = (
        "from fastapi import FastAPI\nfrom prometheus_fastapi_instrumentator import Instrumentator\napp = FastAPI()\n"
    )
    assert lines("APP003", head + code) == []


@pytest.mark.parametrize(
    "code",
    [
        "sub = FastAPI(lifespan=up)\napp = FastAPI()\napp.mount('/sub', sub)\n",
        "sub = FastAPI()\n@sub.on_event('startup')\ndef warm(): ...\napp = FastAPI()\napp.mount('/sub', app=sub)\n",
        "def make():\n    sub = FastAPI(lifespan=up)\n    return sub\napp = FastAPI()\napp.mount('/sub', make())\n",
        "sub = FastAPI(lifespan=up)\napp = Starlette(routes=[Mount('/sub', sub)])\n",
    ],
)
def test_app004_finds_a_mounted_application_with_something_to_do(code: str) -> None:
    head = f"from starlette.applications import Starlette\nfrom starlette.routing import Mount\n{APP}"
    assert len(lines("APP004", head + code)) == 1
    assert lines("APP004", head + code.replace("lifespan=up", "").replace("@sub.on_event('startup')", "")) == []


def test_app004_leaves_a_lifespan_alone_that_the_outer_one_enters() -> None:
    entered = "sub = FastAPI(lifespan=up)\n@asynccontextmanager\nasync def outer(app):\n    async with up(sub):\n        yield\n"
    assert lines("APP004", f"{APP}{entered}app = FastAPI(lifespan=outer)\napp.mount('/sub', sub)\n") == []


def test_app004_looks_into_other_modules() -> None:
    files = {
        "app/sub.py": f"{APP}sub = FastAPI(lifespan=up)\n",
        "app/main.py": "from fastapi import FastAPI\nfrom app.sub import sub\napp = FastAPI()\napp.mount('/sub', sub)\n",
    }
    assert places(files, "APP004") == ["app/main.py:4"]
