"""A small project to which the engine adds the `resources` feature, with its capabilities.

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
from types import ModuleType

from tests import memory

FORMS = ("container", "functions")

PACKAGE = "depot"

MAIN = '''\
"""The application, with a route that needs none of the feature."""

from fastapi import FastAPI

app = FastAPI()


@app.get("/unrelated")
async def unrelated() -> str:
    return "ok"
'''

ROUTES = """

from depot.api.clients import HttpClientDep, RedisDep


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
"""
"""What somebody writes with the feature afterwards."""

CONTAINER = '''\
"""The container of the project's own providers."""

from dependency_injector import containers, providers

from depot.core.config import settings


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


container = Container()
container.config.from_dict(settings.as_dict())
'''

CONFIG = '''\
"""Settings of the depot."""

from dynaconf import Dynaconf

settings = Dynaconf(envvar_prefix="APP", settings_files=["settings.toml"])
'''


PYPROJECT = """\
[project]
name = "depot"
version = "1"
requires-python = ">=3.10"
dependencies = ["fastapi>=0.115", "uvicorn"]

[dependency-groups]
dev = ["pytest>=8", "HTTP_CLIENT"]
"""


def write_project(
    folder: Path,
    form: str,
    *,
    http_client: str = "httpx",
    more: Mapping[str, str] | None = None,
    others: tuple[str, ...] = (),
) -> None:
    """Write package `depot` with the feature, and its dropped tests, below `folder`, in one of `FORMS`.

    `more` are files of the project, `others` further features.

    Environment variables of its settings start with `APP_` in the container form and have no prefix in the other.
    """
    files = {
        "pyproject.toml": PYPROJECT.replace("HTTP_CLIENT", http_client),
        "depot/main.py": MAIN,
        **{f"{package}/__init__.py": "" for package in ("depot", "depot/core", "tests")},
    }
    if form == "container":
        files |= {
            "depot/core/config.py": CONFIG,
            "depot/core/container.py": CONTAINER,
            "settings.toml": 'NAME = "someone"\n',
        }
    files |= more or {}
    after = memory.add({path: text.encode() for path, text in files.items()}, "resources", *others)
    after["depot/main.py"] += ROUTES.encode()
    for path, data in after.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)


@contextmanager
def imported(
    folder: Path, module: str, environment: Mapping[str, str] | None = None, package: str = PACKAGE
) -> Iterator[ModuleType]:
    """Import a module of the project below `folder`, with variables set; all of it is forgotten at the end."""
    here, before = Path.cwd(), dict(os.environ)
    sys.path.insert(0, str(folder))
    os.environ.update(environment or {})
    os.chdir(folder)
    importlib.invalidate_caches()
    try:
        yield importlib.import_module(f"{package}.{module}")
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == package]:
            del sys.modules[name]
        sys.path.remove(str(folder))
        os.chdir(here)
        os.environ.clear()
        os.environ.update(before)


def variable(form: str, name: str) -> str:
    """Return the environment variable of a setting in one of `FORMS`."""
    return f"APP_{name.upper()}" if form == "container" else name.upper()
