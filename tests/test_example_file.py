"""The example of an environment file: a copy of it starts the application, and production says what is missing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import httpx2
import pytest

from laterctl.codemods.lines import env_key
from laterctl.edits.setting import Setting
from laterctl.engine import ledger
from laterctl.engine.plan import Request
from laterctl.features import catalogue
from laterctl.targets.text_line import TextLine
from tests import memory
from tests.dialect_projects import NAMES, dialect, features
from tests.servers import uvicorn_server
from tests.shapes import FOUNDATION_PACKAGE, NEED_A_DATABASE, NEED_ROUTERS, files, shape_named
from tests.test_laws import taken

EXAMPLE: Final = ".env.example"
SECRET: Final = "jwt_keys"
MAIN: Final = "from fastapi import FastAPI\n\n{imports}\n\napp = FastAPI(title=str({title}))\n"
PYDANTIC: Final = "from pydantic_settings import BaseSettings, SettingsConfigDict\n\n\nclass Settings(BaseSettings):\n"

CONFIGS: Final = {
    "forbids_strangers": f"{PYDANTIC}    model_config = SettingsConfigDict(env_file='.env')\n    env: str = ''\n",
    "upper": f"{PYDANTIC}    model_config = SettingsConfigDict(env_prefix='shop_', env_file='.env', case_sensitive=True)\n"
    "    ENV: str = ''\n    TITLE: str = 'Shop'\n",
    "nested": f"from pydantic import BaseModel\n\n\nclass Mail(BaseModel):\n    host: str = ''\n\n\n{PYDANTIC}"
    "    model_config = SettingsConfigDict(env_prefix='SHOP_', env_nested_delimiter='__', env_file='.env')\n"
    "    env: str = ''\n    mail: Mail = Mail()\n",
    "ignores_empty": f"{PYDANTIC}    model_config = SettingsConfigDict(env_ignore_empty=True, env_file='.env')\n"
    "    env: str = ''\n",
    "own_fields": f"from pydantic import RedisDsn\n{PYDANTIC}    model_config = SettingsConfigDict(env_file='.env')\n"
    "    env: str = ''\n    cors_origins: list[str] = ['https://shop.example']\n    redis_url: RedisDsn | None = None\n"
    "    http_timeout_seconds: float = 30\n",
    "dynaconf_without_prefix": "from dynaconf import Dynaconf\n\nsettings = Dynaconf(envvar_prefix=False, load_dotenv=True)\n",
    "dynaconf_with_environments": "from dynaconf import Dynaconf\n\nsettings = Dynaconf(environments=True)\n",
    "dynaconf_with_a_setting": "from dynaconf import Dynaconf\n\nsettings = Dynaconf(envvar_prefix='SHOP')\n",
    "pydantic_v1": "from pydantic.v1 import BaseSettings\n\n\nclass Settings(BaseSettings):\n    env: str = ''\n\n"
    "    class Config:\n        env_file = '.env'\n",
    "starlette_prefix": "from starlette.config import Config\n\nsettings = Config('.env', env_prefix='SHOP_')\n",
    "own_module": "import os\n\n\nclass Config:\n    env = os.environ.get('SHOP_ENV', '')\n\n\nsettings = Config()\n",
}
PRODUCTION: Final = {
    "foundation": "APP_ENV",
    "foundation_pydantic": "APP_ENV",
    "dynaconf_with_environments": "ENV_FOR_DYNACONF",
    "dynaconf_with_a_setting": "SHOP_STAGE",
    "cached_getter": "LOTTERY_ENVIRONMENT",
    "poetry": "ENVIRONMENT",
    "factory": "BOOKSHOP_ENVIRONMENT",
    "forbids_strangers": "ENV",
    "upper": "shop_ENV",
    "nested": "SHOP_ENV",
    "ignores_empty": "ENV",
    "own_fields": "ENV",
    "object": "APP_ENV",
    "getter": "APP_ENV",
}
"""The variable that names the environment; `ENVIRONMENT` where the project has none."""
CALLED: Final = {"cached_getter": "prod", "poetry": "production"}
SHAPES: Final = (
    "foundation",
    "foundation_pydantic",
    "dynaconf",
    "starlette_config",
    "environ",
    "cached_getter",
    "poetry",
)
OTHERS: Final = ("factory", "crlf", "src_layout", "subclass")
FOUNDED: Final = ("dynaconf", "pydantic")
"""Names of `dialect_projects` that are shapes, too."""
EVERY: Final = (*SHAPES, *OTHERS, *CONFIGS, *(name for name in NAMES if name not in FOUNDED))


def project(name: str) -> tuple[dict[str, bytes], str, Mapping[str, str], list[str]]:
    """Return the files of a project, what uvicorn serves, the environment that it needs, and the features it takes."""
    if name in CONFIGS:
        config = CONFIGS[name]
        if "Settings" in config:
            config += "\n\nsettings = Settings()\n"
        imports = "from shop.config import settings"
        title = "settings('TITLE', default='Shop')" if "starlette" in name else "getattr(settings, 'title', 'Shop')"
        texts = {
            "pyproject.toml": dialect("none")["pyproject.toml"].decode(),
            "shop/__init__.py": "",
            "shop/config.py": config,
            "shop/main.py": MAIN.format(imports=imports, title=title),
        }
        if name == "dynaconf_with_a_setting":
            texts["settings.toml"] = "stage = 'testing'\n"
        found, reference, env = {path: text.encode() for path, text in texts.items()}, "shop.main:app", {}
        names = [item for item in features("none") if item not in {*NEED_A_DATABASE, *NEED_ROUTERS}]
    elif name in NAMES and name not in FOUNDED:
        found, reference, env = dialect(name), f"{FOUNDATION_PACKAGE}.main:app", {"PYTHONPATH": "src"}
        names = [*features(name)]
    else:
        shape = shape_named(name)
        found, reference, env, names = files(shape), shape.reference, dict(shape.env), taken(shape)
    return {EXAMPLE: b"# mine\n", **found}, reference, env, names


def with_everything(name: str, folder: Path) -> tuple[str, Mapping[str, str], dict[str, bytes]]:
    """Write a project with all features it takes, and the copy of its example file."""
    before, reference, env, names = project(name)
    after = memory.add(before, *names)
    for path, data in {**after, ".env": after[EXAMPLE]}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return reference, {**env, "PYTHONDONTWRITEBYTECODE": "1"}, after


def example_lines(tree: Mapping[str, bytes]) -> list[TextLine]:
    """Return what features have in the example file."""
    records = ledger.records_of(ledger.load(memory.project(tree).tree).values())
    return [item.target for item in records if isinstance(item.target, TextLine) and item.target.path == EXAMPLE]


@pytest.mark.parametrize("name", EVERY)
def test_a_copy_starts_the_application(name: str, tmp_path: Path) -> None:
    reference, env, after = with_everything(name, tmp_path)
    secret = next(item.text for item in example_lines(after) if item.text.lower().endswith(f"{SECRET}="))
    variable = env_key(secret.rpartition("\n")[2])

    with uvicorn_server(reference, tmp_path, env, arguments=["--env-file", ".env"]) as server:
        assert "Application startup complete" in server.output()
        assert httpx2.post(f"{server.url}/auth/token", data={"username": "a", "password": "b"}).status_code == 503
        assert f"{variable} is not set: authentication answers 503" in server.output()
    with uvicorn_server(reference, tmp_path, env) as server:
        assert "Application startup complete" in server.output()

    where = {PRODUCTION.get(name, "ENVIRONMENT"): CALLED.get(name, "production")}
    command = [sys.executable, "-m", "uvicorn", reference, "--port", "0", "--env-file", ".env"]
    ended = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, **env, **where},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 3, ended.stderr
    assert f"{variable} is not set" in ended.stdout + ended.stderr


@pytest.mark.parametrize("name", EVERY)
def test_each_line_says_what_it_is(name: str) -> None:
    before, _, _, names = project(name)
    after = memory.add(before, *names)
    every = (edit for feature in catalogue.module_names() for edit in catalogue.edits_of(feature))
    said = {item.words() for item in every if isinstance(item, Setting)}
    found = example_lines(after)
    assert found
    text = after[EXAMPLE].decode().replace("\r\n", "\n")
    for item in found:
        comment, _, line = item.text.partition("\n")
        assert comment.removeprefix("# ") in said
        assert env_key(line)
        assert f"\n{item.text}\n" in text
    secrets = {
        line for item in found if (line := item.text.rpartition("\n")[2]).lower().endswith(("_keys=", "_token="))
    }
    assert len(secrets) == 3, "keys and tokens have no value, so that none is taken for one"
    assert memory.remove(after, *names) == before


def test_what_settings_have_already_is_theirs() -> None:
    before, _, _, names = project("own_fields")
    keys = {env_key(item.text.rpartition("\n")[2]) for item in example_lines(memory.add(before, *names))}
    assert keys.isdisjoint({"CORS_ORIGINS", "REDIS_URL", "HTTP_TIMEOUT_SECONDS"})
    assert "CORS_CREDENTIALS" in keys


def test_a_type_that_takes_no_empty_text_is_commented_out() -> None:
    """The user has narrowed a field of ours; an update brings the line for it."""
    before, _, _, _ = project("forbids_strangers")
    made = memory.add({path: data for path, data in before.items() if path != EXAMPLE}, "cors")
    narrowed = made["shop/config.py"].replace(b"cors_origins: list[str] | str", b"cors_origins: list[str]")
    assert narrowed != made["shop/config.py"]
    after = memory.run(
        {**made, "shop/config.py": narrowed, EXAMPLE: b""}, Request(update=("cors", "errors", "settings"))
    )
    assert b"\n# CORS_ORIGINS=\n" in after[EXAMPLE]
    assert b"\nCORS_EXPOSE=\n" in after[EXAMPLE]


@pytest.mark.parametrize("name", [".env.sample", ".env.template", ".env.dist"])
def test_other_names_of_the_file(name: str) -> None:
    before = {**dialect("object"), name: b"APP_ENV=\n"}
    after = memory.add(before, "jwt")
    assert b"\nAPP_JWT_KEYS=\n" in after[name]
    assert EXAMPLE not in after


@pytest.mark.parametrize(
    ("name", "said"), [("starlette", True), ("none", False), ("object", False), ("dynaconf", False)]
)
def test_without_the_file_it_is_said_where_the_settings_are(name: str, said: bool) -> None:
    tree = {path: data for path, data in dialect(name).items() if path != EXAMPLE}
    plan = memory.planned(tree, Request(add=("cors",)))
    assert EXAMPLE not in {*plan.changeset}
    notes = [note.message for note in plan.notes if note.level == "choice" and EXAMPLE in note.message]
    assert notes == said * [
        "there is no .env.example for the new settings; laterctl info FEATURE lists those of a feature"
    ]


def test_what_the_user_wrote_stays() -> None:
    before = {**dialect("object"), EXAMPLE: b"APP_JWT_ISSUER=shop\n# APP_CORS_ORIGINS=\n"}
    after = memory.add(before, "jwt", "cors")
    assert after[EXAMPLE].count(b"APP_JWT_ISSUER=") == 1
    assert after[EXAMPLE].count(b"APP_CORS_ORIGINS=") == 1
    edited = {**after, EXAMPLE: after[EXAMPLE].replace(b"APP_JWT_AUDIENCE=api", b"APP_JWT_AUDIENCE=shop")}
    assert edited != after
    request = Request(remove=("jwt", "cors"), delete_edited=True)
    assert memory.run(edited, request) == before
