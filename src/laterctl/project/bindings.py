"""How one Python file of the project names another module, and what its names are bound to."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from laterctl.project.places import Place

if TYPE_CHECKING:
    from laterctl.project.discover import Project


def spelled(project: Project, path: str, absolute: str) -> str:
    """Return how file `path` imports module `absolute`: with leading dots where the project does that."""
    layout = project.layout
    if not layout.relative:
        return absolute
    own = project.module_of(path).split(".")
    package = own if path.endswith("/__init__.py") else own[:-1]
    target = absolute.split(".")
    shared = 0
    while shared < min(len(package), len(target)) and package[shared] == target[shared]:
        shared += 1
    if not shared:
        return absolute
    return "." * (len(package) - shared + 1) + ".".join(target[shared:])


def bound_to(project: Project, path: str, name: str) -> tuple[Place | None, str]:
    """Return where file `path` binds `name` at its top level, and the dotted name it stands for (`""`: unknown)."""
    from laterctl.project.statements import bound_names

    if project.tree.read(path) is None:
        return None, ""
    line = bound_names(project.tree.python(path).tree).get(name)
    if line is None:
        return None, ""
    return Place(path, line), project.names.resolve(ast.Name(name, ast.Load()), path)
