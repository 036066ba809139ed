# From laterctl: resources.
"""One HTTP client and one Redis client for each run of the application.

What talks to Redis needs TEST_REDIS_URL; it only reads.
"""

import asyncio
import os
from http import HTTPStatus

import pytest
from fastapi import APIRouter, FastAPI
from httpx2 import ASGITransport, AsyncClient
from pydantic import SecretStr

from order_service.api.clients import HttpClientDep, RedisDep
from order_service.core import redis
from order_service.core.lifespan import managed_resources

TEST_REDIS_URL = os.environ.get('TEST_REDIS_URL', '')

router = APIRouter()
seen: list[AsyncClient] = []


@router.get('/coroutine')
async def coroutine(client: HttpClientDep) -> bool:
    """Note the client that a coroutine gets."""
    seen.append(client)
    return client.is_closed


@router.get('/function')
def function(client: HttpClientDep) -> bool:
    """Note the client that a function gets."""
    seen.append(client)
    return client.is_closed


@router.get('/ping')
async def ping(client: RedisDep) -> bool:
    """Ask the server."""
    return bool(await client.ping())  # pyright: ignore[reportUnknownMemberType]


def answers(*paths: str) -> list[tuple[int, str]]:
    """Return what an application answers in one run of its own."""
    app = FastAPI(lifespan=managed_resources)
    app.include_router(router)

    async def run() -> list[tuple[int, str]]:
        transport = ASGITransport(app=app)
        async with (
            app.router.lifespan_context(app),
            AsyncClient(transport=transport, base_url='http://test') as api,
        ):
            found = [await api.get(path) for path in paths]
            return [(answer.status_code, answer.text) for answer in found]

    return asyncio.run(run())


def test_requests_share_one_http_client_until_the_application_stops() -> None:
    """Another run has another one."""
    seen.clear()
    for _ in range(2):
        found = answers('/coroutine', '/function')
        assert found == [(HTTPStatus.OK, 'false')] * 2
    assert all(client.is_closed for client in seen)
    assert [seen.index(client) for client in seen] == [0, 0, 2, 2]


def test_without_redis_only_what_needs_it_answers_503(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The application starts, and other routes answer."""
    defaults = redis.RedisSettings.model_construct
    monkeypatch.setattr(redis, 'RedisSettings', defaults)
    found = [status for status, _ in answers('/ping', '/coroutine')]
    assert found == [HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.OK]


@pytest.mark.skipif(not TEST_REDIS_URL, reason='TEST_REDIS_URL is not set')
def test_requests_reach_redis_in_each_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The second run has another event loop."""
    settings = redis.RedisSettings(redis_url=SecretStr(TEST_REDIS_URL))
    monkeypatch.setattr(redis, 'RedisSettings', lambda: settings)
    for _ in range(2):
        assert answers('/ping') == [(HTTPStatus.OK, 'true')]
