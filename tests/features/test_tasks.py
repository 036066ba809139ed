"""What `laterctl add tasks` promises: on a real Redis, by workers that are killed, stopped and started again."""

from __future__ import annotations

import importlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import dramatiq
import httpx
import pytest
import redis

from laterctl.engine.plan import Request
from tests import memory
from tests.features.resources_app import imported
from tests.servers import Server, end, free_port, redis_server, uvicorn_server

APP = "project.main:app"
PYPROJECT = """\
[project]
name = "project"
version = "1"
requires-python = ">=3.11"
dependencies = ["fastapi>=0.142", "uvicorn", "sqlalchemy[asyncio]>=2.0.36", "aiosqlite>=0.20", "pydantic-settings>=2.6"]

[dependency-groups]
dev = ["pytest>=8", "httpx>=0.27"]
"""
DATABASE = """
import os

from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

engine = create_async_engine(os.environ.get("DATABASE_URL", "sqlite+aiosqlite://"))
sessions = async_sessionmaker(engine)


class Base(DeclarativeBase):
    pass


class Effect(Base):
    __tablename__ = "effects"

    key: Mapped[str] = mapped_column(primary_key=True)
"""
MAIN = """
from fastapi import FastAPI

app = FastAPI()


@app.get("/free")
async def free() -> str:
    return "free"
"""
JOBS = '''
import asyncio
import logging
import os
import sys
import time

import dramatiq
from sqlalchemy.exc import IntegrityError

from project.core.tasks import broker
from project.database import Effect, sessions


def say(*words: object) -> None:
    with open(os.environ["SAID"], "a") as log:
        log.write(" ".join(map(str, (os.getpid(), *words))) + "\\n")


@dramatiq.actor(broker=broker)
async def note(text: str) -> None:
    logging.getLogger("jobs").warning("noted")
    say(text, id(asyncio.get_running_loop()), "project.main" in sys.modules)


@dramatiq.actor(broker=broker)
def slow(text: str, seconds: float) -> None:
    say("begin", text)
    time.sleep(seconds)
    say("end", text)


@dramatiq.actor(broker=broker)
async def once(key: str, seconds: float) -> None:
    """Have one effect, however often it is done."""
    say("begin", key)
    async with sessions() as session:
        session.add(Effect(key=key))
        try:
            await session.commit()
        except IntegrityError:
            say("again", key)
        else:
            say("effect", key)
    await asyncio.sleep(seconds)
    say("end", key)


@dramatiq.actor(broker=broker, min_backoff=10, max_backoff=10)
def fail(text: str) -> None:
    say("try", text)
    raise LookupError(text)
'''
ROUTES = """

from contextlib import asynccontextmanager

from project import jobs
from project.core.tasks import enqueue
from project.core.tasks_database import enqueue_after_commit
from project.database import Base, Effect, engine, sessions


@app.post("/tables")
async def tables() -> None:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)


@app.post("/note/{text}")
async def note(text: str, times: int = 1) -> str:
    for number in range(times):
        task_id = await enqueue(jobs.note.message(text if times == 1 else f"{text}-{number}"))
    return task_id


@app.post("/big")
async def big(size: int) -> str:
    return await enqueue(jobs.note.message("x" * size))


@app.post("/slow/{text}")
async def slow(text: str, seconds: float) -> str:
    return await enqueue(jobs.slow.message(text, seconds))


@app.post("/once/{key}")
async def once(key: str, seconds: float) -> str:
    return await enqueue(jobs.once.message(key, seconds))


@app.post("/fail/{text}")
async def fail(text: str) -> str:
    return await enqueue(jobs.fail.message(text))


@app.post("/committed/{text}")
async def committed(text: str, how: str) -> None:
    async with sessions() as session:
        session.add(Effect(key=text))
        enqueue_after_commit(session, jobs.note.message(text))
        if how == "error":
            raise LookupError
        await (session.rollback() if how == "rollback" else session.commit())
"""
SHARED = ("request-scope", "logging", "tracing", "resources")


