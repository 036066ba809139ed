"""The command line: options in, results out. All work is done by plain functions in `laterctl.commands`."""

from __future__ import annotations

from pathlib import Path
from shutil import get_terminal_size
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from laterctl.cli import complete
from laterctl.cli.exits import Exit, outcomes
from laterctl.dialects.manifest import RUN
from laterctl.proof.levels import Level

ROOM = 80
"""Columns that help in boxes needs; below, it is in plain lines."""


class Commands(TyperGroup):
    """The commands; plain help says all that there is to say of each, not its first words."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.commands[name].help) for name in self.list_commands(ctx)])


app = typer.Typer(
    name="laterctl",
    cls=Commands,
    help="Add production features to a FastAPI project that exists already: previewed, checked, taken back.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich" if get_terminal_size().columns >= ROOM else None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the plan and stop.")]
Diff = Annotated[bool, typer.Option("--diff", help="Show the patch and stop; plain when piped.")]
Output = Annotated[Path | None, typer.Option("-o", "--output", help="Write the patch of --diff to a file.")]
Check = Annotated[bool, typer.Option("--check", help="Exit with 1 when something would change.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Accept the plan; never means overwrite.")]
NoInstall = Annotated[bool, typer.Option("--no-install", help="Leave the dependencies to me.")]
Manager = Annotated[
    str,
    typer.Option(
        "--install",
        help=f"Package manager: {', '.join(RUN)}.",
        metavar="MANAGER",
        autocompletion=complete.manager,
    ),
]
Prove = Annotated[
    str,
    typer.Option(
        "--prove",
        help="Start the app before and after, in a scratch copy; with `tests` run the tests, too.",
        metavar="[tests]",
        autocompletion=complete.proof,
    ),
]
NoProve = Annotated[bool, typer.Option("--no-prove", help="Do not, whatever the configuration says.")]
AllowDirty = Annotated[bool, typer.Option("--allow-dirty", help="Edit files with uncommitted changes.")]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="Option of a feature; one that is installed converges to it.",
        metavar="FEATURE.NAME=VALUE",
        autocompletion=complete.option,
    ),
]
Without = Annotated[
    list[str] | None,
    typer.Option(
        "--without",
        help="Do without a feature that is only recommended.",
        metavar="FEATURE",
        autocompletion=complete.recommended,
    ),
]
NoTests = Annotated[bool, typer.Option("--no-tests", help="Add no test files, and nothing that only they need.")]
Conflicts = Annotated[bool, typer.Option("--conflicts", help="Write conflict markers where you edited the same lines.")]
DeleteEdited = Annotated[bool, typer.Option("--delete-edited", help="Delete the files that you edited, too.")]


def _apart(context: typer.Context, parameter: typer.CallbackParam, value: bool) -> bool:
    """Refuse `--verbose` beside `--quiet`."""
    if value and context.params.get({"verbose": "quiet", "quiet": "verbose"}[parameter.name or ""]):
        raise typer.BadParameter("--verbose and --quiet exclude each other")
    return value


Verbose = Annotated[
    bool,
    typer.Option("--verbose", "-v", help="Show all that the package manager prints.", callback=_apart),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print nothing but errors, and what is asked.", callback=_apart)
]
Features = Annotated[list[str] | None, typer.Argument(metavar="FEATURE...", autocompletion=complete.listed)]
Installed = Annotated[list[str] | None, typer.Argument(metavar="FEATURE...", autocompletion=complete.installed)]


class Proving(TyperCommand):
    """A command whose `--prove` may have a word behind it, which is no argument of the command then."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Give `--prove` its value where it stands without one."""
        end = args.index("--") if "--" in args else len(args)
        made = [
            "--prove=app" if word == "--prove" and args[at + 1 : min(at + 2, end)] != [Level.TESTS] else word
            for at, word in enumerate(args[:end])
        ] + args[end:]
        return super().parse_args(ctx, made)


def _version(asked: bool) -> None:
    if asked:
        from laterctl import __version__

        typer.echo(f"laterctl {__version__}")
        raise typer.Exit


