# From laterctl: jwt.
"""Who may sign in: users with their e-mail address and password."""

import uuid
from collections.abc import Collection
from typing import Protocol

from order_service.services.user import UserService


class UserAuthenticator(Protocol):
    """Checks passwords and knows what users may do."""

    async def authenticate(self, username: str, password: str) -> str | None:
        """Return the subject of the tokens; None when it may not sign in."""

    async def scopes(self, subject: str) -> Collection[str] | None:
        """Return what the subject may do now; None when it is locked out.

        Asked at each sign-in and at each refresh.
        """


class UserServiceAuthenticator:
    """The subject is the user's id. There are no scopes yet."""

    def __init__(self, users: UserService) -> None:
        """Look users up in ``users``."""
        self._users = users

    async def authenticate(self, username: str, password: str) -> str | None:
        """Return the id of the active user with these credentials."""
        user = await self._users.authenticate(username, password)
        return str(user.id) if user else None

    async def scopes(self, subject: str) -> Collection[str] | None:
        """Return no scopes; None for a user who is gone or not active."""
        try:
            user = await self._users.get(uuid.UUID(subject))
        except ValueError:
            return None
        return () if user and user.is_active else None


def get_user_authenticator(users: UserService) -> UserAuthenticator:
    """Return what checks the passwords of this application."""
    return UserServiceAuthenticator(users)
