"""`diff`: what the user changed in installed features since laterctl wrote them, and what an update would bring."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from laterctl.changeset import Change, Changeset
from laterctl.commands.change import Prepared, load_project
from laterctl.commands.readable import readable
from laterctl.commands.update import updating
from laterctl.edits.context import layout_of
from laterctl.engine import ledger
from laterctl.engine import plan as planning
from laterctl.features import catalogue
from laterctl.project.places import Place
from laterctl.project.source import Unreadable
from laterctl.refusal import Refusal, Refused
from laterctl.targets import converge
from laterctl.targets.base import Record, State
from laterctl.targets.document import inspect

if TYPE_CHECKING:
    from laterctl.engine.ledger import Entry
    from laterctl.project.discover import Project


class Difference(Struct, frozen=True):
    """Something of a feature's that is not as laterctl wrote it.

    `state` is `edited`, `gone`, `moved` or `unreadable`, `what` says it in words. `seen` is what stands in the place of
    a piece of wiring; `change` is what the user made of a whole file, without what other features put into it.
    """

    feature: str
    state: str
    place: Place
    what: str
    seen: str = ""
    change: Change | None = None


class Comparison(Struct, frozen=True):
    """What the user changed, and what an update would do: a plan, or why there would be none.

    `conflicts` are the places that an update would refuse without `--conflicts`.
    """

    differences: tuple[Difference, ...]
    update: Prepared | None = None
    refusals: tuple[Refusal, ...] = ()
    conflicts: tuple[Refusal, ...] = ()


def compare(start: Path, names: Sequence[str], app: str | None = None) -> Comparison:
    """Look at installed features, all of them when none is named; nothing is written.

    Raises:
        Refused: the ledger cannot be read, or a feature is not installed.
    """
    with readable():
        project, installed = load_project(start, app)
        if missing := [name for name in names if name not in installed]:
            raise Refused(*map(planning.not_installed, missing))
        chosen = [installed[name] for name in names or sorted(installed)]
        found = tuple(item for entry in chosen for item in _differences(project, installed, entry))
        known = [item.feature for item in chosen if item.feature in catalogue.module_names() and not item.left]
        if not known:
            return Comparison(found)
        request = updating(known, conflicts=True)(installed)
        plan = planning.make(project, installed, request)
        if plan.refusals:
            return Comparison(found, refusals=plan.refusals)
        strict = planning.make(project, installed, updating(known)(installed))
        return Comparison(found, Prepared(project, installed, request, plan, notes=plan.notes), (), strict.refusals)


def _differences(project: Project, installed: Mapping[str, Entry], entry: Entry) -> Iterator[Difference]:
    every = ledger.records_of(installed.values())
    for record in entry.records:
        target = record.target
        if not record.ours:
            continue
        data = project.tree.read(target.path)
        others = [item for item in every if item.target.path == target.path]
        try:
            found = inspect(target, data, others, project)
        except Unreadable as error:
            yield Difference(entry.feature, "unreadable", Place(error.path, error.line), error.reason)
            continue
        place = Place(target.path, found.line or 1)
        what = target.path if target.whole_file else target.describe()
        if found.state is State.ABSENT:
            yield Difference(entry.feature, "gone", place, what)
        elif found.state is State.PRESENT:
            if found.detail == "moved":
                yield Difference(entry.feature, "moved", place, what)
        elif target.whole_file:
            written = converge.as_created(target, data or b"")
            change = Change(written, _without_others(project, data or b"", record, others))
            yield Difference(entry.feature, "edited", place, what, change=change)
        else:
            yield Difference(entry.feature, "edited", place, what, found.detail)


def _without_others(project: Project, data: bytes, record: Record, others: Sequence[Record]) -> bytes:
    """Return a file of ours without what features put into it; as it is where that cannot be taken out."""
    from laterctl.codemods.placement import TextEditError

    try:
        return converge.without_others(record.target.path, data, others, layout_of(project))
    except (TextEditError, SyntaxError):
        return data


def patch_of(differences: Sequence[Difference]) -> Changeset:
    """Return what the user changed in whole files, as changes."""
    return Changeset({item.place.path: item.change for item in differences if item.change is not None})
