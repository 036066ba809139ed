"""What the engine writes runs: every shape with every feature it takes, on a real server and in its own tests."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any, Final

import pytest
from prometheus_client.parser import text_string_to_metric_families

from laterctl.dialects.settings import settings_of
from laterctl.features.jwt import fresh_key
from tests import memory
from tests.servers import Server, redis_server, uvicorn_server
from tests.shapes import SHAPES, Shape, copy, git, shape_named
from tests.test_laws import each_shape, project_files, taken
from tests.test_patch import laterctl
from tests.turns import DIALECTS, tenth, turn

OFTEN: Final = (*DIALECTS, *map(shape_named, ("foundation_pydantic", "nested_containers", "on_event", "relative")))
SELDOM: Final = [shape for shape in SHAPES if shape not in OFTEN]
in_full = pytest.mark.parametrize("shape", [*OFTEN, *tenth(SELDOM, "running")], ids=lambda shape: shape.name)
"""Tests that take long: on each dialect, and on a tenth of the other shapes."""

FRONT_END: Final = "https://front.example"
STRANGER: Final = "https://stranger.example"
PASSWORD: Final = "correct horse battery staple"

TEMPLATES: Final = {
    "/cones/1100": "/cones/{degrees}",
    "/notes/1": "/notes/{number}",
    "/lines/4/departures": "/lines/{line}/departures",
    "/parcels/A1": "/parcels/{code}",
    "/stock/nail": "/stock/{name}",
    "/greet/Ada": "/greet/{name}",
    "/recipes/stew": "/recipes/{name}",
    "/lines/9": "/lines/{line}",
    "/words/selten": "/words/{word}",
    "/hello/you": "/hello/{name}",
    "/chance/6": "/chance/{hits}",
    "/stations/north": "/stations/{name}",
}
"""Templates of the probes' routes, where they are not the path itself."""

LAUNCHER: Final = '''\
"""Serves a shape's application with a route that fails, and says at the end what the application's own code left."""

import importlib
import os

name, _, attribute = os.environ["SHAPE_REFERENCE"].partition(":")
module = importlib.import_module(name)
application = getattr(module, attribute)
if os.environ["SHAPE_FACTORY"]:
    application = application()


async def fail() -> None:
    raise RuntimeError("on purpose")


application.add_api_route("/fails", fail, tags=["launcher"])


async def served(scope, receive, send):
    await application(scope, receive, send)
    if scope["type"] == "lifespan":
        print("left behind:", eval(os.environ["SHAPE_LEFT"], {"application": application, "module": module}))
'''

CALM: Final = {"cached_getter": {"LOTTERY_ENVIRONMENT": "prod"}}
"""Variables that end debug mode, in which Starlette's own traceback page answers for what is unexpected."""

LEFT_BEHIND: Final = {
    "own_lifespan": ("application.state.open", "False"),
    "on_event": ("module.store", "{}"),
    "foundation": ("module.container.engine().pool.checkedin()", "0"),
    "foundation_pydantic": ("module.container.engine().pool.checkedin()", "0"),
}
"""What shows that a shape's own shutdown code ran: an expression, and how it prints afterwards."""

AUTHENTICATOR: Final = f'''

class OneUser:
    async def authenticate(self, username: str, password: str) -> str | None:
        return username if password == "{PASSWORD}" else None

    async def scopes(self, subject: str) -> list[str]:
        return ["read"]


def get_user_authenticator() -> OneUser:
    return OneUser()
'''
"""What a user fills in to let people sign in."""


@dataclass(frozen=True)
class Answer:
    """An HTTP response, read to its end."""

    status: int
    headers: Message
    body: bytes

    def json(self) -> Any:
        """Return the body, parsed."""
        return json.loads(self.body)


def ask(
    server: Server, path: str, headers: Mapping[str, str] | None = None, method: str = "GET", body: bytes | None = None
) -> Answer:
    """Send a request and return the answer, whatever its status."""
    url = server.url + urllib.parse.quote(path, safe="/?=&")
    request = urllib.request.Request(url, body, dict(headers or {}), method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return Answer(response.status, response.headers, response.read())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.headers, error.read())


