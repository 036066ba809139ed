# From laterctl: queries.
"""Statements are counted for who asks."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from fastapi import FastAPI
from sqlalchemy import create_engine, text

from order_service.core.queries import QueriesMiddleware, TooManyQueriesError, recorded
from order_service.main import app

application: FastAPI = app
engine = create_engine('sqlite://')
Block = Callable[[int], AbstractContextManager[list[str]]]


def ask(times: int) -> None:
    with engine.connect() as connection:
        for number in range(times):
            connection.execute(text('SELECT :number'), {'number': number})


def test_the_application_has_it() -> None:
    classes: list[object] = [item.cls for item in application.user_middleware]

    assert classes.count(QueriesMiddleware) == 1


def test_what_is_repeated_is_named(assert_max_queries: Block) -> None:
    with assert_max_queries(3):
        ask(3)
    expected = '3 statements instead of 2: 3 times SELECT'
    with pytest.raises(TooManyQueriesError, match=expected):  # noqa: SIM117
        with assert_max_queries(2):
            ask(3)


def test_each_block_has_its_own() -> None:
    with recorded() as outer:
        ask(1)
        with recorded() as inner:
            ask(2)
    ask(1)

    assert (len(outer), len(inner)) == (3, 2)
