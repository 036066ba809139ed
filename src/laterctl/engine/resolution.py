"""Resolves declared features into records against the facts of one project."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from laterctl import __version__
from laterctl.edits import file as owned_file
from laterctl.edits.beside import Beside
from laterctl.edits.chosen import chosen
from laterctl.edits.context import MOVABLE, Edit, FeatureContext, flat
from laterctl.edits.provider import Provider
from laterctl.edits.setting import Setting
from laterctl.engine import ledger
from laterctl.engine.ledger import Entry
from laterctl.features import catalogue
from laterctl.project.places import Place
from laterctl.refusal import Note, Refusal, Refused
from laterctl.targets.base import Anchor, Conflict, Imported, Inspection, Record, State, Target
from laterctl.targets.document import Document, inspect
from laterctl.targets.owned_file import alternative
from laterctl.targets.resolved import Resolved

if TYPE_CHECKING:
    from laterctl.feature import Feature, Value
    from laterctl.project.discover import Project

Key = tuple[str, ...]


class Resolution(Struct):
    """Features on their way into records, one after the other.

    Attributes:
        project: the facts, with the open files of features resolved so far.
        wanted: the features that there will be, each after those that it requires.
        before: the records that the project has.
        entries: the features that are settled, by name.
        options: the values of options that are given, by each feature that there will be.
        anchors: where new statements go.
        refusals, notes: what stands in the way, and what is worth saying.
    """

    project: Project
    wanted: Sequence[str]
    before: Sequence[Record]
    entries: dict[str, Entry]
    options: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    anchors: dict[Target, Anchor] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    _declared: dict[str, tuple[Edit, ...]] = field(default_factory=dict)
    _contexts: dict[str, FeatureContext] = field(default_factory=dict)

    def records(self) -> list[Record]:
        """Return the records of all settled features."""
        return ledger.records_of(self.entries.values())

    def add(self, entry: Entry, previous: Sequence[Record] = (), *, check: bool = True) -> None:
        """Resolve a feature as today's declaration has it.

        Args:
            entry: its name, options and how it came in; without records.
            previous: the records that it has in the project, when it is there already.
            check: whether to look for what speaks against it.
        """
        feature, edits, context = self._declared_in(entry)
        if check and (found := self._blockers(feature, edits, context)):
            self.refusals.extend(found)
            return
        context = _around(edits, context)
        self._contexts[feature.name] = context
        self.entries[entry.feature] = replace(entry, version=__version__, records=())
        self._resolve(entry.feature, [item for item in edits if not isinstance(item, Beside)], previous)

    def blockers(self, entry: Entry) -> list[Refusal]:
        """Return what speaks against a feature as far as it can be seen without rendering anything."""
        return self._blockers(*self._declared_in(entry), renders=False)

    def _declared_in(self, entry: Entry) -> tuple[Feature, tuple[Edit, ...], FeatureContext]:
        feature = catalogue.feature(entry.feature)
        context = self._context(feature, entry)
        edits = self._declare(feature, context)
        self.notes.extend(context.notes)
        return feature, edits, self._context(feature, entry)  # once more: the edits bring settings and providers

    def _blockers(
        self, feature: Feature, edits: tuple[Edit, ...], context: FeatureContext, *, renders: bool = True
    ) -> list[Refusal]:
        from laterctl.engine.preflight import blockers

        return blockers(feature, edits, context, self.entries, renders=renders)

    def add_beside(self, name: str, others: Iterable[str], previous: Sequence[Record] = ()) -> None:
        """Resolve the edits of a settled feature that hold only beside one of `others`."""
        entry = self.entries.get(name)
        if entry is None or name not in catalogue.module_names():
            return  # it was refused, or is none of this version's
        feature = catalogue.feature(name)
        if name not in self._contexts:
            self._declare(feature, self._context(feature, entry))
            self._contexts[name] = self._context(feature, entry)
        for other in sorted(others):
            edits = [item for item in self._declared[name] if isinstance(item, Beside) and item.feature == other]
            if edits and other in self.entries:
                self._resolve(name, edits, previous, beside=other)

    def joins(self, name: str, others: Iterable[str]) -> bool:
        """Whether today's declaration of a settled feature has edits that hold only beside one of `others`."""
        feature = catalogue.feature(name)
        edits = self._declare(feature, self._context(feature, self.entries[name]))
        return any(isinstance(item, Beside) and item.feature in others for item in edits)

    def _resolve(self, name: str, edits: Iterable[Edit], previous: Sequence[Record], beside: str = "") -> None:
        known = [*self.before, *self.records()]
        context = self._contexts[name]
        relocated = {**_relocated(known), **context.relocated}  # what came since has its places too
        context = replace(context, project=self.project, records=known, previous=previous, relocated=relocated)
        had = {record.target.key: replace(record, left=False) for record in previous}
        own = self._own_nodes(previous)
        records: dict[Key, Record] = {record.target.key: record for record in self.entries[name].records}
        for edit in edits:
            try:
                for item in edit.resolve(context):
                    record = self._record(context, item, records, had, own)
                    records.setdefault(record.target.key, replace(record, beside=beside) if beside else record)
            except Refused as refused:
                self.refusals.extend(refused.refusals)
            if self._show_created(records.values()):
                context = replace(context, project=self.project, records=[*known, *records.values()])
        self.notes.extend(context.notes)
        context.notes.clear()
        self.entries[name] = replace(self.entries[name], records=tuple(records.values()))

    def _show_created(self, records: Iterable[Record]) -> bool:
        """Let later edits see the open files that are made, which they extend; say whether there are new ones.

        What they see then is ours, as the records tell: it imports nothing for the user.
        """
        made = {record.target.path: record.target.created() for record in records if record.ours}
        fresh = {path: data for path, data in made.items() if data is not None and self.project.tree.read(path) is None}
        found = any(record.target.path in fresh and record.target.is_open for record in records)
        if found:
            self.project = self.project.with_overlay(fresh)
        return found

    def _own_nodes(self, previous: Sequence[Record]) -> set[int]:
        """The syntax nodes that a feature has in the project: what it wants now may take their place."""
        own: set[int] = set()
        for record in previous:
            data = self.project.tree.read(record.target.path) if record.ours else None
            inspection = inspect(record.target, data)
            if inspection.state is State.PRESENT:  # what the user made of it stays
                own.update(id(node) for node, _ in inspection.nodes)
        return own

    def _declare(self, feature: Feature, context: FeatureContext) -> tuple[Edit, ...]:
        """Return all edits of a feature, found once: those that it always has and those for this project."""
        if feature.name not in self._declared:
            more = feature.edits_for(context) if feature.edits_for is not None else ()
            self._declared[feature.name] = chosen((*feature.edits, *more), context.options)
        return self._declared[feature.name]

    def _context(self, feature: Feature, entry: Entry) -> FeatureContext:
        for name in catalogue.closure(entry.requires, needs=self._needs):
            if name not in self._declared and name in self.entries and name in catalogue.module_names():
                needed = catalogue.feature(name)
                self._declare(needed, self._context(needed, self.entries[name]))
        declared = [edit for edits in self._declared.values() for edit in flat(edits)]
        static = [edit for name in self.wanted if name not in self._declared for edit in catalogue.edits_of(name)]
        every = [*static, *declared]
        records = [*self.before, *self.records()]
        return FeatureContext(
            self.project,
            feature.name,
            catalogue.values_of(feature.name, {**self.options, feature.name: entry.options}),
            self.before,
            records,
            {item.name: item for item in every if isinstance(item, Setting)},
            {item.name: item for item in every if isinstance(item, Provider)},
            _relocated(records),
            catalogue.middleware,
            tests=entry.tests,
        )

    def _needs(self, name: str) -> catalogue.Needs:
        entry = self.entries.get(name)
        return (entry.requires, ()) if entry is not None else catalogue.needs_of(name)

    def _record(
        self,
        context: FeatureContext,
        resolved: Resolved,
        mine: Mapping[Key, Record],
        had: Mapping[Key, Record],
        own: set[int],
    ) -> Record:
        """Decide whether a wanted target is shared, there already (ours or by hand), or new."""
        target = resolved.target
        others = (
            record for entry in self.entries.values() if entry.feature != context.feature for record in entry.records
        )
        shared = next((item for item in others if item.target.key == target.key), None)
        if shared is not None:
            try:
                return target.shared(shared)
            except Conflict as conflict:
                raise Refused(_conflict(context, target, str(conflict))) from conflict
        if resolved.complete is not None:
            target = resolved.complete()
        known = had.get(target.key)
        if known is not None and known.target.equals(target):
            return self._settled(target, known, resolved.anchor)
        if known is not None and not known.ours and target.whole_file:
            context.notice(f"{target.path} is yours, and stays as it is", Place(target.path, 1))
            return known
        if known is not None and known.ours:
            return self._changed(context, target, known, resolved.anchor)
        return self._new(context, replace(resolved, target=target), mine, own)

    def _settled(self, target: Target, known: Record, anchor: Anchor | None) -> Record:
        """Return the record of a target that is there: at its new place when this version has another order."""
        stands = inspect(known.target, self.project.tree.read(target.path)).state is State.PRESENT
        if not known.ours or known.target == target or not stands:
            return known
        if anchor is not None:
            self.anchors[target] = anchor
        return replace(known, target=target)

    def _changed(self, context: FeatureContext, target: Target, known: Record, anchor: Anchor | None) -> Record:
        """Return the record of a target of ours that is to be another one; what the user deleted stays deleted."""
        data = self.project.tree.read(target.path)
        inspection = inspect(known.target, data)
        if inspection.state is State.ABSENT:
            return known
        edited = not target.whole_file and inspection.state is State.ALTERED
        if edited and inspect(target, data).state is not State.PRESENT:
            raise Refused(_edited(context, target, known, inspection))
        if anchor is not None:
            self.anchors[target] = anchor
        return Record(target, replaced=known.replaced, imported=known.imported)

    def _new(self, context: FeatureContext, resolved: Resolved, mine: Mapping[Key, Record], own: set[int]) -> Record:
        target = resolved.target
        data = self.project.tree.read(target.path)
        inspection = inspect(target, data)
        if inspection.nodes and all(id(node) in own for node, _ in inspection.nodes):
            inspection = replace(inspection, state=State.ABSENT)
        if inspection.state is State.PRESENT:
            return self._adopted(context, target, mine)
        for other in target.alternatives() if data is not None else ():
            if inspect(other, data).state is State.PRESENT:
                return Record(other, ours=False)
        if inspection.state is State.ALTERED and target.is_lost(data or b""):
            return Record(target, ledger_lost=True)
        if inspection.state is State.ALTERED:
            raise Refused(replace(target.clash(inspection), feature=context.feature))
        if resolved.anchor is not None:
            self.anchors[target] = resolved.anchor
        return target.introduced(self.project, [*context.records, *mine.values()])

    def _adopted(self, context: FeatureContext, target: Target, mine: Mapping[Key, Record]) -> Record:
        in_lost_file = any(item.ledger_lost and item.target.path == target.path for item in self.records())
        if in_lost_file or _ledger_lost(target, mine):
            return Record(target)
        for known in self.before:
            if known.ours and known.target.key == target.key:  # of a feature that is removed, and left it over
                with suppress(Conflict):
                    return target.shared(known)
            if known.ours and self._is_followed(known.target, target):
                return replace(known, target=target)
        data = self.project.tree.read(target.path) or b""
        document = Document(target.path, data, project=self.project)
        found = target.adopted(document, target.inspect(document))
        if isinstance(found, Refusal):
            raise Refused(replace(found, feature=context.feature))
        return found

    def _is_followed(self, old: Target, new: Target) -> bool:
        """Whether a target is an old one in a file that has another name by now."""
        if old.kind != new.kind or old.whole_file or self.project.tree.read(old.path) is not None:
            return False
        return replace(old, path=new.path).key == new.key


