"""What an edit comes to in one project."""

from __future__ import annotations

from msgspec import Struct

from laterctl.targets.base import Anchor, Target


class Resolved(Struct, frozen=True):
    """A target that a feature wants, and for a new statement where it goes."""

    target: Target
    anchor: Anchor | None = None
