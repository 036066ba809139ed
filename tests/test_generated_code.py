"""The code that all features write together: strict type checkers and linters find nothing in it, in any dialect."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from tests import memory
from tests.dialect_projects import FOUNDED, NAMES, dialect, features

VERSIONS: Final = ("3.11", "3.12", "3.13")
QUOTES: Final = {"single": "'", "double": '"'}

# TC: with `from __future__ import annotations` it wants imports hidden that frameworks evaluate.
RUFF: Final = """\
line-length = 88
lint.select = ["ALL"]
lint.ignore = ["CPY", "D", "COM812", "ISC001", "TC"]
lint.flake8-quotes.inline-quotes = "{quotes}"
format.quote-style = "{quotes}"

[lint.per-file-ignores]
"tests/**" = ["PLR2004", "S101", "S105", "S106"]
"""
KNOWN: Final = {
    # Without a stub file, which the foundation's own code is told by a line for mypy.
    ("dynaconf", "src/order_service/core/config.py", "reportMissingTypeStubs"),
}
"""What pyright finds so far, by dialect, file and rule."""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a project for each dialect and, where it can be had, for each quote."""
    folder = tmp_path_factory.mktemp("written")
    for quotes, quote in QUOTES.items():
        for name in NAMES:
            if name not in FOUNDED or quotes == "single":
                for path, data in memory.add(dialect(name, quote), *features(name)).items():
                    target = folder / quotes / name / path
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(data)
        (folder / f"{quotes}.toml").write_text(RUFF.replace("{quotes}", quotes))
    return folder


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a module of this environment in a folder."""
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, timeout=600, check=False
    )


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("quotes", QUOTES)
def test_ruff_finds_nothing(written: Path, quotes: str, version: str) -> None:
    target = ("--no-cache", "--target-version", f"py{version.replace('.', '')}")
    for project in sorted((written / quotes).iterdir()):
        config = project / "ruff.toml" if project.name in FOUNDED else written / f"{quotes}.toml"
        for command in (["check"], ["format", "--check"]):
            done = run(
                project, "ruff", *command, *target, "--config", str(config), "src", "tests", "migrations", "load"
            )
            assert done.returncode == 0, f"{project.name}\n{done.stdout}\n{done.stderr}"


# What holds for the oldest and the newest version holds in between.
@pytest.mark.parametrize("version", [VERSIONS[0], VERSIONS[-1]])
def test_mypy_finds_nothing(written: Path, version: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    cache = tmp_path_factory.getbasetemp() / "mypy"
    options = ("--strict", "--python-version", version, "--cache-dir", str(cache))
    for name in NAMES:
        done = run(written / "single" / name, "mypy", *options, "src", "tests", "migrations", "load")
        assert done.returncode == 0, f"{name}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("version", [VERSIONS[0], VERSIONS[-1]])
def test_pyright_finds_nothing(written: Path, version: str, tmp_path: Path) -> None:
    environments = [{"root": str(written / "single" / name), "extraPaths": [f"single/{name}/src"]} for name in NAMES]
    config = written / f"pyright-{version}.json"
    options = {"include": ["single"], "executionEnvironments": environments}
    config.write_text(json.dumps({"typeCheckingMode": "strict", "pythonVersion": version, **options}))

    done = run(written, "basedpyright", "--outputjson", "--pythonpath", sys.executable, "--project", str(config))

    found: dict[str, Any] = json.loads(done.stdout)
    assert found["summary"]["filesAnalyzed"] > 200
    problems = {place(written / "single", item): item["message"] for item in found["generalDiagnostics"]}
    assert {key: message for key, message in problems.items() if key not in KNOWN} == {}


def place(folder: Path, item: dict[str, Any]) -> tuple[str, str, str]:
    """Return the dialect, the file and the rule of something that pyright found."""
    name, _, path = Path(item["file"]).relative_to(folder).as_posix().partition("/")
    return name, path, item.get("rule", "")
