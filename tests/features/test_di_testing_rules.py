"""The rules about overrides in tests: more code that they find, and code that they leave alone."""

from __future__ import annotations

import pytest

from tests.ruling import found

CONTAINERS = """\
from dependency_injector import containers, providers
class Mailer: ...
class Outbox:
    def __init__(self, mailer): ...
class Signup:
    def __init__(self, outbox): ...
class Container(containers.DeclarativeContainer):
    config = providers.Configuration()
    mailer = providers.Factory(Mailer)
    outbox = providers.Factory(Outbox, mailer=mailer)
    signup = providers.Singleton(Signup, outbox)
    late = providers.Singleton(Signup, outbox.provider)
container = Container()
"""
APP = {
    "app/__init__.py": "",
    "app/containers.py": CONTAINERS,
    "app/main.py": "from fastapi import FastAPI\nfrom app.containers import container\n"
    "def get_db(): ...\napp = FastAPI()\napp.container = container\ndef create_app(): return FastAPI()\n",
}
HEAD = """\
import pytest, pytest_asyncio
from contextlib import ExitStack
from unittest import mock
from unittest.mock import AsyncMock
from dependency_injector import providers
from fastapi.testclient import TestClient
from app import containers
from app.containers import Container, container
from app.main import app, create_app, get_db
"""


def lines(rule: str, test: str, **more: str) -> list[str]:
    """Return the lines of a test in which a rule reports something."""
    text = HEAD + test
    others = {f"tests/{name}.py": HEAD + code for name, code in more.items()}
    places = [item.place for item in found({**APP, "tests/test_app.py": text, **others}, [rule])]
    return [
        text.splitlines()[place.line - 1].strip() for place in places if place and place.path == "tests/test_app.py"
    ]


@pytest.mark.parametrize(
    "call",
    [
        "container.mailer.override(Fake())",
        "containers.container.mailer.override(Fake())",
        "Container.mailer.override(Fake())",
        "app.container.mailer.override(Fake())",
        "container.override_providers(mailer=Fake())",
    ],
)
@pytest.mark.parametrize("outer", ["def test_it():", "async def test_it():", "@pytest.fixture\ndef faked():"])
def test_dit001_finds_an_override_that_is_thrown_away(call: str, outer: str) -> None:
    assert lines("DIT001", f"{outer}\n    {call}\n") == [call]


@pytest.mark.parametrize(
    "test",
    [
        "def test_it():\n    with container.mailer.override(Fake()): ...\n",
        "def test_it():\n    with ExitStack() as stack:\n        stack.enter_context(container.mailer.override(1))\n",
        "def test_it():\n    undo = container.mailer.override(Fake())\n    undo.__exit__()\n",
        "def test_it():\n    container.mailer.override(1)\n    container.mailer.reset_last_overriding()\n",
        "def test_it():\n    mine = Container()\n    mine.mailer.override(Fake())\n",
        "def test_it(container):\n    container.mailer.override(Fake())\n",
        "def test_it():\n    app = create_app()\n    app.container.mailer.override(Fake())\n",
        "def test_it(settings):\n    settings.override(DEBUG=True)\n",
        "container.mailer.override(Fake())\n",
        "@pytest.fixture(scope='session', autouse=True)\ndef faked():\n    container.mailer.override(Fake())\n",
        "@pytest.fixture(autouse=True)\ndef faked():\n    container.mailer.override(Fake())\n",
        "def helper():\n    container.mailer.override(Fake())\n",
    ],
)
def test_dit001_leaves_alone(test: str) -> None:
    assert lines("DIT001", test) == []


def test_dit001_knows_what_the_fixtures_undo() -> None:
    test = "def test_it():\n    container.mailer.override(Fake())\n"
    undo = "@pytest.fixture(autouse=True)\ndef undo():\n    yield\n    container.reset_override()\n"
    assert lines("DIT001", test, test_other=undo) == ["container.mailer.override(Fake())"]
    assert lines("DIT001", test, conftest=undo) == []


@pytest.mark.parametrize("call", ["container.mailer.override(1)", "container.override_providers(mailer=1, config=2)"])
def test_dit002_finds_a_singleton_above_others(call: str) -> None:
    test = f"def test_it():\n    with {call}:\n        ...\n"
    assert lines("DIT002", test) == [f"with {call}:"]
    assert lines("DIT002", test, conftest="def prepare():\n    container.reset_singletons()\n") == []


@pytest.mark.parametrize(
    "test",
    [
        "def test_it():\n    with container.signup.override(1):\n        ...\n",
        "def test_it():\n    with container.outbox.override(1), container.signup.override(2):\n        ...\n",
        "def test_it():\n    with container.outbox.override(1), container.signup.override(2), container.late.override(3):\n"
        "        ...\n",
    ],
)
def test_dit002_leaves_alone(test: str) -> None:
    assert lines("DIT002", test) == []


def test_dit002_knows_a_provider_that_is_handed_over_itself() -> None:
    """`late` asks the provider each time, so that an override of it counts."""
    test = "def test_it():\n    with container.outbox.override(1), container.signup.override(2):\n        ...\n"
    assert lines("DIT002", test) == []


