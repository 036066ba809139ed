"""Try every feature on every project of a folder, on copies, and say what came of it.

Usage: python scripts/sweep.py FOLDER... [--feature NAME]... [--app PROJECT=MODULE:ATTR]...
                               [--python PROJECT=PROGRAM[,MODULE:ATTR]]... [--json] [--doctor]

A FOLDER is a project, or holds checkouts; a checkout whose applications are further down counts as that many projects.
`--app` answers the question which of several applications is meant; PROJECT is the name that the table shows. Of a
project with an answer every command gets it, and the rows say so.

Each feature is added (`--diff` first, then really), added again, looked at by `doctor` and removed again. Nothing is
written outside a temporary folder, no code of the projects runs, and nothing needs the network.

`--python` names the interpreter of a project's environment, which has what the project needs and what the features do,
and what its server is told to serve, where laterctl is not to be believed. The application is then imported and started
before and after, in scratch copies, which runs the project's code: it has to import wherever it did, routes, middleware
and answers have to be those of before, and the new middleware and routers have to be on the object that is served; each
new setting is read as our code reads it. The row says what ran, or why nothing did.

Outcomes: `applied` (and proved statically, the patch gives the same tree, a second run changes nothing, removing gives
back every byte), `refused` (with a reason), `fault` (anything else). The exit status is 1 when there was a fault.
The last lines count them; `fitting` are the pairs that laterctl means to serve: neither below a version floor or above a
cap, nor done by hand already; their share that was applied is what there is to improve.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from typer.testing import CliRunner

from laterctl import install
from laterctl.cli.app import app
from laterctl.dialects.settings import settings_of
from laterctl.edits.setting import Setting
from laterctl.engine import ledger
from laterctl.features import catalogue
from laterctl.project.discover import discover, find_root
from laterctl.project.places import Place
from laterctl.project.tree import Tree
from laterctl.proof import child
from laterctl.proof.dynamic import TIMEOUT, Observation, answers_of, observe
from laterctl.proof.expectations import Expectation
from laterctl.proof.scratch import scratch_copy
from laterctl.proof.snapshot import differences

Files = Mapping[str, bytes]

IGNORED = shutil.ignore_patterns(".git", ".venv", "venv", "node_modules", "__pycache__", ".mypy_cache", ".ruff_cache")
APPLIED, REFUSED, FAULT = "applied", "refused", "fault"
UNFIT = frozenset({"below-floor", "version-cap", "already-by-hand"})
"""Refusals that are the right answer: the versions, or the project's own way of doing it."""


@dataclass
class Row:
    """What came of one feature on one project.

    `added` are lines of the user's repository, without the ledger's. `answer` is the application that was asked for.
    `ran` says what the application did when it was run, or why it was not, `""` without an environment.
    """

    project: str
    feature: str
    outcome: str
    code: str = ""
    reason: str = ""
    seconds: float = 0.0
    added: int = 0
    files: list[str] = field(default_factory=list)
    answer: str = ""
    ran: str = ""


@dataclass(frozen=True)
class Environment:
    """What runs a project: its interpreter, and what is served, `""` for what laterctl finds."""

    python: Path
    served: str = ""


@dataclass(frozen=True)
class Project:
    """A copy of a project, and the application that is meant, `""` where discovery is to find it."""

    folder: Path
    app: str = ""
    environment: Environment | None = None

    @cached_property
    def before(self) -> list[Observation]:
        """The untouched application as it ran, twice: what differs between the two is nobody's doing."""
        return [_observed(self), _observed(self)]


@dataclass(frozen=True)
class Said:
    """What a command came back with: its exit status, its JSON document, and a traceback if it died."""

    status: int
    document: dict[str, Any]
    died: str = ""


