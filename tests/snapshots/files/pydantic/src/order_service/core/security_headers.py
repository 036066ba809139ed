# From laterctl: security-headers.
"""Response headers with which browsers trust this API with less."""

from collections.abc import Iterable
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from order_service.core.config import settings
from order_service.core.header_values import (
    Headers,
    api_headers,
    docs_headers,
    hsts_headers,
    html_headers,
)
from order_service.core.startup import as_bool, as_int, invalid, refuse_start

YEAR_SECONDS = 31_536_000

_CSP = b'content-security-policy'
_CSP_REPORT_ONLY = b'content-security-policy-report-only'
_SAME_ORIGIN = (b'cross-origin-resource-policy', b'same-origin')
_CROSS_ORIGIN = (b'cross-origin-resource-policy', b'cross-origin')


@dataclass(frozen=True)
class SecurityHeadersConfig:
    """What varies, checked: ValueError names the setting that is wrong.

    Browsers remember for ``hsts_seconds`` to use https only; 0 is never.
    ``profile`` is `api`, or `html` for an application that also serves
    pages, with scripts and styles of its own.
    """

    hsts_seconds: int = YEAR_SECONDS
    hsts_subdomains: bool = False
    hsts_preload: bool = False
    csp_report_only: bool = False
    profile: str = 'api'

    def __post_init__(self) -> None:
        """Check what must hold, also between settings."""
        if self.hsts_seconds < 0:
            name = 'APP_SECURITY_HSTS_SECONDS'
            raise invalid(name, self.hsts_seconds, 'is negative')
        # As https://hstspreload.org asks of each entry of the list.
        fit = self.hsts_subdomains and self.hsts_seconds >= YEAR_SECONDS
        if self.hsts_preload and not fit:
            name = 'APP_SECURITY_HSTS_PRELOAD'
            reason = 'needs APP_SECURITY_HSTS_SUBDOMAINS and a year of seconds'
            raise invalid(name, self.hsts_preload, reason)
        if self.profile not in {'api', 'html'}:
            name = 'APP_SECURITY_PROFILE'
            raise invalid(name, self.profile, 'is neither api nor html')


class SecurityHeadersMiddleware:
    """Adds each header that a response lacks: what a route sets wins."""

    def __init__(
        self,
        app: ASGIApp,
        config: SecurityHeadersConfig | None = None,
    ) -> None:
        """Read the settings unless a configuration is given."""
        self.app = app
        try:
            config = config or security_headers_config()
        except ValueError as error:
            self.app = refuse_start(error)
            config = SecurityHeadersConfig()
        report_only = config.csp_report_only
        self._api = api_headers(report_only=report_only)
        self._docs = docs_headers(report_only=report_only)
        self._html = self._api
        if config.profile == 'html':
            self._html = html_headers(report_only=report_only)
        self._hsts = hsts_headers(
            config.hsts_seconds,
            subdomains=config.hsts_subdomains,
            preload=config.hsts_preload,
        )

    async def __call__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        """Run the application."""
        if scope['type'] != 'http':
            await self.app(scope, receive, send)
            return

        async def send_complete(message: Message) -> None:
            if message['type'] == 'http.response.start':
                own = list(message.get('headers', ()))
                headers = [*own, *self._missing(scope, own)]
                message = {**message, 'headers': headers}
            await send(message)

        await self.app(scope, receive, send_complete)

    def _missing(
        self,
        scope: Scope,
        own: Iterable[tuple[bytes, bytes]],
    ) -> Headers:
        present = {name.lower(): value for name, value in own}
        if _CSP in present:
            present.setdefault(_CSP_REPORT_ONLY, b'')
        # What CORS lets another origin read, that origin may also embed.
        shared = b'access-control-allow-origin' in present
        defaults = (
            *self._profile(scope, present.get(b'content-type', b'')),
            _CROSS_ORIGIN if shared else _SAME_ORIGIN,
            *(self._hsts if _on_https(scope) else ()),
        )
        return tuple(pair for pair in defaults if pair[0] not in present)

    def _profile(self, scope: Scope, content_type: bytes) -> Headers:
        if content_type.startswith(b'text/html') and _is_docs(scope):
            return self._docs
        if not content_type or b'json' in content_type:
            return self._api
        return self._html


def security_headers_config() -> SecurityHeadersConfig:
    """Return the settings; ValueError names one that is wrong."""
    return SecurityHeadersConfig(
        hsts_seconds=as_int(
            'APP_SECURITY_HSTS_SECONDS',
            settings.security_hsts_seconds,
        ),
        hsts_subdomains=as_bool(
            'APP_SECURITY_HSTS_SUBDOMAINS',
            settings.security_hsts_subdomains,
        ),
        hsts_preload=as_bool(
            'APP_SECURITY_HSTS_PRELOAD',
            settings.security_hsts_preload,
        ),
        csp_report_only=as_bool(
            'APP_SECURITY_CSP_REPORT_ONLY',
            settings.security_csp_report_only,
        ),
        profile=str(
            settings.security_profile,
        ),
    )


def _is_docs(scope: Scope) -> bool:
    # Now, not on the way in: a mounted application has put itself here.
    app = scope.get('app')
    names = ('docs_url', 'redoc_url', 'swagger_ui_oauth2_redirect_url')
    path = scope['path'].removeprefix(scope.get('root_path', ''))
    return path in {getattr(app, name, None) for name in names}


def _on_https(scope: Scope) -> bool:
    if scope.get('scheme') != 'https':
        return False
    # Browsers would also refuse http to every other project on localhost.
    names = [value for name, value in scope['headers'] if name == b'host']
    return all(name.partition(b':')[0] != b'localhost' for name in names)
