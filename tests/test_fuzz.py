"""Small projects in odd Python: the engine refuses with a place or holds the laws; it raises nothing else.

`LATERCTL_FUZZ_SEED` repeats a run: each prints its seed.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import zlib
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from laterctl.cli.app import app
from laterctl.cli.exits import Exit
from laterctl.engine.plan import Request
from laterctl.features import catalogue
from laterctl.proof.static import prove
from laterctl.refusal import Refusal
from tests import memory
from tests.cli.command import validator
from tests.test_laws import assert_same
from tests.turns import turn

SEED: Final = int(os.environ.get("LATERCTL_FUZZ_SEED") or zlib.crc32(turn().encode()))
NAMES: Final = [item.name for item in catalogue.every() if not item.hidden]
FEATURES: Final = st.builds(
    lambda random, count: tuple(random.sample(NAMES, count)), st.randoms(use_true_random=True), st.integers(1, 3)
)
BASIC: Final = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck), print_blob=False)

CALLS: Final = (
    "FastAPI()",
    "(FastAPI())",
    "FastAPI(\n)",
    'FastAPI(title="x",)',
    'FastAPI(title=("a"))',
    'FastAPI(\n    title=(\n        "a"\n    )\n)',
    "FastAPI(**{})",
    "FastAPI(*(), **dict(debug=True))",
    'FastAPI(title="a" if DEBUG else "b")',
    "FastAPI(debug=(flag := DEBUG))",
    "FastAPI(middleware=[])",
    "FastAPI(middleware=[Middleware(GZipMiddleware) if DEBUG else Middleware(GZipMiddleware)])",
    "FastAPI(middleware=[*[Middleware(GZipMiddleware)],])",
    "FastAPI(middleware=[\n    Middleware(GZipMiddleware),  # small\n])",
    "FastAPI(lifespan=lifespan)",
    "FastAPI(lifespan=lifespan if DEBUG else None)",
    "FastAPI(lifespan=(lifespan))",
    'FastAPI(title="é", description="""a\n  b""")',
    "FastAPI() if DEBUG else FastAPI(debug=True)",
)
MADE: Final = (
    "{name} = {call}",
    "x = 1; {name} = {call}",
    "{name} = {call}; y = 2",
    "{name}: FastAPI = {call}",
    "({name}) = {call}",
    "({name} := {call})",
    "{name}, z = {call}, 1",
    "{name} = wrapped({call})",
    "{name} = other = {call}",
    "if True:\n    {name} = {call}",
    "if DEBUG: {name} = FastAPI()\nelse: {name} = FastAPI(debug=True)",
    "try:\n    {name} = {call}\nfinally:\n    pass",
    "with guard():\n    {name} = {call}",
    "with guard(): {name} = {call}",
    "def create_app():\n    {name} = {call}\n    return {name}\n\n\n{name} = create_app()",
    "def create_app(): return {call}\n\n\n{name} = create_app()",
    "class Shop:\n    def __init__(self):\n        self.{name} = {call}\n\n\n{name} = Shop().{name}",
)
AFTER: Final = (
    "",
    "{name}.add_middleware(GZipMiddleware)",
    "{name}.add_middleware(GZipMiddleware); {name}.state.a = 1",
    "if DEBUG:\n    {name}.add_middleware(GZipMiddleware)",
    "if DEBUG: {name}.add_middleware(GZipMiddleware)",
    '@{name}.get("/")\ndef index(): return 1',
    '@{name}.on_event("startup")\nasync def start(): ...',
    "{name} = wrapped({name})",
    "del DEBUG",
    "match DEBUG:\n    case True: {name}.state.b = 2",
    "{name}.include_router(router)",
    "{name}.include_router(router); {name}.include_router((router), prefix='/x',)",
    "{name}.include_router(\n    router,  # ours\n    prefix=(\n        '/y'\n    )\n)",
    "for each in (router,): {name}.include_router(each)",
    "[{name}.include_router(each, tags=['a']) for each in (router,)]",
    "if DEBUG: {name}.include_router(router=router)",
    "include = {name}.include_router; include(router)",
    "{name}.mount('/sub', FastAPI())",
)
HEAD: Final = (
    "from contextlib import asynccontextmanager, contextmanager\nfrom fastapi import FastAPI\n"
    "from fastapi.middleware.gzip import GZipMiddleware\nfrom fastapi.middleware import Middleware\n"
    "from routes import router\n\nDEBUG = False\n\n\n"
    "@contextmanager\ndef guard(): yield\n\n\n@asynccontextmanager\nasync def lifespan(app): yield\n\n\n"
    "def wrapped(app): return app\n\n\n"
)
CONFIGS: Final = (
    None,
    "from pydantic_settings import BaseSettings\nclass Settings(BaseSettings): pass\nsettings = Settings()\n",
    "from pydantic_settings import BaseSettings\nclass Settings(BaseSettings):\n  a: int = 1; b: int = 2\nsettings = Settings()",
    "from pydantic_settings import BaseSettings\nclass Settings(BaseSettings):\n\t'''Ours.'''\nsettings = (Settings())\n",
    "from dynaconf import Dynaconf\nsettings = Dynaconf(settings_files=['settings.toml'],)\n",
)
ROUTES: Final = (
    "from fastapi import APIRouter\n\nrouter = APIRouter(prefix='/items')\n\n\n@router.get('')\ndef items() -> list[int]:\n    return []\n",
    "import fastapi as f\nrouter = (f.APIRouter()); other = router\n@router.post('/a')\nasync def a(): return {}",
)  # fmt: skip
ENGINES: Final = (
    None,
    "from sqlalchemy import create_engine\n\nengine = create_engine('postgresql+psycopg://x/y')\n",
    "from sqlalchemy import create_engine as make\nURL = 'sqlite://'; engine = make(URL, **{}); other = 1",
    "from sqlalchemy.ext import asyncio as sa\nengine = (sa.create_async_engine(\n    'postgresql+asyncpg://x/y',\n    echo=(\n        False\n    )\n))\nmaker = sa.async_sessionmaker(engine)\n",
    "from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine\nfrom sqlalchemy.orm import DeclarativeBase\nclass Base(DeclarativeBase): pass\ntry:\n\tengine = create_async_engine('postgresql+asyncpg://x/y', pool_size=3,)\nfinally:\n\tpass\nasync def get_session():\n\tasync with AsyncSession(engine) as session: yield session\n",
)  # fmt: skip
CONTAINERS: Final = (
    None,
    "from dependency_injector import containers, providers\n\n\nclass Container(containers.DeclarativeContainer):\n    config = providers.Configuration()\n\n\ncontainer = Container()\n",
    "from dependency_injector.containers import DeclarativeContainer as Base\nclass Shop(Base): 'Ours.'\nshop = (Shop()); other = 1",
    "import dependency_injector.containers as c, dependency_injector.providers as p\nclass Shop(c.DeclarativeContainer):\n\ta = p.Object(1); b = p.Factory(dict, a=a,)  # b\n\n\tdef x(self): ...\nif True:\n\tshop = Shop()\n",
)  # fmt: skip
OTHERS: Final = (
    {},
    {"tests/conftest.py": "import pytest\nfrom httpx import ASGITransport, AsyncClient\nfrom main import app\n@pytest.fixture\nasync def client():\n\tasync with AsyncClient(transport=ASGITransport(app), base_url='http://test') as c: yield c\n"},
    {"tests/conftest.py": "import pytest; from fastapi.testclient import TestClient\n\n@pytest.fixture(name='api')\ndef _api(): return TestClient(__import__('main').app)", "tests/__init__.py": ""},
    {".env.example": "# ours\nAPP_NAME=x", ".gitignore": "*.pyc\n.env", "tests/test_x.py": "def test_x(): pass\n"},
    {"api/__init__.py": "", "api/deps.py": "from typing import Annotated\ndef get_db(): ...\nDb = Annotated[int, 1]", "core/__init__.py": "# core\n"},
    {"Procfile": "web: uvicorn main:app --workers 4\n", "Dockerfile": "FROM python:3.12\nCMD uvicorn main:app\n", ".dockerignore": ".git\n"},
)  # fmt: skip
MANIFESTS: Final = (
    {"requirements.txt": "fastapi>=0.115\npydantic>=2\npydantic-settings>=2.6\ndynaconf>=3.2\ndependency-injector>=4.46\nsqlalchemy[asyncio]>=2.0.36\n"},
    {"requirements.txt": "fastapi >= 0.115 ; python_version > '3'  # web\n-r more.txt\npydantic>=2", "more.txt": "pydantic-settings>=2.6\n\ndynaconf\nsqlalchemy"},
    {"pyproject.toml": '[project]\nname = "x"\nversion = "0"\nrequires-python = ">=3.11"\ndependencies = ["fastapi>=0.115", "pydantic-settings>=2.6", "dynaconf", "sqlalchemy>=2", "dependency-injector"]\n'},
    {"pyproject.toml": '[project]\nname = "x"\nversion = "0"\ndependencies = [\n  "fastapi>=0.115", # web\n  "dynaconf",\n  "SQLAlchemy>=2.0" ,\n "dependency_injector >= 4",\n  "pydantic-settings>=2.6"]\n[tool.x]\na.b = 1\n'},
    {"pyproject.toml": '[tool.poetry]\nname = "x"\nversion = "0"\n[tool.poetry.dependencies]\npython = "^3.11"\nfastapi = "*"\npydantic-settings = "^2.6"\ndynaconf = {version = "*"}\nsqlalchemy = { version = "^2.0", extras = ["asyncio"] }'},
)  # fmt: skip


@st.composite
def projects(draw: st.DrawFn) -> dict[str, bytes]:
    """Draw the files of a small project."""
    name = draw(st.sampled_from(("app", "application", "match", "type", "_", "é", "settings")))
    call, made = draw(st.sampled_from(CALLS)), draw(st.sampled_from(MADE))
    indent = "    " if "\n    {name} = {call}" in made or "def " in made else ""
    call = call.replace("\n", f"\n{indent}") if '"""' not in call else call
    rest = draw(st.lists(st.sampled_from(AFTER), max_size=3, unique=True))
    body = "\n".join([made.format(name=name, call=call), *(item.format(name=name) for item in rest)])
    head = draw(st.sampled_from((HEAD, HEAD.replace("fastapi.middleware import", "starlette.middleware import"))))
    text = draw(st.sampled_from(("", '"""Ours."""\n', "# coding: utf-8\n"))) + head + body
    text += draw(st.sampled_from(("", "\n", "\n\n\n", "  # end", "\n# end")))
    files = dict(draw(st.sampled_from(MANIFESTS)))
    config = draw(st.sampled_from(CONFIGS))
    files |= {} if config is None else {"config.py": config}
    files |= {"settings.toml": draw(st.sampled_from(("", "[default]\na = 1\n")))} if config and "Dyna" in config else {}
    files["routes.py"] = draw(st.sampled_from(ROUTES))
    engine = draw(st.sampled_from(ENGINES))
    files |= {} if engine is None else {"db.py": engine}
    container = draw(st.sampled_from(CONTAINERS))
    files |= {} if container is None else {"container.py": container}
    files |= draw(st.sampled_from(OTHERS))
    newline = draw(st.sampled_from(("\n", "\n", "\r\n", "\r")))
    mark = draw(st.sampled_from((b"", b"", b"\xef\xbb\xbf")))
    found = {path: item.encode() for path, item in files.items()}
    return {**found, "main.py": mark + text.replace("\n", newline).encode()}


