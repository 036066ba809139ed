"""Roots, packages, import habits and style."""

from __future__ import annotations

from pathlib import Path

import pytest

from laterctl.project.discover import discover, find_root
from laterctl.project.layout_evidence import layout_evidence
from laterctl.render import Style
from tests.project.making import make, write

APP = "from fastapi import FastAPI\n{}\napp = FastAPI()\n"


@pytest.mark.parametrize(
    ("files", "module", "package", "folder", "root"),
    [
        ({"main.py": APP.format("")}, "main", "", "", ""),
        ({"main.py": APP.format("from config import x"), "config.py": ""}, "main", "", "", ""),
        ({"app/main.py": APP.format("from app.core import x"), "app/core.py": ""}, "app.main", "app", "app", ""),
        ({"app/main.py": APP.format("from core import x"), "app/core.py": ""}, "main", "", "app", "app"),
        ({"app/main.py": APP.format("")}, "app.main", "app", "app", ""),
        (
            {"src/pkg/__init__.py": "", "src/pkg/main.py": APP.format("from pkg import x"), "src/pkg/x.py": ""},
            "pkg.main",
            "pkg",
            "src/pkg",
            "src",
        ),
        ({"src/main.py": APP.format("from src.x import y"), "src/x.py": ""}, "src.main", "src", "src", ""),
        ({"src/main.py": APP.format("from x import y"), "src/x.py": ""}, "main", "", "src", "src"),
        (
            {"src/pkg/main.py": APP.format("from src.pkg.x import y"), "src/pkg/x.py": ""},
            "src.pkg.main",
            "src.pkg",
            "src/pkg",
            "",
        ),
        (
            {"pkg/web/application.py": APP.format("from pkg.db import x"), "pkg/db.py": ""},
            "pkg.web.application",
            "pkg",
            "pkg",
            "",
        ),
        (
            {
                "backend/app/main.py": APP.format("from backend.app.x import y"),
                "backend/app/x.py": "",
                "backend/__init__.py": "",
            },
            *("backend.app.main", "backend.app", "backend/app", ""),
        ),
        (
            {
                "src/app/main.py": APP.format("from .x import y"),
                "src/app/x.py": "",
                "Dockerfile": "CMD uvicorn app.main:app",
            },
            "app.main",
            "app",
            "src/app",
            "src",
        ),
        ({"code/main.py": APP.format(""), "Dockerfile": "CMD uvicorn main:app"}, "main", "", "code", "code"),
    ],
)
def test_layouts(tmp_path: Path, files: dict[str, str], module: str, package: str, folder: str, root: str) -> None:
    project = make(tmp_path, dict(files))
    assert project.app is not None
    assert project.app.module == module
    assert (project.layout.package, project.layout.folder, project.layout.import_root) == (package, folder, root)


def test_relative_habit(tmp_path: Path) -> None:
    files = {"app/main.py": APP.format("from .x import y\nfrom . import x"), "app/x.py": "", "app/__init__.py": ""}
    assert make(tmp_path, files).layout.relative
    absolute = APP.format("from app.x import y\nfrom app import x\nfrom . import x").encode()
    assert not discover(tmp_path, overlay={"app/main.py": absolute}).layout.relative


def test_first_party(tmp_path: Path) -> None:
    files = {
        "src/pkg/main.py": APP.format("import pkg.x"),
        "src/pkg/x.py": "",
        "src/other.py": "",
        "tests/test_x.py": "",
        "data/x.txt": "",
    }
    assert {"pkg", "other", "tests"} <= make(tmp_path, files).layout.first_party
    assert "data" not in make(tmp_path, files).layout.first_party


