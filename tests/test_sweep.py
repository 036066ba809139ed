"""The sweep over checkouts: what it says of a project that it can run, and of one that it only reads."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.proof.scene import MANIFEST, SHOP, environment, write

SWEEP = Path(__file__).parent.parent / "scripts/sweep.py"
SETTINGS = """\
from pydantic_settings import BaseSettings


class Settings(BaseSettings):
    title: str = "Shop"


settings = Settings()
"""
OTHER = "from fastapi import FastAPI\n\napp = FastAPI()\n"


def swept(folder: Path, *arguments: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Sweep over a folder; return the exit status and the rows by project and feature."""
    done = subprocess.run(
        [sys.executable, SWEEP, folder, "--json", *arguments], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.stdout, done.stderr
    return done.returncode, {f"{row['project']} {row['feature']}": row for row in json.loads(done.stdout)["rows"]}


def checkout(folder: Path, files: dict[str, str]) -> None:
    """Write a project that looks like a checkout."""
    write(folder, {"pyproject.toml": MANIFEST, "main.py": SHOP, **files})
    (folder / ".git").mkdir()


def test_one_project_is_run_and_the_other_is_read(tmp_path: Path) -> None:
    checkout(tmp_path / "repos/shop", {"settings.py": SETTINGS, "main.py": f"from settings import settings\n{SHOP}"})
    attributes = "* text=auto eol=crlf\n*.py filter=own ident\n"
    checkout(tmp_path / "repos/other", {".gitattributes": attributes, "README.md": "$Id$\n"})
    environment(tmp_path / "env", without=("nothing",))
    status, rows = swept(
        tmp_path / "repos", "--feature=cors", "--feature=metrics", f"--python=shop={tmp_path}/env/bin/python"
    )
    assert status == 0, rows
    assert {row["outcome"] for row in rows.values()} == {"applied"}
    assert "it starts and stops" in rows["shop cors"]["ran"]
    assert rows["shop metrics"]["ran"].startswith("7 routes, 1 middleware")
    assert rows["other cors"]["ran"] == ""


def test_what_is_added_has_to_be_served(tmp_path: Path) -> None:
    checkout(tmp_path / "repos/shop", {"inner.py": OTHER})
    checkout(tmp_path / "repos/broken", {"main.py": f"import missing\n{SHOP}"})
    environment(tmp_path / "env", without=("nothing",))
    python = tmp_path / "env/bin/python"
    status, rows = swept(
        tmp_path / "repos",
        "--feature=cors",
        "--app=shop=inner:app",
        f"--python=shop={python},main:app",
        f"--python=broken={python}",
    )
    assert status == 1
    assert rows["shop cors"]["code"] == "runs-otherwise"
    assert "was promised, and the running app has no such middleware" in rows["shop cors"]["reason"]
    assert rows["broken cors"]["outcome"] == "applied"
    assert "No module named 'missing'" in rows["broken cors"]["ran"]
