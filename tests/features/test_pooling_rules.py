"""The doctor rules of `pooling`: what they find, and what they leave alone."""

from __future__ import annotations

import pytest

from tests.ruling import code

HEAD = """
import sqlalchemy as sa
from sqlalchemy import pool
from sqlalchemy.ext import asyncio as sae
from sqlmodel import create_engine
from mine import create_async_engine, pooled
"""


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        ("POL001", "engine = sae.create_async_engine(URL, poolclass=pool.QueuePool)"),
        ("POL001", "engine = pooled(sae.create_async_engine)(URL, poolclass=sa.QueuePool)"),
        ("POL002", "engine = create_engine(URL, poolclass=sa.StaticPool, max_overflow=1)"),
        ("POL002", "engine = sae.create_async_engine(url='sqlite+aiosqlite:///:memory:', pool_timeout=1)"),
        ("POL003", "engine = make(f'postgresql+asyncpg://{user}@db/app?sslmode=require')"),
        ("POL004", "engine = sa.create_engine(URL, max_overflow=3)"),
    ],
)
def test_found_in_other_spellings(rule: str, line: str) -> None:
    assert code(rule, f"{HEAD}{line}\n") == [line]


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        ("POL001", "engine = create_async_engine(URL, poolclass=pool.QueuePool)"),
        ("POL002", "engine = sa.create_engine(URL, poolclass=mine(), pool_size=5)"),
        ("POL003", "'''An asyncpg URL such as postgresql+asyncpg:// has no sslmode=.'''"),
        ("POL004", "engine = pooled(create_engine)(URL, pool_size=5)"),
        ("POL004", "engine = create_engine(URL, poolclass=pool.NullPool, pool_size=5)"),
    ],
)
def test_left_alone(rule: str, line: str) -> None:
    assert code(rule, f"{HEAD}{line}\n") == []