def _relocated(records: Iterable[Record]) -> dict[str, str]:
    """Map the usual places of owned files that are at their other place to that one."""
    return {place: alternative(place) for record in records if (place := record.target.default_place)}


def _around(edits: Iterable[Edit], context: FeatureContext) -> FeatureContext:
    """Decide which owned files go to their other place, before anything refers to them."""
    files = owned_file.files(flat(edits))
    blocked = {file.path: alternative(file.path) for file in files if file.is_blocked(context)}
    for usual, other in blocked.items():
        context.choice(
            f"{context.path(usual)} is yours, so ours is {context.path(other)}", Place(context.path(usual), 1)
        )
    heads = {file.path.partition("/")[0] for file in files if not file.root}
    for head in sorted(heads & context.project.homes.keys()):
        what = "new routers go" if head == "api" else "new shared modules go"
        context.choice(
            f"{what} to {context.path(head)}/, where yours are; {head} in [tool.laterctl] chooses another place"
        )
    for head in sorted(heads & MOVABLE):
        module = context.project.in_the_way(head)
        if module and not context.project.tree.is_dir(context.path(head)):
            context.choice(f"{module} is yours, so ours go to {context.path(head)}/", Place(module, 1))
    return replace(context, relocated={**context.relocated, **blocked}) if blocked else context


