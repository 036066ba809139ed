"""What people and programs get to see. Progress goes to standard error; results, and JSON, to standard output."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from laterctl import __version__
from laterctl.cli.screen import bad, careful, faint, good, is_terminal, json_shown, label, say, show_diff, strong, tell
from laterctl.masking import masked, masked_file, masked_value

if TYPE_CHECKING:
    from laterctl.changeset import Change, Changeset
    from laterctl.commands.change import InstallFailed, Prepared, ProofFailed, RunResult, Unproved
    from laterctl.commands.dependencies import DependencyStep
    from laterctl.commands.doctor import Report
    from laterctl.commands.read import Listed, Listing, Secret
    from laterctl.dialects.settings import Settings
    from laterctl.doctor.rule import Example, Rule
    from laterctl.doctor.rules import UnknownRule
    from laterctl.engine.plan import Plan
    from laterctl.feature import Feature
    from laterctl.features.catalogue import UnknownFeature
    from laterctl.journal import JournalError, LastRun
    from laterctl.project.places import Place
    from laterctl.proof.static import Failure
    from laterctl.refusal import Note, Refusal
    from laterctl.targets.base import Target

SCHEMA = 2
"""Version of the JSON documents; `schema.json` beside this module describes them."""


def document(kind: str, **values: Any) -> None:
    """Print one JSON document, without credentials: those of the user's lines in a patch are masked already."""
    made = {"schema": SCHEMA, "kind": kind} | {
        name: value if name == "patch" else _masked(value) for name, value in values.items()
    }
    typer.echo(json_shown(json.dumps(made, indent=2, ensure_ascii=False)))


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, Mapping):
        return {name: item if name == "patch" else _masked(item) for name, item in value.items()}
    return [_masked(item) for item in value] if isinstance(value, list | tuple) else value


def progress(message: str) -> None:
    """Say what is going on."""
    tell(faint(message))


def failure(code: str, message: str, *, as_json: bool) -> None:
    """Say why nothing was done."""
    if as_json:
        document("error", code=code, message=message)
    else:
        tell(f"{bad('error')} {message}")


def plain(value: Any) -> dict[str, Any]:
    """Return an object as plain JSON values, all the way down."""
    from msgspec import to_builtins

    made: dict[str, Any] = to_builtins(value)
    return made


def _place(place: Place | None) -> dict[str, Any] | None:
    return {"path": place.path, "line": place.line} if place is not None else None


def unknown_feature(error: UnknownFeature, *, as_json: bool) -> None:
    """Say that there is no such feature, and what may have been meant."""
    if error.users:
        message = f"{error.name} comes by itself with what needs it: {', '.join(error.users)}"
    elif error.suggestions:
        message = f"there is no feature {error.name}; did you mean {' or '.join(error.suggestions)}?"
    else:
        message = f"there is no feature {error.name}; `laterctl list` shows all"
    if as_json:
        document("error", code="unknown-feature", message=message, suggestions=error.users or error.suggestions)
    else:
        failure("unknown-feature", message, as_json=False)


def unknown_rule(error: UnknownRule, *, as_json: bool) -> None:
    """Say that there is no such rule, and what may have been meant."""
    where = f"{error.source}: " if error.source else ""
    close = f"did you mean {' or '.join(error.suggestions)}?" if error.suggestions else "`laterctl explain` lists all"
    message = f"{where}there is no rule {error.name or 'without a name'}; {close}"
    if as_json:
        document("error", code="unknown-rule", message=message, suggestions=error.suggestions)
    else:
        failure("unknown-rule", message, as_json=False)