@pytest.mark.parametrize(
    ("more", "tests"),
    [
        ({}, "tests"),
        ({"tests/unit/test_a.py": ""}, "tests"),
        ({"test/test_a.py": ""}, "test"),
        ({"app/tests/test_a.py": ""}, "app/tests"),
        ({"app/tests/test_a.py": "", "tests/test_b.py": ""}, "tests"),
        ({"app/test_beside.py": ""}, "tests"),
        ({"app/users/tests/test_a.py": ""}, "app/users/tests"),
        ({"app/users/tests/test_a.py": "", "app/items/tests/test_b.py": ""}, "app/tests"),
        ({"pyproject.toml": '[tool.laterctl]\ntests = "checks"\n'}, "checks"),
    ],
)
def test_tests_folder(tmp_path: Path, more: dict[str, str], tests: str) -> None:
    assert make(tmp_path, {"app/main.py": APP.format(""), **more}).layout.tests == tests


def test_core_from_the_configuration(tmp_path: Path) -> None:
    files = {
        "app/main.py": APP.format("import app.x"),
        "app/x.py": "",
        "pyproject.toml": '[tool.laterctl]\ncore = "app.infra"\n',
    }
    assert make(tmp_path, files).package_of("core") == "app.infra"


@pytest.mark.parametrize(
    ("files", "start", "root"),
    [
        ({"pyproject.toml": "[project]\n", "app/core/x.py": ""}, "app/core", "."),
        ({"backend/requirements.txt": "", "backend/app/x.py": "", ".git/x": ""}, "backend/app", "backend"),
        ({".git/x": "", "pyproject.toml": "[tool.ruff]\n", "app/x.py": ""}, "app", "."),
        ({".git/x": "", "app/x.py": ""}, "app", "."),
        (
            {"pyproject.toml": "[tool.poetry]\n", "backend/pyproject.toml": "[tool.ruff]\n", "backend/x.py": ""},
            "backend",
            ".",
        ),
        ({"pyproject.toml": "[project]\n", "sub/.git/x": "", "sub/app/x.py": ""}, "sub/app", "sub"),
        (
            {".laterctl/feature-jwt.json": "{}", "app/requirements/x": "", "app/.laterctl/x": "", "app/y/x.py": ""},
            "app/y",
            "app",
        ),
        ({"pyproject.toml": "[project]\n", "main.py": ""}, "main.py", "."),
    ],
)
def test_find_root(tmp_path: Path, files: dict[str, str], start: str, root: str) -> None:
    write(tmp_path, dict(files))
    assert find_root(tmp_path / start) == (tmp_path / root).resolve()


def test_find_root_without_anything(tmp_path: Path) -> None:
    write(tmp_path, {"a/b/x.py": ""})
    assert find_root(tmp_path / "a" / "b") == tmp_path / "a" / "b"


def test_project_below_is_named(tmp_path: Path) -> None:
    files = {
        "backend/pyproject.toml": '[project]\nname = "x"\n',
        "backend/app/main.py": APP.format(""),
        "README.md": "",
    }
    project = make(tmp_path, files)
    assert project.app is None
    (undecided,) = [item for item in project.undecided if item.code == "project-below"]
    assert "-C backend" in undecided.hint


def test_settings_of_a_project_below_are_not_this_ones(tmp_path: Path) -> None:
    settings = "from pydantic_settings import BaseSettings\nclass Settings(BaseSettings): ...\nsettings = Settings()\n"
    files = {"pyproject.toml": '[project]\nname = "x"\n', "main.py": APP.format("import conf"), "conf.py": settings}
    below = make(tmp_path, {f"backend/{path}": text for path, text in files.items()})
    assert (below.app, below.settings, below.why_not("settings")) == (None, None, None)
    assert below.why_not("manifest") in below.undecided
    assert make(tmp_path / "backend", {}).settings is not None


def test_several_projects_below(tmp_path: Path) -> None:
    files = {
        f"{name}/{file}": text
        for name in "ab"
        for file, text in (("main.py", APP.format("")), ("requirements.txt", "fastapi\n"))
    }
    project = make(tmp_path, files)
    (undecided,) = [item for item in project.undecided if item.code == "project-below"]
    assert undecided.message == "the applications belong to projects further down: a, b"
    assert project.undecided == (undecided,)
    assert "-C a" in undecided.hint
    assert "-C b" in undecided.hint


