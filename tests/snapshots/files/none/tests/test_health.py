# From laterctl: health.
"""The application is alive and says whether it is ready, and no more."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from httpx import ASGITransport, AsyncClient, Response

from order_service.core import health
from order_service.core.routing import PROBE_PATHS
from order_service.main import app

LIVE, READY = '/health/live', '/health/ready'
SECRET = 'postgresql://user:hush@db'
Probe = Callable[[], Coroutine[Any, Any, object]]

application = app


def get(path: str) -> Response:
    async def run() -> Response:
        transport = ASGITransport(app=application)
        async with AsyncClient(
            transport=transport,
            base_url='http://test',
        ) as client:
            return await client.get(path)

    return asyncio.run(run())


async def fail() -> None:
    raise RuntimeError(SECRET)


async def hang() -> None:
    await asyncio.sleep(60)


async def answer() -> None:
    pass


@pytest.fixture
def checked(
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., tuple[int, str]]:
    def ask(
        probe: Probe,
        *,
        critical: bool = True,
    ) -> tuple[int, str]:
        check = health.Check('probe', probe, critical, timeout=0.05)
        monkeypatch.setattr(health, 'CHECKS', [check])
        monkeypatch.setattr(health, 'NOT_READY', [])
        response = get(READY)
        assert 'hush' not in response.text
        return response.status_code, response.json()['checks']['probe']['status']

    return ask


def test_it_is_alive_whatever_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(health, 'CHECKS', [health.Check('probe', hang)])
    assert get(LIVE).status_code == 200
    assert get(LIVE).headers['cache-control'] == 'no-store'


def test_it_is_ready_when_what_it_needs_answers(
    checked: Callable[..., tuple[int, str]],
) -> None:
    assert checked(answer) == (200, 'pass')
    assert checked(fail) == (503, 'fail')
    assert checked(hang) == (503, 'timeout')
    assert checked(fail, critical=False) == (200, 'fail')


def test_the_paths_are_those_of_probes() -> None:
    assert {LIVE, READY} <= set(PROBE_PATHS)
    assert LIVE not in application.openapi()['paths']
