"""Plans: from what is installed and what is asked for to a changeset, or to reasons why not."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from laterctl import __version__, catalogue, ledger, references
from laterctl.changeset import Change, Changeset
from laterctl.edits import converge, owned_file
from laterctl.edits.pieces import (
    Anchor,
    Argument,
    Block,
    Dependency,
    ImportName,
    Inspection,
    ListEntry,
    OwnedFile,
    Piece,
    Record,
    State,
    Statement,
    TomlKey,
)
from laterctl.edits.provider import Provider
from laterctl.edits.relative import is_rebound
from laterctl.edits.setting import Setting
from laterctl.edits.site import MOVABLE, Edit, Site, Wanted, layout_of
from laterctl.installed import FOLDER
from laterctl.ledger import Entry
from laterctl.outcome import Note, Refusal, Refused
from laterctl.project.places import Place

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
    pieces that stay although their feature goes, and why. `requirements` are new runtime or development dependencies.
    With refusals the changeset is empty.
    """

    changeset: Changeset
    entries: Mapping[str, Entry]
    added: tuple[str, ...] = ()
    pulled: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    notes: tuple[Note, ...] = ()
    kept: tuple[tuple[Piece, str], ...] = ()
    requirements: tuple[str, ...] = ()


class _Draft(Struct):
    """The state of a plan while features are resolved one after the other."""

    project: Project
    entries: dict[str, Entry]
    installed: list[Record]
    anchors: dict[Piece, Anchor] = field(default_factory=dict)
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


def mend(project: Project, installed: Mapping[str, Entry]) -> Plan:
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
    piece = record.piece
    if not record.ours or isinstance(piece, OwnedFile):
        return False
    if converge.inspect(piece, project.tree.read(piece.path)).state is not State.ABSENT:
        return False
    return not (isinstance(piece, ImportName) and is_rebound(project, piece))


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
    from laterctl.fit import misfits

    values = {option.name: option.default for option in feature.options if option.default} | dict(options)
    site = _site(draft, feature, values, wanted)
    found = misfits(feature, site, draft.entries) if check else []
    if found:
        draft.refusals.extend(found)
        return
    records: dict[tuple[str, ...], Record] = {}
    edits = [*feature.edits, *(feature.more(site) if feature.more else ())]
    site = _around(edits, site)
    for edit in edits:
        try:
            for item in edit.resolve(site):
                record = _record(draft, site, item, records)
                records.setdefault(record.piece.target, record)
        except Refused as refused:
            draft.refusals.extend(refused.refusals)
    draft.notes.extend(site.notes)
    draft.entries[feature.name] = Entry(feature.name, __version__, asked, dict(options), tuple(records.values()))
    made = [
        record.piece
        for record in records.values()
        if isinstance(record.piece, OwnedFile) and record.ours and draft.project.tree.read(record.piece.path) is None
    ]
    if any(piece.open for piece in made):
        # Later features extend what this one creates, so they have to see it.
        draft.project = draft.project.with_overlay({piece.path: piece.text.encode() for piece in made})


def _site(draft: _Draft, feature: Feature, options: Mapping[str, str], wanted: Sequence[str]) -> Site:
    settings: dict[str, Setting] = {}
    providers: dict[str, str] = {}
    for name in wanted:
        for edit in catalogue.feature(name).edits:
            if isinstance(edit, Setting):
                settings[edit.name] = edit
            elif isinstance(edit, Provider):
                providers[edit.name] = edit.source
    records = draft.records()
    moved = [item.piece.instead_of for item in records if isinstance(item.piece, OwnedFile) and item.piece.instead_of]
    elsewhere = {place: owned_file.alternative(place) for place in moved}
    return Site(draft.project, feature.name, options, draft.installed, records, settings, providers, elsewhere)


def _around(edits: Iterable[Edit], site: Site) -> Site:
    """Decide which owned files go to their other place, before anything refers to them."""
    files = owned_file.files(edits)
    blocked = {file.path: owned_file.alternative(file.path) for file in files if file.is_blocked(site)}
    for usual, other in blocked.items():
        site.notice(f"{site.path(usual)} is yours, so ours is {site.path(other)}", Place(site.path(usual), 1))
    for head in sorted({file.path.partition("/")[0] for file in files} & MOVABLE):
        module = site.project.in_the_way(head)
        if module and not site.project.tree.is_dir(site.path(head)):
            site.notice(f"{module} is yours, so ours go to {site.path(head)}/", Place(module, 1))
    return replace(site, elsewhere={**site.elsewhere, **blocked}) if blocked else site


def _record(draft: _Draft, site: Site, wanted: Wanted, mine: Mapping[tuple[str, ...], Record]) -> Record:
    """Decide whether a wanted piece is shared, already there by hand, or new."""
    piece = wanted.piece
    shared = next((item for item in draft.records() if item.piece.target == piece.target), None)
    if isinstance(piece, OwnedFile):
        return _file_record(draft, site, piece, shared)
    if shared is not None:
        return _shared(site, piece, shared)
    data = draft.project.tree.read(piece.path)
    inspection = converge.inspect(piece, data)
    if inspection.state is State.PRESENT:
        return Record(piece) if _relinked(piece, mine) else _adopted(site, piece, inspection.detail)
    if inspection.state is State.ALTERED:
        raise Refused(_different(site, piece, inspection))
    if wanted.anchor is not None:
        draft.anchors[piece] = wanted.anchor
    return Record(piece, imported=isinstance(piece, Dependency) and references.is_imported(site, piece.name))


