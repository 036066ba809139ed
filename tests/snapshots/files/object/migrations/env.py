# From laterctl: migrations.
"""Brings the database to a revision: `alembic upgrade head`."""

from pathlib import Path

from alembic import context

from order_service.core.migrations import app_engine, migrate, migrate_alone, prepare

prepare(Path(__file__).parents[1] / 'src')
given = context.config.attributes.get('connection')
if given is not None or context.is_offline_mode():
    migrate(given)
else:
    with app_engine.connect() as opened:
        migrate_alone(opened)
    app_engine.dispose()
