"""What features ask that stand on a project's database."""

from __future__ import annotations

from laterctl.edits.context import FeatureContext
from laterctl.refusal import Refusal

SEVERAL = frozenset({"several-engines", "mixed-engines"})
"""Why there is not one database, although there are engines."""


def without_database(context: FeatureContext) -> Refusal | None:
    """Return why there is no database to work on, `None` when there is one."""
    project = context.project
    if project.database is not None:
        return None
    if project.why_not("database") is not None:
        return context.undecided("database")
    return Refusal(
        "no-database",
        "nothing that the application runs makes an engine of SQLAlchemy or SQLModel",
        project.app.place if project.app else None,
        expected="create_engine(...) or create_async_engine(...) of SQLAlchemy 2 or SQLModel",
        remedy="make an engine first, in a module that the application imports",
        feature=context.feature,
    )
