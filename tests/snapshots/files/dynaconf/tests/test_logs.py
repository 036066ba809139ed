# From laterctl: logging.
"""Each request is one line of strict JSON, without what is nobody's business."""

import asyncio
import json
import logging

import pytest
from fastapi import FastAPI
from httpx2 import ASGITransport, AsyncClient

from order_service.core.logs import (
    HANDLER,
    AccessLogMiddleware,
    LineFormatter,
    configure_logging,
)
from order_service.main import app

application: FastAPI = app


def lines(caplog: pytest.LogCaptureFixture, name: str) -> list[str]:
    """Return what the lines of a logger are."""
    write = LineFormatter().format
    return [write(each) for each in caplog.records if each.name == name]


def test_the_application_has_it() -> None:
    classes: list[object] = [item.cls for item in application.user_middleware]
    names = [each.get_name() for each in logging.getLogger().handlers]

    assert classes.count(AccessLogMiddleware) == 1
    assert names.count(HANDLER) == 1


def test_configuring_twice_is_configuring_once() -> None:
    before = len(logging.getLogger().handlers)
    configure_logging()

    assert len(logging.getLogger().handlers) == before


def test_a_request_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        transport = ASGITransport(app=application, raise_app_exceptions=False)
        async with AsyncClient(
            transport=transport,
            base_url='http://test',
        ) as client:
            await client.get('/no/such/path?token=hunter2')

    with caplog.at_level(logging.INFO):
        asyncio.run(run())

    [line] = lines(caplog, 'access')
    fields = json.loads(line)
    assert fields['event'] == 'request'
    assert fields['method'] == 'GET'
    assert fields['status'] >= 400
    assert 'hunter2' not in line


def test_an_exception_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    planted = 'hunter' + str(2)
    try:
        assert 1 // (len(planted) - 7)
    except ZeroDivisionError:
        extra = {'password': planted, 'number': float('nan')}
        logging.getLogger('test').exception('two\nlines', extra=extra)

    [line] = lines(caplog, 'test')
    fields = json.loads(line, parse_constant=pytest.fail)
    assert '\n' not in line
    assert planted not in line
    assert fields['exception'] == 'ZeroDivisionError'
    assert 'test_an_exception_is_one_line' in fields['traceback']
