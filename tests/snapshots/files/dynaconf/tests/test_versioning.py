# From laterctl: versioning.
"""The API answers in versions, which say when they end."""

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI, routing
from httpx2 import ASGITransport, AsyncClient, Response

from order_service.api.versions import LIFETIMES, VERSIONS, Lifetime
from order_service.core.versioning import PREFIX, VersionMiddleware
from order_service.main import app

application: FastAPI = app
EARLY = datetime.fromisoformat('2020-01-01T00:00:00+00:00')
flat: Callable[[Iterable[object]], Iterable[Any]] = getattr(
    routing,
    'iter_route_contexts',
    iter,
)


def ask(path: str, method: str = 'GET') -> Response:
    async def run() -> Response:
        transport = ASGITransport(app=application)
        async with AsyncClient(
            transport=transport,
            base_url='http://test',
        ) as client:
            return await client.request(method, path)

    return asyncio.run(run())


def paths_below(prefix: str) -> set[str]:
    found = [item for item in flat(application.routes) if hasattr(item, 'path')]
    return {item.path for item in found if f'{item.path}'.startswith(f'{prefix}/')}


def test_the_application_has_it() -> None:
    classes: list[object] = [item.cls for item in application.user_middleware]

    assert classes.count(VersionMiddleware) == 1


@pytest.mark.parametrize('version', [item.name for item in VERSIONS])
def test_each_version_has_routes_and_a_document(version: str) -> None:
    prefix = f'{PREFIX}/{version}'
    below = paths_below(prefix)
    assert below

    if application.openapi_url:
        described = set(ask(f'{prefix}/openapi.json').json()['paths'])
        assert described <= below


def test_another_version_is_not_found() -> None:
    answer = ask(f'{PREFIX}/v0/anything')

    assert answer.status_code == 404
    assert all(version.name in answer.text for version in VERSIONS)


def test_a_version_says_that_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    version = VERSIONS[0].name
    late = EARLY + timedelta(days=30)
    monkeypatch.setitem(LIFETIMES, version, Lifetime(EARLY, late, '/news'))

    answer = ask(f'{PREFIX}/{version}/no/such/path', 'POST')

    assert answer.headers['Deprecation'] == '@1577836800'
    assert answer.headers['Sunset'] == 'Fri, 31 Jan 2020 00:00:00 GMT'
    assert answer.headers['Link'] == '</news>; rel="deprecation"'
    with pytest.raises(ValueError, match='ends before'):
        Lifetime(late, EARLY)


def test_old_paths_name_their_successor() -> None:
    known = paths_below('')
    for path in known:
        below = path.removeprefix(PREFIX)
        successor = f'{PREFIX}/{VERSIONS[0].name}{below}'
        # No route has the method: nothing happens, and the path is known.
        answer = ask(path, 'TRACE') if '{' not in path else None
        if successor in known and answer and answer.status_code == 405:
            assert answer.headers['Link'].startswith(f'<{successor}>;')
