"""Law 3 for Python files: what is the user's is the same before and after, by structure and by bytes."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Collection, Iterator, Sequence
from typing import TypeVar

from msgspec.structs import replace

from laterctl.codemods.statements import split_lines
from laterctl.project.source import newline_of
from laterctl.targets.base import Inspection, Record, State, Target
from laterctl.targets.document import Document
from laterctl.targets.pruning import Substitutes, is_filler, pruned, substitutes
from laterctl.targets.python_text import Text

T = TypeVar("T")


class Side:
    """One state of a file: what of it comes or goes, and what is the user's."""

    def __init__(self, document: Document, found: Sequence[Inspection]) -> None:
        self.text: Text = document.text
        self.ours: Substitutes = substitutes(found)
        self.lines = split_lines(self.text.source)
        if self.lines and not self.lines[-1].endswith(("\r", "\n")):
            # A last line without an end gets one when something is put behind it.
            self.lines[-1] += newline_of(self.text.source) or "\n"

    def dump(self) -> str:
        """Return the user's part of the syntax tree, as text."""
        return ast.dump(pruned(self.text.tree, self.ours))

    def statements(self) -> Iterator[tuple[ast.stmt, bool]]:
        """Yield the user's statements, outer ones first, and whether something of ours is in or around each itself."""
        todo: list[tuple[ast.AST, bool]] = [(node, False) for node in reversed(self.text.tree.body)]
        while todo:
            node, around = todo.pop()
            if id(node) in self.ours:
                todo.extend((item, True) for item in reversed(self.ours[id(node)]))
                continue
            if isinstance(node, ast.stmt) and not is_filler(node) and not self._is_all_ours(node):
                yield node, around or any(id(item) in self.ours for item in _own(node))
            todo.extend((item, around) for item in reversed(list(ast.iter_child_nodes(node))))

    def _is_all_ours(self, node: ast.stmt) -> bool:
        return isinstance(node, ast.Import | ast.ImportFrom) and all(id(alias) in self.ours for alias in node.names)

    def rest(self, named: Sequence[ast.stmt]) -> list[str]:
        """Return the lines that belong to none of the `named` statements, to none of ours, and to no filler."""
        gone: set[int] = set()
        for node in named:
            gone.update(lines_of(node))
        for lines in self._whole_statements():
            gone.update(lines)
        return [line for number, line in enumerate(self.lines, 1) if number not in gone]

    def _whole_statements(self) -> Iterator[range]:
        for node in (item.node for item in self.text.statements):
            if id(node) in self.ours and not self.ours[id(node)]:
                yield range(lines_of(node).start, (node.end_lineno or node.lineno) + 1)  # what is in it too
            elif id(node) in self.ours or is_filler(node) or self._is_all_ours(node):
                yield lines_of(node)

    def code(self, node: ast.stmt) -> list[str]:
        """Return the lines of a statement, line ends kept."""
        return [self.lines[number - 1] for number in lines_of(node)]


def lines_of(node: ast.stmt) -> range:
    """Return the numbers of a statement's own lines: of a compound one those above its body."""
    first = min([node.lineno, *(item.lineno for item in getattr(node, "decorator_list", []))])
    body = getattr(node, "body", None)
    if isinstance(body, list) and body and isinstance(body[0], ast.stmt):
        inner = min([body[0].lineno, *(item.lineno for item in getattr(body[0], "decorator_list", []))])
        return range(first, max(first + 1, inner))
    return range(first, (node.end_lineno or node.lineno) + 1)


