"""The law of options: adding again with another value is what adding with that value at once is, and back again."""

from __future__ import annotations

from itertools import permutations
from typing import Final

import pytest

from laterctl.edits.chosen import Chosen
from laterctl.edits.file import File
from laterctl.edits.manifest import DependencyFloor
from laterctl.engine import ledger
from laterctl.engine.plan import Request
from laterctl.feature import Feature, Group, Option, Value
from laterctl.features import catalogue
from laterctl.proof.static import prove
from tests import memory
from tests.memory import Files, Refusing
from tests.releases import OLD, PARCEL, STAMP, Release
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


def test_a_refusal_of_what_is_only_recommended_says_how_to_do_without_it() -> None:
    before = {**project_files(shape_named("flat")), "core/stamp.py": b"MINE = 1\n", "core/app_stamp.py": b"MINE = 1\n"}
    (refusal,) = memory.planned(before, Request(add=("parcel",))).refusals
    assert (refusal.feature, refusal.remedy.rpartition("; ")[2]) == ("stamp", "or do without it: --without stamp")
    (asked,) = memory.planned(before, Request(add=("stamp",))).refusals
    assert "--without" not in asked.remedy
    assert "core/parcel.py" in memory.run(before, Request(add=("parcel",), without=("stamp",)))


def test_pieces_beside_another_feature_come_and_go_with_either() -> None:
    before = project_files(shape_named("poetry"))
    declined = memory.run(before, Request(add=("parcel",), without=("stamp",)))
    assert b"sticks" not in declined["pyproject.toml"]
    both = memory.add(declined, STAMP.name)
    assert b"sticks = true" in both["pyproject.toml"]
    assert_same(memory.remove(both, "stamp"), declined, "stamp goes")
    assert_same(memory.remove(both, "parcel"), memory.add(before, "stamp"), "parcel goes")


# What a value requires

KEY: Final = Feature(
    name="key", hidden=True, summary="a key", edits=(File("core/key.py", "key.py.jinja"), DependencyFloor("steel>=1"))
)
CRATE: Final = Feature(
    name="crate",
    group=Group.TESTING,
    summary="crates",
    options=(
        Option("lock", "what closes it", str, "none", ("none", "rope", "padlock"), requires={"padlock": ("key",)}),
        Option("size", "how large it is", int, 1, minimum=1),
    ),
    edits=(
        File("core/crate.py", "crate.py.jinja"),
        Chosen(
            "lock",
            ("rope", "padlock"),
            (DependencyFloor("hemp>=2"), Chosen("size", (2,), (DependencyFloor("oak>=3"),))),
        ),
    ),
)
SAFE: Final = Feature(
    name="safe", group=Group.TESTING, summary="safes", requires=("key",), edits=(File("core/safe.py", "safe.py.jinja"),)
)
CRATES: Final = Release(
    OLD.version,
    {item.name: item for item in (KEY, CRATE, SAFE)},
    {
        "key.py.jinja": '"""Keys."""\n\nTEETH = 7\n',
        "crate.py.jinja": '"""Crates."""\n\nBOARDS = 9\n{% if options.lock == \'padlock\' %}\nLOCKED = True\n{% endif %}\n',
        "safe.py.jinja": '"""Safes."""\n\nDOORS = 1\n',
    },
)
LOCKS: Final = ("none", "rope", "padlock")


@pytest.fixture
def crates(monkeypatch: pytest.MonkeyPatch) -> None:
    CRATES.use(monkeypatch)


def crate(files: Files, **options: Value) -> dict[str, bytes]:
    """Add `crate` with options; what is done is proved."""
    plan = memory.planned(files, Request(add=("crate",), options={"crate": options}))
    assert prove(memory.project(files), plan) == []
    return memory.applied(files, plan)


@pytest.mark.usefixtures("crates")
@each_shape
def test_what_a_value_requires_comes_and_goes_with_it(shape: str) -> None:
    before = project_files(shape_named(shape))
    alone = {lock: crate(before, lock=lock) for lock in LOCKS}
    assert [any("key.py" in path for path in alone[lock]) for lock in LOCKS] == [False, False, True]
    for one, other in permutations(LOCKS, 2):
        assert_same(crate(alone[one], lock=other), alone[other], f"{one}, then {other}")
    for tree in alone.values():
        assert_same(crate(tree), tree, "no value is no other value")
        assert_same(memory.remove(tree, "crate"), before, "and out")


@pytest.mark.usefixtures("crates")
def test_what_a_value_requires_stays_while_another_feature_does() -> None:
    before = project_files(shape_named("poetry"))
    safe = memory.add(before, "safe")
    both = crate(safe, lock="padlock")
    assert_same(both, memory.add(crate(before, lock="padlock"), "safe"), "A;B is B;A")
    assert_same(crate(both, lock="none"), crate(safe, lock="none"), "another value")
    assert_same(memory.remove(both, "safe"), crate(before, lock="padlock"), "the other goes")
    assert_same(memory.remove(both, "crate"), safe, "this one goes")
    assert_same(memory.run(crate(safe), Request(remove=("safe",))), crate(before), "none of them needs it")


@pytest.mark.usefixtures("crates")
def test_what_a_value_requires_is_recorded_and_cannot_be_taken_out_alone() -> None:
    locked = crate(project_files(shape_named("flat")), lock="padlock")
    entries = ledger.load(memory.project(locked).tree)
    assert (entries["crate"].requires, entries["key"].requested) == (("key",), False)
    with pytest.raises(Refusing) as refusing:
        memory.remove(locked, "key")
    assert [(item.code, item.message) for item in refusing.value.refusals] == [("required", "key is required by crate")]
    assert catalogue.users_of("key") == ["crate", "safe"]


@pytest.mark.usefixtures("crates")
def test_edits_hold_with_the_values_they_are_for() -> None:
    before = project_files(shape_named("poetry"))

    def has(tree: Files) -> list[bool]:
        return [name in tree["pyproject.toml"] for name in (b"hemp", b"oak", b"steel")]

    assert has(crate(before)) == has(crate(before, size=2)) == [False, False, False]
    assert has(crate(before, lock="rope")) == [True, False, False]
    assert has(crate(before, lock="rope", size=2)) == [True, True, False]
    assert has(crate(before, lock="padlock", size=3)) == [True, False, True]
    for lock in LOCKS:
        (written,) = (data for path, data in crate(before, lock=lock).items() if path.endswith("core/crate.py"))
        assert (b"LOCKED" in written) == (lock == "padlock")
