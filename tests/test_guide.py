"""`laterctl guide`: the order of the way, what is there, and steps that can be taken as they are told."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from laterctl.cli.show_guide import command
from laterctl.commands.guide import State, Step, steps
from laterctl.engine import ledger
from laterctl.engine.plan import Request
from laterctl.features import catalogue
from tests import memory
from tests.cli.command import contents, run
from tests.shapes import SHAPES, Shape, copy, shape_named
from tests.test_laws import project_files
from tests.turns import DIALECTS

ORDER: Final = """\
coverage di-testing e2e
request-scope logging
health shutdown
migrations pooling
cors security-headers jwt permissions rate-limit
metrics tracing
docker k8s
bench load profiling queries cache replicas
resources tasks websocket versioning factory secrets
""".split()  # noqa: SIM905 - a stage on each line
"""The order that is taught. Within the last line it does not matter."""

FREE: Final = 6
TOLD: Final = (*DIALECTS, *map(shape_named, ("helpers", "environ", "own_lifespan")))
HAND: Final = {
    "main.py": """\
import logging
import signal

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from prometheus_fastapi_instrumentator import Instrumentator

logging.basicConfig(level="INFO")
app = FastAPI()
app.add_middleware(CORSMiddleware, allow_origins=["https://shop.example"])


@app.get("/health")
def health() -> str:
    return "ok"


def create_access_token() -> str:
    return ""
