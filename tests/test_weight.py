"""What features write into a project stays within their budgets."""

from __future__ import annotations

import pytest

from laterctl.features import catalogue
from tests.weight import BUDGETS, TESTS, rows, taking, weigh


def test_each_feature_has_a_budget() -> None:
    assert {*catalogue.module_names()} <= {*BUDGETS}
    assert {row for row in BUDGETS if row.split()[0] in catalogue.module_names()} == {*rows()}


@pytest.mark.parametrize("row", [*rows()])
def test_a_feature_keeps_to_its_budget(row: str) -> None:
    code, tests = (
        max(sum(getattr(weigh(row, shape), part).values()) for shape in taking(row)) for part in ("code", "tests")
    )
    assert code <= BUDGETS[row]
    assert tests <= TESTS
