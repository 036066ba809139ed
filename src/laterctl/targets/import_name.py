"""Names that a `from` import at the top of a Python file brings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from laterctl.project.bindings import bound_to

if TYPE_CHECKING:
    from laterctl.project.discover import Project
    from laterctl.targets.base import ImportName


def is_rebound(project: Project, target: ImportName) -> bool:
    """Whether an import of ours is gone because the user binds its name to something else, such as a moved module."""
    place, dotted = bound_to(project, target.path, target.local)
    return place is not None and bool(dotted) and dotted != target.source
