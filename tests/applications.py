"""Small FastAPI projects written in very different hands: a hypothesis strategy, and what a program does with one."""

from __future__ import annotations

from typing import Final

from hypothesis import strategies as st

FASTAPI: Final = (
    ("from fastapi import FastAPI", "FastAPI"),
    ("from fastapi import FastAPI as Api", "Api"),
    ("import fastapi", "fastapi.FastAPI"),
    ("import fastapi as fa", "fa.FastAPI"),
    ("from fastapi import Depends, FastAPI, HTTPException", "FastAPI"),
    ("from fastapi import HTTPException, FastAPI", "FastAPI"),
    ("from fastapi import (Depends, FastAPI)", "FastAPI"),
    ("from fastapi import (\n    Depends,\n    FastAPI,\n    Request,  # for the handler\n)", "FastAPI"),
    ("from fastapi import (\n    FastAPI,  # the app\n    # requests\n    Request\n)", "FastAPI"),
    ("from fastapi import (  # the framework\n    FastAPI,\n    Request)", "FastAPI"),
    ("from fastapi import Depends, \\\n    FastAPI", "FastAPI"),
)
OTHERS: Final = (
    "import os",
    "import logging, sys",
    "import os; import sys",
    "import sys  # the path",
    "from typing import Any, Annotated",
    "from collections import abc as abstract",
    "from pydantic import BaseModel",
    "from starlette.responses import JSONResponse as Answer",
    "import json as js",
    "from shop import tools",
    "from shop.tools import (\n    ONE,  # the first\n    TWO,\n)",
    "from .tools import ONE",
    "from . import tools",
    "import shop.tools",
    "from fastapi import Query",
    "if True:\n    import math",
    "try:\n    import ujson\nexcept ImportError:\n    ujson = None",
    "# from nowhere import nothing",
)
LIFESPANS: Final = (
    "@asynccontextmanager\nasync def lifespan(app: Any):\n    yield\n",
    "@asynccontextmanager\nasync def lifespan(_app):\n    # open\n    opened.append(1)\n    yield  # the app runs here\n    # close\n",
    '@asynccontextmanager\nasync def lifespan(app):\n    """Open and close."""\n    try:\n        yield {"state": 1}\n'
    "    finally:\n        opened.clear()\n",
    "@asynccontextmanager\nasync def lifespan(app):\n    async with tools.pool() as pool:\n        yield {\n"
    '            "pool": pool,  # shared\n        }\n\n    opened.clear()\n',
    "@asynccontextmanager\nasync def lifespan(app):\n    if opened:\n        yield\n    else:\n        yield\n",
    "@asynccontextmanager\nasync def lifespan(app): yield\n",
)
ARGUMENTS: Final = (
    "{call}({lifespan})",
    '{call}(title="Shop"{and_lifespan})',
    '{call}(\n    title="Shop",\n    version="1",{row}\n)',
    '{call}(\n    title="Shop",  # shown\n    # a version comes later\n    version="1"{and_lifespan}  # last\n)',
    '{call}(title="Shop",\n    version="1"{and_lifespan})',
    '{call}(\n    description="""\n    Sells things.\n  All of them.\n    """{and_lifespan},\n)',
    "{call}({row}\n)",
    '{call}(**dict(title="Shop"){and_lifespan})',
    '{call}(title="{long}"{and_lifespan})',
)
AFTER: Final = (
    "{app}.add_middleware(GZipMiddleware, minimum_size=1000)",
    '{app}.add_middleware(\n    TrustedHostMiddleware,\n    allowed_hosts=["*"],  # behind a proxy\n)',
    '@{app}.middleware("http")\nasync def stamp(request, call_next):\n    return await call_next(request)\n',
    "{app}.include_router(tools.router)",
    '{app}.include_router(tools.router, prefix="/two")  # again',
    "for each in (tools.router,):\n    {app}.include_router(each)",
    "{app}.add_exception_handler(KeyError, tools.handler)",
    "@{app}.exception_handler(ValueError)\nasync def bad(request, error):\n    return tools.answer(error)\n",
    '@{app}.get("/")\ndef index() -> dict[str, int]:\n    return {{"one": 1}}\n',
    '@{app}.get(\n    "/{{number}}",\n)\nasync def show(number: int) -> int:\n    """Show one."""\n\n    return number\n',
    "{app}.state.ready = True",
    "{app}.state.a = 1; {app}.state.b = 2",
    "LIMIT = 3  # targets",
    "# nothing here",
    "class Item:\n    pass\n",
    "if opened:\n    {app}.state.debug = True\n",
    "if opened: {app}.state.debug = True",
    '{app}.mount("/sub", tools.sub)',
    'NOTES = """\napp = FastAPI()\n"""',
)
TAILS: Final = (
    "",
    'if __name__ == "__main__":\n    tools.run({app})\n',
    "# the end",
    "served = {app}",
    "__all__ = ['{app}']",
)
ON_EVENT: Final = '@{app}.on_event("startup")\nasync def start() -> None:\n    opened.append(1)\n'
HEADS: Final = (
    "",
    "#!/usr/bin/env python3",
    "# -*- coding: utf-8 -*-",
    "#!/usr/bin/env python3\n# -*- coding: utf-8 -*-\n\n# Copyright: everybody",
    "# Copyright: everybody\n",
)
DOCSTRINGS: Final = ("", '"""The shop."""', '"""The shop.\n\nIt sells things: gruß.\n"""\n', "'shop'")
FUTURE: Final = ("", "", "from __future__ import annotations", "from __future__ import annotations  # types\n")

