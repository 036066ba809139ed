"""Arguments, list entries and imported names in code that is written in every way: put in exactly, given back exactly."""

from __future__ import annotations

import ast
from itertools import permutations, product

import pytest
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from laterctl.codemods.placement import TextEditError
from laterctl.codemods.rows import with_argument, with_entry, without_argument, without_entry
from laterctl.project.facts import Layout
from laterctl.render import Style
from laterctl.targets.argument import Argument
from laterctl.targets.base import Record, Target
from laterctl.targets.block import Block
from laterctl.targets.import_name import ImportName
from laterctl.targets.list_entry import ListEntry
from laterctl.targets.python_file import converge

PATH = "shop/main.py"
LIFESPAN = "lifespan"
NAMES = {"carol", "zeno"}
WIDE = 10_000

thorough = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def layout(line_length: int = 88) -> Layout:
    return Layout("shop", "shop", ".", "tests", style=Style(line_length=line_length), first_party=frozenset({"shop"}))


def changed(
    text: str, had: tuple[Record, ...], after: tuple[Record, ...], line_length: int
) -> tuple[str, tuple[Record, ...]]:
    """Converge a document from the records in `had` to those of `after`; return it with the records it then has."""
    done = converge(text.encode(), had, after, {}, layout(line_length))
    known = {record.target for record in had}
    kept = (item if item.target in known else replace(item, replaced=done.replaced.get(item.target)) for item in after)
    return done.data.decode(), tuple(kept)


def put(
    text: str, *pieces: Target, had: tuple[Record, ...] = (), line_length: int = 88
) -> tuple[str, tuple[Record, ...]]:
    return changed(text, had, (*had, *map(Record, pieces)), line_length)


def take(
    text: str, records: tuple[Record, ...], *pieces: Target, line_length: int = 88
) -> tuple[str, tuple[Record, ...]]:
    return changed(text, records, tuple(item for item in records if item.target not in pieces), line_length)


# ---- code as people, formatters and accidents write it

ENDS = st.sampled_from(["\n", "\n", "\n", "\r\n", "\r"])
BLANKS = st.sampled_from(["", "", " ", "    ", "        ", "\t", "\f", " \t"])
COMMENTS = st.sampled_from(["#", "# why", "# a, b)", "#: ä [x],"])


@st.composite
def gaps(draw: st.DrawFn, *, joined: bool = False) -> str:
    """Whitespace between brackets, or `joined` by backslashes as it has to be without them."""
    text = draw(BLANKS)
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 1, 2]))):
        if joined:
            text += "\\"
        elif draw(st.booleans()):
            text += draw(COMMENTS)
        text += draw(ENDS) + draw(BLANKS)
    return text.lstrip("\f") if joined else text


VALUES = st.sampled_from(
    [
        "a",
        "(a)",
        "((a))",
        '(\n "x"\n )',
        '("x"  # one\r\n "y")',
        '"x" "y"',
        "'''a\n  b'''",
        "[1, 2]",
        "g(x, y=1,)",
        "(b for b in c)",
        "lambda: (0)",
        "{**d}",
        "(yield)",
        '"ä" if x else None',
        "x[1:, 2]",
        "await_(f())",
    ]
)


@st.composite
def rows(draw: st.DrawFn, items: list[str], *, joined: bool = False, comma: bool = True) -> str:
    text = draw(gaps(joined=joined)) if items else draw(gaps())
    for number, item in enumerate(items):
        text += item + draw(gaps(joined=joined))
        if number < len(items) - 1 or (comma and draw(st.booleans())):
            text += "," + draw(gaps(joined=joined))
    return text


@st.composite
def calls(draw: st.DrawFn) -> str:
    given_ = [draw(st.sampled_from(["", "title=", "docs = "])) + draw(VALUES) for _ in range(draw(st.integers(0, 3)))]
    positional = [item for item in given_ if "=" not in item.split('"')[0].split("(")[0]]
    words = {item.partition("=")[0].strip(): item for item in given_ if item not in positional}
    stars = draw(st.sampled_from([[], [], ["*args"], ["**more"], ["*args", "**more"]]))
    head = draw(st.sampled_from(["FastAPI", "FastAPI ", "m.app(1)"]))
    if draw(st.integers(0, 19)) == 0:
        return f"{head}(x for x in y)"
    return f"{head}({draw(rows([*positional, *words.values(), *stars]))})"


@st.composite
def lists(draw: st.DrawFn) -> str:
    return f"[{draw(rows(draw(st.lists(VALUES, max_size=4))))}]"


