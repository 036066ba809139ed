"""The dependency step of a run: which lock files and compiled files follow the manifest, and by which commands."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from laterctl import install
from laterctl.install import Argv
from laterctl.project.facts import DependencyHome, Manifest
from laterctl.project.own_build import local_projects, own_build
from laterctl.project.places import Place
from laterctl.project.requirements_file import Compiled, beside, includes
from laterctl.project.tomlfile import load_toml
from laterctl.refusal import Note, Refusal

if TYPE_CHECKING:
    from laterctl.engine.ledger import Entry
    from laterctl.engine.plan import Plan
    from laterctl.project.discover import Project
    from laterctl.project.tree import Tree


class DependencyStep(Struct, frozen=True):
    """What a run does about dependencies beside the manifest; known before anything is written.

    `commands` bring up to date what is `derived`, the files that they write, and the environment. When `runs` is
    false they are left to the user, because of `reason`. `refusals` stand in the way when they are to run.
    """

    commands: tuple[Argv, ...] = ()
    derived: tuple[str, ...] = ()
    reason: str = ""
    notes: tuple[Note, ...] = ()
    refusals: tuple[Refusal, ...] = ()

    @property
    def runs(self) -> bool:
        """Whether the run carries the commands out."""
        return bool(self.commands) and not self.reason

    @property
    def left(self) -> tuple[str, ...]:
        """The commands that the user has to run, as they are typed."""
        return () if self.runs else tuple(map(shlex.join, self.commands))


def planned(
    project: Project, installed: Mapping[str, Entry], plan: Plan, *, install_them: bool = True, manager: str = ""
) -> DependencyStep:
    """Return the dependency step of a plan: nothing when no declared dependency changes.

    Args:
        project, installed, plan: the run.
        install_them: whether the step is to be carried out; otherwise it is named.
        manager: the manager that was asked for, `""` for the one that was detected.

    Raises:
        laterctl.install.CannotInstall: the manager that was asked for cannot do it.
    """
    manifest = project.manifest
    changed = changed_homes(installed, plan) if manifest is not None else {}
    if manifest is None or not (changed or plan.requirements):
        return DependencyStep()
    chosen = manager or manifest.manager
    reason = install.LEFT.get(chosen, "") if install_them else "left to you by --no-install"
    try:
        commands, derived = _locking(project, manifest, chosen, changed, plan.requirements)
    except install.CannotInstall as error:
        if manager and install_them:
            raise
        commands, derived, reason = (), (), reason or str(error)
    refusals = tuple(_own_build(project, chosen, commands)) if not reason and derived else ()
    compiled, notes = _compiling(project, manifest, changed)
    step = DependencyStep(commands, derived, reason, tuple(notes), refusals)
    return _with_compiled(step, compiled) if compiled else step


def changed_homes(installed: Mapping[str, Entry], plan: Plan) -> dict[DependencyHome, bool]:
    """Return the homes whose declared dependencies change, and for each whether it gets entries."""
    from laterctl.codemods import requirements

    entries = [*installed.values(), *plan.entries.values()]
    homes = {home for entry in entries for record in entry.records if (home := record.target.home) is not None}
    found = {}
    for home in sorted(homes, key=lambda home: (home.path, home.table)):
        change = plan.changeset.get(home.path)
        if change is not None:
            before, after = (_declared(requirements.declared, data, home) for data in (change.before, change.after))
            if before != after:
                found[home] = bool(after - before)
    return found


def _declared(read: object, data: bytes | None, home: DependencyHome) -> set[tuple[str, str]]:
    from laterctl.codemods.placement import TextEditError
    from laterctl.targets.document import decoded_text

    if data is None:
        return set()
    assert callable(read)
    try:
        return set(read(decoded_text(home.path, data)[0].removeprefix("\ufeff"), home).items())
    except TextEditError:
        return set()


def _locking(
    project: Project,
    manifest: Manifest,
    manager: str,
    changed: Mapping[DependencyHome, bool],
    new: Sequence[str],
) -> tuple[tuple[Argv, ...], tuple[str, ...]]:
    """Return the commands of the manager, and the files that they write."""
    root = project.root
    derived = install.derived(manager, manifest, root)
    grown = [home for home, grows in changed.items() if grows]
    if not grown and not any((root / path).is_file() for path in derived):
        return (), ()
    data = project.tree.read(manifest.lock) if manifest.lock else None
    commands = install.commands(
        manager,
        manifest,
        grown,
        new,
        # Asking poetry for it starts a process: its commands do not need to know.
        python=install.interpreter(root) if manager in {"pip", "uv"} else None,
        lock=(data or b"").decode("utf-8", errors="replace"),
        local=local_projects(load_toml(project.tree, "pyproject.toml") or {}),
    )
    return commands, derived


def _own_build(project: Project, manager: str, commands: Sequence[Argv]) -> Iterator[Refusal]:
    place = own_build(project.tree, manager, load_toml(project.tree, "pyproject.toml") or {})
    if place is not None:
        locks = shlex.join(commands[0])
        yield Refusal(
            "own-build",
            f"`{locks}` would run code of the project's own, to find out what it depends on",
            place,
            expected="metadata that is written down, or a build backend from an index",
            remedy=f"--no-install writes the change and leaves `{locks}` to you",
        )


# Compiled requirements files


def _compiling(
    project: Project, manifest: Manifest, changed: Mapping[DependencyHome, bool]
) -> tuple[list[tuple[Argv, str]], list[Note]]:
    """Return the commands that compile files again with what they write, and what is left to the user."""
    paths = [manifest.runtime.path, *(home.path for home in changed)]
    sources = [path for path in dict.fromkeys(paths) if any(home.path == path for home in changed)]
    found: list[tuple[Argv, str]] = []
    notes = []
    for source in sources:
        for path, made in manifest.compiled.items():
            if source not in (made.sources or (f"{path.removesuffix('.txt')}.in",)):
                continue
            command = _command(project, made)
            if command:
                found.append((command, path))
            else:
                told = f"`{made.told}`" if made.told else "the command that made it"
                message = f"{path} is compiled from {source}, and is out of date then: run {told}"
                notes.append(Note("warning", message, Place(path, made.line)))
    return found, notes


def _command(project: Project, made: Compiled) -> Argv:
    """Return the command that compiles a file again, `()` when it is not there or could run code of the project's."""
    if not made.command or any(_may_build(project.tree, source, set()) for source in made.sources):
        return ()
    if made.command[0] == "uv":
        return made.command if shutil.which("uv") else ()
    python = install.interpreter(project.root)
    if python is not None and any((folder / "piptools").is_dir() for folder in install.site_packages(python)):
        return (str(python), "-m", "piptools", "compile", *made.command[1:])
    return made.command if shutil.which(made.command[0]) else ()


