# From laterctl: security-headers.
"""The values of the security headers, by the kind of response."""

CSP = b'content-security-policy'

ALWAYS = {
    b'cross-origin-opener-policy': b'same-origin',
    b'permissions-policy': (
        b'accelerometer=(), camera=(), display-capture=(), geolocation=(), '
        b'gyroscope=(), hid=(), magnetometer=(), microphone=(), midi=(), '
        b'payment=(), serial=(), usb=()'
    ),
    b'referrer-policy': b'no-referrer',
    b'x-content-type-options': b'nosniff',
    b'x-frame-options': b'DENY',
}
# Data: no browser has to render any of it.
API = {
    CSP: b"default-src 'none'; frame-ancestors 'none'",
    b'cache-control': b'no-store',
}
# What Swagger UI and ReDoc load, with their scripts and styles in the page,
# and calls of other servers. The window that logs in has to keep its opener.
DOCS = {
    CSP: b"default-src 'none'; frame-ancestors 'none'; "
    b"script-src 'unsafe-inline' https://cdn.jsdelivr.net; "
    b"style-src 'unsafe-inline' https://cdn.jsdelivr.net "
    b'https://fonts.googleapis.com; font-src https://fonts.gstatic.com; '
    b"img-src 'self' data: https:; connect-src 'self' https:; "
    b'worker-src blob:',
    b'cache-control': b'no-store',
    b'cross-origin-opener-policy': b'unsafe-none',
}
# No pages are served here.
PAGE = API
