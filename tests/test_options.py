"""The law of options: adding again with another value is what adding with that value at once is, and back again."""

from __future__ import annotations

from itertools import permutations
from typing import Final

import pytest

from laterctl.engine.plan import Request
from laterctl.feature import Option, Value
from laterctl.proof.static import prove
from tests import memory
from tests.memory import Files, Refusing
from tests.releases import OLD, PARCEL, STAMP
from tests.shapes import shape_named
from tests.test_laws import assert_same, project_files

SHAPES: Final = ("flat", "foundation", "crlf", "poetry", "own_lifespan", "cached_getter", "environ")
VALUES: Final[dict[str, tuple[Value, ...]]] = {
    "weight": (5, 1, 100),
    "padding": (0.5, 2.0),
    "fragile": (False, True),
    "colour": ("red", "green"),
}
each_shape = pytest.mark.parametrize("shape", SHAPES)


@pytest.fixture(autouse=True)
def _release(monkeypatch: pytest.MonkeyPatch) -> None:
    OLD.use(monkeypatch)


def add(files: Files, **options: Value) -> dict[str, bytes]:
    """Add `parcel` with options; what is done is proved."""
    plan = memory.planned(files, Request(add=("parcel",), options={"parcel": options}))
    after = memory.applied(files, plan)
    assert prove(memory.project(files), plan) == []
    return after


@each_shape
@pytest.mark.parametrize("option", PARCEL.options, ids=lambda option: option.name)
def test_another_value_is_as_if_it_had_been_there_first(shape: str, option: Option) -> None:
    before = project_files(shape_named(shape))
    assert option.default == VALUES[option.name][0]
    alone = {value: add(before, **{"fragile": True, option.name: value}) for value in VALUES[option.name]}
    for one, other in permutations(alone, 2):
        assert alone[one] != alone[other]
        assert_same(add(alone[one], **{option.name: other}), alone[other], f"{option.name}={one}, then {other}")
    for value, tree in alone.items():
        assert_same(add(tree, **{option.name: value}), tree, "the same value again")
        assert_same(add(tree), tree, "no value is no other value")
        assert_same(memory.remove(tree, "parcel"), before, "and out")


def test_exactly_that_changes() -> None:
    before = project_files(shape_named("poetry"))
    light = add(before, weight=1)
    heavy = memory.planned(light, Request(add=("parcel",), options={"parcel": {"weight": 90}}))
    changed = {path for path in heavy.changeset if not path.startswith(".laterctl/")}
    assert {path.rpartition("/")[2] for path in changed} == {"parcel.py", "pyproject.toml"}
    for path in changed:
        change = heavy.changeset[path]
        old, new = ((data or b"").decode().splitlines() for data in (change.before, change.after))
        assert len(old) == len(new)
        pairs = [(one, other) for one, other in zip(old, new, strict=True) if one != other]
        assert len(pairs) == 1
        assert pairs[0][0].replace("1", "90", 1) == pairs[0][1]
    assert (heavy.updated, heavy.added) == (("parcel",), ())


def test_options_of_what_comes_along(monkeypatch: pytest.MonkeyPatch) -> None:
    before = project_files(shape_named("flat"))
    made = memory.run(before, Request(add=("parcel",), options={"stamp": {"text": "air"}}))
    assert b'"air"' in made["core/stamp.py"]
    again = memory.run(made, Request(add=("letter",), options={"stamp": {"text": "sea"}}))
    assert b'"sea"' in again["core/stamp.py"]
    assert_same(
        memory.remove(again, "letter"),
        memory.run(made, Request(add=("parcel",), options={"stamp": {"text": "sea"}})),
        "set",
    )


def test_a_value_that_the_user_changed_is_refused_and_not_overwritten() -> None:
    made = add(project_files(shape_named("poetry")), weight=7)
    edited = {**made, "pyproject.toml": made["pyproject.toml"].replace(b"weight = 7", b"weight = 9")}
    with pytest.raises(Refusing) as refusing:
        add(edited, weight=8)
    (refusal,) = refusing.value.refusals
    assert (refusal.code, refusal.seen) == ("edited", "weight = 9")
    asked = {**made, "pyproject.toml": made["pyproject.toml"].replace(b"weight = 7", b"weight = 8")}
    assert_same(add(asked, weight=8), add(made, weight=8), "made by hand")


# Recommended features


def test_what_is_recommended_comes_along_and_can_be_declined() -> None:
    before = project_files(shape_named("flat"))
    plan = memory.planned(before, Request(add=("parcel",)))
    assert (plan.pulled, plan.recommended) == (("shelf", "stamp"), ("stamp",))
    assert plan.entries["parcel"].declined == ()

    without = Request(add=("parcel",), without=("stamp",))
    declined = memory.run(before, without)
    assert "core/stamp.py" not in declined
    assert_same(memory.add(declined, "letter"), memory.run(memory.add(before, "letter"), without), "it stays declined")
    assert_same(memory.add(declined, "stamp"), memory.run(before, Request(add=("parcel", "stamp"))), "changed my mind")
    both = memory.add(before, "parcel")
    assert_same(memory.run(both, without), declined, "declined afterwards")
    assert_same(memory.remove(both, "stamp"), declined, "taken out")
    assert_same(memory.remove(both, "parcel"), before, "it goes with what recommends it")


def test_pieces_beside_another_feature_come_and_go_with_either() -> None:
    before = project_files(shape_named("poetry"))
    declined = memory.run(before, Request(add=("parcel",), without=("stamp",)))
    assert b"sticks" not in declined["pyproject.toml"]
    both = memory.add(declined, STAMP.name)
    assert b"sticks = true" in both["pyproject.toml"]
    assert_same(memory.remove(both, "stamp"), declined, "stamp goes")
    assert_same(memory.remove(both, "parcel"), memory.add(before, "stamp"), "parcel goes")
