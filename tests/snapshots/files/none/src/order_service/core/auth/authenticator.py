# From laterctl: jwt.
"""Who may sign in: the one part of authentication that is yours to write.

Write a class with the two methods of ``UserAuthenticator`` and return it
from ``get_user_authenticator``. Until then, signing in answers 503.
"""

import logging
from collections.abc import Collection
from functools import cache
from typing import Protocol

from order_service.core.auth.errors import AuthUnavailableError

logger = logging.getLogger(__name__)


class UserAuthenticator(Protocol):
    """Checks passwords and knows what users may do."""

    async def authenticate(self, username: str, password: str) -> str | None:
        """Return the subject of the tokens, such as the user's id.

        None for an unknown user and for a wrong password alike. Take the
        same time for both, by verifying a made-up hash for the unknown one,
        and verify in a thread (``anyio.to_thread.run_sync``): hashing takes
        long, and it would hold up all other requests.
        """

    async def scopes(self, subject: str) -> Collection[str] | None:
        """Return what the subject may do now; None when it is locked out.

        Asked at each sign-in and at each refresh.
        """


class PlaceholderAuthenticator:
    """Lets nobody in."""

    async def authenticate(self, username: str, password: str) -> str | None:
        """Raise AuthUnavailableError."""
        del username, password
        raise _not_written()

    async def scopes(self, subject: str) -> Collection[str] | None:
        """Raise AuthUnavailableError."""
        del subject
        raise _not_written()


@cache
def get_user_authenticator() -> UserAuthenticator:
    """Return what checks the passwords of this application."""
    logger.error('No user authenticator yet: signing in answers 503')
    return PlaceholderAuthenticator()


def _not_written() -> AuthUnavailableError:
    return AuthUnavailableError('no user authenticator')
