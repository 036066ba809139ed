# From laterctl: redis.
"""The Redis client is built without a server and closed with the app."""

import asyncio
from http import HTTPStatus

import pytest
from fastapi import FastAPI

from order_service.core import redis
from order_service.core.lifespan import ManagedResources

NOWHERE = 'redis://localhost:1/0'
SETTING = 'APP_REDIS_URL'


def _use(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    config = redis.RedisConfig(url=url)
    monkeypatch.setattr(redis, 'redis_url', lambda: url)
    monkeypatch.setattr(redis, 'redis_config', lambda: config)


def test_without_a_url_it_names_the_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Asking for the client raises; a request answers 503."""
    _use(monkeypatch, '')
    monkeypatch.setattr(redis, '_built', [])
    with pytest.raises(redis.RedisNotConfigured, match=SETTING) as raised:
        redis.get_redis()
    assert raised.value.status_code == HTTPStatus.SERVICE_UNAVAILABLE


def test_a_wrong_url_is_not_repeated() -> None:
    """The message names the setting and keeps the password."""
    config = redis.RedisConfig(url='redis://:hush@localhost:hush/0')
    with pytest.raises(ValueError, match=SETTING) as raised:
        redis.build_redis(config)
    assert 'hush' not in str(raised.value)
    assert 'hush' not in repr(config)


def test_each_run_has_its_own_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run has one client; it is forgotten when the app stops."""
    _use(monkeypatch, NOWHERE)
    resources = ManagedResources()
    monkeypatch.setattr(redis, '_built', [])
    monkeypatch.setattr(redis, 'on_shutdown', resources.on_shutdown)
    app = FastAPI(lifespan=resources.run)

    async def run() -> object:
        async with app.router.lifespan_context(app):
            client = redis.get_redis()
            assert redis.get_redis() is client
            return client

    assert asyncio.run(run()) is not asyncio.run(run())
