"""The doctor rules of `resources`: what they find, what they leave alone, and that what they say is true."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from textwrap import dedent

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr, create_model

from tests.ruling import code as reported
from tests.ruling import found, lines, places

HEAD = """
from typing import Annotated
from fastapi import APIRouter, Depends, FastAPI
from dependency_injector import containers, providers
from dependency_injector.wiring import Provide, inject, inject as injected, Closing
import dependency_injector.wiring as w
router = APIRouter()
"""


def local(rule: str, code: str, head: str = HEAD) -> list[str]:
    """Return the source lines that a rule about one file reports."""
    return reported(rule, head + dedent(code))


OVER_ALL_FILES = ("DI001", "DI005", "DI006", "DI008", "DI009", "DI011")


def whole(files: dict[str, str]) -> list[str]:
    """Return `rule path` for everything that the rules over all files of a project report."""
    findings = found(files, OVER_ALL_FILES)
    return [f"{item.rule} {item.place.path}" for item in findings if item.place is not None]


def wide(rule: str, files: dict[str, str]) -> list[str]:
    """Return `path: source line` for everything that a rule reports about a project."""
    texts = {path: dedent(text) for path, text in files.items()}
    places = sorted(item.place for item in found(texts, [rule]) if item.place is not None)
    return [f"{place.path}: {texts[place.path].splitlines()[place.line - 1].strip()}" for place in places]


PACKAGES = {"app/__init__.py": "", "app/api/__init__.py": ""}

CONTAINER = """\
from dependency_injector import containers, providers

class Service: ...

class Container(containers.DeclarativeContainer):
    config = providers.Configuration()
    service = providers.Singleton(Service)
"""

ROUTES = """\
from fastapi import APIRouter, Depends
from dependency_injector.wiring import Provide, inject
from app.containers import Container
router = APIRouter()

@router.get("/x")
@inject
async def x(service=Depends(Provide[Container.service])): ...
"""


# DI001

ASYNC = """\
from dependency_injector import containers, providers, resources
from app.pools import open_pool, Pool, make

class Container(containers.DeclarativeContainer):
    pool = providers.Resource({maker})
    plain = providers.Resource(make)
    users = providers.Factory(dict, pool={used})
"""
POOLS = """\
from dependency_injector.resources import AsyncResource

async def open_pool():
    yield 1

class Pool(AsyncResource):
    async def init(self): ...

def make():
    yield 1
