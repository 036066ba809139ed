# From laterctl: redis.
"""The Redis client is built without a server."""

import asyncio

import pytest
from pydantic import SecretStr
from redis.exceptions import ConnectionError as RedisConnectionError

from order_service.core import redis

URL = 'redis://:hush@localhost:hush/0'
SETTING = 'APP_REDIS_URL'


def test_without_a_url_a_command_names_the_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It fails as if the server were down."""
    defaults = redis.RedisSettings.model_construct
    monkeypatch.setattr(redis, 'RedisSettings', defaults)

    async def ping() -> None:
        async with redis.build_redis() as client:
            await client.ping()  # pyright: ignore[reportUnknownMemberType]

    with pytest.raises(RedisConnectionError, match=SETTING):
        asyncio.run(ping())


def test_a_wrong_url_is_not_repeated() -> None:
    """The message names the setting and keeps the password."""
    with pytest.raises(ValueError, match=SETTING) as raised:
        redis.RedisSettings(redis_url=SecretStr(URL))
    assert 'hush' not in str(raised.value)
