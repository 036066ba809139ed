"""Operation ids that the project makes of the functions' names: ours do not meet the user's, or it is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from laterctl.engine.plan import Request
from tests.dialect_projects import features
from tests.proof.scene import Step, project
from tests.shapes import NEED_A_DATABASE, NEED_ROUTERS

NAMED = """\
from fastapi import FastAPI
from fastapi.routing import APIRoute


def unique_id(route: APIRoute) -> str:
    return route.name


app = FastAPI(generate_unique_id_function=unique_id)
"""
IN_A_FACTORY = """\
from fastapi import FastAPI


def create_app() -> FastAPI:
    made = FastAPI(generate_unique_id_function=lambda route: route.name)
    return made


app = create_app()
"""
ROUTES = """

@app.post("/mine/{name}")
def {name}() -> None: ...
"""
EVERY = tuple(name for name in features("none") if name not in {*NEED_A_DATABASE, *NEED_ROUTERS})


def routes(*names: str) -> str:
    """Return routes of the user's whose functions have these names."""
    return "".join(ROUTES.replace("{name}", name) for name in names)


@pytest.mark.parametrize("main", [NAMED, IN_A_FACTORY], ids=["module", "factory"])
def test_common_names_stay_the_user_s(main: str, tmp_path: Path) -> None:
    words = ("refresh", "sign_in", "sign_out", "login", "logout", "token", "metrics", "read_metrics", "health")
    step = Step(project(tmp_path / "shop", {"main.py": main + routes(*words)}), Request(add=EVERY))
    step.execute()
    assert step.compared().failures == ()


def test_a_name_that_meets_ours_is_told(tmp_path: Path) -> None:
    files = {"main.py": NAMED + routes("auth_refresh", "mine")}
    step = Step(project(tmp_path / "shop", files), Request(add=("jwt",)))
    step.execute()
    (failure,) = step.compared().failures
    assert (failure.check, failure.message) == (
        "openapi",
        "POST /auth/refresh and POST /mine/auth_refresh have one operation id, auth_refresh",
    )


def test_ids_that_met_before_are_not_blamed(tmp_path: Path) -> None:
    files = {"main.py": NAMED + routes("mine") + routes("mine").replace("/mine", "/yours")}
    step = Step(project(tmp_path / "shop", files), Request(add=("jwt",)))
    step.execute()
    assert step.compared().failures == ()


def test_the_methods_of_one_route_have_one_id_in_every_version(tmp_path: Path) -> None:
    both = "\n\n@router.api_route('/both', methods=['GET', 'HEAD'])\ndef both() -> None: ...\n\n\napp.include_router(router)\n"
    main = f"from fastapi import APIRouter, FastAPI\n\napp = FastAPI()\nrouter = APIRouter()\n{both}"
    step = Step(project(tmp_path / "shop", {"main.py": main}), Request(add=("versioning",)))
    step.execute()
    report = step.compared()
    assert report.failures == ()
