"""The laws, for what the vocabulary offers beyond what the features use: files anywhere, rewritten calls, fixtures ...

The features are those of `tests/extra_features`; `resources` is one of ours that another cooperates with.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import pytest

from laterctl.commands import doctor
from laterctl.commands.dependencies import changed_homes
from laterctl.dialects.manifest import named
from laterctl.dialects.manifest.manager import Change
from laterctl.engine import ledger, plan
from laterctl.engine.plan import Request
from laterctl.project.places import Place
from laterctl.proof.static import prove
from tests import extra, memory
from tests.memory import Refusing
from tests.shapes import SHAPES, Shape
from tests.test_laws import assert_same, project_files

NAMES = (*extra.NAMES, "resources")
NEEDS = {"extra-log": "extra-health", "extra-queue": "extra-health"}
PAIRED = tuple(shape for shape in SHAPES if shape.name in {"foundation", "factory", "crlf", "tabs", "poetry", "flat"})

ENGINE = """\
import os

import sqlalchemy.ext.asyncio as sa
from sqlalchemy.ext.asyncio import create_async_engine

url = os.environ.get("URL", "sqlite+aiosqlite://")
engine = create_async_engine(url, pool_size=5)  # the first
if os.environ.get("SECOND"):
    other = create_async_engine(
        url,
        pool_size=5,  # a comment
    )
else:
    other = create_async_engine(url)


def make(name: str) -> sa.AsyncEngine:
    found = sa.create_async_engine("postgresql+asyncpg://database.example.com/" + name, echo=False); found.connect()
    return sa.create_async_engine(name)


class Container:
    engine = dict(factory=create_async_engine, url=url)
"""
"""Calls in the forms that users write them in."""


@pytest.fixture(autouse=True, scope="module")
def extra_features() -> Iterator[None]:
    with extra.registered():
        yield


def files_of(shape: Shape) -> dict[str, bytes]:
    """Return a shape's project, with a module that makes engines."""
    files = project_files(shape)
    style = memory.project(files, shape.app_flag).layout.style
    folder = shape.facts.path.rpartition("/")[0]
    text = ENGINE.replace("    ", style.indent).replace("\n", style.newline)
    return files | {f"{folder}/engine.py".lstrip("/"): text.encode()}


def names_for(shape: Shape, before: dict[str, bytes]) -> list[str]:
    """Return the features that a shape takes: an image of the user's is not replaced."""
    if "Dockerfile" not in before:
        return list(NAMES)
    with pytest.raises(Refusing) as refusing:
        memory.add(before, "extra-docker", app=shape.app_flag)
    assert [(item.code, item.place) for item in refusing.value.refusals] == [("file-exists", Place("Dockerfile", 1))]
    return [name for name in NAMES if name != "extra-docker"]


def alone(before: dict[str, bytes], shape: Shape, *names: str) -> dict[str, bytes]:
    return memory.add(before, *names, app=shape.app_flag) if names else before


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_laws(shape: Shape) -> None:
    before = files_of(shape)
    names = names_for(shape, before)
    for name in names:
        made = memory.planned(before, Request(add=(name,)), shape.app_flag)
        assert made.refusals == ()
        assert prove(memory.project(before, shape.app_flag), made) == [], name
        once = alone(before, shape, name)
        assert_same(alone(once, shape, name), once, f"{name};{name} = {name}")
        assert_same(memory.remove(once, name, app=shape.app_flag), before, f"add {name}; remove {name}")
    made = memory.planned(before, Request(add=tuple(names)), shape.app_flag)
    assert prove(memory.project(before, shape.app_flag), made) == []
    everything = alone(before, shape, *names)
    for order in (names, names[::-1]):
        grown = before
        for name in order:
            grown = alone(grown, shape, name)
        assert_same(everything, grown, f"all at once = {order}")
    assert_same(memory.remove(everything, *names, app=shape.app_flag), before, "add all; remove all")
    for name in names:
        if name not in NEEDS.values():
            rest = [other for other in names if other != name]
            left = memory.remove(everything, name, app=shape.app_flag)
            assert_same(left, alone(before, shape, *rest), f"all without {name}")


