"""One name of a `from` import at the top of a Python file."""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Any, ClassVar

from laterctl.codemods import rows
from laterctl.project.bindings import bound_to
from laterctl.project.statements import Position, StatementRef
from laterctl.render import Style, import_line, name_sort_key, section_of
from laterctl.targets.base import Anchor, Binding, Imported, Inspection, Record, State, Target, of_kind
from laterctl.targets.document import Document
from laterctl.targets.file_edit import FileEdit, Insertion, Line, fitted, is_docstring, is_ours, refusing_at
from laterctl.targets.python_target import PythonTarget
from laterctl.targets.python_text import Text, imported_names, imports_from, module_text


class ImportName(PythonTarget, frozen=True):
    """`from module import name as asname`. `source` is the absolute dotted name it stands for."""

    kind: ClassVar[str] = "import"
    restorable: ClassVar[bool] = True
    turn: ClassVar[int] = 1
    module: str
    name: str
    asname: str = ""
    source: str = ""

    @property
    def key(self) -> tuple[str, ...]:
        return self.kind, self.path, self.module, self.name, self.asname

    @property
    def pair(self) -> rows.Name:
        """The name and its alias, as an import has them."""
        return self.name, self.asname

    @property
    def local(self) -> str:
        """The name that the import binds."""
        return self.asname or self.name

    def describe(self) -> str:
        alias = f" as {self.asname}" if self.asname else ""
        return f"from {self.module} import {self.name}{alias}"

    def inspect(self, document: Document) -> Inspection:
        for node in document.text.tree.body:
            if not isinstance(node, ast.ImportFrom) or module_text(node) != self.module:
                continue
            for alias in node.names:
                if (alias.name, alias.asname or "") == self.pair:
                    return Inspection(State.PRESENT, alias.lineno, nodes=((alias, ()),))
        if document.project is not None:
            place, dotted = bound_to(document.project, self.path, self.local)
            if place is not None and dotted and dotted != self.source:
                return Inspection(State.ALTERED, place.line, dotted)
        return Inspection(State.ABSENT)

    def uses(self, document: Document) -> frozenset[str]:
        return frozenset()

    def imports(self, document: Document) -> Iterator[Imported]:
        module, _, name = self.source.rpartition(".")
        yield Imported(module, name)

    def bindings(self) -> tuple[Binding, ...]:
        return (Binding("import", self.path, self.local),)

    @classmethod
    def statements(cls, text: Text, records: Sequence[Record]) -> set[Position]:
        """Return the imports of which every name is ours, and none was put to names of the user's."""
        names: dict[str, set[tuple[str, str]]] = {}
        extended: set[str] = set()
        for target, record in of_kind(records, cls).items():
            names.setdefault(target.module, set()).add(target.pair)
            if record.replaced is not None:
                extended.add(target.module)
        return {
            item.position
            for module in names.keys() - extended
            for item in imports_from(text, module, names[module])
            if set(imported_names(item.node)) <= names[module]
        }

    @classmethod
    def converge(
        cls, edit: FileEdit, before: Sequence[Record], after: Sequence[Record], anchors: Mapping[Target, Anchor]
    ) -> None:
        had, wanted = _by_module(of_kind(before, cls)), _by_module(of_kind(after, cls))
        moved = {target.local for targets in wanted.values() for target in targets}  # bound by another import now
        used = cache(lambda: edit.used() - moved)  # only what goes is looked for
        for module in sorted({*had, *wanted}):
            _converge_module(edit, module, had.get(module, {}), wanted.get(module, {}), used)


def _by_module(records: Mapping[ImportName, Record]) -> dict[str, dict[ImportName, Record]]:
    grouped: dict[str, dict[ImportName, Record]] = {}
    for target, record in records.items():
        grouped.setdefault(target.module, {})[target] = record
    return grouped


def _converge_module(
    edit: FileEdit,
    module: str,
    had: Mapping[ImportName, Record],
    wanted: Mapping[ImportName, Record],
    used: Callable[[], Collection[str]],
) -> None:
    """Add and take out the names of one module; one that the user has come to use stays."""
    texts = (record.replaced for record in [*had.values(), *wanted.values()])
    original = next((text for text in texts if text is not None), None)
    old = {target.pair for target in had}
    new = {target.pair for target in wanted}
    for target in had:
        if target.pair not in new and target.local in used():
            new.add(target.pair)
            edit.left[target] = "used"
    imports = imports_from(edit.text, module, old) if old else []
    if not imports:
        if missing := new - old:
            _new_import(edit, module, missing, [target for target in wanted if target.pair in missing])
        return
    for found in imports:
        if found.position in edit.own:
            edit.order[found.position] = import_order(edit, module)
        with refusing_at(found.node):
            if len(imports) == 1:
                _change_import(edit, found, original, old, new)
            else:  # an import sorter gave each name a line: what is new goes to the first
                ours = old & set(imported_names(found.node))
                _change_import(edit, found, None, ours, ours & new | (new - old if found is imports[0] else set()))
    for target in wanted:
        if original is not None and target not in had:
            edit.replaced[target] = original


