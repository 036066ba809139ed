"""Fixtures that the tests share."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest


@pytest.fixture
def assert_max_queries() -> Callable[[int], AbstractContextManager[list[str]]]:
    """Give a block that fails when it sends more statements than a number.

    ``with assert_max_queries(2): await list_orders(session)``
    """
    # Only now, so that tests have prepared what it reads when it is imported.
    from order_service.core.queries import max_queries  # noqa: PLC0415

    return max_queries
