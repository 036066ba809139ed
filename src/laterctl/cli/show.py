"""What people and programs get to see. Progress goes to standard error; results, and JSON, to standard output."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from laterctl.outcome import Finding, Note, Refusal, Verdict
from laterctl.project.facts import Place

if TYPE_CHECKING:
    from rich.console import Console

    from laterctl.catalogue import UnknownFeature
    from laterctl.commands.change import Done, InstallFailed, Prepared, ProofFailed
    from laterctl.commands.read import Listed
    from laterctl.feature import Feature
    from laterctl.journal import LastRun
    from laterctl.rules import Rule

SCHEMA = 1
"""Version of the JSON documents; `schema.json` beside this module describes them."""


@cache
def console() -> Console:
    """The console for results."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True)


@cache
def errors() -> Console:
    """The console for progress and errors."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def document(kind: str, **values: Any) -> None:
    """Print one JSON document."""
    typer.echo(json.dumps({"schema": SCHEMA, "kind": kind, **values}, indent=2, ensure_ascii=False))


def progress(message: str) -> None:
    """Say what is going on."""
    errors().print(f"[dim]{_escaped(message)}[/dim]")


def failure(code: str, message: str, *, as_json: bool) -> None:
    """Say why nothing was done."""
    if as_json:
        document("error", code=code, message=message)
    else:
        errors().print(f"[bold red]error[/] {_escaped(message)}")


def _place(place: Place | None) -> dict[str, Any] | None:
    return asdict(place) if place is not None else None


def unknown_feature(error: UnknownFeature, *, as_json: bool) -> None:
    """Say that there is no such feature, and what may have been meant."""
    hint = f"; did you mean {' or '.join(error.suggestions)}?" if error.suggestions else "; `laterctl list` shows all"
    if as_json:
        document("error", code="unknown-feature", message=f"there is no feature {error.name}{hint}",
                 suggestions=error.suggestions)
    else:
        errors().print(f"[bold red]error[/] there is no feature {_escaped(error.name)}{_escaped(hint)}")


def refused(refusals: Sequence[Refusal], *, as_json: bool) -> None:
    """Show refusals: what, where, what to paste, what makes it work next time."""
    if as_json:
        document("refused", refusals=[{**asdict(item), "place": _place(item.place)} for item in refusals])
        return
    screen = errors()
    for item in refusals:
        where = f"{item.place}: " if item.place else ""
        screen.print(f"[bold red]refused[/] {_escaped(where + item.message)} [dim]({item.code})[/dim]")
        if item.seen:
            screen.print(f"  seen:     {_escaped(item.seen)}")
        if item.expected:
            screen.print(f"  expected: {_escaped(item.expected)}")
        if item.snippet and item.code != "file-exists":
            screen.print("  by hand:")
            for line in item.snippet.splitlines():
                screen.print(f"      {_escaped(line)}")
        if item.remedy:
            screen.print(f"  then:     {_escaped(item.remedy)}")
    screen.print("Nothing was written.")


def proof_failed(error: ProofFailed, *, as_json: bool) -> None:
    """Show what a proof found."""
    if as_json:
        failures = [{"check": item.check, "message": item.message, "place": _place(item.place)}
                    for item in error.failures]
        document("proof-failed", failures=failures, packages=list(error.packages))
        return
    for item in error.failures:
        where = f"{item.place}: " if item.place else ""
        errors().print(f"[bold red]proof failed[/] {_escaped(where + item.message)} [dim]({item.check})[/dim]")
    errors().print("Every file is as it was.")
    if error.packages:
        errors().print(f"Left in the environment: {_escaped(', '.join(error.packages))}")


def install_failed(error: InstallFailed, *, as_json: bool) -> None:
    """Show the package manager's output, now that it matters."""
    if as_json:
        document("install-failed", command=error.command, output=error.output)
        return
    typer.echo(error.output, err=True)
    errors().print(f"[bold red]error[/] {_escaped(error.command)} failed; every file is as it was")
    errors().print("`--no-install` writes the change and leaves the dependencies to you.")


def dirty(paths: Iterable[str], *, as_json: bool) -> None:
    """Say which files have uncommitted changes."""
    listed = ", ".join(paths)
    failure("dirty", f"uncommitted changes in {listed}; commit them, or pass --allow-dirty", as_json=as_json)


