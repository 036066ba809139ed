# From laterctl: permissions.
"""What callers may do, and which permission brings others with it."""

from collections.abc import Iterable
from enum import Enum
from graphlib import TopologicalSorter


class Permission(Enum):
    """A permission, and how tokens spell it."""

    READ = 'read'
    WRITE = 'write'
    DELETE = 'delete'
    ADMIN = 'admin'


IMPLIES: dict[Permission, set[Permission]] = {
    Permission.ADMIN: {Permission.READ, Permission.WRITE, Permission.DELETE},
}

# Paths that need no caller: '/docs*', '/login'. With '*' the test of all
# routes finds nothing; name those that anybody may ask, and drop it.
PUBLIC_ROUTES: list[str] = ['*']


def _closed() -> dict[str, set[str]]:
    """Return each permission with all that it brings; CycleError."""
    closed: dict[str, set[str]] = {}
    for each in TopologicalSorter(IMPLIES).static_order():
        brought = (closed[other.value] for other in IMPLIES.get(each, ()))
        closed[each.value] = {each.value}.union(*brought)
    return closed


CLOSED = _closed()


def with_implied(granted: Iterable[str]) -> set[str]:
    """Return permissions, and all that they bring."""
    return {each for name in granted for each in CLOSED.get(name, {name})}
