"""Python files: finds our pieces in one, and converges it from the pieces wanted before to those wanted now.

Everything is located on one `ast` snapshot; the operations are then carried out at once. Where a new piece goes
depends on the user's statements alone: our own that stand at the same place are sorted among themselves, so the order
in which features arrive leaves no trace.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct

from laterctl.codemods import newer
from laterctl.codemods.statements import (
    extended_import,
    reduced_import,
    same_code,
    segment,
    split_lines,
    with_argument,
    with_entry,
    without_argument,
    without_entry,
    wrapped,
    wrapped_list,
)
from laterctl.edits.pieces import (
    Anchor,
    Argument,
    Block,
    ImportName,
    Inspection,
    ListEntry,
    Piece,
    Record,
    State,
    Statement,
)
from laterctl.project.facts import BodyPath, Layout
from laterctl.render import Style, import_line, section_of

if TYPE_CHECKING:
    from laterctl.codemods.python import Operation

NESTED = ("body", "orelse", "finalbody")
Spot = tuple[BodyPath, int]


class Located(Struct, frozen=True):
    """A statement: where it is, its node, and the qualified name of the function or class around it."""

    body: BodyPath
    ordinal: int
    node: ast.stmt
    scope: str

    @property
    def spot(self) -> Spot:
        """The place as a key."""
        return self.body, self.ordinal


class Text:
    """A Python document: its text and its statements, read once."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.tree = newer.parse(source)
        self.lines = split_lines(source)
        self._all: list[Located] | None = None

    @property
    def statements(self) -> list[Located]:
        """Every statement, outer ones first."""
        if self._all is None:
            self._all = list(_walk(self.tree.body, (), ""))
        return self._all

    def code(self, located: Located) -> str:
        """The statement's text as it stands, without its indentation."""
        return segment(self.source, located.node)

    def margin(self, node: ast.stmt) -> str:
        """Return the indentation in front of a statement."""
        return self.lines[node.lineno - 1].encode()[: node.col_offset].decode()

    def behind(self, node: ast.stmt) -> str:
        """Return what follows a statement on its last line: a comment."""
        line = self.lines[(node.end_lineno or node.lineno) - 1]
        return line.encode()[node.end_col_offset :].decode().rstrip()

    def comment_after(self, node: ast.stmt) -> bool:
        """Tell whether something (a comment) follows a statement on its last line."""
        return bool(self.behind(node).strip())


def _walk(statements: Sequence[ast.stmt], body: BodyPath, scope: str) -> Iterator[Located]:
    for ordinal, node in enumerate(statements):
        yield Located(body, ordinal, node, scope)
        inner = scope
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inner = f"{scope}.{node.name}" if scope else node.name
        for name in NESTED:
            nested = getattr(node, name, None)
            if isinstance(nested, list) and nested:
                yield from _walk(nested, (*body, (ordinal, name)), inner)
        for name in ("handlers", "cases"):
            for number, part in enumerate(getattr(node, name, ())):
                yield from _walk(part.body, (*body, (ordinal, f"{name}.{number}")), inner)


def locate(text: Text, piece: Statement) -> tuple[Inspection, Located | None]:
    """Find a statement of ours: in its own scope first, elsewhere in the file otherwise."""
    found: Located | None = None
    altered: Located | None = None
    wanted = ast.parse(piece.code).body[0]
    for item in text.statements:
        if type(item.node) is not type(wanted):
            continue
        if _identity(item.node) != _identity(wanted):
            continue
        if same_code(text.code(item), piece.code) and not text.comment_after(item.node):
            if item.scope == piece.scope:
                return Inspection(State.PRESENT, item.node.lineno), item
            found = found or item
        elif item.scope == piece.scope:
            altered = altered or item
    if found is not None:
        return Inspection(State.PRESENT, found.node.lineno, "moved"), found
    if altered is not None:
        return Inspection(State.ALTERED, altered.node.lineno, text.code(altered)), None
    return Inspection(State.ABSENT), None


