"""TOML edits: what they change, what they leave alone, and that they can be taken back byte for byte."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from laterctl.codemods import toml
from laterctl.codemods.toml import Item, Key, Piece, TomlEditError, converge
from laterctl.codemods.toml_spans import Pair, Value, layout
from tests.codemods.manifests import CASES, TEXTS

DEPENDENCIES = ("project", "dependencies")
DEV = ("dependency-groups", "dev")
POETRY = ("tool", "poetry", "dependencies")

PIECES: tuple[Piece, ...] = (
    Item(DEPENDENCIES, "redis[hiredis]>=6", by_name=True),
    Item(DEPENDENCIES, "aiosqlite", by_name=True),
    Item(DEPENDENCIES, 'zzz; python_version<"3.12"', by_name=True),
    Item(DEV, "httpx2>=2", by_name=True),
    Item(DEV, "pytest-cov", by_name=True),
    Item(("project", "optional-dependencies", "web"), "redis", by_name=True),
    Item(("tool", "ruff", "lint", "select"), "E"),
    Item(("tool", "mypy", "files"), "src"),
    Key(("tool", "coverage", "run", "parallel"), value=True),
    Key(("tool", "coverage", "run", "omit"), ["tests/*"]),
    Key(("tool", "coverage", "report", "fail_under"), 80),
    Key(("tool", "ruff", "zzz"), "it's"),
    Key(("tool", "ruff", "aaa"), ["x" * 30, "y" * 30, "z" * 30]),
    Key(("tool", "a", "k"), 1),
    Key(("tool", "uv", "p"), {"b": 1, "c": [1.5, "d"]}),
    Key(("tool", "uv", "index", "q"), 1),
    Key(("tool", "mypy", "pretty"), value=True),
    Key(("default", "CORS_ORIGINS"), []),
    Key(("default", "JWT"), r"C:\x"),
    Key(("root",), 1.5),
    Key((*POETRY, "pyjwt"), {"version": ">=2", "extras": ["crypto"]}, by_name=True),
    Key((*POETRY, "anyio"), "*", by_name=True),
    Key((*POETRY, "zope"), "*", by_name=True),
    Key(("tool", "poetry", "group", "dev", "dependencies", "coverage"), ">=7", by_name=True),
    Key(("dependency-groups", "docs"), ["a", {"include-group": "b"}]),
)


def _check_algebra(user: str, one: Sequence[Piece], two: Sequence[Piece]) -> bool:
    """Check the laws for two sets of own pieces; `False` when the text refuses them."""
    both = [*one, *two]
    try:
        together = converge(user, [], both)
    except TomlEditError:
        return False
    first, second = converge(user, [], one), converge(user, [], two)
    assert converge(user, [], [*two, *one]) == together
    assert converge(first, one, both) == together
    assert converge(second, two, both) == together
    assert converge(together, both, both) == together
    assert converge(together, both, one) == first
    assert converge(together, both, two) == second
    assert converge(together, both, []) == user
    assert converge(first, one, []) == user
    for piece in both:
        _check_present(together, piece)
    assert _comments(together) == _comments(user)
    _check_lines(user, together, touched=len(both))
    return True


def _comments(text: str) -> tuple[str, ...]:
    return layout(text.removeprefix("\ufeff")).comments


def _check_present(text: str, piece: Piece) -> None:
    if isinstance(piece, Key):
        assert toml.get(text, piece.path) == piece.value
        assert toml.is_present(text, piece)
    else:
        assert toml.is_present(text, piece)
        assert toml.get(text, piece.array).count(piece.value) == 1


def _check_lines(user: str, result: str, touched: int) -> None:
    """The user's lines are there in order; an own piece changes at most one (a comma, an array on one line)."""
    old, new = user.splitlines(), result.splitlines()
    common = [0] * (len(new) + 1)
    for line in old:
        row = [0]
        for index, other in enumerate(new):
            row.append(common[index] + 1 if line == other else max(row[index], common[index + 1]))
        common = row
    assert common[-1] >= len(old) - touched
    assert result.startswith("\ufeff") == user.startswith("\ufeff")
    assert not user.strip("\ufeff") or result.endswith("\n") == user.endswith("\n")
    if "\n" not in user.replace("\r\n", "") and user.count("\r\n") > 0:
        assert "\n" not in result.replace("\r\n", "")


