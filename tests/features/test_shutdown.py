"""The `shutdown` feature: its acceptance list, with signals to real servers."""

from __future__ import annotations

import asyncio
import importlib.util
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from laterctl.engine.plan import Request
from tests import memory
from tests.features.ops_app import TOKEN, made, write
from tests.features.resources_app import imported
from tests.servers import Server, http_server, missing, uvicorn_server

READY = "/health/ready"
STOPS = (-signal.SIGTERM, 0)
"""How a process ends that stops on SIGTERM: uvicorn raises the signal once more, unless it is the first process."""

WRAPPED = """

@app.get("/wrapped")
async def wrapped() -> StreamingResponse:
    from depot.core.shutdown import until_stopping

    return StreamingResponse(until_stopping(ticks()))
"""
"""What somebody writes with the feature afterwards."""

CLOSERS = """
    async def closed() -> None:
        print("CLOSED", flush=True)

    closing(stack, "last", closed)
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that says when its resources are closed, and has a stream that is wrapped."""
    folder = tmp_path_factory.mktemp("project")
    files = made("health", "shutdown")
    assert files == memory.add(made("health"), "shutdown") == memory.add(made("shutdown"), "health")
    main, lifespan = "depot/main.py", "depot/core/lifespan.py"
    statement = "    stack.enter_context(announced_shutdown())\n"
    assert statement.encode() in files[lifespan]
    files[main] += WRAPPED.encode()
    files[lifespan] = files[lifespan].replace(statement.encode(), f"{CLOSERS}{statement}".encode())
    write(folder, files)
    return folder


@contextmanager
def served(kind: str, folder: Path, drain: float = 0, arguments: Sequence[str] = ()) -> Iterator[Server]:
    """Run a project below one of the servers that applications are run with."""
    environment = {"SHUTDOWN_DRAIN_SECONDS": str(drain)}
    if kind.startswith("uvicorn"):
        workers = int(kind.removeprefix("uvicorn"))
        with uvicorn_server("depot.main:app", folder, environment, workers, arguments) as server:
            yield server
    elif kind == "run":
        code = "import sys, uvicorn; uvicorn.run('depot.main:app', port=int(sys.argv[1]))"
        with http_server(lambda port: [sys.executable, "-c", code, str(port)], folder, environment) as server:
            yield server
    else:
        for module in ("gunicorn", "uvicorn_worker"):
            if importlib.util.find_spec(module) is None:
                missing(f"{module} is not installed")
        worker = ["-k", "uvicorn_worker.UvicornWorker", "-w", "2", "--graceful-timeout", "20"]

        def command(port: int) -> list[str]:
            return [sys.executable, "-m", "gunicorn", "depot.main:app", *worker, "-b", f"127.0.0.1:{port}"]

        with http_server(command, folder, environment) as server:
            yield server


def waited(server: Server, limit: float = 15) -> float:
    """Wait until a server has ended, and return how long that took."""
    began = time.perf_counter()
    code = server.process.wait(timeout=limit)
    assert code in STOPS, server.output()
    return time.perf_counter() - began


def status(client: httpx.Client, path: str) -> int:
    """Return the status of an answer, 0 when there is none."""
    try:
        return client.get(path).status_code
    except httpx.TransportError:
        return 0


SERVERS = ("uvicorn1", "uvicorn2", "run", "gunicorn")


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize("drain", [0, 1.5])
def test_g1_g2_requests_in_flight_are_answered_and_new_ones_during_the_delay(
    project: Path, kind: str, drain: float
) -> None:
    """G1, G2 and H7: readiness fails first, all that is under way is answered, and then nobody listens."""

    async def run(server: Server) -> list[int]:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=server.url, headers=TOKEN, limits=limits, timeout=20) as client:
            flying = [asyncio.create_task(client.get("/slow?seconds=2")) for _ in range(20)]
            await asyncio.sleep(0.7)
            assert (await client.get(READY)).status_code == 200
            server.process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.5)
            if drain:
                async with httpx.AsyncClient(base_url=server.url, headers=TOKEN) as new:
                    found = await new.get(READY)
                    assert (found.status_code, found.json()) == (503, {"status": "draining", "checks": {}})
                    assert (await new.get("/health/live")).status_code == 200
                    assert (await new.get("/slow?seconds=0")).status_code == 200
            assert not any(flight.done() for flight in flying)
            return [(await flight).status_code for flight in flying]

    with served(kind, project, drain) as server:
        began = time.perf_counter()
        assert asyncio.run(run(server)) == [200] * 20
        waited(server)
        assert time.perf_counter() - began < 0.7 + 2 + drain + 2
        with httpx.Client(base_url=server.url) as client:
            assert status(client, READY) == 0
        assert "CLOSED" in server.output()


