"""What a running app answers, before and after: requests, exceptions, operation ids, and whether ours is at work."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from laterctl.engine.plan import Request
from laterctl.project.places import Place
from tests.proof.scene import SHOP, Step, committed, edited, observed, project, run, tree
from tests.test_boundary_place import APPS, IMPORTS, MIDDLEWARE, ROUTES

ASKED = """\
import itertools
import time
import uuid
from pathlib import Path
from typing import Annotated

from fastapi import Depends, FastAPI, Header, WebSocket
from fastapi.responses import PlainTextResponse, StreamingResponse
from fastapi.security import HTTPBearer

app = FastAPI()
CALLED = Path(__file__).parents[3] / "called"


def called(name):
    with CALLED.open("a") as file:
        file.write(f"{name} ")


@app.get("/plain")
def plain(page: int = 1):
    called("plain")
    return {"id": str(uuid.uuid4()), "rows": [1] * (time.time_ns() % 3 + 1), "next": None}


@app.get("/text", response_class=PlainTextResponse)
async def text():
    called("text")
    return "one"


@app.get("/guarded")
def guarded(token=Depends(HTTPBearer())):
    called("guarded")


@app.get("/fails")
def fails():
    called("fails")
    raise ValueError("nothing there")


@app.get("/query")
def query(name: str):
    called("query")


@app.get("/header")
def header(x_name: Annotated[str, Header()]):
    called("header")


@app.get("/deep")
def deep(found=Depends(query)):
    called("deep")


@app.get("/{number}")
def number(number: int):
    called("number")


@app.get("/hidden", include_in_schema=False)
def hidden():
    called("hidden")


@app.post("/plain")
@app.put("/plain")
@app.delete("/plain")
def write():
    called("write")


@app.websocket("/socket")
async def socket(socket: WebSocket):
    called("socket")
