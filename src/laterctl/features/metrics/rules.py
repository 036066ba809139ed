"""Doctor rules of `metrics`: what makes a Prometheus grow without end, or count wrongly, in code written by hand.

Each rule takes the path and the tree of one file and yields (rule id, line, reason, fix); what depends on how the
application is started is in `check_project`. What a label may hold:
https://prometheus.io/docs/practices/naming/#labels; several processes: https://prometheus.github.io/client_python/multiprocess/
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from laterctl.doctor.code import Code, Found, is_http_decorator
from laterctl.project.names import resolve
from laterctl.project.places import Place, is_test_or_docs
from laterctl.project.statements import Function, Spot, expressions, is_main_guard, own_nodes, spots_in
from laterctl.project.variables import is_set
from laterctl.project.workers import several_workers
from laterctl.targets.owned_file import ORIGIN_COMMENT

if TYPE_CHECKING:
    from laterctl.project.discover import Project

NEEDLES = (b"prometheus_client", b"core.metrics")
"""One of these is in every file that a rule of this module may report."""

PROJECT_RULES = {
    "MET004": "The application serves Prometheus metrics and is started with several workers, and nothing sets "
    "PROMETHEUS_MULTIPROC_DIR: each scrape reads the counters of the one process that answers it.",
}

METRICS = frozenset(
    f"prometheus_client.{kind}" for kind in ("Counter", "Gauge", "Histogram", "Summary", "Info", "Enum")
)
DEFINED_IN = "prometheus_client.metrics."
OWN_GETTER = ".core.metrics.get_metrics"
MULTIPROC = frozenset({"PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir"})
REQUESTS = frozenset({"starlette.requests.Request", "starlette.requests.HTTPConnection"})
PERSONAL = frozenset(
    {
        *("user", "user_id", "userid", "username", "user_name", "user_email", "email", "email_address", "phone"),
        *("id", "uuid", "guid", "request_id", "correlation_id", "trace_id", "span_id", "session", "session_id"),
        *("ip", "ip_address", "client_ip", "remote_addr", "token", "url", "full_url", "query", "query_string"),
    }
)

_EXPORTERS = (b"prometheus_fastapi_instrumentator", b"starlette_exporter", b"starlette_prometheus")
_SERVES = (b"generate_latest", b"make_asgi_app", b"make_wsgi_app", b"start_http_server", b"start_wsgi_server")
_COLLECTS = (b"MultiProcessCollector", b"mark_process_dead")
_USES = frozenset(
    {"inc", "dec", "set", "observe", "time", "count_exceptions", "track_inprogress", "set_to_current_time"}
)
_TEXT = frozenset({"str", "repr"})


def check_project(project: Project) -> Iterator[tuple[str, Place, str, str]]:
    """Yield MET004 for every place that starts several workers, where nobody has thought of them."""
    if project.app is None or not _serves(project):
        return
    started = [item for item in several_workers(project.tree, project.app.path) if not item.replicas]
    if started and not is_set(project.tree, "PROMETHEUS_MULTIPROC_DIR", ORIGIN_COMMENT):
        for item in started:
            reason = f"with {item.what} and no PROMETHEUS_MULTIPROC_DIR a scrape reads the counters of one process"
            fix = "set it there, to a folder that is emptied at start; code of your own needs MultiProcessCollector too"
            yield "MET004", item.place, reason, fix


def check_met001(path: str, tree: ast.Module) -> Iterator[Found]:
    """The path of the request is the value of a label: each id and each scanned address makes a time series."""
    code = Code(path, tree)
    for call, spot, imports in code.calls():
        if not isinstance(call.func, ast.Attribute) or call.func.attr != "labels":
            continue
        if not _is_metric(code, call, call.func.value, spot):
            continue
        values = [*call.args, *(keyword.value for keyword in call.keywords)]
        if any(_is_raw_path(value, spot, imports) for value in values):
            reason = "the path of the request is the value of a label: every id and every scanned path is a new series"
            yield "MET001", call.lineno, reason, "label with the template of the route, such as /items/{item_id}"


def check_met002(path: str, tree: ast.Module) -> Iterator[Found]:
    """PROMETHEUS_MULTIPROC_DIR is set after `prometheus_client` was imported, which has looked for it by then."""
    code = Code(path, tree)
    imported = 0
    guards = {(*spot.body, (spot.index, "body")) for spot in spots_in(tree.body, ()) if is_main_guard(spot.node)}
    if any(resolve(call.func, imports) == "uvicorn.run" for call, _, imports in code.calls()):
        return  # a script that starts other processes: those look for it themselves
    for spot, imports in code.statements():
        # What runs later, in a function or as a script, may run in a parent that starts the processes that count.
        if spot.scope or any(spot.body[: len(guard)] == guard for guard in guards):
            continue
        if imported and _sets_directory(spot.node, imports):
            reason = f"prometheus_client was imported in line {imported} and has looked for PROMETHEUS_MULTIPROC_DIR"
            fix = "set it where the server is started: in the service, the container or the start script"
            yield "MET002", spot.node.lineno, reason, fix
        if not imported and _imports_client(spot.node):
            imported = spot.node.lineno


def check_met003(path: str, tree: ast.Module) -> Iterator[Found]:
    """A label is named after something with as many values as there are users or requests."""
    code = Code(path, tree)
    for call, _, imports in code.calls():
        names = _label_names(code, call, imports)
        for name in names:
            if name.lower() in PERSONAL:
                reason = f"the label {name!r} has as many values as there are users or requests, each a new series"
                yield "MET003", call.lineno, reason, "leave it out: logs and traces are the place for it"


def _serves(project: Project) -> bool:
    """Whether metrics are served, by our feature or by hand, and not collected from several processes already."""
    served = project.tree.exists(".laterctl/metrics.json")
    for path in project.tree.files_containing_any((b"prometheus_client", *_EXPORTERS)):
        data = project.tree.read(path) or b""
        if is_test_or_docs(path) or data.startswith(ORIGIN_COMMENT):
            continue
        if any(word in data for word in _COLLECTS):
            return False
        served = served or any(word in data for word in (*_EXPORTERS, *_SERVES))
    return served


def _is_metric(code: Code, call: ast.Call, receiver: ast.expr, spot: Spot) -> bool:
    # A metric that this file makes, or the idiom that only a metric has: `.labels(...).inc()`.
    made = code.value(receiver)
    if isinstance(made, ast.Call):
        names = next(imports for _, imports in code.statements())
        if _is_metric_class(resolve(made.func, names)):
            return True
    outer = (node for node in expressions(spot.node) if isinstance(node, ast.Attribute) and node.value is call)
    return any(node.attr in _USES for node in outer)


def _is_metric_class(target: str) -> bool:
    return target in METRICS or f"prometheus_client.{target.removeprefix(DEFINED_IN)}" in METRICS


def _is_raw_path(node: ast.expr, spot: Spot, imports: Mapping[str, str]) -> bool:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _TEXT and node.args:
        return _is_raw_path(node.args[0], spot, imports)
    if isinstance(node, ast.JoinedStr):
        parts = [part.value for part in node.values if isinstance(part, ast.FormattedValue)]
        return any(_is_raw_path(part, spot, imports) for part in parts)
    if isinstance(node, ast.Name):
        value = _local_value(node.id, spot)
        return value is not None and not isinstance(value, ast.Name) and _is_raw_path(value, spot, imports)
    match node:
        case ast.Attribute(value=ast.Attribute(value=ast.Name(id=name), attr="url"), attr="path"):
            return _is_request(name, spot, imports)
        case ast.Attribute(value=ast.Name(id=name), attr="url"):
            return _is_request(name, spot, imports)
        case ast.Subscript(
            value=ast.Attribute(value=ast.Name(id=name), attr="scope"), slice=ast.Constant(value="path")
        ):
            return _is_request(name, spot, imports)
        case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value="path" | "raw_path")):
            return _is_scope(name, spot)
    return False


def _functions(spot: Spot) -> list[Function]:
    return [scope for scope in reversed(spot.scope) if isinstance(scope, Function)]


def _is_request(name: str, spot: Spot, imports: Mapping[str, str]) -> bool:
    """Whether `name` is a parameter, of the nearest function that has it, that holds a request."""
    for function in _functions(spot):
        for argument in _arguments(function):
            if argument.arg == name and argument.annotation is not None:
                return resolve(argument.annotation, imports) in REQUESTS
            if argument.arg == name:
                decorated = any(is_http_decorator(item) for item in function.decorator_list)
                return name in {"request", "req"} and (decorated or function.name == "dispatch")
    return False


def _is_scope(name: str, spot: Spot) -> bool:
    # An ASGI application: __call__(self, scope, receive, send), or a function in it.
    for function in _functions(spot):
        names = [argument.arg for argument in _arguments(function)]
        if name in names:
            return names[-3:] == [name, "receive", "send"]
    return False


def _arguments(function: Function) -> list[ast.arg]:
    return [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]


def _local_value(name: str, spot: Spot) -> ast.expr | None:
    """Return what the innermost function binds a name to, when it does so once and by a plain assignment."""
    functions = _functions(spot)
    if not functions:
        return None
    bound = [
        node
        for statement in functions[0].body
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and node.id == name and not isinstance(node.ctx, ast.Load)
    ]
    values = (
        [
            inner.node.value
            for inner in spots_in(functions[0].body, ())
            if isinstance(inner.node, ast.Assign | ast.AnnAssign)
            and any(target is bound[0] for target in _targets(inner.node))
        ]
        if len(bound) == 1
        else []
    )
    return values[0] if values else None


def _targets(node: ast.Assign | ast.AnnAssign) -> list[ast.expr]:
    return node.targets if isinstance(node, ast.Assign) else [node.target]


def _imports_client(node: ast.stmt) -> bool:
    if isinstance(node, ast.ImportFrom):
        return not node.level and (node.module or "").partition(".")[0] == "prometheus_client"
    names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
    return any(name.partition(".")[0] == "prometheus_client" for name in names)


def _sets_directory(node: ast.stmt, imports: Mapping[str, str]) -> bool:
    if isinstance(node, ast.Assign):
        slots = [target for target in node.targets if isinstance(target, ast.Subscript)]
        return any(resolve(slot.value, imports) == "os.environ" and _is_directory(slot.slice) for slot in slots)
    calls = [inner for inner in own_nodes(node) if isinstance(inner, ast.Call)] if isinstance(node, ast.Expr) else []
    for call in calls:
        target = resolve(call.func, imports)
        if target in {"os.environ.setdefault", "os.putenv"} and call.args and _is_directory(call.args[0]):
            return True
        if target == "os.environ.update" and call.args and isinstance(call.args[0], ast.Dict):
            return any(key is not None and _is_directory(key) for key in call.args[0].keys)
    return False


def _is_directory(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value in MULTIPROC


def _label_names(code: Code, call: ast.Call, imports: Mapping[str, str]) -> tuple[str, ...]:
    names: object = ()
    if _is_metric_class(resolve(call.func, imports)):
        given = next((keyword.value for keyword in call.keywords if keyword.arg == "labelnames"), None)
        if given is None and len(call.args) > 2:
            given = call.args[2]
        names = code.literal(given) if given is not None else ()
    elif _is_own_maker(code, call.func, imports):
        names = [code.literal(argument) for argument in call.args[2:]]
    return tuple(name for name in names if isinstance(name, str)) if isinstance(names, list | tuple | set) else ()


def _is_own_maker(code: Code, function: ast.expr, imports: Mapping[str, str]) -> bool:
    # `get_metrics().counter(name, about, *labels)`, the call of our own module.
    if not isinstance(function, ast.Attribute) or function.attr not in {"counter", "gauge", "histogram"}:
        return False
    made = code.value(function.value)
    return isinstance(made, ast.Call) and f".{resolve(made.func, imports)}".endswith(OWN_GETTER)