def test_g3_a_stream_without_an_end_is_bounded_by_the_server(project: Path) -> None:
    with served("uvicorn1", project, arguments=["--timeout-graceful-shutdown", "1"]) as server:
        with httpx.stream("GET", f"{server.url}/endless", headers=TOKEN) as stream:
            lines = stream.iter_lines()
            assert next(lines) == "tick"
            server.process.send_signal(signal.SIGTERM)
            assert waited(server) < 2 + 1
            with pytest.raises(httpx.RemoteProtocolError):
                list(lines)
        assert "CLOSED" in server.output()


@pytest.mark.parametrize("kind", SERVERS)
def test_g3_a_stream_that_is_wrapped_ends_as_it_should(project: Path, kind: str) -> None:
    """The body is complete: no chunk is missing."""
    with served(kind, project) as server:
        with httpx.stream("GET", f"{server.url}/wrapped", headers=TOKEN) as stream:
            lines = stream.iter_lines()
            assert next(lines) == "tick"
            server.process.send_signal(signal.SIGTERM)
            assert {*lines} <= {"tick"}
        assert waited(server) < 3
        assert "CLOSED" in server.output()


def test_g4_a_cleanup_that_hangs_does_not_stop_the_others(tmp_path: Path) -> None:
    """Each is bounded, and what hangs is named in the log."""
    files = made("shutdown")
    lifespan = "depot/core/lifespan.py"
    statement = b"    stack.enter_context(announced_shutdown())\n"
    hanging = CLOSERS + '    closing(stack, "stuck", anyio.sleep_forever)\n'
    files[lifespan] = files[lifespan].replace(statement, hanging.encode() + statement)
    files[lifespan] = files[lifespan].replace(b"CLOSE_TIMEOUT_SECONDS = 10.0", b"CLOSE_TIMEOUT_SECONDS = 0.5")
    write(tmp_path, files)
    with served("uvicorn1", tmp_path) as server:
        server.process.send_signal(signal.SIGTERM)
        began = time.perf_counter()
        server.process.wait(timeout=10)
        assert 0.4 < time.perf_counter() - began < 3
        assert "CLOSED" in server.output()
        assert "stuck did not close" in server.output()


@pytest.mark.parametrize("kind", ["uvicorn1", "run"])
@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
def test_g5_a_second_signal_ends_the_delay_and_nothing_else(project: Path, kind: str, name: signal.Signals) -> None:
    """What is under way is answered all the same: the server got one signal."""

    async def run(server: Server) -> int:
        async with httpx.AsyncClient(base_url=server.url, headers=TOKEN, timeout=20) as client:
            flight = asyncio.create_task(client.get("/slow?seconds=2"))
            await asyncio.sleep(0.5)
            server.process.send_signal(name)
            await asyncio.sleep(0.3)
            assert server.process.poll() is None
            server.process.send_signal(name)
            return (await flight).status_code

    with served(kind, project, drain=60) as server:
        began = time.perf_counter()
        assert asyncio.run(run(server)) == 200
        server.process.wait(timeout=10)
        assert time.perf_counter() - began < 6
        assert "CLOSED" in server.output()


def test_g5_a_third_interrupt_is_the_servers_second(project: Path) -> None:
    """It stops at once, as it does without the feature."""
    with (
        served("uvicorn1", project, drain=60) as server,
        httpx.stream("GET", f"{server.url}/endless", headers=TOKEN) as stream,
    ):
        assert next(stream.iter_lines()) == "tick"
        for _ in range(3):
            server.process.send_signal(signal.SIGINT)
            time.sleep(0.3)
        server.process.wait(timeout=5)


@pytest.fixture
def parts(project: Path) -> Iterator[tuple[Any, Any]]:
    """The modules `shutdown` and `lifespan` of the project, in this process."""
    with imported(project, "main"):
        yield sys.modules["depot.core.shutdown"], sys.modules["depot.core.lifespan"]


def handlers() -> list[Any]:
    return [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]


def test_g6_handlers_are_as_they_were_after_each_run(parts: tuple[Any, Any]) -> None:
    shutdown, lifespan = parts
    before = handlers()

    async def run() -> None:
        for _ in range(2):
            async with lifespan.managed_resources("app"):
                assert handlers() != before
                assert not shutdown.draining()
            assert not shutdown.draining()

    for _ in range(3):
        asyncio.run(run())
        assert handlers() == before


