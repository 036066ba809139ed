"""Writes the foundation: a small FastAPI project that the features build on."""

from __future__ import annotations

import keyword
import re
import sys
from typing import Final, NoReturn

from laterctl.render import TEMPLATES, Context, Expr, Style, render

SETTINGS: Final = ("dynaconf", "pydantic")
PYTHONS: Final = ("3.11", "3.12", "3.13")

# A package of one of these names would hide a library that the project or a feature imports, or the tests.
_TAKEN: Final = frozenset({
    "aiosqlite", "alembic", "anyio", "argon2", "asyncpg", "conftest", "dependency_injector", "dramatiq", "dynaconf",
    "email_validator", "fastapi", "greenlet", "httpx", "httpx2", "hvac", "jwt", "locust", "loguru", "opentelemetry",
    "prometheus_client", "pwdlib", "pydantic", "pydantic_core", "pydantic_settings", "pytest", "pytest_asyncio",
    "redis", "sqlalchemy", "starlette", "structlog", "test", "tests", "uvicorn",
})  # fmt: skip

_LONGEST: Final = 40

# Pieces of features that the foundation has from the start, as the features' own templates write them.
_FROM_FEATURES: Final = {
    "src/{package}/core/request_id.py": "request-scope/core/request_id.py.jinja",
    "tests/test_request_id.py": "request-scope/tests/test_request_id.py.jinja",
}


def foundation(name: str, *, settings: str = "dynaconf", python: str = "3.12") -> dict[str, bytes]:
    """Render the foundation project.

    Args:
        name: name of the distribution, such as `order-service`; the package is named `order_service`.
        settings: the settings library, one of `SETTINGS`.
        python: the lowest Python version the project runs on, one of `PYTHONS`.

    Returns:
        The content of each file by its POSIX path below the project. Nothing is written.

    Raises:
        ValueError: an argument cannot be used; the message says what to give instead.
    """
    package = package_name(name)
    if settings not in SETTINGS:
        raise ValueError(f"unknown settings library {settings!r}: choose one of {', '.join(SETTINGS)}")
    if python not in PYTHONS:
        raise ValueError(f"unsupported Python version {python!r}: choose one of {', '.join(PYTHONS)}")
    context = _context(name, package, python)
    sources = {path.format(package=package): template for path, template in _FROM_FEATURES.items()}
    for folder in ("must/common", f"must/{settings}"):
        for template in (TEMPLATES / folder).rglob("*.jinja"):
            path = template.relative_to(TEMPLATES / folder).as_posix().removesuffix(".jinja")
            sources[path.replace("__package__", package)] = template.relative_to(TEMPLATES).as_posix()
    return {path: render(template, context).encode() for path, template in sorted(sources.items())}


def package_name(name: str) -> str:
    """Return the import name of the package of a distribution.

    Distribution names follow the PyPA name format specification, and the package takes the normalized name with
    underscores: https://packaging.python.org/en/latest/specifications/name-normalization/

    Raises:
        ValueError: it is no distribution name, or its package could not be imported or would hide another module.
    """
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", name):
        raise ValueError(
            f"{name!r} is not a valid project name: use letters, digits, '-', '_' and '.', "
            "with a letter first and a letter or digit last, such as order-service"
        )
    if len(name) > _LONGEST:
        raise ValueError(f"{name!r} is too long for import lines: use at most {_LONGEST} characters")
    package = re.sub(r"[-_.]+", "_", name).lower()
    if not package.isidentifier():
        raise ValueError(f"{name!r} gives the package name {package!r}, which is no Python name: start with a letter")
    if keyword.iskeyword(package):
        raise ValueError(f"{name!r} gives the package name {package!r}, a Python keyword: add a word, {name}-service")
    if package in sys.stdlib_module_names or package in _TAKEN:
        raise ValueError(
            f"{name!r} gives the package name {package!r}, which would hide the module of that name: "
            f"add a word, such as {name}-service"
        )
    return package


def _context(name: str, package: str, python: str) -> Context:
    values = {
        "name": name,
        "package": package,
        "python": python,
        "ruff_target": "py" + python.replace(".", ""),
        "http_client": "httpx2",
        "app_module": f"{package}.main",
        "app_name": "app",
        "app_call": "app",
    }
    return Context(
        variable=_not_asked,
        provided=_not_asked,
        module=lambda place: f"{package}.{place}",
        environment=Expr("''"),
        style=Style(quote="'"),
        first_party=frozenset({package, "tests"}),
        values=values,
    )


def _not_asked(name: str) -> NoReturn:
    raise LookupError(f"the foundation's own templates know where {name!r} is and do not ask")
