"""Reports about what discovery got wrong, by their case: which application is served, and what belongs to it."""

from __future__ import annotations

import json

import pytest

from laterctl.engine.plan import Request
from laterctl.proof.static import prove
from laterctl.refusal import Refusal
from tests import memory
from tests.memory import Refusing

LISTED = b"fastapi>=0.115\npydantic>=2.9\npydantic-settings>=2.6\nuvicorn\n"


def project(**files: str) -> dict[str, bytes]:
    """Return files by their names, in which `__` stands for a slash."""
    named = {f"{name.replace('__', '/')}.py": text.encode() for name, text in files.items()}
    return {"requirements.txt": LISTED, **named}


def refused(files: memory.Files, *features: str, app: str = "") -> Refusal:
    """Return the first reason why features are refused that is about an application or its settings."""
    with pytest.raises(Refusing) as refusing:
        memory.add(files, *features, app=app)
    return next(item for item in refusing.value.refusals if item.code != "fastapi-undeclared")


def changed(before: memory.Files, after: memory.Files) -> set[str]:
    """Return the Python files of the user's that a run edited."""
    return {path for path in before if path.endswith(".py") and after[path] != before[path]}


def added(files: memory.Files, *features: str, app: str = "") -> dict[str, bytes]:
    """Add features, prove the result, and see that removing them gives back what was there."""
    plan = memory.planned(files, Request(add=features), app)
    after = memory.applied(files, plan)
    assert prove(memory.project(files, app), plan) == []
    assert memory.remove(after, *features, app=app) == files
    return after


WRAPPING = (
    "from fastapi import FastAPI\n{head}\napp = FastAPI()\n\n\n@app.get('/a')\ndef a():\n    return 1\n\n\n{last}\n"
)


@pytest.mark.parametrize(
    ("head", "last"),
    [
        ("from fastapi_versioning import VersionedFastAPI", "app = VersionedFastAPI(app)"),
        ("from fastapi_versioning import VersionedFastAPI", "app = VersionedFastAPI(app=app, enable_latest=True)"),
        ("import other", "app = other.made(other.first(app))"),
        ("from starlette.middleware.gzip import GZipMiddleware\nimport other", "app = GZipMiddleware(other.made(app))"),
        ("import other, uvicorn", "outer = other.made(app)\nuvicorn.run(outer)"),
        ("import other, uvicorn", "outer = other.made(app)\n\n\ndef main():\n    uvicorn.run(outer)"),
        ("from own import unread", "app = unread(app)"),
    ],
)
def test_19_an_unknown_call_is_no_wrapper(head: str, last: str) -> None:
    own = "import other\n\n\ndef unread(app):\n    return other.made(app)\n"
    files = project(main=WRAPPING.format(head=head, last=last), own=own)
    refusal = refused(files, "cors")
    assert refusal.code == "app-not-editable"
    assert "may make another application" in refusal.message


@pytest.mark.parametrize("attr", ["app", "served"])
def test_19_in_another_module_that_is_served(attr: str) -> None:
    outer = f"from fastapi_versioning import VersionedFastAPI\n\nfrom main import app as inner\n\n{attr} = VersionedFastAPI(inner)\n"
    files = project(main=WRAPPING.format(head="", last=""), asgi=outer)
    files["Procfile"] = b"web: uvicorn asgi:app\n"
    if attr == "app":
        assert "asgi.py:5" in refused(files, "cors").message
    else:
        assert changed(files, added(files, "cors")) == {"main.py"}


@pytest.mark.parametrize(
    ("head", "last"),
    [
        ("from starlette.middleware.gzip import GZipMiddleware", "app = GZipMiddleware(app)"),
        ("import socketio", "app = socketio.ASGIApp(None, app)"),
        ("from typing import cast", "app = cast(FastAPI, app)"),
        ("from own import same", "app = same(app)"),
        ("from own import around", "app = around(app)"),
        ("from own import Gate", "app = Gate(app, 3)"),
        ("from own import Gate", "app = Gate(Gate(app, 1), 2)"),
        ("from own import Tools", "app = Tools.around(app)"),
        ("from own import tools", "app = tools.around(app)"),
    ],
)
def test_19_what_is_known_or_read_is_a_wrapper(head: str, last: str) -> None:
    own = (
        "class Gate:\n    def __init__(self, app, number):\n        self.app = app\n\n"
        "    async def __call__(self, scope, receive, send):\n        await self.app(scope, receive, send)\n\n\n"
        "def same(app):\n    app.state.x = 1\n    return app\n\n\n"
        "def around(app):\n    app = Gate(app, 1)\n    return app\n\n\n"
        "class Tools:\n    @staticmethod\n    def around(app):\n        return Gate(app, 1)\n\n\ntools = Tools()\n"
    )
    files = project(main=WRAPPING.format(head=head, last=last), own=own)
    after = added(files, "cors")
    assert after["main.py"].index(b"add_middleware(CorsMiddleware, ") < after["main.py"].index(last.encode())