def refused(refusals: Sequence[Refusal], *, as_json: bool, looks: bool = False) -> None:
    """Show refusals: what, where, what to paste, what makes it work next time."""
    if as_json:
        document("refused", refusals=[plain(item) | {"seen": masked_value(item.seen)} for item in refusals])
        return
    for item in refusals:
        where = f"{item.place}: " if item.place else ""
        tell(f"{bad('refused')} {where + item.message} {faint(f'({item.code})')}")
        if item.seen:
            tell(f"  seen:     {masked_value(item.seen)}")
        if item.expected:
            tell(f"  expected: {item.expected}")
        if item.snippet and item.code != "file-exists":
            tell("  by hand:")
            for line in item.snippet.splitlines():
                tell(f"      {line}")
        if item.remedy:
            tell(f"  then:     {item.remedy}")
    if not looks:
        tell("Nothing was written.")


def journal_error(error: JournalError, *, as_json: bool) -> None:
    """Say why files could not be written, or not be put back."""
    from laterctl.journal import BusyError, ChangedError, KeptError, RestoreError

    code, more = "not-written", "; every file is as it was"
    if isinstance(error, BusyError):
        code, more = "busy", "; run this again when it is done"
    elif isinstance(error, ChangedError):
        code, more = "changed", " while laterctl was at work; nothing was written, run it again"
    elif isinstance(error, RestoreError | KeptError):
        code, more = "not-restored" if isinstance(error, RestoreError) else "kept", ""
    failure(code, f"{error}{more}", as_json=as_json)


def proof_failed(error: ProofFailed, *, as_json: bool) -> None:
    """Show what a proof found."""
    if as_json:
        failures = [_failure(item) for item in error.failures]
        document("proof-failed", failures=failures, packages=list(error.packages))
        return
    for item in error.failures:
        where = f"{item.place}: " if item.place else ""
        about = f"({'; '.join(filter(None, (item.check, item.feature)))})"
        tell(f"{bad('proof failed')} {where + item.message} {faint(about)}")
    tell("Every file is as it was.")
    _left_installed(error.packages)


def unproved(error: Unproved, *, as_json: bool) -> None:
    """Say why the proof that was asked for is not possible."""
    message = f"not proved: {error.reason}"
    if as_json:
        document("error", code="unproved", message=message, packages=list(error.packages))
        return
    failure("unproved", message, as_json=False)
    tell("Every file is as it was." if error.restored else "Nothing was written.")
    _left_installed(error.packages)


def _left_installed(packages: Sequence[str]) -> None:
    if packages:
        tell(f"Left in the environment: {', '.join(packages)}")


def install_failed(error: InstallFailed, *, as_json: bool) -> None:
    """Show the package manager's output, now that it matters."""
    if as_json:
        document("install-failed", command=error.command, output=error.output)
        return
    tell(error.output)
    tell(f"{bad('error')} {error.command} failed; every file is as it was")
    tell("`--no-install` writes the change and leaves the dependencies to you.")


def dirty(paths: Iterable[str], *, as_json: bool) -> None:
    """Say which files have uncommitted changes."""
    listed = ", ".join(paths)
    failure("dirty", f"uncommitted changes in {listed}; commit them, or pass --allow-dirty", as_json=as_json)


def unanswered(prepared: Prepared, again: str, *, as_json: bool) -> None:
    """Without a terminal: list what was not answered."""
    questions = ["whether to write this: --yes accepts the plan"]
    if prepared.dirty:
        questions.append(f"uncommitted changes in {', '.join(prepared.dirty)}: --allow-dirty accepts them")
    if as_json:
        document("unanswered", questions=questions, command=again, **planned(prepared))
        return
    plan(prepared, "unanswered", as_json=False)
    tell(f"{bad('stopped')} there is no terminal to ask")
    for question in questions:
        tell(f"  {question}")
    tell(f"  without questions: {again}")


