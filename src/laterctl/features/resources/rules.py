"""Doctor rules of `resources`: containers that do something else than their lines say, silently.

What dependency-injector does was seen with 4.49; its pages are
https://python-dependency-injector.ets-labs.org/wiring.html and
https://python-dependency-injector.ets-labs.org/providers/resource.html.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence

from laterctl.doctor.code import Code, Codebase, Visit, constant, method_of, receiver_of
from laterctl.doctor.http import is_verb, per_request
from laterctl.doctor.injection import CONTAINERS, KEEPERS, PROVIDERS, WIRING, injected_into, injection
from laterctl.doctor.rule import MAIN, Found, Rule, Severity
from laterctl.project.names import dotted_path, resolve
from laterctl.project.places import Place
from laterctl.project.statements import assigned_value, bound_targets, nodes

MARKERS = frozenset(f"{WIRING}.{name}" for name in ("Provide", "Provider", "Closing"))
INSTEAD = {
    f"{PROVIDERS}.Scope": "use Singleton, Factory or ContextLocalSingleton",
    f"{PROVIDERS}.inject": f"import it from {WIRING}",
    f"{PROVIDERS}.Provide": f"import it from {WIRING}",
}
"""Names that dependency-injector does not have, and what to use."""

CONTAINER_ATTRIBUTES = {"providers", "dependencies", "containers", "wiring_config", "parent", "parent_name"}
CLIENTS = frozenset(
    {
        *("redis.asyncio.Redis", "redis.asyncio.Redis.from_url", "redis.asyncio.from_url"),
        *("redis.asyncio.StrictRedis", "redis.asyncio.StrictRedis.from_url"),
        *("httpx.AsyncClient", "httpx2.AsyncClient", "aiohttp.ClientSession"),
    }
)
"""What holds connections of one event loop.

An engine of SQLAlchemy is not among them: it connects when it is first used, and its own documentation builds it at
import.
"""

_CLOSES = frozenset({"close", "aclose", "disconnect", "wait_closed"})
_ENTERS = frozenset({"enter_async_context", "push_async_callback", "push_async_exit", "callback"})
_ENTERS_BYTES = (b"enter_async_context", b"push_async")
_SYNCHRONOUS = "make it a Singleton over a synchronous constructor and close it in the lifespan"
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def async_below_others(codebase: Codebase) -> Iterator[Found]:
    """Look for providers that get an asynchronous resource as an argument."""
    known = injection(codebase)
    for own, container in known.containers.items():
        infecting = {name for name, resource in container.resources.items() if resource.asynchronous}
        for item in container.node.body if infecting else ():
            users = [target.id for target in bound_targets(item) if isinstance(target, ast.Name)]
            used = injected_into(item, known.names.imports(own.path)) & infecting
            if used and not infecting.issuperset(users):
                reason = f"{users[0]} gives a Future, because {min(used)} is an async Resource"
                yield Found(Place(own.path, item.lineno), reason)


def async_in_a_thread(route: Visit[ast.FunctionDef]) -> Iterator[Found]:
    """Look for asynchronous resources that are injected into `def` path operations."""
    if not _is_route(route) or not _injects(route):
        return
    known = injection(route.code.codebase)
    for _, marked in _markers(route):
        member = known.member(marked, route.code.path, route.spot.scope)
        resource = known.containers[member[0]].resources.get(member[1]) if member else None
        if member and resource is not None and resource.asynchronous:
            reason = f"{route.node.name} runs in a thread; {member[1]} needs an event loop"
            yield Found(route.line, reason, f"write `async def {route.node.name}`, or {_SYNCHRONOUS}")


def inject_above_the_route(function: Visit[_Function]) -> Iterator[Found]:
    """Look at the order of decorators."""
    decorators = function.node.decorator_list
    verbs = [number for number, item in enumerate(decorators) if is_verb(item)]
    places = [number for number, item in enumerate(decorators) if _is_inject(function, item)] if verbs else []
    if places and places[0] < verbs[0]:
        reason = f"{function.node.name} is registered before @inject is applied; markers arrive as values"
        yield Found(decorators[places[0]].lineno, reason)


def no_inject(function: Visit[_Function]) -> Iterator[Found]:
    """Look for markers in routes without any other decorator: one of the user's own may apply `inject` itself."""
    if _is_route(function) and all(map(is_verb, function.node.decorator_list)) and _markers(function):
        reason = f"{function.node.name} asks for Provide[...] without @inject; the marker itself arrives"
        yield Found(function.line, reason)