class Fault(Exception):
    """A law of the design does not hold; the first argument is a short code."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def main() -> int:
    """Run the sweep and print its table."""
    options = _options()
    features = options.feature or [item.name for item in catalogue.every() if not item.hidden]
    rows: list[Row] = []
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="laterctl-sweep-") as scratch:
        for number, folder in enumerate(_projects(options.folders)):
            name = _name(folder, options.folders)
            app, environment = options.app.pop(name, ""), options.python.pop(name, None)
            copy = Project(_copied(folder, Path(scratch) / str(number)), app, environment)
            if options.doctor:
                found += [{"project": name, **item} for item in _doctor(copy)]
            for feature in features:
                row = _row(name, feature, copy)
                rows.append(row)
                if not options.json:
                    print(_line(row), flush=True)
                if row.outcome == FAULT:
                    copy = Project(_copied(folder, Path(scratch) / f"{number}-{feature}"), app, environment)
    if unknown := [*options.app, *options.python]:
        print(f"no such project: {', '.join(unknown)}", file=sys.stderr)
        return 2
    summary = _summary(rows)
    if options.json:
        print(json.dumps({"rows": [asdict(row) for row in rows], "findings": found, "summary": summary}, indent=2))
    else:
        _print_rest(found, summary)
    return 1 if summary["outcomes"].get(FAULT) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--feature", action="append", metavar="NAME", help="only this feature; may be repeated")
    parser.add_argument(
        "--app", action="append", default=[], metavar="PROJECT=MODULE:ATTR", help="which application is meant"
    )
    parser.add_argument(
        "--python", action="append", default=[], metavar="PROJECT=PROGRAM[,MODULE:ATTR]", help="what runs a project"
    )
    parser.add_argument("--doctor", action="store_true", help="also list doctor's findings on the untouched projects")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    if wrong := [text for text in (*options.app, *options.python) if not all(text.partition("="))]:
        parser.error(f"PROJECT=... is expected, not {wrong[0]}")
    options.app = dict(text.split("=", 1) for text in options.app)
    run = {name: text.partition(",") for name, text in (text.split("=", 1) for text in options.python)}
    options.python = {name: Environment(Path(program).absolute(), served) for name, (program, _, served) in run.items()}
    return options


def _projects(folders: Iterable[Path]) -> Iterator[Path]:
    """Yield the project folders in and below the given ones."""
    for folder in folders:
        given = folder.resolve()
        checkouts = [given] if _is_project(given) else sorted(path for path in given.iterdir() if path.is_dir())
        for checkout in checkouts:
            below = [
                checkout / path
                for item in discover(checkout).undecided
                if item.code == "project-below"
                for path in item.message.rpartition(": ")[2].split(", ")
            ]
            yield from below or [checkout]


def _is_project(folder: Path) -> bool:
    if (folder / ".git").exists():
        return True
    holds_checkouts = any((path / ".git").exists() for path in folder.iterdir() if path.is_dir())
    return not holds_checkouts and find_root(folder) == folder and discover(folder).app is not None


def _name(folder: Path, given: Iterable[Path]) -> str:
    for parent in given:
        if folder.is_relative_to(parent.resolve()) and folder != parent.resolve():
            return folder.relative_to(parent.resolve()).as_posix()
    return folder.name


def _copied(folder: Path, target: Path) -> Path:
    """Copy the repository that a project is in, commit it, and return the project's folder in the copy."""
    top = next((parent for parent in (folder, *folder.parents) if (parent / ".git").exists()), folder)
    shutil.copytree(top, target, ignore=IGNORED, symlinks=True)
    _git(target, "init", "--quiet")
    # Stronger than the checkout's own: a line end that git turns, or a filter, would make the patch's tree another.
    (target / ".git/info/attributes").write_text("* -text -filter -ident -working-tree-encoding\n", encoding="utf-8")
    _git(target, "add", "--all", "--force")
    _git(target, "commit", "--quiet", "--message", "As found")
    return target / folder.relative_to(top)


def _git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    names = dict.fromkeys(("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"), "sweep")
    mails = dict.fromkeys(("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"), "sweep@localhost")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    plain = ["-c", "core.autocrlf=false", "-c", "commit.gpgsign=false", "-c", "core.hooksPath=/dev/null"]
    return subprocess.run(
        ["git", *plain, *arguments],
        cwd=folder,
        env={**kept, **names, **mails},
        check=False,
        capture_output=True,
        text=True,
    )


