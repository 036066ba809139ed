"""Cross-origin resource sharing for browsers, from a validated list of origins."""

from laterctl.edits.app_statements import Middleware
from laterctl.edits.dropped_test import DroppedTest, has_importable_app
from laterctl.edits.file import File
from laterctl.edits.setting import Setting
from laterctl.feature import ExistingSigns, Feature, Group, Stage

feature = Feature(
    name="cors",
    group=Group.SECURITY,
    summary="browsers on other origins may call the API, from a validated list",
    requires=("settings",),
    recommends=("errors",),
    without={"errors": "responses to unexpected exceptions (500) have no CORS headers: pages cannot read them"},
    floors={"python": "3.10", "fastapi": "0.112.2", "pydantic": "2"},
    edits=(
        Setting("cors_origins", "list[str] | str", [], help="origins that may call: https://app.example.com,..."),
        Setting("cors_origin_regex", "str", "", help="a pattern for origins, matched as a whole"),
        Setting("cors_credentials", "bool", False, help="let browsers send cookies"),
        Setting(
            "cors_headers",
            "list[str] | str",
            "",
            help="request headers to allow; empty for the usual",
        ),
        Setting(
            "cors_expose", "list[str] | str", [], help="further response headers that scripts may read; with commas"
        ),
        File("core/cors.py", "cors/core/cors.py.jinja"),
        Middleware("core.cors:CorsMiddleware", rank="cors", settings="core.cors:CorsSettings"),
        DroppedTest("test_cors.py", "cors/tests/test_cors.py.jinja", when=has_importable_app),
    ),
    by_hand=ExistingSigns(
        middleware=("starlette.middleware.cors.CORSMiddleware",),
        dependencies=("asgi-cors",),
    ),
    changes=("preflight requests are answered before they reach a route, once origins are listed",),
    stage=Stage.EDGE,
    why="scripts of other origins see no answer without it, not even a refusal: so before anything refuses",
    notes=("list your front ends in {cors_origins}; while it is empty no CORS header is sent",),
)