def _different(site: Site, piece: Piece, inspection: Inspection) -> Refusal:
    code, message, remedy = (
        "already-different",
        f"{piece.path} has this in another form",
        "change it by hand or remove it",
    )
    if isinstance(piece, TomlKey) and piece.table[:1] == ("tool",):  # a tool's own configuration, not a name of ours
        code, message = "already-by-hand", f"{piece.path} configures {piece.table[1]} already, in another way"
        remedy = f"keep yours, or take it out and run `laterctl add {site.feature}` again"
    return Refusal(
        code,
        message,
        Place(piece.path, inspection.line),
        seen=inspection.detail,
        expected=piece.describe(),
        snippet=piece.describe(),
        remedy=remedy,
        feature=site.feature,
    )


def _shared(site: Site, piece: Piece, other: Record) -> Record:
    # Each feature records its own wish; the join over all of them is taken when a document converges.
    if isinstance(piece, TomlKey) and isinstance(other.piece, TomlKey) and piece.value != other.piece.value:
        raise Refused(
            Refusal(
                "conflict",
                f"another feature wants {other.piece.describe()}",
                Place(piece.path, 1),
                expected=piece.describe(),
                feature=site.feature,
            )
        )
    return Record(piece if isinstance(piece, Dependency) else other.piece, other.ours, other.replaced, other.imported)


def _relinked(piece: Piece, mine: Mapping[tuple[str, ...], Record]) -> bool:
    """Whether a piece that is there binds to a file that says it came from laterctl: its ledger was lost."""
    files = {record.piece.path for record in mine.values() if isinstance(record.piece, OwnedFile) and record.relinked}
    if isinstance(piece, ImportName):
        module = piece.source.rpartition(".")[0].replace(".", "/")
        return any(path.endswith(f"{module}.py") for path in files)
    names = {record.piece.local for record in mine.values() if record.ours and isinstance(record.piece, ImportName)}
    codes = {Statement: "code", Argument: "value", ListEntry: "code", Block: "header"}
    code = getattr(piece, codes[type(piece)]) if type(piece) in codes else ""
    return bool(files) and bool(names & set(re.findall(r"\w+", code)))


def _adopted(site: Site, piece: Piece, declared: str) -> Record:
    if isinstance(piece, Dependency):
        from laterctl.codemods import requirements

        if not requirements.satisfiable(declared, piece.requirement):
            raise Refused(
                Refusal(
                    "version-cap",
                    f"{piece.path} declares {declared}, which excludes {piece.requirement}",
                    _requirement_place(site, piece),
                    seen=declared,
                    expected=piece.requirement,
                    snippet=piece.requirement,
                    remedy="raise the cap yourself: it is never raised for you",
                    feature=site.feature,
                )
            )
        if requirements.extras_of(piece.requirement) - requirements.extras_of(declared):
            return Record(
                piece, ours=True, replaced=converge.spelling(piece, site.project.tree.read(piece.path) or b"")
            )
    return Record(piece, ours=False)


def _requirement_place(site: Site, piece: Dependency) -> Place | None:
    manifest = site.project.manifest
    found = [item.place for item in manifest.requirements if item.name == piece.name] if manifest else []
    return found[0] if found else None


def _file_record(draft: _Draft, site: Site, piece: OwnedFile, shared: Record | None) -> Record:
    if shared is not None:
        return shared
    made = owned_file.rendered(piece, site)
    data = draft.project.tree.read(piece.path)
    if data is None:
        return Record(made)
    if converge.inspect(made, data).state is State.PRESENT:
        return Record(made, relinked=bool(made.template))
    if converge.inspect(owned_file.unsigned(made), data).state is State.PRESENT:
        return Record(owned_file.unsigned(made), ours=False)
    raise owned_file.taken(made, site)


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
    replaced: dict[Piece, str] = {}
    kept: dict[Piece, str] = dict(surviving)
    effective = [*after, *(record for record in before if record.piece in surviving)]
    had, wanted = ({record.piece for record in side if record.ours} for side in (before, effective))
    for path in sorted({piece.path for piece in had ^ wanted}):
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
            replace(record, replaced=replaced[record.piece]) if record.ours and record.piece in replaced else record
            for record in entry.records
        )
        entries[name] = replace(entry, records=records)
    for name in {*installed, *entries}:
        path = f"{FOLDER}/{name}.json"
        data = project.tree.read(path)
        file = ledger.dump(entries[name]) if name in entries else None
        if file != data:
            changes[path] = Change(data, file, _mode(project, path))
    fresh = [record.piece.requirement for record in _new(before, after) if isinstance(record.piece, Dependency)]
    return Plan(
        Changeset(changes),
        entries,
        added,
        tuple(name for name in added if name not in requested),
        removed,
        notes=tuple(draft.notes),
        kept=tuple((piece, reason) for piece, reason in kept.items() if reason != "gone"),
        requirements=tuple(sorted(set(fresh))),
    )


def _mode(project: Project, path: str) -> int | None:
    try:
        return stat.S_IMODE((project.root / path).stat().st_mode)
    except OSError:
        return None


def _new(before: Sequence[Record], after: Sequence[Record]) -> list[Record]:
    had = {record.piece for record in before}
    return [record for record in after if record.ours and record.piece not in had]


def _at(records: Iterable[Record], path: str) -> list[Record]:
    return [record for record in records if record.piece.path == path]
