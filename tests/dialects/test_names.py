"""What is said about a setting is what a person writes: put where it goes, the project reads it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from laterctl.commands.read import notes, secret
from laterctl.dialects.settings import SettingLine, SettingSpec, setting_lines, settings_of
from laterctl.engine.plan import Request
from laterctl.features import catalogue
from laterctl.project.discover import discover
from tests import memory
from tests.cli.command import done, run
from tests.memory import add
from tests.project.making import write
from tests.shapes import files, shape_named

VALUE = "1a2b3c4d:c2VjcmV0+/=="

DYNACONF = "from dynaconf import Dynaconf\nsettings = Dynaconf({})\n"
PYDANTIC = (
    "from pydantic_settings import BaseSettings, SettingsConfigDict\n\nclass Settings(BaseSettings{}):\n    {}\n"
    "    {}: str = ''\n\nsettings = Settings()\n"
)
STARLETTE = "from starlette.config import Config\n\nconfig = Config({})\nDEBUG = config('DEBUG', default='')\n"

CONFIGS: Mapping[str, tuple[str, Mapping[str, str], tuple[str, ...]]] = {
    "dynaconf": (DYNACONF.format(""), {}, ("DYNACONF_JWT_KEYS=",)),
    "dynaconf, prefix": (DYNACONF.format("envvar_prefix='app'"), {}, ("APP_JWT_KEYS=",)),
    "dynaconf, no prefix": (DYNACONF.format("envvar_prefix=False"), {}, ("JWT_KEYS=",)),
    "dynaconf, empty prefix": (DYNACONF.format("envvar_prefix=''"), {}, ("_JWT_KEYS=",)),
    "dynaconf, .env": (DYNACONF.format("load_dotenv=True"), {}, (".env DYNACONF_JWT_KEYS=",)),
    "dynaconf, another .env": (
        DYNACONF.format("load_dotenv=True, dotenv_path='conf/local.env'"),
        {"conf/local.env": ""},
        ("conf/local.env DYNACONF_JWT_KEYS=",),
    ),
    "dynaconf, files": (
        DYNACONF.format("settings_files=['settings.toml', '.secrets.toml'], envvar_prefix='APP'"),
        {"settings.toml": "DEBUG = true\n"},
        ("APP_JWT_KEYS=", ".secrets.toml JWT_KEYS = "),
    ),
    "dynaconf, files and environments": (
        DYNACONF.format("settings_files=['settings.toml', '.secrets.toml'], environments=True"),
        {"settings.toml": "[default]\ndebug = true\n", ".secrets.toml": "[default]\n[production]\n"},
        ("DYNACONF_JWT_KEYS=", ".secrets.toml [default] jwt_keys = "),
    ),
    "dynaconf, secrets": (
        DYNACONF.format("settings_files=['settings.toml'], secrets='.secrets.toml'"),
        {"settings.toml": ""},
        ("DYNACONF_JWT_KEYS=", ".secrets.toml jwt_keys = "),
    ),
    "dynaconf, files in a folder": (
        DYNACONF.format("settings_files=['conf/settings.toml', 'conf/.secrets.toml']"),
        {"conf/settings.toml": ""},
        ("DYNACONF_JWT_KEYS=", "conf/.secrets.toml jwt_keys = "),
    ),
    "pydantic": (PYDANTIC.format("", "debug: bool = False", "jwt_keys"), {}, ("JWT_KEYS=",)),
    "pydantic, prefix and .env": (
        PYDANTIC.format("", "model_config = SettingsConfigDict(env_prefix='shop_', env_file='.env')", "jwt_keys"),
        {},
        (".env SHOP_JWT_KEYS=",),
    ),
    "pydantic, class keywords": (
        PYDANTIC.format(", env_prefix='SHOP_', env_file=('./.env', '.env.local')", "debug: bool = False", "jwt_keys"),
        {},
        (".env SHOP_JWT_KEYS=",),
    ),
    "pydantic, inner class": (
        PYDANTIC.format("", "class Config:\n        env_file = '.env'\n", "jwt_keys"),
        {},
        (".env JWT_KEYS=",),
    ),
    "pydantic, case-sensitive": (
        PYDANTIC.format("", "model_config = {'case_sensitive': True, 'env_prefix': 'shop_'}", "jwt_keys"),
        {},
        ("shop_jwt_keys=",),
    ),
    "pydantic, case-sensitive capitals": (
        PYDANTIC.format(", case_sensitive=True", "DEBUG: bool = False", "JWT_KEYS"),
        {},
        ("JWT_KEYS=",),
    ),
    "pydantic, a path": (
        "from pathlib import Path\n"
        + PYDANTIC.format("", "model_config = {'env_file': Path(__file__).parent / '.env'}", "jwt_keys"),
        {},
        (".env JWT_KEYS=",),
    ),
    "pydantic, python-dotenv": (
        "from dotenv import load_dotenv\nload_dotenv()\n" + PYDANTIC.format("", "debug: bool = False", "jwt_keys"),
        {},
        (".env JWT_KEYS=",),
    ),
    "pydantic 1": (
        "from pydantic.v1 import BaseSettings\n\nclass Settings(BaseSettings):\n    debug: bool = False\n\n"
        "    class Config:\n        env_prefix = 'APP_'\n        env_file = '.env'\n\nsettings = Settings()\n",
        {},
        ("JWT_KEYS=",),
    ),
    "starlette": (STARLETTE.format(""), {}, ("JWT_KEYS=",)),
    "starlette, .env": (STARLETTE.format("'.env'"), {".env": ""}, (".env JWT_KEYS=",)),
    "starlette, prefix": (STARLETTE.format("env_file='.env', env_prefix='shop_'"), {}, (".env shop_JWT_KEYS=",)),
    "environ": ("import os\n\nDEBUG = os.environ.get('DEBUG')\n", {}, ("JWT_KEYS=",)),
    "environ, python-dotenv": (
        "import os\n\nimport dotenv\n\ndotenv.load_dotenv(dotenv_path='local.env')\nDEBUG = os.environ.get('DEBUG')\n",
        {},
        ("local.env JWT_KEYS=",),
    ),
    "a loader": ("import json\n\nsettings = json.loads('{}')\n", {}, ("JWT_KEYS=",)),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_each_line_is_read_where_it_says_it_goes(name: str, tmp_path: Path) -> None:
    config, more, told = CONFIGS[name]
    main = "import config\nfrom fastapi import FastAPI\n\napp = FastAPI()\n"
    project = discover(write(tmp_path, {"config.py": config, "main.py": main, **more}))
    lines = setting_lines(project, "jwt_keys", VALUE)
    assert tuple(f"{_where(line)}{line.text}".partition(VALUE)[0].removesuffix('"') for line in lines) == told
    expression = settings_of(project).read()
    imports = [
        f"from {item.module} import {item.name}" if item.name else f"import {item.module}"
        for item in expression.imports
    ]
    code = "\n".join(["import config", *imports, "name = 'jwt_keys'", f"print({expression.text})"])
    assert VALUE not in printed(tmp_path, code, {})
    for line in lines:
        for path, environment in places(line):
            before = put(tmp_path, path, line) if path else None
            assert printed(tmp_path, code, environment) == VALUE, (line, path)
            if path:
                restore(tmp_path / path, before)


@pytest.mark.parametrize("name", ["foundation", "foundation_pydantic", "environ", "starlette_config"])
def test_the_printed_key_signs(name: str, tmp_path: Path) -> None:
    """With jwt added, each line gives the application's own settings the key, and its name is in its messages."""
    shape = shape_named(name)
    for path, data in add(files(shape), "jwt").items():
        write(tmp_path, {path: data})
    project = discover(tmp_path)
    make = catalogue.feature("jwt").secret
    assert make is not None
    value = make()["jwt_keys"]
    names = {"core/auth/tokens.py": "AuthSettings", "core/feature_settings.py": "variable"}
    imports = [
        f"from {project.module_of(path)} import {name}"
        for path in project.tree.python_files()
        for end, name in names.items()
        if path.endswith(end)
    ]
    code = "\n".join([*imports, "print(variable('jwt_keys'), *AuthSettings().jwt_keys)"])
    variable = settings_of(project).environment_variable("jwt_keys")
    assert printed(tmp_path, code, shape.env) == variable
    for line in setting_lines(project, "jwt_keys", value):
        for path, environment in places(line):
            before = put(tmp_path, path, line) if path else None
            assert printed(tmp_path, code, {**shape.env, **environment}) == f"{variable} {value.partition(':')[0]}"
            if path:
                restore(tmp_path / path, before)