def markers_in_text(code: Code) -> Iterator[Found]:
    """Look for markers in annotations, where a future import makes annotations texts."""
    imports = [visit.node for visit in code.visits(ast.ImportFrom) if visit.node.module == "__future__"]
    if any(alias.name == "annotations" for node in imports for alias in node.names):
        for function in code.functions:
            if _injects(function) and any(where == "annotation" for where, _ in _markers(function)):
                yield Found(function.line, f"{function.node.name} gets the marker: its annotations are text, unread")


def unwired_module(code: Code) -> Iterator[Found]:
    """Look for a module that uses `@inject`; said once a file."""
    known = injection(code.codebase)
    if not known.containers or not known.wired.certain or known.wired.covers(code.path):
        return
    for function in code.functions:
        if _injects(function) and _markers(function):
            module = known.names.module_name(code.path)
            reason = f"nothing wires {module}; {function.node.name} gets the marker as its value"
            yield Found(function.line, reason, f'add "{module}" to the modules that the container wires')
            return


def unknown_provider(subscript: Visit[ast.Subscript]) -> Iterator[Found]:
    """Look at what markers name, where every provider is known."""
    marked = _marked(subscript.node, subscript.imports)
    if marked is None:
        return
    known = injection(subscript.code.codebase)
    if isinstance(text := constant(marked), str):
        name = text.partition(".")[0]
        wrong = known.whole and name.isidentifier() and name not in known.bound
    else:
        member = known.member(marked, subscript.code.path, subscript.spot.scope)
        provided = known.provided(member[0]) if member is not None else None
        name = member[1] if member is not None else ""
        wrong = provided is not None and name not in provided and not name.startswith("_")
    if wrong and name not in CONTAINER_ATTRIBUTES:
        yield Found(marked.lineno, f"no container has a provider {name}")


def missing_name(code: Code) -> Iterator[Found]:
    """Look for names that the library does not have."""
    imported = [
        (visit.line, f"{PROVIDERS}.{alias.name}")
        for visit in code.visits(ast.ImportFrom)
        if visit.node.module == PROVIDERS and not visit.node.level
        for alias in visit.node.names
    ]
    used = [(visit.line, visit.resolve(visit.node)) for visit in code.visits(ast.Attribute)]
    for line, name in [*imported, *used]:
        if name in INSTEAD:
            yield Found(line, f"dependency_injector.providers has no {name.rpartition('.')[2]}", INSTEAD[name])


def copied_methods(visit: Visit[ast.ClassDef]) -> Iterator[Found]:
    """Look for copied containers that declare no provider of their own."""
    decorators = [item.func for item in visit.node.decorator_list if isinstance(item, ast.Call)]
    declares = any(isinstance(item, ast.Assign | ast.AnnAssign) for item in visit.node.body)
    if not declares and any(visit.resolve(item) == f"{CONTAINERS}.copy" for item in decorators):
        reason = f"@containers.copy copies providers; the methods of {visit.node.name} are not added"
        yield Found(visit.line, reason, "write a function beside the container, or derive a class from it")


def awaited_none(visit: Visit[ast.Await]) -> Iterator[Found]:
    """Look for `await x.init_resources()`, where no resource is asynchronous."""
    if method_of(visit.node.value) != "init_resources":
        return
    known = injection(visit.code.codebase)
    if known.whole and all(resource.asynchronous is False for resource in known.resources):
        receiver = ast.unparse(visit.node.value).partition(".init_resources")[0]
        fix = f"`if (ready := {receiver}.init_resources()) is not None: await ready`"
        yield Found(visit.line, "init_resources() gives None when no resource is asynchronous", fix)


def never_shut_down(call: Visit[ast.Call]) -> Iterator[Found]:
    """Look for resources with something to do at shutdown, where nothing asks for it."""
    if call.method == "init_resources":
        known = injection(call.code.codebase)
        if not known.shuts_down and any(resource.closes for resource in known.resources):
            yield Found(call.line, "nothing calls shutdown_resources(), so no resource is ever closed")


