"""Converges one document of any kind from the pieces wanted before to those wanted now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from laterctl.edits import owned_file, python_file
from laterctl.edits.pieces import (
    Anchor,
    Dependency,
    Inspection,
    OwnedFile,
    Piece,
    Record,
    State,
    TextLine,
    TomlKey,
    ours,
)
from laterctl.project.facts import DependencyHome, Layout


@dataclass(frozen=True)
class Result:
    """A document after converging: `None` when it is to be absent; what was replaced, and what was left and why."""

    data: bytes | None
    replaced: Mapping[Piece, str] = field(default_factory=dict)
    left: Mapping[Piece, str] = field(default_factory=dict)


def inspect(piece: Piece, data: bytes | None, records: Sequence[Record] = ()) -> Inspection:
    """Inspect one piece in its document.

    Args:
        piece: any piece.
        data: the document's bytes, `None` when there is no such file.
        records: of our own pieces in the same document.
    """
    if isinstance(piece, OwnedFile):
        others = [record for record in records if record.ours and not isinstance(record.piece, OwnedFile)]
        return owned_file.inspect(piece, data, others if piece.open else [])
    if data is None:
        return Inspection(State.ABSENT)
    if isinstance(piece, Dependency | TomlKey | TextLine):
        return _inspect_text(piece, data)
    try:
        return python_file.inspect(python_file.Text(_decoded(data)), piece)
    except SyntaxError as error:
        return Inspection(State.ALTERED, error.lineno or 1, "syntax error")


def _decoded(data: bytes) -> str:
    return data.decode("utf-8-sig")


def _inspect_text(piece: Piece, data: bytes) -> Inspection:
    from laterctl.codemods import lines, requirements, toml

    text = _decoded(data)
    if isinstance(piece, Dependency):
        declared = requirements.declared(text, DependencyHome(piece.form, piece.path, piece.table))
        found = declared.get(piece.name)
        if found is None:
            return Inspection(State.ABSENT)
        return Inspection(State.PRESENT, 0, found)
    if isinstance(piece, TomlKey):
        value = toml.get(text, (*piece.table, piece.name))
        if value is None:
            return Inspection(State.ABSENT)
        same = value == toml.value_of(piece.value)
        return Inspection(State.PRESENT if same else State.ALTERED, toml.line_of(text, (*piece.table, piece.name)))
    assert isinstance(piece, TextLine)
    line = lines.find(text, piece.text, form=piece.form)
    if line is None:
        return Inspection(State.ABSENT)
    return Inspection(State.PRESENT, line)


def converge(
    path: str,
    data: bytes | None,
    before: Sequence[Record],
    after: Sequence[Record],
    anchors: Mapping[Piece, Anchor],
    layout: Layout,
) -> Result:
    """Bring the document at `path` from `before` to `after`; only our own records count.

    Raises:
        laterctl.codemods.errors.EditRefused: no clean edit is possible.
    """
    had, wanted = ours(before), ours(after)
    file_before = next((record.piece for record in had if isinstance(record.piece, OwnedFile)), None)
    file_after = next((record.piece for record in wanted if isinstance(record.piece, OwnedFile)), None)
    left: dict[Piece, str] = {}
    if file_after is not None and file_before is None:
        assert isinstance(file_after, OwnedFile)
        data = file_after.text.replace("\n", layout.style.newline).encode()
    rest_before = [record for record in had if not isinstance(record.piece, OwnedFile)]
    rest_after = [record for record in wanted if not isinstance(record.piece, OwnedFile)]
    if data is not None and path.endswith(".py"):
        done = python_file.converge(data, rest_before, rest_after, anchors, layout)
        data, replaced = done.data, dict(done.replaced)
        left.update(done.left)
    elif data is not None or rest_after:
        replaced = {}
        data = _converge_text(path, data, rest_before, rest_after, left)
    else:
        replaced = {}
        left.update({record.piece: "gone" for record in rest_before if record not in rest_after})
    if file_before is not None and file_after is None:
        assert isinstance(file_before, OwnedFile)
        # What is left of an open file after our pieces went is compared with what was created.
        state = owned_file.inspect(file_before, data, []).state
        if state is State.PRESENT:
            data = None
        elif state is State.ALTERED:
            left[file_before] = "edited"
    return Result(data, replaced, left)


def _converge_text(
    path: str, data: bytes | None, before: Sequence[Record], after: Sequence[Record], left: dict[Piece, str]
) -> bytes | None:
    from laterctl.codemods import lines, requirements, toml

    raw = data or b""
    bom = b"\xef\xbb\xbf" if raw.startswith(b"\xef\xbb\xbf") else b""
    text = raw[len(bom) :].decode("utf-8")
    for home in sorted({_home(item.piece) for item in [*before, *after] if isinstance(item.piece, Dependency)},
                       key=lambda item: item.table):
        text = requirements.converge_dependencies(text, home, _joined(before, home), _joined(after, home))
    tables = sorted({item.piece.table for item in [*before, *after] if isinstance(item.piece, TomlKey)})
    for table in tables:
        text = toml.converge_keys(text, table, _keys(before, table), _keys(after, table))
    for form in ("env", "ignore"):
        old, new = _lines(before, form), _lines(after, form)
        if old != new:
            text = lines.converge_lines(text, old, new, form=form)
    if data is None and not text:
        return None
    created = any(isinstance(record.piece, Dependency | TomlKey | TextLine) for record in before)
    if not text and created and not after:
        return None
    return bom + text.encode()


def _home(piece: Dependency) -> DependencyHome:
    return DependencyHome(piece.form, piece.path, piece.table)


def _joined(records: Iterable[Record], home: DependencyHome) -> list[str]:
    """Return the joined requirement of each dependency of ours in a home: united extras, highest floor."""
    from laterctl.codemods import requirements

    wanted: dict[str, list[str]] = {}
    for record in records:
        piece = record.piece
        if isinstance(piece, Dependency) and _home(piece) == home:
            wanted.setdefault(piece.name, []).append(piece.requirement)
    return [requirements.joined(items) for _, items in sorted(wanted.items())]


def _keys(records: Iterable[Record], table: tuple[str, ...]) -> dict[str, str]:
    return {
        record.piece.name: record.piece.value
        for record in records
        if isinstance(record.piece, TomlKey) and record.piece.table == table
    }


def _lines(records: Iterable[Record], form: str) -> list[str]:
    return sorted({item.piece.text for item in records if isinstance(item.piece, TextLine) and item.piece.form == form})
