# From laterctl: cors.
"""Which web pages may call the API from a browser."""

import asyncio

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient, Response

from order_service.core.cors import CorsMiddleware, CorsSettings
from order_service.main import app

ORIGIN = 'https://app.example.com'
ALLOWED = 'Access-Control-Allow-Origin'

application: FastAPI = app


def call(method: str, headers: dict[str, str]) -> Response:
    """Ask the application while one origin may call it."""
    settings = CorsSettings(cors_origins=(ORIGIN,), cors_origin_regex=None)
    app = CorsMiddleware(application, settings=settings)

    async def run() -> Response:
        transport = ASGITransport(app=app, raise_app_exceptions=False)
        async with AsyncClient(
            transport=transport,
            base_url='http://test',
        ) as client:
            return await client.request(method, '/no/such', headers=headers)

    return asyncio.run(run())


def test_the_application_has_it() -> None:
    classes: list[object] = [item.cls for item in application.user_middleware]

    assert classes.count(CorsMiddleware) == 1


def test_a_listed_origin_may_read_errors_too() -> None:
    headers = call('GET', {'Origin': ORIGIN}).headers

    assert headers[ALLOWED] == ORIGIN
    assert 'Origin' in headers['Vary']
    assert 'X-Request-ID' in headers['Access-Control-Expose-Headers']


@pytest.mark.parametrize(
    'origin',
    [
        'https://app.example.co',
        'https://app.example.com.evil.io',
        'https://evil-app.example.com',
        'https://app.example.com:8443',
        'http://app.example.com',
        'null',
    ],
)
def test_others_may_not(origin: str) -> None:
    assert ALLOWED not in call('GET', {'Origin': origin}).headers


@pytest.mark.parametrize('method', ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'])
def test_a_preflight_is_answered(method: str) -> None:
    asked = {
        'Origin': ORIGIN,
        'Access-Control-Request-Method': method,
        'Access-Control-Request-Headers': 'content-type',
    }

    response = call('OPTIONS', asked)

    assert response.status_code == 200
    assert response.headers[ALLOWED] == ORIGIN
