"""The hand for Python files: puts and takes statements at ordinal places, with LibCST.

All decisions are made relocated, on the standard library's `ast`. A place is a list of statements (`BodyPath`) and
ordinals in it; statements that share a line with `;` count one each, as `ast` counts them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast

from msgspec import Struct

from laterctl.codemods.placement import TextEditError
from laterctl.project.facts import BodyPath

if TYPE_CHECKING:
    import libcst as cst

BOM = b"\xef\xbb\xbf"


class Keep(Struct, frozen=True):
    """Statement `ordinal` stays; `lead` blank lines are added above it, or taken away when negative and there."""

    ordinal: int
    lead: int = 0


class New(Struct, frozen=True):
    """A statement to put in below `lead` blank lines: without indentation, ending without a line break.

    With `takes` it takes over all that stands above the next statement that stays: blank lines, a licence, a shebang.
    """

    text: str
    lead: int = 0
    takes: bool = False


class Drop(Struct, frozen=True):
    """Statement `ordinal` goes, and up to `lead` blank lines above it; comments above it stay."""

    ordinal: int
    lead: int = 0


class Region(Struct, frozen=True):
    """Statements `start` up to `stop` of a list become `items`, which name each of the old ones once.

    `tail` blank lines are added below the region, or taken away when negative.
    """

    body: BodyPath
    start: int
    stop: int
    items: tuple[Keep | New | Drop, ...]
    tail: int = 0


class Wrap(Struct, frozen=True):
    """Statement `ordinal` becomes the only statement of a new block that starts with `header` (with its colon)."""

    body: BodyPath
    ordinal: int
    header: str


class Unwrap(Struct, frozen=True):
    """The block at `ordinal` is replaced by its own statements."""

    body: BodyPath
    ordinal: int


Operation = Region | Wrap | Unwrap


def split_bom(data: bytes) -> tuple[bytes, bytes]:
    """Return the byte order mark (or nothing) and the rest."""
    return (BOM, data[len(BOM) :]) if data.startswith(BOM) else (b"", data)


def edit(data: bytes, operations: Iterable[Operation], *, encoding: str = "utf-8") -> bytes:
    """Carry out all operations on one file at once.

    Args:
        data: the file's bytes.
        operations: places that refer to `data` as it is; they must not overlap.
        encoding: of the file, without its byte order mark.

    Returns:
        The edited bytes; everything that no operation names is byte for byte as it was.

    Raises:
        TextEditError: LibCST does not give this file back unchanged, or a place shares its line with other code.
    """
    bom, rest = split_bom(data)
    try:
        return bom + _edited(rest.decode(encoding), operations).encode(encoding)
    except RecursionError as error:  # a chain of hundreds of operators
        raise TextEditError("an expression is nested too deeply for LibCST") from error


def _edited(source: str, operations: Iterable[Operation]) -> str:
    import libcst as cst

    try:
        module = cst.parse_module(source)
    except cst.ParserSyntaxError as error:
        raise TextEditError(f"LibCST cannot read the file: {error.message}") from error
    except (cst.CSTLogicError, cst.CSTValidationError) as error:
        raise TextEditError(f"LibCST cannot read the file: {error}") from error
    if module.code != source:
        raise TextEditError("LibCST does not reproduce this file exactly")
    hand = _Hand(module)
    by_body: dict[BodyPath, list[Operation]] = {}
    for operation in operations:
        by_body.setdefault(operation.body, []).append(operation)
    # Deeper lists first, later ones first: an edit never moves the ordinals that another one still needs.
    for body in sorted(by_body, key=lambda path: (len(path), path), reverse=True):
        module = hand.module = hand.at(body, by_body[body])
    return module.code


class _Hand:
    def __init__(self, module: cst.Module) -> None:
        self.module = module

    def at(self, body: BodyPath, operations: Sequence[Operation]) -> cst.Module:
        ordered = sorted(operations, key=_extent, reverse=True)

        def work(node: Any) -> Any:
            for operation in ordered:
                node = self._one(node, operation)
            return node

        return cast("cst.Module", _descend(self.module, body, work))

    def _one(self, node: Any, operation: Operation) -> Any:
        if isinstance(operation, Region):
            return self._region(node, operation)
        statements = list(node.body)
        index = _line_of(statements, operation.ordinal, operation.body)
        if isinstance(operation, Wrap):
            statements[index] = self._wrapped(statements[index], operation.header)
            return node.with_changes(body=statements)
        return self._unwrapped(node, statements, index)

    def _parse(self, text: str) -> Any:
        import libcst as cst

        newline = self.module.default_newline
        return cst.parse_statement(
            text.replace("\n", newline) + newline, config=self.module.config_for_parsing
        ).with_changes(leading_lines=())

    def _wrapped(self, old: Any, header: str) -> Any:
        block = self._parse(f"{header}\n{self.module.default_indent}pass")
        inner = block.body.with_changes(body=[old.with_changes(leading_lines=())])
        return block.with_changes(leading_lines=old.leading_lines, body=inner)

    def _unwrapped(self, node: Any, statements: list[Any], index: int) -> Any:
        import libcst as cst

        block = statements[index]
        if isinstance(block.body, cst.SimpleStatementSuite):
            raise TextEditError("the block is written on one line")
        inner = list(block.body.body)
        comment = block.body.header.comment
        above = [*block.leading_lines, *([cst.EmptyLine(comment=comment)] if comment is not None else [])]
        inner[0] = inner[0].with_changes(leading_lines=[*above, *inner[0].leading_lines])
        # Comments and blank lines below the last statement were not indented with it: they stay where they are.
        step = self.module.default_indent if block.body.indent is None else block.body.indent
        footer = [_indented(line, step) for line in block.body.footer]
        statements[index : index + 1] = inner
        following = index + len(inner)
        if footer:
            node, statements = _give_lines(node, statements, following, footer)
        return node.with_changes(body=statements)

    def _region(self, node: Any, region: Region) -> Any:
        statements = list(node.body)
        start, stop = _span(statements, region)
        by_ordinal = {region.start + _width(statements[start:index]): statements[index] for index in range(start, stop)}
        carried: list[Any] = []
        made: list[Any] = []
        for place, item in enumerate(region.items):
            if isinstance(item, New):
                taken = _take_above(region.items[place:], by_ordinal, statements, stop) if item.takes else []
                lines = [*carried, *taken, *_blanks(item.lead)]
                made.append(self._parse(item.text).with_changes(leading_lines=lines))
                carried = []
                continue
            old = by_ordinal[item.ordinal]
            if isinstance(item, Drop):
                carried += _without_blanks(old.leading_lines, item.lead)
                continue
            lines = _without_blanks(old.leading_lines, -item.lead)
            made.append(old.with_changes(leading_lines=[*carried, *_blanks(item.lead), *lines]))
            carried = []
        statements[start:stop] = made
        if region.tail < 0:
            node, statements = _take_blanks(node, statements, start + len(made), -region.tail)
        node, statements = _give_lines(node, statements, start + len(made), [*carried, *_blanks(region.tail)])
        return node.with_changes(body=statements)


def _take_above(
    items: Sequence[Keep | New | Drop], by_ordinal: dict[int, Any], statements: list[Any], stop: int
) -> list[Any]:
    """Take the lines above the next statement that stays: one of ours, or else the one behind the region."""
    for item in items:
        if isinstance(item, Keep):
            node = by_ordinal[item.ordinal]
            by_ordinal[item.ordinal] = node.with_changes(leading_lines=())
            return list(node.leading_lines)
    if stop >= len(statements):
        return []
    node = statements[stop]
    statements[stop] = node.with_changes(leading_lines=())
    return list(node.leading_lines)


def _extent(operation: Operation) -> tuple[int, int]:
    if isinstance(operation, Region):
        return operation.start, operation.stop
    return operation.ordinal, operation.ordinal + 1


def _indented(line: Any, step: str) -> Any:
    return (
        line.with_changes(whitespace=line.whitespace.with_changes(value=step + line.whitespace.value))
        if line.indent
        else line
    )


def _blanks(count: int) -> list[Any]:
    import libcst as cst

    return [cst.EmptyLine(indent=False)] * max(count, 0)


def _is_blank(line: Any) -> bool:
    return line.comment is None


def _without_blanks(lines: Sequence[Any], count: int) -> list[Any]:
    kept = list(lines)
    while count > 0 and kept and _is_blank(kept[0]):
        kept.pop(0)
        count -= 1
    return kept


def _give_lines(node: Any, statements: list[Any], index: int, lines: Sequence[Any]) -> tuple[Any, list[Any]]:
    """Put comment and blank lines above statement `index`, or at the end of the list when there is none."""
    if not lines:
        return node, statements
    if index < len(statements):
        target = statements[index]
        statements[index] = target.with_changes(leading_lines=[*lines, *target.leading_lines])
        return node, statements
    return node.with_changes(footer=[*lines, *node.footer]), statements


def _take_blanks(node: Any, statements: list[Any], index: int, count: int) -> tuple[Any, list[Any]]:
    if not count:
        return node, statements
    if index < len(statements):
        target = statements[index]
        statements[index] = target.with_changes(leading_lines=_without_blanks(target.leading_lines, count))
        return node, statements
    return node.with_changes(footer=_without_blanks(node.footer, count)), statements


def _width(statements: Sequence[Any]) -> int:
    import libcst as cst

    return sum(len(item.body) if isinstance(item, cst.SimpleStatementLine) else 1 for item in statements)


def _line_of(statements: Sequence[Any], ordinal: int, body: BodyPath) -> int:
    """Return the index of the line that holds statement `ordinal` alone."""
    seen = 0
    for index, item in enumerate(statements):
        width = _width([item])
        if seen <= ordinal < seen + width:
            if width > 1:
                raise TextEditError("the statement shares its line with another one")
            return index
        seen += width
    raise TextEditError("there is no such statement")


def _span(statements: Sequence[Any], region: Region) -> tuple[int, int]:
    if region.start < region.stop:
        return (
            _line_of(statements, region.start, region.body),
            _line_of(statements, region.stop - 1, region.body) + 1,
        )
    seen = 0
    for index, item in enumerate(statements):
        if seen >= region.start:
            return index, index
        seen += _width([item])
    return len(statements), len(statements)


def _descend(node: Any, path: BodyPath, work: Callable[[Any], Any]) -> Any:
    """Rebuild the spine from `node` (which has a `body` of statements) down to the list at `path`."""
    import libcst as cst

    if isinstance(node, cst.SimpleStatementSuite):
        raise TextEditError("the block is written on one line")
    if not path:
        return work(node)
    ordinal, field = path[0]
    statements = list(node.body)
    index = _line_of(statements, ordinal, path)
    statements[index] = _into(statements[index], field, path[1:], work)
    return node.with_changes(body=statements)


def _into(statement: Any, field: str, rest: BodyPath, work: Callable[[Any], Any]) -> Any:
    import libcst as cst

    name, _, number = field.partition(".")
    if name == "body":
        return statement.with_changes(body=_descend(statement.body, rest, work))
    if name == "handlers":
        handlers = list(statement.handlers)
        handler = handlers[int(number)]
        handlers[int(number)] = handler.with_changes(body=_descend(handler.body, rest, work))
        return statement.with_changes(handlers=handlers)
    if name == "cases":
        cases = list(statement.cases)
        case = cases[int(number)]
        cases[int(number)] = case.with_changes(body=_descend(case.body, rest, work))
        return statement.with_changes(cases=cases)
    part = getattr(statement, name)
    if isinstance(part, cst.If):
        # `elif`: ast sees a list with one `If`, LibCST the `If` itself.
        if not rest:
            raise TextEditError("the place is an elif")
        return statement.with_changes(orelse=_into(part, rest[0][1], rest[1:], work))
    return statement.with_changes(**{name: part.with_changes(body=_descend(part.body, rest, work))})
