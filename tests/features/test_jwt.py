"""What `laterctl add jwt` promises, on real servers: tokens, keys, refresh, several workers, Redis that is gone."""

from __future__ import annotations

import ast
import hmac
import json
import os
import re
import string
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from statistics import median
from textwrap import dedent
from typing import Any

import httpx
import jwt
import pytest
import redis
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from laterctl.commands.new import foundation
from laterctl.dialects.settings import settings_of
from laterctl.engine.plan import Request
from laterctl.features import catalogue
from tests import memory
from tests.dialect_projects import FOUNDED, NAMES, dialect
from tests.features.jwt_app import (
    AUDIENCE,
    AUTHENTICATOR,
    ISSUER,
    KEY,
    OLD_KEY,
    PASSWORD,
    USER,
    encoded_key,
    environment,
    forged,
    keys,
    replaced_getter,
    write_app,
    write_foundation,
)
from tests.servers import Server, free_port, paused, redis_server, uvicorn_server, worker_processes
from tests.shapes import FOUNDATION_PACKAGE

APP = "project.main:app"
GRACE_MILLISECONDS = 10_000
INVALID = 'Bearer error="invalid_token"'

# A connection for each request: the kernel spreads them over the workers of a server.
CLIENT = httpx.Client(timeout=30, limits=httpx.Limits(max_keepalive_connections=0))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_app(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def redis_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_app(tmp_path_factory.mktemp("redis_project"), refresh="redis")


@pytest.fixture(scope="module")
def shared_redis() -> Iterator[Server]:
    with redis_server() as server:
        yield server


@pytest.fixture(scope="module")
def in_memory(project: Path) -> Iterator[Server]:
    """The application on one worker, with sessions in its memory."""
    with uvicorn_server(APP, project, environment()) as server:
        yield server


@pytest.fixture(scope="module")
def on_redis(redis_project: Path, shared_redis: Server) -> Iterator[Server]:
    """The application on one worker, with sessions in Redis."""
    with uvicorn_server(APP, redis_project, environment(REDIS_URL=shared_redis.url)) as server:
        yield server


@pytest.fixture(params=["in_memory", "on_redis"])
def server(request: pytest.FixtureRequest) -> Server:
    """The application with either store."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Server)
    return found


def me(server: Server, token: str | bytes | None) -> httpx.Response:
    raw = token.encode() if isinstance(token, str) else token
    headers = {} if raw is None else {b"Authorization": (b"Bearer " + raw).rstrip()}
    return CLIENT.get(f"{server.url}/me", headers=headers)


def post(server: Server, path: str, *, patient: bool = True, **request: Any) -> httpx.Response:
    """Post as a well-behaved client: where the answer says when to try again, try again.

    A crowded machine makes Redis late now and then; that the application says so in time is another test's matter.
    """
    for _ in range(10 if patient else 1):
        answer = CLIENT.post(f"{server.url}{path}", **request)
        if "Retry-After" not in answer.headers:
            break
        time.sleep(0.2)
    return answer


def sign_in(server: Server, username: str = USER, password: str = PASSWORD, *, patient: bool = True) -> httpx.Response:
    return post(server, "/auth/token", data={"username": username, "password": password}, patient=patient)


def refresh(server: Server, token: str, *, patient: bool = True) -> httpx.Response:
    return post(server, "/auth/refresh", json={"refresh_token": token}, patient=patient)


def logout(server: Server, token: str, access: str | None = None, *, patient: bool = True) -> httpx.Response:
    headers = {"Authorization": f"Bearer {access}"} if access else {}
    return post(server, "/auth/logout", json={"refresh_token": token}, headers=headers, patient=patient)


def refresh_token(response: httpx.Response) -> str:
    assert response.status_code == 200, response.text
    return str(response.json()["refresh_token"])


def in_parallel(server: Server, token: str, times: int = 20) -> list[httpx.Response]:
    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(lambda _: refresh(server, token), range(times)))


def end_grace(redis_url: str, token: str) -> None:
    """Let the ten seconds pass in which a replaced refresh token is still answered."""
    claims = jwt.decode(token, options={"verify_signature": False})
    with redis.Redis.from_url(redis_url) as client:
        key = f"jwt:sessions:{{{claims['sub']}}}:{claims['jti'].replace('.', ':')}"
        assert 0 < client.pttl(key) <= GRACE_MILLISECONDS
        assert client.delete(key) == 1


# 1. Tokens that are refused ------------------------------------------------------------------------------------------


def encoded(part: object) -> str:
    data = part if isinstance(part, bytes) else json.dumps(part).encode()
    return urlsafe_b64encode(data).decode().rstrip("=")


def signed(payload: object, header: object = None, key: bytes = KEY) -> str:
    """Return a token with a right signature (HMAC with SHA-256), whatever its parts are."""
    usual = {"alg": "HS256", "typ": "at+jwt", "kid": "k1"}
    text = f"{encoded(usual if header is None else header)}.{encoded(payload)}"
    return f"{text}.{encoded(hmac.digest(key, text.encode(), 'sha256'))}"


def other_last(text: str) -> str:
    """Return base64 of the same bytes whose last character has other bits where there are none of the bytes."""
    letters = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
    return text[:-1] + letters[letters.index(text[-1]) ^ 1]


def bad_tokens() -> dict[str, str | bytes]:
    """Return attacks and malformations by name; those of the signature are refused by what `forged` has too."""
    now = int(time.time())
    good = forged()
    head, payload, signature = good.split(".")
    claims = jwt.decode(good, options={"verify_signature": False})
    usual = jwt.get_unverified_header(good)
    raw = json.dumps(claims).encode()
    dashed = next(text for n in range(99) if "-" in (text := forged({"jti": f"{n}"})).rpartition(".")[2])

    def headed(**changes: object) -> str:
        """Return a token with a changed header, and a signature that is right for it."""
        return signed(claims, usual | changes)

    bad: dict[str, str | bytes] = {
        # The form.
        "empty": "",
        "text": "x",
        "dots alone": "..",
        "two parts": f"{head}.{payload}",
        "three parts": "a.b.c",
        "four parts": f"{good}.e30",
        "twice": f"{good} {good}",
        "not UTF-8": b"\xff\xfe.\xff.\xff",
        "not ASCII": "é.è.ê",
        "look-alike letters": f"{head.replace('e', 'е', 1)}.{payload}.{signature}",
        "white space inside": f"{head}. {payload}.{signature}",
        "white space before a dot": f"{head}.{payload}\t.{signature}",
        "quoted": f'"{good}"',
        "its own scheme": f"Bearer {good}",
        "escaped": good.replace(".", "%2E"),
        "truncated": good[:-1],
        "cut in the payload": f"{head}.{payload[:-5]}.{signature}",
        "encryption": f"{encoded({'alg': 'dir', 'enc': 'A256GCM', 'kid': 'k1'})}..{encoded(b'iv')}.{payload}.{signature}",
        "serialised as JSON": json.dumps({"payload": payload, "protected": head, "signature": signature}),
        "huge": f"{head}.{payload}.{signature * 400}",
        # Base64.
        "padded": f"{good}=",
        "padded for long": f"{good}====",
        "base64 that is not for URLs": ".".join(
            (*dashed.split(".")[:2], dashed.rpartition(".")[2].replace("-", "+").replace("_", "/"))
        ),
        "letters of no base64": f"{head}.{payload}.{signature[:9]}!{signature[9:]}",
        "white space in the signature": f"{head}.{payload}.{signature[:9]} {signature[9:]}",
        "bits that base64 leaves over": f"{head}.{payload}.{other_last(signature)}",
        # The signature.
        "tampered signature": f"{head}.{payload}.{signature[::-1]}",
        "tampered payload": f"{head}.{encoded({'sub': 'root'})}.{signature}",
        "tampered header": f"{encoded(usual | {'x': 1})}.{payload}.{signature}",
        "no signature": f"{head}.{payload}.",
        "signature of zeros": f"{head}.{payload}.{encoded(bytes(32))}",
        "other key": forged(key=OLD_KEY),
        "empty key": signed(claims, key=b""),
        "key id as the key": signed(claims, key=b"k1"),
        "key in base64 as the key": signed(claims, key=encoded_key(KEY).encode()),
        # The algorithm.
        "alg is missing": headed(alg=None),
        "alg is a list": headed(alg=["HS256"]),
        "alg is lower-case": headed(alg="hs256"),
        "other alg": forged(key=KEY * 2, algorithm="HS512"),
        "alg says HS512": headed(alg="HS512"),
        "alg is of a pair of keys": headed(alg="RS256"),
        "alg is unknown": headed(alg="XX256"),
        **{f"alg is {alg}": f"{encoded(usual | {'alg': alg})}.{payload}." for alg in ("none", "None", "NONE", "nOnE")},
        "alg is none, and signed": headed(alg="none"),
        "alg is empty": headed(alg=""),
        # The rest of the header.
        "header is a list": f"{encoded(['HS256'])}.{payload}.{signature}",
        "header is deep": f"{encoded(b'[' * 9000)}.{payload}.{signature}",
        "header is not JSON": signed(claims, b"\xff"),
        "header is empty": signed(claims, {}),
        "two algs": signed(claims, b'{"alg":"HS256","alg":"none","typ":"at+jwt","kid":"k1"}'),
        "kid is missing": forged(header={"kid": None}),
        "kid is null": headed(kid=None),
        "kid is unknown": forged(header={"kid": "k9"}),
        "kid is empty": headed(kid=""),
        "kid is a list": headed(kid=["k1"]),
        "kid is a number": headed(kid=1),
        "kid is a path": signed(claims, usual | {"kid": "../../../../dev/null"}, key=b""),
        "kid is a query": headed(kid="k1' UNION SELECT 'key' --"),
        "kid has a zero": headed(kid="k1\0"),
        "key in the header": signed(
            claims, usual | {"kid": "own", "jwk": {"kty": "oct", "k": encoded(OLD_KEY)}}, key=OLD_KEY
        ),
        "address of keys in the header": signed(
            claims, usual | {"kid": "own", "jku": f"{ISSUER}/keys", "x5u": f"{ISSUER}/cert"}, key=OLD_KEY
        ),
        "critical extension": forged(header={"crit": ["exp"], "exp": 1}),
        "critical is empty": headed(crit=[]),
        "payload is not encoded": headed(b64=False, crit=["b64"]),
        "refresh token": forged(header={"typ": "rt+jwt"}),
        "plain typ": forged(header={"typ": "JWT"}),
        "typ is missing": signed(claims, {"alg": "HS256", "kid": "k1"}),
        "typ is a list": headed(typ=["at+jwt"]),
        "typ of another token": headed(typ="logout+jwt"),
        # The payload.
        "payload is a list": signed([]),
        "payload is text": signed("claims"),
        "payload is empty": signed(b""),
        "payload is not JSON": signed(b"\xff"),
        "payload is UTF-16": signed(json.dumps(claims | {"iss": "é"}).encode("utf-16")),
        "payload is deep": signed(b'{"a":' * 4000),
        "payload is a token": signed(good.encode()),
        "payload goes on": signed(raw + b"{}"),
        "payload has a number of many digits": signed(raw[:-1] + b',"exp":' + b"9" * 5000 + b"}"),
        "two subjects": signed(raw[:-1] + b',"sub":1}'),
        # Times.
        "expired": forged({"exp": now - 60}),
        "expired for good": forged({"exp": 0}),
        "expiry is before 1970": forged({"exp": -now}),
        "expiry is text": forged({"exp": str(now + 60)}),
        "expiry is a list": forged({"exp": [now + 60]}),
        "expiry is true": forged({"exp": True}),
        "expiry is endless": forged({"exp": 1e308}),
        "expiry is infinite": forged({"exp": float("inf")}),
        "expiry is no number": forged({"exp": float("nan")}),
        "issued in the future": forged({"iat": now + 60}),
        "issued at no number": forged({"iat": float("nan")}),
        "issued at text": forged({"iat": str(now)}),
        "issued at minus infinity": forged({"iat": float("-inf")}),
        "not valid yet": forged({"nbf": now + 60}),
        "not valid before text": forged({"nbf": "now"}),
        "not valid before no number": forged({"nbf": float("nan")}),
        "lives longer than JWT_MAX_TTL": forged({"exp": now + 3700}),
        "lives until the year 5138": forged({"exp": 100_000_000_000}),
        # Who, and for whom.
        "other audience": forged({"aud": "https://other.example"}),
        "other audiences": forged({"aud": ["https://other.example", f"{AUDIENCE}/"]}),
        "no audiences": forged({"aud": []}),
        "audience is an object": forged({"aud": {AUDIENCE: True}}),
        "audience with more": forged({"aud": f"{AUDIENCE}.evil.example"}),
        "other issuer": forged({"iss": "https://other.example"}),
        "part of the issuer": forged({"iss": ISSUER[:-1]}),
        "issuer in capitals": forged({"iss": ISSUER.upper()}),
        "issuer is a list": signed(claims | {"iss": [ISSUER]}),
        "subject is a number": forged({"sub": 1}),
        "subject is true": forged({"sub": True}),
        "subject is a list": forged({"sub": ["user-1"]}),
        "subject is empty": forged({"sub": ""}),
        "id is a list": forged({"jti": ["a"]}),
        "id is a number": forged({"jti": 1}),
        "scope is a list": forged({"scope": ["read"]}),
        "scope is a number": forged({"scope": 1}),
        "scope is an object": forged({"scope": {"read": True}}),
    }
    required = ("iss", "aud", "sub", "iat", "nbf", "exp", "jti")
    return bad | {f"{name} is missing": forged({name: None}) for name in required}


# By name: a token that is not valid yet may be, by the time that all tests are collected and this one runs.
BAD = tuple(bad_tokens())


def test_the_token_that_the_bad_ones_are_made_of_is_good(in_memory: Server) -> None:
    answer = me(in_memory, forged())

    assert (answer.status_code, answer.json()) == (200, {"subject": "user-1", "scopes": ["read"]})


@pytest.mark.parametrize("cause", BAD)
def test_a_bad_token_is_refused_with_one_answer_for_all_causes(in_memory: Server, cause: str) -> None:
    answer = me(in_memory, bad_tokens()[cause])

    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, INVALID)
    assert answer.json() == {"detail": "Could not validate credentials"}


@pytest.mark.parametrize("cause", [cause for cause, token in bad_tokens().items() if isinstance(token, str)])
def test_a_bad_refresh_token_is_refused_and_its_logout_is_not_an_error(in_memory: Server, cause: str) -> None:
    token = str(bad_tokens()[cause])
    answer = refresh(in_memory, token)

    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, INVALID)
    assert logout(in_memory, token).status_code == 204


@pytest.mark.parametrize("changes", [{}, {"exp": None}, {"sid": "", "ver": 0}, {"sid": "s", "ver": "1"}, {"ver": 1.5}])
def test_a_refresh_token_without_its_claims_is_refused(server: Server, changes: dict[str, Any]) -> None:
    token = forged(changes, {"typ": "rt+jwt"})

    assert refresh(server, token).status_code == 401
    assert logout(server, token).status_code == 204


@pytest.mark.parametrize("header", [None, "Basic YTpi", "Digest x"])
def test_who_sends_no_token_is_challenged_without_an_error(in_memory: Server, header: str | None) -> None:
    answer = CLIENT.get(f"{in_memory.url}/me", headers={"Authorization": header} if header else {})

    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


def test_an_access_token_does_not_refresh_and_a_refresh_token_gives_no_access(in_memory: Server) -> None:
    tokens = sign_in(in_memory).json()

    assert me(in_memory, tokens["access_token"]).status_code == 200
    assert me(in_memory, tokens["refresh_token"]).status_code == 401
    assert refresh(in_memory, tokens["access_token"]).status_code == 401


def test_current_user_works_on_websocket_routes(in_memory: Server) -> None:
    address = f"{in_memory.url.replace('http', 'ws')}/ws"

    with connect(address, additional_headers={"Authorization": f"Bearer {forged()}"}) as socket:
        assert socket.recv() == "user-1"
    for headers in ({}, {"Authorization": "Bearer x"}):
        with pytest.raises(InvalidStatus) as refused:
            connect(address, additional_headers=headers)
        assert refused.value.response.status_code == 401


def test_nothing_of_it_was_an_error_of_the_server(in_memory: Server) -> None:
    assert "Traceback" not in in_memory.output()


# 3. Keys -------------------------------------------------------------------------------------------------------------


def test_an_old_key_verifies_while_it_is_listed(project: Path) -> None:
    old = forged(header={"kid": "k0"}, key=OLD_KEY)

    with uvicorn_server(APP, project, environment(JWT_KEYS=keys(("k1", KEY), ("k0", OLD_KEY)))) as server:
        assert me(server, old).status_code == 200
        new = sign_in(server).json()["access_token"]
    assert jwt.get_unverified_header(new)["kid"] == "k1"
    with uvicorn_server(APP, project, environment(JWT_KEYS=keys(("k1", KEY)))) as server:
        assert me(server, old).status_code == 401
        assert me(server, new).status_code == 200


# 4. Start-up ---------------------------------------------------------------------------------------------------------

STOPPED = {
    "short key": {"JWT_KEYS": keys(("k1", KEY[:31]))},
    "the placeholder of 0.1": {"JWT_KEYS": "main:replace-me"},
    "no key in production": {"JWT_KEYS": "", "ENVIRONMENT": "Production"},
    "a lifetime above the highest": {"JWT_ACCESS_TTL": "3601"},
}
REFUSED = {
    "short second key": {"JWT_KEYS": keys(("k1", KEY), ("k0", OLD_KEY[:31]))},
    "key too short for HS512": {"JWT_KEYS": keys(("k1", KEY)), "JWT_ALGORITHM": "HS512"},
    "no kid": {"JWT_KEYS": keys(("", KEY))},
    "only a key": {"JWT_KEYS": keys(("k1", KEY)).partition(":")[2]},
    "not base64": {"JWT_KEYS": "k1:!" + "A" * 44},
    "cut base64": {"JWT_KEYS": "k1:" + "A" * 45},
    "same kid twice": {"JWT_KEYS": keys(("k1", KEY), ("k1", OLD_KEY))},
    "no algorithm": {"JWT_ALGORITHM": "none"},
    "asymmetric algorithm": {"JWT_ALGORITHM": "RS256"},
    "no lifetime": {"JWT_ACCESS_TTL": "0"},
    "a lifetime that is no number": {"JWT_REFRESH_TTL": "two weeks"},
}
ACCEPTED = {
    "as it should be": {},
    "white space and no padding": {"JWT_KEYS": f" k1:{encoded_key(KEY).rstrip('=')} , k0:{encoded_key(OLD_KEY)}, "},
    "URL-safe": {"JWT_KEYS": f"k1:{encoded_key(bytes([255] * 32)).replace('/', '_').replace('+', '-')}"},
    "HS512": {"JWT_KEYS": keys(("k1", KEY * 2)), "JWT_ALGORITHM": "HS512"},
    "no key in development": {"JWT_KEYS": ""},
    "empty is not set": {"JWT_ISSUER": "", "JWT_AUDIENCE": ""},
    "a key in production": {"ENVIRONMENT": "production"},
}


def run(project: Path, changes: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    settings = {**os.environ, **environment(**changes)}
    return subprocess.run(command, check=False, cwd=project, env=settings, capture_output=True, text=True, timeout=120)


def names_the_setting_only(printed: str, changes: dict[str, str]) -> bool:
    entries = changes.get("JWT_KEYS", "").split(",")
    secrets = [secret for entry in entries if (secret := entry.partition(":")[2]) and secret != "replace-me"]
    name = next(iter(changes))
    return (name in printed or name.lower() in printed) and not any(secret in printed for secret in secrets)


@pytest.mark.parametrize("changes", STOPPED.values(), ids=STOPPED)
def test_a_wrong_setting_stops_the_start(project: Path, changes: dict[str, str]) -> None:
    done = run(project, changes, sys.executable, "-m", "uvicorn", APP, "--port", str(free_port()))

    assert done.returncode == 3, done.stderr
    assert names_the_setting_only(done.stdout + done.stderr, changes)


START = """
import asyncio
from project.main import app

async def start() -> None:
    async with app.router.lifespan_context(app):
        print("started")

asyncio.run(start())
"""


@pytest.mark.parametrize("changes", REFUSED.values(), ids=REFUSED)
def test_each_wrong_setting_is_named(project: Path, changes: dict[str, str]) -> None:
    done = run(project, changes, sys.executable, "-c", START)

    assert (done.returncode, done.stdout) == (1, "")
    assert names_the_setting_only(done.stderr, changes)


@pytest.mark.parametrize("changes", ACCEPTED.values(), ids=ACCEPTED)
def test_keys_may_be_written_in_several_ways(project: Path, changes: dict[str, str]) -> None:
    done = run(project, changes, sys.executable, "-W", "error", "-c", START)

    assert (done.returncode, done.stdout) == (0, "started\n"), done.stderr


def test_without_keys_it_starts_and_answers_503(project: Path) -> None:
    with uvicorn_server(APP, project, environment(JWT_KEYS="")) as server:
        answers = [me(server, None), me(server, forged()), sign_in(server), refresh(server, "x"), logout(server, "x")]
        live = CLIENT.get(f"{server.url}/health/live")
        printed = server.output()

    assert [answer.status_code for answer in answers] == [503] * 5
    assert all("Retry-After" not in answer.headers for answer in answers)
    assert live.status_code == 200
    assert len(re.findall("JWT_KEYS", printed)) == 1
    assert "Traceback" not in printed


def test_without_an_authenticator_signing_in_answers_503(tmp_path: Path) -> None:
    with uvicorn_server(APP, write_app(tmp_path, filled_in=False), environment()) as server:
        answers = [sign_in(server), sign_in(server)]
        answer = me(server, forged())
        printed = server.output()

    assert [answer.status_code for answer in answers] == [503, 503]
    assert answer.status_code == 200
    assert printed.count("get_user_authenticator is not written") == 1
    assert PASSWORD not in printed


def test_the_store_in_memory_says_so_once(in_memory: Server, on_redis: Server) -> None:
    said = "Sessions are kept in this process"
    assert (in_memory.output().count(said), on_redis.output().count(said)) == (1, 0)


# Each with its own way of starting and stopping; `state` is filled in when it is started.
LIFESPANS = {
    "own lifespan": """
@asynccontextmanager
async def lifespan(app: FastAPI):
    state.append("started")
    yield
    state.append("stopped")


app = FastAPI(lifespan=lifespan)
""",
    "on_event": """
app = FastAPI()


@app.on_event("startup")
async def started():
    state.append("started")


@app.on_event("shutdown")
async def stopped():
    state.append("stopped")
""",
    "factory": """
@asynccontextmanager
async def lifespan(app: FastAPI):
    state.append("started")
    yield
    state.append("stopped")


def create_app() -> FastAPI:
    app = FastAPI(lifespan=lifespan)
    return app


app = create_app()
""",
}
START_ANY = """
import asyncio, warnings
warnings.simplefilter("ignore", DeprecationWarning)
from main import app, state

async def start() -> None:
    async with app.router.lifespan_context(app):
        print(*state)
    print(*state)

asyncio.run(start())
"""


@pytest.mark.parametrize("main", LIFESPANS.values(), ids=LIFESPANS)
def test_production_without_keys_is_refused_beside_any_lifespan(tmp_path: Path, main: str) -> None:
    head = "from contextlib import asynccontextmanager\n\nfrom fastapi import FastAPI\n\nstate: list[str] = []\n\n"
    files = {"main.py": (head + main).encode(), "requirements.txt": b"fastapi>=0.115.4\npydantic-settings\n"}
    for path, data in memory.add(files, "jwt").items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)

    started = run(tmp_path, {}, sys.executable, "-c", START_ANY)
    without = run(tmp_path, {"JWT_KEYS": ""}, sys.executable, "-c", START_ANY)
    refused = run(tmp_path, {"JWT_KEYS": "", "ENVIRONMENT": "production"}, sys.executable, "-c", START_ANY)

    assert started.stdout == without.stdout == "started\nstarted stopped\n", started.stderr
    assert refused.returncode == 1
    assert "JWT_KEYS is not set" in refused.stderr


# 5. Signing in -------------------------------------------------------------------------------------------------------


def test_signing_in_gives_tokens(server: Server) -> None:
    answer = sign_in(server)

    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    tokens = answer.json()
    assert (tokens["token_type"], tokens["expires_in"], tokens["scope"]) == ("bearer", 900, "read write")
    claims = jwt.decode(tokens["access_token"], options={"verify_signature": False})
    assert jwt.get_unverified_header(tokens["access_token"])["typ"] == "at+jwt"
    assert claims["exp"] - claims["iat"] == 900
    assert me(server, tokens["access_token"]).json() == {"subject": "user-1", "scopes": ["read", "write"]}


def test_wrong_user_and_wrong_password_get_the_same_answer(server: Server) -> None:
    nobody, mistyped = sign_in(server, username="bob"), sign_in(server, password="wrong")

    assert nobody.status_code == mistyped.status_code == 401
    assert nobody.content == mistyped.content
    assert nobody.headers["WWW-Authenticate"] == mistyped.headers["WWW-Authenticate"] == "Bearer"


# 6. Refreshing -------------------------------------------------------------------------------------------------------


def test_refreshes_at_once_share_one_successor(server: Server) -> None:
    first = refresh_token(sign_in(server))

    answers = in_parallel(server, first)

    (second,) = {refresh_token(answer) for answer in answers}
    assert second != first
    assert all(answer.headers["Cache-Control"] == "no-store" for answer in answers)
    assert me(server, answers[0].json()["access_token"]).status_code == 200
    assert refresh_token(refresh(server, second)) not in {first, second}


def test_a_replaced_token_gets_the_live_one_for_a_while(server: Server) -> None:
    first = refresh_token(sign_in(server))
    second = refresh_token(refresh(server, first))
    third = refresh_token(refresh(server, second))

    assert [refresh_token(refresh(server, token)) for token in (first, second)] == [third, third]


def test_a_copy_used_later_ends_its_session(on_redis: Server, shared_redis: Server) -> None:
    first, other = refresh_token(sign_in(on_redis)), refresh_token(sign_in(on_redis))
    second = refresh_token(refresh(on_redis, first))
    end_grace(shared_redis.url, first)
    before = on_redis.output()

    answers = [refresh(on_redis, token) for token in (first, second, first)]

    assert [(answer.status_code, answer.headers["WWW-Authenticate"]) for answer in answers] == [(401, INVALID)] * 3
    assert len({answer.content for answer in answers}) == 1
    assert refresh(on_redis, other).status_code == 200
    said = on_redis.output().removeprefix(before)
    assert said.count("'user-1': a copied refresh token was used") == 1
    assert said.count("'user-1': a refresh token was refused") == 3


def test_grace_is_that_of_the_token(on_redis: Server, shared_redis: Server) -> None:
    """That another token of the session was replaced just now does not help an older copy."""
    first = refresh_token(sign_in(on_redis))
    second = refresh_token(refresh(on_redis, first))
    end_grace(shared_redis.url, first)
    third = refresh_token(refresh(on_redis, second))

    assert refresh(on_redis, first).status_code == 401
    assert refresh(on_redis, third).status_code == 401


def test_what_is_kept_in_redis_expires_and_holds_no_token(on_redis: Server, shared_redis: Server) -> None:
    token = refresh_token(refresh(on_redis, refresh_token(sign_in(on_redis))))

    with redis.Redis.from_url(shared_redis.url) as client:
        names = list(client.scan_iter())
        assert names
        assert all(client.ttl(name) != -1 for name in names)
        kept = b" ".join([*names, *client.zrange("jwt:sessions:{user-1}", 0, -1)])
    assert token.rpartition(".")[2].encode() not in kept
    assert USER.encode() not in kept


def test_all_sessions_of_a_subject_can_be_ended(server: Server) -> None:
    signed_in = [sign_in(server).json() for _ in range(3)]
    access = {"Authorization": f"Bearer {signed_in[0]['access_token']}"}

    assert post(server, "/everywhere-out", headers=access).status_code == 204

    assert [refresh(server, tokens["refresh_token"]).status_code for tokens in signed_in] == [401] * 3
    assert refresh(server, refresh_token(sign_in(server))).status_code == 200


CLOCK = """
import asyncio
import time

from project.core.auth import sessions

NOW, clock = 1_800_000_000_000, [0]
sessions.milliseconds = lambda: NOW + clock[0]


def token(name, subject="ada"):
    return sessions.RefreshToken(subject, name, sessions.milliseconds())


async def main():
    store = sessions.Sessions(60)
    one, two = token("one"), token("two")
    for each in (one, two, token("bob", "bob")):
        await store.start(each)
    second = await store.rotate(one)
    assert second.version == one.version + 1  # in one millisecond, or when the clock was set back
    clock[0] = -5000
    third = await store.rotate(second)
    assert third.version == second.version + 1
    clock[0] = 9_999
    assert [await store.rotate(each) for each in (one, two)][0] == third
    clock[0] = 10_000
    assert await store.rotate(one) is None
    assert await store.rotate(third) is None  # its session has ended, the other has not
    clock[0] = 69_000
    await store.start(token("late", "cleo"))
    assert set(store._live) == {"ada", "cleo"}  # bob's is over
    clock[0] = 200_000
    await store.start(token("last", "dora"))
    assert (set(store._live), len(store._grace)) == ({"dora"}, 3)
    await store.end(token("last", "dora"))
    await store.end(token("unknown"))
    assert store._live == {}
    new = token("new")
    await store.start(new)
    assert await store.rotate(sessions.RefreshToken("ada", "", 0)) is None
    await store.rotate(new)
    assert len(store._grace) == 1
    print("held")


asyncio.run(main())
"""


def test_sessions_in_memory_go_by_the_clock(project: Path) -> None:
    done = run(project, {}, sys.executable, "-c", CLOCK)

    assert done.stdout == "held\n", done.stderr


def test_logout_ends_the_session_and_can_be_repeated(server: Server) -> None:
    tokens = sign_in(server).json()
    successor = refresh_token(refresh(server, tokens["refresh_token"]))

    answers = [logout(server, tokens["refresh_token"]) for _ in range(2)]

    assert [(answer.status_code, answer.content) for answer in answers] == [(204, b"")] * 2
    assert refresh(server, successor).status_code == 401
    assert me(server, tokens["access_token"]).status_code == 200


def test_tokens_are_never_printed(server: Server) -> None:
    tokens = sign_in(server).json()
    refresh(server, tokens["refresh_token"])
    printed = server.output()

    assert not [token for token in (tokens["access_token"], tokens["refresh_token"], PASSWORD) if token in printed]


# 7. Redis that is gone, and the denylist -----------------------------------------------------------------------------


def without_patience(redis_project: Path, store: Server) -> AbstractContextManager[Server]:
    """The application with a Redis client that would wait much longer than the feature lets it."""
    return uvicorn_server(APP, redis_project, environment(REDIS_URL=store.url, REDIS_TIMEOUT_SECONDS="60"))


@pytest.mark.parametrize("way", ["stopped", "paused"])
def test_without_redis_access_tokens_verify_and_the_rest_answers_503(redis_project: Path, way: str) -> None:
    with redis_server() as store, without_patience(redis_project, store) as server:
        tokens = sign_in(server).json()
        store.pause() if way == "paused" else store.stop()
        began = time.monotonic()

        token = tokens["refresh_token"]
        answers = [call(server, token, patient=False) for call in (refresh, logout)] + [sign_in(server, patient=False)]

        # Three of them, each well under the stall.
        assert time.monotonic() - began < 15
        assert [(answer.status_code, answer.headers["Retry-After"]) for answer in answers] == [(503, "5")] * 3
        assert me(server, tokens["access_token"]).status_code == 200
        assert "Traceback" not in server.output()
        if way == "paused":
            store.resume()
            assert refresh(server, tokens["refresh_token"]).status_code == 200


def test_a_redis_that_lost_everything_ends_all_sessions(redis_project: Path) -> None:
    with redis_server() as store, uvicorn_server(APP, redis_project, environment(REDIS_URL=store.url)) as server:
        tokens = sign_in(server).json()
        with redis.Redis.from_url(store.url) as client:
            client.flushall()

        assert refresh(server, tokens["refresh_token"]).status_code == 401
        assert me(server, tokens["access_token"]).status_code == 200
        assert refresh(server, refresh_token(sign_in(server))).status_code == 200


def test_without_an_address_of_redis_it_starts_and_sessions_answer_503(redis_project: Path) -> None:
    with uvicorn_server(APP, redis_project, environment()) as server:
        assert sign_in(server).status_code == 503
        assert me(server, forged()).status_code == 200
        assert server.output().count("REDIS_URL is not set") == 1


@pytest.mark.parametrize(("mode", "status"), [("fail_open", 200), ("fail_closed", 503)])
def test_the_denylist_ends_access_tokens_at_logout(tmp_path: Path, mode: str, status: int) -> None:
    folder = write_app(tmp_path, refresh="redis", denylist=mode)
    with redis_server() as store, uvicorn_server(APP, folder, environment(REDIS_URL=store.url)) as server:
        others = logged_out(server)
        store.stop()
        assert me(server, others["access_token"]).status_code == status


def test_the_denylist_in_memory(tmp_path: Path) -> None:
    with uvicorn_server(APP, write_app(tmp_path, denylist="fail_closed"), environment()) as server:
        logged_out(server)


def logged_out(server: Server) -> dict[str, str]:
    """Sign in twice and log out once; return the tokens of the other, which are good."""
    tokens, others = sign_in(server).json(), sign_in(server).json()
    assert me(server, tokens["access_token"]).status_code == 200
    assert logout(server, tokens["refresh_token"], tokens["access_token"]).status_code == 204
    answer = me(server, tokens["access_token"])
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, INVALID)
    assert me(server, others["access_token"]).status_code == 200
    assert logout(server, "x", "y").status_code == 204
    return dict(others)


def test_a_denylist_without_sessions_is_refused() -> None:
    files = {"main.py": b"from fastapi import FastAPI\n\napp = FastAPI()\n", "requirements.txt": b"fastapi>=0.115.4\n"}
    options = {"jwt": {"refresh": "off", "denylist": "fail_open"}}

    (refusal,) = memory.planned(files, Request(add=("jwt",), options=options)).refusals

    assert (refusal.code, refusal.feature) == ("conflict", "jwt")


# Access tokens alone -------------------------------------------------------------------------------------------------


def test_without_sessions_there_are_access_tokens_alone(tmp_path: Path) -> None:
    folder = write_app(tmp_path, refresh="off", prefix="/api/v1/login")
    assert not (folder / "project/core/auth/sessions.py").exists()
    with uvicorn_server(APP, folder, environment()) as server:
        form = {"username": USER, "password": PASSWORD}
        tokens = post(server, "/api/v1/login/token", data=form).json()
        assert set(tokens) == {"access_token", "token_type", "expires_in", "scope"}
        assert me(server, tokens["access_token"]).json()["subject"] == "user-1"
        assert [post(server, f"/api/v1/login/{path}", json={}).status_code for path in ("refresh", "logout")] == [
            404
        ] * 2
        document = CLIENT.get(f"{server.url}/openapi.json").json()
    (scheme,) = document["components"]["securitySchemes"].values()
    assert scheme["flows"]["password"]["tokenUrl"] == "api/v1/login/token"


# 8. Several workers --------------------------------------------------------------------------------------------------


def test_a_hundred_refreshes_at_once_share_one_successor(on_redis: Server) -> None:
    answers = in_parallel(on_redis, refresh_token(sign_in(on_redis)), 100)

    assert len({refresh_token(answer) for answer in answers}) == 1


def test_four_workers_share_the_sessions(redis_project: Path, shared_redis: Server) -> None:
    settings = environment(REDIS_URL=shared_redis.url)
    with uvicorn_server(APP, redis_project, settings, workers=4) as server:
        first = token = refresh_token(sign_in(server))
        for _ in range(3):
            (token,) = {refresh_token(answer) for answer in in_parallel(server, token, 100)}
        workers = worker_processes(lambda: int(CLIENT.get(f"{server.url}/health/live").headers["X-Worker"]), 4)
        for worker in workers:
            with paused({*workers} - {worker}):
                token = refresh_token(refresh(server, token))
        end_grace(shared_redis.url, first)
        replayed = in_parallel(server, first)
        dead = in_parallel(server, token)

    assert {answer.status_code for answer in [*replayed, *dead]} == {401}


# 9. OpenAPI ----------------------------------------------------------------------------------------------------------


def test_openapi_shows_the_scheme_and_which_routes_want_it(in_memory: Server) -> None:
    document: dict[str, Any] = CLIENT.get(f"{in_memory.url}/openapi.json").json()

    assert document["components"]["securitySchemes"] == {
        "Bearer": {"type": "oauth2", "flows": {"password": {"scopes": {}, "tokenUrl": "auth/token"}}}
    }
    calls = {path: call for path, methods in document["paths"].items() for call in methods.values()}
    secured = {path: call["security"][0]["Bearer"] for path, call in calls.items() if "security" in call}
    assert secured == {"/me": [], "/everywhere-out": [], "/written": ["write"], "/deleted": ["read", "delete"]}
    for path in ("/me", "/auth/token", "/auth/refresh", "/auth/logout"):
        assert {"401", "503"} <= set(calls[path]["responses"])


@pytest.mark.parametrize(
    ("path", "scope", "status"),
    [
        ("written", "read write", 200),
        ("written", "read", 403),
        ("deleted", "delete", 403),
        ("deleted", "delete read", 200),
    ],
)
def test_scopes_are_asked_for(in_memory: Server, path: str, scope: str, status: int) -> None:
    headers = {"Authorization": f"Bearer {forged({'scope': scope})}"}
    answer = CLIENT.get(f"{in_memory.url}/{path}", headers=headers)

    assert answer.status_code == status
    needed = "write" if path == "written" else "read delete"
    challenge = f'Bearer error="insufficient_scope", scope="{needed}"' if status == 403 else None
    assert answer.headers.get("WWW-Authenticate") == challenge
    assert CLIENT.get(f"{in_memory.url}/{path}").status_code == 401


def test_the_token_address_is_right_behind_a_prefix_of_the_application(tmp_path: Path) -> None:
    folder = write_app(tmp_path)
    main = folder / "project/main.py"
    text = main.read_text()
    assert "app.include_router(auth_router)" in text
    main.write_text(text.replace("include_router(auth_router)", 'include_router(auth_router, prefix="/v2")'))
    with uvicorn_server(APP, folder, environment()) as server:
        document = CLIENT.get(f"{server.url}/openapi.json").json()
        (scheme,) = document["components"]["securitySchemes"].values()
        address = scheme["flows"]["password"]["tokenUrl"]
        form = {"username": USER, "password": PASSWORD}
        assert (address, post(server, f"/{address}", data=form).status_code) == ("v2/auth/token", 200)


# The foundation, and the tests that are dropped in -------------------------------------------------------------------


def on_foundation() -> dict[str, str]:
    return {"PYTHONPATH": "src", **{f"APP_{name}": value for name, value in environment().items()}}


@pytest.mark.parametrize("settings", ["dynaconf", "pydantic"])
def test_on_the_foundation_its_own_users_sign_in(tmp_path: Path, settings: str) -> None:
    folder = write_foundation(tmp_path, settings)
    with uvicorn_server("shop.main:app", folder, on_foundation()) as server:
        account = {"email": USER, "password": PASSWORD}
        user = CLIENT.post(f"{server.url}/api/users", json=account).json()
        tokens = sign_in(server, username=USER.upper()).json()
        answer, refused = me(server, tokens["access_token"]), me(server, None)
        seconds: dict[str, list[float]] = {USER: [], "bob@example.com": []}
        for name in [*seconds] * 5:
            wrong = sign_in(server, username=name, password="wrong")
            assert (wrong.status_code, wrong.json()["detail"]) == (401, "Incorrect username or password")
            seconds[name].append(wrong.elapsed.total_seconds())
        assert refresh(server, tokens["refresh_token"]).status_code == 200

    assert answer.json() == user["id"]
    assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert set(refused.json()) == {"error", "detail", "timestamp", "path", "request_id"}
    known, unknown = (median(values) for values in seconds.values())
    # Without the hash for nobody, the unknown one would be a hundred times as fast.
    assert 1 / 4 < unknown / known < 4


def dialect_app(folder: Path, name: str) -> tuple[str, dict[str, str]]:
    """Write a project in a dialect that has the feature and a route; return the application and its environment."""
    after = memory.add(dialect(name), "jwt")
    package = f"src/{FOUNDATION_PACKAGE}"
    after[f"{package}/main.py"] += DIALECT_ROUTE.encode()
    for path, data in after.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    (folder / ".env").touch()
    project = memory.project(dialect(name))
    settings = {settings_of(project).environment_variable(key.lower()): v for key, v in environment().items()}
    return f"{FOUNDATION_PACKAGE}.main:app", {"PYTHONPATH": "src", **settings}


DIALECT_ROUTE = f"""

from {FOUNDATION_PACKAGE}.core.auth.tokens import CurrentUser


@app.get("/me")
async def me(user: CurrentUser) -> str:
    return user.subject
"""


@pytest.mark.parametrize("name", NAMES)
def test_bad_tokens_are_refused_in_each_dialect(tmp_path: Path, name: str) -> None:
    app, settings = dialect_app(tmp_path, name)
    with uvicorn_server(app, tmp_path, settings) as server:
        assert me(server, forged()).json() == "user-1"
        answers = [me(server, token) for token in bad_tokens().values()]
        assert {(answer.status_code, answer.headers["WWW-Authenticate"]) for answer in answers} == {(401, INVALID)}
        # What is asked of a JSON body is text.
        tokens = [token for token in bad_tokens().values() if isinstance(token, str)]
        if name in FOUNDED:
            assert {refresh(server, token).status_code for token in tokens} == {401}
        assert "Traceback" not in server.output()


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_setting_is_named_and_a_secret_is_not_printed_in_each_dialect(tmp_path: Path, name: str) -> None:
    app, settings = dialect_app(tmp_path, name)
    start = START.replace("project.main", app.partition(":")[0])
    prefix = next(key for key in settings if key.endswith("JWT_KEYS")).removesuffix("JWT_KEYS")
    for variable, value in (("JWT_KEYS", keys(("k1", KEY), ("k0", OLD_KEY[:20]))), ("JWT_MAX_TTL", "soon")):
        done = run(tmp_path, settings | {f"{prefix}{variable}": value}, sys.executable, "-c", start)
        assert (done.returncode, done.stdout) == (1, "")
        assert f"{prefix}{variable}" in done.stderr or variable.lower() in done.stderr
        assert not any(encoded_key(key)[:20] in done.stderr for key in (KEY, OLD_KEY[:20]))


# The example in the docstring ----------------------------------------------------------------------------------------

USERS = b'''"""Users in a database."""

from collections.abc import AsyncGenerator
from typing import Annotated

from fastapi import Depends
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

engine = create_async_engine("sqlite+aiosqlite:///users.db")
sessions = async_sessionmaker(engine, expire_on_commit=False)


class Base(DeclarativeBase):
    """The models."""


class User(Base):
    """Somebody with an account."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str]
    is_active: Mapped[bool] = mapped_column(default=True)


async def get_session() -> AsyncGenerator[AsyncSession]:
    """Give a session for a request."""
    async with sessions() as session:
        yield session


SessionDep = Annotated[AsyncSession, Depends(get_session)]
'''
MAKE_USER = f"""
import asyncio

from pwdlib import PasswordHash
from project.users import Base, User, engine, sessions


async def main():
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with sessions.begin() as session:
        session.add(User(id=7, email={USER!r}, password_hash=PasswordHash.recommended().hash({PASSWORD!r})))
    await engine.dispose()


asyncio.run(main())
"""


def test_the_example_in_the_docstring_gives_a_login(tmp_path: Path) -> None:
    """Somebody puts the text in place of the function, and imports what is theirs."""
    folder = write_app(tmp_path, filled_in=False, more={"project/users.py": USERS})
    module = folder / AUTHENTICATOR
    (getter,) = (
        node
        for node in ast.parse(module.read_text()).body
        if isinstance(node, ast.AsyncFunctionDef) and node.name == "get_user_authenticator"
    )
    example = (ast.get_docstring(getter) or "").partition("::\n\n")[2]
    assert "pwdlib" in example
    theirs = "\nfrom project.users import SessionDep, User\n"
    module.write_text(replaced_getter(module.read_text(), f"{theirs}{dedent(example)}\n"))
    checked = run(
        folder, {}, sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "mypy"), "project"
    )
    assert checked.returncode == 0, checked.stdout
    assert run(folder, {}, sys.executable, "-c", MAKE_USER).returncode == 0

    with uvicorn_server(APP, folder, environment()) as server:
        tokens = sign_in(server).json()
        assert me(server, tokens["access_token"]).json() == {"subject": "7", "scopes": []}
        assert refresh(server, tokens["refresh_token"]).status_code == 200
        wrong = [sign_in(server, password="wrong"), sign_in(server, username="nobody@example.com")]
        assert [answer.status_code for answer in wrong] == [401, 401]
        assert "Traceback" not in server.output()


SLOW = """
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from shop.core.container import container
from shop.main import app as app

container.security_service()._hasher = PasswordHash([Argon2Hasher(time_cost=30)])
"""


def test_verifying_a_password_does_not_hold_up_other_requests(tmp_path: Path) -> None:
    folder = write_foundation(tmp_path)
    (folder / "src/slow.py").write_text(SLOW)
    with uvicorn_server("slow:app", folder, on_foundation()) as server, ThreadPoolExecutor(1) as pool:
        login = pool.submit(sign_in, server)
        health = [CLIENT.get(f"{server.url}/api/health").elapsed]
        while not login.done():
            health.append(CLIENT.get(f"{server.url}/api/health").elapsed)

    assert login.result().status_code == 401
    # Were it verified in the event loop, one of these would have waited for nearly all of it.
    assert max(health) < login.result().elapsed / 2


def test_the_tests_beside_it_pass_with_warnings_as_errors(project: Path) -> None:
    command = [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"]
    option = ["-o", "asyncio_default_fixture_loop_scope=function"]

    done = run(project, {"JWT_KEYS": ""}, *command, *option, "tests/test_jwt.py")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout


def test_adding_it_says_what_is_left_to_write(tmp_path: Path) -> None:
    files = {"main.py": b"from fastapi import FastAPI\n\napp = FastAPI()\n", "requirements.txt": b"fastapi>=0.115\n"}
    founded = foundation("shop", settings="dynaconf", python="3.11")

    told, untold = (
        [note.message for note in memory.planned(project, Request(add=("jwt",))).notes if note.level == "notice"]
        for project in (files, founded)
    )

    assert [message for message in told if "core/auth/authenticator.py" in message]
    assert [message for message in told if "from core.auth.tokens import CurrentUser" in message]
    assert not [message for message in untold if "authenticator" in message]
    assert [message for message in untold if "from shop.api.deps import CurrentUser" in message]


def test_a_route_of_the_same_address_is_the_same_job_done_by_hand() -> None:
    main = b"from fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.post('/login/token')\ndef login(): ...\n"
    files = {"main.py": main, "requirements.txt": b"fastapi>=0.115.4\n"}

    def refused(prefix: str) -> list[str]:
        request = Request(add=("jwt",), options={"jwt": {"prefix": prefix}})
        return [item.code for item in memory.planned(files, request).refusals]

    assert (refused("/login"), refused("/auth")) == (["already-by-hand"], [])


@pytest.mark.parametrize("prefix", ["auth", "/", "/auth/", "", "/a'b", "/{x}"])
def test_a_prefix_is_a_path(prefix: str) -> None:
    (option,) = (item for item in catalogue.feature("jwt").options if item.name == "prefix")

    with pytest.raises(ValueError, match="text such as /auth"):
        option.parse(prefix)
