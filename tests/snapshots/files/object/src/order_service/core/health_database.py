# From laterctl: health.
"""The check of the database."""

import asyncio
import threading

from sqlalchemy import text

from order_service.db import engine

_one = threading.Lock()


async def ping_database() -> None:
    """Fail while no connection of the pool answers."""
    await asyncio.to_thread(_ping)


def _ping() -> None:
    # A thread cannot be cancelled: while one hangs, there is no other.
    if not _one.acquire(blocking=False):
        raise TimeoutError
    try:
        with engine.connect() as connection:
            connection.execute(text('SELECT 1'))
    finally:
        _one.release()
