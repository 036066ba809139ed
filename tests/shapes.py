"""The fixture projects: how each is started, what it answers, and what there is to be found in it.

Each folder below `tests/fixtures` is a repository with a small FastAPI project that runs. The foundation is a shape
too, in both dialects; `laterctl new` renders it.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from laterctl.commands.new import foundation

FIXTURES: Final = Path(__file__).parent / "fixtures"
FOUNDATION_PACKAGE: Final = "order_service"

NEED_A_DATABASE: Final = ("migrations", "pooling", "queries")
"""The features that are refused, as `no-database`, where there is no engine."""

NEED_ROUTERS: Final = ("versioning",)
"""The features that are refused, as `no-routers`, where the application includes no router."""

NEED_A_CONTAINER: Final = ("di-testing",)
"""The features that are refused, as `no-container`, where tests can import no container."""

_ARRAY: Final = "pyproject.toml:project.dependencies"
_GROUP: Final = "pyproject.toml:dependency-groups.dev"
_POETRY: Final = "pyproject.toml:tool.poetry"

_IDENTITY: Final = {
    "GIT_AUTHOR_NAME": "Owner",
    "GIT_AUTHOR_EMAIL": "owner@example.com",
    "GIT_AUTHOR_DATE": "2024-01-01T00:00:00Z",
    "GIT_COMMITTER_NAME": "Owner",
    "GIT_COMMITTER_EMAIL": "owner@example.com",
    "GIT_COMMITTER_DATE": "2024-01-01T00:00:00Z",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}
_CONFIG: Final = """\
[user]
\tname = Owner
\temail = owner@example.com
[core]
\tautocrlf = false
[commit]
\tgpgSign = false
"""


@dataclass(frozen=True)
class Facts:
    """What is to be found in a project, written down by reading it; an empty string means there is none.

    `path`, `scope` and `holder` are where the application is constructed: the file, the function around the call, and
    the expression that holds it. `before` is the first line of the statement that registrations must stand before.
    `middleware` names the classes in the order in which they stand in the code; `routers`, `handlers` and `mounts`
    count the registrations (a loop is one). `settings` is the kind of the settings system, `access` the expression
    that gives the object, `environment` the one that names the running environment, where a setting does; `toml` is
    Dynaconf's public file. `container` is the outermost container class, `instance` the expression that gives its
    instance to other modules. `runtime` and `dev` are where dependencies are written: a file, or a file and a table.
    """

    path: str
    scope: str = ""
    holder: str = "app"
    before: str = ""
    lifespan: str = "none"
    middleware: tuple[str, ...] = ()
    routers: int = 0
    handlers: int = 0
    mounts: int = 0
    settings: str = ""
    access: str = ""
    environment: str = ""
    toml: str = ""
    container: str = ""
    instance: str = ""
    manager: str = "pip"
    runtime: str = _ARRAY
    dev: str = _GROUP
    package: str = ""
    import_root: str = ""
    relative: bool = False
    tests: str = "tests"
    quote: str = '"'
    newline: str = "\n"
    indent: str = "    "
    line_length: int = 88
    future: bool = False


@dataclass(frozen=True, eq=False)
class Shape:
    """One project.

    `reference` is what uvicorn gets when it is started in the project's folder, with `--factory` when `factory` is
    true and with `env` added to the environment. `probes` are paths and the JSON they answer. `folder` below
    `FIXTURES` is the repository (`""`: the foundation) and `root` the project's folder in it (`""`: the top).
    `app_flag` is the value for `--app`, `""` where the application is found without. `refuses` names the features
    that are refused, because the project does their job already or has not what they need. `tested` says that it has
    tests of its own.
    """

    name: str
    reference: str
    facts: Facts
    probes: tuple[tuple[str, Any], ...]
    folder: str = ""
    factory: bool = False
    root: str = ""
    app_flag: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    refuses: tuple[str, ...] = ()
    tested: bool = False

    @property
    def by_hand(self) -> list[str]:
        """The features whose job the project does already."""
        return [name for name in self.refuses if name not in {*NEED_A_CONTAINER, *NEED_A_DATABASE, *NEED_ROUTERS}]


def files(shape: Shape) -> dict[str, bytes]:
    """Return the content of each file of a shape's repository by its POSIX path."""
    if not shape.folder:
        return _foundation("pydantic" if shape.name == "foundation_pydantic" else "dynaconf").copy()
    top = FIXTURES / shape.folder
    paths = (path for path in sorted(top.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(top).as_posix(): path.read_bytes() for path in paths}


def copy(shape: Shape, into: Path) -> Path:
    """Write a shape into a folder, as a git repository with one commit, and return the project's folder in it.

    The commit is the same each time, and the repository says who commits: no configuration of the user is needed.
    """
    for name, content in files(shape).items():
        path = into / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        if shape.folder and os.access(FIXTURES / shape.folder / name, os.X_OK):
            path.chmod(0o755)
    git(into, "init", "--quiet", "--initial-branch=main", "--template=")
    with (into / ".git/config").open("a") as config:
        config.write(_CONFIG)
    git(into, "add", "--all")
    git(into, "commit", "--quiet", "--message=The project")
    return into / shape.root


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder as the owner of the repository, without any other configuration; return what it printed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | _IDENTITY
    command = ("git", *arguments)
    return subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout


def shape_named(name: str) -> Shape:
    """Return a shape by its name. Raises `KeyError`."""
    return _BY_NAME[name]


@cache
def _foundation(settings: str) -> dict[str, bytes]:
    return foundation(FOUNDATION_PACKAGE.replace("_", "-"), settings=settings, python="3.11")


def _fixture(
    name: str,
    reference: str,
    facts: Facts,
    *probes: tuple[str, Any],
    tested: bool = False,
    refuses: tuple[str, ...] = (),
    database: bool = False,
    **more: Any,
) -> Shape:
    if not facts.container or name == "wiring_config":  # its factory keeps the instance
        refuses = (*refuses, *NEED_A_CONTAINER)
    if not database:
        refuses = (*refuses, *NEED_A_DATABASE)
    if not facts.routers:
        refuses = (*refuses, *NEED_ROUTERS)
    return Shape(name, reference, facts, probes, folder=name, tested=tested, refuses=refuses, **more)


def _founded(name: str, settings: str, environment: str, toml: str = "") -> Shape:
    facts = Facts(
        path=f"src/{FOUNDATION_PACKAGE}/main.py",
        lifespan="function",
        middleware=("RequestIDMiddleware",),
        routers=1,
        handlers=3,
        settings=settings,
        access="settings",
        environment=environment,
        toml=toml,
        container="Container",
        instance="container",
        package=FOUNDATION_PACKAGE,
        import_root="src",
        quote="'",
    )
    probes = (("/api/health", {"status": "ok"}),)
    env = {"PYTHONPATH": "src"}
    return Shape(name, f"{FOUNDATION_PACKAGE}.main:app", facts, probes, env=env, tested=True)


def _lines(path: str, *, dev: str = "requirements-dev.txt", **more: Any) -> Facts:
    """Facts about a project with a requirements file."""
    return Facts(path, **{"runtime": "requirements.txt", "dev": dev, **more})


def _pydantic(path: str, *, access: str = "settings", **more: Any) -> Facts:
    """Facts about a project with pydantic-settings."""
    return Facts(path, settings="pydantic", access=access, package=path.partition("/")[0], **more)


SHAPES: Final[tuple[Shape, ...]] = (
    _founded("foundation", "dynaconf", "str(settings.current_env)", "settings.toml"),
    _founded("foundation_pydantic", "pydantic", "str(settings.env)"),
    _fixture(
        "flat",
        "main:app",
        _lines("main.py"),
        ("/", {"notes": 1}),
        ("/notes/1", {"number": 1, "text": "buy milk"}),
    ),
    _fixture(
        "factory",
        "app.main:app",
        _pydantic(
            "app/main.py",
            scope="create_app",
            holder="application",
            before="return application",
            routers=1,
            environment="str(settings.environment)",
            manager="uv",
        ),
        ("/books", ["Momo", "Emma"]),
        ("/about", {"name": "Bookshop", "currency": "NOK"}),
        env={"BOOKSHOP_CURRENCY": "NOK"},
        tested=True,
    ),
    _fixture(
        "factory_only",
        "parcels.web.application:create_app",
        _pydantic(
            "parcels/web/application.py",
            scope="create_app",
            holder="api",
            before="return api",
            routers=1,
            dev="pyproject.toml:project.optional-dependencies.test",
        ),
        ("/parcels/A1", {"code": "A1", "state": "on the way"}),
        ("/version", {"version": "1.0.0", "depot": "south"}),
        factory=True,
        env={"PARCELS_DEPOT": "south"},
        refuses=("docker", "k8s"),
        tested=True,
    ),
    _fixture(
        "own_lifespan",
        "office.main:app",
        Facts("office/main.py", lifespan="function", package="office", quote="'", line_length=100, future=True),
        ("/queue", {"open": True, "waiting": [41, 42]}),
        tested=True,
    ),
    _fixture(
        "on_event",
        "app.main:app",
        _lines("app/main.py", lifespan="on_event", routers=1, package="app"),
        ("/", {"started": True}),
        ("/values", [17.5, 18.0]),
    ),
    _fixture(
        "middleware_list",
        "service.app:app",
        Facts(
            "service/app.py",
            middleware=("TrustedHostMiddleware", "GZipMiddleware", "StampMiddleware"),
            runtime="requirements/base.txt",
            dev="requirements/dev.txt",
            package="service",
        ),
        ("/words", ["one", "two"]),
        tested=True,
    ),
    _fixture(
        "aliased",
        "store.main:service",
        Facts("store/main.py", holder="service", routers=3, package="store"),
        ("/ping?loud=true", {"ping": "PONG"}),
        ("/stock/nail", {"name": "nail", "pieces": 100}),
        ("/legacy/vendor", {"vendor": "ACME"}),
    ),
    _fixture(
        "router_loop",
        "zoo.main:app",
        _lines("zoo/main.py", routers=1, package="zoo", quote="'"),
        ("/", {"name": "zoo", "houses": 3}),
        ("/fish", ["carp", "pike"]),
        ("/mammals?heavy=1", ["elephant"]),
    ),
    _fixture(
        "mounted",
        "app.main:app",
        Facts("app/main.py", mounts=1, manager="uv", package="app"),
        ("/books", ["Emil", "Pippi"]),
        ("/desk/loans", {"Emil": 2}),
    ),
    _fixture(
        "container_in_main",
        "main:app",
        _lines("main.py", container="Container"),
        ("/greet/Ada", {"text": "Good morning, Ada!"}),
        ("/count", {"count": 1}),
    ),
    _fixture(
        "wiring_config",
        "app.main:app",
        _pydantic("app/main.py", scope="create_app", before="return app", routers=1, container="Container"),
        ("/cost?seats=3", {"seats": 3, "cost": 24}),
        ("/open", True),
        tested=True,
    ),
    _fixture(
        "nested_containers",
        "harbour.main:app",
        Facts("harbour/main.py", routers=1, container="Application", instance="container", package="harbour"),
        ("/ships", ["Fram (NO)", "Gjoa (NO)"]),
        ("/berths", {"berths": 12}),
    ),
    _fixture(
        "poetry",
        "recipes.main:app",
        _pydantic(
            "recipes/main.py",
            environment="str(settings.ENVIRONMENT.value)",
            manager="poetry",
            runtime=f"{_POETRY}.dependencies",
            dev=f"{_POETRY}.group.dev.dependencies",
        ),
        ("/recipes", ["soup", "stew"]),
        ("/recipes/stew", {"name": "stew", "grams": 1600}),
        tested=True,
    ),
    _fixture(
        "poetry2",
        "timetable.app:app",
        Facts("timetable/app.py", manager="poetry", dev=f"{_POETRY}.group.test.dependencies", package="timetable"),
        ("/lines", [7, 9]),
        ("/lines/9", ["05:55"]),
        tested=True,
    ),
    _fixture(
        "pdm",
        "orchard.main:app",
        _pydantic("orchard/main.py", routers=1, manager="pdm", dev="pyproject.toml:dependency-groups.test"),
        ("/v1/harvest", {"kilos": 100.0}),
        ("/v1/trees", 40),
        refuses=("versioning",),
        tested=True,
    ),
    _fixture(
        "crlf",
        "till.main:app",
        _pydantic("till/main.py", routers=1, newline="\r\n"),
        ("/currency", {"currency": "SEK"}),
        ("/sales/today", {"sold": 3, "returned": 1}),
        database=True,
    ),
    _fixture(
        "bom",
        "main:app",
        _lines("main.py"),
        ("/words", ["häufig", "selten"]),
        ("/words/selten", {"word": "selten", "means": "seldom"}),
    ),
    _fixture(
        "wide",
        "main:app",
        _lines("main.py"),
        ("/tides", ["04:12", "16:40"]),
        ("/harbour", {"depth": 3.5}),
    ),
    _fixture(
        "setup_cfg",
        "kiln:app",
        Facts(
            "kiln/server.py",
            runtime="setup.cfg:options.install_requires",
            dev="setup.cfg:options.extras_require.test",
            package="kiln",
        ),
        ("/firings", [1040, 1220]),
        ("/cones/1100", {"cone": "05"}),
        tested=True,
    ),
    _fixture(
        "tabs",
        "main:app",
        _lines("main.py", indent="\t"),
        ("/throw?count=3", {"dice": [1, 6, 5], "sum": 12}),
        ("/sides", 6),
    ),
    _fixture(
        "no_newline",
        "main:app",
        _lines("main.py", line_length=100),
        ("/", {"hello": "world"}),
        ("/hello/you", {"hello": "you"}),
        tested=True,
    ),
    _fixture(
        "two_apps",
        "patients.main:app",
        Facts("patients/main.py", manager="uv", package="patients"),
        ("/free", ["09:30"]),
        ("/hours", 2),
        app_flag="patients.main:app",
    ),
    _fixture(
        "cached_getter",
        "lottery.main:app",
        _pydantic(
            "lottery/main.py",
            access="get_settings()",
            environment="str(get_settings().environment)",
            dev="pyproject.toml:project.optional-dependencies.dev",
        ),
        ("/game", {"game": "6 of 30"}),
        ("/chance/6", {"hits": 6, "balls": 30}),
        env={"LOTTERY_BALLS": "30"},
        database=True,
        tested=True,
    ),
    _fixture(
        "dynaconf",
        "weather.main:app",
        Facts(
            "weather/main.py",
            settings="dynaconf",
            access="settings",
            toml="settings.toml",
            package="weather",
        ),
        ("/stations", ["north", "south"]),
        ("/stations/north", {"name": "north", "unit": "kelvin", "hottest": 45}),
        env={"WEATHER_UNIT": "kelvin"},
    ),
    _fixture(
        "starlette_config",
        "app.main:app",
        _lines("app/main.py", settings="starlette", access="config.config", package="app"),
        ("/houses", ["bern", "wien"]),
        ("/licensed", False),
        env={"HOUSES": "bern,wien"},
    ),
    _fixture(
        "environ",
        "bakery.server:app",
        _lines("bakery/server.py", package="bakery", quote="'"),
        ("/breads", ["rye", "spelt"]),
        ("/hours", {"opens": "07:00", "closes": "18:00"}),
        env={"BAKERY_BREADS": "rye,spelt"},
        refuses=("docker", "k8s"),
    ),
    _fixture(
        "relative",
        "museum.main:app",
        _pydantic("museum/main.py", routers=1, relative=True, tests="museum/tests"),
        ("/name", {"name": "Museum of Clocks"}),
        ("/rooms", [1, 2, 3]),
        tested=True,
    ),
    _fixture(
        "src_layout",
        "ski_lift.main:app",
        Facts(
            "src/ski_lift/main.py",
            routers=1,
            settings="pydantic",
            access="settings",
            package="ski_lift",
            import_root="src",
            line_length=79,
        ),
        ("/season", {"first": 12, "last": 4}),
        ("/lifts", {"north": True, "south": False}),
        env={"PYTHONPATH": "src"},
        tested=True,
    ),
    _fixture(
        "subfolder",
        "app.main:app",
        _pydantic("app/main.py", routers=1, manager="uv"),
        ("/api/plots", ["plot 1", "plot 2"]),
        ("/api/utils/version", "0.1.0"),
        root="backend",
        refuses=("docker", "k8s"),
        tested=True,
    ),
    _fixture(
        "helpers",
        "ferry.main:app",
        _pydantic("ferry/main.py", middleware=("GZipMiddleware", "CORSMiddleware"), routers=1, handlers=1),
        ("/trips", ["08:00", "20:00"]),
        ("/closed", True),
        refuses=("cors",),
        tested=True,
    ),
    _fixture(
        "class_held",
        "app.main:app",
        _lines("app/main.py", scope="Server.__init__", holder="self.app", routers=1, package="app"),
        ("/", {"title": "Chess club"}),
        ("/club/motto", "Chess club plays on"),
    ),
    _fixture(
        "subclass",
        "gallery.main:app",
        _pydantic("gallery/main.py"),
        ("/size", {"size": 2}),
        ("/pictures", ["Sunflowers", "Poppies"]),
    ),
    _fixture(
        "deps_module",
        "app.main:app",
        _pydantic("app/main.py", routers=1),
        ("/cars?page=2", ["panda"]),
        ("/cars/client", {"client": "unknown"}),
        tested=True,
    ),
    _fixture(
        "kwargs",
        "theatre.main:app",
        _pydantic("theatre/main.py", lifespan="foreign", environment="str(settings.environment)"),
        ("/plays", {"tonight": ["Hamlet"], "tomorrow": []}),
        ("/title", "Theatre"),
    ),
    _fixture(
        "main_guard",
        "main:app",
        _lines("main.py", before="if __name__ == '__main__':", quote="'"),
        ("/visits", {"total": 0}),
        ("/double", {"double": 0}),
    ),
    _fixture(
        "names_taken",
        "bakery.main:app",
        _lines("bakery/main.py", routers=1, lifespan="function", package="bakery", runtime=_ARRAY, dev=_GROUP),
        ("/loaf", {"grams": 1000, "shelf": 4}),
        ("/certificates/seal?loaf=rye", {"loaf": "rye", "seal": "EYR"}),
        tested=True,
    ),
    _fixture(
        "modules_taken",
        "tram.main:app",
        _pydantic("tram/main.py", access="core.settings", routers=1, relative=True),
        ("/interval", {"minutes": 7}),
        ("/lines/4/departures", [4, 11, 18]),
    ),
)
"""Every shape, the foundation first."""

REFUSED: Final = tuple({name: (shape, name) for shape in reversed(SHAPES) for name in shape.refuses}.values())
"""For each feature that a shape is refused, the first such shape, and the feature's name."""

_BY_NAME: Final = {shape.name: shape for shape in SHAPES}
