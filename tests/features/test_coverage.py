"""Acceptance of the feature `coverage`, C1 to C5 of its specification, on a project that is really installed.

The checks are functions over an `Installed` project: a folder with the configuration in place, and an interpreter that
imports its package.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

PACKAGE = "shop"

CONFIG = """\
[tool.coverage.run]
source_pkgs = ["shop"]
branch = true
core = "ctrace"
parallel = true
patch = ["subprocess"]
sigterm = true

[tool.coverage.paths]
source = ["src/shop", "*/site-packages/shop"]

[tool.coverage.report]
show_missing = true
skip_covered = true
exclude_also = [
    "if TYPE_CHECKING:",
    '@(abc\\.)?abstractmethod',
    'if __name__ == .__main__.:',
    "raise NotImplementedError",
]
"""

PROJECT = """\
[project]
name = "shop-service"
version = "1.0"

[tool.pytest.ini_options]
filterwarnings = ["error"]
testpaths = ["tests"]

"""

SOURCES = {
    "__init__.py": "",
    "main.py": """\
from fastapi import FastAPI

from shop.inner import deep
from shop.remote import answer

app = FastAPI()
app.get("/answer")(answer)


def here() -> int:
    return deep.double(2)
""",
    "remote.py": """\
async def answer() -> dict[str, int]:
    first = 40
    second = 2
    return {"answer": first + second}
""",
    "never_imported.py": """\
def nobody_calls_this() -> int:
    return 1
""",
    "inner/__init__.py": "",
    "inner/deep.py": """\
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sized


class Shape(ABC):
    @abstractmethod
    def area(self) -> int:
        return 0

    def later(self) -> int:
        raise NotImplementedError


def double(number: int) -> int:
    if number < 0:
        return -double(-number)
    return number * 2


if __name__ == "__main__":
    print(double(2))
""",
}

TESTS = {
    "test_here.py": """\
from shop.inner import deep
from shop.main import here


def test_here() -> None:
    assert here() == 4


def test_double() -> None:
    assert deep.double(3) == 6
""",
    "test_server.py": """\
import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request


def ask(url: str) -> dict[str, int]:
    for _ in range(600):
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                return json.load(response)
        except urllib.error.URLError:
            time.sleep(0.1)
    raise AssertionError(url)


