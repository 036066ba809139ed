"""Adds and removes arguments of a call, entries of a list and names of an import, on the LibCST nodes of one statement.

Each of them is a row: items with gaps between them. Inserting an item splits a gap in two, removing it joins the two
again, and joining what was split gives the old gap back, whatever whitespace, comments and line ends are in it.
Text in, text out: one simple statement as it stands in its file, from its first byte to its last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from laterctl.codemods.placement import TextEditError

Name = tuple[str, str]
"""An imported name and what it is called here (`""` when that is the same)."""


class Wrapping(Struct, frozen=True):
    """How a row is put on several lines: the indentation of the line it is on, one more step, and the line end."""

    margin: str = ""
    indent: str = "    "
    newline: str = "\n"


def with_argument(text: str, argument: str, indent: str) -> str:
    """Return a statement whose call has the keyword argument `argument` (`name=value`) more, at its end."""

    def add(row: _Row) -> None:
        if row.has_bare_generator:
            raise TextEditError("a generator stands as the only argument; it needs parentheses of its own")
        row.insert(len(row.items), _expression(f"_({argument})").args[0], indent)

    return _changed(text, add)


def without_argument(text: str, keyword: str) -> str:
    """Return a statement whose call does not have the argument `keyword`.

    Raises:
        TextEditError: there is none, or a comment that cannot stay would go with it.
    """
    return _changed(text, lambda row: row.remove(_place_of(row.items, keyword)))


def with_entry(text: str, keyword: str, entry: str, place: int, indent: str) -> str:
    """Return a statement whose list has `entry` more, behind `place` others.

    The list is the statement's value, or what its call is given as `keyword` when that is not empty. Where each entry
    starts a line, so does the new one; a comment stays above the entry that it is above.
    """
    return _changed(text, lambda row: row.insert(place, _expression(f"[{entry}]").elements[0], indent), keyword or None)


def without_entry(text: str, keyword: str, place: int) -> str:
    """Return a statement without entry `place` of its list. Raises `TextEditError` like `without_argument`."""
    return _changed(text, lambda row: row.remove(place), keyword or None)


def with_names(text: str, names: Iterable[tuple[int, Name]], indent: str) -> str:
    """Return a `from` import with more names, each put in at its place, one after the other."""
    import libcst as cst

    def add(row: _Row) -> None:
        for place, name in names:
            line: Any = cst.parse_statement(f"from _ import {spelled(name)}")
            row.insert(place, line.body[0].names[0], indent)

    return _changed(text, add)


def without_names(text: str, places: Iterable[int]) -> str:
    """Return a `from` import without the names at some places; at least one has to be left."""

    def remove(row: _Row) -> None:
        for place in sorted(places, reverse=True):
            row.remove(place)

    return _changed(text, remove)


def spelled(name: Name) -> str:
    """Return a name as an import spells it."""
    return f"{name[0]} as {name[1]}" if name[1] else name[0]


def wrapped(text: str, wrapping: Wrapping, keyword: str | None = None) -> str:
    """Return a statement with each item of a row on a line of its own, the brackets on the lines around them.

    The row is that of its call or import, or of the list that its call is given as `keyword` (`""`: of its own list).
    """
    return _changed(text, lambda row: row.wrap(wrapping), keyword)


class _Gap(Struct, frozen=True):
    """What is between two items: whitespace with its comments before the comma and after it.

    Without a comma, in front of the first item and behind the last, all of it is in `after`.
    """

    before: Any
    comma: bool
    after: Any


class _Row:
    """Items without their commas; `gaps[n]` is in front of `items[n]`, and the last gap is behind the last item."""

    def __init__(self, items: Sequence[Any], opening: Any, closing: Any) -> None:
        import libcst as cst

        self.items = [_bare(item) for item in items]
        self.gaps = [_Gap(_nothing(), False, opening)]
        for number, item in enumerate(items, 1):
            last = number == len(items)
            if not isinstance(item.comma, cst.Comma):
                self.gaps.append(_Gap(_nothing(), False, closing))
                continue
            after: Any = item.comma.whitespace_after
            if last and not _is_tall(after) and not after.value:
                after = closing  # of a list it belongs to the bracket
            self.gaps.append(_Gap(item.comma.whitespace_before, True, after))

    def insert(self, place: int, item: Any, indent: str) -> None:
        """Split the gap at `place`: on a new line where all items, or what is around it, have lines of their own."""
        gap = self.gaps[place]
        last = place == len(self.items)
        around = self.gaps[place : place + 2]
        tall = any(bool(gaps) and all(_is_tall(other.after) for other in gaps) for gaps in (self.gaps[:-1], around))
        left, right = self._lines(gap, indent) if tall else self._beside(gap, last=last)
        comma = gap.comma or (tall and not self.items)
        self.gaps[place : place + 1] = [
            replace(left, comma=place > 0),
            replace(right, comma=comma if last else True),
        ]
        self.items.insert(place, _bare(item))

    def _lines(self, gap: _Gap, indent: str) -> tuple[_Gap, _Gap]:
        import libcst as cst

        tall = [other.after for other in self.gaps if _is_tall(other.after)]
        first = gap.after if _is_tall(gap.after) else tall[0]
        margin = tall[0].last_line if tall[0] is not self.gaps[-1].after else _inner_margin(tall[0], indent)
        fresh = cst.TrailingWhitespace(newline=first.first_line.newline)
        upper = cst.ParenthesizedWhitespace(fresh, (), True, margin)
        if gap.after is not first:
            return replace(gap, after=upper), _Gap(_nothing(), True, gap.after)
        upper = upper.with_changes(first_line=gap.after.first_line)
        return replace(gap, after=upper), _Gap(_nothing(), True, gap.after.with_changes(first_line=fresh))

    def _beside(self, gap: _Gap, *, last: bool) -> tuple[_Gap, _Gap]:
        import libcst as cst

        blank = cst.SimpleWhitespace(" ")
        if not last:
            return gap, _Gap(_nothing(), True, blank)
        return replace(gap, after=blank if self.items else _nothing()), _Gap(_nothing(), True, gap.after)

    def remove(self, place: int) -> None:
        """Take out an item and join the gaps beside it."""
        left, right = self.gaps[place : place + 2]
        last = place == len(self.items) - 1
        comma = place > 0 and (right.comma if last else True)
        gap = _Gap(left.before if comma else _nothing(), comma, _joined(left.after, right.after, last=last))
        if _comments(gap) != _comments(left) + _comments(right):
            raise TextEditError("a comment stands beside what is to be taken out")
        self.gaps[place : place + 2] = [gap]
        del self.items[place]

    def wrap(self, wrapping: Wrapping) -> None:
        """Put each item on a line of its own."""
        if not self.items or any(map(_comments, self.gaps)) or self.has_bare_generator:
            return
        inner, outer = (
            _line_break(wrapping.newline, margin) for margin in (wrapping.margin + wrapping.indent, wrapping.margin)
        )
        middle = [_Gap(_nothing(), True, inner)] * (len(self.items) - 1)
        self.gaps = [_Gap(_nothing(), False, inner), *middle, _Gap(_nothing(), True, outer)]

    @property
    def has_bare_generator(self) -> bool:
        """Whether the only argument is a generator without parentheses, which goes with no second one and no comma."""
        import libcst as cst

        values = [getattr(item, "value", None) for item in self.items]
        return any(isinstance(value, cst.GeneratorExp) and not value.lpar for value in values)

    def parts(self) -> tuple[Any, list[Any], Any]:
        """Return the whitespace behind the opening bracket, the items with their commas, that before the closing one."""
        import libcst as cst

        items: list[Any] = []
        for number, (item, gap) in enumerate(zip(self.items, self.gaps[1:], strict=True), 1):
            after = gap.after if number < len(self.items) else _nothing()
            comma = cst.Comma(gap.before, after) if gap.comma else cst.MaybeSentinel.DEFAULT
            items.append(item.with_changes(comma=comma))
        return self.gaps[0].after, items, self.gaps[-1].after if items else _nothing()


def _changed(text: str, change: Callable[[_Row], None], keyword: str | None = None) -> str:
    """Return a statement with a row changed: that of its call or import, or of a list (see `wrapped`)."""
    import libcst as cst

    try:
        module = cst.parse_module(text)
    except (cst.ParserSyntaxError, cst.CSTLogicError, cst.CSTValidationError) as error:
        raise TextEditError("LibCST cannot read the statement") from error
    line = module.body[0]
    if module.code != text or len(module.body) != 1 or not isinstance(line, cst.SimpleStatementLine):
        raise TextEditError("LibCST does not reproduce the statement exactly")
    (statement,) = line.body

    def reached(node: Any) -> Any:
        if keyword and isinstance(node, cst.Call):
            place = _place_of(node.args, keyword)
            item = node.args[place]
            args = [*node.args[:place], item.with_changes(value=_with_row(item.value, change)), *node.args[place + 1 :]]
            return node.with_changes(args=args)
        if isinstance(node, cst.Await):
            return node.with_changes(expression=reached(node.expression))
        return _with_row(node, change)

    if isinstance(statement, cst.ImportFrom):
        statement = _with_row(statement, change)
    else:
        statement = statement.with_changes(value=reached(getattr(statement, "value", None)))
    return module.with_changes(body=[line.with_changes(body=[statement])]).code


def _with_row(node: Any, change: Callable[[_Row], None]) -> Any:
    import libcst as cst

    if isinstance(node, cst.Call):
        row = _Row(node.args, node.whitespace_before_args, node.args[-1].whitespace_after_arg if node.args else None)
        change(row)
        opening, items, closing = row.parts()
        if items:
            items[-1] = items[-1].with_changes(whitespace_after_arg=closing)
        return node.with_changes(args=items, whitespace_before_args=opening)
    if isinstance(node, cst.List):
        row = _Row(node.elements, node.lbracket.whitespace_after, node.rbracket.whitespace_before)
        change(row)
        opening, items, closing = row.parts()
        return node.with_changes(
            elements=items,
            lbracket=node.lbracket.with_changes(whitespace_after=opening),
            rbracket=node.rbracket.with_changes(whitespace_before=closing),
        )
    if isinstance(node, cst.ImportFrom) and not isinstance(node.names, cst.ImportStar):
        left, right = node.lpar or cst.LeftParen(), node.rpar or cst.RightParen()
        row = _Row(node.names, left.whitespace_after, right.whitespace_before)
        change(row)
        opening, items, closing = row.parts()
        if node.lpar is None and not _is_tall(opening):
            return node.with_changes(names=items)
        left, right = left.with_changes(whitespace_after=opening), right.with_changes(whitespace_before=closing)
        return node.with_changes(names=items, lpar=left, rpar=right)
    raise TextEditError("the statement has no such call or list")


def _joined(left: Any, right: Any, *, last: bool) -> Any:
    """Join the whitespace in front of an item that goes with that behind it."""
    import libcst as cst

    if _is_tall(left) and _is_tall(right):
        lines = list(left.empty_lines)
        if right.first_line.comment is not None:
            lines.append(cst.EmptyLine(True, left.last_line, right.first_line.comment, right.first_line.newline))
        return left.with_changes(empty_lines=[*lines, *right.empty_lines], last_line=right.last_line)
    if last:
        return left if _comments_in(left) else right
    return right if _is_tall(right) else left


def _place_of(args: Sequence[Any], keyword: str) -> int:
    for place, item in enumerate(args):
        if item.keyword is not None and item.keyword.value == keyword:
            return place
    raise TextEditError(f"there is no argument {keyword}")


def _expression(code: str) -> Any:
    import libcst as cst

    return cst.parse_expression(code)


def _bare(item: Any) -> Any:
    import libcst as cst

    item = item.with_changes(comma=cst.MaybeSentinel.DEFAULT)
    return item.with_changes(whitespace_after_arg=_nothing()) if isinstance(item, cst.Arg) else item


def _nothing() -> Any:
    import libcst as cst

    return cst.SimpleWhitespace("")


def _is_tall(whitespace: Any) -> bool:
    import libcst as cst

    return isinstance(whitespace, cst.ParenthesizedWhitespace)


def _line_break(newline: str, margin: str) -> Any:
    import libcst as cst

    first = cst.TrailingWhitespace(newline=cst.Newline(newline))
    return cst.ParenthesizedWhitespace(first, (), True, cst.SimpleWhitespace(margin))


def _inner_margin(closing: Any, indent: str) -> Any:
    """Return the indentation for the first item on a line of its own, from what is in front of the closing bracket."""
    import libcst as cst

    commented = [line.whitespace for line in closing.empty_lines if line.comment is not None]
    return commented[0] if commented else cst.SimpleWhitespace(closing.last_line.value + indent)


def _comments(gap: _Gap) -> list[str]:
    return _comments_in(gap.before) + _comments_in(gap.after)


def _comments_in(whitespace: Any) -> list[str]:
    if not _is_tall(whitespace):
        return []
    lines = (whitespace.first_line, *whitespace.empty_lines)
    return [line.comment.value for line in lines if line.comment is not None]
