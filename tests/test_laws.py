"""The algebra, on every shape: A;A = A, A;B = B;A byte for byte, and add then remove gives the original bytes."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from itertools import combinations

import pytest

from laterctl.engine import catalogue
from laterctl.engine.plan import Request
from laterctl.proof.static import prove
from tests import memory
from tests.memory import Refusing
from tests.shapes import SHAPES, Shape, files

FEATURES = tuple(item.name for item in catalogue.every() if not item.hidden)

each_shape = pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)


def project_files(shape: Shape) -> dict[str, bytes]:
    """Return the files of a shape's project, by their paths in it."""
    prefix = f"{shape.root}/" if shape.root else ""
    return {path.removeprefix(prefix): data for path, data in files(shape).items() if path.startswith(prefix)}


def assert_same(left: Mapping[str, bytes], right: Mapping[str, bytes], what: str) -> None:
    """Compare two trees byte for byte; a difference is shown as a diff."""
    for path in sorted({*left, *right}):
        one, other = left.get(path), right.get(path)
        if one != other:
            shown = difflib.unified_diff(
                *((text or b"").decode(errors="replace").splitlines() for text in (one, other))
            )
            pytest.fail(f"{what}: {path} differs\n" + "\n".join(list(shown)[:40]))


def taken(shape: Shape) -> list[str]:
    """Return the features that a shape takes."""
    return [name for name in FEATURES if name not in shape.refuses]


@each_shape
@pytest.mark.parametrize("feature", FEATURES)
def test_one_feature(shape: Shape, feature: str) -> None:
    before = project_files(shape)
    if feature in shape.refuses:
        with pytest.raises(Refusing) as refusing:
            memory.add(before, feature, app=shape.app_flag)
        assert all(item.code and item.message and item.place for item in refusing.value.refusals)
        return
    once = memory.add(before, feature, app=shape.app_flag)
    assert once.keys() > before.keys()
    assert_same(memory.add(once, feature, app=shape.app_flag), once, "A;A = A")
    assert_same(memory.remove(once, feature, app=shape.app_flag), before, "add A; remove A")
    plan = memory.planned(before, Request(add=(feature,)), shape.app_flag)
    assert prove(memory.project(before, shape.app_flag), plan) == []


@each_shape
def test_every_pair(shape: Shape) -> None:
    before = project_files(shape)
    single = {name: memory.add(before, name, app=shape.app_flag) for name in taken(shape)}
    for one, other in combinations(single, 2):
        both = memory.add(single[one], other, app=shape.app_flag)
        assert_same(both, memory.add(single[other], one, app=shape.app_flag), f"{one};{other} = {other};{one}")
        assert_same(both, memory.add(before, one, other, app=shape.app_flag), f"{one};{other} at once")
        assert_same(memory.remove(both, one, app=shape.app_flag), single[other], f"{one};{other}; remove {one}")
        assert_same(memory.remove(both, other, app=shape.app_flag), single[one], f"{one};{other}; remove {other}")


@each_shape
def test_all_together_and_back(shape: Shape) -> None:
    before = project_files(shape)
    names = taken(shape)
    everything = memory.add(before, *names, app=shape.app_flag)
    backwards = before
    for name in reversed(names):
        backwards = memory.add(backwards, name, app=shape.app_flag)
    assert_same(everything, backwards, "all at once = one by one, last first")
    assert_same(memory.remove(everything, *names, app=shape.app_flag), before, "add all; remove all")