@app.callback()
def common(
    context: typer.Context,
    directory: Annotated[Path, typer.Option("-C", "--directory", help="Run as if started there.")] = Path(),
    reference: Annotated[str, typer.Option("--app", help="The application: MODULE:ATTR.")] = "",
    version: Annotated[bool, typer.Option("--version", help="Say which version this is.", callback=_version)] = False,
) -> None:
    """Take the options that all commands share."""
    if not directory.is_dir():
        raise typer.BadParameter(f"{directory} is not a folder", param_hint="-C")
    context.obj = (directory, reference or None)


@app.command(cls=Proving)
def add(
    context: typer.Context,
    features: Features = None,
    dry_run: DryRun = False,
    diff: Diff = False,
    output: Output = None,
    check: Check = False,
    json: Json = False,
    yes: Yes = False,
    no_install: NoInstall = False,
    install: Manager = "",
    prove: Prove = "",
    no_prove: NoProve = False,
    allow_dirty: AllowDirty = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
    options: Set = None,
    without: Without = None,
    no_tests: NoTests = False,
) -> None:
    """Add features, and what they need."""
    from laterctl.cli import ask, names, show_plan
    from laterctl.cli.flow import Command, Flags, installed_in, is_settled, run

    directory, reference = context.obj
    with outcomes(as_json=json, quiet=quiet):
        if (
            features
            and not (options or without or no_tests or json or output)
            and is_settled(directory, features, reference)
        ):
            show_plan.as_is(list(dict.fromkeys(features)), "installed already", aside=diff)
            return
        from laterctl.engine.plan import Request

        level = _level(prove, no_prove)
        flags = Flags(
            dry_run, diff, output, check, json, yes, not no_install, _manager(install), level, allow_dirty, verbose
        )
        wanted = names.asked(features or ask.pick(directory, reference, as_json=json))
        options = [*(options or ()), *(ask.options(wanted, options or ()) if not features else ())]
        chosen = names.options(options, wanted, installed_in(directory))
        left_out = names.declined(without or (), wanted)
        request = Request(add=wanted, options=chosen, without=left_out, tests=not no_tests)
        given = [("--set", item) for item in options] + [("--without", item) for item in left_out]
        words = [*(word for pair in given for word in pair), *(["--no-tests"] if no_tests else [])]
        run(Command(directory, reference, ("add", *wanted), words), request, flags)


@app.command(cls=Proving)
def remove(
    context: typer.Context,
    features: Installed = None,
    dry_run: DryRun = False,
    diff: Diff = False,
    output: Output = None,
    check: Check = False,
    json: Json = False,
    yes: Yes = False,
    no_install: NoInstall = False,
    install: Manager = "",
    prove: Prove = "",
    no_prove: NoProve = False,
    allow_dirty: AllowDirty = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
    delete_edited: DeleteEdited = False,
) -> None:
    """Take features out again; files that you edited stay."""
    from laterctl.cli import ask, names
    from laterctl.cli.flow import Command, Flags, installed_in, run
    from laterctl.engine.plan import Request

    directory, reference = context.obj
    with outcomes(as_json=json, quiet=quiet):
        level = _level(prove, no_prove)
        flags = Flags(
            dry_run, diff, output, check, json, yes, not no_install, _manager(install), level, allow_dirty, verbose
        )
        wanted = names.asked(features or ask.pick_installed(directory, as_json=json), installed_in(directory))
        command = Command(directory, reference, ("remove", *wanted), ("--delete-edited",) if delete_edited else ())
        run(command, Request(remove=wanted, delete_edited=delete_edited), flags)


@app.command(cls=Proving)
def update(
    context: typer.Context,
    features: Installed = None,
    dry_run: DryRun = False,
    diff: Diff = False,
    output: Output = None,
    check: Check = False,
    json: Json = False,
    yes: Yes = False,
    no_install: NoInstall = False,
    install: Manager = "",
    prove: Prove = "",
    no_prove: NoProve = False,
    allow_dirty: AllowDirty = False,
    verbose: Verbose = False,
    quiet: Quiet = False,
    conflicts: Conflicts = False,
    without: Without = None,
) -> None:
    """Bring installed features, all of them when none is named, to what this version writes; what you edited is merged."""
    from laterctl.cli import names
    from laterctl.cli.flow import Command, Flags, installed_in, run
    from laterctl.commands.update import updating

    directory, reference = context.obj
    with outcomes(as_json=json, quiet=quiet):
        level = _level(prove, no_prove)
        flags = Flags(
            dry_run, diff, output, check, json, yes, not no_install, _manager(install), level, allow_dirty, verbose
        )
        wanted = names.asked(features or (), installed_in(directory))
        left_out = names.declined(without or (), wanted or installed_in(directory))
        given = [*(["--conflicts"] if conflicts else []), *(word for name in left_out for word in ("--without", name))]
        request = updating(wanted, conflicts=conflicts, without=left_out)
        run(Command(directory, reference, ("update", *wanted), given), request, flags)


