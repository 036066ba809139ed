"""One line of JSON for each event: of the application, the server, libraries, and each request."""

from collections.abc import Iterator

from laterctl.edits.app_statements import Middleware, StartupCall
from laterctl.edits.context import Edit, FeatureContext
from laterctl.edits.dropped_test import DroppedTest, has_importable_app
from laterctl.edits.file import File
from laterctl.edits.manifest import DependencyFloor
from laterctl.edits.setting import Setting
from laterctl.feature import ExistingSigns, Feature, Group, Option, Stage

FLOORS = {"structlog": "structlog>=24.1", "loguru": "loguru>=0.7"}


def library(context: FeatureContext) -> Iterator[Edit]:
    """Log by loguru where the project does, else by structlog."""
    from laterctl.project import signs

    places = [place for place in signs.imports(context.project, ("loguru",)) if not context.own_file(place.path)]
    name = str(context.options.get("library", "loguru" if places else "structlog"))
    if places and "library" not in context.options:
        context.choice("the project logs by loguru; --set logging.library=structlog takes structlog", places[0])
    yield DependencyFloor(FLOORS[name])
    yield File("core/log_library.py", f"logging/core/log_library.{name}.py.jinja")


def has_supervisor(context: FeatureContext) -> bool:
    """Whether a process that does not import the application starts it, which logs too: as asked for, or as seen."""
    from laterctl.project.workers import several_workers

    app = context.project.app
    if app is None or "config_file" in context.options:
        return context.options.get("config_file") == "yes"
    return any(not item.replicas for item in several_workers(context.project.tree, app.path))


feature = Feature(
    name="logging",
    group=Group.MONITORING,
    aliases=("structlog",),
    summary="one line of JSON for each event, those of the server, of libraries and of each request too",
    requires=("settings", "routing"),
    recommends=("request-scope",),
    without={"request-scope": "log lines do not say which request they belong to"},
    floors={"python": "3.10", "fastapi": "0.112.2", "pydantic": "2"},
    options=(
        Option("library", "what you log with; without it, what the project has", choices=("structlog", "loguru")),
        Option(
            "config_file",
            "log_config.json, for the process that starts several workers; without it, where the project starts several",
            choices=("yes", "no"),
        ),
    ),
    edits=(
        Setting("log_level", "str", "INFO", help="DEBUG, INFO, WARNING, ERROR or CRITICAL"),
        Setting("log_format", "Literal['json', 'console']", "json", help="for machines or for people"),
        File("core/logs.py", "logging/core/logs.py.jinja", open=True),
        File("log_config.json", "logging/log_config.json.jinja", root=True, when=has_supervisor),
        StartupCall("core.logs:configure_logging", rank=10),
        Middleware("core.logs:AccessLogMiddleware", rank="access-log"),
        DroppedTest("test_logs.py", "logging/tests/test_logs.py.jinja", when=has_importable_app),
    ),
    edits_for=library,
    by_hand=ExistingSigns(
        imports=(
            *("asgi_correlation_id", "fastapi_structlog", "pythonjsonlogger"),
            "opentelemetry.instrumentation.logging",
        ),
        calls=(
            *("structlog.configure", "structlog.configure_once", "loguru.logger.add", "loguru.logger.configure"),
            *("logging.config.dictConfig", "logging.config.fileConfig", "logging.basicConfig"),
        ),
        middleware=("dockerflow.fastapi.middleware.MozlogRequestSummaryLogger",),
        names=("InterceptHandler",),
    ),
    changes=(
        "log lines are JSON on the standard output, and the server's own line for each request is replaced by one "
        "without the query",
    ),
    stage=Stage.LOGS,
    after=("request-scope",),
    why="what later steps do, and what they refuse, is seen in the logs",
    notes=(
        "set {log_format}=console for development",
        "uvicorn and gunicorn start several workers from a process of their own: `--log-config log_config.json` and "
        "`--log-config-json log_config.json` make its lines JSON too (--set logging.config_file=yes writes that file)",
    ),
)
