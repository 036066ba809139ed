# From laterctl: metrics.
"""Each request is counted once, under the template of its route.

The first test is the alarm for a FastAPI that keeps its routes in a new way.
"""

import asyncio

import pytest
from fastapi import APIRouter, FastAPI
from httpx2 import ASGITransport, AsyncClient, Response

from order_service.core.metrics import HTTP, MetricsMiddleware
from order_service.core.routing import route_template
from order_service.main import app

application: FastAPI = app
items = APIRouter(prefix='/items')
nested = APIRouter(prefix='/api')
mounted = FastAPI()
app = FastAPI()
app.add_middleware(MetricsMiddleware)


@items.get('/{item_id}')
async def read(item_id: int) -> int:
    return 1 // item_id


nested.include_router(items)
mounted.include_router(nested)
app.include_router(nested)
app.mount('/of/{tenant}', mounted)


def call(app: FastAPI, method: str, path: str) -> Response:
    async def run() -> Response:
        transport = ASGITransport(app=app, raise_app_exceptions=False)
        async with AsyncClient(
            transport=transport,
            base_url='http://test',
        ) as client:
            return await client.request(method, path)

    return asyncio.run(run())


@pytest.mark.parametrize(
    ('method', 'path', 'route', 'status'),
    [
        ('GET', '/api/items/7', '/api/items/{item_id}', 200),
        ('GET', '/api/items/x', '/api/items/{item_id}', 422),
        ('POST', '/api/items/7', '/api/items/{item_id}', 405),
        ('GET', '/api/items/0', '/api/items/{item_id}', 500),
        ('GET', '/of/a/api/items/7', '/of/{tenant}/api/items/{item_id}', 200),
        ('GET', '/of/a/nothing', '<unmatched>', 404),
    ],
)
def test_the_template_is_whole(
    method: str,
    path: str,
    route: str,
    status: int,
) -> None:
    name = 'http_server_requests_total'
    labels = {'method': method, 'route': route, 'status': str(status)}
    before = HTTP.get_sample_value(name, labels) or 0

    assert call(app, method, path).status_code == status
    assert HTTP.get_sample_value(name, labels) == before + 1


def test_the_application_has_it() -> None:
    scope = {'type': 'http', 'method': 'GET', 'path': '/metrics'}
    classes: list[object] = [item.cls for item in application.user_middleware]

    assert classes.count(MetricsMiddleware) == 1
    assert route_template({**scope, 'app': application}) == '/metrics'
    assert '/metrics' not in application.openapi()['paths']
