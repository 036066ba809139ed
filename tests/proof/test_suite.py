"""`--prove tests`: the project's own tests before and after, in scratch copies."""

from __future__ import annotations

from pathlib import Path

import pytest

from laterctl.project.discover import discover
from laterctl.proof import suite
from tests.proof.scene import MANIFEST, SHOP, committed, environment, project, run, tree, write
from tests.shapes import copy, git, shape_named

TESTS = """\
import os
from pathlib import Path

import pytest

import main

PLACE = Path(main.__file__)


def test_the_copy_is_tested():
    assert PLACE.parent == Path(__file__).parents[1]
    assert (PLACE.parents[1].name, PLACE.parents[2].name.partition("-")[0]) == ("copy", "laterctl")
    PLACE.with_name("mark").touch()


class TestThem:
    @pytest.mark.parametrize("word", ["a", "b[c]", "d::e"])
    def test_words(self, word):
        assert word


@pytest.mark.skip(reason="not today")
def test_skipped(): ...


def test_fails_already():
    assert not "already"
"""
COUNTS = """

def test_no_middleware():
    assert main.app.user_middleware == [], "there is one now"
"""
PROVED = ("--yes", "--no-install", "--prove", "tests")


def shop(folder: Path, **files: str) -> Path:
    """A project with tests, committed."""
    named = {name.replace("__", "/") + ".py": text for name, text in files.items()}
    return committed(project(folder, {"main.py": SHOP, "tests/test_shop.py": TESTS, **named}))


def test_what_passed_still_passes_and_the_new_ones_do(tmp_path: Path) -> None:
    root = shop(tmp_path / "shop")
    before = tree(root)
    ran = run(root, "add", "metrics", *PROVED)
    assert ran.code == 0, ran.screen
    assert "it starts and stops; 4 tests pass as before, " in ran.out
    assert " new ones too" in ran.out
    for line in ("running the tests as they are, in a", "running the tests as they are now, in a"):
        assert line in ran.err
    assert "again: laterctl add metrics --yes --no-install --prove tests\n" in ran.out
    removed = run(root, "remove", "metrics", *PROVED, "--allow-dirty", "--json")
    assert removed.code == 0, removed.screen
    proof = removed.document["proof"]
    assert (proof["tests"], proof["tested"], proof["started"]) == ("4 tests pass as before", True, True)
    assert removed.document["command"].endswith(" --prove tests --allow-dirty")
    assert tree(root) == before, "the tests of a feature go with it, and nothing was left behind"


@pytest.mark.parametrize(
    ("more", "failing"),
    [
        (COUNTS, "tests/test_shop.py::test_no_middleware passed, and is failed now: AssertionError: there is one now"),
        (
            COUNTS.replace("def test", "@pytest.mark.skipif(bool(main.app.user_middleware), reason='busy')\ndef test"),
            "tests/test_shop.py::test_no_middleware passed, and is skipped now: busy",
        ),
        (
            "\n\nif not main.app.user_middleware:\n\n    def test_more(): ...\n",
            "tests/test_shop.py::test_more is not run any more",
        ),
        (
            "\n\nassert not main.app.user_middleware\n",
            "tests/test_shop.py cannot be collected any more: ",
        ),
        (
            "\n\n@pytest.fixture\ndef busy():\n    yield\n    assert not main.app.user_middleware\n\n\n"
            "class TestBusy:\n    def test_it(self, busy): ...\n",
            "tests/test_shop.py::TestBusy::test_it passed, and is failed now: ",
        ),
    ],
)
def test_a_test_that_passes_no_more_restores_everything(more: str, failing: str, tmp_path: Path) -> None:
    root = shop(tmp_path / "shop", tests__test_shop=TESTS + more)
    before = tree(root)
    ran = run(root, "add", "metrics", *PROVED, "--json")
    assert ran.code == 4, ran.screen
    (failure,) = ran.document["failures"]
    assert (failure["check"], failure["feature"], failure["place"]["path"]) == (
        "tests",
        "metrics",
        "tests/test_shop.py",
    )
    assert failure["message"].startswith(failing)
    assert tree(root) == before
    assert git(root, "status", "--porcelain") == ""
    assert run(root, "add", "metrics", "--yes", "--no-install", "--prove").code == 0, "the app alone is as it was"


