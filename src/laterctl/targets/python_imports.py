"""Imports of a Python file: added to a line that is there or put in isort's order, and taken out again."""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from typing import Any

from laterctl.codemods import rows
from laterctl.render import Style, import_line, name_sort_key, section_of
from laterctl.targets.base import Record, Target
from laterctl.targets.import_name import ImportName
from laterctl.targets.python_text import Located, import_of, imported_names
from laterctl.targets.python_work import Fresh, Line, Work, fitted, is_docstring, is_ours, refusing_at


def converge_imports(work: Work, before: Sequence[Record], after: Sequence[Record]) -> None:
    """Add and take out names, line by line; one that the user has come to use stays."""
    had = _by_module(before)
    wanted = _by_module(after)
    used = work.used()
    for module in sorted({*had, *wanted}):
        pieces_before = {record.target: record for record in had.get(module, ())}
        pieces_after = {record.target: record for record in wanted.get(module, ())}
        original = next(
            (
                record.replaced
                for record in [*pieces_before.values(), *pieces_after.values()]
                if record.replaced is not None
            ),
            None,
        )
        old = {_pair(target) for target in pieces_before}
        new = {_pair(target) for target in pieces_after}
        for target in pieces_before:
            if _pair(target) not in new and _local(target) in used:
                new.add(_pair(target))
                work.left[target] = "used"
        found = import_of(work.text, module, old) if old else None
        if found is not None:
            if found.spot in work.own:
                work.order[found.spot] = _import_order(work, module)
            with refusing_at(found.node):
                _change_import(work, found, original, old, new)
            for target in pieces_after:
                if original is not None and target not in pieces_before:
                    work.replaced[target] = original
            continue
        missing = new - old
        if missing:
            _new_import(work, module, missing, [target for target in pieces_after if _pair(target) in missing])


def _by_module(records: Iterable[Record]) -> dict[str, list[Record]]:
    grouped: dict[str, list[Record]] = {}
    for record in records:
        if isinstance(record.target, ImportName):
            grouped.setdefault(record.target.module, []).append(record)
    return grouped


def _pair(target: Target) -> tuple[str, str]:
    assert isinstance(target, ImportName)
    return target.name, target.asname


def _local(target: Target) -> str:
    assert isinstance(target, ImportName)
    return target.local


def _import_order(work: Work, module: str) -> tuple[int, int, str]:
    return 0, section_of(module, work.layout.first_party), module.lower()


def _change_import(
    work: Work, found: Located, original: str | None, old: set[tuple[str, str]], new: set[tuple[str, str]]
) -> None:
    if old == new:
        return
    line = work.line(found.node)
    code = work.code(found.node)
    extended = partial(_extended, ours=old | new, style=work.layout.style, line=line)
    result: str | None
    if original is not None and is_ours(code, extended(original, old), adding=not new <= old):
        result = extended(original, new)
    elif original is None and set(imported_names(found.node)) == old and not work.text.comment_after(found.node):
        text = import_line(_module_text(found.node), new, work.layout.style).rstrip("\n") if new else ""
        result = text.replace("\n", line.newline)
    else:
        result = _reduced(code, old - new)
        if result and new - old:
            result = extended(result, new - old)
    if result:
        work.retext[found.spot] = result
    else:
        work.drop.add(found.spot)
        work.own.add(found.spot)


def _new_import(work: Work, module: str, names: set[tuple[str, str]], targets: Sequence[Target]) -> None:
    style = work.layout.style
    user = import_of(work.text, module)
    if user is not None and names <= set(imported_names(user.node)):
        # There already: its ledger was lost. What the user would have without it is what is left of the line.
        if rest := _reduced(work.code(user.node), names):
            work.replaced.update(dict.fromkeys(targets, rest))
        return
    if user is not None and user.ordinal < _import_limit(work):
        code = work.code(user.node)
        result = _extended(code, names, names, style, work.line(user.node))
        if result is not None:
            work.retext[user.spot] = result
            work.replaced.update(dict.fromkeys(targets, code))
            return
    order = _import_order(work, module)
    text = import_line(module, names, style).rstrip("\n")
    work.put((), _import_place(work, order), Fresh(order, text, order[1]))


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


def _import_limit(work: Work) -> int:
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


def _import_place(work: Work, order: tuple[int, int, str]) -> int:
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
    return 0 if body and is_docstring(body[0]) else -1


def _module_text(node: ast.stmt) -> str:
    assert isinstance(node, ast.ImportFrom)
    return "." * node.level + (node.module or "")
