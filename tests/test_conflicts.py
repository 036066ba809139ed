"""Features that exclude each other: one of the two declares it, and it holds in whichever order they come."""

from __future__ import annotations

import pytest

from laterctl.edits.manifest import DependencyFloor
from laterctl.engine.plan import Request
from laterctl.feature import Feature
from tests import extra, memory
from tests.memory import Refusing
from tests.shapes import shape_named
from tests.test_laws import project_files


@pytest.fixture(autouse=True)
def _declared(monkeypatch: pytest.MonkeyPatch) -> None:
    day = Feature(name="day", summary="day", conflicts=("night",), edits=(DependencyFloor("sun>=1"),))
    night = Feature(name="night", summary="night", edits=(DependencyFloor("moon>=1"),))
    dusk = Feature(name="dusk", summary="dusk", requires=("night",), edits=(DependencyFloor("stars>=1"),))
    extra.declare(monkeypatch, day, night, dusk)


@pytest.mark.parametrize(
    ("first", "then"), [("day", "night"), ("night", "day"), ("day", "dusk"), ("dusk", "day"), ("", "day night")]
)
def test_the_second_is_refused(first: str, then: str) -> None:
    files = memory.run(project_files(shape_named("flat")), Request(add=tuple(first.split())))
    with pytest.raises(Refusing) as caught:
        memory.run(files, Request(add=tuple(then.split())))
    (refusal,) = caught.value.refusals
    assert refusal.code == "conflict"
    assert "exclude each other" in refusal.message


def test_one_takes_the_place_of_the_other_in_one_run() -> None:
    files = memory.run(project_files(shape_named("flat")), Request(add=("night",)))
    after = memory.run(files, Request(add=("day",), remove=("night",)))
    assert b"sun>=1" in after["requirements.txt"]
    assert b"moon" not in after["requirements.txt"]
