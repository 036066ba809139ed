"""What a project cannot be served with is told in the plan: why, what is done instead, and where it stands."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from laterctl.engine.plan import Request
from tests import memory
from tests.cli.command import run
from tests.dialect_projects import dialect

HEAD: Final = "from fastapi import FastAPI\n"
APP: Final = f"{HEAD}{{imports}}\n\napp = FastAPI()\n"
CLASS: Final = "from pydantic_settings import BaseSettings\n\n\nclass Settings(BaseSettings):\n    env: str = ''\n"
CONTAINER: Final = (
    "from dependency_injector import containers, providers\n\n\nclass Container(containers.DeclarativeContainer):\n"
    "    config = providers.Configuration()\n"
)
VARIABLES: Final = "new settings are variables of the process"
FUNCTIONS: Final = "new objects come from cached functions"
DEFAULTS: Final = "new settings have their defaults in the code"
ROUTER: Final = "resources are managed by a router's lifespan"

CASES: Final = {
    "made_in_main": ({"main.py": f"{CLASS}\n\n{HEAD}\nsettings = Settings()\napp = FastAPI()\n"}, "cors", VARIABLES, "main.py", "class Settings"),
    "made_in_a_function": (
        {"main.py": APP.format(imports="from config import load\n"), "config.py": f"{CLASS}\n\ndef load(path):\n    return Settings(_env_file=path)\n"},
        "cors", VARIABLES, "config.py", "class Settings",
    ),
    "own_module": (
        {"main.py": APP.format(imports="from config import settings\n"), "config.py": "import os\n\n\nclass Config:\n    env = os.environ['ENV']\n\n\nsettings = Config()\n"},
        "jwt", VARIABLES, "config.py", "os.environ",
    ),
    "other_library": (
        {"main.py": APP.format(imports="import config\n"), "config.py": "from decouple import config\n\nDEBUG = config('DEBUG', default=False)\n"},
        "cors", VARIABLES, "config.py", "decouple",
    ),
    "pydantic_1": (
        {"main.py": APP.format(imports="from config import settings\n"), "config.py": CLASS.replace("pydantic_settings", "pydantic.v1") + "\n\nsettings = Settings()\n"},
        "cors", VARIABLES, "config.py", "class Settings",
    ),
    "computed_root": (
        {"main.py": APP.format(imports="from config import settings\n"), "config.py": "import os\n\nfrom dynaconf import Dynaconf\n\nsettings = Dynaconf(root_path=os.environ['CONF'], settings_files=['conf.toml'])\n"},
        "metrics", DEFAULTS, "config.py", "Dynaconf(",
    ),
    "container_in_a_factory": (
        {"main.py": f"{HEAD}from container import Container\n\n\ndef create_app():\n    container = Container()\n    made = FastAPI()\n    made.state.container = container\n    return made\n\n\napp = create_app()\n", "container.py": CONTAINER},
        "resources", FUNCTIONS, "container.py", "class Container",
    ),
    "container_in_main": (
        {"main.py": f"{HEAD}{CONTAINER}\n\ncontainer = Container()\napp = FastAPI()\n"}, "resources", FUNCTIONS, "main.py", "class Container",
    ),
    "dynamic_container": (
        {"main.py": APP.format(imports="from container import container\n"), "container.py": "from dependency_injector import containers\n\ncontainer = containers.DynamicContainer()\n"},
        "resources", FUNCTIONS, "container.py", "DynamicContainer()",
    ),
    "handlers": (
        {"main.py": f"{APP.format(imports='')}\n\n@app.on_event('startup')\nasync def start(): ...\n"}, "resources", ROUTER, "main.py", "on_event",
    ),
    "no_environment": (
        {"main.py": APP.format(imports="from config import config\n"), "config.py": "from starlette.config import Config\n\nconfig = Config()\n"},
        "cors", "it is production where ENVIRONMENT says so", "config.py", "Config()",
    ),
}  # fmt: skip
MANIFEST: Final = "fastapi>=0.115.4\npydantic>=2\npydantic-settings>=2.6\ndependency-injector>=4.48\n"


@pytest.mark.parametrize("case", CASES)
def test_the_plan_says_what_is_done_instead(case: str, tmp_path: Path) -> None:
    texts, feature, message, path, marker = CASES[case]
    for name, text in {"requirements.txt": MANIFEST, **texts}.items():
        (tmp_path / name).write_text(text)

    notes = [
        note
        for note in run(tmp_path, "add", feature, "--dry-run", "--json").document["notes"]
        if message in note["message"]
    ]
    places = {(note["level"], note["place"]["path"], note["place"]["line"]) for note in notes}
    ((level, where, line),) = places
    assert (level, where) == ("choice", path)
    assert marker in texts[path].splitlines()[line - 1]
    shown = run(tmp_path, "add", feature, "--dry-run").out
    (said,) = (row for row in shown.splitlines() if message in row)
    assert said.strip().startswith(f"{path}:{line}: ")


@pytest.mark.parametrize("name", ["dynaconf", "pydantic", "object", "getter", "none"])
def test_nothing_is_said_where_everything_goes_where_it_belongs(name: str, tmp_path: Path) -> None:
    for path, data in dialect(name).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
    ran = run(tmp_path, "add", "jwt", "metrics", "resources", "--dry-run", "--json")
    told = [note["message"] for note in ran.document["notes"] if note["level"] == "choice"]
    words = (VARIABLES, FUNCTIONS, DEFAULTS, ROUTER, "ENVIRONMENT")
    assert [message for message in told if any(word in message for word in words)] == []


ROUTED: Final = {
    "own prefixes": (["'/api/users'", "'/api/items'"], [], "/api/auth"),
    "one router around them": (["'/users'", "'/items'"], ["'/api/v1'"], "/api/v1/auth"),
    "a part that differs at each request": (["'/api/{shop}/users'", "'/api/{shop}/items'"], [], "/api/auth"),
    "nothing in common": (["'/users'", "'/items'"], [], "/auth"),
    "letters in common": (["'/users'", "'/uses'"], [], "/auth"),
    "the same path": (["'/items'", "'/items'"], [], "/auth"),
    "one router": (["'/api/users'"], [], "/auth"),
    "one without a path": (["'/api/users'", "''"], [], "/auth"),
    "a path that is computed": (["'/api/users'", "PREFIX"], [], "/auth"),
}


@pytest.mark.parametrize("case", ROUTED)
def test_routes_go_below_the_path_that_the_routers_of_the_project_are_below(case: str) -> None:
    prefixes, around, expected = ROUTED[case]
    files = routed(prefixes, around)
    entry = memory.planned(files, Request(add=("jwt",))).entries["jwt"]
    assert entry.options.get("prefix", "/auth") == expected
    plan = memory.planned(files, Request(add=("permissions",)))
    told = [note.message for note in plan.notes if note.level == "choice"]
    assert [f"jwt.prefix={expected}" in message for message in told] == [True] * (expected != "/auth")
    with_health = memory.run(files, Request(add=("health",)))
    assert memory.planned(with_health, Request(add=("jwt",))).entries["jwt"].options == entry.options
    chosen = memory.planned(files, Request(add=("jwt",), options={"jwt": {"prefix": "/login"}}))
    assert chosen.entries["jwt"].options["prefix"] == "/login"


def routed(prefixes: list[str], around: list[str]) -> dict[str, bytes]:
    """Return a project with a router of each prefix, all in one with another prefix where there is one."""
    main = ["from fastapi import APIRouter, FastAPI", "from sys import prefix as PREFIX", "app = FastAPI()"]
    main += [f"whole = APIRouter(prefix={prefix})" for prefix in around]
    for number, prefix in enumerate(prefixes):
        main += [f"router_{number} = APIRouter(prefix={prefix})", f"@router_{number}.get('/{number}')"]
        main += [f"def read_{number}(): ...", f"{'whole' if around else 'app'}.include_router(router_{number})"]
    main += ["app.include_router(whole)"] if around else []
    return {"main.py": "\n".join([*main, ""]).encode(), "requirements.txt": b"fastapi>=0.115\n"}
