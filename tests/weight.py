"""What features may weigh and what they do weigh, in lines of code: `python -m tests.weight` prints the table.

A line of code is one with more on it than a comment or a docstring, of Python as a formatter has it at 88 columns.
"""

from __future__ import annotations

import ast
import io
import subprocess
import sys
import tokenize
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from laterctl.changeset import Change
from laterctl.engine.ledger import FOLDER
from laterctl.engine.plan import Request
from laterctl.features import catalogue
from laterctl.project.installed import file_of
from laterctl.targets.owned_file import OwnedFile
from tests import memory
from tests.shapes import shape_named
from tests.test_laws import project_files

SHAPES: Final = ("foundation", "flat")
TESTS: Final = 80
"""What a feature's dropped tests may have."""

BUDGETS: Final[Mapping[str, int]] = {
    "settings": 40,  # 29 for the base of all settings, 7 for a settings module where there is none
    "lifespan": 40,
    "errors": 60,
    "errors body=problem": 80,
    "routing": 75,
    "redis": 50,
    "redis-breaker": 52,  # 14 keep a burst of requests from looking like a server that is down
    "resources": 40,
    "resources redis=false": 40,
    "request-scope": 50,
    "cors": 90,  # request headers by a setting, and patterns in which a dot is not escaped
    "security-headers": 115,  # documentation pages on routes of the user's own
    "metrics": 150,
    "jwt": 290,
    "jwt refresh=redis": 350,
    "jwt refresh=off": 200,
    "jwt denylist=fail_closed": 330,
    "jwt refresh=redis denylist=fail_open": 390,
    "coverage": 150,
    "logging": 170,
    "logging library=loguru": 160,
    "logging config_file=yes": 185,
    "health": 85,
    "shutdown": 65,
    "docker": 70,
    "k8s": 110,
    "k8s probes=tcp": 95,
    "migrations": 128,  # 17 of the template of revisions, 11 that keep the foundation from making tables itself
    "migrations enums=yes": 130,
    "pooling": 105,  # asynchronous and synchronous, with what each driver calls its limits
    "permissions": 55,
    "permissions source=database": 70,  # what a caller may do now is asked of the authenticator of jwt
    "permissions source=own": 55,
    "rate-limit": 120,
    "rate-limit store=redis": 165,
    "tasks": 110,
    "tasks store=redis": 175,  # 26 are the process of workers, 37 tie tasks to commits where there is a database
    "websocket": 150,
    "websocket store=redis": 210,  # 60 that follow a channel: Redis that stops, stalls, and comes back
    "cache": 115,  # 6 are the dependency of routes, 8 say the type and the time of a namespace once
    "cache store=redis": 195,
    "tracing": 80,
    "replicas": 150,
    "secrets": 40,
    "secrets provider=vault": 216,  # 60 are settings and checks of them, 55 follow what changes and say what is down
    "secrets provider=vault login=kubernetes": 215,
    "secrets provider=vault database=yes": 265,  # passwords that were changed a moment ago cost no connection
    "di-testing": 40,
    "factory": 45,  # with two implementations
    "queries": 85,
    "versioning": 150,
    "versioning legacy=drop": 150,
    "bench": 0,  # a file of tests is all it is
    "load": 70,
    "profiling": 90,
    "e2e": 100,  # the server that its tests ask, in their conftest.py
}
"""The lines of code that a feature may add to a project, tests and wiring apart, by feature and options."""


@dataclass(frozen=True)
class Weight:
    """What one feature adds to a project that has all it requires.

    `code` and `tests` are lines of code by file, a conftest.py being code; `ledger` all lines of its entry, `wiring` the lines it adds to files
    that were there.
    """

    code: Mapping[str, int]
    tests: Mapping[str, int]
    ledger: int
    wiring: int


def rows() -> Iterator[str]:
    """Yield the rows of `BUDGETS` that can be measured: of features there are, with options that they have."""
    for row in BUDGETS:
        name, *given = row.split()
        if name in catalogue.module_names():
            offered = {option.name for option in catalogue.feature(name).options}
            if all(word.partition("=")[0] in offered for word in given):
                yield row


def weighed(row: str) -> list[str]:
    """Return the shapes that take the feature of a row."""
    return [
        shape for shape in SHAPES if row.split(maxsplit=1)[0] not in shape_named(shape).refuses and weigh(row, shape)
    ]


@cache
def weigh(row: str, shape: str) -> Weight | None:
    """Add a feature, by its row, to a shape that has what it requires; `None` where its options are refused."""
    name, *given = row.split()
    options = {name: dict(word.split("=") for word in given)} if given else {}
    closed = catalogue.closure([name], {}, lambda item: catalogue.needs_of(item, options.get(item)))
    requirements = tuple(item for item in closed if item != name)
    before = project_files(shape_named(shape))
    if requirements:
        before = memory.run(before, Request(add=requirements))
    plan = memory.planned(before, Request(add=(name,), options=options))
    if plan.refusals:
        return None
    entry = plan.entries[name]
    owned = {record.target.path for record in entry.records if isinstance(record.target, OwnedFile)}
    lines: dict[bool, dict[str, int]] = {True: {}, False: {}}
    for path in sorted(owned & {*plan.changeset}):
        if count := code_lines(path, (plan.changeset[path].after or b"").decode()):
            lines["tests/" in f"/{path}" and not path.endswith("/conftest.py")][path] = count
    edited = (change for path, change in plan.changeset.items() if path not in owned and not path.startswith(FOLDER))
    written = (plan.changeset[file_of(name)].after or b"").count(b"\n")
    return Weight(lines[False], lines[True], written, sum(map(added, edited)))


def added(change: Change) -> int:
    """Count the lines that a change adds."""
    before, after = ((data or b"").splitlines() for data in (change.before, change.after))
    return sum(1 for line in after if line.strip()) - sum(1 for line in before if line.strip())


def code_lines(path: str, text: str) -> int:
    """Count the lines of code of a file."""
    if not path.endswith(".py"):
        return sum(1 for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#"))
    text = formatted(text)
    texts = {
        number
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for number in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    blank = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    tokens = (item for item in tokenize.generate_tokens(io.StringIO(text).readline) if item.type not in blank)
    return len({number for item in tokens for number in range(item.start[0], item.end[0] + 1)} - texts)


@cache
def formatted(text: str) -> str:
    """Return Python as ruff writes it at 88 columns, where what fits a line is on one."""
    options = ("--isolated", "--line-length", "88", "--config", "format.skip-magic-trailing-comma=true")
    command = (sys.executable, "-m", "ruff", "format", "--quiet", "--no-cache", *options, "-")
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


def table() -> Iterator[str]:
    """Yield the lines of the table: each feature on each shape, beside its budget."""
    head = ("feature", "shape", "budget", "code", "files", "tests", "ledger", "wiring")
    yield "{:24} {:10} {:>6} {:>5} {:>5} {:>5} {:>6} {:>6}".format(*head)
    for row in rows():
        for shape in weighed(row):
            found = weigh(row, shape)
            code, tests = sum(found.code.values()), sum(found.tests.values())
            over = "  over" if code > BUDGETS[row] or tests > TESTS else ""
            yield (
                f"{row:24} {shape:10} {BUDGETS[row]:6} {code:5} {len(found.code):5} {tests:5} {found.ledger:6}"
                f" {found.wiring:6}{over}"
            )
            yield from (f"    {count:4} {path}" for path, count in {**found.code, **found.tests}.items())


if __name__ == "__main__":
    print("\n".join(table()))
