"""Shapes met in public repositories that once broke a run: each as the smallest project that shows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from laterctl.edits.context import FeatureContext
from laterctl.engine.plan import Request
from laterctl.proof.static import prove
from laterctl.refusal import Refusal
from tests import memory
from tests.memory import Refusing

APP = b"from fastapi import FastAPI\n\napp = FastAPI()\n"
LISTED = b"fastapi>=0.115\npydantic>=2.9\nuvicorn\n"


def reasons(files: memory.Files, feature: str) -> dict[str, Refusal]:
    """Return why a feature is refused, by code."""
    with pytest.raises(Refusing) as refusing:
        memory.add(files, feature)
    return {item.code: item for item in refusing.value.refusals}


def test_a_package_never_hides_a_module_of_the_users() -> None:
    files = {
        "main.py": b"from fastapi import FastAPI\n\nfrom core import name\n\napp = FastAPI(title=name)\n",
        "core.py": b'name = "Ferry"\n',
        "requirements.txt": LISTED,
    }
    after = memory.add(files, "metrics")
    assert "app_core/metrics.py" in after
    assert "core/__init__.py" not in after
    assert b"from app_core.metrics import MetricsMiddleware\n" in after["main.py"]
    assert memory.remove(after, "metrics") == files
    moved = {path: data for path, data in memory.add(files, "metrics", "jwt").items() if path.endswith("/tokens.py")}
    assert list(moved) == ["app_core/auth/tokens.py"]
    refusal = reasons({**files, "app_core.py": b""}, "metrics")["module-in-the-way"]
    assert refusal.place is not None
    assert refusal.place.path == "app_core.py"
    chosen = {**files, "pyproject.toml": b'[tool.laterctl]\ncore = "shared.core"\n'}
    after = memory.add(chosen, "metrics")
    assert "shared/core/metrics.py" in after
    assert "core/__init__.py" not in after
    assert memory.remove(after, "metrics") == chosen


def test_a_module_is_never_hidden_by_a_package_of_the_users() -> None:
    files = {"main.py": APP, "requirements.txt": LISTED, "core/routing/__init__.py": b"", "core/routing/lines.py": b""}
    after = memory.add(files, "metrics")
    assert "core/routing.py" not in after
    assert "core/app_routing.py" in after
    assert memory.remove(after, "metrics") == files


def test_modules_in_a_folder_without_init_are_found_by_the_proof() -> None:
    files = {
        "shop/__init__.py": b"",
        "shop/main.py": APP,
        "shop/core/prices.py": b"VAT = 19\n",
        "requirements.txt": LISTED,
    }
    plan = memory.planned(files, Request(add=("resources",)))
    assert plan.refusals == ()
    assert prove(memory.project(files), plan) == []


def test_requirements_in_utf_16_below_the_root_make_a_project() -> None:
    files = {
        "README.md": b"Two halves.\n",
        "server/main.py": APP,
        "server/requirements.txt": LISTED.decode().replace("\n", "\r\n").encode("utf-16"),
    }
    (refusal,) = reasons(files, "metrics").values()
    assert refusal.code == "project-below"
    assert "-C server" in refusal.remedy


def test_pytest_that_the_users_tests_import_is_theirs() -> None:
    files = {
        "shop/__init__.py": b"",
        "shop/main.py": APP,
        "pyproject.toml": b'[project]\nname = "shop"\nversion = "1"\ndependencies = ["fastapi>=0.115"]\n',
        "tests/test_shop.py": b"import pytest\n\n\ndef test_raises() -> None:\n    with pytest.raises(ValueError):\n"
        b'        int("")\n',
    }
    after = memory.add(files, "metrics")
    assert b"pytest" not in after["pyproject.toml"]
    assert memory.remove(after, "metrics") == files


@pytest.mark.parametrize(
    ("feature", "path", "code"),
    [
        ("metrics", "start.py", b"from prometheus_client import start_http_server\n\nstart_http_server(9000)\n"),
        (
            "metrics",
            "measure.py",
            b"class MetricsMiddleware:\n    def __init__(self, app: object) -> None:\n        self.app = app\n",
        ),
        (
            "security-headers",
            "headers.py",
            b'HEADERS = [(b"x-frame-options", b"DENY"), (b"X-Content-Type-Options", b"nosniff")]\n',
        ),
        ("tracing", "monitor.py", b"from azure.monitor.opentelemetry import configure_azure_monitor\n"),
        ("logging", "lines.py", b"from opentelemetry.instrumentation.logging import LoggingInstrumentor\n"),
        ("health", "heartbeat.py", b"from dockerflow.fastapi import router\n"),
        *(
            (
                feature,
                "watch.py",
                f"from dockerflow.fastapi.middleware import {name} as Watch\nfrom starlette.middleware import Middleware\n\n"
                "WATCHES = [Middleware(Watch)]\n".encode(),
            )
            for feature, name in (
                ("request-scope", "RequestIdMiddleware"),
                ("logging", "MozlogRequestSummaryLogger"),
            )
        ),
    ],
)
def test_the_same_job_in_the_users_own_words_is_not_done_twice(feature: str, path: str, code: bytes) -> None:
    main = f"import {path.removesuffix('.py')}\n".encode() + APP
    files = {"main.py": main, path: code, "requirements.txt": LISTED}
    (refusal,) = reasons(files, feature).values()
    assert refusal.code == "already-by-hand"
    assert refusal.place is not None
    assert refusal.place.path == path


def test_one_header_alone_is_no_job_done() -> None:
    code = b'from fastapi import Response\n\nRESPONSE = Response(headers={"X-Content-Type-Options": "nosniff"})\n'
    files = {"main.py": APP, "download.py": code, "requirements.txt": LISTED}
    after = memory.add(files, "security-headers")
    assert "core/security_headers.py" in after
    assert memory.remove(after, "security-headers") == files


@pytest.mark.parametrize(
    "own",
    [{"core.py": b""}, {"core/cors.py": b""}, {"pyproject.toml": b'[tool.laterctl]\ncore = "shared.infra"\n'}],
    ids=["other folder", "other name", "chosen folder"],
)
def test_the_order_of_middleware_is_the_same_wherever_it_is_kept(own: memory.Files) -> None:
    files = {"main.py": APP, "requirements.txt": LISTED, **own}
    after = memory.add(files, "cors", "security-headers")
    assert after == memory.add(memory.add(files, "security-headers"), "cors")
    assert after["main.py"].index(b"(CorsMiddleware, ") < after["main.py"].index(b"(SecurityHeadersMiddleware, ")


def test_a_file_of_the_users_keeps_its_name() -> None:
    files = {"main.py": APP, "core/__init__.py": b"", "core/cors.py": b"ISLAND = 1\n", "requirements.txt": LISTED}
    after = memory.add(files, "cors")
    assert after["core/cors.py"] == files["core/cors.py"]
    assert b"from core.app_cors import CorsMiddleware, CorsSettings\n" in after["main.py"]
    assert memory.add(after, "cors") == after
    assert memory.remove(after, "cors") == files


def test_with_the_ledger_lost_the_other_name_is_found_again() -> None:
    files = {"main.py": APP, "core/__init__.py": b"", "core/cors.py": b"ISLAND = 1\n", "requirements.txt": LISTED}
    after = memory.add(files, "cors")
    lost = {path: data for path, data in after.items() if not path.startswith(".laterctl/")}
    again = memory.add(lost, "cors")
    assert {path: data for path, data in again.items() if not path.startswith(".laterctl/")} == lost
    assert b'"path": "core/app_cors.py"' in again[".laterctl/feature-cors.json"]


SETTINGS = b"""\
from pydantic_settings import BaseSettings


