"""What earlier releases wrote into projects: this version reads it, extends it and takes it out again.

`scripts/archive.py` makes the archives, one a release.
"""

from __future__ import annotations

import ast
import json
import lzma
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec.structs import replace
from typer.testing import CliRunner

from laterctl.cli.app import app
from laterctl.engine import ledger
from laterctl.engine.plan import Request
from laterctl.features import catalogue
from laterctl.proof.static import prove
from tests import memory
from tests.shapes import NEED_A_CONTAINER, NEED_A_DATABASE, NEED_ROUTERS, NEED_TO_AWAIT
from tests.test_laws import assert_same

ARCHIVE: Final = Path(__file__).parent / "archive"
LEDGER: Final = ".laterctl/"


@cache
def projects(path: Path) -> dict[str, dict[str, Any]]:
    """Return the projects of an archive by name."""
    found: dict[str, dict[str, Any]] = json.loads(lzma.decompress(path.read_bytes()))
    return found


def files(texts: Mapping[str, str]) -> dict[str, bytes]:
    """Return archived files as bytes."""
    return {path: text.encode() for path, text in texts.items()}


ALL: Final = [
    pytest.param(case, id=f"{path.name.removesuffix('.json.xz')}-{name}")
    for path in sorted(ARCHIVE.iterdir())
    for name, case in projects(path).items()
]
each_project = pytest.mark.parametrize("case", ALL)


def test_there_is_an_archive() -> None:
    assert len(projects(ARCHIVE / "0.1.0.json.xz")) == 15


@each_project
def test_doctor_finds_everything_whole(case: dict[str, Any], tmp_path: Path) -> None:
    for name, data in files(case["after"]).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)

    printed = CliRunner().invoke(app, ["-C", str(tmp_path), "doctor", "--json"]).stdout

    found = [item for item in json.loads(printed)["findings"] if item["rule"].startswith("LTR")]
    assert [item for item in found if item["verdict"] != "ok"] == []
    installed = {
        match[1] for name in case["after"] if (match := re.fullmatch(r"\.laterctl/(?:feature-)?([^/]+)\.json", name))
    }
    assert installed >= {*case["features"]}
    assert {item["feature"] for item in found if item["rule"] == "LTR003"} == installed


@each_project
def test_adding_again_writes_the_ledger_at_most(case: dict[str, Any]) -> None:
    before = files(case["after"])

    after = memory.add(before, *case["features"])

    assert_same(code(before), code(after), "A;A")


@each_project
def test_removing_gives_the_original_bytes(case: dict[str, Any]) -> None:
    before, after = files(case["before"]), files(case["after"])

    assert_same(memory.remove(after, *case["features"]), before, "all at once")
    for name in case["features"]:
        after = memory.remove(after, name)
    assert_same(after, before, "one by one")


def _has_adopted_file(entry: ledger.Entry) -> bool:
    files = [record for record in entry.records if record.target.whole_file and record.target.created()]
    return any(not record.ours for record in files)


@each_project
def test_an_update_gives_what_adding_today_gives(case: dict[str, Any]) -> None:
    before, after = files(case["before"]), files(case["after"])

    updated = update(after)

    options = {}
    for item in case["options"]:
        key, _, value = item.partition("=")
        feature, _, name = key.partition(".")
        (option,) = (known for known in catalogue.feature(feature).options if known.name == name)
        options[feature] = {name: option.parse(value)}
    # What `laterctl new` of that version wrote is the user's: today's may not be equal to it, and an update leaves it.
    adopted = {entry.feature for entry in ledger.load(memory.project(after).tree).values() if _has_adopted_file(entry)}
    if not adopted:
        request = Request(add=tuple(case["features"]), options=options)
        assert_same(updated, memory.run(before, request), "update")
    assert_same(update(updated), updated, "update again")
    assert_same(memory.remove(updated, *case["features"]), before, "and out")