def test_where_the_settings_are_undecided_the_secret_says_so(tmp_path: Path) -> None:
    config = PYDANTIC.format(", env_prefix='{}'", "debug: bool = False", "jwt_keys")
    main = "import a, b\nfrom fastapi import FastAPI\n\napp = FastAPI()\n"
    two = {"a.py": config.format("A_"), "b.py": config.format("B_"), "main.py": main}
    made = secret("jwt", write(tmp_path, two))
    assert made.unknown.startswith("several settings: ")
    chosen = {"pyproject.toml": "[tool.laterctl]\nsettings = 'b:settings'\n"}
    made = secret("jwt", write(tmp_path, chosen))
    assert (list(made.values), made.unknown) == (["B_JWT_KEYS"], "")


def test_names_in_notes_are_those_of_settings() -> None:
    every = catalogue.every()
    known = {edit.name for feature in every for edit in feature.edits if isinstance(edit, SettingSpec)}
    project = discover(Path(__file__).parent)
    for feature in every:
        assert "{" not in "".join(feature.changes)
        for note, said in zip(feature.notes, notes(feature, project), strict=True):
            for name in known:
                assert name.upper() not in note, f"{feature.name}: write {{{name}}}"
                assert (f"{{{name}}}" in note) == (name.upper() in said)
            assert "{" not in said, note


