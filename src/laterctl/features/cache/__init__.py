"""A cache of what takes long to load: one load for all who ask, in one process or, with Redis, in all of them."""

from laterctl.edits.alias import DependencyAlias
from laterctl.edits.chosen import Chosen
from laterctl.edits.dropped_test import DroppedTest
from laterctl.edits.file import File
from laterctl.edits.provider import Provider
from laterctl.edits.setting import Setting
from laterctl.feature import ExistingSigns, Feature, Group, Option, Stage

feature = Feature(
    name="cache",
    group=Group.PERFORMANCE,
    summary="values that are loaded once for all who ask, and kept for a while",
    requires=("lifespan",),
    floors={"python": "3.10", "fastapi": "0.112.2", "pydantic": "2"},
    options=(
        Option(
            "store",
            "where values are kept; redis is for more than one process",
            default="memory",
            choices=("memory", "redis"),
            requires={"redis": ("redis-breaker",)},
        ),
    ),
    edits=(
        File("core/cache_memory.py", "cache/core/cache_memory.py.jinja"),
        Chosen(
            "store",
            ("redis",),
            (
                Setting("cache_prefix", "str", "cache", help="what the keys in Redis begin with, for this application"),
                File("core/cache_redis.py", "cache/core/cache_redis.py.jinja"),
            ),
        ),
        File("core/cache.py", "cache/core/cache.py.jinja"),
        Provider("cache", "core.cache:build_cache", closed_by="aclose", rank=40),
        File("api/cache.py", "cache/api/cache.py.jinja"),
        DependencyAlias(
            "CacheDep",
            "Annotated[Cache, Depends(shared_cache)]",
            ("typing:Annotated", "fastapi:Depends", "core.cache:Cache", "api.cache:shared_cache"),
        ),
        DroppedTest("test_cache.py", "cache/tests/test_cache.py.jinja", client=False),
    ),
    by_hand=ExistingSigns(
        imports=("fastapi_cache", "aiocache", "cashews"),
        names=("CacheDep",),
    ),
    stage=Stage.SPEED,
    after=("queries",),
    why="by now it is measured what takes long, and that alone is worth keeping",
    notes=(
        "use it: await cache.get_or_set(PRICES, shop, load), with cache: CacheDep from {api.cache}; what PRICES is stands in {core.cache}",
        "with more than one process: laterctl add cache --set cache.store=redis",
    ),
)
