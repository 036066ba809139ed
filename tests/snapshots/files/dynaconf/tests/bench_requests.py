# From laterctl: bench.
"""How long a request takes, route by route.

A run of all tests leaves it out: pytest tests/bench_requests.py

What is measured is the application in this process, with a client beside it
and no network in between.
"""

from collections.abc import Callable, Iterator
from functools import partial

import pytest
from anyio import move_on_after
from anyio.from_thread import start_blocking_portal
from httpx2 import ASGITransport, AsyncClient

from order_service.main import app

LONGEST_SECONDS = 10

application = app
# What can be asked for without anything else.
PATHS = [
    path
    for path, methods in application.openapi()['paths'].items()
    if 'get' in methods and '{' not in path
]


@pytest.fixture(scope='module')
def ask() -> Iterator[Callable[[str], int]]:
    """Ask the application, which has been started, for its status."""
    transport = ASGITransport(app=application, raise_app_exceptions=False)
    client = AsyncClient(transport=transport, base_url='http://test')

    async def get(path: str) -> int:
        with move_on_after(LONGEST_SECONDS):
            return (await client.get(path)).status_code
        return 0

    lifespan = application.router.lifespan_context(application)
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(lifespan),
    ):
        yield partial(portal.call, get)


@pytest.mark.parametrize('path', PATHS)
def test_a_request(
    path: str,
    ask: Callable[[str], int],
    benchmark: Callable[..., int],
) -> None:
    if ask(path) // 100 != 2:
        pytest.skip('what fails, or takes too long, says nothing')
    assert benchmark(ask, path) // 100 == 2
