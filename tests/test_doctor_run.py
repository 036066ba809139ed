"""`doctor --run`: what the code makes impossible is a problem, what this machine may lack is not known; and `--fix`."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.proof.scene import SHOP, committed, environment, project, run, tree
from tests.shapes import git

ROUTES = """\
from fastapi import APIRouter

router = APIRouter()


@router.get("/orders")
def orders() -> list[str]:
    return []
# more
"""
PLAIN = "from fastapi import FastAPI\n\nfrom shop.orders import router\n\napp = FastAPI()\napp.include_router(router)\n"
FACTORY = (
    "from importlib import import_module\n\nfrom fastapi import FastAPI\n\n\ndef create_app() -> FastAPI:\n"
    "    app = FastAPI()\n    for name in ('orders',):\n"
    "        app.include_router(import_module(f'shop.{name}').router)\n    return app\n"
)
MADE = FACTORY + "\n\napp = create_app()\n"
LIFESPAN = PLAIN.replace(
    "from fastapi import FastAPI", "from contextlib import asynccontextmanager\n\nfrom fastapi import FastAPI"
).replace(
    "app = FastAPI()",
    "\n@asynccontextmanager\nasync def lifespan(app):\n    yield\n\n\napp = FastAPI(lifespan=lifespan)",
)
WRAPPED = PLAIN + (
    "\n\nclass Outer:\n    def __init__(self, inner):\n        self.inner = inner\n\n"
    "    async def __call__(self, scope, receive, send):\n        await self.inner(scope, receive, send)\n\n\n"
    "application = Outer(app)\n"
)
APPS = {
    "module": (PLAIN, "shop.main:app"),
    "factory": (FACTORY, "--factory shop.main:create_app"),
    "made by a factory": (MADE, "shop.main:app"),
    "lifespan": (LIFESPAN, "shop.main:app"),
    "wrapped": (WRAPPED, "shop.main:application"),
}
BROKEN = {
    "an import of the project's own": "from shop.nowhere import nothing\n",
    "a name of the project's own": "from shop import nothing\n",
    "a name that nothing binds": "print(nothing)\n",
    "a syntax error": "def (:\n",
    "an annotation": '@router.get("/broken")\ndef broken(number: "Nothing"): ...\n',
    "a response": "class Nothing: ...\n\n\n@router.get('/broken')\ndef broken() -> Nothing: ...\n",
    "a model": "from pydantic import BaseModel\n\n\nclass Order(BaseModel):\n    raw: type('Raw', (), {})\n",
    "a path": "@router.get('/{number}/{number}')\ndef broken(): ...\n",
    "a default": "from fastapi import Path\n\n\n@router.get('/{number}')\ndef broken(number: int = Path(1)): ...\n",
}
LACKING = {
    "a package": "import no_such_package\n",
    "a variable": "import os\n\nos.environ['SHOP_DATABASE_URL']\n",
    "a setting": "from pydantic import BaseModel\n\n\nclass Settings(BaseModel):\n    url: str\n\n\nSettings()\n",
    "a server": "import socket\n\nsocket.create_connection(('127.0.0.1', 1), 1)\n",
    "a file": "open('/no/such/file')\n",
    "a folder of files": "from starlette.staticfiles import StaticFiles\n\nStaticFiles(directory='/no/such/folder')\n",
    "somebody who says so": "raise SystemExit('configure me first')\n",
}
FORM = "from typing import Annotated\n\nfrom fastapi import Form\n\n\n@router.post('/form')\ndef form(a: Annotated[str, Form()]): ...\n"


def shop(folder: Path, kind: str, more: str) -> Path:
    """A project that runs, with more code where its routes are."""
    main, served = APPS[kind]
    files = {"shop/__init__.py": "", "shop/main.py": main, "shop/orders.py": ROUTES.replace("# more\n", more)}
    return project(folder, {**files, "Dockerfile": f"CMD uvicorn {served}\n"})


@pytest.mark.parametrize("kind", APPS)
def test_what_runs_is_fine(kind: str, tmp_path: Path) -> None:
    ran = run(shop(tmp_path / "shop", kind, ""), "doctor", "--run", "--only", "LTR011")
    assert ran.code == 0, ran.screen
    assert "ok LTR011 the app starts: " in ran.out


@pytest.mark.parametrize("what", BROKEN)
def test_code_that_cannot_work_is_a_problem(what: str, tmp_path: Path) -> None:
    kind = [*APPS][[*BROKEN].index(what) % len(APPS)]
    ran = run(shop(tmp_path / "shop", kind, BROKEN[what]), "doctor", "--run", "--only", "LTR011", "--json")
    assert ran.code == 1, ran.screen
    (found,) = ran.document["findings"]
    assert found["verdict"] == "problem", found
    assert "fix" in found
    if what not in {"an annotation", "a name of the project's own"}:
        assert found["place"]["path"] == "shop/orders.py", found


@pytest.mark.parametrize("kind", APPS)
def test_in_each_kind_of_application(kind: str, tmp_path: Path) -> None:
    root = shop(tmp_path / "shop", kind, BROKEN["a response"])
    ran = run(root, "doctor", "--run", "--only", "LTR011")
    assert ran.code == 1, ran.screen
    assert "problem LTR011 shop/orders.py:" in ran.out


@pytest.mark.parametrize("what", LACKING)
def test_what_the_machine_may_lack_is_not_known(what: str, tmp_path: Path) -> None:
    kind = [*APPS][[*LACKING].index(what) % len(APPS)]
    ran = run(shop(tmp_path / "shop", kind, LACKING[what]), "doctor", "--run", "--only", "LTR011")
    assert ran.code == 7, ran.screen
    assert "unknown LTR011 the app was not started: " in ran.out


def test_a_package_that_a_form_needs_is_not_known(tmp_path: Path) -> None:
    """FastAPI says so while it makes the route."""
    root = shop(tmp_path / "shop", "module", FORM)
    ran = run(root, "doctor", "--run", "--only", "LTR011")
    assert ran.code == 0, ran.screen
    shutil.rmtree(root / ".venv")
    environment(root / ".venv", without=("multipart", "python_multipart"))
    ran = run(root, "doctor", "--run", "--only", "LTR011")
    assert ran.code == 7, ran.screen
    assert "python-multipart" in ran.out


# Files that are gone


@pytest.mark.parametrize(
    "gone",
    [
        ("core/metrics.py",),
        ("core/metrics.py", "core/__init__.py", "api/metrics.py", "tests/test_metrics.py"),
        ("core/lifespan.py", "core/cors.py"),
    ],
)
def test_deleted_files_come_back_as_they_were_created(gone: tuple[str, ...], tmp_path: Path) -> None:
    root = committed(project(tmp_path / "shop", {"main.py": SHOP}))
    before = tree(root)
    added = run(root, "add", "metrics", "cors", "resources", "--yes", "--no-install")
    assert added.code == 0, added.screen
    whole = tree(root)
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message=Features")
    for path in gone:
        (root / path).unlink()
    main = root / "main.py"
    main.write_text(main.read_text().replace("app.add_middleware(CorsMiddleware)\n", ""))
    told = run(root, "doctor", "--only", "LTR005")
    assert told.code == 1
    for path in gone:
        assert f"LTR005 {path}:1 the file is gone\n    fix: put it back: laterctl doctor --fix; or" in told.out
    shown = run(root, "doctor", "--fix", "--yes", "--allow-dirty")
    assert shown.code in {0, 1}, shown.screen
    assert tree(root) == whole
    assert run(root, "doctor", "--only", "LTR005").code == 0
    taken = run(root, "remove", "metrics", "cors", "resources", "--yes", "--no-install", "--allow-dirty")
    assert taken.code == 0, taken.screen
    assert tree(root) == before


def test_a_file_without_its_content_is_not_guessed(tmp_path: Path) -> None:
    root = committed(project(tmp_path / "shop", {"main.py": SHOP}))
    assert run(root, "add", "cors", "--yes", "--no-install").code == 0
    (root / "core/cors.py").unlink()
    (root / ".laterctl/base/core/cors.py.base").unlink()
    before = tree(root)
    ran = run(root, "doctor", "--fix", "--yes", "--allow-dirty")
    assert ran.code == 3, ran.screen
    assert ".laterctl/base/core/cors.py.base is missing" in ran.err
    assert tree(root) == before


def test_what_was_moved_is_not_put_back(tmp_path: Path) -> None:
    root = committed(project(tmp_path / "shop", {"main.py": SHOP}))
    assert run(root, "add", "cors", "--yes", "--no-install").code == 0
    (root / "core/cors.py").rename(root / "core/origins.py")
    before = tree(root)
    ran = run(root, "doctor", "--fix", "--yes", "--allow-dirty", "--only", "LTR005")
    assert "nothing that --fix may put back" in ran.out
    assert tree(root) == before
