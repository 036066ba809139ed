# From laterctl: resources.
"""One HTTP client and one Redis client for each run of the application.

The parts that talk to Redis need TEST_REDIS_URL; they only read.
"""

import asyncio
import os

import pytest
from fastapi import APIRouter, FastAPI
from httpx import ASGITransport, AsyncClient

from order_service.api.clients import HttpClientDep, RedisDep
from order_service.core import http_client, redis
from order_service.core.lifespan import ManagedResources

TEST_REDIS_URL = os.environ.get('TEST_REDIS_URL', '')

needs_redis = pytest.mark.skipif(
    not TEST_REDIS_URL,
    reason='TEST_REDIS_URL names no Redis server',
)

router = APIRouter()


@router.get('/http/async')
async def http_async(client: HttpClientDep) -> int:
    """Tell which client a coroutine gets."""
    return id(client)


@router.get('/http/sync')
def http_sync(client: HttpClientDep) -> int:
    """Tell which client a function gets."""
    return id(client)


@router.get('/redis/async')
async def redis_async(client: RedisDep) -> int:
    """Tell which client a coroutine gets."""
    return id(client)


@router.get('/redis/sync')
def redis_sync(client: RedisDep) -> int:
    """Tell which client a function gets."""
    return id(client)


def _app(resources: ManagedResources) -> FastAPI:
    app = FastAPI(lifespan=resources.run)
    app.include_router(router)
    return app


async def _ids(app: FastAPI, kind: str) -> set[int]:
    """Return the clients that many requests at once were given."""
    transport = ASGITransport(app=app)
    async with AsyncClient(transport=transport, base_url='http://test') as api:
        answers = await asyncio.gather(
            *(api.get(f'/{kind}/{form}') for form in ('async', 'sync') * 10),
        )
    return {int(answer.text) for answer in answers}


@pytest.fixture
def resources(monkeypatch: pytest.MonkeyPatch) -> ManagedResources:
    """Return the closers of this test alone."""
    own = ManagedResources()
    for module in (http_client, redis):
        monkeypatch.setattr(module, '_built', [])
        monkeypatch.setattr(module, 'on_shutdown', own.on_shutdown)
    config = redis.RedisConfig(url=TEST_REDIS_URL)
    monkeypatch.setattr(redis, 'redis_config', lambda: config)
    return own


def test_requests_share_one_http_client_until_the_app_stops(
    resources: ManagedResources,
) -> None:
    """Coroutines and functions get the same one; it closes with the app."""

    async def run() -> AsyncClient:
        app = _app(resources)
        async with app.router.lifespan_context(app):
            client = http_client.get_http_client()
            assert await _ids(app, 'http') == {id(client)}
            assert not client.is_closed
        assert client.is_closed
        return client

    assert asyncio.run(run()) is not asyncio.run(run())


@needs_redis
def test_requests_share_one_redis_client(resources: ManagedResources) -> None:
    """Coroutines and functions get the same one, in each of two runs."""

    async def run() -> None:
        app = _app(resources)
        async with app.router.lifespan_context(app):
            client = redis.get_redis()
            assert await _ids(app, 'redis') == {id(client)}
            assert await client.client_id()  # pyright: ignore[reportUnknownMemberType]

    asyncio.run(run())
    asyncio.run(run())


@needs_redis
def test_the_redis_connection_ends_with_the_app(
    resources: ManagedResources,
) -> None:
    """The server no longer lists the connection that the app had open."""

    async def run() -> None:
        app = _app(resources)
        async with app.router.lifespan_context(app):
            ours = await redis.get_redis().client_id()  # pyright: ignore[reportUnknownMemberType]
        other = redis.build_redis(redis.redis_config())
        try:
            listed = await other.client_list()  # pyright: ignore[reportUnknownMemberType]
        finally:
            await other.aclose()
        assert str(ours) not in {entry['id'] for entry in listed}

    asyncio.run(run())