@pytest.mark.parametrize("shape", PAIRED, ids=lambda shape: shape.name)
def test_pairs(shape: Shape) -> None:
    before = files_of(shape)
    names = names_for(shape, before)
    single = {name: alone(before, shape, name) for name in names}
    for one, other in combinations(names, 2):
        both = alone(single[one], shape, other)
        assert_same(both, alone(single[other], shape, one), f"{one};{other} = {other};{one}")
        assert_same(both, alone(before, shape, one, other), f"{one};{other} at once")
        for going, staying in ((one, other), (other, one)):
            if NEEDS.get(staying) != going:
                left = memory.remove(both, going, app=shape.app_flag)
                assert_same(left, single[staying], f"{one};{other}; remove {going}")


@pytest.mark.parametrize("shape", PAIRED, ids=lambda shape: shape.name)
def test_repair_puts_everything_back(shape: Shape) -> None:
    """What is ours in the user's files is put back as it was, when they are as they were."""
    before = files_of(shape)
    names = names_for(shape, before)
    everything = alone(before, shape, *names)
    project = memory.project(everything | before, shape.app_flag)
    repaired = memory.applied(everything | before, plan.repair(project, ledger.load(project.tree)))
    ours = {path for path in everything if path.startswith(".laterctl/")}
    lines = {".env.example", "settings.toml"}  # no code misses them
    assert_same(
        {path: data for path, data in repaired.items() if path not in ours | lines},
        {path: data for path, data in everything.items() if path not in ours | lines},
        "repair",
    )


@pytest.mark.parametrize("shape", PAIRED[:2], ids=lambda shape: shape.name)
def test_with_the_ledger_lost_a_call_is_never_made_to_itself(shape: Shape) -> None:
    once = alone(files_of(shape), shape, "extra-pool")
    lost = {path: data for path, data in once.items() if not path.startswith(".laterctl/")}
    again = alone(lost, shape, "extra-pool")
    assert {path for path in again if again[path] != once.get(path)} <= {".laterctl/feature-extra-pool.json"}


def test_the_doctor_sees_files_that_are_no_python_without_a_ledger(tmp_path: Path) -> None:
    shape = next(shape for shape in SHAPES if shape.name == "flat")
    for path, data in alone(files_of(shape), shape, "extra-docker").items():
        if not path.startswith(".laterctl/"):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_bytes(data)
    found = {str(item.place) for item in doctor.examine(tmp_path, only=("LTR004",)).findings}
    files = ("Dockerfile", "load/entry.sh", "load/locustfile.py", "load/report.html", "load/schema.sql")
    assert found == {f"{path}:1" for path in files}


@pytest.mark.parametrize(
    ("name", "options"),
    [("factory", ("--group", "load")), ("pdm", ("--group", "load")), ("poetry", ("--with", "load")), ("flat", ())],
)
def test_a_group_of_its_own_is_installed(name: str, options: tuple[str, ...]) -> None:
    shape = next(shape for shape in SHAPES if shape.name == name)
    before = files_of(shape)
    project = memory.project(before, shape.app_flag)
    made = memory.planned(before, Request(add=("extra-clock",)), shape.app_flag)
    assert project.manifest is not None
    grown = [home for home, grows in changed_homes({}, made).items() if grows]
    change = Change(project.tree, project.manifest, grown, made.requirements, Path("python"))
    words = named(project.manifest.manager).commands(change)[-1]
    assert all(word in words for word in options)
    assert "locust>=2.31" in made.requirements
    if not options:
        assert "locust>=2.31" in words


USES = """\
import pytest
from fastapi.testclient import TestClient

from app.core.checks import CHECKS
from app.engine import engine
from app.main import create_app


@pytest.mark.users
def test_checks(extra_user, extra_alarm):
    assert extra_user('ada') == {'name': 'ada'}
    assert extra_alarm > 0
    with TestClient(create_app()) as client:
        answer = client.get('/checks')
    assert (answer.status_code, answer.json()) == (200, [])
    assert [check.__name__ for check in CHECKS] == ['check_queue', 'check_http', 'root']
    assert str(engine.url) == 'sqlite+aiosqlite://'
"""


def test_it_runs(tmp_path: Path) -> None:
    shape = next(shape for shape in SHAPES if shape.name == "factory")
    before = files_of(shape)
    before["app/engine.py"] = before["app/engine.py"].replace(b", pool_size=5", b"")
    for path, data in alone(before, shape, *NAMES).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
    (tmp_path / "tests/test_uses.py").write_text(USES)
    command = [sys.executable, "-m", "pytest", "-q", "--strict-markers", "tests/test_uses.py"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
