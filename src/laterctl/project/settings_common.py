"""What the dialects of settings share."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from laterctl.project.facts import Settings
from laterctl.project.names import Names, Own
from laterctl.project.source import Unreadable
from laterctl.project.tree import Outside
from laterctl.render import Expr, Import


class Found(Struct, frozen=True):
    """Settings that were found: the facts, and the module-level things through which they are reached."""

    settings: Settings
    objects: tuple[Own, ...] = ()
    getters: tuple[Own, ...] = ()


FROM_OS = Expr('os.environ.get("ENVIRONMENT", "")', (Import("os"),))
"""The environment's name in a project that has no setting for it."""


def bound(names: Names, path: str) -> Mapping[str, ast.stmt]:
    """Map the names that a file's top level binds to their statements, `{}` when it cannot be read."""
    try:
        return names.bound(path)
    except (Unreadable, Outside):
        return {}


def imported(names: Names, path: str) -> Iterator[Own]:
    """Yield the project's own things that a file imports."""
    try:
        imports = names.imports(path)
    except (Unreadable, Outside):
        return
    for key, dotted in imports.items():
        target = names.trace(dotted, path)
        if isinstance(target, Own) and not (key.startswith("*") and target.name):
            yield target


def family(names: Names, own: Own) -> list[Own]:
    """Return a class of the project and the classes of the project it derives from, nearest first."""
    found = [own]
    for each in found:
        node = names.statement(each)
        for base in node.bases if isinstance(node, ast.ClassDef) else ():
            target = names.lookup(base, each.path)
            if isinstance(target, Own) and target not in found:
                found.append(target)
    return found


def text_of(node: ast.expr | None) -> str:
    """Return the value of a string literal, `""` for anything else."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def mostly_upper(fields: Sequence[str]) -> bool:
    """Whether most names are written in capitals."""
    return sum(field.isupper() for field in fields) * 2 > len(fields)
