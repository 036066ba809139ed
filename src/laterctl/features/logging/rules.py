"""Doctor rules of `logging`: what puts secrets into the log, or keeps lines in another form, in code written by hand."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from laterctl.doctor.code import Code, Visit
from laterctl.doctor.rule import Found, Rule, Severity

GETTERS = frozenset({"structlog.get_logger", "structlog.getLogger", "structlog.stdlib.get_logger"})
TRACEBACKS = "structlog.processors.dict_tracebacks"


def ready_made(code: Code) -> Iterator[Found]:
    """Look for structlog's ready-made processor of tracebacks."""
    for visit in code.visits(ast.ImportFrom):
        module, names = visit.node.module, [alias.name for alias in visit.node.names]
        if f"{module}.dict_tracebacks" == TRACEBACKS and "dict_tracebacks" in names:
            yield Found(visit.line, "dict_tracebacks writes the local variables of each frame")
    for visit in code.visits(ast.Attribute):
        if code.resolve(visit.node, visit.spot.scope) == TRACEBACKS:
            yield Found(visit.line, "dict_tracebacks writes the local variables of each frame")


def transformer(call: Visit[ast.Call]) -> Iterator[Found]:
    """Look for a transformer of exceptions that shows variables."""
    if call.target == "structlog.tracebacks.ExceptionDictTransformer" and _is_left(call, "show_locals", 0):
        yield Found(call.line, "ExceptionDictTransformer has show_locals=True unless it is told")


def diagnosing(call: Visit[ast.Call]) -> Iterator[Found]:
    """Look for sinks of loguru that show variables."""
    if call.target == "loguru.logger.add" and _is_left(call, "diagnose"):
        yield Found(call.line, "logger.add() has diagnose=True unless it is told")


def bound_at_import(call: Visit[ast.Call]) -> Iterator[Found]:
    """Look for loggers of structlog that are bound where a module is imported."""
    called = call.node.func
    if call.spot.scope or not isinstance(called, ast.Attribute) or called.attr not in {"bind", "new"}:
        return
    made = call.code.value(called.value)
    if isinstance(made, ast.Call) and call.code.resolve(made.func) in GETTERS:
        yield Found(call.line, f"{called.attr}() at import keeps the configuration that there is so far")


def _is_left(call: Visit[ast.Call], name: str, position: int | None = None) -> bool:
    """Whether an argument of a call has its default, or is true."""
    words = {word.arg: word.value for word in call.node.keywords}
    args = call.node.args
    if None in words or any(isinstance(item, ast.Starred) for item in args):
        return False
    given = words.get(name) or (args[position] if position is not None and len(args) > position else None)
    return given is None or (isinstance(given, ast.Constant) and given.value is True)


LOG001 = Rule(
    id="LOG001",
    title="Tracebacks in structlog's events have local variables",
    why="A password or a token in a variable of any frame is in the log then: "
    "https://www.structlog.org/en/stable/api.html#structlog.tracebacks.ExceptionDictTransformer",
    fix="use ExceptionRenderer(ExceptionDictTransformer(show_locals=False))",
    severity=Severity.ERROR,
    needles=(b"dict_tracebacks", b"ExceptionDictTransformer"),
    checks={Code: ready_made, ast.Call: transformer},
    bad=(
        "import structlog\n\nstructlog.configure(processors=[structlog.processors.dict_tracebacks])  # LOG001\n",
        "from structlog.processors import dict_tracebacks  # LOG001\n\nPROCESSORS = [dict_tracebacks]\n",
        "from structlog.tracebacks import ExceptionDictTransformer\n\nerrors = ExceptionDictTransformer()  # LOG001\n",
    ),
    good=(
        "from structlog.tracebacks import ExceptionDictTransformer\n\n"
        "errors = ExceptionDictTransformer(show_locals=False)\n",
    ),
)

LOG002 = Rule(
    id="LOG002",
    title="Tracebacks that loguru writes have the values of variables",
    why="A password or a token in a variable is in the log then: "
    "https://loguru.readthedocs.io/en/stable/resources/recipes.html#security-considerations-when-using-loguru",
    fix="pass diagnose=False",
    severity=Severity.ERROR,
    needles=(b"loguru",),
    checks={ast.Call: diagnosing},
    bad=('from loguru import logger\n\nlogger.add("app.log", serialize=True)  # LOG002\n',),
    good=('from loguru import logger\n\nlogger.add("app.log", serialize=True, diagnose=False)\n',),
)

LOG003 = Rule(
    id="LOG003",
    title="A logger of structlog is bound while its module is imported",
    why="bind() takes the configuration of that moment, so what it logs keeps the default form where structlog is "
    "configured later: https://www.structlog.org/en/stable/getting-started.html",
    fix="keep what get_logger() returns, and bind in functions; or give the values to get_logger()",
    needles=(b"structlog",),
    checks={ast.Call: bound_at_import},
    bad=('import structlog\n\nlog = structlog.get_logger().bind(part="orders")  # LOG003\n',),
    good=(
        'import structlog\n\nlog = structlog.get_logger(part="orders")\n\n\n'
        "def order(number: int) -> None:\n    log.bind(number=number).info('ordered')\n",
    ),
)
