"""Real servers for tests: each on a free loopback port, ready when the block is entered, gone when it is left.

A user's machine without `redis-server` skips; CI (environment variable `CI` set) fails instead.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

LOOPBACK = "127.0.0.1"
START_TIMEOUT = 60.0
"""Seconds a server may take to answer for the first time; generous, for machines that are shared."""


@dataclass
class Server:
    """A running server: `url` to reach it, its `process`, and the file `log` with everything it printed."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def output(self) -> str:
        """Return what the server has printed so far."""
        return self.log.read_text(errors="replace")

    def pause(self) -> None:
        """Stop the process without closing its connections: clients see a stall, not a refusal."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused process go on."""
        self.process.send_signal(signal.SIGCONT)

    @property
    def port(self) -> int:
        """The port of the `url`."""
        return urlsplit(self.url).port or 0

    def stop(self) -> None:
        """End the server and its children. Stopping twice is fine."""
        end(self.process)


@contextmanager
def redis_server(port: int = 0) -> Iterator[Server]:
    """Run an empty `redis-server` that keeps nothing on disk; `url` is `redis://127.0.0.1:PORT/0`.

    With a `port` it comes back where another one was.
    """
    program = shutil.which("redis-server")
    if program is None:
        missing("redis-server is not installed")
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:

        def command(port: int) -> list[str]:
            options = ["--bind", LOOPBACK, "--port", str(port), "--save", "", "--appendonly", "no", "--dir", folder]
            return [str(program), *options]

        yield from _running(command, Path(folder), dict(os.environ), "redis://{}:{}/0", _redis_answers, port=port)


@contextmanager
def uvicorn_server(
    app: str, cwd: Path, env: Mapping[str, str] | None = None, workers: int = 1, arguments: Sequence[str] = ()
) -> Iterator[Server]:
    """Run `uvicorn APP` in folder `cwd`, with `env` added to this process's environment; `url` has no final slash.

    It is ready when it has answered any HTTP request, whatever the status.
    """

    def command(port: int) -> list[str]:
        where = ["--host", LOOPBACK, "--port", str(port), "--workers", str(workers)]
        return [sys.executable, "-m", "uvicorn", app, *where, *arguments]

    with http_server(command, cwd, env) as server:
        yield server


@contextmanager
def http_server(
    command: Callable[[int], list[str]], cwd: Path, env: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Run what `command` gives for a port, as `uvicorn_server` does."""
    with tempfile.TemporaryDirectory(prefix="server-") as folder:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})}
        yield from _running(command, Path(folder), environment, "http://{}:{}", _http_answers, cwd=cwd)


def free_port() -> int:
    """Return a loopback TCP port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
    return port


def missing(reason: str) -> None:
    """Skip the test because a server is not installed; fail it on CI, which must have them all."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process started with a session of its own, and all its children: politely, then not."""
    for name in (signal.SIGCONT, signal.SIGTERM):
        _signal_group(process, name)
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=10)
    _signal_group(process, signal.SIGKILL)
    process.wait(timeout=10)


def _signal_group(process: subprocess.Popen[bytes], name: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, name)


def _running(
    command: Callable[[int], list[str]],
    folder: Path,
    environment: dict[str, str],
    url: str,
    answers: Callable[[int], bool],
    cwd: Path | None = None,
    port: int = 0,
) -> Iterator[Server]:
    server = _started(command, folder, environment, url, answers, cwd or folder, port)
    try:
        yield server
    except BaseException:
        sys.stderr.write(f"--- output of {server.process.args!r}\n{server.output()}\n")
        raise
    finally:
        server.stop()


def _started(
    command: Callable[[int], list[str]],
    folder: Path,
    environment: dict[str, str],
    url: str,
    answers: Callable[[int], bool],
    cwd: Path,
    wanted: int,
) -> Server:
    # Another process may take the free port before the server binds it: a few tries, each on a port of its own.
    for attempt in range(3):
        port = wanted or free_port()
        log = folder / f"output-{attempt}.log"
        with log.open("wb") as sink:
            process = subprocess.Popen(
                command(port), cwd=cwd, env=environment, stdout=sink, stderr=sink, start_new_session=True
            )
        server = Server(url.format(LOOPBACK, port), process, log)
        try:
            ready = _wait(answers, port, process)
        except BaseException:
            server.stop()
            raise
        if ready:
            return server
        server.stop()
        if "in use" not in server.output():
            break
    pytest.fail(f"the server did not start: {process.args!r}\n{server.output()}")


def _wait(answers: Callable[[int], bool], port: int, process: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline and process.poll() is None:
        if answers(port):
            return True
        time.sleep(0.05)
    return False


def _redis_answers(port: int) -> bool:
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def _http_answers(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://{LOOPBACK}:{port}/", timeout=5).close()
    except urllib.error.HTTPError as error:
        error.close()
    except OSError:
        return False
    return True
