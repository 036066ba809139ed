"""`doctor` and `explain`: what became of installed features, what the rules find in the code, and what the rules are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from msgspec import Struct

from laterctl.codemods import newer
from laterctl.commands.readable import readable
from laterctl.doctor import installed, rules
from laterctl.doctor.run import look, start_app
from laterctl.finding import Finding, Severity, Verdict
from laterctl.project.application.registered import outermost_first
from laterctl.project.discover import Project, discover, find_root
from laterctl.project.facts import App, Registration
from laterctl.project.places import Place

SKIP = "doctor.skip in [tool.laterctl]"


class Report(Struct, frozen=True):
    """What `doctor` found, problems first, by their severity and place; and the application with its middleware.

    `rules` is how many were asked, `onion` goes from the outermost to the innermost.
    """

    findings: list[Finding]
    rules: int
    app: App | None = None
    onion: tuple[Registration, ...] = ()


def examine(
    start: Path,
    *,
    app: str | None = None,
    only: Iterable[str] = (),
    skip: Iterable[str] = (),
    run: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> Report:
    """Look at the project around a folder.

    Args:
        start: a folder in the project.
        app: `module:attr` of the application that is meant.
        only: rule ids, or what they start with, to keep; all when empty.
        skip: rule ids, or what they start with, to leave out; the project's configuration adds to them.
        run: also start the app, in a scratch copy.
        progress: told when it is started.

    Raises:
        laterctl.doctor.rules.UnknownRule: there is no such rule.
    """
    known = frozenset(rule.id for rule in rules.every())
    wanted = (rules.select(only, "--only") or known) - rules.select(skip, "--skip")
    project = discover(find_root(start), app=app, repair=newer.repaired)
    with readable():
        project.check_configuration()
    wanted -= rules.select(_configured(project), SKIP)
    found = list(look(project, wanted))
    if run and installed.LTR011.id in wanted:
        found.append(start_app(project, progress))
    order = {Verdict.PROBLEM: 0, Verdict.UNKNOWN: 1, Verdict.OK: 2}
    severities = [*Severity]
    found.sort(
        key=lambda item: (
            order[item.verdict],
            severities.index(item.severity),
            item.place or Place("", 0),
            item.rule,
        )
    )
    onion = tuple(outermost_first(project.app)) if project.app is not None else ()
    return Report(found, len(wanted), project.app, onion)


def _configured(project: Project) -> list[str]:
    skip = project.config.get("doctor", {}).get("skip", [])
    return [skip] if isinstance(skip, str) else skip