def _row(name: str, feature: str, project: Project) -> Row:
    start = time.perf_counter()
    before = _files(project.folder)
    row = Row(name, feature, APPLIED, answer=project.app)
    try:
        _try(row, project, before)
    except Fault as fault:
        row.outcome, row.code, row.reason = FAULT, fault.code, str(fault)
    row.seconds = round(time.perf_counter() - start, 2)
    return row


def _try(row: Row, project: Project, before: Files) -> None:
    # The patch lies outside the copy, so that it never counts as a change.
    unchanged = project.before if project.environment is not None else []
    with tempfile.NamedTemporaryFile(suffix=".patch") as patch:
        shown = _run(project, "add", row.feature, "--diff", "-o", patch.name)
        said = _run(project, "add", row.feature, "--yes", "--no-install", "--json")
        if _refused(row, said):
            _same(before, _files(project.folder), "refused-and-wrote")
            if shown.status != said.status:
                raise Fault("preview-differs", f"--diff ended with {shown.status}, the run with {said.status}")
            return
        once = _files(project.folder)
        row.files = sorted(path for path in {*before, *once} if before.get(path) != once.get(path))
        row.added = sum(
            _lines(once.get(path)) - _lines(before.get(path)) for path in row.files if "/.laterctl/" not in f"/{path}"
        )
        _kept(before, once, _replaced(project.folder))
        _same(once, _files(_patched(project.folder, Path(patch.name))), "patch-differs")
    if project.environment is not None:
        row.ran = _ran(project, project.environment.python, *unchanged)
    _again(row, project, once)
    removed = _run(project, "remove", row.feature, "--yes", "--no-install", "--json", "--allow-dirty")
    if removed.status:
        raise Fault("remove-failed", _reason(removed))
    _same(before, _files(project.folder), "not-restored")


def _ran(project: Project, python: Path, first: Observation, second: Observation) -> str:
    """Run the application with what was added, and return what it did, or why it does not run here.

    `first` and `second` are two runs of the untouched one. Raises `Fault` when it does less than before, or lacks what was added.
    """
    entries = ledger.load(Tree(project.folder))
    records = ledger.records_of(entries.values())
    needed = {
        canonicalize_name(Requirement(record.target.requires).name) for record in records if record.target.requires
    }
    there = distributions(path=[str(folder) for folder in install.site_packages(python)])
    if missing := sorted(needed - {canonicalize_name(item.name) for item in there}):
        return f"not installed: {', '.join(missing)}"
    if first.seen is None or second.seen is None:
        return first.summary
    promised = tuple(
        Expectation(effect.what, effect.dotted, True, record.target.describe(), Place(record.target.path, 1))
        for record in records
        if record.ours and (effect := record.target.effect) is not None
    )
    after = _observed(project, promised)
    if after.seen is None:
        raise Fault("imports-no-more", after.summary)
    shaky = differences(first.seen, second.seen)
    if found := [
        item
        for about, item in differences(first.seen, after.seen, promised, answers_of(entries)).items()
        if about not in shaky
    ]:
        raise Fault("runs-otherwise", "; ".join(f"{_spot(item.place)}{item.message}" for item in found))
    _read_settings(project, python)
    return after.summary


def _observed(project: Project, promised: tuple[Expectation, ...] = ()) -> Observation:
    assert project.environment is not None
    found = discover(project.folder, app=project.environment.served or project.app or None)
    with _active(project.environment.python):
        return observe(found, promised)


@contextmanager
def _active(python: Path) -> Iterator[None]:
    """Have an environment active, as its `activate` has it."""
    was = os.environ.get("VIRTUAL_ENV")
    os.environ["VIRTUAL_ENV"] = os.fspath(python.parent.parent)
    try:
        yield
    finally:
        del os.environ["VIRTUAL_ENV"]
        os.environ.update({"VIRTUAL_ENV": was} if was is not None else {})


