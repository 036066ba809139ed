"""The run behind every changing command: discover, plan, prove, then write under a journal, install, prove again."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, field

from laterctl import git
from laterctl.codemods import newer
from laterctl.commands.dependencies import DependencyStep, planned, refined
from laterctl.commands.readable import readable
from laterctl.engine import ledger
from laterctl.project.installed import FOLDER, is_derived
from laterctl.project.places import Place
from laterctl.proof.levels import Level
from laterctl.refusal import Note, Refusal, Refused

if TYPE_CHECKING:
    from laterctl.changeset import Change
    from laterctl.engine.ledger import Entry
    from laterctl.engine.plan import Plan, Request
    from laterctl.install import Argv
    from laterctl.project.discover import Project
    from laterctl.proof.dynamic import Report
    from laterctl.proof.static import Failure


class ProofFailed(Exception):
    """A proof found something wrong; the project is as it was. `packages` were installed and stay."""

    def __init__(self, failures: list[Failure], packages: tuple[str, ...] = ()) -> None:
        super().__init__("; ".join(failure.message for failure in failures))
        self.failures = failures
        self.packages = packages


class Unproved(Exception):
    """A proof that was asked for is not possible here, and why; the project is as it was.

    `restored` says whether it was written in between; `packages` were installed and stay.
    """

    def __init__(self, reason: str, packages: tuple[str, ...] = (), *, restored: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.packages = packages
        self.restored = restored


class InstallFailed(Exception):
    """The dependency step failed; the project is as it was. `output` is the package manager's, masked."""

    def __init__(self, command: str, output: str) -> None:
        super().__init__(f"{command} failed")
        self.command = command
        self.output = output


class Dirty(Exception):
    """Files that the run edits have uncommitted changes of the user's."""

    def __init__(self, paths: tuple[str, ...]) -> None:
        super().__init__(", ".join(paths))
        self.paths = paths


class Prepared(Struct, frozen=True):
    """Everything that is known before anything is written.

    `dirty` are files that the run edits and that hold uncommitted bytes other than laterctl's own last write;
    `None` without git. `dependencies` is what follows from the change of the manifest.
    """

    project: Project
    installed: Mapping[str, Entry]
    request: Request
    plan: Plan
    dirty: tuple[str, ...] | None = ()
    notes: tuple[Note, ...] = ()
    dependencies: DependencyStep = DependencyStep()

    @property
    def root(self) -> Path:
        """The project's root folder."""
        return self.project.root


class RunResult(Struct, frozen=True):
    """What a run did. `proof` is `None` when the dynamic proof was not asked for; `left` are commands for the user."""

    prepared: Prepared
    installed: tuple[str, ...] = ()
    skipped_install: tuple[str, ...] = ()
    skipped_because: str = ""
    proof: Report | None = None
    notes: tuple[Note, ...] = ()
    left: tuple[str, ...] = ()


class RunOptions(Struct, frozen=True):
    """How a run is carried out.

    `manager` names the package manager, `""` detects it; `install` false leaves the dependencies to the user.
    `prove` asks for the dynamic proof, without which nothing is written when it is `required`. `progress` is told what
    begins, `heard` the lines that the package manager prints.
    """

    install: bool = True
    manager: str = ""
    prove: Level = Level.NONE
    required: bool = False
    allow_dirty: bool = False
    command: str = ""
    progress: Callable[[str], None] = field(default=lambda _: None)
    heard: Callable[[str], None] = field(default=lambda _: None)


def load_project(start: Path, app: str | None = None) -> tuple[Project, dict[str, Entry]]:
    """Discover the project around a folder and read its ledger.

    Raises:
        Refused: the ledger cannot be read.
        laterctl.project.configuration.Misconfigured: the user's configuration is wrong.
    """
    from laterctl.project.discover import discover, find_root

    project = discover(find_root(start), app=app, repair=newer.repaired)
    project.check_configuration()
    return project, ledger.load(project.tree)


Requesting = Callable[["Mapping[str, Entry]"], "Request"]
"""What a run is to do, decided when it is known what is installed."""


def prepare(
    start: Path,
    request: Request | Requesting,
    app: str | None = None,
    *,
    install: bool = True,
    manager: str = "",
) -> Prepared:
    """Plan a run and prove it statically; nothing is written.

    Args:
        start: a folder of the project.
        request: what to do.
        app: the application, as `module:attribute`, when it was named.
        install, manager: as `RunOptions` has them; they decide what the plan says about dependencies.

    Raises:
        Refused: the project cannot take it; every reason is in it.
        ProofFailed: the result would not be whole.
    """
    from laterctl.engine import plan as planning

    with readable():
        project, installed = load_project(start, app)
        wanted = request(installed) if callable(request) else request
        plan = planning.make(project, installed, wanted)
        return checked(project, installed, wanted, plan, install=install, manager=manager)


def checked(
    project: Project,
    installed: Mapping[str, Entry],
    request: Request,
    plan: Plan,
    *,
    install: bool = True,
    manager: str = "",
) -> Prepared:
    """Prove a plan statically and look at what git makes of it.

    Raises:
        Refused: the plan was refused, git would ignore what it writes, something is in the way of a new file, or the
            dependency step would run code of the project's own.
        InstallFailed: the package manager that was asked for cannot do it.
        ProofFailed: the result would not be whole.
    """
    if plan.refusals:
        raise Refused(*plan.refusals)
    if not plan.changeset:
        return Prepared(project, installed, request, plan, notes=plan.notes)
    if refusals := [*_in_the_way(project, plan), *_ignored(project, plan)]:
        raise Refused(*refusals)
    from laterctl.proof.static import prove

    failures = prove(project, plan)
    if failures:
        raise ProofFailed(failures)
    step = _dependencies(project, installed, plan, install=install, manager=manager)
    return Prepared(project, installed, request, plan, _dirty(project, plan), (*plan.notes, *step.notes), step)


