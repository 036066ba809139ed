"""A call of the user's goes to another function, in whatever form it is written, and comes back as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from laterctl.edits.app_statements import Router
from laterctl.edits.file import File
from laterctl.edits.rewritten_call import RewrittenCall, RewrittenInclude
from laterctl.engine.plan import Request
from laterctl.feature import Feature
from laterctl.proof.static import prove
from tests import extra, memory

APP = {"app/main.py": b"from fastapi import FastAPI\n\napp = FastAPI()\n", "requirements.txt": b"fastapi\nsqlalchemy\n"}
FUNCTION = "sqlalchemy.ext.asyncio.create_async_engine"
POOL = "def pooled(create):\n    return create\n"
FROM = "from sqlalchemy.ext.asyncio import create_async_engine\n"
OURS = "from app.core.pool import pooled\n"


@pytest.fixture(autouse=True)
def features(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    extra.write_templates(monkeypatch, tmp_path, {"pool.py.jinja": POOL})
    call = RewrittenCall("core.pool:pooled", (FUNCTION, "sqlalchemy.create_engine"))
    pool = Feature(name="pool", summary="a pool", edits=(File("core/pool.py", "pool.py.jinja"), call))
    extra.declare(monkeypatch, pool)


def added(code: str) -> str:
    """Return a module after `add`, which has passed the proof and can be taken back."""
    before = APP | {"app/db.py": code.encode()}
    plan = memory.planned(before, Request(add=("pool",)))
    assert plan.refusals == ()
    assert prove(memory.project(before), plan) == []
    after = memory.add(before, "pool")
    assert memory.add(after, "pool") == after
    assert memory.remove(after, "pool") == before
    return after["app/db.py"].decode()


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (
            f"{FROM}\nengine = create_async_engine(URL, pool_size=5)\n",
            "engine = pooled(create_async_engine)(URL, pool_size=5)",
        ),
        (f"{FROM}\nengine: object = create_async_engine(URL)\n", "engine: object = pooled(create_async_engine)(URL)"),
        (
            f"{FROM}\nengine = (\n    create_async_engine\n)(URL)\n",
            "engine = (\n    pooled(create_async_engine)\n)(URL)",
        ),
        (
            f"{FROM}\na = create_async_engine(URL, pool_size=5); b = create_async_engine((OTHER), pool_size=(50), echo=True,)\n",
            "a = pooled(create_async_engine)(URL, pool_size=5); "
            "b = pooled(create_async_engine)(\n    (OTHER),\n    pool_size=(50),\n    echo=True,\n)",
        ),
        (
            f"{FROM}\nif URL: a = create_async_engine(URL, echo=False, echo_pool=False, pool_size=500); b = 1; c = 1 ;\n",
            "if URL: a = pooled(create_async_engine)(URL, echo=False, echo_pool=False, pool_size=500); b = 1; c = 1 ;",
        ),
        (
            f"{FROM}\na = create_async_engine(\n    URL\n); b = create_async_engine(URL, echo=False, echo_pool=False, pool_size=5)\n",
            "a = pooled(create_async_engine)(\n    URL\n); "
            "b = pooled(create_async_engine)(URL, echo=False, echo_pool=False, pool_size=5)",
        ),
        (
            f"{FROM}\nx = [create_async_engine(a) for a in (create_async_engine(1),)]\n",
            "[pooled(create_async_engine)(a) for a in (pooled(create_async_engine)(1),)]",
        ),
        (
            "import sqlalchemy.ext.asyncio as sa\n\ne = sa.create_async_engine(URL)\n",
            "e = pooled(sa.create_async_engine)(URL)",
        ),
        (
            "from sqlalchemy.ext import asyncio\n\ne = asyncio . create_async_engine(1)\n",
            "e = pooled(asyncio . create_async_engine)(1)",
        ),
        (f"{FROM}\nengine = Singleton(create_async_engine, url=1)\n", "Singleton(pooled(create_async_engine), url=1)"),
        (
            "from sqlalchemy.ext.asyncio import create_async_engine as make\n\ne = make(1)\n",
            "e = pooled(make)(1)",
        ),
        (
            f"{FROM}\n\ndef f():\n\treturn create_async_engine(1)  # why\n",
            "\treturn pooled(create_async_engine)(1)  # why",
        ),
        (
            f"{FROM}\nasync def f():\n    await create_async_engine(1).dispose()\n",
            "await pooled(create_async_engine)(1).dispose()",
        ),
    ],
)
def test_each_form(code: str, expected: str) -> None:
    after = added(code)
    assert expected in after
    assert OURS in after


def test_line_ends_and_long_lines() -> None:
    long = "engine = create_async_engine('postgresql://' + name, pool_size=5, pool_recycle=60, max_overflow=2)"
    after = added(f"{FROM}\n{long}\n".replace("\n", "\r\n"))
    assert "engine = pooled(create_async_engine)(\r\n    'postgresql://' + name,\r\n" in after


def test_several_in_one_scope_keep_their_order() -> None:
    code = f"{FROM}\nif A:\n    engine = create_async_engine(1)\nelse:\n    engine = create_async_engine(2)\n"
    assert added(code).count("pooled(create_async_engine)(") == 2


def test_functions_may_differ_by_statement() -> None:
    code = f"{FROM}from sqlalchemy import create_engine\nif A:\n    engine = create_engine(1)\nelse:\n    engine = create_async_engine(2)\n"
    after = added(code)
    assert "engine = pooled(create_engine)(1)" in after
    assert "engine = pooled(create_async_engine)(2)" in after


def test_a_project_without_such_a_call_gets_the_file_alone() -> None:
    after = memory.add(APP, "pool")
    assert "app/core/pool.py" in after
    assert after["app/main.py"] == APP["app/main.py"]


def test_a_name_that_only_looks_like_it_is_left() -> None:
    code = "from mine import create_async_engine\n\nengine = create_async_engine(1)\n"
    assert added(code) == code


@pytest.mark.parametrize(
    ("code", "line"),
    [
        (f"{FROM}\nwith create_async_engine(1) as engine:\n    pass\n", 3),
        (f"{FROM}\n\ndef f(make=create_async_engine):\n    pass\n", 4),
        (f"{FROM}import sqlalchemy.ext.asyncio as sa\n\nx = (create_async_engine(1), sa.create_async_engine(1))\n", 4),
    ],
)
def test_all_or_refused(code: str, line: int) -> None:
    (refusal,) = memory.planned(APP | {"app/db.py": code.encode()}, Request(add=("pool",))).refusals
    assert (refusal.code, str(refusal.place)) == ("call-not-editable", f"app/db.py:{line}")


def test_a_name_of_the_user_s_is_not_taken() -> None:
    code = f"{FROM}\n\ndef pooled():\n    return create_async_engine(1)\n"
    (refusal,) = memory.planned(APP | {"app/db.py": code.encode()}, Request(add=("pool",))).refusals
    assert refusal.code == "name-clash"


def test_what_the_user_changed_beside_it_stays() -> None:
    after = memory.add(APP | {"app/db.py": f"{FROM}\nengine = create_async_engine(1)\n".encode()}, "pool")
    edited = after["app/db.py"].replace(b"(1)", b"(1, pool_size=9)  # mine")
    back = memory.remove(after | {"app/db.py": edited}, "pool")
    assert back["app/db.py"] == f"{FROM}\nengine = create_async_engine(1, pool_size=9)  # mine\n".encode()


def test_a_call_that_the_user_took_back_is_left_alone() -> None:
    before = APP | {"app/db.py": f"{FROM}\nengine = create_async_engine(1)\n".encode()}
    after = memory.add(before, "pool")
    mine = after["app/db.py"].replace(b"pooled(create_async_engine)(1)", b"other(1)")
    back = memory.remove(after | {"app/db.py": mine}, "pool")
    assert back["app/db.py"] == f"{FROM}\nengine = other(1)\n".encode()


def test_a_use_that_the_user_added_keeps_it() -> None:
    after = memory.add(APP | {"app/db.py": f"{FROM}\nengine = create_async_engine(1)\n".encode()}, "pool")
    used = after | {"app/db.py": after["app/db.py"] + b"second = pooled(create_async_engine)(2)\n"}
    refusals = memory.planned(used, Request(remove=("pool",))).refusals
    assert {item.code for item in refusals} == {"still-used"}


INCLUDED = "def versioned(include):\n    return include\n"
ROUTES = "from fastapi import APIRouter\n\nrouter = APIRouter()\nother = APIRouter()\nrouter.include_router(other)\n"
HEAD = "from fastapi import FastAPI\n\nfrom app.routes import other, router\n\n"
WRAPPED = "versioned(app.include_router)(router"


@pytest.fixture
def versions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A feature that rewrites, and one that has a router of its own."""
    extra.write_templates(
        monkeypatch, tmp_path, {"versions.py.jinja": INCLUDED, "sign_in.py.jinja": ROUTES, "pool.py.jinja": POOL}
    )
    edits = (File("core/versions.py", "versions.py.jinja"), RewrittenInclude("core.versions:versioned"))
    own = (File("api/sign_in.py", "sign_in.py.jinja"), Router("api.sign_in:router", alias="sign_in"))
    extra.declare(
        monkeypatch,
        Feature(name="versions", summary="versions", edits=edits),
        Feature(name="sign-in", summary="a router", edits=own),
    )


