"""Where a project is started with more than one process.

When in doubt nothing is found: a number that is not written down, a command that may start something else.
"""

from __future__ import annotations

import ast
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping

from msgspec import Struct

from laterctl.patterns import pattern
from laterctl.project.application.served import starts
from laterctl.project.names import imports_in, imports_of, resolve
from laterctl.project.places import Place, is_test_or_docs
from laterctl.project.roots import project_below
from laterctl.project.source import Unreadable
from laterctl.project.start_files import HEAD, OTHER, YAML, Lines, indent_of, start_parts, text_of
from laterctl.project.statements import calls, nodes
from laterctl.project.tree import Outside, Tree

_VALUE = (
    r"[\"']?(?P<value>(?P<count>\d{1,6})|\$?\$\{\w+:?-(?P<default>\d{1,6})\}|\$\([^;&|\n]*?\bnproc\b[^\"'\s]*)(?![\w.])"
)
_SERVER = pattern(
    r"(?<![\w.-])(?:(?P<short>gunicorn|GUNICORN_CMD_ARGS|hypercorn)|uvicorn|granian|fastapi[\"',\s]+run)(?=[\"',\s=\\]|$)"
)
_OPTION = pattern(rf"(?<![\w-])(?P<name>--workers|-w)[\"'\s,=\\]*(?:-\s+)?{_VALUE}")
_VARIABLE = pattern(
    rf"(?<![\w${{])(?P<name>WEB_CONCURRENCY|UVICORN_WORKERS)[\"']?\s*(?:[=:]\s*|\s(?:value:\s*)?){_VALUE}"
)
_REPLICAS = pattern(rf"^\s+(?P<name>replicas|scale):\s*{_VALUE}", re.MULTILINE)
_RELOAD = pattern(r"--reload(?![\w-])")
_END = pattern(r"&&|\||;|\s&\s|(?<![\w.-])(?:celery|dramatiq|rq|arq|taskiq|huey\w*)\s")
_TOLD = pattern(r"(?:^|[\s@;&|])(?:echo|printf|p?grep|pkill)\b[^;&|\n]*$")
_ARRAY = pattern(r"\s*(?:CMD|ENTRYPOINT|[\w.\"-]+\s*=)\s*\[")
_ENTRY = pattern(r"\s*(?:-\s+)?(?P<key>entrypoint|command|args):")
_POD = pattern(r"^kind:\s*(?:Deployment|StatefulSet|ReplicaSet|Rollout)\b", re.MULTILINE)
_TRIAL = pattern(
    r"(?:^|[/_.-])(?:tests?|bench\w*|load|e2e|ci|dev(?:elop\w*|container)?|local|override|examples?|templates?|sample)(?:[/_.-]|$)"
)
_GUNICORN = pattern(r"(?:^|/)(?:gunicorn[^/]*|[^/]*gunicorn[^/]*conf[^/]*)\.py$")
_SEVERAL = pattern(
    r"--workers|[\"'\s]-w|CONCURRENCY|UVICORN_WORKERS|replicas:|scale:|replicaCount|minReplicas|numInstances|numReplicas"
    r"|min_machines_running|min_instances|minInstances|min-?[sS]cale|quantity|count:"
)
_CORES = frozenset({"cpu_count", "process_cpu_count", "sched_getaffinity"})


# Charts of Helm, and what hosting platforms read: the file, what says that a service is served, and its numbers.
_VALUES = pattern(r"(?:^|/)values[\w.-]*\.ya?ml$")
_CHART = pattern(rf"^(?P<name>replicaCount|replicas):\s*{_VALUE}", re.MULTILINE)
_SCALED = pattern(r"^autoscaling:\s*$(?P<body>(?:\n[ ]+.*)+)", re.MULTILINE)
_ENABLED = pattern(r"^\s+enabled:\s*true\b", re.MULTILINE)
_LEAST = pattern(rf"^\s+(?P<name>minReplicas):\s*{_VALUE}", re.MULTILINE)
_PLATFORMS = (
    (re.compile(r"(?:^|/)render\.ya?ml$"), re.compile(r"type:\s*web\b"), r"numInstances|minInstances"),
    (re.compile(r"(?:^|/)copilot/[^/]+/manifest\.ya?ml$"), re.compile(r"type:.*\bWeb Service"), r"count"),
    (re.compile(r"(?:^|/)app\.ya?ml$"), re.compile(r"^runtime:\s*python", re.MULTILINE), r"min_instances|instances"),
    (
        re.compile(r"(?:^|/)[\w.-]*service[\w.-]*\.ya?ml$"),
        re.compile(r"serving\.knative\.dev/"),
        r"(?:[\w.]+/)?min-?[sS]cale",
    ),
    (re.compile(r"(?:^|/)fly[\w.-]*\.toml$"), re.compile(r"http_service|services"), r"min_machines_running"),
    (re.compile(r"(?:^|/)railway\.(?:toml|json)$"), re.compile(r"deploy"), r"numReplicas"),
    (re.compile(r"(?:^|/)app\.json$"), re.compile(r"\"web\""), r"quantity"),
)


