# From laterctl: jwt.
"""Who may sign in: the one part of authentication that is yours to write."""

from collections.abc import Collection
from typing import Protocol

from order_service.core.auth.tokens import unavailable


class UserAuthenticator(Protocol):
    """Checks passwords and knows what users may do."""

    async def authenticate(self, username: str, password: str) -> str | None:
        """Return the subject of the tokens, such as the user's id.

        None for an unknown user and for a wrong password alike, after the
        same time.
        """

    async def scopes(self, subject: str) -> Collection[str] | None:
        """Return what the subject may do now; None when it is locked out.

        Asked at each sign-in and at each refresh.
        """


async def get_user_authenticator() -> UserAuthenticator:
    """Return what checks the passwords of this application.

    Until it is written, signing in answers 503. With ``pwdlib[argon2]``, a
    ``User`` of SQLAlchemy, and a dependency ``get_session`` that gives an
    asynchronous session, this takes the place of the function::

        from typing import Annotated

        import anyio
        from fastapi import Depends
        from pwdlib import PasswordHash
        from sqlalchemy import select
        from sqlalchemy.ext.asyncio import AsyncSession

        HASHER = PasswordHash.recommended()
        HASH_OF_NOBODY = HASHER.hash('nobody')


        class DatabaseAuthenticator:
            def __init__(self, session: AsyncSession) -> None:
                self._session = session

            async def authenticate(
                self,
                username: str,
                password: str,
            ) -> str | None:
                query = select(User).where(User.email == username)
                user = await self._session.scalar(query)
                stored = user.password_hash if user else HASH_OF_NOBODY
                # In a thread: it takes long, and others would wait for it.
                is_right = await anyio.to_thread.run_sync(
                    HASHER.verify, password, stored
                )
                return str(user.id) if user and is_right else None

            async def scopes(self, subject: str) -> Collection[str] | None:
                user = await self._session.get(User, int(subject))
                return () if user and user.is_active else None


        async def get_user_authenticator(
            session: Annotated[AsyncSession, Depends(get_session)],
        ) -> UserAuthenticator:
            return DatabaseAuthenticator(session)
    """
    raise unavailable(reason='get_user_authenticator is not written')