def test_server() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    command = [sys.executable, "-m", "uvicorn", "shop.main:app", "--port", port, "--log-level", "error"]
    with subprocess.Popen(command) as server:
        try:
            assert ask(f"http://127.0.0.1:{port}/answer") == {"answer": 42}
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(timeout=60)
""",
}

MODULES = {f"src/{PACKAGE}/{name}" for name in SOURCES}
UNIT_TESTS = ["-k", "not server"]


@dataclass(frozen=True)
class Installed:
    """A project folder, and the interpreter of an environment in which its package is installed."""

    folder: Path
    python: Path

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `python -m ARGUMENTS` in the folder, without what a coverage run of ours has put in the environment."""
        environment = {name: text for name, text in os.environ.items() if not name.startswith(("COV_", "COVERAGE_"))}
        return subprocess.run(
            [str(self.python), "-m", *arguments],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )

    def pytest(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the tests with warnings as errors."""
        return self.run("pytest", "-q", "-W", "error", "-p", "no:asyncio", "-p", "no:cacheprovider", *arguments)

    def report(self) -> dict[str, dict[str, object]]:
        """Return what `coverage json` says of each file of the last run; paths have forward slashes."""
        written = self.run("coverage", "json", "-q", "-o", "coverage.json")
        assert written.returncode == 0, written.stdout + written.stderr
        files = json.loads((self.folder / "coverage.json").read_text())["files"]
        return {Path(name).as_posix(): report for name, report in files.items()}


def install(folder: Path, content: Mapping[str, str], environment: Path) -> Path:
    """Make an environment that sees this interpreter's packages, install a wheel of `content`; return its Python."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True, timeout=120)
    python = environment / "bin" / "python"
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(environment)}))
    ours = sysconfig.get_path("purelib")
    (packages / "shared.pth").write_text(f"import site; site.addsitedir({ours!r})\n")
    wheel = folder / "shop_service-1.0-py3-none-any.whl"
    metadata = {
        "METADATA": "Metadata-Version: 2.1\nName: shop-service\nVersion: 1.0\n",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in content.items():
            archive.writestr(name, text)
        for name, text in metadata.items():
            archive.writestr(f"shop_service-1.0.dist-info/{name}", text)
        archive.writestr("shop_service-1.0.dist-info/RECORD", "")
    command = [str(python), "-m", "pip", "install", "-q", "--no-index", "--no-deps", str(wheel)]
    subprocess.run(command, check=True, timeout=120)
    wheel.unlink()
    return python


def as_editable(folder: Path) -> dict[str, str]:
    """The content of an editable wheel: a path to the sources (PEP 660)."""
    return {"_shop_service.pth": f"{folder / 'src'}\n"}


def as_wheel(_folder: Path) -> dict[str, str]:
    """The content of a wheel: copies of the sources."""
    return {f"{PACKAGE}/{name}": text for name, text in SOURCES.items()}


def write_sample(folder: Path, config: str) -> None:
    """Write the project with its configuration."""
    for name, text in {f"src/{PACKAGE}/{name}": text for name, text in SOURCES.items()}.items():
        _write(folder / name, text)
    for name, text in TESTS.items():
        _write(folder / "tests" / name, text)
    _write(folder / "pyproject.toml", PROJECT + config)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@pytest.fixture(scope="module", params=[as_editable, as_wheel])
def installed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The project, installed in one of both ways."""
    content: Callable[[Path], dict[str, str]] = request.param
    folder = tmp_path_factory.mktemp("project")
    write_sample(folder, CONFIG)
    return Installed(folder, install(folder, content(folder), tmp_path_factory.mktemp("environment")))


def check_measures_the_package(project: Installed, modules: set[str]) -> dict[str, dict[str, object]]:
    """C1, C5: `pytest --cov` reports every module of the package, none outside, and warns of nothing."""
    finished = project.pytest("--cov")
    output = finished.stdout + finished.stderr
    assert finished.returncode == 0, output
    assert "CoverageWarning" not in output
    assert "TOTAL" in output
    report = project.report()
    assert set(report) == modules
    return report


def check_workers_measure_the_same(project: Installed, serial: dict[str, dict[str, object]]) -> None:
    """C4, C5: with two processes of pytest-xdist every file has the lines and branches of the serial run."""
    finished = project.pytest("--cov", "-n", "2")
    output = finished.stdout + finished.stderr
    assert finished.returncode == 0, output
    assert "CoverageWarning" not in output
    assert project.report() == serial


def check_fail_under(project: Installed) -> None:
    """C2: with a limit above the total, `pytest --cov` ends in 1, `coverage report` in 2, `pytest` in 0."""
    assert project.pytest("--cov", *UNIT_TESTS).returncode == 1
    assert project.run("coverage", "report").returncode == 2
    assert project.pytest(*UNIT_TESTS).returncode == 0


def test_c1_c3_c4_c5(installed: Installed) -> None:
    serial = check_measures_the_package(installed, MODULES)
    # C3: only the server that was stopped with SIGTERM runs this module's function.
    assert serial[f"src/{PACKAGE}/remote.py"]["missing_lines"] == []
    assert serial[f"src/{PACKAGE}/never_imported.py"]["executed_lines"] == []
    deep = serial[f"src/{PACKAGE}/inner/deep.py"]
    negative = SOURCES["inner/deep.py"].splitlines().index("        return -double(-number)") + 1
    assert (deep["missing_lines"], deep["missing_branches"]) == ([negative], [[negative - 1, negative]])
    check_workers_measure_the_same(installed, serial)


def test_c2_fail_under(tmp_path: Path) -> None:
    write_sample(tmp_path, CONFIG.replace("show_missing", "fail_under = 99\nshow_missing"))
    (tmp_path / "src" / PACKAGE).rename(tmp_path / PACKAGE)
    check_fail_under(Installed(tmp_path, Path(sys.executable)))


FUNCTION = "def one() -> int:\n    return 1\n"

LAYOUTS = {
    "package at the root": (
        ["shop/__init__.py", "shop/main.py", "shop/unused.py", "shop/inner/__init__.py", "shop/inner/unused.py"],
        "shop.main",
        'source_pkgs = ["shop"]',
        "",
    ),
    "subfolder without __init__.py": (
        ["shop/__init__.py", "shop/main.py", "shop/inner/unused.py"],
        "shop.main",
        'source_pkgs = ["shop"]',
        "include_namespace_packages = true",
    ),
    "no __init__.py at all": (
        ["shop/main.py", "shop/unused.py", "shop/inner/unused.py"],
        "shop.main",
        'source_dirs = ["shop"]',
        "include_namespace_packages = true",
    ),
    "modules at the root": (
        ["main.py", "unused.py"],
        "main",
        'source_dirs = ["."]\nomit = ["tests/*"]',
        "",
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_c1_in_other_layouts(tmp_path: Path, layout: str) -> None:
    modules, imported, run, report = LAYOUTS[layout]
    for name in modules:
        _write(tmp_path / name, FUNCTION)
    _write(tmp_path / "tests/test_one.py", f"from {imported} import one\n\n\ndef test_one():\n    assert one() == 1\n")
    config = CONFIG.replace('source_pkgs = ["shop"]', run).replace("show_missing", f"{report}\nshow_missing")
    config = config.replace(
        'source = ["src/shop", "*/site-packages/shop"]', 'source = ["shop", "*/site-packages/shop"]'
    )
    _write(tmp_path / "pyproject.toml", PROJECT + config)
    check_measures_the_package(Installed(tmp_path, Path(sys.executable)), set(modules))


def test_c3_c5_with_greenlets(tmp_path: Path) -> None:
    modules = {"shop/__init__.py", "shop/main.py"}
    _write(tmp_path / "shop/__init__.py", "")
    _write(
        tmp_path / "shop/main.py",
        """\
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import create_async_engine


async def ask() -> int:
    engine = create_async_engine("sqlite+aiosqlite://")
    seen = []
    event.listen(engine.sync_engine, "before_cursor_execute", lambda *_: seen.append(1))
    async with engine.connect() as connection:
        answer = await connection.run_sync(lambda sync: sync.execute(text("select 42")).scalar_one())
    await engine.dispose()
    return answer + len(seen) - 1
""",
    )
    _write(
        tmp_path / "tests/test_ask.py",
        "import asyncio\n\nfrom shop.main import ask\n\n\ndef test_ask():\n    assert asyncio.run(ask()) == 42\n",
    )
    told = CONFIG.replace("branch = true", 'branch = true\nconcurrency = ["thread", "greenlet"]')
    _write(tmp_path / "pyproject.toml", PROJECT + told)
    project = Installed(tmp_path, Path(sys.executable))
    report = check_measures_the_package(project, modules)
    assert report["shop/main.py"]["missing_lines"] == []
    check_workers_measure_the_same(project, report)
