"""Fixtures in the tests' conftest.py: in the user's, at its end and in its style, or in one of ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from laterctl.edits.fixture import Fixture
from laterctl.engine.plan import Request
from laterctl.feature import Feature
from laterctl.proof.static import prove
from tests import extra, memory

APP = {
    "main.py": b"from fastapi import FastAPI\n\napp = FastAPI()\n",
    "requirements.txt": b"fastapi\n",
    "tests/__init__.py": b"",
    "tests/test_app.py": b"import pytest\n",
}
CLOCK = """\
import time

import pytest


@pytest.fixture
def clock() -> float:
    \"\"\"The time.

    In seconds.
    \"\"\"
    if True:
        return time.time()
"""
USERS = """\
from collections.abc import Callable

import pytest


@pytest.fixture(scope='session')
def user() -> Callable[[], int]:
    return lambda: 1
"""


@pytest.fixture(autouse=True)
def features(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    extra.write_templates(monkeypatch, tmp_path, {"clock.py.jinja": CLOCK, "users.py.jinja": USERS})
    one = Feature(name="clock", summary="a clock", edits=(Fixture("clock.py.jinja"),))
    other = Feature(name="users", summary="users", edits=(Fixture("users.py.jinja"),))
    extra.declare(monkeypatch, one, other)


def added(conftest: str, *names: str) -> str:
    """Return a conftest after `add`, which has passed the proof, in any order, and can be taken back."""
    before = APP | {"tests/conftest.py": conftest.encode()}
    request = Request(add=names)
    assert prove(memory.project(before), memory.planned(before, request)) == []
    after = memory.add(before, *names)
    grown = before
    for name in reversed(names):
        grown = memory.add(grown, name)
    assert grown == after
    assert memory.remove(after, *names) == before
    for name in names:
        rest = [other for other in names if other != name]
        assert memory.remove(after, name) == (memory.add(before, *rest) if rest else before)
    return after["tests/conftest.py"].decode()


def test_it_stands_at_the_end_two_lines_below() -> None:
    assert added("import os\n\nos.environ['A'] = '1'\n", "clock") == (
        "import os\nimport time\n\nimport pytest\n\nos.environ['A'] = '1'\n\n\n@pytest.fixture\n"
        'def clock() -> float:\n    """The time.\n\n    In seconds.\n    """\n    if True:\n        return time.time()\n'
    )


@pytest.mark.parametrize(
    "conftest",
    [
        "",
        '"""Ours."""\n',
        "# a comment alone\n",
        "import pytest\n",
        "import os, pytest\n\nprint(os, pytest)\n",
        "import pytest as pt\n\n\n@pt.fixture\ndef one():\n    return 1\n",
        "from pytest import fixture\n\n\n@fixture\ndef one():\n    return 1\n# behind\n",
        "def one():\n    return 1",
        "import sys\nif sys:\n    print(1)\n\n\n",
        "import time\nimport pytest\n\n@pytest.fixture\ndef one(): return time\n",
        "from __future__ import annotations\n\nfrom app import x\nimport b\n\nx(b)\n",
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_any_conftest_takes_them_and_is_given_back(conftest: str, newline: str) -> None:
    after = added(conftest.replace("\n", newline), "clock", "users")
    assert after.count("\n") == after.count(newline if "\n" in conftest else "\n")
    assert after.index("def clock") < after.index("def user")
    compile(after, "conftest.py", "exec")


def test_tabs_are_the_file_s() -> None:
    before = APP | {
        "main.py": b"from fastapi import FastAPI\n\n\ndef make():\n\treturn 1\n\n\napp = FastAPI()\n",
        "tests/conftest.py": b"def one():\n\treturn 1\n",
    }
    after = memory.add(before, "clock")
    assert b"\tif True:\n\t\treturn time.time()\n" in after["tests/conftest.py"]
    assert memory.remove(after, "clock") == before


def test_two_share_a_new_conftest_that_goes_with_the_last() -> None:
    both = memory.add(APP, "clock", "users")
    assert both["tests/conftest.py"].startswith(b'"""Fixtures that the tests share."""\n\nimport time\n')
    assert b'scope="session"' in both["tests/conftest.py"]
    one = memory.remove(both, "clock")
    assert one == memory.add(APP, "users")
    assert memory.remove(one, "users") == APP
    assert b"conftest" not in b"".join(path.encode() for path in APP)


def test_what_the_user_added_to_a_conftest_of_ours_stays() -> None:
    both = memory.add(APP, "clock", "users")
    mine = b"\n\ndef mine():\n    return 2\n"
    after = memory.remove(both | {"tests/conftest.py": both["tests/conftest.py"] + mine}, "clock")
    assert after["tests/conftest.py"].endswith(mine)
    assert b"def clock" not in after["tests/conftest.py"]
    assert b"def user" in after["tests/conftest.py"]
    assert memory.planned(after, Request(add=("users",))).changeset == {}


def test_a_fixture_of_that_name_is_the_user_s() -> None:
    before = APP | {"tests/conftest.py": b"def clock():\n    return 3\n"}
    (refusal,) = memory.planned(before, Request(add=("clock",))).refusals
    assert (refusal.code, str(refusal.place)) == ("name-clash", "tests/conftest.py:1")


def test_the_same_fixture_by_hand_is_adopted() -> None:
    hand = CLOCK.encode().replace(b"'", b'"')
    before = APP | {"tests/conftest.py": hand}
    after = memory.add(before, "clock")
    assert after["tests/conftest.py"] == hand
    assert memory.remove(after, "clock") == before


def test_an_import_that_the_user_has_come_to_use_is_not_taken_away() -> None:
    after = memory.add(APP | {"tests/conftest.py": b"x = 1\n"}, "clock")
    used = after | {"tests/conftest.py": after["tests/conftest.py"] + b"\n\nprint(time.time())\n"}
    (refusal,) = memory.planned(used, Request(remove=("clock",))).refusals
    assert (refusal.code, refusal.message) == ("still-used", "tests/conftest.py uses time")


def test_a_template_with_something_else_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    extra.write_templates(monkeypatch, tmp_path, {"more.py.jinja": "import os\n\nX = os.name\n"})
    extra.declare(monkeypatch, Feature(name="more", summary="more", edits=(Fixture("more.py.jinja"),)))
    with pytest.raises(ValueError, match=r"more\.py\.jinja:3 is neither an import nor a function"):
        memory.planned(APP, Request(add=("more",)))


@pytest.mark.parametrize("path", ["tests/test_more.py", "tests/conftest.py"])
def test_a_fixture_that_tests_ask_for_is_not_taken_away(path: str) -> None:
    after = memory.add(APP | {"tests/conftest.py": b"x = 1\n"}, "clock", "users")
    used = after | {path: after.get(path, b"") + b"\n\ndef test_now(clock):\n    ...\n"}
    (refusal,) = memory.planned(used, Request(remove=("clock",))).refusals
    assert (refusal.code, refusal.message) == ("still-used", f"{path} uses clock of tests.conftest")
    assert memory.planned(used, Request(remove=("users",))).refusals == ()
