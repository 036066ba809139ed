"""Where own pieces go among the user's, and how a text gets from one set of own pieces to another.

Every target in a text file is kept by the same argument. `strip` takes own pieces out of a text, `insert` puts them
in at places that follow from the user's text alone. When `strip(insert(user, pieces)) == user`, then what is left
never depends on the order in which pieces came or went.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

from laterctl.project.requirements_file import requirement_name

P = TypeVar("P")

Strip = Callable[[str, Sequence[P]], tuple[str, list[P]]]
"""From a text and own pieces to the text without them and the pieces that were found untouched."""

Insert = Callable[[str, Sequence[P]], tuple[str, list[P]]]
"""From a text and pieces to the text with them and the pieces that were not there already."""


class TextEditError(ValueError):
    """A text cannot be edited safely: `reason` in words, and the `line` (from 1) that stands in the way."""

    def __init__(self, reason: str, line: int = 1) -> None:
        super().__init__(f"line {line}: {reason}")
        self.reason = reason
        self.line = line


def _spelled(entry: str) -> str:
    match = re.match(r"\s*([A-Za-z0-9._-]*)", entry)
    return match[1].lower() if match else ""


def _by_line(entry: str) -> str:
    # What `sort` makes of a list whose entries go on with `>=` or `[`.
    return _spelled(entry) + ">"


ENTRY_ORDERS: tuple[Callable[[str], str], ...] = (requirement_name, _spelled, _by_line)
"""Orders that people keep lists of dependencies in. They see names only, so a changed version moves nothing."""

TEXT_ORDERS: tuple[Callable[[str], str], ...] = (str.casefold,)


Order = Callable[[str], str]
"""The sort key of a string."""


def position(present: Sequence[str | None], new: str, orders: Sequence[Order], user: Sequence[str]) -> int:
    """Return the index in `present` at which `new` belongs.

    `present` is what stands there now, `None` for what has no place in an order; `user` is the user's part of it,
    which decides: when one of `orders` holds for it, `new` goes to its sorted place, else to the end.
    """
    for order in orders:
        keys = [order(item) for item in user]
        if keys == sorted(keys):
            break
    else:
        return len(present)
    named = [index for index, item in enumerate(present) if item is not None]
    before = [index for index in named if order(present[index] or "") <= order(new)]
    if before:
        return before[-1] + 1
    return named[0] if named else len(present)


def converge(
    text: str,
    before: Sequence[P],
    after: Sequence[P],
    *,
    strip: Strip[P],
    insert: Insert[P],
    identity: Callable[[P], Hashable],
) -> str:
    """Return `text` with own pieces `after` where it had own pieces `before`.

    A piece of `before` that is gone or was altered is the user's business: it is neither removed nor made again.
    As long as the rest stands where `insert` puts it, the result depends on the user's text and `after` alone.
    When somebody has moved or reformatted it, what stays wanted stays where it is.

    Raises `TextEditError` when a piece cannot be placed, or could not be taken back exactly.
    """
    user, found = strip(text, before)
    there = {identity(piece) for piece in found}
    lost = {identity(piece) for piece in before} - there
    wanted = [piece for piece in after if identity(piece) not in lost]
    if wanted == found:
        return text
    if not _is_canonical(text, user, found, insert):
        dropped = [piece for piece in found if piece not in wanted]
        wanted = [piece for piece in wanted if piece not in found]
        user, _ = strip(text, dropped)
    result, inserted = insert(user, wanted)
    if strip(result, inserted)[0] != user:
        raise TextEditError("the change could not be taken back exactly", _first_difference(user, result))
    return result


def _first_difference(one: str, two: str) -> int:
    lines = zip(one.split("\n"), two.split("\n"), strict=False)
    return next((number for number, (left, right) in enumerate(lines, 1) if left != right), 1)


def _is_canonical(text: str, user: str, found: Sequence[P], insert: Insert[P]) -> bool:
    try:
        return insert(user, found)[0] == text
    except TextEditError:
        return False
