"""A small application with the feature `jwt` in it, for the feature's acceptance tests.

Written by hand until `laterctl add jwt` on a fixture project can write the same.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jwt

from laterctl.commands.new import foundation
from laterctl.render import Context, Expr, Import, Style, render

KEY = bytes(range(32))
OLD_KEY = bytes(range(32, 64))
ISSUER, AUDIENCE = "https://issuer.example", "https://audience.example"
USER, PASSWORD = "ada@example.com", "correct horse battery staple"

FILES = {
    "core/auth/config.py": "jwt/core/auth/config.py.jinja",
    "core/auth/errors.py": "jwt/core/auth/errors.py.jinja",
    "core/auth/keys.py": "jwt/core/auth/keys.py.jinja",
    "core/auth/refresh.py": "jwt/core/auth/refresh.py.jinja",
    "core/auth/refresh_store.py": "jwt/core/auth/refresh_store.py.jinja",
    "core/auth/tokens.py": "jwt/core/auth/tokens.py.jinja",
    "core/auth/authenticator.py": "jwt/core/auth/authenticator.protocol.py.jinja",
    "api/auth.py": "jwt/api/auth.py.jinja",
    "api/current_user.py": "jwt/api/current_user.py.jinja",
    "core/lifespan.py": "lifespan/core/lifespan.py.jinja",
    "core/problems.py": "errors/core/problems.problem.py.jinja",
    "core/redis.py": "redis/core/redis.py.jinja",
    "tests/test_jwt.py": "jwt/tests/test_jwt.py.jinja",
}

CONFIG = '''"""The application's settings."""

from pydantic import SecretStr
from pydantic_settings import BaseSettings


class Settings(BaseSettings):
    """One field for each setting; the variable has the field's name."""

    environment: str = "development"
    jwt_keys: SecretStr | None = None
    jwt_issuer: str = "project"
    jwt_audience: str = "project"
    jwt_algorithm: str = "HS256"
    jwt_access_ttl: int = 900
    jwt_refresh_ttl: int = 1209600
    jwt_max_ttl: int = 3600
    jwt_denylist: str = "off"
    redis_url: SecretStr | None = None
    redis_timeout_seconds: float = 1.0
    redis_max_connections: int = 100


settings = Settings()
'''

MAIN = '''"""The application."""

import os

from fastapi import FastAPI, Request, Response, WebSocket
from starlette.middleware.base import RequestResponseEndpoint

from project.api.auth import router
from project.api.current_user import CurrentUser
from project.core.auth.errors import AuthError, auth_error_handler
from project.core.lifespan import managed_resources

app = FastAPI(lifespan=managed_resources)
app.add_exception_handler(AuthError, auth_error_handler)
app.include_router(router)


@app.middleware("http")
async def name_worker(request: Request, call_next: RequestResponseEndpoint) -> Response:
    """Tell the tests which process answered."""
    response = await call_next(request)
    response.headers["X-Worker"] = str(os.getpid())
    return response


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


@app.get("/health/live")
async def live() -> dict[str, str]:
    """Tell that the application answers."""
    return {"status": "ok"}
