"""The shapes that are always tested in full have every dialect; the others have their turn."""

from __future__ import annotations

import pytest

from laterctl.project.discover import Project
from tests import memory, turns
from tests.shapes import SHAPES, Shape
from tests.test_laws import project_files


def dialects(shape: Shape) -> set[str]:
    """Return the dialects of a shape, as `what: kind`."""
    project: Project = memory.project(project_files(shape), shape.app_flag)
    assert project.app is not None
    assert project.manifest is not None
    home = project.manifest.runtime
    settings = project.settings
    access = "getter" if settings and "(" in settings.access.text else "object"
    return {
        f"settings: {settings.kind} {access}" if settings else "settings: none",
        f"providers: {'container' if project.container else 'functions'}",
        f"dependencies: {'lines' if not home.table else home.table[0]}",
        f"application: {'list' if shape.name == 'middleware_list' else 'function' if project.app.scope else 'module'}",
        f"lifespan: {'own' if project.app.lifespan.kind == 'function' else 'none'}",
    }


def test_every_dialect_is_among_them() -> None:
    known = set().union(*(dialects(shape) for shape in turns.DIALECTS))
    assert known >= {
        "settings: dynaconf object",
        "settings: pydantic object",
        "settings: pydantic getter",
        "settings: starlette object",
        "settings: none",
        "providers: container",
        "providers: functions",
        "dependencies: project",
        "dependencies: tool",
        "dependencies: lines",
        "application: list",
        "application: function",
        "application: module",
        "lifespan: own",
        "lifespan: none",
    }


def test_everything_has_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = tuple(range(25))
    seen: set[int] = set()
    for number in range(200):
        monkeypatch.setattr(turns, "turn", lambda number=number: str(number))
        drawn = turns.tenth(cases, "anything")
        assert len(drawn) == 3
        assert drawn == turns.tenth(cases, "anything"), "the same turn draws the same"
        seen |= {*drawn}
    assert seen == {*cases}


def test_one_of_few_is_drawn() -> None:
    assert len(turns.tenth(("one", "two"), "anything")) == 1
    assert turns.tenth((), "anything") == []


def test_the_dialects_are_always_due() -> None:
    cases = tuple(range(20))
    counts = {len(turns.due(shape, cases, "anything")) for shape in SHAPES}
    assert counts == {2, 20}
    assert all(turns.due(shape, cases, "anything") == cases for shape in turns.DIALECTS)