@app.command("diff")
def diff_(context: typer.Context, features: Installed = None, json: Json = False) -> None:
    """Show what you changed in features since they were written, and what an update would bring."""
    from laterctl.cli import flow, names, show_comparison
    from laterctl.commands.compare import compare

    directory, reference = context.obj
    with outcomes(as_json=json, looks=True):
        flow.pending(directory)
        wanted = names.asked(features or (), flow.installed_in(directory))
        show_comparison.comparison(compare(directory, wanted, reference), as_json=json)


@app.command()
def undo(context: typer.Context, json: Json = False, yes: Yes = False, quiet: Quiet = False) -> None:
    """Take back the last run on this machine, byte for byte."""
    from laterctl.cli import flow

    with outcomes(as_json=json, quiet=quiet):
        flow.undo(context.obj[0], yes=yes, as_json=json)


RULES = "these rules, or those whose ids start so (several between commas)"


@app.command(cls=Proving)
def doctor(
    context: typer.Context,
    json: Json = False,
    fix: Annotated[
        bool, typer.Option("--fix", help="Put back missing files and wiring of installed features.")
    ] = False,
    run: Annotated[bool, typer.Option("--run", help="Also start the app, in a scratch copy.")] = False,
    form: Annotated[
        str,
        typer.Option(
            "--format",
            help="For programs: json, github (annotations), or sarif.",
            metavar="FORMAT",
            autocompletion=complete.report_format,
        ),
    ] = "text",
    only: Annotated[
        list[str] | None,
        typer.Option("--only", help=f"Ask {RULES} only.", metavar="RULE", autocompletion=complete.rule),
    ] = None,
    skip: Annotated[
        list[str] | None,
        typer.Option("--skip", help=f"Leave {RULES} out.", metavar="RULE", autocompletion=complete.rule),
    ] = None,
    yes: Yes = False,
    prove: Prove = "",
    no_prove: NoProve = False,
    allow_dirty: AllowDirty = False,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose", "-v", help="Show each answer on a line of its own, the good ones, too.", callback=_apart
        ),
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Inspect installed features and read the code for known mistakes; never runs it."""
    from laterctl.cli import show_report
    from laterctl.cli.steps import Steps
    from laterctl.commands import doctor as command
    from laterctl.finding import Verdict

    directory, reference = context.obj
    if form not in complete.FORMATS:
        raise typer.BadParameter(f"{form} is none of {', '.join(complete.FORMATS)}", param_hint="--format")
    json = json or form == "json"
    with outcomes(as_json=json, looks=not fix, quiet=quiet):
        fixed = None
        if fix:
            from laterctl.cli import flow

            flags = flow.Flags(
                json=json,
                yes=yes,
                prove=_level(prove, no_prove),
                allow_dirty=allow_dirty,
                install=False,
                verbose=verbose,
            )
            fixed = flow.fix(flow.Command(directory, reference, ("doctor", "--fix")), flags)
        with Steps(verbose=verbose) as steps:
            steps.waits_for("reading the project")
            report = command.examine(
                directory, app=reference, only=only or (), skip=skip or (), run=run, progress=steps.begins
            )
        if form == "github":
            show_report.github(report)
        elif form == "sarif":
            show_report.sarif(report)
        else:
            message = show_report.NOT_FIXED if fix and fixed is None else ""
            show_report.report(report, as_json=json, fixed=fixed, message=message, folded=not verbose)
    verdicts = {item.verdict for item in report.findings}
    if Verdict.PROBLEM in verdicts:
        raise typer.Exit(Exit.PENDING)
    if Verdict.UNKNOWN in verdicts:
        raise typer.Exit(Exit.UNKNOWN)


@app.command("list")
def list_(context: typer.Context, json: Json = False) -> None:
    """List the features there are, and which are installed."""
    from laterctl.cli import flow, show
    from laterctl.commands import read

    with outcomes(as_json=json, looks=True):
        flow.pending(context.obj[0])
        show.listing(read.with_reasons(read.listing(context.obj[0]), *context.obj), as_json=json)


@app.command()
def info(
    context: typer.Context,
    feature: Annotated[str, typer.Argument(autocompletion=complete.listed)] = "",
    project: Annotated[bool, typer.Option("--project", help="What was detected, and on what evidence.")] = False,
    json: Json = False,
) -> None:
    """Explain a feature, or what was detected in the project."""
    from laterctl.cli import show
    from laterctl.commands import read
    from laterctl.commands.change import load_project
    from laterctl.commands.readable import readable
    from laterctl.dialects.settings import settings_of

    directory, reference = context.obj
    with outcomes(as_json=json, looks=True):
        if bool(feature) == project:
            raise typer.BadParameter("name a feature, or give --project")
        with readable():
            found, installed = load_project(directory, reference)
        if project and json:
            show.document("project", **read.facts(found))
            return
        if project:
            from laterctl.cli.show_report import onion
            from laterctl.commands.portrait import portrait

            show.project(found.root.name, portrait(found), lambda: onion(found.app))
            return
        declared = read.about(feature)
        entry = installed.get(declared.name)
        values = entry.options if entry else {}
        notes, present = read.notes(declared, found, entry), read.by_hand(entry) if entry else []
        show.feature(declared, present, values, notes, settings_of(found), as_json=json)


@app.command()
def guide(context: typer.Context, json: Json = False) -> None:
    """Say what the project has, by hand or by laterctl, what comes next, and why."""
    from laterctl.cli import flow, show_guide
    from laterctl.commands.guide import guide as made

    directory, reference = context.obj
    with outcomes(as_json=json, looks=True):
        flow.pending(directory)
        show_guide.guide(made(directory, reference), flow.start_of(directory, reference), as_json=json)


@app.command()
def secret(
    context: typer.Context,
    feature: Annotated[str, typer.Argument(autocompletion=complete.listed)],
    json: Json = False,
) -> None:
    """Print fresh key material for a feature; nothing is written."""
    from laterctl.cli import show
    from laterctl.commands import read

    directory, reference = context.obj
    with outcomes(as_json=json, looks=True):
        try:
            made = read.secret(feature, directory, reference)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
        show.secrets(made, as_json=json)


@app.command()
def explain(
    rule: Annotated[str, typer.Argument(help="A rule id, such as JWT001.", autocompletion=complete.rule)] = "",
    json: Json = False,
) -> None:
    """Explain a doctor rule; without one, list them."""
    from laterctl.cli import show_report
    from laterctl.doctor import rules

    with outcomes(as_json=json, looks=True):
        known = [rules.find(rule)] if rule else rules.every()
        show_report.rules(known, as_json=json, whole=bool(rule))


@app.command()
def new(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The project's name; its folder is created here.")],
    settings: Annotated[str, typer.Option(help="dynaconf or pydantic.", autocompletion=complete.settings)] = "dynaconf",
    python: Annotated[str, typer.Option(help="The oldest Python to support.")] = "3.12",
    json: Json = False,
) -> None:
    """Write a new FastAPI project that the features fit."""
    from laterctl.cli import show
    from laterctl.commands.create import create

    with outcomes(as_json=json):
        try:
            paths = create(context.obj[0], name, settings=settings, python=python)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
        show.created(name, paths, as_json=json)


def _manager(given: str) -> str:
    if given and given not in RUN:
        raise typer.BadParameter(f"{given} is none of {', '.join(RUN)}", param_hint="--install")
    return given


def _level(prove: str, no_prove: bool) -> Level | None:
    if prove and no_prove:
        raise typer.BadParameter("--prove and --no-prove exclude each other", param_hint="--prove")
    if prove not in {"", Level.APP, *complete.PROOFS}:
        raise typer.BadParameter(f"{prove} is none of {', '.join(complete.PROOFS)}", param_hint="--prove")
    return Level.NONE if no_prove else Level(prove) if prove else None
