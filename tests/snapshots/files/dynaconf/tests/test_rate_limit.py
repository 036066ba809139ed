# From laterctl: rate-limit.
"""How often clients may ask."""

import asyncio
import uuid

import pytest
from fastapi import APIRouter, FastAPI, HTTPException
from httpx2 import ASGITransport, AsyncClient, Response

from order_service.core.rate_limit import (
    Rate,
    RateLimitMiddleware,
    RateLimitSettings,
    limit,
)
from order_service.main import app

application: FastAPI = app
router = APIRouter(prefix='/test-rates', dependencies=[limit('5/minute')])


@router.get('/{number}')
async def answer(number: int) -> int:
    """Answer, or raise."""
    if not number:
        raise HTTPException(404)
    return number


def call(app: FastAPI, paths: list[str]) -> list[Response]:
    """Return what a new client is answered."""

    async def run() -> list[Response]:
        transport = ASGITransport(app=app, client=(uuid.uuid4().hex, 1))
        async with AsyncClient(
            transport=transport,
            base_url='http://test',
        ) as client:
            return [await client.get(path) for path in paths]

    return asyncio.run(run())


def limited(default: Rate | None = None) -> FastAPI:
    """Make an application of limited routes, with this application below."""
    app = FastAPI()
    settings = RateLimitSettings.model_construct(rate_limit_default=default)
    app.add_middleware(RateLimitMiddleware, settings=settings)
    app.include_router(router)
    app.mount('/', application)
    return app


def test_the_application_has_it() -> None:
    classes: list[object] = [item.cls for item in application.user_middleware]

    assert classes.count(RateLimitMiddleware) == 1


def test_a_route_answers_as_often_as_it_may() -> None:
    paths = [f'/test-rates/{number}' for number in (1, 0, 1, 1, 1, 1)]

    answers = call(limited(), paths)

    statuses = [answer.status_code for answer in answers]
    assert statuses == [200, 404, 200, 200, 200, 429]
    assert answers[-1].headers['Retry-After'] in {'11', '12'}
    assert answers[1].headers['RateLimit-Policy'] == '"default";q=5;w=60'
    assert answers[1].headers['RateLimit'].startswith('"default";r=3;t=')
    assert call(limited(), paths[:1])[0].status_code == 200


def test_each_client_has_a_limit_in_all() -> None:
    paths = ['/no/such', '/nor/this', '/no/such']

    answers = call(limited(Rate(2, 3600)), paths)

    refused = [answer.status_code == 429 for answer in answers]
    assert refused == [False, False, True]


@pytest.mark.parametrize('rate', ['', '5', '0/minute', '1/minute;10/hour'])
def test_a_text_that_is_no_rate_is_refused(rate: str) -> None:
    with pytest.raises(ValueError, match='no rate'):
        limit(rate)
