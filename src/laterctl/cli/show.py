"""What people and programs get to see. Progress goes to standard error; results, and JSON, to standard output."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

from laterctl.cli.screen import bad, careful, faint, good, group, json_shown, label, say, strong, tell
from laterctl.masking import masked, masked_value

if TYPE_CHECKING:
    from laterctl.commands.change import InstallFailed, ProofFailed, Unproved
    from laterctl.commands.portrait import Part
    from laterctl.commands.read import Listing, Secret
    from laterctl.dialects.settings import Settings
    from laterctl.doctor.rules import UnknownRule
    from laterctl.feature import Feature
    from laterctl.features.catalogue import UnknownFeature
    from laterctl.journal import JournalError, LastRun
    from laterctl.project.places import Place
    from laterctl.proof.static import Failure
    from laterctl.refusal import Refusal

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
    tell(faint(message), progress=True)


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


def place_of(place: Place | None) -> dict[str, Any] | None:
    """Return a place as plain JSON values."""
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


def check_failure(item: Failure) -> dict[str, Any]:
    """Return what a check of the proof found, as plain JSON values."""
    return {"check": item.check, "message": item.message, "place": place_of(item.place), "feature": item.feature}


def proof_failed(error: ProofFailed, *, as_json: bool) -> None:
    """Show what a proof found."""
    if as_json:
        failures = [check_failure(item) for item in error.failures]
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


def undone(last: LastRun, *, as_json: bool) -> None:
    """Say what was taken back."""
    if as_json:
        document("undone", command=last.command, files=list(last.changeset))
    else:
        number = len(last.changeset)
        say(f"{good('Taken back')} {last.command}: {number} files are as before")


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
    heading = ""
    width = max((len(item.name) for item in items), default=0)
    for item in items:
        if item.group != heading:
            if heading:
                say()
            heading = item.group
            say(strong(heading))
        mark = good("*") if item.installed else careful("!") if item.refused else " "
        aliases = " " + faint(f"({', '.join(item.aliases)})") if item.aliases else ""
        say(f" {mark} {item.name:<{width}}  {item.summary}{aliases}", hang=width + 5)
        if item.refused:
            say(faint(f"   {'':<{width}}  not here: {item.refused}"), hang=width + 7)
    marks = [
        text
        for text, seen in (
            ("* installed", any(item.installed for item in items)),
            ("! refused", any(item.refused for item in items)),
        )
        if seen
    ]
    say()
    say(faint("; ".join([*marks, "laterctl info FEATURE tells more"])))
    for name, paths in found.left.items():
        say(f"left over of {name}: {', '.join(paths)} (yours); laterctl remove {name} --delete-edited")
    for problem in found.unread:
        progress(f"what is installed is not known: {problem.message}")


_TYPES = {str: "text", int: "int", float: "float", bool: "bool"}


def feature(
    declared: Feature,
    present: Sequence[str],
    values: Mapping[str, Any],
    notes: Sequence[str],
    settings_dialect: Settings,
    *,
    as_json: bool,
) -> None:
    """Explain a feature, with the names that the project gives its settings, and the values of its options."""
    from laterctl.edits.chosen import conditional
    from laterctl.edits.setting import Setting

    known = [(item, when) for item, when in conditional(declared.edits) if isinstance(item, Setting)]
    settings = [
        {"name": item.name, "help": item.words(), "default": item.default, "secret": item.secret} for item, _ in known
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
    say(f"{strong(declared.name)}  {declared.summary}", hang=len(declared.name) + 2)
    if declared.aliases:
        say(f"  also called {', '.join(declared.aliases)}")
    if declared.requires:
        say(f"  needs {', '.join(declared.requires)}")
    if declared.recommends:
        say(f"  recommends {', '.join(declared.recommends)} (--without leaves one out)")
    if declared.floors:
        say(f"  from {', '.join(f'{name} {floor}' for name, floor in declared.floors.items())} on")
    group("What it brings", () if present else _brought(declared))
    group("What behaves differently", declared.changes)
    group(
        "Settings",
        (
            f"{settings_dialect.environment_variable(item['name'])}  {item['help']} "
            + faint("(secret)" if item["secret"] else f"({json.dumps(item['default'])})")
            + _with(when)
            for item, (_, when) in zip(settings, known, strict=True)
        ),
    )
    group("Options", (_option(item) for item in options))
    group("How to use it", notes)
    group("In this project", sorted(line.replace("\n", " ") for line in present))


def _option(option: Mapping[str, Any]) -> str:
    parts = [str(option["range"])]
    parts += [f"{word} {option[word]}" for word in ("default", "value") if option[word] is not None]
    return f"--set {option['name']}=...  {option['help']} {faint(f'({_SEPARATOR.join(parts)})')}"


_SEPARATOR = "; "


def _with(conditions: Iterable[str]) -> str:
    return faint(f"  with {', '.join(conditions)}") if conditions else ""


def _brought(declared: Feature) -> Iterator[str]:
    """Say what a declaration puts into any project; more may come with what the project has."""
    from laterctl.edits.app_statements import ExceptionHandler, Middleware, Router
    from laterctl.edits.chosen import conditional
    from laterctl.edits.dropped_test import DroppedTest
    from laterctl.edits.file import File
    from laterctl.edits.manifest import DependencyFloor

    words: dict[type, Callable[[Any], str]] = {
        Middleware: lambda item: f"middleware {item.source.partition(':')[2]}",
        Router: lambda item: f"the routes of {item.source.partition(':')[0]}",
        ExceptionHandler: lambda item: f"a handler for {item.error.rpartition(':')[2].rpartition('.')[2]}",
        File: lambda item: item.path,
        DroppedTest: lambda item: f"tests/{item.name}",
        DependencyFloor: lambda item: f"dependency {item.requirement}{' (development)' if item.dev else ''}",
    }
    every = [*conditional(declared.edits)]
    found = [(kind, item, when) for kind in words for item, when in every if isinstance(item, kind)]
    whens: dict[str, list[tuple[str, ...]]] = {}
    for kind, item, when in found:
        whens.setdefault(words[kind](item), []).append(when)
    # What comes with several values of an option comes in any case, or does not depend on it here.
    yield from (text + (_with(when[0]) if len(when) == 1 else "") for text, when in whens.items())


def project(name: str, parts: Iterable[Part], draw: Callable[[], None]) -> None:
    """Show what was detected, and which keys change it; `draw` shows the middleware."""
    say(strong(name))
    for part in parts:
        say()
        say(f"{strong(part.title)}  {part.found}", hang=4)
        for reason in part.reasons:
            say(f"  {reason.what}" + (f"  {faint(str(reason.place))}" if reason.place else ""), hang=4)
        for choice in part.choices:
            word = "chosen by" if choice.place else "changed by"
            say(
                f"  {label(word)} {choice.key} = {choice.text}"
                + (f"  {faint(str(choice.place))}" if choice.place else ""),
                hang=4,
            )
        if part.title == "Lifespan":
            draw()
    say()
    say(faint("keys stand in [tool.laterctl] of pyproject.toml; --json tells programs more"))


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
