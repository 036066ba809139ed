"""What the user filled in of one feature is in the way of no other, and doctor does not ask for what was removed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pytest

from laterctl.engine import ledger
from laterctl.engine.plan import Request
from laterctl.feature import Value
from laterctl.features import catalogue
from laterctl.proof.static import prove
from tests import memory
from tests.dialect_projects import dialect, features
from tests.test_removal import advice
from tests.turns import tenth

PROJECTS: Final = ("dynaconf", "object", "none")
MINE: Final = b"\nMINE = 1\n"


def owned(tree: dict[str, bytes], feature: str) -> list[str]:
    """Return the Python files with something in them that a feature brought."""
    records = ledger.load(memory.project(tree).tree)[feature].records
    found = {item.target.path for item in records if item.ours and item.target.whole_file}
    found = {path for path in found if path.endswith(".py")}
    return sorted(path for path in found if tree[path].strip())


def code(tree: dict[str, bytes]) -> dict[str, bytes]:
    """Return the code of a project; which entry of the ledger knows what is left may depend on the order."""
    return {path: data for path, data in tree.items() if path.endswith(".py")}


def open_files(tree: dict[str, bytes]) -> set[str]:
    """Return the files that other features put something into."""
    records = ledger.records_of(ledger.load(memory.project(tree).tree).values())
    return {record.target.path for record in records if record.target.is_open}


def removed(tree: dict[str, bytes], *names: str, delete_edited: bool = False) -> dict[str, bytes]:
    """Return a project without features; that is proved."""
    plan = memory.planned(tree, Request(remove=names, delete_edited=delete_edited))
    after = memory.applied(tree, plan)
    assert prove(memory.project(tree), plan) == []
    return after


def with_users(name: str, names: Sequence[str]) -> list[str]:
    """Return a feature and those of `names` that require it."""
    return [item for item in names if name in catalogue.closure((item,))]


def users_first(names: Sequence[str]) -> list[str]:
    """Return names of features, each behind those that require it."""
    order = catalogue.closure(names)
    return sorted(names, key=order.index, reverse=True)


def bringing(capability: str, names: Sequence[str]) -> dict[str, dict[str, Value]]:
    """Return the options with which some features bring a capability."""
    return {
        name: {option.name: value}
        for name in names
        for option in catalogue.feature(name).options
        for value, needed in option.requires.items()
        if capability in catalogue.closure(needed)
    }


@pytest.mark.parametrize("capability", [item.name for item in catalogue.every() if item.hidden])
def test_a_shared_file_left_behind_is_in_the_way_of_nothing(capability: str) -> None:
    """All features are there, a file that several need is edited, and the features go one after the other or at once."""
    before, every = dialect("object"), features("object")
    adding = Request(add=every, options=bringing(capability, every))
    whole = memory.run(before, adding)
    for path in owned(whole, capability):
        mine = {**whole, path: whole[path] + MINE}
        nothing = mine
        for name in users_first(every):
            nothing = removed(nothing, name)
        assert advice(nothing) == [], path
        assert nothing[path].endswith(MINE)
        assert nothing[path] == mine[path] or path in open_files(whole)  # without the entries of others
        assert code(nothing) == code(removed(mine, *every)), path
        assert memory.run(nothing, adding) == mine, path
        left = tuple(name for name, entry in ledger.load(memory.project(nothing).tree).items() if entry.left)
        assert removed(nothing, *left, delete_edited=True) == before, path


CASES: Final = [(name, item) for name in PROJECTS for item in features(name)]


@pytest.mark.parametrize(("project", "feature"), tenth(CASES, "leftovers"))
def test_everything_edited_goes_one_by_one(feature: str, project: str) -> None:
    """All files of a feature are edited; the others still go, and those whose turn it is come back beside what is left."""
    before, every = dialect(project), features(project)
    whole = memory.add(before, *every)
    mine = {**whole, **{path: whole[path] + MINE for path in owned(whole, feature)}}
    gone = with_users(feature, every)
    one, usual = removed(mine, *gone), advice(whole)
    others = [name for name in every if name not in gone]
    for name in tenth(others, f"beside {project} {feature}"):
        those = [item for item in with_users(name, every) if item in others]
        without = removed(one, *those)
        assert [line for line in advice(without) if line not in usual] == [], name
        declined = tuple(item for item in gone if any(item in catalogue.feature(name).recommends for name in those))
        assert memory.run(without, Request(add=tuple(those), without=declined)) == one, name
    tree = one
    for name in users_first(others):
        tree = removed(tree, name)
        assert [line for line in advice(tree) if line not in usual] == [], name
    assert advice(tree) == []
    left = tuple(name for name, entry in ledger.load(memory.project(tree).tree).items() if entry.left)
    assert removed(tree, *left, delete_edited=True) == before