@st.composite
def imports(draw: st.DrawFn) -> str:
    names = draw(st.lists(st.sampled_from(["alice", "bob", "Dora", "dan as d", "eve"]), min_size=1, unique=True))
    if draw(st.booleans()):
        return f"from shop.people import {draw(rows(names, joined=True, comma=False)).strip()}"
    return f"from shop.people import ({draw(rows(names))})"


@st.composite
def statements(draw: st.DrawFn, code: str) -> str:
    """A document that has `code`, the value of `app`, somewhere in a function."""
    held = draw(st.sampled_from(["app = ", "app: Any = ", "app  =  "])) + code
    end = draw(ENDS)
    line = draw(
        st.sampled_from(["{}", "{};", "{} ; y = 1", "y = 1; {}", "{}  # {}".replace("# {}", "# ä"), "pass;{} ;"])
    )
    line = line.replace("{}", held)
    around = draw(
        st.sampled_from(
            [
                "def f():\n    {}\n    return app\n",
                "def f():\n    if x:\n        {}\n    else:\n        pass\n",
                "def f():\n\twith a as b:\n\t\t{}\n",
                "def f():\n  try:\n    {}\n  except E:\n    pass\n  # deeper\n",
                "def f(): {}\n",
                "def f():\n    if x: {}\n    return app\n",
                "class C: pass\n\n\ndef f():\n    {}",
            ]
        )
    )
    head, tail = around.split("{}")
    return head.replace("\n", end) + line + tail.replace("\n", draw(ENDS))


