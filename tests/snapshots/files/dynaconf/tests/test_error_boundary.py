# From laterctl: errors.
"""Unexpected exceptions are answered from inside of the other middleware."""

import asyncio

import pytest
from fastapi import FastAPI
from httpx2 import ASGITransport, AsyncClient, Response

from order_service.core.error_boundary import ErrorBoundary
from order_service.main import app

application: FastAPI = app
failing = FastAPI()
failing.add_middleware(ErrorBoundary)


@failing.get('/')
async def fail() -> None:
    message = 'not for clients'
    raise RuntimeError(message)


def get(*, raises: bool) -> Response:
    async def run() -> Response:
        transport = ASGITransport(app=failing, raise_app_exceptions=raises)
        async with AsyncClient(
            transport=transport,
            base_url='http://test',
        ) as client:
            return await client.get('/')

    return asyncio.run(run())


def test_the_application_has_it() -> None:
    classes: list[object] = [item.cls for item in application.user_middleware]

    assert classes.count(ErrorBoundary) == 1


def test_an_exception_is_answered_without_its_text() -> None:
    response = get(raises=False)

    assert response.status_code == 500
    assert 'json' in response.headers['Content-Type']
    assert 'not for clients' not in response.text


def test_it_is_raised_again() -> None:
    with pytest.raises(RuntimeError, match='not for clients'):
        get(raises=True)
