"""What became of pieces that are not at their place any more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from laterctl.edits.file import files as owned_files
from laterctl.features import catalogue
from laterctl.project import origin
from laterctl.targets.base import Record, State
from laterctl.targets.document import inspect

if TYPE_CHECKING:
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
