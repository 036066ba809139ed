"""Doctor rules of `queries`: statements that are put together from text."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator

from laterctl.doctor.code import Visit
from laterctl.doctor.rule import Found, Rule, Severity

_TEXTS = frozenset({"sqlalchemy.text", "sqlalchemy.sql.text", "sqlalchemy.sql.expression.text", "sqlmodel.text"})


# Where SQL takes a value; what stands elsewhere, such as the name of a table, can be no parameter.
_BEFORE = re.compile(
    r"(?:[=<>]|\b(?:I?LIKE|BETWEEN|LIMIT|OFFSET)|\b(?:IN|ANY|VALUES)\s*\((?!\s*SELECT\b)[^()]*)\s*\Z|\A[^']*(?:'[^']*'[^']*)*'[^']*\Z",
    re.IGNORECASE,
)
_AFTER = re.compile(r"(?![\w.(])")  # a name goes on, or is called
_PERCENT = re.compile(r"%(?:\(\w+\))?[a-z]")
_BRACES = re.compile(r"\{[^{}]*\}")


def text_with_values(call: Visit[ast.Call]) -> Iterator[Found]:
    """Look for values in the text of a statement, where parameters could be: by an f-string, `%` or `format`."""
    text = call.argument(0, "text")
    if call.target not in _TEXTS or text is None:
        return
    parts = _parts(call.code.value(text), call)
    before = ""
    for part, after in itertools.pairwise(parts):
        before += part
        if _BEFORE.search(before) and _AFTER.match(after):
            yield Found(call.line, "what is put into the text is run as SQL, whoever sent it")
            return
        before += "x"


def _parts(value: ast.expr, call: Visit[ast.Call]) -> list[str]:
    """Return a text in parts, between which something is filled in that is no constant of the file."""
    match value:
        case ast.JoinedStr():
            parts = [""]
            for item in value.values:
                known = call.code.value(item.value) if isinstance(item, ast.FormattedValue) else item
                if isinstance(known, ast.Constant):
                    parts[-1] += str(known.value)
                else:
                    parts.append("")
            return parts
        case ast.BinOp(op=ast.Mod(), left=ast.Constant(value=str(text))):
            return _PERCENT.split(text)
        case ast.Call(func=ast.Attribute(attr="format", value=ast.Constant(value=str(text)))):
            return _BRACES.split(text)
    return []


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
        f'{_HEAD}text(f"{{users.name}}.name = :name")).params(name=name)\n',
    ),
)
