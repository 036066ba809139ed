"""Doctor rules of `resources`: containers that do something else than their lines say, silently.

Each rule takes the path and the tree of one file and yields (rule id, line, reason, fix). Those that look at several
files also take what `laterctl.doctor.injection` found out about the project; `check_project` runs them. What
dependency-injector does was seen with 4.49; its pages are
https://python-dependency-injector.ets-labs.org/wiring.html and
https://python-dependency-injector.ets-labs.org/providers/resource.html.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from laterctl.doctor.code import Code, Found, enclosing
from laterctl.doctor.injection import CONTAINERS, MARKERS, PROVIDERS, WIRING, Injection, injection
from laterctl.project.names import Own, resolve
from laterctl.project.places import Place, is_test_or_docs
from laterctl.project.source import Unreadable
from laterctl.project.statements import Function, Spot, assigned_value, bound_targets, expressions, is_main_guard
from laterctl.project.tree import Outside

if TYPE_CHECKING:
    from laterctl.project.discover import Project

NEEDLES = (b"dependency_injector", b"redis", b"httpx", b"aiohttp")
VERBS = {"get", "post", "put", "patch", "delete", "options", "head", "trace", "api_route", "route", "websocket"}
MISSING_APIS = {f"{PROVIDERS}.{name}" for name in ("Scope", "inject", "Provide")}
CONTAINER_ATTRIBUTES = {"providers", "dependencies", "containers", "wiring_config", "parent", "parent_name"}
CLIENTS = {
    "redis.asyncio.Redis": "add resources",
    "redis.asyncio.Redis.from_url": "add resources",
    "redis.asyncio.from_url": "add resources",
    "redis.asyncio.StrictRedis": "add resources",
    "redis.asyncio.StrictRedis.from_url": "add resources",
    "httpx.AsyncClient": "add resources",
    "httpx2.AsyncClient": "add resources",
    "aiohttp.ClientSession": "add resources",
}
"""What holds connections of one event loop, and the feature that builds and closes it with the application.

