"""The code that all features write together: strict type checkers and linters find nothing in it, in any dialect."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from laterctl.engine.plan import Request
from laterctl.features import catalogue
from tests import memory
from tests.dialect_projects import FOUNDED, NAMES, dialect, features

VERSIONS: Final = ("3.11", "3.12", "3.13")
QUOTES: Final = {"single": "'", "double": '"', "others": "'"}
"""Sets of projects and their quotes: with options as they are by default, and the last with others, in three dialects."""
OTHERS: Final = ("dynaconf", "none", "starlette")

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
        options = other_options() if quotes == "others" else {}
        for name in NAMES if quotes != "others" else OTHERS:
            if name not in FOUNDED or quotes != "double":
                request = Request(add=features(name), options=options)
                for path, data in memory.run(dialect(name, quote), request).items():
                    target = folder / quotes / name / path
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(data)
        (folder / f"{quotes}.toml").write_text(RUFF.replace("{quotes}", "double" if quotes == "double" else "single"))
    return folder


def other_options() -> dict[str, dict[str, str]]:
    """Return a value that is not the default for every option that has a few to choose from."""
    found: dict[str, dict[str, str]] = {}
    for feature in catalogue.every():
        for option in feature.options:
            if option.choices:
                usual = option.choices.index(option.default) if option.default in option.choices else 0
                found.setdefault(feature.name, {})[option.name] = option.choices[(usual + 1) % len(option.choices)]
    return found


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
TYPED: Final = [("single", VERSIONS[0]), ("single", VERSIONS[-1]), ("others", VERSIONS[0])]


@pytest.mark.parametrize(("kind", "version"), TYPED)
def test_mypy_finds_nothing(written: Path, kind: str, version: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    cache = tmp_path_factory.getbasetemp() / "mypy"
    options = ("--strict", "--python-version", version, "--cache-dir", str(cache), "--no-sqlite-cache")
    for project in sorted((written / kind).iterdir()):
        # Modules of all projects have the same names: what is kept is what libraries are.
        own = {path.stem for path in (*project.iterdir(), *project.glob("src/*"))}
        for path in [path for path in (cache / version).glob("*") if path.name.partition(".")[0] in own]:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        done = run(project, "mypy", *options, "src", "tests", "migrations", "load")
        assert done.returncode == 0, f"{project.name}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize(("kind", "version"), TYPED)
def test_pyright_finds_nothing(written: Path, kind: str, version: str) -> None:
    names = sorted(project.name for project in (written / kind).iterdir())
    environments = [{"root": str(written / kind / name), "extraPaths": [f"{kind}/{name}/src"]} for name in names]
    config = written / f"pyright-{kind}-{version}.json"
    options = {"include": [kind], "executionEnvironments": environments}
    config.write_text(json.dumps({"typeCheckingMode": "strict", "pythonVersion": version, **options}))

    done = run(written, "basedpyright", "--outputjson", "--pythonpath", sys.executable, "--project", str(config))

    found: dict[str, Any] = json.loads(done.stdout)
    assert found["summary"]["filesAnalyzed"] > 40 * len(names)
    problems = {place(written / kind, item): item["message"] for item in found["generalDiagnostics"]}
    assert {key: message for key, message in problems.items() if key not in KNOWN} == {}


def place(folder: Path, item: dict[str, Any]) -> tuple[str, str, str]:
    """Return the dialect, the file and the rule of something that pyright found."""
    name, _, path = Path(item["file"]).relative_to(folder).as_posix().partition("/")
    return name, path, item.get("rule", "")
