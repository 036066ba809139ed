"""What was done by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from laterctl.project import signs as sightings
from laterctl.project.discover import Project
from laterctl.project.places import Place
from tests.project.making import make

FILES = {
    "app/__init__.py": "",
    "app/main.py": """
        from fastapi import FastAPI
        from fastapi.middleware.cors import CORSMiddleware as Cors
        from fastapi.security import OAuth2PasswordBearer
        from app import api
        from app.core import redis

        app = FastAPI()
        app.add_middleware(Cors, allow_origins=["*"])
        app.include_router(api.router, prefix="/v1")
        scheme = OAuth2PasswordBearer(tokenUrl="token")

        @app.get("/health")
        async def health(): ...

        def metrics(): ...
        app.add_api_route("/metrics", metrics)
        """,
    "app/api.py": """
        from fastapi import APIRouter
        from app.users import router as users
        router = APIRouter(prefix="/api")
        router.include_router(users, prefix="/users")

        @router.get("/ready/")
        async def ready(): ...
        """,
    "app/users.py": """
        from fastapi import APIRouter
        router = APIRouter()

        @router.post("/token")
        async def token():
            import jwt.algorithms
            client.get("/health")

        @cache.get("health")
        def other(): ...
        """,
    "app/core/redis.py": """
        import redis
        class CurrentUser:
            def health(self): ...
            limit = 1
        client = redis.Redis()
        """,
    "app/broken.py": "import jwt\ndef (\n",
    "tests/test_x.py": "import jwt\n",
}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make(tmp_path, dict(FILES))


def shown(places: list[Place]) -> list[str]:
    return [str(place) for place in places]


def test_imports(project: Project) -> None:
    assert shown(sightings.imports(project, {"jwt"})) == ["app/users.py:6"]
    assert shown(sightings.imports(project, {"redis"})) == ["app/core/redis.py:1"]
    assert shown(sightings.imports(project, {"fastapi.middleware"})) == ["app/main.py:2"]
    assert sightings.imports(project, {"j", "jose"}) == []


def test_imports_of_an_own_module_are_none(tmp_path: Path) -> None:
    project = make(tmp_path, {"main.py": "import jwt\n", "jwt.py": ""})
    assert sightings.imports(project, {"jwt"}) == []


def test_calls(project: Project) -> None:
    assert shown(sightings.calls(project, {"fastapi.security.OAuth2PasswordBearer"})) == ["app/main.py:10"]
    assert shown(sightings.calls(project, {"redis.Redis"})) == ["app/core/redis.py:5"]
    assert sightings.calls(project, {"flask.Flask"}) == []


def test_middleware(project: Project) -> None:
    assert shown(sightings.middleware(project, {"starlette.middleware.cors.CORSMiddleware"})) == ["app/main.py:8"]
    assert sightings.middleware(project, {"starlette.middleware.gzip.GZipMiddleware"}) == []


@pytest.mark.parametrize(
    "line",
    [
        "app = FastAPI(middleware=[Middleware(CORSMiddleware)])",
        "app = CORSMiddleware(FastAPI())",
        "app = FastAPI()\napp.add_middleware(middleware_class=CORSMiddleware)",
        "def f(x):\n    from starlette.middleware.cors import CORSMiddleware as C\n    x.add_middleware(C)",
    ],
)
def test_ways_to_put_a_middleware(tmp_path: Path, line: str) -> None:
    source = (
        "from fastapi import FastAPI\nfrom starlette.middleware import Middleware\n"
        f"from starlette.middleware.cors import CORSMiddleware\n{line}\n"
    )
    project = make(tmp_path, {"main.py": source})
    assert len(sightings.middleware(project, {"starlette.middleware.cors.CORSMiddleware"})) == 1


def test_a_middleware_of_the_same_name_is_another(tmp_path: Path) -> None:
    source = "from own import CORSMiddleware\nfrom fastapi import FastAPI\n"
    source += "app = FastAPI()\napp.add_middleware(CORSMiddleware)\n"
    project = make(tmp_path, {"main.py": source})
    assert sightings.middleware(project, {"starlette.middleware.cors.CORSMiddleware"}) == []


def test_routes(project: Project) -> None:
    assert shown(sightings.routes(project, {"/health"})) == ["app/main.py:12"]
    assert shown(sightings.routes(project, {"/metrics/", "/nothing"})) == ["app/main.py:16"]
    assert shown(sightings.routes(project, {"/v1/api/ready"})) == ["app/api.py:6"]
    assert shown(sightings.routes(project, {"/v1/api/users/token"})) == ["app/users.py:4"]
    assert sightings.routes(project, {"/ready"}) == []
    assert sightings.routes(project, {"/token"}) == []


def test_routes_below_an_unknown_prefix_count_by_their_own_path(tmp_path: Path) -> None:
    source = "from fastapi import APIRouter\nrouter = APIRouter(prefix=PREFIX)\n@router.get('/metrics')\ndef m(): ...\n"
    assert len(sightings.routes(make(tmp_path, {"r.py": source}), {"/metrics"})) == 1


def test_routers_that_include_each_other_end(tmp_path: Path) -> None:
    source = "from fastapi import APIRouter\na = APIRouter()\nb = APIRouter()\n"
    source += "a.include_router(b)\nb.include_router(a)\n@a.get('/x')\ndef x(): ...\n"
    assert len(sightings.routes(make(tmp_path, {"r.py": source}), {"/x"})) == 1


def test_definitions(project: Project) -> None:
    assert shown(sightings.definitions(project, {"CurrentUser"})) == ["app/core/redis.py:2"]
    named = shown(sightings.definitions(project, {"health"}, idle=True))
    assert named == ["app/core/redis.py:3", "app/main.py:13"]
    assert sightings.definitions(project, {"health"}) == [], "a stub, and a path operation"
    assert shown(sightings.definitions(project, {"client", "limit"})) == ["app/core/redis.py:5"]
    assert sightings.definitions(project, {"Cors"}) == []