"""


@pytest.mark.parametrize("maker", ["open_pool", "Pool"])
def test_di001_an_async_resource_below_another_provider(maker: str) -> None:
    files = {**PACKAGES, "app/pools.py": POOLS, "app/containers.py": ASYNC.format(maker=maker, used="pool")}
    assert wide("DI001", files) == ["app/containers.py: users = providers.Factory(dict, pool=pool)"]


@pytest.mark.parametrize(("maker", "used"), [("open_pool", "plain"), ("make", "pool"), ("open_pool", "pool.provider")])
def test_di001_leaves_alone(maker: str, used: str) -> None:
    files = {**PACKAGES, "app/pools.py": POOLS, "app/containers.py": ASYNC.format(maker=maker, used=used)}
    assert wide("DI001", files) == []


def test_di001_is_not_said_of_examples() -> None:
    files = {**PACKAGES, "app/pools.py": POOLS, "app/containers.py": ASYNC.format(maker="open_pool", used="pool")}
    assert wide("DI001", {f"examples/first/{path}": text for path, text in files.items()}) == []


def test_di001_an_async_resource_in_a_def_route() -> None:
    route = ROUTES.replace("Container.service", "Container.pool")
    files = {
        **PACKAGES,
        "app/pools.py": POOLS,
        "app/containers.py": ASYNC.format(maker="open_pool", used="plain"),
        "app/api/a.py": route.replace("async def", "def"),
        "app/api/b.py": route,
        "app/api/c.py": route.replace("async def", "def").replace("Container.pool", "Container.plain"),
    }
    assert wide("DI001", files) == ["app/api/a.py: def x(service=Depends(Provide[Container.pool])): ..."]


# DI002, DI003, DI004


@pytest.mark.parametrize("inject", ["inject", "injected", "w.inject"])
def test_di002_inject_above_the_route_decorator(inject: str) -> None:
    code = f"""
    @{inject}
    @router.get("/x")
    async def x(s=Depends(Provide["s"])): ...
    """
    assert local("DI002", code) == [f"@{inject}"]


@pytest.mark.parametrize(
    "decorators",
    ['@router.get("/x")\n@inject', '@inject\n@cache.get("key")', '@inject\n@router.on_event("startup")', "@inject"],
)
def test_di002_leaves_alone(decorators: str) -> None:
    assert local("DI002", f"{decorators}\nasync def x(s=Depends(Provide['s'])): ...") == []


@pytest.mark.parametrize(
    "parameter",
    [
        'x=Depends(Provide["s"])',
        "x: Annotated[int, Depends(Provide[C.s])]",
        '*, x=Depends(Closing[Provide["s"]])',
        'x=w.Provide["s"]',
    ],
)
def test_di003_a_marker_without_inject(parameter: str) -> None:
    code = f'@router.post("")\nasync def handler({parameter}): ...'
    assert local("DI003", code) == [f"async def handler({parameter}): ..."]


@pytest.mark.parametrize(
    "code",
    [
        '@router.get("/x")\n@inject\nasync def x(s=Depends(Provide["s"])): ...',
        '@router.get("/x")\n@our_inject\nasync def x(s=Depends(Provide["s"])): ...',
        '@router.get("/x")\nasync def x(s=Depends(get_s)): ...',
        'async def x(s=Depends(Provide["s"])): ...',
        'class Provide: ...\n@router.get("/x")\nasync def x(s=Provide["s"]): ...',
    ],
)
def test_di003_leaves_alone(code: str) -> None:
    assert local("DI003", code) == []


FUTURE = "from __future__ import annotations\n"


def test_di004_annotated_markers_under_future_annotations() -> None:
    code = '@inject\nasync def x(s: Annotated[int, Depends(Provide["s"])]): ...'
    assert local("DI004", code, FUTURE + HEAD) == [code.splitlines()[1]]


@pytest.mark.parametrize(
    ("head", "code"),
    [
        (HEAD, '@inject\nasync def x(s: Annotated[int, Depends(Provide["s"])]): ...'),
        (FUTURE + HEAD, '@inject\nasync def x(s: int = Depends(Provide["s"])): ...'),
        (FUTURE + HEAD, "@inject\nasync def x(s: Annotated[int, Depends(get_s)]): ..."),
    ],
)
def test_di004_leaves_alone(head: str, code: str) -> None:
    assert local("DI004", code, head) == []


# DI005


def wired(**files: str) -> list[str]:
    paths = {name.replace("__", "/") + ".py": text for name, text in files.items()}
    written = {**PACKAGES, "app/containers.py": CONTAINER, "app/api/users.py": ROUTES, **paths}
    return wide("DI005", written)


UNWIRED = ["app/api/users.py: async def x(service=Depends(Provide[Container.service])): ..."]


@pytest.mark.parametrize(
    "main",
    [
        "from app.containers import Container\ncontainer = Container()",
        "from app.containers import Container\nContainer().wire(modules=['app.api.other', __name__])",
        "from app.api import other\nfrom app.containers import Container\nc = Container()\nc.wire(modules=[other])",
        "import sys\nfrom app.containers import container\ncontainer.wire([sys.modules[__name__]])",
        "from app.containers import Container\nc = Container()\nc.wire(modules=['thirdparty.routes'], packages=None)",
    ],
)
def test_di005_a_module_that_nothing_wires(main: str) -> None:
    assert wired(app__main=main, app__api__other="") == UNWIRED


@pytest.mark.parametrize(
    "main",
    [
        "container.wire(modules=['app.api.users'])",
        "container.wire(modules=['.api.users'], from_package='app')",
        "container.wire(modules=['.api.users'], from_package=__package__)",
        "container.wire(packages=['app.api'])",
        "import app\ncontainer.wire(packages=[app])",
        "from app.api import users\ncontainer.wire(modules=[users])",
        "from .api import users\ncontainer.wire((users,))",
        "MODULES = ['app.api.users']\ncontainer.wire(modules=MODULES)",
        "container.wire(modules=find_modules())",
        "container.wire(modules=[*MODULES])",
        "container.wire(modules=['app.api.' + name for name in NAMES])",
        "container.wire(**options)",
        "from dependency_injector.wiring import register_loader_containers\nregister_loader_containers(container)",
        "from dependency_injector.wiring import wire\nwire(container, ['app.api.users'])",
    ],
)
def test_di005_leaves_wired_and_unknown_alone(main: str) -> None:
    assert wired(app__main=main) == []


@pytest.mark.parametrize(
    ("configuration", "expected"),
    [
        ("modules=['app.api.users']", []),
        ("modules=['.api.users']", []),
        ("packages=['.api'], from_package=__name__", []),
        ("packages=['app']", []),
        ("modules=['.main']", UNWIRED),
    ],
)
def test_di005_reads_wiring_configurations(configuration: str, expected: list[str]) -> None:
    container = CONTAINER + f"    wiring_config = containers.WiringConfiguration({configuration})\n"
    home = "app/__init__" if "__name__" in configuration else "app/containers"
    files = {**PACKAGES, "app/main.py": "", "app/api/users.py": ROUTES, f"{home}.py": container}
    assert wide("DI005", files) == expected


def test_di005_in_a_src_layout() -> None:
    files = {
        "src/app/__init__.py": "",
        "src/app/containers.py": CONTAINER,
        "src/app/users.py": ROUTES,
        "src/app/main.py": "from app import users\nfrom app.containers import Container\nContainer().wire([users])",
        "src/app/orders.py": ROUTES,
    }
    assert wide("DI005", files) == ["src/app/orders.py: async def x(service=Depends(Provide[Container.service])): ..."]


def test_the_rules_over_all_files_look_at_production_code_only() -> None:
    files = {**PACKAGES, "app/containers.py": CONTAINER, "app/api/users.py": ROUTES, "tests/test_users.py": ROUTES}
    assert whole(files) == ["DI005 app/api/users.py"]
    assert whole({**files, "app/main.py": "c.wire(packages=['app'])"}) == []


def test_a_file_that_cannot_be_parsed_is_left_out_and_may_wire_anything() -> None:
    files = {**PACKAGES, "app/containers.py": CONTAINER, "app/api/users.py": ROUTES}
    broken = "import dependency_injector\nif:\n"
    assert whole({**files, "app/broken.py": broken}) == ["DI005 app/api/users.py"]
    assert whole({**files, "app/broken.py": f"{broken}container.wire()\n"}) == []


# DI006


def unknown(marker: str, container: str = CONTAINER, **more: str) -> list[str]:
    routes = f"from dependency_injector.wiring import Provide, Provider, Closing, as_int\nX = {marker}\n"
    routes = f"from app.containers import Container\nimport app.containers as cs\n{routes}"
    files = {**PACKAGES, "app/containers.py": container, "app/routes.py": routes}
    files |= {f"app/{name}.py": text for name, text in more.items()}
    return wide("DI006", files)


@pytest.mark.parametrize(
    "marker",
    [
        'Provide["servce"]',
        'Provide["servce.provided.name"]',
        "Provide[Container.servce]",
        "Provide[cs.Container.servce.provided.name]",
        "Closing[Provide[Container.servce]]",
        'Provide["settings.port", as_int()]',
    ],
)
def test_di006_a_provider_that_does_not_exist(marker: str) -> None:
    assert unknown(marker) == [f"app/routes.py: X = {marker}"]


@pytest.mark.parametrize(
    "marker",
    [
        'Provide["service"]',
        'Provide["config.port", as_int()]',
        "Provide[Container.service]",
        "Provide[Container.service.provided.name]",
        "Provide[Container]",
        "Provide[Container.providers]",
        'Provide["<container>"]',
        "Provide[Elsewhere.thing]",
        "cache['servce']",
    ],
)
def test_di006_leaves_alone(marker: str) -> None:
    assert unknown(marker) == []


@pytest.mark.parametrize(
    "container",
    [
        CONTAINER.replace("containers.DeclarativeContainer", "Base").replace(
            "class Service", "from app.base import Base\nclass Service"
        ),
        CONTAINER + "    for name in ('a', 'servce'):\n        locals()[name] = providers.Object(1)\n",
        CONTAINER.replace("class Container", "@extended\nclass Container"),
        CONTAINER.replace("containers.DeclarativeContainer", "containers.DeclarativeContainer, Mixin"),
    ],
)
def test_di006_leaves_containers_alone_that_it_does_not_know_whole(container: str) -> None:
    base = CONTAINER.replace("Container(", "Base(").replace("service =", "servce =")
    assert unknown("Provide[Container.servce]", container, base=base) == []
    assert unknown('Provide["servce"]', container, base=base) == []


def test_di006_asks_all_containers_for_names_in_text() -> None:
    other = CONTAINER.replace("Container(", "Other(").replace("service =", "mailer =")
    assert unknown('Provide["mailer"]', other=other) == []
    assert unknown("Provide[Container.mailer]", other=other) == ["app/routes.py: X = Provide[Container.mailer]"]


# DI007


@pytest.mark.parametrize(
    "code",
    [
        "class C(containers.DeclarativeContainer):\n    a = providers.Scope(dict)",
        "@providers.inject\ndef f(): ...",
        "from dependency_injector.providers import Provide",
    ],
)
def test_di007_names_that_do_not_exist(code: str) -> None:
    assert len(local("DI007", code)) == 1


def test_di007_a_copied_container_with_methods_only() -> None:
    code = "@containers.copy(Base)\nclass C(Base):\n    def create(self): ..."
    assert local("DI007", code) == ["class C(Base):"]


@pytest.mark.parametrize(
    "code",
    [
        "class C(containers.DeclarativeContainer):\n    a = providers.Singleton(dict)",
        "@containers.copy(Base)\nclass C(Base):\n    a = providers.Singleton(dict)",
        "class providers: ...\nx = providers.Scope",
        "from dependency_injector.wiring import Provide",
    ],
)
def test_di007_leaves_alone(code: str) -> None:
    assert local("DI007", code) == []


# DI008, DI009

START = """\
async def start(container):
    await container.init_resources()
