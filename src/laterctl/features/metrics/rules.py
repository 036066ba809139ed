"""Doctor rules of `metrics`: what makes a Prometheus grow without end, or count wrongly, in code written by hand.

What a label may hold: https://prometheus.io/docs/practices/naming/#labels; several processes:
https://prometheus.github.io/client_python/multiprocess/
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from laterctl.doctor.code import Code, Codebase, Visit, constant, method_of, receiver_of
from laterctl.doctor.http import is_http_decorator, per_request
from laterctl.doctor.processes import several
from laterctl.doctor.rule import MAIN, Found, Rule, Severity
from laterctl.project.installed import file_of
from laterctl.project.names import Own, dotted_path
from laterctl.project.origin import is_signed
from laterctl.project.places import Place, is_test_or_docs
from laterctl.project.statements import (
    Function,
    StatementRef,
    assigned_value,
    bound_targets,
    expressions,
    is_main_guard,
    own_nodes,
    spots_in,
)
from laterctl.project.variables import is_set

METRICS = frozenset(
    f"prometheus_client.{kind}" for kind in ("Counter", "Gauge", "Histogram", "Summary", "Info", "Enum")
)
DEFINED_IN = "prometheus_client.metrics."
MULTIPROC = frozenset({"PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir"})
REQUESTS = frozenset({"starlette.requests.Request", "starlette.requests.HTTPConnection"})
PERSONAL = frozenset(
    {
        *("user", "user_id", "userid", "username", "user_name", "user_email", "email", "email_address", "phone"),
        *("id", "uuid", "guid", "request_id", "correlation_id", "trace_id", "span_id", "session", "session_id"),
        *("ip", "ip_address", "client_ip", "remote_addr", "token", "url", "full_url", "query", "query_string"),
    }
)

_DEPTH = 3  # from the value of a label through names and functions
_RENDERERS = frozenset(
    f"prometheus_client.{name}"
    for name in ("generate_latest", "make_asgi_app", "exposition.generate_latest", "asgi.make_asgi_app")
)
_EXPORTERS = (b"prometheus_fastapi_instrumentator", b"starlette_exporter", b"starlette_prometheus")
_SERVES = (b"generate_latest", b"make_asgi_app", b"make_wsgi_app", b"start_http_server", b"start_wsgi_server")
_COLLECTS = (b"MultiProcessCollector", b"mark_process_dead")
_USES = frozenset(
    {"inc", "dec", "set", "observe", "time", "count_exceptions", "track_inprogress", "set_to_current_time"}
)
_TEXT = frozenset({"str", "repr"})


def raw_path(call: Visit[ast.Call]) -> Iterator[Found]:
    """Look at the values of labels."""
    if call.method == "labels" and _is_metric(call):
        values = [*call.node.args, *(keyword.value for keyword in call.node.keywords)]
        if any(_is_raw_path(value, call) for value in values):
            reason = "the path of the request is the value of a label: every id and every scanned path is a new series"
            yield Found(call.line, reason)


def late_directory(code: Code) -> Iterator[Found]:
    """Look for the variable being set behind the import of the client, where the module itself does both."""
    imported = 0
    if any(call.target == "uvicorn.run" for call in code.calls):
        return  # a script that starts other processes: those look for it themselves
    guards = [visit.spot for visit in code.visits(ast.If) if is_main_guard(visit.node)]
    for visit in code.statements:
        # What runs later, in a function or as a script, may run in a parent that starts the processes that count.
        if visit.spot.scope or any(visit.spot.body[: len(guard.inner)] == guard.inner for guard in guards):
            continue
        if imported and _sets_directory(visit):
            reason = f"prometheus_client was imported in line {imported} and has looked for PROMETHEUS_MULTIPROC_DIR"
            yield Found(visit.line, reason)
        if not imported and _imports_client(visit.node):
            imported = visit.line


def label_without_bound(call: Visit[ast.Call]) -> Iterator[Found]:
    """Look at the names of labels."""
    for name in _label_names(call):
        if name.lower() in PERSONAL:
            reason = f"the label {name!r} has as many values as there are users or requests, each a new series"
            yield Found(call.line, reason)


def workers_that_count_apart(codebase: Codebase) -> Iterator[Found]:
    """Look for places that start several workers, where metrics are served and nobody has thought of them."""
    project = codebase.project
    if not _serves(codebase):
        return
    started = [item for item in several(codebase) if not item.replicas]
    if started and not is_set(project.tree, "PROMETHEUS_MULTIPROC_DIR"):
        for item in started:
            reason = f"with {item.what} and no PROMETHEUS_MULTIPROC_DIR a scrape reads the counters of one process"
            yield Found(item.place, reason)


def default_registry(codebase: Codebase) -> Iterator[Found]:
    """Look for the registry of one process being served, where several workers share a folder."""
    project = codebase.project
    if not several(codebase) or not is_set(project.tree, "PROMETHEUS_MULTIPROC_DIR"):
        return
    codes = list(codebase.containing(b"prometheus_client"))
    if any(code.mentions(*(word.lower() for word in _COLLECTS)) for code in codes):
        return
    for call in (call for code in codes for call in code.calls):
        if call.target in _RENDERERS and call.argument(0, "registry") is None:
            reason = (
                f"{call.target.rpartition('.')[2]}() serves the registry of one process, though several share a folder"
            )
            yield Found(Place(call.code.path, call.line), reason)


def metric_per_request(call: Visit[ast.Call]) -> Iterator[Found]:
    """Look for metrics that are made in what runs for each request, and registered where all of them are."""
    if not _is_metric_class(call.target) or call.keyword("registry") is not None:
        return
    guarded = any(isinstance(node, ast.Try | ast.If) for node in call.code.enclosing(call.spot))
    inner = call.spot.scope[-1] if call.spot.scope else None
    if inner in per_request(call.code) and not guarded:
        kind = call.target.rpartition(".")[2]
        yield Found(call.line, f"{inner.name} makes a {kind} each time: the second one is refused as a duplicate")


def _serves(codebase: Codebase) -> bool:
    """Whether metrics are served, by our feature or by hand, and not collected from several processes already."""
    tree = codebase.project.tree
    served = tree.exists(file_of("metrics"))
    for path in tree.files_containing_any((b"prometheus_client", *_EXPORTERS)):
        data = tree.read(path) or b""
        if is_test_or_docs(path) or is_signed(tree, path):
            continue
        if any(word in data for word in _COLLECTS):
            return False
        served = served or any(word in data for word in (*_EXPORTERS, *_SERVES))
    return served


def _is_metric(call: Visit[ast.Call]) -> bool:
    # A metric that this file makes, or the idiom that only a metric has: `.labels(...).inc()`.
    made = call.code.value(call.node.func.value) if isinstance(call.node.func, ast.Attribute) else None
    if isinstance(made, ast.Call) and _is_metric_class(call.code.resolve(made.func)):
        return True
    outer = (
        node for node in expressions(call.spot.node) if isinstance(node, ast.Attribute) and node.value is call.node
    )
    return any(node.attr in _USES for node in outer)


def _is_metric_class(target: str) -> bool:
    return target in METRICS or f"prometheus_client.{target.removeprefix(DEFINED_IN)}" in METRICS


def _is_raw_path(node: ast.expr, call: Visit[Any], depth: int = _DEPTH) -> bool:
    """Whether a value is, or in some case may be, the path of the request as it came."""
    if isinstance(node, ast.Call):
        return _gives_raw_path(node, call, depth)
    if isinstance(node, ast.JoinedStr):
        parts = [part.value for part in node.values if isinstance(part, ast.FormattedValue)]
        return any(_is_raw_path(part, call, depth) for part in parts)
    if isinstance(node, ast.IfExp | ast.BoolOp):
        cases = [node.body, node.orelse] if isinstance(node, ast.IfExp) else node.values
        return any(_is_raw_path(case, call, depth) for case in cases)
    if isinstance(node, ast.Name):
        values = _local_values(node.id, call.spot) if depth else []
        return any(_is_raw_path(value, call, depth - 1) for value in values)
    match node:
        case ast.Attribute(value=ast.Attribute(value=ast.Name(id=name), attr="url"), attr="path"):
            return _is_request(name, call)
        case ast.Attribute(value=ast.Name(id=name), attr="url"):
            return _is_request(name, call)
        case ast.Subscript(
            value=ast.Attribute(value=ast.Name(id=name), attr="scope"), slice=ast.Constant(value="path")
        ):
            return _is_request(name, call)
        case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value="path" | "raw_path")):
            return _is_scope(name, call.spot)
    return False


def _gives_raw_path(node: ast.Call, call: Visit[Any], depth: int) -> bool:
    if isinstance(node.func, ast.Name) and node.func.id in _TEXT and node.args:
        return _is_raw_path(node.args[0], call, depth)
    if (isinstance(node.func, ast.Name) and node.func.id == "getattr") or method_of(node) == "get":
        return any(_is_raw_path(fallback, call, depth) for fallback in node.args[1:])
    found = _function_called(node, call) if depth else None
    if found is None:
        return False
    code, function = found
    returns = [visit for visit in code.visits(ast.Return) if visit.spot.scope and visit.spot.scope[-1] is function]
    return any(item.node.value is not None and _is_raw_path(item.node.value, item, depth - 1) for item in returns)


def _function_called(node: ast.Call, call: Visit[Any]) -> tuple[Code, Function] | None:
    """Return the function of the project that a call calls, a method of the same class included."""
    owners = [scope for scope in call.spot.scope if isinstance(scope, ast.ClassDef)]
    if owners and receiver_of(node) in {"self", "cls", owners[-1].name}:
        methods = [item for item in owners[-1].body if isinstance(item, Function) and item.name == method_of(node)]
        return (call.code, methods[0]) if methods else None
    codebase = call.code.codebase
    own = codebase.project.names.lookup(node.func, call.code.path, call.spot.scope)
    statement = codebase.project.names.statement(own) if isinstance(own, Own) else None
    code = codebase.readable(own.path) if isinstance(own, Own) else None
    return (code, statement) if code is not None and isinstance(statement, Function) else None


def _functions(spot: StatementRef) -> list[Function]:
    return [scope for scope in reversed(spot.scope) if isinstance(scope, Function)]


def _is_request(name: str, call: Visit[ast.Call]) -> bool:
    """Whether `name` is a parameter, of the nearest function that has it, that holds a request."""
    for function in _functions(call.spot):
        for argument in _arguments(function):
            if argument.arg == name and argument.annotation is not None:
                return call.resolve(argument.annotation) in REQUESTS
            if argument.arg == name:
                decorated = any(is_http_decorator(item) for item in function.decorator_list)
                return name in {"request", "req"} and (decorated or function.name == "dispatch")
    return False


def _is_scope(name: str, spot: StatementRef) -> bool:
    # An ASGI application: __call__(self, scope, receive, send), or a function in it.
    for function in _functions(spot):
        names = [argument.arg for argument in _arguments(function)]
        if name in names:
            return names[-3:] == [name, "receive", "send"]
    return False


def _arguments(function: Function) -> list[ast.arg]:
    return [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]


def _local_values(name: str, spot: StatementRef) -> list[ast.expr]:
    """Return what the innermost function may have put into a name by plain assignments, as far as nothing replaces it.

    A later assignment in the same list of statements, or in one around it, replaces what an earlier one put there.
    """
    functions = _functions(spot)[:1]
    found = [inner for function in functions for inner in spots_in(function.body, ()) if not inner.scope]
    bound = [inner for inner in found if name in map(dotted_path, bound_targets(inner.node))]

    def is_replaced(item: StatementRef) -> bool:
        later = (other for other in bound if other.node.lineno > item.node.lineno)
        return any(item.body[: len(other.body)] == other.body for other in later)

    kept = [item.node for item in bound if not is_replaced(item)]
    plain = (
        node
        for node in kept
        if isinstance(node, ast.AnnAssign) or (isinstance(node, ast.Assign) and len(node.targets) == 1)
    )
    return [value for node in plain if (value := assigned_value(node)) is not None]


def _imports_client(node: ast.stmt) -> bool:
    if isinstance(node, ast.ImportFrom):
        return not node.level and (node.module or "").partition(".")[0] == "prometheus_client"
    names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
    return any(name.partition(".")[0] == "prometheus_client" for name in names)


def _sets_directory(visit: Visit[ast.stmt]) -> bool:
    node = visit.node
    if isinstance(node, ast.Assign):
        slots = [target for target in node.targets if isinstance(target, ast.Subscript)]
        return any(visit.resolve(slot.value) == "os.environ" and constant(slot.slice) in MULTIPROC for slot in slots)
    for call in own_nodes(node) if isinstance(node, ast.Expr) else ():
        if not isinstance(call, ast.Call) or not call.args:
            continue
        target, first = visit.resolve(call.func), call.args[0]
        keys = [first] if target in {"os.environ.setdefault", "os.putenv"} else []
        if target == "os.environ.update" and isinstance(first, ast.Dict):
            keys = [key for key in first.keys if key is not None]
        if any(constant(key) in MULTIPROC for key in keys):
            return True
    return False


def _label_names(call: Visit[ast.Call]) -> list[str]:
    names: object = ()
    if _is_metric_class(call.target):
        names = call.code.literal(call.argument(2, "labelnames"))
    return [name for name in names if isinstance(name, str)] if isinstance(names, list | tuple | set) else []


_NEEDLES = (b"prometheus_client",)
_COUNT = """\
from fastapi import FastAPI, Request
from prometheus_client import Counter

