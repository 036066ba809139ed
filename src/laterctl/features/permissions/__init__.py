"""Permissions that routes ask for, in token scopes, in the database, or of the project's own users."""

from collections.abc import Iterator

from laterctl.edits.context import Edit, FeatureContext
from laterctl.edits.dropped_test import DroppedTest, has_importable_app
from laterctl.edits.file import CALLERS, File, current_user
from laterctl.feature import ExistingSigns, Feature, Group, Option, Stage


def callers(context: FeatureContext) -> str:
    """Choose who says whom a request comes from; that is for a person to write where no module can import it."""
    source = str(context.options["source"])
    if source == "own" and current_user(context) is None:
        source = "unwritten"
    return f"permissions/api/callers.{source}.py.jinja"


def told(context: FeatureContext) -> Iterator[Edit]:
    """Say what has to be written, where nothing in the project can be asked for the caller."""
    if context.options["source"] == "own":
        path = context.path("api/callers.py")
        unwritten = current_user(context) is None
        written = "write get_caller; until then it answers 503" if unwritten else "get_caller reads id and permissions"
        context.notice(f"say what callers may do in {path}: {written}")
    yield from ()


feature = Feature(
    name="permissions",
    group=Group.SCALING,
    aliases=("rbac",),
    summary="permissions that routes and routers ask for, and owners of objects",
    floors={"python": "3.10", "fastapi": "0.115.4"},
    options=(
        Option(
            "source",
            "of what a caller may do: the scopes of its token, those it has now (database), or the project's own users",
            default="token",
            choices=("token", "database", "own"),
            requires={"token": ("jwt",), "database": ("jwt",)},
            by_hand=ExistingSigns(names=CALLERS),
            instead="own",
        ),
    ),
    edits=(
        File("core/permissions.py", "permissions/core/permissions.py.jinja"),
        File("api/callers.py", callers),
        File("api/permissions.py", "permissions/api/permissions.py.jinja"),
        DroppedTest("test_permissions.py", "permissions/tests/test_permissions.py.jinja", when=has_importable_app),
    ),
    edits_for=told,
    by_hand=ExistingSigns(
        names=("Permission", "require_permissions", "require_permission"),
        imports=("casbin", "oso", "fastapi_permissions"),
    ),
    stage=Stage.EDGE,
    after=("jwt",),
    why="what callers may do follows from who they are",
    notes=(
        "protect a route: dependencies=[require(Permission.WRITE)], from {api.permissions}",
        "name your permissions in Permission of {core.permissions}, and what brings others in IMPLIES",
        "name the routes for anybody in PUBLIC_ROUTES instead of '*': a test then fails for any other without a caller",
    ),
)
