"""Edits of TOML texts that touch what they are asked to and nothing else, and can be taken back byte for byte.

tomlkit writes single values; where they go, and what goes away, is spliced at the offsets of `toml_scan`, because
tomlkit moves commas, blank lines and line endings of its own accord. Every result is parsed again and compared.

A text keeps its byte order mark, its line endings, and a missing newline at its end.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from itertools import pairwise
from typing import Any

from msgspec import Struct

from laterctl.codemods import placement
from laterctl.codemods.placement import ENTRY_ORDERS, TEXT_ORDERS, TextEditError, entry_name, position
from laterctl.codemods.toml_scan import Pair, Section, Value, comments, line_end, line_start, scan, strings

Keys = tuple[str, ...]

LINE_LENGTH = 100
_INDENT = "    "
_MISSING = object()
_BOM = "\ufeff"
_COMMENT_BESIDE = re.compile(r"[ \t]*,?[ \t]*#")


class TomlEditError(TextEditError):
    """A TOML text cannot be read, or cannot be edited safely."""


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


class Item(Struct, frozen=True):
    """An own string in the array at `array`; with `by_name` it is a PEP 508 entry."""

    array: Keys
    text: str
    by_name: bool = False


Piece = Key | Item


# Reading


def parse(text: str) -> dict[str, Any]:
    """Return what `text` says. Raises `TomlEditError` with the line when it is not valid TOML."""
    try:
        return tomllib.loads(text.removeprefix(_BOM))
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        last = text.count("\n") + 1
        raise TomlEditError(f"not valid TOML: {error}", int(line[1]) if line else last) from error


def get(text: str, keys: Keys) -> Any:
    """Return the value at `keys`, or `None`."""
    value = _get(parse(text), keys)
    return None if value is _MISSING else value


def line_of(text: str, keys: Keys) -> int:
    """Return the line on which the pair, or else the table, `keys` starts. Raises `KeyError` when there is none."""
    body = _parsed(text)
    sections = scan(body)
    pair = _find(sections, keys)
    offset = pair.start if pair else next((s.start for s in sections[1:] if s.path == keys), None)
    if offset is None:
        offset = next((found[1].start for s in sections if (found := _dotted(s, keys))), None)
    if offset is None:
        offset = next((s.start for s in sections[1:] if s.path[: len(keys)] == keys), None)
    if offset is None:
        raise KeyError(".".join(keys))
    return _line(body, offset)


def source_of(text: str, keys: Keys) -> str:
    """Return the value at `keys` as it is written. Raises `KeyError` when `keys` is no pair."""
    body = _parsed(text)
    pair = _find(scan(body), keys)
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
    return "[" + newline + "".join(f"{indent}{_INDENT}{item},{newline}" for item in items) + indent + "]"


def _quote(text: str) -> str:
    """Return the quote that most strings of `text` use."""
    quotes = [string[0] for string in strings(text)]
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
    return ("item", piece.array, entry_name(piece.text) if piece.by_name else piece.text)


def _check(text: str, result: str, pieces: Sequence[Piece]) -> None:
    if not same(_without(parse(text), pieces), _without(parse(result), pieces)):
        raise TomlEditError("the change would alter other values")
    if comments(text) != comments(result):
        raise TomlEditError("the change would lose a comment")


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
                array[:] = [item for item in array if item != piece.text]
            paths.add(piece.array)
    for path in paths:
        for end in range(len(path), 0, -1):
            parent = _get(rest, path[: end - 1])
            if isinstance(parent, dict) and parent.get(path[end - 1], _MISSING) in ({}, []):
                del parent[path[end - 1]]
    return rest


# Taking pieces out


def _strip(text: str, pieces: Sequence[Piece]) -> tuple[str, list[Piece]]:
    found: list[Piece] = []
    own: set[Keys] = set()
    for array, items in _by_array(pieces).items():
        pair = _find(scan(text), array)
        if pair is None or pair.value.items is None:
            continue
        if _is_created_array(text, pair, array, items):
            own.add(array)
            found += [item for item in items if item.text in get(text, array)]
            continue
        for item in items:
            shorter = _cut_item(text, array, item.text)
            if shorter is not None:
                found.append(item)
                text = shorter
    data, sections = parse(text), scan(text)
    for piece in pieces:
        if isinstance(piece, Key) and same(_get(data, piece.path), piece.value):
            pair = _find(sections, piece.path)
            if pair is not None and not _has_comment(text, pair):
                found.append(piece)
                own.add(piece.path)
    text = _cut_tables(text, own)
    text = _cut_pairs(text, own)
    return text, [piece for piece in pieces if piece in found]


def _by_array(pieces: Iterable[Piece]) -> dict[Keys, list[Item]]:
    arrays: dict[Keys, list[Item]] = {}
    for piece in pieces:
        if isinstance(piece, Item):
            arrays.setdefault(piece.array, []).append(piece)
    return arrays


def _is_created_array(text: str, pair: Pair, array: Keys, items: Iterable[Item]) -> bool:
    """Say whether the array was made for these items: it holds nothing else, and ends in a comma.

    Into an empty array of the user's, items go without that comma.
    """
    own = [item.text for item in items]
    values = get(text, array)
    if not values or any(value not in own or values.count(value) > 1 for value in values):
        return False
    last = (pair.value.items or ())[-1]
    return last.comma >= 0 and not _has_comment(text, pair)


def _has_comment(text: str, pair: Pair) -> bool:
    """Say whether there is a comment in the pair, or beside it when nothing else is on its lines."""
    rest = text[pair.value.end : line_end(text, pair.value.end)]
    beside = rest.lstrip().startswith("#") and not text[line_start(text, pair.start) : pair.start].strip()
    return beside or bool(comments(text[pair.start : pair.value.end]))


def _cut_item(text: str, path: Keys, item: str) -> str | None:
    """Return `text` without `item`; `None` when it is not there, or has a comment on a line of its own."""
    pair = _find(scan(text), path)
    values = get(text, path)
    if pair is None or pair.value.items is None or item not in values:
        return None
    index = len(values) - 1 - values[::-1].index(item)
    return _cut_value(text, pair.value.items, index)


def _cut_value(text: str, items: tuple[Value, ...], index: int) -> str | None:
    item = items[index]
    start = line_start(text, item.start)
    alone = not text[start : item.start].strip()
    if alone and _COMMENT_BESIDE.match(text, item.end):
        return None
    end = re.compile(r"[ \t]*,?[ \t]*\r?\n").match(text, item.end)
    if alone and end and item.comma < end.end():
        text = text[:start] + text[end.end() :]
        if item.comma < 0 and index > 0:
            comma = items[index - 1].comma
            text = text[:comma] + text[comma + 1 :]
        return text
    if index > 0 and not comments(text[items[index - 1].end : item.start]):
        return text[: items[index - 1].end] + text[item.end :]
    if index + 1 < len(items) and not comments(text[item.end : items[index + 1].start]):
        return text[: item.start] + text[items[index + 1].start :]
    if item.comma >= 0:
        return text[: item.start] + text[item.end : item.comma] + text[item.comma + 1 :]
    text = text[: item.start] + text[item.end :]
    if index > 0:
        comma = items[index - 1].comma
        text = text[:comma] + text[comma + 1 :]
    return text


def _cut_tables(text: str, own: set[Keys]) -> str:
    """Take out the tables that hold own pairs and nothing else, right below a plain header."""
    for section in reversed(scan(text)[1:]):
        if not _all_own(section, own) or section.element:
            continue
        last = line_end(text, section.pairs[-1].value.end)
        lines = text[section.body : last].splitlines()
        header = text[section.start : section.body].strip()
        first = line_start(text, section.pairs[0].start)
        if first != section.body or not header.endswith("]") or "" in map(str.strip, lines):
            continue
        if comments(text[section.start : last]):
            continue
        start = section.start
        if start > 0 and not text[line_start(text, start - 1) : start].strip():
            start = line_start(text, start - 1)
        text = text[:start] + text[last:]
    return text


def _all_own(section: Section, own: set[Keys]) -> bool:
    return bool(section.pairs) and all((*section.path, *pair.keys) in own for pair in section.pairs)


def _cut_pairs(text: str, own: set[Keys]) -> str:
    inline = own - {(*section.path, *pair.keys) for section in scan(text) for pair in section.pairs}
    for keys in sorted(inline):
        text = _cut_inline(text, keys)
    for section in reversed(scan(text)):
        cut = [pair for pair in section.pairs if (*section.path, *pair.keys) in own]
        spans = [(line_start(text, pair.start), line_end(text, pair.value.end)) for pair in cut]
        if spans and _all_own(section, own):
            start, end = spans[0][0], spans[-1][1]
            if not section.path and start == 0 and _is_blank_line(text, end):
                spans.append((end, line_end(text, end)))
            elif section.path and line_end(text, section.body) == start and _is_blank_line(text, section.body):
                spans.insert(0, (section.body, start))
        for start, end in reversed(spans):
            text = text[:start] + text[end:]
    return text


def _is_blank_line(text: str, offset: int) -> bool:
    return offset < len(text) and not text[offset : line_end(text, offset)].strip()


def _cut_inline(text: str, keys: Keys) -> str:
    sections = scan(text)
    for size in range(len(keys) - 1, 0, -1):
        table = _find(sections, keys[:size])
        if table is None or table.value.pairs is None:
            continue
        pairs = table.value.pairs
        index = next((i for i, pair in enumerate(pairs) if pair.keys == keys[size:]), -1)
        if index > 0:
            return text[: pairs[index - 1].value.end] + text[pairs[index].value.end :]
        if index == 0:
            end = pairs[1].start if len(pairs) > 1 else pairs[0].value.end
            return text[: pairs[0].start] + text[end:]
    return text


# Putting pieces in


class _New(Struct, frozen=True):
    """The value of a pair to add, with the quote that the user's strings have.

    An array that is made for own items has `items` set; its trailing comma says that it was made here.
    """

    quote: str
    value: object = None
    by_name: bool = False
    items: tuple[str, ...] = ()


def _on_one_line(new: _New) -> str:
    if new.items:
        return "[" + ", ".join(quoted(item, new.quote) for item in new.items) + ",]"
    return render(new.value, new.quote, 10**6)


def _on_lines(new: _New, width: int, newline: str, indent: str) -> str:
    if new.items:
        return _tall([quoted(item, new.quote) for item in new.items], newline, indent)
    return render(new.value, new.quote, width, newline)


def _insert(text: str, pieces: Sequence[Piece]) -> tuple[str, list[Piece]]:
    data = parse(text)
    quote = _quote(text)
    inserted: list[Piece] = []
    keys: dict[Keys, _New] = {}
    for array, items in _by_array(pieces).items():
        values = _get(data, array)
        if values is _MISSING:
            texts = sorted({item.text for item in items}, key=lambda item: (entry_name(item), item))
            keys[array] = _New(quote, items=tuple(texts))
            inserted += items
        else:
            fresh = _fresh(text, array, values, items)
            text = _put_items(text, array, values, fresh, quote)
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
    return _put_keys(text, keys), [piece for piece in pieces if piece in inserted]


def _spelled(data: dict[str, Any], key: Key) -> Keys:
    """Return the path of `key` with a package's name as the user spells it."""
    table = _get(data, key.path[:-1])
    if key.by_name and isinstance(table, dict):
        for name in table:
            if entry_name(name) == entry_name(key.path[-1]):
                return (*key.path[:-1], name)
    return key.path