def _identity(node: ast.stmt) -> str:
    """What stays the same when a person edits a statement of ours: the name it binds, or the call and its subject."""
    if isinstance(node, ast.Assign):
        return "=" + ",".join(ast.unparse(target) for target in node.targets)
    if isinstance(node, ast.AnnAssign):
        return "=" + ast.unparse(node.target)
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        call = node.value
        return ast.unparse(call.func) + "(" + (ast.unparse(call.args[0]) if call.args else "")
    return ast.unparse(node)


def inspect(text: Text, piece: Piece) -> Inspection:
    """Inspect one piece in a Python document."""
    if isinstance(piece, ImportName):
        return _inspect_import(text, piece)
    if isinstance(piece, Statement):
        return locate(text, piece)[0]
    if isinstance(piece, Argument):
        found = _call_of(text, piece)
        if found is None:
            return Inspection(State.ABSENT)
        _, call = found
        for keyword in call.keywords:
            if keyword.arg == piece.keyword:
                same = ast.unparse(keyword.value) == ast.unparse(ast.parse(piece.value, mode="eval"))
                return Inspection(State.PRESENT if same else State.ALTERED, keyword.value.lineno)
        return Inspection(State.ABSENT)
    if isinstance(piece, ListEntry):
        return _inspect_entry(text, piece)
    if isinstance(piece, Block):
        block = _block(text, piece)
        return Inspection(State.PRESENT, block.node.lineno) if block else Inspection(State.ABSENT)
    raise TypeError(f"no Python piece: {piece!r}")


def _inspect_import(text: Text, piece: ImportName) -> Inspection:
    for node in text.tree.body:
        if not isinstance(node, ast.ImportFrom) or "." * node.level + (node.module or "") != piece.module:
            continue
        for alias in node.names:
            if (alias.name, alias.asname or "") == (piece.name, piece.asname):
                return Inspection(State.PRESENT, alias.lineno)
    return Inspection(State.ABSENT)


def _inspect_entry(text: Text, piece: ListEntry) -> Inspection:
    found = _list_of(text, piece)
    wanted = _entry(piece)
    for element in found[1].elts if found else ():
        if ast.unparse(element) == wanted:
            return Inspection(State.PRESENT, element.lineno)
    for node in ast.walk(text.tree):
        for element in node.elts if isinstance(node, ast.List) else ():
            if ast.unparse(element) == wanted:
                return Inspection(State.PRESENT, element.lineno, "moved")
    start = wanted.removesuffix(")")
    for element in found[1].elts if found else ():
        if ast.unparse(element).startswith(f"{start},"):
            return Inspection(State.ALTERED, element.lineno, ast.unparse(element))
    return Inspection(State.ABSENT)


def _entry(piece: ListEntry) -> str:
    return ast.unparse(ast.parse(piece.code, mode="eval"))


def _list_of(text: Text, piece: ListEntry) -> tuple[Located, ast.List] | None:
    for item in text.statements:
        if item.scope == piece.scope and holder_of(item.node) == piece.holder:
            literal = list_in(item.node, piece.keyword)
            if literal is not None:
                return item, literal
    return None


def list_in(node: ast.stmt, keyword: str) -> ast.List | None:
    """Return the list literal that a statement assigns or returns, or hands to `keyword` of the call that it does."""
    value = getattr(node, "value", None)
    if keyword and isinstance(value, ast.Call):
        value = next((word.value for word in value.keywords if word.arg == keyword), None)
    elif keyword:
        return None
    return value if isinstance(value, ast.List) else None


def _call_of(text: Text, piece: Argument) -> tuple[Located, ast.Call] | None:
    for item in text.statements:
        if item.scope == piece.scope and holder_of(item.node) == piece.holder:
            value = getattr(item.node, "value", None)
            if isinstance(value, ast.Call):
                return item, value
    return None


