"""Response headers that tell browsers to be careful."""

from laterctl.edits.app_statements import Middleware
from laterctl.edits.dropped_test import DroppedTest
from laterctl.edits.file import File
from laterctl.edits.manifest import DependencyFloor
from laterctl.edits.setting import Setting
from laterctl.feature import ExistingSigns, Feature, Group

feature = Feature(
    name="security-headers",
    group=Group.SECURITY,
    summary="CSP, HSTS and the other headers of the OWASP list, on every response",
    requires=("settings", "errors"),
    floors={"python": "3.10", "fastapi": "0.112.2", "pydantic": "2"},
    edits=(
        DependencyFloor("secure>=2.0.1"),
        Setting(
            "security_hsts_seconds", "int", 31536000, help="how long browsers insist on HTTPS, in seconds; 0 for never"
        ),
        Setting("security_hsts_subdomains", "bool", False, help="HTTPS for all subdomains, too"),
        Setting("security_hsts_preload", "bool", False, help="ask for a place in the browsers' preload lists"),
        Setting("security_csp_report_only", "bool", False, help="report what the CSP would block, block nothing"),
        Setting("security_profile", "str", "api", help="api, or html for an application that serves pages"),
        File("core/header_values.py", "security-headers/core/header_values.py.jinja"),
        File("core/security_headers.py", "security-headers/core/security_headers.py.jinja"),
        Middleware("core.security_headers:SecurityHeadersMiddleware", rank="security-headers"),
        DroppedTest("test_security_headers.py", "security-headers/tests/test_security_headers.py.jinja"),
    ),
    by_hand=ExistingSigns(
        dependencies=("secweb",),
        imports=("secweb",),
        headers=(
            "Content-Security-Policy",
            "Permissions-Policy",
            "Referrer-Policy",
            "Strict-Transport-Security",
            "X-Content-Type-Options",
            "X-Frame-Options",
        ),
    ),
    changes=("every response gets security headers, unless the route set them itself",),
    notes=(
        "run uvicorn with --no-server-header, so that no response names it",
        "if the application serves pages of its own, set {security_profile} to html",
    ),
)