def test_g6_one_that_somebody_else_has_put_in_stays(parts: tuple[Any, Any]) -> None:
    shutdown, _ = parts
    before = handlers()

    def theirs(_number: int, _frame: object) -> None:
        pass

    async def run() -> None:
        with shutdown.announced_shutdown():
            signal.signal(signal.SIGTERM, theirs)

    try:
        asyncio.run(run())
        assert handlers() == [before[0], theirs]
    finally:
        signal.signal(signal.SIGTERM, before[1])


def test_g6_one_that_ignores_a_signal_stays(parts: tuple[Any, Any]) -> None:
    shutdown, _ = parts
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)

    async def run() -> None:
        with shutdown.announced_shutdown():
            signal.raise_signal(signal.SIGINT)
            await asyncio.sleep(0.05)
            assert not shutdown.draining()

    try:
        asyncio.run(run())
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_g6_in_a_thread_it_runs_without_signals(project: Path) -> None:
    before = handlers()
    found: list[Any] = []

    def work() -> None:
        with imported(project, "main") as main:
            lifespan = main.app.router.lifespan_context

            async def run() -> None:
                async with lifespan(main.app):
                    found.append(handlers())

            asyncio.run(run())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [before]


def test_g6_a_reload_ends_and_starts_it(project: Path) -> None:
    with served("uvicorn1", project, arguments=["--reload"]) as server:
        path = project / "depot/db.py"
        path.write_text("")
        deadline = time.monotonic() + 20
        while server.output().count("startup complete") < 2 and time.monotonic() < deadline:
            time.sleep(0.2)
            path.write_text(f"# {time.monotonic()}\n")
        assert "CLOSED" in server.output()
        assert "Traceback" not in server.output()


def test_g7_a_start_that_fails_takes_everything_back(parts: tuple[Any, Any]) -> None:
    _, lifespan = parts
    before = handlers()

    async def run() -> None:
        async with lifespan.managed_resources("app"):
            raise OSError

    for _ in range(2):
        with pytest.raises(OSError):
            asyncio.run(run())
        assert handlers() == before


def test_g8_on_windows_the_break_key_is_there_instead(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with imported(project, "main"):
        assert sys.modules["depot.core.shutdown"].SIGNALS == (signal.SIGINT, signal.SIGTERM)  # type: ignore[attr-defined]
    monkeypatch.setattr(signal, "SIGBREAK", signal.SIGUSR1, raising=False)
    with imported(project, "main"):
        assert sys.modules["depot.core.shutdown"].SIGNALS == (signal.SIGINT, signal.SIGUSR1)  # type: ignore[attr-defined]


def test_a_stream_ends_with_its_last_item_its_error_or_its_reader(parts: tuple[Any, Any]) -> None:
    shutdown, _ = parts
    closed = []

    async def some(error: bool = False) -> Any:
        try:
            yield 1
            yield 2
            if error:
                raise LookupError
        finally:
            closed.append(1)

    async def never() -> Any:
        try:
            await asyncio.sleep(60)
            yield 1
        finally:
            closed.append(1)

    async def run() -> None:
        with shutdown.announced_shutdown():
            assert [item async for item in shutdown.until_stopping(some())] == [1, 2]
            with pytest.raises(LookupError):
                [item async for item in shutdown.until_stopping(some(error=True))]
            stream = shutdown.until_stopping(never())
            reading = asyncio.create_task(anext(stream))
            await asyncio.sleep(0.05)
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            assert len(closed) == 3
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(run())


@pytest.mark.parametrize(
    "start", ["", "\n\n@app.on_event('shutdown')\nasync def stop() -> None:\n    print('STOPPED', flush=True)\n"]
)
def test_it_goes_into_applications_with_handlers_too(tmp_path: Path, start: str) -> None:
    main = made()["depot/main.py"].decode() + start
    write(tmp_path, made("health", "shutdown", more={"depot/main.py": main}))
    with served("uvicorn1", tmp_path, drain=1.5) as server, httpx.Client(base_url=server.url) as client:
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert status(client, READY) == 503
        client.close()
        waited(server)
        assert ("STOPPED" in server.output()) is bool(start)


def test_handlers_of_the_users_own_are_by_hand() -> None:
    files = made()
    files["depot/main.py"] += b"\nimport signal\n\nsignal.signal(signal.SIGTERM, print)\n"
    (refusal,) = memory.planned(files, Request(add=("shutdown",))).refusals
    assert refusal.code == "already-by-hand"
