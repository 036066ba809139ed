# From laterctl: metrics.
"""Each request is counted once, under the template of its route.

The first test is the alarm for a FastAPI that keeps its routes in a new way.
"""

import asyncio
from http import HTTPStatus

import pytest
from fastapi import APIRouter, FastAPI, WebSocket
from fastapi.middleware.cors import CORSMiddleware
from httpx2 import ASGITransport, AsyncClient
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from starlette.types import Message, Receive, Scope, Send

from order_service.api.metrics import current_metrics, router
from order_service.core.metrics import Metrics, MetricsConfig, metrics_config
from order_service.core.metrics_middleware import MetricsMiddleware
from order_service.core.routing import route_template
from order_service.main import app

REQUESTS = 'http_server_requests_total'
OPENMETRICS = 'application/openmetrics-text; version=1.0.0'


async def _item(item_id: int) -> int:
    return item_id


async def _fail() -> None:
    message = 'on purpose'
    raise RuntimeError(message)


async def _greet(socket: WebSocket) -> None:
    await socket.accept()
    await socket.close()


def _app(metrics: Metrics, token: str = '') -> FastAPI:
    """Build an app with nested routers, a mounted app and the metrics."""
    items = APIRouter(prefix='/items')
    items.add_api_route('/{item_id}', _item)
    items.add_api_route('/broken/now', _fail)
    items.add_api_websocket_route('/socket', _greet)
    nested = APIRouter(prefix='/api')
    nested.include_router(items)
    mounted = FastAPI()
    mounted.include_router(nested, prefix='/v1')
    mounted.add_api_route('/direct/{item_id}', _item)
    app = FastAPI(title='shop', version='1.2.3')
    app.include_router(router)
    app.include_router(nested)
    app.mount('/of/{tenant}', mounted)
    app.add_middleware(CORSMiddleware, allow_origins=['https://a.example'])
    app.add_middleware(MetricsMiddleware, metrics=metrics)
    app.dependency_overrides[current_metrics] = lambda: metrics
    app.dependency_overrides[metrics_config] = lambda: MetricsConfig(token)
    return app


def _request(
    app: FastAPI,
    path: str,
    method: str = 'GET',
    headers: dict[str, str] | None = None,
) -> tuple[int, str, str]:
    """Return the status, media type and text of a response."""

    async def run() -> tuple[int, str, str]:
        transport = ASGITransport(app, raise_app_exceptions=False)
        async with AsyncClient(
            transport=transport,
            base_url='http://test',
        ) as client:
            response = await client.request(method, path, headers=headers)
        media_type = response.headers.get('content-type', '')
        return response.status_code, media_type, response.text

    return asyncio.run(run())


def _counted(text: str) -> dict[tuple[str, str, str], float]:
    return {
        (
            sample.labels['method'],
            sample.labels['route'],
            sample.labels['status'],
        ): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == REQUESTS
    }


@pytest.mark.parametrize(
    ('method', 'path', 'route', 'status'),
    [
        ('GET', '/api/items/7', '/api/items/{item_id}', 200),
        ('GET', '/api/items/x', '/api/items/{item_id}', 422),
        ('POST', '/api/items/7', '/api/items/{item_id}', 405),
        ('GET', '/api/items/broken/now', '/api/items/broken/now', 500),
        ('GET', '/of/a/direct/7', '/of/{tenant}/direct/{item_id}', 200),
        (
            'GET',
            '/of/b/v1/api/items/7',
            '/of/{tenant}/v1/api/items/{item_id}',
            200,
        ),
        ('GET', '/of/c/nothing', '<unmatched>', 404),
        ('GET', '/nothing/here', '<unmatched>', 404),
        ('GET', '/docs', '/docs', 200),
    ],
)
def test_counts_under_the_full_template(
    method: str,
    path: str,
    route: str,
    status: int,
) -> None:
    """One request adds one, and its status is the one the client saw."""
    app = _app(Metrics(CollectorRegistry()))
    assert _request(app, path, method)[0] == status
    text = _request(app, '/metrics')[2]
    assert _counted(text) == {(method, route, str(status)): 1}


def test_a_preflight_counts_for_the_route_it_asks_about() -> None:
    """CORS answers it, inside of the metrics and before any route."""
    app = _app(Metrics(CollectorRegistry()))
    headers = {
        'origin': 'https://a.example',
        'access-control-request-method': 'GET',
    }
    status = _request(app, '/api/items/7', 'OPTIONS', headers)[0]
    assert status == HTTPStatus.OK
    text = _request(app, '/metrics')[2]
    assert _counted(text) == {('OPTIONS', '/api/items/{item_id}', '200'): 1}