An engine of SQLAlchemy is not among them: it connects when it is first used, and its own documentation builds it at
import.
"""


def check_project(project: Project) -> Iterator[tuple[str, Place, str, str]]:
    """Run the rules that look at several files over the production files of a project."""
    known = injection(project.names)
    if not known.containers:
        return
    for path in project.tree.files_containing_any((b"dependency_injector", b"init_resources", b"from_dict")):
        if is_test_or_docs(path):
            continue
        try:
            tree = project.tree.python(path).tree
        except (Unreadable, Outside):
            continue
        for check in (check_di001, check_di005, check_di006, check_di008, check_di009, check_di011):
            for rule, line, reason, fix in check(path, tree, known):
                yield rule, Place(path, line), reason, fix


def check_di001(path: str, tree: ast.Module, injection: Injection) -> Iterator[Found]:
    """An asynchronous resource makes every provider above it give a Future instead of its object.

    So does injecting it into a `def` path operation, which runs in a worker thread without an event loop.
    """
    for own, container in injection.containers.items():
        if own.path != path:
            continue
        infecting = {name for name, resource in container.resources.items() if resource.asynchronous}
        statement = injection.names.statement(own)
        for item in statement.body if isinstance(statement, ast.ClassDef) and infecting else ():
            users = [target.id for target in bound_targets(item) if isinstance(target, ast.Name)]
            used = _injected_into(item, injection.names.imports(path)) & infecting
            if used and not infecting.issuperset(users):
                reason = f"async-resource-infects: {users[0]} gives a Future, because {min(used)} is an async Resource"
                yield "DI001", item.lineno, reason, _SYNCHRONOUS
    for function, spot, imports in _routes(Code(path, tree)):
        if isinstance(function, ast.AsyncFunctionDef) or not _injects(function, imports):
            continue
        for _, marked in _markers(function, imports):
            member = injection.member(marked, path, spot.scope)
            resource = injection.containers[member[0]].resources.get(member[1]) if member else None
            if member and resource is not None and resource.asynchronous:
                reason = f"async-resource-infects: {function.name} runs in a thread; {member[1]} needs an event loop"
                yield "DI001", function.lineno, reason, f"write `async def {function.name}`, or {_SYNCHRONOUS}"


def check_di002(path: str, tree: ast.Module) -> Iterator[Found]:
    """`@inject` above the route decorator: the route is registered without it and gets the marker object."""
    for function, _, imports in _routes(Code(path, tree)):
        places = [number for number, item in enumerate(function.decorator_list) if _is_inject(item, imports)]
        routes = [number for number, item in enumerate(function.decorator_list) if _is_verb(item)]
        if places and places[0] < routes[0]:
            line = function.decorator_list[places[0]].lineno
            reason = f"inject-order: {function.name} is registered before @inject is applied; markers arrive as values"
            yield "DI002", line, reason, "put @inject directly above the function, below the route decorator"


def check_di003(path: str, tree: ast.Module) -> Iterator[Found]:
    """A route with `Provide[...]` and without `@inject` gets the marker object as its value."""
    for function, _, imports in _routes(Code(path, tree)):
        # A decorator of the user's own may apply `inject` itself.
        others = [item for item in function.decorator_list if not _is_verb(item)]
        if not others and any(True for _ in _markers(function, imports)):
            reason = f"inject-missing: {function.name} asks for Provide[...] without @inject; the marker itself arrives"
            yield "DI003", function.lineno, reason, "put @inject directly above the function"


def check_di004(path: str, tree: ast.Module) -> Iterator[Found]:
    """`Annotated[T, Depends(Provide[...])]` in a module with `from __future__ import annotations`.

    The annotation is text there, in which `inject` finds no marker.
    """
    future = any(
        isinstance(node, ast.ImportFrom)
        and node.module == "__future__"
        and any(alias.name == "annotations" for alias in node.names)
        for node in tree.body
    )
    for function, _, imports in _functions(Code(path, tree)) if future else ():
        if _injects(function, imports):
            for where, _ in _markers(function, imports):
                if where == "annotation":
                    reason = f"future-annotations: {function.name} gets the marker: its annotations are text, unread"
                    fix = "write `= Depends(Provide[...])` as the default, or drop the __future__ import"
                    yield "DI004", function.lineno, reason, fix
                    break


def check_di005(path: str, tree: ast.Module, injection: Injection) -> Iterator[Found]:
    """A module uses `@inject` and no `wire(...)` or `WiringConfiguration` names it: markers arrive as values."""
    if not injection.containers or not injection.wired.certain or injection.wired.covers(path):
        return
    for function, _, imports in _functions(Code(path, tree)):
        if _injects(function, imports) and any(True for _ in _markers(function, imports)):
            module = injection.names.module_name(path)
            reason = f"unwired-module: nothing wires {module}; {function.name} gets the marker as its value"
            yield "DI005", function.lineno, reason, f'add "{module}" to the modules that the container wires'
            return


def check_di006(path: str, tree: ast.Module, injection: Injection) -> Iterator[Found]:
    """`Provide[...]` names a provider that no container has: the marker itself arrives."""
    known = frozenset().union(*(injection.provided(own) for own in injection.containers)) if injection.whole else None
    code = Code(path, tree)
    for spot, imports in code.statements():
        for node in expressions(spot.node):
            marked = _marked(node, imports)
            if marked is None:
                continue
            if isinstance(marked, ast.Constant) and isinstance(marked.value, str):
                name = marked.value.partition(".")[0]
                wrong = known is not None and name.isidentifier() and name not in known
            else:
                member = injection.member(marked, path, spot.scope)
                if member is None or not _all_known(injection, member[0]):
                    continue
                name = member[1]
                wrong = name not in injection.provided(member[0]) and not name.startswith("_")
            if wrong and name not in CONTAINER_ATTRIBUTES:
                reason = f"unknown-provider: no container has a provider {name}"
                yield "DI006", marked.lineno, reason, "name a provider of the container, or add this one to it"


def check_di007(path: str, tree: ast.Module) -> Iterator[Found]:
    """A name that dependency-injector does not have, or `@containers.copy` on a class whose body it never runs."""
    for spot, imports in Code(path, tree).statements():
        node = spot.node
        if isinstance(node, ast.ImportFrom) and node.module == PROVIDERS and not node.level:
            missing = [alias.name for alias in node.names if f"{PROVIDERS}.{alias.name}" in MISSING_APIS]
            places = [(node.lineno, name) for name in missing]
        else:
            uses = [item for item in expressions(node) if isinstance(item, ast.Attribute)]
            places = [(item.lineno, item.attr) for item in uses if resolve(item, imports) in MISSING_APIS]
        for line, name in places:
            yield "DI007", line, f"no-such-api: dependency_injector.providers has no {name}", _INSTEAD[name]
        if isinstance(node, ast.ClassDef) and _copied(node, imports) and not _declares(node):
            reason = f"no-such-api: @containers.copy copies providers; the methods of {node.name} are not added"
            yield "DI007", node.lineno, reason, "write a function beside the container, or derive a class from it"


def check_di008(path: str, tree: ast.Module, injection: Injection) -> Iterator[Found]:
    """`await container.init_resources()` where no resource is asynchronous: it gives None, which cannot be awaited."""
    if not injection.whole or any(resource.asynchronous is not False for resource in injection.resources):
        return
    for spot, _ in Code(path, tree).statements():
        for node in expressions(spot.node):
            if isinstance(node, ast.Await) and _calls(node.value, "init_resources"):
                receiver = ast.unparse(node.value).partition(".init_resources")[0]
                reason = "unguarded-init: init_resources() gives None when no resource is asynchronous"
                fix = f"`if (ready := {receiver}.init_resources()) is not None: await ready`"
                yield "DI008", node.lineno, reason, fix


def check_di009(path: str, tree: ast.Module, injection: Injection) -> Iterator[Found]:
    """Resources are initialised and nothing in the project shuts them down."""
    if injection.shuts_down or not any(resource.closes for resource in injection.resources):
        return
    for call, _, _ in Code(path, tree).calls():
        if _calls(call, "init_resources"):
            reason = "init-without-shutdown: nothing calls shutdown_resources(), so no resource is ever closed"
            yield "DI009", call.lineno, reason, "call shutdown_resources() after the `yield` of the lifespan"


def check_di010(path: str, tree: ast.Module) -> Iterator[Found]:
    """A client built when the module is imported belongs to the first event loop that uses it, and is never closed.

    On a second one (tests, a reload in process) it fails: "Event loop is closed", "attached to a different loop".
    """
    code = Code(path, tree)
    for call, spot, imports in code.calls():
        target = resolve(call.func, imports)
        if target in CLIENTS and _runs_at_import(call, code, spot):
            reason = f"import-time-client: {target} is built at import: the first event loop that uses it keeps its connections"
            yield "DI010", call.lineno, reason, f"build it when it is first used: `laterctl {CLIENTS[target]}`"


def check_di011(path: str, tree: ast.Module, injection: Injection) -> Iterator[Found]:
    """`config.from_dict(settings.model_dump(mode="json"))` fills the container with `**********` for every secret.

    A `SecretStr` masks itself in JSON mode: https://docs.pydantic.dev/latest/api/types/#pydantic.types.SecretStr
    """
    names = frozenset().union(*(container.names for container in injection.containers.values()))
    if not injection.names.tree.files_containing(b"SecretStr"):
        return
    for call, _, _ in Code(path, tree).calls():
        if not _calls(call, "from_dict") or not isinstance(call.func, ast.Attribute):
            continue
        receiver = ast.unparse(call.func.value).rpartition(".")[2]
        if receiver in names and any(_is_json_dump(item) for item in call.args[:1]):
            reason = "masked-secrets: model_dump(mode=\"json\") gives '**********' for every SecretStr"
            fix = "use model_dump(), and call .get_secret_value() where the secret is used"
            yield "DI011", call.lineno, reason, fix


_SYNCHRONOUS = "make it a Singleton over a synchronous constructor and close it in the lifespan"
_INSTEAD = {
    "Scope": "use Singleton, Factory or ContextLocalSingleton",
    "inject": f"import it from {WIRING}",
    "Provide": f"import it from {WIRING}",
}

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_Seen = tuple[_Function, Spot, Mapping[str, str]]


def _functions(code: Code) -> Iterator[_Seen]:
    for spot, imports in code.statements():
        if isinstance(spot.node, Function):
            yield spot.node, spot, imports


def _routes(code: Code) -> Iterator[_Seen]:
    return (found for found in _functions(code) if any(_is_verb(item) for item in found[0].decorator_list))


def _is_verb(node: ast.expr) -> bool:
    """Whether a decorator registers a path operation: `@x.get("/path")`, where no other `get` takes a path."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr not in VERBS:
        return False
    given = node.args[0] if node.args else next((item.value for item in node.keywords if item.arg == "path"), None)
    text = given.value if isinstance(given, ast.Constant) else None
    return isinstance(text, str) and (not text or text.startswith("/"))


