# From laterctl: migrations.
"""The migrations follow each other, and lead to the models and back."""

import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, inspect, make_url

from order_service.db import engine

INI = next(
    folder / 'alembic.ini'
    for folder in Path(__file__).parents
    if (folder / 'alembic.ini').exists()
)
URL = make_url(os.environ.get('TEST_DATABASE_URL', 'sqlite://'))
KIND = engine.dialect.name
IS_ANOTHER = URL.get_backend_name() != KIND


@pytest.fixture
def config() -> Config:
    return Config(INI, output_buffer=io.StringIO())


@pytest.fixture
def connection(config: Config) -> Iterator[Connection]:
    """Give a connection to an empty database, on which migrations run."""
    with create_engine(URL).connect() as connection:
        assert not inspect(connection).get_table_names(), 'not to be lost'
        connection.rollback()
        config.attributes['connection'] = connection
        yield connection


def heads(config: Config) -> list[str]:
    return list(ScriptDirectory.from_config(config).get_heads())


def test_there_is_one_way_forward(config: Config) -> None:
    assert len(heads(config)) <= 1, 'alembic merge heads'
    if KIND != 'sqlite':  # whose tables are looked at before they change
        command.upgrade(config, 'heads', sql=True)


@pytest.mark.skipif(IS_ANOTHER, reason='TEST_DATABASE_URL: an empty one')
def test_they_lead_to_the_models_and_back(
    config: Config,
    connection: Connection,
) -> None:
    command.upgrade(config, 'heads')
    if heads(config):
        command.check(config)
    command.downgrade(config, 'base')
    assert set(inspect(connection).get_table_names()) <= {'alembic_version'}
    command.upgrade(config, 'heads')