VERSIONS = """\
from fastapi import FastAPI


def versioned(source: FastAPI) -> FastAPI:
    {made}
    for route in source.routes:
        outer.add_api_route("/v1" + route.path, route.endpoint)
    return outer
"""


@pytest.mark.parametrize("made", ["outer = FastAPI(title=source.title)", "outer: FastAPI = FastAPI()"])
def test_19b_a_function_of_the_project_that_makes_another_one_is_edited(made: str) -> None:
    main = WRAPPING.format(head="from versions import versioned", last="app = versioned(app)")
    files = project(main=main, versions=VERSIONS.format(made=made))
    facts = memory.project(files).app
    assert facts is not None
    assert (facts.path, facts.reference) == ("versions.py", "main:app")
    assert changed(files, added(files, "cors", "metrics")) == {"versions.py"}


@pytest.mark.parametrize(
    ("body", "refuses"),
    [
        ("    app = FastAPI()\n    return made(app)", True),
        ("    app = FastAPI()\n    app = made(app)\n    return app", True),
        ("    return made(FastAPI())", True),
        ("    app = FastAPI()\n    return GZipMiddleware(app)", False),
    ],
)
def test_19_in_a_factory(body: str, refuses: bool) -> None:
    head = "from fastapi import FastAPI\nfrom starlette.middleware.gzip import GZipMiddleware\nfrom other import made\n"
    files = project(main=f"{head}\n\ndef create_app():\n{body}\n\n\napp = create_app()\n")
    if refuses:
        assert refused(files, "cors").code == "app-not-editable"
    else:
        assert changed(files, added(files, "cors")) == {"main.py"}


MOUNTING = """\
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount


@asynccontextmanager
async def span(app):
    {span}


{sub}


@sub.get("/a")
def a():
    return 1


{mount}
"""


@pytest.mark.parametrize(
    "mount",
    [
        'app = Starlette(routes=[Mount("/api", app=sub)])',
        'app = Starlette(routes=[Mount("/api", sub)])',
        'app = Starlette()\napp.mount("/api", sub)',
        'app = FastAPI()\napp.mount("/api", app=sub)',
    ],
)
def test_31_and_02_a_mounted_application_has_no_lifespan(mount: str) -> None:
    files = project(main=MOUNTING.format(span="yield", sub="sub = FastAPI()", mount=mount))
    refusal = refused(files, "resources", app="main:sub")
    assert refusal.code == "app-mounted"
    assert refusal.place is not None
    line = files["main.py"].decode().splitlines()[refusal.place.line - 1]
    assert "sub)" in line
    assert changed(files, added(files, "cors", app="main:sub")) == {"main.py"}


def test_31_a_lifespan_that_the_host_enters_runs() -> None:
    span = "async with sub.router.lifespan_context(sub):\n        yield"
    mount = 'app = Starlette(lifespan=span, routes=[Mount("/api", app=sub)])'
    files = project(main=MOUNTING.format(span=span, sub="sub = FastAPI()", mount=mount))
    assert changed(files, added(files, "resources", app="main:sub")) == {"main.py"}


def test_31_an_application_that_is_served_by_itself_too_has_its_lifespan() -> None:
    mount = 'app = Starlette(routes=[Mount("/api", app=sub)])'
    files = project(main=MOUNTING.format(span="yield", sub="sub = FastAPI()", mount=mount))
    files["Dockerfile"] = b'CMD ["uvicorn", "main:sub"]\n'
    assert changed(files, added(files, "resources")) == {"main.py"}


@pytest.mark.parametrize(
    "sub", ["sub = FastAPI(lifespan=span)", "sub = FastAPI()\nsub.add_event_handler('startup', print)"]
)
def test_02_the_plan_names_a_lifespan_that_never_runs(sub: str) -> None:
    files = project(main=MOUNTING.format(span="yield", sub=sub, mount='app = FastAPI()\napp.mount("/api", sub)'))
    plan = memory.planned(files, Request(add=("resources",)), "main:app")
    (note,) = [note for note in plan.notes if "never runs" in note.message]
    assert "main:sub" in note.message
    assert note.place is not None
    assert note.place.path == "main.py"


LIFESPAN = """\
@asynccontextmanager
async def span(app):
    ran.append("up")
    yield
    ran.append("down")
"""


@pytest.mark.parametrize(
    "last",
    [
        f"app = FastAPI()\n\n\n{LIFESPAN}\n\napp.router.lifespan_context = span\n",
        f"{LIFESPAN}\n\ndef install(application):\n    application.router.lifespan_context = span\n\n\n"
        "app = FastAPI()\ninstall(app)\n",
        f"{LIFESPAN}\n\ndef create_app():\n    app = FastAPI()\n    app.router.lifespan_context = span\n    return app\n\n\n"
        "app = create_app()\n",
    ],
)
def test_52_a_lifespan_that_is_assigned_is_wrapped(last: str) -> None:
    head = "from contextlib import asynccontextmanager\n\nfrom fastapi import FastAPI\n\nran = []\n\n\n"
    after = added(project(main=head + last), "resources")
    assert b"    async with managed_resources(app):\n        yield\n" in after["main.py"]


