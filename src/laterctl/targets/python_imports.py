"""Imports of a Python file: added to a line that is there or put in isort's order, and taken out again."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence

from laterctl.codemods.statements import extended_import, reduced_import, same_code
from laterctl.render import import_line, section_of
from laterctl.targets.base import Record, Target
from laterctl.targets.import_name import ImportName
from laterctl.targets.python_text import Located, import_of, imported_names
from laterctl.targets.python_work import Fresh, Work, is_docstring


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
    style = work.layout.style
    code = work.text.code(found)
    module = "." * found.node.level + (found.node.module or "")  # type: ignore[attr-defined]
    result: str | None
    if original is not None and same_code(code, extended_import(original, old, style) or ""):
        result = extended_import(original, new, style) if new else original
    elif original is None and set(imported_names(found.node)) == old and not work.text.comment_after(found.node):
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


def _new_import(work: Work, module: str, names: set[tuple[str, str]], targets: Sequence[Target]) -> None:
    style = work.layout.style
    user = import_of(work.text, module)
    if user is not None and names <= set(imported_names(user.node)):
        # There already: its ledger was lost. What the user would have without it is what is left of the line.
        if rest := reduced_import(work.text.code(user), names, style):
            work.replaced.update(dict.fromkeys(targets, rest))
        return
    if user is not None and user.ordinal < _import_limit(work):
        code = work.text.code(user)
        result = extended_import(code, names, style)
        if result is not None:
            work.retext[user.spot] = result
            work.replaced.update(dict.fromkeys(targets, code))
            return
    order = _import_order(work, module)
    text = import_line(module, names, style).rstrip("\n")
    work.put((), _import_place(work, order), Fresh(order, text, order[1]))


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