def unanswered(prepared: Prepared, again: str, *, as_json: bool) -> None:
    """Without a terminal: list what was not answered."""
    questions = ["accept the plan: --yes"]
    if prepared.dirty:
        questions.append(f"uncommitted changes in {', '.join(prepared.dirty)}: --allow-dirty")
    if as_json:
        document("unanswered", questions=questions, command=again, **_plan(prepared))
        return
    plan(prepared, "unanswered", as_json=False)
    errors().print("[bold red]stopped[/] there is no terminal to ask:")
    for question in questions:
        errors().print(f"  {_escaped(question)}")
    errors().print(f"For example: {_escaped(again)}")


def _plan(prepared: Prepared) -> dict[str, Any]:
    from laterctl.changeset import patch

    made = prepared.plan
    counts = made.changeset.counts()
    return {
        "added": list(made.added),
        "pulled": list(made.pulled),
        "removed": list(made.removed),
        "files": [{"path": path, "action": _action(change.before, change.after)}
                  for path, change in made.changeset.items()],
        "counts": {"created": counts.created, "edited": counts.edited, "deleted": counts.deleted},
        "kept": [{"path": piece.path, "what": piece.describe(), "reason": reason} for piece, reason in made.kept],
        "dependencies": list(made.requirements),
        "dirty": list(prepared.dirty) if prepared.dirty is not None else None,
        "notes": [_note(note) for note in prepared.notes],
        "patch": patch(made.changeset, prefix=_prefix(prepared)).decode("utf-8", errors="replace"),
    }


def _note(note: Note) -> dict[str, Any]:
    return {"level": note.level, "message": note.message, "place": _place(note.place), "feature": note.feature}


def _prefix(prepared: Prepared) -> str:
    from laterctl import git

    return git.prefix(prepared.root)


def _action(before: bytes | None, after: bytes | None) -> str:
    return "create" if before is None else "delete" if after is None else "edit"


GLYPHS = {"create": "[green]+[/]", "edit": "[yellow]~[/]", "delete": "[red]-[/]"}


def plan(prepared: Prepared, stage: str, *, as_json: bool) -> None:
    """Show a plan, one line a file."""
    if as_json:
        document("plan", stage=stage, **_plan(prepared))
        return
    screen = console()
    made = prepared.plan
    _detected(prepared)
    if made.added:
        asked = [name for name in made.added if name not in made.pulled]
        pulled = f" [dim](with {', '.join(made.pulled)})[/dim]" if made.pulled else ""
        screen.print(f"add [bold]{', '.join(asked)}[/]{pulled}")
    if made.removed:
        screen.print(f"remove [bold]{', '.join(made.removed)}[/]")
    for path, change in made.changeset.items():
        screen.print(f"  {GLYPHS[_action(change.before, change.after)]} {_escaped(path)}")
    for piece, reason in made.kept:
        screen.print(f"  [magenta]![/] {_escaped(piece.path)}: {_escaped(piece.describe())} stays: {reason}")
    for requirement in made.requirements:
        screen.print(f"  [cyan]dependency[/] {_escaped(requirement)}")
    for behaviour in _behaviour(prepared):
        screen.print(f"  [cyan]changes[/] {_escaped(behaviour)}")
    _notes(prepared.notes, "warning")
    counts = made.changeset.counts()
    screen.print(f"{counts.created} created, {counts.edited} edited, {counts.deleted} deleted")
    if stage == "question":
        _diff(prepared)


def _behaviour(prepared: Prepared) -> list[str]:
    from laterctl import catalogue

    return [text for name in prepared.plan.added for text in catalogue.feature(name).changes]


def _detected(prepared: Prepared) -> None:
    project = prepared.project
    parts = []
    if project.app is not None:
        parts.append(f"app {project.app.reference} ({project.app.place})")
    if project.settings is not None:
        parts.append(f"settings {project.settings.kind} ({project.settings.place})")
    if project.container is not None:
        parts.append(f"container {project.container.class_name} ({project.container.place})")
    if project.manifest is not None:
        parts.append(f"{project.manifest.manager} ({project.manifest.path})")
    console().print(f"[dim]{_escaped('; '.join(parts))}[/dim]")


LONG = 1000
"""Lines of a diff beyond which only the files are listed."""


