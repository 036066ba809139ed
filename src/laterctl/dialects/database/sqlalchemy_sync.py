"""SQLAlchemy with a synchronous engine."""

from __future__ import annotations

from typing import ClassVar

from laterctl.dialects.database.base import Database, Signs


class SqlAlchemySync(Database, frozen=True, kw_only=True):
    """A project whose requests wait for its database in a thread: `create_engine` and `Session`."""

    kind: str = "sqlalchemy"
    title: ClassVar[str] = "SQLAlchemy, synchronous"

    @classmethod
    def fits(cls, signs: Signs) -> bool:
        """Whether the engine is synchronous."""
        return not signs.asynchronous