TOOLS: Final = """\
from contextlib import asynccontextmanager

from fastapi import APIRouter
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse

ONE = 1
TWO = 2
router = APIRouter()
sub = Starlette()


@asynccontextmanager
async def pool():
    yield object()


async def handler(request, error):
    return PlainTextResponse("missing", 404)


def answer(error):
    return PlainTextResponse(str(error), 400)


def run(app):
    return app
"""
MANIFEST: Final = """\
[project]
name = "shop"
version = "1.0"
requires-python = ">=3.11"
dependencies = ["fastapi>=0.115", "uvicorn>=0.32"]

[dependency-groups]
dev = ["httpx>=0.27", "pytest>=8"]
"""
CONFIGS: Final = (
    "from pydantic_settings import BaseSettings\n\n\nclass Settings(BaseSettings):\n    {body}\n\n\nsettings = Settings()\n",
    'from pydantic_settings import BaseSettings\n\nclass Settings(BaseSettings):\n    """Ours."""\n    {body}\n'
    "settings = Settings()",
)
BODIES: Final = (
    "pass",
    "...",
    'name: str = "shop"  # shown',
    'name: str = "shop"\n\n    @property\n    def loud(self) -> str:\n        return self.name.upper()',
    'name: str = "shop"; size: int = 3',
    "model_config = {}",
)


@st.composite
def applications(draw: st.DrawFn) -> dict[str, bytes]:
    """Draw the files of a project whose application is in `shop/main.py`."""
    files = {"pyproject.toml": MANIFEST, "shop/__init__.py": "", "shop/tools.py": TOOLS, "shop/main.py": draw(mains())}
    if draw(st.booleans()):
        files["shop/config.py"] = draw(st.sampled_from(CONFIGS)).format(body=draw(st.sampled_from(BODIES)))
        files["shop/main.py"] = files["shop/main.py"].replace(
            "opened: list", "from shop.config import settings\nopened: list", 1
        )
    indent = draw(st.sampled_from(("    ", "    ", "  ", "\t")))
    newline = draw(st.sampled_from(("\n", "\n", "\r\n")))
    mark = draw(st.sampled_from((b"", b"", b"\xef\xbb\xbf")))
    quote = draw(st.booleans())
    result = {}
    for path, text in files.items():
        if path.endswith(".py"):
            text = _requoted(text) if quote else text
            text = "\n".join(_reindented(line, indent) for line in text.split("\n"))
        marked = mark if path == "shop/main.py" else b""
        result[path] = marked + text.replace("\n", newline).encode()
    return result


