"""Lists of middleware, in the ways in which people write them: extended in their own order, and given back as they were."""

from __future__ import annotations

import ast

import pytest

from laterctl.engine.plan import Request
from tests import memory

MANIFEST = b"""\
[project]
name = "shop"
version = "1"
requires-python = ">=3.10"
dependencies = ["fastapi>=0.115", "pydantic-settings>=2.6", "uvicorn"]

[dependency-groups]
dev = ["pytest>=8", "httpx"]
"""
HEAD = """\
from fastapi import FastAPI
from fastapi.middleware import Middleware
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.gzip import GZipMiddleware

from shop.stamp import StampMiddleware

"""
STAMP = b"class StampMiddleware:\n    def __init__(self, app):\n        self.app = app\n"

LISTS = {
    "on one line": 'app = FastAPI(title="Shop", middleware=[Middleware(StampMiddleware)])\n',
    "on one line, long": (
        'app = FastAPI(title="A shop for everything", version="1.2.3", middleware=[Middleware(StampMiddleware)])\n'
    ),
    "a line for each": "app = FastAPI(\n    middleware=[\n        Middleware(StampMiddleware),\n    ],\n)\n",
    "without a last comma": "app = FastAPI(\n    middleware=[\n        Middleware(StampMiddleware)\n    ]\n)\n",
    "closed on the last line": "app = FastAPI(middleware=[\n    Middleware(StampMiddleware)])\n",
    "closed behind a comma": "app = FastAPI(middleware=[\n    Middleware(StampMiddleware),])\n",
    "with comments": (
        "app = FastAPI(\n    middleware=[\n        # stamps first\n        Middleware(StampMiddleware),  # last\n"
        "        # nothing more\n    ],\n)\n"
    ),
    "behind a semicolon": 'ready = 1; app = FastAPI(title="Shop", middleware=[Middleware(StampMiddleware)]) ;\n',
    "in parentheses": (
        "app = (FastAPI(\n    middleware=[\n        (Middleware(\n            StampMiddleware\n        )\n        ),],\n))\n"
    ),
    "with mixed line ends": "app = FastAPI(middleware=[\r\n    Middleware(StampMiddleware),\n],\r\n)\n",
    "with a comment before the comma": (
        "app = FastAPI(\n    middleware=[\n        Middleware(StampMiddleware)  # stamps\n        ,\n    ]\n)\n"
    ),
    "empty": "app = FastAPI(middleware=[])\n",
    "in a variable": "chain = [Middleware(StampMiddleware)]\napp = FastAPI(middleware=chain)\n",
    "annotated": "chain: list[Middleware] = [\n    Middleware(StampMiddleware),\n]\napp = FastAPI(middleware=chain)\n",
    "returned": (
        "def chain() -> list[Middleware]:\n    return [Middleware(StampMiddleware)]\n\n\napp = FastAPI(middleware=chain())\n"
    ),
    "assigned and returned": (
        "def chain():\n    found = [\n        Middleware(\n            StampMiddleware,\n        ),\n    ]\n    return found\n\n\n"
        "def create_app():\n    app_ = FastAPI(\n        middleware=chain(),\n    )\n    return app_\n\n\napp = create_app()\n"
    ),
}


def project(body: str, **more: bytes) -> dict[str, bytes]:
    """A project whose application is made by `body`."""
    files = {"pyproject.toml": MANIFEST, "shop/__init__.py": b"", "shop/stamp.py": STAMP}
    return {**files, "shop/main.py": (HEAD + body).encode(), **{f"shop/{name}.py": text for name, text in more.items()}}


def listed(files: memory.Files, path: str = "shop/main.py") -> list[str]:
    """Return the classes of the one list of middleware in a file, outermost first."""
    (found,) = [
        node.elts
        for node in ast.walk(ast.parse(files[path]))
        if isinstance(node, ast.List) and any(isinstance(item, ast.Call) for item in node.elts)
    ]
    return [ast.unparse(item.args[0]) for item in found if isinstance(item, ast.Call)]


@pytest.mark.parametrize("name", LISTS)
def test_the_list_is_extended_and_given_back(name: str) -> None:
    before = project(LISTS[name])
    users = [] if name == "empty" else ["StampMiddleware"]

    both = memory.add(before, "cors", "security-headers")

    assert listed(both) == ["SecurityHeadersMiddleware", "CorsMiddleware", "ErrorBoundary", *users]
    assert b"add_middleware" not in both["shop/main.py"]
    assert max(map(len, both["shop/main.py"].decode().splitlines())) <= 88
    for first, second in (("cors", "security-headers"), ("security-headers", "cors")):
        alone = memory.add(before, first)
        assert memory.add(alone, second) == memory.add(both, first, second) == both
        assert memory.remove(both, second) == alone
        assert memory.remove(alone, first) == before


@pytest.mark.parametrize("name", LISTS)
def test_with_an_argument_of_the_same_call(name: str) -> None:
    before = project(LISTS[name])
    both = memory.add(before, "resources", "metrics")

    assert listed(both)[0] == "MetricsMiddleware"
    assert b"lifespan=managed_resources" in both["shop/main.py"]
    assert memory.add(memory.add(before, "metrics"), "resources") == both
    assert memory.add(memory.add(before, "resources"), "metrics") == both
    assert memory.remove(memory.remove(both, "metrics"), "resources") == before
    assert memory.remove(memory.remove(both, "resources"), "metrics") == before


def test_an_app_in_a_block_whose_middleware_is_put_on_behind_it() -> None:
    body = "with open('log') as log:\n    app = FastAPI()\n\n\n@app.middleware('http')\nasync def timed(request, call_next):\n"
    before = project(f"{body}    return await call_next(request)\n")

    after = memory.add(before, "cors")

    assert b"    app = FastAPI()\n    app.add_middleware(ErrorBoundary)\n" in after["shop/main.py"]
    assert memory.remove(after, "cors") == before


