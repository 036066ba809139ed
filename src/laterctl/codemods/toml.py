"""Edits of TOML texts that touch what they are asked to and nothing else, and can be taken back byte for byte.

tomlkit's document says where things stand (`toml_spans`), and its arrays and inline tables are edited as rows
(`toml_rows`). Lines of pairs and tables are put at the spans, because tomlkit adds its own line endings and blank lines:
a pair that it adds to a table of a CRLF file ends in a line feed alone. Every result is parsed again and compared.
What only needs values is read by `tomllib`, which is fast.

A text keeps its byte order mark, its line endings, and a missing newline at its end.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any

from msgspec import Struct

from laterctl.codemods import placement
from laterctl.codemods.placement import ENTRY_ORDERS, TEXT_ORDERS, TextEditError, position
from laterctl.codemods.toml_rows import INDENT, Edit, Row, apply, indent_of
from laterctl.codemods.toml_spans import Pair, Section, TomlEditError, Value, cut, layout, line_end, line_start
from laterctl.project import tomlfile
from laterctl.project.requirements_file import requirement_name

__all__ = ["Item", "Key", "Piece", "TomlEditError", "converge", "get", "is_present", "line_of", "parse", "same"]

Keys = tuple[str, ...]

LINE_LENGTH = 100
_MISSING = object()
_BOM = "\ufeff"


class Key(Struct, frozen=True, eq=False):
    """An own pair: `value` (plain Python data) at `path`.

    With `by_name` its table lists dependencies: the pair goes to its sorted place among the user's, if they are sorted.
    """

    path: Keys
    value: object
    by_name: bool = False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and self.path == other.path and same(self.value, other.value)

    def __hash__(self) -> int:
        return hash(self.path)


class Item(Struct, frozen=True, eq=False):
    """An own item of the array at `array`: `value` is plain Python data, with `by_name` a PEP 508 entry.

    A string goes to its sorted place if the user's are sorted, else to the end; what is no string goes to the end.
    A missing array is made, with its table, and goes with its last own item.
    """

    array: Keys
    value: object
    by_name: bool = False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Item) and self.array == other.array and same(self.value, other.value)

    def __hash__(self) -> int:
        return hash(self.array)


Piece = Key | Item


# Reading


def parse(text: str) -> dict[str, Any]:
    """Return what `text` says; nobody may change it. Raises `TomlEditError` when it is not valid TOML."""
    try:
        return tomlfile.parse(text.removeprefix(_BOM))
    except tomlfile.InvalidToml as error:
        raise TomlEditError(str(error), error.line) from error


def get(text: str, keys: Keys) -> Any:
    """Return the value at `keys`, or `None`."""
    value = _get(parse(text), keys)
    return None if value is _MISSING else value


def is_present(text: str, piece: Piece) -> bool:
    """Say whether a text has a piece with the value that is wanted, whoever wrote it."""
    if isinstance(piece, Key):
        return same(_get(parse(text), piece.path), piece.value)
    return _index(_get(parse(text), piece.array), piece.value) >= 0


def line_of(text: str, keys: Keys) -> int:
    """Return the first line of what `keys` lead to. Raises `KeyError` when they lead nowhere.

    Sections, and lines of a section, are tried by `tomllib`, which costs no import of tomlkit: checks of what is installed
    must not load it.
    """
    if _get(parse(text), keys) is _MISSING:
        raise KeyError(".".join(keys))
    sections = cut(text.removeprefix(_BOM))
    index = next(index for index, section in enumerate(sections) if _get(parse(section), keys) is not _MISSING)
    lines = re.findall(r"[^\n]*\n|[^\n]+", sections[index])

    def is_there(end: int) -> bool | None:
        try:
            return _get(tomllib.loads("".join(lines[:end])), keys) is not _MISSING
        except tomllib.TOMLDecodeError:  # in the middle of a value
            return None

    # What is above the last line with its name that is no part of a value, and lacks it, need not be tried.
    named = [number for number, line in enumerate(lines) if keys[-1] in line]
    if len(named) == 1:
        start = named[0]
    else:
        start = max((number for number in named if is_there(number) is False), default=0)
        for end in range(start + 1, len(lines)):
            found = is_there(end)
            if found:
                break
            start = start if found is None else end
    return "".join(sections[:index]).count("\n") + start + 1


def source_of(text: str, keys: Keys) -> str:
    """Return the value at `keys` as it is written. Raises `KeyError` when `keys` is no pair."""
    body = _parsed(text)
    pair = _find(layout(body).sections, keys)
    if pair is None:
        raise KeyError(".".join(keys))
    return body[pair.value.start : pair.value.end]


def same(one: object, other: object) -> bool:
    """Say whether two values are the same to TOML, which tells `1` from `1.0` and from `true`."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    return type(one) is type(other) and one == other


