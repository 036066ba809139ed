"""Doctor rules of `queries`: statements that are put together from text."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from laterctl.doctor.code import Visit
from laterctl.doctor.rule import Found, Rule, Severity

_TEXTS = frozenset({"sqlalchemy.text", "sqlalchemy.sql.text", "sqlalchemy.sql.expression.text", "sqlmodel.text"})


def text_with_values(call: Visit[ast.Call]) -> Iterator[Found]:
    """Look for values in the text of a statement: by an f-string, `%` or `format`."""
    text = call.argument(0, "text")
    if call.target not in _TEXTS or text is None:
        return
    value = call.code.value(text)
    made = isinstance(value, ast.JoinedStr) and any(_is_value(part, call) for part in value.values)
    made |= isinstance(value, ast.BinOp) and isinstance(value.op, ast.Mod) and isinstance(value.left, ast.Constant)
    func = value.func if isinstance(value, ast.Call) else None
    made |= isinstance(func, ast.Attribute) and func.attr == "format" and isinstance(func.value, ast.Constant)
    if made:
        yield Found(call.line, "what is put into the text is run as SQL, whoever sent it")


def _is_value(part: ast.expr, call: Visit[ast.Call]) -> bool:
    """Whether a part of an f-string is filled in, and not with a constant of the file."""
    return isinstance(part, ast.FormattedValue) and not isinstance(call.code.value(part.value), ast.Constant)


_HEAD = "from sqlalchemy import select, text\n\n\ndef find(users, name):\n    return select(users).where("

QRY001 = Rule(
    id="QRY001",
    title="A value is put into the text of a statement",
    why="Whoever chooses the value chooses what the database does: SQL injection. "
    "https://docs.sqlalchemy.org/en/20/core/sqlelement.html#sqlalchemy.sql.expression.text",
    fix='text("name = :name"), and {"name": name} beside the statement',
    severity=Severity.ERROR,
    needles=(b"sqlalchemy", b"sqlmodel"),
    checks={ast.Call: text_with_values},
    bad=(
        f"{_HEAD}text(f\"name = '{{name}}'\"))  # QRY001\n",
        f"{_HEAD}text(\"name = '%s'\" % name))  # QRY001\n",
        f"{_HEAD}text(\"name = '{{}}'\".format(name)))  # QRY001\n",
    ),
    good=(
        f'{_HEAD}text("name = :name")).params(name=name)\n',
        f'{_HEAD}text(f"name = :{{NAME}}"))\n\n\nNAME = "name"\n',
    ),
)
