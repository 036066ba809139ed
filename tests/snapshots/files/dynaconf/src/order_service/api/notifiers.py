# From laterctl: factory.
"""Each notifier by its name.

A route has the one that a query names by ``NotifierDep``, other code by
``get_notifier('...')``.
"""

from collections.abc import Callable
from typing import Annotated, NamedTuple

from fastapi import Depends, HTTPException

from order_service.core.container import container
from order_service.core.notifiers import Notifier


class Named(NamedTuple):
    """What gives a notifier, and its name."""

    name: str
    give: Callable[[], Notifier]


NOTIFIERS: list[Named] = [
    Named('email', container.email_notifier),
    Named('sms', container.sms_notifier),
]


class UnknownNotifierError(HTTPException):
    """No notifier has that name: a request is answered 400."""

    def __init__(self, name: str) -> None:
        """Name those that there are."""
        known = ', '.join(item.name for item in NOTIFIERS)
        super().__init__(400, f'no notifier {name!r}, only {known}')


def get_notifier(notifier: str) -> Notifier:
    """Return the one of that name; UnknownNotifierError without it."""
    for name, give in NOTIFIERS:
        if name == notifier:
            return give()
    raise UnknownNotifierError(notifier)


NotifierDep = Annotated[Notifier, Depends(get_notifier)]
