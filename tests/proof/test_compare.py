"""What a change may do to a running app, and what it may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from laterctl.engine.plan import Request
from laterctl.proof.dynamic import Observation, Report
from tests.proof.scene import SHOP, Step, edited, observed, project

CHECKED = """\
from contextlib import asynccontextmanager
from typing import Any

import other_models
from desk import desk
from fastapi import APIRouter, Depends, FastAPI
from fastapi.security import HTTPBearer
from pydantic import BaseModel, Field
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.httpsredirect import HTTPSRedirectMiddleware


class Item(BaseModel):
    name: str = Field(default="nail")
    parts: "list[Item]" = []


@asynccontextmanager
async def lifespan(app: FastAPI):
    yield
    # the end


app = FastAPI(title="Shop", lifespan=lifespan)
app.add_middleware(GZipMiddleware)
app.add_middleware(HTTPSRedirectMiddleware)
router = APIRouter()


@router.get("/items", responses={404: {"description": "none"}})
def items() -> list[Item]:
    return []


@router.get("/items/last")
def last() -> Item:
    return Item()


@router.get("/items/{number}")
def item(number: int) -> Item:
    return Item()


app.include_router(router, prefix="/v1")
app.mount("/desk", desk)
# more
"""

DESK = """\
from fastapi import FastAPI

desk = FastAPI()


@desk.get("/loans")
def loans() -> None: ...
"""
REORDERED = """\
@router.get("/items/{number}")
def item(number: int) -> Item:
    return Item()


@router.get("/items/last")
def last() -> Item:
    return Item()


"""
GZIP = "starlette.middleware.gzip.GZipMiddleware"
REDIRECT = "starlette.middleware.httpsredirect.HTTPSRedirectMiddleware"
OTHER_MODELS = """\
from pydantic import BaseModel


class Item(BaseModel):
    code: int