def holder_of(node: ast.stmt) -> str:
    """Return what a statement assigns its value to, `return` when it returns it, `""` for others."""
    if isinstance(node, ast.Return):
        return "return"
    if isinstance(node, ast.Assign):
        return ast.unparse(node.targets[0])
    return ast.unparse(node.target) if isinstance(node, ast.AnnAssign) else ""


def _block(text: Text, piece: Block) -> Located | None:
    header = _header(piece.header)
    for item in text.statements:
        if item.scope == piece.scope and isinstance(item.node, ast.With | ast.AsyncWith):
            probe = ast.unparse(item.node).split("\n", 1)[0]
            if probe == header:
                return item
    return None


def _header(header: str) -> str:
    return ast.unparse(ast.parse(f"async def f():\n    {header}\n        pass").body[0].body[0]).split("\n", 1)[0]  # type: ignore[attr-defined]


def _yield_of(text: Text, scope: str) -> Located | None:
    found = [
        item
        for item in text.statements
        if item.scope == scope and isinstance(item.node, ast.Expr) and isinstance(item.node.value, ast.Yield)
    ]
    return found[0] if len(found) == 1 else None


def own_spots(text: Text, records: Iterable[Record]) -> set[Spot]:
    """Places of whole statements that are ours: those that anchors and orders must not lean on."""
    spots: set[Spot] = set()
    names: dict[str, set[tuple[str, str]]] = {}
    extended: set[str] = set()
    for record in records:
        piece = record.piece
        if not record.ours:
            continue
        if isinstance(piece, Statement):
            located = locate(text, piece)[1]
            if located is not None:
                spots.add(located.spot)
        elif isinstance(piece, ImportName):
            names.setdefault(piece.module, set()).add((piece.name, piece.asname))
            if record.replaced is not None:
                extended.add(piece.module)
    for module in names.keys() - extended:
        found = _import_of(text, module, names[module])
        if found is not None and set(_names(found.node)) <= names[module]:
            spots.add(found.spot)
    return spots


def _names(node: ast.stmt) -> list[tuple[str, str]]:
    return [(alias.name, alias.asname or "") for alias in getattr(node, "names", [])]


def _import_of(text: Text, module: str, names: Iterable[tuple[str, str]] = ()) -> Located | None:
    """The top-level import of a module that shares names with `names`, or the first one that can be extended."""
    wanted = set(names)
    candidates = [
        Located((), ordinal, node, "")
        for ordinal, node in enumerate(text.tree.body)
        if isinstance(node, ast.ImportFrom) and "." * node.level + (node.module or "") == module
    ]
    candidates = [item for item in candidates if text.code(item).startswith("from")]  # a lazy one is not extended
    for item in candidates:
        if wanted & set(_names(item.node)):
            return item
    return candidates[0] if candidates and not wanted else None


class Converged(Struct, frozen=True):
    """A converged document: its bytes, the user's text that pieces took the place of, and what was left and why."""

    data: bytes
    replaced: Mapping[Piece, str]
    left: Mapping[Piece, str]


class _Fresh(Struct, frozen=True):
    """A statement to put in: its sort key among ours, its text, and the section when it is an import."""

    order: tuple[int, int, str]
    text: str
    section: int | None = None