def _edited(context: FeatureContext, target: Target, known: Record, inspection: Inspection) -> Refusal:
    return Refusal(
        "edited",
        f"you edited what {context.feature} has in {target.path}, and it is to be another now",
        Place(target.path, inspection.line or 1),
        seen=inspection.detail,
        expected=known.target.describe(),
        snippet=target.describe(),
        remedy="make it what is in the snippet, or what it was, then run the command again",
        feature=context.feature,
    )


def _conflict(context: FeatureContext, target: Target, other: str) -> Refusal:
    return Refusal(
        "conflict",
        f"another feature wants {other}",
        Place(target.path, 1),
        expected=target.describe(),
        feature=context.feature,
    )


def _ledger_lost(target: Target, mine: Mapping[Key, Record]) -> bool:
    """Whether a target that is there binds to a file that says it came from laterctl: its ledger was lost."""
    files = {record.target.path for record in mine.values() if record.ledger_lost}
    if not files:
        return False
    document = Document(target.path, b"")
    imported = [] if target.whole_file else list(target.imports(document))
    if imported:
        return any(path.endswith(f"{_path(item)}.py") for item in imported for path in files)
    names = {
        binding.name
        for record in mine.values()
        if record.ours
        for binding in record.target.bindings()
        if binding.what == "import"
    }
    return not target.whole_file and bool(names & target.uses(document))


def _path(item: Imported) -> str:
    return item.module.replace(".", "/")
