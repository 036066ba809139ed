"""What became of the installed features: rules LTR001 to LTR012, which read ledgers instead of code."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

from msgspec.structs import replace

from laterctl.doctor.rule import MAIN, Rule
from laterctl.engine import ledger, removal
from laterctl.engine.lost import is_lost, moved, renamed, signed
from laterctl.features import catalogue
from laterctl.finding import Finding, Severity, Verdict
from laterctl.project import origin
from laterctl.project.places import Place
from laterctl.project.source import Unreadable
from laterctl.project.tree import Outside
from laterctl.project.unreadable import as_undecided
from laterctl.refusal import Refused
from laterctl.targets.base import Inspection, Record, State, Target
from laterctl.targets.document import Document, inspect_in
from laterctl.targets.owned_file import OwnedFile
from laterctl.targets.statement import Statement

if TYPE_CHECKING:
    from laterctl.engine.ledger import Entry
    from laterctl.project.discover import Project
    from laterctl.project.facts import Undecided

    _Documents = Callable[[str], tuple[list[Record], Document | None]]


def _ledger(feature: str, *targets: Target) -> dict[str, str]:
    """Return the ledger of a feature for an example."""
    entry = ledger.Entry(feature, "0.1.0", requested=True, records=tuple(Record(target) for target in targets))
    files = ledger.files([entry])
    return {path: data.decode() for path, data in files.items() if path != ledger.ATTRIBUTES}


def _marked(files: Mapping[str, str], rule: str) -> dict[str, str]:
    """Return files with the mark of a rule in the first line of the first."""
    path, text = next(iter(files.items()))
    return {**files, path: text.replace("\n", f"  # {rule}\n", 1)}


_APP = "from fastapi import FastAPI\n\napp = FastAPI()\n"
_WIRED = _ledger("routing", Statement(MAIN, "", "install(app)"))
_FILE = "# From laterctl: errors.\nclass ErrorBoundary: ...\n"
_BOUNDARY = {
    MAIN: _APP,
    **_ledger("errors", OwnedFile("app/boundary.py", _FILE, template="errors/core/error_boundary.py.jinja")),
}

LTR001 = Rule(
    id="LTR001",
    title="An interrupted run of laterctl is pending",
    why="Some files may be new and others old; the next changing command restores them before it does anything else.",
    fix="run any changing command: it restores the files first",
    severity=Severity.ERROR,
)
LTR002 = Rule(
    id="LTR002",
    title="A ledger in .laterctl/ cannot be read, or was written by a newer laterctl",
    why="The ledgers say which features are installed; without them nothing can be inspected or removed.",
    fix="restore it from version control",
    severity=Severity.ERROR,
    bad=({MAIN: _APP, ".laterctl/feature-routing.json": '{"feature":  # LTR002'},),
    good=({MAIN: _APP, **_ledger("routing")},),
)
LTR003 = Rule(
    id="LTR003",
    title="An installed feature is whole",
    why="Everything that it put into the project is there, as it was or edited by you.",
    fix="nothing is to be done",
    severity=Severity.INFO,
    bad=({MAIN: f"{_APP}install(app)\n", **_WIRED},),
    good=({MAIN: _APP, **_WIRED},),
)
LTR004 = Rule(
    id="LTR004",
    title="A file says that laterctl added it, but no ledger knows it",
    why="Without its ledger the feature is neither inspected nor can it be removed.",
    fix="restore .laterctl/ from version control, or add the feature again",
    bad=({MAIN: _APP, "app/core/error_boundary.py": _FILE.replace(".\n", ".  # LTR004\n", 1)},),
    good=({MAIN: _APP, "app/core/error_boundary.py": "class ErrorBoundary: ...\n"},),
)
LTR005 = Rule(
    id="LTR005",
    title="A target of an installed feature is gone",
    why="The feature is wired in no longer, or misses a part that it needs.",
    fix="put it back: laterctl doctor --fix; or take the rest out: laterctl remove FEATURE",
    severity=Severity.ERROR,
    bad=({MAIN: f"{_APP.replace('import FastAPI', 'import FastAPI  # LTR005')}", **_WIRED},),
    good=({MAIN: f"{_APP}install(app)\n", **_WIRED},),
)
LTR006 = Rule(
    id="LTR006",
    title="A target of an installed feature was edited",
    why="It is yours now, and stays as it is when the feature is updated or removed.",
    fix="nothing is to be done",
    severity=Severity.INFO,
    bad=({**_BOUNDARY, "app/boundary.py": _FILE.replace("...", "pass  # LTR006")},),
    good=({**_BOUNDARY, "app/boundary.py": _FILE},),
)
LTR007 = Rule(
    id="LTR007",
    title="A target of an installed feature was moved",
    why="It is yours now, and stays where it is when the feature is updated or removed.",
    fix="nothing is to be done",
    severity=Severity.INFO,
    bad=({**_BOUNDARY, "app/moved.py": _FILE.replace("errors.\n", "errors.  # LTR007\n")},),
    good=({**_BOUNDARY, "app/boundary.py": _FILE},),
)
LTR008 = Rule(
    id="LTR008",
    title="The ledger names a feature that this laterctl does not have",
    why="It was installed by another version; this one can say nothing about it.",
    fix="run the version that installed it",
    bad=({MAIN: _APP, **_marked(_ledger("teleport"), "LTR008")},),
    good=({MAIN: _APP, **_ledger("routing")},),
)
LTR009 = Rule(
    id="LTR009",
    title="An installed feature lacks one that it needs",
    why="Its code imports what the other one brings.",
    fix="add the feature again: that brings what it needs",
    severity=Severity.ERROR,
    bad=({MAIN: _APP, **_ledger("errors"), **_marked(_ledger("cors"), "LTR009")},),
    good=({MAIN: _APP, **_ledger("errors"), **_ledger("cors"), **_ledger("settings")},),
)
LTR010 = Rule(
    id="LTR010",
    title="A file cannot be read",
    why="A rule would look at it, so that what doctor says is not the whole truth.",
    fix="correct the file, or run laterctl under a Python that can read it",
    bad=({MAIN: _APP, "app/clients.py": "from httpx import AsyncClient\ndef (:  # LTR010\n"},),
    good=(
        {MAIN: _APP, "app/clients.py": "from httpx import AsyncClient\n"},
        {MAIN: _APP, "sdk/clients.py": "from httpx import AsyncClient\n\n\nclass {{ name }}Client(AsyncClient): ...\n"},
    ),
)
LTR011 = Rule(
    id="LTR011",
    title="The application starts, in a scratch copy",
    why="Asked for with `doctor --run`, the one way in which doctor runs the project's code.",
    fix="read the traceback that is shown",
    severity=Severity.INFO,
)
LTR012 = Rule(
    id="LTR012",
    title="No application was found, or a file that tells about it cannot be read",
    why="Rules about what is put on the application have nothing to look at.",
    fix="name it: laterctl --app MODULE:ATTR doctor, or app in [tool.laterctl]",
    bad=({MAIN: "from fastapi import FastAPI\n\napp = FastAPI(  # LTR012\n"},),
    good=(
        {MAIN: _APP},
        {MAIN: 'from fastapi import FastAPI\n\nsub = FastAPI()\napp = FastAPI()\napp.mount("/sub", sub)\n'},
        {
            MAIN: _APP,
            "service/settings.py": "from pydantic_settings import BaseSettings\n{% if cors %}\norigins = []\n{% endif %}\n",
        },
    ),
)


def inspect(project: Project) -> Iterator[Finding]:
    """Yield what is wrong with installed features, with their ledgers, and with what stands in the way of looking."""
    yield from _journal(project)
    yield from _undecided(project)
    try:
        entries = ledger.load(project.tree)
    except Refused as refused:
        for refusal in refused.refusals:
            yield LTR002.finding(Verdict.UNKNOWN, refusal.message, refusal.place, refusal.remedy)
        return
    except (Unreadable, Outside) as error:
        found = as_undecided(error)
        yield LTR002.finding(Verdict.UNKNOWN, found.message, found.places[0], found.hint)
        return
    yield from _ledger_lost(project, entries)
    yield from _left_over(project, entries)
    records = ledger.records_of(entries.values())
    documents = _documents(project, records)
    for name, entry in sorted(entries.items()):
        if entry.left:
            continue
        problems = [*_records(project, entry, records, documents), *_requirements(entry, entries)]
        yield from problems
        if not any(item.verdict is Verdict.PROBLEM for item in problems):
            yield LTR003.finding(Verdict.OK, f"{name} is whole ({len(entry.records)} pieces)", feature=name)


def _left_over(project: Project, entries: Mapping[str, Entry]) -> Iterator[Finding]:
    """What the user filled in of features that were removed."""
    try:
        for name, paths in sorted(removal.yours(project.tree, entries).items()):
            message = f"left over of {name}: {', '.join(paths)} (yours)"
            fix = f"laterctl remove {name} --delete-edited"
            yield LTR006.finding(Verdict.OK, message, Place(paths[0], 1), fix, feature=name)
    except (Unreadable, Outside) as error:
        found = as_undecided(error)
        yield LTR010.finding(Verdict.UNKNOWN, found.message, found.places[0], found.hint)


def left_over(project: Project) -> dict[str, frozenset[str]]:
    """Return the files that removed features left, by the feature's name; none when the ledger cannot be read."""
    try:
        entries = ledger.load(project.tree)
    except (Refused, Unreadable, Outside):
        return {}
    return {
        name: frozenset(item.target.path for item in entry.records) for name, entry in entries.items() if entry.left
    }


