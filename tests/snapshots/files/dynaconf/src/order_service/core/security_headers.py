# From laterctl: security-headers.
"""Response headers with which browsers trust this API with less."""

import inspect
from collections.abc import Awaitable, Callable
from typing import Annotated, cast

from pydantic import AfterValidator, NonNegativeInt, ValidationInfo
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from order_service.core.feature_settings import FeatureSettings
from order_service.core.header_values import ALWAYS, API, CSP, DOCS, PAGE

Headers = list[tuple[bytes, bytes]]

YEAR_SECONDS = 31_536_000
NOT_MODIFIED = 304
REPORT_ONLY = b'content-security-policy-report-only'
CORP = b'cross-origin-resource-policy'
HSTS = b'strict-transport-security'
ALLOWED = b'access-control-allow-origin'
VARY = b'vary'


def _fit(preload: object, info: ValidationInfo) -> object:
    """Check what https://hstspreload.org asks of each entry of its list."""
    year = info.data.get('security_hsts_seconds', 0) >= YEAR_SECONDS
    if preload and not (year and info.data.get('security_hsts_subdomains')):
        reason = 'needs APP_SECURITY_HSTS_SUBDOMAINS and a year of seconds'
        raise ValueError(reason)
    return preload


class SecurityHeadersSettings(FeatureSettings):
    """For how long browsers use https only, and what a CSP does."""

    security_hsts_seconds: NonNegativeInt = YEAR_SECONDS
    security_hsts_subdomains: bool = False
    security_hsts_preload: Annotated[bool, AfterValidator(_fit)] = False
    security_csp_report_only: bool = False


class SecurityHeadersMiddleware:
    """Adds each header that a response lacks: what a route sets wins."""

    def __init__(
        self,
        app: ASGIApp,
        settings: SecurityHeadersSettings,
    ) -> None:
        """Prepare what each kind of response gets."""
        self.app = app
        names = {CSP: REPORT_ONLY} if settings.security_csp_report_only else {}
        self._other, self._api, self._docs, self._page = (
            [(names.get(k, k), v) for k, v in (ALWAYS | policy).items()]
            for policy in ({}, API, DOCS, PAGE)
        )
        hsts = f'max-age={settings.security_hsts_seconds}'
        hsts += '; includeSubDomains' * settings.security_hsts_subdomains
        hsts += '; preload' * settings.security_hsts_preload
        self._hsts = hsts.encode() if settings.security_hsts_seconds else b''

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

        def send_complete(message: Message) -> Awaitable[None]:
            if message['type'] == 'http.response.start':
                own = list(message.get('headers', ()))
                own += self._missing(scope, message['status'], own)
                message = {**message, 'headers': own}
            return send(message)

        await self.app(scope, receive, send_complete)

    def _missing(self, scope: Scope, status: int, own: Headers) -> Headers:
        present = {name.lower(): value for name, value in own}
        if CSP in present:
            present[REPORT_ONLY] = b''
        kind = present.get(b'content-type', b'')
        if kind.startswith(b'text/html'):
            is_docs = _makes_docs(scope.get('endpoint'))
            defaults = self._docs if is_docs else self._page
        elif status != NOT_MODIFIED and (not kind or b'json' in kind):
            defaults = self._api
        else:
            defaults = self._other
        missing = [pair for pair in defaults if pair[0] not in present]
        if CORP not in present:
            # Where CORS lists origins, each response varies by the origin:
            # also an image, which a page asks for without telling its own.
            shared = ALLOWED in present or b'Origin' in present.get(VARY, b'')
            site = b'cross-origin' if shared else b'same-origin'
            missing.append((CORP, site))
        if HSTS not in present and self._hsts and _on_https(scope):
            missing.append((HSTS, self._hsts))
        return missing


def _makes_docs(function: object, depth: int = 2) -> bool:
    """Whether a function calls what makes FastAPI's documentation pages."""
    function = inspect.unwrap(cast('Callable[..., object]', function))
    if getattr(function, '__module__', '') == 'fastapi.openapi.docs':
        return True
    if not inspect.isfunction(function) or not depth:
        return False
    names = function.__code__.co_names
    used = (function.__globals__.get(name) for name in names)
    return bool({'get_redoc_html', 'get_swagger_ui_html'} & {*names}) or any(
        _makes_docs(each, depth - 1) for each in used if callable(each)
    )


def _on_https(scope: Scope) -> bool:
    if scope.get('scheme') != 'https':
        return False
    # Browsers would also refuse http to every other project on localhost.
    host: bytes = dict(scope['headers']).get(b'host', b'')
    return host.partition(b':')[0] != b'localhost'
