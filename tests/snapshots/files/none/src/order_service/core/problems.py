# From laterctl: jwt.
"""Error responses as problem details for HTTP APIs, RFC 9457."""

from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import quote

from starlette.responses import JSONResponse, Response
from starlette.types import Scope


def problem_response(
    scope: Scope,
    status: int,
    code: str,
    detail: str,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a response of type ``application/problem+json``.

    ``code`` is for programs and stable, ``detail`` is for people.
    """
    return JSONResponse(
        {
            'type': 'about:blank',
            'title': HTTPStatus(status).phrase,
            'status': status,
            'detail': detail,
            'instance': quote(scope.get('path', '')),
            'code': code,
        },
        status_code=status,
        headers=headers,
        media_type='application/problem+json',
    )