class _Work:
    """What to do with one document, collected target by target; thrown away when the document is written."""

    def __init__(self, text: Text, layout: Layout, own: set[Spot]) -> None:
        self.text = text
        self.layout = layout
        self.own = own
        self.drop: set[Spot] = set()
        self.retext: dict[Spot, str] = {}
        self.fresh: dict[Spot, list[_Fresh]] = {}
        self.order: dict[Spot, tuple[int, int, str]] = {}
        self.blocks: list[Operation] = []
        self.gone: set[int] = set()
        self.replaced: dict[Piece, str] = {}
        self.left: dict[Piece, str] = {}

    def put(self, body: BodyPath, after: int, fresh: _Fresh) -> None:
        """Add a statement behind the user's statement that stands at or above `after`."""
        while (body, after) in self.own:
            after -= 1
        after = self._end_of_line(body, after)
        self.fresh.setdefault((body, after), []).append(fresh)

    def _end_of_line(self, body: BodyPath, after: int) -> int:
        """Return the last of the statements that share a line with `after` by `;`."""
        from laterctl.codemods.placement import TextEditError

        nodes = [item.node for item in _list_at(self, body)]
        while 0 <= after < len(nodes) - 1 and nodes[after].end_lineno == nodes[after + 1].lineno:
            after += 1
            if isinstance(nodes[after], ast.Return | ast.Raise | ast.Continue | ast.Break):
                raise TextEditError("the statement shares its line with another one", nodes[after].lineno)
        return after

    def section(self, node: ast.stmt) -> int | None:
        if isinstance(node, ast.ImportFrom):
            return section_of("." * node.level + (node.module or ""), self.layout.first_party)
        if isinstance(node, ast.Import):
            return section_of(node.names[0].name, self.layout.first_party)
        return None

    def section_at(self, item: ast.stmt | _Fresh) -> int | None:
        return item.section if isinstance(item, _Fresh) else self.section(item)

    def used(self) -> set[str]:
        """Names that the document uses outside what goes: in code, in quoted annotations, in `__all__`."""
        gone = self.gone | {id(item.node) for item in self.text.statements if item.spot in self.drop}
        names: set[str] = set()
        todo: list[ast.AST] = list(self.text.tree.body)
        while todo:
            node = todo.pop()
            if id(node) in gone or isinstance(node, ast.Import | ast.ImportFrom):
                continue
            if isinstance(node, ast.Name):
                names.add(node.id)
            quoted = [getattr(node, "annotation", None), getattr(node, "returns", None)]
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                quoted.append(node.value)
            for item in quoted:
                names.update(_strings(item) if isinstance(item, ast.AST) else ())
            todo.extend(ast.iter_child_nodes(node))
        return names


def _strings(node: ast.AST) -> Iterator[str]:
    for item in ast.walk(node):
        if isinstance(item, ast.Constant) and isinstance(item.value, str):
            yield from re.findall(r"\w+", item.value)


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
    work = _Work(text, layout, own_spots(text, before))
    _statements(work, before, after, anchors)
    _rewritten(work, before, after)
    _blocks(work, before, after)
    _imports(work, before, after)
    operations = [*_regions(work), *work.blocks]
    if not operations:
        return Converged(data, work.replaced, work.left)
    return Converged(bom + python.edit(rest, operations, encoding=encoding), work.replaced, work.left)


def _statements(
    work: _Work, before: Sequence[Record], after: Sequence[Record], anchors: Mapping[Piece, Anchor]
) -> None:
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
        code = wrapped(piece.code, work.layout.style, column=column)
        placeholder = _placeholder(work, anchor.body)
        if placeholder is not None:
            work.drop.add(placeholder.spot)
            work.own.add(placeholder.spot)
            work.replaced[piece] = work.text.code(placeholder)
        elif (filler := record.replaced or _filler(had.values(), piece.scope)) is not None:
            work.replaced[piece] = filler
        work.put(anchor.body, anchor.after, _Fresh((1, *piece.order), code))


def _filler(records: Iterable[Record], scope: str) -> str | None:
    """The placeholder that our statements in a scope took the place of."""
    return next(
        (item.replaced for item in records if item.replaced and getattr(item.piece, "scope", "") == scope), None
    )


def _list_at(work: _Work, body: BodyPath) -> list[Located]:
    return [item for item in work.text.statements if item.body == body]


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _placeholder(work: _Work, body: BodyPath) -> Located | None:
    """The `pass` or `...` that is all there is in a block besides a docstring and our own statements."""
    rest = [item for item in _list_at(work, body) if not _is_docstring(item.node)]
    users = [item for item in rest if item.spot not in work.own or item.spot in work.drop]
    if not body or len(users) != 1:
        return None
    node = users[0].node
    ellipsis = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and node.value.value is ...
    return users[0] if isinstance(node, ast.Pass) or ellipsis else None