def _journal(project: Project) -> Iterator[Finding]:
    from laterctl import journal

    pending = journal.pending(project.root)
    if pending is not None:
        yield LTR001.finding(Verdict.PROBLEM, f"an interrupted run is pending: {pending.command}", fix=LTR001.fix)


_JINJA = re.compile(rb"\{%-?\s*(?:if|for|set|block|extends|include|import|from|macro|raw)\b|\{\{-?\s*[\w.]+[^{}]*\}\}")
UNREAD = frozenset({"syntax-error", "too-new", "encoding", "nul", "toml", "permission", "outside"})
"""Reasons why a file could not be read; what else could not be decided only matters when a feature needs it."""


def _undecided(project: Project) -> Iterator[Finding]:
    """Without an application, and behind files that cannot be read, there is much that was not looked at.

    Of several applications each is looked at, whichever is meant.
    """
    missed = [] if project.app is not None or project.apps else [project.why_not("app")]
    missed += [item for item in project.undecided if item.code in UNREAD and not _is_template(project, item)]
    for item in dict.fromkeys(missed):
        if item is not None:
            place = item.places[0] if item.places else None
            yield LTR012.finding(Verdict.UNKNOWN, item.message, place, item.hint)


def _is_template(project: Project, item: Undecided) -> bool:
    return item.code in {"syntax-error", "toml"} and any(is_template(project, place) for place in item.places)


