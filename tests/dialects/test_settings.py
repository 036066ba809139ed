"""Where settings are read, how other modules reach them, and what is not extended."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from laterctl.dialects.settings import Settings
from laterctl.engine.plan import Request
from laterctl.project.discover import Project
from laterctl.project.statements import body_at
from laterctl.proof.static import prove
from laterctl.render import Import
from tests import memory
from tests.dialect_projects import dialect
from tests.project.making import make
from tests.test_laws import assert_same

MAIN = "from fastapi import FastAPI\n{imports}\napp = FastAPI()\n"
CLASS = """
from pydantic_settings import BaseSettings

class Settings(BaseSettings):
    debug: bool = False
    environment: str = 'local'

"""


def the_settings(project: Project) -> Settings:
    settings = project.settings
    assert settings is not None, project.undecided
    return settings


def with_config(tmp_path: Path, config: str, imports: str = "from app.config import settings") -> Project:
    files = {"app/__init__.py": "", "app/config.py": config, "app/main.py": MAIN.format(imports=imports)}
    return make(tmp_path, files)


def test_pydantic_object(tmp_path: Path) -> None:
    project = with_config(tmp_path, CLASS + "settings = Settings()\n")
    settings = the_settings(project)
    assert (settings.kind, settings.path, settings.class_name) == ("pydantic", "app/config.py", "Settings")
    assert (settings.access.text, settings.access.imports) == ("settings", (Import("app.config", "settings"),))
    assert (settings.fields, settings.prefix, settings.upper) == (("debug", "environment"), "", False)
    assert settings.environment.text == "str(settings.environment)"
    body = body_at(project.tree.python(settings.path).tree, settings.body)
    assert ast.unparse(body[0]) == "debug: bool = False"


def test_pydantic_cached_getter(tmp_path: Path) -> None:
    config = CLASS + "from functools import lru_cache\n\n@lru_cache\ndef get_settings():\n    return Settings()\n"
    settings = the_settings(with_config(tmp_path, config, "from app import config"))
    assert settings.access.text == "config.get_settings()"
    assert settings.access.imports == (Import("app", "config"),)
    assert settings.environment.text == "str(config.get_settings().environment)"


def test_object_or_getter_as_the_app_file_does(tmp_path: Path) -> None:
    config = CLASS + "def get_settings() -> Settings:\n    return Settings()\n\nsettings = get_settings()\n"
    for imports, text in (
        ("from app.config import get_settings", "get_settings()"),
        ("from app.config import settings", "settings"),
        ("from .config import settings", "settings"),
        ("from app.config import settings as conf", "settings"),
        ("import app.config as cfg", "cfg.settings"),
    ):
        assert the_settings(with_config(tmp_path, config, imports)).access.text == text


def test_object_or_getter_as_most_modules_do(tmp_path: Path) -> None:
    files = {
        "app/config.py": CLASS
        + "def get_settings() -> Settings:\n    return Settings()\n\nsettings = get_settings()\n",
        "app/main.py": MAIN.format(imports="from app import one, two"),
        "app/one.py": "from app.config import get_settings\n",
        "app/two.py": "from app.config import get_settings\n",
        "app/three.py": "from app.config import settings\n",
    }
    assert the_settings(make(tmp_path, files)).access.text == "get_settings()"


def test_reexported_object(tmp_path: Path) -> None:
    files = {
        "app/core/__init__.py": "from .config import settings\n",
        "app/core/config.py": CLASS + "settings = Settings()\n",
        "app/main.py": MAIN.format(imports="from app.core import settings"),
    }
    settings = the_settings(make(tmp_path, files))
    assert settings.path == "app/core/config.py"
    assert settings.access.imports == (Import("app.core", "settings"),)


def test_getter_with_a_default_argument(tmp_path: Path) -> None:
    config = CLASS + "def get_settings(settings=Settings()) -> Settings:\n    return settings\n"
    assert (
        the_settings(with_config(tmp_path, config, "from app.config import get_settings")).access.text
        == "get_settings()"
    )


def test_getter_that_needs_an_argument_is_none(tmp_path: Path) -> None:
    config = CLASS + "def get_settings(request) -> Settings:\n    return request.settings\n"
    settings = the_settings(with_config(tmp_path, config, "from app.config import get_settings"))
    assert settings.kind == "other"
    assert "no module-level object or getter of Settings" in settings.reason


def test_composed_of_small_classes(tmp_path: Path) -> None:
    config = """
        from pydantic_settings import BaseSettings
        class AppSettings(BaseSettings):
            APP_NAME: str = "x"
        class EnvSettings(BaseSettings):
            ENVIRONMENT: str = "local"
        class Settings(AppSettings, EnvSettings):
            pass
        settings = Settings()
        """
    settings = the_settings(with_config(tmp_path, config))
    assert (settings.class_name, settings.body) == ("Settings", ((3, "body"),))
    assert (settings.fields, settings.upper) == (("APP_NAME", "ENVIRONMENT"), True)
    assert settings.environment.text == "str(settings.ENVIRONMENT)"


@pytest.mark.parametrize(
    "made",
    [
        "settings = Dev() if os.environ.get('X') else Prod()",
        "settings = {'dev': Dev(), 'prod': Prod()}[os.environ['X']]",
        "CHOICES = {'dev': Dev, 'prod': Prod}\nsettings = CHOICES[os.environ['X']]()",
        "def pick():\n    return {'dev': Dev(), 'prod': Prod()}.get('dev')\nsettings = pick()",
        "settings: Base = load()",
    ],
)
def test_chosen_by_environment_uses_the_common_base(tmp_path: Path, made: str) -> None:
    config = (
        "import os\nfrom pydantic_settings import BaseSettings\nclass Base(BaseSettings):\n    env: str = 'x'\n"
        f"class Dev(Base): ...\nclass Prod(Base): ...\n{made}\n"
    )
    settings = the_settings(with_config(tmp_path, config))
    assert (settings.kind, settings.class_name, settings.access.text) == ("pydantic", "Base", "settings")


def test_chosen_between_unrelated_classes(tmp_path: Path) -> None:
    config = (
        "import os\nfrom pydantic_settings import BaseSettings\n"
        "class Dev(BaseSettings): ...\nclass Prod(BaseSettings): ...\nsettings = Dev() if os.name else Prod()\n"
    )
    settings = the_settings(with_config(tmp_path, config))
    assert settings.kind == "other"
    assert "Dev" in settings.reason
    assert "Prod" in settings.reason


@pytest.mark.parametrize(
    ("base", "config", "kind", "prefix"),
    [
        (
            "from pydantic_settings import BaseSettings",
            "model_config = SettingsConfigDict(env_prefix='APP_')",
            "pydantic",
            "APP_",
        ),
        ("from pydantic_settings import BaseSettings", "model_config = {'env_prefix': 'A_'}", "pydantic", "A_"),
        ("from pydantic import BaseSettings", "class Config:\n        env_prefix = 'OLD_'", "pydantic-v1", "OLD_"),
        ("from pydantic.v1 import BaseSettings", "x: int = 1", "pydantic-v1", ""),
        (
            "try:\n    from pydantic_settings import BaseSettings\nexcept ImportError:\n    BaseSettings = object",
            "x: int = 1",
            "pydantic",
            "",
        ),
    ],
)
def test_kinds_and_prefixes(tmp_path: Path, base: str, config: str, kind: str, prefix: str) -> None:
    source = f"{base}\nclass Settings(BaseSettings):\n    {config}\n\nsettings = Settings()\n"
    settings = the_settings(with_config(tmp_path, source))
    assert (settings.kind, settings.prefix) == (kind, prefix)
    assert "model_config" not in settings.fields


def test_prefix_of_a_base_class_and_of_class_keywords(tmp_path: Path) -> None:
    config = (
        "from pydantic_settings import BaseSettings\nclass Base(BaseSettings, env_prefix='B_'): ...\n"
        "class Settings(Base):\n    x: int = 1\nsettings = Settings()\n"
    )
    assert the_settings(with_config(tmp_path, config)).prefix == "B_"


def test_enumeration_of_environments(tmp_path: Path) -> None:
    config = (
        "from enum import Enum\nfrom pydantic_settings import BaseSettings\nclass Env(str, Enum):\n    PROD = 'prod'\n"
        "class Settings(BaseSettings):\n    app_env: Env = Env.PROD\nsettings = Settings()\n"
    )
    assert the_settings(with_config(tmp_path, config)).environment.text == "str(settings.app_env.value)"


def test_no_field_for_the_environment(tmp_path: Path) -> None:
    config = "from pydantic_settings import BaseSettings\nclass S(BaseSettings): ...\nsettings = S()\n"
    environment = the_settings(with_config(tmp_path, config)).environment
    assert (environment.text, environment.imports) == ('os.environ.get("ENVIRONMENT", "")', (Import("os"),))


def test_made_in_the_app_module_cannot_be_imported_back(tmp_path: Path) -> None:
    files = {"main.py": CLASS + "from fastapi import FastAPI\nsettings = Settings()\napp = FastAPI()\n"}
    settings = the_settings(make(tmp_path, files))
    assert settings.kind == "other"
    assert "cycle" in settings.reason


# Dynaconf

DYNACONF = "from dynaconf import Dynaconf\nsettings = Dynaconf({})\n"


def test_dynaconf(tmp_path: Path) -> None:
    files = {
        "src/pkg/config.py": DYNACONF.format(
            "envvar_prefix='APP', settings_files=['settings.toml', '.secrets.toml'], environments=True"
        ),
        "src/pkg/main.py": MAIN.format(imports="from pkg.config import settings"),
        "settings.toml": "[default]\nDATABASE_URL = 'x'\n\n[production]\nDEBUG = false\n",
    }
    settings = the_settings(make(tmp_path, files))
    assert (settings.kind, settings.toml, settings.table) == ("dynaconf", "settings.toml", "default")
    assert (settings.prefix, settings.upper, settings.fields) == ("APP_", True, ("DATABASE_URL",))
    assert settings.environment.text == "str(settings.current_env)"
    assert settings.access.imports == (Import("pkg.config", "settings"),)


@pytest.mark.parametrize(
    ("arguments", "prefix", "table"),
    [
        ("settings_files=['conf.toml']", "DYNACONF_", ""),
        ("envvar_prefix=False, settings_file='conf.toml', environments=False", "", ""),
        ("envvar_prefix='a,b', settings_files='x.yaml;conf.toml', environments=['dev']", "A_", "default"),
    ],
)
def test_dynaconf_options(tmp_path: Path, arguments: str, prefix: str, table: str) -> None:
    files = {
        "config.py": DYNACONF.format(arguments),
        "main.py": MAIN.format(imports="from config import settings"),
        "conf.toml": "debug = true\n",
    }
    settings = the_settings(make(tmp_path, files))
    assert (settings.toml, settings.prefix, settings.table) == ("conf.toml", prefix, table)


def test_dynaconf_file_beside_the_module(tmp_path: Path) -> None:
    files = {
        "pkg/config.py": "import os\n" + DYNACONF.format("settings_files=[os.path.join(HERE, 'default.toml')]"),
        "pkg/default.toml": "x = 1\n",
        "pkg/app.py": MAIN.format(imports="from .config import settings"),
    }
    settings = the_settings(make(tmp_path, files))
    assert (settings.toml, settings.upper) == ("pkg/default.toml", False)


def test_dynaconf_without_a_toml_file(tmp_path: Path) -> None:
    files = {
        "config.py": DYNACONF.format("settings_files=['settings.yaml', '.secrets.toml', '../outside.toml']"),
        "main.py": MAIN.format(imports="from config import settings"),
        "settings.yaml": "x: 1\n",
        ".secrets.toml": "",
    }
    settings = the_settings(make(tmp_path, files))
    assert (settings.kind, settings.toml) == ("dynaconf", "")


def test_dynaconf_file_that_is_not_toml(tmp_path: Path) -> None:
    files = {
        "config.py": DYNACONF.format("settings_files=['settings.toml']"),
        "main.py": MAIN.format(imports="from config import settings"),
        "settings.toml": "ok = 1\nx = = 2\n",
    }
    project = make(tmp_path, files)
    assert project.settings is None
    (undecided,) = [item for item in project.undecided if item.code == "toml"]
    assert str(undecided.places[0]) == "settings.toml:2"


# Starlette and the rest


def test_starlette(tmp_path: Path) -> None:
    config = (
        "from starlette.config import Config\nconfig = Config('.env')\n"
        "ENV = config('ENV', default='local')\nDEBUG = config('DEBUG', cast=bool, default=False)\n"
    )
    settings = the_settings(with_config(tmp_path, config, "from app.config import DEBUG"))
    assert (settings.kind, settings.access.text, settings.body) == ("starlette", "config", ())
    assert (settings.fields, settings.upper) == (("ENV", "DEBUG"), True)
    assert (settings.environment.text, settings.environment.imports) == ("str(ENV)", (Import("app.config", "ENV"),))


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ("from decouple import config\nX = config('X')\n", "python-decouple"),
        ("from environs import Env\nenv = Env()\n", "environs"),
        ("import yaml\nconfig = yaml.safe_load(open('c.yaml'))\n", "loader of the project's own"),
    ],
)
def test_what_is_not_extended(tmp_path: Path, config: str, reason: str) -> None:
    settings = the_settings(with_config(tmp_path, config, "from app import config"))
    assert settings.kind == "other"
    assert reason in settings.reason
    assert settings.environment.text.startswith("os.environ")


@pytest.mark.parametrize(
    "config", ["import os\nDEBUG = os.environ.get('DEBUG')\n", "DEBUG = True\n", "from pydantic import BaseModel\n"]
)
def test_constants_are_no_system(tmp_path: Path, config: str) -> None:
    assert with_config(tmp_path, config, "from app.config import DEBUG").settings is None


def test_two_systems_take_the_one_the_app_file_imports(tmp_path: Path) -> None:
    files = {
        "app/config.py": CLASS + "settings = Settings()\n",
        "gunicorn_conf.py": CLASS.replace("Settings(", "Gunicorn(") + "settings = Gunicorn()\n",
        "app/other.py": DYNACONF.format(""),
        "app/main.py": MAIN.format(imports="from app.config import settings"),
    }
    assert the_settings(make(tmp_path, files)).class_name == "Settings"


def test_two_systems_the_nearest_wins(tmp_path: Path) -> None:
    files = {
        "app/config.py": CLASS + "settings = Settings()\n",
        "app/worker.py": CLASS.replace("Settings(", "Worker(") + "settings = Worker()\n",
        "app/main.py": MAIN.format(imports="from app.routes import x"),
        "app/routes.py": "from app.config import settings\nx = 1\n",
    }
    assert the_settings(make(tmp_path, files)).class_name == "Settings"


CONFIG = "from starlette.config import Config\nconfig = Config('.env')\n"


@pytest.mark.parametrize("apps", ["app = FastAPI()\n", "api = FastAPI()\napp = FastAPI()\napp.mount('/api', api)\n"])
def test_two_starlette_configs_take_the_one_whose_names_the_app_file_imports(tmp_path: Path, apps: str) -> None:
    files = {
        "app/config.py": CONFIG + "DEBUG = config('DEBUG', cast=bool, default=False)\n",
        "app/plugins/mail/config.py": CONFIG,
        "app/main.py": "from fastapi import FastAPI\nfrom .config import DEBUG\n" + apps,
    }
    project = make(tmp_path, files)
    assert the_settings(project).path == "app/config.py"
    assert (project.app is None) == ("mount" in apps)


def test_two_systems_equally_near_are_undecided(tmp_path: Path) -> None:
    files = {
        "app/one.py": CLASS.replace("Settings(", "First(") + "conf = First()\n",
        "app/two.py": CLASS.replace("Settings(", "Other(") + "other = Other()\n",
        "app/main.py": MAIN.format(imports="from app.one import conf\nfrom app.two import other"),
    }
    project = make(tmp_path, files)
    assert project.settings is None
    (undecided,) = [item for item in project.undecided if item.code == "several-settings"]
    assert [place.path for place in undecided.places] == ["app/one.py", "app/two.py"]
    configured = {"pyproject.toml": '[tool.laterctl]\nsettings = "app.two:other"\n'}
    assert the_settings(make(tmp_path, configured)).class_name == "Other"
    wrong = make(tmp_path, {"pyproject.toml": '[tool.laterctl]\nsettings = "app.two:nothing"\n'})
    assert "settings-not-found" in [item.code for item in wrong.undecided]


def test_two_systems_equally_near_the_one_called_settings(tmp_path: Path) -> None:
    files = {
        "app/one.py": CLASS + "def get_settings():\n    return Settings()\n",
        "app/two.py": CLASS.replace("Settings(", "Mail(") + "def get_mail():\n    return Mail()\n",
        "app/main.py": MAIN.format(imports="from app.one import get_settings\nfrom app.two import get_mail"),
    }
    assert the_settings(make(tmp_path, files)).class_name == "Settings"


def test_classes_that_only_a_container_makes(tmp_path: Path) -> None:
    files = {
        "config.py": CLASS + "class Cache(BaseSettings): ...\n",
        "main.py": MAIN.format(imports="from container import container\nconfig = container.config()"),
        "container.py": "from dependency_injector import containers, providers\nfrom config import Settings\n"
        "class C(containers.DeclarativeContainer):\n    config = providers.Singleton(Settings)\ncontainer = C()\n",
    }
    settings = the_settings(make(tmp_path, files))
    assert settings.kind == "other"
    assert "Cache, Settings" in settings.reason


def test_loader_in_the_app_file(tmp_path: Path) -> None:
    source = "import yaml\nwith open('c.yaml') as file:\n    config = yaml.safe_load(file)\n" + MAIN.format(imports="")
    settings = the_settings(make(tmp_path, {"main.py": source}))
    assert (settings.kind, str(settings.place)) == ("other", "main.py:3")
    plain = source.replace("config = ", "data = ")
    assert make(tmp_path, {"main.py": plain}).settings is None


def test_settings_of_tests_do_not_count(tmp_path: Path) -> None:
    files = {"main.py": MAIN.format(imports=""), "tests/conftest.py": CLASS + "settings = Settings()\n"}
    assert make(tmp_path, files).settings is None


@pytest.mark.parametrize("name", ["none", "object", "getter"])
@pytest.mark.parametrize("edited", ["  # mine", "", "  # connections at a time"])
def test_a_field_comes_and_goes_with_its_comment_whatever_became_of_that(name: str, edited: str) -> None:
    before = dialect(name)
    made = memory.add(before, "resources")
    path = next(path for path in made if path.endswith(("core/settings.py", "core/config.py")))
    comment = b"  # connections at a time, of each process"
    assert made[path].count(b"redis_max_connections: PositiveInt = 100" + comment) == 1

    changed = {**made, path: made[path].replace(comment, edited.encode())}

    both = memory.add(made, "cors")
    assert_same(memory.add(changed, "resources"), changed, "again")
    assert_same(
        memory.add(changed, "cors"), {**both, path: both[path].replace(comment, edited.encode())}, "one beside it"
    )
    plan = memory.planned(changed, Request(remove=("resources",)))
    assert prove(memory.project(changed), plan) == []
    assert_same(memory.applied(changed, plan), before, "and out")


@pytest.mark.parametrize(
    ("width", "said"),
    [
        (83, "  # for each client: 100/minute; empty for no limit"),
        (82, "  # for each client: 100/minute"),
        (63, "  # for each client: 100/minute"),
        (62, "  # for each client"),
        (51, "  # for each client"),
        (50, ""),
    ],
)
def test_of_a_comment_there_is_as_much_as_fits_the_line(width: int, said: str) -> None:
    path = "src/order_service/core/config.py"
    before = {**dialect("object"), "ruff.toml": f"line-length = {width}\n".encode()}
    made = memory.add(before, "rate-limit")
    (line,) = (line for line in made[path].decode().splitlines() if "rate_limit_default" in line)
    assert line == f"    rate_limit_default: str = ''{said}"

    assert_same(memory.add(made, "rate-limit"), made, "again")
    plan = memory.planned(made, Request(remove=("rate-limit",)))
    assert_same(memory.applied(made, plan), before, "and out")


@pytest.mark.parametrize("end", ["    model_config = {}\n", "\n    _lowered = field_validator('a')(str.lower)\n"])
def test_fields_stand_with_fields(end: str) -> None:
    head = "from pydantic import field_validator\nfrom pydantic_settings import BaseSettings\n\n\n"
    config = f"{head}class Settings(BaseSettings):\n    a: str = ''\n{end}\n\nsettings = Settings()\n"
    before = {
        "app/main.py": MAIN.format(imports="from app.config import settings").encode(),
        "app/config.py": config.encode(),
        "requirements.txt": b"fastapi>=0.115\npydantic-settings>=2.6\n",
    }
    made = memory.add(before, "rate-limit")
    lines = made["app/config.py"].decode().splitlines()
    place = next(number for number, line in enumerate(lines) if "rate_limit_default: str" in line)
    assert lines.index("    a: str = ''") < place < lines.index(end.splitlines()[-1])
    assert_same(memory.remove(made, "rate-limit"), before, "and out")
