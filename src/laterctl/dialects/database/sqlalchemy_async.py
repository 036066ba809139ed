"""SQLAlchemy with an asynchronous engine."""

from __future__ import annotations

from typing import ClassVar

from laterctl.dialects.database.base import Database, Signs


class SqlAlchemyAsync(Database, frozen=True, kw_only=True):
    """A project that awaits its database: `create_async_engine` and `AsyncSession`."""

    kind: str = "sqlalchemy-async"
    title: ClassVar[str] = "SQLAlchemy, asynchronous"

    @classmethod
    def fits(cls, signs: Signs) -> bool:
        """Whether the engine is asynchronous."""
        return signs.asynchronous
