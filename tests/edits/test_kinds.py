"""Every kind of target has all verbs; one without is a gap that mypy and this test see."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import laterctl
from laterctl.targets.base import Target, kinds
from laterctl.targets.python_target import PythonTarget
from laterctl.targets.text_target import TextTarget

KINDS = kinds()
PACKAGE = Path(laterctl.__file__).parent


@pytest.mark.parametrize("name", sorted(KINDS))
def test_a_kind_has_every_verb(name: str) -> None:
    kind = KINDS[name]
    missing = [verb for verb in dir(kind) if getattr(getattr(kind, verb), "__isabstractmethod__", False)]
    assert missing == []
    assert isinstance(kind.restorable, bool)
    assert issubclass(kind, PythonTarget | TextTarget) or kind.whole_file


def test_a_kind_without_a_verb_is_seen() -> None:
    class Half(PythonTarget, frozen=True):
        """A kind that does nothing yet."""

    assert "converge" in [verb for verb in dir(Half) if getattr(getattr(Half, verb), "__isabstractmethod__", False)]


@pytest.mark.parametrize("name", sorted(KINDS))
def test_a_kind_is_a_module_of_its_own(name: str) -> None:
    module = KINDS[name].__module__
    assert [other.__name__ for other in KINDS.values() if other.__module__ == module] == [KINDS[name].__name__]


def test_nobody_outside_asks_which_kind_a_target_is() -> None:
    names = {kind.__name__ for kind in KINDS.values()} | {Target.__name__}
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.parent.name == "targets" or "templates" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"isinstance", "of_kind"}:
                asked = {item.id for item in ast.walk(node.args[-1]) if isinstance(item, ast.Name)}
                found += [f"{path.name}:{node.lineno} {name}" for name in sorted(asked & names)]
    assert found == []
