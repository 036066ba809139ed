"""The command `guide`: what a project has, what comes next, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from laterctl.features import catalogue
from laterctl.project.places import Place, is_test_or_docs
from laterctl.refusal import Note

if TYPE_CHECKING:
    from laterctl.engine.ledger import Entry
    from laterctl.feature import Feature
    from laterctl.project.discover import Project
    from laterctl.refusal import Refusal


class State(StrEnum):
    """What a project has of a feature: laterctl's, the user's own, nothing yet, or nothing that would fit."""

    INSTALLED = "installed"
    YOURS = "yours"
    OPEN = "open"
    UNFIT = "unfit"


class Step(Struct, frozen=True):
    """A feature at its place on the way.

    `place` is where it is seen, or what it does not fit; `reason` says what was seen there, or why it does not fit.
    `without` are the recommended features that the project cannot take, so that it goes without them. `notes` say what
    is there of it, and what is made of that.
    """

    feature: Feature
    state: State
    place: Place | None = None
    reason: str = ""
    without: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()


class Guide(Struct, frozen=True):
    """The whole way: each listed feature, in the order in which they are best added to a project."""

    app: str
    place: Place
    steps: tuple[Step, ...]

    def of(self, *states: State) -> list[Step]:
        """Return the steps in some states."""
        return [item for item in self.steps if item.state in states]


def guide(start: Path, app: str | None = None) -> Guide:
    """Return what the project around a folder has, and what it could have; nothing is written.

    Raises:
        laterctl.refusal.Refused: the project cannot be read, or it is open which application is meant.
    """
    from laterctl.commands.change import load_project
    from laterctl.commands.readable import readable
    from laterctl.edits.context import FeatureContext
    from laterctl.refusal import Refused

    with readable():
        project, installed = load_project(start, app)
        if project.app is None:
            raise Refused(FeatureContext(project, "", {}, (), (), {}, {}).undecided("app"))
        return Guide(project.app.shown, project.app.place, tuple(steps(project, installed)))


def steps(project: Project, installed: Mapping[str, Entry]) -> Iterator[Step]:
    """Yield what a project, with an application that is known, has of each listed feature."""
    from laterctl.engine import plan
    from laterctl.engine.preflight import by_hand, signed_by

    @cache
    def outlook(name: str) -> tuple[list[Refusal], list[Note]]:
        return ([], []) if name in installed else plan.outlook(project, installed, name)

    for feature in catalogue.in_order():
        name = feature.name
        if name in installed and not installed[name].left:
            yield Step(feature, State.INSTALLED, _place(project, installed, name))
            continue
        if lost := signed_by(project, name):
            message = f"the ledger does not know it: laterctl add {name} records it again"
            yield Step(feature, State.INSTALLED, Place(lost[0], 1), message)
            continue
        reasons, notes = outlook(name)
        hand = next((item for item in reasons if item.feature == name and item.code == "already-by-hand"), None)
        if seen := by_hand(feature, project, installed):
            yield Step(feature, State.YOURS, seen[0][1], seen[0][0])
        elif hand is not None:
            yield Step(feature, State.YOURS, hand.place, hand.message)
        elif reasons:
            # What no newer version changes comes first: raising it would be for nothing.
            reason = min(reasons, key=lambda item: item.code in {"below-floor", "version-cap"})
            yield Step(feature, State.UNFIT, reason.place, reason.message)
        else:
            needed = {*catalogue.closure((name,))}
            others = [other for other in catalogue.closure((name,), {}) if other not in needed]
            without = tuple(other for other in others if outlook(other)[0])
            said = tuple(note for note in notes if note.feature == name and note.level == "choice")
            yield Step(feature, State.OPEN, without=without, notes=said)


def _place(project: Project, installed: Mapping[str, Entry], name: str) -> Place:
    """Return where an installed feature is wired in the user's code, else its first file, else its ledger."""
    from laterctl.targets.base import State as Found
    from laterctl.targets.document import inspect

    files = {item.target.path for entry in installed.values() for item in entry.records if item.target.whole_file}
    found: list[tuple[int, bool, Place]] = []
    for target in (record.target for record in installed[name].records):
        inspection = inspect(target, project.tree.read(target.path))
        if inspection.state is not Found.ABSENT and target.created() != b"":
            wired = target.path.endswith(".py") and all(item.what != "import" for item in target.bindings())
            rank = 0 if wired and target.path not in files else 2
            if target.whole_file and not is_test_or_docs(target.path):
                rank = 1
            found.append((rank, target.path.startswith("."), Place(target.path, inspection.line or 1)))
    return min(found)[-1] if found else Place(installed[name].path, 1)