def planned(prepared: Prepared) -> dict[str, Any]:
    """Return a plan as plain JSON values."""
    made = prepared.plan
    counts = made.changeset.counts()
    shown = _patch(prepared)
    return {
        "added": list(made.added),
        "pulled": list(made.pulled),
        "recommended": list(made.recommended),
        "updated": list(made.updated),
        "removed": list(made.removed),
        "files": [
            {"path": path, "action": _action(change.before, change.after)} for path, change in made.changeset.items()
        ],
        "counts": {"created": counts.created, "edited": counts.edited, "deleted": counts.deleted},
        "conflicts": list(made.conflicts),
        "kept": [{"path": target.path, "what": target.describe(), "reason": reason} for target, reason in made.kept],
        "dependencies": list(made.requirements),
        "derived": list(prepared.dependencies.derived),
        "commands": [shlex.join(command) for command in prepared.dependencies.commands],
        "dirty": list(prepared.dirty) if prepared.dirty is not None else None,
        "notes": [_note(note) for note in prepared.notes],
        "patch": shown.decode("utf-8", errors="replace"),
        "masked": shown != _patch(prepared, exact=True),
    }


def _note(note: Note) -> dict[str, Any]:
    return {"level": note.level, "message": note.message, "place": _place(note.place), "feature": note.feature}


def _action(before: bytes | None, after: bytes | None) -> str:
    return "create" if before is None else "delete" if after is None else "edit"


GLYPHS = {"create": good("+"), "edit": careful("~"), "delete": bad("-")}


def plan(prepared: Prepared, stage: str, *, as_json: bool) -> None:
    """Show a plan, one line a file."""
    if as_json:
        document("plan", stage=stage, **planned(prepared))
        return
    made = prepared.plan
    _detected(prepared)
    say(_aim(prepared, "add", "remove", "update", "put back"))
    _also(prepared)
    files(made.changeset)
    for path in made.conflicts:
        say(f"  {careful('!')} {path} gets conflict markers")
    _kept(made, "stays")
    for requirement in made.requirements:
        say(f"  {label('dependency')} {requirement}")
    _derived(prepared.dependencies)
    _notes(prepared.notes, "choice")
    for behaviour in _behaviour(prepared):
        say(f"  {label('changes')} {behaviour}")
    _notes(prepared.notes, "warning")
    counts = made.changeset.counts()
    say(f"{counts.created} created, {counts.edited} edited, {counts.deleted} deleted")
    if stage == "question":
        patch_to_read(prepared, whole=False)


def _derived(step: DependencyStep) -> None:
    """Say which files and commands follow from the manifest, and by whom."""
    who = "to run" if step.runs else "left to you"
    for path in step.derived:
        say(f"  {label('follows')} {path}")
    for command in step.commands:
        say(f"  {label(who)} {_shown(command)}")


def _shown(command: Sequence[str]) -> str:
    """Return a command for a person: the project's interpreter is `python`."""
    program, *rest = command
    return masked(shlex.join(["python" if os.path.isabs(program) else program, *rest]))


def _kept(made: Plan, verb: str) -> None:
    """Say what stays of features that go, and how it goes too."""
    for target, reason in made.kept:
        say(f"  {careful('!')} {_named(target)} {verb}: {reason}")
    for target in made.deleted:
        say(f"  {bad('-')} {_named(target)} {'goes' if verb == 'stays' else 'went'}: edited by you")
    if left := [name for name in made.removed if name in made.entries and made.entries[name].left == "edited"]:
        say(f"  to delete what you edited, too: laterctl remove {' '.join(left)} --delete-edited")


def _named(target: Target) -> str:
    return target.path if target.whole_file else f"{target.path}: {target.describe()}"


def _aim(prepared: Prepared, add: str, remove: str, update: str, repair: str) -> str:
    """Say in a few words what a plan is about."""
    made, request = prepared.plan, prepared.request
    changes = [(add, made.added), (remove, made.removed)]
    changes.insert(0 if request.update else 2, (update, made.updated))
    ledger = "bring the ledger into today's form" if request.add or request.remove or request.update else repair
    verb, names = next(((verb, names) for verb, names in changes if names), (ledger, ()))
    asked = [name for name in names if name in (*request.add, *request.remove, *request.update)] or list(names)
    more = [name for name in names if name not in asked]
    with_them = " " + faint(f"(with {', '.join(more)})") if more else ""
    return f"{verb} {strong(', '.join(asked))}{with_them}" if asked else verb