def _addable(user: str) -> list[Piece]:
    """The pieces that the user has not written already: those are adopted, never own."""
    data = toml.parse(user)

    def value(keys: Sequence[str]) -> Any:
        found: Any = data
        for key in keys:
            found = found.get(key) if isinstance(found, dict) else None
        return found

    names = {str(key).lower() for key in value(POETRY) or ()}
    return [
        piece
        for piece in PIECES
        if (piece.value not in (value(piece.array) or []) if isinstance(piece, Item) else value(piece.path) is None)
        and not (isinstance(piece, Key) and piece.by_name and piece.path[-1] in names)
    ]


# Laws


@pytest.mark.parametrize("name", CASES)
def test_algebra_on_odd_texts(name: str) -> None:
    user = CASES[name]
    pieces = _addable(user)
    if name.startswith("arrays of tables"):
        pieces = [piece for piece in pieces if not isinstance(piece, Key) or piece.path[:3] != ("tool", "uv", "index")]
    assert _check_algebra(user, pieces[::3], pieces[1::3])
    assert _check_algebra(user, pieces[2::3], [])


@pytest.mark.parametrize("name", TEXTS)
def test_single_piece_comes_and_goes(name: str) -> None:
    user = TEXTS[name]
    for piece in _addable(user):
        if name == "arrays of tables" and isinstance(piece, Key) and piece.path[:3] == ("tool", "uv", "index"):
            continue
        added = converge(user, [], [piece])
        _check_present(added, piece)
        assert converge(added, [piece], []) == user


BLANK = st.sampled_from([" ", "\t", "\n", "\n    ", '# c, "x" ]\n', "\n\n", "  # it's\n  "])
BLANKS = st.lists(BLANK, max_size=2).map("".join)
ENTRIES = st.sampled_from(["fastapi", "uvicorn[standard]", "SQLAlchemy>=2", "pydantic_settings", "a", "zz; x == 'y'"])


@st.composite
def _arrays(draw: st.DrawFn) -> str:
    entries = draw(st.lists(ENTRIES, max_size=4, unique=True).flatmap(lambda e: st.sampled_from([e, sorted(e)])))
    text = "[" + draw(BLANKS)
    for index, entry in enumerate(entries):
        text += toml.quoted(entry, draw(st.sampled_from("'\""))) + draw(BLANKS)
        if index + 1 < len(entries) or draw(st.booleans()):
            text += "," + draw(BLANKS)
    return text + "]"


INLINE = st.sampled_from(["{}", "{ }", "{a = 1}", "{ a = 1 , b.c = '}' }", '{x = ["q"], y = {z = 2}}'])
END = st.sampled_from(["\n", " # end\n", "\n\n", "\n# about the next\n", "\n# last\n\n", "\n  \n"])
SIMPLE = st.sampled_from(
    ["1", '"s # t"', "true", "1979-05-27 07:32:00", '"""\n[tool.coverage.run]\n"""', "'''a\n# b'''"]
)


