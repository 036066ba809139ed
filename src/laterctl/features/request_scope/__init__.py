"""An id for each request: in its response, its log lines, and wherever its code asks for it."""

from laterctl.edits.app_statements import Middleware
from laterctl.edits.beside import Beside
from laterctl.edits.dropped_test import DroppedTest, has_importable_app
from laterctl.edits.file import File
from laterctl.edits.open_file import Listed
from laterctl.feature import ExistingSigns, Feature, Group, Stage

feature = Feature(
    name="request-scope",
    group=Group.INJECTION,
    aliases=("request-id",),
    summary="an id for each request, the caller's or a new one, on every response",
    recommends=("errors",),
    without={"errors": "responses to unexpected exceptions (500) have no X-Request-ID"},
    floors={"python": "3.10", "fastapi": "0.112.2"},
    edits=(
        File("core/request_id.py", "request-scope/core/request_id.py.jinja"),
        Middleware("core.request_id:RequestIDMiddleware", rank="request-context"),
        Beside("logging", (Listed("core.request_id:request_ids", into="core.logs:CONTEXT", rank=10),)),
        DroppedTest("test_request_id.py", "request-scope/tests/test_request_id.py.jinja", when=has_importable_app),
    ),
    by_hand=ExistingSigns(
        imports=("asgi_correlation_id",),
        middleware=("dockerflow.fastapi.middleware.RequestIdMiddleware",),
        dependencies=("asgi-correlation-id",),
        names=(
            *("RequestIDMiddleware", "RequestIdMiddleware", "CorrelationIDMiddleware", "CorrelationIdMiddleware"),
            *("RequestContextMiddleware", "request_id_middleware", "correlation_id_middleware", "add_request_id"),
        ),
        headers=("X-Request-ID",),
    ),
    changes=("every response has an X-Request-ID, the caller's or a new one",),
    stage=Stage.LOGS,
    why="what is logged from here on can say which request it belongs to",
    notes=("current_request_id(), from {core.request_id}, gives the id to your code; send it on in X-Request-ID",),
)