def _also(prepared: Prepared) -> None:
    """Say what a plan brings that was not asked for by name: what is recommended, and newer versions of others."""
    made = prepared.plan
    aim = next((names for names in (prepared.request.update and made.updated, made.added, made.removed) if names), ())
    for verb, names in (("add", made.added), ("remove", made.removed)):
        for name in names if names != aim else ():
            say(f"  {label(verb)} {name}")
    for name in made.recommended:
        say(f"  {label('recommended')} {name}: --without {name} leaves it out")
    for name in made.updated:
        old, new = (side[name].version for side in (prepared.installed, made.entries))
        if old != new:
            say(f"  {label('update')} {name} from {old} to {new}")
        else:
            before, after = (side[name].options for side in (prepared.installed, made.entries))
            changed = [f"{key} = {value}" for key, value in after.items() if before.get(key) != value]
            if changed:
                say(f"  {label('option')} {name}: {', '.join(changed)}")


def files(changeset: Changeset) -> None:
    """Show what happens to files, one line each, and one for the ledger."""
    for path, change in changeset.items():
        if not path.startswith(LEDGER):
            say(f"  {GLYPHS[_action(change.before, change.after)]} {path}")
    ledger = [change for path, change in changeset.items() if path.startswith(LEDGER)]
    actions = {_action(change.before, change.after) for change in ledger}
    if ledger:
        say(f"  {GLYPHS[actions.pop() if len(actions) == 1 else 'edit']} {LEDGER} ({_number(len(ledger), 'file')})")


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _behaviour(prepared: Prepared) -> list[str]:
    from laterctl.features import catalogue

    return [text for name in prepared.plan.added for text in catalogue.feature(name).changes]


def _detected(prepared: Prepared) -> None:
    project = prepared.project
    parts = []
    if project.app is not None:
        parts.append(f"app {project.app.reference} ({project.app.place})")
    if project.settings is not None:
        parts.append(project.settings.words())
    if project.container is not None:
        parts.append(project.container.words())
    if project.manifest is not None:
        parts.append(project.manifest.words())
    if parts:
        say(faint("; ".join(parts)))


LEDGER = ".laterctl/"
LONG = 400
"""Lines of a diff beyond which the question comes with the edited files alone."""


def patch_to_read(prepared: Prepared, *, whole: bool) -> None:
    """Show the diff to a person: without the ledger, and new files only when `whole` or when all of it is short."""
    shown = {path: change for path, change in prepared.plan.changeset.items() if not path.startswith(LEDGER)}
    text = _patch(prepared, shown)
    if not whole and text.count(b"\n") > LONG:
        edited = {path: change for path, change in shown.items() if None not in (change.before, change.after)}
        text = _patch(prepared, edited)
        left_out = len(shown) - len(edited)
        say(faint(f"The diff of {left_out} whole files is left out here; --diff shows all of it."))
    show_diff(text.decode("utf-8", errors="replace"))


def _patch(prepared: Prepared, changes: Mapping[str, Change] | None = None, *, exact: bool = False) -> bytes:
    """Return a patch, of all `changes` when none are given: to be read, or the `exact` one, which can be applied."""
    from laterctl import git
    from laterctl.changeset import Changeset
    from laterctl.changeset import patch as made

    root = prepared.root
    changes = prepared.plan.changeset if changes is None else changes
    # Links inside of the project are followed: git would not apply a patch through one.
    places = {path: Path(os.path.realpath(root / path)).relative_to(root).as_posix() for path in changes}
    chosen = Changeset({places[path]: change for path, change in changes.items()})
    return made(chosen if exact else to_read(chosen), prefix=git.prefix(root))