def _restore_placeholder(work: _Work, located: Located, code: str) -> None:
    body = located.body
    rest = [item for item in _list_at(work, body) if not _is_docstring(item.node) and item.spot not in work.drop]
    if not rest:
        first = min(item.ordinal for item in _list_at(work, body) if item.spot in work.drop)
        work.put(body, first, _Fresh((0, 0, ""), code))


def _imports(work: _Work, before: Sequence[Record], after: Sequence[Record]) -> None:
    had = _by_module(before)
    wanted = _by_module(after)
    used = work.used()
    for module in sorted({*had, *wanted}):
        pieces_before = {record.piece: record for record in had.get(module, ())}
        pieces_after = {record.piece: record for record in wanted.get(module, ())}
        original = next(
            (
                record.replaced
                for record in [*pieces_before.values(), *pieces_after.values()]
                if record.replaced is not None
            ),
            None,
        )
        old = {_pair(piece) for piece in pieces_before}
        new = {_pair(piece) for piece in pieces_after}
        for piece in pieces_before:
            if _pair(piece) not in new and _local(piece) in used:
                new.add(_pair(piece))
                work.left[piece] = "used"
        found = _import_of(work.text, module, old) if old else None
        if found is not None:
            if found.spot in work.own:
                work.order[found.spot] = _import_order(work, module)
            _change_import(work, found, original, old, new)
            for piece in pieces_after:
                if original is not None and piece not in pieces_before:
                    work.replaced[piece] = original
            continue
        missing = new - old
        if missing:
            _new_import(work, module, missing, [piece for piece in pieces_after if _pair(piece) in missing])


def _by_module(records: Iterable[Record]) -> dict[str, list[Record]]:
    grouped: dict[str, list[Record]] = {}
    for record in records:
        if isinstance(record.piece, ImportName):
            grouped.setdefault(record.piece.module, []).append(record)
    return grouped


def _pair(piece: Piece) -> tuple[str, str]:
    assert isinstance(piece, ImportName)
    return piece.name, piece.asname


def _local(piece: Piece) -> str:
    assert isinstance(piece, ImportName)
    return piece.local


def _import_order(work: _Work, module: str) -> tuple[int, int, str]:
    return 0, section_of(module, work.layout.first_party), module.lower()


def _change_import(
    work: _Work, found: Located, original: str | None, old: set[tuple[str, str]], new: set[tuple[str, str]]
) -> None:
    if old == new:
        return
    style = work.layout.style
    code = work.text.code(found)
    module = "." * found.node.level + (found.node.module or "")  # type: ignore[attr-defined]
    result: str | None
    if original is not None and same_code(code, extended_import(original, old, style) or ""):
        result = extended_import(original, new, style) if new else original
    elif original is None and set(_names(found.node)) == old and not work.text.comment_after(found.node):
        result = import_line(module, new, style).rstrip("\n") if new else ""
    else:
        result = reduced_import(code, old - new, style)
        if result and new - old:
            result = extended_import(result, new - old, style)
    if result:
        work.retext[found.spot] = result
    else:
        work.drop.add(found.spot)
        work.own.add(found.spot)


def _new_import(work: _Work, module: str, names: set[tuple[str, str]], pieces: Sequence[Piece]) -> None:
    style = work.layout.style
    user = _import_of(work.text, module)
    if user is not None and names <= set(_names(user.node)):
        # There already: its ledger was lost. What the user would have without it is what is left of the line.
        if rest := reduced_import(work.text.code(user), names, style):
            work.replaced.update(dict.fromkeys(pieces, rest))
        return
    if user is not None and user.ordinal < _import_limit(work):
        code = work.text.code(user)
        result = extended_import(code, names, style)
        if result is not None:
            work.retext[user.spot] = result
            work.replaced.update(dict.fromkeys(pieces, code))
            return
    order = _import_order(work, module)
    text = import_line(module, names, style).rstrip("\n")
    work.put((), _import_place(work, order), _Fresh(order, text, order[1]))


