"""Finds in the new version of an open file the places of what is in the old one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher

from laterctl.codemods.placement import TextEditError
from laterctl.project.facts import BodyPath
from laterctl.targets.base import Anchor, Record, Target
from laterctl.targets.python_target import own_statements
from laterctl.targets.python_text import Text
from laterctl.targets.statement import Statement, locate


def carried(
    data: Text,
    bare: Text,
    new: Text,
    before: Sequence[Record],
    after: Sequence[Record],
    anchors: Mapping[Target, Anchor],
) -> dict[Target, Anchor]:
    """Return where statements of ours go in a new version of the file that they are in.

    Args:
        data, bare, new: the file as it is, the same without what is ours in it, and its new version without that.
        before, after: the records of what is in it, and of what is to be.
        anchors: where those go that are not in it yet, in `data`, or in `new` where `data` has no such scope.

    Raises:
        TextEditError: the class or the function that a statement stands in is not in the new version.
    """
    own = own_statements(data, before)
    found: dict[Target, Anchor] = {}
    for record in after:
        target = record.target
        if not isinstance(target, Statement):
            continue
        located = locate(data, target)[1]
        anchor = Anchor(located.body, located.index - 1) if located is not None else anchors.get(target)
        if anchor is None:
            continue
        old, body = (_body(text, target.scope) for text in (bare, new))
        if body is None:
            raise TextEditError(f"its new version has no {target.scope}")
        if old is None:
            found[target] = Anchor(body, anchor.after)
            continue
        there = {item.index for item in data.in_body(anchor.body) if item.position not in own}
        users = sum(ordinal <= anchor.after for ordinal in there)
        found[target] = Anchor(body, _counterpart(_codes(bare, old), _codes(new, body), users) - 1)
    return found


def _body(text: Text, scope: str) -> BodyPath | None:
    """Return the statement list of a scope, by its qualified name, `None` when there is none."""
    return next((item.body for item in text.statements if item.qualname == scope), None) if scope else ()


def _codes(text: Text, body: BodyPath) -> list[str]:
    return [text.code(item) for item in text.in_body(body)]


def _counterpart(old: Sequence[str], new: Sequence[str], count: int) -> int:
    """Return how many statements of `new` correspond to the first `count` of `old`."""
    if not count:
        return 0
    for _, start, stop, begin, end in SequenceMatcher(a=old, b=new, autojunk=False).get_opcodes():
        if start < count <= stop:
            return min(begin + count - start, end) if stop - start == end - begin else end
    return len(new)
