# From laterctl: settings.
"""What features do with their settings when the application starts.

Values may come as what they are, or as the text of a variable.
"""

import json
import math
from collections.abc import Iterable
from typing import cast

from pydantic import SecretStr
from starlette.types import ASGIApp, Receive, Scope, Send


def as_list(name: str, value: object) -> tuple[str, ...]:
    """Return the entries of a list, a JSON list, or text with commas.

    Raises ValueError naming the setting.
    """
    if isinstance(value, str):
        text = value.strip()
        try:
            value = json.loads(text) if text[:1] == '[' else text.split(',')
        except ValueError:
            raise invalid(name, text, 'is no JSON list') from None
    if not isinstance(value, Iterable):
        raise invalid(name, value, 'is no list')
    entries = (str(item).strip() for item in cast('Iterable[object]', value))
    return tuple(entry for entry in entries if entry)


def as_bool(name: str, value: object) -> bool:
    """Return a switch; ValueError names the setting."""
    text = str(value).strip().lower()
    if text in {'true', '1', 'yes', 'on'}:
        return True
    if text in {'false', '0', 'no', 'off', ''}:
        return False
    raise invalid(name, value, 'is neither true nor false')


def as_int(name: str, value: object) -> int:
    """Return a whole number; ValueError names the setting."""
    try:
        return int(str(value))
    except ValueError:
        raise invalid(name, value, 'is no whole number') from None


def as_positive(name: str, value: object) -> float:
    """Return a number above 0 with an end; ValueError names the setting."""
    try:
        number = float(str(value))
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise invalid(name, value, 'is no positive number')
    return number


def as_text(value: object) -> str:
    """Return text, that of a secret too; '' for a setting without a value."""
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    return str(value or '').strip()


def is_production(environment: str) -> bool:
    """Tell whether people depend on what runs in this environment."""
    return environment.lower() in {'production', 'prod', 'live'}


def invalid(name: str, value: object, reason: str) -> ValueError:
    """Return the error for a setting, or an entry of it, that is wrong."""
    return ValueError(f'{name}: {value!r} {reason}')


def refuse_start(error: Exception) -> ASGIApp:
    """Return an application that fails the server's start with the error.

    Raising it while the middleware is built would not: the server takes
    that for an application without start-up events, and serves errors.
    """

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        if scope['type'] == 'lifespan':
            failed = 'lifespan.startup.failed'
            await receive()
            await send({'type': failed, 'message': str(error)})
        # A test client waits for ever for a start that only says it failed.
        raise error.with_traceback(None)

    return refuse