def _is_inject(node: ast.expr, imports: Mapping[str, str]) -> bool:
    return resolve(node, imports) == f"{WIRING}.inject"


def _injects(function: _Function, imports: Mapping[str, str]) -> bool:
    return any(_is_inject(item, imports) for item in function.decorator_list)


def _markers(function: _Function, imports: Mapping[str, str]) -> Iterator[tuple[str, ast.expr]]:
    """Yield what `Provide[...]` and its like name in a signature, with where: `default` or `annotation`."""
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    annotations = [item.annotation for item in every if item.annotation is not None]
    defaults = [*arguments.defaults, *(item for item in arguments.kw_defaults if item is not None)]
    for where, places in (("default", defaults), ("annotation", annotations)):
        for place in places:
            for node in ast.walk(place):
                marked = _marked(node, imports)
                if marked is not None:
                    yield where, marked


def _marked(node: ast.AST, imports: Mapping[str, str]) -> ast.expr | None:
    """Return what a marker names: `Container.x` for `Provide[Container.x, as_int()]`; `None` for anything else.

    Of `Closing[Provide[...]]` the inner one is the marker.
    """
    if not isinstance(node, ast.Subscript) or resolve(node.value, imports) not in MARKERS:
        return None
    inner = node.slice.elts[0] if isinstance(node.slice, ast.Tuple) and node.slice.elts else node.slice
    return None if isinstance(inner, ast.Subscript) else inner