REQUESTS = Counter("requests_total", "Requests.", ["method", "path"])
app = FastAPI()


@app.middleware("http")
async def count(request: Request, call_next):
    response = await call_next(request)
"""
_SHARED = "ENV PROMETHEUS_MULTIPROC_DIR=/tmp/m\nCMD uvicorn app.main:app --workers 4\n"
_LATEST = """\
from fastapi import FastAPI, Response
from prometheus_client import CollectorRegistry, generate_latest, multiprocess

app = FastAPI()


@app.get("/metrics")
def metrics() -> Response:
"""
_ORDERS = """\
from fastapi import FastAPI
from prometheus_client import Counter

app = FastAPI()
"""
_SERVED = {
    MAIN: "from fastapi import FastAPI\nfrom prometheus_client import make_asgi_app\n\n"
    'app = FastAPI()\napp.mount("/metrics", make_asgi_app())\n',
}

MET001 = Rule(
    id="MET001",
    title="The path of the request is the value of a label",
    why="Each id and each address that somebody scans makes a time series, and none is ever given up. "
    "https://prometheus.io/docs/practices/naming/#labels",
    fix="label with the template of the route, such as /items/{item_id}",
    severity=Severity.ERROR,
    needles=_NEEDLES,
    checks={ast.Call: raw_path},
    bad=(
        f"{_COUNT}    REQUESTS.labels(request.method, request.url.path).inc()  # MET001\n    return response\n",
        f'{_COUNT}    route = request.scope.get("route")\n    path = route.path if route else request.url.path\n'
        "    REQUESTS.labels(request.method, path).inc()  # MET001\n    return response\n",
    ),
    good=(
        f'{_COUNT}    route = request.scope.get("route")\n    path = route.path if route else "none"\n'
        "    REQUESTS.labels(request.method, path).inc()\n    return response\n",
        f'{_COUNT}    REQUESTS.labels(request.method, request.scope["route"].path).inc()\n    return response\n',
    ),
)
MET002 = Rule(
    id="MET002",
    title="PROMETHEUS_MULTIPROC_DIR is set after `prometheus_client` was imported",
    why="The client looks for it when it is imported; set later, each process counts for itself. "
    "https://prometheus.github.io/client_python/multiprocess/",
    fix="set it where the server is started: in the service, the container or the start script",
    severity=Severity.ERROR,
    needles=_NEEDLES,
    checks={Code: late_directory},
    bad=(
        "import os\n\nfrom prometheus_client import Counter\n\n"
        'os.environ["PROMETHEUS_MULTIPROC_DIR"] = "/tmp/metrics"  # MET002\n',
    ),
    good=(
        'import os\n\nos.environ["PROMETHEUS_MULTIPROC_DIR"] = "/tmp/metrics"\n\n'
        "from prometheus_client import Counter\n",
    ),
)
MET003 = Rule(
    id="MET003",
    title="A label is named after something with as many values as there are users or requests",
    why="Each value makes a time series, and none is ever given up; personal data gets into the monitoring. "
    "https://prometheus.io/docs/practices/naming/#labels",
    fix="leave it out: logs and traces are the place for it",
    needles=_NEEDLES,
    checks={ast.Call: label_without_bound},
    bad=('from prometheus_client import Counter\n\nORDERS = Counter("orders", "Orders.", ["user_id"])  # MET003\n',),
    good=('from prometheus_client import Counter\n\nORDERS = Counter("orders", "Orders.", ["channel"])\n',),
)
MET004 = Rule(
    id="MET004",
    title="Metrics are served by several workers that count apart",
    why="Nothing sets PROMETHEUS_MULTIPROC_DIR: each scrape reads the counters of the one process that answers it.",
    fix="set it there, to a folder that is emptied at start; code of your own needs MultiProcessCollector too",
    severity=Severity.ERROR,
    scripts=True,
    checks={Codebase: workers_that_count_apart},
    bad=({**_SERVED, "Dockerfile": "CMD uvicorn app.main:app --workers 4  # MET004\n"},),
    good=(
        {
            MAIN: f"{_LATEST}    registry = CollectorRegistry()\n    multiprocess.MultiProcessCollector(registry)\n"
            "    return Response(generate_latest(registry))\n",
            "Dockerfile": _SHARED,
        },
    ),
)
MET005 = Rule(
    id="MET005",
    title="Several workers share a folder for their metrics, and the registry of one is served",
    why="Without a MultiProcessCollector a scrape shows the counters of the process that answers it. The folder has to "
    "be empty at the start, so it is none that a volume keeps. https://prometheus.github.io/client_python/multiprocess/",
    fix="collect: registry = CollectorRegistry(); MultiProcessCollector(registry); generate_latest(registry)",
    severity=Severity.ERROR,
    scripts=True,
    checks={Codebase: default_registry},
    bad=(
        {
            MAIN: f"{_LATEST.replace('CollectorRegistry, ', '').replace(', multiprocess', '')}"
            "    return Response(generate_latest())  # MET005\n",
            "Dockerfile": _SHARED,
        },
        {**_SERVED, MAIN: _SERVED[MAIN].replace("())\n", "())  # MET005\n"), "Dockerfile": _SHARED},
    ),
    good=(
        {
            MAIN: f"{_LATEST}    registry = CollectorRegistry()\n    multiprocess.MultiProcessCollector(registry)\n"
            "    return Response(generate_latest(registry))\n",
            "Dockerfile": _SHARED,
        },
        {
            MAIN: f"{_LATEST.replace('CollectorRegistry, ', '').replace(', multiprocess', '')}"
            "    return Response(generate_latest())\n",
            "Dockerfile": _SHARED.replace("4", "1"),
        },
    ),
)
MET006 = Rule(
    id="MET006",
    title="A metric is made for each request",
    why="A registry takes a name once: the second request ends in `Duplicated timeseries in CollectorRegistry`.",
    fix="make it once, where the module is imported",
    severity=Severity.ERROR,
    needles=_NEEDLES,
    checks={ast.Call: metric_per_request},
    bad=(
        f'{_ORDERS}\n\n@app.get("/orders")\ndef orders() -> None:\n    Counter("orders", "Orders.").inc()  # MET006\n',
    ),
    good=(
        f'{_ORDERS}ORDERS = Counter("orders", "Orders.")\n\n\n@app.get("/orders")\ndef orders() -> None:\n    ORDERS.inc()\n',
    ),
)