@pytest.mark.parametrize("receiver", ["routes.app", "app", "application"])
def test_52f_also_in_another_module(receiver: str) -> None:
    imported = {
        "routes.app": "import routes",
        "app": "from routes import app",
        "application": "from routes import app as application",
    }
    head = f"from contextlib import asynccontextmanager\n\n{imported[receiver]}\n\nran = []\n\n\n{LIFESPAN}\n\n"
    files = project(
        main=f"{head}{receiver}.router.lifespan_context = span\n",
        routes="from fastapi import FastAPI\n\napp = FastAPI()\n",
    )
    after = added(files, "resources")
    assert b"    async with managed_resources(app):\n        yield\n" in after["main.py"]
    assert changed(files, after) == {"main.py"}


@pytest.mark.parametrize(
    "last",
    [
        "app.router.lifespan_context = made(app.router.lifespan_context)\n",
        "app.router.lifespan_context = other\n",
        f"\n\n{LIFESPAN}\n\napp.router.lifespan_context = span\napp.router.lifespan_context = other\n",
    ],
)
def test_52_what_would_overwrite_ours_is_refused(last: str) -> None:
    head = "from contextlib import asynccontextmanager\n\nfrom fastapi import FastAPI\nfrom there import made, other\n\nran = []\n"
    files = project(main=f"{head}app = FastAPI()\n{last}")
    refusal = refused(files, "resources")
    assert refusal.code == "lifespan-assigned"
    assert refusal.place is not None
    assert refusal.place.line == len(files["main.py"].splitlines())
    assert changed(files, added(files, "cors")) == {"main.py"}


@pytest.mark.parametrize("other", ["public", "admin"])
def test_102_two_applications_of_one_repository_are_two(other: str) -> None:
    source = "from fastapi import FastAPI\n\napp = FastAPI()\n"
    files = project(public=source, admin=source)
    first = "admin" if other == "public" else "public"
    after = memory.add(files, "cors", app=f"{first}:app")
    assert json.loads(after[".laterctl/feature-cors.json"])["app"] == f"{first}:app"
    refusal = refused(after, "cors", app=f"{other}:app")
    assert refusal.code == "other-application"
    assert f"{first}:app" in refusal.message
    assert memory.add(after, "cors", app=f"{first}:app") == after
    both = memory.add(after, "metrics", "coverage", app=f"{other}:app")
    assert changed(after, both) == {f"{other}.py", "core/settings.py"}
    assert "app" not in json.loads(both[".laterctl/feature-coverage.json"])
    assert refused(both, "metrics", app=f"{first}:app").code == "other-application"
    assert memory.remove(memory.remove(both, "metrics", "coverage"), "cors") == files


def test_102_an_application_that_got_another_name_is_still_the_one() -> None:
    files = project(public="from fastapi import FastAPI\n\napp = FastAPI()\n")
    after = memory.add(files, "cors")
    after["public.py"] = after["public.py"].replace(b"app.", b"service.").replace(b"app =", b"service =")
    assert "core/metrics.py" in memory.add(after, "metrics")


@pytest.mark.parametrize("name", ["app", "application"])
def test_what_a_test_makes_of_a_factory_is_not_what_is_served(name: str) -> None:
    main = "from fastapi import FastAPI\n\n\ndef create_app() -> FastAPI:\n    app = FastAPI()\n    return app\n"
    files = {
        **project(main=main),
        "tests/test_it.py": f"from main import create_app\n\n{name} = create_app()\n".encode(),
    }
    app = memory.project(files).app
    assert app is not None
    assert (app.reference, app.factory) == ("main:create_app", True)
    assert added(files, "metrics", "resources") == added(files, "resources", "metrics")


HELD = "from fastapi import FastAPI\n\n\nclass Holder:\n    def __init__(self{more}) -> None:\n        self.api = FastAPI()\n"


@pytest.mark.parametrize("more", ["", "\n\nholder = Holder()\n"])
def test_a_and_s_an_application_without_an_importable_name(more: str) -> None:
    files = project(main=HELD.format(more="" if more else ", config: dict") + more)
    after = added(files, "cors", "metrics")
    assert b"        self.api.add_middleware(MetricsMiddleware)\n" in after["main.py"]
    test = after.get("tests/test_metrics.py", b"")
    assert (b"from main import holder\n" in test, b"holder.api" in test) == (bool(more), bool(more))


@pytest.mark.parametrize("folder", ["my app", "2nd", "my app/shop", "srv-1/web"])
def test_attack_05_a_folder_that_no_import_can_name_is_an_import_root(folder: str) -> None:
    files = {"requirements.txt": LISTED, f"{folder}/main.py": b"from fastapi import FastAPI\n\napp = FastAPI()\n"}
    after = added(files, "cors")
    package = folder.partition("/")[2]
    assert (
        f"from {package + '.' if package else ''}core.cors import CorsMiddleware, CorsSettings\n".encode()
        in after[f"{folder}/main.py"]
    )
    assert f"{folder}/core/cors.py" in after