def _injected_into(item: ast.stmt, imports: Mapping[str, str]) -> set[str]:
    """The names whose values a provider takes as arguments; `name.provider` hands over the provider itself."""
    value = assigned_value(item)
    if not isinstance(value, ast.Call) or not resolve(value.func, imports).startswith(f"{PROVIDERS}."):
        return set()
    nodes = list(ast.walk(value))
    whole = {id(node.value) for node in nodes if isinstance(node, ast.Attribute) and node.attr == "provider"}
    return {node.id for node in nodes if isinstance(node, ast.Name) and id(node) not in whole}


def _all_known(injection: Injection, own: Own) -> bool:
    container = injection.containers[own]
    return container.whole and all(_all_known(injection, base) for base in container.bases)


def _runs_at_import(call: ast.Call, code: Code, spot: Spot) -> bool:
    if spot.scope or any(is_main_guard(node) for node in enclosing(code, spot)):
        return False
    lambdas = [node for node in ast.walk(spot.node) if isinstance(node, ast.Lambda)]
    return not any(node is call for item in lambdas for node in ast.walk(item.body))


def _copied(node: ast.ClassDef, imports: Mapping[str, str]) -> bool:
    calls = [item.func for item in node.decorator_list if isinstance(item, ast.Call)]
    return any(resolve(call, imports) == f"{CONTAINERS}.copy" for call in calls)


def _declares(node: ast.ClassDef) -> bool:
    return any(isinstance(item, ast.Assign | ast.AnnAssign) for item in node.body)


def _is_json_dump(node: ast.expr) -> bool:
    modes = [item.value for item in node.keywords if item.arg == "mode"] if isinstance(node, ast.Call) else []
    return _calls(node, "model_dump") and [getattr(mode, "value", None) for mode in modes] == ["json"]


def _calls(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == name
