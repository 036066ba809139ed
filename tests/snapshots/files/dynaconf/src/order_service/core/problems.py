# From laterctl: errors.
"""Error responses in the shape that the application's other errors have."""

from collections.abc import Mapping

from starlette.responses import Response
from starlette.types import Scope

from order_service.core.errors import error_response


def problem_response(
    scope: Scope,
    status: int,
    code: str,
    detail: str,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return an error response.

    ``code`` is for programs and stable, ``detail`` is for people.
    """
    return error_response(scope, status, code, detail, headers)