@pytest.mark.parametrize(
    "source",
    [
        "with suppress(KeyError):\n    app = FastAPI()\n",
        "try:\n    app = FastAPI()\nfinally:\n    pass\n",
        "if True:\n    app = FastAPI()\n",
        "x = 1; app = FastAPI(middleware=[Middleware(GZipMiddleware)])\n",
        "(app := FastAPI())\n",
        "(app := FastAPI(middleware=[Middleware(GZipMiddleware)]))\n",
        "print(app := FastAPI())\n",
    ],
)
def test_attacks_06_07_and_17_unusual_statements_that_make_the_application(source: str) -> None:
    head = (
        "from contextlib import suppress\n\nfrom fastapi import FastAPI\nfrom starlette.middleware import Middleware\n"
        "from starlette.middleware.gzip import GZipMiddleware\n\n"
    )
    last = '\n\n@app.middleware("http")\nasync def timing(request, call_next):\n    return await call_next(request)\n'
    for files in (project(main=head + source), project(main=head + source + last)):
        assert changed(files, added(files, "cors", "resources")) == {"main.py"}


@pytest.mark.parametrize("filler", ["pass  # nothing yet", "pass", "...", "...  # later"])
def test_attack_16_the_comment_of_a_placeholder_is_the_users(filler: str) -> None:
    config = f"from pydantic_settings import BaseSettings\n\n\nclass Settings(BaseSettings):\n    {filler}\n\n\nsettings = Settings()\n"
    main = "from fastapi import FastAPI\n\nfrom config import settings\n\napp = FastAPI()\n"
    after = added(project(main=main, config=config), "cors")
    assert (filler.partition("#")[2].encode() in after["config.py"]) or "#" not in filler


def test_b_what_only_a_script_binds_does_not_count() -> None:
    config = (
        "from pydantic_settings import BaseSettings\n\n\nclass Settings(BaseSettings):\n    name: str = 'x'\n\n\n"
        "if __name__ == '__main__':\n    settings = Settings()\n    print(settings.name)\n"
    )
    main = "from fastapi import FastAPI\n\nfrom config import Settings\n\napp = FastAPI(title=Settings().name)\n"
    files = project(main=main, config=config)
    after = added(files, "cors")
    assert b"import settings" not in after["core/cors.py"]
    assert changed(files, after) == {"main.py"}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ('models: list[str] = []\n    """Names of models."""', '"""Names of models."""\n    cors_credentials'),
        ('models: list[str] = Field([])\n    """Several\n    lines."""', 'lines."""\n    cors_credentials'),
        ("# Models\n    models: list[str] = []\n    more: int = 3", "more: int = 3\n\n    cors_credentials"),
        ("models: list[str] = []\n\n    # More\n    more: int = 3", "more: int = 3\n\n    cors_credentials"),
        ("# Models\n    models: list[str] = []\n\n    more: int = 3", "more: int = 3\n    cors_credentials"),
    ],
)
def test_c_where_fields_go(fields: str, expected: str) -> None:
    config = f"from pydantic import Field\nfrom pydantic_settings import BaseSettings\n\n\nclass Settings(BaseSettings):\n    {fields}\n\n\nsettings = Settings()\n"
    main = "from fastapi import FastAPI\n\nfrom config import settings\n\napp = FastAPI(title=str(settings.models))\n"
    files = project(main=main, config=config)
    after = added(files, "cors")
    assert expected.encode() in after["config.py"]
    one, two = (memory.add(memory.add(files, a), b) for a, b in (("cors", "resources"), ("resources", "cors")))
    assert one == two


@pytest.mark.parametrize("nested", ["", "    class Inner:\n        pass\n\n"])
def test_k_a_lifespan_nested_in_the_factory_is_wrapped(nested: str) -> None:
    source = (
        "from contextlib import asynccontextmanager\n\nfrom fastapi import FastAPI\n\n\ndef lifespan() -> None:\n    ...\n\n\n"
        f"def create_app() -> FastAPI:\n{nested}    @asynccontextmanager\n    async def lifespan(app: FastAPI):\n"
        '        """Start."""\n        yield\n        print("stop")\n\n'
        "    app = FastAPI(lifespan=lifespan)\n    return app\n\n\napp = create_app()\n"
    )
    after = added(project(main=source), "resources")
    assert b"        async with managed_resources(app):\n            yield\n" in after["main.py"]


SERVER = """\
from fastapi import FastAPI


class Server:
    def __init__(self) -> None:
        self.app: FastAPI = self._make()

    def _make(self) -> FastAPI:
        {made}
"""


@pytest.mark.parametrize(
    ("made", "last", "reference"),
    [
        ("app = FastAPI()\n        return app", "\n\napp = create_app()\n", "main:app"),
        ("app = FastAPI()\n        return app", "", "main:create_app"),
        ("app = FastAPI()\n        app.state.x = 1\n        return app", "\n\napp = create_app()\n", "main:app"),
    ],
)
def test_f_an_application_made_by_a_method(made: str, last: str, reference: str) -> None:
    main = f"def create_app():\n    from server import Server\n\n    server = Server()\n    return server.app\n{last}"
    files = project(main=main, server=SERVER.format(made=made))
    facts = memory.project(files).app
    assert facts is not None
    assert facts.reference == reference
    assert changed(files, added(files, "cors", "metrics")) == {"server.py"}


