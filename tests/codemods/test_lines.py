"""Edits of requirements, ignore files and example environments."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from laterctl.codemods import lines
from laterctl.codemods.placement import TextEditError
from laterctl.project.requirements_file import read_requirements

Converge = Callable[[str, Sequence[str], Sequence[str]], str]

REQUIREMENTS = """\
# Production
-r base.txt
--index-url https://example.org/simple

anyio==4.0  # async
FastAPI [standard] >= 0.115 ; python_version >= "3.11"
pydantic_settings
sqlalchemy \\
    >= 2 \\
    ; python_version >= "3.11"
-e git+https://example.org/x.git#egg=Local_Thing
uvicorn[standard]>=0.30

# end
"""
TEXTS = {
    "empty": "",
    "one newline": "\n",
    "blanks": "\n  \n\n",
    "comment": "# none",
    "sorted": REQUIREMENTS,
    "unsorted": "uvicorn\nfastapi>=0.1\n# redis\n",
    "open end": "fastapi\nuvicorn",
    "CRLF": REQUIREMENTS.replace("\n", "\r\n"),
    "CRLF, open end": "uvicorn\r\nfastapi",
    "BOM": "\ufeff" + REQUIREMENTS,
    "blank lines at the end": "fastapi\n\n\n",
    "blanks at the end": "fastapi\n   ",
    "form feeds": "fastapi\x0c\nuvicorn\u2028\n",
}
KINDS: dict[str, tuple[Converge, list[str]]] = {
    "requirements": (
        lines.converge_requirements,
        ["redis[hiredis]>=6", "alembic", 'zope; python_version < "4"', "Pyjwt>=2"],
    ),
    "ignores": (lines.converge_ignores, ["*.db", "/.data/", "!keep", "z"]),
    "env": (lines.converge_env, ["REDIS_URL=", "# How long, in seconds\nJWT_TTL=600", "A=1", "# one\n# two\nZ=x # y"]),
}


def _check_algebra(converge: Converge, user: str, one: list[str], two: list[str]) -> None:
    both = [*one, *two]
    together = converge(user, [], both)
    first, second = converge(user, [], one), converge(user, [], two)
    assert converge(first, one, both) == together
    assert converge(second, two, [*two, *one]) == together
    assert converge(together, both, both) == together
    assert converge(together, both, one) == first
    assert converge(together, both, two) == second
    assert converge(together, both, []) == user
    rest = iter(together.removeprefix("\ufeff").replace("\r\n", "\n").split("\n"))
    assert all(line in rest for line in user.removeprefix("\ufeff").replace("\r\n", "\n").rstrip("\n").split("\n"))
    for entry in both:
        assert f"\n{entry}\n" in "\n" + together.removeprefix("\ufeff").replace("\r\n", "\n") + "\n"
    if "\r\n" in user:
        assert "\n" not in together.replace("\r\n", "")
    if user.strip("\ufeff"):
        assert together.endswith("\n") == user.endswith("\n")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", TEXTS)
def test_algebra(kind: str, name: str) -> None:
    converge, own = KINDS[kind]
    for cut in range(len(own) + 1):
        _check_algebra(converge, TEXTS[name], own[:cut], own[cut:])
        _check_algebra(converge, TEXTS[name], own[cut:], own[:cut][::-1])


LINE = st.sampled_from(
    [
        "",
        "  ",
        "# c",
        "fastapi",
        "uvicorn>=1 # x",
        "SQLAlchemy",
        "zz==1",
        "-r x.txt",
        "a \\\n  >=1",
        "A_b",
        "  b",
        "X=1",
    ]
)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(LINE, max_size=6).map("\n".join),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
    st.sampled_from(sorted(KINDS)),
    st.integers(0, 4),
)
@example(text="zz==1", newline="\n", ends=False, kind="requirements", cut=1)
def test_algebra_on_generated_files(text: str, newline: str, ends: bool, kind: str, cut: int) -> None:
    converge, own = KINDS[kind]
    user = (text + "\n" * ends).replace("\n", newline)
    _check_algebra(converge, user, own[:cut], own[cut:])


def test_sorted_requirements_stay_sorted() -> None:
    result = lines.converge_requirements(REQUIREMENTS, [], ["redis>=6", "alembic", "tzdata"])
    added = [line for line in result.splitlines() if line not in REQUIREMENTS.splitlines()]
    assert added == ["alembic", "redis>=6", "tzdata"]
    assert "\nalembic\nanyio==4.0  # async\n" in result
    assert "pydantic_settings\nredis>=6\nsqlalchemy \\\n" in result
    assert '    ; python_version >= "3.11"\ntzdata\n-e git' in result
    assert lines.converge_requirements("z\na\n", [], ["m"]) == "z\na\nm\n"


def test_requirements_are_read_as_pip_reads_them() -> None:
    more = "x==1 --hash=sha256:abc --hash=sha256:def\r\n./local\r\na#b\r\n"
    text = "\ufeff" + REQUIREMENTS.replace("\n", "\r\n") + more
    assert [(found.name, found.text, found.line) for found in read_requirements(text)] == [
        ("anyio", "anyio==4.0", 5),
        ("fastapi", 'FastAPI [standard] >= 0.115 ; python_version >= "3.11"', 6),
        ("pydantic-settings", "pydantic_settings", 7),
        ("sqlalchemy", 'sqlalchemy >= 2 ; python_version >= "3.11"', 8),
        ("local-thing", "-e git+https://example.org/x.git#egg=Local_Thing", 11),
        ("uvicorn", "uvicorn[standard]>=0.30", 12),
        ("x", "x==1", 15),
        ("a", "a#b", 17),
    ]


def test_nothing_is_glued_to_a_last_line() -> None:
    assert lines.converge_requirements("fastapi", [], ["redis"]) == "fastapi\nredis"
    assert lines.converge_ignores("*.pyc", [], [".data/"]) == "*.pyc\n.data/"
    with pytest.raises(TextEditError, match="continued") as caught:
        lines.converge_requirements("b\na \\", [], ["z"])
    assert caught.value.line == 2


def test_ignore_lines_go_to_the_end_where_they_win() -> None:
    assert lines.converge_ignores("*\n!a\n", [], ["z", "b"]) == "*\n!a\nb\nz\n"


def test_what_the_user_has_is_not_added() -> None:
    assert lines.converge_ignores("  .data/ \n", [], [".data/"]) == "  .data/ \n"
    assert lines.converge_requirements("redis>=6  # cache\n", [], ["redis>=6"]) == "redis>=6  # cache\n"
    for line in ("REDIS_URL=redis://x", "# REDIS_URL=", "export REDIS_URL = 1"):
        assert lines.converge_env(f"{line}\n", [], ["# where\nREDIS_URL="]) == f"{line}\n"


@pytest.mark.parametrize("altered", ["redis>=7", "redis>=6  # ours?", "  redis>=6", ""])
def test_altered_entry_is_left_alone(altered: str) -> None:
    text = f"fastapi\n{altered}\n"
    assert lines.converge_requirements(text, ["redis>=6"], []) == text
    assert lines.converge_requirements(text, ["redis>=6"], ["redis>=6"]) == text
    both = lines.converge_requirements(text, ["redis>=6"], ["redis>=6", "zope"])
    assert [line for line in both.splitlines() if line not in text.splitlines()] == ["zope"]


def test_altered_environment_entry_is_left_alone() -> None:
    own = ["# seconds\nTTL=600"]
    text = "# seconds\nTTL=60\n"
    assert lines.converge_env(text, own, []) == text
    assert lines.converge_env(text, own, [*own, "X=1"]) == text + "X=1\n"


def test_moved_entries_stay_where_they_are() -> None:
    text = "redis>=6\nb\na\n"
    assert lines.converge_requirements(text, ["redis>=6"], ["redis>=6", "zope"]) == "redis>=6\nb\na\nzope\n"
    assert lines.converge_requirements(text, ["redis>=6"], []) == "b\na\n"


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("fastapi\nRedis<5\n", 2, "redis is there"),
        ("fastapi==1 \\\n    --hash=sha256:abc\n", 2, "hashes"),
        ("#\n# This file is autogenerated by pip-compile with Python 3.12\n#\nfastapi==1\n", 2, "generated"),
        ("# This file was autogenerated by uv via the following command:\nfastapi==1\n", 1, "generated"),
    ],
)
def test_refusal_names_the_line(text: str, line: int, reason: str) -> None:
    with pytest.raises(TextEditError, match=reason) as caught:
        lines.converge_requirements(text, [], ["redis>=6"])
    assert caught.value.line == line


def test_entries_leave_also_from_a_file_that_takes_none() -> None:
    text = "# autogenerated by pip-compile\nredis>=6\n"
    assert lines.converge_requirements(text, ["redis>=6"], []) == "# autogenerated by pip-compile\n"


def test_replacing_keeps_what_stands_behind() -> None:
    text = "redis >= 4 ; x == 'y'  # cache\r\nredis-om>=1\r\n"
    old, new = "redis >= 4 ; x == 'y'", "redis[hiredis] >= 4 ; x == 'y'"
    changed = lines.replace_requirement(text, old, new)
    assert changed == text.replace("redis >=", "redis[hiredis] >=")
    assert lines.replace_requirement(changed, new, old) == text
    with pytest.raises(KeyError):
        lines.replace_requirement(text, "redis", "x")
    with pytest.raises(TextEditError):
        lines.replace_requirement(REQUIREMENTS, 'sqlalchemy >= 2 ; python_version >= "3.11"', "x")