def test_a_new_test_that_fails_restores_everything(tmp_path: Path) -> None:
    conftest = (
        "import pytest\n\n\n@pytest.hookimpl(tryfirst=True)\ndef pytest_runtest_call(item):\n"
        "    assert 'metrics' not in item.nodeid, 'no metrics here'\n"
    )
    root = shop(tmp_path / "shop", conftest=conftest)
    before = tree(root)
    ran = run(root, "add", "metrics", *PROVED)
    assert ran.code == 4, ran.screen
    said = " ".join(ran.err.split())
    assert "tests/test_metrics.py:1: tests/test_metrics.py::" in said
    assert " is new, and fails: AssertionError: no metrics here" in said
    assert "(tests; metrics)" in said
    assert tree(root) == before


@pytest.mark.parametrize("broken", [False, True])
def test_new_tests_are_run_where_the_project_looks_elsewhere(broken: bool, tmp_path: Path) -> None:
    root = project(tmp_path / "shop", {"main.py": SHOP, "checks/test_shop.py": "def test_it(): ...\n"})
    options = 'testpaths = ["checks"]\naddopts = "-x -q"\n[tool.laterctl]\ntests = "tests"\n'
    write(root, {"pyproject.toml": f"{MANIFEST}\n[tool.pytest.ini_options]\n{options}"})
    write(root, {"tests/conftest.py": "raise RuntimeError('out of order')\n" if broken else "\n"})
    before = tree(committed(root))
    ran = run(root, "add", "metrics", *PROVED)
    assert ran.code == (4 if broken else 0), ran.screen
    assert ("1 tests pass as before, " in ran.out) != broken
    assert (" is new, and fails: pytest ended with 4 and without a report: " in ran.err) == broken
    assert (tree(root) == before) == broken


def test_a_test_that_fails_now_and_then_is_not_blamed(tmp_path: Path) -> None:
    turns = tmp_path / "turns"
    flaky = (
        f"from pathlib import Path\n\nTURNS = Path({str(turns)!r})\n\n\ndef test_flaky():\n"
        "    with TURNS.open('a') as file:\n        file.write('.')\n    assert TURNS.read_text() == '.'\n"
    )
    root = shop(tmp_path / "shop", tests__test_flaky=flaky)
    ran = run(root, "add", "metrics", *PROVED)
    assert ran.code == 0, ran.screen
    assert turns.read_text() == "...", "before, after, and before once more"


# When they cannot be run


def without_tests(folder: Path) -> Path:
    return project(folder, {"main.py": SHOP})


def without_pytest(folder: Path) -> Path:
    write(folder, {"pyproject.toml": MANIFEST, "main.py": SHOP, "tests/test_shop.py": TESTS})
    environment(folder / ".venv", without=("pytest", "_pytest"))
    return folder


def without_environment(folder: Path) -> Path:
    write(folder, {"pyproject.toml": MANIFEST, "main.py": SHOP, "tests/test_shop.py": TESTS})
    return folder


def without_a_test_that_passes(folder: Path) -> Path:
    return project(folder, {"main.py": SHOP, "tests/test_shop.py": "def test_it():\n    assert not 'a database'\n"})


def with_options_that_pytest_does_not_know(folder: Path) -> Path:
    root = project(folder, {"main.py": SHOP, "tests/test_shop.py": TESTS})
    write(root, {"pytest.ini": "[pytest]\naddopts = --no-such-option\n"})
    return root


def with_tests_that_end_the_process(folder: Path) -> Path:
    return project(folder, {"main.py": SHOP, "tests/test_shop.py": "import os\n\nos._exit(0)\n"})


IMPOSSIBLE = [
    (without_tests, "the project has no tests that pytest finds"),
    (without_pytest, "/.venv/bin/python: pytest"),
    (without_environment, "no virtual environment of the project was found"),
    (without_a_test_that_passes, "none of the 1 tests passes here: AssertionError: assert not 'a database'"),
    (with_options_that_pytest_does_not_know, "pytest ended with 4 and without a report: "),
    (with_tests_that_end_the_process, "the tests did not end: "),
]


@pytest.mark.parametrize(("made", "why"), IMPOSSIBLE)
def test_tests_that_cannot_be_run(made: object, why: str, tmp_path: Path) -> None:
    assert callable(made)
    root = committed(made(tmp_path / "shop").resolve())
    before = tree(root)
    ran = run(root, "add", "metrics", *PROVED)
    assert ran.code == 7, ran.screen
    said = " ".join(ran.err.split())
    assert "not proved: the tests cannot be run: " in said
    assert why in said
    assert "Nothing was written." in said
    assert tree(root) == before


