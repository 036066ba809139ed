"""Doctor rules of `cache`: what is cached for one process, for nobody, or for everybody who writes to Redis."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from laterctl.doctor.code import Codebase, Visit, constant, method_of
from laterctl.doctor.http import is_verb
from laterctl.doctor.processes import kept_apart
from laterctl.doctor.rule import MAIN, Found, Rule, Severity
from laterctl.project.installed import file_of
from laterctl.project.statements import Function, assigned_value, bound_targets, nodes

_OF_RESULTS = frozenset(
    {
        *("functools.lru_cache", "functools.cache", "functools.cached_property"),
        *("cachetools.cached", "cachetools.func.ttl_cache", "cachetools.func.lru_cache"),
    }
)
"""Decorators that keep what a call returns: of an `async def`, the coroutine."""
_OF_A_REQUEST = frozenset(
    {
        *("fastapi.Request", "fastapi.WebSocket", "starlette.requests.Request", "starlette.websockets.WebSocket"),
        *("sqlalchemy.orm.Session", "sqlalchemy.ext.asyncio.AsyncSession", "sqlmodel.Session"),
        *("fastapi.requests.Request", "sqlmodel.ext.asyncio.session.AsyncSession"),
    }
)
_READS = frozenset({"get", "hget", "getex", "lpop", "rpop", "mget"})
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def invalidated_apart(codebase: Codebase) -> Iterator[Found]:
    """Look for places that start several processes, where each has a cache of its own."""
    return kept_apart(codebase, "cache", "store", "has a cache of its own: an invalidation reaches one of them")


def coroutine_kept(function: Visit[ast.AsyncFunctionDef]) -> Iterator[Found]:
    """Look for a decorator that keeps the coroutine: the innermost one, which alone sees it for certain."""
    for decorator in function.node.decorator_list[-1:]:
        if (name := _keeper(function, decorator)) and not _yields(function.node):
            reason = f"{name} keeps the coroutine of {function.node.name}, which can be awaited once: RuntimeError"
            yield Found(decorator.lineno, reason)


def kept_for_a_request(function: Visit[Function]) -> Iterator[Found]:
    """Look for parameters that each request has another object for."""
    arguments = function.node.args
    for decorator in function.node.decorator_list:
        for item in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
            kind = function.resolve(item.annotation) if item.annotation is not None else ""
            if (name := _keeper(function, decorator)) and kind in _OF_A_REQUEST:
                reason = f"{name} keeps each {item.arg} of {function.node.name} alive, and no other request finds it"
                yield Found(decorator.lineno, reason)
                return


def above_the_route(function: Visit[Function]) -> Iterator[Found]:
    """Look at the order of decorators of fastapi-cache and of routes."""
    decorators = function.node.decorator_list
    verbs = [number for number, item in enumerate(decorators) if is_verb(item)]
    for number, item in enumerate(decorators):
        called = item.func if isinstance(item, ast.Call) else item
        if verbs and number < verbs[0] and function.resolve(called) == "fastapi_cache.decorator.cache":
            reason = f"{function.node.name} is registered before its results are cached: each request runs it"
            yield Found(item.lineno, reason)


def written_arguments(statement: Visit[ast.Assign]) -> Iterator[Found]:
    """Look for keys with all arguments of a call as Python shows them, in a file that is about caching."""
    scope = statement.spot.scope[-1] if statement.spot.scope else None
    named = any("key" in ast.unparse(target).lower() for target in statement.node.targets)
    if not named or not isinstance(scope, Function) or not statement.code.mentions(b"cache", b"redis"):
        return
    rest = {item.arg for item in (scope.args.vararg, scope.args.kwarg) if item is not None}
    for node in nodes(statement.node.value):
        shown = node.value if isinstance(node, ast.FormattedValue) else None
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"str", "repr"}:
            shown = node.args[0] if len(node.args) == 1 else None
        if isinstance(shown, ast.Name) and shown.id in rest:
            reason = f"the key has {shown.id} as Python shows it: the address of each object, and the way it was called"
            yield Found(statement.line, reason)
            return


def hash_of_one_process(call: Visit[ast.Call]) -> Iterator[Found]:
    """Look for `hash()` in what is a key of Redis."""
    if not isinstance(call.node.func, ast.Name) or call.node.func.id != "hash" or not call.code.mentions(b"redis"):
        return
    names = {ast.unparse(target).lower() for target in bound_targets(call.spot.node)}
    given = [
        item
        for item in nodes(call.spot.node)
        if method_of(item) in {"get", "set", "setex"} and isinstance(item, ast.Call)
    ]
    inside = any("redis" in ast.unparse(item.func).lower() and call.node in nodes(item) for item in given)
    if inside or any("key" in name for name in names):
        yield Found(call.line, "hash() of a text is another one in each process: no other finds the entry")


def unpickled(call: Visit[ast.Call]) -> Iterator[Found]:
    """Look for `pickle.loads` of what Redis gave."""
    if call.target not in {"pickle.loads", "cloudpickle.loads", "dill.loads"} or not call.code.mentions(b"redis"):
        return
    given = call.argument(0)
    scope = call.spot.scope[-1] if call.spot.scope else call.code.tree
    if isinstance(given, ast.Name):
        made = (assigned_value(node) for node in nodes(scope) if isinstance(node, ast.stmt) and _binds(node, given.id))
        given = next((value for value in made if value is not None), None)
    read = given.value if isinstance(given, ast.Await) else given
    if isinstance(read, ast.Call) and method_of(read) in _READS and _is_redis(read):
        yield Found(call.line, "whoever can write to Redis can run code here")


def every_key(call: Visit[ast.Call]) -> Iterator[Found]:
    """Look for `KEYS` with a pattern; a mapping's `keys()` takes none."""
    pattern = constant(call.argument(0, "pattern"))
    text = call.argument(0, "pattern")
    if isinstance(text, ast.JoinedStr):
        pattern = "".join(str(constant(part) or "") for part in text.values)
    if call.method == "keys" and isinstance(pattern, str) and "*" in pattern and call.code.mentions(b"redis"):
        yield Found(call.line, "KEYS goes through the whole database, and nobody else is served meanwhile")


