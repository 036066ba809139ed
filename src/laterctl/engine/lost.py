"""What became of pieces that are not at their place any more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from laterctl.edits.file import files as owned_files
from laterctl.features import catalogue
from laterctl.project import origin
from laterctl.targets.base import Record, State, Target
from laterctl.targets.document import inspect

if TYPE_CHECKING:
    from laterctl.engine.ledger import Entry
    from laterctl.project.discover import Project


def signed(project: Project) -> list[str]:
    """Return the files that may say that they came from laterctl: Python files, and those that features call so."""
    names = {
        file.path.rpartition("/")[2]
        for name in catalogue.module_names()
        for file in owned_files(catalogue.edits_of(name))
    }
    others = (path for path in project.tree.files() if path.rpartition("/")[2] in names and not path.endswith(".py"))
    found = [path for path in others if origin.feature_of(path, project.tree.read(path) or b"")]
    return [*project.tree.files_containing(origin.ORIGIN.encode()), *found]


def moved(project: Project, record: Record) -> str:
    """Return where an owned file went that is not at its place any more; `""` when it is nowhere."""
    target = record.target
    if not target.whole_file or project.tree.read(target.path) is not None or not target.created():
        return ""
    for path in signed(project):
        if inspect(target, project.tree.read(path)).state is State.PRESENT:
            return path
    return ""


def renamed(project: Project, entry: Entry, records: Sequence[Record]) -> tuple[str, str] | None:
    """Return a file that is gone with wiring in it, and where a file of a feature that is gone, too, is by now.

    Then a folder was renamed: the wiring is at work somewhere else. `None` where that is not so. `records` are all.
    """
    own = [record.target for record in entry.records if record.ours and record.target.path.endswith(".py")]
    names = {target.path.rpartition("/")[2] for target in own if target.created() and _is_gone(project, target)}
    wired = (record.target for record in records if names and record.ours and not record.target.whole_file)
    gone = next((target.path for target in wired if target.path.endswith(".py") and _is_gone(project, target)), "")
    for path in signed(project) if gone else ():
        if (
            path.rpartition("/")[2] in names
            and origin.feature_of(path, project.tree.read(path) or b"") == entry.feature
        ):
            return gone, path
    return None


def _is_gone(project: Project, target: Target) -> bool:
    return project.tree.read(target.path) is None


def is_lost(project: Project, record: Record, records: Sequence[Record]) -> bool:
    """Whether a piece of ours is gone and can be put back: `records` are all, in whose files others may stand.

    What was moved is the user's, and so is what stood in a file of theirs that they deleted.
    """
    target = record.target
    if not record.ours or record.left or not target.restorable:
        return False
    data = project.tree.read(target.path)
    if data is None and not target.whole_file:
        homes = [item for item in records if item.target.path == target.path and item.target.whole_file]
        return any(is_lost(project, item, ()) for item in homes)
    return inspect(target, data, project=project).state is State.ABSENT and not moved(project, record)
