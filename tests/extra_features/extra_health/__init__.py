"""Whether the application can work, on /checks: the first form of a feature that others add to."""

from laterctl.edits.app_statements import Router
from laterctl.edits.beside import Beside
from laterctl.edits.file import File
from laterctl.edits.open_file import Listed
from laterctl.feature import ExistingSigns, Feature, Group

feature = Feature(
    name="extra-health",
    group=Group.MONITORING,
    summary="what the application needs, checked on /checks",
    floors={"python": "3.10", "fastapi": "0.112.2"},
    edits=(
        File("core/checks.py", "health/core/checks.py.jinja", open=True),
        File("api/checks.py", "health/api/checks.py.jinja"),
        Router("api.checks:router", alias="checks_router"),
        Beside(
            "resources",
            (
                File("core/checks_http.py", "health/core/checks_http.py.jinja"),
                Listed("core.checks_http:check_http", into="core.checks:CHECKS"),
            ),
        ),
    ),
    by_hand=ExistingSigns(routes=("/checks",)),
    changes=("GET /checks answers at the root of the application",),
    notes=("keep /checks internal",),
)
