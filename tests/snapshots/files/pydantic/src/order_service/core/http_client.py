# From laterctl: resources.
"""The application's HTTP client: one pool of connections, with timeouts.

Building it opens nothing. It is built when the application starts, or when
it is first asked for, and closes with the application.
"""

import math
import threading
from dataclasses import dataclass

import httpx

from order_service.core.config import settings
from order_service.core.lifespan import on_shutdown, on_startup
from order_service.core.startup import as_positive

_built: list[httpx.AsyncClient] = []
_lock = threading.Lock()


@dataclass(frozen=True)
class HttpClientConfig:
    """Limits of the client.

    ``timeout_seconds`` bounds each wait (for a free connection, for data to
    go out, for data to come in), not the whole exchange.
    """

    timeout_seconds: float = 10.0
    connect_timeout_seconds: float = 3.0
    max_connections: int = 100


def http_client_config() -> HttpClientConfig:
    """Return the settings of the client.

    Raises ValueError naming a setting that is not a positive number.
    """
    return HttpClientConfig(
        timeout_seconds=as_positive(
            'APP_HTTP_TIMEOUT_SECONDS',
            settings.http_timeout_seconds,
        ),
        connect_timeout_seconds=as_positive(
            'APP_HTTP_CONNECT_TIMEOUT_SECONDS',
            settings.http_connect_timeout_seconds,
        ),
        max_connections=math.ceil(
            as_positive(
                'APP_HTTP_MAX_CONNECTIONS',
                settings.http_max_connections,
            ),
        ),
    )


def build_http_client(config: HttpClientConfig) -> httpx.AsyncClient:
    """Return a client that follows no redirects, without connecting."""
    return httpx.AsyncClient(
        timeout=httpx.Timeout(
            config.timeout_seconds,
            connect=config.connect_timeout_seconds,
        ),
        limits=httpx.Limits(
            max_connections=config.max_connections,
            max_keepalive_connections=config.max_connections,
        ),
    )


def get_http_client() -> httpx.AsyncClient:
    """Return the application's one client; safe from any thread."""
    with _lock:
        if not _built:
            _built.append(build_http_client(http_client_config()))
            on_shutdown(__name__, _close, rank=30)
        return _built[0]


async def _close() -> None:
    # Forgotten first, so that whatever happens the next start builds anew.
    client = _built.pop()
    await client.aclose()


async def _build() -> None:
    # Loading the certificates takes a moment: not in the first request.
    get_http_client()


on_startup(__name__, _build, rank=30)