def client_at_import(call: Visit[ast.Call]) -> Iterator[Found]:
    """Look for clients that a module builds when it is imported."""
    if call.spot.scope or call.target not in CLIENTS:
        return
    later = [node.body for node in nodes(call.spot.node) if isinstance(node, ast.Lambda)]
    if not any(node is call.node for body in later for node in nodes(body)):
        reason = f"{call.target} is built at import: the first event loop that uses it keeps its connections"
        yield Found(call.line, reason)


def never_closed(codebase: Codebase) -> Iterator[Found]:
    """Look for clients that a container makes, once or for each injection, and that nothing closes."""
    known = injection(codebase)
    for own, container in known.containers.items():
        for item in container.node.body:
            value = assigned_value(item)
            made = known.names.resolve(value.func, own.path) if isinstance(value, ast.Call) else ""
            first = known.names.resolve(value.args[0], own.path) if isinstance(value, ast.Call) and value.args else ""
            names = [target.id for target in bound_targets(item) if isinstance(target, ast.Name)]
            if made in KEEPERS and first in CLIENTS and names and not _is_closed(codebase, names[0], container.node):
                often = "a client for each injection" if made == f"{PROVIDERS}.Factory" else "one client"
                reason = (
                    f"{names[0]} makes {often}, and nothing closes it: it outlives the event loop that it belongs to"
                )
                yield Found(Place(own.path, item.lineno), reason)


def client_per_request(call: Visit[ast.Call]) -> Iterator[Found]:
    """Look for clients that are made for each request and left open."""
    inner = call.spot.scope[-1] if call.spot.scope else None
    if call.target not in CLIENTS or inner not in per_request(call.code):
        return
    inside = list(nodes(inner))
    held = (
        set(map(dotted_path, bound_targets(call.spot.node))) if assigned_value(call.spot.node) is call.node else set()
    )
    entered = [
        item.context_expr for node in inside if isinstance(node, ast.With | ast.AsyncWith) for item in node.items
    ]
    entered += [
        item for node in inside if method_of(node) in _ENTERS and isinstance(node, ast.Call) for item in node.args
    ]
    closed = any(
        method_of(node) in _CLOSES and isinstance(node, ast.Call) and receiver_of(node) in held for node in inside
    )
    if (
        not closed
        and not _is_kept(inside, call.node, held)
        and not any(node is call.node or dotted_path(node) in held for item in entered for node in nodes(item))
    ):
        yield Found(call.line, f"{inner.name} makes a {call.target} for each request, and closes none")


def _is_kept(inside: Sequence[ast.AST], made: ast.Call, held: set[str]) -> bool:
    """Whether what is made goes to a name that outlives the function, where that has nothing yet."""
    outlives = {name for node in inside if isinstance(node, ast.Global) for name in node.names}
    tests = [ast.unparse(node.test) for node in inside if isinstance(node, ast.If) and made in nodes(node)]
    return any(
        path in outlives or ("." in path and any(path.rpartition(".")[2] in test for test in tests)) for path in held
    )


def _is_closed(codebase: Codebase, name: str, container: ast.ClassDef) -> bool:
    """Whether some code that closes something mentions the provider, or what it makes goes on to another provider."""
    uses = [node for node in nodes(container) if isinstance(node, ast.Name) and node.id == name]
    handed_on = any(isinstance(node.ctx, ast.Load) for node in uses)
    for code in codebase.containing(b"close", b"async with", *_ENTERS_BYTES):
        closing = [call for call in code.calls if call.method in {*_CLOSES, *_ENTERS}]
        if handed_on and closing:
            return True
        blocks: list[ast.AST] = [call.spot.scope[0] if call.spot.scope else code.tree for call in closing]
        blocks += [item.context_expr for visit in code.visits(ast.AsyncWith) for item in visit.node.items]
        if any(name in {getattr(node, "attr", ""), constant(node)} for block in blocks for node in nodes(block)):
            return True
    return False


