"""Plans: from what is installed and what is asked for to a changeset, or to reasons why not."""

from __future__ import annotations

import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from laterctl import __version__
from laterctl.changeset import Change, Changeset
from laterctl.edits.context import layout_of
from laterctl.engine import ledger, removal
from laterctl.engine.ledger import Entry, Value
from laterctl.engine.lost import is_lost, renamed
from laterctl.engine.preflight import chosen_by_project
from laterctl.engine.resolution import Resolution
from laterctl.features import catalogue
from laterctl.project.places import Place, is_test_or_docs
from laterctl.refusal import Note, Refusal
from laterctl.targets import converge
from laterctl.targets.base import Record, Target

if TYPE_CHECKING:
    from laterctl.project.discover import Project


Needing = Callable[[str], catalogue.Needs]
"""What says what a feature needs."""


class Request(Struct, frozen=True):
    """What the user asked for, by the features' own names.

    Attributes:
        add, remove: features to add and to remove.
        update: installed features to bring to today's version.
        options: values of options by feature; those of installed features converge to them.
        without: recommended features to do without.
        conflicts: whether an update may write conflict markers.
        delete_edited: whether what the user filled in of features that go, goes with them.
        tests: whether the tests of the features to add are dropped in; those of others stay as they are.
    """

    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    update: tuple[str, ...] = ()
    options: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    conflicts: bool = False
    delete_edited: bool = False
    tests: bool = True