@st.composite
def _manifests(draw: st.DrawFn) -> str:
    """Valid TOML with the tables that matter here, in any order and layout."""
    sections = {
        "project": [("name", SIMPLE), ("dependencies", _arrays()), ("'optional-dependencies'", INLINE)],
        "dependency-groups": [("dev", _arrays()), ("lint", _arrays())],
        "tool.ruff": [("line-length", SIMPLE), ("lint.select", _arrays()), ('"per-file-ignores"', INLINE)],
        "tool.poetry.dependencies": [("python", SIMPLE), ("fastapi", SIMPLE), ("Uvicorn", INLINE)],
        "tool.mypy": [("strict", SIMPLE), ("files", _arrays())],
        "tool.coverage.run": [("branch", SIMPLE)],
        "default": [("DEBUG", SIMPLE), ("HOSTS", _arrays())],
    }
    text = draw(st.sampled_from(["", "# licence\n", "\n", "# a\n\n# b\n"]))
    for key in draw(st.lists(st.sampled_from(["x", "y", "z.a", "z.b"]), max_size=2, unique=True)):
        text += f"{key} = {draw(SIMPLE)}{draw(END)}"
    names = draw(st.lists(st.sampled_from([*sections, "[tool.pdm.source]"]), max_size=4, unique=True))
    for name in names:
        text += f"[{name}]{draw(END)}"
        for key, value in draw(st.permutations(sections.get(name, []))):
            if draw(st.booleans()):
                indent, equals = draw(st.sampled_from(["", "  "])), draw(st.sampled_from([" = ", "="]))
                text += f"{indent}{key}{equals}{draw(value)}{draw(END)}"
    if draw(st.booleans()):
        text = text.rstrip()
    if draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    return draw(st.sampled_from(["", "\ufeff"])) + text


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_manifests(), st.lists(st.sampled_from(PIECES), max_size=8, unique=True), st.integers(0, 8))
@example(TEXTS["comments everywhere"], list(PIECES[:6]), 3)
@example("[tool.ruff]\nlint.select = ['a',\n'b'# c, \"x\" ]\n,]\n", [PIECES[6]], 0)
def test_algebra_on_generated_texts(user: str, pieces: list[Piece], cut: int) -> None:
    own = [piece for piece in pieces if piece in _addable(user)]
    assert _check_algebra(user, own[:cut], own[cut:])


@settings(max_examples=150, deadline=None)
@given(_manifests())
@example(TEXTS["strings that look like structure"])
@example(TEXTS["all kinds of values"])
def test_scan_reads_what_tomllib_reads(text: str) -> None:
    text = text.removeprefix("\ufeff")
    assert _data(text) == tomllib.loads(text)


@pytest.mark.parametrize("name", CASES)
def test_scan_of_odd_texts_reads_what_tomllib_reads(name: str) -> None:
    text = CASES[name].removeprefix("\ufeff")
    assert _data(text) == tomllib.loads(text)


def _data(text: str) -> dict[str, Any]:
    """Build a document from the offsets that `scan` gives, parsing only single values."""
    root: dict[str, Any] = {}
    for section in layout(text).sections:
        table: Any = root
        for key, following in zip_longest(section.path, section.path[1:]):
            if isinstance(key, int):
                table += [{}] * (key + 1 - len(table))
                table = table[key]
            else:
                table = table.setdefault(key, [] if isinstance(following, int) else {})
        _fill(text, table, section.pairs)
    return root


def _fill(text: str, table: dict[str, Any], pairs: Sequence[Pair]) -> None:
    for pair in pairs:
        inner = table
        for key in pair.keys[:-1]:
            inner = inner.setdefault(key, {})
        inner[pair.keys[-1]] = _value(text, pair.value)


def _value(text: str, value: Value) -> Any:
    if value.items is not None:
        return [_value(text, item) for item in value.items]
    if value.pairs is not None:
        table: dict[str, Any] = {}
        _fill(text, table, value.pairs)
        return table
    return tomllib.loads(f"x = {text[value.start : value.end]}\n")["x"]


# What it looks like


def _added(user: str, *pieces: Piece) -> str:
    result = converge(user, [], pieces)
    assert converge(result, pieces, []) == user
    return result


def _array(entries: str) -> str:
    return f"[project]\ndependencies = {entries}\n"