'''

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


def context(package: str = "project") -> Context:
    """Return the dialect of the small application: pydantic-settings, no container, absolute imports."""
    place = {
        "token_service": "core.auth.tokens",
        "refresh_store": "core.auth.refresh_store",
        "redis": "core.redis",
    }
    settings = Import(f"{package}.core.config", "settings")

    def provided(name: str) -> Expr:
        return Expr(f"get_{name}()", (Import(f"{package}.{place[name]}", f"get_{name}"),))

    return Context(
        setting=lambda name: Expr(f"settings.{name}", (settings,)),
        provided=provided,
        module=lambda module: f"{package}.{module}",
        environment=Expr("settings.environment", (settings,)),
        style=Style(),
        first_party=frozenset({package}),
        values={"http_client": "httpx2", "app_module": f"{package}.main", "app_name": "app", "app_call": "app"},
    )


DEFAULTS = {
    "JWT_KEYS": None,
    "JWT_ISSUER": "shop",
    "JWT_AUDIENCE": "shop",
    "JWT_ALGORITHM": "HS256",
    "JWT_ACCESS_TTL": 900,
    "JWT_REFRESH_TTL": 1209600,
    "JWT_MAX_TTL": 3600,
    "JWT_DENYLIST": "off",
    "REDIS_URL": None,
    "REDIS_TIMEOUT_SECONDS": 1.0,
    "REDIS_MAX_CONNECTIONS": 100,
}


def foundation_context() -> Context:
    """Return the dialect of the foundation project `shop`: Dynaconf and a container."""
    settings, container = Import("shop.core.config", "settings"), Import("shop.core.container", "container")
    return Context(
        setting=lambda name: Expr(f"settings.get({name.upper()!r}, {DEFAULTS[name.upper()]!r})", (settings,)),
        provided=lambda name: Expr(f"container.{name}()", (container,)),
        module=lambda module: f"shop.{module}",
        environment=Expr("str(settings.current_env)", (settings,)),
        style=Style(quote="'"),
        first_party=frozenset({"shop"}),
        values={"http_client": "httpx", "app_module": "shop.main", "app_name": "app", "app_call": "app"},
    )


def write_foundation(folder: Path) -> Path:
    """Write the foundation project `shop` into `folder`, with the feature on it, and return the folder.

    `GET /me` is a route that somebody wrote with `CurrentUser` afterwards.
    """
    for path, content in foundation("shop", settings="dynaconf", python="3.11").items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    own = {
        "core/auth/authenticator.py": "jwt/core/auth/authenticator.foundation.py.jinja",
        "core/problems.py": "errors/core/problems.apierror.py.jinja",
    }
    for path, template in {**FILES, **own}.items():
        target = folder / path if path.startswith("tests/") else folder / "src/shop" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(render(template, foundation_context()))
    package = folder / "src/shop"
    (package / "core/auth/__init__.py").touch()
    _edit(
        package / "core/container.py",
        {
            "from shop.core.config": "from shop.core.auth.refresh_store import get_refresh_store\n"
            "from shop.core.auth.tokens import get_token_service\nfrom shop.core.config",
            "\n\n\ncontainer = ": "\n    refresh_store = providers.Callable(get_refresh_store)"
            "\n    token_service = providers.Callable(get_token_service)\n\n\ncontainer = ",
        },
    )
    _edit(
        package / "api/deps.py",
        {
            "from shop.core.container": "from shop.api.current_user import get_current_user\n"
            "from shop.core.auth.tokens import Principal\nfrom shop.core.container",
            "\nUserServiceDep =": "\nCurrentUser = Annotated[Principal, Depends(get_current_user)]\nUserServiceDep =",
        },
    )
    _edit(
        package / "main.py",
        {
            "from fastapi import": "from fastapi import APIRouter,",
            "from shop.api.routes": "from shop.api.auth import router as auth_router\nfrom shop.api.routes",
            "from shop.core.container": "from shop.core.auth.errors import AuthError, auth_error_handler\n"
            "from shop.core.container",
            "from shop.core.request_id": "from shop.core.lifespan import managed_resources\nfrom shop.core.request_id",
            "\napp.include_router(router)\n": "app.add_exception_handler(AuthError, auth_error_handler)\n"
            "\napp.include_router(router)\napp.include_router(auth_router)\n"
            "app.include_router(APIRouter(lifespan=managed_resources))\n"
            "\n\n@app.get('/me')\nasync def me(user: deps.CurrentUser) -> str:\n"
            '    """Show the caller."""\n    return user.subject\n\n',
        },
    )
    return folder


def _edit(path: Path, replacements: Mapping[str, str]) -> None:
    text = path.read_text()
    for old, new in replacements.items():
        assert text.count(old) == 1, f"{path}: {old!r} is there {text.count(old)} times"
        text = text.replace(old, new)
    path.write_text(text)


def write_app(folder: Path, *, filled_in: bool = True) -> Path:
    """Write the application `project.main:app` into `folder` and return the folder.

    `filled_in` replaces the placeholder authenticator by one that knows a user, as the feature asks people to do.
    """
    for path, template in FILES.items():
        target = folder / path if path.startswith("tests/") else folder / "project" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(render(template, context()))
    package = folder / "project"
    for part in ("", "core", "core/auth", "api"):
        (package / part / "__init__.py").touch()
    (package / "core/config.py").write_text(CONFIG)
    (package / "main.py").write_text(MAIN)
    if filled_in:
        authenticator = package / "core/auth/authenticator.py"
        authenticator.rename(authenticator.with_name("placeholder.py"))
        authenticator.write_text(FILLED_IN.replace("USER", USER).replace("PASSWORD", PASSWORD))
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
