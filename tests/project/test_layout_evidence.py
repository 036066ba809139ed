"""What `info --project` says about why the layout is what it is."""

from __future__ import annotations

from laterctl.project.layout_evidence import layout_evidence
from tests import memory

FILES = {
    "src/shop/__init__.py": b"",
    "src/shop/main.py": b"from fastapi import FastAPI\n\nfrom shop import goods\n\napp = FastAPI(title=goods.NAME)\n",
    "src/shop/goods.py": b'NAME = "Shop"\n',
    "src/shop/api.py": b"",
    "tests/test_goods.py": b"from shop.goods import NAME\n",
    "pyproject.toml": b'[project]\nname = "shop"\n\n[tool.laterctl]\ncore = "shop.inner"\n\n[tool.ruff]\nline-length = 99\n',
}


def test_each_part_of_the_layout_names_its_line() -> None:
    found = [(item.what, str(item.place)) for item in layout_evidence(memory.project(FILES))]

    assert found == [
        ("package of the application: shop", "src/shop/main.py:5"),
        ("own modules are imported absolutely", "src/shop/main.py:3"),
        ("absolute imports start from src/", "src/shop/main.py:3"),
        ("core was chosen", "pyproject.toml:5"),
        ("api is a module of yours, so ours go to app_api", "src/shop/api.py:1"),
        ("a test", "tests/test_goods.py:1"),
        ("line-length", "pyproject.toml:8"),
        ("the rest of the style is that of the application's file", "src/shop/main.py:1"),
    ]


def test_without_an_application_there_is_nothing_to_say() -> None:
    assert layout_evidence(memory.project({"tool.py": b"x = 1\n"})) == ()


def test_a_configuration_that_cannot_be_read_says_nothing() -> None:
    files = {
        "main.py": b"from fastapi import FastAPI\n\napp = FastAPI()\n",
        "setup.cfg": b"[flake8\xff\nmax-line-length",
    }
    assert [item.what for item in layout_evidence(memory.project(files))][-1].startswith("the rest of the style")
