"""Rewrites the text of one statement: names of an import, arguments of a call. Text in, text out, on `ast` offsets."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Callable, Iterable, Sequence

from laterctl.codemods import newer
from laterctl.render import Style, import_line, name_sort_key

Name = tuple[str, str]
"""An imported name and what it is called here (`""` when that is the same)."""


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


def split_lines(source: str) -> list[str]:
    """Split like the Python tokenizer does: at `\\n`, `\\r\\n` and `\\r` only, line ends kept."""
    return io.StringIO(source, newline="").readlines()


def same_code(left: str, right: str) -> bool:
    """Tell whether two texts are the same code with the same comments, regardless of layout.

    Layout is what formatters change: line breaks, redundant parentheses and trailing commas, kinds of quotes, the
    indentation of docstrings, and the order of imports that stand together.
    """
    return left == right or _settled(left) == _settled(right)


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
            run += [f"from {source} import {_spelled((alias.name, alias.asname or ''))}" for alias in node.names]
        elif isinstance(node, ast.Import):
            run += [f"import {_spelled((alias.name, alias.asname or ''))}" for alias in node.names]
        else:
            found += [ast.Expr(ast.Constant(line)) for line in sorted(run)]
            run = []
            found.append(node)
    return [*found, *(ast.Expr(ast.Constant(line)) for line in sorted(run))]


def _dedent_docstring(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    if node.body and (text := ast.get_docstring(node)) is not None:
        node.body[0] = ast.Expr(ast.Constant(text))


def _sorted_like_user(users: Sequence[Name], names: Iterable[Name]) -> list[Name]:
    plain = [name for name, _ in users]
    orders: tuple[Callable[[str], object], ...] = (name_sort_key, lambda name: (name.lower(), name), lambda name: name)
    for order in orders:
        if plain == sorted(plain, key=order):  # type: ignore[arg-type]
            return sorted([*users, *names], key=lambda pair: order(pair[0]))  # type: ignore[arg-type, return-value]
    return [*users, *sorted(names)]


def extended_import(text: str, names: Iterable[Name], style: Style) -> str | None:
    """Return a `from` import statement with more names.

    The user's order is kept when it is not sorted; a list in parentheses with one name a line gets one line for each
    new name, comments untouched.

    Returns:
        The new text, or `None` when the statement's layout leaves no clean place (several names on one of several
        lines together with comments, a star).
    """
    node = ast.parse(text).body[0]
    assert isinstance(node, ast.ImportFrom)
    users = [(alias.name, alias.asname or "") for alias in node.names]
    fresh = [name for name in names if name not in users]
    if not fresh:
        return text
    if any(name == "*" for name, _ in users):
        return None
    ordered = _sorted_like_user(users, fresh)
    lines = text.split("\n")
    if len(lines) == 1:
        module = "." * node.level + (node.module or "")
        spelled = ", ".join(_spelled(name) for name in ordered)
        line = f"from {module} import ({spelled})" if "(" in text else f"from {module} import {spelled}"
        if len(line) <= style.line_length:
            return line
        inner = "".join(f"{style.indent}{_spelled(name)},\n" for name in ordered)
        return f"from {module} import (\n{inner})"
    rows = [alias.lineno for alias in node.names]
    if len(set(rows)) != len(rows) or "(" not in lines[0] or rows[0] == 1 or lines[-1].strip() != ")":
        if "#" in text or "\\" in text:
            return None
        return import_line("." * node.level + (node.module or ""), ordered, style).rstrip("\n")
    margin = lines[rows[0] - 1][: len(lines[rows[0] - 1]) - len(lines[rows[0] - 1].lstrip())]
    trailing = tokens_comma(lines[rows[-1] - 1])
    result: list[str] = lines[: rows[0] - 1]
    by_name = dict(zip(users, rows, strict=True))
    consumed = rows[0] - 1
    for place, name in enumerate(ordered):
        last = place == len(ordered) - 1
        if name in by_name:
            row = by_name[name]
            result.extend(lines[consumed : row - 1])
            line = lines[row - 1]
            result.append(_with_comma(line) if not last and not tokens_comma(line) else line)
            consumed = row
        else:
            result.append(f"{margin}{_spelled(name)}{',' if trailing or not last else ''}")
    result.extend(lines[consumed:])
    return "\n".join(result)


def reduced_import(text: str, names: Iterable[Name], style: Style) -> str:
    """Return a `from` import without some names; `""` when none is left. One line a name keeps its other lines."""
    node = ast.parse(text).body[0]
    assert isinstance(node, ast.ImportFrom)
    gone = set(names)
    left = [alias for alias in node.names if (alias.name, alias.asname or "") not in gone]
    if not left:
        return ""
    rows = [alias.lineno for alias in node.names]
    lines = text.split("\n")
    if len(lines) > 1 and len(set(rows)) == len(rows) and rows[0] > 1:
        drop = {alias.lineno for alias in node.names if alias not in left}
        return "\n".join(line for number, line in enumerate(lines, 1) if number not in drop)
    pairs = [(alias.name, alias.asname or "") for alias in left]
    line = f"from {'.' * node.level}{node.module or ''} import {', '.join(_spelled(name) for name in pairs)}"
    return (
        line
        if len(line) <= style.line_length
        else import_line("." * node.level + (node.module or ""), pairs, style).rstrip("\n")
    )


def _spelled(name: Name) -> str:
    return f"{name[0]} as {name[1]}" if name[1] else name[0]


def tokens_comma(line: str) -> bool:
    """Tell whether the code on a line ends with a comma, comments aside."""
    return line.split("#", 1)[0].rstrip().endswith(",")


def _with_comma(line: str) -> str:
    code, mark, comment = line.partition("#")
    stripped = code.rstrip()
    return f"{stripped},{code[len(stripped) :]}{mark}{comment}"


def with_argument(text: str, call: ast.Call, argument: str) -> str:
    """Return a statement with one more argument at the end of a call in it.

    Args:
        text: the statement; `call` is a node of `newer.parse(text)`.
        argument: such as `lifespan=managed_resources`.
    """
    lines = text.split("\n")
    end_row, end_column = (call.end_lineno or 1) - 1, (call.end_col_offset or 1) - 1
    closing = lines[end_row].encode()[:end_column].decode()
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    if not given:
        lines[end_row] = f"{closing}{argument}{lines[end_row][len(closing) :]}"
        return "\n".join(lines)
    last = max(given, key=lambda node: (node.end_lineno or 0, node.end_col_offset or 0))
    row, column = (last.end_lineno or 1) - 1, last.end_col_offset or 0
    if row == end_row:
        head = lines[row].encode()[:column].decode()
        lines[row] = f"{head}, {argument}{lines[row][len(head) :]}"
        return "\n".join(lines)
    parts: list[ast.expr | ast.keyword] = [*call.args, *call.keywords]
    leads = [lines[part.lineno - 1].encode()[: part.col_offset].decode() for part in parts]
    margin = next((lead for lead in leads if not lead.strip()), f"{closing}    ")
    if closing.strip():
        head = lines[row].encode()[:column].decode()
        lines[row] = f"{head}, {argument}{lines[row][len(head) :]}"
        return "\n".join(lines)
    head = lines[row].encode()[:column].decode()
    tail = lines[row][len(head) :]
    had_comma = tail.split("#", 1)[0].strip().startswith(",") or any(
        line.strip().startswith(",") for line in lines[row + 1 : end_row]
    )
    if not had_comma:
        lines[row] = f"{head},{tail}"
    lines.insert(end_row, f"{margin}{argument}{',' if had_comma else ''}")
    return "\n".join(lines)


def without_argument(text: str, call: ast.Call, keyword: str) -> str:
    """Return a statement without the keyword argument `keyword` of a call in it, its comma gone with it."""
    node = next((item for item in call.keywords if item.arg == keyword), None)
    if node is None:
        return text
    lines = text.split("\n")
    row, end_row = node.lineno - 1, (node.end_lineno or node.lineno) - 1
    before = lines[row].encode()[: node.col_offset].decode()
    after = lines[end_row].encode()[node.end_col_offset or 0 :].decode()
    if not before.strip() and not after.split("#", 1)[0].strip().strip(","):
        return "\n".join([*lines[:row], *lines[end_row + 1 :]])
    if before.rstrip().endswith(","):
        before = before.rstrip()[:-1]
    else:
        after = after.lstrip().removeprefix(",").lstrip()
    return "\n".join([*lines[:row], before + after, *lines[end_row + 1 :]])


def with_entry(text: str, literal: ast.List, entry: str, place: int) -> str:
    """Return a statement with one more entry of a list literal in it.

    Where each entry has lines of its own, so gets the new one; a comment stays above the entry that it stands above.

    Args:
        text: the statement; `literal` is a node of `ast.parse(text)`.
        entry: the code of the new entry.
        place: how many entries are to stand before it.
    """
    lines = text.split("\n")
    elements = literal.elts
    leads = [lines[item.lineno - 1].encode()[: item.col_offset].decode() for item in elements]
    if not elements or any(lead.strip() for lead in leads):
        return _inserted(lines, literal, entry, place)
    previous = elements[place - 1] if place else None
    row = (previous.end_lineno or previous.lineno) if previous else literal.lineno
    margin, comma = leads[0], ","
    if previous is not None and place == len(elements):
        head = lines[row - 1].encode()[: previous.end_col_offset].decode()
        behind = lines[row - 1][len(head) :]
        if literal.end_lineno == row:
            lines[row - 1 : row] = [f"{head},", f"{margin}{entry}{behind}"]
            return "\n".join(lines)
        rest = [behind, *lines[row : (literal.end_lineno or row) - 1]]
        if not any(line.split("#", 1)[0].strip().startswith(",") for line in rest):
            lines[row - 1] = f"{head},{behind}"
            comma = ""
    lines.insert(row, f"{margin}{entry}{comma}")
    return "\n".join(lines)


def _inserted(lines: list[str], literal: ast.List, entry: str, place: int) -> str:
    """Put an entry on the line of its neighbour."""
    if place < len(literal.elts):
        node: ast.expr = literal.elts[place]
        row, column, new = node.lineno - 1, node.col_offset, f"{entry}, "
    elif literal.elts:
        node = literal.elts[-1]
        row, column, new = (node.end_lineno or 1) - 1, node.end_col_offset or 0, f", {entry}"
    else:
        row, column, new = literal.lineno - 1, literal.col_offset + 1, entry
    code = lines[row].encode()
    lines[row] = (code[:column] + new.encode() + code[column:]).decode()
    return "\n".join(lines)


def without_entry(text: str, literal: ast.List, place: int) -> str:
    """Return a statement without entry `place` of a list literal in it, its comma gone with it."""
    lines = text.split("\n")
    node = literal.elts[place]
    row, end_row = node.lineno - 1, (node.end_lineno or node.lineno) - 1
    before = lines[row].encode()[: node.col_offset].decode()
    after = lines[end_row].encode()[node.end_col_offset or 0 :].decode()
    if not before.strip() and after.strip() in {"", ","}:
        return "\n".join([*lines[:row], *lines[end_row + 1 :]])
    if after.lstrip().startswith(","):
        after = after.lstrip()[1:].lstrip()
    elif before.rstrip().endswith(","):
        before = before.rstrip()[:-1]
    return "\n".join([*lines[:row], before + after, *lines[end_row + 1 :]])


def wrapped_list(text: str, literal: ast.List, style: Style, margin: str) -> str:
    """Return a statement whose list literal, when its one line is too long, has a line for each entry.

    Args:
        text: one statement, its first line without its indentation `margin`, the others with all of theirs.
        literal: a node of `ast.parse(text)`.
        style: gives the line length and the indentation.
        margin: the statement's indentation.
    """
    lines = text.split("\n")
    row = literal.lineno - 1
    lead = margin if row == 0 else ""
    if literal.lineno != literal.end_lineno or len(lead) + len(lines[row]) <= style.line_length:
        return text
    code = lines[row].encode()
    head, tail = code[: literal.col_offset].decode(), code[literal.end_col_offset :].decode()
    outer = margin if row == 0 else lines[row][: len(lines[row]) - len(lines[row].lstrip())]
    entries = [code[item.col_offset : item.end_col_offset].decode() for item in literal.elts]
    inner = "".join(f"{outer}{style.indent}{entry},\n" for entry in entries)
    lines[row] = f"{head}[\n{inner}{outer}]{tail}"
    return "\n".join(lines)


def wrapped(text: str, style: Style, *, column: int = 0, behind: int = 0) -> str:
    """Return a one-line statement whose outermost last call is put on several lines when it is too long.

    Args:
        text: one statement on one line.
        style: gives the line length and the indentation.
        column: where the statement will start.
        behind: the length of what follows it on its line.
    """
    if column + len(text) + behind <= style.line_length:
        return text
    statement = newer.parse(text).body[0]
    value = getattr(statement, "value", None)
    if isinstance(value, ast.Await):
        value = value.value
    if not isinstance(value, ast.Call) or not (value.args or value.keywords):
        return text
    given: list[ast.expr | ast.keyword] = [*value.args, *value.keywords]
    parts = sorted(given, key=lambda node: node.col_offset)
    encoded = text.encode()
    head = encoded[: parts[0].col_offset].decode().rstrip()
    tail = encoded[(value.end_col_offset or 0) - 1 :].decode()
    inner = "".join(f"{style.indent}{encoded[part.col_offset : part.end_col_offset].decode()},\n" for part in parts)
    return f"{head}\n{inner}{tail}"