def masked_secrets(call: Visit[ast.Call]) -> Iterator[Found]:
    """Look for a dump in JSON mode that fills the configuration of a container."""
    given = call.argument(0)
    if call.method != "from_dict" or not isinstance(given, ast.Call) or method_of(given) != "model_dump":
        return
    json = [constant(item.value) for item in given.keywords if item.arg == "mode"] == ["json"]
    receiver = ast.unparse(call.node.func).rpartition(".")[0].rpartition(".")[2]
    secrets = call.code.codebase.project.tree.files_containing(b"SecretStr")
    if json and secrets and receiver in injection(call.code.codebase).bound:
        yield Found(call.line, "model_dump(mode=\"json\") gives '**********' for every SecretStr")


def _is_route(function: Visit[_Function]) -> bool:
    return any(map(is_verb, function.node.decorator_list))


def _is_inject(function: Visit[_Function], node: ast.expr) -> bool:
    return function.resolve(node) == f"{WIRING}.inject"


def _injects(function: Visit[_Function]) -> bool:
    return any(_is_inject(function, item) for item in function.node.decorator_list)


def _markers(function: Visit[_Function]) -> list[tuple[str, ast.expr]]:
    """Return what `Provide[...]` and its like name in a signature, with where: `default` or `annotation`."""
    arguments = function.node.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    places = [("default", item) for item in (*arguments.defaults, *arguments.kw_defaults) if item is not None]
    places += [("annotation", item.annotation) for item in every if item.annotation is not None]
    found = [(where, _marked(node, function.imports)) for where, place in places for node in nodes(place)]
    return [(where, marked) for where, marked in found if marked is not None]


def _marked(node: ast.AST, imports: Mapping[str, str]) -> ast.expr | None:
    """Return what a marker names: `Container.x` for `Provide[Container.x, as_int()]`; `None` for anything else.

    Of `Closing[Provide[...]]` the inner one is the marker.
    """
    if not isinstance(node, ast.Subscript) or resolve(node.value, imports) not in MARKERS:
        return None
    inner = node.slice.elts[0] if isinstance(node.slice, ast.Tuple) and node.slice.elts else node.slice
    return None if isinstance(inner, ast.Subscript) else inner


_WIRED = (b"dependency_injector",)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_CONTAINER = """\
from dependency_injector import containers, providers

from app.pools import Pool, open_pool


class Container(containers.DeclarativeContainer):
    config = providers.Configuration()
    pool = providers.Resource(open_pool)
"""
_POOLS = "class Pool: ...\n\n\n{keyword}def open_pool():\n    yield Pool()\n"
_SYNC = {"app/pools.py": _POOLS.format(keyword=""), "app/containers.py": _CONTAINER}
_ASYNC = {"app/pools.py": _POOLS.format(keyword="async "), "app/containers.py": _CONTAINER}
_ROUTE = """\
from dependency_injector.wiring import Provide, inject
from fastapi import Depends, FastAPI

from app.containers import Container

app = FastAPI()
container = Container()
container.wire(modules=[__name__])


@app.get("/")
@inject
async def read(pool=Depends(Provide[Container.pool])): ...
"""
_UNWIRED = _ROUTE.replace("container.wire(modules=[__name__])\n", "")
_START = "async def start(container):\n    await container.init_resources()\n"
_STOP = "async def stop(container):\n    container.shutdown_resources()\n"
_SETTINGS = {
    **_SYNC,
    "app/config.py": "from pydantic import SecretStr\nfrom pydantic_settings import BaseSettings\n\n\n"
    "class Settings(BaseSettings):\n    key: SecretStr\n",
}
_FILL = (
    "from app.config import Settings\nfrom app.containers import Container\n\ncontainer = Container()\n"
    "container.config.from_dict(Settings().model_dump())\n"
)


_CLIENT = """\
import httpx
from dependency_injector import containers, providers


class Container(containers.DeclarativeContainer):
"""
_FETCH = """\
import httpx
from fastapi import FastAPI

app = FastAPI()


@app.get("/page")
async def page(url: str) -> str:
"""


def _files(files: Mapping[str, str], main: str) -> dict[str, str]:
    """Return the files of an example with a container."""
    return {**files, MAIN: main}


