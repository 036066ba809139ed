"""What is to be done with one Python file: collected target by target, carried out at once."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from operator import itemgetter
from typing import TYPE_CHECKING

from msgspec import Struct

from laterctl.codemods import newer, rows
from laterctl.codemods.placement import TextEditError
from laterctl.codemods.statements import same_tokens, span, split_lines
from laterctl.project.facts import BodyPath, Layout
from laterctl.project.names import dotted_path
from laterctl.project.statements import Position, children
from laterctl.render import Style, section_of
from laterctl.targets.base import Target
from laterctl.targets.python_text import Text

if TYPE_CHECKING:
    from laterctl.codemods.python import Operation


class Insertion(Struct, frozen=True):
    """A statement to put in: its sort key among ours, its text, and the section when it is an import."""

    order: tuple[int, int, str]
    text: str
    section: int | None = None


class Line(Struct, frozen=True):
    """The line that a statement starts on: how far in it starts, how much follows it, its indentation and its end.

    `followed` says whether another statement stands behind it, after a `;`.
    """

    column: int = 0
    behind: int = 0
    margin: str = ""
    newline: str = "\n"
    followed: bool = False


class FileEdit:
    """What to do with one document, collected by the kinds of target and carried out at once.

    Attributes:
        text: the document as it is; all places refer to it.
        layout: gives the project's style and its first-party names.
        own: the statements that are ours from end to end.
        deleted: the targets that go with what the user made of them.
        drop: statements that go.
        retext: statements that get a new text.
        insertions: new statements, by the statement of the user's that they go behind.
        order: how our statements that are there sort among the new ones.
        blocks: blocks put around a statement, and taken off again.
        gone: the syntax nodes of what goes, for the names that are no longer used.
        replaced: the user's text that targets took the place of.
        left: targets that stay in the document although nobody wants them, and why.
    """

    def __init__(self, text: Text, layout: Layout, own: set[Position], deleted: Collection[Target] = ()) -> None:
        self.text = text
        self.layout = layout
        self.own = own
        self.deleted = deleted
        self.drop: set[Position] = set()
        self.retext: dict[Position, str] = {}
        self.insertions: dict[Position, list[Insertion]] = {}
        self.order: dict[Position, tuple[int, int, str]] = {}
        self.blocks: list[Operation] = []
        self.gone: set[int] = set()
        self.replaced: dict[Target, str] = {}
        self.left: dict[Target, str] = {}

    def put(self, body: BodyPath, after: int, insertion: Insertion) -> None:
        """Add a statement behind the user's statement that stands at or above `after`, or at the end of the list."""
        after = min(after, len(self.text.in_body(body)) - 1)
        while (body, after) in self.own:
            after -= 1
        after = self._end_of_line(body, after)
        self.insertions.setdefault((body, after), []).append(insertion)

    def _end_of_line(self, body: BodyPath, after: int) -> int:
        """Return the last of the statements that share a line with `after` by `;`."""
        nodes = [item.node for item in self.text.in_body(body)]
        while 0 <= after < len(nodes) - 1 and nodes[after].end_lineno == nodes[after + 1].lineno:
            after += 1
            if isinstance(nodes[after], ast.Return | ast.Raise | ast.Continue | ast.Break):
                raise TextEditError("the statement shares its line with another one", nodes[after].lineno)
        return after

    def code(self, node: ast.stmt) -> str:
        """Return a statement as it stands in the document, line ends and indentation of its further lines included."""
        start, end = span(self.text.lines, node)
        return self.text.source[start:end]

    def line(self, node: ast.stmt) -> Line:
        """Return the line that a statement starts on."""
        line = self.text.lines[node.lineno - 1]
        column = len(line.encode()[: node.col_offset].decode())
        code = line.rstrip("\r\n")
        ends = (item[len(item.rstrip("\r\n")) :] for item in (line, self.text.lines[0]))
        newline = next(filter(None, ends), "\n")
        behind = self.text.behind(node)
        followed = behind.lstrip().startswith(";") and behind.strip(" \t\f;")[:1] not in {"", "#"}
        return Line(column, len(behind), code[: len(code) - len(code.lstrip())], newline, followed)

    def retexted(self) -> str:
        """Return the document with the new texts of statements in their places; every other character is kept."""
        nodes = {item.position: item.node for item in self.text.statements if item.position in self.retext}
        result = self.text.source
        spans = [(*span(self.text.lines, nodes[position]), text) for position, text in self.retext.items()]
        for start, end, text in sorted(spans, key=itemgetter(0), reverse=True):
            result = result[:start] + text + result[end:]
        return result

    def section(self, node: ast.stmt) -> int | None:
        """Return the section of an import as isort has it, `None` for other statements."""
        if isinstance(node, ast.ImportFrom):
            return section_of("." * node.level + (node.module or ""), self.layout.first_party)
        if isinstance(node, ast.Import):
            return section_of(node.names[0].name, self.layout.first_party)
        return None

    def section_at(self, item: ast.stmt | Insertion) -> int | None:
        """Return the section of a statement of the user's or a new one."""
        return item.section if isinstance(item, Insertion) else self.section(item)

    def used(self) -> set[str]:
        """Names that the document uses outside what goes: in code, in quoted annotations, in `__all__`."""
        gone = self.gone | {id(item.node) for item in self.text.statements if item.position in self.drop}
        names: set[str] = set()
        todo: list[ast.AST] = list(self.text.tree.body)
        while todo:
            node = todo.pop()
            if id(node) in gone or isinstance(node, ast.Import | ast.ImportFrom):
                continue
            if isinstance(node, ast.Name):
                names.add(node.id)
            quoted = [getattr(node, "annotation", None), getattr(node, "returns", None)]
            if isinstance(node, ast.Assign) and dotted_path(node.targets[0]) == "__all__":
                quoted.append(node.value)
            for item in quoted:
                names.update(_strings(item) if isinstance(item, ast.AST) else ())
            todo += children(node)
        return names


