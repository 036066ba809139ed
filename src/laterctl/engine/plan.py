"""Plans: from what is installed and what is asked for to a changeset, or to reasons why not."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from laterctl import __version__
from laterctl.changeset import Change, Changeset
from laterctl.edits.beside import Beside
from laterctl.edits.context import layout_of
from laterctl.engine import catalogue, ledger, removal
from laterctl.engine.ledger import Entry, Value
from laterctl.engine.resolution import Resolution
from laterctl.project.places import Place
from laterctl.refusal import Note, Refusal
from laterctl.targets import converge
from laterctl.targets.base import Record, State, Target
from laterctl.targets.document import inspect

if TYPE_CHECKING:
    from laterctl.project.discover import Project


class Request(Struct, frozen=True):
    """What the user asked for, by the features' own names.

    Attributes:
        add, remove: features to add and to remove.
        update: installed features to bring to today's version.
        options: values of options by feature; those of installed features converge to them.
        without: recommended features to do without.
        conflicts: whether an update may write conflict markers.
    """

    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    update: tuple[str, ...] = ()
    options: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    conflicts: bool = False


class Plan(Struct, frozen=True):
    """What would be done.

    `added`, `removed` and `updated` are feature names; `pulled` those of `added` that nobody asked for by name. `kept`
    are targets that stay although their feature goes, and why. `requirements` are new runtime or development
    dependencies. With refusals the changeset is empty.
    """

    changeset: Changeset
    entries: Mapping[str, Entry]
    added: tuple[str, ...] = ()
    pulled: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    notes: tuple[Note, ...] = ()
    kept: tuple[tuple[Target, str], ...] = ()
    requirements: tuple[str, ...] = ()

    def fresh(self, installed: Mapping[str, Entry]) -> list[Record]:
        """Return the records that the plan adds to those of `installed`, adopted ones too."""
        had = {record.target for entry in installed.values() for record in entry.records}
        names = (*self.added, *self.updated, *sorted(self.entries.keys() - {*self.added, *self.updated}))
        return [record for name in names for record in self.entries[name].records if record.target not in had]


def make(project: Project, installed: Mapping[str, Entry], request: Request) -> Plan:
    """Plan a run.

    Args:
        project: the facts.
        installed: the ledger.
        request: feature names must exist; requested features to remove or to update must be installed.

    Returns:
        A plan. Nothing is raised for what the project cannot take: that is in `refusals`.
    """
    requested = {name for name, entry in installed.items() if entry.requested}
    requested = (requested | set(request.add)) - set(request.remove)
    declined = _declined(installed, request)
    wanted = catalogue.closure(requested, declined)
    refusals = [_required(name, wanted) for name in request.remove if name in wanted]
    removed = sorted(installed.keys() - set(wanted))
    added = [name for name in wanted if name not in installed]
    renewed = [name for name in wanted if name in installed and _is_renewed(installed[name], request, added)]
    used = {*catalogue.closure(request.add, declined), *renewed} if request.add or renewed else set()
    refusals += [] if refusals else _elsewhere(project, [entry for name, entry in installed.items() if name in used])
    if refusals:
        return Plan(Changeset({}), installed, removed=tuple(removed), refusals=tuple(refusals))
    entries = {
        name: _settled(installed[name], requested, declined, wanted)
        for name in wanted
        if name in installed and name not in renewed
    }
    resolution = Resolution(project, wanted, ledger.records_of(installed.values()), entries)
    for name in wanted:
        if name in entries:
            continue
        entry = installed.get(name)
        known = {item.name for item in catalogue.feature(name).options}
        options = dict(entry.options if entry is not None else {}) | dict(request.options.get(name, {}))
        options = {key: value for key, value in options.items() if key in known}
        fresh = Entry(name, __version__, name in requested, options, (), declined.get(name, ()))
        resolution.add(fresh, entry.records if entry is not None else (), check=entry is None)
    for name in wanted:
        others = {*wanted} if name in added or name in renewed else {*added}
        resolution.add_beside(name, others, installed[name].records if name in installed else ())
    if resolution.refusals:
        found = tuple(resolution.refusals)
        return Plan(Changeset({}), installed, tuple(added), refusals=found, notes=tuple(resolution.notes))
    entries = {
        name: entry if name in installed and name not in renewed else replace(entry, app=_app_of(project, entry))
        for name, entry in resolution.entries.items()
    }
    made = Plan(
        Changeset({}),
        entries,
        tuple(added),
        tuple(name for name in added if name not in requested),
        tuple(removed),
        tuple(renewed),
        notes=tuple(resolution.notes),
    )
    return _converged(project, installed, made, resolution, conflicts=request.conflicts)


def _app_of(project: Project, entry: Entry) -> str:
    """Return the application that a feature has something in the file of, `""` when it is the same for all of them."""
    app = project.app
    if app is None:
        return ""
    parts = (app, app.middleware_list, app.lifespan.place)
    files = {part.path for part in parts if part is not None}
    return app.shown if any(record.target.path in files for record in entry.records) else ""


def _elsewhere(project: Project, entries: Sequence[Entry]) -> list[Refusal]:
    """Refuse what another application of the project has: a feature is in a project once."""
    app = project.app
    others = {other.shown: other for other in project.apps if app is not None and other.place != app.place}
    return [
        Refusal(
            "other-application",
            f"{entry.feature} is installed for another application, {entry.app}",
            others[entry.app].place,
            seen=entry.app,
            expected=app.shown if app is not None else "",
            remedy=f"run it for that one (--app {entry.app}), or make the folder of this one a project of its own "
            "with a manifest and run it there with -C",
            feature=entry.feature,
        )
        for entry in entries
        if entry.app in others
    ]


def _declined(installed: Mapping[str, Entry], request: Request) -> dict[str, tuple[str, ...]]:
    """Return for each feature what it recommends and the user does without."""
    without = {*request.without, *request.remove}
    found = {name: set(entry.declined) for name, entry in installed.items()}
    for name in catalogue.closure([*installed.keys() & set(catalogue.module_names()), *request.add]):
        refused = without & set(catalogue.feature(name).recommends)
        found[name] = (found.get(name, set()) | refused) - set(request.add)
    return {name: tuple(sorted(names)) for name, names in found.items()}


def _is_renewed(entry: Entry, request: Request, added: Sequence[str]) -> bool:
    """Whether an installed feature is resolved anew: when asked for, and when an added one builds on today's version."""
    name = entry.feature
    if name not in catalogue.module_names():
        return False
    chosen = request.options.get(name, {})
    defaults = {item.name: item.default for item in catalogue.feature(name).options}
    if name in request.update or any(entry.options.get(key, defaults.get(key)) != item for key, item in chosen.items()):
        return True
    if entry.version == __version__:
        return False
    needed = name in catalogue.closure(added)
    return needed or any(isinstance(edit, Beside) and edit.feature in added for edit in catalogue.feature(name).edits)


