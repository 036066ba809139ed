"""Asks the rules about a project: each file is parsed once, when a rule may care, and walked through once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import cache, partial

from laterctl.doctor import installed, rules
from laterctl.doctor.code import Code, Codebase
from laterctl.doctor.installed import LTR010
from laterctl.doctor.reached import is_reached
from laterctl.doctor.rule import Check, Found, Rule
from laterctl.finding import Finding, Verdict
from laterctl.project.discover import Project
from laterctl.project.facts import Undecided
from laterctl.project.places import Place, is_test_or_docs
from laterctl.project.source import Unreadable
from laterctl.project.tree import Outside
from laterctl.project.unreadable import as_undecided


def look(project: Project, ids: Collection[str], *, strict: bool = False) -> Iterator[Finding]:
    """Yield what some rules say of a project: those about what is installed, and those about its production code.

    Args:
        project: the facts.
        ids: the rules that are asked.
        strict: let the exceptions of a check through, instead of reporting that the rule failed.
    """
    if any(rule.id in ids for rule in rules.INSTALLED):
        yield from (finding for finding in installed.inspect(project) if finding.rule in ids)
    codebase = Codebase(project)
    asked = [rule for rule in rules.every() if rule.id in ids]
    looking = rules.every() if LTR010.id in ids else asked  # a file that nobody can read is said whoever is asked
    _ = project.tree.files_containing_any(needle for rule in looking for needle in rule.needles)  # one search for all
    files = {rule.id: _files(project, rule) for rule in looking}
    if LTR010.id in ids:
        yield from _unread(codebase, {path for paths in files.values() for path in paths})
    left = cache(partial(installed.left_over, project))  # nothing found, nothing to read it for
    seen: set[tuple[str, Place, str]] = set()
    for rule in asked:
        for finding in _asked(codebase, rule, files[rule.id], strict=strict):
            key = (finding.rule, finding.place or Place("", 0), finding.message)
            if key[1].path in left().get(rule.feature, ()):
                continue  # nothing uses it any more: what it lacks would be advice to add back what was removed
            if key not in seen and (rule.scripts or finding.place is None or is_reached(codebase, finding.place)):
                seen.add(key)
                yield finding


def start_app(project: Project, say: Callable[[str], None] = lambda _: None) -> Finding:
    """Start the application in a scratch copy, and say what came of it.

    What its own code makes impossible is a problem; what may be missing on this machine is not known. `say` is told when
    it is started.
    """
    from laterctl.proof import dynamic

    found = dynamic.observe(project, asks=False, say=say)
    if found.seen is None:
        if found.defect and found.failure is not None:
            message = f"the app cannot be started: {found.summary}"
            return installed.LTR011.finding(Verdict.PROBLEM, message, found.failure.place, installed.LTR011.fix)
        return installed.LTR011.finding(Verdict.UNKNOWN, f"the app was not started: {found.summary}")
    for mount, reason in found.seen.undocumented.items():
        message = f"the app imports, and its OpenAPI document{f' at {mount}' if mount else ''} cannot be made: {reason}"
        return installed.LTR011.finding(Verdict.PROBLEM, message, fix=installed.LTR011.fix)
    if found.started:
        return installed.LTR011.finding(Verdict.OK, f"the app starts: {found.summary}")
    return installed.LTR011.finding(Verdict.UNKNOWN, f"the app imports: {found.summary}", found.seen.lifespan.place)


def _files(project: Project, rule: Rule) -> list[str]:
    """Return the production files that a rule looks at."""
    if all(kind is Codebase for kind in rule.checks):
        return []
    paths = project.tree.files_containing_any(rule.needles) if rule.needles else project.python_files
    return [path for path in paths if not is_test_or_docs(path)]


def _asked(codebase: Codebase, rule: Rule, paths: Sequence[str], *, strict: bool) -> Iterator[Finding]:
    """Hand a rule what it wants to look at: nodes by their kinds, files, the project."""
    for kind, check in rule.checks.items():
        if kind is Codebase:
            yield from _checked(rule, "", partial(check, codebase), strict=strict)
            continue
        for code in filter(None, map(codebase.readable, paths)):
            yield from _checked(rule, code.path, partial(_in_file, code, kind, check), strict=strict)


def _in_file(code: Code, kind: type, check: Check) -> Iterator[Found]:
    for subject in [code] if kind is Code else code.visits(kind):
        yield from check(subject)


def _checked(rule: Rule, path: str, check: Callable[[], Iterable[Found]], *, strict: bool) -> Iterator[Finding]:
    try:
        for found in check():
            place = found.where if isinstance(found.where, Place) else Place(path, found.where)
            yield rule.finding(Verdict.PROBLEM, found.reason, place, found.fix or rule.fix)
    except Exception as error:  # a fault of one rule must not hide what the others find
        if strict:
            raise
        message = f"{rule.id} failed on {path or 'this project'}: {type(error).__name__}: {error}"
        fix = f"please report it; until then: --skip {rule.id}"
        yield rule.finding(Verdict.UNKNOWN, message, Place(path, 1) if path else None, fix)


def _unread(codebase: Codebase, paths: Iterable[str]) -> Iterator[Finding]:
    """What is wrong with single files is said of each; that this Python is too old for some, once."""
    unread: dict[str, list[Undecided]] = {}
    for path in sorted(paths):
        try:
            codebase.code(path)
        except (Unreadable, Outside) as error:
            found = as_undecided(error)
            if found.code == "syntax-error" and installed.is_template(codebase.project, found.places[0]):
                continue
            unread.setdefault(found.code if found.code == "too-new" else path, []).append(found)
    for first, *others in unread.values():
        more = f" (and {len(others)} more files, {others[0].places[0].path} the next of them)" if others else ""
        yield LTR010.finding(Verdict.UNKNOWN, first.message + more, first.places[0], first.hint)
