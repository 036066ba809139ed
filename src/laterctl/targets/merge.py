"""The three-way merge of an owned file: what it was created with, what the user made of it, what it is to be."""

from __future__ import annotations


class MergeConflict(Exception):
    """Both sides changed the same lines. `line` is the first of them; `hunks` shows both sides of each place."""

    def __init__(self, line: int, hunks: str) -> None:
        super().__init__(f"line {line}")
        self.line = line
        self.hunks = hunks


def merged(base: str, yours: str, new: str, *, markers: bool) -> str:
    """Return `yours` with the changes from `base` to `new`.

    Args:
        base: what the file was created with.
        yours: what it is.
        new: what it would be created with now.
        markers: whether to write conflict markers where both sides changed the same lines.

    Raises:
        MergeConflict: both sides changed the same lines, and there are to be no markers.
    """
    from merge3 import Merge3

    one, two, three = (text.splitlines(keepends=True) for text in (base, yours, new))
    merge = Merge3(one, two, three)
    labels = {"name_a": "yours", "name_b": "laterctl", "start_marker": "<<<<<<<", "end_marker": ">>>>>>>"}
    text = "".join(merge.merge_lines(mid_marker="=======", reprocess=True, **labels))
    if not markers:
        groups = [group for group in merge.reprocess_merge_regions(merge.merge_regions()) if group[0] == "conflict"]
        if groups:
            raise MergeConflict(_first_line(text), _hunks(text))
    return text


def _first_line(text: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if line.startswith("<<<<<<<"))


def _hunks(text: str) -> str:
    """Return the places of a merged text that are in conflict."""
    shown: list[str] = []
    inside = False
    for line in text.splitlines():
        inside = inside or line.startswith("<<<<<<<")
        if inside:
            shown.append(line)
        inside = inside and not line.startswith(">>>>>>>")
    return "\n".join(shown)
