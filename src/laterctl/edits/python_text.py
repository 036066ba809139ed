"""A Python file of the user's as edits see it: its statements, and which of them are pieces of ours."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from laterctl.codemods import newer
from laterctl.codemods.statements import same_code, segment, split_lines
from laterctl.edits.pieces import Argument, Block, ImportName, Inspection, ListEntry, Piece, Record, State, Statement
from laterctl.project.facts import BodyPath

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

    def in_body(self, body: BodyPath) -> list[Located]:
        """The statements that stand directly in one statement list."""
        return [item for item in self.statements if item.body == body]

    def code(self, located: Located) -> str:
        """The statement's text as it stands, without its indentation."""
        return segment(self.source, located.node)

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
        found = call_of(text, piece)
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
        block = block_of(text, piece)
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
    found = list_of(text, piece)
    wanted = entry_text(piece)
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


def entry_text(piece: ListEntry) -> str:
    """Return an entry of ours as `ast.unparse` spells it."""
    return ast.unparse(ast.parse(piece.code, mode="eval"))


def list_of(text: Text, piece: ListEntry) -> tuple[Located, ast.List] | None:
    """Find the list literal that an entry belongs to, and its statement."""
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


def call_of(text: Text, piece: Argument) -> tuple[Located, ast.Call] | None:
    """Find the call that an argument belongs to, and its statement."""
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


def block_of(text: Text, piece: Block) -> Located | None:
    """Find the `with` statement of a block of ours."""
    header = _header(piece.header)
    for item in text.statements:
        if item.scope == piece.scope and isinstance(item.node, ast.With | ast.AsyncWith):
            probe = ast.unparse(item.node).split("\n", 1)[0]
            if probe == header:
                return item
    return None


def _header(header: str) -> str:
    return ast.unparse(ast.parse(f"async def f():\n    {header}\n        pass").body[0].body[0]).split("\n", 1)[0]  # type: ignore[attr-defined]


def yield_of(text: Text, scope: str) -> Located | None:
    """Find the statement of the one `yield` in a function."""
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
        found = import_of(text, module, names[module])
        if found is not None and set(imported_names(found.node)) <= names[module]:
            spots.add(found.spot)
    return spots


def imported_names(node: ast.stmt) -> list[tuple[str, str]]:
    """Return the names that an import statement imports, each with its alias or `""`."""
    return [(alias.name, alias.asname or "") for alias in getattr(node, "names", [])]


def import_of(text: Text, module: str, names: Iterable[tuple[str, str]] = ()) -> Located | None:
    """The top-level import of a module that shares names with `names`, or the first one that can be extended."""
    wanted = set(names)
    candidates = [
        Located((), ordinal, node, "")
        for ordinal, node in enumerate(text.tree.body)
        if isinstance(node, ast.ImportFrom) and "." * node.level + (node.module or "") == module
    ]
    candidates = [item for item in candidates if text.code(item).startswith("from")]  # a lazy one is not extended
    for item in candidates:
        if wanted & set(imported_names(item.node)):
            return item
    return candidates[0] if candidates and not wanted else None
