"""The algebra, byte for byte: A;A = A, A;B = B;A, add then remove gives the original, and each can leave the others.

Every feature there is takes part. What a feature requires, and what it excludes, is read from its declaration.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import combinations

import pytest

from laterctl.engine.plan import Request
from laterctl.features import catalogue
from laterctl.proof.static import prove
from tests import memory
from tests.memory import Refusing
from tests.shapes import SHAPES, Shape, files, shape_named
from tests.turns import DIALECTS, OTHERS, due, tenth

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
    """Return the features that a shape takes, all of which can be there together."""
    names: list[str] = []
    for name in FEATURES:
        if name not in shape.refuses and not any(excluded(name, other) for other in names):
            names.append(name)
    return names


def excluded(one: str, other: str) -> bool:
    """Whether two features exclude each other."""
    return other in catalogue.feature(one).conflicts or one in catalogue.feature(other).conflicts


def requiring(name: str, names: Iterable[str]) -> list[str]:
    """Return those of the names that cannot be there without `name`, itself among them."""
    return [other for other in names if name in catalogue.closure([other])]


def assert_refused(before: Mapping[str, bytes], request: Request, shape: Shape) -> None:
    """A request is refused, with a reason and either its place or what to do."""
    with pytest.raises(Refusing) as refusing:
        memory.run(before, request, shape.app_flag)
    assert all(item.code and item.message and (item.place or item.remedy) for item in refusing.value.refusals)


@cache
def single(name: str, feature: str) -> dict[str, bytes]:
    """Return a shape with one feature."""
    shape = shape_named(name)
    return memory.add(project_files(shape), feature, app=shape.app_flag)


def without(shape: Shape, names: Sequence[str], gone: Sequence[str]) -> dict[str, bytes]:
    """Return a shape with some features, and without others that these may recommend."""
    declined = {item for name in names for item in catalogue.feature(name).recommends} & {*gone}
    if len(names) == 1 and not declined:
        return single(shape.name, names[0])
    return memory.run(project_files(shape), Request(add=tuple(names), without=tuple(declined)), shape.app_flag)


@each_shape
@pytest.mark.parametrize("feature", FEATURES)
def test_one_feature(shape: Shape, feature: str) -> None:
    before = project_files(shape)
    if feature in shape.refuses:
        with pytest.raises(Refusing) as refusing:
            memory.add(before, feature, app=shape.app_flag)
        assert all(item.code and item.message and item.place for item in refusing.value.refusals)
        return
    plan = memory.planned(before, Request(add=(feature,)), shape.app_flag)
    once = memory.applied(before, plan)
    assert once.keys() > before.keys()
    assert prove(memory.project(before, shape.app_flag), plan) == []
    assert_same(memory.add(once, feature, app=shape.app_flag), once, "A;A = A")
    assert_same(memory.remove(once, feature, app=shape.app_flag), before, "add A; remove A")


@pytest.mark.parametrize("shape", ["foundation", "flat"])
@pytest.mark.parametrize("feature", FEATURES)
def test_a_ledger_that_is_lost_is_found_again(shape: str, feature: str) -> None:
    if feature not in shape_named(shape).refuses:
        made = single(shape, feature)
        lost = {path: data for path, data in made.items() if not path.startswith(".laterctl/")}
        again = memory.add(lost, feature)
        assert again.keys() >= lost.keys()
        assert_same({path: again[path] for path in lost}, lost, "what is there is taken as it is")


@each_shape
def test_all_together_and_back(shape: Shape) -> None:
    before = project_files(shape)
    names = taken(shape)
    plan = memory.planned(before, Request(add=tuple(names)), shape.app_flag)
    everything = memory.applied(before, plan)
    assert prove(memory.project(before, shape.app_flag), plan) == []
    for order in (names, names[::-1]):
        grown = before
        for name in order:
            grown = memory.add(grown, name, app=shape.app_flag)
        assert_same(everything, grown, f"all at once = {', '.join(order)}")
    assert_same(memory.add(everything, *names, app=shape.app_flag), everything, "all; all = all")
    assert_same(memory.remove(everything, *names, app=shape.app_flag), before, "add all; remove all")


@each_shape
def test_leave_one_out(shape: Shape) -> None:
    """Whoever goes, the others are left as if it had never been there."""
    before = project_files(shape)
    names = taken(shape)
    everything = memory.add(before, *names, app=shape.app_flag)
    for name in due(shape, names, "leave one out"):
        leaving = requiring(name, names)
        if leaving != [name]:
            assert_refused(everything, Request(remove=(name,)), shape)
        rest = [other for other in names if other not in leaving]
        left = memory.remove(everything, *leaving, app=shape.app_flag)
        assert_same(left, without(shape, rest, leaving) if rest else before, f"all without {name}")


@pytest.mark.parametrize("shape", DIALECTS, ids=lambda shape: shape.name)
@pytest.mark.parametrize("feature", FEATURES)
def test_every_pair(shape: Shape, feature: str) -> None:
    if feature not in shape.refuses:
        later = [name for name in FEATURES[FEATURES.index(feature) + 1 :] if name not in shape.refuses]
        for other in later if shape == DIALECTS[0] else tenth(later, f"{shape.name} {feature}", 3):
            hold_for_pair(shape, feature, other)


@pytest.mark.parametrize("shape", OTHERS, ids=lambda shape: shape.name)
def test_some_pairs(shape: Shape) -> None:
    names = [name for name in FEATURES if name not in shape.refuses]
    for one, other in due(shape, list(combinations(names, 2)), "pairs"):
        hold_for_pair(shape, one, other)


def hold_for_pair(shape: Shape, one: str, other: str) -> None:
    """Two features give the same in either order and at once, and each leaves the other as it was alone."""
    before = project_files(shape)
    if excluded(one, other):
        assert_refused(before, Request(add=(one, other)), shape)
        assert_refused(single(shape.name, one), Request(add=(other,)), shape)
        assert_refused(single(shape.name, other), Request(add=(one,)), shape)
        return
    both = memory.add(single(shape.name, one), other, app=shape.app_flag)
    swapped = memory.add(single(shape.name, other), one, app=shape.app_flag)
    assert_same(both, swapped, f"{one};{other} = {other};{one}")
    assert_same(both, memory.add(before, one, other, app=shape.app_flag), f"{one};{other} at once")
    for going, staying in ((one, other), (other, one)):
        if going in catalogue.closure([staying]):
            assert_refused(both, Request(remove=(going,)), shape)
        else:
            left = memory.remove(both, going, app=shape.app_flag)
            assert_same(left, without(shape, (staying,), (going,)), f"{one};{other}; remove {going}")