_SEEN: Final[set[frozenset[str]]] = set()
"""What has been refused from outside: once is enough for each combination of reasons."""


def refused(files: dict[str, bytes], features: tuple[str, ...], refusals: tuple[Refusal, ...]) -> None:
    """Refusals say what can be done, and name lines that are there; from outside, they end with the code of the table."""
    for item in refusals:
        assert all((item.message, item.snippet or item.remedy)), item
        if item.place is not None:
            lines = re.split(rb"\r\n|\r|\n", files[item.place.path])
            assert 1 <= item.place.line <= len(lines), (item, len(lines))
    codes = frozenset(item.code for item in refusals)
    if codes in _SEEN:
        return
    _SEEN.add(codes)
    with tempfile.TemporaryDirectory() as folder:
        for path, data in files.items():
            (Path(folder) / path).parent.mkdir(parents=True, exist_ok=True)
            (Path(folder) / path).write_bytes(data)
        ran = CliRunner().invoke(app, ["-C", folder, "add", *features, "--dry-run", "--json"])
    assert ran.exit_code == Exit.REFUSED, (ran.output, ran.exception)
    validator().validate(document := json.loads(ran.stdout))
    assert {item["code"] for item in document["refusals"]} == codes


def hold(files: dict[str, bytes], features: tuple[str, ...]) -> None:
    """Add features and remove them again: refused with code and place, or proved, settled, and taken back exactly.

    Together they make the tree that they make one by one.
    """
    plan = memory.planned(files, Request(add=features))
    if plan.refusals:
        refused(files, features, plan.refusals)
        return
    assert prove(memory.project(files), plan) == []
    after = memory.applied(files, plan)
    assert_same(memory.add(after, *features), after, "add; add = add")
    grown = files
    for name in features[::-1] if len(features) > 1 else ():
        grown = memory.add(grown, name)
    assert grown is files or grown == after, f"all at once = one by one, last first: {features}"
    taken = memory.planned(after, Request(remove=features))
    assert prove(memory.project(after), taken) == []
    assert_same(memory.applied(after, taken), files, "add; remove")


@seed(SEED)
@settings(BASIC, max_examples=300)
@given(projects(), FEATURES)
def test_small_projects_in_odd_python(files: dict[str, bytes], features: tuple[str, ...]) -> None:
    print(f"LATERCTL_FUZZ_SEED={SEED}")
    hold(files, features)


@pytest.mark.fuzz
@seed(SEED + 1)
@settings(BASIC, max_examples=3000)
@given(projects(), FEATURES)
def test_many_small_projects_in_odd_python(files: dict[str, bytes], features: tuple[str, ...]) -> None:
    print(f"LATERCTL_FUZZ_SEED={SEED}")
    hold(files, features)
