"""What features write into a project stays within their budgets."""

from __future__ import annotations

from typing import Final

import pytest

from laterctl.features import catalogue
from tests.weight import BUDGETS, SHAPES, TESTS, rows, weigh

ABOVE: Final[dict[str, int]] = {}
"""Features that are above their budget so far, with the lines that they may have until they are not."""

TESTS_ABOVE: Final[dict[str, int]] = {}
"""The same for their dropped tests."""


def test_each_feature_has_a_budget() -> None:
    assert {*catalogue.module_names()} <= {*BUDGETS}
    assert {row for row in BUDGETS if row.split()[0] in catalogue.module_names()} == {*rows()}


@pytest.mark.parametrize("row", [*rows()])
def test_a_feature_keeps_to_its_budget(row: str) -> None:
    code, tests = (
        max(sum(getattr(weigh(row, shape), part).values()) for shape in SHAPES) for part in ("code", "tests")
    )
    assert code <= ABOVE.get(row, BUDGETS[row])
    assert tests <= TESTS_ABOVE.get(row, TESTS)
    assert row not in ABOVE or code > BUDGETS[row], f"{row} keeps to its budget: it is no exception any more"
    assert row not in TESTS_ABOVE or tests > TESTS, f"the tests of {row} are no exception any more"
