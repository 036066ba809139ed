"""Benchmarks of the application's own routes, by pytest-benchmark."""

from collections.abc import Iterator
from functools import partial

from laterctl.edits.context import Edit, FeatureContext
from laterctl.edits.dropped_test import DroppedTest, has_importable_app
from laterctl.edits.manifest import DependencyFloor
from laterctl.feature import ExistingSigns, Feature, Group, Stage

FILE = "tests/bench_requests.py"


def told(context: FeatureContext) -> Iterator[Edit]:
    """Say how the benchmarks are run, which a run of all tests leaves out."""
    context.notice(f"measure: pytest {context.path(FILE)}; pytest alone measures nothing")
    yield from ()


feature = Feature(
    name="bench",
    group=Group.TESTING,
    aliases=("perf",),
    summary="benchmarks of the routes that need nothing, to compare what a change costs",
    floors={"python": "3.10", "fastapi": "0.112.2"},
    edits=(
        DependencyFloor("pytest-benchmark>=5", dev=True),
        DroppedTest(FILE.removeprefix("tests/"), "bench/tests/bench_requests.py.jinja", when=has_importable_app),
    ),
    # It brings a fixture of the same name.
    by_hand=ExistingSigns(dependencies=("pytest-codspeed",)),
    edits_for=told,
    check=partial(FeatureContext.not_importable, bare=True),
    stage=Stage.SPEED,
    why="what is to be made faster is measured first, the same way each time",
    notes=(
        "compare with the last run: add --benchmark-autosave --benchmark-compare --benchmark-compare-fail=median:25%",
    ),
)
