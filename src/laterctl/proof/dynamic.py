"""The dynamic proof: the app is imported before and after a change, each time in a scratch copy, and compared.

Design, law 9: this is the only place that runs the user's code. It does so with the project's own interpreter, in a
child process that is ended in time, on a copy that is deleted.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field
from msgspec.structs import replace

from laterctl import install
from laterctl.features import catalogue
from laterctl.project.places import Place
from laterctl.proof import child
from laterctl.proof.expectations import LIFESPAN, MIDDLEWARE, ROUTER, Expectation
from laterctl.proof.levels import Level
from laterctl.proof.redact import secrets, told
from laterctl.proof.scratch import TooLarge, scratch_copy
from laterctl.proof.snapshot import Answer, AppSnapshot, Key, Layer, Lifespan, Raised, differences, read
from laterctl.proof.static import Failure

if TYPE_CHECKING:
    from laterctl.engine.plan import Plan
    from laterctl.project.discover import Project

TIMEOUT = 60.0
"""Seconds that importing, describing, starting and stopping the app may take together."""
STARTING = 20.0
"""Seconds that starting, and stopping, may take each."""


class Observation(Struct, frozen=True):
    """The app as it ran once, or why it did not: `summary` says what there is, or why not, on one line.

    `seen` is what it has. `failure` is set when the app itself is why it did not run, and not this machine; it is a
    `defect` when no environment could help. `installed` are the versions of the distributions that were asked about.
    """

    summary: str
    seen: AppSnapshot | None = None
    failure: Failure | None = None
    installed: Mapping[str, str | None] = field(default_factory=dict)
    expectations: tuple[Expectation, ...] = ()
    defect: bool = False

    @property
    def ran(self) -> bool:
        """Whether the app was imported."""
        return self.seen is not None

    @property
    def started(self) -> bool:
        """Whether the app was imported and started, as far as it takes notice of that."""
        return self.seen is not None and self.seen.lifespan.outcome in {"ok", "none"}


class Report(Struct, frozen=True):
    """What the proof found. `ran` is false when there was nothing to compare; `summary` says why in one line.

    `started` says whether the app was started both times: only then is the change proved. `tests` says what became of
    the project's tests, where these were asked for, and `tested` whether they were run both times.
    """

    ran: bool
    summary: str
    failures: tuple[Failure, ...] = ()
    started: bool = False
    tests: str = ""
    tested: bool = False

    def proves(self, level: Level) -> bool:
        """Whether it went as far as was asked for."""
        return self.tested if level is Level.TESTS else self.started

    def why_not(self, level: Level) -> str:
        """Why it did not go that far."""
        return self.tests if level is Level.TESTS and self.tests else self.summary


Say = Callable[[str], None]
"""Takes a line about what is going on, when it does go on."""


def observe(
    project: Project,
    expectations: tuple[Expectation, ...] = (),
    *,
    asks: bool = True,
    timeout: float = TIMEOUT,
    say: Say = lambda _: None,
) -> Observation:
    """Run the app of a project once, as it is on disk, in a scratch copy.

    Args:
        project: the facts about it.
        expectations: what a later `compare` is to look for.
        asks: whether it is sent requests, too.
        timeout: seconds.
        say: told when it is started.
    """
    started = partial(say, "starting the app as it is, in a scratch copy")
    return _observe(project, expectations, asks=asks, timeout=timeout, started=started)


def compare(
    project: Project, plan: Plan, baseline: Observation, *, timeout: float = TIMEOUT, say: Say = lambda _: None
) -> Report:
    """Run the app once more, after a plan was carried out, and compare it with what it was.

    What differs from one run of the untouched app to the next (a default that is the time of day) is not blamed.

    Args:
        project: the facts before the change.
        plan: what was done.
        baseline: the app before, observed with the plan's promises.
        timeout: seconds, for each run.
        say: told when it is started.
    """
    if baseline.seen is None:
        return Report(ran=False, summary=baseline.summary)
    needed = _requirements(project, plan)
    started = partial(say, "starting the app as it is now, in a scratch copy")
    after = _observe(project, baseline.expectations, tuple(needed), timeout=timeout, started=started)
    missing = lacking(needed, after.installed)
    if missing:
        return Report(ran=False, summary=f"not installed in the project's environment: {', '.join(missing)}")
    before = {path: change.before for path, change in plan.changeset.items()}
    if after.seen is None:
        if after.failure is None:
            return Report(ran=False, summary=after.summary)
        again = _observe(project, (), overlay=before, timeout=timeout)
        if again.seen is None:
            return Report(ran=False, summary=f"{again.summary}; it did a moment ago, and does not without the change")
        return Report(ran=True, summary=after.summary, failures=attributed([after.failure], plan))
    answers = answers_of({*plan.added, *plan.removed, *plan.updated})
    moves = any(catalogue.feature(name).moves for name in answers)
    found = differences(baseline.seen, after.seen, baseline.expectations, answers, moves=moves)
    if found:
        again = _observe(project, baseline.expectations, overlay=before, timeout=timeout)
        shaky = differences(baseline.seen, again.seen, (), answers) if again.seen is not None else {}
        found = {about: failure for about, failure in found.items() if about not in shaky}
    failures = attributed(found.values(), plan, baseline.expectations)
    return Report(True, _compared(baseline.seen, after.seen), failures, baseline.started and after.started)


def answers_of(features: Collection[str]) -> dict[str, tuple[int, ...]]:
    """Return the statuses that features make the bodies of, by feature."""
    return {name: catalogue.feature(name).answers for name in catalogue.module_names() if name in features}


def attributed(
    failures: Iterable[Failure], plan: Plan, expectations: Sequence[Expectation] = ()
) -> tuple[Failure, ...]:
    """Return failures with the features that a plan is about, and the first of their lines, where none is named."""
    names = plan.added or plan.removed or plan.updated
    hidden = {item.name for item in catalogue.every() if item.hidden}
    features = ", ".join([name for name in names if name not in hidden] or names)
    place = next((item.place for item in expectations if item.comes), None)
    return tuple(
        replace(item, feature=item.feature or features, place=item.place or place if features else item.place)
        for item in failures
    )


def _observe(
    project: Project,
    expectations: tuple[Expectation, ...],
    distributions: tuple[str, ...] = (),
    *,
    overlay: Mapping[str, bytes | None] | None = None,
    asks: bool = True,
    timeout: float,
    started: Callable[[], None] = lambda: None,
) -> Observation:
    app = project.app
    if app is None or not app.reference:
        return Observation("no application was found that can be imported as MODULE:ATTR; name it with --app")
    python = interpreter(project)
    if isinstance(python, str):
        return Observation(python)
    request = {
        **import_roots(project),
        "app": app.reference,
        "factory": app.factory,
        "running": False,
        "routers": [item.dotted for item in expectations if item.kind == ROUTER],
        "middleware": [item.dotted for item in expectations if item.kind == MIDDLEWARE],
        "lifespans": [item.dotted for item in expectations if item.kind == LIFESPAN and item.comes],
        "asks": asks,
        "distributions": distributions,
        "lifespan": min(STARTING, timeout / 3),
    }
    try:
        with scratch_copy(project.root, overlay) as scratch:
            hidden = secrets(scratch.folder, os.environ)
            ended = child.run(scratch, python, request, timeout, started)
            if ended.needs_loop:
                ended = child.run(scratch, python, {**request, "running": True}, timeout)
            return _observation(ended, app.reference, python, expectations, lambda text: told(text, scratch, hidden))
    except TooLarge as error:
        return Observation(str(error))
    except OSError as error:
        return Observation(f"{NO_COPY}: {error.strerror or error}")


NO_COPY = "the scratch copy could not be made or run"


def import_roots(project: Project) -> dict[str, list[str]]:
    """Return the folders that modules are imported from, as the probe takes them."""
    roots = list(dict.fromkeys([project.layout.import_root, *project.names.roots]))
    first = list(dict.fromkeys([project.layout.import_root, ""]))
    return {"first": first, "others": [root for root in roots if root not in first]}


def interpreter(project: Project) -> Path | str:
    """Return the project's interpreter, or why there is none."""
    finder = project.manifest or install
    found = finder.interpreter(project.root)
    if found is not None:
        return found
    named = project.config.get("python")
    if not isinstance(named, str) or not named:
        return (
            "no virtual environment of the project was found; activate it, make one in .venv, "
            "or name its Python in [tool.laterctl] python"
        )
    # Not resolved: the links of a virtual environment say which one it is.
    path = project.root / Path(named).expanduser()
    program = str(path) if "/" in named or path.is_file() else shutil.which(named)
    if program is None or not Path(program).is_file():
        return f"[tool.laterctl] names {named} as the Python of the project, and there is no such file"
    return Path(program)


