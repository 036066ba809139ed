"""Doctor rules of `tracing`: traces that are never sent, or never made, by code written by hand."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from laterctl.dialects.manifest import may_have
from laterctl.doctor.code import Codebase, Visit
from laterctl.doctor.http import is_lifespan
from laterctl.doctor.rule import Found, Rule, Severity
from laterctl.project.places import Place
from laterctl.project.statements import assigned_value, nodes

ASYNC_ENGINE = "sqlalchemy.ext.asyncio.create_async_engine"
FASTAPI = "opentelemetry.instrumentation.fastapi.FastAPIInstrumentor"
GRPC = "opentelemetry.exporter.otlp.proto.grpc.trace_exporter.OTLPSpanExporter"
SQLALCHEMY = "opentelemetry.instrumentation.sqlalchemy.SQLAlchemyInstrumentor"
BATCH = "opentelemetry.sdk.trace.export.BatchSpanProcessor"
SUPPORTED = "2.1"
"""The first version of SQLAlchemy that its instrumentation does not name among those it is for."""


def asynchronous_engine(call: Visit[ast.Call]) -> Iterator[Found]:
    """Look for the instrumentation of an asynchronous engine itself."""
    engine = call.keyword("engine") if _instruments(call) else None
    if isinstance(engine, ast.Attribute) and engine.attr == "sync_engine":
        return
    if engine is not None and _made_by(call, engine) == ASYNC_ENGINE:
        yield Found(engine.lineno, "this is the asynchronous engine, which takes no listeners")


def without_scheme(call: Visit[ast.Call]) -> Iterator[Found]:
    """Look for exporters over gRPC to an address that does not say whether it is encrypted."""
    endpoint = call.literal("endpoint") if call.target == GRPC else None
    told = {word.arg for word in call.node.keywords}
    if isinstance(endpoint, str) and "://" not in endpoint and not told & {None, "insecure", "credentials"}:
        yield Found(call.line, f"{endpoint} is spoken to by TLS, as nothing else is said")


def never_flushed(codebase: Codebase) -> Iterator[Found]:
    """Look for spans that are sent in batches, where nothing sends the last ones."""
    if any(
        isinstance(node, ast.Attribute) and node.attr in {"force_flush", "shutdown"}  # called, or handed to a thread
        for code in codebase.containing(b"force_flush", b"shutdown")
        for node in nodes(code.tree)
    ):
        return
    for code in codebase.containing(b"BatchSpanProcessor"):
        for call in code.calls:
            if call.target == BATCH:
                yield Found(Place(code.path, call.line), "nothing calls force_flush() or shutdown() of the provider")


def instrumented_late(visit: Visit[ast.AsyncFunctionDef]) -> Iterator[Found]:
    """Look into lifespans for the instrumentation of the application."""
    for node in nodes(visit.node) if is_lifespan(visit) else ():
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "instrument_app":
            owner = node.func.value.func if isinstance(node.func.value, ast.Call) else node.func.value
            if visit.resolve(owner) == FASTAPI:
                yield Found(node.lineno, "the middleware stack is built by now, so this does nothing")


def not_instrumented(codebase: Codebase) -> Iterator[Found]:
    """Look for the instrumentation of a SQLAlchemy that it takes for too new."""
    manifest = codebase.project.manifest
    version = manifest.locked.get("sqlalchemy") if manifest is not None else None
    if manifest is None or version is None or not may_have(manifest, "sqlalchemy", SUPPORTED):
        return
    for code in codebase.containing(b"SQLAlchemyInstrumentor"):
        for call in code.calls:
            told = {word.arg for word in call.node.keywords}
            if _instruments(call) and not told & {None, "skip_dep_check"}:
                yield Found(Place(code.path, call.line), f"SQLAlchemy {version} is left alone, with a line in the log")


def _instruments(call: Visit[ast.Call]) -> bool:
    """Whether a call instruments SQLAlchemy."""
    func = call.node.func
    if not isinstance(func, ast.Attribute) or func.attr != "instrument":
        return False
    made = call.code.value(func.value)
    return isinstance(made, ast.Call) and call.resolve(made.func) == SQLALCHEMY


def _made_by(call: Visit[ast.Call], node: ast.expr) -> str:
    """Return the dotted name of the function whose result a name stands for, here or where it is imported from."""
    value = call.code.value(node)
    if isinstance(value, ast.Call):
        return call.resolve(value.func)
    codebase = call.code.codebase
    found = codebase.statement(call.resolve(node), call.code.path)
    made = assigned_value(found[1]) if found is not None else None
    code = codebase.readable(found[0].path) if found is not None else None
    return code.resolve(made.func) if code is not None and isinstance(made, ast.Call) else ""


_ENGINE = """\
from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
from sqlalchemy.ext.asyncio import create_async_engine