def _diff(prepared: Prepared) -> None:
    from rich.syntax import Syntax

    from laterctl.changeset import patch as made

    text = made(prepared.plan.changeset, prefix=_prefix(prepared)).decode("utf-8", errors="replace")
    if text.count("\n") > LONG:
        console().print(f"The diff has {text.count(chr(10))} lines: --diff -o FILE writes it to a file.")
        return
    console().print(Syntax(text, "diff", background_color="default", word_wrap=True))


def patch(prepared: Prepared, output: Path | None) -> None:
    """Print the patch, plain when piped, or write it to a file."""
    from laterctl.changeset import patch as made

    data = made(prepared.plan.changeset, prefix=_prefix(prepared))
    if output is not None:
        output.write_bytes(data)
        progress(f"wrote {output}")
    elif console().is_terminal:
        _diff(prepared)
    else:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


def _notes(notes: Iterable[Note], level: str) -> None:
    for note in notes:
        if note.level == level:
            where = f"{note.place}: " if note.place else ""
            console().print(f"  [yellow]{level}[/] {_escaped(where + note.message)}")


def nothing_to_do(prepared: Prepared, *, as_json: bool) -> None:
    """Say that all is there already."""
    if as_json:
        document("plan", stage="nothing-to-do", **_plan(prepared))
        return
    names = prepared.request.add or prepared.request.remove
    word = "there" if prepared.request.add else "not there"
    console().print(f"Nothing to do: {', '.join(names)} is {word} already.")


def done(result: Done, again: str, *, as_json: bool) -> None:
    """Sum a run up: what was done, what was not, what comes next, how to repeat it and how to take it back."""
    prepared = result.prepared
    if as_json:
        proof = asdict(result.proof) if result.proof is not None else None
        document("done", command=again, undo="laterctl undo --yes", installed=list(result.installed),
                 skipped_install=list(result.skipped_install), proof=proof, **_plan(prepared))
        return
    screen = console()
    counts = prepared.plan.changeset.counts()
    names = prepared.plan.added or prepared.plan.removed or prepared.request.add
    verb = "Added" if prepared.plan.added else "Removed" if prepared.plan.removed else "Updated"
    screen.print(f"[bold green]{verb}[/] {', '.join(names)}: {counts.created} created, {counts.edited} edited, "
                 f"{counts.deleted} deleted")
    for piece, reason in prepared.plan.kept:
        screen.print(f"  [magenta]![/] {_escaped(piece.path)}: {_escaped(piece.describe())} stayed: {reason}")
    if result.skipped_install:
        missing = ", ".join(result.skipped_install)
        screen.print(f"  not installed: {_escaped(missing)} ({_escaped(result.skipped_because)})")
    screen.print(f"  {_escaped(_proved(result))}")
    _notes(prepared.notes, "notice")
    _next_steps(prepared)
    screen.print(f"[dim]again: {_escaped(again)}[/dim]")
    screen.print("[dim]take it back: laterctl undo[/dim]")


def _proved(result: Done) -> str:
    if result.proof is None:
        return "statically proved (--prove also starts the app, in a scratch copy)"
    return f"proved: {result.proof.summary}" if result.proof.ran else f"statically proved: {result.proof.summary}"


def _next_steps(prepared: Prepared) -> None:
    from laterctl import catalogue

    for name in prepared.plan.added:
        for note in catalogue.feature(name).notes:
            console().print(f"  [cyan]next[/] {_escaped(note)}")


def undone(last: LastRun, *, as_json: bool) -> None:
    """Say what was taken back."""
    if as_json:
        document("undone", command=last.command, paths=list(last.changeset))
    else:
        console().print(f"[bold green]Taken back[/] {_escaped(last.command)}: {len(last.changeset)} files are as before")


MARKS = {Verdict.OK: "[green]ok[/]", Verdict.PROBLEM: "[red]problem[/]", Verdict.UNKNOWN: "[yellow]unknown[/]"}


def findings(found: Sequence[Finding], *, as_json: bool) -> None:
    """Show what doctor found."""
    if as_json:
        items = [{**asdict(item), "verdict": item.verdict.value, "place": _place(item.place)} for item in found]
        document("doctor", findings=items)
        return
    screen = console()
    for item in found:
        where = f" {item.place}" if item.place else ""
        screen.print(f"{MARKS[item.verdict]} [bold]{item.rule}[/]{_escaped(where)} {_escaped(item.message)}")
        if item.fix and item.verdict is not Verdict.OK:
            screen.print(f"    fix: {_escaped(item.fix)}")
    counted = {verdict: sum(item.verdict is verdict for item in found) for verdict in Verdict}
    screen.print(", ".join(f"{number} {verdict.value}" for verdict, number in counted.items()))