def to_read(changeset: Changeset) -> Changeset:
    """Return a changeset whose patch shows no values of secret names; it can no longer be applied where there are any.

    Files that are created or deleted as a whole are laterctl's own.
    """
    from msgspec.structs import replace

    from laterctl.changeset import Changeset

    made = {}
    for path, change in changeset.items():
        before, after = change.before, change.after
        if before is not None and after is not None:
            hidden = masked_file(path, after)
            if "example" in path:  # what laterctl puts in there is a placeholder
                hidden = _with_new_lines(before, after, hidden)
            made[path] = replace(change, before=masked_file(path, before), after=hidden)
        else:
            made[path] = change
    return Changeset(made)


def patch(prepared: Prepared) -> None:
    """Print the patch: in colours for a person, plain for a pipe."""
    if is_terminal():
        patch_to_read(prepared, whole=True)
        return
    data = _patch(prepared, exact=True)
    _warn_of_credentials(prepared)
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def patch_file(prepared: Prepared, output: Path) -> None:
    """Write the patch to a file."""
    data = _patch(prepared, exact=True)
    _warn_of_credentials(prepared)
    output.write_bytes(data)
    progress(f"wrote {output}")


def _with_new_lines(before: bytes, after: bytes, hidden: bytes) -> bytes:
    """Return the masked text of a file with its new lines as they are."""
    known = set(before.splitlines())
    pairs = zip(after.splitlines(keepends=True), hidden.splitlines(keepends=True), strict=True)
    return b"".join(mask if line.rstrip(b"\r\n") in known else line for line, mask in pairs)


def _warn_of_credentials(prepared: Prepared) -> None:
    """Say that a patch, which has to be exact, shows credentials in lines of the user's around the change."""
    edited = {
        path: change
        for path, change in prepared.plan.changeset.items()
        if None not in (change.before, change.after) and "example" not in path
    }
    lines, shown = (
        text.decode("utf-8", errors="replace").splitlines()
        for text in (_patch(prepared, edited, exact=True), _patch(prepared, edited))
    )
    old = [line for line in lines if not line.startswith(("+", "index "))]
    if old != [line for line in shown if not line.startswith(("+", "index "))]:
        progress("the patch shows credentials that stand in your files: keep it to yourself")


def _notes(notes: Iterable[Note], level: str) -> None:
    for message, place in dict.fromkeys((note.message, note.place) for note in notes if note.level == level):
        where = f"{place}: " if place else ""
        say(f"  {careful(level)} {where + message}")


def nothing_to_do(prepared: Prepared, *, as_json: bool, aside: bool = False) -> None:
    """Say that all is as asked for already; on standard error when `aside`, where a patch would be printed."""
    if as_json:
        document("plan", stage="nothing-to-do", **planned(prepared))
        return
    _notes(prepared.notes, "warning")
    request = prepared.request
    if request.add:
        as_is(request.add, "installed already", aside=aside)
        if older := [name for name in request.add if prepared.plan.entries[name].version != __version__]:
            progress(f"`laterctl update {' '.join(older)}` brings what this version writes")
    elif request.remove:
        as_is(request.remove, "left over" if prepared.plan.kept else "not installed", aside=aside)
        _kept(prepared.plan, "stays")
    elif request.update:
        as_is(request.update, "up to date", aside=aside)
    else:
        (tell if aside else say)("Nothing to do: no feature is installed.")


def as_is(names: Sequence[str], state: str, *, aside: bool = False) -> None:
    """Say that features are what they should be."""
    verb = "is" if len(names) == 1 else "are"
    (tell if aside else say)(f"Nothing to do: {', '.join(names)} {verb} {state}.")