def is_template(project: Project, place: Place) -> bool:
    """Whether it is a mark of Jinja that stops a parser at a place: the file is none, but what files are made from."""
    try:
        lines = (project.tree.read(place.path) or b"").splitlines()
    except (Unreadable, Outside):
        return False
    return any(_JINJA.search(line) for line in lines[max(place.line - 2, 0) : place.line + 1])


def _ledger_lost(project: Project, entries: Mapping[str, Entry]) -> Iterator[Finding]:
    """A file that says it was added by laterctl, without a ledger that knows it."""
    known = {record.target.path for entry in entries.values() for record in entry.records}
    for path in signed(project):
        name = origin.feature_of(path, project.tree.read(path) or b"")
        if path in known or name not in catalogue.module_names():
            continue
        entry, place = entries.get(name), Place(path, 1)
        if entry is None:
            message = f"{path} was added by laterctl, but no ledger knows it"
            fix = f"restore .laterctl/ from version control, or: {_adding(name)}"
            yield LTR004.finding(Verdict.PROBLEM, message, place, fix, feature=name)
        elif not any(moved(project, record) == path for record in entry.records):
            message = f"{path} is a copy of something that laterctl added (yours)"
            yield LTR004.finding(Verdict.OK, message, place, feature=name)


def _adding(name: str) -> str:
    users = catalogue.users_of(name)
    return f"laterctl add {name if name in users else '|'.join(users)}"


