"""Signing in with a password, and requests that carry a token: access tokens, rotating refresh tokens, logout."""

from collections.abc import Iterator

from laterctl.edits.alias import DependencyAlias
from laterctl.edits.app_statements import ExceptionHandler, Router
from laterctl.edits.context import Edit, FeatureContext
from laterctl.edits.dropped_test import DroppedTest
from laterctl.edits.error_shape import has_api_error
from laterctl.edits.file import File
from laterctl.edits.manifest import DependencyFloor
from laterctl.edits.provider import Provider
from laterctl.edits.setting import Setting
from laterctl.feature import ExistingSigns, Feature, Group


def authenticator(context: FeatureContext) -> str:
    """Choose who checks passwords: the foundation's user service where it is found, a place to fill in elsewhere."""
    form = "foundation" if has_user_service(context) else "protocol"
    return f"jwt/core/auth/authenticator.{form}.py.jinja"


def has_user_service(context: FeatureContext) -> bool:
    """Whether the project has the foundation's `UserService` and a container that provides it."""
    from laterctl.dialects.providers import providers_of
    from laterctl.project.bindings import bound_to

    provided = providers_of(context.project).has("user_service")
    return provided and bound_to(context.project, context.path("services/user.py"), "UserService")[0] is not None


def users(context: FeatureContext) -> tuple[str, ...]:
    """Name the provider of the foundation's user service, where it is found."""
    return ("user_service",) if has_user_service(context) else ()


def fitted(context: FeatureContext) -> Iterator[Edit]:
    """Answer authentication errors in the project's shape, unless the user handles `HTTPException`, which they are.

    Say that the authenticator has to be written, where it has.
    """
    if not has_user_service(context):
        path = context.path("core/auth/authenticator.py")
        context.notice(f"say who may sign in: write a UserAuthenticator in {path}; until then signing in answers 503")
    app = context.project.app
    handled = {item.target for item in app.handlers} if app is not None else set()
    if has_api_error(context) or not handled & {"fastapi.HTTPException", "starlette.exceptions.HTTPException"}:
        yield ExceptionHandler("core.auth.errors:AuthError", "core.auth.errors:auth_error_handler")


def fresh_key() -> dict[str, str]:
    """Return a signing key under a new key id, long enough for each of the algorithms (RFC 7518, 3.2)."""
    import base64
    import secrets

    key = base64.b64encode(secrets.token_bytes(64)).decode()
    return {"jwt_keys": f"{secrets.token_hex(4)}:{key}"}


feature = Feature(
    name="jwt",
    group=Group.SCALING,
    aliases=("auth",),
    summary="sign-in with access tokens and rotating refresh tokens",
    requires=("settings", "lifespan", "errors", "redis"),
    floors={"python": "3.10", "fastapi": "0.115.4", "pydantic": "2"},
    edits=(
        DependencyFloor("pyjwt>=2.12", provides=("jwt",)),
        DependencyFloor("python-multipart>=0.0.31", provides=("python_multipart", "multipart")),
        Setting(
            "jwt_keys",
            "SecretStr | None",
            None,
            secret=True,
            imports=("pydantic:SecretStr",),
            example="main:replace-me",
            help="kid:base64[,kid:base64]; the first signs, all verify",
        ),
        Setting("jwt_issuer", "str", "api", help="who issues the tokens"),
        Setting("jwt_audience", "str", "api", help="whom the tokens are for"),
        Setting("jwt_algorithm", "str", "HS256"),
        Setting("jwt_access_ttl", "int", 900, help="life of an access token, in seconds"),
        Setting("jwt_refresh_ttl", "int", 1209600, help="life of a refresh token, in seconds"),
        Setting("jwt_max_ttl", "int", 3600, help="longest life of an access token that is believed"),
        Setting("jwt_denylist", "str", "off", help="off, fail_open or fail_closed"),
        *(
            File(f"core/auth/{name}.py", f"jwt/core/auth/{name}.py.jinja")
            for name in ("config", "errors", "keys", "refresh", "refresh_store", "tokens")
        ),
        File("core/auth/authenticator.py", authenticator),
        File("api/current_user.py", "jwt/api/current_user.py.jinja"),
        File("api/auth.py", "jwt/api/auth.py.jinja"),
        Provider("token_service", "core.auth.tokens:get_token_service"),
        Provider("refresh_store", "core.auth.refresh_store:get_refresh_store"),
        Provider("user_authenticator", "core.auth.authenticator:get_user_authenticator", users),
        Router("api.auth:router", alias="auth_router"),
        DependencyAlias(
            "CurrentUser",
            "Annotated[Principal, Depends(get_current_user)]",
            ("typing:Annotated", "fastapi:Depends", "api.current_user:get_current_user", "core.auth.tokens:Principal"),
        ),
        DroppedTest("test_jwt.py", "jwt/tests/test_jwt.py.jinja"),
    ),
    edits_for=fitted,
    by_hand=ExistingSigns(
        imports=("authlib.jose", "joserfc", "fastapi_users", "authx"),
        # A token that is only signed is for another service; one that is verified is a caller of this application.
        calls=(
            *("jwt.decode", "jwt.decode_complete", "jwt.PyJWT", "jwt.PyJWKClient", "jwt.api_jwt.decode"),
            *("jose.jwt.decode", "jose.jws.verify"),
        ),
        names=("CurrentUser", "create_access_token", "get_current_user"),
        routes=("/auth/token",),
    ),
    changes=("POST /auth/token, /auth/refresh and /auth/logout answer",),
    notes=(
        "make a key for {jwt_keys}, and see where it goes: laterctl secret jwt; until then authentication answers 503",
        "protect a route: async def route(user: CurrentUser)",
        "with more than one worker set {redis_url}: refresh tokens are kept in one process without it",
    ),
    secret=fresh_key,
)
