"""Small projects that differ in a dialect alone: their names, their layout and their style are the same.

What a template makes of them differs only where it asks for the dialect.
"""

from __future__ import annotations

from typing import Final

from laterctl.features import catalogue
from tests.shapes import FOUNDATION_PACKAGE, NEED_A_CONTAINER, files, shape_named

_FOLDER: Final = f"src/{FOUNDATION_PACKAGE}"
_MANIFEST: Final = """\
[project]
name = 'order-service'
version = '1.0'
requires-python = '>=3.11'
dependencies = [
    'fastapi>=0.115',
    'pydantic>=2.9',
    'pydantic-settings>=2.6',
    'uvicorn>=0.32',
]

[dependency-groups]
dev = ['httpx>=0.27', 'pytest>=8']

[tool.pytest.ini_options]
pythonpath = ['src']
"""
_MAIN: Final = """\
from fastapi import FastAPI

{imported}from order_service.routes import router

app = FastAPI(title={title}, docs_url='/handbook')
app.include_router(router, prefix='/orders')
"""
_ROUTES: Final = """\
from fastapi import APIRouter

router = APIRouter()


@router.get('/{number}')
def order(number: int) -> int:
    return number
"""
_SETTINGS: Final = """\
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix='APP_')

    env: str = 'development'
"""
_CONFIG: Final = {
    "none": "",
    "object": f"{_SETTINGS}\n\nsettings = Settings()\n",
    "getter": f"from functools import lru_cache\n\n{_SETTINGS}\n\n@lru_cache\ndef get_settings() -> Settings:\n"
    "    return Settings()\n",
    "starlette": "from starlette.config import Config\n\nconfig = Config('.env')\n",
}
_USED: Final = {
    "none": ("", "'orders'"),
    "object": ("settings", "settings.env"),
    "getter": ("get_settings", "get_settings().env"),
    "starlette": ("config", "config('TITLE', default='orders')"),
}
"""What the application takes from its settings, and how it uses that."""
_SYNC: Final = (
    "sqlalchemy>=2.0.36",
    """\
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

engine = create_engine('sqlite://')


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = 'orders'

    number: Mapped[int] = mapped_column(primary_key=True)
""",
)
_DATABASE: Final = {
    "none": (
        "sqlalchemy[asyncio]>=2.0.36",
        _SYNC[1]
        .replace("import create_engine\n", "import create_async_engine\n", 1)
        .replace("from sqlalchemy import", "from sqlalchemy.ext.asyncio import", 1)
        .replace("create_engine('sqlite://')", "create_async_engine('sqlite+aiosqlite://')"),
    ),
    "starlette": (
        "sqlmodel>=0.0.22",
        """\
from sqlmodel import Field, SQLModel, create_engine

engine = create_engine('sqlite://')


class Order(SQLModel, table=True):
    number: int | None = Field(default=None, primary_key=True)
""",
    ),
}
FOUNDED: Final = ("dynaconf", "pydantic")
NAMES: Final = (*FOUNDED, *_CONFIG)
"""The foundation twice, with a container and its own errors; then projects without, by how they read settings.

The foundation and the one without settings await their database, the others have an engine that is synchronous; the
models of the last are of SQLModel.
"""


def features(name: str) -> tuple[str, ...]:
    """Return the features that a project takes, by its name in `NAMES`."""
    every = (item.name for item in catalogue.every() if not item.hidden)
    return tuple(item for item in every if name in FOUNDED or item not in NEED_A_CONTAINER)


def dialect(name: str, quote: str = "'") -> dict[str, bytes]:
    """Return the files of a project by its name in `NAMES`; those without a container have either quote."""
    if name in FOUNDED:
        return files(shape_named("foundation" if name == "dynaconf" else "foundation_pydantic"))
    imported, title = _USED[name]
    if imported:
        imported = f"from {FOUNDATION_PACKAGE}.core.config import {imported}\n"
    texts = {
        "pyproject.toml": _MANIFEST,
        f"{_FOLDER}/__init__.py": "",
        f"{_FOLDER}/main.py": _MAIN.format(imported=imported, title=title),
        f"{_FOLDER}/routes.py": _ROUTES,
    }
    library, texts[f"{_FOLDER}/db.py"] = _DATABASE.get(name, _SYNC)
    texts["pyproject.toml"] = _MANIFEST.replace("    'uvicorn", f"    '{library}',\n    'uvicorn")
    if imported:
        texts |= {f"{_FOLDER}/core/__init__.py": "", f"{_FOLDER}/core/config.py": _CONFIG[name]}
    return {path: text.replace("'", quote).encode() for path, text in texts.items()}