def _import_limit(work: _Work) -> int:
    """The ordinal of the first statement that is code rather than preparation for imports."""
    code = (
        ast.FunctionDef,
        ast.AsyncFunctionDef,
        ast.ClassDef,
        ast.Assign,
        ast.AnnAssign,
        ast.For,
        ast.While,
        ast.With,
    )
    for ordinal, node in enumerate(work.text.tree.body):
        if isinstance(node, code) and ((), ordinal) not in work.own:
            return ordinal
    return len(work.text.tree.body)


def _import_place(work: _Work, order: tuple[int, int, str]) -> int:
    """Return the user's statement behind which an import goes: by section, then by name, as isort sorts."""
    body = work.text.tree.body
    limit = _import_limit(work)
    imports: list[tuple[int, int, bool, str]] = []
    for ordinal, node in enumerate(body[:limit]):
        section = work.section(node)
        if section is not None and ((), ordinal) not in work.own:
            plain = isinstance(node, ast.Import)
            name = node.names[0].name if isinstance(node, ast.Import) else _module_text(node)
            imports.append((ordinal, section, plain, name.lower()))
    same = [item for item in imports if item[1] == order[1]]
    smaller = [item for item in same if item[2] or item[3] <= order[2]]
    if smaller:
        return smaller[-1][0]
    if same:
        return same[0][0] - 1
    lower = [item for item in imports if item[1] < order[1]]
    if lower:
        return lower[-1][0]
    if imports:
        return imports[0][0] - 1
    return 0 if body and _is_docstring(body[0]) else -1


def _module_text(node: ast.stmt) -> str:
    assert isinstance(node, ast.ImportFrom)
    return "." * node.level + (node.module or "")


_Part = Argument | ListEntry


def _rewritten(work: _Work, before: Sequence[Record], after: Sequence[Record]) -> None:
    """Rewrite the statements that have arguments or list entries of ours: both may be in one statement."""
    grouped: dict[int, tuple[dict[_Part, Record], dict[_Part, Record]]] = {}
    for side, records in enumerate((before, after)):
        for record in records:
            piece = record.piece
            if not isinstance(piece, Argument | ListEntry):
                continue
            found = _statement_of(work.text, piece)
            if found is not None:
                grouped.setdefault(id(found.node), ({}, {}))[side][piece] = record
            elif side == 0:
                work.left[piece] = "gone"
    for had, wanted in grouped.values():
        if had.keys() != wanted.keys():
            _rewrite(work, had, wanted)


def _statement_of(text: Text, piece: _Part) -> Located | None:
    found = _call_of(text, piece) if isinstance(piece, Argument) else _list_of(text, piece)
    return found[0] if found else None


def _rewrite(work: _Work, had: Mapping[_Part, Record], wanted: Mapping[_Part, Record]) -> None:
    located = _statement_of(work.text, next(iter([*had, *wanted])))
    assert located is not None
    code = segment(work.text.source, located.node, dedent=False)
    original = next((item.replaced for item in [*had.values(), *wanted.values()] if item.replaced is not None), None)
    margin, behind = work.text.margin(located.node), len(work.text.behind(located.node))
    given = partial(_with_parts, ours=[*had, *wanted], style=work.layout.style, margin=margin, behind=behind)
    fresh = wanted.keys() - had.keys()
    for piece in [item for item in fresh if inspect(work.text, item).state is State.PRESENT]:
        # There already: its ledger was lost. What the user would have without it is the statement without it.
        fresh = fresh - {piece}
        original = _without_part(original or code, piece)
    going = had.keys() - wanted.keys()
    if original is not None and same_code(code, given(original, had)):
        result = given(original, wanted)
        work.gone.update(id(node) for piece in going if (node := _node_of(located.node, piece)) is not None)
    else:
        result = code
        for piece in going:
            node = _node_of(located.node, piece)
            if node is not None and inspect(work.text, piece).state is State.PRESENT:
                work.gone.add(id(node))
                result = _without_part(result, piece)
            else:
                work.left[piece] = "edited"
        result = given(result, fresh)
    for piece in wanted.keys() - had.keys():
        work.replaced[piece] = code if original is None else original
    if result != code:
        work.retext[located.spot] = result


