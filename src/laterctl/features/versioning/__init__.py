"""Versions of the API below paths of their own, and what their responses say about how long they live."""

import re
from collections.abc import Iterator, Sequence

from laterctl.edits.app_statements import Middleware
from laterctl.edits.context import Edit, FeatureContext
from laterctl.edits.dropped_test import DroppedTest, has_importable_app
from laterctl.edits.file import File
from laterctl.edits.open_file import Listed
from laterctl.edits.rewritten_call import RewrittenInclude
from laterctl.edits.setting import Setting
from laterctl.feature import ExistingSigns, Feature, Group, Option, Stage
from laterctl.project.names import Own
from laterctl.project.places import Place
from laterctl.project.signs import all_routes
from laterctl.refusal import Refusal

_VERSION = re.compile(r"(.*?)/v[0-9]+(?=/|$)")


def has_routers(context: FeatureContext) -> Refusal | None:
    """Refuse a project without routers, and one whose routers have versions below another prefix."""
    app, prefix = context.project.app, context.options["prefix"]
    if app is not None and not app.routers:
        own = on_application(context)
        return Refusal(
            "no-routers",
            "no router is included in the application, and versions are made of routers",
            app.place,
            seen=f"routes of {app.name} itself: {places(own)}" if own else "",
            expected=f"{app.name}.include_router(router)",
            snippet=f"router = APIRouter()\n...  # @router.get and so on\n{app.name}.include_router(router)",
            remedy=f"put them on a router, which does not change their paths: @{app.name}.get becomes @router.get"
            if own
            else "put the routes that get versions on an APIRouter",
        )
    for route in all_routes(context.project, ("/",)):
        for path in sorted(route.full):
            found = _VERSION.match(path)
            if found is not None and found[1] != prefix:
                return Refusal(
                    "already-by-hand",
                    f"{path} has a version already, below another prefix than {prefix or 'none'}",
                    route.place,
                    seen=path,
                    expected=f"{prefix}/v1",
                    remedy=f"--set versioning.prefix={found[1]} takes it into the table as it is",
                )
    return None


def on_application(context: FeatureContext) -> list[Place]:
    """Return the routes that stand on the application itself, where it is made."""
    app = context.project.app
    if app is None:
        return []
    own = Own(app.path, app.name)
    # What a function has is not known by name, but then it has no router either.
    return [
        route.place
        for route in all_routes(context.project, ("/",), within=app.path)
        if route.holder is None or route.holder == own
    ]


def versioned_by_hand(context: FeatureContext) -> list[Place]:
    """Return the routes whose paths have a version in the code."""
    routes = all_routes(context.project, ("/",))
    found = (route.place for route in routes if any(map(_VERSION.match, route.full)))
    return [place for place in found if not context.own_file(place.path)]


def places(found: Sequence[Place]) -> str:
    """Return the lines of routes of one file, the first few of them."""
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    return f"{found[0].path}:{', '.join(str(place.line) for place in found[:5])}{more}"


def versions(context: FeatureContext) -> Iterator[Edit]:
    """Yield a file and an entry of the table for each version after the first, and say which routes have none."""
    if own := on_application(context):
        context.notice(f"routes of the application itself have no version until a router has them: {places(own)}")
    if fixed := versioned_by_hand(context):
        context.notice(
            f"routes that have a version in their own path are in no other one: {places(fixed)}; "
            f"with the prefix {context.options['prefix']} instead they answer where they do now, and are in each version"
        )
    for number in range(2, int(str(context.options["new"])[1:]) + 1):
        name = f"v{number}"
        yield File(f"api/{name}.py", "versioning/api/version.py.jinja")
        module = context.module(f"api.{name}").rpartition(".")[2]
        changed = f'"{name}", {module}.CHANGED'
        yield Listed("api.versions:Version", "api.versions:VERSIONS", changed, (f"api:{module}",), number)


feature = Feature(
    name="versioning",
    group=Group.SCALING,
    summary="versions of the API, each with its document, and headers that say when one ends",
    requires=("settings", "routing"),
    recommends=("errors",),
    without={"errors": "responses to unexpected exceptions (500) do not say that a version ends"},
    floors={"python": "3.10", "fastapi": "0.112.2", "pydantic": "2"},
    options=(
        Option("prefix", "what stands before the version in a path", default="/api", pattern=r"(/[A-Za-z0-9._~-]+)*"),
        Option(
            "new",
            "the newest version; each after v1 has a module of what it changes",
            default="v1",
            pattern=r"v[1-9][0-9]?",
            examples=("v2",),
        ),
        Option("legacy", "what becomes of paths without a version", default="keep", choices=("keep", "drop")),
    ),
    edits=(
        Setting("versions_enforce_sunset", "bool", False, help="answer 410 from a version's sunset on"),
        File("api/versions.py", "versioning/api/versions.py.jinja", open=True),
        File("core/versioning.py", "versioning/core/versioning.py.jinja"),
        RewrittenInclude("core.versioning:versioned"),
        Middleware("core.versioning:VersionMiddleware", rank="versions", settings="core.versioning:VersionSettings"),
        DroppedTest("test_versioning.py", "versioning/tests/test_versioning.py.jinja", when=has_importable_app),
    ),
    edits_for=versions,
    by_hand=ExistingSigns(
        imports=("fastapi_versioning", "fastapi_versionizer", "cadwyn"),
        dependencies=("fastapi-versioning", "fastapi-versionizer", "cadwyn"),
    ),
    check=has_routers,
    moves=True,
    changes=(
        "routes of routers answer below /api/v1 too, or another versioning.prefix; their old paths leave /docs, and say so",
    ),
    stage=Stage.MORE,
    why="when clients cannot follow a change that the API needs",
    notes=(
        "laterctl add versioning --set versioning.new=v2 makes a version: put what it changes into its module",
        "say when a version ends in LIFETIMES of {api.versions}; {versions_enforce_sunset}=true answers 410 from then on",
    ),
)