def _parsed(text: str) -> str:
    parse(text)
    return text.removeprefix(_BOM)


def _get(data: Any, keys: Iterable[str]) -> Any:
    for key in keys:
        if not isinstance(data, dict) or key not in data:
            return _MISSING
        data = data[key]
    return data


def _line(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1


def _find(sections: Iterable[Section], keys: Keys) -> Pair | None:
    for section in sections:
        rest = keys[len(section.path) :]
        if keys[: len(section.path)] == section.path and (pair := _within(section.pairs, rest)):
            return pair
    return None


def _within(pairs: Iterable[Pair], keys: Keys) -> Pair | None:
    for pair in pairs:
        count = len(pair.keys)
        if pair.keys != keys[:count]:
            continue
        if count == len(keys):
            return pair
        if pair.value.pairs is not None:
            return _within(pair.value.pairs, keys[count:])
    return None


def _dotted(section: Section, table: Keys) -> tuple[Keys, Pair] | None:
    """Return how `section` spells `table` in front of its dotted keys, and the last pair that does."""
    rest = table[len(section.path) :]
    if not rest or table[: len(section.path)] != section.path:
        return None
    pairs = [pair for pair in section.pairs if pair.keys[: len(rest)] == rest and len(pair.keys) > len(rest)]
    return (rest, pairs[-1]) if pairs else None


# Writing values


def render(value: object, quote: str = '"', width: int = LINE_LENGTH, newline: str = "\n") -> str:
    """Return the source of `value`: strings between `quote` where they can be, arrays on one line up to `width`."""
    if isinstance(value, str):
        return quoted(value, quote)
    if isinstance(value, Mapping):
        pairs = [f"{render_key(str(key))} = {render(item, quote, 10**6)}" for key, item in value.items()]
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, (list, tuple)):
        items = [render(item, quote, 10**6) for item in value]
        line = "[" + ", ".join(items) + "]"
        return line if len(line) <= width else _tall(items, newline)
    if isinstance(value, (bool, int)):
        return str(value).lower()
    import tomlkit

    return tomlkit.item(value).as_string()


def render_key(key: str) -> str:
    """Return the source of one key."""
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else quoted(key, '"')


def quoted(value: str, quote: str = '"') -> str:
    """Return the source of a string, literal (`'`) where that is asked for or saves escapes."""
    literal = "'" not in value and not re.search(r"[\x00-\x08\x0a-\x1f\x7f]", value)
    if literal and (quote == "'" or '"' in value or "\\" in value):
        return f"'{value}'"
    if not re.search(r'["\\\x00-\x1f\x7f]', value):
        return f'"{value}"'
    import tomlkit

    return tomlkit.string(value).as_string()


def _tall(items: Iterable[str], newline: str, indent: str = "") -> str:
    return "[" + newline + "".join(f"{indent}{INDENT}{item},{newline}" for item in items) + indent + "]"


def _quote(text: str) -> str:
    """Return the quote that most string values of `text` use."""
    quotes = [string[0] for string in layout(text).strings]
    return "'" if quotes.count("'") > quotes.count('"') else '"'