def test_f_what_a_method_hands_out_to_nobody_that_is_known_is_edited_all_the_same() -> None:
    files = project(main=SERVER.format(made="app = FastAPI()\n        return app"))
    assert changed(files, added(files, "cors", "metrics")) == {"main.py"}


@pytest.mark.parametrize(
    "more",
    [
        "",
        "\n\n@app.get('/x')\ndef x():\n    try:\n        raise KeyError\n    except jwt.PyJWTError:\n        return 1\n",
    ],
)
def test_n_a_token_for_another_service_is_no_sign_in(more: str) -> None:
    head = "import jwt\nfrom fastapi import FastAPI\n\napp = FastAPI()\n\n\n"
    made = 'def header(key: str) -> str:\n    return "Bearer " + jwt.encode({"iss": "app"}, key, algorithm="RS256")\n'
    files = project(main=head + made + more)
    files["requirements.txt"] += b"pyjwt>=2.11\n"
    assert changed(files, added(files, "jwt")) == {"main.py"}


@pytest.mark.parametrize(
    "source",
    [
        "import jwt\n\n\ndef read(token):\n    return jwt.decode(token, 'k', algorithms=['HS256'])\n",
        "from jose import jwt as tokens\n\n\ndef read(token):\n    return tokens.decode(token, 'k', algorithms=['HS256'])\n",
        "from jwt import decode\n\n\ndef read(token):\n    return decode(token, 'k', algorithms=['HS256'])\n",
    ],
)
def test_n_a_token_that_is_verified_is(source: str) -> None:
    refusal = refused(project(main="import auth\nfrom fastapi import FastAPI\n\napp = FastAPI()\n", auth=source), "jwt")
    assert refusal.code == "already-by-hand"
    assert refusal.place is not None
    assert refusal.place.path == "auth.py"


@pytest.mark.parametrize(
    "lists",
    [
        'expose_headers=["X-Frame-Options", "X-Content-Type-Options"]',
        'expose_headers=("X-Frame-Options", "X-Content-Type-Options"), allow_headers=["Referrer-Policy", "Permissions-Policy"]',
        'expose_headers=["X-Frame-Options", "X-Content-Type-Options", "Referrer-Policy"]',
    ],
)
def test_m_names_of_headers_in_a_list_set_none(lists: str) -> None:
    head = "from fastapi import FastAPI\nfrom fastapi.middleware.cors import CORSMiddleware\n\napp = FastAPI()\n"
    files = project(main=f"{head}app.add_middleware(CORSMiddleware, allow_origins=['https://a.example'], {lists})\n")
    assert changed(files, added(files, "security-headers")) == {"main.py"}


@pytest.mark.parametrize(
    "lines",
    [
        'response.headers["X-Frame-Options"] = "DENY"\n    response.headers["Referrer-Policy"] = "no-referrer"',
        'response.headers.update({"X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer"})',
        'response.headers.setdefault("X-Frame-Options", "DENY")\n    response.headers.append("Referrer-Policy", "x")',
        'response.raw_headers += [(b"x-frame-options", b"DENY"), [b"referrer-policy", b"x"]]',
    ],
)
def test_m_headers_that_are_set_are_by_hand(lines: str) -> None:
    code = f"def harden(response):\n    {lines}\n    return response\n"
    files = project(main="from fastapi import FastAPI\n\napp = FastAPI()\n", harden=code)
    assert refused(files, "security-headers").code == "already-by-hand"


def test_m_what_another_application_has_is_not_this_ones() -> None:
    source = "from fastapi import FastAPI\n\napp = FastAPI()\n"
    admin = (
        "from fastapi import FastAPI\nfrom fastapi.middleware.cors import CORSMiddleware\n\napp = FastAPI()\n"
        "app.add_middleware(CORSMiddleware, allow_origins=['https://a.example'])\n\n\n"
        "@app.get('/metrics')\ndef metrics():\n    return 1\n"
    )
    files = project(public=source, admin=admin)
    assert changed(files, added(files, "cors", "metrics", app="public:app")) == {"public.py"}
    assert refused(files, "cors", app="admin:app").code == "already-by-hand"
    assert refused(files, "metrics", app="admin:app").code == "already-by-hand"


ROUTES = "from fastapi import APIRouter\n\nrouter = APIRouter()\n"


