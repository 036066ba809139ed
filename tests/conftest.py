"""Options of the suite."""

from __future__ import annotations

import pytest

collect_ignore = ["snapshots"]
"""Created files that are snapshots include tests, of other projects."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--update-snapshots`."""
    parser.addoption(
        "--update-snapshots",
        action="store_true",
        help="write the expected patches and files in tests/snapshots anew; review them with git diff",
    )
