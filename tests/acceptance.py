"""What each feature is accepted by, and the tests that show it: `python -m tests.acceptance` writes `docs/acceptance.md`.

A test shows the lines whose numbers its name begins with, or that its docstring names: `test_h1_h2_nothing_...` those of
`health`, `test_3_...` the third one of its own feature. A line that no test shows has its reason in `OPEN`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = ROOT / "docs" / "acceptance.md"

LINES: Final[Mapping[str, tuple[str, ...]]] = {
    "coverage": (
        "each module of the package is in the report, and no other",
        "below `fail_under` the run fails, and one without coverage does not",
        "a server that a test starts and ends counts",
        "in parallel the totals are those of one process",
        "no warning under `-W error`",
        "a configuration that is there, wherever, is not joined by a second",
    ),
    "request-scope": (
        "the id is on every answer: 200, 404, 422, 500, streams",
        "parallel requests, their threads and their background tasks see their own",
        "an id that is unfit is replaced, line ends never come back",
        "outside of a request there is a clear error",
        "a request sees nothing of the one before",
        "a WebSocket has one",
        "it stands outside of all other middleware",
    ),
    "logging": (
        "every line is strict JSON, whoever writes it",
        "with several workers, and under gunicorn",
        "an exception is one line, without variables",
        "one id in the header, the lines and the 500; parallel requests never mix",
        "trace ids are those of the exported span",
        "no query string, no secret",
        "the level is honoured, a wrong one stops the start by name",
        "`caplog` works, and nothing is there twice",
        "loggers made before it is configured write JSON too",
    ),
    "health": (
        "alive, whatever is stopped or stalls",
        "not ready within the timeout, and the check is named",
        "a storm of probes is one probe a dependency",
        "what is not critical is shown, and no more",
        "ready again without a restart",
        "no address, no password, no message of an exception",
        "draining while requests in flight end",
        "probes are in no log, metric or trace",
        "failing probes leave no connection behind",
    ),
    "shutdown": (
        "requests in flight are answered",
        "during the delay it is not ready and still answers",
        "a stream without an end is bounded, a wrapped one ends cleanly",
        "a cleanup that hangs stops no other",
        "a second signal ends the delay",
        "threads, reload, workers: handlers are as they were",
        "a start that fails takes back what it opened",
        "Windows has its own signals",
    ),
    "docker": (
        "it builds from a clean clone",
        "an outdated lock fails the build",
        "the installed package runs, not the folder",
        "not root, and nothing of the application can be written",
        "no secret, no test, no build tool in the image",
        "SIGTERM to the first process drains and ends with 0",
        "a changed source leaves the layer of dependencies alone",
        "hadolint has nothing to say",
        "a second add changes nothing, an existing file is never overwritten",
    ),
    "k8s": (
        "every Kubernetes from 1.30 on takes them, and a misspelt key is noticed",
        "probes ask for routes that answer",
        "requests under way end before the pod is killed, streams without an end are bounded",
        "secrets are referred to, and in no file",
        "not root, and nothing but `/tmp` can be written",
        "kustomize builds them, and a changed setting starts new pods",
        "manifests and charts that are there are left alone",
        "own probes or none, an image of one's own, any order",
    ),
    "migrations": (
        "up, check, down, up again; nothing is left behind",
        "two and four at once all succeed, with an index made concurrently",
        "SQL without a server, the same bytes each time",
        "the schema is the one of `create_all`",
        "any character in the password",
        "in the process of the application, whose loggers stay on",
        "from another folder",
        "SQLite in batches",
        "a new module of models is found",
    ),
    "pooling": (
        "a full pool answers 503 in time, and recovers",
        "a connection that the server ended costs no request",
        "a cancelled task gives its connection back",
        "a statement that takes too long is a 503 or 504, and its connection is good",
        "the server sees the application's name, and nothing after its end",
        "PgBouncer in transaction mode",
        "SQLite, in a file and in memory",
        "a restart of the server needs none of the application",
    ),
    "permissions": (
        "401, 403 with its challenge, 2xx: handlers and routers of every kind",
        "scopes of router and route add up; none, or a wrong one, fails the import",
        "what implies what is data, and a cycle fails the import",
        "the token or the database is the source",
        "objects of others are not there",
        "a test finds the route that nothing protects",
    ),
    "rate-limit": (
        "exactly the limit with four workers, and a truthful `Retry-After`",
        "the headers are on every limited answer",
        "by client and by user, IPv6 by /64, no raw path, no probe, no preflight",
        "without Redis it goes on, quickly, and comes back by itself",
        "forged addresses change nothing",
        "handshakes of WebSockets count",
        "keys have a prefix and end",
    ),
    "websocket": (
        "strangers are refused before they are connected: 401, 403",
        "a browser gives its token as a protocol, never in the URL",
        "an expired token and a lost permission close",
        "what is no text or too large closes, and nothing stays whatever ends a connection",
        "bounded queues and connections; one that reads nothing delays nobody",
        "with four workers every client gets a message, and the sender once",
        "without Redis connections stay, and come back to it",
        "at a stop every client is told",
    ),
    "tasks": (
        "while Redis stalls or is gone no other route waits: 503, soon",
        "a task waits for the commit, and a rollback drops it",
        "what a killed worker began is done by another, with one effect",
        "at a stop a running task ends, or is done by another",
        "tries, ages and sizes are bounded; what fails for good is kept and logged",
        "a worker has the resources of the application on one loop, and no routes; importing starts nothing",
        "the lines of a task name the request and the trace that left it",
        "two workers do each of a thousand tasks once",
    ),
    "cache": (
        "one load for two hundred callers in four processes",
        "lifetimes vary by a tenth",
        "`None` is kept",
        "an invalidation during a load wins",
        "an entry that cannot be read is loaded again",
        "an error reaches all who wait, and no lock stays",
        "a holder that died keeps nobody longer than its lease",
        "Redis refuses or hangs: reads go on, one warning, back without a restart",
        "one caller that leaves takes nothing from the others",
        "values come back equal, in type too",
        "flushed and evicted entries are no error",
        "an invalidation touches no other prefix",
        "no connection is left after the end",
        "an invalidation without Redis is logged as lost",
    ),
    "tracing": (
        "server, database and client spans of one trace, by the route's template",
        "SIGTERM right after the answer: the span arrives",
        "a collector that is down or stalls delays nothing",
        "no span for probes and scrapes",
        "an exception is an error, a 404 is none",
        "one server span a request",
        "contexts from outside: valid, invalid, not sampled, with state and baggage",
        "without an endpoint there is no thread and no line",
        "what is not installed is told, with what to do",
        "not sampled: nothing exported, ids still in the log",
        "log lines have the ids of the span",
        "no header and no parameter that is secret",
    ),
    "versioning": (
        "routes answer in a version, and as before at their old paths, which name their successor",
        "each response of a version says when it ends; afterwards 410; no end before the deprecation",
        "a new version has what it changes and the rest of the one before; ids, names and documents of its own",
        "a version that does not exist is 404 and names those that do",
        "paths are those below the root path, and the middleware stands in its place",
    ),
    "queries": (
        "a test fails where each parent asks for its children, with the count and the statement",
        "a hundred tasks at once count for themselves",
        "pages by key have each row once while rows come, and use the index",
        "a stream holds a bounded part of its rows",
        "nothing listens unless somebody counts",
    ),
    "factory": (
        "each implementation is the one that is asked for directly, always",
        "an unknown name is 400 with those that there are",
        "implementations get what they need, and tests override it",
        "one more implementation is one more entry",
        "a class that is no implementation is found by the type checker",
    ),
    "secrets": (
        "one protocol for the settings and for Vault; no message shows a value",
        "AppRole or a service account; tokens are renewed and replaced, a fixed one is for development",
        "a stall of Vault stalls nothing else",
        "the start waits for Vault, and names its address; later what was read holds, and readiness tells",
        "passwords of the database change under load",
        "keys of tokens change in all processes, and the version before verifies",
        "certificates are checked, and the policy allows what is read alone",
        "nothing is written",
    ),
    "di-testing": (
        "a request over HTTP sees the fake",
        "after the block the real one, singletons above it too",
        "after an exception too",
        "a name that is not there fails before anything changes",
        "every mode of asyncio, under warnings as errors",
    ),
    "bench": (
        "no test imports locust or gevent",
        "what is measured is executed, and awaited, without a warning",
        "results are written as JSON, and compared",
    ),
    "e2e": (
        "they pass twice on the same database",
        "an application that cannot start fails them, and its log says why",
        "no process is left, after failures, one that does not stop, and Ctrl-C",
        "in parallel each worker has a server",
        "what the server runs is covered",
    ),
    "profiling": (
        "without a token it is not in the stack, and pyinstrument is not imported",
        "without the right token the answer is the usual one, and nothing is written",
        "a busy function is named, and not in the profile of a request at the same time",
        "an exception has its profile, and so has the next request",
        "streams are not held back, WebSockets are left alone",
        "only so many are kept, under names that nobody else chooses",
    ),
    "load": ("the exit code is that of the requests: some, few that fail, few that take long",),
    "metrics": (
        "series are bounded",
        "labels are exact",
        "both formats parse, and carry a version",
        "durations reach to the last byte",
        "who leaves is counted once",
        "workers share their counts",
        "an exemplar names the trace",
        "scrapes are not counted",
        "a token closes the endpoint",
    ),
}
"""The lines of each list, in order; the first one has number 1."""

LETTERS: Final[Mapping[str, str]] = {
    "coverage": "C",
    "health": "H",
    "shutdown": "G",
    "docker": "D",
    "k8s": "K",
    "logging": "L",
    "tracing": "O",
    "metrics": "M",
    "bench": "B",
    "e2e": "E",
    **dict.fromkeys(("request-scope", "migrations", "pooling", "queries", "factory", "di-testing", "cache"), "A"),
}
"""What stands before the numbers of a list."""

OPEN: Final[Mapping[tuple[str, int], str]] = {
    ("tracing", 9): "what it imports is declared; a missing package is the interpreter's own error, which names it",
}
"""Why no test shows a line."""

_NUMBERS: Final = re.compile(r"test((?:_[a-z]?\d+)+)_")


def shown(feature: str) -> dict[int, list[tuple[str, str]]]:
    """Return the tests that show a feature's lines, by the line's number: the file's path and the test's name."""
    found: dict[int, list[tuple[str, str]]] = {number: [] for number, _ in enumerate(LINES[feature], 1)}
    for path in sorted((ROOT / "tests" / "features").glob("test_*.py")):
        own = path.stem == f"test_{feature.replace('-', '_')}"
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for number in sorted(_numbers(feature, node, own=own) & found.keys()):
                    found[number].append((path.relative_to(ROOT).as_posix(), node.name))
    return found


def _numbers(feature: str, test: ast.FunctionDef | ast.AsyncFunctionDef, *, own: bool) -> set[int]:
    """Return the lines of a feature that a test names; one of another feature by its letter, if no other has that."""
    match = _NUMBERS.match(test.name)
    words = re.findall(r"_([a-z]?)(\d+)", match[1]) if match is not None else []
    words += re.findall(r"\b([A-Z])(\d+)\b", ast.get_docstring(test) or "")
    letter = LETTERS.get(feature, "")
    alone = [*LETTERS.values()].count(letter) == 1
    letters = ({letter} if own or alone else set()) | ({""} if own else set())
    return {int(number) for name, number in words if name.upper() in letters}


def page() -> str:
    """Return the page: for each feature its lines, and the tests that show them."""
    return "\n".join(_rows())


def _rows() -> Iterator[str]:
    yield "# Acceptance"
    yield ""
    yield "What each feature is accepted by, and the tests that show it. Written by `python -m tests.acceptance`."
    for feature, lines in LINES.items():
        yield from ("", f"## {feature}", "", "| | line | shown by |", "| --- | --- | --- |")
        tests = shown(feature)
        for number, line in enumerate(lines, 1):
            links = [f"[{name}](../{path})" for path, name in tests[number]]
            said = "<br>".join(links) or f"*{OPEN.get((feature, number), 'nothing yet')}*"
            yield f"| {LETTERS.get(feature, '')}{number} | {line} | {said} |"
    yield ""


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
