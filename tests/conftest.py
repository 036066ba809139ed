"""Options of the suite."""

from __future__ import annotations

import os
import resource
from collections import Counter
from collections.abc import Generator
from typing import Final

import pytest

from tests.turns import VARIABLE, turn

collect_ignore = ["snapshots"]
"""Created files that are snapshots include tests, of other projects."""

CPU: Final = "cpu"
"""The property of a report that says how many seconds were computed since the one before."""
_counted: Final = [0.0]
"""What this process and its children have computed up to the last report."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--update-snapshots` and `--cpu-times`."""
    parser.addoption(
        "--update-snapshots",
        action="store_true",
        help="write the expected patches and files in tests/snapshots anew; review them with git diff",
    )
    parser.addoption(
        "--cpu-times",
        action="store_true",
        help="print how many seconds the tests of each file computed, with the programs that they ran",
    )


def pytest_configure() -> None:
    """Settle whose turn it is for all processes of a run."""
    os.environ[VARIABLE] = turn()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note on each report what its phase computed; it is the test's own process that knows."""
    report = yield
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    now = sum(item.ru_utime + item.ru_stime for item in used)
    report.user_properties.append((CPU, now - _counted[0]))
    _counted[0] = now
    return report


def pytest_report_header() -> str:
    """Say which turn it is, so that a run can be repeated."""
    return f"turn: {turn()} ({VARIABLE}={turn()} repeats it)"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print what the tests of each file cost, the dearest first."""
    if not config.getoption("--cpu-times"):
        return
    seconds: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                seconds[report.nodeid.partition("::")[0]] += dict(report.user_properties)[CPU]
    terminalreporter.section("seconds computed")
    for path, used in [*seconds.most_common(), ("in all", seconds.total())]:
        terminalreporter.line(f"{used:8.1f}  {path}")
