"""Any manifest, any own pieces: they come and go byte for byte and in any order, or are refused."""

from __future__ import annotations

import tomllib

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from laterctl.codemods import toml
from laterctl.codemods.toml import Item, Key, Piece, TomlEditError, converge

BLANK = st.sampled_from(["", "", " ", "\t", "\n", "\n    ", "\n\t", "\n\n  ", '  # c, "x" ]\n', "\n# it's\n", " #\n  "])
ENTRY = st.sampled_from(
    ["fastapi", "uvicorn[standard]", "SQLAlchemy>=2", "pydantic_settings", "a", "zz; x == 'y'", "é"]
)
OTHER = st.sampled_from(["{include-group = 'lint'}", "1", "[]", '["a", "b",]', "{}", "'''a\n# b'''", "true"])
SCALAR = st.sampled_from(
    ["1", '"s # t"', "true", "1979-05-27 07:32:00", '"""\n[tool.coverage.run]\n"""', "'''a\n# b'''"]
)
END = st.sampled_from(["\n", "\n", " # end\n", "\n\n", "\n# about the next\n", "\n# last\n\n", "\n  \n", "\t\n"])
EQUALS = st.sampled_from([" = ", "=", "  =\t"])


@st.composite
def arrays(draw: st.DrawFn) -> str:
    """Tall or short, with comments anywhere, with a comma at the end or none, or commas in front."""
    parts = draw(st.lists(ENTRY.map(toml.quoted) | ENTRY.map(toml.quoted) | OTHER, max_size=4, unique=True))
    gap = draw(st.sampled_from(["", " ", "\n    ", "\n\t"]))
    own = draw(st.booleans())  # each gap is another one
    text = "["
    for index, part in enumerate(parts):
        text += (draw(BLANK) if own else gap) + part + (draw(BLANK) if own else "")
        if index + 1 < len(parts) or draw(st.booleans()):
            text += ","
    return text + (draw(BLANK) if own else gap) + "]"


INLINE = st.sampled_from(
    ["{}", "{ }", "{a = 1}", "{ a = 1 , b.c = '}' }", '{x = ["q"], y = {z = 2}}', "{dev = [], lint = ['a',\n'b']}"]
)
TABLES = {
    "": {"project.name": SCALAR, "tool.ruff.line-length": SCALAR, "dependency-groups.dev": arrays(), "x": INLINE},
    "[project]": {"name": SCALAR, "dependencies": arrays(), "'optional-dependencies'": INLINE, "dynamic": arrays()},
    "[project.optional-dependencies]": {"web": arrays()},
    "[dependency-groups]": {"dev": arrays(), "lint": arrays()},
    "[ tool . 'ruff' ]": {"lint.select": arrays(), "lint.ignore": arrays(), "line-length": SCALAR},
    "[tool.ruff.lint]": {"extend-select": arrays()},
    "[tool]": {"coverage.run.branch": SCALAR, "pytest": INLINE, "mypy.files": arrays()},
    "[tool.poetry.dependencies]": {"python": SCALAR, "fastapi": SCALAR, "Uvicorn": INLINE},
    "[tool.poetry.group.lint]": {"optional": SCALAR},
    "[tool.coverage.run]": {"branch": SCALAR, "concurrency": arrays()},
    "[tool.pytest.ini_options]": {"markers": arrays()},
    "[[tool.mypy.overrides]]": {"module": arrays()},
    "[tool.mypy.overrides.x]": {"files": arrays()},
}