def _settled(
    entry: Entry, requested: set[str], declined: Mapping[str, tuple[str, ...]], wanted: Sequence[str]
) -> Entry:
    """Return the entry of a feature that stays at its version, without what held beside features that go."""
    records = tuple(record for record in entry.records if not record.beside or record.beside in wanted)
    return replace(
        entry, requested=entry.feature in requested, records=records, declined=declined.get(entry.feature, ())
    )


def repair(project: Project, installed: Mapping[str, Entry]) -> Plan:
    """Plan to put back wiring of installed features that is gone; files that were deleted stay deleted."""
    gone = {name: {item for item in entry.records if _is_lost(project, item)} for name, entry in installed.items()}
    present = {
        name: replace(entry, records=tuple(item for item in entry.records if item not in gone[name]))
        for name, entry in installed.items()
    }
    before = ledger.records_of(present.values())
    resolution = Resolution(project, list(installed), before, dict(present))
    for name in catalogue.closure(name for name in installed if gone[name]):
        if gone.get(name):
            # Where things go is decided anew; what is put back is what was recorded.
            resolution.add(replace(present[name], records=()), present[name].records, check=False)
            resolution.add_beside(name, installed, present[name].records)
    if resolution.refusals:
        found = tuple(resolution.refusals)
        return Plan(Changeset({}), installed, refusals=found, notes=tuple(resolution.notes))
    lost = {target for records in gone.values() for record in records for target in [record.target]}
    resolved = {record.target: record for record in resolution.records() if record.target in lost}
    entries = {
        name: replace(
            entry,
            records=tuple(resolved.get(item.target, item) if item in gone[name] else item for item in entry.records),
        )
        for name, entry in installed.items()
    }
    made = Plan(Changeset({}), entries, notes=tuple(resolution.notes))
    return _converged(project, present, made, resolution)