# more
"""
"""The scratch copies of a project are made in a folder of their own: what is called notes that two folders above."""
SAFE = {"plain", "text", "fails"}


def called(scratches: Path) -> list[str]:
    """Return what was called, and forget it."""
    found = scratches / "called"
    if not found.exists():
        return []
    names = found.read_text().split()
    found.unlink()
    return names


def test_only_what_needs_no_value_and_is_safe_is_called(tmp_path: Path, scratches: Path) -> None:
    root = project(tmp_path / "shop", {"main.py": ASKED})
    found = observed(root)
    assert found.seen is not None, found.summary
    assert {*called(scratches)} == SAFE
    asked = found.seen.asked
    assert {path for method, path in asked if method == "GET"} == {"/plain", "/text", "/guarded", "/fails"}
    assert {answer.status for (method, _), answer in asked.items() if method == "TRACE"} == {405}
    plain = asked["GET", "/plain"]
    assert (plain.status, plain.media) == (200, "application/json")
    assert plain.body == {"id": "string", "rows": ["number"], "next": "null"}
    assert (asked["GET", "/fails"].status, asked["GET", "/fails"].raised) == (500, True)
    assert asked["GET", "/guarded"].status in {401, 403}


def test_doctor_calls_nothing(tmp_path: Path, scratches: Path) -> None:
    root = project(tmp_path / "shop", {"main.py": ASKED})
    ran = run(root, "doctor", "--run", "--only", "LTR011")
    assert ran.code == 0, ran.screen
    assert called(scratches) == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"next": None', '"after": None', "GET /plain is answered otherwise: body.next is gone"),
        ("[1] * (", '["1"] * (', "GET /plain is answered otherwise: body.rows.0 differs"),
        ("str(uuid.uuid4())", "1", "GET /plain is answered otherwise: body.id differs"),
        (
            '    return "one"',
            '    return "one".nothing',
            "GET /text is answered 500 and raised instead of answered 200",
        ),
        (
            '"/text", response_class=PlainTextResponse',
            '"/text"',
            "GET /text is answered otherwise: application/json instead of text/plain",
        ),
        ("Depends(HTTPBearer())", "None", "GET /guarded is answered 200 instead of answered 40"),
        (
            "# more",
            "@app.exception_handler(405)\nasync def other(request, error):\n    return PlainTextResponse('no', 405)\n",
            "TRACE /openapi.json, TRACE /docs, TRACE /docs/oauth2-redirect and 10 more are answered otherwise: "
            "text/plain instead of application/json",
        ),
    ],
)
def test_another_answer_is_a_failure(old: str, new: str, message: str, tmp_path: Path, scratches: Path) -> None:
    root = project(tmp_path / "shop", {"main.py": ASKED})
    report = edited(root, "main.py", old, new)
    called(scratches)
    found = [item.message for item in report.failures if item.check == "answers"]
    assert [item for item in found if item.startswith(message)], report


def test_other_values_and_other_numbers_of_them_are_the_same_answer(tmp_path: Path, scratches: Path) -> None:
    root = project(tmp_path / "shop", {"main.py": ASKED})
    report = edited(root, "main.py", "# more", '@app.get("/new")\ndef new():\n    return 1\n')
    called(scratches)
    assert report.ran
    assert report.failures == ()
    assert report.started


SLOW = {
    "a thread": "def slow():\n    time.sleep(600)",
    "a coroutine": "async def slow():\n    await asyncio.sleep(600)",
    "the loop": "async def slow():\n    time.sleep(600)",
    "a stream": "async def slow():\n    async def rows():\n        while True:\n            yield 'row'\n"
    "            await asyncio.sleep(0.01)\n    return StreamingResponse(rows())",
}


@pytest.mark.parametrize("kind", SLOW)
def test_an_endpoint_that_does_not_end_is_left_alone(kind: str, tmp_path: Path) -> None:
    code = (
        f'import asyncio\nimport time\nfrom fastapi.responses import StreamingResponse\n{SHOP}\n\n@app.get("/slow")\n'
    )
    root = project(tmp_path / "shop", {"main.py": f"{code}{SLOW[kind]}\n# more\n"})
    begun = time.monotonic()
    found = observed(root)
    assert time.monotonic() - begun < 40
    assert found.seen is not None
    assert found.started, found.summary
    assert found.seen.asked["GET", "/slow"].late
    assert found.seen.raised is not None, "and what comes next is asked, too"
    report = edited(root, "main.py", "# more", "# less", found)
    assert report.failures == ()


@pytest.mark.parametrize(
    "changes", ["return {'rows': []} if not app.user_middleware else []", "assert not app.user_middleware"]
)
def test_a_changed_answer_restores_everything(changes: str, tmp_path: Path) -> None:
    code = f'{SHOP}\n\n@app.get("/rows")\ndef rows():\n    {changes}\n'
    root = committed(project(tmp_path / "shop", {"main.py": code}))
    before = tree(root)
    ran = run(root, "add", "security-headers", "--yes", "--no-install", "--prove", "--json")
    assert ran.code == 4, ran.screen
    (failure,) = ran.document["failures"]
    assert failure["check"] == "answers"
    assert failure["feature"] == "security-headers"
    assert failure["place"]["path"] == "main.py"
    assert failure["message"].startswith("GET /rows is answered ")
    assert tree(root) == before


# Exceptions


@pytest.mark.parametrize("name", APPS)
@pytest.mark.parametrize("feature", ["cors", "security-headers"])
def test_what_own_middleware_makes_of_exceptions_is_the_same(feature: str, name: str, tmp_path: Path) -> None:
    code = f"{IMPORTS}\n{MIDDLEWARE}{APPS[name]}{ROUTES}"
    step = Step(project(tmp_path / "shop", {"main.py": code}), Request(add=(feature,)))
    assert step.baseline.seen is not None
    raised = step.baseline.seen.raised
    assert raised is not None
    assert raised.reached
    assert [layer.outcome.outcome for layer in raised.layers if layer.outcome] == ["raised"] * len(raised.layers)
    assert raised.layers
    assert (raised.outside.status, raised.outside.raised) == (500, True)
    step.execute()
    assert step.compared().failures == ()
    back = Step(step.folder, Request(remove=(feature,)))
    back.execute()
    assert back.compared().failures == ()


def test_a_boundary_inside_of_own_middleware_is_a_failure(tmp_path: Path) -> None:
    code = f"{IMPORTS}\n{MIDDLEWARE}{APPS['a call']}{ROUTES}"
    step = Step(project(tmp_path / "shop", {"main.py": code}), Request(add=("cors",)))
    step.execute()
    main = step.folder / "main.py"
    line = "app.add_middleware(ErrorBoundary)\n"
    text = main.read_text().replace(line, "").replace("app.add_middleware(Own)\n", f"{line}app.add_middleware(Own)\n")
    main.write_text(text)
    assert {(item.check, item.message, item.feature) for item in step.compared().failures} == {
        ("answers", "GET /kept is answered 500 and raised instead of answered 409: main.Kept", "cors"),
        (
            "exceptions",
            "an exception of a route comes answered 500 and raised instead of raised out of main.Own",
            "cors",
        ),
    }


CORS = "from fastapi.middleware.cors import CORSMiddleware\n"
ANSWERS_ALL = "    except Exception as error:\n        return JSONResponse({'code': 'all'}, status_code=409)\n"
OUTSIDE = {
    "which answers for its own": MIDDLEWARE,
    "which answers for all": MIDDLEWARE.replace(
        MIDDLEWARE[MIDDLEWARE.index("    except Exception") : MIDDLEWARE.index('    SEEN.append("committed")')],
        ANSWERS_ALL,
    ),
    "which answers for answers": MIDDLEWARE.replace(
        '    SEEN.append("committed")',
        "    if response.status_code == 500:\n        return JSONResponse({'code': 'busy'}, status_code=503)",
    ),
}


@pytest.mark.parametrize("own", OUTSIDE.values(), ids=OUTSIDE)
@pytest.mark.parametrize("theirs", ["CORSMiddleware", "GZipMiddleware)\napp.add_middleware(CORSMiddleware"])
def test_what_stands_outside_of_those_that_belong_outside_of_the_boundary_hears_its_answer(
    own: str, theirs: str, tmp_path: Path
) -> None:
    """CORS stands outside of it, and whatever the user has outside of CORS; the plan names these with their lines."""
    apps = APPS["a call"].replace("app.add_middleware(Own)", f"app.add_middleware({theirs})\napp.add_middleware(Own)")
    code = f"{CORS}{IMPORTS}\n{own}{apps}{ROUTES}"
    step = Step(project(tmp_path / "shop", {"main.py": code}), Request(add=("security-headers",)))
    line = code[: code.index("app.add_middleware(Own)")].count("\n") + 1
    assert [note.place for note in step.plan.notes if "sees answers instead" in note.message] == [
        Place("main.py", line)
    ]
    step.execute()
    assert step.compared().failures == ()
    back = Step(step.folder, Request(remove=("security-headers",)))
    back.execute()
    assert back.compared().failures == ()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('{"works": True}', "Kept.nothing", "GET /works is answered 500"),
        ("import main_more", "import main_more\napp.router.routes.clear()", "is gone"),
        ('SEEN.append("committed")', "return JSONResponse({})", "GET /works is answered otherwise"),
    ],
)
def test_anything_else_beside_what_is_told_is_a_failure(old: str, new: str, message: str, tmp_path: Path) -> None:
    apps = APPS["a call"].replace(
        "app.add_middleware(Own)", "app.add_middleware(CORSMiddleware)\napp.add_middleware(Own)"
    )
    code = f"{CORS}{IMPORTS}\n{MIDDLEWARE}{apps}{ROUTES}\n\nimport main_more\n"
    root = project(tmp_path / "shop", {"main.py": code, "main_more.py": ""})
    step = Step(root, Request(add=("security-headers",)))
    step.execute()
    main = root / "main.py"
    text = main.read_text()
    main.write_text(text.replace(old, new))
    assert main.read_text() != text
    assert [item for item in step.compared().failures if message in item.message]


SWALLOW = """
class Swallow:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        try:
            await self.app(scope, receive, send)
        except Exception:
            await JSONResponse({"lost": True}, 500)(scope, receive, send)


