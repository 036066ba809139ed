"""What each feature does to each shape, as patches that people review: `pytest --update-snapshots` writes them anew.

`snapshots/<shape>/<feature>.patch` lists the files that are created, with their numbers of lines, and then shows the
patch to the user's own files; a refusal is one line for each reason. `snapshots/<shape>/files/` holds every created
file, once for each way of reading settings.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Final

import pytest

from laterctl.changeset import Changeset, patch
from laterctl.engine.ledger import FOLDER, records_of
from laterctl.engine.plan import Plan, Request
from laterctl.targets.owned_file import OwnedFile
from tests import memory
from tests.shapes import SHAPES, Shape, shape_named
from tests.test_laws import FEATURES, each_shape, project_files, taken

SNAPSHOTS: Final = Path(__file__).parent / "snapshots"
WHOLE: Final = ("foundation", "foundation_pydantic", "flat")
"""Shapes whose created files are kept whole: one for each dialect of settings."""


def planned(shape: Shape, *features: str) -> Plan:
    """Plan to add features to a shape."""
    return memory.planned(project_files(shape), Request(add=features), shape.app_flag)


def shown(plan: Plan) -> bytes:
    """Return a plan as its snapshot."""
    if plan.refusals:
        return "".join(f"{item.code}: {item.message} ({item.place})\n" for item in plan.refusals).encode()
    made = "".join(f"+ {path} ({len(data.splitlines())} lines)\n" for path, data in created(plan).items())
    edits = {path: change for path, change in plan.changeset.items() if change.before is not None}
    return made.encode() + patch(Changeset(edits))


def created(plan: Plan) -> dict[str, bytes]:
    """Return the files that a plan creates, without the ledger's."""
    return {
        path: change.after or b""
        for path, change in plan.changeset.items()
        if change.before is None and not path.startswith(f"{FOLDER}/")
    }


def owned(plan: Plan) -> dict[str, bytes]:
    """Return the files that a plan creates and that nothing is put into later."""
    records = records_of(plan.entries.values())
    paths = {item.target.path for item in records if isinstance(item.target, OwnedFile) and not item.target.open}
    return {path: content for path, content in created(plan).items() if path in paths}


def compare(path: Path, content: bytes, config: pytest.Config) -> None:
    """Hold content against its snapshot, or write the snapshot."""
    known = path.read_bytes() if path.exists() else b""
    if content == known and path.exists():
        return
    if config.getoption("--update-snapshots"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return
    lines = (text.decode(errors="replace").splitlines() for text in (known, content))
    difference = "\n".join(difflib.unified_diff(*lines, "expected", "made", lineterm=""))
    pytest.fail(f"{path.relative_to(SNAPSHOTS)} differs; run pytest --update-snapshots and review\n{difference}")


@each_shape
@pytest.mark.parametrize("feature", FEATURES)
def test_patch(shape: Shape, feature: str, pytestconfig: pytest.Config) -> None:
    compare(SNAPSHOTS / shape.name / f"{feature}.patch", shown(planned(shape, feature)), pytestconfig)


@pytest.mark.parametrize("name", WHOLE)
def test_created_files(name: str, pytestconfig: pytest.Config) -> None:
    shape = shape_named(name)
    everything = created(planned(shape, *taken(shape)))
    for path, content in everything.items():
        compare(SNAPSHOTS / name / "files" / path, content, pytestconfig)
    for feature in taken(shape):
        for path, content in owned(planned(shape, feature)).items():
            assert content == everything[path], f"{path} depends on the features beside {feature}"


def test_no_snapshot_is_left_over(pytestconfig: pytest.Config) -> None:
    expected = {SNAPSHOTS / shape.name / f"{feature}.patch" for shape in SHAPES for feature in FEATURES}
    for name in WHOLE:
        shape = shape_named(name)
        expected |= {SNAPSHOTS / name / "files" / path for path in created(planned(shape, *taken(shape)))}
    stale = {path for path in SNAPSHOTS.rglob("*") if path.is_file()} - expected
    if pytestconfig.getoption("--update-snapshots"):
        for path in stale:
            path.unlink()
        return
    assert not stale, "snapshots without a case; run pytest --update-snapshots"
