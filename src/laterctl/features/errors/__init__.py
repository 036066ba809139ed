"""The error boundary: a 500 that passes through the other middleware, in the project's own error shape."""

from laterctl.edits.app_statements import Middleware
from laterctl.edits.context import FeatureContext
from laterctl.edits.dropped_test import DroppedTest, has_importable_app
from laterctl.edits.error_shape import has_api_error, sends_problems
from laterctl.edits.file import File
from laterctl.feature import Feature, Option


def body_of(context: FeatureContext) -> str:
    """Choose the template by the body of errors: as asked for, else as the project writes it, else as FastAPI does."""
    body = context.options.get("body")
    if body is None:
        body = "apierror" if has_api_error(context) else "problem" if sends_problems(context) else "detail"
    return f"errors/core/problems.{body}.py.jinja"


feature = Feature(
    name="errors",
    hidden=True,
    summary="error boundary: unexpected exceptions are answered from inside of the middleware",
    floors={"python": "3.10", "fastapi": "0.112.2"},
    options=(
        Option(
            "body",
            'of a 500: {"detail": ...} as FastAPI, or a problem of RFC 9457; without it, as the project\'s other errors',
            choices=("detail", "problem"),
        ),
    ),
    edits=(
        File("core/problems.py", body_of),
        File("core/error_boundary.py", "errors/core/error_boundary.py.jinja"),
        Middleware("core.error_boundary:ErrorBoundary", rank="error-boundary"),
        DroppedTest("test_error_boundary.py", "errors/tests/test_error_boundary.py.jinja", when=has_importable_app),
    ),
    answers=(500,),
    changes=("unexpected exceptions answer 500 from inside the middleware, in the project's error shape",),
)