@pytest.mark.parametrize(
    ("client", "used"),
    [("client", "client.get('/')"), ("", "TestClient(app).get('/')")],
)
def test_dit003_finds_a_container_of_the_test_s_own(client: str, used: str) -> None:
    test = f"def test_it({client}):\n    mine = Container()\n    with mine.mailer.override(1):\n        {used}\n"
    assert lines("DIT003", test) == ["mine = Container()"]


@pytest.mark.parametrize(
    "body",
    [
        "mine = Container()\n    mine.mailer.override(1)\n    mine.wire(modules=['app.main'])",
        "mine = Container()\n    mine.mailer.override(1)\n    app.container = mine",
        "mine = Container()\n    mine.mailer.override(1)\n    service = mine.signup()",
        "mine = container\n    mine.mailer.override(1)",
        "mine = Container()",
    ],
)
def test_dit003_leaves_alone(body: str) -> None:
    assert lines("DIT003", f"def test_it(client):\n    {body}\n    client.get('/')\n") == []


@pytest.mark.parametrize(
    ("block", "count"),
    [
        ("with container.signup.reset():", 1),
        ("with box.signup.full_reset() as one:", 1),
        ("async with a, container.signup.reset():", 1),
        ("with container.mailer.override(1), container.signup.reset():", 1),
        ("with container.mailer.reset():", 0),
        ("with container.reset_singletons():", 0),
        ("with counter.reset():", 0),
    ],
)
def test_dit007_finds_a_block_in_which_nothing_fails(block: str, count: int) -> None:
    assert len(lines("DIT007", f"async def test_it(box, a, counter):\n    {block}\n        assert False\n")) == count


OVERRIDE = "app.dependency_overrides[get_db] = lambda: 1"


@pytest.mark.parametrize("outer", ["def test_it():", "async def test_it():", "@pytest.fixture\ndef faked():"])
def test_dit004_finds_an_override_that_stays(outer: str) -> None:
    assert lines("DIT004", f"{outer}\n    {OVERRIDE}\n") == [OVERRIDE]


@pytest.mark.parametrize(
    "undo",
    [
        "app.dependency_overrides.clear()",
        "app.dependency_overrides = {}",
        "app.dependency_overrides.pop(get_db)",
        "app.dependency_overrides.pop(get_db, None)",
        "del app.dependency_overrides[get_db]",
        "monkeypatch.setattr(app, 'dependency_overrides', {})",
        "mock.patch.dict(app.dependency_overrides)",
    ],
)
def test_dit004_knows_how_to_take_it_back(undo: str) -> None:
    assert lines("DIT004", f"def test_it(monkeypatch):\n    {OVERRIDE}\n    {undo}\n") == []
    fixture = f"@pytest.fixture(autouse=True)\ndef undo(monkeypatch):\n    yield\n    {undo}\n"
    assert lines("DIT004", f"def test_it():\n    {OVERRIDE}\n", conftest=fixture) == []


@pytest.mark.parametrize(
    "test",
    [
        f"{OVERRIDE}\n",
        f"def test_it():\n    app = create_app()\n    {OVERRIDE}\n",
        f"def test_it(app):\n    {OVERRIDE}\n",
        f"@pytest.fixture(scope='session')\ndef client():\n    {OVERRIDE}\n",
        "def test_it(monkeypatch):\n    monkeypatch.setitem(app.dependency_overrides, get_db, lambda: 1)\n",
    ],
)
def test_dit004_leaves_alone(test: str) -> None:
    assert lines("DIT004", test) == []


@pytest.mark.parametrize("factory", ["AsyncMock", "mock.Mock", "lambda: AsyncMock()", "lambda: mock.MagicMock(Spec)"])
def test_dit005_finds_a_mock_for_each_use(factory: str) -> None:
    assert len(lines("DIT005", f"def test_it(box):\n    box.mailer.override(providers.Factory({factory}))\n")) == 1


@pytest.mark.parametrize(
    "given",
    [
        "providers.Factory(Fake)",
        "providers.Factory(lambda: AsyncMock(return_value=1))",
        "providers.Factory(AsyncMock, return_value=1)",
        "providers.Singleton(AsyncMock)",
        "providers.Object(AsyncMock())",
        "AsyncMock()",
        "",
    ],
)
def test_dit005_leaves_alone(given: str) -> None:
    assert lines("DIT005", f"def test_it(box):\n    box.mailer.override({given})\n") == []


INI = "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = module\n"
ASYNC = "@pytest_asyncio.fixture\nasync def engine(): ...\n"


@pytest.mark.parametrize(
    ("ini", "conftest", "count"),
    [
        (INI, ASYNC, 1),
        (INI, ASYNC.replace("pytest_asyncio.", "pytest."), 1),
        (f"{INI}asyncio_default_test_loop_scope = module\n", ASYNC, 0),
        (INI.replace("module", "function"), ASYNC, 0),
        (INI, ASYNC.replace("async ", ""), 0),
        (INI, f"pytestmark = pytest.mark.asyncio(loop_scope='module')\n{ASYNC}", 0),
    ],
)
def test_dit006_finds_loops_apart(ini: str, conftest: str, count: int) -> None:
    assert len(found({**APP, "pytest.ini": ini, "tests/conftest.py": HEAD + conftest}, ["DIT006"])) == count
