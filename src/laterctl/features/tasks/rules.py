"""Doctor rules of `tasks`: tasks of Dramatiq that block requests, are lost or delayed, or are tried for weeks."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from laterctl.doctor.code import Code, Codebase, Visit, once
from laterctl.doctor.processes import kept_apart
from laterctl.doctor.rule import MAIN, Found, Rule, Severity
from laterctl.patterns import pattern
from laterctl.project.installed import file_of, option_in
from laterctl.project.names import dotted_path
from laterctl.project.places import Place
from laterctl.project.start_files import start_parts
from laterctl.project.statements import Function

ACTOR = "dramatiq.actor"
BROKERS = frozenset({"dramatiq.brokers.redis.RedisBroker"})

_SENDERS = frozenset({"send", "send_with_options"})
_ENCODERS = frozenset({"dramatiq.set_encoder", "dramatiq.encoder.set_encoder"})
_NO_JSON = frozenset(
    {
        *("datetime.datetime", "datetime.date", "datetime.timedelta", "uuid.UUID", "decimal.Decimal", "pathlib.Path"),
        *("sqlalchemy.orm.Session", "sqlalchemy.ext.asyncio.AsyncSession", "sqlmodel.Session", "fastapi.Request"),
        *("pydantic.BaseModel", "fastapi.UploadFile"),
    }
)
_STARTS = pattern(r"(?:^|/)(?:Procfile|(?:docker-)?compose(?:\.[\w-]+)?\.ya?ml)$")
_SERVER = pattern(r"(?<![\w.-])(?:uvicorn|gunicorn|hypercorn|granian|fastapi[\"',\s]+run)(?![\w-])")


def done_apart(codebase: Codebase) -> Iterator[Found]:
    """Look for places that start several processes, where each does its tasks itself."""
    return kept_apart(codebase, "tasks", "store", "does the tasks that it is left, and loses them when it ends")


def sent_by_a_coroutine(call: Visit[ast.Call]) -> Iterator[Found]:
    """Look for tasks that a coroutine sends: that waits for the broker, and everything else waits for it."""
    function = call.node.func
    if call.method not in _SENDERS or not isinstance(function, ast.Attribute) or not call.spot.scope:
        return
    if isinstance(call.spot.scope[-1], ast.AsyncFunctionDef) and _is_actor(call, function.value):
        yield Found(call.line, f"{ast.unparse(function)}() waits for the broker, and no other request goes on")


def tried_for_long(function: Visit[Function]) -> Iterator[Found]:
    """Look for actors that have Dramatiq's own twenty tries more."""
    if _bounds(function.code.codebase):
        return
    for decorator in _actors(function):
        told = {word.arg for word in decorator.keywords} if isinstance(decorator, ast.Call) else set()
        if not told & {None, "max_retries", "retry_when"}:
            yield Found(decorator.lineno, f"{function.node.name} is tried up to 21 times, over days")


def found_late(call: Visit[ast.Call]) -> Iterator[Found]:
    """Look for brokers that notice late that a worker is gone."""
    if call.target in BROKERS:
        told = {word.arg for word in call.node.keywords}
        missing = sorted({"heartbeat_timeout", "maintenance_chance"} - told)
        if None not in told and missing:
            yield Found(call.line, f"{' and '.join(missing)} of RedisBroker have their defaults")


def no_json(function: Visit[Function]) -> Iterator[Found]:
    """Look for parameters of actors that JSON does not have."""
    if not any(_actors(function)) or _encodes(function.code.codebase):
        return
    arguments = function.node.args
    for item in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        kinds = ast.walk(item.annotation) if item.annotation is not None else ()
        for node in kinds:
            if isinstance(node, ast.Name | ast.Attribute) and _is_no_json(function, node):
                name = dotted_path(node)
                yield Found(item.lineno, f"{item.arg} of {function.node.name} is a {name}, and a message is JSON")
                break