def _keeper(function: Visit[Function], decorator: ast.expr) -> str:
    """Return the name of a decorator that keeps results, `""` for others."""
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    name = function.code.resolve(called)
    return name.rpartition(".")[2] if name in _OF_RESULTS else ""


def _yields(function: Function) -> bool:
    return any(isinstance(node, ast.Yield | ast.YieldFrom) for node in nodes(function))


def _binds(node: ast.stmt, name: str) -> bool:
    return any(isinstance(target, ast.Name) and target.id == name for target in bound_targets(node))


def _is_redis(call: ast.Call) -> bool:
    """Whether what is read from is called like Redis or a cache."""
    receiver = ast.unparse(call.func).rpartition(".")[0].lower()
    return any(word in receiver for word in ("redis", "cache", "client", "conn"))


_INSTALLED = {
    MAIN: "from fastapi import FastAPI\n\napp = FastAPI()\n",
    file_of("cache"): '{"feature": "cache", "format": 1, "laterctl": "0.1.0", "options": {}, "records": [], '
    '"requested": true}',
}
_WRAPPER = """\
import json
from functools import wraps

from app.clients import redis


def cached(func):
    @wraps(func)
    async def wrapper(*args, **kwargs):
"""

CAC001 = Rule(
    id="CAC001",
    title="Several processes have a cache of their own",
    why="The application is started as several workers or replicas, and cache keeps values in the memory of each: what "
    "one forgets, the others go on answering until it expires, and each loads everything itself.",
    fix="laterctl add cache --set cache.store=redis, or start one process",
    scripts=True,
    checks={Codebase: invalidated_apart},
    bad=({**_INSTALLED, "Dockerfile": "CMD gunicorn -w 4 app.main:app  # CAC001\n"},),
    good=(
        {
            **_INSTALLED,
            file_of("cache"): _INSTALLED[file_of("cache")].replace("{}", '{"store": "redis"}'),
            "Dockerfile": "CMD gunicorn -w 4 app.main:app\n",
        },
    ),
)
CAC002 = Rule(
    id="CAC002",
    title="The coroutine of an `async def` is cached, not its result",
    why="The second call gets the same coroutine: RuntimeError, cannot reuse already awaited coroutine. "
    "https://docs.python.org/3/library/functools.html#functools.lru_cache",
    fix="cache what is awaited: `laterctl add cache`, or alru_cache of async-lru",
    severity=Severity.ERROR,
    needles=(b"lru_cache", b"functools", b"cachetools"),
    checks={ast.AsyncFunctionDef: coroutine_kept},
    bad=("from functools import lru_cache\n\n\n@lru_cache  # CAC002\nasync def rates(day): ...\n",),
    good=("from functools import lru_cache\n\n\n@lru_cache\ndef settings(): ...\n",),
)
CAC003 = Rule(
    id="CAC003",
    title="A cached function takes what each request has its own of",
    why="It is a part of the key: no other request finds the entry, which keeps the session or the request alive.",
    fix="give it the values it needs, and cache what does not depend on the request",
    needles=(b"lru_cache", b"functools", b"cachetools"),
    checks=dict.fromkeys(_FUNCTIONS, kept_for_a_request),
    bad=(
        "from functools import lru_cache\n\nfrom sqlalchemy.orm import Session\n\n\n"
        "@lru_cache  # CAC003\ndef countries(db: Session): ...\n",
    ),
    good=("from functools import lru_cache\n\n\n@lru_cache\ndef country(code: str): ...\n",),
)
CAC004 = Rule(
    id="CAC004",
    title="The decorator of fastapi-cache stands above the one of the route",
    why="The route is registered without it. https://github.com/long2ice/fastapi-cache#usage",
    fix="put @cache directly above the function, below the route decorator",
    severity=Severity.ERROR,
    needles=(b"fastapi_cache",),
    checks=dict.fromkeys(_FUNCTIONS, above_the_route),
    bad=(
        "from fastapi import FastAPI\nfrom fastapi_cache.decorator import cache\n\napp = FastAPI()\n\n\n"
        '@cache(expire=60)  # CAC004\n@app.get("/rates")\nasync def rates(): ...\n',
    ),
    good=(
        "from fastapi import FastAPI\nfrom fastapi_cache.decorator import cache\n\napp = FastAPI()\n\n\n"
        '@app.get("/rates")\n@cache(expire=60)\nasync def rates(): ...\n',
    ),
)
CAC005 = Rule(
    id="CAC005",
    title="The key of a cache is made of all arguments as Python shows them",
    why="An object without a `repr` of its own shows its address, `self` for one, so that nothing is ever found; "
    "`f(1)` and `f(n=1)` are two entries.",
    fix="say what the key is: a function of the arguments that the value depends on",
    needles=(b"args",),
    checks={ast.Assign: written_arguments},
    bad=(f'{_WRAPPER}        key = f"{{func.__name__}}:{{args}}"  # CAC005\n        return await redis.get(key)\n',),
    good=(f'{_WRAPPER}        key = f"user:{{kwargs["user_id"]}}"\n        return await redis.get(key)\n',),
)
CAC006 = Rule(
    id="CAC006",
    title="A key in Redis is made with `hash()`",
    why="Python hashes texts with a number that each process draws anew. "
    "https://docs.python.org/3/reference/datamodel.html#object.__hash__",
    fix="use hashlib: hashlib.sha256(text.encode()).hexdigest()",
    severity=Severity.ERROR,
    needles=(b"hash(",),
    checks={ast.Call: hash_of_one_process},
    bad=('from app.clients import redis\n\n\nasync def read(text):\n    key = f"page:{hash(text)}"  # CAC006\n',),
    good=("class Point:\n    def __hash__(self):\n        return hash((self.x, self.y))\n",),
)
CAC007 = Rule(
    id="CAC007",
    title="What is read from Redis is unpickled",
    why="A pickle runs whatever code it names. https://docs.python.org/3/library/pickle.html",
    fix="keep JSON: model.model_dump_json() and Model.model_validate_json(); or: laterctl add cache",
    needles=(b"loads",),
    checks={ast.Call: unpickled},
    bad=(
        "import pickle\n\nfrom app.clients import redis\n\n\nasync def read(key):\n    data = await redis.get(key)\n"
        "    return pickle.loads(data)  # CAC007\n",
    ),
    good=(
        "import json\n\nfrom app.clients import redis\n\n\nasync def read(key):\n"
        "    return json.loads(await redis.get(key))\n",
    ),
)
CAC008 = Rule(
    id="CAC008",
    title="`KEYS` looks for what to forget",
    why="It takes longer the more there is, whoever else asks waits, and what is written meanwhile stays. "
    "https://redis.io/docs/latest/commands/keys/",
    fix="have a generation in the keys of a group, and change it; or: laterctl add cache",
    needles=(b".keys(",),
    checks={ast.Call: every_key},
    bad=(
        'from app.clients import redis\n\n\nasync def forget():\n    for key in await redis.keys("users:*"):  # CAC008\n'
        "        await redis.delete(key)\n",
    ),
    good=("def names(users):\n    return list(users.keys())\n",),
)
