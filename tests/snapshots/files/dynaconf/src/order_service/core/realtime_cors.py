# From laterctl: websocket.
"""The origins of CORS, for WebSockets: browsers do not ask about these."""

from order_service.core.cors import CorsSettings


def has_cors(origin: str) -> bool:
    """Tell whether pages of an origin may call this API."""
    settings = CorsSettings()
    pattern = settings.cors_origin_regex
    listed = not {'*', origin}.isdisjoint(settings.cors_origins)
    return listed or bool(pattern and pattern.fullmatch(origin))
