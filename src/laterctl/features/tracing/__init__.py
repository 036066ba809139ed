"""OpenTelemetry traces by FastAPI's own telemetry, sent by OTLP."""

from collections.abc import Iterator

from laterctl.dialects.manifest import declared_range
from laterctl.edits.app_statements import AppArgument
from laterctl.edits.beside import Beside
from laterctl.edits.chosen import Chosen
from laterctl.edits.context import Edit, FeatureContext
from laterctl.edits.dropped_test import DroppedTest, has_importable_app
from laterctl.edits.file import File, engine, http_client
from laterctl.edits.manifest import DependencyFloor, is_required
from laterctl.edits.open_file import Listed, Step
from laterctl.feature import ExistingSigns, Feature, Group, Option, Stage
from laterctl.patterns import pattern
from laterctl.project.places import Place
from laterctl.refusal import Refusal

FASTAPI = "0.142"
"""The first version with telemetry of its own."""

AGENT = pattern(r"(?<![\w-])(?:opentelemetry-instrument|ddtrace-run|newrelic-admin)(?![\w-])")
"""Programs that trace whatever they start."""

MODULES = ("opentelemetry",)
INSTRUMENTORS = "core.tracing:INSTRUMENTORS"
LIBRARIES = {
    "httpx": ("httpx", "HTTPXClientInstrumentor"),
    "httpx2": ("httpx", "HTTPX2ClientInstrumentor"),
    "redis": ("redis", "RedisInstrumentor"),
}


def instrumented(context: FeatureContext) -> Iterator[Edit]:
    """Trace the clients that the application has, by itself or from other features, and its database."""
    warn_of_older(context)
    for library in LIBRARIES:
        if is_required(context, library):
            yield from library_traced(library)
    yield Beside("resources", tuple(library_traced(http_client(context))))
    yield Beside("redis", tuple(library_traced("redis")))
    database, reason = context.project.database, context.project.why_not("database")
    if database is None:
        if reason is not None:
            context.choice(f"the database is not traced: {reason.message}", next(iter(reason.places), None))
        return
    if engine(context) is None:
        context.choice("the database is not traced: a new module cannot import its engine", database.place)
        return
    form = "async" if database.asynchronous else "sync"
    yield distribution("sqlalchemy")
    yield File("core/tracing_database.py", f"tracing/core/tracing_database.{form}.py.jinja")
    yield Listed("core.tracing_database:DatabaseInstrumentor", into=INSTRUMENTORS, arguments="")


def warn_of_older(context: FeatureContext) -> None:
    """Say where versions of FastAPI are allowed that have no telemetry, unless one is locked that has it."""
    from laterctl.codemods.requirements import satisfiable

    manifest = context.project.manifest
    if manifest is None or "fastapi" in manifest.locked:
        return
    for item in manifest.requirements:
        if item.name == "fastapi" and not item.group and satisfiable(declared_range(item), f"fastapi<{FASTAPI}"):
            context.warn(f"FastAPI has to be {FASTAPI} or newer, and {item.text} allows older ones", item.place)


def started_by_agent(context: FeatureContext) -> Refusal | None:
    """Refuse where the application is started by a program that traces it."""
    from laterctl.project.start_files import start_parts

    for path, part in start_parts(context.project.tree, AGENT):
        for number, line in part:
            if found := AGENT.search(line):
                return Refusal(
                    "already-by-hand",
                    f"{path} starts the application by {found[0]}, which traces it",
                    Place(path, number),
                    seen=line.strip(),
                    expected="an application that nothing traces",
                    remedy=f"start it without {found[0]}, or keep that",
                    feature=context.feature,
                )
    return None


def library_traced(library: str) -> Iterator[Edit]:
    """Yield what traces a library."""
    name, instrumentor = LIBRARIES[library]
    yield distribution(name)
    yield Listed(f"opentelemetry.instrumentation.{name}:{instrumentor}", into=INSTRUMENTORS, arguments="")


def distribution(name: str) -> DependencyFloor:
    """Return the dependency on what traces a library."""
    return DependencyFloor(f"opentelemetry-instrumentation-{name}>=0.65b0", provides=MODULES)


def exporter(protocol: str) -> DependencyFloor:
    """Return the dependency on what sends spans."""
    return DependencyFloor(f"opentelemetry-exporter-otlp-proto-{protocol}>=1.44", provides=MODULES)


feature = Feature(
    name="tracing",
    group=Group.MONITORING,
    aliases=("otel", "opentelemetry"),
    summary="OpenTelemetry traces of requests, statements and calls of other servers, sent by OTLP",
    requires=("lifespan", "routing"),
    floors={"python": "3.10", "fastapi": FASTAPI, "pydantic": "2"},
    options=(Option("protocol", "that collectors are spoken to in", default="http", choices=("http", "grpc")),),
    edits=(
        DependencyFloor("opentelemetry-sdk>=1.44", provides=MODULES),
        *(Chosen("protocol", (name,), (exporter(name),)) for name in ("http", "grpc")),
        File("core/tracing.py", "tracing/core/tracing.py.jinja", open=True),
        AppArgument("telemetry", "core.tracing:TELEMETRY"),
        Step(
            "stack.enter_context(tracing())",
            into="core.lifespan:open_resources",
            imports=("core.tracing:tracing",),
            rank=5,
        ),
        Beside("logging", (Listed("core.tracing:trace_ids", into="core.logs:CONTEXT", rank=20),)),
        DroppedTest("test_tracing.py", "tracing/tests/test_tracing.py.jinja", when=has_importable_app),
    ),
    edits_for=instrumented,
    check=started_by_agent,
    by_hand=ExistingSigns(
        imports=(
            "logfire",
            "ddtrace",
            "elasticapm",
            "opentelemetry.instrumentation.fastapi",
            "azure.monitor.opentelemetry",
        ),
        calls=("opentelemetry.trace.set_tracer_provider",),
    ),
    changes=("requests are traced, and spans sent once OTEL_EXPORTER_OTLP_ENDPOINT is set",),
    stage=Stage.MEASURES,
    after=("metrics",),
    why="numbers say that something is slow, traces say what",
    notes=(
        "set OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318 and OTEL_SERVICE_NAME in the environment of the process",
        "under load keep a part of the traces: OTEL_TRACES_SAMPLER=parentbased_traceidratio, OTEL_TRACES_SAMPLER_ARG=0.1",
    ),
)
