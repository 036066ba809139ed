"""The error boundary: a 500 that passes through the other middleware, in the project's own error shape."""

from laterctl.edits.app_statements import Middleware
from laterctl.edits.context import FeatureContext
from laterctl.edits.dropped_test import DroppedTest
from laterctl.edits.error_shape import has_api_error
from laterctl.edits.file import File
from laterctl.feature import Feature


def problems(context: FeatureContext) -> str:
    """Choose the template of error bodies: the foundation's `APIError` shape where it is found, RFC 9457 elsewhere."""
    shape = "apierror" if has_api_error(context) else "problem"
    return f"errors/core/problems.{shape}.py.jinja"


feature = Feature(
    name="errors",
    hidden=True,
    summary="error boundary and problem bodies",
    floors={"python": "3.10", "fastapi": "0.112.2"},
    edits=(
        File("core/problems.py", problems),
        File("core/error_boundary.py", "errors/core/error_boundary.py.jinja"),
        Middleware("core.error_boundary:ErrorBoundary", rank="error-boundary"),
        DroppedTest("test_error_boundary.py", "errors/tests/test_error_boundary.py.jinja"),
    ),
    answers=(500,),
    changes=("unexpected exceptions answer 500 from inside the middleware, in the project's error shape",),
)
