"""What the doctor prints for code hosts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.command import YES, append, commit, done, project, replace, run


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    folder = project(tmp_path)
    done(folder, "add", "metrics", *YES)
    replace(folder / "main.py", "app.include_router(metrics_router)\n", "")
    commit(folder)
    return folder


def test_annotations_of_github(broken: Path) -> None:
    ran = run(broken, "doctor", "--format", "github")
    assert ran.code == 1
    (line,) = [line for line in ran.out.splitlines() if "title=LTR" in line]
    assert line.startswith("::error file=main.py,line=")
    assert "\n" not in line


def test_what_would_end_a_command_of_github_is_escaped(broken: Path) -> None:
    (broken / "a,b:c.py").write_text("import jwt\njwt.decode(token, key, algorithms=['HS256', 'RS256'])\n")
    append(broken / "main.py", "\n__import__('a,b:c')\n")
    for line in run(broken, "doctor", "--format", "github").out.splitlines():
        head, _, _ = line.removeprefix("::").partition("::")
        assert [part.partition("=")[0] for part in head.partition(" ")[2].split(",")] in (
            ["file", "line", "title"],
            ["title"],
        )


def test_sarif(broken: Path) -> None:
    ran = run(broken, "doctor", "--format", "sarif")
    assert ran.code == 1
    log = json.loads(ran.out)
    (only,) = log["runs"]
    assert log["version"] == "2.1.0"
    rules = {rule["id"] for rule in only["tool"]["driver"]["rules"]}
    assert {item["ruleId"] for item in only["results"]} == rules != set()
    found = run(broken, "doctor", "--json").document["findings"]
    problems = [
        (item["rule"], item["place"]["path"], item["place"]["line"]) for item in found if item["verdict"] == "problem"
    ]
    places = [item["locations"][0]["physicalLocation"] for item in only["results"]]
    assert problems == [
        (item["ruleId"], place["artifactLocation"]["uri"], place["region"]["startLine"])
        for item, place in zip(only["results"], places, strict=True)
    ]


def test_the_other_formats(broken: Path) -> None:
    assert run(broken, "doctor", "--format", "json").out == run(broken, "doctor", "--json").out
    assert run(broken, "doctor", "--format", "text").out == run(broken, "doctor").out
    ran = run(broken, "doctor", "--format", "xml")
    assert ran.code == 2
    assert "xml is none of text, json, github, sarif" in ran.err


def test_nothing_wrong_says_nothing(tmp_path: Path) -> None:
    folder = project(tmp_path)
    assert done(folder, "doctor", "--format", "github").out == ""
    assert json.loads(done(folder, "doctor", "--format", "sarif").out)["runs"][0]["results"] == []