def test_methods_of_no_standard_share_a_label() -> None:
    """A scanner does not make series."""
    app = _app(Metrics(CollectorRegistry()))
    for method in ('FOO', 'BAR'):
        _request(app, '/api/items/7', method)
    text = _request(app, '/metrics')[2]
    assert _counted(text) == {('_OTHER', '/api/items/{item_id}', '405'): 2}


def test_websockets_are_not_counted() -> None:
    """They have no status, and a duration of their own kind."""
    metrics = Metrics(CollectorRegistry())
    app = _app(metrics)
    incoming: list[Message] = [{'type': 'websocket.connect'}]
    sent: list[str] = []

    async def receive() -> Message:
        return incoming.pop()

    async def send(message: Message) -> None:
        sent.append(message['type'])

    scope: Scope = {
        'type': 'websocket',
        'path': '/api/items/socket',
        'headers': [],
        'query_string': b'',
    }
    asyncio.run(app(scope, receive, send))
    assert sent[0] == 'websocket.accept'
    assert _counted(_request(app, '/metrics')[2]) == {}


def test_the_scraper_chooses_the_format() -> None:
    """The media type of each has a version, which Prometheus needs."""
    app = _app(Metrics(CollectorRegistry()))
    _request(app, '/api/items/7')
    _, media_type, text = _request(app, '/metrics')
    assert media_type.startswith('text/plain; version=')
    assert 'app_info{name="shop",version="1.2.3"} 1.0' in text
    assert 'http_server_request_duration_seconds_bucket{le="0.005"' in text
    headers = {'accept': OPENMETRICS}
    _, media_type, text = _request(app, '/metrics', headers=headers)
    assert media_type.startswith('application/openmetrics-text; version=')
    assert text.splitlines()[-1] == '# EOF'


@pytest.mark.parametrize(
    ('sent', 'status'),
    [
        ('', 401),
        ('Bearer wrong', 401),
        ('Basic sesame', 401),
        ('Bearer sesame', 200),
    ],
)
def test_a_token_closes_the_endpoint(sent: str, status: int) -> None:
    """With a token set, only who sends it may read."""
    app = _app(Metrics(CollectorRegistry()), 'sesame')
    headers = {'authorization': sent} if sent else {}
    assert _request(app, '/metrics', headers=headers)[0] == status


def test_a_metric_asked_for_twice_is_one() -> None:
    """A module that is imported twice does not register twice."""
    metrics = Metrics(CollectorRegistry())
    first = metrics.counter('orders_total', 'Orders.', 'channel')
    again = Metrics(metrics.registry)
    assert again.counter('orders_total', 'Orders.', 'channel') is first
    assert again.requests is metrics.requests
    with pytest.raises(ValueError, match='orders_total'):
        again.counter('orders_total', 'Orders.', 'shop')


def test_a_client_that_leaves_is_counted_once() -> None:
    """It counts as 499, and nothing stays in progress."""
    metrics = Metrics(CollectorRegistry())

    async def wait(_scope: Scope, receive: Receive, _send: Send) -> None:
        assert (await receive())['type'] == 'http.disconnect'

    async def leave() -> Message:
        return {'type': 'http.disconnect'}

    async def nobody(_message: Message) -> None:
        raise OSError

    middleware = MetricsMiddleware(wait, metrics)
    scope: Scope = {'type': 'http', 'method': 'GET', 'path': '/x'}
    asyncio.run(middleware(scope, leave, nobody))
    text = metrics.scrape('')[0].decode()
    assert _counted(text) == {('GET', '<unmatched>', '499'): 1}
    assert 'http_server_requests_in_progress 0.0' in text


def test_the_application_has_them() -> None:
    """The endpoint is a route of it, out of its schema; requests count."""
    real: object = app
    if not isinstance(real, FastAPI):
        pytest.skip('what is served is wrapped around the application')
    scope: Scope = {
        'type': 'http',
        'method': 'GET',
        'path': '/metrics',
        'app': real,
    }
    assert route_template(scope) == '/metrics'
    assert '/metrics' not in real.openapi()['paths']
    classes: list[object] = [entry.cls for entry in real.user_middleware]
    assert classes.count(MetricsMiddleware) == 1
