"""Projects to which the engine adds the feature `jwt`: a small application, and the foundation."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jwt

from laterctl.commands.new import foundation
from tests import memory

KEY = bytes(range(32))
OLD_KEY = bytes(range(32, 64))
ISSUER, AUDIENCE = "https://issuer.example", "https://audience.example"
USER, PASSWORD = "ada@example.com", "correct horse battery staple"

CONFIG = '''"""The application's settings."""

from pydantic_settings import BaseSettings


class Settings(BaseSettings):
    """One field for each setting; the variable has the field's name."""

    environment: str = "development"


settings = Settings()
'''

MAIN = '''"""The application."""

import os

from fastapi import FastAPI, Request, Response
from starlette.middleware.base import RequestResponseEndpoint

from project.core.config import settings as settings

app = FastAPI()


@app.middleware("http")
async def name_worker(request: Request, call_next: RequestResponseEndpoint) -> Response:
    """Tell the tests which process answered."""
    response = await call_next(request)
    response.headers["X-Worker"] = str(os.getpid())
    return response


@app.get("/health/live")
async def live() -> dict[str, str]:
    """Tell that the application answers."""
    return {"status": "ok"}
'''

ROUTES = '''

from fastapi import WebSocket

from project.api.current_user import CurrentUser


@app.get("/me")
async def me(user: CurrentUser) -> dict[str, object]:
    """Show the caller."""
    return {"subject": user.subject, "scopes": sorted(user.scopes)}


@app.websocket("/ws")
async def socket(websocket: WebSocket, user: CurrentUser) -> None:
    """Greet the caller."""
    await websocket.accept()
    await websocket.send_text(user.subject)
    await websocket.close()
'''
"""What somebody writes with the feature afterwards."""

FOUNDATION_ROUTE = '''

@app.get('/me')
async def me(user: deps.CurrentUser) -> str:
    """Show the caller."""
    return user.subject
'''

PYPROJECT = """\
[project]
name = "project"
version = "1"
requires-python = ">=3.10"
dependencies = ["fastapi>=0.115", "pydantic-settings>=2.6", "pwdlib[argon2]>=0.2.1", "uvicorn"]

[dependency-groups]
dev = ["pytest>=8"]
"""

FILLED_IN = '''"""Who may sign in: one user, whose password is checked with Argon2."""

from collections.abc import Collection
from functools import cache

import anyio
from pwdlib import PasswordHash

from project.core.auth.placeholder import UserAuthenticator as UserAuthenticator

HASHER = PasswordHash.recommended()
HASHES = {"USER": HASHER.hash("PASSWORD")}
HASH_OF_NOBODY = HASHER.hash("nobody")


class OneUser:
    """Knows one user, who may read."""

    async def authenticate(self, username: str, password: str) -> str | None:
        """Verify one hash, whoever asks."""
        stored = HASHES.get(username, HASH_OF_NOBODY)
        verified = await anyio.to_thread.run_sync(HASHER.verify, password, stored)
        return "user-1" if verified and username in HASHES else None

    async def scopes(self, subject: str) -> Collection[str] | None:
        """Lock out everybody else."""
        return {"read", "write"} if subject == "user-1" else None


@cache
def get_user_authenticator() -> UserAuthenticator:
    """Return what checks passwords."""
    return OneUser()
'''


def write_app(folder: Path, *, filled_in: bool = True, more: memory.Files | None = None) -> Path:
    """Write the application `project.main:app` into `folder` and return the folder.

    `filled_in` replaces the placeholder authenticator by one that knows a user, as the feature asks people to do.
    `more` are files that the project has besides.
    """
    before = {
        "pyproject.toml": PYPROJECT,
        "project/main.py": MAIN,
        "project/core/config.py": CONFIG,
        **{f"{package}/__init__.py": "" for package in ("project", "project/core", "tests")},
    }
    after = memory.add({path: text.encode() for path, text in before.items()} | dict(more or {}), "jwt")
    after["project/main.py"] += ROUTES.encode()
    if filled_in:
        after["project/core/auth/placeholder.py"] = after.pop("project/core/auth/authenticator.py")
        own = FILLED_IN.replace("USER", USER).replace("PASSWORD", PASSWORD)
        after["project/core/auth/authenticator.py"] = own.encode()
    return _write(after, folder)


def write_foundation(folder: Path) -> Path:
    """Write the foundation project `shop` into `folder`, with the feature on it, and return the folder.

    `GET /me` is a route that somebody wrote with `CurrentUser` afterwards.
    """
    after = memory.add(foundation("shop", settings="dynaconf", python="3.11"), "jwt")
    after["src/shop/main.py"] += FOUNDATION_ROUTE.encode()
    return _write(after, folder)


def _write(files: Mapping[str, bytes], folder: Path) -> Path:
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


def encoded_key(key: bytes) -> str:
    """Return a key in base64."""
    return base64.b64encode(key).decode()


def keys(*pairs: tuple[str, bytes]) -> str:
    """Return key ids and keys as the setting JWT_KEYS has them."""
    return ",".join(f"{key_id}:{encoded_key(key)}" for key_id, key in pairs)


def environment(**more: str) -> dict[str, str]:
    """Return environment variables that configure the application, with a key `k1`."""
    return {"JWT_KEYS": keys(("k1", KEY)), "JWT_ISSUER": ISSUER, "JWT_AUDIENCE": AUDIENCE, "REDIS_URL": "", **more}


def forged(
    changes: dict[str, Any] | None = None,
    header: dict[str, Any] | None = None,
    key: bytes = KEY,
    algorithm: str = "HS256",
) -> str:
    """Return a signed access token that is right in every way but the `changes` to its claims and its `header`.

    A change to `None` leaves the claim or header out.
    """
    now = int(time.time())
    claims: dict[str, Any] = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "user-1",
        "iat": now,
        "nbf": now,
        "exp": now + 600,
        "jti": "a-token",
        "scope": "read",
        **(changes or {}),
    }
    headers = {"kid": "k1", "typ": "at+jwt", **(header or {})}
    return jwt.encode(
        {name: value for name, value in claims.items() if value is not None},
        key,
        algorithm,
        {name: value for name, value in headers.items() if value is not None},
    )
