# From laterctl: resources.
"""The HTTP client: one pool of connections, with timeouts."""

from httpx2 import AsyncClient, Limits, Timeout
from pydantic import PositiveFloat, PositiveInt

from order_service.core.feature_settings import FeatureSettings


class HttpClientSettings(FeatureSettings):
    """Limits of the client: of each wait, not of the whole exchange."""

    http_timeout_seconds: PositiveFloat = 10.0
    http_connect_timeout_seconds: PositiveFloat = 3.0
    http_max_connections: PositiveInt = 100


def build_http_client() -> AsyncClient:
    """Return a client that follows no redirects, without connecting."""
    settings = HttpClientSettings()
    return AsyncClient(
        timeout=Timeout(
            settings.http_timeout_seconds,
            connect=settings.http_connect_timeout_seconds,
        ),
        limits=Limits(max_connections=settings.http_max_connections),
    )
