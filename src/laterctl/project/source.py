"""One Python file of the user's, decoded the way Python itself decodes it, and its syntax tree."""

from __future__ import annotations

import ast
import codecs
import contextlib
import io
import re
import sys
import warnings
from collections.abc import Callable
from functools import cached_property

from laterctl.patterns import pattern

Repair = Callable[[str], str | None]
"""Blanks out what this interpreter's `ast` cannot read, keeping lines and the ordinal of every statement.

`None` when the text is not Python at all. `laterctl.codemods.newer.repaired` is one; the default is none.
"""

_COOKIE = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")  # PEP 263
_DEEPEST = 300  # Python allows 100 levels of indentation; only a chain of `elif` goes deeper
_WIDE_BOMS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
_NEWER = (  # first version that reads it, a line that shows it
    ((3, 12), re.compile(r"^\s*type\s+\w+.*[=\[]", re.MULTILINE)),  # PEP 695
    ((3, 12), re.compile(r"^\s*(?:async\s+)?(?:def|class)\s+\w+\s*\[", re.MULTILINE)),  # PEP 695
    ((3, 13), re.compile(r"^\s*(?:async\s+)?(?:def|class)\s+\w+\s*\[.*=", re.MULTILINE)),  # PEP 696
    ((3, 14), re.compile(r"^\s*except\b\s*\*?\s*[\w.()]+\s*,", re.MULTILINE)),  # PEP 758
    ((3, 14), re.compile(r"(?<![\w\"'])(?:t|tr|rt)[\"']", re.IGNORECASE)),  # PEP 750
    ((3, 15), re.compile(r"^\s*lazy\s+(?:from|import)\b", re.MULTILINE)),  # PEP 810
    ((3, 15), re.compile(r"[\[({]\s*\*.*\bfor\b")),  # PEP 798
)
_FORMATTED = pattern(r"(?<![\w\"'])(?:f|fr|rf)[\"']", re.IGNORECASE)  # PEP 701: the error says little before 3.12


def may_be_newer(text: str) -> bool:
    """Whether some of `text` looks like syntax that is newer than this interpreter."""
    if sys.version_info < (3, 12) and _FORMATTED.search(text):
        return True
    return any(sys.version_info < version and pattern.search(text) for version, pattern in _NEWER)


class Unreadable(Exception):
    """A file that cannot be read as what it claims to be.

    `code` is stable: `syntax-error`, `too-new`, `encoding`, `nul`, `toml`, `permission`. `line` counts from 1.
    """

    def __init__(self, path: str, line: int, reason: str, hint: str = "", *, code: str = "syntax-error") -> None:
        super().__init__(f"{path}:{line}: {reason}")
        self.path = path
        self.line = line
        self.reason = reason
        self.hint = hint
        self.code = code


def decoded(path: str, data: bytes, *, wide: bool = False) -> tuple[str, str]:
    """Return the text of a file that is no Python, its byte order mark included, and the encoding that gives it back.

    That is UTF-8; with `wide` also UTF-16 that has its mark, which `pip freeze >` writes on Windows and pip reads.

    Raises:
        Unreadable: it is neither.
    """
    encoding = "utf-8"
    if data.startswith(_WIDE_BOMS):
        encoding = "utf-16-le" if data.startswith(codecs.BOM_UTF16_LE) else "utf-16-be"
    hint = "save the file as UTF-8"
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)) or (encoding != "utf-8" and not wide):
        raise Unreadable(path, 1, "the file is UTF-16 or UTF-32, not UTF-8", hint, code="encoding")
    if encoding == "utf-8" and b"\0" in data[:200]:
        raise Unreadable(path, 1, "the file is UTF-16 without a mark, not UTF-8", hint, code="encoding")
    try:
        return data.decode(encoding), encoding
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise Unreadable(path, line, f"the file is not valid {encoding[:6].upper()}", hint, code="encoding") from None


def split_lines(text: str) -> list[str]:
    """Split as the Python tokenizer does: at `\\n`, `\\r\\n` and `\\r` only, each line with its ending."""
    return list(io.StringIO(text, newline=""))


def newline_of(text: str) -> str:
    """Return the most frequent line ending of `text`, or `""` when it has none."""
    crlf = text.count("\r\n")
    counts = {"\n": text.count("\n") - crlf, "\r\n": crlf, "\r": text.count("\r") - crlf}
    kind = max(counts, key=lambda ending: counts[ending])
    return kind if counts[kind] else ""


