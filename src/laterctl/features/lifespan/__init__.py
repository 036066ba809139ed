"""Managed resources: what is opened at start-up is closed at shutdown, each step bounded in time."""

from laterctl.edits.dropped_test import DroppedTest
from laterctl.edits.file import File
from laterctl.edits.lifespan import ManagedLifespan
from laterctl.feature import Feature

feature = Feature(
    name="lifespan",
    hidden=True,
    summary="resources opened at start-up and closed at shutdown",
    floors={"python": "3.10", "fastapi": "0.112.2"},
    edits=(
        File("core/lifespan.py", "lifespan/core/lifespan.py.jinja", open=True),
        ManagedLifespan("core.lifespan:managed_resources"),
        DroppedTest("test_lifespan.py", "lifespan/tests/test_lifespan.py.jinja", client=False),
    ),
)