@each_project
def test_what_the_user_changed_is_there_after_an_update(case: dict[str, Any]) -> None:
    after = files(case["after"])
    had = paths = [path for path in owned(after) if path.endswith(".py") and after[path].strip()]
    newline = b"\r\n" if any(b"\r\n" in after[path] for path in paths) else b"\n"
    more = newline * 3 + b"MINE = 1" + newline
    edited = {**after, **{path: after[path].rstrip() + more for path in paths}}

    request = Request(update=tuple(ledger.load(memory.project(after).tree)))
    marked = bool(memory.planned(edited, request).refusals)
    if marked:  # today's version has something else at the end of a file
        request = replace(request, conflicts=True)
        edited = without_conflicts(edited, after, request)
        paths = [path for path in paths if edited[path] != after[path]]
    plan = memory.planned(edited, request)
    updated = memory.applied(edited, plan)
    if not marked:
        out = Request(remove=tuple(case["features"]), delete_edited=True)
        assert_same(memory.run(updated, out), files(case["before"]), "and out, with all that was changed")

    assert bool(paths) == bool(had)
    assert sum(b"MINE = 1" in data for data in code(updated).values()) == len(paths)
    plain = update(after)
    for path in set(paths) & plain.keys():
        there = iter(updated[path].splitlines())  # with settings that files which stay go on reading
        missing = [line for line in (plain[path].rstrip() + more).splitlines() if line not in there]
        assert b"<<<<<<<" in updated[path] or not missing, path


@each_project
def test_edits_are_in_the_way_of_nothing_but_their_own(case: dict[str, Any]) -> None:
    """Adding the other features of today leaves edited files as they are, updated or not."""
    after = files(case["after"])
    today = update(after)  # what it has no more is another test's
    paths = [path for path in owned(after) if path.endswith(".py") and after[path].strip() and path in today]
    edited = {**after, **{path: after[path] + b"# mine\n" for path in paths}}
    edited = without_conflicts(edited, after, Request(update=tuple(ledger.load(memory.project(after).tree))))
    paths = [path for path in paths if edited[path] != after[path]]
    others = offered(case)

    plan = memory.planned(update(edited), Request(add=tuple(others)))
    own = {item.feature for item in plan.refusals if item.code == "already-by-hand"}
    request = Request(add=tuple({*others} - own), without=tuple(own))
    more = memory.run(update(edited), request) if others else update(edited)

    for path in set(paths) & more.keys():
        assert more[path].endswith(b"# mine\n")
        ast.parse(more[path])


def offered(case: dict[str, Any]) -> list[str]:
    """Return the other features of today that an archived project takes."""
    facts = memory.project(files(case["after"]))
    unfit = {
        *(() if facts.container else NEED_A_CONTAINER),
        *(() if facts.database else NEED_A_DATABASE),
        *(() if facts.database is None or facts.database.asynchronous else NEED_TO_AWAIT),
        *(() if facts.app is None or facts.app.routers else NEED_ROUTERS),
    }
    if "Dockerfile" in case["after"]:
        unfit.add("docker")
    every = (item.name for item in catalogue.every() if not item.hidden)
    return [name for name in every if name not in case["features"] and name not in unfit]


def without_conflicts(edited: Mapping[str, bytes], plain: Mapping[str, bytes], request: Request) -> dict[str, bytes]:
    """Return an edited project with the files as they were, without the edits that an update cannot merge."""
    found = dict(edited)
    while refusals := memory.planned(found, request).refusals:
        for refusal in refusals:
            assert refusal.code == "merge-conflict"
            assert refusal.place is not None
            assert found[refusal.place.path] != plain[refusal.place.path]
            found[refusal.place.path] = plain[refusal.place.path]
    return found


def update(tree: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return a project with all its features brought to today's version; that is proved."""
    names = tuple(ledger.load(memory.project(tree).tree))
    plan = memory.planned(tree, Request(update=names))
    after = memory.applied(tree, plan)
    assert prove(memory.project(tree), plan) == []
    return after


def code(tree: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the files without the ledger."""
    return {path: data for path, data in tree.items() if not path.startswith(LEDGER)}


def owned(tree: Mapping[str, bytes]) -> list[str]:
    """Return the paths of the files that laterctl created."""
    records = ledger.records_of(ledger.load(memory.project(tree).tree).values())
    return sorted({record.target.path for record in records if record.target.whole_file and record.ours})


@each_project
def test_the_other_features_of_today_come_and_go(case: dict[str, Any]) -> None:
    others = offered(case)
    before = files(case["after"])

    plan = memory.planned(before, Request(add=tuple(others)))
    # What an earlier release wrote into a new project in another way, and what projects do themselves.
    own = {item.feature for item in plan.refusals if item.code == "already-by-hand"}
    assert own <= {"request-scope", "docker", "versioning"}
    others = [name for name in others if name not in own]
    more = memory.run(before, Request(add=tuple(others), without=tuple(own))) if others else before

    assert_same(memory.remove(more, *others, *case["features"]), files(case["before"]), "add the others, remove all")
