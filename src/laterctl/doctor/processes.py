"""Several processes of an application, for the rules about what each of them keeps to itself."""

from __future__ import annotations

from collections.abc import Iterator

from laterctl.doctor.code import Codebase, once
from laterctl.doctor.rule import Found
from laterctl.project.installed import file_of, option_in
from laterctl.project.workers import Workers, several_workers


@once
def several(codebase: Codebase) -> list[Workers]:
    """Return the places that start the application as more than one process."""
    project = codebase.project
    return several_workers(project.tree, project.app.path) if project.app is not None else []


def kept_apart(codebase: Codebase, feature: str, option: str, what: str) -> Iterator[Found]:
    """Look for several processes where an installed feature keeps in memory what they should share.

    `option` says where it is kept, in memory unless it says otherwise; `what` ends "with 4 workers each process ...".
    """
    if option_in(codebase.project.tree.read(file_of(feature)), option, "memory") == "memory":
        for item in several(codebase):
            yield Found(item.place, f"with {item.what} each process {what}")
