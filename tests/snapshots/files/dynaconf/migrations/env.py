# From laterctl: migrations.
"""Brings the database to a revision: `alembic upgrade head`."""

import asyncio
from pathlib import Path

from alembic import context

from order_service.core.migrations import app_engine, migrate, migrate_alone, prepare


async def connect() -> None:
    """Migrate the database of the application."""
    async with app_engine.connect() as connection:
        await connection.run_sync(migrate_alone)
    await app_engine.dispose()


prepare(Path(__file__).parents[1] / 'src')
given = context.config.attributes.get('connection')
if given is not None or context.is_offline_mode():
    migrate(given)
else:
    asyncio.run(connect())