def sign_in(server: Server, password: str) -> Answer:
    """Ask for a token as `ada@example.com`."""
    form = urllib.parse.urlencode({"username": "ada@example.com", "password": password}).encode()
    return ask(server, "/auth/token", method="POST", body=form)


def counted(server: Server) -> dict[str, float]:
    """Return how many `GET` requests ended with 200, by route template, as `/metrics` tells it."""
    answer = ask(server, "/metrics")
    assert answer.status == 200
    return {
        sample.labels["route"]: sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
        if sample.name == "http_server_requests_total"
        and (sample.labels["method"], sample.labels["status"]) == ("GET", "200")
    }


def with_everything(shape: Shape, into: Path) -> Path:
    """Copy a shape, add all features that it takes, and return the project's folder."""
    project = copy(shape, into)
    laterctl(project, shape, "add", *taken(shape), "--yes", "--no-install")
    return project


def variables(shape: Shape, **values: str) -> dict[str, str]:
    """Return environment variables that set features' settings, with the project's own prefix."""
    settings = settings_of(memory.project(project_files(shape), shape.app_flag))
    return {settings.environment_variable(name): value for name, value in values.items()}


@contextmanager
def serving(shape: Shape, project: Path, folder: Path, settings: Mapping[str, str]) -> Iterator[Server]:
    """Serve a shape's application through `LAUNCHER`, written to `folder`."""
    folder.mkdir(exist_ok=True)
    (folder / "shape_launcher.py").write_text(LAUNCHER)
    env = {
        **shape.env,
        **settings,
        "PYTHONPATH": os.pathsep.join(filter(None, (shape.env.get("PYTHONPATH"), str(folder)))),
        "PYTHONDONTWRITEBYTECODE": "1",
        "SHAPE_REFERENCE": shape.reference,
        "SHAPE_FACTORY": "yes" if shape.factory else "",
        "SHAPE_LEFT": LEFT_BEHIND.get(shape.name, ("", ""))[0] or "None",
    }
    with uvicorn_server("shape_launcher:served", project, env, arguments=["--no-server-header"]) as server:
        yield server


def stop(server: Server) -> str:
    """End a server with SIGTERM, and return what it printed from then on."""
    before = len(server.output())
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(timeout=30) in {0, -signal.SIGTERM}
    return server.output()[before:]


@each_shape
def test_with_everything_on_a_real_server(shape: Shape, tmp_path: Path) -> None:
    project = with_everything(shape, tmp_path / "repository")
    origins = {} if "cors" in shape.refuses else variables(shape, cors_origins=FRONT_END)
    with serving(shape, project, tmp_path / "launcher", origins) as server:
        its_own_routes_answer_and_are_counted(shape, server)
        if origins:
            only_listed_origins_may_call(shape, server)
        answer = sign_in(server, PASSWORD)
        assert answer.status == 503, answer.body
        said = stop(server)
        assert "Application shutdown complete" in said
        assert "Traceback" not in said
        assert f"left behind: {LEFT_BEHIND.get(shape.name, ('', 'None'))[1]}\n" in said
    assert_git_is_clean(project)


@in_full
def test_signing_in_and_failing(shape: Shape, tmp_path: Path) -> None:
    project = with_everything(shape, tmp_path / "repository")
    authenticator = next(project.rglob("auth/authenticator.py"))
    founded = not shape.folder
    if not founded:
        authenticator.write_bytes(authenticator.read_bytes() + AUTHENTICATOR.encode())
    (key,) = fresh_key().values()
    origins = {} if "cors" in shape.refuses else variables(shape, cors_origins=FRONT_END)
    env = {**variables(shape, jwt_keys=key), **origins, **CALM.get(shape.name, {})}
    if founded:
        for command in (("revision", "--autogenerate", "-m", "first"), ("upgrade", "head")):
            alembic = [sys.executable, "-m", "alembic", *command]
            subprocess.run(
                alembic, cwd=project, env={**os.environ, **shape.env, **env}, check=True, capture_output=True
            )
    with serving(shape, project, tmp_path / "launcher", env) as server:
        if founded:
            account = json.dumps({"email": "ada@example.com", "password": PASSWORD}).encode()
            json_body = {"Content-Type": "application/json"}
            assert ask(server, "/api/users", json_body, "POST", account).status == 201
        refused = sign_in(server, "wrong")
        assert refused.status == 401, refused.body
        assert refused.headers["WWW-Authenticate"] == "Bearer"
        answer = sign_in(server, PASSWORD)
        assert answer.status == 200, answer.body
        tokens = answer.json()
        body = json.dumps({"refresh_token": tokens["refresh_token"]}).encode()
        renewed = ask(server, "/auth/refresh", {"Content-Type": "application/json"}, "POST", body)
        assert renewed.status == 200, renewed.body
        assert renewed.json()["refresh_token"] != tokens["refresh_token"]
        an_unexpected_error_has_the_headers(server, cors=bool(origins))
        stop(server)
        assert server.output().count("RuntimeError: on purpose") == 1, "one error is logged once"


