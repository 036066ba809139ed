"""A ledger that was damaged or forged: the file and the line are named, and nothing outside of the project is touched."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest

from laterctl.doctor import rules
from laterctl.doctor.run import look
from laterctl.engine import ledger
from laterctl.engine.plan import Request
from laterctl.refusal import Refused
from tests import memory
from tests.cli.command import YES, done, project, run, tree
from tests.shapes import files as shape_files
from tests.shapes import shape_named

Json = dict[str, Any]
NASTY = [
    None,
    3,
    -1.5,
    True,
    "",
    "x\x1b[31m",
    "../outside.txt",
    "/etc/passwd",
    ".git/hooks/x",
    "def (",
    "x = 1",
    [],
    ["a"],
    {},
    {"a": [1]},
]


@cache
def installed() -> tuple[tuple[str, bytes], ...]:
    files = shape_files(shape_named("foundation"))
    return tuple(memory.run(files, Request(add=("cors",))).items())


def survives(files: dict[str, bytes], name: str) -> None:
    """Loading refuses with the place, or whatever works on the entries goes through."""
    facts = memory.project(files)
    with suppress(Refused):
        ledger.load(facts.tree)
    found = list(look(facts, {rule.id for rule in rules.every() if rule.id.startswith("LTR")}))
    broken = [item.place for item in found if item.rule == "LTR002"]
    assert not [place for place in broken if place is None or place.path != name or place.line < 1]
    for request in (Request(remove=("cors",)),):
        try:
            made = memory.planned(files, request)
        except Refused:
            continue
        assert not [path for path in made.changeset if path.startswith(("/", "..", ".git/"))]


def mutated(change: Callable[[Json], None], feature: str) -> tuple[dict[str, bytes], str]:
    files = dict(installed())
    path = f".laterctl/feature-{feature}.json"
    values = json.loads(files[path])
    change(values)
    files[path] = json.dumps(values).encode()
    return files, path


@pytest.mark.parametrize("value", NASTY, ids=repr)
@pytest.mark.parametrize(
    "key", ["feature", "format", "laterctl", "requested", "options", "records", "declined", "requires", "recommends"]
)
def test_a_field_of_the_head_is_something_else(key: str, value: Any) -> None:
    survives(*mutated(lambda values: values.update({key: value}), "cors"))


def _set(number: int, field: str, value: Any, values: Json) -> None:
    values["records"][number][field] = value


@pytest.mark.parametrize("value", NASTY, ids=repr)
def test_a_field_of_a_record_is_something_else(value: Any) -> None:
    seen: set[tuple[str, str]] = set()
    for feature in ("cors", "settings"):
        records = json.loads(dict(installed())[f".laterctl/feature-{feature}.json"])["records"]
        for number, record in enumerate(records):
            for field in (*record, "replaced", "imported", "beside", "surplus"):
                if (record["kind"], field) in seen:
                    continue
                seen.add((record["kind"], field))
                survives(*mutated(partial(_set, number, field, value), feature))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[" * 100_000,
        b"{}",
        b"[]",
        b"null",
        b"3",
        b'"x"',
        b"\xff\xfe",
        b"\0",
        b'{"format": 1, "laterctl": "0.1.0"}',
        b'{"format": 1, "laterctl": "0.1.0", "feature": "cors", "requested": true, "options": {}, "records": [{"kind": "statement", "code": "def ("}]}',
    ],
)
def test_no_ledger_at_all(data: bytes) -> None:
    files = dict(installed())
    files[".laterctl/feature-cors.json"] = data
    with pytest.raises(Refused) as caught:
        ledger.load(memory.project(files).tree)
    (refusal,) = caught.value.refusals
    assert (refusal.code, refusal.place and refusal.place.path) == ("ledger-broken", ".laterctl/feature-cors.json")
    survives(files, ".laterctl/feature-cors.json")


def test_the_line_of_the_record_is_named() -> None:
    files = dict(installed())
    path = ".laterctl/feature-cors.json"
    lines = files[path].splitlines(keepends=True)
    (at,) = [number for number, line in enumerate(lines) if b'"kind": "file"' in line and b"test_cors" in line]
    lines[at] = lines[at].replace(b'"path": "', b'"path": "../')
    with pytest.raises(Refused) as caught:
        ledger.load(memory.project({**files, path: b"".join(lines)}).tree)
    assert str(caught.value.refusals[0].place) == f"{path}:{at + 1}"


def test_commands_name_the_file(tmp_path: Path) -> None:
    folder = project(tmp_path)
    done(folder, "add", "cors", *YES)
    path = folder / ".laterctl/feature-cors.json"
    good = path.read_text()
    for text in (good.replace('"path": "', '"path": "../'), "[" * 100_000):
        path.write_text(text)
        before = tree(folder)
        for arguments in (["list"], ["info", "cors"], ["doctor"], ["remove", "cors", *YES], ["update", *YES], ["diff"]):
            assert ".laterctl/feature-cors.json" in run(folder, *arguments).screen, arguments
        assert tree(folder) == before
