"""The code that `errors`, `cors` and `security-headers` write: typed, clean, and with tests that pass."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from laterctl.render import Style
from tests.features import edge_app

# TC: with `from __future__ import annotations` it wants imports hidden that frameworks evaluate.
RUFF = """\
line-length = 88
target-version = "py311"
lint.select = ["ALL"]
lint.ignore = ["CPY", "D", "COM812", "ISC001", "TC"]
lint.flake8-quotes.inline-quotes = "{quotes}"
format.quote-style = "{quotes}"

[lint.per-file-ignores]
"tests/**" = ["PLR2004", "S101"]
"""
OURS = ("edge/core", "tests", "--exclude", "config.py,errors.py,request_id.py")

VARIANTS = [
    ("dynaconf", "problem", "httpx2", Style(quote="'")),
    ("pydantic", "apierror", "httpx", Style(quote="'", future=True)),
]


@pytest.fixture(scope="module", params=VARIANTS, ids=["dynaconf", "pydantic"])
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    dialect, shape, http_client, style = request.param
    folder = tmp_path_factory.mktemp("code")
    edge_app.write_app(folder, dialect, shape=shape, http_client=http_client, style=style)
    (folder / "ruff.toml").write_text(RUFF.replace("{quotes}", "single" if style.quote == "'" else "double"))
    return folder


def run(project: Path, *command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=project, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "plugins",
    [
        ("-p", "no:asyncio", "-p", "no:anyio"),
        ("-o", "asyncio_mode=strict", "-o", "asyncio_default_fixture_loop_scope=function"),
        ("-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function"),
    ],
    ids=["no plugin", "strict", "auto"],
)
def test_the_dropped_tests_pass(project: Path, plugins: Sequence[str]) -> None:
    run(project, "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", *plugins, "tests")


def test_ruff_finds_nothing(project: Path) -> None:
    run(project, "ruff", "check", "--no-cache", *OURS)
    run(project, "ruff", "format", "--no-cache", "--check", *OURS)


def test_mypy_finds_nothing(project: Path) -> None:
    run(project, "mypy", "--strict", "--disable-error-code", "import-untyped", "edge/core", "tests")
