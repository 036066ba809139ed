"""Plans: from what is installed and what is asked for to a changeset, or to reasons why not."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from laterctl import __version__
from laterctl.changeset import Change, Changeset
from laterctl.edits import file as owned_file
from laterctl.edits.context import MOVABLE, Edit, FeatureContext, layout_of
from laterctl.edits.provider import Provider
from laterctl.edits.setting import Setting
from laterctl.engine import catalogue, ledger
from laterctl.engine import removal as references
from laterctl.engine.installed import FOLDER
from laterctl.engine.ledger import Entry
from laterctl.project.places import Place
from laterctl.refusal import Note, Refusal, Refused
from laterctl.targets import document as converge
from laterctl.targets.base import (
    Anchor,
    Argument,
    Block,
    Dependency,
    ImportName,
    Inspection,
    ListEntry,
    OwnedFile,
    Record,
    State,
    Statement,
    Target,
    TomlKey,
)
from laterctl.targets.import_name import is_rebound
from laterctl.targets.owned_file import unsigned
from laterctl.targets.resolved import Resolved

if TYPE_CHECKING:
    from laterctl.feature import Feature
    from laterctl.project.discover import Project


class Request(Struct, frozen=True):
    """What the user asked for: features to add and to remove by their own names, options by feature."""

    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    options: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


class Plan(Struct, frozen=True):
    """What would be done.

    `added` and `removed` are feature names; `pulled` those of `added` that nobody asked for by name. `kept` are
    targets that stay although their feature goes, and why. `requirements` are new runtime or development dependencies.
    With refusals the changeset is empty.
    """

    changeset: Changeset
    entries: Mapping[str, Entry]
    added: tuple[str, ...] = ()
    pulled: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    notes: tuple[Note, ...] = ()
    kept: tuple[tuple[Target, str], ...] = ()
    requirements: tuple[str, ...] = ()


class _Draft(Struct):
    """The state of a plan while features are resolved one after the other."""

    project: Project
    entries: dict[str, Entry]
    installed: list[Record]
    anchors: dict[Target, Anchor] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)

    def records(self) -> list[Record]:
        return ledger.records_of(self.entries.values())


def make(project: Project, installed: Mapping[str, Entry], request: Request) -> Plan:
    """Plan a run.

    Args:
        project: the facts.
        installed: the ledger.
        request: feature names must exist; requested features to remove must be installed.

    Returns:
        A plan. Nothing is raised for what the project cannot take: that is in `refusals`.
    """
    requested = {name for name, entry in installed.items() if entry.requested}
    requested = (requested | set(request.add)) - set(request.remove)
    wanted = catalogue.closure(requested)
    refusals = [_required(name, wanted) for name in request.remove if name in wanted]
    removed = sorted(installed.keys() - set(wanted))
    added = [name for name in wanted if name not in installed]
    if refusals:
        return Plan(Changeset({}), installed, removed=tuple(removed), refusals=tuple(refusals))
    before = ledger.records_of(installed.values())
    draft = _Draft(project, {name: entry for name, entry in installed.items() if name not in removed}, before)
    for name in wanted:
        if name in installed:
            draft.entries[name] = replace(installed[name], requested=name in requested)
    for name in added:
        _add(draft, catalogue.feature(name), name in requested, request.options.get(name, {}), wanted)
    if draft.refusals:
        return Plan(Changeset({}), installed, tuple(added), refusals=tuple(draft.refusals), notes=tuple(draft.notes))
    return _converged(project, installed, draft, before, tuple(added), tuple(removed), requested)


def repair(project: Project, installed: Mapping[str, Entry]) -> Plan:
    """Plan to put back wiring of installed features that is gone; files that were deleted stay deleted."""
    gone = {
        name: [record for record in entry.records if _is_lost(project, record)] for name, entry in installed.items()
    }
    present = {
        name: replace(entry, records=tuple(item for item in entry.records if item not in gone[name]))
        for name, entry in installed.items()
    }
    before = ledger.records_of(present.values())
    draft = _Draft(project, dict(present), before)
    for name in catalogue.closure(name for name in installed if gone[name]):
        if gone.get(name):
            entry = installed[name]
            _add(draft, catalogue.feature(name), entry.requested, entry.options, list(installed), check=False)
    if draft.refusals:
        return Plan(Changeset({}), installed, refusals=tuple(draft.refusals), notes=tuple(draft.notes))
    requested = {name for name, entry in installed.items() if entry.requested}
    return _converged(project, installed, draft, before, (), (), requested)


def _is_lost(project: Project, record: Record) -> bool:
    target = record.target
    if not record.ours or isinstance(target, OwnedFile):
        return False
    if converge.inspect(target, project.tree.read(target.path)).state is not State.ABSENT:
        return False
    return not (isinstance(target, ImportName) and is_rebound(project, target))


def _required(name: str, wanted: Sequence[str]) -> Refusal:
    users = [other for other in wanted if name in catalogue.feature(other).requires]
    return Refusal(
        "required",
        f"{name} is required by {', '.join(users)}",
        remedy=f"remove it together with them: laterctl remove {' '.join([name, *users])}",
        feature=name,
    )


def _add(
    draft: _Draft,
    feature: Feature,
    asked: bool,
    options: Mapping[str, str],
    wanted: Sequence[str],
    *,
    check: bool = True,
) -> None:
    """Resolve one feature into an entry; what stands in the way goes to the draft's refusals."""
    from laterctl.engine.preflight import blockers

    values = {option.name: option.default for option in feature.options if option.default} | dict(options)
    context = _site(draft, feature, values, wanted)
    found = blockers(feature, context, draft.entries) if check else []
    if found:
        draft.refusals.extend(found)
        return
    records: dict[tuple[str, ...], Record] = {}
    edits = [*feature.edits, *(feature.more(context) if feature.more else ())]
    context = _around(edits, context)
    for edit in edits:
        try:
            for item in edit.resolve(context):
                record = _record(draft, context, item, records)
                records.setdefault(record.target.key, record)
        except Refused as refused:
            draft.refusals.extend(refused.refusals)
    draft.notes.extend(context.notes)
    draft.entries[feature.name] = Entry(feature.name, __version__, asked, dict(options), tuple(records.values()))
    made = [
        record.target
        for record in records.values()
        if isinstance(record.target, OwnedFile) and record.ours and draft.project.tree.read(record.target.path) is None
    ]
    if any(target.open for target in made):
        # Later features extend what this one creates, so they have to see it.
        draft.project = draft.project.with_overlay({target.path: target.text.encode() for target in made})