def _newline(text: str) -> str:
    end = text.find("\n")
    return "\r\n" if end > 0 and text[end - 1] == "\r" else "\n"


# Own pieces


def converge(text: str, before: Sequence[Piece], after: Sequence[Piece]) -> str:
    """Return `text` with own pieces `after` where it had own pieces `before`; all of this tool's pieces in the file.

    Where the user's text decides nothing else, own pieces are placed by sort key: an entry goes to its sorted place in
    an array that is sorted, else to its end; a pair goes to the end of its table; a missing table goes to the end of
    the file, and disappears with its last own pair. So the result depends on the user's text and on `after` alone,
    unless somebody has moved own pieces, which then stay where they are. Pieces of `before` that are gone, have another
    value or a comment are left alone and not made again. Pieces that the user has written must not be passed.

    An array on one line stays on one line however long it gets: the line is the user's.

    Raises `TomlEditError` when the text is not valid, when a name is taken by another value, when a table cannot be
    extended, or when the result would not be exactly what was asked for.
    """
    bom = _BOM if text.startswith(_BOM) else ""
    body = _parsed(text)
    if before == after:
        return text
    open_end = bool(body) and not body.endswith("\n")
    work = body + _newline(body) if open_end else body
    try:
        result = placement.converge(work, before, after, strip=_strip, insert=_insert, identity=_identity)
    except TomlEditError:
        raise
    except TextEditError as error:
        raise TomlEditError(error.reason, error.line) from error
    _check(work, result, [*before, *after])
    if open_end:
        result = re.sub(r"\r?\n\Z", "", result)
    return bom + result


def _identity(piece: Piece) -> tuple[object, ...]:
    if isinstance(piece, Key):
        return ("key", piece.path)
    return ("item", piece.array, requirement_name(_text(piece)) if piece.by_name else _text(piece))


def _text(item: Item) -> str:
    """Return what an item is sorted by: a string itself, else its source."""
    return item.value if isinstance(item.value, str) else render(item.value)


def _index(values: object, value: object) -> int:
    """Return the last index of a value in an array, -1 when it is not there or this is no array."""
    if not isinstance(values, list):
        return -1
    return max([index for index, other in enumerate(values) if same(other, value)], default=-1)


def _check(text: str, result: str, pieces: Sequence[Piece]) -> None:
    if not same(_without(parse(text), pieces), _without(parse(result), pieces)):
        raise TomlEditError("the change would alter other values")
    if layout(text).comments != layout(result).comments:
        raise TomlEditError("the change would lose a comment")


def _check_bytes(shorter: str, longer: str) -> None:
    """Raise `TomlEditError` unless what was added, or taken out, is all that differs."""
    rest = iter(longer)
    if not all(char in rest for char in shorter):
        raise TomlEditError("the change would alter other bytes")


def _without(data: dict[str, Any], pieces: Iterable[Piece]) -> dict[str, Any]:
    rest = deepcopy(data)
    paths: set[Keys] = set()
    for piece in pieces:
        if isinstance(piece, Key):
            table = _get(rest, piece.path[:-1])
            if isinstance(table, dict) and same(table.get(piece.path[-1], _MISSING), piece.value):
                del table[piece.path[-1]]
            paths.add(piece.path[:-1])
        else:
            array = _get(rest, piece.array)
            if isinstance(array, list):
                array[:] = [item for item in array if not same(item, piece.value)]
            paths.add(piece.array)
    for path in paths:
        for end in range(len(path), 0, -1):
            parent = _get(rest, path[: end - 1])
            if isinstance(parent, dict) and parent.get(path[end - 1], _MISSING) in ({}, []):
                del parent[path[end - 1]]
    return rest


# Taking pieces out


