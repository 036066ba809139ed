"""The dependency step of a run: which lock files and compiled files follow the manifest, and by which commands."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from laterctl import install
from laterctl.dialects.manifest import form_of, named
from laterctl.dialects.manifest.compiled import compiling
from laterctl.dialects.manifest.manager import Change, Manager
from laterctl.install import Argv
from laterctl.project.facts import DependencyHome
from laterctl.refusal import Note, Refusal

if TYPE_CHECKING:
    from laterctl.engine.ledger import Entry
    from laterctl.engine.plan import Plan
    from laterctl.project.discover import Project


class DependencyStep(Struct, frozen=True):
    """What a run does about dependencies beside the manifest; known before anything is written.

    `manager` is the name of the one that does it. `commands` bring up to date what is `derived`, the files that they
    write, and the environment. When `runs` is false they are left to the user, because of `reason`. `refusals` stand
    in the way when they are to run.
    """

    manager: str = ""
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
    project: Project, installed: Mapping[str, Entry], plan: Plan, *, install_them: bool = True, asked: str = ""
) -> DependencyStep:
    """Return the dependency step of a plan: nothing when no declared dependency changes.

    Args:
        project, installed, plan: the run.
        install_them: whether the step is to be carried out; otherwise it is named.
        asked: the manager that was asked for, `""` for the one that was detected.

    Raises:
        laterctl.install.CannotInstall: the manager that was asked for cannot do it.
    """
    manifest = project.manifest
    changed = changed_homes(installed, plan) if manifest is not None else {}
    if manifest is None or not (changed or plan.requirements):
        return DependencyStep()
    chosen = named(asked or manifest.manager)
    reason = chosen.left if install_them else "left to you by --no-install"
    compiled, notes = compiling(project.tree, manifest, list(dict.fromkeys(home.path for home in changed)))
    commands: tuple[Argv, ...] = ()
    derived = chosen.derived(manifest, project.root)
    grown = [home for home, grows in changed.items() if grows]
    if not grown and not any((project.root / path).is_file() for path in derived):
        derived = ()
    else:
        python = install.interpreter(project.root)
        try:
            commands = chosen.commands(Change(project.tree, manifest, grown, plan.requirements, python))
        except install.CannotInstall as error:
            if asked and install_them:
                raise
            derived = ()
            if compiled and not reason:
                notes.append(Note("warning", str(error)))
            else:
                reason = reason or str(error)
    refusals = tuple(_own_build(project, chosen, commands)) if not reason and derived else ()
    for command, path in reversed(compiled):  # first of all: whoever installs them gets what they say
        commands, derived = (command, *commands), (path, *derived)
    return DependencyStep(chosen.name, commands, derived, reason, tuple(notes), refusals)


def changed_homes(installed: Mapping[str, Entry], plan: Plan) -> dict[DependencyHome, bool]:
    """Return the homes whose declared dependencies change, and for each whether it gets entries."""
    entries = [*installed.values(), *plan.entries.values()]
    homes = {home for entry in entries for record in entry.records if (home := record.target.home) is not None}
    found = {}
    for home in sorted(homes, key=lambda home: (home.path, home.table)):
        change = plan.changeset.get(home.path)
        if change is not None:
            before, after = (_declared(data, home) for data in (change.before, change.after))
            if before != after:
                found[home] = bool(after - before)
    return found


def _declared(data: bytes | None, home: DependencyHome) -> set[tuple[str, str]]:
    from laterctl.codemods.placement import TextEditError
    from laterctl.targets.document import decoded_text

    try:
        text = decoded_text(home.path, data or b"")[0].removeprefix("\ufeff")
        return set(form_of(home).declared(text).items())
    except TextEditError:
        return set()


def _own_build(project: Project, chosen: Manager, commands: Sequence[Argv]) -> Iterator[Refusal]:
    place = chosen.own_build(project.tree)
    if place is not None:
        locks = shlex.join(commands[0])
        yield Refusal(
            "own-build",
            f"`{locks}` would run code of the project's own, to find out what it depends on",
            place,
            expected="metadata that is written down, or a build backend from an index",
            remedy=f"--no-install writes the change and leaves `{locks}` to you",
        )


def refined(step: DependencyStep, root: Path) -> DependencyStep:
    """Return a step with the commands as the manager's own version needs them; this may ask it."""
    return replace(step, commands=tuple(named(step.manager).refined(command, root) for command in step.commands))
