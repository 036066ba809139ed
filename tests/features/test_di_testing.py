"""The `di-testing` feature: its acceptance list, on tests that a project's own pytest runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from laterctl.engine.plan import Request
from tests import memory
from tests.shapes import shape_named
from tests.test_laws import project_files

PYPROJECT: Final = """\
[project]
name = "depot"
version = "1"
requires-python = ">=3.10"
dependencies = ["fastapi>=0.115", "dependency-injector>=4.46"]

[dependency-groups]
dev = ["pytest>=8", "httpx2>=2"]
"""
CONTAINER: Final = '''\
"""The container: a route gets a greeter, which has a namer, which has a source. Each is built once."""

import os

from dependency_injector import containers, providers

HOST = os.environ["DEPOT_HOST"]


class Source:
    def word(self):
        return "real"


class Namer:
    def __init__(self, source):
        self.source = source


class Greeter:
    def __init__(self, namer):
        self.namer = namer


class Inner(containers.DeclarativeContainer):
    source = providers.Singleton(Source)


class Container(containers.DeclarativeContainer):
    source = providers.Singleton(Source)
    namer = providers.Singleton(Namer, source=source)
    greeter = providers.Singleton(Greeter, namer=namer)
    unrelated = providers.Singleton(Source)
    inner = providers.Container(Inner)


container = Container()
'''
MAIN: Final = """\
from typing import Annotated

from fastapi import Depends, FastAPI

from depot.container import Greeter, container

app = FastAPI()


def user() -> str:
    return "someone"


@app.get("/greeting")
async def greeting(
    greeter: Annotated[Greeter, Depends(lambda: container.greeter())],
    name: Annotated[str, Depends(user)],
) -> str:
    return f"{greeter.namer.source.word()} {name}"
"""
CONFTEST: Final = """\
import os

os.environ["DEPOT_HOST"] = "tests"
"""
TESTS: Final = '''\
import asyncio

import pytest
from httpx2 import ASGITransport, AsyncClient

from depot.container import Greeter, container
from depot.main import app, user


class Fake:
    def word(self):
        return "fake"


async def asked():
    async with AsyncClient(transport=ASGITransport(app=app), base_url="http://test") as client:
        return (await client.get("/greeting")).json()


def ask():
    return asyncio.run(asked())


def test_a_request_sees_the_fake_until_the_block_ends(override_providers):
    """A1 and A2: also below two singletons that were built before."""
    assert ask() == "real someone"
    with override_providers(source=Fake()):
        assert ask() == "fake someone"
    assert ask() == "real someone"


def test_an_error_ends_it_too(override_providers):
    """A3."""
    assert ask() == "real someone"
    with pytest.raises(KeyError), override_providers(source=Fake()):
        assert ask() == "fake someone"
        raise KeyError
    assert ask() == "real someone"


def test_it_ends_with_the_test(override_providers):
    override_providers(source=Fake())
    assert ask() == "fake someone"


@pytest.mark.parametrize("turn", [1, 2])
def test_nothing_is_left_of_others(turn, override_providers):
    assert ask() == "real someone"
    override_providers(source=Fake())


def test_one_inside_another(override_providers):
    class Other:
        def word(self):
            return "other"

    with override_providers(source=Fake()):
        assert ask() == "fake someone"
        with override_providers(source=Other()):
            assert ask() == "other someone"
        assert ask() == "fake someone"
    assert ask() == "real someone"


def test_a_wrong_name_overrides_nothing(override_providers):
    """A4."""
    assert ask() == "real someone"
    with pytest.raises(AttributeError, match="nope"):
        override_providers(source=Fake(), nope=Fake())
    assert ask() == "real someone"


def test_what_does_not_depend_on_it_is_not_built_anew(override_providers):
    kept = container.unrelated()
    with override_providers(source=Fake()):
        assert container.unrelated() is kept
    assert container.unrelated() is kept


def test_providers_and_those_of_containers_inside(override_providers):
    from dependency_injector import providers

    override_providers(greeter=providers.Factory(Greeter, namer=None), **{"inner.source": "fake"})
    assert container.greeter() is not container.greeter()
    assert container.inner.source() == "fake"


@pytest.mark.parametrize("name", ["ada", "bob"])
def test_a_dependency_of_routes(name, dependency_overrides):
    assert ask() == "real someone"
    dependency_overrides[user] = lambda: name
    assert ask() == f"real {name}"


@pytest.mark.asyncio
async def test_under_pytest_asyncio(override_providers, dependency_overrides):
    """A5."""
    dependency_overrides[user] = lambda: "ada"
    with override_providers(source=Fake()):
        assert await asked() == "fake ada"
    assert await asked() == "real ada"


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_under_anyio(anyio_backend, override_providers):
    """A5."""
    with override_providers(source=Fake()):
        assert await asked() == "fake someone"
    assert await asked() == "real someone"
'''
LOOPS: Final = ("-o", "asyncio_default_fixture_loop_scope=function")
PROJECT: Final = {
    "pyproject.toml": PYPROJECT,
    "depot/__init__.py": "",
    "depot/container.py": CONTAINER,
    "depot/main.py": MAIN,
    "tests/__init__.py": "",
    "tests/conftest.py": CONFTEST,
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose tests set what its container reads when it is imported."""
    folder = tmp_path_factory.mktemp("depot")
    after = memory.add({path: text.encode() for path, text in PROJECT.items()}, "di-testing")
    for path, data in {**after, "tests/test_greeting.py": TESTS.encode()}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