def test_apps_of_a_project_below_do_not_count_beside_own_ones(tmp_path: Path) -> None:
    files = {
        "pyproject.toml": '[project]\nname = "x"\ndependencies = ["fastapi"]\n',
        "server/web.py": APP.format(""),
        "plugin/pyproject.toml": '[project]\nname = "y"\n',
        "plugin/web.py": APP.format(""),
    }
    project = make(tmp_path, files)
    assert project.app is not None
    assert (project.app.path, len(project.apps)) == ("server/web.py", 1)


# Style


def style_of(tmp_path: Path, app: str | bytes, more: dict[str, str] | None = None) -> Style:
    return make(tmp_path, {"main.py": app, **(more or {})}).layout.style


def test_style_is_measured(tmp_path: Path) -> None:
    text = "from fastapi import FastAPI\r\napp = FastAPI(title='it', summary='x')\r\n"
    text += "def f():\r\n\treturn f'{app}', \"y\"\r\n"
    style = style_of(tmp_path, text.encode())
    assert (style.quote, style.newline, style.indent, style.line_length, style.future) == ("'", "\r\n", "\t", 88, False)


def test_style_of_an_app_without_strings(tmp_path: Path) -> None:
    style = style_of(tmp_path, "from fastapi import FastAPI\napp = FastAPI()")
    assert (style.quote, style.newline, style.indent) == ('"', "\n", "    ")


@pytest.mark.parametrize(
    ("more", "quote", "length"),
    [
        ({"ruff.toml": "line-length = 100\n[format]\nquote-style = 'single'\n"}, "'", 100),
        ({".ruff.toml": "line-length = 70\n", "ruff.toml": "line-length = 100\n"}, '"', 70),
        (
            {
                "pyproject.toml": "[tool.ruff]\nline-length = 99\n"
                "[tool.ruff.lint.flake8-quotes]\ninline-quotes = 'single'\n"
            },
            "'",
            99,
        ),
        ({"pyproject.toml": "[tool.ruff]\nextend = 'base.toml'\n", "base.toml": "line-length = 111\n"}, '"', 111),
        ({"pyproject.toml": "[tool.black]\nline-length = 120\n"}, '"', 120),
        ({".flake8": "[flake8]\nmax-line-length = 101\n"}, '"', 101),
        ({"setup.cfg": "[flake8]\nmax_line_length = 102\n"}, '"', 102),
        ({".flake8": "broken\n"}, '"', 88),
        ({"ruff.toml": "[format]\nquote-style = 'preserve'\n"}, '"', 88),
    ],
)
def test_style_is_configured(tmp_path: Path, more: dict[str, str], quote: str, length: int) -> None:
    style = style_of(
        tmp_path, 'from fastapi import FastAPI\napp = FastAPI(title="x", summary="y", version=\'1\')\n', more
    )
    assert (style.quote, style.line_length) == (quote, length)


def test_future_habit(tmp_path: Path) -> None:
    future = "from __future__ import annotations\n"
    files = {
        "app/main.py": future + APP.format("import app.a"),
        "app/a.py": future,
        "app/b.py": "x = 1\n",
        "app/__init__.py": "",
    }
    assert make(tmp_path, files).layout.style.future
    more = {f"app/{name}.py": b"x = 1\n" for name in "cde"}
    assert not discover(tmp_path, overlay=more).layout.style.future


def test_future_by_isort_rule(tmp_path: Path) -> None:
    ruff = '[lint.isort]\nrequired-imports = ["from __future__ import annotations"]\n'
    assert style_of(tmp_path, APP.format(""), {"ruff.toml": ruff}).future


def test_no_future_import_where_ruff_would_move_what_fastapi_reads(tmp_path: Path) -> None:
    app = "from __future__ import annotations\n" + APP.format("")
    assert style_of(tmp_path, app, {"ruff.toml": '[lint]\nselect = ["E", "F"]\n'}).future
    for ruff in ('select = ["ALL"]', 'extend-select = ["TC002"]', 'select = ["TCH"]'):
        assert not style_of(tmp_path, app, {"ruff.toml": f"[lint]\n{ruff}\n"}).future, ruff
    assert style_of(tmp_path, app, {"ruff.toml": '[lint]\nselect = ["ALL"]\nignore = ["TC"]\n'}).future


