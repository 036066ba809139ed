"""Nobody outside of the dialects asks which one a project has."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from msgspec.structs import fields

import laterctl
from laterctl.dialects.database import find as _every_dialect_of_databases  # noqa: F401 - loads the subclasses
from laterctl.dialects.database.base import Database
from laterctl.dialects.settings import Settings
from laterctl.dialects.settings import find as _every_dialect_of_settings  # noqa: F401 - loads the subclasses
from laterctl.project.facts import Lifespan


def kind_of(dialect: type[Settings | Database]) -> str:
    """Return the name of a dialect in JSON documents."""
    return str(next(field.default for field in fields(dialect) if field.name == "kind"))


SOURCE = Path(laterctl.__file__).parent
KINDS = frozenset(
    {
        *(kind_of(item) for item in (Settings, *Settings.__subclasses__(), *Database.__subclasses__())),
        *(Lifespan().kind, "function", "on_event", "foreign"),
    }
)


def compared(tree: ast.Module) -> Iterator[ast.Compare]:
    """Yield the comparisons of something's kind with the name of a dialect."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            names = {part.value for side in sides for part in ast.walk(side) if isinstance(part, ast.Constant)}
            asks = any(isinstance(side, ast.Attribute) and side.attr == "kind" for side in sides)
            if asks and names & KINDS:
                yield node


def test_no_kind_of_a_dialect_is_compared_outside() -> None:
    assert {"dynaconf", "pydantic", "pydantic-v1", "starlette", "other", "environment", "sqlmodel", "on_event"} <= KINDS
    paths = [path for path in SOURCE.rglob("*.py") if (SOURCE / "dialects") not in path.parents]
    found = [
        f"{path.relative_to(SOURCE)}:{node.lineno}"
        for path in paths
        for node in compared(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert found == []


def test_such_a_comparison_would_be_seen() -> None:
    assert list(compared(ast.parse('if settings.kind == "pydantic": pass')))
    assert list(compared(ast.parse('settings.kind in {"dynaconf", "starlette"}')))
    assert not list(compared(ast.parse('token.kind == "mark"')))
