"""What a dialect sees of a project and of the feature that it declares something for."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from laterctl.project.places import Place
from laterctl.targets.base import Record, Target
from laterctl.targets.resolved import Resolved

if TYPE_CHECKING:
    from laterctl.project.discover import Project
    from laterctl.project.statements import Position


class Ground(Protocol):
    """One feature's view of one project, as `laterctl.edits.context.FeatureContext` gives it."""

    @property
    def project(self) -> Project:
        """The facts."""
        ...

    @property
    def feature(self) -> str:
        """The feature's name, for refusals."""
        ...

    @property
    def records(self) -> Sequence[Record]:
        """What is installed, and what features resolved before this one want."""
        ...

    def module(self, place: str) -> str:
        """Return the dotted import path of a place below the application package, such as `core.cors`."""
        ...

    def imported(self, path: str, source: str, asname: str = "") -> tuple[Resolved, str]:
        """Return the import of `module:Name` in a file, and the name it binds. Raises `Refused` when that is taken."""
        ...

    def spots(self, path: str) -> set[Position]:
        """Places of statements in a Python file that are ours."""
        ...

    def is_present(self, target: Target) -> bool:
        """Whether a target of a Python file is there already, in its own form."""
        ...

    def is_recorded(self, target: Target) -> bool:
        """Whether a target is in the ledger, or wanted by features resolved before, whatever the user made of it."""
        ...

    def choice(self, message: str, place: Place | None = None) -> None:
        """Say in the plan what was chosen for this project, and why."""
        ...

    def notice(self, message: str, place: Place | None = None) -> None:
        """Say something after success."""
        ...


def after_docstring(found: Sequence[ast.stmt]) -> int:
    """Return the ordinal of a body's docstring, -1 without one."""
    return 0 if is_docstring(found, 0) else -1


def is_docstring(found: Sequence[ast.stmt], ordinal: int) -> bool:
    """Whether a statement is a text by itself: the docstring of the body, or of the attribute above it."""
    node = found[ordinal] if ordinal < len(found) else None
    value = node.value if isinstance(node, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)
