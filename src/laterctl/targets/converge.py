"""Converges one document of any kind from the targets wanted before to those wanted now."""

from __future__ import annotations

import codecs
from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from laterctl.project.facts import Layout
from laterctl.project.source import Source
from laterctl.targets import python_file
from laterctl.targets.base import Anchor, Record, State, Target, kinds, ours
from laterctl.targets.carry import carried
from laterctl.targets.document import Document, decoded_text, inspect
from laterctl.targets.merge import MergeConflict, merged
from laterctl.targets.python_text import read_text
from laterctl.targets.text_target import TextTarget


class Result(Struct, frozen=True):
    """A document after converging: `None` when it is to be absent; what was replaced, and what was left and why.

    `conflict` says that it has conflict markers.
    """

    data: bytes | None
    replaced: Mapping[Target, str] = field(default_factory=dict)
    left: Mapping[Target, str] = field(default_factory=dict)
    conflict: bool = False


def converge(
    path: str,
    data: bytes | None,
    before: Sequence[Record],
    after: Sequence[Record],
    anchors: Mapping[Target, Anchor],
    layout: Layout,
    *,
    conflicts: bool = False,
    deleted: Collection[Target] = (),
) -> Result:
    """Bring the document at `path` from `before` to `after`; only our own records count.

    Args:
        path, data: the document.
        before, after: the records of all features that are in it, and that are to be.
        anchors: where new statements go.
        layout: gives the project's style.
        conflicts: whether a file that both the user and the update changed may get conflict markers.
        deleted: what goes with what the user made of it.

    Raises:
        laterctl.codemods.placement.TextEditError: no clean edit is possible.
        MergeConflict: a file of ours cannot be merged, and is to get no markers.
    """
    had, wanted = ours(before), ours(after)
    old, new = (next((item.target for item in side if item.target.whole_file), None) for side in (had, wanted))
    rest_before, rest_after = ([item for item in side if not item.target.whole_file] for side in (had, wanted))
    left: dict[Target, str] = {}
    replaced: dict[Target, str] = {}
    if new is not None and old is None and data is None:
        data = new.created(layout.style.newline)
    elif new is not None and old is not None and new.created() != old.created() and data is not None:
        try:
            data, rest_after, anchors = _renewed(old, new, data, rest_before, rest_after, anchors, layout)
        except MergeConflict:
            if not conflicts or {item.target for item in rest_before} != {item.target for item in rest_after}:
                raise
            # What others have in it stays where it is.
            return Result(_merged(old, new, data, markers=True), conflict=True)
        rest_before = []
    if data is None and old is not None and any(item not in rest_before for item in rest_after):
        from laterctl.codemods.placement import TextEditError

        raise TextEditError("it was deleted, and something is to go into it")
    if rest_before or rest_after:
        done = _converge_rest(path, data, rest_before, rest_after, anchors, layout, left, deleted)
        data, replaced = done.data, dict(done.replaced)
    if old is not None and new is None:
        # What is left of an open file after our targets went is compared with what was created.
        state = inspect(old, data).state
        if state is State.PRESENT or old in deleted:
            data = None
        elif state is State.ALTERED:
            left[old] = "edited"
    return Result(data, replaced, left)


def _renewed(
    old: Target,
    new: Target,
    data: bytes,
    before: list[Record],
    after: list[Record],
    anchors: Mapping[Target, Anchor],
    layout: Layout,
) -> tuple[bytes, list[Record], Mapping[Target, Anchor]]:
    """Bring a file of ours to its new version, with what the user changed in it.

    What others have in it is taken out first. Returns the file, what is to go into it again, and where that goes.

    Raises:
        MergeConflict: both sides changed the same lines.
    """
    left: dict[Target, str] = {}
    bare = (_converge_rest(old.path, data, before, [], anchors, layout, left).data or b"") if before else data
    result = _merged(old, new, bare, markers=False)
    rest = [item for item in after if item.target not in left]
    if rest and old.path.endswith(".py"):
        texts = [read_text(Source(old.path, each).text) for each in (data, bare, result)]
        anchors = carried(texts[0], texts[1], texts[2], before, rest, anchors)
    return result, rest, anchors


def _merged(old: Target, new: Target, data: bytes, *, markers: bool) -> bytes:
    """Return a file with the changes between two versions of ours; what is in it otherwise is the user's."""
    if inspect(new, data).state is State.PRESENT:
        return data  # in the layout that the user gave it, or with the same change
    source = Source(old.path, data)
    base, fresh = (item.created(source.newline) or b"" for item in (old, new))
    if inspect(old, data).state is State.PRESENT:
        result = fresh.decode()
    else:
        result = merged(base.decode(), source.text, fresh.decode(), markers=markers)
    return (codecs.BOM_UTF8 if source.bom else b"") + result.encode(source.encoding)


def as_created(target: Target, data: bytes) -> bytes:
    """Return the content that a file of ours was created with, with the line ends and the byte order mark of `data`."""
    source = Source(target.path, data)
    return (codecs.BOM_UTF8 if source.bom else b"") + (target.created(source.newline) or b"")


def without_others(path: str, data: bytes, records: Sequence[Record], layout: Layout) -> bytes:
    """Return a file of ours without what `records` put into it.

    Raises:
        laterctl.codemods.placement.TextEditError: no clean edit is possible.
    """
    rest = [item for item in ours(records) if not item.target.whole_file]
    return _converge_rest(path, data, rest, [], {}, layout, {}).data or b""


def _converge_rest(
    path: str,
    data: bytes | None,
    before: Sequence[Record],
    after: Sequence[Record],
    anchors: Mapping[Target, Anchor],
    layout: Layout,
    left: dict[Target, str],
    deleted: Collection[Target] = (),
) -> Result:
    """Converge what is in a document, apart from the document itself."""
    if data is not None and path.endswith(".py"):
        encoding = Source(path, data).encoding
        done = python_file.converge(data, before, after, anchors, layout, deleted, encoding=encoding)
        left.update(done.left)
        return Result(done.data, done.replaced)
    if data is not None or after:
        return Result(_converge_text(path, data, before, after, left, deleted))
    left.update({record.target: "gone" for record in before if record not in after})
    return Result(data)


def _converge_text(
    path: str,
    data: bytes | None,
    before: Sequence[Record],
    after: Sequence[Record],
    left: dict[Target, str],
    deleted: Collection[Target],
) -> bytes | None:
    from laterctl.codemods import toml

    text, encoding = decoded_text(path, data or b"")
    document = Document(path, data or b"")
    had = before
    before = [
        replace(item, target=item.target.as_found(document))
        if item.target in deleted and isinstance(item.target, TextTarget)
        else item
        for item in had
    ]
    families = [kind for kind in kinds().values() if issubclass(kind, TextTarget)]
    for kind in families:
        text = kind.converge_first(text, before, after)
    if path.endswith(".toml"):
        pieces = [[piece for kind in families for piece in kind.toml_pieces(text, side)] for side in (before, after)]
        text = toml.converge(text, *pieces)
    else:
        for kind in families:
            text = kind.converge_text(text, before, after)
    kept = {record.target.key for record in after}
    for record in had:
        if (
            record.target.key not in kept
            and inspect(record.target, text.encode(encoding)).state is not State.ABSENT
            and not record.replaced
        ):
            left.setdefault(record.target, "edited")
    users = data is not None and (not before or any(record.empty for record in before))
    return text.encode(encoding) if text or after or users else None


__all__ = ["MergeConflict", "Result", "as_created", "converge", "without_others"]