def _read_settings(project: Project, python: Path) -> None:
    """Read every setting that was added in the way that templates do. Raises `Fault` for one that cannot be read."""
    found = discover(project.folder, app=project.app or None)
    known = [edit for name in ledger.load(found.tree) for edit in catalogue.edits_of(name)]
    read = settings_of(found).read()
    lines = [f"import sys; sys.path[:0] = {[found.layout.import_root or '.', '.']!r}"]
    for item in read.imports:
        renamed = f" as {item.asname}" if item.asname else ""
        lines.append(
            f"from {item.module} import {item.name}{renamed}" if item.name else f"import {item.module}{renamed}"
        )
    lines += [f"name = {edit.name!r}\n{read.text}" for edit in known if isinstance(edit, Setting)]
    with scratch_copy(project.folder) as scratch, _active(python):
        done = subprocess.run(
            [python, "-c", "\n".join(lines)],
            cwd=scratch.root,
            env=child.environment(scratch, python),
            check=False,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
    if done.returncode:
        raise Fault("setting-unread", done.stderr.strip().splitlines()[-1])


def _again(row: Row, project: Project, once: Files) -> None:
    second = _run(project, "add", row.feature, "--yes", "--no-install", "--json")
    if second.status:
        raise Fault("second-add-failed", _reason(second))
    _same(once, _files(project.folder), "second-add-changed")
    wrong = [item for item in _doctor(project) if item["rule"].startswith("LTR") and item["verdict"] == "problem"]
    if wrong:
        raise Fault("doctor", "; ".join(item["message"] for item in wrong))


def _refused(row: Row, said: Said) -> bool:
    """Read what a run came back with. Raises `Fault` for anything but a success and a refusal with a reason."""
    if said.died:
        raise Fault("traceback", said.died)
    if said.status == 0:
        return False
    refusals = said.document.get("refusals", [])
    if said.status != 3 or not refusals or not all(item["code"] and item["message"] for item in refusals):
        raise Fault(f"exit-{said.status}", _reason(said))
    row.outcome = REFUSED
    row.code = ", ".join(dict.fromkeys(item["code"] for item in refusals))
    row.reason = _reason(said)
    return True


def _reason(said: Said) -> str:
    told = said.document.get("refusals") or said.document.get("failures") or [said.document]
    return "; ".join(f"{_where(item)}{item.get('message', '')}" for item in told) or said.died


def _where(item: Mapping[str, Any]) -> str:
    place = item.get("place")
    return _spot(Place(place["path"], place["line"])) if place else ""


def _spot(place: Place | None) -> str:
    return f"{place}: " if place else ""


def _run(project: Project, *arguments: str) -> Said:
    meant = ["--app", project.app] if project.app else []
    result = CliRunner().invoke(app, ["-C", os.fspath(project.folder), *meant, *arguments])
    died = ""
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        died = "".join(traceback.format_exception(result.exception)[-3:])
    try:
        document = json.loads(result.stdout)
    except ValueError:
        document = {}
    return Said(result.exit_code, document, died)


def _doctor(project: Project) -> list[dict[str, Any]]:
    said = _run(project, "doctor", "--json")
    if said.died or said.status not in {0, 1, 7}:
        raise Fault("doctor", said.died or _reason(said))
    findings: list[dict[str, Any]] = said.document["findings"]
    return findings


def _files(project: Path) -> dict[str, bytes]:
    """Return every file of the repository that a project is in: what is written beside the project counts too."""
    top = _top(project)
    found: dict[str, bytes] = {}
    for folder, folders, names in os.walk(top):
        folders[:] = [name for name in folders if name != ".git"]
        for name in names:
            path = Path(folder) / name
            content = os.fsencode(os.readlink(path)) if path.is_symlink() else path.read_bytes()
            found[path.relative_to(top).as_posix()] = content
    return found


def _top(project: Path) -> Path:
    return next(parent for parent in (project, *project.parents) if (parent / ".git").exists())


def _prefix(project: Path) -> str:
    below = project.relative_to(_top(project)).as_posix()
    return "" if below == "." else f"{below}/"


def _patched(project: Path, patch: Path) -> Path:
    """Apply a patch to the last commit, in a work tree of its own, which then stands for the repository."""
    top = _top(project)
    target = Path(tempfile.mkdtemp(prefix="patched-", dir=top.parent)) / "tree"
    shutil.copytree(top, target, symlinks=True, ignore=shutil.ignore_patterns(".laterctl"))
    _git(target, "checkout", "--quiet", "--force", "HEAD")
    _git(target, "clean", "--quiet", "-d", "-x", "--force")
    applied = _git(target, "apply", os.fspath(patch))
    if applied.returncode:
        raise Fault("patch-refused", applied.stderr.strip())
    return target


def _kept(before: Files, after: Files, replaced: Mapping[str, set[str]]) -> None:
    """Every character of the user's is there, in order, but for the texts that were replaced."""
    for path, old in before.items():
        new = after.get(path)
        if new is None:
            raise Fault("user-file-gone", path)
        if new != old and not _survives(old, new, sorted(replaced.get(path, ()))):
            raise Fault("user-line-changed", path)


def _replaced(project: Path) -> dict[str, set[str]]:
    """Return what each file's declared replacements took out of it, by the paths of the repository."""
    found: dict[str, set[str]] = {}
    for record in ledger.records_of(ledger.load(Tree(project)).values()):
        if record.replaced is not None:
            found.setdefault(_prefix(project) + record.target.path, set()).add(record.replaced)
    return found


def _survives(old: bytes, new: bytes, replaced: list[str]) -> bool:
    """Whether `old` is in `new` without one occurrence, whichever it is, of each of some replaced texts."""
    if _within(old, new):
        return True
    if not replaced:
        return False
    text, at = replaced[0].encode(), -1
    while (at := old.find(text, at + 1)) >= 0:
        if _survives(old[:at] + old[at + len(text) :], new, replaced[1:]):
            return True
    return _survives(old, new, replaced[1:])


def _within(old: bytes, new: bytes) -> bool:
    rest = iter(new)
    return all(byte in rest for byte in old if not chr(byte).isspace())


def _same(left: Files, right: Files, code: str) -> None:
    paths = sorted(path for path in {*left, *right} if left.get(path) != right.get(path))
    if paths:
        raise Fault(code, ", ".join(paths[:5]))


def _lines(data: bytes | None) -> int:
    return len((data or b"").splitlines())


def _line(row: Row) -> str:
    answer = f"--app {row.answer}" if row.answer else ""
    reason = " ".join(f"{answer} {row.code} {row.reason} {row.ran}".split())
    return f"{row.project:42} {row.feature:17} {row.outcome:8} {row.seconds:6.2f} s {row.added:5d}  {reason}".rstrip()


def _summary(rows: Iterable[Row]) -> dict[str, dict[str, int]]:
    rows = list(rows)
    fitting = [row for row in rows if not UNFIT & set(row.code.split(", "))]
    applied = sum(row.outcome == APPLIED for row in fitting)
    return {
        "outcomes": dict(Counter(row.outcome for row in rows).most_common()),
        "refusals": dict(Counter(row.code for row in rows if row.outcome == REFUSED).most_common()),
        "faults": dict(Counter(row.code for row in rows if row.outcome == FAULT).most_common()),
        "fitting": {"pairs": len(fitting), "applied": applied, "percent": round(100 * applied / len(fitting or [0]))},
    }


def _print_rest(findings: Iterable[Mapping[str, Any]], summary: Mapping[str, Mapping[str, int]]) -> None:
    for item in findings:
        print(f"{item['project']}: {item['rule']} {item['verdict']} {_where(item)}{item['message']}")
    for title, counts in summary.items():
        print(f"{title}: " + (", ".join(f"{name} {count}" for name, count in counts.items()) or "none"))


if __name__ == "__main__":
    sys.exit(main())