def _observation(
    ended: child.Ended, reference: str, python: Path, expectations: tuple[Expectation, ...], tell: Callable[[str], str]
) -> Observation:
    """Say what a run of the probe means; `tell` makes what user code said fit to be shown."""
    report = ended.report
    if not report:
        return Observation(tell(f"{python} could not look at the app: {ended.reason}"))
    if tuple(report["python"]) < (3, 10):
        return Observation(f"{python} is older than Python 3.10")
    installed: dict[str, str | None] = report["versions"]
    missing = [name for name, version in installed.items() if version is None]
    if missing:
        return Observation(f"not installed for {python}: {', '.join(missing)}", installed=installed)
    if wrong := report.get("wrong"):
        return Observation(
            f"{', '.join(wrong[:3])} came from the project itself and not from its scratch copy: "
            "it is installed in a way that cannot be redirected"
        )
    if "seen" not in report:
        error = report.get("error")
        reason, place = (error["reason"], _placed(error["place"])) if error else (ended.reason, ended.place)
        if re.fullmatch(r"SystemExit(: \d+)?", reason) and ended.said:
            reason = f"{reason}: {ended.said}"
        where = f" ({place})" if place is not None else ""
        failure = Failure("imports", f"{reference} does not import any more: {tell(reason)}", place)
        summary = f"{reference} does not import here: {tell(reason)}{where}"
        return Observation(summary, None, failure, installed, defect=bool(error and error["defect"]))
    last = report.get("lifespan")
    if last is None:
        lifespan = Lifespan("timeout", "start", tell(ended.reason), ended.place)
    elif last["outcome"] == "ok" and "asked" not in report:
        lifespan = Lifespan("timeout", "answer requests", tell(ended.reason), ended.place)
    else:
        lifespan = Lifespan(last["outcome"], last["stage"], tell(last["reason"]), _placed(last["place"]))
    asked = {_request(key): _answer(item, tell) for key, item in report.get("asked", {}).items()}
    described = {**report["seen"], "undocumented": _each(tell, report["seen"]["undocumented"])}
    raised = _raised(report.get("raised"), tell)
    found = read(described, lifespan, asked, raised, report.get("entered", {}))
    return Observation(_summary(found), found, None, installed, expectations)