def _documents(project: Project, records: Iterable[Record]) -> _Documents:
    """Return what gives the records in a file, and the file, read once: `None` when there is none."""
    by_path: defaultdict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_path[record.target.path].append(record)

    @cache
    def found(path: str) -> tuple[list[Record], Document | None]:
        data = project.tree.read(path)
        return by_path[path], None if data is None else Document(path, data, by_path[path], project)

    return found


def _records(project: Project, entry: Entry, records: Sequence[Record], documents: _Documents) -> Iterator[Finding]:
    elsewhere = renamed(project, entry, records)
    for record in entry.records:
        target, feature = record.target, entry.feature
        try:
            others, document = documents(target.path)
            inspection = Inspection(State.ABSENT) if document is None else inspect_in(target, document)
            place_now = moved(project, record)
        except (Unreadable, Outside) as error:
            found = as_undecided(error)
            yield LTR010.finding(Verdict.UNKNOWN, found.message, found.places[0], found.hint, feature=feature)
            continue
        place = Place(target.path, inspection.line or 1)
        what = "the file" if target.whole_file else target.describe()
        if place_now:
            message = f"{target.path} was moved to {place_now} (yours)"
            yield LTR007.finding(Verdict.OK, message, Place(place_now, 1), feature=feature)
        elif inspection.state is State.ABSENT and not record.left:
            with_it = "" if document is not None or target.whole_file else f" with {target.path}"
            fixable = elsewhere is None and is_lost(project, record, others)
            fix = _repair(entry, fixable) if elsewhere is None else f"{elsewhere[1]} is in its place: laterctl update"
            gone = LTR005.finding(Verdict.PROBLEM, f"{what} is gone{with_it}", place, fix, feature=feature)
            yield replace(gone, fixable=fixable)
        elif inspection.state is State.ALTERED:
            yield LTR006.finding(Verdict.OK, f"{what} was edited (yours)", place, feature=feature)
        elif inspection.detail == "moved":
            yield LTR007.finding(Verdict.OK, f"{what} was moved (yours)", place, feature=feature)


def _repair(entry: Entry, fixable: bool) -> str:
    repair = "put it back: laterctl doctor --fix" if fixable else "restore it from version control"
    return f"{repair}; or take the rest out: laterctl remove {entry.feature}"


def _requirements(entry: Entry, entries: Mapping[str, Entry]) -> Iterator[Finding]:
    place = Place(entry.path, 1)
    if entry.feature not in catalogue.module_names():
        message = f"{entry.feature} is not a feature of this laterctl"
        yield LTR008.finding(Verdict.UNKNOWN, message, place, LTR008.fix, feature=entry.feature)
        return
    for name in catalogue.needs_of(entry.feature, entry.options)[0]:
        if name not in entries or entries[name].left:
            message, fix = f"{entry.feature} needs {name}, which is not installed", f"laterctl add {entry.feature}"
            yield LTR009.finding(Verdict.PROBLEM, message, place, fix, feature=entry.feature)