def _may_build(tree: Tree, path: str, seen: set[str]) -> bool:
    """Whether a source names a project on this machine, whose build would run, or is one with dynamic metadata."""
    if path in seen:
        return False
    seen.add(path)
    if path.endswith(".toml"):
        project = load_toml(tree, path) or {}
        return bool(project.get("project", {}).get("dynamic")) or "project" not in project
    text = (tree.read(path) or b"").decode("utf-8", "replace")
    local = any(
        line.lstrip().startswith(("-e", "--editable", ".", "/")) or "file:" in line for line in text.splitlines()
    )
    return local or any(_may_build(tree, beside(path, named), seen) for what, named, _ in includes(text) if what == "r")


def _with_compiled(step: DependencyStep, compiled: Sequence[tuple[Argv, str]]) -> DependencyStep:
    """Return a step that compiles files too, first of all: whoever installs them gets what they say."""
    commands = tuple(command for command, _ in compiled)
    paths = tuple(path for _, path in compiled)
    if step.reason and not step.commands and step.reason.startswith("no virtual environment"):
        return replace(
            step, commands=commands, derived=paths, reason="", notes=(*step.notes, Note("warning", step.reason))
        )
    return replace(step, commands=(*commands, *step.commands), derived=(*paths, *step.derived))


def refined(step: DependencyStep, root: Path, manager: str) -> DependencyStep:
    """Return a step with the commands as the manager's own version needs them; this may ask it."""
    version = install.relevant_version(manager, root)
    return replace(step, commands=tuple(install.for_version(command, version) for command in step.commands))