class Base(BaseSettings):
    http_timeout_seconds: float = 2.5


class Times(BaseSettings):
    http_timeout_seconds: list[float] = [2.5]


class Settings(%s):
    name: str = "Ferry"
%s

settings = Settings()
"""


def with_settings(lines: bytes, base: bytes = b"BaseSettings") -> memory.Files:
    """Return a project whose settings class has these lines too."""
    return {
        "main.py": b"from fastapi import FastAPI\n\nfrom config import settings\n\napp = FastAPI(title=settings.name)\n",
        "config.py": SETTINGS % (base, lines),
        "requirements.txt": b"fastapi>=0.115\npydantic>=2.9\npydantic-settings>=2.6\n",
    }


@pytest.mark.parametrize(
    ("lines", "base", "line"),
    [
        (b"\n    @property\n    def redis_url(self) -> bytes:\n        return b''\n", b"BaseSettings", 16),
        (b"\n    @property\n    def redis_url(self):\n        return self.name\n", b"BaseSettings", 16),
        (b"\n    def redis_url(self) -> str:\n        return self.name\n", b"BaseSettings", 15),
        (b"    REDIS_URL: dict[str, str] = {}\n", b"BaseSettings", 14),
        (b"    redis_max_connections: int | None = None\n", b"BaseSettings", 14),
        (b"", b"Times", 12),
    ],
    ids=["property", "untyped", "method", "capitals", "optional number", "base"],
)
def test_a_setting_never_takes_the_place_of_something_else(lines: bytes, base: bytes, line: int) -> None:
    refused = reasons(with_settings(lines, base), "resources")
    refusal = refused.get("setting-exists") or refused["already-different"]
    assert refusal.place is not None
    assert (refusal.place.path, refusal.place.line) == ("config.py", line)


def test_a_setting_of_the_same_type_is_the_users_with_its_own_default() -> None:
    files = with_settings(b'    redis_url: str = "redis://localhost:6379/0"\n')
    after = memory.add(files, "resources")
    assert after["config.py"].count(b"redis_url") == 1
    assert memory.add(after, "resources") == after
    assert memory.remove(after, "resources") == files


@pytest.mark.parametrize(
    ("lines", "base"),
    [
        (b"\n    @property\n    def redis_url(self) -> str:\n        return self.name\n", b"BaseSettings"),
        (
            b"\n    @computed_field\n    @cached_property\n    def redis_url(self) -> RedisDsn:\n        ...\n",
            b"BaseSettings",
        ),
        (b"    redis_url: Optional[str] = None\n", b"BaseSettings"),
        (b"    redis_url: RedisDsn | None = None\n", b"BaseSettings"),
        (b'    redis_url: Annotated["RedisDsn", Field()] = "redis://x"\n', b"BaseSettings"),
        (b'    REDIS_URL: str = ""\n', b"BaseSettings"),
        (b"    http_max_connections: int = 5\n", b"BaseSettings"),
        (b"", b"Base"),
    ],
    ids=["property", "computed", "optional", "address", "annotated", "capitals", "number", "base"],
)
def test_a_setting_of_the_same_use_is_read_and_not_declared_again(lines: bytes, base: bytes) -> None:
    files = with_settings(lines, base)
    after = memory.add(files, "resources")
    name = (lines.decode() or "http_timeout_seconds").partition(":")[0].partition("(")[0].split()[-1]
    assert after["config.py"].decode().lower().count(name.lower()) == files["config.py"].decode().lower().count(
        name.lower()
    )
    assert b"getattr(settings, name" in after["core/feature_settings.py"]
    assert memory.add(after, "resources") == after
    assert memory.remove(after, "resources") == files


def test_what_another_package_brings_and_the_user_imports_is_no_reason_to_stay() -> None:
    files = {
        "main.py": APP,
        "queue_of_mails.py": b"import redis\n\nCLIENT = redis.Redis()\n",
        "requirements.txt": LISTED + b"celery[redis]>=5\n",
    }
    after = memory.add(files, "resources")
    assert b"\nredis" in after["requirements.txt"]
    assert memory.add(memory.add(files, "jwt"), "resources") == memory.add(after, "jwt")
    assert memory.remove(after, "resources") == files


def slug(on: str, path: str = "/{slug}") -> str:
    return f'\n\n@{on}.get("{path}")\ndef found(slug: str) -> str:\n    return slug\n\n\n'


ROUTER = f"from fastapi import APIRouter\n\nrouter = APIRouter(){slug('router')}"
INNER = "from fastapi import APIRouter\n\nfrom links import router as links\n\nrouter = APIRouter()\nrouter.include_router(links)\n"
MADE = "from fastapi import FastAPI\n{imports}\n\napp = FastAPI()\n{body}"


@pytest.mark.parametrize(
    ("imports", "body", "more"),
    [
        ("", slug("app"), {}),
        ("", slug("app", "/{slug:path}") + "app.add_middleware(GZipMiddleware)\n", {}),
        ("from links import router", "app.include_router(router)\n", {"links.py": ROUTER}),
        ("import links", "app.add_api_route('/', print)\napp.include_router(links.router)\n", {"links.py": ROUTER}),
        ("from all import router", "app.include_router(router)\n", {"links.py": ROUTER, "all.py": INNER}),
        ("from fastapi import APIRouter", f"router = APIRouter(){slug('router')}app.include_router(router)\n", {}),
    ],
    ids=["on the app", "before middleware", "router", "router of a module", "router of a router", "same file"],
)
def test_a_route_that_answers_everything_stays_behind(imports: str, body: str, more: dict[str, str]) -> None:
    imports += "\nfrom fastapi.middleware.gzip import GZipMiddleware\n" if "GZip" in body else "\n"
    files = {name: text.encode() for name, text in more.items()}
    files |= {"main.py": MADE.format(imports=imports, body=body).encode(), "requirements.txt": LISTED}
    after = memory.add(files, "health", "metrics")
    lines = after["main.py"].decode().splitlines()
    ours = [
        number
        for number, line in enumerate(lines)
        if "include_router(metrics" in line or "include_router(health" in line
    ]
    theirs = [
        n
        for n, line in enumerate(lines)
        if line.startswith(("app.include_router(router", "app.include_router(links", "@app.get"))
    ]
    assert len(ours) == 2
    assert max(ours) < min(theirs)
    assert after == memory.add(memory.add(files, "metrics"), "health")
    assert memory.remove(after, "health", "metrics") == files


@pytest.mark.parametrize("more", ["", ', prefix="/links"'], ids=["its own prefix", "a prefix where it is included"])
def test_a_parameter_behind_a_prefix_answers_not_everything(more: str) -> None:
    own = ROUTER if more else ROUTER.replace("APIRouter()", 'APIRouter(prefix="/links")')
    main = MADE.format(imports="from links import router\n", body=f"app.include_router(router{more})\n")
    after = memory.add({"main.py": main.encode(), "links.py": own.encode(), "requirements.txt": LISTED}, "metrics")
    assert after["main.py"].index(b"(router") < after["main.py"].index(b"(metrics_router")


def test_the_routes_of_jwt_are_not_there_twice() -> None:
    routes = 'from fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.post("/auth/logout")\ndef leave() -> None: ...\n'
    files = {"main.py": routes.encode(), "requirements.txt": LISTED}
    (refusal,) = reasons(files, "jwt").values()
    assert refusal.code == "already-by-hand"
    assert "--set jwt.prefix=" in refusal.remedy


@pytest.mark.parametrize("package", ["api", "core"])
@pytest.mark.parametrize("feature", ["cache", "factory", "resources", "websocket"])
def test_a_package_with_a_name_of_our_folders(package: str, feature: str) -> None:
    files = {f"{package}/__init__.py": b"", f"{package}/main.py": APP, "requirements.txt": LISTED}
    plan = memory.planned(files, Request(add=(feature,)))
    assert plan.refusals == ()
    assert prove(memory.project(files), plan) == []
    assert memory.remove(memory.add(files, feature), feature) == files


def test_routers_go_into_a_package_that_is_called_api() -> None:
    """Also while those that laterctl has added are all that there are."""
    files = {"api/__init__.py": b"", "api/main.py": APP, "requirements.txt": LISTED}
    both = memory.add(files, "websocket", "health")
    assert {"api/ws.py", "api/health.py"} <= both.keys()
    assert (
        both
        == memory.add(memory.add(files, "websocket"), "health")
        == memory.add(memory.add(files, "health"), "websocket")
    )
    assert memory.remove(memory.remove(both, "websocket"), "health") == files


def test_a_module_that_the_project_lacks_is_no_dependency(monkeypatch: pytest.MonkeyPatch) -> None:
    def elsewhere(context: FeatureContext, path: str, module: str, name: str) -> object:
        return context.imported(path, f"shop.{module}:{name}")

    files = {"shop/__init__.py": b"", "shop/main.py": b"import shop\n" + APP, "requirements.txt": LISTED}
    monkeypatch.setattr(FeatureContext, "imported_from", elsewhere)
    failures = prove(memory.project(files), memory.planned(files, Request(add=("cache",))))
    messages = {failure.message for failure in failures}
    assert messages == {"shop/core/lifespan.py would import shop.shop.core.cache, which is no module of the project"}


@pytest.mark.parametrize("feature", ["health", "metrics"])
def test_rewritten_calls_are_counted_without_ours(feature: str) -> None:
    """Ours stand between those of the user's, since what is mounted stays behind."""
    body = "app.include_router(a)\napp.mount('/m', print)\napp.include_router(a, prefix='/b')\n"
    main = MADE.format(imports="from links import router as a\n", body=body).encode()
    files = {"main.py": main, "links.py": ROUTER.replace("/{slug}", "/slug").encode(), "requirements.txt": LISTED}
    after = memory.add(files, "versioning", feature)
    assert after["main.py"].count(b"versioned(app.include_router)(a") == 2
    assert after == memory.add(memory.add(files, feature), "versioning")
    assert after == memory.add(memory.add(files, "versioning"), feature)
    assert memory.remove(memory.remove(after, feature), "versioning") == files
    assert memory.remove(memory.remove(after, "versioning"), feature) == files