ROUTED = "from fastapi import FastAPI\n{}\napp = FastAPI()\n"
ROUTER = "from fastapi import APIRouter\n\nrouter = APIRouter()\n"


@pytest.mark.parametrize(
    ("modules", "home"),
    [
        (("routers/books.py", "routers/users.py"), "shop.routers"),
        (("web/books.py", "web/users.py"), "shop.web"),
        (("books/web.py", "books/admin.py"), "shop.books"),
        (("routers/books.py",), "shop.routers"),
        (("presentation/rest/books.py",), "shop.presentation.rest"),
        (("books/router.py",), "shop.api"),
        (("books/router.py", "users/router.py"), "shop.api"),
        (("books.py", "users.py"), "shop.api"),
        (("api/books.py", "api/users.py"), "shop.api"),
        (("routers/__init__.py",), "shop.routers"),
        (("core/login.py", "routes/views.py"), "shop.routes"),
        (("presentation/api/routes.py",), "shop.presentation.api"),
        (
            ("presentation/api/books.py", "presentation/api/users.py", "presentation/sockets/feed.py"),
            "shop.presentation.api",
        ),
        (("first/api/books.py", "first/api/users.py", "second/api/books.py"), "shop.first.api"),
        (("first/api/books.py", "second/api/books.py"), "shop.api"),
        (("books/web.py", "books/admin.py", "users/web.py"), "shop.api"),
    ],
)
def test_new_routers_go_where_they_are(tmp_path: Path, modules: tuple[str, ...], home: str) -> None:
    dotted = [f"shop.{name.removesuffix('.py').removesuffix('/__init__').replace('/', '.')}" for name in modules]
    imports = "\n".join(f"from {name} import router as r{number}" for number, name in enumerate(dotted))
    calls = "".join(f"app.include_router(r{number})\n" for number in range(len(dotted)))
    files = {"shop/main.py": ROUTED.format(imports) + calls, **{f"shop/{name}": ROUTER for name in modules}}
    project = make(tmp_path, files)
    assert project.package_of("api") == home
    assert project.folder_of("api") == home.replace(".", "/")
    chosen = make(tmp_path, {"pyproject.toml": '[tool.laterctl]\napi = "shop.mine"\n'})
    assert chosen.package_of("api") == "shop.mine"


@pytest.mark.parametrize(
    ("modules", "home"),
    [
        (("common/log.py",), "shop.common"),
        (("shared/log.py", "books/x.py"), "shop.shared"),
        (("common/log.py", "shared/x.py"), "shop.core"),
        (("common/log.py", "core/x.py"), "shop.core"),
        (("common.py",), "shop.core"),
        (("utils/log.py",), "shop.core"),
        ((), "shop.core"),
    ],
)
def test_shared_code_goes_where_it_is(tmp_path: Path, modules: tuple[str, ...], home: str) -> None:
    project = make(tmp_path, {"shop/main.py": ROUTED.format(""), **{f"shop/{name}": "" for name in modules}})
    assert project.package_of("core") == home


def test_an_application_that_is_made_in_core_shares_it(tmp_path: Path) -> None:
    files = {
        "main.py": "from core.factory import create_app\n\napp = create_app()\n",
        "core/factory.py": "from fastapi import FastAPI\n\n\ndef create_app():\n    app = FastAPI()\n    return app\n",
        "models/user.py": "",
    }
    project = make(tmp_path, files)
    assert (project.package_of("core"), project.folder_of("core")) == ("core", "core")


def test_the_layout_says_what_was_chosen(tmp_path: Path) -> None:
    project = make(
        tmp_path, {"src/shop/main.py": ROUTED.format("from shop.common import log"), "src/shop/common/log.py": ""}
    )
    assert (project.package_of("core"), project.folder_of("core")) == ("shop.common", "src/shop/common")
    told = [f"{item.what} {item.place}" for item in layout_evidence(project) if "core" in item.what]
    assert told == ["new modules of core go to shop.common src/shop/common/log.py:1"]
