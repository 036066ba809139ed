"""A small project with the `resources` feature and its capabilities, rendered from the templates into a folder.

Two forms: `container` (a dependency-injector container and Dynaconf settings, as the foundation has them) and
`functions` (no container, and the settings module of the `settings` capability).
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from textwrap import indent
from types import ModuleType

from laterctl.render import Context, Expr, Import, Style, render

FORMS = ("container", "functions")

PACKAGE = "depot"

DEFAULTS: dict[str, tuple[str, object]] = {
    "redis_url": ("str", ""),
    "redis_timeout_seconds": ("float", 1.0),
    "redis_max_connections": ("int", 100),
    "http_timeout_seconds": ("float", 10.0),
    "http_connect_timeout_seconds": ("float", 3.0),
    "http_max_connections": ("int", 100),
}
"""Settings of the two: name, annotation and default."""

FILES = {
    "lifespan/core/lifespan.py.jinja": "depot/core/lifespan.py",
    "lifespan/tests/test_lifespan.py.jinja": "tests/test_lifespan.py",
    "redis/core/redis.py.jinja": "depot/core/redis.py",
    "redis/tests/test_redis.py.jinja": "tests/test_redis.py",
    "resources/core/http_client.py.jinja": "depot/core/http_client.py",
    "resources/api/clients.py.jinja": "depot/api/clients.py",
    "resources/tests/test_resources.py.jinja": "tests/test_resources.py",
}

MAIN = '''\
"""The application: what the feature offers, and a route that needs none of it."""

from fastapi import FastAPI

from depot.api.clients import HttpClientDep, RedisDep
from depot.core.lifespan import managed_resources

app = FastAPI(lifespan=managed_resources)


@app.get("/unrelated")
async def unrelated() -> str:
    return "ok"


@app.get("/ping")
async def ping(client: RedisDep) -> bool:
    return bool(await client.ping())


@app.get("/clients/async")
async def clients(http: HttpClientDep, redis: RedisDep) -> list[int]:
    return [id(http), id(redis)]


@app.get("/clients/sync")
def sync_clients(http: HttpClientDep, redis: RedisDep) -> list[int]:
    return [id(http), id(redis)]


@app.get("/fetch")
async def fetch(http: HttpClientDep, url: str) -> int:
    return (await http.get(url)).status_code
'''

CONTAINER = '''\
"""The container: the project's own providers, then those of the feature."""

from dependency_injector import containers, providers

from depot.core.config import settings
from depot.core.http_client import get_http_client
from depot.core.redis import get_redis


class Greeter:
    """A service of the project's own."""

    def __init__(self, name: str) -> None:
        """Greet by this name."""
        self.name = name


class Container(containers.DeclarativeContainer):
    """Providers."""

    config = providers.Configuration()
    greeter = providers.Singleton(Greeter, name=config.NAME)
    greeters = providers.Factory(Greeter, name=config.NAME)
    http_client = providers.Callable(get_http_client)
    redis = providers.Callable(get_redis)


container = Container()
container.config.from_dict(settings.as_dict())
'''

CONFIG = '''\
"""Settings of the depot."""

from dynaconf import Dynaconf

settings = Dynaconf(envvar_prefix="APP", settings_files=["settings.toml"])
'''


def write_project(folder: Path, form: str, *, http_client: str = "httpx", style: Style | None = None) -> None:
    """Write package `depot` and its dropped tests below `folder`, in one of `FORMS`.

    Environment variables of its settings start with `APP_` in the container form and have no prefix in the other.
    """
    style = style or Style()
    context = container_context(http_client, style) if form == "container" else functions_context(http_client, style)
    for template, path in FILES.items():
        _write(folder / path, render(template, context))
    for package in ("depot", "depot/core", "depot/api", "tests"):
        _write(folder / package / "__init__.py", "")
    _write(folder / "depot/main.py", MAIN)
    if form == "container":
        _write(folder / "depot/core/config.py", CONFIG)
        _write(folder / "depot/core/container.py", CONTAINER)
        _write(folder / "settings.toml", 'NAME = "someone"\n')
    else:
        fields = "".join(f"{name}: {kind} = {default!r}\n" for name, (kind, default) in DEFAULTS.items())
        text = render("settings/core/settings.py.jinja", context)
        anchor = "\n\nsettings = "
        _write(folder / "depot/core/settings.py", text.replace(anchor, indent(fields, "    ") + anchor, 1))


def container_context(http_client: str, style: Style) -> Context:
    """How the foundation spells things: Dynaconf and a container."""
    config = (Import("depot.core.config", "settings"),)
    return _context(
        http_client,
        style,
        setting=lambda name: Expr(f"settings.get({name.upper()!r}, {DEFAULTS[name][1]!r})", config),
        provided=lambda name: Expr(f"container.{name}()", (Import("depot.core.container", "container"),)),
        environment=Expr("str(settings.current_env)", config),
    )


def functions_context(http_client: str, style: Style) -> Context:
    """How a project without container and settings spells things once the `settings` capability is in."""
    config = (Import("depot.core.settings", "settings"),)
    return _context(
        http_client,
        style,
        setting=lambda name: Expr(f"settings.{name}", config),
        provided=lambda name: Expr(f"get_{name}()", (Import(f"depot.core.{name}", f"get_{name}"),)),
        environment=Expr("settings.environment", config),
    )


def _context(http_client: str, style: Style, **spelled: object) -> Context:
    return Context(
        module=lambda name: f"{PACKAGE}.{name}",
        style=style,
        first_party=frozenset({PACKAGE}),
        values={
            "http_client": http_client,
            "app_module": "depot.main",
            "app_name": "app",
            "app_call": "app",
        },
        **spelled,  # type: ignore[arg-type]
    )


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@contextmanager
def imported(folder: Path, module: str, environment: Mapping[str, str] | None = None) -> Iterator[ModuleType]:
    """Import a module of the project below `folder`, with variables set; all of it is forgotten at the end."""
    here, before = Path.cwd(), dict(os.environ)
    sys.path.insert(0, str(folder))
    os.environ.update(environment or {})
    os.chdir(folder)
    importlib.invalidate_caches()
    try:
        yield importlib.import_module(f"{PACKAGE}.{module}")
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
            del sys.modules[name]
        sys.path.remove(str(folder))
        os.chdir(here)
        os.environ.clear()
        os.environ.update(before)


def variable(form: str, name: str) -> str:
    """Return the environment variable of a setting in one of `FORMS`."""
    return f"APP_{name.upper()}" if form == "container" else name.upper()
