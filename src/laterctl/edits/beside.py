"""Edits that hold only while another feature is there too."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from laterctl.edits.context import Edit, FeatureContext
from laterctl.targets.resolved import Resolved


class Beside(Struct, frozen=True):
    """`edits` of a feature that hold only while `feature` is wanted too, whichever of the two came first.

    They are recorded with the feature that declares them, and go when either goes.
    """

    feature: str
    edits: tuple[Edit, ...]

    def resolve(self, context: FeatureContext) -> Iterator[Resolved]:
        for edit in self.edits:
            yield from edit.resolve(context)