REDIS = Item(DEPENDENCIES, "redis>=6", by_name=True)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[]", '["redis>=6"]'),
        ('["fastapi", "uvicorn"]', '["fastapi", "redis>=6", "uvicorn"]'),
        ('["uvicorn", "fastapi"]', '["uvicorn", "fastapi", "redis>=6"]'),
        ("['uvicorn','fastapi',]", "['uvicorn','fastapi','redis>=6',]"),
        ('[ "sqlalchemy" ]', '[ "redis>=6", "sqlalchemy" ]'),
        ('[\n  "fastapi",\n  "uvicorn",\n]', '[\n  "fastapi",\n  "redis>=6",\n  "uvicorn",\n]'),
        ('[\n\t"fastapi"\n]', '[\n\t"fastapi",\n\t"redis>=6"\n]'),
        ('[\n    "fastapi"  # web\n    # more\n]', '[\n    "fastapi",  # web\n    "redis>=6"\n    # more\n]'),
        ('[\n    # web\n    "uvicorn",\n]', '[\n    "redis>=6",\n    # web\n    "uvicorn",\n]'),
        ('["fastapi",\n "pydantic"]', '["fastapi",\n "pydantic",\n "redis>=6"]'),
        ("[\n    # none yet\n]", '[\n    # none yet\n    "redis>=6"\n]'),
    ],
)
def test_entry_takes_the_shape_of_its_array(before: str, after: str) -> None:
    assert _added(_array(before), REDIS) == _array(after)


@pytest.mark.parametrize(
    ("user", "place"),
    [
        (["alembic", "SQLAlchemy", "uvicorn"], 1),
        (["pytest", "redis-om", "redis_cli"], 1),
        (["pytest-x", "pytest_a", "uvicorn"], 2),  # in order as it is spelled
        (["redis-om>=1", "sqlalchemy-utils", "sqlalchemy>=2"], 1),  # in order as `sort` sees lines
        (["b", "a"], 2),
        (["a"], 1),
        (["z"], 0),
    ],
)
def test_entry_goes_to_its_sorted_place(user: list[str], place: int) -> None:
    text = _array(toml.render(user))
    assert toml.get(_added(text, REDIS), DEPENDENCIES).index("redis>=6") == place


def test_long_line_stays_one_line() -> None:
    entries = [f"package-number-{number}>=1.0" for number in range(9)]
    longer = _added(_array(toml.render(entries, width=1000)), REDIS)
    assert longer.count("\n") == 2


def test_entry_follows_pieces_that_are_no_strings() -> None:
    user = '[dependency-groups]\ndev = [{include-group = "a"}, "mypy", {include-group = "b"}]\n'
    piece = Item(DEV, "ruff", by_name=True)
    assert '"mypy", "ruff", {include' in _added(user, piece)


def test_markers_take_the_other_quotes() -> None:
    piece = Item(DEPENDENCIES, 'redis; python_version < "3.12"', by_name=True)
    assert "'redis; python_version < \"3.12\"'" in _added(_array('["fastapi"]'), piece)


@pytest.mark.parametrize(
    ("user", "result"),
    [
        ("", "[tool.x]\nk = 1\n"),
        ("[a]\nb = 1", "[a]\nb = 1\n\n[tool.x]\nk = 1"),
        ("[a]\r\nb = 1\r\n", "[a]\r\nb = 1\r\n\r\n[tool.x]\r\nk = 1\r\n"),
        ("\ufeff[a]\n\n\n", "\ufeff[a]\n\n[tool.x]\nk = 1\n\n\n"),
        ("[tool.x]\na = 1 # c\n\n[b]\n", "[tool.x]\na = 1 # c\nk = 1\n\n[b]\n"),
        ("[tool.x]\na=1\n# b=2\n\n[b]\n", "[tool.x]\na=1\n# b=2\nk=1\n\n[b]\n"),
        ("[tool.x]\na = 1\n# about b\n[b]\n", "[tool.x]\na = 1\nk = 1\n# about b\n[b]\n"),
        ("[tool.x]\n  a = 1\n\n# about b\n[b]\n", "[tool.x]\n  a = 1\n  k = 1\n\n# about b\n[b]\n"),
        ("[tool]\nx.a = 1\ny = 2\n", "[tool]\nx.a = 1\nx.k = 1\ny = 2\n"),
        ("tool = {x = {a = 1}, y = 2}\n", "tool = {x = {a = 1, k = 1}, y = 2}\n"),
        ("tool = {}\n", "tool = {x.k = 1}\n"),
        ("[tool.x.y]\na = 1\n", "[tool.x.y]\na = 1\n\n[tool.x]\nk = 1\n"),
    ],
)
def test_pair_goes_to_the_end_of_its_table(user: str, result: str) -> None:
    assert _added(user, Key(("tool", "x", "k"), 1)) == result


