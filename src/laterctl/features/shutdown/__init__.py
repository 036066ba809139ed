"""A stop that is announced: readiness fails first, then the server drains."""

from laterctl.edits.beside import Beside
from laterctl.edits.dropped_test import DroppedTest
from laterctl.edits.file import File
from laterctl.edits.open_file import Listed, Step
from laterctl.edits.setting import Setting
from laterctl.feature import ExistingSigns, Feature, Group, Stage

feature = Feature(
    name="shutdown",
    group=Group.OPERATIONS,
    aliases=("graceful-shutdown",),
    summary="a stop that is announced: readiness fails first, streams end, then the server drains",
    requires=("settings", "lifespan"),
    floors={"python": "3.10", "fastapi": "0.112.2", "pydantic": "2"},
    edits=(
        Setting(
            "shutdown_drain_seconds",
            "NonNegativeFloat",
            0.0,
            help="time from the signal to the stop; requests are still taken",
        ),
        File("core/shutdown.py", "shutdown/core/shutdown.py.jinja"),
        Step(
            "stack.enter_context(announced_shutdown())",
            into="core.lifespan:open_resources",
            imports=("core.shutdown:announced_shutdown",),
            rank=90,
        ),
        Beside("health", (Listed("core.shutdown:draining", into="core.health:NOT_READY"),)),
        DroppedTest("test_shutdown.py", "shutdown/tests/test_shutdown.py.jinja", client=False),
    ),
    by_hand=ExistingSigns(calls=("signal.signal",)),
    changes=("a signal to stop goes through the application, which fails readiness before the server drains",),
    stage=Stage.LIFE,
    after=("health",),
    why="readiness, which health answers, is what fails first when it is to stop",
    notes=(
        "start the server with a bound for what never ends: uvicorn --timeout-graceful-shutdown 30",
        "behind a load balancer set {shutdown_drain_seconds} to the time that it takes to notice",
        "streams without an end stop in time as StreamingResponse(until_stopping(events())), from {core.shutdown}",
    ),
)
