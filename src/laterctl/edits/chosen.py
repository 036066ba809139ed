"""Edits that hold only with certain values of an option of their feature."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from laterctl.edits.beside import Beside
from laterctl.edits.context import Edit, FeatureContext
from laterctl.targets.resolved import Resolved


class Chosen(Struct, frozen=True):
    """`edits` of a feature that hold while its `option` has one of `values`."""

    option: str
    values: tuple[str | int | float | bool, ...]
    edits: tuple[Edit, ...]

    def resolve(self, context: FeatureContext) -> Iterator[Resolved]:
        for edit in chosen((self,), context.options):
            yield from edit.resolve(context)


def conditional(edits: Iterable[Edit], conditions: tuple[str, ...] = ()) -> Iterator[tuple[Edit, tuple[str, ...]]]:
    """Yield edits with those that others hold in their place, each with the words for when it holds."""
    for edit in edits:
        more: tuple[str, ...] = ()
        if isinstance(edit, Chosen):
            more = (f"{edit.option}={' or '.join(str(value).lower() for value in edit.values)}",)
        elif isinstance(edit, Beside):
            more = (edit.feature,)
        inner: tuple[Edit, ...] = getattr(edit, "edits", ())
        if inner:
            yield from conditional(inner, (*conditions, *more))
        else:
            yield edit, conditions


def chosen(edits: Iterable[Edit], options: Mapping[str, str | int | float | bool]) -> tuple[Edit, ...]:
    """Return the edits that hold with these values of options."""
    found: list[Edit] = []
    for edit in edits:
        if not isinstance(edit, Chosen):
            found.append(edit)
        elif options[edit.option] in edit.values:
            found += chosen(edit.edits, options)
    return tuple(found)
