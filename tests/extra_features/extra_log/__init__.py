"""Log lines of one form, set up before the application is constructed."""

from laterctl.edits.app_statements import StartupCall
from laterctl.edits.file import File
from laterctl.edits.open_file import Listed, Step
from laterctl.feature import Feature, Group

feature = Feature(
    name="extra-log",
    group=Group.MONITORING,
    summary="log lines of one form",
    requires=("extra-health",),
    edits=(
        File("core/log_setup.py", "log/core/log_setup.py.jinja"),
        StartupCall("core.log_setup:configure_logging", rank=10),
        Listed("core.log_setup:LogCheck", into="core.checks:CHECKS", arguments="'root'", rank=90),
        Step("warm_up()", into="core.checks:prepare", imports=("core.log_setup:warm_up",), rank=10),
    ),
)
