"""The doctor rules of `replicas`: what they find, and what they leave alone."""

from __future__ import annotations

import pytest

from tests.ruling import code

HEAD = """
from typing import Annotated
from fastapi import APIRouter, Depends, FastAPI
import sqlalchemy.ext.asyncio as sa
from sqlalchemy.ext.asyncio import AsyncSession as Async
from app.api.deps import ReadSessionDep, SessionDep
from app.api.read_session import read_session
router = APIRouter()
"""
TAIL = "app = FastAPI()\napp.include_router(router)\n"


@pytest.mark.parametrize("base", ["Async", "sa.AsyncSession"])
def test_rep001_in_every_spelling(base: str) -> None:
    source = f"{HEAD}class Routing({base}):\n    def get_bind(self):\n        return None\nsession = Routing()\n{TAIL}"
    assert code("REP001", source) == ["def get_bind(self):"]


@pytest.mark.parametrize("base", ["object", "app.Session"])
def test_rep001_leaves_other_classes_alone(base: str) -> None:
    source = f"{HEAD}class Routing({base}):\n    def get_bind(self):\n        return None\nsession = Routing()\n{TAIL}"
    assert code("REP001", source) == []


@pytest.mark.parametrize("session", ["ReadSessionDep", "Annotated[Async, Depends(read_session)]"])
@pytest.mark.parametrize(("verb", "is_found"), [("delete", True), ("patch", True), ("get", False), ("head", False)])
def test_rep002_in_routes_that_write(session: str, verb: str, is_found: bool) -> None:
    line = f"def route(session: {session}):"
    source = f'{HEAD}@router.{verb}("/")\nasync {line}\n    return 1\n{TAIL}'
    assert code("REP002", source) == [f"async {line}"] * is_found


def test_rep002_leaves_the_session_of_the_primary_alone() -> None:
    assert code("REP002", f'{HEAD}@router.post("/")\nasync def route(session: SessionDep):\n    return 1\n{TAIL}') == []
