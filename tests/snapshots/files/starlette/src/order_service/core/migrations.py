# From laterctl: migrations.
"""What migrations are made from and how they run: see migrations/env.py."""

import logging
import time
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import Connection, MetaData, func, select, text
from sqlmodel import SQLModel

from order_service.db import engine

# A module with one of these words in its dotted name may have tables.
WORDS = {'db', 'models'}
FILES = ('order_service/**/*.py',)
# The names that PostgreSQL gives itself, so that existing tables match.
NAMES = {
    'fk': '%(table_name)s_%(column_0_N_name)s_fkey',
    'pk': '%(table_name)s_pkey',
    'uq': '%(table_name)s_%(column_0_N_name)s_key',
}
LOCK, PATIENCE_SECONDS = 1953063015, 600

logging.basicConfig()
for part in ('autogenerate', 'runtime.migration'):
    logging.getLogger(f'alembic.{part}').setLevel(logging.INFO)

app_engine = engine
target_metadata = MetaData()


def prepare(root: Path) -> None:
    """Import the models below a folder, and name what they leave unnamed."""
    for file in sorted(f for each in FILES for f in root.glob(each)):
        parts = file.relative_to(root).with_suffix('').parts
        if not WORDS.isdisjoint(parts):
            import_module('.'.join(parts).removesuffix('.__init__'))
    for source in [SQLModel.metadata]:
        names: dict[str, Any] = {**NAMES, **source.naming_convention}
        target_metadata.naming_convention = names
        for table in source.tables.values():
            if table.key not in target_metadata.tables:
                table.to_metadata(target_metadata)


def with_import(
    kind: str,
    item: object,
    autogen: AutogenContext,
) -> Literal[False]:
    """Have a revision import the types that are not SQLAlchemy's own."""
    module = type(item).__module__
    if kind == 'type' and not module.startswith('sqlalchemy.'):
        autogen.imports.add(f'import {module}')
    return False


def migrate(connection: Connection | None) -> None:
    """Run the migrations; without a connection, print them."""
    dialect = (connection or app_engine).dialect.name
    schemas = {table.schema for table in target_metadata.tables.values()}
    context.configure(
        connection=connection,
        dialect_name=dialect,
        dialect_opts={'paramstyle': 'named'},
        literal_binds=connection is None,
        transaction_per_migration=True,
        target_metadata=target_metadata,
        render_as_batch=dialect == 'sqlite',
        render_item=with_import,
        compare_server_default=dialect == 'postgresql',
        include_schemas=bool(schemas - {None}),
        include_name=lambda name, kind, _: kind != 'schema' or name in schemas,
        autogenerate_plugins=[
            'alembic.autogenerate.*',
            'alembic.ext.checkconstraint_byname',
        ],
    )
    with context.begin_transaction():
        context.run_migrations()


def migrate_alone(connection: Connection) -> None:
    """Run the migrations while no other process does, without a limit."""
    if connection.dialect.name == 'postgresql':
        deadline = time.monotonic() + PATIENCE_SECONDS
        # To wait in a transaction would stop CREATE INDEX CONCURRENTLY.
        while not connection.scalar(select(func.pg_try_advisory_lock(LOCK))):
            connection.rollback()
            if time.monotonic() > deadline:
                message = 'other migrations are running'
                raise TimeoutError(message)
            time.sleep(0.2)
        for name in ('statement', 'idle_in_transaction_session'):
            connection.execute(text(f'SET {name}_timeout = 0'))
        connection.commit()
    migrate(connection)