@contextmanager
def refusing_at(node: ast.stmt) -> Iterator[None]:
    """Say of a `TextEditError` which line of the document it is about."""
    try:
        yield
    except TextEditError as error:
        raise TextEditError(error.reason, node.lineno) from error


def is_ours(code: str, expected: str | None, *, adding: bool) -> bool:
    """Tell whether a statement is still what adding to the user's text has made of it, which then can come back.

    When nothing is added a formatter may have laid it out anew, but not with other line ends: these are the user's.
    """
    if adding or expected is None or code == expected:
        return code == expected
    return _line_ends(expected) <= _line_ends(code) and same_tokens(code, expected)


def _line_ends(text: str) -> set[str]:
    return {line[len(line.rstrip("\r\n")) :] for line in split_lines(text)}


def fitted(text: str, style: Style, line: Line) -> str:
    """Return a one-line statement whose import or outermost last call is put on several lines when it is too long.

    One with another behind it stays on its line: that one would be hard to find.
    """
    width = line.column + len(text) + line.behind
    if line.followed or len(split_lines(text)) > 1 or width <= style.line_length:
        return text
    statement = newer.parse(text).body[0]
    value = getattr(statement, "value", None)
    if isinstance(value, ast.Await):
        value = value.value
    if not isinstance(statement, ast.ImportFrom) and not (
        isinstance(value, ast.Call) and (value.args or value.keywords)
    ):
        return text
    return rows.wrapped(text, rows.Wrapping(line.margin, style.indent, line.newline))


def _strings(node: ast.AST) -> Iterator[str]:
    for item in ast.walk(node):
        if isinstance(item, ast.Constant) and isinstance(item.value, str):
            yield from re.findall(r"\w+", item.value)


def is_docstring(node: ast.stmt) -> bool:
    """Whether a statement is a text that stands for itself."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def is_definition(item: ast.stmt | Insertion) -> bool:
    """Whether a statement of the user's or a new one is a function or a class."""
    if isinstance(item, Insertion):
        return item.text.startswith(("@", "def ", "async def ", "class "))
    return isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