def write(folder: Path, *others: str, **options: str) -> Path:
    """Write the application with the feature, and with other features."""
    files = {
        "pyproject.toml": PYPROJECT,
        "project/__init__.py": "",
        "project/database.py": DATABASE,
        "project/main.py": MAIN,
        "tests/__init__.py": "",
    }
    before = {path: text.encode() for path, text in files.items()}
    after = memory.run(before, Request(add=("tasks", *others), options={"tasks": options}))
    after["project/main.py"] += ROUTES.encode()
    after["project/jobs.py"] = JOBS.encode()
    for path, data in after.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("project"), *SHARED, store="redis")


@pytest.fixture(scope="module")
def lean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The feature alone; its workers do the tasks of the other one, too, and start sooner."""
    return write(tmp_path_factory.mktemp("lean"), store="redis")


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("alone"))


@pytest.fixture(scope="module")
def store() -> Iterator[Server]:
    with redis_server() as running:
        yield running


def environment(folder: Path, **more: str) -> dict[str, str]:
    database = f"sqlite+aiosqlite:///{folder}/effects.db"
    nobody = f"http://127.0.0.1:{free_port()}"
    own = {"DATABASE_URL": database, "SAID": str(folder / "said.log"), "TASKS_HEARTBEAT_SECONDS": "2"}
    return {**own, "OTEL_EXPORTER_OTLP_ENDPOINT": nobody, **more}


@pytest.fixture(scope="module")
def server(project: Path, store: Server) -> Iterator[Server]:
    with uvicorn_server(APP, project, environment(project, REDIS_URL=store.url)) as running:
        post(running, "/tables")
        yield running


@pytest.fixture
def worker(project: Path, store: Server, server: Server) -> Iterator[Path]:
    """A worker of the whole project, which is gone after the test; its log."""
    with working(project, project, "--threads", "4", REDIS_URL=store.url) as (_, log):
        yield log


@contextmanager
def working(
    folder: Path, project: Path, *arguments: str, **more: str
) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Run a worker, which is ready when the block is entered; yield its process and its log."""
    log = folder / f"worker-{time.monotonic_ns()}.log"
    command = [
        sys.executable,
        "-m",
        "dramatiq",
        "project.worker:broker",
        "project.jobs",
        "--processes",
        "1",
        *arguments,
    ]
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **environment(project), **more},
            stdout=sink,
            stderr=sink,
            start_new_session=True,
        )
    try:
        until(lambda: "ready for action" in log.read_text() or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        yield process, log
    except BaseException:
        sys.stderr.write(log.read_text())
        raise
    finally:
        process.terminate()  # alone: its child takes a second signal for one to leave everything
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        end(process)


def post(server: Server, path: str, **params: object) -> httpx.Response:
    return httpx.post(f"{server.url}{path}", params={key: str(value) for key, value in params.items()}, timeout=60)


def said(folder: Path) -> list[str]:
    """Return what tasks have written, without the process that wrote it."""
    log = folder / "said.log"
    return [line.partition(" ")[2] for line in log.read_text().splitlines()] if log.exists() else []


def until(holds: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def waiting(store: Server) -> list[str]:
    """Return the arguments of the tasks that wait in Redis."""
    with closing(redis.Redis.from_url(store.url)) as client:
        return [json.loads(value)["args"][0] for value in client.hvals("tasks:default.msgs")]


# 1. Redis that stalls or is gone -------------------------------------------------------------------------------------


def test_1_while_redis_stalls_or_is_gone_no_other_route_waits(lean: Path) -> None:
    """A commit stays then, and the log has the task that is lost: that is the gap of 2."""
    with redis_server() as store, uvicorn_server(APP, lean, environment(lean, REDIS_URL=store.url)) as server:
        assert post(server, "/note/first").status_code == 200
        post(server, "/tables")
        store.pause()
        with ThreadPoolExecutor(50) as pool:
            stalled = [pool.submit(timed, server, "POST", "/note/stalled") for _ in range(45)]
            time.sleep(0.2)
            status, unrelated = timed(server, "GET", "/free")
            assert status == 200
            statuses, times = zip(*(each.result() for each in stalled), strict=True)
        assert {*statuses} == {503}
        assert unrelated < min(times)
        store.resume()
        store.stop()
        answer = post(server, "/note/gone")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert timed(server, "POST", "/note/gone")[1] < 1
        assert "Traceback" not in server.output()
        assert post(server, "/committed/gap", how="commit").status_code == 200
        assert "note is lost" in server.output()


def timed(server: Server, method: str, path: str) -> tuple[int, float]:
    begun = time.perf_counter()
    status = httpx.request(method, f"{server.url}{path}", timeout=60).status_code
    return status, time.perf_counter() - begun


# 2. Commits ----------------------------------------------------------------------------------------------------------


def test_2_a_task_waits_for_the_commit(server: Server, store: Server) -> None:
    """After a rollback or an error there is none, after a commit there is one."""
    assert post(server, "/committed/rolled", how="rollback").status_code == 200
    assert post(server, "/committed/raised", how="error").status_code == 500
    assert post(server, "/committed/kept", how="commit").status_code == 200
    assert post(server, "/committed/kept", how="commit").status_code == 500  # the key is there
    assert waiting(store) == ["kept"]


# 3., 4. and 8. Workers that are killed, and stopped ------------------------------------------------------------------


def test_3_4_what_a_worker_leaves_is_done_by_another(lean: Path, project: Path, store: Server, server: Server) -> None:
    """A worker that is killed, one that has no time, and one that has: it ends what it began."""

    def times(line: str) -> int:
        return Counter(said(project))[line]

    with working(lean, project, REDIS_URL=store.url) as (process, _):
        post(server, "/once/job", seconds=1)
        until(lambda: times("effect job"))
        os.killpg(process.pid, signal.SIGKILL)
    with working(lean, project, "--worker-shutdown-timeout", "100", REDIS_URL=store.url) as (process, _):
        until(lambda: times("again job"), seconds=5 * 2)  # two, where nothing else runs
        until(lambda: times("end job"))
        post(server, "/slow/long", seconds=2)
        until(lambda: times("begin long"))
        process.terminate()
        process.wait(20)
    assert times("end long") == 0
    with working(lean, project, "--worker-shutdown-timeout", "25000", REDIS_URL=store.url) as (process, log):
        until(lambda: times("begin long") == 2, seconds=5 * 2)
        post(server, "/slow/short", seconds=1)
        until(lambda: times("begin short"))
        process.terminate()
        assert process.wait(20) == 0
        assert "did not close" not in log.read_text()
    assert [times(f"end {name}") for name in ("job", "long", "short")] == [1, 1, 1]
    assert times("effect job") == 1


def test_8_two_workers_do_each_of_a_thousand_tasks_once(
    lean: Path, project: Path, store: Server, server: Server
) -> None:
    with working(lean, project, REDIS_URL=store.url), working(lean, project, REDIS_URL=store.url):
        post(server, "/note/many", times=1000)
        until(lambda: sum(line.startswith("many-") for line in said(project)) >= 1000, 60)
    done = Counter(line.split()[0] for line in said(project) if line.startswith("many-"))
    assert done == dict.fromkeys((f"many-{number}" for number in range(1000)), 1)
    pids = {line.split()[0] for line in (project / "said.log").read_text().splitlines() if " many-" in line}
    assert len(pids) == 2


# 5., 6. and 7. What tasks have ---------------------------------------------------------------------------------------


def test_5_a_task_that_fails_is_given_up_after_four_tries(
    project: Path, store: Server, server: Server, worker: Path
) -> None:
    """It is kept for a week, and the log has an error."""
    task_id = post(server, "/fail/broken").json()
    until(lambda: task_id in worker.read_text().partition("is given up")[2])
    assert Counter(said(project))["try broken"] == 4
    lines = [json.loads(line) for line in worker.read_text().splitlines() if line.startswith("{")]
    (line,) = [line for line in lines if "given up" in line["event"]]
    assert (line["level"], line["task"], line["task_id"]) == ("error", "fail", task_id)
    with closing(redis.Redis.from_url(store.url)) as client:
        (dead,) = client.hvals("tasks:default.XQ.msgs")
        assert json.loads(dead)["message_id"] == task_id
    with imported(project, "core.tasks", environment(project, REDIS_URL=store.url), package="project") as tasks:
        assert tasks.broker.dead_message_ttl == 7 * 86_400_000
        limits = {type(each).__name__: each for each in tasks.broker.middleware}
        assert limits["TimeLimit"].time_limit == 60_000
        assert limits["AgeLimit"].max_age == 3_600_000
        assert limits["Retries"].max_retries == 3


def test_5_what_is_too_much_is_refused(server: Server) -> None:
    assert post(server, "/big", size=65_000).status_code == 200
    assert post(server, "/big", size=65_536).status_code == 500
    until(lambda: "too much for a task" in server.output())


def test_6_tasks_that_await_share_one_event_loop(project: Path, server: Server, worker: Path) -> None:
    """It is that of the resources, in a process that has no routes."""
    for number in range(8):
        post(server, f"/note/loop-{number}")
    until(lambda: sum(line.startswith("loop-") for line in said(project)) == 8)
    found = {tuple(line.split()[1:]) for line in said(project) if line.startswith("loop-")}
    assert len(found) == 1
    assert {imported for _, imported in found} == {"False"}


def test_6_importing_starts_nothing(lean: Path) -> None:
    code = "import threading, project.main, project.worker; print(threading.active_count())"
    nobody = {"REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"}
    env = {**os.environ, **environment(lean), **nobody, "PYTHONPATH": str(lean)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


def test_7_the_lines_of_a_task_name_the_request_that_left_it(server: Server, worker: Path) -> None:
    """By its id, and by the trace that it is a part of."""
    answer = httpx.post(f"{server.url}/note/traced", headers={"X-Request-ID": "request-7"}, timeout=30)
    until(lambda: "request-7" in worker.read_text())
    lines = [json.loads(line) for line in worker.read_text().splitlines() if line.startswith("{")]
    (line,) = [line for line in lines if line.get("request_id") == "request-7" and line["event"] == "noted"]
    (asked,) = [json.loads(item) for item in server.output().splitlines() if "request-7" in item and item[0] == "{"]
    assert re.fullmatch("[0-9a-f]{32}", asked["trace_id"])
    assert line["trace_id"] == asked["trace_id"]
    assert (line["task"], line["task_id"]) == ("note", answer.json())


# Without Redis -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["alone", "lean"])
def test_without_redis_the_application_does_its_tasks_and_says_so(kind: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(kind)
    (folder / "said.log").unlink(missing_ok=True)
    with uvicorn_server(APP, folder, environment(folder, REDIS_URL="")) as server:
        post(server, "/tables")
        assert server.output().count("Tasks are done in this process") == 1
        for number in range(8):
            post(server, f"/note/here-{number}")
        post(server, "/fail/here")
        post(server, f"/committed/here-{kind}-8", how="commit")
        post(server, f"/once/{kind}", seconds=0)
        until(lambda: sum(line.startswith("here-") for line in said(folder)) == 9 and f"end {kind}" in said(folder))
        until(lambda: "fail is given up" in server.output())
        post(server, "/slow/last", seconds=1)
        until(lambda: "begin last" in said(folder))
        server.process.terminate()
        server.process.wait(20)
        assert "end last" in said(folder)
    loops = {line.split()[1] for line in said(folder) if line.startswith("here-")}
    assert len(loops) == 1


def test_without_redis_a_worker_does_not_start(lean: Path) -> None:
    command = [sys.executable, "-m", "dramatiq", "project.worker:broker", "project.jobs", "--processes", "1"]
    env: Mapping[str, str] = {**os.environ, **environment(lean, REDIS_URL="")}
    done = subprocess.run(command, cwd=lean, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert "REDIS_URL is not set" in done.stderr


# What is written into the project ------------------------------------------------------------------------------------


WITHOUT_LOGS = """\
import logging.config
import pytest

@pytest.fixture(autouse=True)
def without_logs():
    logging.config.dictConfig({"version": 1, "root": {"level": "CRITICAL"}})
"""


@pytest.mark.parametrize("kind", ["project", "alone"])
def test_the_dropped_tests_pass_in_the_project(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Without Redis, with every warning an error, and where the project's own tests want no log."""
    folder: Path = request.getfixturevalue(kind)
    (tmp_path / "without_logs.py").write_text(WITHOUT_LOGS)
    quiet = ("-q", "-W", "error", "-p", "no:cacheprovider", "-o", "asyncio_default_fixture_loop_scope=function")
    quiet += ("-p", "without_logs")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "pytest", *quiet, "tests/test_tasks.py", "tests/test_tasks_database.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{tmp_path}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_2_a_synchronous_session_hands_on_when_it_commits(tmp_path: Path) -> None:
    database = DATABASE.replace("async_sessionmaker, create_async_engine", "async_sessionmaker").replace(
        "engine = create_async_engine(", "engine = create_engine("
    )
    database = database.replace(
        "from sqlalchemy.ext.asyncio import async_sessionmaker", "from sqlalchemy import create_engine"
    )
    database = database.replace("import DeclarativeBase", "import sessionmaker, DeclarativeBase").replace("async_", "")
    files = {
        "pyproject.toml": PYPROJECT,
        "project/database.py": database,
        "project/main.py": MAIN,
        "project/__init__.py": "",
    }
    after = memory.add({path: text.encode() for path, text in files.items()}, "tasks")
    for path, data in after.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
    with imported(tmp_path, "core.tasks_database", {"DATABASE_URL": "sqlite://"}, package="project") as module:
        project = sys.modules["project.core.tasks"]

        @dramatiq.actor(broker=project.broker)
        def note(_text: str) -> None: ...

        own = importlib.import_module("project.database")
        own.Base.metadata.create_all(own.engine)
        with own.sessions() as session:
            session.add(own.Effect(key="kept"))
            module.enqueue_after_commit(session, note.message("kept"))
            savepoint = session.begin_nested()
            module.enqueue_after_commit(session, note.message("dropped"))
            savepoint.rollback()
            assert project.broker.queues["default"].empty()
            session.commit()
            module.enqueue_after_commit(session, note.message("dropped"))
        messages = [*project.broker.queues["default"].queue]
        assert [json.loads(each)["args"] for each in messages] == [["kept"]]


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ({"project/jobs.py": "import celery\n"}, "already-by-hand"),
        ({"project/jobs.py": "import dramatiq\ndramatiq.set_broker(None)\n"}, "already-by-hand"),
        (
            {"project/jobs.py": "from dramatiq.brokers.redis import RedisBroker\nbroker = RedisBroker()\n"},
            "already-by-hand",
        ),
    ],
)
def test_what_is_done_by_hand_is_not_done_twice(files: dict[str, str], code: str) -> None:
    before = {"pyproject.toml": PYPROJECT, "project/main.py": f"{MAIN}\nfrom project import jobs as jobs\n"}
    with pytest.raises(memory.Refusing) as raised:
        memory.add(
            {path: text.encode() for path, text in ({"project/__init__.py": ""} | before | files).items()}, "tasks"
        )
    assert {item.code for item in raised.value.refusals} == {code}


def test_the_plan_has_the_lines_that_start_a_worker() -> None:
    """For the files that start the application too, which are their owner's."""
    files = {"pyproject.toml": PYPROJECT, "project/main.py": MAIN, "project/__init__.py": "", "Procfile": "web: x\n"}
    files["compose.yaml"] = "services: {}\n"
    request = Request(add=("tasks",), options={"tasks": {"store": "redis"}})
    plan = memory.planned({path: text.encode() for path, text in files.items()}, request)
    told = [note.message for note in plan.notes if "dramatiq project.worker:broker" in note.message]
    assert [message.partition("dramatiq")[0] for message in told] == [
        "start a worker, with the modules of your tasks for MODULES: ",
        "and in Procfile: worker: ",
        "and in compose.yaml a service of the same image: command: ",
    ]
    assert {"Procfile", "compose.yaml"}.isdisjoint(plan.changeset)
