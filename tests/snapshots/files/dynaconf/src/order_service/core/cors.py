# From laterctl: cors.
"""Cross-origin requests: which web pages may call this API from a browser."""

import re
from dataclasses import dataclass

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from order_service.core.config import settings
from order_service.core.startup import (
    as_bool,
    as_list,
    as_text,
    invalid,
    is_production,
    refuse_start,
)

METHODS = ('GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE')
REQUEST_HEADERS = (
    'Authorization',
    'Content-Type',
    'Idempotency-Key',
    'X-Request-ID',
)
# Scripts see no other response headers than a few basic ones and these. To
# name one that is never sent does no harm.
RESPONSE_HEADERS = (
    'Deprecation',
    'ETag',
    'Link',
    'Location',
    'RateLimit',
    'RateLimit-Policy',
    'Retry-After',
    'Sunset',
    'WWW-Authenticate',
    'X-Request-ID',
)
PREFLIGHT_SECONDS = 600

_ORIGIN = re.compile(
    r'(?P<scheme>[a-z][a-z0-9+.-]*)://'
    r'(?P<host>[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?|\[[0-9a-f:.]+\])'
    r'(:(?P<port>[0-9]{1,5}))?',
)
_DEFAULT_PORTS = {'http': '80', 'https': '443'}
_LOCAL_HOSTS = ('localhost', '127.0.0.1', '[::1]')
_ESCAPE_OR_CLASS = re.compile(r'\\.|\[\^?\]?(\\.|[^]\\])*\]', re.DOTALL)
_STRANGERS = ('null', 'https://stranger.invalid', 'http://stranger.invalid:1')


@dataclass(frozen=True)
class CorsConfig:
    """Who may call, checked: ValueError names the setting and the entry.

    No origin and no pattern: no CORS header is ever sent. ``credentials``
    allows cookies from those origins; a bearer token does not need it.
    """

    origins: tuple[str, ...] = ()
    origin_regex: str = ''
    credentials: bool = False
    expose: tuple[str, ...] = ()
    production: bool = False

    def __post_init__(self) -> None:
        """Check the entries and bring them to the form that browsers send."""
        checked = tuple(self._checked(entry) for entry in self.origins)
        object.__setattr__(self, 'origins', checked)
        if self.origin_regex:
            _check_regex(self.origin_regex)

    def _checked(self, entry: str) -> str:
        if entry == '*':
            if self.credentials:
                reason = 'must not be used with APP_CORS_CREDENTIALS'
                raise _wrong(entry, reason)
            if self.production:
                raise _wrong(entry, 'must not be used in production')
            return entry
        found = _ORIGIN.fullmatch(entry.lower())
        if found is None:
            raise _wrong(entry, 'is no origin: scheme://host or with :port')
        scheme, host, port = found['scheme'], found['host'], found['port']
        if self.production and scheme == 'http' and host not in _LOCAL_HOSTS:
            raise _wrong(entry, 'must be https in production')
        if port in {None, _DEFAULT_PORTS.get(scheme)}:
            return f'{scheme}://{host}'
        return f'{scheme}://{host}:{port}'


class CorsMiddleware:
    """Starlette's CORS middleware with checked settings, or nothing."""

    def __init__(self, app: ASGIApp, config: CorsConfig | None = None) -> None:
        """Read the settings unless a configuration is given."""
        try:
            self.app = _with_cors(app, config or cors_config())
        except ValueError as error:
            self.app = refuse_start(error)

    async def __call__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        """Answer a preflight request, or run the application."""
        await self.app(scope, receive, send)


def cors_config() -> CorsConfig:
    """Return the settings; ValueError names one that is wrong."""
    return CorsConfig(
        origins=as_list(
            'APP_CORS_ORIGINS',
            settings.get('CORS_ORIGINS', []),
        ),
        origin_regex=as_text(
            settings.get('CORS_ORIGIN_REGEX', ''),
        ),
        credentials=as_bool(
            'APP_CORS_CREDENTIALS',
            settings.get('CORS_CREDENTIALS', False),
        ),
        expose=as_list(
            'APP_CORS_EXPOSE',
            settings.get('CORS_EXPOSE', []),
        ),
        production=is_production(str(settings.current_env)),
    )


def _with_cors(app: ASGIApp, config: CorsConfig) -> ASGIApp:
    if not config.origins and not config.origin_regex:
        return app
    return CORSMiddleware(
        app,
        allow_origins=config.origins,
        allow_origin_regex=config.origin_regex or None,
        allow_credentials=config.credentials,
        allow_methods=METHODS,
        allow_headers=REQUEST_HEADERS,
        expose_headers=(*RESPONSE_HEADERS, *config.expose),
        max_age=PREFLIGHT_SECONDS,
    )


def _check_regex(pattern: str) -> None:
    name = 'APP_CORS_ORIGIN_REGEX'
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise _wrong(pattern, f'is no pattern: {error}', name) from None
    if '.' in _ESCAPE_OR_CLASS.sub('', pattern):
        raise _wrong(pattern, r'has a dot that is not escaped as \.', name)
    if any(compiled.fullmatch(stranger) for stranger in _STRANGERS):
        raise _wrong(pattern, 'lets every host in', name)


def _wrong(
    entry: str,
    reason: str,
    name: str = 'APP_CORS_ORIGINS',
) -> ValueError:
    return invalid(name, entry, reason)
