"""What features write into a project stays within their budgets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from laterctl.features import catalogue
from tests.cli.command import YES, done
from tests.shapes import copy, git, shape_named
from tests.weight import BUDGETS, TESTS, rows, weigh, weighed


def test_each_feature_has_a_budget() -> None:
    assert {*catalogue.module_names()} <= {*BUDGETS}
    assert {row for row in BUDGETS if row.split()[0] in catalogue.module_names()} == {*rows()}


@pytest.mark.parametrize("row", [*rows()])
def test_a_feature_keeps_to_its_budget(row: str) -> None:
    code, tests = (
        max(sum(getattr(weigh(row, shape), part).values()) for shape in weighed(row)) for part in ("code", "tests")
    )
    assert code <= BUDGETS[row]
    assert tests <= TESTS


@pytest.mark.parametrize(
    ("shape", "options", "most"), [("flat", ("--set", "jwt.refresh=off"), 480), ("foundation", (), 750)]
)
def test_a_pull_request_that_adds_jwt_is_short(tmp_path: Path, shape: str, options: tuple[str, ...], most: int) -> None:
    """All lines are counted, those of the dropped test too, but for what `update` merges against."""
    folder = copy(shape_named(shape), tmp_path)
    done(folder, "add", "jwt", *options, *YES)
    git(folder, "add", "--all")
    stat = git(folder, "diff", "--cached", "--shortstat", "--", ".", ":(exclude).laterctl/base")
    found = re.search(r"(\d+) insertions", stat)
    assert found is not None
    assert 0 < int(found[1]) <= most