def without(
    text: str, keyword: str = "", entries: frozenset[str] = frozenset(), names: frozenset[str] = frozenset()
) -> str:
    """Dump a document's tree without an argument, entries and imported names."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            node.keywords = [item for item in node.keywords if item.arg != keyword or keyword == ""]
        elif isinstance(node, ast.List):
            node.elts = [item for item in node.elts if ast.unparse(item) not in entries]
        elif isinstance(node, ast.ImportFrom):
            node.names = [item for item in node.names if item.name not in names]
    tree.body = [node for node in tree.body if not isinstance(node, ast.ImportFrom) or node.names]
    return ast.dump(tree)


def comes_and_goes(text: str, pieces: list[Target], line_length: int, plain: str) -> None:
    """Put pieces in, in each order, and take them out in each order."""
    every, records = put(text, *pieces, line_length=line_length)
    assert plain == without(
        every,
        LIFESPAN,
        frozenset(item.code for item in pieces if isinstance(item, ListEntry)),
        frozenset(item.name for item in pieces if isinstance(item, ImportName)),
    )
    # On one line for good, splitting and joining gaps is exact without the text that the ledger has kept.
    for order, kept in product(permutations(pieces), (True, False) if line_length == WIDE else (True,)):
        result, had = text, ()
        for target in order:
            result, had = put(result, target, had=had, line_length=line_length)
            had = had if kept else tuple(replace(item, replaced=None) for item in had)
        assert result == every
        for target in order:
            result, had = take(result, had, target, line_length=line_length)
        assert result == text
    assert take(every, records, *pieces, line_length=line_length)[0] == text


def in_ast(text: str) -> str:
    try:
        return without(text)
    except SyntaxError:
        event("no Python")
        return ""


@thorough
@given(calls().flatmap(statements), st.sampled_from([40, 88, WIDE]))
@example('def f():\n    app = F(\n a=(\n "x"\n ),\n)\n', 88)
@example('def f():\n    app = F(a=(\n "x"\n),)\n', 88)
@example("def f():\n    app = F(\r\n a,\n)\n", 88)
@example("def f():\n    app = F() ;\n", 88)
@example('def f():\n    app = F(a=("x" "y"))\n', 10)
def test_an_argument(text: str, line_length: int) -> None:
    plain = in_ast(text)
    if not plain:
        return
    try:
        comes_and_goes(text, [Argument(PATH, "f", "app", LIFESPAN, "managed")], line_length, plain)
    except TextEditError as error:
        if "generator" not in error.reason:
            raise
        event("refused")


@thorough
@given(lists().flatmap(statements), st.sampled_from([30, 88, WIDE]), st.integers(0, 4), st.integers(0, 4))
@example("def f():\n    app = [\n ((a)),]\n", 88, 0, 1)
def test_entries(text: str, line_length: int, first: int, second: int) -> None:
    plain = in_ast(text)
    if plain:
        pieces = [
            ListEntry(PATH, "f", "app", code, behind=behind, order=(1, code))
            for code, behind in (("ours", first), ("mine", second))
        ]
        comes_and_goes(text, [*pieces], line_length, plain)


@thorough
@given(st.data(), st.sampled_from([40, 88, WIDE]), st.integers(0, 3))
def test_an_argument_and_an_entry_of_one_call(data: st.DataObject, line_length: int, behind: int) -> None:
    others = [f"title={data.draw(VALUES)}"] if data.draw(st.booleans()) else []
    row = data.draw(rows(data.draw(st.permutations([*others, f"middleware={data.draw(lists())}"]))))
    text = data.draw(statements(f"FastAPI({row})"))
    plain = in_ast(text)
    if plain:
        entry = ListEntry(PATH, "f", "app", "Middleware(Ours)", "middleware", behind)
        comes_and_goes(text, [Argument(PATH, "f", "app", LIFESPAN, "managed"), entry], line_length, plain)


@thorough
@given(imports(), ENDS, st.sampled_from(["", "  # noqa", "; y = 1", " ;"]), st.sampled_from([40, 88, WIDE]))
def test_imported_names(line: str, end: str, behind: str, line_length: int) -> None:
    text = f"import os{end}{line}{behind}{end}"
    plain = in_ast(text)
    if plain:
        comes_and_goes(text, [ImportName(PATH, "shop.people", name) for name in sorted(NAMES)], line_length, plain)


@thorough
@given(calls().flatmap(statements), st.booleans())
def test_an_edit_of_the_statement_survives(text: str, more: bool) -> None:
    argument = Argument(PATH, "f", "app", LIFESPAN, "managed")
    if not in_ast(text) or "title=" not in text:
        return
    try:
        after, records = put(text, argument, line_length=WIDE)
    except TextEditError:
        return
    new = "title=\n  2 if 1 else " if more else "title= 2  if 1 else "
    left, _ = take(after.replace("title=", new), records, argument, line_length=WIDE)
    assert left == text.replace("title=", new)


@thorough
@given(st.data(), st.sampled_from(["\n", "\r\n"]))
def test_a_block(data: st.DataObject, end: str) -> None:
    notes = st.lists(
        st.tuples(st.sampled_from(["", "  ", "    ", "      ", "        ", "\t\t\t"]), COMMENTS | st.just(""))
    )
    above, below, last = ("".join(f"{margin}{note}{end}" for margin, note in data.draw(notes)) for _ in range(3))
    code = data.draw(st.sampled_from(["yield", "yield {\n 'a': 1,\n      'b': 2}", "yield  # so"])).replace("\n", end)
    following = data.draw(st.sampled_from(["", f"    close(){end}", f"    if x:{end}        close(){end}"]))
    text = f"async def f(app):{end}    x = 1{end}{above}    {code}{end}{below}{following}{last}"
    text += data.draw(st.sampled_from(["", f"y = 1{end}"]))
    block = Block(PATH, "f", "async with managed(app):")
    plain = in_ast(text)
    if not plain:
        return
    try:
        after, records = put(text, block)
    except TextEditError as error:
        if "exactly" not in error.reason:
            raise
        event("refused")
        return
    tree = ast.parse(after)
    body = tree.body[0].body  # type: ignore[attr-defined]
    place = next(number for number, node in enumerate(body) if isinstance(node, ast.AsyncWith))
    body[place : place + 1] = body[place].body
    assert ast.dump(tree) == plain
    assert take(after, records, block)[0] == text


# ---- what is kept to the byte, by name


@pytest.mark.parametrize(
    ("text", "place", "after"),
    [
        ("x = [\n ((a)),]", 1, "x = [\n ((a)),\n b,]"),
        (
            "x = [\n    # one\n    a,  # first\n\n    # last\n]",
            1,
            "x = [\n    # one\n    a,  # first\n    b,\n\n    # last\n]",
        ),
        ("x = [\n    # one\n    a\n]", 0, "x = [\n    b,\n    # one\n    a\n]"),
        ("x = [a  # one\r\n  ,\n]", 1, "x = [a  # one\r\n  ,\n    b,\n]"),
        ("x = [a,c]", 1, "x = [a,b, c]"),
        ("x = [\n    # none yet\n]", 0, "x = [\n    b,\n    # none yet\n]"),
    ],
)
def test_where_an_entry_goes(text: str, place: int, after: str) -> None:
    assert with_entry(text, "", "b", place, "    ") == after
    assert without_entry(after, "", place) == text


def test_a_generator_argument_is_refused() -> None:
    with pytest.raises(TextEditError, match="generator"):
        with_argument("app = f(x for x in y)", "a=1", "    ")


def test_a_comment_that_has_no_other_place_is_refused() -> None:
    with pytest.raises(TextEditError, match="comment"):
        without_argument("app = f(a=1  # why\n , b=2)", "a")


@pytest.mark.parametrize("text", ["def f():\n    x = 1\n\x0c    yield\n", "def f():\n    yield\n\r"])
def test_a_file_that_libcst_does_not_give_back_is_refused(text: str) -> None:
    with pytest.raises(TextEditError, match="exactly"):
        put(text, Block(PATH, "f", "async with managed():"))
