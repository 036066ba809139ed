# From laterctl: cors.
"""Which web pages may call the API, and that errors reach them too."""

import asyncio

import pytest
from fastapi import FastAPI, HTTPException
from httpx import ASGITransport, AsyncClient, Response

from order_service.core.cors import CorsConfig, CorsMiddleware
from order_service.core.error_boundary import ErrorBoundary

ORIGIN = 'https://app.example.com'
ALLOWED = 'Access-Control-Allow-Origin'


def build_app(config: CorsConfig) -> FastAPI:
    app = FastAPI()

    @app.get('/number/{number}')
    async def number(number: int) -> int:
        return number

    @app.get('/status/{status}')
    async def fail(status: int) -> None:
        raise HTTPException(status)

    @app.get('/boom')
    async def boom() -> None:
        raise RuntimeError

    app.add_middleware(ErrorBoundary)
    app.add_middleware(CorsMiddleware, config=config)
    return app


def call(
    path: str,
    headers: dict[str, str],
    config: CorsConfig | None = None,
    method: str = 'GET',
) -> Response:
    app = build_app(config or CorsConfig(origins=(ORIGIN,), credentials=True))

    async def send() -> Response:
        transport = ASGITransport(app=app, raise_app_exceptions=False)
        async with AsyncClient(
            transport=transport,
            base_url='http://test',
        ) as client:
            return await client.request(method, path, headers=headers)

    return asyncio.run(send())


def test_a_listed_origin_is_echoed() -> None:
    response = call('/number/1', {'Origin': ORIGIN})

    assert response.headers[ALLOWED] == ORIGIN
    assert 'Origin' in response.headers['Vary']


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
def test_other_origins_are_not(origin: str) -> None:
    assert ALLOWED not in call('/number/1', {'Origin': origin}).headers


@pytest.mark.parametrize('method', ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'])
def test_preflight_allows_the_method(method: str) -> None:
    headers = {
        'Origin': ORIGIN,
        'Access-Control-Request-Method': method,
        'Access-Control-Request-Headers': 'authorization, content-type',
    }

    response = call('/nowhere', headers, method='OPTIONS')

    assert response.status_code == 200
    assert response.headers[ALLOWED] == ORIGIN


@pytest.mark.parametrize(
    ('path', 'status'),
    [
        ('/status/401', 401),
        ('/status/403', 403),
        ('/nowhere', 404),
        ('/number/many', 422),
        ('/status/429', 429),
        ('/boom', 500),
    ],
)
def test_errors_reach_the_page(path: str, status: int) -> None:
    response = call(path, {'Origin': ORIGIN})

    assert response.status_code == status
    assert response.headers[ALLOWED] == ORIGIN


def test_no_origins_no_headers() -> None:
    response = call('/number/1', {'Origin': ORIGIN}, CorsConfig())

    assert not [name for name in response.headers if 'access-control' in name]


@pytest.mark.parametrize(
    'entry',
    ['https://app.example.com/', 'app.example.com', 'null', '*'],
)
def test_a_wrong_entry_is_named(entry: str) -> None:
    setting = 'APP_CORS_ORIGINS'
    with pytest.raises(ValueError, match=setting) as caught:
        CorsConfig(origins=(entry,), credentials=True)

    assert repr(entry) in str(caught.value)
