"""What `laterctl add secrets` promises, with a real OpenBao, and a PostgreSQL whose passwords it changes."""

from __future__ import annotations

import asyncio
import base64
import importlib
import json
import os
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import httpx
import jwt
import pytest

from laterctl.engine.plan import Request
from tests import memory
from tests.features.ops_app import write
from tests.features.resources_app import imported
from tests.openbao import Bao
from tests.servers import (
    LOOPBACK,
    Server,
    free_port,
    openbao_server,
    postgres_server,
    uvicorn_server,
    worker_processes,
)

PYPROJECT: Final = """\
[project]
name = "depot"
version = "1"
requires-python = ">=3.11"
dependencies = ["fastapi>=0.115", "pydantic-settings>=2.6", "sqlalchemy[asyncio]>=2", "uvicorn"]

[dependency-groups]
dev = ["pytest>=8", "httpx"]
"""
CONFIG: Final = """\
from pydantic_settings import BaseSettings


class Settings(BaseSettings):
    environment: str = "development"


settings = Settings()
"""
DB: Final = """\
import os

from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

engine = create_async_engine(os.environ["DB_URL"], poolclass=NullPool)
"""
MAIN: Final = '''\
"""Asks for its secrets, and asks its database over a new connection each time."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Response
from sqlalchemy import text

from depot.config import settings as settings
from depot.db import engine


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    if "ROLE" in os.environ:  # before anything of ours is open
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
    yield


app = FastAPI(lifespan=lifespan)


@app.middleware("http")
async def name_worker(request, call_next):
    response = await call_next(request)
    response.headers["X-Worker"] = str(os.getpid())
    return response
'''
ROUTES: Final = """

from depot.api.secret_provider import SecretsDep
from depot.core.auth.tokens import CurrentUser, sign_access


@app.get("/secret")
async def secret(secrets: SecretsDep, name: str = "stripe_key"):
    found = secrets.get(name)
    return {"length": len(found.value.get_secret_value()), "shown": found, "text": repr(found)}


@app.get("/user")
async def user() -> str:
    async with engine.connect() as connection:
        return (await connection.execute(text("SELECT current_user"))).scalar_one()


@app.get("/token")
async def token() -> str:
    return sign_access("ada")


@app.get("/me")
async def me(user: CurrentUser) -> str:
    return user.subject
"""
HUSH: Final = "hush-hush-9f3a"
KEYS: Final = {name: f"{name}:{base64.b64encode(name.encode() * 32).decode()}" for name in ("k1", "k2", "k3")}


def made(**options: str) -> dict[str, bytes]:
    files = {
        "pyproject.toml": PYPROJECT,
        "depot/__init__.py": "",
        "depot/config.py": CONFIG,
        "depot/db.py": DB,
        "depot/main.py": MAIN,
    }
    wanted = ("jwt", "health", "pooling", "secrets")
    after = memory.run(
        {path: text.encode() for path, text in files.items()}, Request(add=wanted, options={"secrets": options})
    )
    after["depot/main.py"] += ROUTES.encode()
    return after


@pytest.fixture(scope="module")
def openbao() -> Iterator[Server]:
    with openbao_server() as server:
        yield server


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    with postgres_server("-c", "max_connections=60") as server:
        yield server


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return made(provider="vault", database="yes")