def summary(result: RunResult, again: str, undo: str) -> dict[str, Any]:
    """Return what a run did, for a JSON document."""
    proof = plain(result.proof) if result.proof is not None else None
    if proof is not None:
        proof["failures"] = [_failure(item) for item in result.proof.failures] if result.proof else []
    return {
        "command": again,
        "undo": undo,
        "installed": list(result.installed),
        "skipped_install": list(result.skipped_install),
        "left": list(result.left),
        "proof": proof,
        **planned(result.prepared),
    }


def _failure(item: Failure) -> dict[str, Any]:
    return {"check": item.check, "message": item.message, "place": _place(item.place), "feature": item.feature}


def done(result: RunResult, again: str, undo: str, *, as_json: bool) -> None:
    """Sum a run up: what was done, what was not, what comes next, how to repeat it and how to take it back."""
    prepared = result.prepared
    if as_json:
        document("done", **summary(result, again, undo))
        return
    counts = prepared.plan.changeset.counts()
    aim = _aim(prepared, good("Added"), good("Removed"), good("Updated"), good("Put back"))
    say(f"{aim}: {counts.created} created, {counts.edited} edited, {counts.deleted} deleted")
    _also(prepared)
    for path in prepared.plan.conflicts:
        say(f"  {careful('!')} {path} has conflict markers: resolve them")
    _kept(prepared.plan, "stayed")
    if result.installed:
        say(f"  installed: {', '.join(result.installed)}")
    if result.skipped_install:
        missing = ", ".join(result.skipped_install)
        say(f"  not installed: {missing} ({result.skipped_because})")
    for command in result.left:
        say(f"  {label('next')} {masked(command)}")
    for note in prepared.dependencies.notes:
        say(f"  {label('next')} {note.message}")
    say(f"  {_proved(result)}")
    _notes(prepared.notes, "notice")
    _next_steps(prepared)
    say(faint(f"again: {again}"))
    say(faint(f"take it back: {undo}"))


def _proved(result: RunResult) -> str:
    proof = result.proof
    if proof is None:
        return "checked, not started (--prove also starts the app, in a scratch copy)"
    return f"{'proved' if proof.started else 'checked, not started'}: {'; '.join(filter(None, (proof.summary, proof.tests)))}"


def _next_steps(prepared: Prepared) -> None:
    from laterctl.dialects.settings import named, settings_of
    from laterctl.features import catalogue

    settings = settings_of(prepared.project)
    for name in prepared.plan.added:
        for note in catalogue.feature(name).notes:
            say(f"  {label('next')} {named(note, settings)}")


def undone(last: LastRun, *, as_json: bool) -> None:
    """Say what was taken back."""
    if as_json:
        document("undone", command=last.command, files=list(last.changeset))
    else:
        number = len(last.changeset)
        say(f"{good('Taken back')} {last.command}: {number} files are as before")


MARKS = {"ok": good("ok"), "problem": bad("problem"), "unknown": careful("unknown")}


NOT_FIXED = (
    "nothing that --fix may put back: no file and no wiring of an installed feature is missing "
    "(edited lines, and what you moved, stay yours)"
)


def report(made: Report, *, as_json: bool, fixed: Mapping[str, Any] | None = None, message: str = "") -> None:
    """Show what doctor found after `fixed` was put back; `message` says why nothing was."""
    from laterctl.finding import Verdict

    found = made.findings
    if as_json:
        items = [plain(item) for item in found]
        onion = [{"middleware": item.target, "place": _place(item.place)} for item in made.onion]
        document("doctor", findings=items, onion=onion, fixed=fixed, message=message)
        return
    if message:
        say(message)
    for item in found:
        where = f" {item.place}" if item.place else ""
        say(f"{MARKS[item.verdict]} {strong(item.rule)}{where} {item.message}")
        if item.fix and item.verdict is not Verdict.OK:
            say(f"    fix: {item.fix}")
    _onion(made)
    counted = {verdict: sum(item.verdict is verdict for item in found) for verdict in Verdict}
    say(", ".join(f"{number} {verdict.value}" for verdict, number in counted.items()))
    if any(item.fixable and item.verdict is Verdict.PROBLEM for item in found):
        say("`laterctl doctor --fix` puts back what is missing.")


