# From laterctl: errors.
"""The response to an exception that nothing answers."""

from starlette.responses import Response
from starlette.types import Scope

from order_service.core.errors import error_response


def internal_error(scope: Scope) -> Response:
    """Return a 500 in the shape that the application's other errors have."""
    detail = 'An unexpected error occurred.'
    return error_response(scope, 500, 'internal_error', detail)