def test_comments_stay_with_their_entries() -> None:
    text = memory.add(project(LISTS["with comments"]), "cors")["shop/main.py"].decode()

    assert (
        "    middleware=[\n        Middleware(CorsMiddleware, settings=CorsSettings()),\n        Middleware(ErrorBoundary),\n        # stamps first\n"
        "        Middleware(StampMiddleware),  # last\n        # nothing more\n"
    ) in text


def test_a_list_with_cors_is_extended_by_others_and_cors_refuses() -> None:
    before = project(
        "app = FastAPI(\n    middleware=[\n        Middleware(CORSMiddleware, allow_origins=['https://a.example']),\n"
        "        Middleware(GZipMiddleware),\n    ],\n)\n"
    )

    assert listed(memory.add(before, "metrics", "security-headers")) == [
        "MetricsMiddleware",
        "SecurityHeadersMiddleware",
        "CORSMiddleware",
        "ErrorBoundary",
        "GZipMiddleware",
    ]
    with pytest.raises(memory.Refusing, match="already-by-hand"):
        memory.add(before, "cors")


def test_the_list_of_another_module_and_another_spelling() -> None:
    chain = b"from starlette import middleware as m\n\nfrom shop.stamp import StampMiddleware\n\n"
    chain += b"CHAIN = [m.Middleware(StampMiddleware)]\n"
    body = "from shop.chain import CHAIN\n\napp = FastAPI(middleware=CHAIN)\n"

    after = memory.add(project(body, chain=chain), "metrics")

    assert b"CHAIN = [m.Middleware(MetricsMiddleware), m.Middleware(StampMiddleware)]\n" in after["shop/chain.py"]
    assert b"from shop.core.metrics import MetricsMiddleware\n" in after["shop/chain.py"]
    assert b"MetricsMiddleware" not in after["shop/main.py"]


def test_outside_of_what_a_call_adds_it_is_a_call_too() -> None:
    body = "app = FastAPI(middleware=[Middleware(StampMiddleware)])\napp.add_middleware(GZipMiddleware)\n"

    after = memory.add(project(body), "security-headers")

    assert listed(after) == ["StampMiddleware"]
    text = after["shop/main.py"].decode()
    assert text.index("add_middleware(GZipMiddleware)") < text.index("add_middleware(ErrorBoundary)")
    assert text.index("add_middleware(ErrorBoundary)") < text.index("add_middleware(SecurityHeadersMiddleware, ")


def test_a_list_that_is_made_elsewhere_is_left_alone() -> None:
    body = "chain = list(map(Middleware, [StampMiddleware]))\napp = FastAPI(middleware=chain)\n"

    assert b"app.add_middleware(MetricsMiddleware)\n" in memory.add(project(body), "metrics")["shop/main.py"]


def test_an_entry_that_was_edited_stays() -> None:
    after = memory.add(project(LISTS["a line for each"]), "cors", "security-headers")
    edited = after["shop/main.py"].replace(b"CorsSettings())", b"CorsSettings(), more=None)")

    left = memory.remove({**after, "shop/main.py": edited}, "security-headers")["shop/main.py"]

    assert (
        b"Middleware(CorsMiddleware, settings=CorsSettings(), more=None),\n        Middleware(ErrorBoundary),\n" in left
    )
    assert b"SecurityHeaders" not in left
    with pytest.raises(memory.Refusing, match="edited"):
        memory.remove({**after, "shop/main.py": edited}, "cors")


def test_entries_find_their_place_in_a_list_that_was_edited_meanwhile() -> None:
    after = memory.add(project(LISTS["a line for each"]), "cors")
    edited = after["shop/main.py"].replace(b"[\n", b"[\n        # first\n        Middleware(GZipMiddleware),\n", 1)

    again = memory.add({**after, "shop/main.py": edited}, "metrics")

    assert listed(again) == [
        "MetricsMiddleware",
        "GZipMiddleware",
        "CorsMiddleware",
        "ErrorBoundary",
        "StampMiddleware",
    ]
    gone = memory.remove(memory.remove(again, "metrics"), "cors")
    assert listed(gone) == ["GZipMiddleware", "StampMiddleware"]


def test_an_entry_that_was_pasted_is_adopted_and_holds_the_feature() -> None:
    paste = "from shop.core.cors import CorsMiddleware, CorsSettings\n\n"
    entry = "Middleware(CorsMiddleware, settings=CorsSettings())"
    after = memory.add(project(f"{paste}app = FastAPI(middleware=[{entry}])\n"), "cors")

    assert listed(after) == ["CorsMiddleware", "ErrorBoundary"]
    with pytest.raises(memory.Refusing, match="still-used"):
        memory.remove(after, "cors")


def test_in_a_list_in_the_wrong_order_it_says_what_cannot_be() -> None:
    body = (
        "app = FastAPI(\n    middleware=[\n        Middleware(GZipMiddleware),\n"
        "        Middleware(CORSMiddleware, allow_origins=[]),\n    ],\n)\n"
    )
    plan = memory.planned(project(body), Request(add=("metrics",)))
    assert [note for note in plan.notes if note.level == "warning"] == []

    stamped = body.replace("CORSMiddleware, allow_origins=[]", "CorrelationIdMiddleware")
    stamped = f"from asgi_correlation_id import CorrelationIdMiddleware\n\n{stamped}"
    (note,) = memory.planned(project(stamped), Request(add=("metrics",))).notes
    assert (note.level, str(note.place)) == ("warning", "shop/main.py:13")
    assert "stands outside of CorrelationIdMiddleware" in note.message
