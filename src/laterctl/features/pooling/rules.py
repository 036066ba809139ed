"""Doctor rules of `pooling`: engines that fail where they are made, or in the first night."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from laterctl.doctor.code import Code, Visit
from laterctl.doctor.rule import Found, Rule, Severity
from laterctl.project.statements import nodes, wrapped_function

_SIZES = ("pool_size", "max_overflow", "pool_timeout")
_WITHOUT_SIZE = frozenset({"NullPool", "StaticPool", "AssertionPool"})


def _made(visit: Visit[ast.Call]) -> tuple[str, str]:
    """Return the name of the function by which a call makes an engine, and that of the pool it names; `""` for none."""
    package, _, name = visit.resolve(wrapped_function(visit.node.func)).partition(".")
    name = name.rpartition(".")[2]
    if package not in {"sqlalchemy", "sqlmodel"} or name not in {"create_engine", "create_async_engine"}:
        return "", ""
    pool = visit.keyword("poolclass")
    return name, visit.resolve(pool).rpartition(".")[2] if pool is not None else ""


def _url(visit: Visit[ast.Call]) -> str:
    """Return the URL that an engine is made with, as far as it stands there."""
    url = visit.argument(0, "url")
    literal = visit.code.literal(url)
    return literal if isinstance(literal, str) else ""


def queue_of_threads(visit: Visit[ast.Call]) -> Iterator[Found]:
    """Look for the pool of threads in an engine that is awaited."""
    if _made(visit) == ("create_async_engine", "QueuePool"):
        yield Found(visit.line, "QueuePool waits in a thread; making this engine raises ArgumentError")


def size_of_nothing(visit: Visit[ast.Call]) -> Iterator[Found]:
    """Look for the size of a pool that has none."""
    name, pool = _made(visit)
    given = next((size for size in _SIZES if visit.keyword(size) is not None), "")
    in_memory = name == "create_async_engine" and not pool and _url(visit) in _IN_MEMORY
    if name and given and (pool in _WITHOUT_SIZE or in_memory):
        yield Found(visit.line, f"{pool or 'StaticPool'} takes no {given}: making this engine raises TypeError")


_IN_MEMORY = frozenset({"sqlite+aiosqlite://", "sqlite+aiosqlite:///:memory:"})


def sslmode_for_asyncpg(code: Code) -> Iterator[Found]:
    """Look for URLs of asyncpg with the parameter of another driver."""
    for node in nodes(code.tree):
        texts = [part.value for part in getattr(node, "values", []) if isinstance(part, ast.Constant)]
        text = node.value if isinstance(node, ast.Constant) else "".join(map(str, texts))
        if isinstance(text, str) and text.startswith("postgresql+asyncpg://") and "sslmode=" in text:
            yield Found(getattr(node, "lineno", 1), "asyncpg knows no sslmode: connecting raises TypeError")


def no_ping(visit: Visit[ast.Call]) -> Iterator[Found]:
    """Look for pools of a size that hand out connections without a look at them."""
    name, pool = _made(visit)
    words = {word.arg for word in visit.node.keywords}
    is_ours = isinstance(visit.node.func, ast.Call)
    if name and not is_ours and words & {*_SIZES} and not words & {"pool_pre_ping", None} and pool not in _WITHOUT_SIZE:
        yield Found(visit.line, "a connection that the server closed is handed out, and the request fails")


def no_greenlet(visit: Visit[ast.Call]) -> Iterator[Found]:
    """Look for asynchronous engines in a project that depends on SQLAlchemy without what these need."""
    manifest = visit.code.codebase.project.manifest
    if manifest is None or _made(visit)[0] != "create_async_engine":
        return
    names = {item.name for item in manifest.requirements}
    lines = [item for item in manifest.requirements if item.name == "sqlalchemy"]
    if lines and "greenlet" not in names and not any("asyncio" in item.text or "<2.1" in item.text for item in lines):
        yield Found(lines[0].place, "SQLAlchemy 2.1 comes without greenlet, and its asynchronous engines do not import")


_HEAD = """\
import os

from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, NullPool, QueuePool