def nobody_works(codebase: Codebase) -> Iterator[Found]:
    """Look for files that start the application, and no worker."""
    if option_in(codebase.project.tree.read(file_of("tasks")), "store", "memory") != "redis":
        return
    for path, lines in start_parts(codebase.project.tree, _SERVER):
        if not _STARTS.search(path) or b"dramatiq" in (codebase.project.tree.read(path) or b""):
            continue
        for number, line in lines:
            if found := _SERVER.search(line):
                yield Found(Place(path, number), f"{path} starts {found[0]}, and nobody who does tasks")
                break


def _actors(function: Visit[Function]) -> Iterator[ast.expr]:
    """Yield the decorators that make a function an actor."""
    for item in function.node.decorator_list:
        if function.resolve(item.func if isinstance(item, ast.Call) else item) == ACTOR:
            yield item


@once
def _own_actors(code: Code) -> frozenset[str]:
    """Return the names of the actors of a file."""
    return frozenset(item.node.name for item in code.functions if not item.spot.scope and any(_actors(item)))


def _is_actor(call: Visit[ast.Call], node: ast.expr) -> bool:
    """Whether a name stands for an actor, here or where it is imported from."""
    found = call.code.codebase.statement(call.resolve(node), call.code.path)
    if found is None:
        return isinstance(node, ast.Name) and node.id in _own_actors(call.code)
    code = call.code.codebase.readable(found[0].path)
    return code is not None and getattr(found[1], "name", "") in _own_actors(code)


def _is_no_json(function: Visit[Function], node: ast.expr) -> bool:
    name = function.resolve(node)
    found = function.code.codebase.statement(name, function.code.path)
    here = (item for item in function.code.tree.body if getattr(item, "name", None) == dotted_path(node))
    statement = found[1] if found is not None else next(here, None)
    if isinstance(statement, ast.ClassDef):
        targets = (item for part in statement.body if isinstance(part, ast.Assign) for item in part.targets)
        tables = {word.arg for word in statement.keywords} | {dotted_path(item) for item in targets}
        return bool(tables & {"table", "__tablename__"})
    return name in _NO_JSON


@once
def _bounds(codebase: Codebase) -> bool:
    """Whether the project has the feature, or says how often Dramatiq tries."""
    return codebase.project.tree.read(file_of("tasks")) is not None or any(codebase.containing(b"Retries("))


@once
def _encodes(codebase: Codebase) -> bool:
    """Whether messages are something else than Dramatiq's JSON."""
    return any(call.target in _ENCODERS for code in codebase.containing(b"set_encoder") for call in code.calls)


_HEAD = """\
import dramatiq
from fastapi import FastAPI

app = FastAPI()


"""
_SEND = '@app.post("/")\n{} order(order_id: int):\n    bill.send(order_id){}\n'
_LEDGER = '{"feature": "tasks", "format": 1, "laterctl": "0.1.0", "options": {}, "records": [], "requested": true}'
_INSTALLED = {MAIN: "from fastapi import FastAPI\n\napp = FastAPI()\n", file_of("tasks"): _LEDGER}
_SHARED = {**_INSTALLED, file_of("tasks"): _LEDGER.replace("{}", '{"store": "redis"}')}
_WEB = "web: uvicorn app.main:app"
_ORDER = 'class Order(Base):\n    __tablename__ = "orders"\n\n\n'
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def _actor(options: str = "max_retries=3", parameter: str = "order_id: int", mark: str = "", at: str = "") -> str:
    return f"@dramatiq.actor({options}){mark}\ndef bill({parameter}):{at}\n    ...\n\n\n"


_SENT = _SEND.format("def", "")

