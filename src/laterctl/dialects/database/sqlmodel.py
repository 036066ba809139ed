"""SQLModel: models of pydantic that are tables of SQLAlchemy, with an engine of either kind."""

from __future__ import annotations

from typing import ClassVar

from laterctl.dialects.database.base import Database, Signs


class SqlModel(Database, frozen=True, kw_only=True):
    """A project with models of SQLModel, whose metadata is `SQLModel.metadata`."""

    kind: str = "sqlmodel"
    title: ClassVar[str] = "SQLModel"

    def words(self) -> str:
        """Return what was found, for people."""
        how = "asynchronous" if self.asynchronous else "synchronous"
        return f"database {self.title}, {how} ({self.place})"

    @classmethod
    def fits(cls, signs: Signs) -> bool:
        """Whether there are models of SQLModel, or only its function makes engines."""
        if signs.models:
            return any(item.kind == "sqlmodel" for item in signs.models)
        return all(call.startswith("sqlmodel.") for call in signs.calls)
