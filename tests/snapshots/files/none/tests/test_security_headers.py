# From laterctl: security-headers.
"""Responses of the application have the security headers."""

import asyncio

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient, Response

from order_service.core.security_headers import (
    SecurityHeadersMiddleware,
    SecurityHeadersSettings,
)
from order_service.main import app

HSTS = 'Strict-Transport-Security'

application: FastAPI = app


def get(url: str, app: FastAPI = application) -> Response:
    async def run() -> Response:
        transport = ASGITransport(app=app, raise_app_exceptions=False)
        async with AsyncClient(transport=transport) as client:
            return await client.get(url)

    return asyncio.run(run())


def test_the_application_has_it() -> None:
    classes: list[object] = [item.cls for item in application.user_middleware]

    assert classes.count(SecurityHeadersMiddleware) == 1


@pytest.mark.parametrize(
    'name',
    [
        'Cross-Origin-Opener-Policy',
        'Cross-Origin-Resource-Policy',
        'Permissions-Policy',
        'Referrer-Policy',
        'X-Content-Type-Options',
        'X-Frame-Options',
    ],
)
def test_an_error_has_each_header_once(name: str) -> None:
    assert len(get('http://test/no/such').headers.get_list(name)) == 1


def test_data_is_not_kept_and_documentation_may_load_its_scripts() -> None:
    app = FastAPI()
    settings = SecurityHeadersSettings(security_csp_report_only=False)
    app.add_middleware(SecurityHeadersMiddleware, settings=settings)
    data, page = get('http://test/no/such', app), get('http://test/docs', app)

    assert data.headers['Cache-Control'] == 'no-store'
    assert 'script-src' in page.headers['Content-Security-Policy']
    assert 'script-src' not in data.headers['Content-Security-Policy']


def test_https_is_insisted_on_over_https_only() -> None:
    app = FastAPI()
    settings = SecurityHeadersSettings(security_hsts_seconds=60)
    app.add_middleware(SecurityHeadersMiddleware, settings=settings)

    assert HSTS not in get('http://api.example.com/', app).headers
    assert 'max-age=60' in get('https://api.example.com/', app).headers[HSTS]
