"""Lets `ast` look at files whose syntax is newer than the interpreter that runs laterctl.

LibCST reads them. What `ast` cannot read is written over in place, byte for byte as long: each statement keeps its
ordinal, each line its number and all other code its column. Names stay where they can, because what is used counts.
"""

from __future__ import annotations

import ast
import re
import warnings
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from laterctl.project.source import may_be_newer

if TYPE_CHECKING:
    import libcst as cst

_STRINGS = {"SimpleString", "FormattedString", "TemplatedString", "ConcatenatedString"}


def parse(text: str) -> ast.Module:
    """Return the tree of a module, repaired where that is what it takes.

    Raises:
        SyntaxError: neither `ast` nor LibCST reads it.
    """
    try:
        return ast.parse(text)
    except SyntaxError:
        if (legible := repaired(text)) is None:
            raise
        return ast.parse(legible)


@lru_cache(maxsize=64)
def repaired(text: str) -> str | None:
    """Return a module's text with the pieces written over that this interpreter's `ast` cannot read.

    These are `except A, B:` (PEP 758), template strings (750), nested f-strings (701), type parameters and aliases
    (695, 696), lazy imports (810) and unpacking in comprehensions (798). `None` when LibCST does not read the text
    either, or when something is left that `ast` refuses.
    """
    if not may_be_newer(text):
        return None  # a plain mistake is not worth loading LibCST
    import libcst as cst
    from libcst.metadata import ByteSpanPositionProvider, MetadataWrapper

    try:
        module = cst.parse_module(text)
        if module.code != text:
            return None  # the spans would be of another text
        spans = MetadataWrapper(module, unsafe_skip_copy=True).resolve(ByteSpanPositionProvider)
        page = _Page(text.encode(), {node: (span.start, span.start + span.length) for node, span in spans.items()})
        page.repair(module)
    except (cst.ParserSyntaxError, cst.CSTLogicError, cst.CSTValidationError, RecursionError):
        return None
    legible = page.text.decode()
    return legible if _reads(legible) else None


def _reads(code: str) -> bool:
    with warnings.catch_warnings():  # invalid escapes in the user's strings are not ours to print
        warnings.simplefilter("ignore")
        try:
            ast.parse(code)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
    return True


class _Page:
    """The bytes of a module, written over in place, and the span of each of its nodes."""

    def __init__(self, text: bytes, spans: dict[cst.CSTNode, tuple[int, int]]) -> None:
        self.text = bytearray(text)
        self.spans = spans

    def repair(self, node: cst.CSTNode) -> None:
        """Write over what `ast` cannot read, inner nodes first."""
        kind = type(node).__name__
        if kind in _STRINGS:
            self._string(node)
            return
        for child in node.children:
            self.repair(child)
        work = getattr(self, f"_{kind}", None)
        if work is not None:
            work(node)

    def _code(self, start: int, end: int) -> str:
        return self.text[start:end].decode()

    def _blank(self, start: int, end: int) -> None:
        """Leave blanks and line breaks; inside brackets that is all it takes."""
        self.text[start:end] = re.sub(rb"[^\r\n]", b" ", self.text[start:end])

    def _blank_joined(self, start: int, end: int) -> None:
        """Leave blanks, and lines joined by a backslash where there were brackets."""
        self.text[start:end] = re.sub(rb" (?=\r?\n|\r)", rb"\\", re.sub(rb"[^\r\n]", b" ", self.text[start:end]))

    def _write(self, start: int, code: bytes) -> None:
        self.text[start : start + len(code)] = code

    def _ExceptHandler(self, node: Any) -> None:  # noqa: N802 - named like the node
        kind = node.type
        if type(kind).__name__ != "Tuple" or kind.lpar:
            return
        start, end = self.spans[kind]
        if _reads(f"try: pass\nexcept {self._code(start, end)}: pass"):
            return
        # A | B is as long as A, B and names the same classes.
        for item, following in zip(kind.elements, (*kind.elements[1:], None), strict=True):
            comma = self.text.find(b",", self.spans[item.value][1], self.spans[following][0] if following else end)
            if comma >= 0:
                self._write(comma, b"|" if following else b" ")

    _ExceptStarHandler = _ExceptHandler

    def _TypeParameters(self, node: Any) -> None:  # noqa: N802
        start, end = self.spans[node]
        if not _reads(f"class _{self._code(start, end)}: pass"):
            self._blank_joined(start, end)

    def _TypeAlias(self, node: Any) -> None:  # noqa: N802
        start, end = self.spans[node]
        if _reads(self._code(start, end)):
            return
        equals = self.text.index(b"=", self.spans[node.type_parameters or node.name][1])
        self._blank_joined(start, equals)
        self._write(start, node.name.value.encode())

    def _LazyImport(self, node: Any) -> None:  # noqa: N802
        start, end = self.spans[node]
        if _reads(self._code(start, end)):
            return
        word = b"from" if type(node).__name__ == "LazyImportFrom" else b"import"
        self._blank_joined(start, self.text.index(word, start) + len(word))
        self._write(start, word)

    _LazyImportFrom = _LazyImport

    def _ListComp(self, node: Any) -> None:  # noqa: N802
        if type(node.elt).__name__ == "StarredElement":
            self._write(self.spans[node.elt][0], b" ")

    _SetComp = _GeneratorExp = _ListComp

    def _string(self, node: Any) -> None:
        """Turn a string that `ast` cannot read into the tuple of the expressions in it."""
        start, end = self.spans[node]
        self._templates(node)
        if _reads(f"({self._code(start, end)})"):
            return
        self._flatten(node)
        self._write(start, b"(")
        self._write(end - 1, b")")

    def _templates(self, node: Any) -> None:
        """Call template strings formatted ones, and mend what is in the braces."""
        kind = type(node).__name__
        if kind == "ConcatenatedString":
            self._templates(node.left)
            self._templates(node.right)
        elif kind == "TemplatedString":
            start = self.spans[node][0]
            self._write(start, re.sub("t", "f", node.start, flags=re.IGNORECASE).encode())
        for part in getattr(node, "parts", ()):
            for child in part.children:
                self.repair(child)

    def _flatten(self, node: Any) -> None:
        kind = type(node).__name__
        if kind == "ConcatenatedString":
            left, right = self.spans[node.left][1], self.spans[node.right][0]
            self._flatten(node.left)
            self._blank(left, right)
            self._flatten(node.right)
        elif kind.endswith("StringExpression"):
            self._flatten_braces(node)
        elif parts := getattr(node, "parts", ()):
            start, end = self.spans[node]
            self._blank(start, self.spans[parts[0]][0])
            for part in parts:
                self._flatten(part)
            self._blank(self.spans[parts[-1]][1], end)
        else:
            self._blank(*self.spans[node])

    def _flatten_braces(self, node: Any) -> None:
        """`{value = !r:{width}}` becomes ` value      , width, `."""
        start, end = self.spans[node]
        self._write(start, b" ")
        close = end - 1
        self._write(close, b",")
        if node.format_spec is not None:
            self._write(close, b" ")
            close = self.spans[node.format_spec[0]][0] - 1 if node.format_spec else close - 1
            self._write(close, b",")
            for part in node.format_spec:
                self._flatten(part)
        if node.conversion is not None:
            self._blank(close - len(node.conversion) - 1, close)
        if node.equal is not None:
            self._blank(*self.spans[node.equal])
