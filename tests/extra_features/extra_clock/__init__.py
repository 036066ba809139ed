"""A clock for tests, and a marker."""

from laterctl.edits.fixture import Fixture
from laterctl.edits.manifest import DependencyFloor
from laterctl.edits.pytest_config import PytestMarker
from laterctl.feature import Feature, Group

feature = Feature(
    name="extra-clock",
    group=Group.TESTING,
    summary="a clock that tests can set",
    edits=(
        PytestMarker("clock", "needs the clock of the tests"),
        Fixture("conftest/clock.py.jinja"),
        DependencyFloor("locust>=2.31", group="load"),
    ),
)
