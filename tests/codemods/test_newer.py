"""Syntax that is newer than the interpreter: what `ast` then sees, and that nothing else has moved."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

from laterctl.codemods.newer import parse, repaired

# first version that reads it, the text, what is left of it
REPAIRS = [
    ((3, 14), "try:\n    x\nexcept A, b.C:\n    y\n", "try:\n    x\nexcept A| b.C:\n    y\n"),
    ((3, 14), "try: x\nexcept* A,B,: y\n", "try: x\nexcept* A|B : y\n"),
    ((3, 14), "try: x\nexcept A, (B, C): y\n", "try: x\nexcept A| (B, C): y\n"),
    ((3, 14), 'x = t"a{b!r:>{w}}"\n', 'x = f"a{b!r:>{w}}"\n'),
    ((3, 14), "x = Rt'''\na{b}'''\n", "x = Rf'''\na{b}'''\n"),
    ((3, 15), "if x:\n    lazy  import a.b as c\n", "if x:\n    import       a.b as c\n"),
    ((3, 15), "lazy from . import a\n", "from      . import a\n"),
    ((3, 15), "x = [*y for y in z]\n", "x = [ y for y in z]\n"),
    ((3, 15), "x = f(*y for y in z)\n", "x = f( y for y in z)\n"),
    ((3, 12), "type Row = dict[str, int]\n", "Row      = dict[str, int]\n"),
    ((3, 12), "type X[T: int, **P] = T\n", "X                   = T\n"),
    ((3, 13), "type X[\n    T = int,\n] = T\n", "X     \\\n           \\\n  = T\n"),
    ((3, 12), "def f[T](x: T) -> T:\n    return x\n", "def f   (x: T) -> T:\n    return x\n"),
    ((3, 12), "class C[\r\n    T,\r\n](B[T]):\r\n    pass\r\n", "class C\\\r\n     \\\r\n (B[T]):\r\n    pass\r\n"),
    ((3, 12), 'x = f"ä{d["ö"]!r} {e = } b"\n', 'x = (    d["ö"]  ,  e   ,  )\n'),
    ((3, 12), 'x = f"{a["b"]:>{c["d"]}}{e:}"\n', 'x = (  a["b"],  c["d"],  e, )\n'),
    ((3, 12), 'x = f"{f"{"y"}"}"\n', 'x = (  (  "y",),)\n'),
    ((3, 12), 'x = (f"{\n  a["b"]  # why\n}" "c"\n  "d")\n', 'x = ((  \n  a["b"]  # why\n,     \n    ))\n'),
]


@pytest.mark.parametrize(("version", "text", "left"), REPAIRS)
def test_what_ast_cannot_read_is_written_over(version: tuple[int, int], text: str, left: str) -> None:
    if sys.version_info >= version:
        assert ast.dump(parse(text)) == ast.dump(ast.parse(text))
        return
    with pytest.raises(SyntaxError):
        ast.parse(text)
    assert repaired(text) == left
    assert len(left.encode()) == len(text.encode())
    assert left.count("\n") == text.count("\n")
    assert ast.dump(parse(text)) == ast.dump(ast.parse(left))


@pytest.mark.parametrize(("version", "text", "left"), REPAIRS)
def test_statements_around_it_stay_in_place(version: tuple[int, int], text: str, left: str) -> None:
    del version, left
    end = "\r\n" if "\r\n" in text else "\n"
    around = f"import first{end}{text}last = 'ü' + last  # {end}"
    tree = parse(around)
    assert len(tree.body) == 3
    last = tree.body[-1]
    assert ast.get_source_segment(around, last) == "last = 'ü' + last"
    assert last.lineno == around.count("\n")


@pytest.mark.parametrize("text", ["def f(:\n", 'x = f"{"\n', "type = = 1\n", "except A, B:\n", "lazy import\n"])
def test_what_is_no_python_is_left_unread(text: str) -> None:
    assert repaired(text) is None
    with pytest.raises(SyntaxError):
        parse(text)


def test_what_libcst_does_not_give_back_is_left_unread() -> None:
    # LibCST 1.9 loses the blank before this colon; one that keeps it may read the file.
    text = "try: x\nexcept (A, B) : y\ntry: x\nexcept A, B: y\n"
    assert repaired(text) in {None, text.replace("A, B:", "A| B:")}


def test_a_plain_mistake_does_not_load_libcst() -> None:
    code = "import sys; from laterctl.codemods.newer import repaired; repaired('def f(:\\n'); print('libcst' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "False\n"