def differences(
    before: Document, after: Document, records: Sequence[Record], deleted: Collection[Target] = ()
) -> Iterator[tuple[str, int]]:
    """Yield what a change does to the user's part of a Python file, in words, with the line in the old file.

    Args:
        before, after: the file.
        records: of ours in the file, on either side.
        deleted: the targets that go with what the user made of them.
    """
    pairs = [
        (_going(found) if record.target in deleted else found, record.target.inspect(after))
        for record, found in ((record, record.target.inspect(before)) for record in records)
    ]
    states = {(one.state is State.PRESENT, two.state is State.PRESENT) for one, two in pairs}
    old = Side(before, [one for one, _ in pairs if one.state is State.PRESENT])
    new = Side(after, [two for _, two in pairs if two.state is State.PRESENT])
    if old.dump() != new.dump():
        yield "would change code that is not its own", _first_difference(old, new)
        return
    both = zip(old.statements(), new.statements(), strict=True)
    named = [(one, two) for (one, touched), (two, also) in both if touched or also]
    kept, now = old.rest([one for one, _ in named]), new.rest([two for _, two in named])
    if _filled(kept) != _filled(now):
        lost = next((item for item in _filled(kept) if item not in _filled(now)), "")
        yield f"would lose the line: {lost.strip()}", next((n for n, t in enumerate(old.lines, 1) if t == lost), 1)
    elif (True, False) not in states and not _in_order(kept, now) and not _moved(old, new):
        yield "would lose blank lines", 1
    for one, two in named:
        yield from _within(old.code(one), new.code(two), one.lineno)


def _going(found: Inspection) -> Inspection:
    """Return what became of a target of ours as something of ours: it goes with what the user made of it."""
    return replace(found, state=State.PRESENT) if found.state is State.ALTERED else found


def _moved(old: Side, new: Side) -> bool:
    """Whether statements of ours that are on both sides stand in another order among the user's."""
    shapes = [[id(item.node) in side.ours for item in side.text.statements] for side in (old, new)]
    return shapes[0] != shapes[1]


def _within(old: list[str], new: list[str], line: int) -> Iterator[tuple[str, int]]:
    """Compare the bytes of a statement that something was put into, or taken out of."""
    shorter, longer = sorted((old, new), key=lambda code: len("".join(code)))
    if not _in_order(_comments(shorter), _comments(longer)):
        yield "would lose a comment", line
    few, many = sorted((old, new), key=len)  # the user's own text comes back on as many lines as it had
    if not _in_order(_ends(few), _ends(many)) and len(few) > 1:
        yield "would change line ends", line


def _own(node: ast.stmt) -> Iterator[ast.AST]:
    """Yield the nodes of a statement itself, without the statements in it."""
    todo = [item for item in ast.iter_child_nodes(node) if not isinstance(item, ast.stmt)]
    while todo:
        item = todo.pop()
        yield item
        todo.extend(child for child in ast.iter_child_nodes(item) if not isinstance(child, ast.stmt))


def _filled(lines: Sequence[str]) -> list[str]:
    return [line for line in lines if line.strip()]


def _ends(lines: Sequence[str]) -> list[str]:
    return [line[len(line.rstrip("\r\n")) :] for line in lines]


def _comments(lines: Sequence[str]) -> list[str]:
    if not any("#" in line for line in lines):
        return []
    found: list[str] = []
    try:
        tokens = tokenize.generate_tokens(io.StringIO("".join(lines).lstrip()).readline)
        found.extend(token.string for token in tokens if token.type == tokenize.COMMENT)
    except (tokenize.TokenError, IndentationError):
        pass  # a part of a compound statement: what could be read of it counts
    return found


def _in_order(part: Sequence[T], whole: Sequence[T]) -> bool:
    rest = iter(whole)
    return all(item in rest for item in part)


def _first_difference(old: Side, new: Side) -> int:
    pairs = zip(old.statements(), new.statements(), strict=False)
    for (one, _), (two, _) in pairs:
        if ast.dump(_header(one, old)) != ast.dump(_header(two, new)):
            return one.lineno
    return 1


def _header(node: ast.stmt, side: Side) -> ast.AST:
    copy = pruned(ast.Module([node], []), side.ours).body
    if copy and isinstance(getattr(copy[0], "body", None), list):
        copy[0].body = []  # type: ignore[attr-defined]
    return copy[0] if copy else ast.Pass()
