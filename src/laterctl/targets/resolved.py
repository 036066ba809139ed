"""What an edit comes to in one project."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from laterctl.targets.base import Anchor, Target


class Resolved(Struct, frozen=True):
    """A target that a feature wants, and for a new statement where it goes.

    `complete` gives the target with what takes time to make, such as a rendered file.
    """

    target: Target
    anchor: Anchor | None = None
    complete: Callable[[], Target] | None = None