def _request(key: str) -> tuple[str, str]:
    method, _, path = key.partition(" ")
    return method, path


def _answer(item: Mapping[str, Any], tell: Callable[[str], str]) -> Answer:
    more = (
        {"late": item["late"], "reason": tell(item["reason"]), "place": _placed(item["place"])}
        if "late" in item
        else {}
    )
    return Answer(item["status"], item["media"], item["body"], item["raised"], **more)


def _raised(found: Mapping[str, Any] | None, tell: Callable[[str], str]) -> Raised | None:
    if found is None:
        return None
    layers = [
        Layer(item["name"], item["called"], _answer(item["outcome"], tell) if item["outcome"] else None)
        for item in found["layers"]
    ]
    return Raised(found["reached"], _answer(found["outside"], tell), tuple(layers))


def _each(tell: Callable[[str], str], reasons: Mapping[str, str]) -> dict[str, str]:
    return {about: tell(reason) for about, reason in reasons.items()}


def _placed(place: Any) -> Place | None:
    return Place(place[0], place[1]) if place else None


# In words


def _summary(found: AppSnapshot) -> str:
    parts = [_count(len(_asked_for(found)), "route"), _count(len(found.middleware), "middleware", "middleware")]
    return f"{', '.join(parts)}; {_lifespan(found.lifespan)}"


def _compared(before: AppSnapshot, after: AppSnapshot) -> str:
    was, is_now = _asked_for(before), _asked_for(after)
    new, gone = len(is_now - was), len(was - is_now)
    parts = [f"{_count(len(was) - gone, 'route')} as before"]
    parts += [f"{new} new"] if new else []
    parts += [f"{gone} gone"] if gone else []
    more = len(after.middleware) - len(before.middleware)
    if more:
        parts.append(f"{_count(abs(more), 'middleware', 'middleware')} {'more' if more > 0 else 'less'}")
    if before.documents and "" in after.documents:
        parts.append("the same OpenAPI for what was there")
    last = after.lifespan if before.lifespan.outcome == "ok" or after.lifespan.outcome == "ok" else before.lifespan
    as_before = ", as before" if before.lifespan.outcome != "ok" and after.lifespan.outcome != "ok" else ""
    return f"{', '.join(parts)}; {_lifespan(last)}{as_before}"


def _asked_for(found: AppSnapshot) -> set[Key]:
    """Return the routes as people count them: HEAD comes with GET."""
    return {key for key in found.answers if key[2] != "HEAD"}


def _lifespan(last: Lifespan) -> str:
    if last.outcome in {"ok", "none"}:
        return "it starts and stops" if last.outcome == "ok" else "it takes no notice of starting and stopping"
    return f"it does not {last.stage} here: {last.reason}"


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or f'{one}s'}"


# What a plan needs


def _requirements(project: Project, plan: Plan) -> dict[str, str]:
    """Return the runtime requirements of the features that a plan adds, by distribution.

    Those with a marker are left out: it is about the project's interpreter, which is not ours.
    """
    home = project.manifest.runtime if project.manifest is not None else None
    found: dict[str, str] = {}
    for name in (*plan.added, *plan.updated):
        for record in plan.entries[name].records:
            at, text = record.target.home, record.target.requires
            if (
                at is not None
                and home is not None
                and (at.path, at.table) == (home.path, home.table)
                and ";" not in text
            ):
                found[record.target.key[-1]] = text
    return found


def lacking(needed: Mapping[str, str], installed: Mapping[str, str | None]) -> list[str]:
    """Return the requirements that an environment does not meet; one that was not asked about counts as met."""
    from packaging.requirements import Requirement

    def lacks(name: str, text: str) -> bool:
        version = installed.get(name, "")
        if not version:
            return version is None
        return not Requirement(text).specifier.contains(version, prereleases=True)

    return [text for name, text in needed.items() if lacks(name, text)]