"""
FILES = {"main.py": CHECKED, "desk.py": DESK, "other_models.py": OTHER_MODELS}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Observation]:
    """A project, and its app as it ran once; each test leaves the files as they were."""
    root = project(tmp_path_factory.mktemp("projects") / "shop", FILES)
    return root, observed(root)


def checked(shop: tuple[Path, Observation], old: str, new: str) -> Report:
    """Compare the app with what it is after one edit."""
    root, baseline = shop
    path = "main.py" if old in CHECKED else "desk.py"
    before = (root / path).read_text()
    try:
        return edited(root, path, old, new, baseline)
    finally:
        (root / path).write_text(before)


@pytest.mark.parametrize(
    ("old", "new", "check", "message"),
    [
        ('@router.get("/items/last")\n', "", "routes", "GET /v1/items/last is gone"),
        (
            '@router.get("/items/last")',
            '@router.post("/items/last")',
            "routes",
            "GET /v1/items/last is gone; /v1/items/last answers POST",
        ),
        ("def last(", "def newest(", "routes", "GET /v1/items/last is answered by main.newest instead of main.last"),
        (
            '@router.get("/items/last")',
            '@router.get("/items/last", name="newest")',
            "routes",
            "GET /v1/items/last is named 'newest' instead of 'last'",
        ),
        (
            "router = APIRouter()\n",
            'router = APIRouter()\n\n\n@router.get("/items")\ndef other() -> None: ...\n',
            "routes",
            "GET /v1/items is answered by main.other instead of main.items",
        ),
        (
            CHECKED[CHECKED.index('@router.get("/items/last")') : CHECKED.index("app.include")],
            REORDERED,
            "routes",
            "GET /v1/items/{number} is tried before GET /v1/items/last now",
        ),
        ('app.mount("/desk", desk)\n', "", "routes", "mount /desk is gone"),
        ('@desk.get("/loans")\n', "", "routes", "GET /desk/loans is gone"),
        (
            "parts:",
            "weight: int = 0\n    parts:",
            "openapi",
            "GET /v1/items is described otherwise: responses.200.content.application/json.schema.items.properties.weight",
        ),
        (
            "number: int)",
            "number: str)",
            "openapi",
            "GET /v1/items/{number} is described otherwise: parameters.0.schema.type differs",
        ),
        (
            "# more",
            "def broken() -> Any:\n    raise RuntimeError('no document')\n\n\napp.openapi = broken",
            "openapi",
            "the OpenAPI document cannot be made any more: RuntimeError: no document",
        ),
        (
            "app.add_middleware(GZipMiddleware)\n",
            "",
            "middleware",
            "the middleware starlette.middleware.gzip.GZipMiddleware is gone",
        ),
        (
            "app.add_middleware(GZipMiddleware)\napp.add_middleware(HTTPSRedirectMiddleware)\n",
            "app.add_middleware(HTTPSRedirectMiddleware)\napp.add_middleware(GZipMiddleware)\n",
            "middleware",
            f"the middleware stands in another order: {GZIP}, {REDIRECT} instead of {REDIRECT}, {GZIP}",
        ),
        ("    yield\n", "    1 / 0\n    yield\n", "lifespan", "the app does not start any more: ZeroDivisionError"),
        ("    # the end", "    1 / 0", "lifespan", "the app does not stop any more: ZeroDivisionError"),
        (
            "# more",
            "app.add_middleware(GZipMiddleware, no_such_option=1)",
            "lifespan",
            "the app does not start any more: TypeError",
        ),
        ("# more", "import no_such_module", "imports", "main:app does not import any more: ModuleNotFoundError"),
    ],
)
def test_what_may_not_change(old: str, new: str, check: str, message: str, shop: tuple[Path, Observation]) -> None:
    report = checked(shop, old, new)
    assert report.ran
    assert any(item.check == check and item.message.startswith(message) for item in report.failures), report


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# more", '@app.get("/health")\ndef health() -> str:\n    return "ok"\n'),
        ("responses={404:", "responses={503: {'description': 'busy'}, 404:"),
        (
            '{"description": "none"}',
            '{"description": "none", "headers": {"Retry-After": {"schema": {"type": "string"}}}}',
        ),
        ("# more", "app.add_middleware(GZipMiddleware, minimum_size=10)"),
        (
            "# more",
            '@app.get("/other")\ndef other() -> other_models.Item: ...\n',
        ),
    ],
)
def test_what_may_be_added(old: str, new: str, shop: tuple[Path, Observation]) -> None:
    """Two models of one name are both renamed in the document; what they are has not changed."""
    report = checked(shop, old, new)
    assert report.ran, report.summary
    assert report.failures == ()


def test_asking_for_credentials_is_a_change(shop: tuple[Path, Observation]) -> None:
    report = checked(shop, "router = APIRouter()", "router = APIRouter(dependencies=[Depends(HTTPBearer())])")
    assert [item.message for item in report.failures if "security" in item.message]


def test_what_differs_each_time_is_not_blamed(tmp_path: Path) -> None:
    code = "import time\nfrom uuid import uuid4\n" + SHOP.replace("number: int", "number: int, at: float = time.time()")
    code += "\n\n@app.get(f'/{uuid4()}')\ndef secret() -> None: ...\n# more\n"
    root = project(tmp_path / "shop", {"main.py": code})
    report = edited(root, "main.py", "# more", "@app.get('/new')\ndef new() -> None: ...\n")
    assert report.ran
    assert report.failures == ()


def test_a_lifespan_that_failed_before_is_not_blamed(tmp_path: Path) -> None:
    code = CHECKED.replace("    yield\n", "    raise RuntimeError('no database')\n    yield\n")
    report = edited(project(tmp_path / "shop", FILES | {"main.py": code}), "main.py", "# more", "# less")
    assert report.ran
    assert report.failures == ()
    assert report.summary.endswith("it does not start here: RuntimeError: no database, as before")


# Promises


@pytest.fixture
def step(tmp_path: Path) -> Step:
    return Step(project(tmp_path / "shop", {"main.py": SHOP, "shop_notes.txt": ""}), Request(add=("metrics",)))


def test_adding_metrics(step: Step) -> None:
    assert [(item.kind, item.dotted, item.comes) for item in step.expectations] == [
        ("middleware", "core.metrics.MetricsMiddleware", True),
        ("router", "api.metrics.router", True),
    ]
    step.execute()
    report = step.compared()
    assert report == Report(
        ran=True,
        summary="6 routes as before, 1 new, 1 middleware more, the same OpenAPI for what was there; "
        "it starts and stops",
        started=True,
    )


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "app.router.routes[:] = [route for route in app.router.routes if hasattr(route, 'path')]",
            "GET /metrics was promised and is not in the running app",
        ),
        (
            "app.user_middleware.clear()",
            "app.add_middleware(MetricsMiddleware) was promised, and the running app has no such middleware",
        ),
    ],
)
def test_a_promise_that_is_not_kept(code: str, message: str, step: Step) -> None:
    step.execute()
    main = step.folder / "main.py"
    # Routers that were included have no path of their own where FastAPI keeps them whole.
    main.write_text(f"{main.read_text()}\n\n{code}\n")
    report = step.compared()
    (failure,) = report.failures
    assert (failure.check, failure.message) == ("promised", message)
    assert failure.place is not None
    assert main.read_text().splitlines()[failure.place.line - 1].startswith("app.")


def test_removing_metrics(step: Step) -> None:
    step.execute()
    back = Step(step.folder, Request(remove=("metrics",)))
    assert {(item.kind, item.comes) for item in back.expectations} == {("middleware", False), ("router", False)}
    kept = back.compared()
    assert {(item.check, item.message) for item in kept.failures} == {
        ("promised", "GET /metrics still answers"),
        ("promised", "the running app still has the middleware core.metrics.MetricsMiddleware"),
    }
    back.execute()
    report = back.compared()
    assert report.failures == ()
    assert report.summary == (
        "6 routes as before, 1 gone, 1 middleware less, the same OpenAPI for what was there; it starts and stops"
    )


def test_what_was_there_before_counts_beside_what_goes(step: Step) -> None:
    step.execute()
    back = Step(step.folder, Request(remove=("metrics",)))
    back.execute()
    main = step.folder / "main.py"
    main.write_text(main.read_text().replace('@app.get("/items")\n', ""))
    assert [item.message for item in back.compared().failures] == ["GET /items is gone"]