def _fresh(text: str, array: Keys, values: object, items: Iterable[Item]) -> list[Item]:
    """Return the items that are not in the array. Raises when one names a package that is there otherwise."""
    pair = _find(scan(text), array)
    if pair is None or pair.value.items is None or not isinstance(values, list):
        raise TomlEditError(f"{'.'.join(array)} is not an array", line_of(text, array))
    fresh = []
    for item in items:
        if item.text in values or item in fresh:
            continue
        for value, place in zip(values, pair.value.items, strict=True):
            if item.by_name and isinstance(value, str) and entry_name(value) == entry_name(item.text):
                raise TomlEditError(f"{entry_name(value)} is there with another value", _line(text, place.start))
        fresh.append(item)
    return fresh


def _put_items(text: str, array: Keys, values: Sequence[object], items: Sequence[Item], quote: str) -> str:
    present = [value if isinstance(value, str) else None for value in values]
    user = [value for value in present if value is not None]
    by_name = any(item.by_name for item in items)
    orders = ENTRY_ORDERS if by_name else TEXT_ORDERS
    for item in sorted(items, key=lambda item: (orders[0](item.text), item.text)):
        pair = _find(scan(text), array)
        assert pair is not None
        index = position(present, item.text, orders, user)
        text = _put_item(text, pair, index, item.text, quote)
        present.insert(index, item.text)
    return text