DI001 = Rule(
    id="DI001",
    title="An asynchronous resource is injected where nothing awaits it",
    why="It makes every provider above it give a Future instead of its object; and a `def` path operation runs in a "
    "worker thread, without the event loop that it needs. "
    "https://python-dependency-injector.ets-labs.org/providers/resource.html#asynchronous-initializers",
    fix=_SYNCHRONOUS,
    severity=Severity.ERROR,
    needles=_WIRED,
    checks={Codebase: async_below_others, ast.FunctionDef: async_in_a_thread},
    bad=(
        {**_ASYNC, "app/containers.py": f"{_CONTAINER}    users = providers.Factory(dict, pool=pool)  # DI001\n"},
        _files(_ASYNC, _ROUTE.replace("async def read", "def read").replace(": ...", ": ...  # DI001")),
    ),
    good=(
        {**_SYNC, "app/containers.py": f"{_CONTAINER}    users = providers.Factory(dict, pool=pool)\n"},
        _files(_ASYNC, _ROUTE),
    ),
)
DI002 = Rule(
    id="DI002",
    title="`@inject` stands above the route decorator",
    why="The route is registered without it and gets the marker object. "
    "https://python-dependency-injector.ets-labs.org/wiring.html#decorator-inject",
    fix="put @inject directly above the function, below the route decorator",
    severity=Severity.ERROR,
    needles=_WIRED,
    checks=dict.fromkeys(_FUNCTIONS, inject_above_the_route),
    bad=(_files(_SYNC, _ROUTE.replace('@app.get("/")\n@inject', '@inject  # DI002\n@app.get("/")')),),
    good=(_files(_SYNC, _ROUTE),),
)
DI003 = Rule(
    id="DI003",
    title="A route with `Provide[...]` has no `@inject`",
    why="It gets the marker object as its value.",
    fix="put @inject directly above the function",
    severity=Severity.ERROR,
    needles=_WIRED,
    checks=dict.fromkeys(_FUNCTIONS, no_inject),
    bad=(_files(_SYNC, _ROUTE.replace("@inject\n", "").replace(": ...", ": ...  # DI003")),),
    good=(_files(_SYNC, _ROUTE),),
)
DI004 = Rule(
    id="DI004",
    title="`Annotated[T, Depends(Provide[...])]` in a module with `from __future__ import annotations`",
    why="The annotation is text there, in which `inject` finds no marker.",
    fix="write `= Depends(Provide[...])` as the default, or drop the __future__ import",
    severity=Severity.ERROR,
    needles=_WIRED,
    checks={Code: markers_in_text},
    bad=(
        _files(
            _SYNC,
            "from __future__ import annotations\n\nfrom typing import Annotated\n\n"
            + _ROUTE.replace(
                "pool=Depends(Provide[Container.pool])): ...",
                "pool: Annotated[object, Depends(Provide[Container.pool])]): ...  # DI004",
            ),
        ),
    ),
    good=(_files(_SYNC, f"from __future__ import annotations\n\n{_ROUTE}"),),
)
DI005 = Rule(
    id="DI005",
    title="A module uses `@inject` and nothing wires it",
    why="No `wire(...)` and no `WiringConfiguration` names it: markers arrive as values. "
    "https://python-dependency-injector.ets-labs.org/wiring.html#wiring-with-modules-and-packages",
    fix="add it to the modules that the container wires",
    severity=Severity.ERROR,
    needles=_WIRED,
    checks={Code: unwired_module},
    bad=(_files(_SYNC, _UNWIRED.replace(": ...", ": ...  # DI005")),),
    good=(_files(_SYNC, _ROUTE),),
)
DI006 = Rule(
    id="DI006",
    title="`Provide[...]` names a provider that no container has",
    why="Nothing is injected: the marker itself arrives.",
    fix="name a provider of the container, or add this one to it",
    severity=Severity.ERROR,
    needles=_WIRED,
    checks={ast.Subscript: unknown_provider},
    bad=(_files(_SYNC, _ROUTE.replace("Container.pool])): ...", "Container.pol])): ...  # DI006")),),
    good=(_files(_SYNC, _ROUTE),),
)
DI007 = Rule(
    id="DI007",
    title="Something is used that dependency-injector does not have",
    why="A name of the library that does not exist, or `@containers.copy` on a class whose methods it never adds.",
    fix="use what the library has",
    severity=Severity.ERROR,
    needles=_WIRED,
    checks={Code: missing_name, ast.ClassDef: copied_methods},
    bad=("from dependency_injector import providers\n\nrequest = providers.Scope(dict)  # DI007\n",),
    good=("from dependency_injector import providers\n\nrequest = providers.ContextLocalSingleton(dict)\n",),
)
DI008 = Rule(
    id="DI008",
    title="`await container.init_resources()` where no resource is asynchronous",
    why="It gives None then, which cannot be awaited.",
    fix="await it only when it is not None",
    severity=Severity.ERROR,
    needles=(b"init_resources",),
    checks={ast.Await: awaited_none},
    bad=({**_SYNC, MAIN: f"{_START.rstrip()}  # DI008\n\n\n{_STOP}"},),
    good=({**_ASYNC, MAIN: f"{_START}\n\n{_STOP}"},),
)
DI009 = Rule(
    id="DI009",
    title="Resources are initialised and nothing in the project shuts them down",
    why="No connection is ever closed: servers of databases keep them until they time out.",
    fix="call shutdown_resources() after the `yield` of the lifespan",
    needles=(b"init_resources",),
    checks={ast.Call: never_shut_down},
    bad=({**_ASYNC, MAIN: f"{_START.rstrip()}  # DI009\n"},),
    good=({**_ASYNC, MAIN: f"{_START}\n\n{_STOP}"},),
)
DI010 = Rule(
    id="DI010",
    title="A client is built when the module is imported",
    why="It belongs to the first event loop that uses it, and is never closed. On a second one (tests, a reload in "
    'process) it fails: "Event loop is closed", "attached to a different loop".',
    fix="build it when it is first used: `laterctl add resources`",
    needles=(b"Redis", b"from_url", b"AsyncClient", b"ClientSession"),
    checks={ast.Call: client_at_import},
    bad=("import httpx\n\nclient = httpx.AsyncClient(timeout=5)  # DI010\n",),
    good=("import httpx\n\n\ndef client() -> httpx.AsyncClient:\n    return httpx.AsyncClient(timeout=5)\n",),
)
DI011 = Rule(
    id="DI011",
    title='A container is filled with `model_dump(mode="json")`',
    why="A `SecretStr` masks itself in JSON mode, so that every secret of the container is `**********`. "
    "https://docs.pydantic.dev/latest/api/types/#pydantic.types.SecretStr",
    fix="use model_dump(), and call .get_secret_value() where the secret is used",
    severity=Severity.ERROR,
    needles=(b"from_dict",),
    checks={ast.Call: masked_secrets},
    bad=(_files(_SETTINGS, _FILL.replace("model_dump())", 'model_dump(mode="json"))  # DI011')),),
    good=(_files(_SETTINGS, _FILL),),
)
DI012 = Rule(
    id="DI012",
    title="A client in a container is never closed",
    why="A Singleton keeps it, and its connections, until the process ends, and hands it to the next event loop; a "
    "Factory makes one for each injection. "
    "https://python-dependency-injector.ets-labs.org/providers/resource.html",
    fix="close it after the `yield` of the lifespan: await container.client().aclose(); or: laterctl add resources",
    needles=_WIRED,
    checks={Codebase: never_closed},
    bad=(
        f"{_CLIENT}    client = providers.Singleton(httpx.AsyncClient)  # DI012\n",
        f"{_CLIENT}    client = providers.Factory(httpx.AsyncClient, timeout=5)  # DI012\n",
    ),
    good=(
        f"{_CLIENT}    client = providers.Singleton(httpx.AsyncClient)\n\n\n"
        "async def stop(container: Container) -> None:\n    await container.client().aclose()\n",
    ),
)
DI013 = Rule(
    id="DI013",
    title="A client is made for each request and left open",
    why="Each keeps connections until the garbage collector finds it, and none is used again. "
    "https://www.python-httpx.org/advanced/clients/",
    fix="make one in the lifespan: `laterctl add resources`; or close it: async with httpx.AsyncClient() as client",
    needles=(b"Redis", b"from_url", b"AsyncClient", b"ClientSession"),
    checks={ast.Call: client_per_request},
    bad=(f"{_FETCH}    client = httpx.AsyncClient()  # DI013\n    return (await client.get(url)).text\n",),
    good=(f"{_FETCH}    async with httpx.AsyncClient() as client:\n        return (await client.get(url)).text\n",),
)