@pytest.fixture(scope="module")
def project(files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("depot")
    write(folder, files)
    return folder


@pytest.fixture(scope="module")
def operator(openbao: Server, postgres: Server, files: dict[str, bytes]) -> Iterator[Bao]:
    """A server that is set up as the policy file says; tokens live for two seconds, five with their renewals."""
    with Bao(openbao) as root:
        root.allow(files["vault-policy.hcl"].decode())
        root.let_in(token_ttl="2s", token_max_ttl="5s")
        root.change_passwords(postgres)
        root.keep(stripe_key=HUSH, jwt_keys=KEYS["k1"])
        yield root


@pytest.fixture(scope="module")
def environment(operator: Bao, postgres: Server, project: Path) -> dict[str, str]:
    return {
        "DB_URL": f"postgresql+asyncpg://app@{LOOPBACK}:{postgres.port}/postgres",
        "ROLE": "app",
        "VAULT_POLL_SECONDS": "2",
        **operator.settings(project),
    }


@pytest.fixture(scope="module")
def server(project: Path, environment: dict[str, str]) -> Iterator[Server]:
    with uvicorn_server("depot.main:app", project, environment, workers=2) as running:
        whole(running)
        yield running


class Load(threading.Thread):
    """Asks for the secret and the database until it is stopped, and keeps what failed."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.url, self.over = url, threading.Event()
        self.asked, self.failed, self.began = 0, list[str](), time.monotonic()
        self.start()

    def run(self) -> None:
        with httpx.Client(base_url=self.url, timeout=20) as client:
            while not self.over.wait(0.02):
                for path in ("/secret", "/user"):
                    answer = client.get(path)
                    self.asked += 1
                    if answer.status_code != 200:
                        self.failed.append(answer.text)


@pytest.fixture(scope="module")
def load(server: Server) -> Iterator[Load]:
    """Requests that go on through all tests of this module that have it."""
    running = Load(server.url)
    yield running
    running.over.set()
    running.join()


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=20) as client:
        yield client


def until(true: Callable[[], bool], seconds: float = 20) -> float:
    """Wait until something is true, and return how long that took."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds, "it never was"
        time.sleep(0.05)
    return time.monotonic() - began


def status(client: httpx.Client) -> str:
    """Return what a worker says of Vault."""
    return str(client.get("/health/ready").json()["checks"]["vault"]["status"])


def whole(server: Server) -> None:
    """Wait until all workers have read everything."""
    until(lambda: everywhere(server, lambda fresh: status(fresh) == "pass"))


def everywhere(server: Server, answers: Callable[[httpx.Client], bool]) -> bool:
    """Whether both workers answer so."""
    with ExitStack() as stack:
        clients: list[httpx.Client] = []

        def met() -> int:
            clients.append(stack.enter_context(httpx.Client(base_url=server.url, timeout=20)))
            return int(clients[-1].get("/health/live").headers["x-worker"])

        worker_processes(met, 2)
        return all(answers(client) for client in clients)


def test_1_a_secret_has_a_version_and_is_never_shown(client: httpx.Client, server: Server, load: Load) -> None:
    found = client.get("/secret").json()
    assert found["length"] == len(HUSH)
    assert found["shown"][1] >= 1  # other tests write versions too
    assert found["shown"][2] > time.time()
    assert "SecretStr('**********')" in found["text"]
    with pytest.raises(httpx.HTTPStatusError):
        client.get("/secret", params={"name": "unknown"}).raise_for_status()
    until(lambda: "LookupError: UNKNOWN is not set" in server.output())
    said = server.output() + client.get("/openapi.json").text + json.dumps(found)
    assert HUSH not in said
    assert KEYS["k1"] not in said


def test_3_a_stall_of_vault_stalls_nothing_else(client: httpx.Client, openbao: Server, load: Load) -> None:
    client.get("/health/live")
    openbao.pause()
    try:
        end, longest = time.monotonic() + 2, 0.0
        while time.monotonic() < end:
            began = time.perf_counter()
            assert client.get("/health/live").status_code == 200
            assert client.get("/secret").status_code == 200
            longest = max(longest, time.perf_counter() - began)
            time.sleep(0.02)
    finally:
        openbao.resume()
    assert longest < 1


def test_4_while_vault_is_down_secrets_hold_and_readiness_is_degraded(
    client: httpx.Client, server: Server, openbao: Server, load: Load
) -> None:
    whole(server)
    before = len(server.output())
    openbao.pause()
    try:
        until(lambda: everywhere(server, lambda fresh: status(fresh) == "fail"))
        assert client.get("/health/ready").status_code == 200
        assert client.get("/secret").status_code == 200
    finally:
        openbao.resume()
    whole(server)
    told = [line for line in server.output()[before:].splitlines() if line.startswith("Vault: ")]
    # Of two workers, each by itself; on a busy machine one may have tried in between.
    assert 2 <= told.count("Vault: all is read again") <= 4
    assert 2 <= sum("Timeout" in line for line in told) <= 4


def test_5_passwords_change_under_load(operator: Bao, client: httpx.Client, load: Load) -> None:
    passwords, asked = set[str](), load.asked
    for _ in range(3):
        passwords.add(operator.rotate())
        assert client.get("/user").json() == "app"
        time.sleep(0.3)
    assert len(passwords) == 3
    assert load.asked > asked + 20
    assert load.failed == []


def test_6_keys_of_tokens_change_in_all_workers(
    operator: Bao, client: httpx.Client, server: Server, load: Load
) -> None:
    """The new version signs, the one before verifies; no worker ever refuses what another has signed."""
    operator.keep(stripe_key=HUSH, jwt_keys=KEYS["k1"])
    until(
        lambda: everywhere(server, lambda fresh: jwt.get_unverified_header(fresh.get("/token").json())["kid"] == "k1")
    )
    old = client.get("/token").json()
    tokens, refused = [old], list[str]()

    def is_new(fresh: httpx.Client) -> bool:
        token = fresh.get("/token").json()
        tokens.append(token)
        return bool(jwt.get_unverified_header(token)["kid"] == "k2")

    def known(fresh: httpx.Client) -> bool:
        bearer = {"Authorization": f"Bearer {tokens[-1]}"}
        answer = fresh.get("/me", headers=bearer)
        if answer.status_code != 200:
            refused.append(tokens[-1])
        return is_new(fresh)

    operator.keep(stripe_key=HUSH, jwt_keys=KEYS["k2"])
    assert until(lambda: everywhere(server, known)) < 6  # within two seconds, on a quiet machine
    assert refused == []
    assert everywhere(
        server, lambda fresh: fresh.get("/me", headers={"Authorization": f"Bearer {old}"}).text == '"ada"'
    )


def test_6_a_wrong_key_changes_nothing(operator: Bao, client: httpx.Client, server: Server, load: Load) -> None:
    token = client.get("/token").json()
    operator.keep(stripe_key=HUSH, jwt_keys=f"k3:{HUSH}!")
    until(lambda: "JWT_KEYS: Value error, entry 1" in server.output())
    assert client.get("/me", headers={"Authorization": f"Bearer {token}"}).status_code == 200
    operator.keep(stripe_key=HUSH, jwt_keys=KEYS["k2"])
    whole(server)


def test_7_8_the_policy_allows_what_is_read_and_no_more(
    operator: Bao, openbao: Server, environment: dict[str, str], load: Load
) -> None:
    """Nothing was written but by the operator."""
    operator.tell("secret/data/other", data={"a": "b"})
    login = {
        "role_id": environment["VAULT_ROLE_ID"],
        "secret_id": Path(environment["VAULT_SECRET_ID"]).read_text().strip(),
    }
    with httpx.Client(base_url=f"{openbao.url}/v1/") as other:
        token = other.post("auth/approle/login", json=login).json()["auth"]["client_token"]
        other.headers["X-Vault-Token"] = token
        answers = [other.get(f"secret/data/{name}").status_code for name in ("app", "other")]
        written = other.post("secret/data/app", json={"data": {}}).status_code
    assert (answers, written) == ([200, 403], 403)
    assert operator.get("secret/metadata/app").json()["data"]["current_version"] == operator.kept


def test_2_tokens_of_two_seconds_carry_for_ten(operator: Bao, server: Server, client: httpx.Client, load: Load) -> None:
    """They are renewed, replaced at the end of their life, and when they are revoked."""
    operator.tell("sys/leases/revoke-prefix/auth/approle/login")
    operator.keep(stripe_key="another", jwt_keys=KEYS["k2"])
    until(lambda: everywhere(server, lambda fresh: fresh.get("/secret").json()["length"] == len("another")))
    time.sleep(max(0.0, load.began + 10 - time.monotonic()))
    assert load.failed == []
    assert load.asked > 100
    assert "renew-self" not in server.output()
    assert HUSH not in server.output()


def failed_start(project: Path, environment: dict[str, str]) -> tuple[int, str]:
    """Start a server that is not to come up; return its exit code and its output."""
    command = [sys.executable, "-m", "uvicorn", "depot.main:app", "--port", str(free_port())]
    done = subprocess.run(
        command, cwd=project, env=os.environ | environment, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_4_without_vault_the_start_ends_with_its_address(project: Path, environment: dict[str, str]) -> None:
    address = f"http://{LOOPBACK}:{free_port()}"
    there = {name: value for name, value in environment.items() if name != "VAULT_DB_ROLE"}
    more = {"VAULT_ADDR": address, "VAULT_STARTUP_TIMEOUT_SECONDS": "1", "DB_URL": "sqlite+aiosqlite://"}
    code, said = failed_start(project, there | more)
    assert code != 0
    assert f"RuntimeError: {address}: /v1/auth/approle/login: ConnectError" in said
    assert Path(environment["VAULT_SECRET_ID"]).read_text().strip() not in said


PRODUCTION: Final = {"ENVIRONMENT": "production", "VAULT_ADDR": "https://vault.example.com"}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"VAULT_ADDR": "http://vault.example.com:8200"}, "VAULT_ADDR: .*not https://"),
        ({"VAULT_TOKEN": HUSH}, "VAULT_TOKEN: .*for development"),
        ({"VAULT_ADDR": ""}, "VAULT_ADDR is not set"),
    ],
)
def test_2_7_production_refuses_what_is_for_development(settings: dict[str, str], said: str, project: Path) -> None:
    with imported(project, "core.secret_source", PRODUCTION | settings | {"DB_URL": "sqlite+aiosqlite://"}) as vault:

        async def start() -> None:
            await vault.build_secret_provider().start()

        with pytest.raises((ValueError, RuntimeError), match=said) as raised:
            asyncio.run(start())
    assert HUSH not in str(raised.value)