def _put_item(text: str, pair: Pair, index: int, item: str, quote: str) -> str:
    items = pair.value.items or ()
    quotes = [text[value.start] for value in items if text[value.start] in "\"'"]
    source = quoted(item, quotes[max(0, min(index, len(quotes)) - 1)] if quotes else quote)
    newline = _newline(text[pair.start :])
    if not items:
        return _put_first(text, pair, source, newline)
    if index == 0:
        opening = re.compile(r"\[[ \t]*(#[^\n]*)?\r?\n").match(text, pair.value.start)
        if opening:
            return _splice(text, opening.end(), f"{_indent(text, items[0].start)}{source},{newline}")
        return _splice(text, items[0].start, f"{source},{_gap(text, items)}")
    previous = items[index - 1]
    rest = re.compile(r"[ \t]*(,)?[ \t]*(#[^\n]*)?\r?\n").match(text, previous.end)
    comma = rest is not None and rest[1] is not None
    if rest and (comma or previous.comma < 0):
        indent = _item_indent(text, pair, index)
        text = _splice(text, rest.end(), f"{indent}{source}{',' if comma else ''}{newline}")
        return text if comma else _splice(text, previous.end, ",")
    start = line_start(text, previous.start)
    first = start > pair.start and not text[start : previous.start].strip()
    # A comment that follows would look like one on the new line.
    if index == len(items) and first and not _COMMENT_BESIDE.match(text, previous.end):
        return _splice(text, previous.end, f",{newline}{text[start : previous.start]}{source}")
    return _splice(text, previous.end, f",{_gap(text, items)}{source}")


