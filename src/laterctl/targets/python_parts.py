"""Arguments of a call and entries of a list: parts of one statement of the user's."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from laterctl.codemods import newer, rows
from laterctl.codemods.statements import split_lines
from laterctl.render import Style
from laterctl.targets.argument import Argument, call_of
from laterctl.targets.base import Record, State
from laterctl.targets.document import Document
from laterctl.targets.list_entry import ListEntry, entry_text, list_of
from laterctl.targets.python_text import Located, Text, list_in
from laterctl.targets.python_work import Line, Work, fitted, is_ours, refusing_at

_Part = Argument | ListEntry


def converge_parts(work: Work, before: Sequence[Record], after: Sequence[Record]) -> None:
    """Rewrite the statements that have arguments or list entries of ours: both may be in one statement."""
    grouped: dict[int, tuple[dict[_Part, Record], dict[_Part, Record]]] = {}
    for side, records in enumerate((before, after)):
        for record in records:
            target = record.target
            if not isinstance(target, Argument | ListEntry):
                continue
            found = _statement_of(work.text, target)
            if found is not None:
                grouped.setdefault(id(found.node), ({}, {}))[side][target] = record
            elif side == 0:
                work.left[target] = "gone"
    for had, wanted in grouped.values():
        if had.keys() != wanted.keys():
            located = _statement_of(work.text, next(iter([*had, *wanted])))
            assert located is not None
            with refusing_at(located.node):
                _rewrite(work, located, had, wanted)


def _statement_of(text: Text, target: _Part) -> Located | None:
    found = call_of(text, target) if isinstance(target, Argument) else list_of(text, target)
    return found[0] if found else None


def _rewrite(work: Work, located: Located, had: Mapping[_Part, Record], wanted: Mapping[_Part, Record]) -> None:
    code = work.code(located.node)
    original = next((item.replaced for item in [*had.values(), *wanted.values()] if item.replaced is not None), None)
    given = partial(_with_parts, ours=[*had, *wanted], style=work.layout.style, line=work.line(located.node))
    fresh = wanted.keys() - had.keys()
    for target in [item for item in fresh if _state(work.text, item) is State.PRESENT]:
        # There already: its ledger was lost. What the user would have without it is the statement without it.
        fresh = fresh - {target}
        original = _without_part(original or code, target)
    going = had.keys() - wanted.keys()
    if original is not None and is_ours(code, given(original, had), adding=bool(fresh)):
        result = given(original, wanted)
        work.gone.update(id(node) for target in going if (node := _node_of(located.node, target)) is not None)
    else:
        result = code
        for target in going:
            node = _node_of(located.node, target)
            if node is not None and _state(work.text, target) is State.PRESENT:
                work.gone.add(id(node))
                result = _without_part(result, target)
            else:
                work.left[target] = "edited"
        result = given(result, fresh)
    for target in wanted.keys() - had.keys():
        work.replaced[target] = code if original is None else original
    if result != code:
        work.retext[located.spot] = result


def _node_of(statement: ast.stmt, target: _Part) -> ast.AST | None:
    if isinstance(target, Argument):
        keywords = getattr(getattr(statement, "value", None), "keywords", ())
        return next((item for item in keywords if item.arg == target.keyword), None)
    literal = list_in(statement, target.keyword)
    return next((item for item in literal.elts if ast.unparse(item) == entry_text(target)), None) if literal else None


def _without_part(text: str, target: _Part) -> str:
    if isinstance(target, Argument):
        return rows.without_argument(text, target.keyword)
    places = [place for place, item in enumerate(_list(text, target).elts) if ast.unparse(item) == entry_text(target)]
    return rows.without_entry(text, target.keyword, places[0]) if places else text


def _list(text: str, target: ListEntry) -> ast.List:
    literal = list_in(newer.parse(text).body[0], target.keyword)
    assert literal is not None
    return literal


def _with_parts(text: str, targets: Iterable[_Part], ours: Iterable[_Part], style: Style, line: Line) -> str:
    """Return a statement, which starts on `line`, with more arguments and entries; `ours` may be in it already."""
    parts = list(targets)
    known = {entry_text(item): item for item in ours if isinstance(item, ListEntry)}
    for target in sorted((item for item in parts if isinstance(item, Argument)), key=lambda item: item.keyword):
        text = rows.with_argument(text, f"{target.keyword}={target.value}", style.indent)
    entries = [item for item in parts if isinstance(item, ListEntry)]
    for entry in sorted(entries, key=lambda item: (item.behind, item.order), reverse=True):
        place = _place_of(entry, _list(text, entry), known)
        text = rows.with_entry(text, entry.keyword, entry.code, place, style.indent)
    if parts:
        text = fitted(text, style, line)
    for entry in {item.keyword: item for item in entries}.values():
        text = _with_fitted_list(text, _list(text, entry), entry.keyword, style, line)
    return text


def _with_fitted_list(text: str, literal: ast.List, keyword: str, style: Style, line: Line) -> str:
    """Return a statement whose list literal, when its one line is too long, has a line for each entry."""
    code = split_lines(text)[literal.lineno - 1].rstrip("\r\n")
    first = literal.lineno == 1
    length = len(code) + (line.column if first else 0)
    if literal.lineno != literal.end_lineno or length <= style.line_length:
        return text
    margin = line.margin if first else code[: len(code) - len(code.lstrip())]
    return rows.wrapped(text, rows.Wrapping(margin, style.indent, line.newline), keyword)


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


def _state(text: Text, target: _Part) -> State:
    return target.inspect(Document.of_text(target.path, text)).state
