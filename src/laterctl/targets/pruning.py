"""The syntax tree of a document without what is ours: what the user has there."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from laterctl.codemods.statements import same_code, split_lines
from laterctl.project.statements import nodes
from laterctl.targets.base import Inspection
from laterctl.targets.python_text import Text

Substitutes = Mapping[int, Sequence[ast.AST]]
"""By the identity of a node: what stands there without it."""


def substitutes(found: Iterable[Inspection]) -> Substitutes:
    """Return what inspections found of targets of ours, as what to put in its place."""
    return {id(node): others for inspection in found for node, others in inspection.nodes}


def pruned(tree: ast.Module, without: Substitutes) -> ast.Module:
    """Return a copy of a tree without some of its nodes.

    A statement that only fills a block (`pass`, `...`) counts for nothing beside another one, so that a block that
    held nothing but ours is equal to the empty one that was there before.
    """
    copy = _copied(tree, without)
    assert isinstance(copy, ast.Module)
    return copy


def _copied(value: Any, without: Substitutes) -> Any:
    if isinstance(value, list):
        items: list[Any] = []
        for item in value:
            items += without.get(id(item), [item])
        copies = [_copied(item, without) for item in items]
        return [item for item in copies if not (isinstance(item, ast.Import | ast.ImportFrom) and not item.names)]
    if not isinstance(value, ast.AST):
        return value
    if id(value) in without and without[id(value)]:
        return _copied(without[id(value)][0], without)
    fields = {name: _copied(field, without) for name, field in ast.iter_fields(value)}
    for name in ("body", "orelse", "finalbody"):
        if isinstance(fields.get(name), list):
            fields[name] = _filled(fields[name], required=name == "body" and not isinstance(value, ast.Module))
    return type(value)(**fields)


def _filled(block: list[ast.stmt], *, required: bool) -> list[ast.stmt]:
    kept = [item for item in block if not is_filler(item)]
    return kept or ([ast.Pass()] if required else [])


def is_filler(node: ast.stmt) -> bool:
    """Tell whether a statement only fills a block: `pass` or `...`."""
    ellipsis = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and node.value.value is ...
    return isinstance(node, ast.Pass) or ellipsis


def is_without(text: Text, without: Substitutes, base: str) -> bool:
    """Tell whether a document is `base` but for some nodes and their comments: the same code and comments."""
    ours = [item.node for item in text.statements if id(item.node) in without]
    lines = {number for node in ours for number in range(node.lineno, (node.end_lineno or node.lineno) + 1)}
    other = ast.parse(base)
    same = _same_in_turn(text, without, base, other)
    return (same or _same(text.tree, without, other)) and _same_comments(text.source, base, lines)


def _same(tree: ast.Module, without: Substitutes, other: ast.Module) -> bool:
    left, right = (ast.fix_missing_locations(pruned(*pair)) for pair in ((tree, without), (other, {})))
    return same_code(ast.unparse(left), ast.unparse(right))


def _same_in_turn(text: Text, without: Substitutes, base: str, other: ast.Module) -> bool:
    """Tell whether each statement of a module is the one of the other: without copying those that are the same text."""
    parts = (part for item in text.tree.body for part in without.get(id(item), [item]))
    mine = [part for part in parts if isinstance(part, ast.stmt) and not _is_empty(part, without)]
    lines, base_lines = split_lines(text.source), split_lines(base)
    return len(mine) == len(other.body) and all(
        (_written(one, lines) == _written(two, base_lines) and not any(id(node) in without for node in nodes(one)))
        or _same(ast.Module([one], []), without, ast.Module([two], []))
        for one, two in zip(mine, other.body, strict=True)
    )


def _is_empty(node: ast.stmt, without: Substitutes) -> bool:
    return isinstance(node, ast.Import | ast.ImportFrom) and all(id(name) in without for name in node.names)


def _written(node: ast.stmt, lines: Sequence[str]) -> Sequence[str]:
    first = min(item.lineno for item in (node, *getattr(node, "decorator_list", ())))
    return lines[first - 1 : node.end_lineno]


def _same_comments(one: str, other: str, without: Collection[int]) -> bool:
    """Tell whether two sources have the same comments, those in some lines of the first left out."""
    # The tokenizer is slow, and lines that are the same have the same comments.
    numbered = enumerate(split_lines(one), 1)
    lines = [line.strip() for number, line in numbered if "#" in line and number not in without]
    same = lines == [line.strip() for line in split_lines(other) if "#" in line]
    return same or _comments(one, without) == _comments(other)


def _comments(source: str, without: Collection[int] = ()) -> list[str]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = (token for token in tokens if token.type == tokenize.COMMENT and token.start[0] not in without)
    return [token.string.lstrip("#").strip() for token in comments]
