"""`update` and `diff` from outside, on projects as an earlier release left them, and `--set` and `--without`."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from typer.testing import CliRunner, Result

from laterctl import __version__
from laterctl.cli.app import app
from tests.cli.command import (
    COMMAND,
    YES,
    append,
    commit,
    contents,
    done,
    environment,
    project,
    replace,
    run,
    tree,
    validator,
)
from tests.releases import OLD, PARCEL_FILE, newer
from tests.shapes import git
from tests.test_archive import ARCHIVE, files, projects

OLDER: Final = ARCHIVE / "0.1.0.json.xz"
CLASH: Final = ("Answer what parcels weigh.", "Answer in grams.")
NEW: Final = newer(parcel=PARCEL_FILE.replace(CLASH[0], "Answer with the weight of a parcel."))


def archived(tmp_path: Path, name: str = "flat") -> Path:
    """Write a project as 0.1.0 left it, as a repository with one commit."""
    folder = tmp_path / "archived"
    for path, data in files(projects(OLDER)[name]["after"]).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    git(folder, "init", "--quiet", "--initial-branch=main", "--template=")
    git(folder, "add", "--all", "--force")
    git(folder, "commit", "--quiet", "--message=As 0.1.0 left it")
    return folder


def test_a_whole_project_and_back(tmp_path: Path) -> None:
    folder = archived(tmp_path)
    before = contents(folder)
    checked = run(folder, "update", "--check", "--json")
    assert (checked.code, checked.document["stage"]) == (1, "check")
    assert "jwt" in checked.document["updated"]
    assert checked.document["added"] == checked.document["removed"] == []
    shown = done(folder, "update", "--dry-run")
    assert f"update jwt from 0.1.0 to {__version__}" in shown.out
    assert contents(folder) == before
    asked = run(folder, "update")
    assert (asked.code, "laterctl update --yes" in asked.screen) == (6, True)

    patch = done(folder, "update", "--diff").out
    ran = done(folder, "update", *YES)
    assert ran.out.startswith("Updated ")
    assert "again: laterctl update --yes --no-install" in ran.out
    after = contents(folder)
    assert patch

    assert done(folder, "update", *YES).out.endswith("are up to date.\n")
    assert done(folder, "add", "jwt", *YES).out == "Nothing to do: jwt is installed already.\n"
    assert contents(folder) == after
    commit(folder)
    done(folder, "undo", "--yes")
    assert contents(folder) == before


def test_the_patch_is_the_run(tmp_path: Path) -> None:
    folder = archived(tmp_path, "foundation")
    before = contents(folder)
    patch = subprocess.run(
        [*COMMAND, "update", "--diff"], cwd=folder, env=environment(), capture_output=True, check=True
    ).stdout
    done(folder, "update", *YES)
    after = contents(folder)
    git(folder, "reset", "--hard", "--quiet")
    git(folder, "clean", "-fdq")
    assert contents(folder) == before
    (tmp_path / "update.patch").write_bytes(patch)
    git(folder, "apply", str(tmp_path / "update.patch"))
    assert contents(folder) == after


def test_edits_are_shown_and_kept(tmp_path: Path) -> None:
    folder = archived(tmp_path)
    append(folder / "core/routing.py", "\n\nMINE = 1\n")
    replace(folder / "main.py", "app.include_router(auth_router)\n", "")
    replace(folder / "pyproject.toml", "branch = true", "branch = false")
    os.remove(folder / "tests/test_cors.py")
    commit(folder)

    found = done(folder, "diff", "--json").document
    states = {(item["state"], item["place"]["path"]) for item in found["differences"]}
    assert states == {
        ("edited", "core/routing.py"),
        ("gone", "main.py"),
        ("edited", "pyproject.toml"),
        ("gone", "tests/test_cors.py"),
    }
    patches = {item["place"]["path"]: item["patch"] for item in found["differences"] if item["patch"]}
    assert patches.keys() == {"core/routing.py"}
    added = [line for line in patches["core/routing.py"].splitlines() if line[:1] == "+" and line[:3] != "+++"]
    assert added == ["+", "+", "+MINE = 1"]
    assert (found["refusals"], found["conflicts"]) == ([], [])
    assert "jwt" in found["update"]["updated"]

    one = done(folder, "diff", "coverage").out
    assert "branch = False" in one
    assert "MINE" not in one

    before = contents(folder)
    done(folder, "update", *YES)
    after = contents(folder)
    assert b"MINE = 1" in after["core/routing.py"]
    assert b"include_router(auth_router)" not in after["main.py"]
    assert b"branch = false" in after["pyproject.toml"]
    assert "tests/test_cors.py" not in after
    done(folder, "undo", "--yes")
    assert contents(folder) == before


def test_nothing_to_show(tmp_path: Path) -> None:
    folder = project(tmp_path)
    before = tree(folder)
    assert done(folder, "update", *YES).out == "Nothing to do: no feature is installed.\n"
    assert done(folder, "diff").out.startswith("You changed nothing that laterctl wrote.")
    for command in ("update", "diff"):
        ran = run(folder, command, "cors")
        assert (ran.code, "cors is not installed" in ran.err, "laterctl add cors" in ran.err) == (3, True, True)
        assert run(folder, command, "cor").code == 2
    assert tree(folder) == before


def test_a_feature_that_nobody_has(tmp_path: Path) -> None:
    folder = archived(tmp_path)
    shutil.copy(folder / ".laterctl/coverage.json", folder / ".laterctl/teapot.json")
    replace(folder / ".laterctl/teapot.json", '"feature": "coverage"', '"feature": "teapot"')
    commit(folder)
    shown = done(folder, "update", "--dry-run")
    assert "teapot is not a feature of this laterctl" in shown.out
    ran = run(folder, "update", "teapot", *YES)
    assert (ran.code, "teapot is not a feature of this laterctl" in ran.err) == (3, True)


def test_a_ledger_of_a_newer_laterctl(tmp_path: Path) -> None:
    folder = project(tmp_path)
    done(folder, "add", "cors", *YES)
    replace(folder / ".laterctl/feature-cors.json", f'"laterctl": "{__version__}"', '"laterctl": "99.0.0"')
    before = tree(folder)
    for command in (("add", "cors"), ("update",), ("remove", "cors"), ("add", "metrics")):
        ran = run(folder, *command, *YES, "--json", "--allow-dirty")
        assert (ran.code, {item["code"] for item in ran.document["refusals"]}) == (3, {"ledger-newer"})
    ran = run(folder, "doctor", "--json")
    assert (ran.code, "LTR002") == (7, *[i["rule"] for i in ran.document["findings"] if i["verdict"] == "unknown"])
    assert tree(folder) == before


# With features made for tests, in this process


@pytest.fixture
def parcels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with the old release of `parcel`, which the user has edited, and the new release to work with."""
    folder = project(tmp_path)
    OLD.use(monkeypatch)
    assert called(folder, "add", "parcel", *YES).exit_code == 0
    commit(folder)
    return folder