def import_order(edit: FileEdit, module: str, *, plain: bool = False) -> tuple[int, int, str]:
    """Return what sorts an import: its section, `import x` before `from x import y`, the module's name."""
    return 0, section_of(module, edit.layout.first_party), f"{0 if plain else 1}{module.lower()}"


def _change_import(
    edit: FileEdit, found: StatementRef, original: str | None, old: set[tuple[str, str]], new: set[tuple[str, str]]
) -> None:
    if old == new:
        return
    line = edit.line(found.node)
    code = edit.code(found.node)
    extended = partial(_extended, ours=old | new, style=edit.layout.style, line=line)
    result: str | None
    if original is not None and is_ours(code, extended(original, old), adding=not new <= old):
        result = extended(original, new)
    elif original is None and set(imported_names(found.node)) == old and not edit.text.comment_after(found.node):
        text = import_line(module_text(found.node), new, edit.layout.style).rstrip("\n") if new else ""
        result = text.replace("\n", line.newline)
    else:
        result = _reduced(code, old - new)
        if result and new - old:
            result = extended(result, new - old)
    if result:
        edit.retext[found.position] = result
    else:
        edit.drop.add(found.position)
        edit.own.add(found.position)


def _new_import(edit: FileEdit, module: str, names: set[tuple[str, str]], targets: Sequence[ImportName]) -> None:
    style = edit.layout.style
    user = next(iter(imports_from(edit.text, module)), None)
    if user is not None and names <= set(imported_names(user.node)):
        # There already: its ledger was lost. What the user would have without it is what is left of the line.
        if rest := _reduced(edit.code(user.node), names):
            edit.replaced.update(dict.fromkeys(targets, rest))
        return
    if user is not None and user.index < _import_limit(edit):
        code = edit.code(user.node)
        result = _extended(code, names, names, style, edit.line(user.node))
        if result is not None:
            edit.retext[user.position] = result
            edit.replaced.update(dict.fromkeys(targets, code))
            return
    order = import_order(edit, module)
    text = import_line(module, names, style).rstrip("\n")
    edit.put((), import_place(edit, order), Insertion(order, text, order[1]))


def _extended(
    text: str, names: Iterable[rows.Name], ours: Collection[rows.Name], style: Style, line: Line
) -> str | None:
    """Return a `from` import with more names, or `None` when it has a star; `ours` may be in it already."""
    present = _names(text)
    if any(name == "*" for name, _ in present):
        return None
    users = [name for name in present if name not in ours]
    places: list[tuple[int, rows.Name]] = []
    for name in sorted(set(names) - set(present)):
        place = _place_of(name, present, users)
        places.append((place, name))
        present.insert(place, name)
    return fitted(rows.with_names(text, places, style.indent), style, line) if places else text


def _place_of(name: rows.Name, present: Sequence[rows.Name], users: Sequence[rows.Name]) -> int:
    """Return the place for a name: in the order that the user's are in, else behind them, ours by name."""
    plain = [item for item, _ in users]
    orders: tuple[Callable[[str], Any], ...] = (name_sort_key, lambda name: (name.lower(), name), lambda name: name)
    for order in orders:
        if plain == sorted(plain, key=order):
            return next((n for n, item in enumerate(present) if order(item[0]) > order(name[0])), len(present))
    return next((n for n, item in enumerate(present) if item not in users and item > name), len(present))


def _reduced(text: str, names: set[rows.Name]) -> str:
    """Return a `from` import without some names; `""` when none is left."""
    users = _names(text)
    places = [place for place, name in enumerate(users) if name in names]
    return rows.without_names(text, places) if len(places) < len(users) else ""


def _names(text: str) -> list[rows.Name]:
    return imported_names(ast.parse(text).body[0])


def _import_limit(edit: FileEdit) -> int:
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
    for ordinal, node in enumerate(edit.text.tree.body):
        if isinstance(node, code) and ((), ordinal) not in edit.own:
            return ordinal
    return len(edit.text.tree.body)


def import_place(edit: FileEdit, order: tuple[int, int, str]) -> int:
    """Return the user's statement behind which an import goes: by section, then by name, as isort sorts."""
    body = edit.text.tree.body
    limit = _import_limit(edit)
    imports: list[tuple[int, int, str]] = []
    for ordinal, node in enumerate(body[:limit]):
        section = edit.section(node)
        if section is not None and ((), ordinal) not in edit.own:
            name = f"0{node.names[0].name}" if isinstance(node, ast.Import) else f"1{module_text(node)}"
            imports.append((ordinal, section, name.lower()))
    same = [item for item in imports if item[1] == order[1]]
    smaller = [item for item in same if item[2] <= order[2]]
    if smaller:
        return smaller[-1][0]
    if same:
        return same[0][0] - 1
    lower = [item for item in imports if item[1] < order[1]]
    if lower:
        return lower[-1][0]
    if imports:
        return imports[0][0] - 1
    return 0 if body and is_docstring(body[0]) else -1
