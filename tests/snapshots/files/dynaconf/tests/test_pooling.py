# From laterctl: pooling.
"""Engines get their pool, and the application answers 503 without one."""

import asyncio
from typing import Any

import pytest
from fastapi import Request
from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import NullPool

from order_service.core.pooling import (
    DatabaseUnavailableError,
    PoolSettings,
    PoolTimeoutError,
    pooled,
)
from order_service.main import app

application = app


def options_of(url: str, **given: object) -> dict[str, object]:
    """Return the options that an engine is made with."""
    found: dict[str, object] = {}

    def create(_url: str, **options: object) -> Engine:
        found.update(options)
        return create_engine('sqlite://')

    pooled(create)(url, **given)
    return found


def test_a_server_gets_a_bounded_pool() -> None:
    options = options_of('postgresql://db/app', echo=True)
    assert options['pool_size'] == PoolSettings().db_pool_size
    assert options['pool_pre_ping']
    assert options['echo']


def test_given_options_win() -> None:
    assert options_of('postgresql://db/app', pool_size=50)['pool_size'] == 50
    given = {'poolclass': NullPool}
    assert options_of('postgresql://db/app', **given) == given


def test_sqlite_is_left_as_it_is() -> None:
    assert options_of('sqlite://') == {}


@pytest.mark.parametrize(
    'error',
    [DatabaseUnavailableError(None, None, OSError()), PoolTimeoutError()],
)
def test_without_a_connection_the_answer_is_503(error: Exception) -> None:
    scope: dict[str, Any] = {
        'type': 'http',
        'app': application,
        'method': 'GET',
        'path': '/',
        'headers': [],
        'query_string': b'',
        'state': {},
    }
    handler: Any = application.exception_handlers[type(error)]
    response = asyncio.run(handler(Request(scope), error))
    assert response.status_code == 503
    assert response.headers['retry-after'] == '1'