@pytest.mark.parametrize(
    ("main", "others", "core"),
    [
        ("main.py", {"shop/__init__.py": "", "shop/routes.py": ROUTES}, "shop/core"),
        ("main.py", {"shop/__init__.py": "", "shop/routes.py": ROUTES, "tests/test_x.py": ""}, "shop/core"),
        ("src/main.py", {"src/shop/__init__.py": "", "src/shop/routes.py": ROUTES}, "src/shop/core"),
        ("main.py", {"shop/__init__.py": "", "shop/routes.py": ROUTES, "helpers.py": ""}, "core"),
        ("main.py", {"shop/routes.py": ROUTES}, "core"),
        ("main.py", {"shop/__init__.py": "", "shop/routes.py": ROUTES, "core/__init__.py": ""}, "core"),
        ("api/src/main.py", {"api/__init__.py": "# a package\n", "api/src/core/__init__.py": ""}, "api/src/core"),
        ("api/src/main.py", {"api/__init__.py": "X = 1\n", "api/src/core/__init__.py": ""}, "api/src/core"),
        (
            "api/src/main.py",
            {"api/__init__.py": "X = 1\n", "api/core/__init__.py": "", "api/src/core/__init__.py": ""},
            "api/core",
        ),
        ("api/src/main.py", {"api/__init__.py": "X = 1\n"}, "api/core"),
    ],
)
def test_o_and_r3_where_core_goes(main: str, others: dict[str, str], core: str) -> None:
    imports = "from shop.routes import router\n" if "shop" in str(others) else "router = None\n"
    inside = "from .core import config\n" if "api/src/core/__init__.py" in others else ""
    files = {
        "requirements.txt": LISTED,
        main: f"from fastapi import FastAPI\n\n{inside}{imports}\napp = FastAPI()\n".encode(),
        **{path: text.encode() for path, text in others.items()},
    }
    if inside:
        files["api/src/core/config.py"] = b""
    after = added(files, "cors")
    assert f"{core}/cors.py" in after


@pytest.mark.parametrize("folder", ["routers", "api", "services"])
def test_o_a_part_of_an_application_is_no_package_of_it(folder: str) -> None:
    main = f"from fastapi import FastAPI\n\nfrom {folder}.routes import router\n\napp = FastAPI()\napp.include_router(router)\n"
    files = {
        "requirements.txt": LISTED,
        "main.py": main.encode(),
        f"{folder}/__init__.py": b"",
        f"{folder}/routes.py": ROUTES.encode(),
    }
    assert "core/cors.py" in added(files, "cors")


def test_q_coverage_measures_the_import_root() -> None:
    files = project(
        src__main__app="from fastapi import FastAPI\n\nfrom common import x\n\napp = FastAPI(title=x)\n",
        src__main__common="x = 'a'\n",
    )
    after = added({**files, "pyproject.toml": b"[tool.other]\n"}, "coverage")
    assert b'source_dirs = ["src/main"]\n' in after["pyproject.toml"]


def test_e3_imports_start_where_they_are_found_without_an_application_too() -> None:
    files = project(
        app__main="from backend import api\n",
        app__backend__api="from fastapi import APIRouter\n\nfrom backend.container import Services\n\nrouter = APIRouter()\n",
        app__backend__container="class Services: ...\n",
    )
    facts = memory.project(files)
    assert facts.names.roots[0] == "app"
    assert facts.module_of("app/backend/api.py") == "backend.api"


@pytest.mark.parametrize(
    "entry",
    [
        "Middleware(GZipMiddleware) if x else Middleware(GZipMiddleware)",
        "(Middleware(GZipMiddleware))",
        "*([Middleware(GZipMiddleware)] if x else [])",
        "more",
    ],
)
def test_attacks_a_list_of_middleware_with_expressions_comes_back(entry: str) -> None:
    head = (
        "from fastapi import FastAPI\nfrom starlette.middleware import Middleware\n"
        "from starlette.middleware.gzip import GZipMiddleware\n\nx = True\nmore = Middleware(GZipMiddleware)\n"
    )
    files = project(main=f"{head}app = FastAPI(middleware=[{entry}])\n")
    after = added(files, "cors")
    assert after["main.py"].count(b"import Middleware\n") == 1


@pytest.mark.parametrize("count", [600, 900, 3000])
def test_attacks_a_long_chain_of_operators_is_done_or_refused(count: int) -> None:
    chain = " + ".join(["1"] * count)
    files = project(main=f"from fastapi import FastAPI\n\napp = FastAPI()\nx = {chain}\n")
    refusal = refused(files, "cors")
    assert "too deeply" in refusal.message
    assert refusal.place is not None


@pytest.mark.parametrize("bound", ["auth_router = 1\n", "from users import router as auth_router\n"])
def test_a_router_whose_name_is_taken_has_another(bound: str) -> None:
    files = project(
        main=f"from fastapi import FastAPI\n{bound}\napp = FastAPI()\n",
        users="from fastapi import APIRouter\n\nrouter = APIRouter()\n",
    )
    after = added(files, "jwt")
    assert b"from api.auth import router as app_auth_router\n" in after["main.py"]
    assert b"app.include_router(app_auth_router)\n" in after["main.py"]
    assert memory.add(after, "jwt") == after