"""


def resources(maker: str) -> dict[str, str]:
    container = CONTAINER + f"    pool = providers.Resource({maker})\n"
    container = container.replace(
        "class Service", "from app.pools import *\nfrom app.pools import make, open_pool\nclass Service"
    )
    pools = POOLS + "\ndef give():\n    return 1\n"
    return {**PACKAGES, "app/pools.py": pools, "app/containers.py": container, "app/main.py": START}


def test_di008_awaiting_none() -> None:
    assert wide("DI008", resources("make")) == ["app/main.py: await container.init_resources()"]


@pytest.mark.parametrize("maker", ["open_pool", "some_library.connect", "make()"])
def test_di008_leaves_async_and_unknown_resources_alone(maker: str) -> None:
    assert wide("DI008", resources(maker)) == []


def test_di008_leaves_guarded_calls_alone() -> None:
    guarded = (
        "async def start(c):\n    if (r := c.init_resources()) is not None:\n        await r\n    c.init_resources()\n"
    )
    assert wide("DI008", {**resources("make"), "app/main.py": guarded}) == []
    assert wide("DI008", {"app/containers.py": "", "app/main.py": START}) == []


def test_di009_resources_that_nothing_shuts_down() -> None:
    assert wide("DI009", resources("make")) == ["app/main.py: await container.init_resources()"]


def test_di009_leaves_alone() -> None:
    stop = "async def stop(container):\n    container.shutdown_resources()\n"
    assert wide("DI009", {**resources("make"), "app/stop.py": stop}) == []
    assert wide("DI009", resources("app.pools.give")) == []


# DI010

CLIENTS = """
import httpx
import redis
from redis import asyncio as aioredis
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy import create_engine
from dependency_injector import containers, providers
"""


@pytest.mark.parametrize(
    "line",
    [
        "client = httpx.AsyncClient(timeout=5)",
        "cache = Redis.from_url(url)",
        "cache = aioredis.from_url(url)",
    ],
)
def test_di010_clients_built_at_import(line: str) -> None:
    assert local("DI010", line, CLIENTS) == [line]
    assert local("DI010", f"if url:\n    {line}", CLIENTS) == [line]


@pytest.mark.parametrize(
    "code",
    [
        "def get():\n    return httpx.AsyncClient()",
        "make = lambda: httpx.AsyncClient()",
        "cache = redis.Redis.from_url(url)",
        "engine = create_engine(url)",
        "engine = create_async_engine(url)",
        "class C(containers.DeclarativeContainer):\n    http = providers.Singleton(httpx.AsyncClient, timeout=5)",
        "if __name__ == '__main__':\n    client = httpx.AsyncClient()",
        "from app.fakes import Redis\ncache = Redis.from_url(url)",
    ],
)
def test_di010_leaves_alone(code: str) -> None:
    assert local("DI010", code, CLIENTS) == []


# What the rules say is what dependency-injector does.

TRUTH = """\
{future}
from typing import Annotated
from dependency_injector import containers, providers
from dependency_injector.wiring import Provide, inject
from fastapi import Depends, FastAPI