def test_7_certificates_are_checked(project: Path) -> None:
    with imported(project, "core.secret_source", PRODUCTION | {"DB_URL": "sqlite+aiosqlite://"}) as vault:
        context = vault.build_secret_provider()._client._transport._pool._ssl_context
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_2_a_service_account_signs_in(operator: Bao, openbao: Server, tmp_path: Path) -> None:
    """With a signed JWT, which OpenBao checks itself: Kubernetes is asked for the same."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    public = key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()
    operator.tell("sys/auth/cluster", type="jwt")
    operator.tell("auth/cluster/config", jwt_validation_pubkeys=[public])
    operator.tell(
        "auth/cluster/role/app", role_type="jwt", user_claim="sub", bound_audiences="vault", token_policies="app"
    )
    file = tmp_path / "token"
    file.write_text(jwt.encode({"sub": "depot", "aud": "vault", "exp": time.time() + 60}, key, "ES256"))
    write(tmp_path, made(provider="vault", login="kubernetes"))
    settings = {
        "VAULT_ADDR": openbao.url,
        "VAULT_AUTH_MOUNT": "cluster",
        "VAULT_ROLE": "app",
        "VAULT_JWT_PATH": str(file),
        "VAULT_KV_PATH": "app",
        "DB_URL": "sqlite+aiosqlite://",
    }
    with imported(tmp_path, "core.secret_source", settings) as vault:
        provider = vault.build_secret_provider()
        provider.refresh()
        assert provider.get("stripe_key").value.get_secret_value()


def test_4_what_was_read_ends_with_its_grace(operator: Bao, openbao: Server, tmp_path: Path) -> None:
    write(tmp_path, made(provider="vault"))
    token = operator.tell("auth/token/create", policies=["app"], ttl="1h")["auth"]["client_token"]
    settings = {
        "VAULT_ADDR": openbao.url,
        "VAULT_TOKEN": token,
        "VAULT_KV_PATH": "app",
        "VAULT_POLL_SECONDS": "0.4",
        "VAULT_GRACE_SECONDS": "0.5",
        "DB_URL": "sqlite+aiosqlite://",
    }
    with imported(tmp_path, "core.secret_source", settings) as vault:

        async def run() -> float:
            provider = vault.build_secret_provider()
            await provider.start()
            assert (
                importlib.import_module("depot.core.feature_settings").value_of("stripe_key")
                == provider.get("stripe_key").value.get_secret_value()
            )
            began = time.monotonic()
            operator.tell("auth/token/revoke", token=token)
            try:
                while time.monotonic() < began + 10:
                    provider.get("stripe_key")
                    await asyncio.sleep(0.05)
            except LookupError:
                assert token not in provider.degraded
                return time.monotonic() - began
            finally:
                await provider.aclose()
            raise AssertionError

        assert asyncio.run(run()) > 0.5


def test_the_order_of_adding_says_nothing() -> None:
    """With Vault, whose edits beside others are brought to life by these."""
    with_options = Request(add=("secrets",), options={"secrets": {"provider": "vault", "database": "yes"}})
    before = {"pyproject.toml": PYPROJECT, "depot/__init__.py": "", "depot/db.py": DB, "depot/main.py": MAIN}
    before |= {"depot/config.py": CONFIG}
    files = {path: text.encode() for path, text in before.items()}
    one = memory.run(memory.add(files, "jwt", "health"), with_options)
    other = memory.add(memory.run(files, with_options), "health", "jwt")
    assert one == other
    assert memory.remove(memory.remove(one, "jwt"), "health", "secrets") == files
    assert memory.run(memory.add(files, "secrets"), with_options) == memory.run(files, with_options)


def test_1_without_vault_the_settings_have_them(tmp_path: Path) -> None:
    write(tmp_path, made())
    with imported(tmp_path, "core.secret_source", {"JWT_KEYS": KEYS["k1"]}) as secrets:
        found = secrets.get_secret_provider().get("jwt_keys")
        assert (found.value.get_secret_value(), found.version, found.expires_at) == (KEYS["k1"], 0, None)
        with pytest.raises(LookupError, match="STRIPE_KEY is not set"):
            secrets.get_secret_provider().get("stripe_key")