@pytest.mark.parametrize(
    ("imported", "config"),
    [
        (
            "from config import settings",
            "import starlette.config\n\n\nclass Own:\n    read = starlette.config.Config('.env')\n    name = read('NAME', default='x')\n\n\nsettings = Own()\n",
        ),
        ("from config import settings", "import decouple\n\nsettings = decouple.AutoConfig()\n"),
        ("import config", "import os\n\nNAME = os.environ.get('NAME', 'x')\nREDIS_URL = os.getenv('REDIS_URL', '')\n"),
        (
            "from config import settings",
            "import os\n\n\nclass Settings:\n    name = os.environ.get('NAME', 'x')\n\n\nsettings = Settings()\n",
        ),
        (
            "from config import settings",
            "from os import getenv\n\nfrom pydantic import BaseModel\n\n\nclass Settings(BaseModel):\n    name: str\n\n\nsettings = Settings(name=getenv('NAME', 'x'))\n",
        ),
        (
            "from config import get_settings",
            "import os\n\n\ndef get_settings():\n    return {'name': os.environ['NAME']}\n",
        ),
    ],
    ids=["starlette", "decouple", "constants", "class", "model", "getter"],
)
def test_no_second_settings_system_is_put_beside_an_own_one(imported: str, config: str) -> None:
    files = project(main=f"from fastapi import FastAPI\n\n{imported}\n\napp = FastAPI()\n", config=config)
    after = added(files, "cors")
    assert "core/settings.py" not in after
    assert b"return os.environ.get(name.upper())\n" in after["core/feature_settings.py"]
    assert after["config.py"] == files["config.py"]


SERVICE = b"from fastapi import FastAPI\n\napp = FastAPI()\n"


@pytest.mark.parametrize(
    ("manifest", "text"),
    [
        ("pyproject.toml", b'[project]\nname = "x"\nversion = "1"\ndependencies = ["fastapi>=0.115"]\n'),
        ("requirements.txt", b"fastapi\n"),
        ("requirements/base.txt", b"fastapi\n"),
        ("Pipfile", b'[packages]\nfastapi = "*"\n'),
        ("setup.py", b'from setuptools import setup\n\nsetup(install_requires=["fastapi"])\n'),
        ("setup.cfg", b"[options]\ninstall_requires =\n    fastapi\n"),
    ],
)
@pytest.mark.parametrize("listed", [False, True])
def test_the_root_of_a_monorepo_lists_the_projects_below_it(manifest: str, text: bytes, listed: bool) -> None:
    files = {
        f"{folder}/{name}": data for folder in ("one", "two") for name, data in ((manifest, text), ("main.py", SERVICE))
    }
    refusal = refused({**files, "requirements.txt": b"fastapi\n" if listed else b"ruff\n"}, "errors")
    assert refusal.code == ("several-apps" if listed and manifest != "pyproject.toml" else "project-below")
    assert "-C one" in refusal.remedy
    assert "-C two" in refusal.remedy


def test_a_client_under_another_name_is_not_doubled() -> None:
    code = "from httpx import AsyncClient\n\n\ndef get_http_client() -> AsyncClient:\n    return AsyncClient()\n"
    files = project(main="from fastapi import FastAPI\n\napp = FastAPI()\n", cache=code)
    refusal = refused(files, "resources")
    assert refusal.code == "already-by-hand"
    assert refusal.place is not None
    assert refusal.place.path == "cache.py"
    once = memory.add(project(main="from fastapi import FastAPI\n\napp = FastAPI()\n"), "jwt")
    assert "core/http_client.py" in memory.add(once, "resources")


GATE = "@app.middleware('http')\nasync def gate(request, call_next):\n    return await call_next(request)\n"


@pytest.mark.parametrize(
    ("main", "late", "place"),
    [
        (f"{{create}}\n\napp = create_app()\n\n\n{GATE}", "", "main.py:16"),
        ("{create}\n\napp = create_app()\n", f"from main import app\n\n\n{GATE}", "late.py:4"),
        (f"with suppress(KeyError):\n    app = FastAPI()\n\n\n{GATE}", "", "main.py:10"),
    ],
)
def test_what_is_added_later_is_told_and_takes_ours_nowhere(main: str, late: str, place: str) -> None:
    create = "def create_app():\n    app = FastAPI()\n    app.add_middleware(GZipMiddleware)\n    app.state.x = 1\n    return app\n"
    head = (
        "from contextlib import suppress\n\nfrom fastapi import FastAPI\n"
        "from starlette.middleware.gzip import GZipMiddleware\n\n"
    )
    files = project(main=head + main.format(create=create), late=late)
    plan = memory.planned(files, Request(add=("cors",)))
    warnings = [note for note in plan.notes if note.level == "warning"]
    assert all("gate stands outside of" in note.message for note in warnings)
    assert {str(note.place) for note in warnings} == {place}
    after = memory.applied(files, plan)["main.py"].decode().splitlines()
    (ours,) = (number for number, line in enumerate(after) if "(CorsMiddleware, " in line)
    assert after[ours - 2].lstrip().startswith(("app.add_middleware(GZipMiddleware)", "app = FastAPI()"))