class Source:
    """A decoded Python file. Everything is computed when first asked for.

    Raises `Unreadable` from `text` (and what needs it) when the bytes are not the text they claim to be, and from
    `tree` when the text does not parse.
    """

    def __init__(self, path: str, data: bytes, repair: Repair | None = None) -> None:
        self.path = path
        self.data = data
        self._repair = repair

    @property
    def bom(self) -> bool:
        """Whether the file starts with a UTF-8 byte order mark."""
        return self.data.startswith(codecs.BOM_UTF8)

    @cached_property
    def encoding(self) -> str:
        """The encoding by PEP 263: the byte order mark, else the cookie in the first two lines, else UTF-8."""
        if self.data.startswith(_WIDE_BOMS):
            raise self._unreadable(1, "the file is UTF-16 or UTF-32, not UTF-8", "encoding")
        first, _, rest = self.data[:500].partition(b"\n")
        second = rest.partition(b"\n")[0]
        match = _COOKIE.match(first)
        if match is None and (not first.strip() or first.lstrip().startswith((b"#", codecs.BOM_UTF8))):
            match = _COOKIE.match(second)
        if match is None or self.bom:
            return "utf-8"
        name = match[1].decode("ascii", "replace")
        try:
            io.TextIOWrapper(io.BytesIO(), encoding=name)  # `lookup` also knows codecs that are no text encodings
        except LookupError:
            line = 1 if _COOKIE.match(first) else 2
            raise self._unreadable(line, f"unknown encoding {name!r} in the coding line", "encoding") from None
        return codecs.lookup(name).name.removesuffix("-sig")  # the mark is taken off already

    @cached_property
    def text(self) -> str:
        """The text without its byte order mark, line endings as they are."""
        encoding = self.encoding
        if b"\0" in self.data:
            line = self.data[: self.data.index(b"\0")].count(b"\n") + 1
            raise self._unreadable(line, "the file contains a NUL byte", "nul")
        data = self.data[len(codecs.BOM_UTF8) :] if self.bom else self.data
        try:
            text = data.decode(encoding)
            exact = encoding == "utf-8" or text.encode(encoding) == data
        except UnicodeError as error:
            line = data[: error.start].count(b"\n") + 1 if isinstance(error, UnicodeDecodeError) else 1
            raise self._unreadable(line, f"the file is not valid {encoding.upper()}", "encoding") from None
        if not exact:
            reason = f"its encoding {encoding.upper()} does not give the same bytes back"
            raise self._unreadable(1, reason, "encoding")
        return text

    @cached_property
    def lines(self) -> list[str]:
        """The lines with their endings; `lines[node.lineno - 1]` is the line of a node."""
        return split_lines(self.text)

    @cached_property
    def newline(self) -> str:
        """The most frequent line ending; `\\n` for a file without one."""
        return newline_of(self.text) or "\n"

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree."""
        try:
            return _parse(self.text)
        except (SyntaxError, RecursionError, MemoryError) as error:
            found = self._syntax_error(error)
        repaired = self._repair(self.text) if self._repair is not None else None
        if repaired is not None:
            with contextlib.suppress(SyntaxError, RecursionError, MemoryError):
                return _parse(repaired)
        raise found

    def _unreadable(self, line: int, reason: str, code: str) -> Unreadable:
        return Unreadable(self.path, line, reason, "save the file as UTF-8", code=code)

    def _syntax_error(self, error: SyntaxError | RecursionError | MemoryError) -> Unreadable:
        if not isinstance(error, SyntaxError):
            return Unreadable(self.path, 1, "the file is nested too deeply to be parsed")
        line = error.lineno or 1
        shown = self.lines[line - 1] if 0 < line <= len(self.lines) else ""
        nested = sys.version_info < (3, 12) and "f-string" in error.msg  # PEP 701
        if nested or any(sys.version_info < version and pattern.search(shown) for version, pattern in _NEWER):
            reason = f"syntax that this Python cannot read: {shown.strip()}"
            return Unreadable(self.path, line, reason, "run laterctl under a newer Python", code="too-new")
        return Unreadable(self.path, line, error.msg or "invalid syntax", "correct the syntax error first")


def _depth(tree: ast.Module) -> int:
    """Return how deep statements are nested; an `elif` is inside the `else` of the one before it."""
    deepest = 0
    todo: list[tuple[int, ast.AST]] = [(0, tree)]
    while todo:
        depth, node = todo.pop()
        deepest = max(deepest, depth)
        todo.extend((depth + 1, child) for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt))
    return deepest


def _parse(text: str) -> ast.Module:
    with warnings.catch_warnings():  # invalid escapes in the user's strings are not ours to print
        warnings.simplefilter("ignore")
        tree = ast.parse(text)
    if text.count("elif") > _DEEPEST and _depth(tree) > _DEEPEST:
        raise RecursionError
    return tree
