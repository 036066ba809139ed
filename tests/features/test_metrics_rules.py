"""Doctor rules of `metrics`: what they find, and what they leave alone."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import prometheus_client
import pytest

from tests import memory
from tests.features.metrics_app import write_project
from tests.ruling import found, lines, places

RULES = ["MET001", "MET002", "MET003"]

METRIC = """\
from prometheus_client import Counter, Histogram
from fastapi import FastAPI, Request

REQUESTS = Counter("requests_total", "Requests.", ["method", "path"])
app = FastAPI()
"""


@pytest.mark.parametrize(
    "body",
    [
        """
        @app.middleware("http")
        async def count(request: Request, call_next):
            REQUESTS.labels(request.method, request.url.path).inc()
        """,
        """
        @app.middleware("http")
        async def count(request, call_next):
            REQUESTS.labels(method=request.method, path=request.url.path).inc()
        """,
        """
        @app.middleware("http")
        async def count(request: Request, call_next):
            path = request.url.path
            response = await call_next(request)
            REQUESTS.labels(request.method, path).inc()
        """,
        """
        async def count(incoming: Request):
            REQUESTS.labels("GET", f"{incoming.url.path}").inc()
        """,
        """
        async def count(incoming: Request):
            child = REQUESTS.labels("GET", str(incoming.url))
        """,
        """
        from app.metrics import SECONDS

        async def count(request: Request):
            with SECONDS.labels(request.scope["path"]).time():
                pass
        """,
        """
        class Middleware:
            async def __call__(self, scope, receive, send):
                REQUESTS.labels(scope["method"], scope["path"]).inc()
        """,
        """
        from starlette.middleware.base import BaseHTTPMiddleware

        class Middleware(BaseHTTPMiddleware):
            async def dispatch(self, request, call_next):
                REQUESTS.labels(request.method, request.url.path).inc()
        """,
    ],
)
def test_met001_finds_the_raw_path(body: str) -> None:
    source = f"{METRIC}{dedent(body)}app.add_middleware(Middleware, count=count)\n"
    (line,) = lines("MET001", source)
    assert ".labels(" in source.splitlines()[line - 1]


def test_met001_names_the_class_however_it_is_imported() -> None:
    source = """\
    import prometheus_client as prom
    import starlette.requests

    SEEN = prom.metrics.Counter("seen_total", "AppSnapshot.", ["path"])

    def count(request: starlette.requests.Request) -> None:
        child = SEEN.labels(request.url.path)
    """
    assert lines("MET001", source) == [7]


@pytest.mark.parametrize(
    "body",
    [
        # The template of the route.
        """
        async def count(request: Request):
            REQUESTS.labels(request.method, request.scope["route"].path).inc()
        """,
        """
        async def count(request: Request):
            path = request.url.path
            path = template_of(path)
            REQUESTS.labels(request.method, path).inc()
        """,
        """
        async def count(request: Request):
            REQUESTS.labels(request.method, template_of(request.url.path)).inc()
        """,
        # Not a request.
        """
        async def count(job: Job):
            REQUESTS.labels("GET", job.url.path).inc()
        """,
        """
        def count(options):
            REQUESTS.labels("GET", options["path"]).inc()
        """,
        # Not a metric.
        """
        async def draw(request: Request):
            chart.labels(request.url.path)
        """,
        # Not a label.
        """
        async def log(request: Request):
            logger.info(request.url.path)
        """,
        # Another function's name.
        """
        async def one(request: Request):
            path = request.url.path

        async def other(request: Request, path):
            REQUESTS.labels("GET", path).inc()
        """,
    ],
)
def test_met001_leaves_alone(body: str) -> None:
    assert lines("MET001", METRIC + dedent(body)) == []


@pytest.mark.parametrize(
    "source",
    [
        """\
        import os
        from prometheus_client import Counter
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = "/tmp/metrics"
        """,
        """\
        import prometheus_client.multiprocess
        from os import environ as env
        env.setdefault("prometheus_multiproc_dir", "/tmp/metrics")
        """,
        """\
        import os
        import prometheus_client as prom

        if os.cpu_count() > 1:
            os.environ.update({"A": "1", "PROMETHEUS_MULTIPROC_DIR": "/tmp/metrics"})
        """,
    ],
)
def test_met002_finds_the_late_directory(source: str) -> None:
    (line,) = lines("MET002", source)
    assert "multiproc_dir" in dedent(source).splitlines()[line - 1].lower()


@pytest.mark.parametrize(
    "source",
    [
        # In time.
        """\
        import os
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = "/tmp/metrics"
        from prometheus_client import Counter
        """,
        # Read, not set.
        """\
        import os
        from prometheus_client import Counter
        folder = os.environ["PROMETHEUS_MULTIPROC_DIR"]
        """,
        # Another variable, another dictionary.
        """\
        import os
        from prometheus_client import Counter
        os.environ["OTHER"] = "1"
        options = {}
        options["PROMETHEUS_MULTIPROC_DIR"] = "/tmp/metrics"
        """,
        # A parent that starts the processes that count.
        """\
        import os
        from prometheus_client import Counter

        def main():
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = "/tmp/metrics"

        if __name__ == "__main__":
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = "/tmp/metrics"
        """,
        """\
        import os
        import uvicorn
        from prometheus_client import Counter
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = "/tmp/metrics"
        uvicorn.run("app.main:app", workers=3)
        """,
        # A module of the project's own.
        """\
        import os
        from .prometheus_client import Counter
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = "/tmp/metrics"
        """,
    ],
)
def test_met002_leaves_alone(source: str) -> None:
    assert lines("MET002", source) == []


@pytest.mark.parametrize(
    "source",
    [
        'from prometheus_client import Counter\nA = Counter("a", "A.", ["method", "user_id"])\n',
        'from prometheus_client import Gauge as G\nA = G("a", "A.", labelnames=("Email",))\n',
        'import prometheus_client\nNAMES = ("id",)\nA = prometheus_client.Histogram("a", "A.", NAMES)\n',
    ],
)
def test_met003_finds_labels_without_bound(source: str) -> None:
    assert lines("MET003", source) == [len(source.splitlines())]


@pytest.mark.parametrize(
    "source",
    [
        'from prometheus_client import Counter\nA = Counter("a", "A.", ["method", "route", "tenant", "model_id"])\n',
        'from prometheus_client import Counter\nA = Counter("user", "email", namespace="id")\n',
        'from collections import Counter\nA = Counter("a", "A.", ["user"])\n',
        'from app.shapes import Histogram\nA = Histogram("a", "A.", labelnames=["user"])\n',
        'from prometheus_client import Counter\nA = Counter("a", "A.", names())\n',
    ],
)
def test_met003_leaves_alone(source: str) -> None:
    assert lines("MET003", source) == []


def test_our_own_code_is_clean(tmp_path: Path) -> None:
    write_project(tmp_path, "container")
    files = {path: data.decode() for path, data in memory.read(tmp_path).items() if path.endswith(".py")}
    assert any("REQUESTS" in text or "Counter" in text for text in files.values())
    assert found(files, RULES) == []


SERVED = """\
from fastapi import FastAPI
from prometheus_client import make_asgi_app

