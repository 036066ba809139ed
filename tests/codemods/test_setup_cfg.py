"""Edits of the lists of dependencies in a setup.cfg: only the entry moves, and it comes out again."""

from __future__ import annotations

import configparser

import pytest

from laterctl.codemods.placement import TextEditError
from laterctl.dialects.manifest import form_of
from laterctl.project.facts import DependencyHome

HOME = DependencyHome("cfg", "setup.cfg", ("options", "install_requires"))
TEST = DependencyHome("cfg", "setup.cfg", ("options.extras_require", "test"))
CFG = """\
[metadata]
name = shop

[options]
install_requires =
    anyio>=4
    # the framework
    FastAPI >= 0.115 ; python_version >= "3.11"
    uvicorn[standard]

[options.extras_require]
docs =
    furo
test=
  pytest
"""
TEXTS = {
    "plain": CFG,
    "CRLF": CFG.replace("\n", "\r\n"),
    "tabs": CFG.replace("    ", "\t"),
    "blank lines": CFG.replace("    # the framework\n", "\n    # the framework\n\n"),
    "open end": CFG.removesuffix("\n"),
    "byte order mark": "\ufeff" + CFG,
}


@pytest.fixture(params=TEXTS)
def text(request: pytest.FixtureRequest) -> str:
    return TEXTS[request.param]


@pytest.mark.parametrize("home", [HOME, TEST], ids=["runtime", "extra"])
def test_an_entry_goes_in_and_comes_out(text: str, home: DependencyHome) -> None:
    after = form_of(home).converged(text, [], ["pyjwt>=2.10"])
    parser = configparser.ConfigParser()
    parser.read_string(after.removeprefix("\ufeff"))
    assert "pyjwt>=2.10" in parser[home.table[0]][home.table[1]].splitlines()
    kept = [line for line in after.splitlines(keepends=True) if "pyjwt" not in line]
    assert [line.strip() for line in kept] == [line.strip() for line in text.splitlines()]
    (own,) = [line for line in after.splitlines() if "pyjwt" in line]
    margins = {"runtime": "\t" if "\t" in text else "    ", "extra": "  "}
    assert own == margins["runtime" if home is HOME else "extra"] + "pyjwt>=2.10"
    assert form_of(home).converged(after, ["pyjwt>=2.10"], []) == text


def test_it_goes_to_its_sorted_place() -> None:
    after = form_of(HOME).converged(CFG, [], ["pyjwt>=2.10"]).splitlines()
    assert after.index("    pyjwt>=2.10") == after.index("    uvicorn[standard]") - 1


def test_what_is_declared(text: str) -> None:
    found = form_of(HOME).declared(text)
    assert found == {
        "anyio": "anyio>=4",
        "fastapi": 'FastAPI >= 0.115 ; python_version >= "3.11"',
        "uvicorn": "uvicorn[standard]",
    }
    assert form_of(TEST).declared(text) == {"pytest": "pytest"}


def test_extras_are_given_and_taken_back(text: str) -> None:
    after = form_of(HOME).replaced(text, "uvicorn", "uvicorn[other,standard]")
    assert "uvicorn[other,standard]" in after
    assert form_of(HOME).replaced(after, "uvicorn", "uvicorn[standard]") == text


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("install_requires = fastapi; uvicorn\n", 2),
        ("install_requires = fastapi\n    uvicorn\n", 2),
        ("install_requires =\n    fastapi\n  uvicorn\n", 2),
        ("packages = find:\n", 1),
    ],
)
def test_other_forms_are_refused(value: str, line: int) -> None:
    with pytest.raises(TextEditError) as caught:
        form_of(HOME).converged(f"[options]\n{value}", [], ["pyjwt>=2.10"])
    assert caught.value.line == line


def test_an_error_names_the_line_of_the_file() -> None:
    with pytest.raises(TextEditError) as caught:
        form_of(HOME).converged(CFG, [], ["uvicorn>=1"])
    assert CFG.splitlines()[caught.value.line - 1] == "    uvicorn[standard]"