def test_created_tables_are_sorted_and_go_one_by_one() -> None:
    user = '[project]\nname = "x"\n'
    run, report = Key(("tool", "coverage", "run", "branch"), value=True), Key(("tool", "coverage", "report", "x"), 1)
    both = converge(converge(user, [], [run]), [run], [run, report])
    assert both == user + "\n[tool.coverage.report]\nx = 1\n\n[tool.coverage.run]\nbranch = true\n"
    assert converge(both, [run, report], [report]) == user + "\n[tool.coverage.report]\nx = 1\n"


def test_poetry_names_are_sorted_behind_the_interpreter() -> None:
    user = '[tool.poetry.dependencies]\npython = "^3.12"\n# web\nfastapi = "*"\nUvicorn = "*"\n'
    pieces = [Key((*POETRY, name), "*", by_name=True) for name in ("zope", "anyio", "redis")]
    keys = list(toml.get(_added(user, *pieces), POETRY))
    assert keys == ["python", "anyio", "fastapi", "redis", "Uvicorn", "zope"]


@pytest.mark.parametrize(
    ("value", "source"),
    [
        (True, "true"),
        (-3, "-3"),
        (1.0, "1.0"),
        ("plain", '"plain"'),
        ('say "x"', "'say \"x\"'"),
        ('it\'s "x"\n', '"it\'s \\"x\\"\\n"'),
        (["a", 1, {"b": []}], '["a", 1, {b = []}]'),
        ({"a b": 1, "": "x"}, '{"a b" = 1, "" = "x"}'),
        (["x" * 60, "y" * 60], f'[\n    "{"x" * 60}",\n    "{"y" * 60}",\n]'),
    ],
)
def test_values_are_written_as_people_write_them(value: object, source: str) -> None:
    assert toml.render(value) == source
    assert tomllib.loads(f"k = {source}\n")["k"] == value
    assert _added("", Key(("k",), value)) == f"k = {source}\n"


@given(st.text(), st.sampled_from("'\""))
def test_any_string_can_be_written(value: str, quote: str) -> None:
    value = "".join(char for char in value if not "\ud800" <= char <= "\udfff")
    assert tomllib.loads(f"k = {toml.quoted(value, quote)}\n")["k"] == value


def test_new_strings_use_the_user_s_quotes() -> None:
    user = '# it\'s "only" a "comment"\n[default]\nA = \'x\'\n'
    assert "B = 'y'" in _added(user, Key(("default", "B"), "y"))


# Items of arrays

