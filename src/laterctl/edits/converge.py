"""Converges one document of any kind from the pieces wanted before to those wanted now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct, field

from laterctl.edits import owned_file, python_file, python_text
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
from laterctl.project.source import Source, decoded


class Result(Struct, frozen=True):
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

    Raises:
        Unreadable: the document is not the text that it claims to be.
    """
    if isinstance(piece, OwnedFile):
        others = [record for record in records if record.ours and not isinstance(record.piece, OwnedFile)]
        return owned_file.inspect(piece, data, others if piece.open else [])
    if data is None:
        return Inspection(State.ABSENT)
    if isinstance(piece, Dependency | TomlKey | TextLine):
        return _inspect_text(piece, data)
    try:
        return python_text.inspect(python_text.Text(Source(piece.path, data).text), piece)
    except SyntaxError as error:
        return Inspection(State.ALTERED, error.lineno or 1, "syntax error")


def _decoded(path: str, data: bytes) -> tuple[str, str]:
    """Return the text of a document, with its byte order mark, and its encoding. Raises `Unreadable`."""
    return decoded(path, data, wide=path.endswith((".txt", ".in")))


def _inspect_text(piece: Piece, data: bytes) -> Inspection:
    from laterctl.codemods import lines, requirements, toml

    text = _decoded(piece.path, data)[0].removeprefix("\ufeff")
    if isinstance(piece, Dependency):
        found = requirements.declared(text, _home(piece)).get(piece.name)
        return Inspection(State.ABSENT) if found is None else Inspection(State.PRESENT, 0, found)
    if isinstance(piece, TomlKey):
        keys = (*piece.table, piece.name)
        value = toml.get(text, keys)
        if value is None:
            return Inspection(State.ABSENT)
        state = State.PRESENT if toml.same(value, piece.value) else State.ALTERED
        return Inspection(state, toml.line_of(text, keys), f"{piece.name} = {value!r}")
    assert isinstance(piece, TextLine)
    wanted = _about(piece)
    for number, line in enumerate(text.splitlines(), 1):
        if (lines.env_key(line) if piece.form == "env" else line.strip()) == wanted:
            return Inspection(State.PRESENT, number)
    return Inspection(State.ABSENT)


def spelling(piece: Dependency, data: bytes) -> str:
    """Return the user's declaration of a distribution as it is written. Raises `KeyError` when there is none."""
    from laterctl.codemods import requirements

    return requirements.spelling(_decoded(piece.path, data)[0], _home(piece), piece.name)


def _about(piece: TextLine) -> str:
    return piece.text.partition("=")[0] if piece.form == "env" else piece.text.strip()


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
        laterctl.codemods.placement.TextEditError: no clean edit is possible.
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
    replaced: dict[Piece, str] = {}
    if not rest_before and not rest_after:
        pass
    elif data is not None and path.endswith(".py"):
        encoding = Source(path, data).encoding
        done = python_file.converge(data, rest_before, rest_after, anchors, layout, encoding=encoding)
        data, replaced = done.data, dict(done.replaced)
        left.update(done.left)
    elif data is not None or rest_after:
        data = _converge_text(path, data, rest_before, rest_after, left)
    else:
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

    text, encoding = _decoded(path, data or b"")
    text = _extras(text, before, after)
    old, new = ([item for item in side if item.replaced is None] for side in (before, after))
    if path.endswith(".toml"):
        for home in _homes([*old, *new]):
            requirements.check_home(text, home)
        text = toml.converge(text, _toml_pieces(old), _toml_pieces(new))
    else:
        text = lines.converge_env(text, _lines(old, "env"), _lines(new, "env"))
        text = lines.converge_ignores(text, _lines(old, "ignore"), _lines(new, "ignore"))
        for home in _homes([*old, *new]):
            text = requirements.converge_dependencies(text, home, _joined(old, home), _joined(new, home))
    for record in before:
        if (
            record not in after
            and inspect(record.piece, text.encode(encoding)).state is not State.ABSENT
            and not record.replaced
        ):
            left.setdefault(record.piece, "edited")
    return text.encode(encoding) if text or after or (data is not None and not before) else None


def _extras(text: str, before: Sequence[Record], after: Sequence[Record]) -> str:
    """Give the user's own declarations the extras that are wanted, and their old spelling back when nobody does."""
    from laterctl.codemods import requirements

    changed = {item.piece.target: item for item in [*before, *after] if item.replaced is not None}
    for record in changed.values():
        piece = record.piece
        if not isinstance(piece, Dependency) or record.replaced is None:
            continue
        wanted = [item.piece for item in after if item.piece.target == piece.target]
        extras = {extra for item in wanted if isinstance(item, Dependency) for extra in _extras_of(item)}
        declared = requirements.with_extras(record.replaced, sorted(extras)) if extras else record.replaced
        if piece.name in requirements.declared(text, _home(piece)):
            text = requirements.replace_dependency(text, _home(piece), piece.name, declared)
    return text


def _extras_of(piece: Dependency) -> frozenset[str]:
    from laterctl.codemods import requirements

    return requirements.extras_of(piece.requirement)


def _toml_pieces(records: Iterable[Record]) -> list[Any]:
    from laterctl.codemods import requirements, toml

    kept = list(records)
    found: list[Any] = []
    for home in _homes(kept):
        found.extend(requirements.pieces(home, _joined(kept, home)))
    keys = {item.piece.target: item.piece for item in kept if isinstance(item.piece, TomlKey)}
    for _, piece in sorted(keys.items()):
        assert isinstance(piece, TomlKey)
        found.append(toml.Key((*piece.table, piece.name), _thawed(piece.value)))
    return found


def _thawed(value: Any) -> Any:
    return [_thawed(item) for item in value] if isinstance(value, tuple) else value


def _home(piece: Dependency) -> DependencyHome:
    return DependencyHome(piece.form, piece.path, piece.table)


def _homes(records: Iterable[Record]) -> list[DependencyHome]:
    homes = {_home(item.piece) for item in records if isinstance(item.piece, Dependency)}
    return sorted(homes, key=lambda home: home.table)


def _joined(records: Iterable[Record], home: DependencyHome) -> list[str]:
    """Return the join of our requirements in a home, one a distribution: united extras, highest floor."""
    wanted: dict[str, list[str]] = {}
    for record in records:
        piece = record.piece
        if isinstance(piece, Dependency) and _home(piece) == home:
            wanted.setdefault(piece.name, []).append(piece.requirement)
    return [_join(items) for _, items in sorted(wanted.items())]


def _join(items: Sequence[str]) -> str:
    if len(set(items)) == 1:
        return items[0]
    from packaging.requirements import Requirement
    from packaging.version import Version

    parsed = [Requirement(item) for item in items]
    extras = sorted({extra for item in parsed for extra in item.extras})
    floors = [(Version(part.version), str(item.specifier)) for item in parsed for part in item.specifier]
    highest = max(floors)[1] if floors else ""
    return parsed[0].name + (f"[{','.join(extras)}]" if extras else "") + highest


def _lines(records: Iterable[Record], form: str) -> list[str]:
    return sorted({item.piece.text for item in records if isinstance(item.piece, TextLine) and item.piece.form == form})