@pytest.mark.parametrize("line", ["from shop.links import router", "from .links import router"])
def test_a_project_whose_folder_is_a_package_is_refused(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is in it is imported from the folder above, where ours would have another name than in their own imports."""
    monkeypatch.setattr(memory, "EMPTY", tmp_path / "shop")
    main = MADE.format(imports=f"{line}\n", body="app.include_router(router)\n").encode()
    files = {"__init__.py": b"", "main.py": main, "links.py": ROUTER.encode(), "requirements.txt": LISTED}
    assert "imported-from-above" in reasons(files, "cors")


def test_a_package_with_the_name_of_the_folder_is_the_projects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "EMPTY", tmp_path / "shop")
    main = MADE.format(imports="from shop.links import router\n", body="app.include_router(router)\n").encode()
    files = {"shop/__init__.py": b"", "shop/main.py": main, "shop/links.py": ROUTER.encode()}
    assert "shop/core/cors.py" in memory.add({**files, "requirements.txt": LISTED}, "cors")


SCRIPT = b"""from sqlalchemy import create_engine


def rows(url: str) -> list[object]:
    engine = create_engine(url)
    with engine.connect() as connection:
        return list(connection.exec_driver_sql("select 1"))
"""


def test_the_engine_of_a_script_is_not_that_of_the_application() -> None:
    files = {"main.py": APP, "once/copy_rows.py": SCRIPT, "requirements.txt": LISTED + b"sqlalchemy>=2.0.36\n"}
    assert set(reasons(files, "pooling")) == {"no-database"}
    with_engine = {
        **files,
        "main.py": b"import db\n" + APP,
        "db.py": b'from sqlalchemy import create_engine\n\nengine = create_engine("sqlite:///shop.db")\n',
    }
    after = memory.add(with_engine, "pooling")
    assert b"pooled(create_engine)" in after["db.py"]
    assert after["once/copy_rows.py"] == SCRIPT
    assert memory.remove(after, "pooling") == with_engine


def test_what_features_load_makes_no_script_a_part_of_the_application() -> None:
    listed = {"requirements.txt": LISTED.replace(b"0.115", b"0.116") + b"sqlalchemy>=2.0.36\n"}
    package = {"shop/__init__.py": b"", "shop/main.py": APP, "shop/copy_rows.py": SCRIPT}
    profiled = memory.add(package | listed, "profiling")
    assert b"import_module(" in profiled["shop/core/profiling.py"]
    assert memory.project(profiled).database is memory.project(package | listed).database is None


@pytest.mark.parametrize("taken", ["from pydantic.types import SecretStr", "from pydantic import Field, SecretStr"])
def test_a_name_is_taken_from_where_the_user_takes_it(taken: str) -> None:
    config = f"{taken}\nfrom pydantic_settings import BaseSettings\n\n\nclass Settings(BaseSettings):\n    key: SecretStr = SecretStr('')\n"
    files = {
        "main.py": b"from config import settings\n" + APP,
        "config.py": f"{config}\n\nsettings = Settings()\n".encode(),
        "requirements.txt": LISTED + b"pydantic-settings>=2.6\n",
    }
    after = memory.add(files, "metrics")
    assert b"metrics_token: SecretStr | None" in after["config.py"]
    assert after["config.py"].decode().count("import SecretStr") + after["config.py"].decode().count(", SecretStr") == 1
    assert memory.remove(after, "metrics") == files
