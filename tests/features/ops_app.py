"""A small project for what is there to run an application: `health` and `shutdown`, with what they stand beside."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests import memory

PACKAGE = "depot"
PYPROJECT = """\
[project]
name = "depot"
version = "1"
requires-python = ">=3.10"
dependencies = ["fastapi>=0.115", "sqlalchemy[asyncio]>=2", "uvicorn"]

[dependency-groups]
dev = ["pytest>=8", "httpx"]
"""
MAIN = '''\
"""The application: all of it wants a token."""

import asyncio
from collections.abc import AsyncIterator

from fastapi import Depends, FastAPI, Header, HTTPException
from fastapi.responses import StreamingResponse


def check(token: str = Header("")) -> None:
    if token != "secret":
        raise HTTPException(401)


app = FastAPI(dependencies=[Depends(check)])


@app.get("/slow")
async def slow(seconds: float = 2) -> str:
    await asyncio.sleep(seconds)
    return "done"


async def ticks() -> AsyncIterator[str]:
    while True:
        yield "tick\\n"
        await asyncio.sleep(0.05)


@app.get("/endless")
async def endless() -> StreamingResponse:
    return StreamingResponse(ticks())
'''
TOKEN = {"token": "secret"}
ASYNC = """\
import os

from sqlalchemy.ext.asyncio import create_async_engine

engine = create_async_engine(os.environ["DB_URL"])
"""


def made(*features: str, more: Mapping[str, str] | None = None) -> dict[str, bytes]:
    """Return the files of package `depot` with features, and `more` files of its own."""
    files = {"pyproject.toml": PYPROJECT, "depot/__init__.py": "", "depot/main.py": MAIN, **(more or {})}
    return memory.add({path: text.encode() for path, text in files.items()}, *features)


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files below a folder."""
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
