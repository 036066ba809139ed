"""Doctor rules of `coverage`, and the order in which coverage.py itself looks for its settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from coverage import Coverage

from laterctl.doctor.code import Found
from laterctl.features.coverage import rules
from laterctl.project.coverage_config import FILES, Home, homes
from tests import memory
from tests.features.test_coverage import sample

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


def ids(found: list[Found]) -> list[tuple[str, int]]:
    return [(rule, line) for rule, line, _, _ in found]


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
    used, ignored = homes({".coveragerc": "[run]\n", "pyproject.toml": PYPROJECT})
    assert ids(list(rules.check_cov001(ignored, used))) == [("COV001", 4)]
    assert list(rules.check_cov001(used, used)) == []


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
    found = rules.check_cov002(home(f"[tool.coverage.run]\nbranch = true\n{entry}\n"), {"shop"}, {"src", "src/shop"})
    assert ids(list(found)) == [("COV002", 3)]


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
    found = rules.check_cov002(home(f"[tool.coverage.run]\n{entry}\n"), {"shop"}, {"src", "src/shop"})
    assert list(found) == []


def test_cov003_greenlets() -> None:
    untold = home('[tool.coverage.run]\nconcurrency = ["thread"]\n')
    assert ids(list(rules.check_cov003(untold, async_sqlalchemy=True))) == [("COV003", 2)]
    assert list(rules.check_cov003(untold, async_sqlalchemy=False)) == []
    told = home('[tool.coverage.run]\nconcurrency = ["thread", "greenlet"]\n')
    assert list(rules.check_cov003(told, async_sqlalchemy=True)) == []


def test_cov004_the_built_in_exclusions_are_lost() -> None:
    lost = home('[tool.coverage.report]\nexclude_lines = ["if DEBUG:"]\n')
    assert ids(list(rules.check_cov004(lost))) == [("COV004", 2)]
    for kept in ('exclude_lines = ["pragma: no cover", "if DEBUG:"]', 'exclude_also = ["if DEBUG:"]', "fail_under = 1"):
        assert list(rules.check_cov004(home(f"[tool.coverage.report]\n{kept}\n"))) == []


def test_cov005_old_coverage_on_new_python() -> None:
    text = '[tool.coverage.run]\nconcurrency = ["greenlet"]\n'
    assert ids(list(rules.check_cov005(home(text), "7.10.9", python_314=True))) == [("COV005", 2)]
    assert ids(list(rules.check_cov005(home(text), "7.6", python_314=True))) == [("COV005", 2)]
    for version, python_314 in (("7.11.1", True), ("8.0", True), ("7.10.9", False), ("", True)):
        assert list(rules.check_cov005(home(text), version, python_314=python_314)) == []
    assert list(rules.check_cov005(home(f'{text}core = "ctrace"\n'), "7.10.9", python_314=True)) == []


def test_what_the_feature_writes_is_clean() -> None:
    files = {name: text.encode() for name, text in sample().items()}
    written = home(memory.add(files, "coverage")["pyproject.toml"].decode())
    assert list(rules.check_cov001(written, written)) == []
    assert list(rules.check_cov002(written, {"shop"}, {"src", "src/shop", "tests"})) == []
    assert list(rules.check_cov003(written, async_sqlalchemy=False)) == []
    assert list(rules.check_cov004(written)) == []
    assert list(rules.check_cov005(written, "7.11.1", python_314=True)) == []