def _strip(text: str, pieces: Sequence[Piece]) -> tuple[str, list[Piece]]:
    if not pieces:
        return text, []
    data, sections = parse(text), layout(text).sections
    found: list[Piece] = []
    own: set[Keys] = set()
    edits: list[Edit] = []
    for array, items in _by_array(pieces).items():
        pair, values = _find(sections, array), _get(data, array)
        if pair is None or pair.value.items is None:
            continue
        row = Row(text, pair.value)
        places = {index: item for item in items if (index := _index(values, item.value)) >= 0}
        if len(places) == len(values) > 0 and row.ends_in_comma() and not _has_comment(text, pair):
            # Made for these items; into an empty array of the user's they go without that comma.
            own.add(array)
            found += places.values()
            continue
        found += [places[index] for index in sorted(places, reverse=True) if row.remove(index)]
        edits += row.edits()
    for piece in pieces:
        if isinstance(piece, Key) and same(_get(data, piece.path), piece.value):
            pair = _find(sections, piece.path)
            if pair is not None and not _has_comment(text, pair):
                found.append(piece)
                own.add(piece.path)
    edits += _cut_sections(text, sections, own) + _cut_inline(text, sections, own)
    result = apply(text, edits)
    _check_bytes(result, text)
    return result, [piece for piece in pieces if piece in found]


def _by_array(pieces: Iterable[Piece]) -> dict[Keys, list[Item]]:
    arrays: dict[Keys, list[Item]] = {}
    for piece in pieces:
        if isinstance(piece, Item) and piece not in arrays.setdefault(piece.array, []):
            arrays[piece.array].append(piece)
    return arrays


def _has_comment(text: str, pair: Pair) -> bool:
    """Say whether there is a comment in the pair, or beside it when nothing else is on its lines."""
    rest = text[pair.value.end : line_end(text, pair.value.end)]
    beside = rest.lstrip().startswith("#") and not text[line_start(text, pair.start) : pair.start].strip()
    return beside or _is_commented(text, pair.value)


def _is_commented(text: str, value: Value) -> bool:
    if value.items is None and value.pairs is None:
        return False
    inner = [*(value.items or ()), *(pair.value for pair in value.pairs or ())]
    return any("#" in gap for gap in Row(text, value).gaps) or any(_is_commented(text, item) for item in inner)


def _cut_sections(text: str, sections: Sequence[Section], own: set[Keys]) -> list[Edit]:
    """Cut own pairs, with the tables that hold nothing else."""
    cuts: list[Edit] = []
    for section in sections:
        pairs = [pair for pair in section.pairs if (*section.path, *pair.keys) in own]
        spans = [(line_start(text, pair.start), line_end(text, pair.value.end)) for pair in pairs]
        if pairs and len(pairs) == len(section.pairs):
            start, end = spans[0][0], spans[-1][1]
            if _is_made(text, section):
                above = line_start(text, section.start - 1) if section.start > 0 else 0
                spans = [(section.start if text[above : section.start].strip() else above, end)]
            elif not section.path and start == 0 and _is_blank_line(text, end):
                spans.append((end, line_end(text, end)))
            elif section.path and line_end(text, section.body) == start and _is_blank_line(text, section.body):
                spans.insert(0, (section.body, start))
        cuts += [(start, end, "") for start, end in spans]
    return cuts


def _is_made(text: str, section: Section) -> bool:
    """Say whether a table looks like one that was made here: a plain header, and pairs right below it."""
    header = text[section.start : section.body].strip()
    if section.element or not section.path or "#" in header:
        return False
    ends = [section.body, *(line_end(text, pair.value.end) for pair in section.pairs)]
    return all(line_start(text, pair.start) == end for pair, end in zip(section.pairs, ends, strict=False))


def _is_blank_line(text: str, offset: int) -> bool:
    return offset < len(text) and not text[offset : line_end(text, offset)].strip()


