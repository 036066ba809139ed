"""Users for tests, and a marker."""

from laterctl.edits.fixture import Fixture
from laterctl.edits.pytest_config import PytestMarker
from laterctl.feature import Feature, Group

feature = Feature(
    name="extra-users",
    group=Group.TESTING,
    summary="users that tests can log in",
    edits=(
        PytestMarker("users", "needs a user"),
        Fixture("conftest/users.py.jinja"),
    ),
)
