"""Statements as text: where one is in its file, and whether two are the same code."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterable, Sequence

from laterctl.codemods import newer
from laterctl.project.statements import wrapped_function


def segment(source: str, node: ast.stmt, *, dedent: bool = True) -> str:
    """Return the code of a statement as it stands in `source`, decorators included, `\\n` ended.

    Its first line comes without indentation; the others too, unless `dedent` is false.
    """
    begin = min([node.lineno, *(item.lineno for item in getattr(node, "decorator_list", []))])
    lines = [line.rstrip("\r\n") for line in split_lines(source)[begin - 1 : node.end_lineno]]
    lines[-1] = lines[-1].encode()[: node.end_col_offset].decode()
    margin = lines[0].encode()[: node.col_offset].decode()
    lines[0] = lines[0][len(margin) :]
    if margin.strip() or not dedent:
        return "\n".join(lines)
    return "\n".join([lines[0], *(line.removeprefix(margin) for line in lines[1:])])


def span(lines: Sequence[str], node: ast.stmt | ast.expr) -> tuple[int, int]:
    """Return where a statement (its decorators left out) or an expression starts and ends in the text that `split_lines` made `lines` of."""
    last = node.end_lineno or node.lineno
    start = sum(map(len, lines[: node.lineno - 1]))
    end = start + sum(map(len, lines[node.lineno - 1 : last - 1]))
    columns = (lines[node.lineno - 1], node.col_offset), (lines[last - 1], node.end_col_offset or 0)
    first, behind = (len(line.encode()[:column].decode()) for line, column in columns)
    return start + first, end + behind


def wrapped(code: str, name: str, wrapper: str) -> str:
    """Return a simple statement, as it stands in its file, with `wrapper(name)` wherever it has `name` (may be dotted)."""
    tree = newer.parse(code)
    done = {id(node) for call in wrapped_names(tree, name, wrapper) for node in named(call, name)}
    return _replaced(code, ((node, f"{wrapper}({{}})", node) for node in named(tree, name) if id(node) not in done))


def unwrapped(code: str, name: str, wrapper: str) -> str:
    """Return a statement without what `wrapped` put around a name."""
    return _replaced(code, ((call, "{}", call.args[0]) for call in wrapped_names(newer.parse(code), name, wrapper)))


def named(tree: ast.AST, name: str) -> list[ast.expr]:
    """Return the expressions of a simple statement that are a name, dotted or not; imports have none."""
    kind = ast.Attribute if "." in name else ast.Name
    return [node for node in ast.walk(tree) if isinstance(node, kind) and ast.unparse(node) == name]


def wrapped_names(tree: ast.AST, name: str, wrapper: str) -> list[ast.Call]:
    """Return the calls of `wrapper` that have a name, or calls around it, as the one argument."""
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == wrapper)
    return [call for call in calls if call.args and named(wrapped_function(call), name)[:1] == [wrapped_function(call)]]


def _replaced(code: str, found: Iterable[tuple[ast.expr, str, ast.expr]]) -> str:
    """Return code with other texts, of which a part of it is a part, in the places of expressions beside each other."""
    lines = split_lines(code)
    for node, text, part in sorted(found, key=lambda item: (item[0].lineno, item[0].col_offset), reverse=True):
        (start, end), (first, last) = span(lines, node), span(lines, part)
        code = code[:start] + text.format(code[first:last]) + code[end:]
    return code


def split_lines(source: str) -> list[str]:
    """Split like the Python tokenizer does: at `\\n`, `\\r\\n` and `\\r` only, line ends kept."""
    return io.StringIO(source, newline="").readlines()


def same_code(left: str, right: str) -> bool:
    """Tell whether two texts are the same code with the same comments, regardless of layout.

    Layout is what formatters change: line breaks, redundant parentheses and trailing commas, kinds of quotes, the
    indentation of docstrings, and the order of imports that stand together.
    """
    return left == right or _settled(left) == _settled(right)


def same_tokens(left: str, right: str) -> bool:
    """Tell whether two statements have the same tokens and comments, trailing commas and parentheses of imports aside."""
    return _tokens(left) == _tokens(right)


def _tokens(text: str) -> list[str]:
    lines = io.StringIO(text, newline=None)  # any line end is a line end
    found = [token.string for token in tokenize.generate_tokens(lines.readline) if token.string.strip()]
    if found[0] == "from":
        found = [item for item in found if item not in {"(", ")"}]
    pairs = zip(found, [*found[1:], ")"], strict=True)
    return [item for item, following in pairs if item != "," or following not in {")", "]", "}"}]


def _settled(text: str) -> tuple[str, tuple[str, ...]]:
    try:
        tree = ast.parse(text)
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (SyntaxError, ValueError, tokenize.TokenError):
        return text, ()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant):
            node.kind = None  # u"..."
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list):
                setattr(node, name, _with_imports_sorted(block))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            _dedent_docstring(node)
    comments = (token.string.lstrip("#").strip() for token in tokens if token.type == tokenize.COMMENT)
    return ast.dump(tree), tuple(comments)


def _with_imports_sorted(block: Sequence[ast.stmt]) -> list[ast.stmt]:
    """Write each import of one name, and those that stand together in one order."""
    found: list[ast.stmt] = []
    run: list[str] = []
    for node in block:
        if isinstance(node, ast.ImportFrom):
            source = "." * node.level + (node.module or "")
            run += [f"from {source} import {ast.unparse(alias)}" for alias in node.names]
        elif isinstance(node, ast.Import):
            run += [f"import {ast.unparse(alias)}" for alias in node.names]
        else:
            found += [ast.Expr(ast.Constant(line)) for line in sorted(run)]
            run = []
            found.append(node)
    return [*found, *(ast.Expr(ast.Constant(line)) for line in sorted(run))]


def _dedent_docstring(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    if node.body and (text := ast.get_docstring(node)) is not None:
        node.body[0] = ast.Expr(ast.Constant(text))