@pytest.mark.parametrize(
    "options",
    [
        (*LOOPS, "-o", "asyncio_mode=strict"),
        (*LOOPS, "-o", "asyncio_mode=auto", "-k", "not anyio"),
        ("-p", "no:asyncio", "-o", "markers=asyncio", "-k", "not pytest_asyncio"),
        (*LOOPS, "-n", "2"),
    ],
    ids=["strict", "auto", "anyio", "xdist"],
)
def test_the_list_holds_under_each_plugin(options: tuple[str, ...], project: Path) -> None:
    """A1, A2, A3, A4, A5: what the tests above say."""
    command = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", *options)
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout


def test_the_application_is_imported_when_a_test_asks() -> None:
    """What tests prepare before is there: no import of the project's own comes to the top of `conftest.py`."""
    after = memory.add({path: text.encode() for path, text in PROJECT.items()}, "di-testing")
    top = after["tests/conftest.py"].decode().partition("@pytest.fixture")[0]
    assert "depot" not in top


@pytest.mark.parametrize(
    ("shape", "place", "why"),
    [
        ("flat", "main.py:5", "the project has no container"),
        ("wiring_config", "app/containers.py:7", "tests cannot import the container: the instance is made inside"),
    ],
)
def test_without_a_container_that_tests_can_import_it_is_refused(shape: str, place: str, why: str) -> None:
    (refusal,) = memory.planned(project_files(shape_named(shape)), Request(add=("di-testing",))).refusals
    assert (refusal.code, str(refusal.place)) == ("no-container", place)
    assert refusal.message.startswith(why)
    assert refusal.remedy


def test_an_application_that_only_a_factory_makes_has_no_fixture_for_its_dependencies() -> None:
    main = MAIN.replace("app = FastAPI()\n", "").replace("@app.get", "router = APIRouter()\n\n\n@router.get")
    main = main.replace("import Depends", "import APIRouter, Depends")
    main += "\n\ndef create_app() -> FastAPI:\n    app = FastAPI()\n    app.include_router(router)\n    return app\n"
    files = PROJECT | {"depot/main.py": main, "Dockerfile": "CMD uvicorn --factory depot.main:create_app\n"}
    after = memory.add({path: text.encode() for path, text in files.items()}, "di-testing")
    assert b"def override_providers" in after["tests/conftest.py"]
    assert b"dependency_overrides" not in after["tests/conftest.py"]
