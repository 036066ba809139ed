"""Response headers that tell browsers to be careful."""

from collections.abc import Iterator

from laterctl.edits.app_statements import Middleware
from laterctl.edits.context import Edit, FeatureContext
from laterctl.edits.dropped_test import DroppedTest, has_importable_app
from laterctl.edits.file import File
from laterctl.edits.setting import Setting
from laterctl.feature import ExistingSigns, Feature, Group, Option, Stage
from laterctl.project.places import Place

PAGES = (
    "starlette.responses.HTMLResponse",
    "starlette.staticfiles.StaticFiles",
    "starlette.templating.Jinja2Templates",
)
"""What an application uses that serves pages."""


def pages(context: FeatureContext) -> list[Place]:
    """Return where the user's application serves pages, or files that pages are made of."""
    from laterctl.project import signs

    return [place for place in signs.uses(context.project, PAGES) if not context.own_file(place.path)]


def values(context: FeatureContext) -> str:
    """Choose the template by what the application serves: as asked for, else as its code shows."""
    profile = context.options.get("profile") or ("html" if pages(context) else "api")
    return f"security-headers/core/header_values.{profile}.py.jinja"


def chosen(context: FeatureContext) -> Iterator[Edit]:
    """Say in the plan what was chosen, and where that was seen."""
    places = [] if "profile" in context.options else pages(context)
    if places:
        context.choice(
            "pages are served, so they get a policy with scripts and styles of their own origin; "
            "--set security-headers.profile=api gives them none",
            places[0],
        )
    yield from ()


feature = Feature(
    name="security-headers",
    group=Group.SECURITY,
    summary="CSP, HSTS and the other headers of the OWASP list, on every response",
    requires=("settings",),
    recommends=("errors",),
    without={"errors": "responses to unexpected exceptions (500) have none of the headers"},
    floors={"python": "3.10", "fastapi": "0.112.2", "pydantic": "2"},
    options=(
        Option(
            "profile",
            "html for an application that serves pages, else api; without it, as its code shows",
            choices=("api", "html"),
        ),
    ),
    edits=(
        Setting(
            "security_hsts_seconds",
            "NonNegativeInt",
            31536000,
            help="how long browsers keep to HTTPS; 0 sends no HSTS header",
        ),
        Setting("security_hsts_subdomains", "bool", False, help="HTTPS for all subdomains too"),
        Setting(
            "security_hsts_preload",
            "bool",
            False,
            help="ask for a place in browsers' preload lists; needs the subdomains, and a year",
        ),
        Setting("security_csp_report_only", "bool", False, help="report what CSP would block, block nothing"),
        File("core/header_values.py", values),
        File("core/security_headers.py", "security-headers/core/security_headers.py.jinja"),
        Middleware(
            "core.security_headers:SecurityHeadersMiddleware",
            rank="security-headers",
            settings="core.security_headers:SecurityHeadersSettings",
        ),
        DroppedTest(
            "test_security_headers.py",
            "security-headers/tests/test_security_headers.py.jinja",
            when=has_importable_app,
        ),
    ),
    edits_for=chosen,
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
    stage=Stage.EDGE,
    after=("cors",),
    why="they belong on all answers, those of the next steps too",
    notes=("run uvicorn with --no-server-header, so that no response names it",),
)