class Container(containers.DeclarativeContainer):
    word = providers.Object("word")

app = FastAPI()

{code}

container = Container()
container.wire(modules=[{modules}])
"""


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("rule", "code", "future", "modules"),
    [
        ("none", '@app.get("/")\n@inject\ndef x(word=Depends(Provide["word"])): return str(word)', "", "__name__"),
        ("002", '@inject\n@app.get("/")\ndef x(word=Depends(Provide["word"])): return str(word)', "", "__name__"),
        ("003", '@app.get("/")\ndef x(word=Depends(Provide["word"])): return str(word)', "", "__name__"),
        (
            "004",
            '@app.get("/")\n@inject\ndef x(word: Annotated[object, Depends(Provide["word"])]): return str(word)',
            "from __future__ import annotations",
            "__name__",
        ),
        ("005", '@app.get("/")\n@inject\ndef x(word=Depends(Provide["word"])): return str(word)', "", ""),
        ("006", '@app.get("/")\n@inject\ndef x(word=Depends(Provide["sword"])): return str(word)', "", "__name__"),
    ],
)
def test_it_is_true_that_the_marker_arrives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rule: str, code: str, future: str, modules: str
) -> None:
    name = f"truth_{rule}"
    source = TRUTH.format(code=code, future=future, modules=modules)
    (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module(name)
    try:
        answer = TestClient(module.app).get("/")
    finally:
        del sys.modules[name]
    assert answer.status_code == 200
    assert (answer.json() == "word") is (rule == "none")
    findings = found({f"{name}.py": source}, [f"DI00{number}" for number in range(2, 7)])
    assert [item.rule for item in findings] == ([f"DI{rule}"] if rule != "none" else [])


@pytest.mark.parametrize(
    ("dump", "kind", "expected"),
    [
        ('settings.model_dump(mode="json")', "SecretStr", ["DI011 app/main.py"]),
        ('Settings().model_dump(mode="json")', "SecretStr", ["DI011 app/main.py"]),
        ("settings.model_dump()", "SecretStr", []),
        ('settings.model_dump(mode="python")', "SecretStr", []),
        ('settings.model_dump(mode="json")', "str", []),
    ],
)
def test_di011_reports_secrets_that_are_masked(dump: str, kind: str, expected: list[str]) -> None:
    files = {
        "app/container.py": (
            "from dependency_injector import containers, providers\n"
            "class Container(containers.DeclarativeContainer):\n    config = providers.Configuration()\n"
        ),
        "app/config.py": f"from pydantic import {kind}\nkey: {kind}\n",
        "app/main.py": (
            "from app.container import Container\nfrom app.config import Settings, settings\n"
            f"container = Container()\ncontainer.config.from_dict({dump})\nother.from_dict({dump})\n"
        ),
    }

    assert whole(files) == expected


def test_what_di011_says_is_true() -> None:
    settings = create_model("Settings", key=(SecretStr, SecretStr("k")))()

    assert settings.model_dump(mode="json") == {"key": "**********"}


# DI012, DI013

KEPT = """\
import httpx
from redis import asyncio as aioredis
from redis.asyncio import Redis
from dependency_injector import containers, providers
class C(containers.DeclarativeContainer):
    """


@pytest.mark.parametrize(
    "provider",
    [
        "x = providers.Singleton(httpx.AsyncClient)",
        "x = providers.ThreadSafeSingleton(httpx.AsyncClient, timeout=5)",
        "x = providers.Factory(httpx.AsyncClient)",
        "x = providers.Singleton(Redis.from_url, 'redis://localhost')",
        "x: providers.Singleton = providers.Singleton(aioredis.from_url, 'redis://localhost')",
    ],
)
def test_di012_finds_clients_that_nothing_closes(provider: str) -> None:
    assert places({"app/containers.py": KEPT + provider}, "DI012") == ["app/containers.py:6"]


@pytest.mark.parametrize(
    ("provider", "close"),
    [
        ("x = providers.Singleton(httpx.AsyncClient)", "async def stop(c):\n    await c.x().aclose()\n"),
        (
            "x = providers.Singleton(httpx.AsyncClient)",
            "async def stop(c):\n    client = c.x()\n    await client.aclose()\n",
        ),
        ("x = providers.Singleton(httpx.AsyncClient)", "async def run(c):\n    async with c.x() as client: ...\n"),
        (
            "x = providers.Singleton(httpx.AsyncClient)\n    s = providers.Singleton(S, x)",
            "class S:\n    async def stop(self):\n        await self.client.aclose()\n",
        ),
        ("x = providers.Resource(httpx.AsyncClient)", ""),
        ("x = providers.Singleton(httpx.Client)", ""),
        ("x = providers.Singleton(build)", ""),
    ],
)
def test_di012_leaves_alone(provider: str, close: str) -> None:
    assert places({"app/containers.py": KEPT + provider, "app/stop.py": close}, "DI012") == []


def per_request(code: str) -> list[int]:
    head = "import httpx\nfrom fastapi import Depends, FastAPI\napp = FastAPI()\n"
    return lines("DI013", head + code)


@pytest.mark.parametrize(
    "code",
    [
        "@app.get('/')\nasync def route():\n    client = httpx.AsyncClient()\n    await client.get('/')\n",
        "@app.get('/')\nasync def route():\n    await httpx.AsyncClient().get('/')\n",
        "def client():\n    return httpx.AsyncClient()\n@app.get('/')\nasync def route(c=Depends(client)): ...\n",
        "def make():\n    return httpx.AsyncClient()\n@app.get('/')\nasync def route():\n    make()\n",
        "@app.get('/')\nasync def route(request, c=None):\n    if c is None:\n        c = httpx.AsyncClient()\n",
        "@app.get('/')\nasync def route(request):\n    request.state.c = httpx.AsyncClient()\n",
    ],
)
def test_di013_finds(code: str) -> None:
    assert len(per_request(code)) == 1


@pytest.mark.parametrize(
    "code",
    [
        "@app.get('/')\nasync def route():\n    async with httpx.AsyncClient() as client: ...\n",
        "@app.get('/')\nasync def route():\n    c = httpx.AsyncClient()\n    async with c: ...\n",
        "@app.get('/')\nasync def route():\n    c = httpx.AsyncClient()\n    await c.aclose()\n",
        "@app.get('/')\nasync def route(stack):\n    await stack.enter_async_context(httpx.AsyncClient())\n",
        "async def start():\n    return httpx.AsyncClient()\n",
        "x = None\ndef c():\n    global x\n    if x is None:\n        x = httpx.AsyncClient()\n    return x\n"
        "@app.get('/')\nasync def route(c=Depends(c)): ...\n",
        "x = None\ndef c():\n    global x\n    if x:\n        return x\n    x = httpx.AsyncClient()\n    return x\n"
        "@app.get('/')\nasync def route(c=Depends(c)): ...\n",
        "@app.get('/')\nasync def route(request):\n    if not hasattr(request.app.state, 'http'):\n"
        "        request.app.state.http = httpx.AsyncClient()\n",
        "import functools\n@functools.cache\ndef c():\n    return httpx.AsyncClient()\n@app.get('/')\nasync def r(c=Depends(c)): ...\n",
    ],
)
def test_di013_leaves_alone(code: str) -> None:
    assert per_request(code) == []


def test_di005_knows_a_module_by_its_name_where_imports_start_from_an_unknown_folder() -> None:
    files = {
        "svc/main.py": "from parts import api\nfrom parts.box import Box\nBox().wire(modules=(api,))\n",
        "svc/parts/__init__.py": "",
        "svc/parts/box.py": "from dependency_injector import containers, providers\n"
        "class Box(containers.DeclarativeContainer):\n    x = providers.Object(1)\n",
        "svc/parts/api.py": "from dependency_injector.wiring import Provide, inject\nfrom parts.box import Box\n"
        "@inject\ndef read(x=Provide[Box.x]): ...\n",
    }
    assert places(files, "DI005") == []
    by_name = files["svc/main.py"].replace("(api,)", "['parts.api']")
    assert places({**files, "svc/main.py": by_name}, "DI005") == []
    assert places({**files, "svc/main.py": by_name.replace("parts.api", "parts.box")}, "DI005") == [
        "svc/parts/api.py:4"
    ]
