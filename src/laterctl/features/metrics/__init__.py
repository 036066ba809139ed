"""Prometheus metrics of every request, on /metrics."""

from laterctl.edits.app_statements import Middleware, Router
from laterctl.edits.dropped_test import DroppedTest, has_importable_app
from laterctl.edits.file import File
from laterctl.edits.manifest import DependencyFloor
from laterctl.edits.open_file import Listed
from laterctl.edits.setting import Setting
from laterctl.feature import ExistingSigns, Feature, Group, Stage, fresh_token

feature = Feature(
    name="metrics",
    group=Group.MONITORING,
    aliases=("prometheus",),
    summary="Prometheus metrics of every request, by route template",
    requires=("settings", "routing"),
    floors={"python": "3.10", "fastapi": "0.112.2", "pydantic": "2"},
    edits=(
        DependencyFloor("prometheus-client>=0.22"),
        Setting(
            "metrics_token",
            "SecretStr | None",
            None,
            secret=True,
            help="bearer token that /metrics asks for; without one it is open; laterctl secret metrics makes one",
        ),
        File("core/metrics.py", "metrics/core/metrics.py.jinja"),
        File("api/metrics.py", "metrics/api/metrics.py.jinja"),
        Listed('"/metrics"', into="core.routing:PROBE_PATHS"),
        Middleware("core.metrics:MetricsMiddleware", rank="metrics"),
        Router("api.metrics:router", alias="metrics_router"),
        DroppedTest("test_metrics.py", "metrics/tests/test_metrics.py.jinja", when=has_importable_app),
    ),
    by_hand=ExistingSigns(
        imports=("prometheus_fastapi_instrumentator", "starlette_exporter", "starlette_prometheus"),
        calls=("prometheus_client.start_http_server", "prometheus_client.start_wsgi_server"),
        routes=("/metrics",),
        names=("MetricsMiddleware", "PrometheusMiddleware"),
    ),
    changes=("GET /metrics answers at the root of the application",),
    stage=Stage.MEASURES,
    why="how often, how long and how many errors: to be known before anything is tuned or scaled",
    notes=(
        "keep /metrics internal, or set {metrics_token}",
        "with several workers set PROMETHEUS_MULTIPROC_DIR to a folder that is emptied at start",
    ),
    secret=fresh_token("metrics_token"),
)