def included(main: str, **more: str) -> dict[str, bytes]:
    files = {"app/main.py": main, "app/routes.py": ROUTES, "requirements.txt": "fastapi\n", **more}
    return {path: text.encode() for path, text in files.items()}


@pytest.mark.usefixtures("versions")
@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (f"{HEAD}app = FastAPI()\napp.include_router(router, prefix='/x')\n", [f"{WRAPPED}, prefix='/x')"]),
        (f"{HEAD}app = FastAPI()\napp.include_router(router=router)  # why\n", ["(app.include_router)(router=router)"]),
        (f"{HEAD}app = FastAPI()\nfor r in (router, other):\n    app.include_router(r)\n", ["(app.include_router)(r)"]),
        (
            f"{HEAD}def make():\n    api = FastAPI()\n    api.include_router(router)\n    return api\n\n\napp = make()\n",
            ["versioned(api.include_router)(router)"],
        ),
        (
            f"{HEAD}app = FastAPI()\napp.router.include_router(router)\n",
            ["versioned(app.router.include_router)(router)"],
        ),
        (
            f"{HEAD}def put(on):\n    on.include_router(router)\n\n\napp = FastAPI()\nput(app)\n",
            ["(on.include_router)(router)"],
        ),
        (
            f"{HEAD}app = FastAPI()\nif A:\n    app.include_router(router)\nelse:\n    app.include_router(other)\n",
            ["    versioned(app.include_router)(router)", "    versioned(app.include_router)(other)"],
        ),
    ],
)
def test_each_router_of_the_application_is_put_on_it_by_ours(code: str, expected: list[str]) -> None:
    before = included(code)
    plan = memory.planned(before, Request(add=("versions",)))
    assert prove(memory.project(before), plan) == []
    after = memory.applied(before, plan)
    main = after["app/main.py"].decode()
    assert all(item in main for item in expected)
    assert after["app/routes.py"] == before["app/routes.py"]
    assert memory.add(after, "versions") == after
    assert memory.remove(after, "versions") == before


@pytest.mark.usefixtures("versions")
def test_routers_of_features_stay_and_are_placed_as_before() -> None:
    before = included(f"{HEAD}app = FastAPI()\napp.include_router(router)\n\n\ndef last():\n    pass\n")
    after = memory.add(before, "versions", "sign-in")
    assert "versioned(app.include_router)(router)\napp.include_router(sign_in)\n" in after["app/main.py"].decode()
    assert memory.add(memory.add(before, "sign-in"), "versions") == after
    assert memory.add(memory.add(before, "versions"), "sign-in") == after
    assert memory.remove(memory.remove(after, "versions"), "sign-in") == before


@pytest.mark.usefixtures("versions")
def test_a_router_of_a_feature_that_was_pasted_stays_as_it_is() -> None:
    pasted = f"{HEAD}from app.api.sign_in import router as mine\n\napp = FastAPI()\napp.include_router(router)\napp.include_router(mine)\n"
    before = included(pasted, **{"app/api/sign_in.py": ROUTES, "app/api/__init__.py": ""})
    after = memory.add(memory.add(before, "sign-in"), "versions")
    assert after["app/main.py"].decode().count("include_router(mine)") == 1
    assert memory.add(after, "sign-in", "versions") == after
