"""Dependencies in every form that projects write them in."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet

from laterctl.codemods import requirements, toml
from laterctl.codemods.placement import TextEditError
from laterctl.codemods.requirements import RequirementError
from laterctl.dialects.manifest import form_of
from laterctl.project.facts import DependencyHome

ARRAY = DependencyHome("array", "pyproject.toml", ("project", "dependencies"))
GROUP = DependencyHome("array", "pyproject.toml", ("dependency-groups", "dev"))
POETRY = DependencyHome("poetry", "pyproject.toml", ("tool", "poetry", "dependencies"))
LINT = DependencyHome("array", "pyproject.toml", ("dependency-groups", "lint"))
EXTRA = DependencyHome("array", "pyproject.toml", ("project", "optional-dependencies", "load"))
POETRY_LINT = DependencyHome("poetry", "pyproject.toml", ("tool", "poetry", "group", "lint", "dependencies"))
PDM = DependencyHome("array", "pyproject.toml", ("tool", "pdm", "dev-dependencies", "lint"))
LINES = DependencyHome("lines", "requirements.txt")


@pytest.mark.parametrize(
    ("declared", "floor", "expected"),
    [
        ("redis>=4", "redis>=6", True),
        ("redis", "6", True),
        ("redis<5", "redis>=6", False),
        ("redis<6", "redis>=6", False),
        ("redis<=6", "redis>=6", True),
        ("redis>6,<6.0.1", ">=6", True),
        ("redis==5.*", "redis>=6", False),
        ("redis==6.*", "redis>=6", True),
        ("redis~=5.1", "redis>=6", False),
        ("redis>=5,!=6.*,<7", "redis>=6", False),
        ("redis!=6,<=6", "redis>=6", False),
        ("redis!=6,<6.1", "redis>=6", True),
        ("redis===6", "redis>=6", True),
        ("pydantic<2", "pydantic>=2.0b1", False),
        ("redis @ git+https://example.org/redis.git", "redis>=6", True),
        ("redis[hiredis] < 5 ; python_version < '3.12'", "redis>=6", False),
        ("*", "redis>=6", True),
        ("^5", "redis>=6", False),
        ("^5.9 || ^6.1", "redis>=6", True),
        ("^0.110.2", "fastapi>=0.112.2", False),
        ("^0.112", "0.112.2", True),
        ("^0.0.3", "0.0.4", False),
        ("^0", "1", False),
        ("~5", "5.9", True),
        ("~5.1", "5.2", False),
        ("~5.1.3", "5.2", False),
        (">= 4, < 6", "redis>=6", False),
        (">=4 <7", "redis>=6", True),
        ("5.0", "redis>=6", False),
        ("6.0.1", "redis>=6", True),
        ("5.*", "6", False),
        ('{version = "^5", extras = ["hiredis"]}', "redis>=6", False),
        ('{git = "https://example.org/redis.git"}', "redis>=6", True),
        ("[\n{version = '^5', python = '<3.12'}, # old\n{version = '^6'}\n]", "redis>=6", True),
    ],
)
def test_satisfiable(declared: str, floor: str, expected: bool) -> None:
    assert requirements.satisfiable(declared, floor) is expected


VERSIONS = st.tuples(st.integers(0, 3), st.integers(0, 3)).map(lambda v: f"{v[0]}.{v[1]}")
TERMS = st.tuples(st.sampled_from(["<", "<=", ">", ">=", "==", "!=", "~="]), VERSIONS).map("".join)
RANGES = st.lists(TERMS, min_size=1, max_size=3).map(",".join)
GRID = [f"{a}.{b}.{c}" for a in range(6) for b in range(6) for c in (0, 1, 9)]


@given(RANGES, VERSIONS)
def test_satisfiable_agrees_with_trying_versions(declared: str, floor: str) -> None:
    both = SpecifierSet(declared) & SpecifierSet(f">={floor}")
    assert requirements.satisfiable(f"x{declared}", floor) == any(both.contains(version) for version in GRID)


@pytest.mark.parametrize("declared", ["redis>>4", "redis>=4 with cheese", "^one", "{version = ", "-r other.txt"])
def test_what_cannot_be_read_is_an_error(declared: str) -> None:
    with pytest.raises(RequirementError):
        requirements.satisfiable(declared, "1")


@pytest.mark.parametrize(
    ("declared", "extras", "expected"),
    [
        ("redis", ["hiredis"], "redis[hiredis]"),
        ("Redis >= 4 ; os_name == 'y'", ["hiredis"], "Redis[hiredis] >= 4 ; os_name == 'y'"),
        ("uvicorn[standard]>=0.2", ["Standard"], "uvicorn[standard]>=0.2"),
        ("uvicorn[a_b, c]", ["a-b", "d", "b"], "uvicorn[a_b, c, b, d]"),
        ("uvicorn[a,c] @ https://example.org/u.whl", ["b"], "uvicorn[a,c,b] @ https://example.org/u.whl"),
        ("^5", ["hiredis"], '{version = "^5", extras = ["hiredis"]}'),
        ("^5", [], "^5"),
        ('{ version = "^5" }', ["h"], '{ version = "^5", extras = ["h"] }'),
        ("{version='^5', extras = ['a'], optional=true}", ["h"], "{version='^5', extras = ['a', 'h'], optional=true}"),
        ('{version = "^5", extras = ["a"]}', ["A"], '{version = "^5", extras = ["a"]}'),
    ],
)
def test_extras_are_united_in_the_user_s_spelling(declared: str, extras: list[str], expected: str) -> None:
    assert requirements.with_extras(declared, extras) == expected
    assert requirements.extras_of(expected) >= {extra.lower() for extra in extras}


def test_several_declarations_get_no_extras() -> None:
    with pytest.raises(RequirementError, match="several"):
        requirements.with_extras('[{version = "^5"}, {version = "^6"}]', ["x"])


@pytest.mark.parametrize(
    ("entry", "poetry"),
    [
        ("redis", "*"),
        ("redis>=6", ">=6"),
        ("redis<8,>=6,!=6.1", ">=6,!=6.1,<8"),
        ("redis[hiredis,a]>=6", {"version": ">=6", "extras": ["a", "hiredis"]}),
        ("redis; python_version < '3.12'", {"version": "*", "markers": 'python_version < "3.12"'}),
    ],
)
def test_poetry_s_form(entry: str, poetry: object) -> None:
    assert requirements.to_poetry(entry) == poetry


def test_poetry_gets_no_url() -> None:
    with pytest.raises(RequirementError, match="URL"):
        requirements.to_poetry("x @ https://example.org/x.whl")


# Manifests

MANIFESTS = {
    "array": (ARRAY, "[project]\ndependencies = [\n    \"Fast_API >= 0.1\",\n    'redis>=4',  # cache\n]\n"),
    "missing array": (ARRAY, '[project]\nname = "x"\n'),
    "group": (GROUP, '[project]\nname = "x"\n[dependency-groups]\ndev = [{include-group = "x"}, "Fast_API"]\n'),
    "missing group": (GROUP, '[project]\nname = "x"'),
    "new manifest": (GROUP, ""),
    "poetry": (
        POETRY,
        '[tool.poetry.dependencies]\npython = "^3.11"\nFast_API = \'^0.1\'\nredis = {version = "^4"} # c\n',
    ),
    "missing poetry": (POETRY, "[build-system]\nrequires = []\n"),
    "another group": (LINT, '[project]\nname = "x"\n[dependency-groups]\nlint = ["Fast_API",{include-group = "x"}]\n'),
    "missing group beside others": (LINT, '[dependency-groups]\ndev = ["ruff"]\n\n[tool.uv]\nmanaged = true\n'),
    "missing group, dotted": (LINT, "dependency-groups.dev = ['ruff']\nx = 1\n"),
    "missing group, inline": (LINT, 'dependency-groups = { dev = ["ruff"] }\n'),
    "missing group, no table": (LINT, '[project]\r\nname = "x"\r\n'),
    "extra": (EXTRA, "[project]\noptional-dependencies.load = [\n  'Fast_API'\n]\n"),
    "missing extra": (EXTRA, '[project]\nname = "x"\n\n[project.optional-dependencies]\nweb = []\n'),
    "missing table of extras": (EXTRA, '[project]\nname = "x"\n[tool.x]\n'),
    "poetry group": (POETRY_LINT, '[tool.poetry.group.lint.dependencies]\nruff = "*"\n\n[tool.x]\na = 1\n'),
    "missing poetry group": (POETRY_LINT, "[tool.poetry.group.lint]\noptional = true\n\n[tool.x]\na = 1\n\n[y]"),
    "missing poetry groups": (POETRY_LINT, '[tool.poetry.dependencies]\npython = "^3.11"\n\n[build-system]\n'),
    "pdm group": (PDM, '[tool.pdm.dev-dependencies]\nlint = [\n    "ruff",\n    "-e file:///x#egg=x",\n]\n'),
    "missing pdm group": (PDM, '[tool.pdm.dev-dependencies]\ntest = ["pytest"]\n'),
    "lines": (LINES, "Fast_API >= 0.1 ; os_name == 'y'  # web\nredis>=4"),
    "new lines": (LINES, ""),
}
OWN = ["pyjwt[crypto]>=2.10", "aiosqlite>=0.20", "prometheus-client>=0.22"]


@pytest.mark.parametrize("name", MANIFESTS)
def test_dependencies_converge(name: str) -> None:
    home, user = MANIFESTS[name]

    def change(text: str, before: list[str], after: list[str]) -> str:
        return form_of(home).converged(text, before, after)

    all_of_them = change(user, [], OWN)
    one = change(user, [], OWN[:1])
    assert change(one, OWN[:1], OWN) == all_of_them
    assert change(change(user, [], OWN[1:]), OWN[1:], OWN) == all_of_them
    assert change(all_of_them, OWN, OWN[:1]) == one
    assert change(one, OWN[:1], []) == user
    declared = form_of(home).declared(all_of_them)
    old = form_of(home).declared(user)
    assert declared.keys() - old.keys() == {"pyjwt", "aiosqlite", "prometheus-client"}
    assert {name: declared[name] for name in old} == old
    assert requirements.extras_of(declared["pyjwt"]) == {"crypto"}
    if home.form != "lines":
        tomllib.loads(all_of_them)


@pytest.mark.parametrize("name", ["array", "poetry", "lines"])
def test_declared_name_is_not_added_beside(name: str) -> None:
    home, user = MANIFESTS[name]
    for entry in ("fast-api>=1", "Redis>=6"):
        with pytest.raises(TextEditError, match="is there with another"):
            form_of(home).converged(user, [], [entry])


@pytest.mark.parametrize("name", ["array", "group", "poetry", "lines"])
def test_declaration_gets_extras_and_its_old_spelling_back(name: str) -> None:
    home, user = MANIFESTS[name]
    for package in form_of(home).declared(user):
        old = form_of(home).spelling(user, package)
        changed = form_of(home).replaced(user, package, requirements.with_extras(old, ["extra"]))
        declared = form_of(home).declared(changed)
        assert requirements.extras_of(declared[package]) == {"extra"}
        assert requirements.satisfiable(declared[package], "0.1") == requirements.satisfiable(old, "0.1")
        own = form_of(home).converged(changed, [], OWN)
        assert form_of(home).replaced(own, package, old) == form_of(home).converged(user, [], OWN)
        assert form_of(home).replaced(changed, package, old) == user
    with pytest.raises(KeyError):
        form_of(home).spelling(user, "nothing")
    with pytest.raises(KeyError):
        form_of(home).replaced(user, "nothing", "x")


def test_declarations_that_cannot_be_replaced_alone() -> None:
    twice = "[project]\ndependencies = ['redis<5; x == 1', 'redis>=5']\n".replace("x == 1", 'python_version < "3.12"')
    with pytest.raises(TextEditError, match="declared 2 times"):
        form_of(ARRAY).replaced(twice, "redis", "redis[x]")
    own = "[tool.poetry.dependencies.Redis]\nversion = '^5'\n"
    assert form_of(POETRY).declared(own) == {"redis": '{version = "^5"}'}
    with pytest.raises(TextEditError, match="table of its own") as caught:
        form_of(POETRY).replaced(own, "redis", "^6")
    assert caught.value.line == 1


def test_dynamic_dependencies_are_refused() -> None:
    text = '[project]\nname = "x"\ndynamic = ["version", "dependencies"]\n'
    with pytest.raises(TextEditError, match="dynamic") as caught:
        form_of(ARRAY).converged(text, [], ["redis"])
    assert caught.value.line == 3
    assert form_of(EXTRA).converged(text, [], ["redis"]).startswith(text)
    with pytest.raises(TextEditError, match="optional-dependencies are dynamic"):
        form_of(EXTRA).converged(text.replace('"dep', '"optional-dep'), [], ["redis"])


def test_groups_of_several_features_are_one_array_or_table() -> None:
    text = '[project]\nname = "x"\n'
    homes = [LINT, EXTRA, PDM, POETRY_LINT]
    before = [piece for home in homes for piece in form_of(home).pieces(text, OWN[:1])]
    after = [piece for home in homes for piece in form_of(home).pieces(text, OWN)]
    one = toml.converge(text, [], before)
    assert toml.converge(one, before, after) == toml.converge(text, [], after)
    assert one == text + (
        '\n[dependency-groups]\nlint = [\n    "pyjwt[crypto]>=2.10",\n]\n'
        '\n[project.optional-dependencies]\nload = [\n    "pyjwt[crypto]>=2.10",\n]\n'
        '\n[tool.pdm.dev-dependencies]\nlint = [\n    "pyjwt[crypto]>=2.10",\n]\n'
        '\n[tool.poetry.group.lint.dependencies]\npyjwt = {version = ">=2.10", extras = ["crypto"]}\n'
    )
    assert toml.converge(toml.converge(one, before, after), after, []) == text


def test_poetry_entries_look_like_poetry() -> None:
    home, user = MANIFESTS["poetry"]
    result = form_of(home).converged(user, [], OWN)
    added = [line for line in result.splitlines() if line not in user.splitlines()]
    assert added == [
        'aiosqlite = ">=0.20"',
        'prometheus-client = ">=0.22"',
        'pyjwt = {version = ">=2.10", extras = ["crypto"]}',
    ]