app = FastAPI()
app.mount("/metrics", make_asgi_app())
"""
APP = "from fastapi import FastAPI\n\napp = FastAPI()\n"
START = {"Dockerfile": "CMD uvicorn app.main:app --workers 4\n"}


def met004(files: dict[str, str]) -> list[str]:
    return [f"{item.place} {item.message}" for item in found(files, ["MET004"])]


def test_met004_finds_workers_that_share_no_counters() -> None:
    assert met004({"app/main.py": SERVED, **START, "gunicorn_conf.py": "workers = 2\n"}) == [
        "Dockerfile:1 with --workers 4 and no PROMETHEUS_MULTIPROC_DIR a scrape reads the counters of one process",
        "gunicorn_conf.py:1 with workers = 2 and no PROMETHEUS_MULTIPROC_DIR a scrape reads the counters of one process",
    ]


@pytest.mark.parametrize(
    "more",
    [
        {"app/metrics.py": "from prometheus_client import generate_latest\n"},
        {"app/metrics.py": "from prometheus_client import start_http_server\n"},
        {"app/metrics.py": "from prometheus_fastapi_instrumentator import Instrumentator\n"},
        {"app/metrics.py": "from starlette_exporter import PrometheusMiddleware, handle_metrics\n"},
        {
            ".laterctl/feature-metrics.json": "{}",
            "app/core/metrics.py": "# From laterctl: metrics.\nMultiProcessCollector\n",
        },
        {
            ".laterctl/feature-metrics.json": "{}",
            "app/core/metrics.py": "# From laterctl: metrics.\nPROMETHEUS_MULTIPROC_DIR\n",
        },
        {".laterctl/feature-metrics.json": "{}", ".env": "PROMETHEUS_MULTIPROC_DIR=/tmp/metrics\n"},
    ],
)
def test_met004_knows_that_metrics_are_served(more: dict[str, str]) -> None:
    assert len(met004({"app/main.py": APP, **START, **more})) == 1


@pytest.mark.parametrize(
    "files",
    [
        {"app/main.py": APP},
        {"app/main.py": APP, "tests/test_metrics.py": SERVED},
        {"app/main.py": APP, "app/metrics.py": "from prometheus_client import Counter, push_to_gateway\n"},
        {"app/main.py": APP, "app/metrics.py": "from prometheus_client import generate_latest, multiprocess\n"
         "multiprocess.MultiProcessCollector(registry)\n"},
        {"app/main.py": SERVED, "Dockerfile": "CMD uvicorn app.main:app\n"},
        {"app/main.py": SERVED, "Dockerfile": "CMD uvicorn app.main:app --workers 1\n"},
        {"app/main.py": SERVED, "Dockerfile": "ENV PROMETHEUS_MULTIPROC_DIR=/tmp\nCMD uvicorn app.main:app --workers 4\n"},
        {"app/main.py": SERVED, "compose.yml": "services:\n  api:\n    build: .\n    env_file: .env\n"},
        {"app/main.py": SERVED, "start.sh": "export prometheus_multiproc_dir=/tmp\n"},
        {"app/main.py": SERVED, "gunicorn_conf.py": "import os\nos.environ['PROMETHEUS_MULTIPROC_DIR'] = '/tmp'\n"},
        {"app/main.py": SERVED, "gunicorn_conf.py": "from prometheus_client import multiprocess\n\n"
         "def child_exit(server, worker):\n    multiprocess.mark_process_dead(worker.pid)\n"},
        {"app/main.py": SERVED, "Dockerfile": "CMD uvicorn app.main:app\n", "compose.yml":
         "services:\n  api:\n    build: .\n    deploy:\n      replicas: 3\n"},
        {"app/main.py": "print()\n", "app/metrics.py": "from prometheus_client import generate_latest\n"},
    ],
)  # fmt: skip
def test_met004_leaves_alone(files: dict[str, str]) -> None:
    assert met004({**START, **files}) == []


ROUTE_OR_PATH = [
    'route = request.scope.get("route")\n    path = route.path if route else request.url.path',
    'path = getattr(request.scope.get("route"), "path", request.url.path)',
    "path = template_of(request) or request.url.path",
    'path = request.url.path\n    if request.scope.get("route"):\n        path = request.scope["route"].path',
    'try:\n        path = request.scope["route"].path\n    except KeyError:\n        path = request.url.path',
    "path = own(request)",
    "path = request.scope.get('template', request.url.path)",
]


@pytest.mark.parametrize("code", ROUTE_OR_PATH)
def test_met001_finds_the_raw_path_as_a_fallback(code: str) -> None:
    own = "def own(request: Request) -> str:\n    for route in request.app.routes:\n        return route.path\n    return request.url.path\n"
    middleware = f'@app.middleware("http")\nasync def count(request, call_next):\n    {code}\n    REQUESTS.labels("GET", path).inc()\n'
    assert len(lines("MET001", METRIC + own + middleware)) == 1
    fixed = (own + middleware).replace("request.url.path", '"unknown"')
    assert lines("MET001", METRIC + fixed) == []


def test_met001_follows_methods_and_other_modules() -> None:
    method = (
        "class Count(BaseHTTPMiddleware):\n    def path(self, request: Request):\n        return request.url.path\n"
        "    async def dispatch(self, request, call_next):\n        REQUESTS.labels('GET', self.path(request)).inc()\n"
        "app.add_middleware(Count)\n"
    )
    head = f"from starlette.middleware.base import BaseHTTPMiddleware\n{METRIC}"
    assert len(lines("MET001", head + method)) == 1
    files = {
        "app/paths.py": "from fastapi import Request\ndef path_of(request: Request):\n    return str(request.url)\n",
        "app/main.py": f"from app.paths import path_of\n{METRIC}@app.middleware('http')\nasync def count(request, call_next):\n"
        "    REQUESTS.labels('GET', path_of(request)).inc()\n",
    }
    assert [place.partition(":")[0] for place in places(files, "MET001")] == ["app/main.py"]


MAKES = 'Counter("n", "N.").inc()\n'


@pytest.mark.parametrize(
    "code",
    [
        f"@app.get('/')\ndef route():\n    {MAKES}",
        f"@app.middleware('http')\nasync def count(request, call_next):\n    {MAKES}",
        f"def dependency():\n    {MAKES}@app.get('/')\ndef route(x=Depends(dependency)): ...\n",
        f"def make():\n    {MAKES}@app.get('/')\ndef route():\n    make()\n",
        f"class M:\n    async def __call__(self, scope, receive, send):\n        {MAKES}app.add_middleware(M)\n",
    ],
)
def test_met006_finds_metrics_that_are_made_again(code: str) -> None:
    assert len(lines("MET006", f"from fastapi import Depends\n{METRIC}{code}")) == 1


@pytest.mark.parametrize(
    "code",
    [
        f"def make():\n    {MAKES}make()\n",
        f"@app.get('/')\ndef route():\n    {MAKES.replace(')', ', registry=own)', 1)}",
        f"from functools import cache\n@cache\ndef make():\n    {MAKES}@app.get('/')\ndef route():\n    make()\n",
        f"class M:\n    def __init__(self, app):\n        {MAKES}app.add_middleware(M)\n",
    ],
)
def test_met006_leaves_alone(code: str) -> None:
    assert lines("MET006", f"{METRIC}{code}") == []


def test_what_met006_says_is_true() -> None:
    registry = prometheus_client.CollectorRegistry()
    prometheus_client.Counter("orders", "Orders.", registry=registry)
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        prometheus_client.Counter("orders", "Orders.", registry=registry)


def test_met005_asks_for_several_workers_and_a_shared_folder() -> None:
    main = "from fastapi import FastAPI\nfrom prometheus_client import generate_latest\napp = FastAPI()\nx = generate_latest()\n"
    start = "ENV PROMETHEUS_MULTIPROC_DIR=/tmp/m\nCMD uvicorn app.main:app --workers 4\n"
    assert places({"app/main.py": main, "Dockerfile": start}, "MET005") == ["app/main.py:4"]
    assert places({"app/main.py": main, "Dockerfile": start.replace("4", "1")}, "MET005") == []
    assert places({"app/main.py": main, "Dockerfile": start.partition("\n")[2]}, "MET005") == []
    collects = "from prometheus_client.multiprocess import MultiProcessCollector\n"
    assert places({"app/main.py": main, "app/collect.py": collects, "Dockerfile": start}, "MET005") == []
