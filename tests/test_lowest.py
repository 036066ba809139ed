"""What is written as a floor is tested: the foundation with every feature passes its tests at its lowest versions.

Features that want a newer FastAPI than the foundation declares are tested with the one that they want.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.version import Version

from laterctl.commands.change import RunOptions, execute, prepare
from laterctl.commands.new import SETTINGS, foundation
from laterctl.engine.plan import Request
from laterctl.features import catalogue
from tests.project.making import write
from tests.servers import redis_server

FASTAPI = re.compile(rb"fastapi>=([\d.]+)")


@pytest.mark.parametrize(("settings", "newer"), [*zip(SETTINGS, (False, True), strict=True)])
def test_lowest_versions_pass_the_generated_tests(settings: str, newer: bool, tmp_path: Path) -> None:
    uv = shutil.which("uv")
    if uv is None:
        message = "uv is not on PATH"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    files = foundation("order-service", settings=settings, python=python)
    offered = [item for item in catalogue.every() if not item.hidden]
    declared = FASTAPI.search(files["pyproject.toml"])
    assert declared is not None
    if newer:
        floor = max((item.floors.get("fastapi", "0") for item in offered), key=Version)
        files["pyproject.toml"] = files["pyproject.toml"].replace(declared[0], f"fastapi>={floor}".encode())
    else:
        offered = [
            item for item in offered if Version(item.floors.get("fastapi", "0")) <= Version(declared[1].decode())
        ]
    write(tmp_path, files)
    execute(
        prepare(tmp_path, Request(add=tuple(item.name for item in offered)), install=False), RunOptions(install=False)
    )

    environment = {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "VIRTUAL_ENV"))}
    lowest = tmp_path / ".lowest"
    install = ("pip", "install", "-q", "--python", str(lowest), "--resolution", "lowest-direct")
    for command in (
        ("venv", "-q", "--python", sys.executable, str(lowest)),
        (*install, "-r", "pyproject.toml", "--group", "dev", "-e", "."),
    ):
        subprocess.run([uv, *command], cwd=tmp_path, env=environment, check=True, timeout=300)
    with redis_server() as redis:
        done = subprocess.run(
            [lowest / "bin" / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider"],
            cwd=tmp_path,
            env=environment | {"TEST_REDIS_URL": redis.url},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout.splitlines()[-1]