def _site(draft: _Draft, feature: Feature, options: Mapping[str, str], wanted: Sequence[str]) -> FeatureContext:
    settings: dict[str, Setting] = {}
    providers: dict[str, str] = {}
    for name in wanted:
        for edit in catalogue.feature(name).edits:
            if isinstance(edit, Setting):
                settings[edit.name] = edit
            elif isinstance(edit, Provider):
                providers[edit.name] = edit.source
    records = draft.records()
    moved = [
        item.target.default_path for item in records if isinstance(item.target, OwnedFile) and item.target.default_path
    ]
    relocated = {place: owned_file.alternative(place) for place in moved}
    return FeatureContext(
        draft.project, feature.name, options, draft.installed, records, settings, providers, relocated
    )


def _around(edits: Iterable[Edit], context: FeatureContext) -> FeatureContext:
    """Decide which owned files go to their other place, before anything refers to them."""
    files = owned_file.files(edits)
    blocked = {file.path: owned_file.alternative(file.path) for file in files if file.is_blocked(context)}
    for usual, other in blocked.items():
        context.notice(
            f"{context.path(usual)} is yours, so ours is {context.path(other)}", Place(context.path(usual), 1)
        )
    for head in sorted({file.path.partition("/")[0] for file in files} & MOVABLE):
        module = context.project.in_the_way(head)
        if module and not context.project.tree.is_dir(context.path(head)):
            context.notice(f"{module} is yours, so ours go to {context.path(head)}/", Place(module, 1))
    return replace(context, relocated={**context.relocated, **blocked}) if blocked else context


def _record(draft: _Draft, context: FeatureContext, wanted: Resolved, mine: Mapping[tuple[str, ...], Record]) -> Record:
    """Decide whether a wanted target is shared, already there by hand, or new."""
    target = wanted.target
    shared = next((item for item in draft.records() if item.target.key == target.key), None)
    if isinstance(target, OwnedFile):
        return _file_record(draft, context, target, shared)
    if shared is not None:
        return _shared(context, target, shared)
    data = draft.project.tree.read(target.path)
    inspection = converge.inspect(target, data)
    if inspection.state is State.PRESENT:
        return Record(target) if _relinked(target, mine) else _adopted(context, target, inspection.detail)
    if inspection.state is State.ALTERED:
        raise Refused(_different(context, target, inspection))
    if wanted.anchor is not None:
        draft.anchors[target] = wanted.anchor
    return Record(target, imported=isinstance(target, Dependency) and references.is_imported(context, target.name))


def _different(context: FeatureContext, target: Target, inspection: Inspection) -> Refusal:
    code, message, remedy = (
        "already-different",
        f"{target.path} has this in another form",
        "change it by hand or remove it",
    )
    if isinstance(target, TomlKey) and target.table[:1] == ("tool",):  # a tool's own configuration, not a name of ours
        code, message = "already-by-hand", f"{target.path} configures {target.table[1]} already, in another way"
        remedy = f"keep yours, or take it out and run `laterctl add {context.feature}` again"
    return Refusal(
        code,
        message,
        Place(target.path, inspection.line),
        seen=inspection.detail,
        expected=target.describe(),
        snippet=target.describe(),
        remedy=remedy,
        feature=context.feature,
    )


def _shared(context: FeatureContext, target: Target, other: Record) -> Record:
    # Each feature records its own wish; the join over all of them is taken when a document converges.
    if isinstance(target, TomlKey) and isinstance(other.target, TomlKey) and target.value != other.target.value:
        raise Refused(
            Refusal(
                "conflict",
                f"another feature wants {other.target.describe()}",
                Place(target.path, 1),
                expected=target.describe(),
                feature=context.feature,
            )
        )
    return Record(
        target if isinstance(target, Dependency) else other.target, other.ours, other.replaced, other.imported
    )