def called(folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> Result:
    """Run the command line in this process."""
    state = {"XDG_STATE_HOME": environment()["XDG_STATE_HOME"], "COLUMNS": "200"}
    result = CliRunner().invoke(app, ["-C", str(folder), *arguments], env=state | dict(env or {}))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def as_json(folder: Path, *arguments: str) -> dict[str, Any]:
    """Run a command and return its document, which has to fit the schema."""
    made: dict[str, Any] = json.loads(called(folder, *arguments, "--json").stdout)
    validator().validate(made)
    return made


def test_conflicts(parcels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace(parcels / "core/parcel.py", *CLASH)
    commit(parcels)
    NEW.use(monkeypatch)
    before = tree(parcels)
    refused = called(parcels, "update", *YES)
    assert refused.exit_code == 3
    for text in ("core/parcel.py:", CLASH[1], "Answer with the weight", "--conflicts", "Nothing was written."):
        assert text in refused.output
    shown = as_json(parcels, "diff")
    assert [item["code"] for item in shown["conflicts"]] == ["merge-conflict"]
    assert "+<<<<<<< yours" in shown["update"]["patch"]
    assert "--conflicts" in called(parcels, "diff").output
    assert tree(parcels) == before

    written = called(parcels, "update", "parcel", "--conflicts", *YES)
    assert written.exit_code == 0, written.output
    assert " update parcel --yes --conflicts --no-install\n" in written.output
    assert "core/parcel.py has conflict markers" in written.output
    text = (parcels / "core/parcel.py").read_text(encoding="utf-8")
    assert text.count("<<<<<<< yours") == text.count(">>>>>>> laterctl") == 1
    assert called(parcels, "undo", "--yes").exit_code == 0
    assert tree(parcels, times=False) == {path: (mode, 0, data) for path, (mode, _, data) in before.items()}


def test_options_are_checked_and_converge(parcels: Path) -> None:
    before = contents(parcels)
    for given, text in {
        "parcel.weight=heavy": "a whole number from 1 to 100",
        "parcel.weight=101": "a whole number from 1 to 100",
        "parcel.padding=-1": "a number, at least 0",
        "parcel.fragile=perhaps": "true or false",
        "parcel.colour=blue": "one of red, green",
        "parcel.size=1": "parcel has parcel.weight",
        "letter.size=1": "letter has none",
    }.items():
        ran = called(parcels, "add", "parcel", *YES, "--set", given)
        assert ran.exit_code == 2
        assert text in " ".join(ran.output.replace("│", " ").split())
        assert text in as_json(parcels, "add", "parcel", *YES, "--set", given)["message"]
    assert contents(parcels) == before

    ran = called(parcels, "add", "parcel", "--set", "parcel.weight=9", "--set", "parcel.colour=green", *YES)
    assert ran.exit_code == 0, ran.output
    assert ran.output.startswith("Updated parcel: ")
    assert "parcel: weight = 9, colour = green" in ran.output
    assert " add parcel --yes --set parcel.weight=9 --set parcel.colour=green --no-install\n" in ran.output
    assert called(parcels, "add", "parcel", "--set", "parcel.weight=9").output.startswith("Nothing to do: parcel is")
    commit(parcels)
    ran = called(parcels, "add", "letter", "--set", "stamp.text=air", *YES)
    assert (ran.exit_code, b'"air"' in contents(parcels)["core/stamp.py"]) == (0, True)


def test_info_shows_options_and_their_values(parcels: Path) -> None:
    commit(parcels)
    called(parcels, "add", "parcel", "--set", "parcel.weight=9", *YES)
    options = {item["name"]: item for item in as_json(parcels, "info", "parcel")["options"]}
    assert options["parcel.weight"] == {
        "name": "parcel.weight",
        "help": "what a parcel weighs",
        "type": "int",
        "range": "a whole number from 1 to 100",
        "default": 5,
        "choices": [],
        "value": 9,
    }
    assert (options["parcel.colour"]["choices"], options["parcel.fragile"]["value"]) == (["red", "green"], None)
    text = called(parcels, "info", "parcel").output
    assert "--set parcel.weight=...  what a parcel weighs (a whole number from 1 to 100; default 5; value 9)" in text
    assert "recommends stamp" in text


def test_recommended_features_can_be_left_out(parcels: Path) -> None:
    done_ = called(parcels, "remove", "parcel", *YES)
    assert done_.exit_code == 0
    commit(parcels)
    plan = as_json(parcels, "add", "parcel", "--dry-run")
    assert (plan["pulled"], plan["recommended"]) == (["shelf", "stamp"], ["stamp"])
    assert "stamp: --without stamp leaves it out" in called(parcels, "add", "parcel", "--dry-run").output
    for name, text in (("shelf", "parcel requires it"), ("letter", "it can be stamp")):
        ran = called(parcels, "add", "parcel", "--without", name, *YES)
        assert (ran.exit_code, text in ran.output) == (2, True)
    ran = called(parcels, "add", "parcel", "--without", "stamp", *YES)
    assert " add parcel --yes --without stamp --no-install\n" in ran.output
    assert not (parcels / "core/stamp.py").exists()
    commit(parcels)
    assert called(parcels, "add", "parcel").output == "Nothing to do: parcel is installed already.\n"
    assert called(parcels, "add", "letter", *YES).exit_code == 0
    assert not (parcels / "core/stamp.py").exists()


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("add par", {"parcel"}),
        ("add --set pa", {"parcel.weight=", "parcel.padding=", "parcel.fragile=", "parcel.colour="}),
        ("add --set parcel.colour=", {"parcel.colour=red", "parcel.colour=green"}),
        ("add --set parcel.fragile=t", {"parcel.fragile=true"}),
        ("add --set parcel.weight=", {"parcel.weight=5"}),
        ("add parcel --without ", {"stamp"}),
        ("remove ", {"parcel", "shelf", "stamp"}),
        ("update pa", {"parcel"}),
        ("diff st", {"stamp"}),
        ("add --install p", {"pip", "poetry", "pdm"}),
        ("explain LTR00", {"LTR001"}),
        ("doctor --only LTR00", {"LTR001"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_shell_completes(words: str, completed: set[str], parcels: Path) -> None:
    given = ["laterctl", "-C", str(parcels), *words.split(" ")]
    env = {"_LATERCTL_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": " ".join(given)}
    result = CliRunner().invoke(app, [], env=env, prog_name="laterctl")
    found = set(re.findall(r'"([^"]*)"', result.output))
    assert completed <= found if words.startswith(("explain", "doctor")) else completed == found, result.output


def test_bash_splits_at_the_equals_sign(parcels: Path) -> None:
    for words, completed in {"parcel.colour =": ["green", "red"], "parcel.colour = gr": ["green"]}.items():
        given = ["laterctl", "-C", str(parcels), "add", "--set", *words.split()]
        env = {
            "_LATERCTL_COMPLETE": "complete_bash",
            "COMP_WORDS": " ".join(given),
            "COMP_CWORD": str(len(given) - 1),
        }
        result = CliRunner().invoke(app, [], env=env, prog_name="laterctl")
        assert result.output.split() == completed
