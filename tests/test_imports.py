"""What a command loads: LibCST, Jinja2 and tomlkit only when something is written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.shapes import copy, shape_named

HEAVY = ("libcst", "jinja2", "tomlkit", "questionary", "prompt_toolkit")
REPORT = """
import sys
from laterctl.__main__ import main
sys.argv[0] = "laterctl"
try:
    main()
except SystemExit as exit:
    assert not exit.code, exit.code
print([name for name in ("libcst", "jinja2", "tomlkit", "questionary", "prompt_toolkit") if name in sys.modules], file=sys.stderr)
"""


def loaded(folder: Path, *arguments: str) -> str:
    """Run the command line in a process of its own and return the heavy modules that it loaded."""
    command = [sys.executable, "-c", REPORT, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=120)
    return done.stderr.strip().splitlines()[-1]


@pytest.fixture(
    scope="module",
    params=[
        ("factory", "metrics", "cors"),
        ("poetry", "coverage", "cors"),
        ("foundation", "coverage", "cors", "jwt", "metrics", "resources", "security-headers"),
    ],
    ids=lambda param: param[0],
)
def installed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with features that are whole."""
    shape, *features = request.param
    folder = copy(shape_named(shape), tmp_path_factory.mktemp("project"))
    assert "libcst" in loaded(folder, "add", *features, "--yes", "--no-install"), "the check can fail"
    return folder


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("add", "--help"),
        ("list",),
        ("guide",),
        ("info", "jwt"),
        ("doctor",),
        ("add", "cors", "--yes"),
        ("explain",),
    ],
    ids=" ".join,
)
def test_it_loads_nothing_heavy(installed: Path, arguments: tuple[str, ...]) -> None:
    assert loaded(installed, *arguments) == "[]"


def test_the_guide_loads_nothing_heavy_where_nothing_is_installed(tmp_path: Path) -> None:
    assert loaded(copy(shape_named("factory"), tmp_path), "guide") == "[]"


def test_completion_loads_nothing_heavy(installed: Path) -> None:
    script = f"""
import os, sys
os.environ.update(_LATERCTL_COMPLETE="complete_bash", COMP_WORDS="laterctl add jw", COMP_CWORD="2")
{REPORT.strip()}
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=installed, capture_output=True, text=True, check=False, timeout=120)
    assert "jwt" in done.stdout
    assert done.stderr.strip().splitlines()[-1] == "[]"


def test_the_list_of_heavy_modules_is_the_one_that_is_reported() -> None:
    assert all(f'"{name}"' in REPORT for name in HEAVY)


def test_the_catalogue_loads_no_rules() -> None:
    script = "import sys; from laterctl.features import catalogue; print(len(catalogue.every())); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    number, modules = done.stdout.splitlines()
    assert int(number) > 10
    assert [name for name in modules.split() if name.endswith(".rules") or name.startswith("laterctl.doctor")] == []
