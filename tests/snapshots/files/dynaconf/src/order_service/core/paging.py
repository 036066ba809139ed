# From laterctl: queries.
"""Pages by key: rows that come and go move none to another page.

    select(Order).where(after(cursor, Order.created_at, Order.id))
        .order_by(Order.created_at, Order.id).limit(50)

The next cursor is ``cursor_at(order.created_at, order.id)`` of the last row.
The keys are unique together, never NULL, and an index has them in this order.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

from fastapi import HTTPException
from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, true, tuple_
from sqlalchemy.orm import QueryableAttribute

VALUES = TypeAdapter(tuple[object, ...])


def after(cursor: str | None, *keys: QueryableAttribute[Any]) -> ColumnElement[bool]:
    """Return the condition of rows behind a cursor, of all rows without one.

    HTTPException with 400 for a cursor that is none of these keys.
    """
    if not cursor:
        return true()
    try:
        given = json.loads(urlsafe_b64decode(cursor))
        pairs = [*zip(keys, given, strict=True)]
        values = [
            TypeAdapter(key.type.python_type).validate_python(value)
            for key, value in pairs
        ]
    except (TypeError, ValueError):
        raise HTTPException(400, 'no such cursor') from None
    return tuple_(*keys) > tuple_(*values)


def cursor_at(*values: object) -> str:
    """Return the cursor of a row, by the values of its keys."""
    return urlsafe_b64encode(VALUES.dump_json(values)).decode()
