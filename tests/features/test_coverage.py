"""Acceptance of the feature `coverage`, C1 to C6 of its specification, on projects that the engine added it to.

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

from laterctl.engine.plan import Request
from tests import memory

PACKAGE = "shop"

PROJECT = """\
[project]
name = "shop-service"
version = "1.0"
requires-python = ">=3.10"
dependencies = ["fastapi>=0.115"]

[dependency-groups]
dev = ["pytest>=8"]

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


def sample() -> dict[str, str]:
    """The files of the project."""
    sources = {f"src/{PACKAGE}/{name}": text for name, text in SOURCES.items()}
    tests = {f"tests/{name}": text for name, text in TESTS.items()}
    return {**sources, **tests, "pyproject.toml": PROJECT}


def write(folder: Path, files: Mapping[str, str], **options: str) -> None:
    """Write a project with the feature."""
    request = Request(add=("coverage",), options={"coverage": options})
    for name, data in memory.run({name: text.encode() for name, text in files.items()}, request).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


@pytest.fixture(scope="module", params=[as_editable, as_wheel])
def installed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The project, installed in one of both ways."""
    content: Callable[[Path], dict[str, str]] = request.param
    folder = tmp_path_factory.mktemp("project")
    write(folder, sample())
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
    write(tmp_path, {name.removeprefix("src/"): text for name, text in sample().items()}, fail_under="99")
    check_fail_under(Installed(tmp_path, Path(sys.executable)))


FUNCTION = "def one() -> int:\n    return 1\n"
APPLICATION = f"from fastapi import FastAPI\n\napp = FastAPI()\n\n\n{FUNCTION}"

LAYOUTS = {
    "package at the root": (
        ["shop/__init__.py", "shop/main.py", "shop/unused.py", "shop/inner/__init__.py", "shop/inner/unused.py"],
        "shop.main",
    ),
    "subfolder without __init__.py": (["shop/__init__.py", "shop/main.py", "shop/inner/unused.py"], "shop.main"),
    "no __init__.py at all": (["shop/main.py", "shop/unused.py", "shop/inner/unused.py"], "shop.main"),
    "modules at the root": (["main.py", "unused.py"], "main"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_c1_in_other_layouts(tmp_path: Path, layout: str) -> None:
    modules, imported = LAYOUTS[layout]
    test = f"from {imported} import one\n\n\ndef test_one():\n    assert one() == 1\n"
    code = {name: APPLICATION if name.endswith("main.py") else FUNCTION for name in modules}
    write(tmp_path, {"pyproject.toml": PROJECT, "tests/test_one.py": test, **code})
    check_measures_the_package(Installed(tmp_path, Path(sys.executable)), set(modules))


ASK = """\
from fastapi import FastAPI
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import create_async_engine

app = FastAPI()


async def ask() -> int:
    engine = create_async_engine("sqlite+aiosqlite://")
    seen = []
    event.listen(engine.sync_engine, "before_cursor_execute", lambda *_: seen.append(1))
    async with engine.connect() as connection:
        answer = await connection.run_sync(lambda sync: sync.execute(text("select 42")).scalar_one())
    await engine.dispose()
    return answer + len(seen) - 1
"""


def test_c3_c5_with_greenlets(tmp_path: Path) -> None:
    test = "import asyncio\n\nfrom shop.main import ask\n\n\ndef test_ask():\n    assert asyncio.run(ask()) == 42\n"
    modules = {"shop/__init__.py": "", "shop/main.py": ASK}
    manifest = PROJECT.replace('"fastapi>=0.115"', '"fastapi>=0.115", "sqlalchemy[asyncio]>=2"')
    write(tmp_path, {"pyproject.toml": manifest, "tests/test_ask.py": test, **modules})
    assert 'concurrency = ["thread", "greenlet"]' in (tmp_path / "pyproject.toml").read_text()
    project = Installed(tmp_path, Path(sys.executable))
    report = check_measures_the_package(project, set(modules))
    assert report["shop/main.py"]["missing_lines"] == []
    check_workers_measure_the_same(project, report)


@pytest.mark.parametrize(
    ("path", "text", "line"),
    [
        (".coveragerc", "[run]\nbranch = true\n", 1),
        ("setup.cfg", "[metadata]\nname = shop\n\n[coverage:report]\nfail_under = 1\n", 4),
        ("tox.ini", "[coverage:run]\nbranch = true\n", 1),
    ],
)
def test_c6_a_configuration_elsewhere_is_not_joined(path: str, text: str, line: int) -> None:
    with pytest.raises(memory.Refusing) as refused:
        memory.add({name: content.encode() for name, content in {**sample(), path: text}.items()}, "coverage")

    (refusal,) = refused.value.refusals
    assert (refusal.code, str(refusal.place)) == ("already-by-hand", f"{path}:{line}")


@pytest.mark.parametrize(("path", "text"), [("setup.cfg", "[metadata]\nname = shop\n"), ("tox.ini", "[tox]\n")])
def test_c6_other_tools_of_such_a_file_do_not_count(path: str, text: str) -> None:
    after = memory.add({name: content.encode() for name, content in {**sample(), path: text}.items()}, "coverage")

    assert b"[tool.coverage.run]" in after["pyproject.toml"]


def test_c6_own_keys_of_the_project_stay_and_another_value_refuses() -> None:
    def added(table: str) -> str:
        files = sample() | {"pyproject.toml": f"{PROJECT}\n{table}"}
        return memory.add({name: text.encode() for name, text in files.items()}, "coverage")["pyproject.toml"].decode()

    assert 'branch = true\ndata_file = ".cov"\n' in added('[tool.coverage.run]\nbranch = true\ndata_file = ".cov"\n')
    with pytest.raises(memory.Refusing, match="already-by-hand"):
        added("[tool.coverage.run]\nbranch = false\n")


def test_c6_what_it_writes_is_ignored_by_git() -> None:
    after = memory.add({name: text.encode() for name, text in sample().items()}, "coverage")

    assert after[".gitignore"].decode().splitlines() == [".coverage", ".coverage.*", "coverage.xml", "htmlcov/"]
