# From laterctl: jwt.
"""What goes wrong with authentication, and what the client gets to see."""

from collections.abc import Generator
from contextlib import contextmanager

from fastapi import HTTPException, Request, Response, status

from order_service.core.problems import problem_response


class TokenError(Exception):
    """The token is not ours, not for this use, or no longer valid."""


class AuthUnavailableError(Exception):
    """Something that authentication needs is not set up or not reachable.

    ``retry_after`` is in seconds; None when waiting will not help.
    """

    def __init__(self, reason: str, retry_after: int | None = None) -> None:
        """Say what is missing, without any secret."""
        super().__init__(reason)
        self.retry_after = retry_after


class AuthError(HTTPException):
    """The response to a request whose caller cannot be authenticated."""


def unauthorized(*, detail: str, error: str = '') -> AuthError:
    """Return a 401 with its challenge; ``error`` is a code of RFC 6750, 3.1.

    A request that carries no credentials gets no ``error`` (RFC 6750, 3).
    """
    challenge = f'Bearer error="{error}"' if error else 'Bearer'
    return AuthError(
        status.HTTP_401_UNAUTHORIZED,
        detail,
        {'WWW-Authenticate': challenge},
    )


@contextmanager
def auth_responses() -> Generator[None]:
    """Turn errors of the block into responses, one body for all causes."""
    try:
        yield
    except TokenError as error:
        raise unauthorized(
            detail='Could not validate credentials',
            error='invalid_token',
        ) from error
    except AuthUnavailableError as error:
        seconds = error.retry_after
        raise AuthError(
            status.HTTP_503_SERVICE_UNAVAILABLE,
            'Authentication is not available',
            {'Retry-After': str(seconds)} if seconds else None,
        ) from error


async def auth_error_handler(request: Request, error: Exception) -> Response:
    """Give an AuthError the body that this application's errors have."""
    if not isinstance(error, AuthError):
        raise error
    return problem_response(
        request.scope,
        error.status_code,
        'unauthorized'
        if error.status_code == status.HTTP_401_UNAUTHORIZED
        else 'service_unavailable',
        str(error.detail),
        error.headers,
    )
