"""What `laterctl add jwt` promises, on real servers: tokens, keys, refresh, several workers, Redis that is gone."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import jwt
import pytest
import redis
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from laterctl.commands.new import foundation
from laterctl.engine.plan import Request
from tests import memory
from tests.features.jwt_app import (
    ISSUER,
    KEY,
    OLD_KEY,
    PASSWORD,
    USER,
    encoded_key,
    environment,
    forged,
    keys,
    write_app,
    write_foundation,
)
from tests.servers import Server, free_port, redis_server, uvicorn_server

APP = "project.main:app"
GRACE_MILLISECONDS = 10_000
INVALID = 'Bearer error="invalid_token"'

# A connection for each request: the kernel spreads them over the workers of a server.
CLIENT = httpx.Client(timeout=30, limits=httpx.Limits(max_keepalive_connections=0))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_app(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def shared_redis() -> Iterator[Server]:
    with redis_server() as server:
        yield server


@pytest.fixture(scope="module")
def in_memory(project: Path) -> Iterator[Server]:
    """The application on one worker, without Redis."""
    with uvicorn_server(APP, project, environment()) as server:
        yield server


@pytest.fixture(scope="module")
def on_redis(project: Path, shared_redis: Server) -> Iterator[Server]:
    """The application on one worker, with Redis."""
    with uvicorn_server(APP, project, environment(REDIS_URL=shared_redis.url)) as server:
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
        key = f"jwt:family:{{{claims['sid']}}}:{claims['jti']}"
        assert 0 < client.pttl(key) <= GRACE_MILLISECONDS
        assert client.delete(key) == 1


# 1. Tokens that are refused ------------------------------------------------------------------------------------------


def encoded(part: object) -> str:
    return urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


def bad_tokens() -> dict[str, str | bytes]:
    now = int(time.time())
    good = forged()
    head, payload, signature = good.split(".")
    bad: dict[str, str | bytes] = {
        "empty": "",
        "text": "x",
        "three parts": "a.b.c",
        "four parts": f"{good}.e30",
        "not UTF-8": b"\xff\xfe.\xff.\xff",
        "not ASCII": "é.è.ê",
        "white space inside": f"{head}. {payload}.{signature}",
        "tampered signature": f"{head}.{payload}.{signature[::-1]}",
        "tampered payload": f"{head}.{encoded({'sub': 'root'})}.{signature}",
        "no signature": f"{head}.{payload}.",
        "payload is a list": jwt.PyJWS().encode(b"[]", KEY, "HS256", {"kid": "k1", "typ": "at+jwt"}),
        "payload is not JSON": jwt.PyJWS().encode(b"\xff", KEY, "HS256", {"kid": "k1", "typ": "at+jwt"}),
        "header is a list": f"{encoded(['HS256'])}.{payload}.{signature}",
        "header is deep": f"{urlsafe_b64encode(b'[' * 9000).decode()}.{payload}.{signature}",
        "kid is a list": f"{encoded({'alg': 'HS256', 'typ': 'at+jwt', 'kid': ['k1']})}.{payload}.{signature}",
        "kid is missing": forged(header={"kid": None}),
        "kid is unknown": forged(header={"kid": "k9"}),
        "alg is a list": f"{encoded({'alg': ['HS256'], 'typ': 'at+jwt', 'kid': 'k1'})}.{payload}.{signature}",
        "alg is none": f"{encoded({'alg': 'none', 'typ': 'at+jwt', 'kid': 'k1'})}.{payload}.",
        "other alg": forged(key=KEY * 2, algorithm="HS512"),
        "other key": forged(key=OLD_KEY),
        "critical extension": forged(header={"crit": ["exp"], "exp": 1}),
        "refresh token": forged(header={"typ": "rt+jwt"}),
        "plain typ": forged(header={"typ": "JWT"}),
        "typ is missing": forged(header={"typ": None}),
        "expired": forged({"exp": now - 60}),
        "expiry is text": forged({"exp": str(now + 60)}),
        "expiry is true": forged({"exp": True}),
        "expiry is endless": forged({"exp": 1e308}),
        "expiry is infinite": forged({"exp": float("inf")}),
        "issued in the future": forged({"iat": now + 60}),
        "not valid yet": forged({"nbf": now + 60}),
        "other audience": forged({"aud": "https://other.example"}),
        "other issuer": forged({"iss": "https://other.example"}),
        "part of the issuer": forged({"iss": ISSUER[:-1]}),
        "subject is a number": forged({"sub": 1}),
        "subject is empty": forged({"sub": ""}),
        "id is a list": forged({"jti": ["a"]}),
        "scope is a list": forged({"scope": ["read"]}),
        "lives longer than JWT_MAX_TTL": forged({"exp": now + 3700}),
        "lives until the year 5138": forged({"exp": 100_000_000_000}),
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
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json() == {
        "type": "about:blank",
        "title": "Unauthorized",
        "status": 401,
        "detail": "Could not validate credentials",
        "instance": "/me",
        "code": "unauthorized",
    }


@pytest.mark.parametrize("cause", [cause for cause, token in bad_tokens().items() if isinstance(token, str)])
def test_a_bad_refresh_token_is_refused_and_its_logout_is_not_an_error(in_memory: Server, cause: str) -> None:
    token = str(bad_tokens()[cause])
    answer = refresh(in_memory, token)

    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, INVALID)
    assert logout(in_memory, token).status_code == 204


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
    "the placeholder": {"JWT_KEYS": "main:replace-me"},
    "no key in production": {"JWT_KEYS": "", "ENVIRONMENT": "Production"},
    "a lifetime above the highest": {"JWT_ACCESS_TTL": "3601"},
}
REFUSED = {
    "short second key": {"JWT_KEYS": keys(("k1", KEY), ("k0", OLD_KEY[:31]))},
    "key too short for HS512": {"JWT_KEYS": keys(("k1", KEY)), "JWT_ALGORITHM": "HS512"},
    "no kid": {"JWT_KEYS": keys(("", KEY))},
    "only a key": {"JWT_KEYS": keys(("k1", KEY)).partition(":")[2]},
    "not base64": {"JWT_KEYS": "k1:!" + "A" * 44},
    "same kid twice": {"JWT_KEYS": keys(("k1", KEY), ("k1", OLD_KEY))},
    "no algorithm": {"JWT_ALGORITHM": "none"},
    "asymmetric algorithm": {"JWT_ALGORITHM": "RS256"},
    "no issuer": {"JWT_ISSUER": ""},
    "no audience": {"JWT_AUDIENCE": " "},
    "no lifetime": {"JWT_ACCESS_TTL": "0"},
    "no such denylist": {"JWT_DENYLIST": "on"},
}
ACCEPTED = {
    "as it should be": {},
    "white space and no padding": {"JWT_KEYS": f" k1:{encoded_key(KEY).rstrip('=')} , k0:{encoded_key(OLD_KEY)}, "},
    "URL-safe": {"JWT_KEYS": f"k1:{encoded_key(bytes([255] * 32)).replace('/', '_').replace('+', '-')}"},
    "HS512": {"JWT_KEYS": keys(("k1", KEY * 2)), "JWT_ALGORITHM": "HS512"},
    "no key in development": {"JWT_KEYS": ""},
    "a denylist in capitals": {"JWT_DENYLIST": "FAIL_OPEN"},
}


def run(project: Path, changes: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    settings = {**os.environ, **environment(**changes)}
    return subprocess.run(command, check=False, cwd=project, env=settings, capture_output=True, text=True, timeout=120)


def names_the_setting_only(printed: str, changes: dict[str, str]) -> bool:
    entries = changes.get("JWT_KEYS", "").split(",")
    secrets = [secret for entry in entries if (secret := entry.partition(":")[2]) and secret != "replace-me"]
    return next(iter(changes)) in printed and not any(secret in printed for secret in secrets)


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
    assert names_the_setting_only(done.stderr.rpartition("AuthSettingError")[2], changes)


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
    assert printed.count("No user authenticator") == 1
    assert PASSWORD not in printed


def test_the_store_in_memory_says_so_once(in_memory: Server, on_redis: Server) -> None:
    assert in_memory.output().count("REDIS_URL is not set: refresh tokens") == 1
    assert "REDIS_URL" not in on_redis.output()


# 5. Signing in -------------------------------------------------------------------------------------------------------


def test_signing_in_gives_tokens(server: Server) -> None:
    answer = sign_in(server)

    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    tokens = answer.json()
    assert (tokens["token_type"], tokens["expires_in"], tokens["scope"]) == ("bearer", 900, "read write")
    claims = jwt.decode(tokens["access_token"], options={"verify_signature": False})
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


def test_a_copy_used_later_ends_the_family(on_redis: Server, shared_redis: Server) -> None:
    first, other = refresh_token(sign_in(on_redis)), refresh_token(sign_in(on_redis))
    second = refresh_token(refresh(on_redis, first))
    end_grace(shared_redis.url, first)

    answers = [refresh(on_redis, token) for token in (first, second, first)]

    assert [(answer.status_code, answer.headers["WWW-Authenticate"]) for answer in answers] == [(401, INVALID)] * 3
    assert len({answer.content for answer in answers}) == 1
    assert refresh(on_redis, other).status_code == 200
    assert on_redis.output().count("A used refresh token was presented") == 1


def test_what_is_kept_in_redis_expires_and_holds_no_token(on_redis: Server, shared_redis: Server) -> None:
    token = refresh_token(refresh(on_redis, refresh_token(sign_in(on_redis))))

    with redis.Redis.from_url(shared_redis.url) as client:
        names = client.keys("*")
        assert all(client.ttl(name) > 0 for name in names)
        kept = b" ".join(names + [value for name in names if (value := client.get(name))])
    assert token.rpartition(".")[2].encode() not in kept
    assert USER.encode() not in kept


def test_logout_ends_the_family_and_can_be_repeated(server: Server) -> None:
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


def without_patience(project: Path, store: Server) -> AbstractContextManager[Server]:
    """The application with a Redis client that would wait much longer than the feature lets it."""
    return uvicorn_server(APP, project, environment(REDIS_URL=store.url, REDIS_TIMEOUT_SECONDS="60"))


@pytest.mark.parametrize("way", ["stopped", "paused"])
def test_without_redis_access_tokens_verify_and_the_rest_answers_503(project: Path, way: str) -> None:
    with redis_server() as store, without_patience(project, store) as server:
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


@pytest.mark.parametrize(("mode", "status"), [("fail_open", 200), ("fail_closed", 503)])
def test_the_denylist_ends_access_tokens_at_logout(project: Path, mode: str, status: int) -> None:
    with redis_server() as store:
        settings = environment(REDIS_URL=store.url, JWT_DENYLIST=mode)
        with uvicorn_server(APP, project, settings) as server:
            tokens, others = sign_in(server).json(), sign_in(server).json()
            assert me(server, tokens["access_token"]).status_code == 200
            assert logout(server, tokens["refresh_token"], tokens["access_token"]).status_code == 204
            answer = me(server, tokens["access_token"])
            assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, INVALID)
            assert me(server, others["access_token"]).status_code == 200
            store.stop()
            assert me(server, others["access_token"]).status_code == status


# 8. Several workers --------------------------------------------------------------------------------------------------


def test_four_workers_share_the_families(project: Path, shared_redis: Server) -> None:
    settings = environment(REDIS_URL=shared_redis.url)
    with uvicorn_server(APP, project, settings, workers=4) as server:
        first = token = refresh_token(sign_in(server))
        answers = []
        for _ in range(10):
            spread = in_parallel(server, token)
            answers += spread
            (token,) = {refresh_token(answer) for answer in spread}
        workers = {answer.headers["X-Worker"] for answer in answers}
        end_grace(shared_redis.url, first)
        replayed = in_parallel(server, first)
        dead = in_parallel(server, token)

    assert len(workers) > 1
    assert {answer.status_code for answer in [*replayed, *dead]} == {401}


# 9. OpenAPI ----------------------------------------------------------------------------------------------------------


def test_openapi_shows_the_scheme_and_which_routes_want_it(in_memory: Server) -> None:
    document: dict[str, Any] = CLIENT.get(f"{in_memory.url}/openapi.json").json()

    schemes = document["components"]["securitySchemes"]
    assert schemes == {
        "OAuth2PasswordBearer": {"type": "oauth2", "flows": {"password": {"scopes": {}, "tokenUrl": "auth/token"}}}
    }
    secured = {path for path, methods in document["paths"].items() for call in methods.values() if "security" in call}
    assert secured == {"/me", "/auth/logout"}


# The foundation, and the tests that are dropped in -------------------------------------------------------------------


def on_foundation() -> dict[str, str]:
    return {"PYTHONPATH": "src", **{f"APP_{name}": value for name, value in environment().items()}}


def test_on_the_foundation_its_own_users_sign_in(tmp_path: Path) -> None:
    folder = write_foundation(tmp_path)
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

    done = run(project, {"JWT_KEYS": ""}, *command, *option, "tests")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout


OVERRIDDEN = """
import asyncio

