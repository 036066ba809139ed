# From laterctl: tracing.
"""Traces the database: a span for each statement, without its parameters."""

# pyright: reportMissingTypeStubs=false

from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor

from order_service.db import engine


class DatabaseInstrumentor:
    """Has the engine of the application open spans."""

    def instrument(self, **given: object) -> None:
        """Do so from now on."""
        SQLAlchemyInstrumentor().instrument(
            engine=engine,
            **given,
        )
