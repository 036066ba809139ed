# From laterctl: replicas.
"""Sessions that only read, from a replica where there is one."""

from collections.abc import AsyncGenerator
from typing import Annotated

from fastapi import Depends
from fastapi.requests import HTTPConnection
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from order_service.core.read_your_writes import position_of
from order_service.core.replicas import get_replica
from order_service.db import engine


async def read_session(
    connection: HTTPConnection,
) -> AsyncGenerator[AsyncSession]:
    """Give a session on the replica, or on the primary while that is behind.

    It sees what its client wrote before, and cannot write.
    """
    session = await get_replica().session(position_of(connection))
    if session is None:
        session = _reading(engine)
    async with session:
        yield session


def _reading(primary: AsyncEngine) -> AsyncSession:
    """Return a session of the primary that cannot write either."""
    return AsyncSession(primary.execution_options(postgresql_readonly=True))


ReadSessionDep = Annotated[AsyncSession, Depends(read_session)]
