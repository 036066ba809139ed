"""Projects to which the engine adds the feature `jwt`: a small application, and the foundation."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jwt

from laterctl.commands.new import foundation
from laterctl.engine.plan import Request
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

from typing import Annotated

from fastapi import WebSocket

from project.core.auth.tokens import AUTH_RESPONSES, CurrentUser, Principal, require_scopes


@app.get("/me", responses=AUTH_RESPONSES)
async def me(user: CurrentUser) -> dict[str, object]:
    """Show the caller."""
    return {"subject": user.subject, "scopes": sorted(user.scopes)}


@app.get("/written")
def written(user: Annotated[Principal, require_scopes("write")]) -> str:
    """Show a caller who may write."""
    return user.subject


@app.get("/deleted", dependencies=[require_scopes("read", "delete")])
def deleted() -> str:
    """Answer who may read and delete."""
    return "deleted"


@app.post("/everywhere-out", status_code=204)
async def everywhere_out(user: CurrentUser) -> None:
    """End all sessions of the caller."""
    from project.core.auth.tokens import get_sessions

    await get_sessions().end_all(user.subject)


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

OWN_USERS = '''


import anyio
from pwdlib import PasswordHash

HASHER = PasswordHash.recommended()
HASHES = {"USER": HASHER.hash("PASSWORD")}
HASH_OF_NOBODY = HASHER.hash("nobody")


class OneUser:
    """Knows one user, who may read and write."""

    async def authenticate(self, username: str, password: str) -> str | None:
        """Verify one hash, whoever asks."""
        stored = HASHES.get(username, HASH_OF_NOBODY)
        verified = await anyio.to_thread.run_sync(HASHER.verify, password, stored)
        return "user-1" if verified and username in HASHES else None

    async def scopes(self, subject: str) -> Collection[str] | None:
        """Lock out everybody else."""
        return {"read", "write"} if subject == "user-1" else None


async def get_user_authenticator() -> UserAuthenticator:
    """Return what checks passwords."""
    return OneUser()
'''
AUTHENTICATOR = "project/core/auth/authenticator.py"


def write_app(folder: Path, *, filled_in: bool = True, more: memory.Files | None = None, **options: str) -> Path:
    """Write the application `project.main:app` into `folder` and return the folder.

    `filled_in` puts an authenticator that knows a user in the place of the function that is there, as the feature asks
    people to do. `more` are files that the project has besides; `options` are those of the feature.
    """
    before = {
        "pyproject.toml": PYPROJECT,
        "project/main.py": MAIN,
        "project/core/config.py": CONFIG,
        **{f"{package}/__init__.py": "" for package in ("project", "project/core", "tests")},
    }
    files = {path: text.encode() for path, text in before.items()} | dict(more or {})
    after = memory.run(files, Request(add=("jwt",), options={"jwt": options}))
    after["project/main.py"] += ROUTES.encode()
    if filled_in:
        own = OWN_USERS.replace("USER", USER, 1).replace("PASSWORD", PASSWORD)
        after[AUTHENTICATOR] = replaced_getter(after[AUTHENTICATOR].decode(), own).encode()
    return _write(after, folder)


def replaced_getter(module: str, text: str) -> str:
    """Return a module with text in the place of `get_user_authenticator`, which is at its end."""
    before, found, _ = module.partition("async def get_user_authenticator")
    assert found
    return before.rstrip() + "\n" + text


def write_foundation(folder: Path, settings: str = "dynaconf", **options: str) -> Path:
    """Write the foundation project `shop` into `folder`, with the feature on it, and return the folder.

    `GET /me` is a route that somebody wrote with `CurrentUser` afterwards.
    """
    files = foundation("shop", settings=settings, python="3.11")
    after = memory.run(files, Request(add=("jwt",), options={"jwt": options}))
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
