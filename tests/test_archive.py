"""What earlier releases wrote into projects: this version reads it, extends it and takes it out again.

`scripts/archive.py` makes the archives, one a release.
"""

from __future__ import annotations

import json
import lzma
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
from typer.testing import CliRunner

from laterctl.cli.app import app
from laterctl.engine import catalogue
from tests import memory
from tests.test_laws import assert_same

ARCHIVE: Final = Path(__file__).parent / "archive"
LEDGER: Final = ".laterctl/"


@cache
def projects(path: Path) -> dict[str, dict[str, Any]]:
    """Return the projects of an archive by name."""
    found: dict[str, dict[str, Any]] = json.loads(lzma.decompress(path.read_bytes()))
    return found


def files(texts: Mapping[str, str]) -> dict[str, bytes]:
    """Return archived files as bytes."""
    return {path: text.encode() for path, text in texts.items()}


ALL: Final = [
    pytest.param(case, id=f"{path.name.removesuffix('.json.xz')}-{name}")
    for path in sorted(ARCHIVE.iterdir())
    for name, case in projects(path).items()
]
each_project = pytest.mark.parametrize("case", ALL)


def test_there_is_an_archive() -> None:
    assert len(projects(ARCHIVE / "0.1.0.json.xz")) == 15


@each_project
def test_doctor_finds_everything_whole(case: dict[str, Any], tmp_path: Path) -> None:
    for name, data in files(case["after"]).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)

    printed = CliRunner().invoke(app, ["-C", str(tmp_path), "doctor", "--json"]).stdout

    found = [item for item in json.loads(printed)["findings"] if item["rule"].startswith("LTR")]
    assert [item for item in found if item["verdict"] != "ok"] == []
    installed = {
        match[1] for name in case["after"] if (match := re.fullmatch(r"\.laterctl/(?:feature-)?([^/]+)\.json", name))
    }
    assert installed >= {*case["features"]}
    assert {item["feature"] for item in found if item["rule"] == "LTR003"} == installed


@each_project
def test_adding_again_writes_the_ledger_at_most(case: dict[str, Any]) -> None:
    before = files(case["after"])

    after = memory.add(before, *case["features"])

    assert_same(
        *({path: data for path, data in tree.items() if not path.startswith(LEDGER)} for tree in (before, after)), "A;A"
    )


@each_project
def test_removing_gives_the_original_bytes(case: dict[str, Any]) -> None:
    before, after = files(case["before"]), files(case["after"])

    assert_same(memory.remove(after, *case["features"]), before, "all at once")
    for name in case["features"]:
        after = memory.remove(after, name)
    assert_same(after, before, "one by one")


@each_project
def test_the_other_features_of_today_come_and_go(case: dict[str, Any]) -> None:
    others = [item.name for item in catalogue.every() if not item.hidden and item.name not in case["features"]]
    before = files(case["after"])

    more = memory.add(before, *others) if others else before

    assert_same(memory.remove(more, *others, *case["features"]), files(case["before"]), "add the others, remove all")