def _node_of(statement: ast.stmt, piece: _Part) -> ast.AST | None:
    if isinstance(piece, Argument):
        keywords = getattr(getattr(statement, "value", None), "keywords", ())
        return next((item for item in keywords if item.arg == piece.keyword), None)
    literal = list_in(statement, piece.keyword)
    return next((item for item in literal.elts if ast.unparse(item) == _entry(piece)), None) if literal else None


def _without_part(text: str, piece: _Part) -> str:
    if isinstance(piece, Argument):
        return without_argument(text, _only_call(text), piece.keyword)
    literal = list_in(_only_statement(text), piece.keyword)
    places = [
        number for number, item in enumerate(literal.elts if literal else ()) if ast.unparse(item) == _entry(piece)
    ]
    return without_entry(text, literal, places[0]) if literal and places else text


def _only_statement(text: str) -> ast.stmt:
    return newer.parse(text).body[0]


def _only_call(text: str) -> ast.Call:
    value = getattr(_only_statement(text), "value", None)
    assert isinstance(value, ast.Call)
    return value


def _with_parts(
    text: str, pieces: Iterable[_Part], ours: Iterable[_Part], style: Style, margin: str, behind: int
) -> str:
    """Return a statement, indented by `margin` except for its first line, with more arguments and entries.

    `ours` are those that may be in it already.
    """
    parts = list(pieces)
    known = {_entry(item): item for item in ours if isinstance(item, ListEntry)}
    for piece in sorted((item for item in parts if isinstance(item, Argument)), key=lambda item: item.keyword):
        text = with_argument(text, _only_call(text), f"{piece.keyword}={piece.value}")
    entries = [item for item in parts if isinstance(item, ListEntry)]
    for entry in sorted(entries, key=lambda item: (item.behind, item.order), reverse=True):
        literal = list_in(_only_statement(text), entry.keyword)
        assert literal is not None
        text = with_entry(text, literal, entry.code, _place_of(entry, literal, known))
    if parts and "\n" not in text:
        text = wrapped(text, style, column=len(margin), behind=behind).replace("\n", f"\n{margin}")
    for keyword in {entry.keyword for entry in entries}:
        literal = list_in(_only_statement(text), keyword)
        assert literal is not None
        text = wrapped_list(text, literal, style, margin)
    return text


def _place_of(entry: ListEntry, literal: ast.List, known: Mapping[str, ListEntry]) -> int:
    """Return the place for an entry among those that are there, ours in their order between the user's."""
    users = 0
    for number, element in enumerate(literal.elts):
        other = known.get(ast.unparse(element))
        if other is None and users == entry.behind:
            return number
        if other is None:
            users += 1
        elif (other.behind, other.order) > (entry.behind, entry.order):
            return number
    return len(literal.elts)


def _blocks(work: _Work, before: Sequence[Record], after: Sequence[Record]) -> None:
    from laterctl.codemods.placement import TextEditError
    from laterctl.codemods.python import Unwrap, Wrap

    had = {record.piece for record in before if isinstance(record.piece, Block)}
    wanted = {record.piece for record in after if isinstance(record.piece, Block)}
    for piece in had - wanted:
        assert isinstance(piece, Block)
        found = _block(work.text, piece)
        if found is None:
            work.left[piece] = "gone"
        else:
            work.blocks.append(Unwrap(found.body, found.ordinal))
            work.gone.update(id(item) for item in getattr(found.node, "items", ()))
    for piece in wanted - had:
        assert isinstance(piece, Block)
        if _block(work.text, piece) is not None:
            continue  # its ledger was lost
        target = _yield_of(work.text, piece.scope)
        if target is None:
            raise TextEditError(f"{piece.scope}() has no single yield statement")
        work.replaced[piece] = work.text.code(target)
        work.blocks.append(Wrap(target.body, target.ordinal, piece.header))