app.add_middleware(Swallow)
"""


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (
            "app.add_middleware(Own)\n",
            "an exception of a route comes answered 500 instead of raised out of main.Own",
        ),
        ("# more\n", "an exception of a route comes answered 500 instead of answered 500 and raised out outside of"),
    ],
)
def test_an_exception_that_is_swallowed(place: str, message: str, tmp_path: Path) -> None:
    code = f"{IMPORTS}\n{MIDDLEWARE}{APPS['a call']}{ROUTES}# more\n"
    root = project(tmp_path / "shop", {"main.py": code})
    report = edited(root, "main.py", place, f"{SWALLOW}{place}")
    found = [item.message for item in report.failures if item.check == "exceptions"]
    assert [item for item in found if item.startswith(message)], report


HANDLER = """

@app.exception_handler(Exception)
async def answer(request, error):
    return JSONResponse({"code": "oops"}, 500)
"""


def test_a_handler_for_all_exceptions_answers_as_before(tmp_path: Path) -> None:
    code = f"{IMPORTS}\n{MIDDLEWARE}{APPS['a call']}{HANDLER}{ROUTES}"
    step = Step(project(tmp_path / "shop", {"main.py": code}), Request(add=("cors",)))
    step.execute()
    assert step.compared().failures == ()


def test_the_route_that_raises_leaves_nothing_behind(tmp_path: Path) -> None:
    found = observed(project(tmp_path / "shop", {"main.py": SHOP}))
    assert found.seen is not None
    assert not [route for route in found.seen.routes if "laterctl" in route.path]


# Operation ids


@pytest.mark.parametrize("place", ["/new", "/desk/new"])
def test_an_operation_id_that_is_given_twice(place: str, tmp_path: Path) -> None:
    owner, path = ("desk", "/new") if place.startswith("/desk") else ("app", place)
    code = (
        f"from desk import desk\n{SHOP}\n\napp.mount('/desk', desk)\n\n\n"
        f"@{owner}.get('/old', operation_id='read')\ndef old() -> None: ...\n# more\n"
    )
    files = {"main.py": code, "desk.py": "from fastapi import FastAPI\n\ndesk = FastAPI()\n"}
    root = project(tmp_path / "shop", files)
    more = f"@{owner}.post('{path}', operation_id='read')\ndef new() -> None: ...\n"
    report = edited(root, "main.py", "# more", more)
    of = " of /desk" if owner == "desk" else ""
    assert [(item.check, item.message) for item in report.failures] == [
        ("openapi", f"GET /old and POST /new{of} have one operation id, read")
    ]
    # Once it is so, it is not a change.
    assert edited(root, "main.py", "def new()", "def new(  )").failures == ()


# What is promised is at work

LIFESPANS = {
    "none": SHOP,
    "own": SHOP.replace(
        "app = FastAPI(",
        "from contextlib import asynccontextmanager\n\n\n@asynccontextmanager\nasync def lifespan(app):\n    yield\n\n\n"
        "app = FastAPI(lifespan=lifespan, ",
    ),
    "handlers": f"{SHOP}\n\n@app.router.on_event('startup')\ndef start() -> None: ...\n",
    "factory": "from fastapi import FastAPI\n\n\ndef create_app() -> FastAPI:\n    app = FastAPI()\n    return app\n",
    "wrapped": f"{SHOP}\n\nclass Outer:\n    def __init__(self, inner):\n        self.inner = inner\n\n"
    "    async def __call__(self, scope, receive, send):\n        await self.inner(scope, receive, send)\n\n\n"
    "application = Outer(app)\n",
}


def with_resources(kind: str, folder: Path) -> Step:
    """An app of some kind to which `resources` is added."""
    served = {"factory": "--factory main:create_app", "wrapped": "main:application"}.get(kind, "main:app")
    files = {"main.py": LIFESPANS[kind], "Dockerfile": f"CMD uvicorn {served}\n"}
    step = Step(project(folder, files), Request(add=("resources",)))
    step.execute()
    return step


@pytest.mark.parametrize("kind", LIFESPANS)
def test_our_lifespan_is_entered(kind: str, tmp_path: Path) -> None:
    step = with_resources(kind, tmp_path / "shop")
    assert [item.dotted for item in step.expectations if item.kind == "lifespan"] == ["main.managed_resources"]
    report = step.compared()
    assert report.failures == ()
    assert report.started


@pytest.mark.parametrize("kind", sorted({*LIFESPANS} - {"factory"}))
def test_a_lifespan_that_is_not_entered_is_a_failure(kind: str, tmp_path: Path) -> None:
    step = with_resources(kind, tmp_path / "shop")
    main = step.folder / "main.py"
    other = (
        "\n\nfrom contextlib import asynccontextmanager as other_context\n\n\n@other_context\n"
        "async def other(app):\n    yield\n\n\napp.router.lifespan_context = other\n"
    )
    main.write_text(main.read_text() + other)
    found = [(item.check, item.message, item.feature) for item in step.compared().failures]
    (about,) = [item for item in step.expectations if item.kind == "lifespan"]
    assert found == [("promised", f"{about.code} was promised, and is not entered when the app starts", "lifespan")]


def test_a_wrapper_that_keeps_the_lifespan_to_itself(tmp_path: Path) -> None:
    step = with_resources("wrapped", tmp_path / "shop")
    main = step.folder / "main.py"
    main.write_text(main.read_text().replace("await self.inner(", "if scope['type'] == 'http': await self.inner("))
    assert "is not entered when the app starts" in " ".join(item.message for item in step.compared().failures)


AROUND = """

class Around:
    def __init__(self, inner):
        self.inner = inner

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http":
            scope["app"] = app
            await app.router(scope, receive, send)
        else:
            await self.inner(scope, receive, send)


app.add_middleware(Around)
"""


def test_a_middleware_that_no_request_comes_to(tmp_path: Path) -> None:
    step = Step(project(tmp_path / "shop", {"main.py": SHOP}), Request(add=("metrics",)))
    step.execute()
    main = step.folder / "main.py"
    main.write_text(main.read_text() + AROUND)
    found = [(item.check, item.message) for item in step.compared().failures]
    assert ("promised", "app.add_middleware(MetricsMiddleware) was promised, and no request comes to it") in found