@st.composite
def manifests(draw: st.DrawFn) -> str:
    """Tables in any order, line ends of one kind or both, a byte order mark, no newline at the end; most are TOML."""
    text = draw(st.sampled_from(["", "", "# licence\n", "\n", "# a\n\n# b\n", "  \n"]))
    for header in draw(st.lists(st.sampled_from(list(TABLES)), max_size=5)):
        indent = draw(st.sampled_from(["", "", "  "]))
        text += f"{indent}{header}{draw(END)}" if header else ""
        keys = TABLES[header]
        for key in draw(st.lists(st.sampled_from(list(keys)), max_size=3, unique=True)):
            text += f"{indent}{key}{draw(EQUALS)}{draw(keys[key])}{draw(END)}"
    text = text.rstrip() if draw(st.booleans()) else text
    if draw(st.booleans()):
        where = draw(st.sampled_from(["all", "half", "some"]))
        lines = text.split("\n")
        ends = {"all": lambda _: True, "half": lambda at: at < len(lines) // 2, "some": lambda at: at % 3 == 1}[where]
        text = "".join(line + ("\r\n" if ends(at) else "\n") for at, line in enumerate(lines[:-1])) + lines[-1]
    return draw(st.sampled_from(["", "", "\ufeff"])) + text


PIECES: tuple[Piece, ...] = (
    Item(("project", "dependencies"), "redis[hiredis]>=6", by_name=True),
    Item(("project", "dependencies"), "aiosqlite", by_name=True),
    Item(("project", "optional-dependencies", "web"), "redis", by_name=True),
    Item(("project", "optional-dependencies", "load"), "locust", by_name=True),
    Item(("dependency-groups", "dev"), "httpx2>=2", by_name=True),
    Item(("dependency-groups", "dev"), {"include-group": "load"}),
    Item(("dependency-groups", "lint"), 'ruff; python_version<"3.12"', by_name=True),
    Item(("tool", "ruff", "lint", "extend-select"), "B"),
    Item(("tool", "ruff", "lint", "extend-select"), "ASYNC"),
    Item(("tool", "ruff", "lint", "select"), "E"),
    Item(("tool", "coverage", "run", "concurrency"), "greenlet"),
    Item(("tool", "coverage", "run", "concurrency"), "thread"),
    Item(("tool", "pytest", "ini_options", "markers"), "load: a load test"),
    Item(("tool", "pytest", "ini_options", "markers"), 'e2e: it\'s "slow"'),
    Item(("tool", "x", "numbers"), 3),
    Key(("tool", "coverage", "run", "parallel"), value=True),
    Key(("tool", "coverage", "report", "fail_under"), 80),
    Key(("tool", "pytest", "asyncio_mode"), "auto"),
    Key(("root",), 1.5),
    Key(("tool", "poetry", "dependencies", "pyjwt"), {"version": ">=2", "extras": ["crypto"]}, by_name=True),
    Key(("tool", "poetry", "group", "lint", "dependencies", "mypy"), "*", by_name=True),
    Key(("x", "nested", "k"), ["x" * 40, "y" * 40, "z" * 40]),
)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(manifests(), st.lists(st.sampled_from(PIECES), min_size=1, max_size=8, unique=True), st.integers(0, 8))
def test_pieces_come_and_go_in_any_order(user: str, pieces: list[Piece], cut: int) -> None:
    try:
        before = toml.parse(user)
    except TomlEditError:
        event("no TOML")
        return
    own = [piece for piece in pieces if not toml.is_present(user, piece)]
    one, two = own[:cut], own[cut:]
    try:
        together = converge(user, [], own)
        first, second = converge(user, [], one), converge(user, [], two)
    except TomlEditError as error:
        event(f"refused: {error.reason.split(' is ')[-1]}")
        return
    event("changed")
    after = tomllib.loads(together.removeprefix("\ufeff"))
    assert all(toml.is_present(together, piece) for piece in own)
    assert _without(after, own) == _without(before, own)
    assert converge(first, one, own) == converge(second, two, own) == converge(user, [], own[::-1]) == together
    assert converge(together, own, one) == first
    assert converge(together, own, two) == second
    for piece in own:
        rest = [other for other in own if other != piece]
        assert converge(together, own, rest) == converge(user, [], rest)
    assert converge(together, own, []) == converge(first, one, []) == converge(second, two, []) == user


def _without(data: object, own: list[Piece], path: tuple[str, ...] = ()) -> object:
    """Return the values that are not own, without tables and arrays that are empty."""
    if isinstance(data, dict):
        kept = {key: _without(value, own, (*path, key)) for key, value in data.items()}
        keys = {piece.path for piece in own if isinstance(piece, Key)}
        return {key: value for key, value in kept.items() if (*path, key) not in keys and value not in ({}, [])}
    if isinstance(data, list):
        items = [piece.value for piece in own if isinstance(piece, Item) and piece.array == path]
        return [value for value in data if value not in items]
    return data
