"""The rules about caches: more code that they find, and code that they leave alone."""

from __future__ import annotations

import pytest

from laterctl.features.cache import rules
from laterctl.project.installed import file_of
from tests.ruling import code, places

HEAD = """\
import functools, pickle, cachetools
from functools import cache, lru_cache, cached_property
from fastapi import FastAPI, Request
from sqlalchemy.ext.asyncio import AsyncSession
from async_lru import alru_cache
from fastapi_cache.decorator import cache as fastapi_cached
from app.clients import redis
app = FastAPI()
"""


def found(rule: str, source: str) -> list[str]:
    """Return the lines below the head in which a rule reports something."""
    return code(rule, f"{HEAD}{source}print(A, f, cached)\n")


@pytest.mark.parametrize(
    "line",
    ["CMD uvicorn app.main:app --workers 4", "CMD uvicorn app.main:app --workers 1"],
)
def test_cac001_finds_several_processes(line: str) -> None:
    files = {**rules._INSTALLED, "Dockerfile": f"{line}\n"}
    assert places(files, "CAC001") == (["Dockerfile:1"] if "4" in line else [])
    assert places({**files, file_of("cache"): '{"options": []}'}, "CAC001") == []
    assert places({path: text for path, text in files.items() if path != file_of("cache")}, "CAC001") == []


@pytest.mark.parametrize(
    "decorator",
    ["@lru_cache", "@lru_cache(maxsize=8)", "@cache", "@functools.cache", "@cached_property", "@cachetools.cached({})"],
)
def test_cac002_finds_a_coroutine_that_is_kept(decorator: str) -> None:
    assert found("CAC002", f"class A:\n    {decorator}\n    async def f(self): ...\n") == [decorator]


@pytest.mark.parametrize(
    "source",
    [
        "@lru_cache\ndef f(): ...\n",
        "@alru_cache\nasync def f(): ...\n",
        "@lru_cache\n@make_sync\nasync def f(): ...\n",
        "def cache(f): return f\n@app.get('/')\nasync def f(): ...\n",
    ],
)
def test_cac002_leaves_alone(source: str) -> None:
    assert found("CAC002", source) == []


def test_cac003_finds_sessions_and_requests() -> None:
    assert found("CAC003", "@cache\ndef f(a, db: AsyncSession): ...\n") == ["@cache"]
    assert found("CAC003", "@lru_cache(8)\ndef f(*, request: Request): ...\n") == ["@lru_cache(8)"]
    assert found("CAC003", "@cache\ndef f(a: int): ...\n@app.get('/')\ndef g(db: AsyncSession): ...\n") == []


def test_cac004_is_about_the_order() -> None:
    assert found("CAC004", "@fastapi_cached()\n@app.get('/')\ndef f(): ...\n") == ["@fastapi_cached()"]
    assert found("CAC004", "@app.get('/')\n@fastapi_cached()\ndef f(): ...\n") == []
    assert found("CAC004", "@fastapi_cached()\ndef f(): ...\n") == []


@pytest.mark.parametrize("key", ['f"{f}:{args}"', "str(args) + str(kwargs)", "'x' + repr(kwargs)", 'f"{args!r}"'])
def test_cac005_finds_arguments_as_they_are_shown(key: str) -> None:
    source = f"def cached(f):\n    def inner(*args, **kwargs):\n        cache_key = {key}\n        return cache_key\n"
    assert found("CAC005", source) == [f"cache_key = {key}"]


@pytest.mark.parametrize(
    "source",
    [
        "def f(args):\n    key = str(args)\n",
        "def f(*args):\n    message = str(args)\n",
        "def f(*args):\n    key = str(args[0])\n",
        "def f(*args):\n    key = make_key(args)\n",
        "args = 1\nkey = str(args)\n",
    ],
)
def test_cac005_leaves_alone(source: str) -> None:
    assert found("CAC005", source) == []


@pytest.mark.parametrize(
    ("line", "is_found"),
    [
        ("key = f'a:{hash(text)}'", True),
        ("self.cache_key = str(hash(text))", True),
        ("return await redis.get(f'a:{hash(text)}')", True),
        ("value = hash(text)", False),
        ("key = hashlib.sha256(text)", False),
        ("return other.get(hash(text))", False),
    ],
)
def test_cac006_is_about_keys(line: str, is_found: bool) -> None:
    assert found("CAC006", f"async def f(self, text):\n    {line}\n") == [line] * is_found


@pytest.mark.parametrize(
    ("body", "is_found"),
    [
        ("return pickle.loads(await redis.get(key))", True),
        ("return pickle.loads(self.redis_client.hget(key, 'a'))", True),
        ("data = self.client.get(key)\n    return pickle.loads(data)", True),
        ("return pickle.loads(file.read())", False),
        ("return pickle.loads(key)", False),
        ("data = models.get(key)\n    return pickle.loads(data)", False),
    ],
)
def test_cac007_is_about_what_redis_gives(body: str, is_found: bool) -> None:
    assert bool(found("CAC007", f"async def f(self, key, file, models):\n    {body}\n")) is is_found


@pytest.mark.parametrize(
    ("call", "is_found"),
    [
        ("redis.keys('a:*')", True),
        ("redis.keys(f'{x}:*')", True),
        ("redis.keys(pattern='*')", True),
        ("redis.keys()", False),
        ("redis.scan_iter('a:*')", False),
        ("x.keys('a')", False),
    ],
)
def test_cac008_is_about_patterns(call: str, is_found: bool) -> None:
    assert bool(found("CAC008", f"async def f(x):\n    return await {call}\n")) is is_found
