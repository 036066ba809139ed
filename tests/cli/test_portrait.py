"""`info --project` for people: each part with its evidence and the key that changes it, and nothing of the inside."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from laterctl.project.configuration import KEYS
from tests.cli.command import append, done, project
from tests.cli.terminal import Terminal
from tests.shapes import SHAPES, shape_named

PARTS = [
    "Application",
    "Settings",
    "Environment",
    "Container",
    "Lifespan",
    "Database",
    "Manifest",
    "Manager",
    "Layout",
    "Deployment",
    "Runs",
]
INSIDE = re.compile(
    r"[{}]|\[\"|\bNone\b|\bTrue\b|\bFalse\b|\b(?:body|index|kind|access|import_root|first_party|style):"
)


@pytest.mark.parametrize("shape", [shape.name for shape in SHAPES])
def test_each_part_has_its_evidence_and_its_keys(shape: str, tmp_path: Path) -> None:
    folder = project(tmp_path, shape)
    app = shape_named(shape).app_flag
    flags = ("--app", app) if app else ()
    lines = done(folder, *flags, "info", "--project").out.splitlines()
    assert [line.split("  ")[0] for line in lines if "  " in line.strip() and line[0].isupper()] == PARTS
    assert [line for line in lines if INSIDE.search(line)] == []
    keys = [found[1] for line in lines if (found := re.match(r"  changed by (\S+) = ", line))]
    assert sorted(keys) == sorted(key.name for key in KEYS)
    places = [found for line in lines if (found := re.search(r"  (\S+):(\d+)$", line))]
    assert places
    for place in places:
        text = (folder / place[1]).read_bytes().decode("utf-8", "replace")
        assert 1 <= int(place[2]) <= max(len(text.splitlines()), 1), place[0]


def test_what_runs_it_and_what_was_chosen(tmp_path: Path) -> None:
    folder = project(tmp_path, "middleware_list")
    append(folder / "Dockerfile", 'FROM python\nCMD ["uvicorn", "service.app:app", "--workers", "4"]\n')
    append(folder / "pyproject.toml", '\n[tool.laterctl]\ncore = "app.shared"\nprove = "tests"\n')
    append(folder / "pyproject.toml", '\n[project.entry-points."shop.rules"]\nuvicorn = "service.cli:main"\n')
    out = done(folder, "info", "--project").out
    assert "service.app:app is started  Dockerfile:2" in out
    assert "service.cli" not in out
    assert re.search(r"(?m)^Deployment  several processes\n(  .*\n)*  several processes: .*  Dockerfile:2$", out)
    assert re.search(r'(?m)^  chosen by core = "app.shared"  pyproject.toml:\d+$', out)
    assert "Runs  with --yes they also run the tests" in out
    assert re.search(r"(?m)^Middleware of \S+\n  \w+ .*:\d+\n(.*\n)*?.*the routes$", out)


def test_what_is_not_known_says_what_decides_it(tmp_path: Path) -> None:
    out = done(project(tmp_path, "two_apps"), "info", "--project").out
    assert "Application  not known: several applications: patients.main:app, staff.main:app (laterctl --app" in out
    assert "there is staff.main:app  staff/main.py:" in out


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_it_fits_the_terminal(columns: int, tmp_path: Path) -> None:
    with Terminal(project(tmp_path, "dynaconf"), "info", "--project", columns=columns) as terminal:
        assert terminal.ends() == 0
        assert [line for line in terminal.screen.splitlines() if len(line) > columns and " " in line.strip()] == []
