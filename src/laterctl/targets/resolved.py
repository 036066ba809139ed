"""What an edit comes to in one project."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec import Struct

from laterctl.targets.base import Anchor, Target


class Resolved(Struct, frozen=True):
    """A target that a feature wants, and for a new statement where it goes.

    `complete` gives the target with what takes time to make, such as a rendered file; `alternatives` gives other forms
    of it that are adopted when they are there.
    """

    target: Target
    anchor: Anchor | None = None
    complete: Callable[[], Target] | None = None
    others: Callable[[Target], Iterable[Target]] | None = None

    def alternatives(self) -> Iterable[Target]:
        """Return other forms of the target that do as well when they stand there already."""
        return self.others(self.target) if self.others is not None else ()