def _relinked(target: Target, mine: Mapping[tuple[str, ...], Record]) -> bool:
    """Whether a target that is there binds to a file that says it came from laterctl: its ledger was lost."""
    files = {
        record.target.path for record in mine.values() if isinstance(record.target, OwnedFile) and record.ledger_lost
    }
    if isinstance(target, ImportName):
        module = target.source.rpartition(".")[0].replace(".", "/")
        return any(path.endswith(f"{module}.py") for path in files)
    names = {record.target.local for record in mine.values() if record.ours and isinstance(record.target, ImportName)}
    codes = {Statement: "code", Argument: "value", ListEntry: "code", Block: "header"}
    code = getattr(target, codes[type(target)]) if type(target) in codes else ""
    return bool(files) and bool(names & set(re.findall(r"\w+", code)))


def _adopted(context: FeatureContext, target: Target, declared: str) -> Record:
    if isinstance(target, Dependency):
        from laterctl.codemods import requirements

        if not requirements.satisfiable(declared, target.requirement):
            raise Refused(
                Refusal(
                    "version-cap",
                    f"{target.path} declares {declared}, which excludes {target.requirement}",
                    _requirement_place(context, target),
                    seen=declared,
                    expected=target.requirement,
                    snippet=target.requirement,
                    remedy="raise the cap yourself: it is never raised for you",
                    feature=context.feature,
                )
            )
        if requirements.extras_of(target.requirement) - requirements.extras_of(declared):
            return Record(target, ours=True, replaced=declared)
    return Record(target, ours=False)


def _requirement_place(context: FeatureContext, target: Dependency) -> Place | None:
    manifest = context.project.manifest
    found = [item.place for item in manifest.requirements if item.name == target.name] if manifest else []
    return found[0] if found else None


def _file_record(draft: _Draft, context: FeatureContext, target: OwnedFile, shared: Record | None) -> Record:
    if shared is not None:
        return shared
    made = owned_file.rendered(target, context)
    data = draft.project.tree.read(target.path)
    if data is None:
        return Record(made)
    if converge.inspect(made, data).state is State.PRESENT:
        return Record(made, ledger_lost=bool(made.template))
    if converge.inspect(unsigned(made), data).state is State.PRESENT:
        return Record(unsigned(made), ours=False)
    raise owned_file.taken(made, context)


def _converged(
    project: Project,
    installed: Mapping[str, Entry],
    draft: _Draft,
    before: Sequence[Record],
    added: tuple[str, ...],
    removed: tuple[str, ...],
    requested: set[str],
) -> Plan:
    from laterctl.codemods.placement import TextEditError

    entries = dict(draft.entries)
    after = ledger.records_of(entries.values())
    refusals, surviving = references.check(project, installed, removed, after) if removed else ([], {})
    if refusals:
        return Plan(Changeset({}), installed, removed=removed, refusals=tuple(refusals))
    changes: dict[str, Change] = {}
    replaced: dict[Target, str] = {}
    kept: dict[Target, str] = dict(surviving)
    effective = [*after, *(record for record in before if record.target in surviving)]
    had, wanted = ({record.target for record in side if record.ours} for side in (before, effective))
    for path in sorted({target.path for target in had ^ wanted}):
        data = project.tree.read(path)
        try:
            result = converge.converge(
                path, data, _at(before, path), _at(effective, path), draft.anchors, layout_of(project)
            )
        except TextEditError as refused:
            refusal = Refusal(
                "cannot-edit",
                f"{path} cannot be edited: {refused.reason}",
                Place(path, refused.line),
                remedy="edit it by hand",
            )
            return Plan(Changeset({}), installed, added, removed=removed, refusals=(refusal,))
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
    for name in {*installed, *entries}:
        path = f"{FOLDER}/{name}.json"
        data = project.tree.read(path)
        file = ledger.dump(entries[name]) if name in entries else None
        if file != data:
            changes[path] = Change(data, file, _mode(project, path))
    fresh = [record.target.requirement for record in _new(before, after) if isinstance(record.target, Dependency)]
    return Plan(
        Changeset(changes),
        entries,
        added,
        tuple(name for name in added if name not in requested),
        removed,
        notes=tuple(draft.notes),
        kept=tuple((target, reason) for target, reason in kept.items() if reason != "gone"),
        requirements=tuple(sorted(set(fresh))),
    )


def _mode(project: Project, path: str) -> int | None:
    try:
        return stat.S_IMODE((project.root / path).stat().st_mode)
    except OSError:
        return None


def _new(before: Sequence[Record], after: Sequence[Record]) -> list[Record]:
    had = {record.target for record in before}
    return [record for record in after if record.ours and record.target not in had]


def _at(records: Iterable[Record], path: str) -> list[Record]:
    return [record for record in records if record.target.path == path]