TASK001 = Rule(
    id="TASK001",
    title="A coroutine sends a task",
    why="send() waits for the broker in the thread of the event loop: while that stalls, no request of the process is "
    "answered. https://dramatiq.io/reference.html#dramatiq.Actor.send",
    fix="send it in a thread: await asyncio.to_thread(task.send, ...); laterctl add tasks brings enqueue()",
    severity=Severity.ERROR,
    needles=(b".send(", b".send_with_options("),
    checks={ast.Call: sent_by_a_coroutine},
    bad=(_HEAD + _actor() + _SEND.format("async def", "  # TASK001"),),
    good=(
        _HEAD + _actor() + _SENT,
        _HEAD + _actor() + '@app.websocket("/")\nasync def live(websocket):\n    await websocket.send("")\n',
    ),
)
TASK002 = Rule(
    id="TASK002",
    title="An actor says nothing of how often it is tried",
    why="Dramatiq tries a task that fails twenty times more, so an e-mail may go out 21 times: "
    "https://dramatiq.io/guide.html#message-retries",
    fix="say max_retries, and time_limit, or give the broker Retries(max_retries=3)",
    needles=(b"dramatiq",),
    checks=dict.fromkeys(_FUNCTIONS, tried_for_long),
    bad=(_HEAD + _actor("", mark="  # TASK002") + _SENT,),
    good=(
        _HEAD + _actor() + _SENT,
        {**_INSTALLED, MAIN: _HEAD + _actor("") + _SENT},
    ),
)
TASK003 = Rule(
    id="TASK003",
    title="A broker notices late that a worker is gone",
    why="Tasks of a worker that was killed wait for a minute of silence, and then for a maintenance that one command in a "
    "thousand brings: https://dramatiq.io/reference.html#dramatiq.brokers.redis.RedisBroker",
    fix="say both: RedisBroker(heartbeat_timeout=15_000, maintenance_chance=1_000_000)",
    needles=(b"RedisBroker",),
    checks={ast.Call: found_late},
    bad=("from dramatiq.brokers.redis import RedisBroker\n\nbroker = RedisBroker(url=URL)  # TASK003\n",),
    good=(
        "from dramatiq.brokers.redis import RedisBroker\n\n"
        "broker = RedisBroker(url=URL, heartbeat_timeout=15_000, maintenance_chance=1_000_000)\n",
    ),
)
TASK004 = Rule(
    id="TASK004",
    title="A task is given what JSON does not have",
    why="Messages are JSON, so that sending it raises TypeError; an object of the database would be old, besides, when the "
    "task is done. https://dramatiq.io/best_practices.html#simple-messages",
    fix="give it the id, or a text, and have it look up the rest",
    severity=Severity.ERROR,
    needles=(b"dramatiq",),
    checks=dict.fromkeys(_FUNCTIONS, no_json),
    bad=(
        _HEAD + _ORDER + _actor(parameter="order: Order", at="  # TASK004") + _SENT,
        "from datetime import datetime\n" + _HEAD + _actor(parameter="at: datetime", at="  # TASK004") + _SENT,
    ),
    good=(_HEAD + _ORDER + _actor() + _SENT,),
)
TASK005 = Rule(
    id="TASK005",
    title="The application is started, and no worker",
    why="Tasks then wait in Redis for somebody who does them.",
    fix="start a worker there too: dramatiq, with the module worker of your package and those of your tasks",
    checks={Codebase: nobody_works},
    bad=({**_SHARED, "Procfile": f"{_WEB}  # TASK005\n"},),
    good=(
        {**_SHARED, "Procfile": f"{_WEB}\nworker: dramatiq app.worker:broker app.orders\n"},
        {**_INSTALLED, "Procfile": f"{_WEB}\n"},
    ),
)
TASK006 = Rule(
    id="TASK006",
    title="Several processes do their tasks themselves",
    why="The application is started as several workers or replicas, and tasks are kept in the memory of each: what one has "
    "not done when it ends is lost, and no other takes it over.",
    fix="laterctl add tasks --set tasks.store=redis, or start one process",
    scripts=True,
    checks={Codebase: done_apart},
    bad=({**_INSTALLED, "Dockerfile": "CMD gunicorn -w 4 app.main:app  # TASK006\n"},),
    good=({**_SHARED, "Dockerfile": "CMD gunicorn -w 4 app.main:app\n"},),
)