@st.composite
def mains(draw: st.DrawFn) -> str:
    """Draw a module that constructs an application, at module level or in a factory."""
    pick = st.sampled_from
    imported, call = draw(pick(FASTAPI))
    others = draw(st.lists(pick(OTHERS), max_size=5, unique=True))
    needed = [
        "from shop import tools",
        "from contextlib import asynccontextmanager",
        "from typing import Any",
        "from fastapi.middleware.gzip import GZipMiddleware",
        "from fastapi.middleware.trustedhost import TrustedHostMiddleware",
    ]
    imports = draw(st.permutations([imported, *needed, *(item for item in others if item not in needed)]))
    if draw(st.booleans()):
        imports = sorted(imports)
    app = draw(pick(("app", "app", "application", "api")))
    start = draw(pick(("none", "none", "function", "function", "on_event")))
    given = "lifespan=lifespan" if start == "function" else ""
    construction = draw(pick(ARGUMENTS)).format(
        call=call,
        lifespan=given,
        and_lifespan=f", {given}" if given else "",
        row=f"\n    {given}," if given else "",
        long="s" * draw(pick((20, 60, 70))),
    )
    construction = f"{app} = {construction}{draw(pick(('', '', '  # the app', '; ready = True')))}"
    after = [item.format(app=app) for item in draw(st.lists(pick(AFTER), max_size=5, unique=True))]
    if start == "on_event":
        after.insert(0, ON_EVENT.format(app=app))
    body = [construction, *after]
    if draw(st.booleans()):
        before = draw(pick((("pass",), ("tools.run(None)",), ('"""Make it."""',), ())))
        inner = [*before, *body, f"return {app}"]
        lines = _spaced(draw, inner, (0, 0, 1)).split("\n")
        made = f"def create_app():\n{chr(10).join('    ' + line if line.strip() else '' for line in lines)}\n"
        body = [made, *draw(pick(((f"{app} = create_app()",), ())))]
        tail = draw(pick(TAILS)).format(app=app) if len(body) == 2 else ""
    else:
        tail = draw(pick(TAILS)).format(app=app)
    top = [draw(pick(HEADS)), draw(pick(DOCSTRINGS)), draw(pick(FUTURE))]
    head = _spaced(draw, [item for item in top if item], (0, 1))
    block = _spaced(draw, list(imports), (0, 0, 0, 1))
    opened = "opened: list[int] = []"
    lifespan = draw(pick(LIFESPANS)) if start == "function" else ""
    rest = _spaced(draw, [item for item in (opened, lifespan, *body, tail) if item], (0, 1, 1, 2, 3))
    text = _spaced(draw, [item for item in (head, block, rest) if item], (0, 1, 2))
    return text.rstrip("\n") + draw(pick(("\n", "\n", "", "\n\n", "\n# end", "\n    \n")))


def _spaced(draw: st.DrawFn, parts: list[str], blanks: tuple[int, ...]) -> str:
    """Join parts with any of the given numbers of blank lines between them, now and then a comment."""
    text = ""
    for part in parts:
        gap = "\n" * draw(st.sampled_from(blanks)) if text else ""
        note = draw(st.sampled_from(("",) * 8 + ("# note\n", "# a note\n\n"))) if text else ""
        text += f"{gap}{note}{part.rstrip(chr(10))}\n"
    return text


def _reindented(line: str, indent: str) -> str:
    code = line.lstrip(" ")
    width = len(line) - len(code)
    return indent * (width // 4) + " " * (width % 4 if indent != "\t" else 0) + code


def _requoted(text: str) -> str:
    return text.replace('"""', "\0").replace("'", "\1").replace('"', "'").replace("\1", '"').replace("\0", '"""')
