"""Signing in with a password, and requests that carry a token: access tokens, rotating refresh tokens, logout."""

from collections.abc import Iterator

from laterctl.edits.alias import DependencyAlias
from laterctl.edits.app_statements import Router
from laterctl.edits.chosen import Chosen
from laterctl.edits.context import Edit, FeatureContext
from laterctl.edits.dropped_test import DroppedTest, has_importable_app
from laterctl.edits.file import File
from laterctl.edits.foundation import has_user_service
from laterctl.edits.manifest import DependencyFloor
from laterctl.edits.open_file import Step
from laterctl.edits.setting import Setting
from laterctl.feature import ExistingSigns, Feature, Group, Option, Stage
from laterctl.refusal import Refusal

AUTHENTICATOR = "core/auth/authenticator.py"


def authenticator(context: FeatureContext) -> str:
    """Choose who checks passwords: the foundation's user service where it is found, a place to fill in elsewhere."""
    form = "foundation" if has_user_service(context) else "protocol"
    return f"jwt/core/auth/authenticator.{form}.py.jinja"


def told(context: FeatureContext) -> Iterator[Edit]:
    """Say where the caller of a request is imported from, and that the authenticator has to be written, where it has."""
    has_aliases = context.project.tree.exists(context.path("api/deps.py"))
    module = context.module("api.deps" if has_aliases else "core.auth.tokens")
    context.notice(f"protect a route: from {module} import CurrentUser; async def route(user: CurrentUser)")
    if not has_user_service(context):
        path = context.path(AUTHENTICATOR)
        context.notice(
            f"say who may sign in: write get_user_authenticator in {path}; until then signing in answers 503"
        )
    yield from ()


def denylist_is_kept(context: FeatureContext) -> Refusal | None:
    """Refuse a denylist without the store that holds it."""
    if context.options["refresh"] == "off" and context.options["denylist"] != "off":
        return Refusal(
            "conflict",
            "the denylist is kept where the sessions are, and with jwt.refresh=off there are none",
            remedy="--set jwt.denylist=off, or --set jwt.refresh=memory or redis",
        )
    return None


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
    requires=("settings",),
    floors={"python": "3.10", "fastapi": "0.115.4", "pydantic": "2"},
    options=(
        Option(
            "refresh",
            "where sessions are kept, or off for access tokens alone; redis is for more than one process",
            default="memory",
            choices=("memory", "redis", "off"),
            requires={"redis": ("redis",)},
        ),
        Option(
            "prefix",
            "of the routes; without it, below the path that your routers share",
            default="/auth",
            pattern=r"(/[A-Za-z0-9._~-]+)+",
            below_routers=True,
        ),
        Option(
            "denylist",
            "whether logout ends the access token too, and what a request gets while Redis is down",
            default="off",
            choices=("off", "fail_open", "fail_closed"),
        ),
    ),
    edits=(
        DependencyFloor("pyjwt[crypto]>=2.12", provides=("jwt",)),
        DependencyFloor("python-multipart>=0.0.31", provides=("python_multipart", "multipart")),
        Setting(
            "jwt_keys",
            "SecretStr | None",
            None,
            secret=True,
            help="signing keys, kid:base64[,kid:base64]: the first signs, all verify; laterctl secret jwt makes one",
        ),
        Setting("jwt_issuer", "str", "api", help="who issues the tokens"),
        Setting("jwt_audience", "str", "api", help="whom the tokens are for"),
        Setting("jwt_algorithm", "Literal['HS256', 'HS384', 'HS512']", "HS256", help="how tokens are signed"),
        Setting("jwt_access_ttl", "PositiveInt", 900, help="life of an access token, in seconds"),
        Setting(
            "jwt_max_ttl", "PositiveInt", 3600, help="longest life of an access token, in seconds; others are refused"
        ),
        Chosen(
            "refresh",
            ("memory", "redis"),
            (
                Setting(
                    "jwt_refresh_ttl",
                    "PositiveInt",
                    1209600,
                    help="life of an unused session, in seconds",
                ),
            ),
        ),
        Chosen("refresh", ("memory",), (File("core/auth/sessions.py", "jwt/core/auth/sessions.memory.py.jinja"),)),
        Chosen(
            "refresh",
            ("redis",),
            (
                File("core/auth/sessions.py", "jwt/core/auth/sessions.redis.py.jinja"),
                *(
                    Step(code, "core.lifespan:open_resources", ("core.auth.sessions:sessions_redis",), 25)
                    for code in (
                        "closing(stack, 'sessions', sessions_redis().aclose)",
                        "stack.callback(sessions_redis.cache_clear)",
                    )
                ),
            ),
        ),
        File("core/auth/tokens.py", "jwt/core/auth/tokens.py.jinja"),
        File(AUTHENTICATOR, authenticator),
        File("api/auth.py", "jwt/api/auth.py.jinja"),
        Router("api.auth:router", alias="auth_router"),
        DependencyAlias(
            "CurrentUser",
            "Annotated[Principal, Depends(get_current_user)]",
            (
                *("typing:Annotated", "fastapi:Depends"),
                *("core.auth.tokens:Principal", "core.auth.tokens:get_current_user"),
            ),
        ),
        DroppedTest("test_jwt.py", "jwt/tests/test_jwt.py.jinja", when=has_importable_app),
    ),
    edits_for=told,
    check=denylist_is_kept,
    by_hand=ExistingSigns(
        imports=("authlib.jose", "joserfc", "fastapi_users", "authx"),
        # A token that is only signed is for another service; one that is verified is a caller of this application.
        calls=(
            *("jwt.decode", "jwt.decode_complete", "jwt.PyJWT", "jwt.PyJWKClient", "jwt.api_jwt.decode"),
            *("jose.jwt.decode", "jose.jws.verify"),
        ),
        names=("CurrentUser", "create_access_token", "get_current_user"),
        routes=("{prefix}/token", "{prefix}/refresh", "{prefix}/logout"),
    ),
    changes=("POST /auth/token, /auth/refresh and /auth/logout answer, or below another jwt.prefix",),
    stage=Stage.EDGE,
    after=(
        "cors",
        "security-headers",
    ),
    why="who is calling comes before what they may do, and how often",
    notes=(
        "make a key for {jwt_keys}, and see where it goes: laterctl secret jwt; until then authentication answers 503",
        "with more than one process: laterctl add jwt --set jwt.refresh=redis",
    ),
    secret=fresh_key,
)
