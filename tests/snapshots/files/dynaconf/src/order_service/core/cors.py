# From laterctl: cors.
"""Cross-origin requests: which web pages may call this API from a browser."""

import json
import re
from collections.abc import Awaitable
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, ValidationInfo
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from order_service.core.feature_settings import FeatureSettings, is_production

METHODS = ('GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE')
HEADERS = ('Authorization', 'Content-Type', 'X-Request-ID')
TRACE_HEADERS = ('traceparent', 'tracestate', 'baggage', 'sentry-trace')
# Scripts see no other response headers than a few basic ones and these. To
# name one that is never sent does no harm.
ALLOW = b'access-control-allow-'
EXPOSED = (
    'Deprecation, ETag, Link, Location, RateLimit, RateLimit-Policy, '
    'Retry-After, Sunset, WWW-Authenticate, X-Request-ID'
)
ORIGIN = re.compile(r'(?a)\*|[a-z][\w+.-]*://([\w.-]+|\[[\w:]+\])(:\d+)?')
IMPLIED_PORT = re.compile(r'^(http:.*):80$|^(https:.*):443$')
UNSAFE = re.compile(r'\*|http://(?!(localhost|127\.0\.0\.1|\[::1\])(:|$))')
ESCAPES_AND_SETS = re.compile(r'\\.|\[\^?\]?(\\.|[^]\\])*\]', re.DOTALL)
# A pattern that matches one of these lets pages of strangers in.
TRAPS = ('null', 'https://evil', 'https://evil.com', 'http://evil.co.uk:81')


def _ensure(holds: object, reason: str) -> None:
    if not holds:
        raise ValueError(reason)


def _entries(value: object) -> object:
    """Take a JSON list, or text with commas, for a list."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith('['):
        return json.loads(value)
    return [entry for part in value.split(',') if (entry := part.strip())]


def _sent(entries: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
    """Check origins, and return them as browsers send them."""
    shared = info.data.get('cors_credentials') and '*' in entries
    _ensure(not shared, "'*' excludes APP_CORS_CREDENTIALS")
    for entry in entries:
        origin = entry.lower()
        _ensure(ORIGIN.fullmatch(origin), f'{entry!r} is not scheme://host')
        allowed = not UNSAFE.match(origin) or not is_production()
        _ensure(allowed, f'{entry!r} is not for production')
    return tuple(IMPLIED_PORT.sub(r'\1\2', entry.lower()) for entry in entries)


def _tight(found: re.Pattern[str]) -> re.Pattern[str]:
    """Check that a pattern lets nobody in by mistake."""
    loose = '.' in ESCAPES_AND_SETS.sub('', found.pattern)
    loose = loose or any(found.fullmatch(trap) for trap in TRAPS)
    hint = 'lets strangers in: is each dot escaped, and the host named?'
    _ensure(not loose, f'{found.pattern!r} {hint}')
    return found


Entries = Annotated[tuple[str, ...], BeforeValidator(_entries)]
Pattern = Annotated[re.Pattern[str], AfterValidator(_tight)]


class CorsSettings(FeatureSettings):
    """Who may call: pages of the listed origins, and of those that match.

    With credentials, browsers send cookies; a bearer token needs none.
    """

    cors_credentials: bool = False
    cors_origins: Annotated[Entries, AfterValidator(_sent)] = ()
    cors_origin_regex: Pattern | None = None
    cors_headers: Entries = HEADERS + TRACE_HEADERS
    cors_expose: Entries = ()


class CorsMiddleware:
    """Starlette's CORS middleware, at less cost for a usual request.

    Without an origin and a pattern, it does nothing.
    """

    def __init__(self, app: ASGIApp, settings: CorsSettings) -> None:
        """Prepare the headers for pages that may call."""
        self.app = app
        pattern = settings.cors_origin_regex
        self._listed = bool(settings.cors_origins or pattern)
        self._cors = CORSMiddleware(
            app,
            allow_origins=settings.cors_origins,
            allow_origin_regex=pattern.pattern if pattern else None,
            allow_credentials=settings.cors_credentials,
            allow_methods=METHODS,
            allow_headers=settings.cors_headers,
            expose_headers=(EXPOSED, *settings.cors_expose),
        )
        granted = self._cors.simple_headers.items()
        self._granted = {k.lower().encode(): v.encode() for k, v in granted}

    async def __call__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        """Answer a preflight request, or run the application."""
        if scope['type'] != 'http' or not self._listed:
            await self.app(scope, receive, send)
            return
        if scope['method'] == 'OPTIONS':
            await self._cors(scope, receive, send)
            return
        # Without an Origin too: caches would give that response to pages.
        added = {b'vary': b'Origin'}
        origin = dict(scope['headers']).get(b'origin')
        if origin and self._cors.is_allowed_origin(origin.decode('latin-1')):
            added |= self._granted
            added[b'access-control-allow-origin'] = origin

        def send_with_cors(message: Message) -> Awaitable[None]:
            if message['type'] == 'http.response.start':
                # Copied, because responses are reused; two origins are none.
                own = message.get('headers', ())
                kept = [h for h in own if not h[0].lower().startswith(ALLOW)]
                message = {**message, 'headers': [*kept, *added.items()]}
            return send(message)

        await self.app(scope, receive, send_with_cors)