engine = create_async_engine("sqlite+aiosqlite://")
SQLAlchemyInstrumentor().instrument(engine={}, skip_dep_check=True)
"""
_EXPORTER = """\
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

exporter = OTLPSpanExporter(endpoint="{}collector:4317")
"""
_BATCH = """\
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
"""
_APP = """\
from contextlib import asynccontextmanager

from fastapi import FastAPI
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor


@asynccontextmanager
async def lifespan(app):
    yield


app = FastAPI(lifespan=lifespan)
"""
_INSTRUMENT = "from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor\n\n"
_LOCK = {
    "pyproject.toml": '[project]\nname = "shop"\nversion = "1"\ndependencies = ["fastapi", "sqlalchemy>=2"]\n',
    "uv.lock": 'version = 1\n\n[[package]]\nname = "sqlalchemy"\nversion = "2.1.9"\n',
}

TRC001 = Rule(
    id="TRC001",
    title="An asynchronous engine is given to OpenTelemetry as it is",
    why="Its events belong to the synchronous engine inside of it: NotImplementedError is raised. "
    "https://docs.sqlalchemy.org/en/20/orm/extensions/asyncio.html#using-events-with-the-asyncio-extension",
    fix="give it engine.sync_engine",
    severity=Severity.ERROR,
    needles=(b"SQLAlchemyInstrumentor",),
    checks={ast.Call: asynchronous_engine},
    bad=(_ENGINE.format("engine").replace("check=True)", "check=True)  # TRC001"),),
    good=(_ENGINE.format("engine.sync_engine"),),
)
TRC002 = Rule(
    id="TRC002",
    title="A collector is spoken to over gRPC by an address without a scheme",
    why="That means TLS: of a collector that is not encrypted, no span arrives. "
    "https://opentelemetry.io/docs/specs/otel/protocol/exporter/#configuration-options",
    fix="write http:// or https:// in front of it",
    needles=(b"OTLPSpanExporter",),
    checks={ast.Call: without_scheme},
    bad=(_EXPORTER.format("").replace('4317")', '4317")  # TRC002'),),
    good=(_EXPORTER.format("http://"), _EXPORTER.format("").replace('4317"', '4317", insecure=True')),
)
TRC003 = Rule(
    id="TRC003",
    title="Spans are sent in batches, and nothing sends the last ones",
    why="uvicorn ends on SIGTERM by the signal itself, so that what is registered with atexit does not run: "
    "the spans of the last seconds are lost.",
    fix="call force_flush() of the provider when the lifespan ends",
    checks={Codebase: never_flushed},
    bad=(_BATCH.replace("Exporter()))", "Exporter()))  # TRC003"),),
    good=(f"{_BATCH}\n\ndef stop() -> None:\n    provider.force_flush()\n",),
)
TRC004 = Rule(
    id="TRC004",
    title="The application is instrumented while it starts",
    why="The middleware stack is built before the lifespan is entered, and the instrumentation is a part of it.",
    fix="call instrument_app() where the application is constructed",
    needles=(b"instrument_app",),
    checks={ast.AsyncFunctionDef: instrumented_late},
    bad=(_APP.replace("    yield", "    FastAPIInstrumentor.instrument_app(app)  # TRC004\n    yield"),),
    good=(f"{_APP}FastAPIInstrumentor.instrument_app(app)\n",),
)
TRC005 = Rule(
    id="TRC005",
    title="The instrumentation of SQLAlchemy takes this version for too new",
    why="It writes one line into the log and does nothing: there are no spans of statements.",
    fix="pass skip_dep_check=True",
    checks={Codebase: not_instrumented},
    bad=({**_LOCK, "app/main.py": f"{_INSTRUMENT}SQLAlchemyInstrumentor().instrument()  # TRC005\n"},),
    good=({**_LOCK, "app/main.py": f"{_INSTRUMENT}SQLAlchemyInstrumentor().instrument(skip_dep_check=True)\n"},),
)