def _cut_inline(text: str, sections: Sequence[Section], own: set[Keys]) -> list[Edit]:
    """Cut own pairs of inline tables."""
    edits: list[Edit] = []
    tables: list[tuple[tuple[str | int, ...], tuple[Pair, ...], Value | None]] = [
        (section.path, section.pairs, None) for section in sections
    ]
    while tables:
        path, pairs, value = tables.pop()
        if value is not None:
            row = Row(text, value)
            for index in reversed([index for index, pair in enumerate(pairs) if (*path, *pair.keys) in own]):
                row.remove(index)
            edits += row.edits()
        tables += [((*path, *pair.keys), pair.value.pairs, pair.value) for pair in pairs if pair.value.pairs]
    return edits


# Putting pieces in


class _New(Struct, frozen=True):
    """The value of a pair to add, with the quote that the user's strings have.

    An array that is made for own items has `items` set; its trailing comma says that it was made here.
    """

    quote: str
    value: object = None
    by_name: bool = False
    items: tuple[object, ...] = ()


def _on_one_line(new: _New) -> str:
    if new.items:
        return "[" + ", ".join(render(item, new.quote, 10**6) for item in new.items) + ",]"
    return render(new.value, new.quote, 10**6)


def _on_lines(new: _New, width: int, newline: str, indent: str) -> str:
    if new.items:
        return _tall([render(item, new.quote, 10**6) for item in new.items], newline, indent)
    return render(new.value, new.quote, width, newline)


def _insert(text: str, pieces: Sequence[Piece]) -> tuple[str, list[Piece]]:
    if not pieces:
        return text, []
    data = parse(text)
    quote = _quote(text)
    inserted: list[Piece] = []
    edits: list[Edit] = []
    keys: dict[Keys, _New] = {}
    for array, items in _by_array(pieces).items():
        values = _get(data, array)
        if values is _MISSING:
            keys[array] = _New(quote, items=tuple(item.value for item in sorted(items, key=_item_order)))
            inserted += items
        else:
            fresh, added = _put_items(text, array, values, items, quote)
            edits += added
            inserted += fresh
    for piece in pieces:
        if isinstance(piece, Key):
            path = _spelled(data, piece)
            value = _get(data, path)
            if value is _MISSING:
                keys[piece.path] = _New(quote, piece.value, piece.by_name)
                inserted.append(piece)
            elif not same(value, piece.value):
                raise TomlEditError(f"{'.'.join(path)} is there with another value", line_of(text, path))
    result = apply(text, edits + _put_keys(text, keys))
    _check_bytes(text, result)
    return result, [piece for piece in pieces if piece in inserted]


def _item_order(item: Item) -> tuple[bool, str, str]:
    text = _text(item)
    return not isinstance(item.value, str), requirement_name(text) if item.by_name else text.casefold(), text


def _spelled(data: dict[str, Any], key: Key) -> Keys:
    """Return the path of `key` with a package's name as the user spells it."""
    table = _get(data, key.path[:-1])
    if key.by_name and isinstance(table, dict):
        for name in table:
            if requirement_name(name) == requirement_name(key.path[-1]):
                return (*key.path[:-1], name)
    return key.path


def _put_items(
    text: str, array: Keys, values: object, items: Sequence[Item], quote: str
) -> tuple[list[Item], list[Edit]]:
    """Return the items that are not in an array yet, and the edits that add them.

    Raises `TomlEditError` when this is no array, or when a package that an item names is there otherwise.
    """
    pair = _find(layout(text).sections, array)
    if pair is None or pair.value.items is None or not isinstance(values, list):
        raise TomlEditError(f"{'.'.join(array)} is not an array", line_of(text, array))
    fresh = [item for item in items if _index(values, item.value) < 0]
    for item in fresh:
        for value, place in zip(values, pair.value.items, strict=True):
            if item.by_name and isinstance(value, str) and requirement_name(value) == requirement_name(_text(item)):
                raise TomlEditError(f"{requirement_name(value)} is there with another value", _line(text, place.start))
    row, newline = Row(text, pair.value), _newline(text[pair.start :])
    present = [value if isinstance(value, str) else None for value in values]
    user = [value for value in present if value is not None]
    orders = ENTRY_ORDERS if any(item.by_name for item in fresh) else TEXT_ORDERS
    for item in sorted(fresh, key=_item_order):
        known = item.value if isinstance(item.value, str) else None
        index = len(present) if known is None else position(present, known, orders, user)
        row.insert(index, render(item.value, _quote_beside(row, index) or quote, 10**6), newline)
        present.insert(index, known)
    return fresh, row.edits()


