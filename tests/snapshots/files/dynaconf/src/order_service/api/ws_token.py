# From laterctl: websocket.
"""Who connects by WebSocket: whom the access token names, until it expires."""

from order_service.core.auth.tokens import CurrentUser, TokenDep, verify_access
from order_service.core.realtime import Caller


async def token_caller(user: CurrentUser, token: TokenDep) -> Caller:
    """Return the caller; 401 without a good token."""
    return Caller(user.subject, verify_access(token or '').exp)
