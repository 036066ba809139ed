"""Nobody outside of the dialects asks which one a project has."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

from msgspec.structs import fields

import laterctl
from laterctl.dialects import manifest
from laterctl.dialects.database import find as _every_dialect_of_databases  # noqa: F401 - loads the subclasses
from laterctl.dialects.database.base import Database
from laterctl.dialects.manifest import MANAGERS, poetry, requirements, setup_cfg  # noqa: F401 - loads the subclasses
from laterctl.dialects.manifest.base import Form
from laterctl.dialects.settings import Settings
from laterctl.dialects.settings import find as _every_dialect_of_settings  # noqa: F401 - loads the subclasses
from laterctl.project.facts import Lifespan


def kind_of(dialect: type[Settings | Database]) -> str:
    """Return the name of a dialect in JSON documents."""
    return str(next(field.default for field in fields(dialect) if field.name == "kind"))


def forms_below(form: type[Form]) -> Iterator[str]:
    """Yield the names of the forms in which dependencies are written."""
    for below in form.__subclasses__():
        yield from [below.kind] if "kind" in vars(below) else []
        yield from forms_below(below)


SOURCE = Path(laterctl.__file__).parent
KINDS = frozenset(
    {
        *(kind_of(item) for item in (Settings, *Settings.__subclasses__(), *Database.__subclasses__())),
        *(Lifespan().kind, "function", "on_event", "foreign"),
        *forms_below(Form),
    }
)


def compared(tree: ast.Module) -> Iterator[ast.Compare]:
    """Yield the comparisons of something's kind with the name of a dialect."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            names = {part.value for side in sides for part in ast.walk(side) if isinstance(part, ast.Constant)}
            asks = any(isinstance(side, ast.Attribute) and side.attr in {"kind", "form"} for side in sides)
            if asks and names & KINDS:
                yield node


def named(tree: ast.Module) -> Iterator[ast.Constant]:
    """Yield the names of package managers: a comparison, a table of them, or a command."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.value in MANAGERS:
            yield node


def outside(found: Callable[[ast.Module], Iterator[ast.expr]]) -> list[str]:
    """Return where something is found outside of the dialects."""
    return [
        f"{path.relative_to(SOURCE)}:{node.lineno}"
        for path in SOURCE.rglob("*.py")
        if (SOURCE / "dialects") not in path.parents
        for node in found(ast.parse(path.read_text(encoding="utf-8")))
    ]


def test_no_kind_of_a_dialect_is_compared_outside() -> None:
    assert {"dynaconf", "pydantic", "pydantic-v1", "starlette", "other", "environment", "sqlmodel", "on_event"} <= KINDS
    assert {"array", "poetry", "lines", "cfg"} <= KINDS
    assert outside(compared) == []


def test_no_manager_is_named_outside() -> None:
    assert {"uv", "poetry", "pdm", "pip", "pipenv", "conda"} == {*MANAGERS}
    assert outside(named) == []


def test_each_manager_is_a_module_with_all_that_it_does() -> None:
    for name in MANAGERS:
        manager = manifest.named(name)
        assert manager.name == name
        assert bool(manager.left) == (name not in manifest.RUN)


def test_such_a_comparison_would_be_seen() -> None:
    assert list(compared(ast.parse('if settings.kind == "pydantic": pass')))
    assert list(compared(ast.parse('settings.kind in {"dynaconf", "starlette"}')))
    assert not list(compared(ast.parse('token.kind == "mark"')))
    assert list(compared(ast.parse('home.form != "lines"')))
    assert list(named(ast.parse('locks = {"uv": "uv.lock"}')))
