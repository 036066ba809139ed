"""Features without their tests: by a flag, for as long as they are not added with them, or by the configuration."""

from __future__ import annotations

import json
from typing import Final

import pytest

from laterctl.engine.plan import Request
from laterctl.project.installed import file_of
from laterctl.project.layout_evidence import layout_evidence
from laterctl.proof.static import prove
from tests import memory
from tests.dialect_projects import dialect
from tests.shapes import shape_named
from tests.test_laws import assert_same, project_files

SHAPES: Final = ("flat", "foundation", "poetry")
OFF: Final = b"\n[tool.laterctl]\ntests = false\n"


def without(files: dict[str, bytes], *names: str) -> dict[str, bytes]:
    return memory.run(files, Request(add=names, tests=False))


def new_tests(before: dict[str, bytes], after: dict[str, bytes]) -> list[str]:
    return [path for path in after if "tests/" in path and path not in before and not path.startswith(".laterctl")]


@pytest.mark.parametrize("shape", SHAPES)
def test_no_test_comes_and_nothing_that_only_tests_need(shape: str) -> None:
    before = project_files(shape_named(shape))
    plan = memory.planned(before, Request(add=("cors", "jwt"), tests=False))
    assert prove(memory.project(before), plan) == []
    after = memory.applied(before, plan)
    assert new_tests(before, after) == []
    assert not [item for item in plan.requirements if item.startswith(("pytest", "httpx"))]
    assert json.loads(after[file_of("cors")])["tests"] is False
    assert_same(without(after, "cors", "jwt"), after, "again")
    assert_same(memory.remove(after, "cors", "jwt"), before, "and out")


@pytest.mark.parametrize("shape", SHAPES)
def test_given_again_without_the_flag_they_come_and_with_it_they_go(shape: str) -> None:
    before = project_files(shape_named(shape))
    bare, whole = without(before, "cors"), memory.add(before, "cors")
    assert new_tests(before, whole)
    assert_same(memory.add(bare, "cors"), whole, "with tests again")
    assert_same(without(whole, "cors"), bare, "and without")


@pytest.mark.parametrize("shape", SHAPES)
def test_what_two_features_need_has_tests_when_one_of_them_has(shape: str) -> None:
    before = project_files(shape_named(shape))
    headers = "security-headers"
    one, other = memory.add(without(before, "cors"), headers), without(memory.add(before, headers), "cors")
    assert_same(one, other, "in either order")
    names = {path.rpartition("/")[2] for path in new_tests(before, one)}
    assert {"test_security_headers.py", "test_error_boundary.py"} <= names
    assert "test_cors.py" not in names
    assert_same(memory.remove(one, headers), without(before, "cors"), "without the one with tests")


def test_an_update_leaves_it_as_it_is() -> None:
    after = without(dialect("object"), "cors")
    assert_same(memory.run(after, Request(update=("cors", "errors", "settings"))), after, "update")


def test_the_configuration_says_so_for_all() -> None:
    project = dialect("object")
    before = {**project, "pyproject.toml": project["pyproject.toml"] + OFF}
    after = memory.add(before, "resources")
    assert new_tests(before, after) == []
    assert_same(memory.add(after, "resources"), after, "again")
    assert "features come without their tests" in {item.what for item in layout_evidence(memory.project(before))}
    on = {**after, "pyproject.toml": after["pyproject.toml"].replace(OFF, b"")}
    assert new_tests(before, memory.add(on, "resources"))