def _quote_beside(row: Row, index: int) -> str:
    """Return the quote of the string before, or else behind, a place in an array; `""` when there is none."""
    quotes = [row.source(place)[0] for place in [*reversed(range(index)), *range(index, len(row.entries))]]
    return next((quote for quote in quotes if quote in "\"'"), "")


def _put_keys(text: str, keys: Mapping[Keys, _New]) -> list[Edit]:
    tables: dict[Keys, dict[str, _New]] = {}
    for path in sorted(keys):
        tables.setdefault(path[:-1], {})[path[-1]] = keys[path]
    edits: list[Edit] = []
    made: list[str] = []
    inline: dict[int, Row] = {}
    for table, pairs in tables.items():
        added = _put_in_table(text, table, pairs, inline)
        if added is None:
            made.append(_table_lines(text, table, pairs))
        else:
            edits += added
    edits += [edit for row in inline.values() for edit in row.edits()]
    filled = text.rstrip()
    if made and filled:
        at = line_end(text, len(filled) - 1)
        edits.append((at, at, "".join(_newline(text) + lines for lines in made)))
    elif made:
        # Above nothing but blank lines; pairs of the root bring a blank line along when they are put above one.
        above = _newline(text) if edits and not text else ""
        edits.append((0, 0, above + _newline(text).join(made)))
    return edits


def _put_in_table(text: str, table: Keys, pairs: Mapping[str, _New], inline: dict[int, Row]) -> list[Edit] | None:
    """Return the edits that add pairs to a table, `None` when it does not exist; an inline table is a row of `inline`.

    Raises `TomlEditError` for what is no table, or is in an array of tables.
    """
    sections = layout(text).sections
    for end in range(len(table), 0, -1):
        pair = _find(sections, table[:end])
        if pair is not None and pair.value.pairs is not None:
            row = inline.setdefault(pair.start, Row(text, pair.value))
            for key, new in pairs.items():
                own = ".".join(render_key(part) for part in (*table[end:], key))
                row.insert(len(row.entries), f"{own} = {_on_one_line(new)}", _newline(text))
            return []
        if pair is not None:
            raise TomlEditError(f"{'.'.join(table[:end])} is not a table", _line(text, pair.start))
    for section in sections:
        if section.path == table:
            return _put_in_section(text, section, pairs)
    for end in range(len(table), 0, -1):
        for section in sections:
            if found := _dotted(section, table[:end]):
                prefix, last = found
                at = line_end(text, last.value.end)
                return [(at, at, _pair_lines(text, section, pairs, prefix=(*prefix, *table[end:])))]
    for section in sections:
        if section.element and section.path[:-1] == table[: len(section.path) - 1]:
            raise TomlEditError(f"{'.'.join(table)} lies in an array of tables", _line(text, section.start))
    return None


def _put_in_section(text: str, section: Section, pairs: Mapping[str, _New]) -> list[Edit]:
    # poetry's table of dependencies starts with the interpreter.
    names = [None if pair.keys[0] == "python" else pair.keys[0] for pair in section.pairs]
    user = [name for name in names if name is not None]
    places = {key: position(names, key, ENTRY_ORDERS, user) for key, new in pairs.items() if new.by_name}
    block = {key: pair for key, pair in pairs.items() if places.get(key, len(names)) == len(names)}
    inner = sorted((index, requirement_name(key), key) for key, index in places.items() if key not in block)
    edits = []
    for index, _, key in inner:
        at = _before_pair(text, section, index)
        edits.append((at, at, _pair_lines(text, section, {key: pairs[key]})))
    return [*edits, _put_block(text, section, block)] if block else edits