def its_own_routes_answer_and_are_counted(shape: Shape, server: Server) -> None:
    """Ask each probe, and compare what `/metrics` says before and after."""
    for path, expected in shape.probes:
        plain = path.partition("?")[0]
        template = TEMPLATES.get(plain, plain)
        before = counted(server).get(template, 0)
        answer = ask(server, path)
        assert (answer.status, answer.json()) == (200, expected), path
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        after = counted(server)
        assert after[template] == before + 1
        assert template == plain or plain not in after


def an_unexpected_error_has_the_headers(server: Server, *, cors: bool) -> None:
    """Ask a route that raises."""
    answer = ask(server, "/fails", {"Origin": FRONT_END})
    assert answer.status == 500
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Access-Control-Allow-Origin"] == (FRONT_END if cors else None)
    assert answer.json()
    assert b"on purpose" not in answer.body


def only_listed_origins_may_call(shape: Shape, server: Server) -> None:
    """Send the preflight requests of browsers on two sites."""
    path = shape.probes[0][0].partition("?")[0]
    wanted = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
    answer = ask(server, path, {"Origin": FRONT_END, **wanted}, "OPTIONS")
    assert answer.status == 200
    assert answer.headers["Access-Control-Allow-Origin"] == FRONT_END
    assert "authorization" in answer.headers["Access-Control-Allow-Headers"].lower()
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    answer = ask(server, path, {"Origin": STRANGER, **wanted}, "OPTIONS")
    assert answer.status == 400
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert "Access-Control-Allow-Origin" not in ask(server, path, {"Origin": STRANGER}).headers


def assert_git_is_clean(project: Path) -> None:
    """A run leaves nothing behind that git would show, beside what was added."""
    git(project, "add", "--all", ".")
    names = git(project, "diff", "--cached", "--name-only", "--diff-filter=A").split()
    assert not [name for name in names if name.endswith((".pyc", ".log", ".db", ".sqlite3"))]


# The tests that are dropped in

STRICT: Final = ("-W", "error", "-o", "asyncio_default_fixture_loop_scope=function")
"""Warnings are errors; the option spares pytest-asyncio its own, where the project does not use it."""
KNOWN: Final = {"on_event": ("-W", "ignore::DeprecationWarning")}
"""Warnings that a shape's own code causes when it is imported: `on_event` is deprecated."""


@in_full
def test_the_tests_that_are_dropped_in_pass(shape: Shape, tmp_path: Path) -> None:
    project = with_everything(shape, tmp_path)
    dropped = git(project, "ls-files", "--others", "--exclude-standard").split()
    dropped = [path for path in dropped if Path(path).name.startswith("test_") and path.endswith(".py")]
    # Those that ask a process of its own want its tables made: a revision, which nobody has written here.
    dropped = [path for path in dropped if "/e2e/" not in path]
    assert len(dropped) >= 6
    random.Random(f"{turn()} {shape.name}").shuffle(dropped)  # none leaves anything to another
    with redis_server() as redis:
        passed(project, shape, redis.url, *STRICT, *KNOWN.get(shape.name, ()), *dropped)
        if shape.tested:
            passed(project, shape, redis.url)


def passed(project: Path, shape: Shape, redis_url: str, *arguments: str) -> None:
    """Run pytest in a project; everything must pass, and nothing be skipped."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    environment |= {**shape.env, "TEST_REDIS_URL": redis_url, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout


def test_known_warnings_are_those_of_on_event() -> None:
    assert {shape.name for shape in SHAPES if shape.facts.lifespan == "on_event"} == set(KNOWN)
