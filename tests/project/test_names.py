"""What a name stands for."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from laterctl.project.names import Names, canonical, imports_of, resolve
from laterctl.project.statements import bound_names
from laterctl.project.tree import Tree
from tests.project.making import write


def seen(source: str, name: str, module: str = "pkg.mod", is_package: bool = False) -> str:
    imports = imports_of(ast.parse(source), module, is_package)
    return resolve(ast.parse(name, mode="eval").body, imports)


@pytest.mark.parametrize(
    ("source", "name", "dotted"),
    [
        ("from fastapi import FastAPI as F", "F", "fastapi.FastAPI"),
        ("import fastapi", "fastapi.FastAPI", "fastapi.FastAPI"),
        ("import fastapi as fa", "fa.APIRouter", "fastapi.APIRouter"),
        ("import a.b.c", "a.b.c.X", "a.b.c.X"),
        ("import a.b.c as d", "d.X", "a.b.c.X"),
        ("from .sib import X", "X", "pkg.sib.X"),
        ("from . import sib", "sib.X", "pkg.sib.X"),
        ("from ..up import X", "X", "up.X"),
        ("if T:\n    from a import X\nelse:\n    from b import X", "X", "a.X"),
        ("try:\n    from a import X\nexcept ImportError:\n    X = None", "X", "a.X"),
        ("from a import X\nif X:\n    y = 1", "X", "a.X"),
        ("from a import X", "X[int]", "a.X"),
    ],
)
def test_imports(source: str, name: str, dotted: str) -> None:
    assert seen(source, name) == dotted


def test_relative_imports_of_a_package() -> None:
    assert seen("from .sib import X", "X", "pkg", is_package=True) == "pkg.sib.X"


@pytest.mark.parametrize(
    "later",
    [
        "X = 1",
        "def X(): ...",
        "class X: ...",
        "for X in y: ...",
        "with y as X: ...",
        "X: int = 1",
        "del X",
        "a, (b, X) = y",
    ],
)
def test_rebinding_shadows(later: str) -> None:
    assert seen(f"from a import X\n{later}", "X") == ""


@pytest.mark.parametrize("later", ["X: int", "X.y = 1", "X[0] = 1", "def f():\n    X = 1", "y = X"])
def test_what_is_no_rebinding(later: str) -> None:
    assert seen(f"from a import X\n{later}", "X") == "a.X"


@pytest.mark.parametrize("name", ["Y", "X().y", "(X or Y)", "'X'", "y.X"])
def test_what_cannot_be_told(name: str) -> None:
    assert seen("from a import X", name) == ""


@pytest.mark.parametrize(
    ("dotted", "expected"),
    [
        ("fastapi.applications.FastAPI", "fastapi.FastAPI"),
        ("fastapi.routing.APIRouter", "fastapi.APIRouter"),
        ("fastapi.middleware.cors.CORSMiddleware", "starlette.middleware.cors.CORSMiddleware"),
        ("fastapi.middleware.Middleware", "starlette.middleware.Middleware"),
        ("fastapi.responses.JSONResponse", "starlette.responses.JSONResponse"),
        ("fastapi.responses.ORJSONResponse", "fastapi.responses.ORJSONResponse"),
        ("fastapi.exceptions.HTTPException", "fastapi.HTTPException"),
        ("starlette.exceptions.HTTPException", "starlette.exceptions.HTTPException"),
        ("fastapi.security.oauth2.OAuth2PasswordBearer", "fastapi.security.OAuth2PasswordBearer"),
        ("pydantic.types.SecretStr", "pydantic.SecretStr"),
        ("fastapi.concurrency.asynccontextmanager", "contextlib.asynccontextmanager"),
        ("dynaconf.LazySettings", "dynaconf.Dynaconf"),
        ("fastapi_middleware.X", "fastapi_middleware.X"),
    ],
)
def test_canonical(dotted: str, expected: str) -> None:
    assert canonical(dotted) == expected


FILES = {
    "src/pkg/__init__.py": "from .settings import settings\n",
    "src/pkg/settings.py": "class S: ...\nsettings = S()\n",
    "src/pkg/base.py": "from fastapi import FastAPI\nApp = FastAPI\nclass Own: ...\n",
    "src/pkg/star.py": "from .base import *\nfrom dynaconf import *\n",
    "src/pkg/loop_a.py": "from .loop_b import X\n",
    "src/pkg/loop_b.py": "from .loop_a import X\n",
    "src/pkg/broken.py": "def (\n",
    "src/pkg/use.py": """
        import os
        from pkg import base, settings as conf
        from pkg.base import App, Own
        from pkg.star import FastAPI, Dynaconf
        from .loop_a import X
        from .broken import Y
        from .missing import Z

        def f(base):
            from starlette.config import Config
            local = 1
        """,
}


@pytest.fixture
def names(tmp_path: Path) -> Names:
    return Names(Tree(write(tmp_path, FILES)), ("src", ""))


@pytest.mark.parametrize(
    ("name", "dotted"),
    [
        ("App", "fastapi.FastAPI"),
        ("FastAPI", "fastapi.FastAPI"),
        ("Dynaconf", "dynaconf.Dynaconf"),
        ("base.FastAPI", "fastapi.FastAPI"),
        ("Own", "pkg.base.Own"),
        ("base.Own", "pkg.base.Own"),
        ("base", "pkg.base"),
        ("conf", "pkg.settings.settings"),  # the object, not the module of the same name
        ("f", "pkg.use.f"),
        ("os.environ", "os.environ"),
        ("X", ""),
        ("Y", ""),
        ("Z", ""),
        ("unknown", ""),
    ],
)
def test_across_modules(names: Names, name: str, dotted: str) -> None:
    found = names.resolve(ast.parse(name, mode="eval").body, "src/pkg/use.py")
    assert found.removeprefix("src.") == dotted


def test_inside_functions(names: Names) -> None:
    tree = names.tree.python("src/pkg/use.py").tree
    function = next(node for node in tree.body if isinstance(node, ast.FunctionDef))

    def inside(name: str) -> str:
        return names.resolve(ast.parse(name, mode="eval").body, "src/pkg/use.py", (function,))

    assert inside("Config") == "starlette.config.Config"
    assert (inside("base.Own"), inside("local")) == ("", "")
    assert inside("Own") == "pkg.base.Own"


def test_a_library_is_no_module_of_the_same_name_further_down(tmp_path: Path) -> None:
    files = {
        "app/core/redis.py": "import redis\nfrom redis.asyncio import Redis\n",
        "app/main.py": "from app.core import redis\n",
    }
    names = Names(Tree(write(tmp_path, files)), ("",))
    assert names.resolve(ast.parse("Redis", mode="eval").body, "app/core/redis.py") == "redis.asyncio.Redis"
    assert names.resolve(ast.parse("redis", mode="eval").body, "app/main.py") == "app.core.redis"


def test_a_folder_that_is_called_like_a_library(tmp_path: Path) -> None:
    files = {"fastapi/main.py": "from fastapi import FastAPI\n"}
    names = Names(Tree(write(tmp_path, files)), ("",))
    assert names.resolve(ast.parse("FastAPI", mode="eval").body, "fastapi/main.py") == "fastapi.FastAPI"


def test_bound_names() -> None:
    source = """
import os
from a import b as c, d
from e import *
x, (y, z) = 1, (2, 3)
x = 2
if os:
    w: int = 1
    def f(): inner = 1
class K:
    attribute = 1
for i in []: ...
with o() as p: ...
if (walrus := 1): ...
try: ...
except E as err: ...
annotated: int
"""
    expected = {"os": 2, "c": 3, "d": 3, "x": 5, "y": 5, "z": 5, "w": 8, "f": 9, "K": 10, "i": 12, "p": 13}
    assert bound_names(ast.parse(source)) == {**expected, "walrus": 14, "err": 15}