def _is_lost(project: Project, record: Record) -> bool:
    target = record.target
    if not record.ours or not target.restorable:
        return False
    return inspect(target, project.tree.read(target.path), project=project).state is State.ABSENT


def _required(name: str, wanted: Sequence[str]) -> Refusal:
    users = [other for other in wanted if name in catalogue.feature(other).requires]
    return Refusal(
        "required",
        f"{name} is required by {', '.join(users)}",
        remedy=f"remove it together with them: laterctl remove {' '.join([name, *users])}",
        feature=name,
    )


def _converged(
    project: Project, installed: Mapping[str, Entry], made: Plan, resolution: Resolution, *, conflicts: bool = False
) -> Plan:
    """Return a plan with its changeset: each document brought from what it holds to what is wanted."""
    from laterctl.codemods.placement import TextEditError

    entries = dict(made.entries)
    before, after = (ledger.records_of(side.values()) for side in (installed, entries))
    refusals, surviving = removal.check(project, installed, after)
    if refusals:
        return replace(made, entries=installed, refusals=tuple(refusals))
    changes: dict[str, Change] = {}
    replaced: dict[Target, str] = {}
    kept: dict[Target, str] = dict(surviving)
    effective = [*after, *(record for record in before if record.target in surviving)]
    had, wanted = ({record.target for record in side if record.ours} for side in (before, effective))
    by_path = [_by_path(side) for side in (before, effective)]
    for path in sorted({target.path for target in had ^ wanted}):
        data = project.tree.read(path)
        try:
            result = converge.converge(
                path,
                data,
                by_path[0].get(path, []),
                by_path[1].get(path, []),
                resolution.anchors,
                layout_of(project),
                conflicts=conflicts,
            )
        except TextEditError as refused:
            refusal = Refusal(
                "cannot-edit",
                f"{path} cannot be edited: {refused.reason}",
                Place(path, refused.line),
                remedy="edit it by hand",
            )
            return replace(made, entries=installed, refusals=(refusal,))
        except converge.MergeConflict as conflict:
            return replace(made, entries=installed, refusals=(_merge_conflict(path, conflict),))
        replaced.update(result.replaced)
        kept.update(result.left)
        if result.data != data:
            changes[path] = Change(data, result.data, _mode(project, path))
    for name, entry in entries.items():
        records = tuple(
            replace(record, replaced=replaced[record.target]) if record.ours and record.target in replaced else record
            for record in entry.records
        )
        entries[name] = replace(entry, records=records)
    changes |= _ledger(project, installed, entries)
    fresh = [item.target.requires for item in after if item.ours and item.target not in had]
    return replace(
        made,
        changeset=Changeset(changes),
        entries=entries,
        kept=tuple((target, reason) for target, reason in kept.items() if reason != "gone"),
        requirements=tuple(sorted({item for item in fresh if item})),
    )


def _merge_conflict(path: str, conflict: converge.MergeConflict) -> Refusal:
    return Refusal(
        "merge-conflict",
        f"{path} was edited where the update changes it",
        Place(path, conflict.line),
        seen=conflict.hunks,
        expected="changes of yours and of the update in different places",
        remedy="--conflicts writes the file with conflict markers; laterctl diff shows both sides",
    )


def _ledger(project: Project, installed: Mapping[str, Entry], entries: Mapping[str, Entry]) -> dict[str, Change]:
    """Return what changes in the ledger, older forms of its files included."""
    new = ledger.files(entries.values())
    old = {*ledger.files(installed.values()), *ledger.paths(project.tree)}
    found: dict[str, Change] = {}
    for path in sorted({*new, *old}):
        data = project.tree.read(path)
        if data != new.get(path):
            found[path] = Change(data, new.get(path), _mode(project, path))
    return found


def _mode(project: Project, path: str) -> int | None:
    try:
        return stat.S_IMODE((project.root / path).stat().st_mode)
    except OSError:
        return None


def _by_path(records: Iterable[Record]) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(record.target.path, []).append(record)
    return found
