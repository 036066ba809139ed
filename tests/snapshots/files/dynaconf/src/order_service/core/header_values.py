# From laterctl: security-headers.
"""The values of the security headers, one set for each kind of response."""

from secure import (
    CacheControl,
    ContentSecurityPolicy,
    CrossOriginOpenerPolicy,
    PermissionsPolicy,
    ReferrerPolicy,
    Secure,
    StrictTransportSecurity,
    XContentTypeOptions,
    XFrameOptions,
)

Headers = tuple[tuple[bytes, bytes], ...]

BROWSER_FEATURES = (
    'accelerometer',
    'camera',
    'display-capture',
    'geolocation',
    'gyroscope',
    'hid',
    'magnetometer',
    'microphone',
    'midi',
    'payment',
    'serial',
    'usb',
)


def api_headers(*, report_only: bool) -> Headers:
    """Return the headers of data: no browser has to render any of it."""
    return _headers(
        _report(_nothing(), report_only=report_only),
        CacheControl().no_store(),
        CrossOriginOpenerPolicy().same_origin(),
    )


def docs_headers(*, report_only: bool) -> Headers:
    """Return the headers of the pages that FastAPI makes.

    They allow what Swagger UI and ReDoc load, their inline script and
    styles, and calls of other servers: "Try it out" and "Authorize".
    """
    policy = (
        _nothing()
        .script_src("'unsafe-inline'", 'https://cdn.jsdelivr.net')
        .style_src(
            "'unsafe-inline'",
            'https://cdn.jsdelivr.net',
            'https://fonts.googleapis.com',
        )
        .font_src('https://fonts.gstatic.com')
        .img_src("'self'", 'data:', 'https:')
        .connect_src("'self'", 'https:')
        .worker_src('blob:')
    )
    return _headers(
        _report(policy, report_only=report_only),
        CacheControl().no_store(),
        # The window that logs in hands its result to the page behind it.
        CrossOriginOpenerPolicy().unsafe_none(),
    )


def html_headers(*, report_only: bool) -> Headers:
    """Return the headers of pages with scripts and styles from here."""
    policy = (
        ContentSecurityPolicy()
        .default_src("'self'")
        .img_src("'self'", 'data:')
        .object_src("'none'")
        .base_uri("'self'")
        .form_action("'self'")
        .frame_ancestors("'none'")
    )
    return _headers(
        _report(policy, report_only=report_only),
        CacheControl().no_cache(),
        CrossOriginOpenerPolicy().same_origin(),
    )


def hsts_headers(seconds: int, *, subdomains: bool, preload: bool) -> Headers:
    """Return the header that makes browsers stay on https, RFC 6797."""
    hsts = StrictTransportSecurity().max_age(seconds)
    if subdomains:
        hsts = hsts.include_subdomains()
    if preload:
        hsts = hsts.preload()
    return _encoded(Secure(hsts=hsts)) if seconds else ()


def _nothing() -> ContentSecurityPolicy:
    policy = ContentSecurityPolicy()
    return policy.default_src("'none'").frame_ancestors("'none'")


def _report(
    policy: ContentSecurityPolicy,
    *,
    report_only: bool,
) -> ContentSecurityPolicy:
    return policy.report_only() if report_only else policy


def _headers(
    csp: ContentSecurityPolicy,
    cache: CacheControl,
    coop: CrossOriginOpenerPolicy,
) -> Headers:
    features = PermissionsPolicy()
    for feature in BROWSER_FEATURES:
        features.add_directive(feature)
    return _encoded(
        Secure(
            cache=cache,
            coop=coop,
            csp=csp,
            permissions=features,
            referrer=ReferrerPolicy().no_referrer(),
            xcto=XContentTypeOptions().nosniff(),
            xfo=XFrameOptions().deny(),
        ),
    )


def _encoded(secure: Secure) -> Headers:
    pairs = secure.header_items()
    return tuple((name.lower().encode(), text.encode()) for name, text in pairs)
