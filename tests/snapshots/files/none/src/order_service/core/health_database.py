# From laterctl: health.
"""The check of the database."""

from sqlalchemy import text

from order_service.db import engine


async def ping_database() -> None:
    """Fail while no connection of the pool answers."""
    async with engine.connect() as connection:
        await connection.execute(text('SELECT 1'))
