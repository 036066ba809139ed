"""The tests that `errors`, `cors` and `security-headers` drop in pass, whatever plugin runs them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.features import edge_app

PLUGINS = {
    "no plugin": ("-p", "no:asyncio", "-p", "no:anyio"),
    "strict": ("-o", "asyncio_mode=strict", "-o", "asyncio_default_fixture_loop_scope=function"),
    "auto": ("-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function"),
}


@pytest.fixture(scope="module", params=edge_app.DIALECTS)
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("code")
    edge_app.write_app(folder, request.param, api_error=request.param == "pydantic")
    return folder


@pytest.mark.parametrize("plugins", PLUGINS.values(), ids=PLUGINS)
def test_the_dropped_tests_pass(project: Path, plugins: Sequence[str]) -> None:
    command = (sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", *plugins, "tests")
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
