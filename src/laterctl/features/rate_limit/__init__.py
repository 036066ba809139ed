"""Limits of how often clients may ask: each in all, and for single routes."""

from laterctl.edits.app_statements import Middleware
from laterctl.edits.beside import Beside
from laterctl.edits.chosen import Chosen
from laterctl.edits.dropped_test import DroppedTest, has_importable_app
from laterctl.edits.file import File
from laterctl.edits.provider import Provider
from laterctl.edits.setting import Setting
from laterctl.feature import ExistingSigns, Feature, Group, Option, Stage

feature = Feature(
    name="rate-limit",
    group=Group.SCALING,
    aliases=("ratelimit",),
    summary="limits of how often a client may ask, in all and by route",
    requires=("settings", "routing"),
    floors={"python": "3.10", "fastapi": "0.112.2", "pydantic": "2"},
    options=(
        Option(
            "store",
            "where requests are counted; redis is for more than one process",
            default="memory",
            choices=("memory", "redis"),
            requires={"redis": ("redis-breaker",)},
        ),
        Option(
            "on_error",
            "while Redis is down each process counts by itself (memory), nothing is limited (allow), or limits answer 503 (deny)",
            default="memory",
            choices=("memory", "allow", "deny"),
        ),
        Option(
            "headers",
            "that tell clients what is left: RateLimit as the IETF drafts it, X-RateLimit (legacy), or none",
            default="draft",
            choices=("draft", "legacy", "off"),
        ),
    ),
    edits=(
        Setting("rate_limit_default", "str", "", help="for each client: 100/minute; empty for no limit"),
        Chosen("store", ("memory",), (File("core/rate_store.py", "rate-limit/core/rate_store.memory.py.jinja"),)),
        Chosen(
            "store",
            ("redis",),
            (
                File("core/rate_store.py", "rate-limit/core/rate_store.redis.py.jinja"),
                Provider("rate_store", "core.rate_store:RateStore", closed_by="aclose"),
            ),
        ),
        File("core/rate_limit.py", "rate-limit/core/rate_limit.py.jinja"),
        Middleware(
            "core.rate_limit:RateLimitMiddleware", rank="rate-limit", settings="core.rate_limit:RateLimitSettings"
        ),
        Beside("jwt", (File("core/rate_limit_user.py", "rate-limit/core/rate_limit_user.py.jinja"),)),
        DroppedTest("test_rate_limit.py", "rate-limit/tests/test_rate_limit.py.jinja", when=has_importable_app),
    ),
    by_hand=ExistingSigns(
        imports=("slowapi", "fastapi_limiter", "asgi_ratelimit", "fastapi_throttle"),
        names=("RateLimitMiddleware", "RateLimiter"),
        dependencies=("slowapi", "fastapi-limiter", "asgi-ratelimit"),
    ),
    answers=(429,),
    changes=("who asks too often gets 429, once a limit is set",),
    stage=Stage.EDGE,
    after=(
        "jwt",
        "permissions",
    ),
    why="a limit by user needs to know the user",
    notes=(
        "bound what each client does in {rate_limit_default}, and routes by dependencies=[limit('5/minute')], from {core.rate_limit}",
        "behind a proxy set FORWARDED_ALLOW_IPS to its address, or all clients count as one",
        "with more than one process: laterctl add rate-limit --set rate-limit.store=redis",
    ),
)
