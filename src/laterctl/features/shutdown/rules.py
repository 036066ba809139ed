"""Doctor rules of `shutdown`: what keeps a server from stopping, or stops it before it has drained."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from laterctl.doctor.code import Visit
from laterctl.doctor.http import is_lifespan
from laterctl.doctor.rule import Found, Rule, Severity
from laterctl.project.statements import nodes

_STOPS = frozenset({"signal.SIGTERM", "signal.SIGINT"})
_EXITS = frozenset({"sys.exit", "os._exit", "os.abort"})


def replaced_handler(call: Visit[ast.Call]) -> Iterator[Found]:
    """Look for handlers of the signals to stop that an application installs."""
    number = call.argument(0, "sig", "signalnum")
    if number is None or call.resolve(number) not in _STOPS:
        return
    if call.method == "add_signal_handler":
        yield Found(call.line, "the handler of the server is gone: nothing tells it to stop")
    elif call.target == "signal.signal" and not call.spot.scope and not _is_main(call):
        yield Found(call.line, "uvicorn installs its own handler over this one, or this one takes its place")


def _is_main(call: Visit[ast.Call]) -> bool:
    """Whether a call stands in what runs only when the file is started itself."""
    around = (node for node in call.code.enclosing(call.spot) if isinstance(node, ast.If))
    return any("__name__" in ast.unparse(node.test) for node in around)


def exit_in_lifespan(visit: Visit[ast.AsyncFunctionDef]) -> Iterator[Found]:
    """Look into a lifespan for what ends the process."""
    for node in nodes(visit.node) if is_lifespan(visit) else ():
        if isinstance(node, ast.Call) and (name := visit.resolve(node.func)) in _EXITS:
            yield Found(node.lineno, f"{name} ends the process, and what else is to be closed stays open")


_LIFESPAN = """\
import sys
from contextlib import asynccontextmanager

from fastapi import FastAPI


@asynccontextmanager
async def lifespan(app: FastAPI):
    yield


app = FastAPI(lifespan=lifespan)
"""
_SIGNALS = "import asyncio\nimport signal\n\nfrom fastapi import FastAPI\n\napp = FastAPI()\nstop = asyncio.Event()\n"

SHD001 = Rule(
    id="SHD001",
    title="The application installs a handler for a signal that stops the server",
    why="The server has one. Where the application is imported first, its handler is replaced and never called; where it "
    "comes later, the server never hears of the stop and serves until it is killed. "
    "https://www.uvicorn.org/server-behavior/#graceful-process-shutdown",
    fix="put what is to be done at the stop behind the `yield` of the lifespan",
    severity=Severity.ERROR,
    needles=(b"SIGTERM", b"SIGINT"),
    checks={ast.Call: replaced_handler},
    bad=(
        f"{_SIGNALS}\nsignal.signal(signal.SIGTERM, lambda *_: stop.set())  # SHD001\n",
        _LIFESPAN.replace("import sys", "import asyncio\nimport signal").replace(
            "    yield\n",
            "    stop = asyncio.Event()\n"
            "    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)  # SHD001\n    yield\n",
        ),
    ),
    good=(
        f"{_SIGNALS}\nsignal.signal(signal.SIGUSR1, print)\n",
        f"{_SIGNALS}\nif __name__ == '__main__':\n    signal.signal(signal.SIGTERM, print)\n",
    ),
)
SHD002 = Rule(
    id="SHD002",
    title="A lifespan ends the process",
    why="The server is in the middle of its stop or its start: what other code has opened is not closed, and requests "
    "are not answered.",
    fix="raise an exception to refuse the start, and return at the stop",
    severity=Severity.ERROR,
    needles=(b"asynccontextmanager",),
    checks={ast.AsyncFunctionDef: exit_in_lifespan},
    bad=(_LIFESPAN.replace("    yield\n", "    yield\n    sys.exit(0)  # SHD002\n"),),
    good=(
        _LIFESPAN,
        _LIFESPAN.replace("    yield\n", "    if not app.routes:\n        raise RuntimeError\n    yield\n"),
    ),
)
