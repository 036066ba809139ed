# From laterctl: permissions.
"""Whom a request comes from, and what that may do: what its token says."""

from fastapi.security import SecurityScopes

from order_service.core.auth.tokens import Principal, TokenDep, get_current_user


async def get_caller(token: TokenDep) -> Principal:
    """Return the caller; what it may do is of the time it signed in."""
    return await get_current_user(SecurityScopes(), token)