def _onion(made: Report) -> None:
    if made.app is None or not made.onion:
        return
    layers = " > ".join(f"{item.target.rpartition('.')[2] or '?'} ({item.place})" for item in made.onion)
    name = made.app.reference or made.app.name
    say(faint(f"middleware of {name}, outermost first: {layers}"))


def listing(found: Listing, *, as_json: bool) -> None:
    """Show the features there are."""
    items = found.features
    if as_json:
        document(
            "list",
            features=[plain(item) for item in items],
            left=[{"feature": name, "paths": list(paths)} for name, paths in found.left.items()],
            unread=[plain(item) for item in found.unread],
        )
        return
    group = ""
    width = max((len(item.name) for item in items), default=0)
    for item in items:
        if item.group != group:
            group = item.group
            say(strong(group))
        mark = good("*") if item.installed else " "
        aliases = " " + faint(f"({', '.join(item.aliases)})") if item.aliases else ""
        say(f" {mark} {item.name:<{width}}  {item.summary}{aliases}")
    if any(item.installed for item in items):
        say(faint("* installed"))
    for name, paths in found.left.items():
        say(f"left over of {name}: {', '.join(paths)} (yours); laterctl remove {name} --delete-edited")
    for problem in found.unread:
        progress(f"what is installed is not known: {problem.message}")


def choices(items: Sequence[Listed]) -> None:
    """Show features with numbers."""
    for number, item in enumerate(items, 1):
        say(f"{number:>3}  {item.name:<18} {item.summary}")


_TYPES = {str: "text", int: "int", float: "float", bool: "bool"}


def feature(
    declared: Feature,
    present: Sequence[str],
    values: Mapping[str, Any],
    settings_dialect: Settings,
    *,
    as_json: bool,
) -> None:
    """Explain a feature, with the names that the project gives its settings, and the values of its options."""
    from laterctl.dialects.settings import named
    from laterctl.edits.setting import Setting
    from laterctl.features import catalogue

    notes = [named(note, settings_dialect) for note in declared.notes]

    settings = [
        {"name": item.name, "help": item.help, "default": item.default, "secret": item.secret}
        for item in catalogue.edits_of(declared.name)
        if isinstance(item, Setting)
    ]
    options = [
        {
            "name": f"{declared.name}.{item.name}",
            "help": item.help,
            "type": _TYPES[item.type],
            "range": item.range,
            "default": item.default,
            "choices": list(item.choices),
            "value": values.get(item.name),
        }
        for item in declared.options
    ]
    if as_json:
        document(
            "feature",
            name=declared.name,
            summary=declared.summary,
            group=declared.group,
            aliases=list(declared.aliases),
            requires=list(declared.requires),
            recommends=list(declared.recommends),
            floors=dict(declared.floors),
            options=options,
            settings=settings,
            changes=list(declared.changes),
            notes=notes,
            present=list(present),
        )
        return
    say(f"{strong(declared.name)} {declared.summary}")
    if declared.aliases:
        say(f"also called: {', '.join(declared.aliases)}")
    if declared.requires:
        say(f"needs: {', '.join(declared.requires)}")
    if declared.recommends:
        say(f"recommends: {', '.join(declared.recommends)} (--without leaves one out)")
    for name, floor in declared.floors.items():
        say(f"floor: {name} {floor}")
    for option in options:
        parts = [str(option["range"])]
        parts += [f"{word} {option[word]}" for word in ("default", "value") if option[word] is not None]
        say(f"option: --set {option['name']}=...  {option['help']} ({'; '.join(parts)})")
    for setting in settings:
        default = "secret" if setting["secret"] else f"default {json.dumps(setting['default'])}"
        variable = settings_dialect.environment_variable(setting["name"])
        say(f"setting: {variable} ({default})  {setting['help']}".rstrip())
    for text in declared.changes:
        say(f"changes: {text}")
    for text in notes:
        say(f"next: {text}")
    if present:
        say("installed:")
        for line in present:
            say(f"  {line}")