from httpx import ASGITransport, AsyncClient
from project.core.container import container
from project.main import app


class Somebody:
    async def authenticate(self, username, password):
        return "user-7"

    async def scopes(self, subject):
        return ["read"]


async def sign_in():
    form = {"username": "ada", "password": "x"}
    async with AsyncClient(transport=ASGITransport(app=app), base_url="http://test") as client:
        return (await client.post("/auth/token", data=form)).status_code


before = asyncio.run(sign_in())
with container.user_authenticator.override(Somebody()):
    print(before, asyncio.run(sign_in()))
"""
CONTAINER = b"""from dependency_injector import containers


class Container(containers.DeclarativeContainer):
    pass


container = Container()
"""


def test_the_authenticator_is_a_provider_of_the_container(tmp_path: Path) -> None:
    folder = write_app(tmp_path, filled_in=False, more={"project/core/container.py": CONTAINER})

    done = run(folder, {}, sys.executable, "-W", "error", "-c", OVERRIDDEN)

    assert (done.returncode, done.stdout) == (0, "503 200\n"), done.stderr


def test_adding_it_says_what_is_left_to_write(tmp_path: Path) -> None:
    files = {"main.py": b"from fastapi import FastAPI\n\napp = FastAPI()\n", "requirements.txt": b"fastapi>=0.115\n"}
    founded = foundation("shop", settings="dynaconf", python="3.11")

    told, untold = (
        [note.message for note in memory.planned(project, Request(add=("jwt",))).notes if note.level == "notice"]
        for project in (files, founded)
    )

    assert [message for message in told if "core/auth/authenticator.py" in message]
    assert not [message for message in untold if "authenticator" in message]