MARKERS = ("tool", "pytest", "ini_options", "markers")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", '[tool.pytest.ini_options]\nmarkers = [\n    "e2e: slow",\n    "load: slower",\n]\n'),
        (
            "[tool.pytest.ini_options]\naddopts = '-q'\n",
            "[tool.pytest.ini_options]\naddopts = '-q'\nmarkers = [\n    'e2e: slow',\n    'load: slower',\n]\n",
        ),
        (
            "[tool.pytest.ini_options]\nmarkers = []",
            '[tool.pytest.ini_options]\nmarkers = ["e2e: slow", "load: slower"]',
        ),
        (
            '[tool.pytest]\nini_options.markers = ["db: x", # c\n  "unit: y"]\n',
            '[tool.pytest]\nini_options.markers = ["db: x", # c\n  "e2e: slow",\n  "load: slower",\n  "unit: y"]\n',
        ),
        (
            'tool = {pytest = {ini_options = {markers = ["z: z", "a: a"]}}}\n',
            'tool = {pytest = {ini_options = {markers = ["z: z", "a: a", "e2e: slow", "load: slower"]}}}\n',
        ),
        ("tool.pytest = {}\n", 'tool.pytest = {ini_options.markers = ["e2e: slow", "load: slower",]}\n'),
        (
            "[tool.pytest.ini_options]\r\nmarkers = [\r\n]\r\n",
            '[tool.pytest.ini_options]\r\nmarkers = [\r\n    "e2e: slow",\r\n    "load: slower"\r\n]\r\n',
        ),
    ],
)
def test_items_of_several_features_share_an_array(before: str, after: str) -> None:
    one, two = Item(MARKERS, "load: slower"), Item(MARKERS, "e2e: slow")
    assert _added(before, one, two) == _added(before, two, one) == after
    first, second = _added(before, one), _added(before, two)
    assert converge(first, [one], [two, one]) == converge(second, [two], [one, two]) == after
    assert converge(after, [one, two], [two]) == second
    assert converge(after, [one, two], [one]) == first
    assert toml.is_present(first, one)
    assert not toml.is_present(first, two)
    assert not toml.is_present(before, one)


def test_items_may_be_any_value() -> None:
    user = '[dependency-groups]\ndev = ["ruff"]\n'
    group, one, true = Item(DEV, {"include-group": "lint"}), Item(("x", "y"), 1), Item(("x", "y"), value=True)
    assert _added(user, group, Item(DEV, "mypy", by_name=True)) == user.replace(
        '["ruff"]', '["mypy", "ruff", {include-group = "lint"}]'
    )
    assert _added("x.y = [1.0]\n", true, one) == "x.y = [1.0, 1, true]\n"
    assert toml.is_present("x.y = [1]", one)
    assert not toml.is_present("x.y = [1]", true)
    assert not toml.is_present("x.y = 1", one)


def test_item_of_the_user_s_is_left_where_it_is() -> None:
    item = Item(MARKERS, "b")
    text = "[tool.pytest.ini_options]\nmarkers = ['c', 'b', 'a']\n"
    assert converge(text, [], [item]) == text
    assert converge(text, [], [item, Item(MARKERS, "d")]) == text.replace("'a'", "'a', 'd'")
    reformatted = "[tool.pytest.ini_options]\nmarkers = [\n  # mine\n  'a', 'b',  # theirs\n  'c',\n]\n"
    assert converge(reformatted, [item], []) == reformatted.replace("'a', 'b',", "'a',")


def test_split_tables_are_read_and_edited() -> None:
    # tomlkit refuses the first as a whole, and gives the second back in another order.
    for user in (
        "[tool.a.b]\n[x]\n[tool.c]\nk = 1\n[y]\n[tool.a.b.d]\nk = 1\n",
        "[[a]]\nk = 1\n[b]\n[[a]]\nk = 2\n[a.c]\nk = [\n[1],\n]\n[tool.a]\n",
        '[tool]\na.b = """\n[x]"""\n[tool.a.c]\n',
    ):
        assert _data(user) == tomllib.loads(user)
        assert _added(user, Key(("tool", "a", "k"), 1), Item(DEV, "ruff", by_name=True)).count("k = 1") > user.count(
            "k = 1"
        )


# What users do


def _array_lines(*lines: str) -> str:
    return "[project]\ndependencies = [\n" + "".join(f"    {line}\n" for line in lines) + "]\n"


