"""Doctor rules of `bench`: benchmarks that do not measure what they name."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from laterctl.doctor.code import Code, Codebase
from laterctl.doctor.rule import Found, Rule, Severity
from laterctl.project.places import Place

_FIXTURE = "benchmark"


def coroutine_measured(codebase: Codebase) -> Iterator[Found]:
    """Look for calls of the fixture with a function of the same file that is asynchronous."""
    for path in codebase.project.tree.files_containing(b"benchmark"):
        code = codebase.readable(path) if path.endswith(".py") else None
        for call in code.calls if code is not None else ():
            measured = _measured(call.node)
            if (
                measured is not None
                and code is not None
                and _is_awaited(code, measured)
                and _is_fixture(code, call.node)
            ):
                reason = f"{measured} is asynchronous: what is measured is how long its coroutine takes to be made"
                yield Found(Place(path, call.line), reason)


def _measured(call: ast.Call) -> str | None:
    """Return the name of what is given to `benchmark(...)` or `benchmark.pedantic(...)`, `None` for another call."""
    func = call.func
    if isinstance(func, ast.Attribute) and func.attr == "pedantic":
        func = func.value
    is_fixture = isinstance(func, ast.Name) and func.id == _FIXTURE
    first = call.args[0] if call.args else None
    return first.id if is_fixture and isinstance(first, ast.Name) else None


def _is_awaited(code: Code, name: str) -> bool:
    defined = [visit.node for visit in code.functions if visit.node.name == name]
    return bool(defined) and all(isinstance(item, ast.AsyncFunctionDef) for item in defined)


def _is_fixture(code: Code, call: ast.Call) -> bool:
    """Whether a function around the call takes the fixture, as pytest-benchmark has it."""
    around = (visit.node for visit in code.functions if any(item is call for item in ast.walk(visit.node)))
    return any(argument.arg == _FIXTURE for item in around for argument in item.args.args)


_WORK = "import asyncio\n\n\nasync def work():\n    await asyncio.sleep(0)\n\n\n"

BEN001 = Rule(
    id="BEN001",
    title="A benchmark is given an asynchronous function",
    why="pytest-benchmark calls what it is given and awaits nothing: the test is green, and measures a microsecond. "
    "https://github.com/ionelmc/pytest-benchmark/issues/66",
    fix="run it to its end: benchmark(lambda: runner.run(work())), with one asyncio.Runner for all rounds",
    severity=Severity.ERROR,
    checks={Codebase: coroutine_measured},
    scripts=True,
    bad=({"tests/test_work.py": f"{_WORK}def test_work(benchmark):\n    benchmark(work)  # BEN001\n"},),
    good=(
        {
            "tests/test_work.py": f"{_WORK}def test_work(benchmark):\n"
            "    with asyncio.Runner() as runner:\n        benchmark(lambda: runner.run(work()))\n"
        },
    ),
)