@pytest.mark.parametrize(
    ("head", "last", "argument"),
    [
        ("from tortoise.contrib.fastapi import register_tortoise", "register_tortoise(app, db_url='x')", False),
        ("import mqtt", "client = mqtt.Client()\nclient.init_app(app)", False),
        ("import paging", "def pages(to):\n    paging.add(to)\n\n\npages(app)", False),
        ("from prometheus_fastapi_instrumentator import Instrumentator", "Instrumentator().instrument(app)", True),
        ("from dishka.integrations.fastapi import setup_dishka", "setup_dishka(container, app=app)", True),
        ("import uvicorn", "uvicorn.run(app)", True),
        ("import os", "def named(to):\n    print(to.title)\n\n\nnamed(app)", True),
    ],
)
def test_lifespan_beside_what_others_do_at_the_start(head: str, last: str, argument: bool) -> None:
    files = project(main=f"from fastapi import FastAPI\n{head}\n\napp = FastAPI()\n\n\n{last}\n")
    after = added(files, "resources")["main.py"]
    assert (b"APIRouter(lifespan=managed_resources)" in after) is not argument


@pytest.mark.parametrize(
    "mount", ["app.mount('/api', api)", "middle = FastAPI()\nmiddle.mount('/v1', api)\napp.mount('/api', middle)", ""]
)
def test_cors_of_a_mounted_application_is_not_doubled(mount: str) -> None:
    api = (
        "from fastapi import FastAPI\nfrom fastapi.middleware.cors import CORSMiddleware\n\napi = FastAPI()\n"
        "api.add_middleware(CORSMiddleware, allow_origins=['https://a.example'])\n"
    )
    main = f"from fastapi import FastAPI\n\nfrom other import api\n\napp = FastAPI()\n{mount}\n"
    files = project(main=main, other=api)
    if mount:
        assert refused(files, "cors", app="main:app").code == "already-by-hand"
    else:
        assert changed(files, added(files, "cors", app="main:app")) == {"main.py"}


HEADERS = "    {0}['X-Content-Type-Options'] = 'nosniff'\n    {0}['X-Frame-Options'] = 'DENY'\n"


@pytest.mark.parametrize(
    ("code", "by_hand"),
    [
        (
            "@app.middleware('http')\nasync def add(request, call_next):\n    response = await call_next(request)\n",
            True,
        ),
        ("@app.get('/page')\nasync def page(response: Response):\n", False),
        (
            "class Files(StaticFiles):\n  async def get_response(self, path, scope):\n    response = await super().get_response(path, scope)\n",
            False,
        ),
    ],
)
def test_headers_of_one_answer_are_not_those_of_all(code: str, by_hand: bool) -> None:
    head = "from fastapi import FastAPI, Response\nfrom fastapi.staticfiles import StaticFiles\n\napp = FastAPI()\n\n\n"
    files = project(main=f"{head}{code}{HEADERS.format('response.headers')}    return response\n")
    if by_hand:
        assert refused(files, "security-headers").code == "already-by-hand"
    else:
        assert changed(files, added(files, "security-headers")) == {"main.py"}


SHELL = """\
from fastapi import FastAPI

BASE = ""


def create_app() -> FastAPI:
    app = FastAPI()
    if BASE:
        outer = FastAPI()
        outer.mount(BASE, app)
        return outer
    return app


app = create_app()
"""


def test_a_function_that_makes_two_applications_asks_by_their_local_names() -> None:
    files = project(shop__app=SHELL, shop____init__="from shop.app import app\n")
    message = refused(files, "cors").message
    assert "one mounted on the other: " in message
    assert {"shop.app:app", "shop.app:outer"} == set(message.rpartition("other: ")[2].split(", "))
    inner = added(files, "cors", app="shop.app:app")["shop/app.py"].decode()
    assert "    app = FastAPI()\n    app.add_middleware(" in inner
    outer = added(files, "cors", app="shop.app:outer")["shop/app.py"].decode()
    assert "        outer = FastAPI()\n        outer.add_middleware(" in outer


@pytest.mark.parametrize(
    ("root", "main", "imports", "by_hand"),
    [
        ("services/other", "shop/main.py", "", False),
        ("services/other", "services/other/app/admin.py", "", True),
        ("src", "run.py", "from app import metrics", True),
    ],
)
def test_what_another_program_of_the_repository_does_is_not_done_here(
    root: str, main: str, imports: str, by_hand: bool
) -> None:
    other = (
        "from fastapi import FastAPI\n\nfrom app.metrics import MetricsMiddleware\n\n"
        "app = FastAPI()\napp.add_middleware(MetricsMiddleware)\n"
    )
    files = {
        "requirements.txt": LISTED,
        f"{root}/app/__init__.py": b"",
        f"{root}/app/main.py": other.encode(),
        f"{root}/app/metrics.py": b"class MetricsMiddleware:\n    def __init__(self, app):\n        self.app = app\n",
        main: f"from fastapi import FastAPI\n\n{imports}\n\napp = FastAPI()\n".encode(),
    }
    if by_hand:
        assert refused(files, "metrics", app=f"{main}:app").code == "already-by-hand"
    else:
        assert changed(files, added(files, "metrics", app=f"{main}:app")) == {main}