def test_altered_entry_is_left_alone() -> None:
    other = Item(DEPENDENCIES, "pyjwt>=2", by_name=True)
    for altered in ('"redis>=7",', '"redis>=6",  # we need 6', '"Redis[hiredis]",'):
        text = _array_lines('"fastapi",', altered)
        assert converge(text, [REDIS], []) == text
        assert converge(text, [REDIS], [REDIS]) == text
        assert converge(text, [REDIS], [REDIS, other]) == _array_lines('"fastapi",', '"pyjwt>=2",', altered)


def test_deleted_entry_is_not_made_again() -> None:
    text = _array_lines('"fastapi",')
    raised = Item(DEPENDENCIES, "redis[hiredis]>=6", by_name=True)
    assert converge(text, [REDIS], [REDIS]) == text
    assert converge(text, [REDIS], [raised]) == text


def test_changed_entry_keeps_its_place() -> None:
    user = _array_lines('"fastapi",', '"uvicorn",')
    raised = Item(DEPENDENCIES, "redis[hiredis]>=6", by_name=True)
    first = converge(user, [], [REDIS])
    assert converge(first, [REDIS], [raised]) == converge(user, [], [raised])


def test_altered_pair_is_left_alone() -> None:
    key = Key(("tool", "x", "k"), 1)
    for altered in ("k = 2", "k = 1 # ours?", "k = 1.0", "k = true"):
        text = f"[tool.x]\n{altered}\n"
        assert converge(text, [key], []) == text
        assert converge(text, [key], [key]) == text


def test_user_s_pair_keeps_a_created_table() -> None:
    key, later = Key(("tool", "x", "k"), 1), Key(("tool", "x", "l"), 2)
    text = converge("", [], [key]) + "mine = 1\n"
    assert converge(text, [key], []) == "[tool.x]\nmine = 1\n"
    # Own pieces stay where they are once they are no longer where they were put.
    assert converge(text, [key], [key, later]) == "[tool.x]\nk = 1\nmine = 1\nl = 2\n"


def test_what_the_user_appends_stays() -> None:
    user, more = '[project]\nname = "x"\n', "\n# strict\n[tool.mypy]\nstrict = true\n"
    pieces: list[Piece] = [Key(("tool", "x", "k"), 1), Key(("tool", "y", "k"), [1]), Item(DEV, "ruff", by_name=True)]
    text = converge(user, [], pieces) + more
    assert converge(text, pieces, []) == user + more
    assert converge(text, pieces, pieces[:1]) == user + "\n[tool.x]\nk = 1\n" + more


def test_reformatted_text_loses_own_pieces_only() -> None:
    user = _array('["fastapi", "uvicorn"]')
    key = Key(("tool", "x", "k"), ["a", "b"])
    text = "[project]\ndependencies = [\n  'fastapi',\n  'redis>=6',\n  'uvicorn',\n]\n[tool.x]\nk=[\n 'a','b']\n"
    assert tomllib.loads(converge(user, [], [REDIS, key])) == tomllib.loads(text)
    assert converge(text, [REDIS, key], [REDIS, key]) == text
    assert converge(text, [REDIS, key], []) == "[project]\ndependencies = [\n  'fastapi',\n  'uvicorn',\n]\n"
    more = converge(text, [REDIS, key], [REDIS, key, Item(DEPENDENCIES, "zope", by_name=True)])
    assert more == text.replace("  'uvicorn',\n", "  'uvicorn',\n  'zope',\n")


def test_duplicate_of_an_own_entry_stays() -> None:
    text = _array_lines('"fastapi",', '"redis>=6",', '"uvicorn",', '"redis>=6",')
    assert converge(text, [REDIS], []) == _array_lines('"fastapi",', '"redis>=6",', '"uvicorn",')


# Refusals


