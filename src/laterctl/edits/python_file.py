"""Python files: converges one from the pieces wanted before to those wanted now.

Everything is located on one `ast` snapshot; the operations are then carried out at once. Where a new piece goes
depends on the user's statements alone: our own that stand at the same place are sorted among themselves, so the order
in which features arrive leaves no trace.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from laterctl.edits.pieces import Anchor, Block, Piece, Record, State, Statement
from laterctl.edits.python_imports import converge_imports
from laterctl.edits.python_parts import converge_parts
from laterctl.edits.python_text import Located, Text, block_of, locate, own_spots, yield_of
from laterctl.edits.python_work import Fresh, Line, Work, fitted, is_docstring
from laterctl.project.facts import BodyPath, Layout

if TYPE_CHECKING:
    from laterctl.codemods.python import Operation


class Converged(Struct, frozen=True):
    """A converged document: its bytes, the user's text that pieces took the place of, and what was left and why."""

    data: bytes
    replaced: Mapping[Piece, str]
    left: Mapping[Piece, str]


def converge(
    data: bytes,
    before: Sequence[Record],
    after: Sequence[Record],
    anchors: Mapping[Piece, Anchor],
    layout: Layout,
    *,
    encoding: str = "utf-8",
) -> Converged:
    """Bring a Python document from the pieces in `before` to the pieces in `after`.

    Args:
        data: the document as it is.
        before: records of our own pieces that are in it, from all installed features.
        after: records wanted; new ones have no `replaced` text yet.
        anchors: where new statements go.
        layout: gives the project's style and its first-party names.
        encoding: of the document.

    Raises:
        TextEditError: a place cannot be edited without touching what is not ours.
    """
    from laterctl.codemods import python

    bom, rest = python.split_bom(data)
    text = Text(rest.decode(encoding))
    work = Work(text, layout, own_spots(text, before))
    _statements(work, before, after, anchors)
    converge_parts(work, before, after)
    _blocks(work, before, after)
    converge_imports(work, before, after)
    # A statement with a new text stays where it is, so the places of all others still hold in what comes out.
    result = work.retexted().encode(encoding) if work.retext else rest
    operations = [*_regions(work), *work.blocks]
    if operations:
        result = python.edit(result, operations, encoding=encoding)
    return Converged(bom + result, work.replaced, work.left)


def _statements(work: Work, before: Sequence[Record], after: Sequence[Record], anchors: Mapping[Piece, Anchor]) -> None:
    had = {record.piece: record for record in before if isinstance(record.piece, Statement)}
    wanted = {record.piece: record for record in after if isinstance(record.piece, Statement)}
    for piece, record in had.items():
        assert isinstance(piece, Statement)
        inspection, located = locate(work.text, piece)
        if located is not None:
            work.order[located.spot] = (1, *piece.order)
        if piece in wanted:
            continue
        if located is None:
            work.left[piece] = "edited" if inspection.state is State.ALTERED else "gone"
            continue
        work.drop.add(located.spot)
        if record.replaced is not None:
            _restore_placeholder(work, located, record.replaced)
    for piece, record in wanted.items():
        if piece in had or piece not in anchors:
            continue
        assert isinstance(piece, Statement)
        anchor = anchors[piece]
        column = len(work.layout.style.indent) * len(anchor.body)
        code = fitted(piece.code, work.layout.style, Line(column))
        placeholder = _placeholder(work, anchor.body)
        if placeholder is not None:
            work.drop.add(placeholder.spot)
            work.own.add(placeholder.spot)
            work.replaced[piece] = work.text.code(placeholder)
        elif (filler := record.replaced or _filler(had.values(), piece.scope)) is not None:
            work.replaced[piece] = filler
        work.put(anchor.body, anchor.after, Fresh((1, *piece.order), code))


def _filler(records: Iterable[Record], scope: str) -> str | None:
    """The placeholder that our statements in a scope took the place of."""
    return next(
        (item.replaced for item in records if item.replaced and getattr(item.piece, "scope", "") == scope), None
    )


def _placeholder(work: Work, body: BodyPath) -> Located | None:
    """The `pass` or `...` that is all there is in a block besides a docstring and our own statements."""
    rest = [item for item in work.text.in_body(body) if not is_docstring(item.node)]
    users = [item for item in rest if item.spot not in work.own or item.spot in work.drop]
    if not body or len(users) != 1:
        return None
    node = users[0].node
    ellipsis = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and node.value.value is ...
    return users[0] if isinstance(node, ast.Pass) or ellipsis else None


def _restore_placeholder(work: Work, located: Located, code: str) -> None:
    body = located.body
    rest = [item for item in work.text.in_body(body) if not is_docstring(item.node) and item.spot not in work.drop]
    if not rest:
        first = min(item.ordinal for item in work.text.in_body(body) if item.spot in work.drop)
        work.put(body, first, Fresh((0, 0, ""), code))