def listing(items: Sequence[Listed], *, as_json: bool) -> None:
    """Show the features there are."""
    if as_json:
        document("list", features=[asdict(item) for item in items])
        return
    screen = console()
    group = ""
    width = max((len(item.name) for item in items), default=0)
    for item in items:
        if item.group != group:
            group = item.group
            screen.print(f"[bold]{group}[/]")
        mark = "[green]*[/]" if item.installed else " "
        aliases = f" [dim]({', '.join(item.aliases)})[/dim]" if item.aliases else ""
        screen.print(f" {mark} {item.name:<{width}}  {_escaped(item.summary)}{aliases}")


def choices(items: Sequence[Listed]) -> None:
    """Show features with numbers."""
    for number, item in enumerate(items, 1):
        console().print(f"{number:>3}  {item.name:<18} {_escaped(item.summary)}")


def feature(declared: Feature, present: Sequence[str], *, as_json: bool) -> None:
    """Explain a feature."""
    options = [{"name": f"{declared.name}.{item.name}", "help": item.help, "default": item.default,
                "choices": list(item.choices)} for item in declared.options]
    if as_json:
        document("feature", name=declared.name, summary=declared.summary, group=declared.group,
                 aliases=list(declared.aliases), requires=list(declared.requires), floors=dict(declared.floors),
                 options=options, changes=list(declared.changes), notes=list(declared.notes), present=list(present))
        return
    screen = console()
    screen.print(f"[bold]{declared.name}[/] {_escaped(declared.summary)}")
    if declared.aliases:
        screen.print(f"also called: {', '.join(declared.aliases)}")
    if declared.requires:
        screen.print(f"needs: {', '.join(declared.requires)}")
    for name, floor in declared.floors.items():
        screen.print(f"floor: {name} {floor}")
    for option in options:
        default = f" (default {option['default']})" if option["default"] else ""
        screen.print(_escaped(f"option: --set {option['name']}=...  {option['help']}{default}"))
    for text in declared.changes:
        screen.print(f"changes: {_escaped(text)}")
    for text in declared.notes:
        screen.print(f"next: {_escaped(text)}")
    if present:
        screen.print("installed:")
        for line in present:
            screen.print(f"  {_escaped(line)}")


def project(facts: Mapping[str, Any], *, as_json: bool) -> None:
    """Show what was detected."""
    if as_json:
        document("project", **facts)
        return
    screen = console()
    for name, value in facts.items():
        if name == "apps" or value in (None, [], ""):
            continue
        if not isinstance(value, dict):
            screen.print(f"[bold]{name}[/] {_escaped(str(value))}")
            continue
        screen.print(f"[bold]{name}[/]")
        for key, item in value.items():
            if item not in (None, "", [], {}, False) and key != "evidence":
                screen.print(f"  {key}: {_escaped(_short(item))}")
        for item in value.get("evidence", ()):
            screen.print(f"  [dim]{_escaped(item['what'])}: {item['place']['path']}:{item['place']['line']}[/dim]")


def _short(value: Any) -> str:
    if isinstance(value, dict) and set(value) == {"path", "line"}:
        return f"{value['path']}:{value['line']}"
    text = json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else value
    return text if len(text) < 160 else f"{text[:157]}..."


def rules(known: Sequence[Rule], *, as_json: bool, whole: bool = False) -> None:
    """Explain doctor rules."""
    if as_json:
        document("rules", rules=[{"id": item.id, "feature": item.feature, "text": item.text} for item in known])
        return
    for item in known:
        text = item.text if whole else item.text.splitlines()[0]
        console().print(f"[bold]{item.id}[/] {_escaped(text)}")


def created(name: str, paths: Sequence[str], *, as_json: bool) -> None:
    """Say what `new` wrote."""
    if as_json:
        document("created", name=name, paths=list(paths))
        return
    console().print(f"[bold green]Created[/] {_escaped(name)}: {len(paths)} files")
    console().print("next: git init, install it, then `laterctl list`")