@pytest.mark.parametrize(
    ("text", "piece", "line", "reason"),
    [
        ("a = 1\nb = \n", REDIS, 2, "not valid TOML"),
        ("a = 1\n[b", REDIS, 2, "not valid TOML"),
        ("[project]\nname='x'\ndependencies = 'a'\n", REDIS, 3, "not an array"),
        ("\n[[project.dependencies]]\n", REDIS, 2, "not an array"),
        ("[project]\ndependencies = [\n  'fastapi',\n  'Redis<5',\n]\n", REDIS, 4, "redis is there with another"),
        ("[tool.x]\na = 1\nk = 2\n", Key(("tool", "x", "k"), 1), 3, "tool.x.k is there with another"),
        ("a = 1\n[b]\nc = " + "[" * 101 + "]" * 101 + "\n", REDIS, 3, "tomlkit cannot read it"),
        ("tool.x = 1\n", Key(("tool", "x", "k"), 1), 1, "tool.x is not a table"),
        ("\n[[tool.x]]\na = 1\n", Key(("tool", "x", "k"), 1), 2, "array of tables"),
        (
            "[tool.poetry.dependencies]\nPyJWT = '^1'\n",
            Key((*POETRY, "pyjwt"), ">=2", by_name=True),
            2,
            "PyJWT is there with another",
        ),
    ],
)
def test_refusal_names_the_line(text: str, piece: Piece, line: int, reason: str) -> None:
    with pytest.raises(TomlEditError, match=reason) as caught:
        converge(text, [], [piece])
    assert caught.value.line == line
    assert reason in caught.value.reason


def test_present_piece_is_not_added_twice() -> None:
    text = _array('["redis>=6"]')
    assert converge(text, [], [REDIS]) == text


# Reading and replacing


def test_get_and_line_of() -> None:
    text = "\ufeff" + TEXTS["dotted keys below a header"]
    assert toml.get(text, ("tool", "ruff", "line-length")) == 88
    assert toml.get(text, ("tool", "ruff", "nothing", "here")) is None
    assert toml.line_of(text, ("tool", "ruff", "line-length")) == 3
    assert toml.line_of(text, ("project", "optional-dependencies")) == 7
    assert toml.line_of(text, ("project",)) == 6
    assert toml.line_of(text, ("tool",)) == 1
    with pytest.raises(KeyError):
        toml.line_of(text, ("tool", "mypy"))
    assert toml.source_of(text, ("tool", "ruff", "lint", "ignore")) == '["D"]'


@pytest.mark.parametrize("name", CASES)
def test_replaced_values_come_back(name: str) -> None:
    text = CASES[name]
    for keys in _leaves(toml.parse(text)):
        try:
            source = toml.source_of(text, keys)
        except KeyError:  # inside an array of tables
            continue
        if "#" in source:
            continue
        changed = toml.replace_value(text, keys, '{new = "value"}')
        assert toml.get(changed, keys) == {"new": "value"}
        assert toml.replace_value(changed, keys, source) == text


def _leaves(data: dict[str, Any], prefix: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    for key, value in data.items():
        found += _leaves(value, (*prefix, key)) if isinstance(value, dict) and value else [(*prefix, key)]
    return found


def test_replaced_entry_keeps_quotes_and_comments() -> None:
    text = "[project]\ndependencies = [\n    'redis>=4',  # cache\n    \"fastapi\",\n]\n"
    changed = toml.replace_item(text, DEPENDENCIES, "redis>=4", "redis[hiredis]>=6")
    assert changed == text.replace("redis>=4", "redis[hiredis]>=6")
    assert toml.replace_item(changed, DEPENDENCIES, "redis[hiredis]>=6", "redis>=4") == text
    with pytest.raises(KeyError):
        toml.replace_item(text, DEPENDENCIES, "redis", "x")


def test_replacing_never_injects() -> None:
    with pytest.raises(TomlEditError):
        toml.replace_value("a = 1\nb = 2\n", ("a",), "1\nc = 3")
    with pytest.raises(TomlEditError):
        toml.replace_value("a = [1, # why\n]\n", ("a",), "[]")