class Workers(Struct, frozen=True):
    """A place that starts several processes: how many (`None`: as many as the machine allows), and its text.

    `replicas` run apart from each other, each with an address of its own.
    """

    count: int | None
    place: Place
    what: str
    replicas: bool = False


def several_workers(tree: Tree, app: str) -> list[Workers]:
    """Return the places where an application, in file `app`, is started as more than one process."""
    found = list(_in_python(tree))
    configured = list(_in_gunicorn(tree))
    pods: list[list[Workers]] = []
    for path, part in start_parts(tree, _SEVERAL):
        yaml, text = path.endswith(YAML), text_of(part)
        pod = yaml and _POD.search(text) is not None
        if _TRIAL.search(path.lower()):
            continue
        found += _hosted(tree, path, part)
        if not (pod or starts(path)):
            continue
        started = _entries(part) if yaml else _logical(part)
        served = any(_SERVER.search(text_of(command)) for command in started)
        about = [*HEAD.findall(text), *map(text_of, started)] if yaml else [text]
        if not served and OTHER.search("\n".join(about)):
            continue
        found += [item for command in started for item in _in_command(path, command)]
        configured += _matches(_VARIABLE, path, part, "=")
        replicas = list(_matches(_REPLICAS, path, part, ": ", replicas=True)) if yaml else []
        if pod and not served:
            pods += [replicas] if "containerPort:" in text else []
        elif served or "build:" in text:
            found += replicas
    if not any(item.count == 1 and not item.replicas for item in found):  # a command goes before what is configured
        found += configured
    found += pods[0] if len(pods) == 1 else []  # of several, nobody knows which is this application
    ours = {"", project_below(tree, app)}
    found = [item for item in found if item.count is None or item.count > 1]
    return sorted((item for item in found if project_below(tree, item.place.path) in ours), key=lambda item: item.place)


def _hosted(tree: Tree, path: str, part: Lines) -> Iterator[Workers]:
    """Yield what the values of a chart and the files of hosting platforms say about one service of this project."""
    if _VALUES.search(path) and tree.exists("/".join(filter(None, (path.rpartition("/")[0], "Chart.yaml")))):
        yield from _matches(_CHART, path, part, ": ", replicas=True)
        scaled = _SCALED.search(text_of(part))
        if scaled is not None and _ENABLED.search(scaled["body"]):
            yield from _matches(_LEAST, path, part, ": ", scaled.start(), scaled.end(), replicas=True)
        yield from _matches(_VARIABLE, path, part, "=")
        yield from (item for command in _entries(part) for item in _in_command(path, command))
        return
    for file, ours, names in _PLATFORMS:
        if not file.search(path):
            continue
        number = re.compile(rf"(?<![\w.-])(?P<name>{names})[\"']?\s*[:=]\s*{_VALUE}")
        for service in _services(part):
            if ours.search(text_of(service)):
                yield from _matches(number, path, service, " = ", replicas=True)
                if not starts(path):
                    yield from _matches(_VARIABLE, path, service, "=")
                    yield from (item for line in service for item in _in_command(path, [line]))


def _services(lines: Lines) -> list[Lines]:
    """Return the entries of a list of services, or everything where there is no more than one."""
    heads = [number for number, (_, line) in enumerate(lines) if line.lstrip().startswith("- ")]
    margin = min((indent_of(lines[number][1]) for number in heads), default=0)
    starts_at = [number for number in heads if indent_of(lines[number][1]) == margin]
    if len(starts_at) < 2:
        return [lines]
    return [lines[start:stop] for start, stop in zip(starts_at, [*starts_at[1:], len(lines)], strict=True)]


def _logical(lines: Lines) -> list[Lines]:
    """Return commands that a backslash or an open array continues as one."""
    found: list[Lines] = []
    more = False
    for item in lines:
        if not more or len(found[-1]) == 50:  # what is longer is no command
            found.append([])
        found[-1].append(item)
        text = text_of(found[-1])
        more = item[1].endswith("\\") or (_ARRAY.match(text) is not None and text.count("[") > text.count("]"))
    return found


