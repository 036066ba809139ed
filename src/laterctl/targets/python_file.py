"""Python files: converges one from the targets wanted before to those wanted now.

Everything is located on one `ast` snapshot; the operations are then carried out at once. Where a new target goes
depends on the user's statements alone: our own that stand at the same place are sorted among themselves, so the order
in which features arrive leaves no trace.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from laterctl.project.facts import BodyPath, Layout
from laterctl.targets.base import Anchor, Record, State, Target
from laterctl.targets.block import Block, block_of, yield_of
from laterctl.targets.python_imports import converge_imports
from laterctl.targets.python_parts import converge_parts
from laterctl.targets.python_target import own_spots
from laterctl.targets.python_text import Located, read_text
from laterctl.targets.python_work import Fresh, Line, Work, fitted, is_docstring
from laterctl.targets.statement import Statement, locate

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
        encoding: of the document.

    Raises:
        TextEditError: a place cannot be edited without touching what is not ours.
    """
    from laterctl.codemods import python

    bom, rest = python.split_bom(data)
    text = read_text(rest.decode(encoding))
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


def _statements(
    work: Work, before: Sequence[Record], after: Sequence[Record], anchors: Mapping[Target, Anchor]
) -> None:
    had = {record.target: record for record in before if isinstance(record.target, Statement)}
    wanted = {record.target: record for record in after if isinstance(record.target, Statement)}
    for target, record in had.items():
        assert isinstance(target, Statement)
        inspection, located = locate(work.text, target)
        if located is not None:
            work.order[located.spot] = (1, *target.order)
        if target in wanted:
            continue
        if located is None:
            work.left[target] = "edited" if inspection.state is State.ALTERED else "gone"
            continue
        work.drop.add(located.spot)
        if record.replaced is not None:
            _restore_placeholder(work, located, record.replaced)
    for target, record in wanted.items():
        if target in had or target not in anchors:
            continue
        assert isinstance(target, Statement)
        anchor = anchors[target]
        column = len(work.layout.style.indent) * len(anchor.body)
        code = fitted(target.code, work.layout.style, Line(column))
        placeholder = _placeholder(work, anchor.body)
        if placeholder is not None:
            work.drop.add(placeholder.spot)
            work.own.add(placeholder.spot)
            work.replaced[target] = work.text.code(placeholder)
        elif (filler := record.replaced or _filler(had.values(), target.scope)) is not None:
            work.replaced[target] = filler
        work.put(anchor.body, anchor.after, Fresh((1, *target.order), code))


def _filler(records: Iterable[Record], scope: str) -> str | None:
    """The placeholder that our statements in a scope took the place of."""
    return next(
        (item.replaced for item in records if item.replaced and getattr(item.target, "scope", "") == scope), None
    )


def _placeholder(work: Work, body: BodyPath) -> Located | None:
    """The `pass` or `...` that is all there is in a block besides a docstring and our own statements.

    One with a comment stays: the comment is the user's.
    """
    rest = [item for item in work.text.in_body(body) if not is_docstring(item.node)]
    users = [item for item in rest if item.spot not in work.own or item.spot in work.drop]
    if not body or len(users) != 1 or work.text.comment_after(users[0].node):
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

    had = {record.target for record in before if isinstance(record.target, Block)}
    wanted = {record.target for record in after if isinstance(record.target, Block)}
    for target in had - wanted:
        assert isinstance(target, Block)
        found = block_of(work.text, target)
        if found is None:
            work.left[target] = "gone"
        else:
            work.blocks.append(Unwrap(found.body, found.ordinal))
            work.gone.update(id(item) for item in getattr(found.node, "items", ()))
    for target in wanted - had:
        assert isinstance(target, Block)
        if block_of(work.text, target) is not None:
            continue  # its ledger was lost
        statement = yield_of(work.text, target.scope)
        if statement is None:
            raise TextEditError(f"{target.scope}() has no single yield statement")
        work.replaced[target] = work.text.code(statement)
        work.blocks.append(Wrap(statement.body, statement.ordinal, target.header))


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
    apart = above is not None and _is_commented(work, body, above)

    def gap(over: ast.stmt | Fresh | None, item: ast.stmt | Fresh) -> int:
        if apart and over is above:
            return 1
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


def _is_commented(work: Work, body: BodyPath, node: ast.stmt) -> bool:
    """Whether a statement of a class is one of a group below a comment, which would be taken to be about ours, too."""
    around = next((item.node for item in work.text.statements if body and item.spot == (body[:-1], body[-1][0])), None)
    if not isinstance(around, ast.ClassDef):
        return False
    for line in reversed(work.text.lines[around.lineno : node.lineno - 1]):
        text = line.strip()
        if not text or text.startswith("#"):
            return bool(text)
    return False


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