URL = os.environ["DATABASE_URL"]
"""
_ASYNC = "from sqlalchemy.ext.asyncio import create_async_engine\n\nengine = create_async_engine(URL)\n"

POL001 = Rule(
    id="POL001",
    title="An asynchronous engine is given QueuePool",
    why="SQLAlchemy refuses it where the engine is made: the pool waits in a thread. "
    "https://docs.sqlalchemy.org/en/20/core/pooling.html",
    fix="leave poolclass out: AsyncAdaptedQueuePool is the default",
    severity=Severity.ERROR,
    needles=(b"QueuePool",),
    checks={ast.Call: queue_of_threads},
    bad=(f"{_HEAD}engine = create_async_engine(URL, poolclass=QueuePool)  # POL001\n",),
    good=(
        f"{_HEAD}engine = create_async_engine(URL, poolclass=AsyncAdaptedQueuePool)\n",
        f"{_HEAD}engine = create_engine(URL, poolclass=QueuePool)\n",
    ),
)
POL002 = Rule(
    id="POL002",
    title="A pool that keeps no connections is given a size",
    why="NullPool, StaticPool and a database in memory have no size: SQLAlchemy raises TypeError where the engine is made.",
    fix="leave the size out, or the pool",
    severity=Severity.ERROR,
    needles=tuple(size.encode() for size in _SIZES),
    checks={ast.Call: size_of_nothing},
    bad=(
        f"{_HEAD}engine = create_engine(URL, poolclass=NullPool, pool_size=5)  # POL002\n",
        f'{_HEAD}engine = create_async_engine("sqlite+aiosqlite://", max_overflow=5, pool_pre_ping=True)  # POL002\n',
    ),
    good=(
        f"{_HEAD}engine = create_engine(URL, poolclass=NullPool)\n",
        f"{_HEAD}engine = create_async_engine(URL, pool_size=5, pool_pre_ping=True)\n",
    ),
)
POL003 = Rule(
    id="POL003",
    title="A URL of asyncpg has sslmode",
    why="SQLAlchemy hands the query of a URL to the driver, and asyncpg.connect() takes ssl: each connection raises TypeError. "
    "https://docs.sqlalchemy.org/en/20/dialects/postgresql.html",
    fix="write ?ssl=require",
    severity=Severity.ERROR,
    needles=(b"sslmode",),
    checks={Code: sslmode_for_asyncpg},
    bad=('URL = "postgresql+asyncpg://db/app?sslmode=require"  # POL003\n',),
    good=(
        'URL = "postgresql+asyncpg://db/app?ssl=require"\n',
        'URL = "postgresql+psycopg://db/app?sslmode=require"\n',
    ),
)
POL004 = Rule(
    id="POL004",
    title="Connections of a pool are used without a look at whether they still live",
    why="After a restart of the server, or an idle hour behind a firewall, each of them fails one request. "
    "https://docs.sqlalchemy.org/en/20/core/pooling.html",
    fix="pool_pre_ping=True, or laterctl add pooling",
    needles=tuple(size.encode() for size in _SIZES),
    checks={ast.Call: no_ping},
    bad=(f"{_HEAD}engine = create_async_engine(URL, pool_size=5)  # POL004\n",),
    good=(
        f"{_HEAD}engine = create_async_engine(URL, pool_size=5, pool_pre_ping=True)\n",
        f"{_HEAD}engine = create_engine(URL, pool_size=5, **OPTIONS)\n",
        f"{_HEAD}engine = create_engine(URL)\n",
    ),
)
POL005 = Rule(
    id="POL005",
    title="SQLAlchemy is declared without asyncio, and awaited",
    why="From 2.1 on greenlet is no dependency of its own: import sqlalchemy.ext.asyncio fails. "
    "https://docs.sqlalchemy.org/en/21/changelog/migration_21.html",
    fix="declare sqlalchemy[asyncio]",
    severity=Severity.ERROR,
    needles=(b"create_async_engine",),
    checks={ast.Call: no_greenlet},
    bad=({"app/main.py": _ASYNC, "requirements.txt": "fastapi\nsqlalchemy>=2  # POL005\n"},),
    good=(
        {"app/main.py": _ASYNC, "requirements.txt": "fastapi\nsqlalchemy[asyncio]>=2\n"},
        {"app/main.py": _ASYNC, "requirements.txt": "fastapi\nsqlalchemy>=2.0,<2.1\n"},
        {"app/main.py": _ASYNC, "requirements.txt": "fastapi\nsqlalchemy>=2\ngreenlet\n"},
    ),
)