def _blocks(work: Work, before: Sequence[Record], after: Sequence[Record]) -> None:
    from laterctl.codemods.placement import TextEditError
    from laterctl.codemods.python import Unwrap, Wrap

    had = {record.piece for record in before if isinstance(record.piece, Block)}
    wanted = {record.piece for record in after if isinstance(record.piece, Block)}
    for piece in had - wanted:
        assert isinstance(piece, Block)
        found = block_of(work.text, piece)
        if found is None:
            work.left[piece] = "gone"
        else:
            work.blocks.append(Unwrap(found.body, found.ordinal))
            work.gone.update(id(item) for item in getattr(found.node, "items", ()))
    for piece in wanted - had:
        assert isinstance(piece, Block)
        if block_of(work.text, piece) is not None:
            continue  # its ledger was lost
        target = yield_of(work.text, piece.scope)
        if target is None:
            raise TextEditError(f"{piece.scope}() has no single yield statement")
        work.replaced[piece] = work.text.code(target)
        work.blocks.append(Wrap(target.body, target.ordinal, piece.header))


def _regions(work: Work) -> Iterator[Operation]:
    bodies = {spot[0] for spot in [*work.drop, *work.fresh]}
    for body in bodies:
        nodes = [item.node for item in work.text.in_body(body)]
        own = sorted(ordinal for place, ordinal in work.own if place == body)
        for start, stop in _runs(own, [after for place, after in work.fresh if place == body]):
            region = _region(work, body, nodes, start, stop)
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


def _region(work: Work, body: BodyPath, nodes: Sequence[ast.stmt], start: int, stop: int) -> Operation | None:
    from laterctl.codemods.python import Drop, Keep, New, Region

    fresh = sorted(work.fresh.get((body, start - 1), ()), key=lambda item: item.order)
    touched = any((body, ordinal) in work.drop for ordinal in range(start, stop))
    if not fresh and not touched:
        return None
    above = nodes[start - 1] if start else None
    below = nodes[stop] if stop < len(nodes) else None
    nested = bool(body)
    if above is not None and is_docstring(above) and below is not None and work.section(below) is not None:
        above = None
    # The first of our imports in the section of the user's import below takes over the blank lines that set it apart.
    shared = work.section(below) if below is not None and not nested else None
    if shared is not None and above is not None and work.section(above) == shared:
        shared = None
    items: list[Keep | New | Drop] = []
    old_above: ast.stmt | Fresh | None = above
    new_above: ast.stmt | Fresh | None = above
    queue = list(fresh)

    def gap(over: ast.stmt | Fresh | None, item: ast.stmt | Fresh) -> int:
        if shared is not None and work.section_at(item) == shared:
            return 0
        return _gap(work, over, item, nested=nested)

    def put(item: Fresh) -> None:
        nonlocal new_above
        first = new_above is None or work.section_at(new_above) != shared
        takes = (shared is not None and item.section == shared and first) or (above is None and not items)
        items.append(New(item.text, 0 if takes else gap(new_above, item), takes and not nested))
        new_above = item

    for ordinal in range(start, stop):
        node = nodes[ordinal]
        spot = (body, ordinal)
        old_gap = gap(old_above, node)
        old_above = node
        if spot in work.drop:
            items.append(Drop(ordinal, old_gap))
            continue
        while queue and queue[0].order < work.order.get(spot, (9, 9, "")):
            put(queue.pop(0))
        items.append(Keep(ordinal, gap(new_above, node) - old_gap))
        new_above = node
    for item in queue:
        put(item)
    tail = 0
    if shared is None or above is None:
        tail = _tail(work, above, new_above, below) - _tail(work, above, old_above, below)
    return Region(body, start, stop, tuple(items), tail)


def _gap(work: Work, above: ast.stmt | Fresh | None, item: ast.stmt | Fresh, *, nested: bool) -> int:
    """Blank lines that one of our statements has above it, as formatters want them."""
    section = work.section_at(item)
    over = None if above is None else work.section_at(above)
    if section is not None:
        docstring = isinstance(above, ast.stmt) and is_docstring(above)
        return int(docstring or (over is not None and over != section))
    if isinstance(above, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return 1 if nested else 2
    return int(over is not None and not nested)


def _tail(work: Work, above: ast.stmt | None, last: ast.stmt | Fresh | None, below: ast.stmt | None) -> int:
    """Blank lines that our statements need below them and that the user's own neighbours would not have had."""
    if last is above or last is None or below is None or work.section(below) is None:
        return 0
    users = 0 if above is None else _gap(work, above, below, nested=False)
    return max(0, _gap(work, last, below, nested=False) - users)
