"""Doctor rules of `health`: probes that say the wrong thing, or too much."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from laterctl.doctor.code import Visit, argument_of, constant, method_of
from laterctl.doctor.http import is_verb
from laterctl.doctor.rule import Found, Rule, Severity
from laterctl.project.statements import nodes

LIVENESS = frozenset({"live", "livez", "liveness", "alive"})
PROBES = LIVENESS | {"health", "healthz", "healthcheck", "ready", "readyz", "readiness", "startup", "startupz"}
_ASKS = frozenset({"execute", "scalar", "scalars", "exec", "ping", "connect", "begin", "fetch", "fetchval", "fetchrow"})
_SHOWS = frozenset({"str", "repr"})


def asking_liveness(visit: Visit[Any]) -> Iterator[Found]:
    """Look into the route of a liveness probe for what asks a database or a cache."""
    if _words(visit) & LIVENESS:
        for node in nodes(visit.node):
            if isinstance(node, ast.Await | ast.withitem):
                called = node.value if isinstance(node, ast.Await) else node.context_expr
                if method_of(called) in _ASKS:
                    yield Found(called.lineno, f"{visit.node.name} fails when something else does not answer")


def shown_exception(visit: Visit[Any]) -> Iterator[Found]:
    """Look into the route of a probe for the text of an exception in what it answers."""
    for handler in nodes(visit.node) if _words(visit) & PROBES else ():
        if not isinstance(handler, ast.ExceptHandler) or not handler.name:
            continue
        answers = (node for node in nodes(handler) if isinstance(node, ast.Return | ast.Raise))
        for answer in answers:
            if any(_shows(node, handler.name) for part in ast.iter_child_nodes(answer) for node in nodes(part)):
                yield Found(answer.lineno, f"{visit.node.name} answers with the text of an exception")


def _words(visit: Visit[Any]) -> set[str]:
    """Return the last parts of the paths that a function answers."""
    routes = (item for item in visit.node.decorator_list if is_verb(item))
    return {str(constant(argument_of(item, 0, "path"))).rstrip("/").rpartition("/")[2].lower() for item in routes}


def _shows(node: ast.AST, name: str) -> bool:
    if isinstance(node, ast.FormattedValue):
        shown = node.value
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _SHOWS and node.args:
        shown = node.args[0]
    else:
        return False
    return isinstance(shown, ast.Name) and shown.id == name


_ROUTE = """\
from fastapi import APIRouter, HTTPException

from app.db import engine

router = APIRouter()


@router.get("/health/{path}")
async def probe():
"""
_TRY = "    try:\n        await engine.ping()\n    except Exception as error:\n"

HLT001 = Rule(
    id="HLT001",
    title="The liveness probe asks something that a restart does not mend",
    why="When the database is away for a moment, every process is restarted at once, and the restarts keep it away. "
    "https://kubernetes.io/docs/concepts/workloads/pods/probes/",
    fix="answer without asking anything; what the application depends on belongs in the readiness probe",
    needles=tuple(word.encode() for word in sorted(LIVENESS)),
    checks={ast.AsyncFunctionDef: asking_liveness, ast.FunctionDef: asking_liveness},
    bad=(
        _ROUTE.replace("{path}", "live") + '    await engine.ping()  # HLT001\n    return {"status": "alive"}\n',
        _ROUTE.replace("{path}", "live")
        + "    async with engine.connect() as connection:  # HLT001\n"
        + '        await connection.execute("SELECT 1")  # HLT001\n',
    ),
    good=(
        _ROUTE.replace("{path}", "live") + '    return {"status": "alive"}\n',
        _ROUTE.replace("{path}", "ready") + "    await engine.ping()\n",
    ),
)
HLT002 = Rule(
    id="HLT002",
    title="A probe answers with the text of an exception",
    why="Probes want no login, and such a text names hosts, users and versions, now and then a password: CWE-209.",
    fix="log it, and answer with a word of your own",
    needles=(b"except",),
    checks={ast.AsyncFunctionDef: shown_exception, ast.FunctionDef: shown_exception},
    bad=(
        _ROUTE.replace("{path}", "ready") + f'{_TRY}        return {{"status": str(error)}}  # HLT002\n',
        _ROUTE.replace("{path}", "ready") + f'{_TRY}        raise HTTPException(503, f"no: {{error}}")  # HLT002\n',
    ),
    good=(
        _ROUTE.replace("{path}", "ready")
        + f"{_TRY}        print(error)\n        raise HTTPException(503) from error\n",
    ),
    severity=Severity.WARNING,
)