def _put_first(text: str, pair: Pair, source: str, newline: str) -> str:
    if "\n" not in text[pair.value.start : pair.value.end]:
        return _splice(text, pair.value.start + 1, source)
    closing = line_start(text, pair.value.end - 1)
    inner = text[line_end(text, pair.value.start) : closing]
    comment = re.search(r"^([ \t]*)#", inner, re.MULTILINE)
    indent = comment[1] if comment else text[closing : pair.value.end - 1] + _INDENT
    return _splice(text, closing, f"{indent}{source}{newline}")


def _item_indent(text: str, pair: Pair, index: int) -> str:
    """Return the indent of an item's line: that of the item before, or after, that starts its line."""
    items = pair.value.items or ()
    for item in [*reversed(items[:index]), *items[index:]]:
        start = line_start(text, item.start)
        if start > pair.value.start and not text[start : item.start].strip():
            return text[start : item.start]
    return _indent(text, pair.start) + _INDENT


def _indent(text: str, offset: int) -> str:
    start = line_start(text, offset)
    line = text[start : line_end(text, offset)]
    return line[: len(line) - len(line.lstrip(" \t"))]


def _gap(text: str, items: Sequence[Value]) -> str:
    """Return the blanks that the array puts after a comma."""
    for one, two in pairwise(items):
        gap = text[one.comma + 1 : two.start]
        if not gap.strip(" "):
            return gap
    return " "


def _splice(text: str, offset: int, new: str) -> str:
    return text[:offset] + new + text[offset:]


def _put_keys(text: str, keys: Mapping[Keys, _New]) -> str:
    tables: dict[Keys, dict[str, _New]] = {}
    for path in sorted(keys):
        tables.setdefault(path[:-1], {})[path[-1]] = keys[path]
    created = []
    for table, pairs in tables.items():
        longer = _put_in_table(text, table, pairs)
        if longer is None:
            created.append((table, pairs))
        else:
            text = longer
    for table, pairs in created:
        text = _put_table(text, table, pairs)
    return text


def _put_in_table(text: str, table: Keys, pairs: Mapping[str, _New]) -> str | None:
    """Return `text` with pairs added to a table that exists, or `None` when it does not."""
    sections = scan(text)
    for end in range(len(table), 0, -1):
        pair = _find(sections, table[:end])
        if pair is not None and pair.value.pairs is not None:
            return _put_inline(text, table[:end], table[end:], pairs)
        if pair is not None:
            raise TomlEditError(f"{'.'.join(table[:end])} is not a table", _line(text, pair.start))
    for section in sections:
        if section.path == table:
            return _put_in_section(text, section, pairs)
    for section in sections:
        if found := _dotted(section, table):
            prefix, last = found
            at = line_end(text, last.value.end)
            return _splice(text, at, _pair_lines(text, section, pairs, prefix=prefix))
    for section in sections:
        if section.element and section.path[:-1] == table[: len(section.path) - 1]:
            raise TomlEditError(f"{'.'.join(table)} lies in an array of tables", _line(text, section.start))
    return None


def _put_inline(text: str, table: Keys, rest: Keys, pairs: Mapping[str, _New]) -> str:
    for key, new in pairs.items():
        pair = _find(scan(text), table)
        assert pair is not None
        own = ".".join(render_key(part) for part in (*rest, key))
        source = _on_one_line(new)
        present = pair.value.pairs or ()
        if present:
            text = _splice(text, present[-1].value.end, f", {own} = {source}")
        else:
            text = _splice(text, pair.value.start + 1, f"{own} = {source}")
    return text