class Plan(Struct, frozen=True):
    """What would be done.

    `added`, `removed` and `updated` are feature names; `pulled` those of `added` that nobody asked for by name, and
    `recommended` those of them that can be left out. `kept` are targets that stay although their feature goes, and why;
    the entries know them; `deleted` are those that go with what the user made of them. `requirements` are new runtime or development dependencies, `conflicts` the files that get
    conflict markers. With refusals the changeset is empty.
    """

    changeset: Changeset
    entries: Mapping[str, Entry]
    added: tuple[str, ...] = ()
    pulled: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    recommended: tuple[str, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    notes: tuple[Note, ...] = ()
    kept: tuple[tuple[Target, str], ...] = ()
    deleted: tuple[Target, ...] = ()
    requirements: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()

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
    request, notes = _chosen(project, installed, request)
    made = _made(project, installed, request)
    return replace(made, notes=(*notes, *made.notes)) if notes else made


def _chosen(project: Project, installed: Mapping[str, Entry], request: Request) -> tuple[Request, list[Note]]:
    """Return a request with the values that the project has for options of what comes in, and what to say of them."""
    notes: list[Note] = []
    done = {name for name, entry in installed.items() if not entry.left}
    names = list(request.add)
    while names := [name for name in names if name not in done]:
        for name in names:
            done.add(name)
            given = {**request.options.get(name, {})}
            for option, value, note in chosen_by_project(catalogue.feature(name), project, given, installed):
                given[option] = value
                notes.append(note)
            if given:
                request = replace(request, options={**request.options, name: given})
        names = catalogue.closure(request.add, needs=_declared_needs(installed, request))  # values may need more
    return request, notes


def unfit(project: Project, installed: Mapping[str, Entry], name: str) -> Refusal | None:
    """Return the first reason why a feature, or what it requires, cannot go into a project; `None` when none is seen."""
    return next(_tried(project, installed, name)[0], None)


def outlook(project: Project, installed: Mapping[str, Entry], name: str) -> tuple[list[Refusal], list[Note]]:
    """Return the reasons why a feature, or what it requires, cannot go into a project, and what is worth saying if it can.

    A plan may find more: it also looks for the place of each edit.
    """
    reasons, notes = _tried(project, installed, name)
    return [*reasons], notes


def _tried(project: Project, installed: Mapping[str, Entry], name: str) -> tuple[Iterator[Refusal], list[Note]]:
    """Return the reasons, each looked for when it is asked for, and what is said meanwhile."""
    chosen = [*chosen_by_project(catalogue.feature(name), project, {}, installed)]
    options = {option: value for option, value, _ in chosen}
    wanted = catalogue.closure((name,), needs=lambda item: catalogue.needs_of(item, options if item == name else None))
    resolution = Resolution(project, wanted, ledger.records_of(installed.values()), dict(installed))
    entries = [Entry(item, __version__, item == name, options if item == name else {}) for item in wanted]
    resolution.notes.extend(note for _, _, note in chosen)
    fresh = (item for item in entries if item.feature not in installed)
    return (reason for item in fresh for reason in resolution.blockers(item)), resolution.notes


def _made(project: Project, installed: Mapping[str, Entry], request: Request) -> Plan:
    if refusals := list(_unavailable(installed, request)):
        return Plan(Changeset({}), installed, refusals=tuple(refusals))
    left = {name: entry for name, entry in installed.items() if entry.left}
    present = {name: entry for name, entry in installed.items() if not entry.left}
    requested = {name for name, entry in present.items() if entry.requested}
    requested = (requested | set(request.add)) - set(request.remove)
    declined = _declined(present, request)
    tested = _tested(project, present, request, requested, declined)
    wanted, renewed = _wanted(present, request, requested, declined, tested)
    stay = {name: entry for name, entry in present.items() if name not in renewed}
    declares = _declared_needs(installed, request)
    needs = _recorded_needs(stay, declares)
    refusals = [_required(name, wanted, needs) for name in request.remove if name in wanted]
    going = _going(installed, request)
    removed = sorted((present.keys() - set(wanted)) | (left.keys() & going))
    added = [name for name in wanted if name not in present]
    refusals += [] if refusals else _renamed(project, installed, [name for name in removed if name in present])
    used = {*catalogue.closure(request.add, declined, declares), *renewed} if request.add or renewed else set()
    refusals += [] if refusals else _elsewhere(project, [entry for name, entry in installed.items() if name in used])
    refusals += [] if refusals else _without_modules(project, present, added, declares)
    if refusals:
        return Plan(Changeset({}), installed, removed=tuple(removed), refusals=tuple(refusals))
    entries = {
        name: _settled(present[name], requested, declined, wanted)
        for name in wanted
        if name in present and name not in renewed
    } | {name: entry for name, entry in left.items() if name not in wanted}
    before = ledger.records_of(installed.values())
    if joining := _joining(Resolution(project, wanted, before, dict(entries)), added):
        return _made(project, installed, replace(request, update=(*request.update, *joining)))
    options = _all_options(installed, wanted, request)
    resolution = Resolution(project, wanted, before, entries, options)
    for name in wanted:
        if name in entries:
            continue
        entry = installed.get(name)
        requires, recommends = (tuple(sorted({*names})) for names in declares(name))
        fresh = Entry(
            name, __version__, name in requested, options[name], (), declined.get(name, ()), requires, recommends
        )
        fresh = replace(fresh, tests=name in tested)
        resolution.add(fresh, entry.records if entry is not None else (), check=name in added)
    for name in wanted:
        others = {*wanted} if name in added or name in renewed else {*added}
        resolution.add_beside(name, others, installed[name].records if name in installed else ())
    if resolution.refusals:
        optional = set(added) - set(catalogue.closure(requested, needs=declares))
        found = tuple(_declinable(item) if item.feature in optional else item for item in resolution.refusals)
        return Plan(Changeset({}), installed, tuple(added), refusals=found, notes=tuple(resolution.notes))
    own = {record.target.path for record in resolution.records() if record.target.whole_file and record.ours}
    entries = {
        name: replace(entry, app=_app_of(project, entry, own)) if name in added or name in renewed else entry
        for name, entry in resolution.entries.items()
    }
    made = Plan(
        Changeset({}),
        # What was left over before is looked at once more whenever something goes.
        {name: entry for name, entry in entries.items() if not (removed and entry.left)},
        tuple(added),
        tuple(name for name in added if name not in requested),
        tuple(removed),
        tuple(renewed),
        tuple(
            name
            for name in added
            if name not in catalogue.closure(requested, needs=_recorded_needs(resolution.entries, declares))
        ),
        notes=(*_unknown(installed, request), *_missed((*added, *renewed), declined, wanted), *resolution.notes),
    )
    deleting = going if request.delete_edited else ()
    done = _converged(project, installed, made, resolution, conflicts=request.conflicts, deleting=deleting)
    if behind := _behind(done.refusals, installed, renewed):
        return _made(project, installed, replace(request, update=(*request.update, *behind)))
    return done


def _behind(refusals: Sequence[Refusal], installed: Mapping[str, Entry], renewed: Collection[str]) -> list[str]:
    """Return the features of earlier versions whose own files use what today's version of another has no more."""
    users = {item.place.path for item in refusals if item.code == "still-used" and item.place is not None}
    found = {
        name: {item.target.path for item in entry.records if item.target.whole_file and item.ours}
        for name, entry in installed.items()
        if name not in renewed and not entry.left and entry.version != __version__ and name in catalogue.module_names()
    }
    return [name for name, paths in found.items() if not users.isdisjoint(paths)]


def _app_of(project: Project, entry: Entry, own: Collection[str]) -> str:
    """Return the application that a feature has something in a file of, `""` when it is the same for all of them.

    The files `own` are ours: all applications share what is in them.
    """
    app = project.app
    if app is None:
        return ""
    parts = (app, app.middleware_list, app.lifespan.place)
    files = {part.path for part in parts if part is not None}.difference(own)
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


def _renamed(project: Project, installed: Mapping[str, Entry], removed: Sequence[str]) -> Iterator[Refusal]:
    """Refuse to call removed what is at work in files that the ledger does not know."""
    records = ledger.records_of(installed.values())
    for name in removed:
        if places := renamed(project, installed[name], records):
            yield Refusal(
                "renamed",
                f"{places[0]} is gone, and {name} would stay wired in where it is by now",
                Place(places[1], 1),
                seen=places[1],
                expected=places[0],
                remedy="laterctl update follows it to the new name, then run the command again",
                feature=name,
            )


def _without_modules(
    project: Project, present: Mapping[str, Entry], added: Sequence[str], needs: Needing
) -> Iterator[Refusal]:
    """Refuse to build on a module that somebody has deleted: what is added would import it."""
    for name in [name for name in catalogue.closure(added, needs=needs) if name in present]:
        for record in present[name].records:
            path = record.target.path
            is_module = record.target.whole_file and path.endswith(".py") and not is_test_or_docs(path)
            if is_module and is_lost(project, record, ()):
                yield Refusal(
                    "deleted",
                    f"{path} of {name} is gone, and {', '.join(added)} would build on it",
                    Place(path, 1),
                    expected=path,
                    remedy="put it back: laterctl doctor --fix",
                    feature=name,
                )


def _declinable(refusal: Refusal) -> Refusal:
    """Say of a refusal of a recommended feature how to do without it."""
    return replace(refusal, remedy=f"{refusal.remedy}; or do without it: --without {refusal.feature}")


def _joining(resolution: Resolution, added: Sequence[str]) -> list[str]:
    """Return the settled features of earlier versions that today's version has more of beside an added one."""
    old = [name for name, entry in resolution.entries.items() if added and entry.version != __version__]
    return [name for name in old if name in catalogue.module_names() and resolution.joins(name, added)]


def not_installed(name: str) -> Refusal:
    """Return the refusal for a feature that is not there."""
    return Refusal("not-installed", f"{name} is not installed", remedy=f"laterctl add {name}", feature=name)


def _unavailable(installed: Mapping[str, Entry], request: Request) -> Iterator[Refusal]:
    """Refuse to update what is not installed, or is no feature of this laterctl."""
    for name in request.update:
        if name not in installed or installed[name].left:
            yield not_installed(name)
        elif name not in catalogue.module_names():
            yield Refusal(
                "unknown-feature",
                f"{name} is not a feature of this laterctl",
                Place(installed[name].path, 1),
                remedy=f"update it with a version that has it, or take it out: laterctl remove {name}",
                feature=name,
            )


def _wanted(
    installed: Mapping[str, Entry],
    request: Request,
    requested: set[str],
    declined: Mapping[str, tuple[str, ...]],
    tested: Collection[str],
) -> tuple[list[str], list[str]]:
    """Return the features that there will be, each after those that it requires, and the installed ones resolved anew.

    An installed feature that is not resolved anew requires what it required when it was.
    """
    renewed: list[str] = []
    declares = _declared_needs(installed, request)
    before = _all_options(installed, installed, Request())
    while True:
        stay = {name: entry for name, entry in installed.items() if name not in renewed}
        wanted = catalogue.closure(requested, declined, _recorded_needs(stay, declares))
        after = _all_options(installed, wanted, request)
        both = before.keys() & after.keys()
        changed = {name for name in both if catalogue.values_of(name, before) != catalogue.values_of(name, after)}
        again = [
            name
            for name in wanted
            if name in renewed
            or name in changed
            or _is_renewed(installed, name, request, wanted, renewed)
            or (name in installed and installed[name].tests != (name in tested))
        ]
        if again == renewed:
            return wanted, renewed
        renewed = again


def _tested(
    project: Project,
    installed: Mapping[str, Entry],
    request: Request,
    requested: Iterable[str],
    declined: Mapping[str, tuple[str, ...]],
) -> set[str]:
    """Return the features whose tests are wanted: those asked for with them, and what these need."""
    allowed = project.config.get("tests") is not False
    wanted = {name: installed[name].tests if name in installed else True for name in requested}
    wanted |= {name: wanted[name] and allowed for name in request.update if name in wanted}
    wanted |= dict.fromkeys(request.add, request.tests and allowed)
    names = [name for name, has in wanted.items() if has]
    declares = _declared_needs(installed, request)
    needs = (declares, _recorded_needs(installed, declares))
    return {name for each in needs for name in catalogue.closure(names, declined, each)}


def _declined(installed: Mapping[str, Entry], request: Request) -> dict[str, tuple[str, ...]]:
    """Return for each feature what it recommends and the user does without."""
    without = {*request.without, *request.remove}
    found = {name: {*entry.declined, *(without & {*entry.recommends})} for name, entry in installed.items()}
    declared = set(catalogue.module_names())
    for name in catalogue.closure(
        [*installed.keys() & declared, *request.add], {}, _declared_needs(installed, request)
    ):
        if name in declared:
            found.setdefault(name, set()).update(without & set(catalogue.feature(name).recommends))
    return {name: tuple(sorted(names - set(request.add))) for name, names in found.items()}


def _going(installed: Mapping[str, Entry], request: Request) -> set[str]:
    """Return the features that are to be removed, with all that they require or recommend."""
    return set(catalogue.closure(request.remove, {}, _recorded_needs(installed, _declared_needs(installed, request))))


def _options(entry: Entry | None) -> dict[str, Value]:
    """Return the recorded values of the options that the feature still has."""
    if entry is None:
        return {}
    found = {item.name: item for item in catalogue.feature(entry.feature).options}
    values = {name: found[name].recorded(value) for name, value in entry.options.items() if name in found}
    return {name: value for name, value in values.items() if value is not None}


def _all_options(installed: Mapping[str, Entry], names: Iterable[str], request: Request) -> dict[str, dict[str, Value]]:
    """Return the values of options that are recorded or asked for, by feature; none for one of another version's."""
    known = [name for name in names if name in catalogue.module_names()]
    return {name: {**_options(installed.get(name)), **request.options.get(name, {})} for name in known}


def _recorded_needs(entries: Mapping[str, Entry], declares: Needing) -> Needing:
    """Return what says what a feature needs: its entry when it has one, else its declaration."""

    def needs(name: str) -> catalogue.Needs:
        entry = entries.get(name)
        return declares(name) if entry is None else (entry.requires, entry.recommends)

    return needs


def _declared_needs(installed: Mapping[str, Entry], request: Request) -> Needing:
    """Return what says what this version's feature needs with the options that it will have; nothing of another's."""

    def needs(name: str) -> catalogue.Needs:
        if name not in catalogue.module_names():
            return (), ()
        return catalogue.needs_of(name, {**_options(installed.get(name)), **request.options.get(name, {})})

    return needs


def _unknown(installed: Mapping[str, Entry], request: Request) -> Iterator[Note]:
    """Say which installed features an update leaves alone, because this laterctl does not have them."""
    for name in sorted(installed.keys() - set(catalogue.module_names())) if request.update else ():
        place = Place(installed[name].path, 1)
        yield Note("warning", f"{name} is not a feature of this laterctl and stays as it is", place, name)


def _missed(names: Iterable[str], declined: Mapping[str, Collection[str]], wanted: Collection[str]) -> Iterator[Note]:
    """Say what features are without, where the user declined what they recommend."""
    for name in names:
        for other, text in sorted(catalogue.feature(name).without.items()):
            if other in declined.get(name, ()) and other not in wanted:
                yield Note("warning", f"without {other}, {text}", None, name)


def _is_renewed(
    installed: Mapping[str, Entry], name: str, request: Request, wanted: Sequence[str], renewed: Sequence[str]
) -> bool:
    """Whether an installed feature is resolved anew.

    That is when it is asked for by name, and when one that is added or resolved anew builds on today's version of it.
    """
    entry = installed.get(name)
    if entry is None or name not in catalogue.module_names():
        return False
    if name in request.update:
        return True
    if entry.version == __version__:
        return False
    added = [other for other in wanted if other not in installed]
    return name in catalogue.closure([*added, *renewed], needs=_declared_needs(installed, request))


def _settled(
    entry: Entry, requested: set[str], declined: Mapping[str, tuple[str, ...]], wanted: Sequence[str]
) -> Entry:
    """Return the entry of a feature that stays at its version, without what held beside features that go or come."""
    records = tuple(item for item in entry.records if not item.beside or (item.beside in wanted and not item.left))
    return replace(
        entry, requested=entry.feature in requested, records=records, declined=declined.get(entry.feature, ())
    )


def repair(project: Project, installed: Mapping[str, Entry]) -> Plan:
    """Plan to put back what is gone of installed features: wiring, and files as they were created."""
    records = ledger.records_of(installed.values())
    gone = {
        name: {item for item in entry.records if is_lost(project, item, records)}
        if not entry.left and renamed(project, entry, records) is None
        else set()
        for name, entry in installed.items()
    }
    present = {
        name: replace(entry, records=tuple(item for item in entry.records if item not in gone[name]))
        for name, entry in installed.items()
    }
    before = ledger.records_of(present.values())
    wanted = [name for name, entry in installed.items() if not entry.left]
    resolution = Resolution(project, wanted, before, dict(present), _all_options(installed, wanted, Request()))
    for name in catalogue.closure(name for name in installed if gone[name]):
        if gone.get(name):
            # Where things go is decided anew; what is put back is what was recorded.
            resolution.add(replace(present[name], records=()), present[name].records, check=False)
            resolution.add_beside(name, wanted, present[name].records)
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


def _required(name: str, wanted: Sequence[str], needs: Needing) -> Refusal:
    users = [other for other in wanted if name in needs(other)[0]]
    return Refusal(
        "required",
        f"{name} is required by {', '.join(users)}",
        remedy=f"remove it together with them: laterctl remove {' '.join([name, *users])}",
        feature=name,
    )


def _converged(
    project: Project,
    installed: Mapping[str, Entry],
    made: Plan,
    resolution: Resolution,
    *,
    conflicts: bool = False,
    deleting: Collection[str] = (),
) -> Plan:
    """Return a plan with its changeset: each document brought from what it holds to what is wanted."""
    from laterctl.codemods.placement import TextEditError

    entries = dict(made.entries)
    before, after = (ledger.records_of(side.values()) for side in (installed, entries))
    moves = _moves(project, before, after)
    refusals, surviving = removal.check(project, installed, after, {old for old, _ in moves.values()}, deleting)
    stays = {record.target.key for record in after} | {target.key for target in surviving}
    deleted = {
        record.target
        for name in deleting
        for record in (installed[name].records if name in installed else ())
        if record.ours and record.target.key not in stays
    }
    if refusals:
        return replace(made, entries=installed, refusals=tuple(refusals))
    changes: dict[str, Change] = {}
    replaced: dict[Target, str] = {}
    marked: list[str] = []
    kept: dict[Target, str] = dict(surviving)
    effective = [*after, *(record for record in before if record.target in surviving)]
    had, wanted = ({record.target for record in side if record.ours} for side in (before, effective))
    by_path = [_by_path(side) for side in (before, effective)]
    for path in sorted({target.path for target in had ^ wanted}):
        current = data = project.tree.read(path)
        if path in moves:
            old, data = moves[path]
            by_path[0].setdefault(path, []).append(Record(replace(old, path=path)))
        try:
            result = converge.converge(
                path,
                data,
                by_path[0].get(path, []),
                by_path[1].get(path, []),
                resolution.anchors,
                layout_of(project),
                conflicts=conflicts,
                deleted=deleted,
            )
        except TextEditError as refused:
            lines = sorted({item.requires for item in wanted - had if item.path == path and item.requires})
            refusal = Refusal(
                "cannot-edit",
                f"{path} cannot be edited: {refused.reason}",
                Place(path, refused.line),
                snippet="\n".join(lines),
                remedy="put these in by hand, and run the command again" if lines else "edit it by hand",
            )
            return replace(made, entries=installed, refusals=(refusal,))
        except SyntaxError as error:
            refusal = Refusal(
                "cannot-edit",
                f"{path} cannot be edited: it is no Python",
                Place(path, error.lineno or 1),
                remedy="mend it, then run the command again",
            )
            return replace(made, entries=installed, refusals=(refusal,))
        except converge.MergeConflict as conflict:
            return replace(made, entries=installed, refusals=(_merge_conflict(path, conflict),))
        replaced.update(result.replaced)
        marked += [path] if result.conflict else []
        kept.update(result.left)
        if result.data != current:
            changes[path] = Change(current, result.data, _mode(project, path))
    for old, data in moves.values():
        changes[old.path] = Change(data, None, _mode(project, old.path))
        kept.pop(old, None)
    empty = _empty(project, before, after)
    for name, entry in entries.items():
        records = tuple(
            replace(
                record,
                replaced=replaced.get(record.target, record.replaced),
                empty=record.target.path in empty and not record.target.whole_file,
            )
            if record.ours
            else record
            for record in entry.records
        )
        entries[name] = replace(entry, records=records)
    entries |= removal.leftovers(installed, entries, kept)
    changes |= _ledger(project, installed, entries)
    given = {binding for record in after for binding in record.target.bindings()}
    replacing = {target for target in kept if (names := target.bindings()) and given.issuperset(names)}
    concerned = {
        record.target
        for name, entry in installed.items()
        if name in made.removed or not entry.left
        for record in entry.records
    }
    fresh = [item.target.requires for item in after if item.ours and item.target not in had]
    return replace(
        made,
        changeset=Changeset(changes),
        entries=entries,
        kept=tuple(
            (target, reason)
            for target, reason in kept.items()
            if reason != "gone" and target in concerned and target not in replacing
        ),
        notes=(*made.notes, *removal.strangers(project, before, ledger.records_of(entries.values()))),
        deleted=tuple(sorted(removal.altered(project, before, deleted), key=lambda target: target.key)),
        requirements=tuple(sorted({item for item in fresh if item})),
        conflicts=tuple(marked),
    )


def _moves(project: Project, before: Sequence[Record], after: Sequence[Record]) -> dict[str, tuple[Target, bytes]]:
    """Return the files of ours that go to another path, by that path, with what they hold now."""
    had, wanted = ({item.target for item in side if item.ours and item.target.whole_file} for side in (before, after))
    found: dict[str, tuple[Target, bytes]] = {}
    for old, new in ((old, new) for new in wanted - had for old in had - wanted if new.succeeds(old)):
        data = project.tree.read(old.path)
        if data is not None and old.path != new.path and project.tree.read(new.path) is None:
            found[new.path] = old, data
    return found


def _empty(project: Project, before: Sequence[Record], after: Sequence[Record]) -> set[str]:
    """Return the files of the user's that were empty before something of ours went into them, Python files left out."""
    had = {record.target.path for record in before if record.ours}
    fresh = {record.target.path for record in after if record.ours} - had
    known = {record.target.path for record in before if record.empty}
    return known | {path for path in fresh if not path.endswith(".py") and project.tree.read(path) == b""}


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
