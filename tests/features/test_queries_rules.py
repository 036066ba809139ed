"""The doctor rule of `queries`: what it finds, and what it leaves alone."""

from __future__ import annotations

import pytest

from tests.ruling import code

HEAD = """
import sqlalchemy as sa
from sqlalchemy.sql import text
from sqlmodel import text as words
from mine import text as mine

TABLE = "users"
name = input()
made = f"name = '{name}'"
"""


@pytest.mark.parametrize(
    "line",
    [
        "session.execute(sa.text(f'DELETE FROM users WHERE name = {name}'))",
        "session.execute(words(text='DELETE FROM users WHERE name like %s' % name))",
        "session.execute(text('DELETE FROM {} WHERE name IN ({})'.format(TABLE, name)))",
        "session.execute(text(f'SELECT {name} FROM users LIMIT {name}'))",
        "session.execute(text(f\"SELECT * FROM {TABLE} WHERE kind = 'a' AND name LIKE '%{name}%'\"))",
        "session.execute(text(f'INSERT INTO users VALUES (1, {name})'))",
        "session.execute(text(made))",
    ],
)
def test_found_in_other_spellings(line: str) -> None:
    assert code("QRY001", f"{HEAD}{line}\n") == [line]


@pytest.mark.parametrize(
    "line",
    [
        "session.execute(sa.text(f'DELETE FROM {TABLE}'))",
        "session.execute(mine(f'DELETE FROM users WHERE name = {name}'))",
        "session.execute(text('DELETE FROM ' + TABLE))",
        "session.execute(text(f'SELECT {name} <=> :vector AS distance FROM {name} {name} ORDER BY {name} DESC'))",
        "session.execute(text('SELECT * FROM %s JOIN %s ON a.id = %s.id' % (name, name, name)))",
        "session.execute(text(f'SELECT name FROM users WHERE id IN (SELECT id FROM {name}) ORDER BY {name}'))",
        "session.execute(text('CREATE SCHEMA IF NOT EXISTS {}'.format(name)))",
        "session.execute(text(f\"SELECT setval('users_id_seq', coalesce(max({name}), 1)) FROM {name}\"))",
        "session.execute(text('DELETE FROM users WHERE name = :name'), {'name': name})",
        "session.execute(text(f'DELETE FROM users'))",
        "logger.info(f'text({name})')",
    ],
)
def test_left_alone(line: str) -> None:
    assert code("QRY001", f"{HEAD}{line}\n") == []
