"""What each feature does to each shape, as patches that people review: `pytest --update-snapshots` writes them anew.

`snapshots/<shape>/all.patch` lists the files that all features create, and then shows the patch to the user's own
files. On six shapes there is such a patch for each feature, too. A refusal is one line for each reason.
`snapshots/files/<dialect>/` holds the created files themselves, each once for every dialect that it differs in.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from laterctl.changeset import Changeset, patch
from laterctl.engine.ledger import FOLDER, records_of
from laterctl.engine.plan import Plan, Request
from laterctl.targets.owned_file import OwnedFile
from tests import memory
from tests.dialect_projects import NAMES, dialect, features
from tests.shapes import REFUSED, SHAPES, Shape
from tests.test_laws import FEATURES, project_files, taken
from tests.turns import DIALECTS

SNAPSHOTS: Final = Path(__file__).parent / "snapshots"
CASES: Final = [
    *((shape, "all") for shape in SHAPES),
    *(
        (shape, feature)
        for shape in SHAPES
        for feature in FEATURES
        if shape in DIALECTS or feature in shape.by_hand or (shape, feature) in REFUSED
    ),
]


def shown(plan: Plan) -> bytes:
    """Return a plan as its snapshot."""
    if plan.refusals:
        return "".join(f"{item.code}: {item.message} ({item.place})\n" for item in plan.refusals).encode()
    made = "".join(f"+ {path}\n" for path in created(plan))
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


def patch_of(shape: Shape, feature: str) -> Path:
    """Return where the patch of a feature, or of `all`, is kept."""
    return SNAPSHOTS / shape.name / f"{feature}.patch"


@cache
def everything(name: str) -> dict[str, bytes]:
    """Return what all features create in a dialect."""
    return created(memory.planned(dialect(name), Request(add=features(name))))


def whole() -> Iterator[tuple[Path, bytes]]:
    """Yield the created files, each where it is kept: with the first dialect in which it reads as it does."""
    known: set[tuple[str, bytes]] = set()
    for name in NAMES:
        for item in sorted(everything(name).items()):
            if item not in known:
                known.add(item)
                yield SNAPSHOTS / "files" / name / item[0], item[1]


@pytest.mark.parametrize(("shape", "feature"), CASES, ids=lambda item: item if isinstance(item, str) else item.name)
def test_patch(shape: Shape, feature: str, pytestconfig: pytest.Config) -> None:
    names = taken(shape) if feature == "all" else [feature]
    plan = memory.planned(project_files(shape), Request(add=tuple(names)), shape.app_flag)
    assert bool(plan.refusals) == (feature in shape.refuses)
    compare(patch_of(shape, feature), shown(plan), pytestconfig)


def test_created_files(pytestconfig: pytest.Config) -> None:
    for path, content in whole():
        compare(path, content, pytestconfig)


@pytest.mark.parametrize(("name", "feature"), [(name, feature) for name in NAMES for feature in features(name)])
def test_created_files_depend_on_no_other_feature(name: str, feature: str) -> None:
    for path, content in owned(memory.planned(dialect(name), Request(add=(feature,)))).items():
        assert content == everything(name)[path], path


def test_no_snapshot_is_left_over(pytestconfig: pytest.Config) -> None:
    expected = {patch_of(shape, feature) for shape, feature in CASES} | {path for path, _ in whole()}
    stale = {path for path in SNAPSHOTS.rglob("*") if path.is_file()} - expected
    if pytestconfig.getoption("--update-snapshots"):
        for path in stale:
            path.unlink()
        return
    assert not stale, "snapshots without a case; run pytest --update-snapshots"
