"""Doctor rules of `load`: a load generator in the process of tests."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from laterctl.doctor.code import Codebase
from laterctl.doctor.rule import Found, Rule, Severity
from laterctl.patterns import pattern
from laterctl.project.places import Place

_COLLECTED = pattern(r"(?:^|/)(?:test_[^/]*|[^/]*_test|conftest)\.py$")


def imported_by_tests(codebase: Codebase) -> Iterator[Found]:
    """Look for locust, and for what it does to sockets, in files that pytest imports."""
    for path in codebase.project.tree.files_containing_any((b"locust", b"gevent")):
        code = codebase.readable(path) if _COLLECTED.search(path) else None
        for visit in code.visits(ast.Import, ast.ImportFrom) if code is not None else ():
            node = visit.node
            module = getattr(node, "module", None)
            names = [f"{module}.{item.name}" if module else item.name for item in node.names]
            name = next((item for item in names if f"{item}.".startswith(("locust.", "gevent.monkey."))), "")
            if name and not getattr(node, "level", 0):
                yield Found(Place(path, visit.line), f"{name} gives every test of the run gevent's sockets")


LOA001 = Rule(
    id="LOA001",
    title="Tests import locust",
    why="Importing locust replaces sockets, locks and TLS of the whole process by gevent's: every test runs on them, "
    "whether it is selected or not. https://docs.locust.io/en/stable/faq.html",
    fix="keep it in load/locustfile.py, and run it by itself: laterctl add load",
    severity=Severity.ERROR,
    checks={Codebase: imported_by_tests},
    scripts=True,
    bad=({"tests/test_load.py": "from locust import HttpUser, task  # LOA001\n"},),
    good=({"load/locustfile.py": "from locust import HttpUser, task\n"},),
)
