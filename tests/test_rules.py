"""All rules of the doctor: they are documented, their examples are true, and how they are asked."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from laterctl.cli import show_report
from laterctl.doctor import rules
from laterctl.doctor.code import Visit
from laterctl.doctor.rule import Example, Found, Rule
from laterctl.doctor.run import look
from laterctl.finding import Verdict
from laterctl.project.source import Unreadable
from laterctl.project.tree import Outside, Tree
from tests import memory
from tests.ruling import OF_FEATURES, files_of, found, unmarked

OUTSIDE_OF_THE_FILES = {"LTR001", "LTR011"}
"""Rules about a pending run and about starting the application: no files can show them."""


def by_id(rule: Rule) -> str:
    return rule.id


@pytest.mark.parametrize("rule", rules.every(), ids=by_id)
def test_a_rule_is_documented(rule: Rule) -> None:
    assert re.fullmatch(r"[A-Z]{2,4}\d{3}", rule.id)
    assert all(text.strip() == text and text for text in (rule.title, rule.why, rule.fix))
    assert "\n" not in rule.title
    assert len(rule.title) <= 100
    assert not rule.title.endswith(".")
    assert rule.why.endswith(".") or rule.why.rsplit(maxsplit=1)[-1].startswith("https://")
    assert bool(rule.bad and rule.good) is (rule.id not in OUTSIDE_OF_THE_FILES)
    assert bool(rule.checks and rule.feature) is (rule.id in OF_FEATURES)


def test_ids_are_unique() -> None:
    ids = [rule.id for rule in rules.every()]
    assert ids == sorted(set(ids))
    assert len(ids) > 50


def examples(kind: str) -> list[object]:
    return [
        pytest.param(rule, example, id=f"{rule.id}-{number}")
        for rule in rules.every()
        for number, example in enumerate(getattr(rule, kind))
    ]


def said(rule: Rule, example: Example) -> list[tuple[str, str]]:
    """Return what the rules of all features say about an example; of those about what is installed, the one asked."""
    asked = OF_FEATURES if rule.id in OF_FEATURES else {rule.id}
    return sorted((item.rule, str(item.place)) for item in found(example, asked))


@pytest.mark.parametrize(("rule", "example"), examples("bad"))
def test_bad_examples_are_reported_in_the_marked_lines(rule: Rule, example: Example) -> None:
    files, marks = unmarked(example)
    if rule.id == "LTR003":  # speaks about a feature, not about a line
        marks = [("LTR003", "None")]
    assert {name for name, _ in marks} == {rule.id}
    assert said(rule, files) == marks


@pytest.mark.parametrize(("rule", "example"), examples("good"))
def test_good_examples_are_left_alone(rule: Rule, example: Example) -> None:
    files, marks = unmarked(example)
    assert marks == []
    assert said(rule, files) == []


@pytest.mark.parametrize(
    "source",
    ["", "x = 1", "import os.path\nfrom . import *\n", "a = b = c\n(x, *y) = z\nf()()()[0]()", "x = lambda: f()"],
)
@pytest.mark.parametrize("rule", [rule for rule in rules.every() if rule.id in OF_FEATURES], ids=by_id)
def test_any_code_is_survived(rule: Rule, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "every", lambda: (replace(rule, needles=()),))
    assert found(source, [rule.id]) == []


def test_files_that_this_python_is_too_old_for_are_reported_once() -> None:
    newer = 'from httpx import AsyncClient\nlazy import json; tr"{json}"\n'  # LibCST does not read `tr` either
    files = {
        "app/a.py": newer,
        "app/b.py": newer,
        "app/c.py": newer,
        "app/d.py": "from httpx import AsyncClient\ndef (:\n",
    }

    findings = found(files, ["LTR010"])

    assert [str(item.place) for item in findings] == ["app/a.py:2", "app/d.py:2"]
    assert findings[0].message.endswith("(and 2 more files, app/b.py the next of them)")


FILES = {"app/a.py": b"f()\n", "app/b.py": b"g()\n\n\ng()\n"}


def failing(call: Visit[ast.Call]) -> Iterator[Found]:
    """Report each call, and give up on those of `f`."""
    if call.node.func.id == "f":  # type: ignore[attr-defined]
        raise ZeroDivisionError("oops")
    yield Found(call.line, "a call")


BROKEN = Rule(id="XX001", title="t", why="w.", fix="f", checks={ast.Call: failing})


def test_a_rule_that_raises_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "every", lambda: (BROKEN,))

    findings = list(look(memory.project(FILES), {"XX001"}))

    assert [(item.verdict, str(item.place)) for item in findings] == [
        (Verdict.UNKNOWN, "app/a.py:1"),
        (Verdict.PROBLEM, "app/b.py:1"),
        (Verdict.PROBLEM, "app/b.py:4"),
    ]
    assert findings[0].message == "XX001 failed on app/a.py: ZeroDivisionError: oops"
    with pytest.raises(ZeroDivisionError):
        list(look(memory.project(FILES), {"XX001"}, strict=True))


@pytest.mark.parametrize(
    "error", [Unreadable("app/boundary.py", 1, "Permission denied", "make it readable"), Outside("app/boundary.py")]
)
def test_a_file_of_ours_that_cannot_be_read_is_reported(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {path: text for path, text in files_of(rules.find("LTR006").good[0]).items() if path != "app/boundary.py"}
    read = Tree.read

    def failing_read(tree: Tree, path: str) -> bytes | None:
        if path == "app/boundary.py":
            raise error
        return read(tree, path)

    monkeypatch.setattr(Tree, "read", failing_read)
    findings = [item for item in found(files, ["LTR003", "LTR005", "LTR010"]) if item.verdict != Verdict.OK]
    assert [(item.rule, str(item.place)) for item in findings] == [("LTR010", "app/boundary.py:1")]


@pytest.mark.parametrize(
    ("names", "ids"),
    [
        (["JWT001"], {"JWT001"}),
        (["app00"], {rule.id for rule in rules.every() if rule.id.startswith("APP00")}),
        (["cov00", "HDR001"], {rule.id for rule in rules.every() if rule.id[:5] == "COV00"} | {"HDR001"}),
        (["APP001, app002", "APP003"], {"APP001", "APP002", "APP003"}),
        ([], set()),
    ],
)
def test_rules_are_selected_by_id_or_by_how_it_starts(names: list[str], ids: set[str]) -> None:
    assert rules.select(names) == ids


@pytest.mark.parametrize(
    ("names", "name", "close"),
    [(["JTW001"], "JTW001", "JWT001"), (["APP001,CROS"], "CROS", "CORS"), (["JWT001,"], "", None), ([""], "", None)],
)
def test_an_unknown_rule_is_refused(names: list[str], name: str, close: str | None) -> None:
    with pytest.raises(rules.UnknownRule) as raised:
        rules.select(names, "--only")
    assert (raised.value.name, raised.value.source) == (name, "--only")
    assert close is None or close in raised.value.suggestions


@pytest.mark.parametrize("rule", ["JWT001", "HDR001", "LTR001"])
def test_explain_shows_all_that_there_is_to_know(rule: str, capsys: pytest.CaptureFixture[str]) -> None:
    known = rules.find(rule.lower())
    show_report.rules([known], as_json=False, whole=True)
    shown = capsys.readouterr().out
    assert shown.startswith(f"{rule} {known.title}\n{known.severity.value}, ")
    assert all(
        text in shown for text in (known.why, f"fix: {known.fix}", f"--skip {rule}", f'doctor.skip = ["{rule}"]')
    )
    for example in (*known.bad, *known.good):
        for path, text in files_of(example).items():
            assert isinstance(example, str) or f"    {path}\n" in shown
            assert all(f"    {line}" in shown for line in text.splitlines() if line)


def test_explain_lists_ids_with_titles(capsys: pytest.CaptureFixture[str]) -> None:
    show_report.rules(rules.every(), as_json=False)
    assert capsys.readouterr().out.splitlines() == [f"{rule.id} {rule.title}" for rule in rules.every()]
