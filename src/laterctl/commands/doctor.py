"""`doctor`: inspects installed features, then lets the rules read the project's code. It parses; it never runs it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from laterctl.codemods import newer
from laterctl.commands.change import readable
from laterctl.edits.file import files as owned_files
from laterctl.engine import catalogue, ledger
from laterctl.finding import Finding, Verdict
from laterctl.project.facts import App, Registration
from laterctl.project.places import Place
from laterctl.project.source import Unreadable
from laterctl.refusal import Refused
from laterctl.targets import document as converge
from laterctl.targets import origin
from laterctl.targets.base import Record, State

if TYPE_CHECKING:
    from laterctl.engine.ledger import Entry
    from laterctl.project.discover import Project


class Report(Struct, frozen=True):
    """What `doctor` found, problems first, then by place; and the application with its middleware, outermost first."""

    findings: list[Finding]
    app: App | None = None
    onion: tuple[Registration, ...] = ()


def examine(
    start: Path,
    *,
    app: str | None = None,
    only: Collection[str] = (),
    skip: Collection[str] = (),
    run: bool = False,
) -> Report:
    """Look at the project around a folder.

    Args:
        start: a folder in the project.
        app: `module:attr` of the application that is meant.
        only: rule ids, or prefixes of them, to keep; all when empty.
        skip: rule ids, or prefixes of them, to leave out.
        run: also start the app, in a scratch copy.
    """
    from laterctl.features.middleware_rules import onion
    from laterctl.project.discover import discover, find_root

    project = discover(find_root(start), app=app, repair=newer.repaired)
    skipped = {*skip, *_configured(project)}
    findings = [*_journal(project), *_undecided(project), *_installed(project), *_rules(project)]
    if run:
        findings.append(_started(project))
    kept = [item for item in findings if _matches(item.rule, only, default=True) and not _matches(item.rule, skipped)]
    order = {Verdict.PROBLEM: 0, Verdict.UNKNOWN: 1, Verdict.OK: 2}
    found = sorted(kept, key=lambda item: (order[item.verdict], item.place or Place("", 0), item.rule))
    return Report(found, project.app, tuple(onion(project.app)) if project.app is not None else ())


def _configured(project: Project) -> Iterable[str]:
    listed = project.config.get("doctor", {})
    skip = listed.get("skip", ()) if isinstance(listed, Mapping) else ()
    return [str(item) for item in skip]


def _matches(rule: str, wanted: Collection[str], *, default: bool = False) -> bool:
    return any(rule.lower().startswith(item.lower()) for item in wanted) if wanted else default


def _journal(project: Project) -> Iterator[Finding]:
    from laterctl import journal

    pending = journal.pending(project.root)
    if pending is not None:
        yield Finding(
            "LTR001",
            Verdict.PROBLEM,
            f"an interrupted run is pending: {pending.command}",
            fix="run any changing command: it restores the files first",
        )


UNREAD = frozenset({"syntax-error", "too-new", "encoding", "nul", "toml", "permission", "outside"})
"""Reasons why a file could not be read; what else could not be decided only matters when a feature needs it."""


def _undecided(project: Project) -> Iterator[Finding]:
    """Without an application, and behind files that cannot be read, there is much that was not looked at."""
    missed = [] if project.app is not None else [project.why_not("app")]
    missed += [item for item in project.undecided if item.code in UNREAD]
    for item in dict.fromkeys(missed):
        if item is not None:
            yield Finding("LTR012", Verdict.UNKNOWN, item.message, item.places[0] if item.places else None, item.hint)


def _installed(project: Project) -> Iterator[Finding]:
    try:
        with readable():
            entries = ledger.load(project.tree)
    except Refused as refused:
        for refusal in refused.refusals:
            yield Finding("LTR002", Verdict.UNKNOWN, refusal.message, refusal.place, refusal.remedy)
        return
    yield from _ledger_lost(project, entries)
    records = ledger.records_of(entries.values())
    for name, entry in sorted(entries.items()):
        problems = [*_records(project, entry, records), *_requirements(entry, entries)]
        yield from problems
        if not any(item.verdict is Verdict.PROBLEM for item in problems):
            yield Finding("LTR003", Verdict.OK, f"{name} is whole ({len(entry.records)} pieces)", feature=name)


def _ledger_lost(project: Project, entries: Mapping[str, Entry]) -> Iterator[Finding]:
    """A file that says it was added by laterctl, without a ledger that knows it."""
    known = {record.target.path for entry in entries.values() for record in entry.records}
    for path in _signed(project):
        name = origin.feature_of(path, project.tree.read(path) or b"")
        if path in known or name not in catalogue.module_names():
            continue
        entry = entries.get(name)
        if entry is None:
            yield Finding(
                "LTR004",
                Verdict.PROBLEM,
                f"{path} was added by laterctl, but no ledger knows it",
                Place(path, 1),
                f"restore .laterctl/ from version control, or: {_adding(name)}",
                name,
            )
        elif not any(_moved(project, record) == path for record in entry.records):
            yield Finding(
                "LTR004",
                Verdict.OK,
                f"{path} is a copy of something that laterctl added (yours)",
                Place(path, 1),
                feature=name,
            )


def _signed(project: Project) -> list[str]:
    """Return the files that may say that they came from laterctl: Python files, and those that features call so."""
    names = {file.path.rpartition("/")[2] for item in catalogue.every() for file in owned_files(item.edits)}
    others = (path for path in project.tree.files() if path.rpartition("/")[2] in names and not path.endswith(".py"))
    found = [path for path in others if origin.feature_of(path, project.tree.read(path) or b"")]
    return [*project.tree.files_containing(origin.ORIGIN.encode()), *found]


def _adding(name: str) -> str:
    users = [item.name for item in catalogue.every() if not item.hidden and name in catalogue.closure([item.name])]
    return f"laterctl add {name if name in users else '|'.join(users)}"


def _moved(project: Project, record: Record) -> str:
    """Return where an owned file went that is not at its place any more; `""` when it is nowhere."""
    target = record.target
    if not target.whole_file or not target.created() or project.tree.read(target.path) is not None:
        return ""
    for path in _signed(project):
        if converge.inspect(target, project.tree.read(path)).state is State.PRESENT:
            return path
    return ""


def _records(project: Project, entry: Entry, records: list[Record]) -> Iterator[Finding]:
    for record in entry.records:
        target = record.target
        data = project.tree.read(target.path)
        others = [item for item in records if item.target.path == target.path]
        try:
            inspection = converge.inspect(target, data, others, project)
        except Unreadable as error:
            yield Finding(
                "LTR010",
                Verdict.UNKNOWN,
                f"{error.path} cannot be read: {error.reason}",
                Place(error.path, error.line),
                error.hint,
                entry.feature,
            )
            continue
        place = Place(target.path, inspection.line or 1)
        what = "the file" if target.whole_file else target.describe()
        if moved := _moved(project, record):
            yield Finding(
                "LTR007",
                Verdict.OK,
                f"{target.path} was moved to {moved} (yours)",
                Place(moved, 1),
                feature=entry.feature,
            )
        elif inspection.state is State.ABSENT:
            with_it = "" if data is not None or target.whole_file else f" with {target.path}"
            fixable = _fixable(record) and data is not None
            yield Finding(
                "LTR005",
                Verdict.PROBLEM,
                f"{what} is gone{with_it}",
                place,
                _mend(entry, fixable),
                entry.feature,
                fixable=fixable,
            )
        elif inspection.state is State.ALTERED:
            yield Finding("LTR006", Verdict.OK, f"{what} was edited (yours)", place, feature=entry.feature)
        elif inspection.detail == "moved":
            yield Finding("LTR007", Verdict.OK, f"{what} was moved (yours)", place, feature=entry.feature)


def _fixable(record: Record) -> bool:
    """What was deleted stays deleted; what a wired feature cannot work without can be put back when asked."""
    return record.ours and record.target.restorable


def _mend(entry: Entry, fixable: bool) -> str:
    repair = "put it back: laterctl doctor --fix" if fixable else "restore it from version control"
    return f"{repair}; or take the rest out: laterctl remove {entry.feature}"


def _requirements(entry: Entry, entries: Mapping[str, Entry]) -> Iterator[Finding]:
    if entry.feature not in catalogue.module_names():
        yield Finding(
            "LTR008",
            Verdict.UNKNOWN,
            f"{entry.feature} is not a feature of this laterctl",
            Place(entry.path, 1),
            fix="run the version that installed it",
            feature=entry.feature,
        )
        return
    for name in catalogue.feature(entry.feature).requires:
        if name not in entries:
            yield Finding(
                "LTR009",
                Verdict.PROBLEM,
                f"{entry.feature} needs {name}, which is not installed",
                Place(entry.path, 1),
                fix=f"laterctl add {entry.feature}",
                feature=entry.feature,
            )


def _started(project: Project) -> Finding:
    from laterctl.proof import dynamic

    found = dynamic.observe(project)
    if found.seen is None:
        return Finding("LTR011", Verdict.UNKNOWN, f"the app was not started: {found.summary}")
    if found.seen.lifespan.outcome in {"ok", "none"}:
        return Finding("LTR011", Verdict.OK, f"the app starts: {found.summary}")
    return Finding("LTR011", Verdict.UNKNOWN, f"the app imports: {found.summary}", found.seen.lifespan.place)


def _rules(project: Project) -> Iterator[Finding]:
    from laterctl import rules

    yield from rules.run(project)