""",
    "requirements.txt": "fastapi>=0.115\nuvicorn\nslowapi\n",
    "Dockerfile": "FROM python:3.13-slim\n",
    ".coveragerc": "[run]\nbranch = true\n",
    "tests/images/Dockerfile": "FROM python:3.13-slim\n",
    "download.py": "HEADERS = {'Content-Disposition': 'attachment', 'X-Frame-Options': 'DENY', "
    "'X-Content-Type-Options': 'nosniff'}\n",
    "alembic/env.py": "def run_migrations_online() -> None: ...\n",
    "k8s/api.yaml": "apiVersion: apps/v1\nkind: Deployment\n",
}


def way(files: Mapping[str, bytes], app: str = "") -> dict[str, Step]:
    """Return the steps of files in memory, by feature."""
    facts = memory.project(files, app)
    return {item.feature.name: item for item in steps(facts, ledger.load(facts.tree))}


def request(step: Step) -> Request:
    """Return what the command of a step asks for."""
    words = shlex.split(command(step, ["laterctl"]))
    assert words[:3] == ["laterctl", "add", step.feature.name]
    return Request(add=(step.feature.name,), without=tuple(words[4::2]))


def test_the_order_is_the_one_that_is_taught() -> None:
    names = [item.name for item in catalogue.in_order()]
    known = [name for name in ORDER if name in names]
    assert {*names} == {*known}, "name it in ORDER, at its place"
    last = len([name for name in ORDER[-FREE:] if name in names])
    fixed = len(known) - last
    assert names[:fixed] == known[:fixed], "say in the declaration what comes before: after=(...)"


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_what_is_refused_is_no_step(shape: Shape) -> None:
    found = way(project_files(shape), shape.app_flag)
    assert [step.feature.name for step in found.values() if step.state is State.INSTALLED] == []
    as_it_is = {name for name, step in found.items() if step.state is State.OPEN and not step.without}
    assert as_it_is & {*shape.refuses} == set()


@pytest.mark.parametrize("shape", TOLD, ids=lambda shape: shape.name)
def test_each_step_can_be_taken_as_it_is_told(shape: Shape) -> None:
    """What is open is added by its command; what is not is refused, or taken over as it stands."""
    files = project_files(shape)
    facts = memory.project(files, shape.app_flag)
    for name, step in way(files, shape.app_flag).items():
        if step.state is State.OPEN:
            plan = memory.planned(files, request(step), shape.app_flag)
            assert plan.refusals == (), name
            assert plan.changeset, name
            continue
        assert step.place is not None, name
        assert step.place.line <= (facts.tree.read(step.place.path) or b"").count(b"\n") + 1
        assert step.reason, name
        plan = memory.planned(files, Request(add=(name,)), shape.app_flag)
        if not plan.refusals:
            made = memory.applied(files, plan)
            assert step.state is State.YOURS, name
            new = [path for path in made if path not in files and not path.startswith(".laterctl/")]
            assert [path for path in new if name.replace("-", "_") in path and "tests/" not in path] == [], name


def test_what_was_done_by_hand() -> None:
    found = way({path: text.encode() for path, text in HAND.items()})
    there = {name: str(step.place) for name, step in found.items() if step.state is State.YOURS}
    assert there == {
        "coverage": ".coveragerc:1",
        "logging": "main.py:8",
        "health": "main.py:13",
        "migrations": "alembic/env.py:1",
        "cors": "main.py:10",
        "jwt": "main.py:18",
        "rate-limit": "requirements.txt:3",
        "metrics": "main.py:6",
        "docker": "Dockerfile:1",
        "k8s": "k8s/api.yaml:2",
    }
    assert {name: step.without for name, step in found.items() if step.without} == {}


def test_what_is_there_in_part_is_said_at_the_step() -> None:
    files = {
        **project_files(shape_named("flat")),
        "pyproject.toml": b"[tool.coverage.report]\nshow_missing = true\n",
        "log.py": b"from loguru import logger\n",
    }
    found = way(files)
    assert [str(note.place) for note in found["coverage"].notes] == ["pyproject.toml:2"]
    assert [str(note.place) for note in found["logging"].notes] == ["log.py:1"]
    assert {found["coverage"].state, found["logging"].state} == {State.OPEN}


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("class CurrentUser:\n    pass\n", False),
        ("class CurrentUser:\n    id: int\n    name: str = 'nobody'\n", False),
        ("from pydantic import BaseModel\n\nclass CurrentUser(BaseModel):\n    id: int\n", False),
        ("from typing import Protocol\n\nclass CurrentUser(Protocol):\n    def name(self) -> str: ...\n", False),
        ("def get_current_user() -> str:\n    raise NotImplementedError\n", False),
        ("def get_current_user() -> str:\n    'Later.'\n    ...\n", False),
        ("def get_current_user() -> str:\n    raise HTTPException(401)\n", True),
        ("@router.get('/me')\nasync def get_current_user() -> str:\n    return ''\n", False),
        ("class CurrentUser:\n    def __call__(self) -> str:\n        return ''\n", True),
        ("from core import Base\n\nclass CurrentUser(Base):\n    pass\n", True),
        ("from fastapi import Depends\n\nCurrentUser = Depends(str)\n", True),
        ("from typing import Annotated, Literal\n\nCurrentUser = Annotated[Literal['me'], Field(alias='u')]\n", False),
        ("from typing import Annotated\n\nCurrentUser = Annotated[str, Depends(find)]\n", True),
    ],
)
def test_what_does_nothing_is_not_there(text: str, counts: bool) -> None:
    files = {**project_files(shape_named("flat")), "deps.py": text.encode()}
    assert (way(files)["jwt"].state is State.YOURS) == counts


def test_where_middleware_is_put_on_comes_before_where_it_is_made() -> None:
    files = {
        **project_files(shape_named("flat")),
        "answers.py": b"from starlette.middleware.cors import CORSMiddleware\n\ncors = CORSMiddleware(app=None)\n",
    }
    assert str(way(files)["cors"].place) == "answers.py:3"
    added = b"\nfrom fastapi.middleware.cors import CORSMiddleware\n\napp.add_middleware(CORSMiddleware)\n"
    files["main.py"] += added
    lines = files["main.py"].count(b"\n")
    assert str(way(files)["cors"].place) == f"main.py:{lines}"


def answering(path: str) -> dict[str, bytes]:
    """Return a project with a route."""
    files = dict(project_files(shape_named("flat")))
    files["main.py"] += f"\n\n@app.get('{path}')\ndef alive() -> str:\n    return 'ok'\n".encode()
    return files


@pytest.mark.parametrize("path", ["/healthcheck", "/health-check", "/health/check", "/health_check"])
def test_health_is_there_on_other_paths(path: str) -> None:
    assert way(answering(path))["health"].state is State.YOURS


@pytest.mark.parametrize("path", ["/api/v1/health", "/utils/health-check/", "/ping"])
def test_health_below_a_prefix_is_said_at_the_step(path: str) -> None:
    files = answering(path)
    step = way(files)["health"]
    assert step.state is State.OPEN
    assert [note.message for note in step.notes] == [f"{path.rstrip('/')} is yours, and answers as before"]
    added = memory.add(files, "health")
    assert memory.add(added, "health") == added
    assert memory.remove(added, "health") == files


def test_what_is_recommended_and_there_already_is_done_without() -> None:
    files = {**project_files(shape_named("flat")), "Dockerfile": b"FROM python:3.13-slim\n"}
    step = way(files)["k8s"]
    assert command(step, ["laterctl"]) == "laterctl add k8s --without docker"
    assert memory.planned(files, request(step)).refusals == ()


def test_what_laterctl_added_is_shown_where_it_is_wired() -> None:
    files = memory.add(project_files(shape_named("flat")), "cors", "docker", "health", "coverage")
    for present in (files, {path: data for path, data in files.items() if not path.startswith(".laterctl/")}):
        found = {name: step for name, step in way(present).items() if step.state is not State.OPEN}
        assert {"cors", "health", "docker"} <= {*found}
        assert found["health"].state is State.INSTALLED
    found = way(files)
    cors, health = found["cors"].place, found["health"].place
    assert cors is not None
    assert health is not None
    main = files["main.py"].decode().splitlines()
    assert "add_middleware(CorsMiddleware" in main[cors.line - 1]
    assert "include_router(health_router" in main[health.line - 1]
    assert str(found["docker"].place) == "Dockerfile:1"


def test_on_the_screen_and_as_json(tmp_path: Path) -> None:
    folder = copy(shape_named("helpers"), tmp_path)
    before = contents(folder)
    ran = run(folder, "guide")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("ferry.main:app (ferry/main.py:")
    first, then = ran.out.index("\nWhat comes next\n"), ran.out.index("\nThen, one by one\n")
    assert "cors" in ran.out[ran.out.index("\nWhat is there\n") : first]
    assert "      laterctl add coverage\n" in ran.out[first:then]
    assert "      why: " in ran.out[first:then]

    found = run(folder, "guide", "--json").document
    assert (found["kind"], found["app"]) == ("guide", "ferry.main:app")
    assert [item["name"] for item in found["steps"]] == [item.name for item in catalogue.in_order()]
    by_name = {item["name"]: item for item in found["steps"]}
    assert (by_name["cors"]["state"], by_name["cors"]["command"]) == ("yours", "")
    assert by_name["coverage"]["command"] == "laterctl add coverage"
    named = run(folder.parent, "-C", folder.name, "--app", "ferry.main:app", "guide", "--json").document
    first_command = next(item["command"] for item in named["steps"] if item["command"])
    assert first_command == f"laterctl -C {folder.name} --app ferry.main:app add coverage"
    assert contents(folder) == before


def test_where_it_is_open_which_application_is_meant_it_says_so(tmp_path: Path) -> None:
    ran = run(copy(shape_named("two_apps"), tmp_path), "guide")
    assert ran.code == 3
    assert "--app" in ran.err


def test_one_reason_is_told_once_and_what_no_version_changes_goes_first(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("from fastapi import FastAPI\n\napp = FastAPI()\n")
    (tmp_path / "requirements.txt").write_text("fastapi==0.104.1\n")
    _, unfit = run(tmp_path, "guide").out.split("What does not fit\n")
    told = [" ".join(part.split()) for part in unfit.rstrip().split("\n  ") if not part.startswith("    ")]
    assert [line.split()[0] for line in told] == ["di-testing", "e2e", "migrations", "jwt", "versioning"]
    assert unfit.count("fastapi==0.104.1 excludes fastapi 0.112.2 and newer") == 1
    assert "nor do pooling, queries, replicas" in " ".join(unfit.split())
