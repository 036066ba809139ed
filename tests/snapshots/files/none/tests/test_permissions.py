# From laterctl: permissions.
"""Which routes need a caller, and what callers may do."""

import asyncio
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Annotated, Any, NamedTuple

import pytest
from fastapi import FastAPI, routing
from httpx import ASGITransport, AsyncClient, Response

from order_service.api.callers import get_caller
from order_service.api.permissions import require, require_owner
from order_service.core.auth.tokens import Principal
from order_service.core.permissions import PUBLIC_ROUTES, Permission
from order_service.main import app

CALLERS = {'get_caller', 'get_current_user', 'get_current_active_user'}

application: FastAPI = app
site = FastAPI(dependencies=[require(Permission.READ)])


class Item(NamedTuple):
    """An object that somebody owns."""

    owner_id: str


def load(owner: str) -> Item:
    """Return an object of an owner."""
    return Item(owner)


@site.get('/mine')
def read(item: Annotated[object, require_owner(load)]) -> str:
    """Answer the owner."""
    return type(item).__name__


@site.delete('/', dependencies=[require(Permission.DELETE)])
def delete(body: list[int]) -> int:
    """Answer whoever may delete."""
    return len(body)


def ask(method: str, path: str, *scopes: str) -> Response:
    """Return what a caller with some scopes is answered."""
    caller = Principal('ada', frozenset(scopes))
    site.dependency_overrides[get_caller] = lambda: caller

    async def run() -> Response:
        async with AsyncClient(
            transport=ASGITransport(app=site),
            base_url='http://test',
        ) as client:
            return await client.request(method, path, json={})

    return asyncio.run(run())


def dependants(routes: Iterable[Any], above: str) -> Iterator[tuple[str, Any]]:
    """Yield the paths of routes, those of mounts too, and what they need."""
    flat = getattr(routing, 'iter_route_contexts', iter)
    for route in flat(routes):
        path = above + getattr(route, 'path', '')
        inner = getattr(getattr(route, 'original_route', route), 'routes', ())
        yield from dependants(inner, path)
        if needed := getattr(route, 'dependant', None):
            yield path, needed


def has_caller(needed: Any) -> bool:  # noqa: ANN401
    """Tell whether one of the dependencies returns the caller."""
    name = getattr(needed.call, '__name__', '')
    return name in CALLERS or any(map(has_caller, needed.dependencies))


def test_every_route_is_protected() -> None:
    """Whoever adds one decides who may ask for it."""
    routes = dependants(application.routes, '')
    found = {path for path, needed in routes if not has_caller(needed)}
    assert {
        path
        for path in found
        if not any(fnmatchcase(path, each) for each in PUBLIC_ROUTES)
    } == set()


@pytest.mark.parametrize(
    ('scopes', 'missing'),
    [('read', 'delete'), ('delete', 'read'), ('admin', '')],
)
def test_permissions_add_up(scopes: str, missing: str) -> None:
    """They are looked at before the body is, which is wrong here."""
    response = ask('DELETE', '/', *scopes.split())

    assert response.status_code == (403 if missing else 422)
    challenge = f'Bearer error="insufficient_scope", scope="{missing}"'
    told = response.headers.get('WWW-Authenticate')
    assert told == (challenge if missing else None)


def test_objects_of_others_are_not_found() -> None:
    assert ask('GET', '/mine?owner=ada', 'read').status_code == 200
    assert ask('GET', '/mine?owner=bob', 'read').status_code == 404
    assert ask('GET', '/mine?owner=bob', 'admin').status_code == 200


def test_without_a_permission_nothing_is_asked_for() -> None:
    with pytest.raises(ValueError, match='no permission'):
        require()
