"""What a run is going to do, as it asks whether to, and what it did."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import dropwhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from laterctl import __version__
from laterctl.cli.screen import bad, careful, faint, good, group, is_terminal, label, say, show_diff, strong, tell
from laterctl.cli.show import check_failure, document, place_of, plain, progress
from laterctl.masking import masked, masked_file
from laterctl.project.places import is_test_or_docs

if TYPE_CHECKING:
    from laterctl.changeset import Change, Changeset
    from laterctl.commands.change import Prepared, RunResult
    from laterctl.engine.plan import Plan
    from laterctl.refusal import Note
    from laterctl.targets.base import Target

LEDGER = ".laterctl/"
MOST = 12
"""New files, or lines of one edited file, beyond which a plan sums them up: the diff has all of them."""


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
        "files": [{"path": path, "action": _action(change)} for path, change in made.changeset.items()],
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
    return {"level": note.level, "message": note.message, "place": place_of(note.place), "feature": note.feature}


def _action(change: Change) -> str:
    return "create" if change.before is None else "delete" if change.after is None else "edit"


GLYPHS = {"create": good("+"), "edit": careful("~"), "delete": bad("-")}


def plan(prepared: Prepared, stage: str, *, as_json: bool) -> None:
    """Show a plan on one screen: what was found, then what changes, in groups, and how much of it there is."""
    if as_json:
        document("plan", stage=stage, **planned(prepared))
        return
    made = prepared.plan
    _detected(prepared)
    say(_aim(prepared, "add", "remove", "update", "put back"))
    _also(prepared)
    _wiring(prepared)
    _whole_files(made.changeset)
    _kept(made, "stays")
    _dependencies(prepared)
    _settings(prepared)
    group("What behaves differently", _behaviour(prepared))
    group("What was chosen", _noted(prepared.notes, "choice"))
    for text in _noted(prepared.notes, "warning"):
        say(f"{careful('warning')} {text}")
    say()
    say(_counted(prepared))


def _wiring(prepared: Prepared) -> None:
    """Show the very lines that change in files that are there."""
    conflicts = set(prepared.plan.conflicts)
    edited = sorted(to_read(_edited(prepared.plan.changeset)).items(), key=_as_read)
    if edited:
        say()
        say(strong("Your files"))
    for path, change in edited:
        say(f"  {GLYPHS['edit']} {path}")
        if path in conflicts:
            say(f"      {careful('!')} gets conflict markers")
        lines = list(_changed_lines(change))
        for line in lines[:MOST] if len(lines) > MOST + 1 else lines:
            say(f"      {(good if line[0] == '+' else bad)(line[0])} {line[1:]}", hang=10)
        if len(lines) > MOST + 1:
            say(faint(f"      and {len(lines) - MOST} more lines"))


def _edited(changeset: Mapping[str, Change]) -> Changeset:
    from laterctl.changeset import Changeset

    return Changeset(
        {
            path: change
            for path, change in changeset.items()
            if _action(change) == "edit" and not path.startswith(LEDGER)
        }
    )


def _changed_lines(change: Change) -> Iterable[str]:
    """Yield the lines that go and that come, each behind its sign; blank ones are left out."""
    from laterctl.changeset import Changeset
    from laterctl.changeset import patch as made

    lines = made(Changeset({"file": change})).decode("utf-8", errors="replace").splitlines()
    for line in dropwhile(lambda line: not line.startswith("@@"), lines):
        if line[:1] in {"+", "-"} and line[1:].strip():
            yield line


def _whole_files(changeset: Changeset) -> None:
    """Show the files that come and go as a whole, and the ledger on one line."""
    shown = {path: change for path, change in changeset.items() if not path.startswith(LEDGER)}
    for title, action in (("New files", "create"), ("Files that go", "delete")):
        paths = {path: _length(change) for path, change in shown.items() if _action(change) == action}
        lines = [
            f"{GLYPHS[action]} {path}" + (f"  {_lines(length)}" if length else "") for path, length in paths.items()
        ]
        group(title, lines if len(lines) <= MOST else _folded(paths, action))
    ledger = {path: change for path, change in changeset.items() if path.startswith(LEDGER)}
    if ledger:
        actions = {_action(change) for change in ledger.values()}
        glyph = GLYPHS[actions.pop() if len(actions) == 1 else "edit"]
        say(f"  {glyph} {LEDGER} ({_number(len(ledger), 'file')}) {faint('what laterctl knows of this')}")


def _lines(count: int) -> str:
    return faint(_number(count, "line"))


def _length(change: Change) -> int:
    return len((change.after or change.before or b"").splitlines())


def _folded(lengths: Mapping[str, int], action: str) -> Iterable[str]:
    """Yield folders with their files, by name, and how long they are together."""
    folders: dict[str, list[str]] = {}
    for path in lengths:
        folders.setdefault(path.rpartition("/")[0], []).append(path)
    for folder, paths in folders.items():
        names = ", ".join(path.rpartition("/")[2] for path in paths)
        where = f"{folder}/  " if folder else ""
        yield f"{GLYPHS[action]} {where}{names}  {_lines(sum(lengths[path] for path in paths))}"


def files(changeset: Changeset) -> None:
    """Show what happens to files, one line each, and one for the ledger."""
    for path in _edited(changeset):
        say(f"  {GLYPHS['edit']} {path}")
    _whole_files(changeset)


def _dependencies(prepared: Prepared) -> None:
    """Say which requirements come, and which files and commands follow from the manifest, and by whom."""
    step = prepared.dependencies
    who = "to run" if step.runs else "left to you"
    follow = [f"{label('follows')} {path}" for path in step.derived]
    run = [f"{label(who)} {_shown(command)}" for command in step.commands]
    group("Dependencies", [*prepared.plan.requirements, *follow, *run])


def _settings(prepared: Prepared) -> None:
    """Name the settings that a person has to fill in, as the project spells them; the others have defaults."""
    from laterctl.dialects.settings import settings_of
    from laterctl.edits.setting import Setting
    from laterctl.features import catalogue

    settings = settings_of(prepared.project)
    entries = prepared.plan.entries
    edits = (item for name in prepared.plan.added for item in catalogue.edits_of(name, entries[name].options))
    known = [item for item in edits if isinstance(item, Setting)]
    secret = [item for item in known if item.secret]
    lines = [f"{settings.environment_variable(item.name)}  {faint(item.help)}" for item in secret]
    if len(known) > len(secret):
        more = _number(len(known) - len(secret), "setting")
        lines.append(faint(f"{more} with a default: laterctl info {' or '.join(prepared.plan.added)}"))
    group("Settings", lines if secret else [])


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


def _counted(prepared: Prepared) -> str:
    counts = prepared.plan.changeset.counts()
    return f"{counts.created} created, {counts.edited} edited, {counts.deleted} deleted"


def patch_to_read(prepared: Prepared) -> None:
    """Show the diff to a person: without the ledger, edited files first, then new ones, tests and the rest last."""
    show_diff(read_patch(prepared))


def read_patch(prepared: Prepared, path: str = "") -> str:
    """Return the diff as a person reads it, of all files or of one: without what git needs to apply it."""
    from laterctl.changeset import Changeset

    shown = sorted(prepared.plan.changeset.items(), key=_as_read)
    chosen = [item for item in shown if not item[0].startswith(LEDGER) and path in {"", item[0]}]
    parts = (_patch(prepared, Changeset([item])).decode("utf-8", errors="replace") for item in chosen)
    return "\n".join(line for part in parts for line in part.splitlines() if not line.startswith(_OF_GIT))


def _as_read(item: tuple[str, Change]) -> tuple[bool, bool, bool, str]:
    """Sort what is edited before what is new, code before the rest, and tests behind both."""
    path, change = item
    return _action(change) != "edit", is_test_or_docs(path), not path.endswith(".py"), path


_OF_GIT = ("diff --git ", "index ", "new file mode ", "deleted file mode ")


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
        patch_to_read(prepared)
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


def _noted(notes: Iterable[Note], level: str) -> list[str]:
    found = dict.fromkeys((note.message, note.place) for note in notes if note.level == level)
    return [f"{f'{place}: ' if place else ''}{message}" for message, place in found]


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


def nothing_to_do(prepared: Prepared, *, as_json: bool, aside: bool = False) -> None:
    """Say that all is as asked for already; on standard error when `aside`, where a patch would be printed."""
    if as_json:
        document("plan", stage="nothing-to-do", **planned(prepared))
        return
    for text in _noted(prepared.notes, "warning"):
        say(f"  {careful('warning')} {text}")
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
        proof["failures"] = [check_failure(item) for item in result.proof.failures] if result.proof else []
    return {
        "command": again,
        "undo": undo,
        "installed": list(result.installed),
        "skipped_install": list(result.skipped_install),
        "left": list(result.left),
        "proof": proof,
        **planned(result.prepared),
    }


def done(result: RunResult, again: str, undo: str, *, as_json: bool) -> None:
    """Sum a run up: what was done, what was not, what comes next, how to repeat it and how to take it back."""
    prepared = result.prepared
    if as_json:
        document("done", **summary(result, again, undo))
        return
    say(f"{_aim(prepared, good('Added'), good('Removed'), good('Updated'), good('Put back'))}: {_counted(prepared)}")
    _also(prepared)
    for path in prepared.plan.conflicts:
        say(f"  {careful('!')} {path} has conflict markers: resolve them")
    _kept(prepared.plan, "stayed")
    if result.installed:
        say(f"  installed: {', '.join(result.installed)}")
    if result.skipped_install:
        missing = ", ".join(result.skipped_install)
        say(f"  not installed: {missing} ({result.skipped_because})")
    say(f"  {_proved(result)}")
    for text in _noted((note for note in prepared.notes if not _is_step(note, prepared.plan)), "notice"):
        say(f"  {careful('notice')} {text}")
    group("Next", [*map(masked, result.left), *(note.message for note in prepared.dependencies.notes)])
    _next_steps(prepared)
    say()
    say(f"{faint('again:')} {again}", hang=4)
    say(f"{faint('take it back:')} {undo}", hang=4)


def _proved(result: RunResult) -> str:
    proof = result.proof
    if proof is None:
        return "checked, not started (--prove also starts the app, in a scratch copy)"
    return f"{'proved' if proof.started else 'checked, not started'}: {'; '.join(filter(None, (proof.summary, proof.tests)))}"


def _next_steps(prepared: Prepared) -> None:
    """Say what to do next, feature by feature; `laterctl info FEATURE` says it again."""
    from laterctl.commands.read import notes
    from laterctl.features import catalogue

    project, entries = prepared.project, prepared.plan.entries
    steps = [note for note in prepared.notes if _is_step(note, prepared.plan)]
    for name in prepared.plan.added:
        here = _noted((note for note in steps if note.feature == name), "notice")
        group(f"Next for {name}", [*here, *notes(catalogue.feature(name), project, entries[name])])


def _is_step(note: Note, made: Plan) -> bool:
    """Whether a note says what to do with a feature that was added, and not what is where in the project."""
    return note.level == "notice" and note.place is None and note.feature in made.added