def project(facts: Mapping[str, Any], *, as_json: bool) -> None:
    """Show what was detected."""
    if as_json:
        document("project", **facts)
        return
    for name, value in facts.items():
        if name in {"apps", "keys", "undecided"} or value in (None, [], ""):
            continue
        if not isinstance(value, dict):
            say(f"{strong(name)} {value!s}")
            continue
        say(strong(name))
        hidden = {"kind"} if "title" in value else set()
        for key, item in value.items():
            if (
                item not in (None, "", [], {}, False)
                and key not in {"evidence", "body", "index", *hidden}
                and _short(item)
            ):
                say(f"  {key}: {_short(item)}")
        for item in value.get("evidence", ()):
            say("  " + faint(f"{item['what']}: {item['place']['path']}:{item['place']['line']}"))

    say(strong("keys of [tool.laterctl] in pyproject.toml"))
    for key in facts["keys"]:
        fact = f"{key['fact']}: " if key["fact"] else ""
        value = "" if key["value"] is None else f" (now {json.dumps(key['value'], ensure_ascii=False)})"
        say(f"  {fact}{key['key']}, {key['decides']}{value}")
    for item in facts.get("undecided", ()):
        where = "".join(f" {_short(place)}" for place in item["places"][:1])
        say(f"{careful('undecided')}{where} {item['message']}")
        say(f"    then: {item['hint']}")


_NAMES = ("target", "text", "name", "scope")
"""What a fact in a list is called by, the first that it has."""


def _short(value: Any) -> str:
    if isinstance(value, dict) and set(value) == {"path", "line"}:
        return f"{value['path']}:{value['line']}"
    if isinstance(value, dict) and "text" in value:
        return str(value["text"])
    if isinstance(value, dict) and "form" in value:
        return ":".join(filter(None, (value["path"], ".".join(value["table"]))))
    if isinstance(value, dict) and "kind" in value:
        place = f" ({_short(value['place'])})" if value["place"] else ""
        return f"{value['kind']}{place}" + (f": {value['reason']}" if value["reason"] else "")
    if (
        isinstance(value, list)
        and value
        and all(isinstance(item, dict) and set(item) == {"path", "line"} for item in value)
    ):
        return ", ".join(_short(item) for item in value)
    if isinstance(value, list) and value and all(isinstance(item, dict) and "place" in item for item in value):
        return ", ".join(
            f"{next((item[key] for key in _NAMES if item.get(key)), '?')} ({_short(item['place'])})" for item in value
        )
    text = json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else value
    return text if len(text) < 160 else f"{text[:157]}..."


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


def secrets(made: Secret, *, as_json: bool) -> None:
    """Print fresh key material, as lines to choose from; these values are the point, and stay as they are."""
    if made.unknown:
        progress(f"how the project reads its settings is not known: {made.unknown}")
    if as_json:
        lines = [plain(line) for choice in made.lines for line in choice]
        shown = {"schema": SCHEMA, "kind": "secret", "values": dict(made.values), "lines": lines}
        typer.echo(json.dumps(shown, indent=2))
        return
    for choice in made.lines:
        for number, line in enumerate(choice):
            typer.echo(f"# {'or ' if number else ''}{line.where()}")
            typer.echo(line.text)


def created(name: str, paths: Sequence[str], *, as_json: bool) -> None:
    """Say what `new` wrote."""
    if as_json:
        document("created", name=name, files=list(paths))
        return
    say(f"{good('Created')} {name}: {len(paths)} files")
    say(f"next: cd {name}, git init, install it, then `laterctl list`")
