# From laterctl: rate-limit.
"""Rates of users instead of addresses."""

from order_service.core.auth.tokens import CurrentUser


async def by_user(user: CurrentUser) -> str:
    """Return the subject, for ``limit('5/minute', key=by_user)``."""
    return user.subject
