"""Python files: converges one from the targets wanted before to those wanted now.

Everything is located on one `ast` snapshot; the operations are then carried out at once. Where a new target goes
depends on the user's statements alone: our own that stand at the same place are sorted among themselves, so the order
in which features arrive leaves no trace.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

from msgspec import Struct

from laterctl.project.facts import BodyPath, Layout
from laterctl.targets.base import Anchor, Record, Target, kinds
from laterctl.targets.file_edit import FileEdit, Insertion, is_definition, is_docstring
from laterctl.targets.python_target import PythonTarget, own_statements
from laterctl.targets.python_text import read_text

if TYPE_CHECKING:
    from laterctl.codemods.python import Operation


class Converged(Struct, frozen=True):
    """A converged document: its bytes, the user's text that targets took the place of, and what was left and why."""

    data: bytes
    replaced: Mapping[Target, str]
    left: Mapping[Target, str]


def converge(
    data: bytes,
    before: Sequence[Record],
    after: Sequence[Record],
    anchors: Mapping[Target, Anchor],
    layout: Layout,
    deleted: Collection[Target] = (),
    *,
    encoding: str = "utf-8",
) -> Converged:
    """Bring a Python document from the targets in `before` to the targets in `after`.

    Args:
        data: the document as it is.
        before: records of our own targets that are in it, from all installed features.
        after: records wanted; new ones have no `replaced` text yet.
        anchors: where new statements go.
        layout: gives the project's style and its first-party names.
        deleted: what goes with what the user made of it.
        encoding: of the document.

    Raises:
        TextEditError: a place cannot be edited without touching what is not ours.
    """
    from laterctl.codemods import python

    bom, rest = python.split_bom(data)
    text = read_text(rest.decode(encoding))
    edit = FileEdit(text, layout, own_statements(text, before), deleted)
    for kind in _kinds():
        kind.converge(edit, before, after, anchors)
    # A statement with a new text stays where it is, so the places of all others still hold in what comes out.
    result = edit.retexted().encode(encoding) if edit.retext else rest
    operations = [*_regions(edit), *edit.blocks]
    if operations:
        result = python.edit(result, operations, encoding=encoding)
    return Converged(bom + result, edit.replaced, edit.left)


@cache
def _kinds() -> tuple[type[PythonTarget], ...]:
    """Return the kinds of target that have a way to converge of their own, in their turn."""
    every = (base for kind in kinds().values() if issubclass(kind, PythonTarget) for base in kind.__mro__)
    own = {base for base in every if issubclass(base, PythonTarget) and "converge" in vars(base)} - {PythonTarget}
    return tuple(sorted(own, key=lambda kind: (kind.turn, kind.__name__)))


def _regions(edit: FileEdit) -> Iterator[Operation]:
    bodies = {position[0] for position in [*edit.drop, *edit.insertions]}
    for body in bodies:
        nodes = [item.node for item in edit.text.in_body(body)]
        own = sorted(ordinal for place, ordinal in edit.own if place == body)
        for start, stop in _runs(own, [after for place, after in edit.insertions if place == body]):
            region = _region(edit, body, nodes, start, stop)
            if region is not None:
                yield region


def _runs(own: Sequence[int], anchors: Iterable[int]) -> list[tuple[int, int]]:
    """Group our ordinals into runs; an anchor without a run behind it gives an empty one."""
    runs: list[tuple[int, int]] = []
    for ordinal in own:
        if runs and runs[-1][1] == ordinal:
            runs[-1] = (runs[-1][0], ordinal + 1)
        else:
            runs.append((ordinal, ordinal + 1))
    starts = {start for start, _ in runs}
    return sorted([*runs, *((after + 1, after + 1) for after in set(anchors) if after + 1 not in starts)])


def _region(edit: FileEdit, body: BodyPath, nodes: Sequence[ast.stmt], start: int, stop: int) -> Operation | None:
    from laterctl.codemods.python import Drop, Keep, New, Region

    fresh = sorted(edit.insertions.get((body, start - 1), ()), key=lambda item: item.order)
    touched = any((body, ordinal) in edit.drop for ordinal in range(start, stop))
    if not fresh and not touched:
        return None
    above = nodes[start - 1] if start else None
    below = nodes[stop] if stop < len(nodes) else None
    nested = bool(body)
    if above is not None and is_docstring(above) and below is not None and edit.section(below) is not None:
        above = None
    # The first of our imports in the section of the user's import below takes over the blank lines that set it apart.
    shared = edit.section(below) if below is not None and not nested else None
    if shared is not None and (above is None or edit.section(above) == shared):
        shared = None
    items: list[Keep | New | Drop] = []
    old_above: ast.stmt | Insertion | None = above
    new_above: ast.stmt | Insertion | None = above
    queue = list(fresh)
    apart = above is not None and _is_commented(edit, body, above)

    def gap(over: ast.stmt | Insertion | None, item: ast.stmt | Insertion) -> int:
        if apart and over is above:
            return 1
        if shared is not None and edit.section_at(item) == shared:
            return 0
        return _gap(edit, over, item, nested=nested)

    def put(item: Insertion) -> None:
        nonlocal new_above
        first = new_above is None or edit.section_at(new_above) != shared
        takes = (shared is not None and item.section == shared and first) or (above is None and not items)
        items.append(New(item.text, 0 if takes else gap(new_above, item), takes and not nested))
        new_above = item

    for ordinal in range(start, stop):
        node = nodes[ordinal]
        spot = (body, ordinal)
        old_gap = gap(old_above, node)
        old_above = node
        if spot in edit.drop:
            items.append(Drop(ordinal, old_gap))
            continue
        while queue and queue[0].order < edit.order.get(spot, (9, 9, "")):
            put(queue.pop(0))
        items.append(Keep(ordinal, gap(new_above, node) - old_gap))
        new_above = node
    for item in queue:
        put(item)
    tail = 0
    if shared is None:
        tail = _tail(edit, above, new_above, below) - _tail(edit, above, old_above, below)
    return Region(body, start, stop, tuple(items), tail)


def _is_commented(edit: FileEdit, body: BodyPath, node: ast.stmt) -> bool:
    """Whether a statement of a class is one of a group below a comment, which would be taken to be about ours, too."""
    place = (body[:-1], body[-1][0]) if body else None
    around = next((item.node for item in edit.text.statements if item.position == place), None)
    if not isinstance(around, ast.ClassDef):
        return False
    for line in reversed(edit.text.lines[around.lineno : node.lineno - 1]):
        text = line.strip()
        if not text or text.startswith("#"):
            return bool(text)
    return False


def _gap(edit: FileEdit, above: ast.stmt | Insertion | None, item: ast.stmt | Insertion, *, nested: bool) -> int:
    """Blank lines that one of our statements has above it, as formatters want them."""
    section = edit.section_at(item)
    over = None if above is None else edit.section_at(above)
    if section is not None:
        docstring = isinstance(above, ast.stmt) and is_docstring(above)
        return int(docstring or (over is not None and over != section))
    if above is not None and (is_definition(above) or is_definition(item)):
        return 1 if nested else 2
    return int(over is not None and not nested)


def _tail(edit: FileEdit, above: ast.stmt | None, last: ast.stmt | Insertion | None, below: ast.stmt | None) -> int:
    """Blank lines that our statements need below them and that the user's own neighbours would not have had."""
    if last is above or last is None or below is None or edit.section(below) is None:
        return 0
    users = 0 if above is None else _gap(edit, above, below, nested=False)
    return max(0, _gap(edit, last, below, nested=False) - users)