def _put_in_section(text: str, section: Section, pairs: Mapping[str, _New]) -> str:
    # poetry's table of dependencies starts with the interpreter.
    names = [None if pair.keys[0] == "python" else pair.keys[0] for pair in section.pairs]
    user = [name for name in names if name is not None]
    places = {key: position(names, key, ENTRY_ORDERS, user) for key, new in pairs.items() if new.by_name}
    block = {key: pair for key, pair in pairs.items() if places.get(key, len(names)) == len(names)}
    inner = sorted((index, entry_name(key), key) for key, index in places.items() if key not in block)
    places_and_lines = [
        (_before_pair(text, section, index), _pair_lines(text, section, {key: pairs[key]})) for index, _, key in inner
    ]
    text = _put_block(text, section, block) if block else text
    # From the last to the first, so that offsets stay true.
    for at, line in reversed(places_and_lines):
        text = _splice(text, at, line)
    return text


def _before_pair(text: str, section: Section, index: int) -> int:
    """Return where a line goes that is to be number `index` among the pairs of `section`."""
    if index > 0:
        return line_end(text, section.pairs[index - 1].value.end)
    at = line_start(text, section.pairs[0].start)
    while at > section.body and text[line_start(text, at - 1) : at].lstrip().startswith("#"):
        at = line_start(text, at - 1)
    return at


def _put_block(text: str, section: Section, pairs: Mapping[str, _New]) -> str:
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
    return _splice(text, at, lines)


def _pair_lines(text: str, section: Section, pairs: Mapping[str, _New], prefix: Keys = ()) -> str:
    newline, indent, equals = _newline(text), "", " = "
    if section.pairs:
        last = section.pairs[-1]
        indent = _indent(text, last.start)
        around = text[last.equals - 1] + text[last.equals + 1]
        equals = " = " if " " in around else "="
    lines = []
    for key, new in pairs.items():
        left = indent + ".".join(render_key(part) for part in (*prefix, key)) + equals
        lines.append(left + _on_lines(new, LINE_LENGTH - len(left), newline, indent) + newline)
    return "".join(lines)


def _put_table(text: str, table: Keys, pairs: Mapping[str, _New]) -> str:
    newline = _newline(text)
    header = "[" + ".".join(render_key(key) for key in table) + "]" + newline
    block = header + _pair_lines(text, Section(table, 0, 0, 0), pairs)
    filled = text.rstrip()
    if not filled:
        return block + text
    return _splice(text, line_end(text, len(filled) - 1), newline + block)


# Single edits


def set_key(text: str, keys: Keys, value: object) -> str:
    """Return `text` with a new pair at the end of its table, or in a new table at the end of the file.

    Raises `TomlEditError` when `keys` is there with another value.
    """
    return converge(text, (), [Key(keys, value)])


def remove_key(text: str, keys: Keys) -> str:
    """Take back `set_key`. Raises `TomlEditError` when the pair is not there or has a comment."""
    result = converge(text, [Key(keys, get(text, keys))], ())
    if get(result, keys) is not None or result == text:
        raise TomlEditError(f"{'.'.join(keys)} cannot be removed")
    return result


def add_item(text: str, keys: Keys, item: str, *, by_name: bool = False) -> str:
    """Return `text` with a string added to an array, sorted if the array is; `by_name` for PEP 508 entries."""
    return converge(text, (), [Item(keys, item, by_name)])


def remove_item(text: str, keys: Keys, item: str, *, by_name: bool = False) -> str:
    """Take back `add_item`. Raises `TomlEditError` when the item is not there or has a comment."""
    result = converge(text, [Item(keys, item, by_name)], ())
    if result == text:
        raise TomlEditError(f"{item!r} cannot be removed from {'.'.join(keys)}")
    return result


def converge_items(
    text: str, keys: Keys, own_before: Sequence[str], own_after: Sequence[str], *, by_name: bool = False
) -> str:
    """`converge` for one array."""
    before = [Item(keys, item, by_name) for item in own_before]
    return converge(text, before, [Item(keys, item, by_name) for item in own_after])


def converge_keys(text: str, table: Keys, own_before: Mapping[str, object], own_after: Mapping[str, object]) -> str:
    """`converge` for one table. Where a file has several own tables, pass all of them to `converge` at once."""
    before = [Key((*table, key), value) for key, value in own_before.items()]
    return converge(text, before, [Key((*table, key), value) for key, value in own_after.items()])


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
    pair = _find(scan(body), keys)
    if pair is None:
        raise KeyError(".".join(keys))
    value = pair.value
    result = body[: value.start] + source(body, value) + body[value.end :]
    old, new = parse(body), parse(result)
    for data in (old, new):
        _get(data, keys[:-1]).pop(keys[-1], None)
    if not same(old, new) or comments(body) != comments(result):
        raise TomlEditError("the change would alter other values or lose a comment", _line(body, value.start))
    return bom + result
