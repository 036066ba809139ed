# From laterctl: jwt.
"""Who may sign in: the one part of authentication that is yours to write."""

from collections.abc import Collection
from typing import Protocol

from order_service.core.auth.tokens import unavailable


class UserAuthenticator(Protocol):
    """Checks passwords; knows at each sign-in and refresh what users may do."""

    async def authenticate(self, username: str, password: str) -> str | None:
        """Return the subject of the tokens, such as the user's id, or None.

        An unknown user takes as long as a wrong password.
        """

    async def scopes(self, subject: str) -> Collection[str] | None:
        """Return what the subject may do now; None when it is locked out."""


async def get_user_authenticator() -> UserAuthenticator:
    """Return what checks the passwords of this application.

    Until it is written, signing in answers 503. With ``pwdlib[argon2]``, a
    ``User`` of SQLAlchemy, and ``SessionDep``, which stands for
    ``Annotated[AsyncSession, Depends(...)]``, this takes its place::

        from fastapi.concurrency import run_in_threadpool
        from pwdlib import PasswordHash
        from sqlalchemy import select

        HASHER = PasswordHash.recommended()
        HASH_OF_NOBODY = HASHER.hash('nobody')


        class DatabaseAuthenticator:
            def __init__(self, db: SessionDep) -> None:
                self._db = db

            async def authenticate(
                self, username: str, password: str
            ) -> str | None:
                query = select(User).where(User.email == username)
                user = await self._db.scalar(query)
                stored = user.password_hash if user else HASH_OF_NOBODY
                same = await run_in_threadpool(HASHER.verify, password, stored)
                return str(user.id) if user and same else None

            async def scopes(self, subject: str) -> Collection[str] | None:
                user = await self._db.get(User, int(subject))
                return () if user and user.is_active else None


        async def get_user_authenticator(db: SessionDep) -> UserAuthenticator:
            return DatabaseAuthenticator(db)
    """
    raise unavailable(reason='get_user_authenticator is not written')