def _entries(lines: Lines) -> list[Lines]:
    """Return what a YAML part starts as one command: the entrypoint, the command, then its arguments."""
    found: dict[str, Lines] = {"entrypoint": [], "command": [], "args": []}
    key, indent = "", 0
    for number, line in lines:
        entry = _ENTRY.match(line)
        if entry is not None:
            key, indent = entry["key"], entry.start("key")
        elif indent_of(line) < indent or (indent_of(line) == indent and not line.lstrip().startswith("-")):
            key = ""
        if key:
            found[key].append((number, line))
    return [[item for items in found.values() for item in items]]


def _in_command(path: str, command: Lines) -> Iterator[Workers]:
    text = text_of(command)
    for server in _SERVER.finditer(text):
        stops = (pattern.search(text, server.end()) for pattern in (_SERVER, _END))
        end = min((stop.start() for stop in stops if stop is not None), default=len(text))
        reloads = not server["short"] and _RELOAD.search(text, server.end(), end)
        if not reloads and not _TOLD.search(text[: server.start()]):
            options = _matches(_OPTION, path, command, " ", server.end(), end)
            yield from (item for item in options if server["short"] or not item.what.startswith("-w"))


def _matches(
    pattern: re.Pattern[str],
    path: str,
    lines: Lines,
    between: str,
    start: int = 0,
    end: int | None = None,
    *,
    replicas: bool = False,
) -> Iterator[Workers]:
    text = text_of(lines)
    for match in pattern.finditer(text, start, len(text) if end is None else end):
        line = lines[text.count("\n", 0, match.start("name"))][0]
        number = match["count"] or match["default"]
        what = f"{match['name']}{between}{match['value']}"
        yield Workers(int(number) if number else None, Place(path, line), what, replicas)


def _in_python(tree: Tree) -> Iterator[Workers]:
    for path in tree.files_containing(b"uvicorn", b"workers"):
        for module in _modules(tree, path):
            imports, values = imports_of(module, "", False), _values(module)
            for spot, call in calls(module):
                given = {item.arg: item.value for item in call.keywords if item.arg in {"workers", "reload"}}
                reload = given.get("reload")
                if "workers" not in given or (isinstance(reload, ast.Constant) and reload.value):
                    continue
                if resolve(call.func, imports_in(spot.scope, imports, "", False)) == "uvicorn.run":
                    yield from _counted(path, given["workers"], values, "workers=")


def _in_gunicorn(tree: Tree) -> Iterator[Workers]:
    for path in tree.python_files():
        for module in _modules(tree, path) if _GUNICORN.search(path) else ():
            values = _values(module)
            if "workers" in values:
                yield from _counted(path, values["workers"], values, "workers = ")


def _modules(tree: Tree, path: str) -> Iterator[ast.Module]:
    if not is_test_or_docs(path) and not _TRIAL.search(path.lower()):
        try:
            yield tree.python(path).tree
        except (Outside, Unreadable):
            return


def _counted(path: str, node: ast.expr, values: Mapping[str, ast.expr], before: str) -> Iterator[Workers]:
    number = _number(node, values)
    if number is not None:
        what = f"{before}{ast.unparse(node)}"
        yield Workers(None if math.isinf(number) else int(number), Place(path, node.lineno), what)


def _values(module: ast.Module) -> dict[str, ast.expr]:
    """Map the names that a module binds once, at its top, to their values."""
    bound = Counter(node.id for node in nodes(module) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
    bound.update(node.arg for node in nodes(module) if isinstance(node, ast.arg))
    found = {}
    for node in module.body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value and isinstance(target, ast.Name):
            found[target.id] = node.value
    return {name: value for name, value in found.items() if bound[name] == 1}


def _number(node: ast.expr, values: Mapping[str, ast.expr]) -> float | None:
    """Return what an expression gives while no variable is set, infinity for as many as there are processors."""
    match node:
        case ast.Constant(value=int() | str() as value) if str(value).isdecimal():
            return float(str(value))
        case ast.Name(id=name) if name in values:
            return _number(values[name], {other: values[other] for other in values if other != name})
        case ast.BinOp(left=left, op=ast.Add() | ast.Mult(), right=right):
            numbers = [_number(left, values), _number(right, values)]
            return math.inf if math.inf in numbers and None not in numbers else None
        case ast.BoolOp(op=ast.Or(), values=parts):
            return next((number for part in parts if (number := _number(part, values)) is not None), None)
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=[*arguments]):
            if name in _CORES:
                return math.inf
            numbers = [_number(argument, values) for argument in arguments]
            if name in {"max", "min"}:
                return (max if name == "max" else min)((item for item in numbers if item is not None), default=None)
            at = {"int": 0, "len": 0, "get": 1, "getenv": 1}.get(name, len(numbers))
            return numbers[at] if at < len(numbers) else None
    return None
