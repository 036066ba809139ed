"""Decoding and parsing one file, and what is said when that fails."""

from __future__ import annotations

import ast
import codecs
import sys

import pytest

from laterctl.project.source import Source, Unreadable, newline_of


def refusal(data: bytes) -> Unreadable:
    with pytest.raises(Unreadable) as caught:
        _ = Source("m.py", data).tree
    return caught.value


def test_plain() -> None:
    source = Source("m.py", b"x = 1\n")
    assert (source.text, source.newline, source.bom, source.encoding) == ("x = 1\n", "\n", False, "utf-8")
    assert isinstance(source.tree.body[0], ast.Assign)


def test_byte_order_mark_is_no_text() -> None:
    source = Source("m.py", codecs.BOM_UTF8 + b"x = 1\r\ny = 2\r\n")
    assert (source.bom, source.text[0], source.newline) == (True, "x", "\r\n")
    assert source.tree.body[1].lineno == 2


@pytest.mark.parametrize("head", [b"# -*- coding: latin-1 -*-\n", b"#!/usr/bin/python\n# vim: set coding=latin-1 :\n"])
def test_coding_line(head: bytes) -> None:
    source = Source("m.py", head + b"x = '\xe9'\n")
    assert source.encoding == "iso8859-1"
    assert source.text.endswith("x = 'é'\n")


def test_coding_line_only_counts_in_the_first_two_lines_of_comments() -> None:
    assert Source("m.py", b"x = 1\n# coding: latin-1\n").encoding == "utf-8"
    assert Source("m.py", b"\n\n# coding: latin-1\n").encoding == "utf-8"


def test_newline_is_the_majority() -> None:
    assert newline_of("a\r\nb\r\nc\n") == "\r\n"
    assert newline_of("a\nb\r\nc\n") == "\n"
    assert newline_of("a\rb\r") == "\r"
    assert newline_of("a") == ""


def test_lines_agree_with_ast() -> None:
    source = Source("m.py", "a = '\x0c\x85\u2028'\r\nb = 2\rc = 3\n\x0cd = 4".encode())
    assert [node.lineno for node in source.tree.body] == [1, 2, 3, 4]
    assert [line.strip()[0] for line in source.lines] == ["a", "b", "c", "d"]
    assert "".join(source.lines) == source.text


@pytest.mark.parametrize(
    ("data", "code", "line"),
    [
        (b"x = 1\ndef (\n", "syntax-error", 2),
        (b"x = 1\ny = '\xff'\n", "encoding", 2),
        (b"x = 1\n\n\0", "nul", 3),
        ("x = 1\n".encode("utf-16"), "encoding", 1),
        (b"# coding: no-such-thing\n", "encoding", 1),
        (b"if x:\n    a\n  b\n", "syntax-error", 3),
    ],
)
def test_unreadable(data: bytes, code: str, line: int) -> None:
    error = refusal(data)
    assert (error.code, error.line, error.path) == (code, line, "m.py")
    assert error.reason
    assert error.hint


def test_chain_of_elif_that_is_too_long() -> None:
    chain = "if x:\n    pass\n" + "elif x:\n    pass\n" * 400
    assert "nested too deeply" in refusal(chain.encode()).reason
    flat = "if x:\n    pass\nelif x:\n    pass\n" * 400
    assert len(Source("m.py", flat.encode()).tree.body) == 400


def test_nested_too_deeply() -> None:
    assert refusal(b"x = " + b"(" * 5000 + b")" * 5000).line == 1


NEWER = [
    ((3, 12), "type X = int\n"),
    ((3, 12), "def f[T](x: T) -> T: ...\n"),
    ((3, 12), "class C[T]: ...\n"),
    ((3, 12), "x = f'{y['z']}'\n"),
    ((3, 14), "try:\n    x\nexcept A, B:\n    pass\n"),
    ((3, 14), "x = t'hello {name}'\n"),
    ((3, 15), "lazy import json\n"),
]


@pytest.mark.parametrize("text", ["x = f'{y}' +\n", "type = = 1\n", "def f(x:\n", "except ValueError as e:\n"])
def test_errors_that_are_no_newer_syntax(text: str) -> None:
    assert refusal(text.encode()).code == "syntax-error"


@pytest.mark.parametrize(("version", "text"), NEWER)
def test_syntax_newer_than_the_interpreter(version: tuple[int, int], text: str) -> None:
    if sys.version_info >= version:
        pytest.skip("this interpreter reads it")
    error = refusal(text.encode())
    assert (error.code, error.hint) == ("too-new", "run laterctl under a newer Python")


def test_a_repair_keeps_statements() -> None:
    def repair(text: str) -> str | None:
        return text.replace("lazy import", "import")

    source = Source("m.py", b"x = 1\nlazy import json\ny = 2\n", repair)
    assert [type(node).__name__ for node in source.tree.body] == ["Assign", "Import", "Assign"]
    assert source.text == "x = 1\nlazy import json\ny = 2\n"


def test_a_repair_that_gives_up() -> None:
    answers: list[str | None] = [None, "still ("]
    while answers:
        with pytest.raises(Unreadable) as caught:
            _ = Source("m.py", b"x = 1\ndef (\n", lambda _: answers.pop()).tree
        assert caught.value.line == 2


def test_invalid_escapes_stay_silent(recwarn: pytest.WarningsRecorder) -> None:
    _ = Source("m.py", b"x = '\\d'\n").tree
    assert not recwarn.list


@pytest.mark.parametrize(
    "name", ["base64", "rot13", "hex", "zlib", "uu", "bz2", "quopri", "undefined", "punycode", "utf-7", "utf-16"]
)
@pytest.mark.parametrize("head", [b"# coding: %b\n", b"#!/usr/bin/python\n# -*- coding: %b -*-\n"])
def test_codecs_that_do_not_give_the_text_of_a_file_are_refused(name: str, head: bytes) -> None:
    source = Source("m.py", head % name.encode() + b"x = '~a+AGE-'\n")
    with pytest.raises(Unreadable) as caught:
        _ = source.tree
    assert caught.value.code == "encoding"


def test_a_coding_line_that_names_the_mark() -> None:
    assert Source("m.py", b"# coding: utf-8-sig\nx = 1\n").text == "# coding: utf-8-sig\nx = 1\n"
