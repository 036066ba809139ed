"""What the doctor found, and what its rules are: for people, and in the formats of code hosts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

from laterctl import __version__
from laterctl.cli.screen import bad, careful, faint, good, is_quiet, json_shown, quiet, say, shown, strong
from laterctl.cli.show import document, place_of, plain

if TYPE_CHECKING:
    from laterctl.commands.doctor import Report
    from laterctl.doctor.rule import Example, Rule
    from laterctl.finding import Finding
    from laterctl.project.facts import App

MARKS = {"ok": good("ok"), "problem": bad("problem"), "unknown": careful("unknown")}


NOT_FIXED = (
    "nothing that --fix may put back: no file and no wiring of an installed feature is missing "
    "(edited lines, and what you moved, stay yours)"
)


def report(
    made: Report, *, as_json: bool, fixed: Mapping[str, Any] | None = None, message: str = "", folded: bool = True
) -> None:
    """Show what doctor found after `fixed` was put back; `message` says why nothing was.

    What is whole is one line when it is `folded`.
    """
    from laterctl.finding import Verdict

    found = made.findings
    if as_json:
        items = [plain(item) for item in found]
        layers = [{"middleware": item.target, "place": place_of(item.place)} for item in made.onion]
        document("doctor", findings=items, onion=layers, fixed=fixed, message=message)
        return
    if is_quiet():
        with quiet(False):
            _findings([item for item in found if item.verdict is not Verdict.OK])
        return
    if message:
        say(message)
    whole = [item for item in found if folded and item.verdict is Verdict.OK and item.rule == WHOLE]
    _findings([item for item in found if item not in whole])
    if whole:
        names = ", ".join(item.feature for item in whole)
        say(f"{MARKS[Verdict.OK]} {strong(WHOLE)} {names} {'is' if len(whole) == 1 else 'are'} whole", hang=4)
    onion(made.app)
    counted = {verdict: sum(item.verdict is verdict for item in found) for verdict in Verdict}
    if counted[Verdict.PROBLEM] or counted[Verdict.UNKNOWN]:
        say(", ".join(f"{number} {verdict.value}" for verdict, number in counted.items()))
    else:
        say(f"{good('nothing wrong')}, {made.rules} rules")
    if any(item.fixable and item.verdict is Verdict.PROBLEM for item in found):
        say("`laterctl doctor --fix` puts back what is missing.")


def _findings(found: Iterable[Finding]) -> None:
    title = ""
    for item in found:
        if title != (title := _heading(item)):
            say(strong(title))
        where = f" {item.place}" if item.place else ""
        say(f"{MARKS[item.verdict]} {strong(item.rule)}{where} {item.message}", hang=4)
        if item.fix and item.verdict != "ok":
            say(f"    fix: {item.fix}", hang=9)


WHOLE = "LTR003"
"""The rule whose good answers are one line together."""

_HEADINGS = {"error": "Errors", "warning": "Warnings", "info": "Worth knowing"}


def _heading(item: Finding) -> str:
    if item.verdict == "problem":
        return _HEADINGS[item.severity]
    return "Not checked" if item.verdict == "unknown" else "Right"


def onion(app: App | None) -> None:
    """Draw the middleware: a request comes in at the top, the routes are inside of all of it."""
    from laterctl.project.application.registered import outermost_first

    found = outermost_first(app) if app is not None else []
    if app is None or not found:
        return
    say(strong(f"Middleware of {app.reference or app.name}"))
    names = [item.target.rpartition(".")[2] or "?" for item in found]
    width = max(map(len, names)) + len(names)
    for depth, (name, item) in enumerate(zip(names, found, strict=True)):
        say(f"  {' ' * depth}{name:<{width - depth}}  {faint(str(item.place))}")
    say(f"  {' ' * len(names)}{faint('the routes')}")


_LEVELS = {"error": "error", "warning": "warning", "info": "notice"}


def github(made: Report) -> None:
    """Print problems as commands that GitHub turns into annotations of a pull request.

    https://docs.github.com/actions/reference/workflow-commands-for-github-actions
    """
    for item in _problems(made):
        place = f"file={_escaped(item.place.path, ':,')},line={item.place.line}," if item.place else ""
        text = f"{item.message}; {item.fix}" if item.fix else item.message
        typer.echo(shown(f"::{_LEVELS[item.severity]} {place}title={item.rule}::{_escaped(text)}"))


def _escaped(text: str, more: str = "") -> str:
    return "".join(f"%{ord(letter):02X}" if letter in f"%\r\n{more}" else letter for letter in text)


def sarif(made: Report) -> None:
    """Print problems as a SARIF 2.1.0 log: https://docs.oasis-open.org/sarif/sarif/v2.1.0/"""
    from laterctl.doctor import rules as known

    problems = list(_problems(made))
    asked = {item.rule for item in problems}
    driver = {
        "name": "laterctl",
        "version": __version__,
        "rules": [
            {
                "id": rule.id,
                "shortDescription": {"text": rule.title},
                "fullDescription": {"text": rule.why},
                "help": {"text": rule.fix},
            }
            for rule in known.every()
            if rule.id in asked
        ],
    }
    run = {"tool": {"driver": driver}, "results": [_result(item) for item in problems]}
    log = {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}
    typer.echo(json_shown(shown(json.dumps(log, indent=2, ensure_ascii=False))))


def _result(item: Finding) -> dict[str, Any]:
    level = "note" if item.severity == "info" else item.severity.value
    result = {"ruleId": item.rule, "level": level, "message": {"text": f"{item.message}. Fix: {item.fix}."}}
    if item.place is None:
        return result
    at = {"artifactLocation": {"uri": item.place.path}, "region": {"startLine": max(item.place.line, 1)}}
    return result | {"locations": [{"physicalLocation": at}]}


def _problems(made: Report) -> Iterator[Finding]:
    return (item for item in made.findings if item.verdict == "problem")


def rules(known: Sequence[Rule], *, as_json: bool, whole: bool = False) -> None:
    """Explain doctor rules: their ids and titles, or, with `whole`, all that there is to know."""
    if as_json:
        document("rules", rules=[_rule(item) for item in known])
        return
    for item in known:
        say(f"{strong(item.id)} {item.title}")
        if whole:
            _explain(item)


def _rule(rule: Rule) -> dict[str, Any]:
    names = ("id", "feature", "severity", "title", "why", "fix")
    shown = {name: [_example(each) for each in getattr(rule, name)] for name in ("bad", "good")}
    return {name: str(getattr(rule, name)) for name in names} | shown


def _example(example: Example) -> dict[str, str]:
    from laterctl.doctor.rule import MAIN

    return {MAIN: example} if isinstance(example, str) else dict(example)


def _explain(rule: Rule) -> None:
    say(f"{rule.severity.value}, {f'of {rule.feature}' if rule.feature else 'about what is installed'}\n\n{rule.why}")
    for title, examples in (("reported, in the marked lines", rule.bad), ("left alone", rule.good)):
        for number, example in enumerate(examples):
            say(f"\n{strong(title) if not number else 'or'}:")
            for path, text in _example(example).items():
                if not isinstance(example, str):
                    say(faint(f"    {path}"))
                say(
                    "".join(f"    {line}" if line.strip() else line for line in text.splitlines(keepends=True)).rstrip()
                )
    say(f"\n{strong('fix')}: {rule.fix}")
    say(f"{strong('silence')}: laterctl doctor --skip {rule.id}; or in pyproject.toml:")
    say(f'    [tool.laterctl]\n    doctor.skip = ["{rule.id}"]')
