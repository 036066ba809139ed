"""What commands do about files that cannot be read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from laterctl.refusal import Refusal, Refused


@contextmanager
def readable() -> Iterator[None]:
    """Turn a file that cannot be read, wherever that shows, into a refusal that names it."""
    from laterctl.project.source import Unreadable
    from laterctl.project.tree import Outside
    from laterctl.project.unreadable import as_undecided

    try:
        yield
    except (Unreadable, Outside) as error:
        found = as_undecided(error)
        raise Refused(Refusal(found.code, found.message, found.places[0], remedy=found.hint)) from error
