# From laterctl: routing.
"""Names a request by the template of its route, and knows the probe paths.

Whatever labels, limits or logs by route asks here. FastAPI has no public
answer: `scope['route']` lacks the prefixes of nested routers in versions
that include routers lazily, and the prefix of a mount in all of them.
"""

from collections.abc import Callable, Iterable

from fastapi import routing
from starlette.routing import Mount, WebSocketRoute
from starlette.types import Scope

UNMATCHED = '<unmatched>'

# Paths that machines poll (health, metrics): left out of logs and metrics.
PROBE_PATHS: list[str] = ['/health/live', '/health/ready', '/metrics']

# Lists every route with its full path. Older versions of FastAPI do not have
# it and do not need it: there, the routes of an application are flat.
_flat: Callable[[Iterable[object]], Iterable[object]] = getattr(
    routing,
    'iter_route_contexts',
    iter,
)


def is_probe(scope: Scope) -> bool:
    """Say whether a request is for one of the probe paths."""
    return request_path(scope) in PROBE_PATHS


def request_path(scope: Scope) -> str:
    """Return the path of a request below the root path of the application.

    A mount appends itself to `root_path` and leaves the original beside it.
    """
    path: str = scope.get('path', '')
    root: str = scope.get('app_root_path', scope.get('root_path', ''))
    root = root.rstrip('/')
    if root and f'{path}/'.startswith(f'{root}/'):
        return path[len(root) :] or '/'
    return path


def route_template(scope: Scope) -> str:
    """Return the full template of a request's route: `/api/items/{item_id}`.

    Works before and after the application has handled the request: what the
    router noted in the scope is taken when it fits the path, else the route
    is searched. A mounted application that has no routes of its own, such as
    static files, gives `/static/{path}`. The result is `<unmatched>` when no
    route fits, so the number of different results is bounded.
    """
    path = request_path(scope)
    root = scope.get('root_path', '')
    noted = scope.get('route')
    context = scope.get('fastapi', {}).get('effective_route_context')
    # Below a mount the context is stale: it belongs to the mount's own route.
    if noted is not None and getattr(context, 'original_route', None) is noted:
        noted = context
    regex = getattr(noted, 'path_regex', None)
    at_top = root == scope.get('app_root_path', root)
    if regex is not None and at_top and regex.match(path):
        return _template_of(noted)
    top = scope.get('router', scope.get('app'))
    return _search(getattr(top, 'routes', ()), path, scope)


def _template_of(route: object) -> str:
    return str(getattr(route, 'path_format', UNMATCHED))


def _search(routes: Iterable[object], path: str, scope: Scope) -> str:
    """Choose a route as the router does: the first whose method fits too."""
    other_method = UNMATCHED
    for item in _flat(routes):
        kind = getattr(item, 'original_route', item)
        # Before FastAPI 0.145, Starlette's own routes are full only here.
        route = getattr(item, 'starlette_route', None) or item
        regex = getattr(route, 'path_regex', None)
        found = regex.match(path) if regex is not None else None
        if found is None:
            continue
        if isinstance(kind, Mount):
            below = found['path']
            return _search_mount(route, f'/{below}', scope)
        if isinstance(kind, WebSocketRoute) != (scope['type'] == 'websocket'):
            continue
        methods = getattr(route, 'methods', None)
        if not methods or scope.get('method') in methods:
            return _template_of(route)
        if other_method == UNMATCHED:
            other_method = _template_of(route)
    return other_method


def _search_mount(mount: object, path: str, scope: Scope) -> str:
    routes = getattr(mount, 'routes', None)
    whole = _template_of(mount)
    if not routes:
        return whole
    inner = _search(routes, path, scope)
    if inner == UNMATCHED:
        return UNMATCHED
    return whole.removesuffix('/{path}') + inner
