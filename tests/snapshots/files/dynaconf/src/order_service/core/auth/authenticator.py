# From laterctl: jwt.
"""Who may sign in: users with their e-mail address and password."""

import uuid
from collections.abc import Collection
from contextlib import suppress

from order_service.core.container import container


class UserAuthenticator:
    """Checks passwords and knows what users may do.

    The subject of the tokens is the user's id. There are no scopes yet.
    """

    async def authenticate(self, username: str, password: str) -> str | None:
        """Return the id of the active user with these credentials."""
        user = await container.user_service().authenticate(username, password)
        return str(user.id) if user else None

    async def scopes(self, subject: str) -> Collection[str] | None:
        """Return no scopes; None for a user who is gone or not active."""
        with suppress(ValueError):
            user = await container.user_service().get(uuid.UUID(subject))
            return () if user and user.is_active else None
        return None


async def get_user_authenticator() -> UserAuthenticator:
    """Return what checks the passwords of this application."""
    return UserAuthenticator()
