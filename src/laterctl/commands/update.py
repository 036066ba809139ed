"""`update`: which of the installed features are brought to today's version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from laterctl.engine.plan import Request
from laterctl.features import catalogue

if TYPE_CHECKING:
    from laterctl.commands.change import Requesting
    from laterctl.engine.ledger import Entry


def updating(names: Sequence[str], *, conflicts: bool = False, without: Sequence[str] = ()) -> Requesting:
    """Return the request to update features; with none named, all installed ones that this laterctl has."""

    def request(installed: Mapping[str, Entry]) -> Request:
        known = {name for name in catalogue.module_names() if name in installed and not installed[name].left}
        wanted = tuple(names or sorted(known))
        return Request(update=wanted, without=tuple(without), conflicts=conflicts)

    return request
