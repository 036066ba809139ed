# From laterctl: security-headers.
"""Every response has the security headers, and a route may set its own."""

import asyncio

import pytest
from fastapi import FastAPI, HTTPException, status
from fastapi.responses import PlainTextResponse, RedirectResponse
from httpx import ASGITransport, AsyncClient, Response
from starlette.middleware.cors import CORSMiddleware

from order_service.core.error_boundary import ErrorBoundary
from order_service.core.security_headers import (
    SecurityHeadersConfig,
    SecurityHeadersMiddleware,
)

ORIGIN = 'https://app.example.com'
EXPECTED = {
    'Cache-Control': 'no-store',
    'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Referrer-Policy': 'no-referrer',
    'X-Content-Type-Options': 'nosniff',
    'X-Frame-Options': 'DENY',
}
HSTS = 'Strict-Transport-Security'


def build_app(config: SecurityHeadersConfig) -> FastAPI:
    app = FastAPI()

    @app.get('/number/{number}')
    async def number(number: int) -> int:
        return number

    @app.get('/empty', status_code=status.HTTP_204_NO_CONTENT)
    async def empty() -> None:
        pass

    @app.get('/same')
    async def same() -> PlainTextResponse:
        return PlainTextResponse(status_code=status.HTTP_304_NOT_MODIFIED)

    @app.get('/moved')
    async def moved() -> RedirectResponse:
        return RedirectResponse('/number/1')

    @app.get('/status/{code}')
    async def fail(code: int) -> None:
        raise HTTPException(code)

    @app.get('/boom')
    async def boom() -> None:
        raise RuntimeError

    @app.get('/own')
    async def own() -> PlainTextResponse:
        headers = {'Cache-Control': 'private', 'X-Frame-Options': 'SAMEORIGIN'}
        return PlainTextResponse('', headers=headers)

    app.add_middleware(ErrorBoundary)
    app.add_middleware(CORSMiddleware, allow_origins=[ORIGIN])
    app.add_middleware(SecurityHeadersMiddleware, config=config)
    return app


def call(
    path: str,
    *,
    url: str = 'http://api.example.com',
    method: str = 'GET',
    headers: dict[str, str] | None = None,
    config: SecurityHeadersConfig | None = None,
) -> Response:
    app = build_app(config or SecurityHeadersConfig())

    async def send() -> Response:
        transport = ASGITransport(app=app, raise_app_exceptions=False)
        async with AsyncClient(transport=transport, base_url=url) as client:
            return await client.request(method, path, headers=headers)

    return asyncio.run(send())


@pytest.mark.parametrize(
    ('path', 'code'),
    [
        ('/number/1', 200),
        ('/empty', 204),
        ('/same', 304),
        ('/moved', 307),
        ('/status/401', 401),
        ('/nowhere', 404),
        ('/number/many', 422),
        ('/status/429', 429),
        ('/boom', 500),
    ],
)
def test_each_header_is_there_once(path: str, code: int) -> None:
    response = call(path)

    assert response.status_code == code
    for name, value in EXPECTED.items():
        assert response.headers.get_list(name) == [value]
    assert 'camera=()' in response.headers['Permissions-Policy']
    assert 'X-XSS-Protection' not in response.headers
    assert HSTS not in response.headers


def test_a_preflight_has_them_too() -> None:
    headers = {'Origin': ORIGIN, 'Access-Control-Request-Method': 'GET'}

    response = call('/number/1', method='OPTIONS', headers=headers)

    # What CORS lets another origin read, that origin may also embed.
    shared = {'Cross-Origin-Resource-Policy': 'cross-origin'}
    for name, value in {**EXPECTED, **shared}.items():
        assert response.headers.get_list(name) == [value]


def test_what_a_route_sets_wins() -> None:
    response = call('/own')

    assert response.headers.get_list('Cache-Control') == ['private']
    assert response.headers.get_list('X-Frame-Options') == ['SAMEORIGIN']
    assert response.headers['X-Content-Type-Options'] == 'nosniff'


def test_hsts_on_https_only() -> None:
    week = SecurityHeadersConfig(hsts_seconds=604800)
    off = SecurityHeadersConfig(hsts_seconds=0)
    url = 'https://api.example.com'

    assert HSTS not in call('/number/1', config=week).headers
    assert HSTS not in call('/number/1', config=off, url=url).headers
    response = call('/number/1', config=week, url=url)
    assert response.headers[HSTS] == 'max-age=604800'


def test_the_docs_may_load_their_scripts() -> None:
    policy = call('/docs').headers['Content-Security-Policy']

    assert "script-src 'unsafe-inline' https://cdn.jsdelivr.net" in policy
    assert call('/nowhere').headers['Content-Security-Policy'] != policy
