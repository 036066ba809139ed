# From laterctl: e2e.
"""The application in a process of its own, for tests that ask it over HTTP.

A run of all tests leaves these out: pytest tests/e2e, or -m e2e.
With E2E_BASE_URL they ask an application that runs already.
"""

import base64
import os
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from httpx import Client

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
LOOPBACK = '127.0.0.1'
START_SECONDS = 60
STOP_SECONDS = 10
# What runs before the application starts, as python -m.
COMMANDS: list[str] = ['alembic upgrade head']
# What it is started with, where the environment has nothing of that name.
SETTINGS: list[str] = ['JWT_KEYS=e2e:{key}']

log_file = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line('markers', 'e2e: asks a running application')


def pytest_collection_modifyitems(
    config: pytest.Config,
    items: list[pytest.Item],
) -> None:
    """Mark the tests of this folder, and leave them out of other runs."""
    own = [item for item in items if item.path.is_relative_to(HERE)]
    for item in own:
        item.add_marker('e2e')
    paths = (Path(arg.partition('::')[0]).resolve() for arg in config.args)
    named = any(path.is_relative_to(HERE) for path in paths)
    if not named and 'e2e' not in str(config.getoption('markexpr')):
        items[:] = [item for item in items if item not in own]
        config.hook.pytest_deselected(items=own)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the application printed, where a test fails."""
    report = yield
    log = item.config.stash.get(log_file, None)
    if report.failed and log:
        printed = log.read_text(errors='replace')
        report.sections.append(('Application', printed))
    return report


@contextmanager
def running(
    command: list[str],
    environment: dict[str, str],
    log: Path,
) -> Generator[subprocess.Popen[bytes]]:
    """Run a module of Python, and end it, which must not take long."""
    with (
        log.open('ab') as output,
        subprocess.Popen(  # noqa: S603 - what stands in this file
            [sys.executable, '-m', *command],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=output,
        ) as process,
    ):
        try:
            yield process
            process.terminate()
            process.wait(STOP_SECONDS)
        finally:
            process.kill()


def is_up(process: subprocess.Popen[bytes], port: int) -> bool:
    """Wait until a server listens, or has ended."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError):
            socket.create_connection((LOOPBACK, port)).close()
            return True
        time.sleep(0.05)
    return False


@pytest.fixture(scope='session')
def server(
    pytestconfig: pytest.Config,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """Give the URL of the application, which is started first."""
    if url := os.environ.get('E2E_BASE_URL'):
        yield url
        return
    folder = tmp_path_factory.mktemp('e2e')
    pytestconfig.stash[log_file] = log = folder / 'log'
    key = base64.b64encode(os.urandom(64)).decode()
    lines = (line.format(folder=folder, key=key) for line in SETTINGS)
    given = dict(line.split('=', 1) for line in lines)
    roots = [str(ROOT / 'src'), os.environ.get('PYTHONPATH', '')]
    path = os.pathsep.join(filter(None, roots))
    environment = {**given, **os.environ, 'PYTHONPATH': path}
    for first in COMMANDS:
        with running(first.split(), environment, log) as process:
            assert process.wait(START_SECONDS) == 0, first
    with socket.create_server((LOOPBACK, 0)) as free:
        port = free.getsockname()[1]
    command = ['uvicorn', 'order_service.main:app', '--port', str(port)]
    with running(command, environment, log) as process:
        assert is_up(process, port), 'the application does not start'
        yield f'http://{LOOPBACK}:{port}'


@pytest.fixture
def client(server: str) -> Iterator[Client]:
    """Give a client of the application."""
    with Client(base_url=server, timeout=30) as client:
        yield client
