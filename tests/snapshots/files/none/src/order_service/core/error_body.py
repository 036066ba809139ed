# From laterctl: errors.
"""The response to an exception that nothing answers."""

from starlette.responses import JSONResponse, Response
from starlette.types import Scope


def internal_error(_scope: Scope) -> Response:
    """Return a 500 with the body that FastAPI gives its own errors."""
    return JSONResponse({'detail': 'Internal Server Error'}, status_code=500)