def _regions(work: _Work) -> Iterator[Operation]:
    from laterctl.codemods.python import Keep, Region

    bodies = {spot[0] for spot in [*work.drop, *work.fresh, *work.retext]}
    for body in bodies:
        nodes = [item.node for item in _list_at(work, body)]
        own = sorted(ordinal for place, ordinal in work.own if place == body)
        for start, stop in _runs(own, [after for place, after in work.fresh if place == body]):
            region = _region(work, body, nodes, start, stop)
            if region is not None:
                yield region
        for (place, ordinal), text in work.retext.items():
            if place == body and ordinal not in own:
                margin = work.text.margin(nodes[ordinal])
                yield Region(body, ordinal, ordinal + 1, (Keep(ordinal, text, margin=margin),))


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


def _region(work: _Work, body: BodyPath, nodes: Sequence[ast.stmt], start: int, stop: int) -> Operation | None:
    from laterctl.codemods.python import Drop, Keep, New, Region

    fresh = sorted(work.fresh.get((body, start - 1), ()), key=lambda item: item.order)
    touched = any((body, ordinal) in work.drop or (body, ordinal) in work.retext for ordinal in range(start, stop))
    if not fresh and not touched:
        return None
    above = nodes[start - 1] if start else None
    below = nodes[stop] if stop < len(nodes) else None
    nested = bool(body)
    if above is not None and _is_docstring(above) and below is not None and work.section(below) is not None:
        above = None
    # The first of our imports in the section of the user's import below takes over the blank lines that set it apart.
    shared = work.section(below) if below is not None and not nested else None
    if shared is not None and above is not None and work.section(above) == shared:
        shared = None
    items: list[Keep | New | Drop] = []
    old_above: ast.stmt | _Fresh | None = above
    new_above: ast.stmt | _Fresh | None = above
    queue = list(fresh)

    def gap(over: ast.stmt | _Fresh | None, item: ast.stmt | _Fresh) -> int:
        if shared is not None and work.section_at(item) == shared:
            return 0
        return _gap(work, over, item, nested=nested)

    def put(item: _Fresh) -> None:
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
        items.append(Keep(ordinal, work.retext.get(spot), gap(new_above, node) - old_gap))
        new_above = node
    for item in queue:
        put(item)
    tail = 0
    if shared is None or above is None:
        tail = _tail(work, above, new_above, below) - _tail(work, above, old_above, below)
    return Region(body, start, stop, tuple(items), tail)


def _gap(work: _Work, above: ast.stmt | _Fresh | None, item: ast.stmt | _Fresh, *, nested: bool) -> int:
    """Blank lines that one of our statements has above it, as formatters want them."""
    section = work.section_at(item)
    over = None if above is None else work.section_at(above)
    if section is not None:
        docstring = isinstance(above, ast.stmt) and _is_docstring(above)
        return int(docstring or (over is not None and over != section))
    if isinstance(above, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return 1 if nested else 2
    return int(over is not None and not nested)


def _tail(work: _Work, above: ast.stmt | None, last: ast.stmt | _Fresh | None, below: ast.stmt | None) -> int:
    """Blank lines that our statements need below them and that the user's own neighbours would not have had."""
    if last is above or last is None or below is None or work.section(below) is None:
        return 0
    users = 0 if above is None else _gap(work, above, below, nested=False)
    return max(0, _gap(work, last, below, nested=False) - users)
