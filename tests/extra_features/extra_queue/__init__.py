"""A queue in memory, which is checked, and prepared in another feature's function."""

from laterctl.edits.app_statements import StartupCall
from laterctl.edits.file import File
from laterctl.edits.open_file import Listed, Step
from laterctl.feature import Feature, Group

feature = Feature(
    name="extra-queue",
    group=Group.MONITORING,
    summary="a queue in memory",
    requires=("extra-health",),
    edits=(
        File("core/queue.py", "queue/core/queue.py.jinja"),
        Listed("core.queue:check_queue", into="core.checks:CHECKS", rank=10),
        Step("await open_queue()", into="core.checks:prepare", imports=("core.queue:open_queue",), rank=20),
        StartupCall("core.queue:reserve", arguments="100"),
    ),
)
