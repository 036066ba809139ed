"""Options of the suite."""

from __future__ import annotations

import os
import resource
import signal
from collections import Counter
from collections.abc import Generator
from typing import Final

import pytest

from tests.turns import VARIABLE, turn

collect_ignore = ["snapshots"]
"""Created files that are snapshots include tests, of other projects."""

SIGNALS: Final = ("SIGINT", "SIGHUP", "SIGTERM", "SIGQUIT")
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
    """Settle whose turn it is for all processes of a run, and let signals reach those that tests start."""
    os.environ[VARIABLE] = turn()
    take_signals()


def take_signals() -> None:
    """Undo what a caller's `nohup` or `&` makes of signals, which programs that tests start would inherit.

    A program starts with a signal ignored when it was ignored here, and not when it was handled here. So signals that
    were ignored are handled from now on, by doing nothing: a run that was to survive them still does.
    """
    ignored = {name for name in SIGNALS if signal.getsignal(signal.Signals[name]) is signal.SIG_IGN}
    # Workers start with the default, and have to be told.
    ignored |= {*os.environ.get("LATERCTL_TESTS_IGNORE", "").split()}
    os.environ["LATERCTL_TESTS_IGNORE"] = " ".join(sorted(ignored))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.Signals[name] for name in SIGNALS])
    for name in ignored - {"SIGINT"}:
        signal.signal(signal.Signals[name], lambda _number, _frame: None)
    signal.signal(signal.SIGINT, signal.default_int_handler)


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
