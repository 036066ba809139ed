# From laterctl: migrations.
"""Migrations make the tables, but those of a database in memory."""

from functools import wraps
from typing import cast

from fastapi.types import DecoratedCallable
from sqlalchemy.ext.asyncio import AsyncEngine


def only_in_memory(create: DecoratedCallable) -> DecoratedCallable:
    """Return what makes tables where no migration can."""

    @wraps(create)
    async def create_in_memory(engine: AsyncEngine) -> None:
        database = engine.url.database or ':memory:'
        if (engine.dialect.name, database) == ('sqlite', ':memory:'):
            await create(engine)

    return cast('DecoratedCallable', create_in_memory)
