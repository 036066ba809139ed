"""The facts as a whole: lazy, repeatable, harmless."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from laterctl.project.discover import discover
from tests.project.making import make, write

FILES = {
    "pyproject.toml": '[project]\nname = "x"\ndependencies = ["fastapi"]\n\n[tool.laterctl]\ncore = "app.infra"\n',
    "app/__init__.py": "",
    "app/main.py": "from fastapi import FastAPI\nfrom app.config import settings\n\napp = FastAPI()\n",
    "app/config.py": "from pydantic_settings import BaseSettings\nclass S(BaseSettings): ...\nsettings = S()\n",
    "tests/test_x.py": "",
}


def test_everything(tmp_path: Path) -> None:
    project = make(tmp_path, FILES)
    assert project.root == tmp_path.resolve()
    assert project.app is not None
    assert project.settings is not None
    assert project.manifest is not None
    assert (project.container, project.undecided, project.notes) == (None, (), ())
    assert project.python_files == ["app/__init__.py", "app/config.py", "app/main.py", "tests/test_x.py"]
    assert (project.config, project.package_of("core")) == ({"core": "app.infra"}, "app.infra")
    assert discover(tmp_path).app == project.app


def test_core_is_below_the_package(tmp_path: Path) -> None:
    assert make(tmp_path, {**FILES, "pyproject.toml": ""}).package_of("core") == "app.core"
    flat = make(tmp_path / "flat", {"main.py": "from fastapi import FastAPI\napp = FastAPI()\n"})
    assert flat.package_of("core") == "core"


def test_overlay_shows_the_project_as_it_will_be(tmp_path: Path) -> None:
    project = make(tmp_path, FILES)
    assert project.app is not None
    changed = project.tree.python("app/main.py").data.replace(b"FastAPI()", b"FastAPI(title='x')")
    after = project.with_overlay({"app/main.py": changed, "app/config.py": None, "pyproject.toml": b"[project]\n"})
    assert after.app is not None
    assert (after.app.keywords, after.settings, after.package_of("core")) == (("title",), None, "app.core")
    assert project.app.keywords == ()
    assert (tmp_path / "app/config.py").exists()


def test_only_what_is_asked_for_is_looked_at(tmp_path: Path) -> None:
    project = make(tmp_path, {**FILES, "pyproject.toml": "= broken"})
    assert project.app is not None  # does not need the manifest
    assert project.manifest is None
    assert [(item.code, str(item.places[0])) for item in project.undecided] == [("toml", "pyproject.toml:1")]


def test_configuration_of_another_type_is_ignored(tmp_path: Path) -> None:
    project = make(tmp_path, {**FILES, "pyproject.toml": "[tool.laterctl]\napp = 3\ntests = []\n"})
    assert project.app is not None
    assert project.layout.tests == "tests"


def test_nothing_of_the_project_runs(tmp_path: Path) -> None:
    trap = "import pathlib\npathlib.Path(__file__).with_name('ran').touch()\n"
    project = make(tmp_path, {name: trap + text if name.endswith(".py") else text for name, text in FILES.items()})
    assert project.app is not None
    assert project.settings is not None
    assert project.manifest is not None
    assert project.layout.package == "app"
    assert not list(tmp_path.rglob("ran"))
    assert not list(tmp_path.rglob("__pycache__"))


def test_too_new_for_this_interpreter_can_be_repaired(tmp_path: Path) -> None:
    root = write(tmp_path, {**FILES, "app/main.py": FILES["app/main.py"] + "lazy import json\n"})
    broken = discover(root)
    assert broken.app is None
    (undecided,) = [item for item in broken.undecided if item.code == "app-unreadable"]
    assert "run laterctl under a newer Python" in undecided.message + undecided.hint
    repaired = discover(root, repair=lambda text: text.replace("lazy import", "import"))
    assert repaired.app is not None


def test_nothing_heavy_is_imported(tmp_path: Path) -> None:
    root = write(tmp_path, FILES)
    script = (
        "import sys; from pathlib import Path; from laterctl.project.discover import discover\n"
        "from laterctl.project import signs\n"
        f"p = discover(Path({str(root)!r}))\n"
        "assert p.app and p.settings and p.manifest and p.layout and not p.undecided\n"
        "assert signs.imports(p, {'fastapi'})\n"
        "heavy = {'libcst', 'jinja2', 'tomlkit', 'typer', 'rich', 'importlib.metadata', 'fastapi', 'configparser'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
