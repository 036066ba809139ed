# From laterctl: queries.
"""Pages by key have each row once."""

import pytest
from fastapi import HTTPException
from sqlalchemy import create_engine, insert, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from order_service.core.paging import after, cursor_at


class Base(DeclarativeBase):
    """Has tables of its own."""


class Row(Base):
    """Something to turn pages of."""

    __tablename__ = 'rows'

    number: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


def test_each_row_is_on_one_page() -> None:
    engine = create_engine('sqlite://')
    rows = [{'number': number, 'name': f'{number % 3}'} for number in range(10)]
    found: list[int] = []
    cursor = ''
    with engine.begin() as connection:
        Base.metadata.create_all(connection)
        connection.execute(insert(Row), rows)
        while True:
            every = select(Row.name, Row.number).order_by(Row.name, Row.number)
            page = every.where(after(cursor, Row.name, Row.number)).limit(3)
            if not (part := connection.execute(page).all()):
                break
            found += [number for _, number in part]
            cursor = cursor_at(*part[-1])

    assert found == sorted(range(10), key=lambda number: (number % 3, number))


@pytest.mark.parametrize('cursor', ['x', 'AAAA', cursor_at(1), cursor_at('a', 'b')])
def test_another_cursor_is_400(cursor: str) -> None:
    with pytest.raises(HTTPException) as raised:
        after(cursor, Row.name, Row.number)

    assert raised.value.status_code == 400