def test_the_key_asks_for_them_where_they_can_be_run(tmp_path: Path) -> None:
    key = f'{MANIFEST}\n[tool.laterctl]\nprove = "tests"\n'
    root = shop(tmp_path / "shop")
    write(root, {"pyproject.toml": key})
    ran = run(committed(root), "add", "metrics", "--yes", "--no-install")
    assert ran.code == 0, ran.screen
    assert "4 tests pass as before" in ran.out
    assert "again: laterctl add metrics --yes --no-install --prove tests\n" in ran.out
    bare = without_tests(tmp_path / "bare")
    write(bare, {"pyproject.toml": key})
    ran = run(committed(bare), "add", "metrics", "--yes", "--no-install")
    assert ran.code == 0, ran.screen
    assert "proved: 6 routes as before" in ran.out
    assert "; the tests cannot be run: the project has no tests that pytest finds" in ran.out
    assert "again: laterctl add metrics --yes --no-install\n" in ran.out
    keys = {item["key"]: item["value"] for item in run(root, "info", "--project", "--json").document["keys"]}
    assert keys["prove"] == "tests"
    ran = run(root, "remove", "metrics", "--yes", "--no-install", "--allow-dirty", "--no-prove", "--json")
    assert ran.document["proof"] is None


def test_a_hang_ends_in_time(tmp_path: Path) -> None:
    root = project(tmp_path / "shop", {"main.py": SHOP, "tests/test_shop.py": "import time\n\ntime.sleep(600)\n"})
    found = suite.observe(discover(root), timeout=6)
    assert found.reason.startswith("the tests did not end: it took longer than 6 seconds")


def test_an_editable_install_is_tested_in_the_copy(tmp_path: Path) -> None:
    """Also by what the tests start: the path of the original stands on the path of the environment."""
    files = {
        "src/shop/__init__.py": "",
        "src/shop/main.py": SHOP,
        "tests/test_shop.py": "import subprocess, sys\nimport shop.main\n\n\ndef test_it():\n"
        "    code = 'import shop.main; print(shop.main.__file__)'\n"
        "    ran = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)\n"
        "    assert ran.stdout.strip() == shop.main.__file__\n    assert 'laterctl-' in shop.main.__file__\n",
    }
    root = project(tmp_path / "shop", files)
    (site,) = (root / ".venv").glob("lib/python*/site-packages")
    write(site, {"shop.pth": f"{root}/src\n"})
    found = suite.observe(discover(root))
    assert found.reason == ""
    assert [*found.cases.items()] == [("tests/test_shop.py::test_it", suite.Case("passed", "", "tests/test_shop.py"))]


@pytest.mark.parametrize("name", ["factory", "own_lifespan", "src_layout", "subfolder"])
def test_shapes(name: str, tmp_path: Path) -> None:
    root = copy(shape_named(name), tmp_path / "repository")
    environment(root / ".venv")
    write(root, {".gitignore": ".venv/\n", "tests/test_own.py": "def test_own(): ...\n"})
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message=Tests")
    ran = run(root, "add", "cors", *PROVED)
    assert ran.code == 0, ran.screen
    assert "1 new ones too" not in ran.out
    assert " pass as before, " in ran.out


# The command line


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--prove", "metrics"), 0),
        (("metrics", "--prove"), 0),
        (("metrics", "--prove", "tests"), 0),
        (("--prove", "tests", "metrics"), 0),
        (("--prove=tests", "metrics"), 0),
        (("--prove", "--", "metrics"), 0),
        (("metrics", "--no-prove"), 0),
        (("metrics", "--prove", "everything"), 2),
        (("metrics", "--prove=everything"), 2),
        (("metrics", "--prove", "--no-prove"), 2),
    ],
)
def test_the_word_behind_the_option(arguments: tuple[str, ...], code: int, tmp_path: Path) -> None:
    root = tmp_path / "shop"
    write(root, {"pyproject.toml": MANIFEST, "main.py": SHOP})
    ran = run(root, "add", "--dry-run", *arguments)
    assert ran.code == code, ran.screen
    assert ("add metrics" in ran.out) == (code == 0)
