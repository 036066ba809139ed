# From laterctl: errors.
"""Error responses in the shape that FastAPI gives its own."""

from collections.abc import Mapping

from starlette.responses import JSONResponse, Response
from starlette.types import Scope


def problem_response(
    _scope: Scope,
    status: int,
    _code: str,
    detail: str,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return an error response."""
    return JSONResponse({'detail': detail}, status, headers)
