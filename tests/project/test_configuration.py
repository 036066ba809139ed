"""The table `[tool.laterctl]`: what may stand in it, and where it says what is wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from laterctl.project.configuration import KEYS, Misconfigured, configuration, key_line
from laterctl.project.tree import Tree
from tests.cli.command import YES, append, done, project, run, tree

PAGE = Path(__file__).parents[2] / "docs/configuration.md"
WRONG = [
    'core = "class"',
    'core = "core core"',
    'core = "a..b"',
    'core = ""',
    "core = 3",
    'api = "1st"',
    'tests = "."',
    'tests = ".git/hooks"',
    'tests = "../outside"',
    'tests = "/tmp/x"',
    'tests = "a//b"',
    'tests = "a/"',
    "tests = []",
    'app = "main"',
    'app = "main:app:x"',
    "app = 3",
    'settings = "a b:c"',
    'container = ["x:Y"]',
    'database = "db:"',
    "prove = 1",
    'prove = "yes"',
    'prove = "app"',
    "python = 3",
    "doctor = 3",
    "doctor.skip = 3",
    "doctor.skip = [3]",
    "doctor.nothing = 1",
    'tsets = "tests"',
    'core.x = "y"',
]


def made(text: str) -> Tree:
    return Tree(Path("/nonexistent"), {"pyproject.toml": text.encode()})


@pytest.mark.parametrize("line", WRONG)
@pytest.mark.parametrize(
    "layout", ["[project]\nname='x'\n\n[tool.laterctl]\n%s\n", "[ tool . 'laterctl' ]\n# first\n%s"]
)
def test_a_wrong_key_or_value_is_named_with_its_line(line: str, layout: str) -> None:
    text = layout % line
    with pytest.raises(Misconfigured) as caught:
        configuration(made(text))
    assert text.splitlines()[caught.value.line - 1] == line
    assert re.split(r"[ .]", line)[0] in caught.value.reason
    assert caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "tool.laterctl.core = 3",
        "tool = {laterctl = {core = 3}}",
        "[tool]\nlaterctl.core = 3",
        "[tool]\nlaterctl = {core = 3}",
        "[tool]\nlaterctl = 3",
        "[tool.laterctl.core]\nx = 1",
        "[[tool.laterctl]]\ncore = 'x'",
    ],
)
def test_other_ways_to_write_the_table(text: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        configuration(made(text))
    line = text.splitlines()[caught.value.line - 1]
    assert "laterctl" in line or "3" in line


def test_every_key_is_explained_with_an_example_that_is_valid() -> None:
    rows = re.findall(r"(?m)^\| `([\w.]+)( = .+?)` \| (.+?) \| (.+?) \|$", PAGE.read_text())
    assert [(key.name, key.kind, key.decides) for key in KEYS] == [(name, *row) for name, _, *row in rows]
    for name, value, *_ in rows:
        assert configuration(made(f"[tool.laterctl]\n{name}{value}\n"))


def test_lines_of_nested_tables() -> None:
    tree = made("[tool.laterctl]\ncore = 'x'\n[tool.laterctl.doctor]\nskip = []\n")
    assert (key_line(tree, "core"), key_line(tree, "doctor.skip"), key_line(tree, "missing")) == (2, 4, 1)


def test_commands_refuse_and_say_which_key(tmp_path: Path) -> None:
    folder = project(tmp_path)
    append(folder / "pyproject.toml", '\n[tool.laterctl]\ntests = ".git/hooks"\n')
    lines = (folder / "pyproject.toml").read_text().splitlines()
    before = tree(folder)
    for arguments in (["add", "cors", *YES], ["doctor"], ["info", "--project"], ["update", *YES], ["secret", "jwt"]):
        ran = run(folder, *arguments)
        assert ran.code == 3, ran.screen
        assert f"pyproject.toml:{len(lines)}: tests in [tool.laterctl] is '.git/hooks'" in ran.err
    assert tree(folder) == before


def test_info_says_which_key_changes_what(tmp_path: Path) -> None:
    folder = project(tmp_path)
    append(folder / "pyproject.toml", '\n[tool.laterctl]\ntests = "checks"\n')
    keys = {item["key"]: item for item in done(folder, "info", "--project", "--json").document["keys"]}
    assert list(keys) == [key.name for key in KEYS]
    assert (keys["tests"]["fact"], keys["tests"]["value"], keys["core"]["value"]) == ("layout", "checks", None)
    assert 'chosen by tests = "checks"  pyproject.toml:' in done(folder, "info", "--project").out
