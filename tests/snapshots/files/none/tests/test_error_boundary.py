# From laterctl: errors.
"""Unhandled exceptions are answered from inside of the middleware."""

import asyncio
import logging

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from httpx import ASGITransport, AsyncClient, Response
from starlette.middleware.cors import CORSMiddleware

from order_service.core.error_boundary import ErrorBoundary

ORIGIN = 'https://app.example.com'


def build_app() -> FastAPI:
    app = FastAPI()

    @app.get('/boom')
    async def boom() -> None:
        message = 'not for clients'
        raise RuntimeError(message)

    app.add_middleware(ErrorBoundary)
    app.add_middleware(CORSMiddleware, allow_origins=[ORIGIN])
    return app


def get_boom(app: FastAPI, *, raises: bool = False) -> Response:
    async def get() -> Response:
        transport = ASGITransport(app=app, raise_app_exceptions=raises)
        async with AsyncClient(
            transport=transport,
            base_url='http://test',
            headers={'Origin': ORIGIN},
        ) as client:
            return await client.get('/boom')

    return asyncio.run(get())


def test_the_answer_passes_the_outer_middleware() -> None:
    response = get_boom(build_app())

    assert response.status_code == 500
    assert response.headers['Access-Control-Allow-Origin'] == ORIGIN
    assert 'json' in response.headers['Content-Type']
    assert 'not for clients' not in response.text


def test_the_exception_is_raised_again() -> None:
    with pytest.raises(RuntimeError, match='not for clients'):
        get_boom(build_app(), raises=True)


def test_a_handler_of_your_own_answers_instead(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = build_app()
    calls: list[Exception] = []

    @app.exception_handler(Exception)
    async def handle(_request: Request, error: Exception) -> JSONResponse:
        calls.append(error)
        return JSONResponse({'sorry': True}, status_code=500)

    with caplog.at_level(logging.ERROR):
        response = get_boom(app, raises=True)

    assert response.json() == {'sorry': True}
    assert response.headers['Access-Control-Allow-Origin'] == ORIGIN
    assert [str(error) for error in calls] == ['not for clients']
    assert len([line for line in caplog.records if line.exc_info]) == 1
