"""Doctor rules of `profiling`: profilers that are not switched off again."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from laterctl.doctor.code import Visit
from laterctl.doctor.rule import Found, Rule
from laterctl.project.statements import Function, own_body

_PROFILERS = frozenset({"cProfile.Profile", "profile.Profile", "pyinstrument.Profiler"})
_BEGIN, _END = frozenset({"enable", "start"}), frozenset({"disable", "stop"})


def left_on(visit: Visit[Function]) -> Iterator[Found]:
    """Look for profilers that a function switches off where an exception does not come by."""
    body = [*own_body(visit.node)]
    for node in body:
        made = node.value if isinstance(node, ast.Assign) else None
        if isinstance(node, ast.Assign) and isinstance(made, ast.Call) and visit.resolve(made.func) in _PROFILERS:
            names = {ast.unparse(item) for item in node.targets}
            on, off = (_calls(body, names, methods) for methods in (_BEGIN, _END))
            finals = [item for each in body if isinstance(each, ast.Try) for item in each.finalbody]
            if on and off and not _calls((inner for item in finals for inner in ast.walk(item)), names, _END):
                yield Found(on[0].lineno, "an exception in between leaves the profiler on")


def _calls(nodes: Iterable[ast.AST], names: set[str], methods: frozenset[str]) -> list[ast.Call]:
    """Return the calls of some methods on names."""
    return [
        node
        for node in nodes
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in methods
        and ast.unparse(node.func.value) in names
    ]


_HEAD = "import cProfile\n\n\ndef measured(work):\n    profiler = cProfile.Profile()\n"

PRF001 = Rule(
    id="PRF001",
    title="A profiler stays on after an exception",
    why="Python has one profiler at a time: every later one raises ValueError, "
    "and until then all that the process does is slowed down. https://docs.python.org/3/library/profile.html",
    fix="with cProfile.Profile() as profiler: or switch it off in finally",
    needles=(b"profile", b"pyinstrument"),
    checks={ast.FunctionDef: left_on, ast.AsyncFunctionDef: left_on},
    bad=(
        f"{_HEAD}    profiler.enable()  # PRF001\n    result = work()\n    profiler.disable()\n    return result\n\n\n"
        "measured(print)\n",
    ),
    good=(
        f"{_HEAD}    profiler.enable()\n    try:\n        return work()\n    finally:\n        profiler.disable()\n",
        "import cProfile\n\n\ndef measured(work):\n    with cProfile.Profile() as profiler:\n        return work()\n",
    ),
)