def _before_pair(text: str, section: Section, index: int) -> int:
    """Return where a line goes that is to be number `index` among the pairs of `section`."""
    if index > 0:
        return line_end(text, section.pairs[index - 1].value.end)
    at = line_start(text, section.pairs[0].start)
    while at > section.body and text[line_start(text, at - 1) : at].lstrip().startswith("#"):
        at = line_start(text, at - 1)
    return at


def _put_block(text: str, section: Section, pairs: Mapping[str, _New]) -> Edit:
    """Add pairs at the end of a section, below a comment that ends it.

    Directly below a header they are set off by a blank line, which tells a table of the user's from a created one.
    """
    lines = _pair_lines(text, section, pairs)
    start = line_end(text, section.pairs[-1].value.end) if section.pairs else section.body
    at = start
    while at < section.end and text[at : line_end(text, at)].lstrip().startswith("#"):
        at = line_end(text, at)
    if at < len(text) and not _is_blank_line(text, at):
        at = start
    if at == section.body and section.path:
        lines = _newline(text) + lines
    elif at == 0 and text:
        lines += _newline(text)
    return at, at, lines


def _pair_lines(text: str, section: Section, pairs: Mapping[str, _New], prefix: Keys = ()) -> str:
    newline, indent, equals = _newline(text), "", " = "
    if section.pairs:
        last = section.pairs[-1]
        indent = indent_of(text, last.start)
        around = text[last.equals - 1] + text[last.equals + 1]
        equals = " = " if " " in around else "="
    lines = []
    for key, new in pairs.items():
        left = indent + ".".join(render_key(part) for part in (*prefix, key)) + equals
        lines.append(left + _on_lines(new, LINE_LENGTH - len(left), newline, indent) + newline)
    return "".join(lines)


def _table_lines(text: str, table: Keys, pairs: Mapping[str, _New]) -> str:
    header = "[" + ".".join(render_key(key) for key in table) + "]" + _newline(text)
    return header + _pair_lines(text, Section(table, 0, 0, 0), pairs)


# Replacing a value that is there


def replace_value(text: str, keys: Keys, source: str) -> str:
    """Return `text` with the value at `keys` written as `source`; the old `source_of` brings it back.

    Raises `KeyError` when `keys` is no pair, `TomlEditError` when anything else would change.
    """
    return _replace(text, keys, lambda _, __: source)


def replace_item(text: str, keys: Keys, old: str, new: str) -> str:
    """Return `text` with the string `old` of an array replaced by `new`, in the same quotes.

    Raises `KeyError` when it is not there, `TomlEditError` when anything else would change.
    """

    def item(body: str, value: Value) -> str:
        values = get(text, keys)
        if value.items is None or old not in values:
            raise KeyError(old)
        place = value.items[values.index(old)]
        quote = body[place.start]
        return body[value.start : place.start] + quoted(new, quote) + body[place.end : value.end]

    return _replace(text, keys, item)


def _replace(text: str, keys: Keys, source: Callable[[str, Value], str]) -> str:
    bom = _BOM if text.startswith(_BOM) else ""
    body = _parsed(text)
    pair = _find(layout(body).sections, keys)
    if pair is None:
        raise KeyError(".".join(keys))
    value = pair.value
    result = body[: value.start] + source(body, value) + body[value.end :]
    old, new = deepcopy(parse(body)), deepcopy(parse(result))
    for data in (old, new):
        _get(data, keys[:-1]).pop(keys[-1], None)
    if not same(old, new) or layout(body).comments != layout(result).comments:
        raise TomlEditError("the change would alter other values or lose a comment", _line(body, value.start))
    return bom + result
