"""What a run changes: one immutable value that diff, patch, proof, write and undo all consume."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from msgspec import Struct

CONTEXT = 3
"""Unchanged lines shown around each change of a patch, as git does."""

DIFFLIB_LIMIT = 160_000
"""The largest product of line counts given to difflib, whose worst case is worse than quadratic."""

Pairs = list[tuple[int, int]]
"""Ordinals of equal lines of both sides, rising on both."""

_PLAIN = frozenset(range(0x20, 0x7F)) - frozenset(b'"\\')
_ESCAPES = dict(zip(b'"\\\a\b\t\n\v\f\r', (rb"\%c" % letter for letter in b'"\\abtnvfr'), strict=True))


class Change(Struct, frozen=True):
    """One file: its bytes before and after, `None` where it does not exist.

    `mode` holds the permission bits of the file, as it is or as it is to be created; `None` leaves a new file to the
    umask. An edit never alters the mode of a file that exists.
    """

    before: bytes | None
    after: bytes | None
    mode: int | None = None


class Counts(NamedTuple):
    """How many files a changeset creates, edits and deletes."""

    created: int
    edited: int
    deleted: int


class Changeset(Mapping[str, Change]):
    """Changes by path: relative to the project root, with forward slashes, sorted, without those that change nothing.

    Raises `ValueError` for a path that is absolute, leaves the project, is not in its shortest form, enters a `.git`
    folder, or lies below another path of the same changeset.
    """

    __slots__ = ("_changes",)

    def __init__(self, changes: Mapping[str, Change] | Iterable[tuple[str, Change]] = ()) -> None:
        """Take the changes; of two for one path the later one counts."""
        given = dict(changes)
        for path in given:
            _check_path(path, given)
        kept = {path: given[path] for path in sorted(given) if given[path].before != given[path].after}
        self._changes = MappingProxyType(kept)

    def __getitem__(self, path: str) -> Change:
        """Return the change of a path; `KeyError` when it does not change."""
        return self._changes[path]

    def __iter__(self) -> Iterator[str]:
        """Go through the paths in sorted order."""
        return iter(self._changes)

    def __len__(self) -> int:
        """Return the number of files that change."""
        return len(self._changes)

    def __hash__(self) -> int:
        """Hash by content, so that equal changesets are one key."""
        return hash(tuple(self._changes.items()))

    def __repr__(self) -> str:
        """Name the paths, never their contents."""
        return f"Changeset({', '.join(self._changes)})"

    def inverted(self) -> Changeset:
        """Return the changeset that takes this one back."""
        return Changeset({path: Change(change.after, change.before, change.mode) for path, change in self.items()})

    def counts(self) -> Counts:
        """Count the files by what happens to them."""
        created = sum(change.before is None for change in self.values())
        deleted = sum(change.after is None for change in self.values())
        return Counts(created, len(self) - created - deleted, deleted)


def patch(changeset: Changeset, *, prefix: str = "") -> bytes:
    """Return the changeset as a patch in git's extended format; `git apply` on it writes exactly the changeset.

    `prefix` leads from the top of the git repository to the project (`backend/`), because `git apply` silently skips
    paths outside the current folder and reads all paths from the top. Files with a NUL byte or that are not UTF-8
    become a `GIT binary patch` in both directions. Line endings, a byte order mark and a missing final newline are
    kept; but git itself converts line feeds to CRLF in what it writes, and refuses a binary patch to a file with CRLF,
    when `core.autocrlf` is true: `git -c core.autocrlf=false apply` does neither. Binary hunks name SHA-1 blobs, so a
    repository with SHA-256 objects refuses them. An empty changeset gives an empty patch, which `git apply` refuses.
    Format: https://git-scm.com/docs/diff-format#generate_patch_text_with_p
    """
    top = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
    return b"".join(_file_patch(top + path, change) for path, change in changeset.items())


def checked_path(path: str) -> str:
    """Return a path that is relative, in its shortest form and outside of `.git`; `ValueError` for any other."""
    parts = path.split("/")
    if any(part in {"", ".", ".."} or part.lower() == ".git" for part in parts) or "\0" in path:
        message = f"not a path inside the project: {path!r}"
        raise ValueError(message)
    return path


def _check_path(path: str, given: Mapping[str, Change]) -> None:
    parts = checked_path(path).split("/")
    for length in range(1, len(parts)):
        if (folder := "/".join(parts[:length])) in given:
            message = f"{path!r} lies below {folder!r}, which is a file of the same changeset"
            raise ValueError(message)


def _file_patch(path: str, change: Change) -> bytes:
    old, new = _quoted(f"a/{path}"), _quoted(f"b/{path}")
    before, after = change.before, change.after
    mode = b"100755" if (change.mode or 0) & 0o111 else b"100644"
    out = [b"diff --git %b %b\n" % (old, new)]
    if before is None:
        out.append(b"new file mode %b\n" % mode)
    elif after is None:
        out.append(b"deleted file mode %b\n" % mode)
    kept_mode = b" " + mode if None not in (before, after, change.mode) else b""
    out.append(b"index %b..%b%b\n" % (_blob_id(before), _blob_id(after), kept_mode))
    if _is_binary(before) or _is_binary(after):
        out += [b"GIT binary patch\n", _literal(after), _literal(before)]
    elif hunks := _hunks(_lines(before or b""), _lines(after or b"")):
        out.append(b"--- %b\n" % (b"/dev/null" if before is None else old))
        out.append(b"+++ %b\n" % (b"/dev/null" if after is None else new))
        out += hunks
    return b"".join(out)


def _quoted(name: str) -> bytes:
    """Quote a file name as git does, in C style and only when it has to be.

    One with a blank has to be, although git leaves it: without the `---` and `+++` lines, which empty and binary
    files do not have, git then cannot always read its own header.
    """
    raw = os.fsencode(name)
    if _PLAIN.issuperset(raw) and b" " not in raw:
        return raw
    return b'"%b"' % b"".join(b"%c" % byte if byte in _PLAIN else _ESCAPES.get(byte, rb"\%03o" % byte) for byte in raw)


def _blob_id(data: bytes | None) -> bytes:
    import hashlib

    if data is None:
        return b"0" * 40
    return hashlib.sha1(b"blob %d\0%b" % (len(data), data), usedforsecurity=False).hexdigest().encode()


def _is_binary(data: bytes | None) -> bool:
    if data is None:
        return False
    try:
        data.decode()
    except UnicodeDecodeError:
        return True
    return b"\0" in data


def _literal(data: bytes | None) -> bytes:
    """Write one direction of a binary patch: deflated, in base 85, each line led by its length as a letter."""
    import base64
    import zlib

    data = data or b""
    packed = zlib.compress(data)
    lines = [b"literal %d\n" % len(data)]
    for start in range(0, len(packed), 52):
        chunk = packed[start : start + 52]
        letter = len(chunk) + (ord("A") - 1 if len(chunk) <= 26 else ord("a") - 27)
        lines.append(b"%c%b\n" % (letter, base64.b85encode(chunk, pad=True)))
    return b"".join(lines) + b"\n"


def _lines(data: bytes) -> list[bytes]:
    """Split at line feeds only, as git does: `bytes.splitlines` would also split at a lone carriage return."""
    *full, rest = data.split(b"\n")
    return [line + b"\n" for line in full] + ([rest] if rest else [])


def _hunks(a: list[bytes], b: list[bytes]) -> list[bytes]:
    out: list[bytes] = []
    for group in _grouped(_changes(a, b)):
        (i1, _, j1, _), (_, i2, _, j2) = group[0], group[-1]
        lead, trail = min(CONTEXT, i1), min(CONTEXT, len(a) - i2)
        out.append(b"@@ -%b +%b @@\n" % (_span(i1 - lead, i2 + trail), _span(j1 - lead, j2 + trail)))
        at = i1 - lead
        for old_start, old_end, new_start, new_end in group:
            out += _marked(b" ", a[at:old_start])
            out += _marked(b"-", a[old_start:old_end])
            out += _marked(b"+", b[new_start:new_end])
            at = old_end
        out += _marked(b" ", a[at : i2 + trail])
    return out


def _span(start: int, end: int) -> bytes:
    count = end - start
    if count == 1:
        return b"%d" % end
    return b"%d,%d" % (start + 1 if count else start, count)


def _marked(mark: bytes, lines: list[bytes]) -> Iterator[bytes]:
    for line in lines:
        yield mark + line
        if not line.endswith(b"\n"):
            yield b"\n\\ No newline at end of file\n"


def _changes(a: list[bytes], b: list[bytes]) -> Iterator[tuple[int, int, int, int]]:
    """Yield what differs: lines `i1` to `i2` of `a` become lines `j1` to `j2` of `b`."""
    i1 = j1 = 0
    for i, j in [*_trimmed(a, b, _by_unique_lines), (len(a), len(b))]:
        if i > i1 or j > j1:
            yield i1, i, j1, j
        i1, j1 = i + 1, j + 1


def _grouped(changes: Iterable[tuple[int, int, int, int]]) -> list[list[tuple[int, int, int, int]]]:
    groups: list[list[tuple[int, int, int, int]]] = []
    for change in changes:
        if groups and change[0] - groups[-1][-1][1] <= 2 * CONTEXT:
            groups[-1].append(change)
        else:
            groups.append([change])
    return groups


def _trimmed(a: list[bytes], b: list[bytes], match: Callable[[list[bytes], list[bytes]], Pairs]) -> Pairs:
    """Pair the equal lines: those at both ends at once, those between them by `match`."""
    shorter = min(len(a), len(b))
    head = 0
    while head < shorter and a[head] == b[head]:
        head += 1
    tail = 0
    while tail < shorter - head and a[-1 - tail] == b[-1 - tail]:
        tail += 1
    end_a, end_b = len(a) - tail, len(b) - tail
    pairs = [(at, at) for at in range(head)]
    if head < end_a and head < end_b:
        pairs += [(head + i, head + j) for i, j in match(a[head:end_a], b[head:end_b])]
    return pairs + [(end_a + at, end_b + at) for at in range(tail)]


def _by_unique_lines(a: list[bytes], b: list[bytes]) -> Pairs:
    """Pair the lines that stand once on each side and in the same order, then fill the gaps between them.

    This is the patience diff: n log n on files of any size, and it does not align one blank line with another.
    """
    pairs: Pairs = []
    i1 = j1 = 0
    for i, j in [*_longest_rising(_unique_pairs(a, b)), (len(a), len(b))]:
        pairs += [(i1 + x, j1 + y) for x, y in _trimmed(a[i1:i], b[j1:j], _by_difflib)]
        if i < len(a):
            pairs.append((i, j))
        i1, j1 = i + 1, j + 1
    return pairs


def _unique_pairs(a: list[bytes], b: list[bytes]) -> Pairs:
    places: list[dict[bytes, int | None]] = []
    for side in (a, b):
        seen: dict[bytes, int | None] = {}
        for at, line in enumerate(side):
            seen[line] = None if line in seen else at
        places.append(seen)
    in_a, in_b = places
    return [(i, j) for line, i in in_a.items() if i is not None and (j := in_b.get(line)) is not None]


def _longest_rising(pairs: Pairs) -> Pairs:
    """Return the longest part of `pairs`, which rise on the first side, that rises on the second side too."""
    from bisect import bisect_left

    ends: list[int] = []
    last: list[int] = []
    previous: list[int] = []
    for at, (_, j) in enumerate(pairs):
        length = bisect_left(ends, j)
        previous.append(last[length - 1] if length else -1)
        ends[length : length + 1] = [j]
        last[length : length + 1] = [at]
    chain: Pairs = []
    at = last[-1] if last else -1
    while at >= 0:
        chain.append(pairs[at])
        at = previous[at]
    return chain[::-1]


def _by_difflib(a: list[bytes], b: list[bytes]) -> Pairs:
    if len(a) * len(b) > DIFFLIB_LIMIT:
        return []
    from difflib import SequenceMatcher

    blocks = SequenceMatcher(None, a, b, autojunk=False).get_matching_blocks()
    return [(block.a + at, block.b + at) for block in blocks for at in range(block.size)]
