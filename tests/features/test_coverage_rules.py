"""Doctor rules of `coverage`, and the order in which coverage.py itself looks for its settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from coverage import Coverage

from laterctl.project.coverage_config import FILES, Home, homes
from tests import memory
from tests.features.test_coverage import sample
from tests.ruling import found as reported
from tests.ruling import places

PYPROJECT = "[project]\nname = 'x'\n\n[tool.coverage.run]\nbranch = true\n"

CONFIGURED = {
    ".coveragerc": "[run]\nbranch = true\n",
    ".coveragerc.toml": "[run]\nbranch = true\n",
    "setup.cfg": "[metadata]\nname = x\n\n[coverage:run]\nbranch = true\n",
    "tox.ini": "[tox]\n\n[coverage:run]\nbranch = true\n",
    "pyproject.toml": PYPROJECT,
}

SILENT = {
    "setup.cfg": "[metadata]\nname = x\n\n[run]\nbranch = true\n",
    "tox.ini": "[tox]\nenvlist = py\n",
    "pyproject.toml": "[project]\nname = 'x'\n",
}


def home(text: str, path: str = "pyproject.toml") -> Home:
    (found,) = homes({path: text})
    return found


SHOP = {"src/shop/__init__.py": "", "src/shop/cart.py": ""}


def cov(rule: str, settings: str, project: str = "", **more: str) -> list[str]:
    """Return where a rule reports something in a project whose pyproject.toml says so."""
    text = f"{settings}\n[project]\nname = 'shop'\n{project}\n"
    return places({**SHOP, "pyproject.toml": text, **more}, rule)


@pytest.mark.parametrize("first", FILES)
def test_the_first_file_is_the_one_that_coverage_reads(
    first: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files: Mapping[str, str] = {
        name: SILENT.get(name, "") if FILES.index(name) < FILES.index(first) else text
        for name, text in CONFIGURED.items()
        if FILES.index(name) >= FILES.index(first) or name in SILENT
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COVERAGE_RCFILE", raising=False)
    assert Coverage(data_file=None).config.config_file == str(tmp_path / first)
    found = homes(files)
    assert [item.path for item in found] == list(FILES[FILES.index(first) :])
    assert all(item.value("run", "branch").lower() == "true" for item in found)


def test_an_empty_own_file_counts() -> None:
    assert [item.path for item in homes({".coveragerc": "", "pyproject.toml": PYPROJECT})] == [
        ".coveragerc",
        "pyproject.toml",
    ]


@pytest.mark.parametrize(
    ("name", "text"), [("pyproject.toml", "[tool.coverage\n"), ("setup.cfg", "branch\n"), ("tox.ini", "")]
)
def test_a_file_that_says_nothing_does_not_count(name: str, text: str) -> None:
    assert homes({name: text}) == []


def test_lists_are_read_in_every_way_of_writing_them() -> None:
    toml = home('[tool.coverage.run]\nconcurrency = ["thread", "greenlet"]\n')
    ini = home("[coverage:run]\nconcurrency = thread, greenlet\nsource =\n    one\n    two\n", "setup.cfg")
    assert toml.values("run", "concurrency") == ini.values("run", "concurrency") == ("thread", "greenlet")
    assert ini.values("run", "source") == ("one", "two")
    assert home("[report]\nexclude_lines =\n    a{1,2}\n    b\n", ".coveragerc").values("report", "exclude_lines") == (
        "a{1,2}",
        "b",
    )


def test_cov001_settings_in_a_second_place() -> None:
    assert places({".coveragerc": "[run]\n", "pyproject.toml": PYPROJECT}, "COV001") == ["pyproject.toml:4"]
    assert places({"pyproject.toml": PYPROJECT}, "COV001") == []


@pytest.mark.parametrize(
    "entry",
    [
        'source = ["scr"]',
        'source_pkgs = ["my-service"]',
        'source_pkgs = ["src"]',
        'source_pkgs = ["shop", "shops"]',
        'source_dirs = ["shop"]',
    ],
)
def test_cov002_finds_what_does_not_exist(entry: str) -> None:
    assert cov("COV002", f"[tool.coverage.run]\nbranch = true\n{entry}\n") == ["pyproject.toml:3"]


@pytest.mark.parametrize(
    "entry",
    [
        "branch = true",
        'source = ["src"]',
        'source = ["."]',
        'source = ["./src/shop/"]',
        'source = ["shop.inner"]',
        'source = ["$HOME/shop"]',
        'source_pkgs = ["shop"]',
        'source_dirs = ["src/shop"]',
    ],
)
def test_cov002_leaves_alone(entry: str) -> None:
    assert cov("COV002", f"[tool.coverage.run]\n{entry}\n") == []


def test_cov003_greenlets() -> None:
    asynchronous = 'dependencies = ["sqlalchemy[asyncio]>=2"]'
    untold = '[tool.coverage.run]\nconcurrency = ["thread"]\n'
    assert cov("COV003", untold, asynchronous) == ["pyproject.toml:2"]
    assert cov("COV003", untold, 'dependencies = ["sqlalchemy>=2"]') == []
    told = '[tool.coverage.run]\nconcurrency = ["thread", "greenlet"]\n'
    assert cov("COV003", told, asynchronous) == []


def test_cov004_the_built_in_exclusions_are_lost() -> None:
    assert cov("COV004", '[tool.coverage.report]\nexclude_lines = ["if DEBUG:"]\n') == ["pyproject.toml:2"]
    for kept in ('exclude_lines = ["pragma: no cover", "if DEBUG:"]', 'exclude_also = ["if DEBUG:"]', "fail_under = 1"):
        assert cov("COV004", f"[tool.coverage.report]\n{kept}\n") == []


def cov005(version: str, python: str = ">=3.14", more: str = "") -> list[str]:
    lock = f'version = 1\n\n[[package]]\nname = "coverage"\nversion = "{version}"\n' if version else "version = 1\n"
    settings = f'[tool.coverage.run]\nconcurrency = ["greenlet"]\n{more}'
    return cov("COV005", settings, f'requires-python = "{python}"', **{"uv.lock": lock})


def test_cov005_old_coverage_on_new_python() -> None:
    assert cov005("7.10.9") == cov005("7.6") == ["pyproject.toml:2"]
    assert cov005("7.11.1") == cov005("8.0") == cov005("7.10.9", ">=3.12") == cov005("") == []
    assert cov005("7.10.9", more='core = "ctrace"\n') == []


def test_what_the_feature_writes_is_clean() -> None:
    files = memory.add({name: text.encode() for name, text in sample().items()}, "coverage")
    assert b"[tool.coverage.run]" in files["pyproject.toml"]
    assert reported({path: data.decode() for path, data in files.items()}, [f"COV00{n}" for n in range(1, 6)]) == []


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ('["greenlet"]', ["pyproject.toml:2"]),
        ('["thread", "greenlet"]', []),
        ('["multiprocessing"]', []),
        ('["thread"]', []),
    ],
)
def test_cov006_threads_that_are_not_traced(told: str, expected: list[str]) -> None:
    assert cov("COV006", f"[tool.coverage.run]\nconcurrency = {told}\n") == expected