def _in_the_way(project: Project, plan: Plan) -> Iterator[Refusal]:
    """Files of the user's where new files need a folder."""
    from laterctl.targets.owned_file import CHOOSE_FOLDERS

    tree = project.tree
    for path, change in plan.changeset.items():
        folders = [path[:at] for at, letter in enumerate(path) if letter == "/"] if change.before is None else []
        for folder in folders:
            if not tree.is_dir(folder) and tree.exists(folder):
                yield Refusal(
                    "file-exists",
                    f"{folder} is a file, and new files need a folder of that name",
                    Place(folder, 1),
                    expected="a folder, or nothing",
                    remedy=f"move it away, or {CHOOSE_FOLDERS}",
                )


def _ignored(project: Project, plan: Plan) -> Iterator[Refusal]:
    """What git would not see: new files that would never be committed, and files of this machine alone."""
    from laterctl.targets.owned_file import CHOOSE_FOLDERS

    ignored = git.ignored(project.root, plan.changeset)
    fresh = [path for path in ignored if plan.changeset[path].before is None and not _is_example(path)]
    new = sorted((path for path in fresh if not is_derived(path)), key=lambda path: (path.startswith(FOLDER), path))
    if new:
        yield Refusal(
            "ignored-by-git",
            f"git would ignore {_some(new)}: new code that would never reach your repository",
            Place(new[0], 1),
            seen=git.ignore_rule(project.root, new[0]),
            remedy=f"change that rule, or {CHOOSE_FOLDERS}",
        )
    for path in sorted(ignored - {path for path in ignored if plan.changeset[path].before is None}):
        yield Refusal(
            "ignored-by-git",
            f"git ignores {path}, so it is left alone",
            Place(path, 1),
            seen=git.ignore_rule(project.root, path),
            snippet="\n".join(_new_lines(plan.changeset[path])),
            remedy="put these lines in yourself and run the command again, or let git see the file",
        )


def _some(paths: Sequence[str]) -> str:
    return ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")


def _is_example(path: str) -> bool:
    return "example" in path.rpartition("/")[2]


def _new_lines(change: Change) -> list[str]:
    before, after = ((data or b"").decode("utf-8", "replace").splitlines() for data in (change.before, change.after))
    return [line for line in after if line.strip() and line not in before]


def _dirty(project: Project, plan: Plan) -> tuple[str, ...] | None:
    from laterctl.journal import digest, last_written

    edited = [path for path, change in plan.changeset.items() if change.before is not None]
    changed = git.dirty(project.root, edited)
    if changed is None:
        return None
    own = last_written(project.root) if changed else {}
    # Read anew: another run of laterctl may have written since, which is for the journal to find out.
    return tuple(sorted(path for path in changed if own.get(path) != digest(_present(project.root / path))))


def _present(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def execute(prepared: Prepared, choices: RunOptions) -> RunResult:
    """Write a prepared run under a journal, install what it needs, and prove it; any failure restores everything.

    Raises:
        Dirty: files to be edited have uncommitted changes and that was not allowed.
        InstallFailed, ProofFailed, Unproved: and the project is as it was.
        laterctl.journal.JournalError: the write failed, or another run is under way.
    """
    from laterctl import journal

    step = _dependencies(
        prepared.project, prepared.installed, prepared.plan, install=choices.install, manager=choices.manager
    )
    if step.runs:
        step = refined(step, prepared.root)
    installed = prepared.plan.requirements if step.runs else ()
    report = None
    with journal.lock(prepared.root) as held:
        journal.recover(held)
        # Once more: what was dirty may have been the work of a run that was under way.
        if prepared.dirty and not choices.allow_dirty and (dirty := _dirty(prepared.project, prepared.plan)):
            raise Dirty(dirty)
        proving = None
        if choices.prove is not Level.NONE:
            from laterctl.proof.proving import Proving

            proving = Proving(prepared.project, prepared.plan, prepared.installed, choices.prove, choices.progress)
            if choices.required and proving.impossible:
                raise Unproved(proving.impossible)
        with journal.begin(held, prepared.plan.changeset, command=choices.command, extra=step.derived) as run:
            run.apply()
            for command in step.commands if step.runs else ():
                choices.progress(shlex.join(command))
                _install(command, prepared.root, choices.heard)
            if proving is not None:
                report = proving.finish()
                if report.failures:
                    raise ProofFailed(list(report.failures), installed)
                if choices.required and not report.proves(choices.prove):
                    raise Unproved(report.why_not(choices.prove), installed, restored=True)
            run.commit()
    skipped = () if step.runs else prepared.plan.requirements
    return RunResult(prepared, installed, skipped, step.reason, report, prepared.notes, step.left)


def _dependencies(
    project: Project, installed: Mapping[str, Entry], plan: Plan, *, install: bool, manager: str
) -> DependencyStep:
    from laterctl.install import CannotInstall

    try:
        step = planned(project, installed, plan, install_them=install, asked=manager)
    except CannotInstall as error:
        raise InstallFailed(manager, str(error)) from error
    if step.refusals:
        raise Refused(*step.refusals)
    return step


def _install(step: Argv, root: Path, heard: Callable[[str], None]) -> None:
    from laterctl import install

    outcome = install.run(step, root, heard=heard)
    if not outcome.ok:
        raise InstallFailed(install.mask(shlex.join(step)), f"{outcome.output}\n{outcome.reason}".strip())
