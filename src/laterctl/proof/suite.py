"""The project's own tests, run in scratch copies before and after a change, and compared."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from msgspec import Struct, field

from laterctl.project.places import Place
from laterctl.proof import child
from laterctl.proof.dynamic import NO_COPY, Say, attributed, import_roots, interpreter, lacking
from laterctl.proof.redact import secrets, told
from laterctl.proof.scratch import TooLarge, scratch_copy
from laterctl.proof.static import Failure

if TYPE_CHECKING:
    from laterctl.engine.plan import Plan
    from laterctl.project.discover import Project

TIMEOUT = 600.0
"""Seconds that the tests may take, each time."""
SHOWN = 10
"""Failures that are shown one by one."""
_NO_TESTS = 5
"""How pytest says that it found none."""


class Case(Struct, frozen=True):
    """How one test ended: `passed`, `failed` or `skipped`; why, and in which file."""

    outcome: str
    reason: str = ""
    path: str = ""


class Suite(Struct, frozen=True):
    """The tests as they ran once, by the ids of pytest, and why they could not be run: `""` when they could.

    A file that cannot be collected is a test that failed.
    """

    cases: Mapping[str, Case] = field(default_factory=dict)
    reason: str = ""

    @property
    def passed(self) -> list[str]:
        """The tests that passed."""
        return [name for name, case in self.cases.items() if case.outcome == "passed"]


class Comparison(Struct, frozen=True):
    """What running the tests once more showed: in words, or why they could not be run."""

    summary: str = ""
    failures: tuple[Failure, ...] = ()
    reason: str = ""


def observe(project: Project, *, timeout: float = TIMEOUT, say: Say = lambda _: None) -> Suite:
    """Run the project's tests once, as it is on disk, in a scratch copy.

    They are those that `pytest` runs in the project's folder, with its configuration.

    Args:
        project: the facts about it.
        timeout: seconds.
        say: told when they are started.
    """
    found = _run(project, timeout=timeout, begun=lambda: say("running the tests as they are, in a scratch copy"))
    if not found.reason and not found.passed:
        why = next((f": {case.reason}" for case in found.cases.values() if case.outcome == "failed"), "")
        return Suite(found.cases, f"none of the {len(found.cases)} tests passes here{why}")
    return found


def compare(
    project: Project, plan: Plan, baseline: Suite, *, timeout: float = TIMEOUT, say: Say = lambda _: None
) -> Comparison:
    """Run the tests once more, after a plan was carried out: what passed still passes, and what is new passes too.

    What fails without the change as well, when it is run again, is not blamed.

    Args:
        project: the facts before the change.
        plan: what was done.
        baseline: the tests before.
        timeout: seconds, for each run.
        say: told when they are started.
    """
    records = [record.target for name in (*plan.added, *plan.updated) for record in plan.entries[name].records]
    needed = {item.key[-1]: item.requires for item in records if item.requires and ";" not in item.requires}
    created = [path for path, change in plan.changeset.items() if change.before is None and _is_test(path)]
    gone = {path for path, change in plan.changeset.items() if change.after is None}

    def begun() -> None:
        say("running the tests as they are now, in a scratch copy")

    after = _run(project, distributions=tuple(needed), timeout=timeout, needed=needed, begun=begun)
    if after.reason:
        return Comparison(reason=after.reason)
    if left := sorted(set(created) - {case.path for case in after.cases.values()}):  # outside of `testpaths`, say
        more = _run(project, left, timeout=timeout)
        unrun = {path: Case("failed", more.reason, path) for path in left if more.reason}
        after = Suite({**after.cases, **more.cases, **unrun})
    broken = _broken(baseline, after, gone)
    if broken:
        before = {path: change.before for path, change in plan.changeset.items()}
        files = sorted({case.path for name in broken if (case := baseline.cases.get(name))} - {""})
        again = _run(project, files, overlay=before, timeout=timeout) if files else Suite()
        broken = {name: why for name, why in broken.items() if name not in baseline.cases or _passes(again, name)}
    new = [name for name in after.passed if name not in baseline.cases]
    summary = f"{len(after.passed) - len(new)} tests pass as before" + (f", {len(new)} new ones too" if new else "")
    return Comparison(summary, attributed(_failures(broken, after), plan))


def _passes(suite: Suite, name: str) -> bool:
    return name in suite.cases and suite.cases[name].outcome == "passed"


def _is_test(path: str) -> bool:
    name = path.rpartition("/")[2]
    return name.startswith("test_") and name.endswith(".py")


def _broken(before: Suite, after: Suite, gone: Iterable[str]) -> dict[str, str]:
    """Return what is wrong with tests, by their ids: those that passed, and new ones."""
    found: dict[str, str] = {}
    for name, case in before.cases.items():
        now = after.cases.get(name)
        if case.outcome != "passed" or case.path in gone or _passes(after, name):
            continue
        uncollected = after.cases.get(case.path)
        if now is None and uncollected is not None:
            found[case.path] = f"cannot be collected any more: {uncollected.reason}"
        elif now is None:
            found[name] = "is not run any more"
        else:
            found[name] = f"passed, and is {now.outcome} now" + (f": {now.reason}" if now.reason else "")
    for name, case in after.cases.items():
        if name not in before.cases and name not in found and case.outcome == "failed":
            found[name] = f"is new, and fails: {case.reason}"
    return found


def _failures(broken: Mapping[str, str], after: Suite) -> list[Failure]:
    listed = [
        Failure("tests", f"{name} {why}", Place(name.partition("::")[0], 1) if name.partition("::")[0] else None)
        for name, why in broken.items()
    ]
    if len(listed) > SHOWN:
        rest = ", ".join([*broken][SHOWN:])
        listed = [*listed[:SHOWN], Failure("tests", f"{len(listed) - SHOWN} more: {rest}")]
    return listed


def _run(
    project: Project,
    files: Sequence[str] = (),
    *,
    overlay: Mapping[str, bytes | None] | None = None,
    distributions: tuple[str, ...] = (),
    needed: Mapping[str, str] | None = None,
    timeout: float,
    begun: Callable[[], None] = lambda: None,
) -> Suite:
    """Run the tests in some files, in all when none is named."""
    python = interpreter(project)
    if isinstance(python, str):
        return Suite(reason=python)
    try:
        with scratch_copy(project.root, overlay) as scratch:
            hidden = secrets(scratch.folder, os.environ)
            report = scratch.folder / "tests.xml"
            request = {
                **import_roots(project),
                "distributions": distributions,
                # One run is to tell of all tests, whatever the project is content with.
                "tests": [
                    f"--junitxml={report}",
                    "-o",
                    "junit_family=xunit1",
                    "--maxfail=0",
                    "--continue-on-collection-errors",
                    *files,
                ],
            }
            ended = child.run(scratch, python, request, timeout, begun)
            return _suite(ended, report, python, needed or {}, lambda text: told(text, scratch, hidden))
    except TooLarge as error:
        return Suite(reason=str(error))
    except OSError as error:
        return Suite(reason=f"{NO_COPY}: {error.strerror or error}")


def _suite(
    ended: child.Ended, report: Path, python: Path, needed: Mapping[str, str], tell: Callable[[str], str]
) -> Suite:
    """Say what a run of pytest means."""
    found = ended.report
    if not found:
        return Suite(reason=tell(f"{python} could not run the tests: {ended.reason}"))
    missing = lacking(needed, found["versions"])
    if found["versions"].get("pytest", "") is None:
        missing = [*missing, "pytest"]
    if missing:
        return Suite(reason=f"not installed for {python}: {', '.join(missing)}")
    if wrong := found.get("wrong"):
        return Suite(reason=f"{', '.join(wrong[:3])} came from the project itself and not from its scratch copy")
    if "code" not in found:
        return Suite(reason=tell(f"the tests did not end: {ended.reason}"))
    if found["code"] == _NO_TESTS:
        return Suite(reason="the project has no tests that pytest finds")
    try:
        cases = _cases(ET.parse(report).getroot(), tell)  # noqa: S314 - the project's own words
    except (OSError, ET.ParseError):
        return Suite(reason=tell(f"pytest ended with {found['code']} and without a report: {ended.said}"))
    return Suite(cases) if cases else Suite(reason="the project has no tests that pytest finds")


def _cases(root: ET.Element, tell: Callable[[str], str]) -> dict[str, Case]:
    """Read a report in the family `xunit1`, which says of each test in which file it is.

    https://docs.pytest.org/en/stable/how-to/output.html#creating-junitxml-format-files
    """
    found: dict[str, Case] = {}
    for item in root.iter("testcase"):
        owner, name = item.get("classname", ""), item.get("name", "")
        path = item.get("file", "")
        module = path.removesuffix(".py").replace("/", ".")
        if not owner:  # a file that could not be collected, as a module
            path = full = f"{name.replace('.', '/')}.py"
        else:
            classes = owner.removeprefix(module).strip(".").split(".") if owner.startswith(module) else [owner]
            full = "::".join(filter(None, [path, *classes, name]))
        why = next((child for child in item if child.tag in {"failure", "error", "skipped"}), None)
        outcome = "passed" if why is None else "skipped" if why.tag == "skipped" else "failed"
        reason = tell(why.get("message") or why.text or "") if why is not None else ""
        if full not in found or outcome == "failed":  # a test may fail once more when it is torn down
            found[full] = Case(outcome, reason, path)
    return found
