"""The doctor rules of `permissions`: what they find, and what they leave alone."""

from __future__ import annotations

import pytest

from laterctl.features.permissions.rules import _HEAD
from tests.ruling import code, lines

ROUTE = "async def change(number: int) -> None: ..."


def project(route: str, more: str = "") -> str:
    return f"{_HEAD}{more}\n{route}\n"


@pytest.mark.parametrize("verb", ["post", "put", "patch", "delete"])
def test_perm002_whatever_changes_something(verb: str) -> None:
    assert code("PERM002", project(f'@app.{verb}("/x/{{number}}")\n{ROUTE}')) == [ROUTE]


@pytest.mark.parametrize(
    "route",
    [
        f'@app.get("/x")\n{ROUTE}',
        f'@app.post("/register")\n{ROUTE}',
        f'@app.post("/x", dependencies=[Depends(print)])\n{ROUTE}',
        f'@app.post("/x", **options)\n{ROUTE}',
        f'@guarded\n@app.post("/x")\n{ROUTE}',
        '@app.post("/x")\ndef change(me: CurrentUser) -> None: ...',
        '@app.post("/x")\ndef change(service=Depends(get_service)) -> None: ...',
        '@app.post("/x")\ndef change(service: ServiceDep) -> None: ...',
        '@app.post("/x")\ndef change(request) -> None:\n    check_token(request)',
    ],
)
def test_perm002_leaves_alone_what_may_be_guarded_or_open(route: str) -> None:
    assert code("PERM002", project(route)) == []


def test_perm002_a_database_is_no_guard() -> None:
    alias = "def get_session(): ...\n\n\nSessionDep = Annotated[object, Depends(get_session)]\n"
    assert lines("PERM002", project('@app.post("/x")\ndef change(session: SessionDep) -> None: ...', alias))
    assert lines("PERM002", project('@app.post("/x")\ndef change(db=Depends(get_session)) -> None: ...', alias))


@pytest.mark.parametrize(
    "more",
    [
        "app.include_router(router, dependencies=[Depends(get_current_user)])",
        'from fastapi import APIRouter\nrouter = APIRouter(prefix="/x", dependencies=[Depends(get_current_user)])',
        '@app.middleware("http")\nasync def check(request, call_next):\n    return request.headers["Authorization"]',
    ],
)
def test_perm002_leaves_alone_what_others_may_guard(more: str) -> None:
    assert code("PERM002", project(f'@app.post("/x")\n{ROUTE}', more)) == []


def test_perm002_says_nothing_where_no_route_has_a_caller() -> None:
    head = "from fastapi import FastAPI\n\napp = FastAPI()\n"
    assert code("PERM002", f'{head}@app.post("/x")\n{ROUTE}\n') == []


@pytest.mark.parametrize("guard", ["require_permissions('write')", "login_required", "auth.requires('admin')"])
def test_perm001_in_every_spelling(guard: str) -> None:
    assert code("PERM001", project(f'@{guard}\n@app.post("/x")\n{ROUTE}')) == [f"@{guard}"]
    assert code("PERM001", project(f'@app.post("/x")\n@{guard}\n{ROUTE}')) == []


@pytest.mark.parametrize("other", ["cached(60)", "app.get('/author')", "limiter.limit('5/minute')"])
def test_perm001_leaves_other_decorators_alone(other: str) -> None:
    assert code("PERM001", project(f'@{other}\n@app.post("/x")\n{ROUTE}')) == []