@pytest.mark.parametrize("taken", [False, True])
def test_modules_in_notes_are_the_projects(taken: bool) -> None:
    before = {**files(shape_named("flat")), **({"core/rate_limit.py": b"MINE = 1\n"} if taken else {})}
    made = memory.planned(before, Request(add=("rate-limit",)))
    said = notes(catalogue.feature("rate-limit"), memory.project(before), made.entries["rate-limit"])
    module = "core.app_rate_limit" if taken else "core.rate_limit"
    assert said[0].endswith(f"from {module}")
    assert f"{module.replace('.', '/')}.py" in made.changeset


def test_notes_offer_no_value_that_an_option_has() -> None:
    before = files(shape_named("flat"))
    offer = "laterctl add cache --set cache.store=redis"
    for store in ("memory", "redis"):
        made = memory.planned(before, Request(add=("cache",), options={"cache": {"store": store}}))
        said = notes(catalogue.feature("cache"), memory.project(before), made.entries["cache"])
        assert any(offer in note for note in said) == (store == "memory")


def test_only_the_settings_that_come_are_named(tmp_path: Path) -> None:
    write(tmp_path, files(shape_named("flat")))
    assert "VAULT" not in run(tmp_path, "add", "secrets", "--dry-run").out
    assert "VAULT_TOKEN" in run(tmp_path, "add", "secrets", "--set", "secrets.provider=vault", "--dry-run").out
    said = done(tmp_path, "info", "secrets").out
    assert 'VAULT_ROLE  the role that service accounts sign in with ("")  with provider=vault, login=kubernetes' in said
    assert "core/env_secrets.py\n" in said


def _where(line: SettingLine) -> str:
    return "".join([f"{line.path} " if line.path else "", f"[{line.table}] " if line.table else ""])


def places(line: SettingLine) -> list[tuple[str, dict[str, str]]]:
    """Return where a line goes: into its file, and into the environment when it says so."""
    name, _, value = line.text.partition("=")
    return [*([(line.path, {})] if line.path else []), *([("", {name: value})] if line.environment else [])]


def put(root: Path, path: str, line: SettingLine) -> bytes | None:
    """Write a line where it says, and return what the file was."""
    file = root / path
    before = file.read_bytes() if file.exists() else None
    text = (before or b"").decode()
    header = f"[{line.table}]\n"
    if not line.table:
        text = f"{line.text}\n{text}"
    elif header in text:
        text = text.replace(header, f"{header}{line.text}\n")
    else:
        text = f"{text}{header}{line.text}\n"
    file.write_text(text)
    return before


def restore(file: Path, before: bytes | None) -> None:
    """Make a file what it was."""
    if before is None:
        file.unlink()
    else:
        file.write_bytes(before)


def printed(root: Path, code: str, environment: Mapping[str, str]) -> str:
    """Run code in a project, and return what it prints."""
    kept = {key: value for key, value in os.environ.items() if "JWT" not in key}
    folders = os.pathsep.join([str(root), str(root / "src")])
    command = [sys.executable, "-W", "ignore", "-c", code]
    kept |= {"PYTHONPATH": folders, "PYTHONDONTWRITEBYTECODE": "1", **environment}
    done = subprocess.run(command, cwd=root, env=kept, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
