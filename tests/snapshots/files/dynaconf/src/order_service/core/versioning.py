# From laterctl: versioning.
"""The API in versions: their routes, documents and headers.

What the versions are stands in order_service.api.versions.
"""

import re
import time
from collections.abc import Awaitable, Callable, Iterable
from copy import copy
from functools import wraps
from typing import Any, cast
from urllib.parse import quote

from fastapi import APIRouter, FastAPI, HTTPException, routing
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from fastapi.types import DecoratedCallable
from fastapi.utils import get_value_or_default
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.routing import BaseRoute, compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from order_service.api.versions import LEGACY, LIFETIMES, VERSIONS, Lifetime
from order_service.core.feature_settings import FeatureSettings
from order_service.core.routing import request_path

PREFIX = '/api'
VERSION = re.compile(rf'{re.escape(PREFIX)}/(v[0-9]+)(?=/|$)')

# Lists every route with its full path. Older versions of FastAPI do not have
# it and do not need it: there, the routes of a router are flat.
_flat: Callable[[Iterable[object]], Iterable[Any]] = getattr(
    routing,
    'iter_route_contexts',
    iter,
)
# What was put in front, and the functions of old paths, by identity.
_known: dict[int, object] = {}


class VersionSettings(FeatureSettings):
    """Whether a version answers 410 from its sunset on."""

    versions_enforce_sunset: bool = False


def versioned(include: DecoratedCallable) -> DecoratedCallable:
    """Return what includes a router in each version of the API.

    Its old paths answer as before, and are in no document.
    A router that has a version in a path itself is included as it is.
    """

    @wraps(include)
    def include_all(
        router: APIRouter,
        *,
        prefix: str = '',
        **options: object,
    ) -> None:
        if any(_version(prefix + item.path) for item in _paths(router)):
            include(router, prefix=prefix, **options)
            return
        owner = cast('Any', include).__self__
        top: APIRouter = getattr(owner, 'router', owner)
        start, latest = len(top.routes), router
        for name, changed in VERSIONS:
            latest = next(
                (new for old, new in changed if old is latest),
                latest,
            )
            own = APIRouter()
            own.routes += [_moved(x, prefix, name, top) for x in _paths(latest)]
            include(own, **{'deprecated': name in LIFETIMES} | options)
        # In front: a path such as /{kind}/{number} would fit them as well.
        _known.update({id(route): route for route in top.routes[start:]})
        top.routes.sort(key=lambda route: id(route) not in _known)
        found = [getattr(item, 'endpoint', None) for item in _paths(router)]
        _known.update({id(endpoint): endpoint for endpoint in found if endpoint})
        include(router, prefix=prefix, **options | {'include_in_schema': False})

    return cast('DecoratedCallable', include_all)


def _paths(router: APIRouter | FastAPI) -> list[routing.APIRoute]:
    found = _flat(router.routes)
    return [item for item in found if getattr(item, 'path', None) is not None]


def _version(path: str) -> str:
    match = VERSION.match(path)
    return match[1] if match else ''


def _moved(
    item: routing.APIRoute,
    prefix: str,
    name: str,
    top: APIRouter,
) -> BaseRoute:
    """Return a route as it is in the version of that name."""
    route = copy(getattr(item, 'original_route', item))
    # What routers around it add to a route, only its context knows.
    for key in vars(route):
        setattr(route, key, getattr(item, key, getattr(route, key)))
    route.path = _path_in(name, prefix + item.path)
    route.path_format = compile_path(route.path)[1]
    suffix = '' if name == VERSIONS[0].name else f'_{name}'
    route.name = f'{item.name}{suffix}'
    if isinstance(route, routing.APIRoute):
        route.summary = route.summary or item.name.replace('_', ' ').title()
        given, own = route.operation_id, route.generate_unique_id_function
        generate: Any = get_value_or_default(
            own,
            top.generate_unique_id_function,
        )
        generate = getattr(generate, 'value', generate)
        route.operation_id = f'{given}{suffix}' if given else generate(route)
    # `url_for` goes on finding the old path.
    route.name = f'{item.name}_{name}'
    return cast('BaseRoute', route)


def _path_in(version: str, path: str) -> str:
    below = path[len(PREFIX) :] if f'{path}/'.startswith(f'{PREFIX}/') else path
    return f'{PREFIX}/{version}{below}'


class VersionMiddleware:
    """Says which versions end, and that others do not exist."""

    def __init__(self, app: ASGIApp, settings: VersionSettings) -> None:
        """Stand outside of what answers with errors."""
        self.app = app
        self._enforce = settings.versions_enforce_sunset
        self._documents: dict[tuple[str, str], dict[str, Any]] = {}

    async def __call__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        """Run the application, or answer 404 or 410."""
        if scope['type'] != 'http':
            await self.app(scope, receive, send)
            return
        path = request_path(scope)
        version = _version(path)
        lifetime = LIFETIMES.get(version)

        def send_with_headers(message: Message) -> Awaitable[None]:
            if message['type'] == 'http.response.start':
                more = lifetime.headers if lifetime else []
                if not version and id(scope.get('endpoint')) in _known:
                    more = [_successor(scope, path), *LEGACY.headers]
                # Copied, because responses are reused.
                message = {**message, 'headers': [*message['headers'], *more]}
            return send(message)

        app = self._answer(scope, version, lifetime) if version else self.app
        await app(scope, receive, send_with_headers)

    def _answer(
        self,
        scope: Scope,
        version: str,
        ends: Lifetime | None,
    ) -> ASGIApp:
        """Return what answers for a version: the application, or we."""
        owner: FastAPI = scope['app']
        names = [item.name for item in VERSIONS]
        if version not in names:
            detail = f'There is no {version}, only ' + ', '.join(names)
            return _refusal(owner, 404, detail)
        sunset = ends.sunset if ends and self._enforce else None
        if sunset and sunset.timestamp() <= time.time():
            return _refusal(owner, 410, f'{version} ended, use {names[-1]}')
        document = f'{PREFIX}/{version}/openapi.json'
        if request_path(scope) != document or not owner.openapi_url:
            return self.app
        root = scope.get('root_path', '').rstrip('/')
        if (version, root) not in self._documents:
            self._documents[version, root] = get_openapi(
                title=owner.title,
                version=version,
                servers=[{'url': root}] if root else None,
                routes=[x for x in _paths(owner) if _version(x.path) == version],
            )
        return JSONResponse(self._documents[version, root])


def _successor(scope: Scope, path: str) -> tuple[bytes, bytes]:
    root = scope.get('app_root_path', scope.get('root_path', '')).rstrip('/')
    target = quote(root + _path_in(VERSIONS[0].name, path))
    return b'link', f'<{target}>; rel="successor-version"'.encode()


def _refusal(owner: FastAPI, status: int, detail: str) -> ASGIApp:
    """Return what answers as the application does for an error."""

    async def refuse(*_: object) -> None:
        raise HTTPException(status, detail)

    return ExceptionMiddleware(refuse, owner.exception_handlers)
