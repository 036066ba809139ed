"""The shapes of applications: where they are constructed, what is registered, where registrations may stand."""

from __future__ import annotations

import ast
from pathlib import Path
from textwrap import dedent

import pytest

from laterctl.project.discover import Project
from laterctl.project.facts import App
from laterctl.project.statements import body_at
from tests.project.making import codes, make

CORS = "starlette.middleware.cors.CORSMiddleware"
GZIP = "starlette.middleware.gzip.GZipMiddleware"


def the_app(project: Project) -> App:
    app = project.app
    assert app is not None, project.undecided
    return app


def statement(project: Project, app: App) -> str:
    """The source of the statement after which the app exists."""
    body = body_at(project.tree.python(app.path).tree, app.body)
    return ast.unparse(body[app.index])


def limited_by(project: Project, app: App) -> str:
    assert app.limit is not None
    return ast.unparse(body_at(project.tree.python(app.path).tree, app.body)[app.limit])


def targets(app: App) -> list[str]:
    return [entry.target for entry in app.middleware]


def test_module_level(tmp_path: Path) -> None:
    project = make(tmp_path, {"main.py": "from fastapi import FastAPI\n\napp = FastAPI(title='x')\n"})
    app = the_app(project)
    assert (app.path, app.module, app.name, app.body, app.index) == ("main.py", "main", "app", (), 1)
    assert (app.reference, app.factory, app.keywords, app.limit) == ("main:app", False, ("title",), None)
    assert app.editable
    assert str(app.place) == "main.py:3"


@pytest.mark.parametrize(
    "source",
    [
        "import fastapi\napp = fastapi.FastAPI()\n",
        "import fastapi as fa\napp = fa.FastAPI()\n",
        "from fastapi import FastAPI as F\napp = F()  # not FastAPI by name\n",
        "from fastapi.applications import FastAPI\napp: FastAPI = FastAPI()\n",
        "from fastapi import *\napp = FastAPI()\n",
        "try:\n    from fastapi import FastAPI\nexcept ImportError:\n    FastAPI = None\napp = FastAPI()\n",
    ],
)
def test_any_way_to_import_the_class(tmp_path: Path, source: str) -> None:
    app = the_app(make(tmp_path, {"main.py": source}))
    assert app.reference == "main:app"


@pytest.mark.parametrize(
    "source",
    [
        "class FastAPI:\n    pass\napp = FastAPI()\n",
        "from other import FastAPI\napp = FastAPI()\n",
        "from fastapi import FastAPI\nclass FastAPI:\n    pass\napp = FastAPI()\n",
        '"""app = FastAPI()"""\n# app = FastAPI()\nx = "from fastapi import FastAPI"\n',
        "from fastapi import FastAPI\ndef f(app: FastAPI) -> FastAPI:\n    return app\n",
    ],
)
def test_what_only_looks_like_an_app(tmp_path: Path, source: str) -> None:
    project = make(tmp_path, {"main.py": source})
    assert project.app is None
    assert codes(project) == ["no-app"]


def test_reexport_through_own_modules(tmp_path: Path) -> None:
    files = {
        "pkg/__init__.py": "",
        "pkg/base.py": "from fastapi import FastAPI\n",
        "pkg/middle.py": "from .base import *\n",
        "pkg/main.py": "from .middle import FastAPI\napp = FastAPI()\n",
    }
    assert the_app(make(tmp_path, files)).reference == "pkg.main:app"


def test_factory_called_in_the_same_file(tmp_path: Path) -> None:
    files = {
        "main.py": """
            from fastapi import FastAPI

            def create_app() -> FastAPI:
                application = FastAPI()
                application.state.x = 1
                return application
                print("dead")

            app = create_app()
            """
    }
    project = make(tmp_path, files)
    app = the_app(project)
    assert (app.name, app.scope, app.body, app.index, app.limit) == ("application", "create_app", ((1, "body"),), 0, 2)
    assert (app.reference, app.factory) == ("main:app", False)
    assert statement(project, app) == "application = FastAPI()"


def test_factory_called_in_another_file_with_arguments(tmp_path: Path) -> None:
    files = {
        "src/app/__init__.py": "",
        "src/app/core/__init__.py": "",
        "src/app/core/setup.py": """
            from fastapi import FastAPI
            def create_application(router, **kwargs):
                application = FastAPI(**kwargs)
                application.include_router(router)
                return application
            """,
        "src/app/main.py": """
            from .core.setup import create_application
            from starlette.middleware.gzip import GZipMiddleware
            app = create_application(None)
            app.add_middleware(GZipMiddleware)
            """,
    }
    app = the_app(make(tmp_path, files))
    assert (app.path, app.reference, app.factory) == ("src/app/core/setup.py", "app.main:app", False)
    assert app.open_keywords
    assert [(entry.target, entry.outside, str(entry.place)) for entry in app.middleware] == [
        (GZIP, True, "src/app/main.py:4")
    ]
    assert app.middleware[0].index == 3  # as many statements as the factory has: after all of them


def test_factory_only(tmp_path: Path) -> None:
    files = {"web/application.py": "from fastapi import FastAPI\ndef get_app():\n    app = FastAPI()\n    return app\n"}
    app = the_app(make(tmp_path, files))
    assert (app.reference, app.factory, app.editable) == ("web.application:get_app", True, True)


def test_factory_with_required_arguments_cannot_be_called_by_others(tmp_path: Path) -> None:
    files = {"main.py": "from fastapi import FastAPI\ndef build(settings):\n    app = FastAPI()\n    return app\n"}
    assert the_app(make(tmp_path, files)).reference == ""


def test_chain_of_factories(tmp_path: Path) -> None:
    files = {
        "base.py": "from fastapi import FastAPI\ndef base():\n    app = FastAPI()\n    return app\n",
        "main.py": """
            from starlette.middleware.gzip import GZipMiddleware
            from base import base
            def full():
                made = base()
                made.add_middleware(GZipMiddleware)
                return made
            application = full()
            """,
    }
    app = the_app(make(tmp_path, files))
    assert (app.path, app.reference) == ("base.py", "main:application")
    assert [(entry.target, entry.outside) for entry in app.middleware] == [(GZIP, True)]


def test_factory_that_returns_the_call_is_edited_where_it_is_called(tmp_path: Path) -> None:
    files = {
        "factory.py": "from fastapi import FastAPI\ndef make():\n    return FastAPI()\n",
        "main.py": "from factory import make\napp = make()\n",
    }
    project = make(tmp_path, files)
    app = the_app(project)
    assert (app.path, app.name, app.index, app.open_keywords) == ("main.py", "app", 1, True)
    assert statement(project, app) == "app = make()"


def test_factory_that_returns_the_call_and_nobody_holds_it(tmp_path: Path) -> None:
    app = the_app(make(tmp_path, {"main.py": "from fastapi import FastAPI\ndef make():\n    return FastAPI()\n"}))
    assert not app.editable
    assert "no name holds the application" in app.reason


def test_one_factory_two_apps_names_both(tmp_path: Path) -> None:
    files = {
        "main.py": "from fastapi import FastAPI\ndef make():\n    a = FastAPI()\n    return a\napp = make()\n",
        "cli.py": "from main import make\nother = make()\n",
    }
    app = the_app(make(tmp_path, files))
    assert app.reference == "main:app"
    assert [evidence.place.path for evidence in app.evidence if "also" in evidence.what] == ["cli.py"]


def test_attribute_of_a_class(tmp_path: Path) -> None:
    files = {
        "app/main.py": """
            from fastapi import FastAPI
            from fastapi.middleware.cors import CORSMiddleware

            class AppCreator:
                def __init__(self):
                    self.app = FastAPI()
                    self.db = None
                    if True:
                        self.app.add_middleware(CORSMiddleware)

            app_creator = AppCreator()
            app = app_creator.app
            """
    }
    project = make(tmp_path, files)
    app = the_app(project)
    assert (app.name, app.scope, app.body) == ("self.app", "AppCreator.__init__", ((2, "body"), (0, "body")))
    assert (app.reference, targets(app), app.middleware[0].conditional) == ("app.main:app", [CORS], True)
    assert app.editable


def test_methods_of_the_class_that_holds_the_app(tmp_path: Path) -> None:
    files = {
        "main.py": """
            from fastapi import FastAPI
            from starlette.middleware.gzip import GZipMiddleware
            from fastapi.middleware.cors import CORSMiddleware
            import routes

            class Server:
                def __init__(self):
                    self.app = FastAPI()
                    self.register()
                    self.more(self.app)

                def register(self):
                    self.app.include_router(routes.router)
                    self.app.add_middleware(GZipMiddleware)
                    self.register()

                def more(self, target):
                    target.add_middleware(CORSMiddleware)

                def never_called(self):
                    self.app.include_router(routes.other)
            """
    }
    app = the_app(make(tmp_path, files))
    assert [(entry.index, entry.target, entry.style) for entry in app.middleware][:1] == [(1, GZIP, "helper")]
    assert app.middleware[-1].target == CORS
    assert {entry.target for entry in app.routers} == {"routes.router"}


def test_class_attribute(tmp_path: Path) -> None:
    files = {"main.py": "from fastapi import FastAPI\nclass Server:\n    app = FastAPI()\n"}
    app = the_app(make(tmp_path, files))
    assert (app.name, app.body, app.reference) == ("app", ((1, "body"),), "main:Server.app")


def test_subclass(tmp_path: Path) -> None:
    files = {
        "base.py": """
            import fastapi
            from fastapi.middleware.gzip import GZipMiddleware
            class Base(fastapi.FastAPI):
                def __init__(self, **kwargs):
                    super().__init__(**kwargs)
                    self.add_middleware(GZipMiddleware)
            """,
        "main.py": "from base import Base\napp = Base()\n",
    }
    app = the_app(make(tmp_path, files))
    assert (app.path, app.reference, app.open_keywords) == ("main.py", "main:app", True)
    assert [(entry.target, entry.style) for entry in app.middleware] == [(GZIP, "helper")]


def test_both_branches_of_an_if(tmp_path: Path) -> None:
    files = {
        "main.py": """
            import os
            from fastapi import FastAPI
            if os.environ.get("DEBUG"):
                app = FastAPI(debug=True)
            else:
                app = FastAPI(docs_url=None)
            app.state.ready = True
            """
    }
    project = make(tmp_path, files)
    app = the_app(project)
    assert (app.body, app.index, app.open_keywords) == ((), 2, True)
    assert statement(project, app).startswith("if ")
    assert len(project.apps) == 1


def test_under_one_branch(tmp_path: Path) -> None:
    files = {
        "main.py": """
            from fastapi import FastAPI
            from starlette.middleware.gzip import GZipMiddleware
            try:
                app = FastAPI()
            except Exception:
                raise
            app.add_middleware(GZipMiddleware)
            """
    }
    app = the_app(make(tmp_path, files))
    assert (app.body, app.index) == (((2, "body"),), 0)
    assert [(entry.target, entry.outside) for entry in app.middleware] == [(GZIP, True)]


def test_built_by_a_container_is_not_editable(tmp_path: Path) -> None:
    files = {
        "main.py": """
            from dependency_injector import containers, providers
            from fastapi import FastAPI
            class Container(containers.DeclarativeContainer):
                app = providers.Singleton(FastAPI, title="x")
            app = Container().app()
            """
    }
    app = the_app(make(tmp_path, files))
    assert not app.editable
    assert "dependency-injector" in app.reason


def test_built_in_a_function_that_keeps_it(tmp_path: Path) -> None:
    files = {
        "main.py": """
            import uvicorn
            from fastapi import FastAPI
            def main():
                app = FastAPI()
                uvicorn.run(app)
            """
    }
    app = the_app(make(tmp_path, files))
    assert (app.editable, app.reference) == (False, "")
    assert "main() builds the application and does not hand it out" in app.reason


def test_wrapped_where_it_is_made(tmp_path: Path) -> None:
    files = {"main.py": "import socketio\nfrom fastapi import FastAPI\napp = socketio.ASGIApp(None, FastAPI())\n"}
    app = the_app(make(tmp_path, files))
    assert not app.editable


def test_rebinding_sets_the_limit(tmp_path: Path) -> None:
    files = {
        "main.py": """
            import socketio
            from fastapi import FastAPI
            app = FastAPI()
            app.state.x = 1
            app = socketio.ASGIApp(None, app)
            """
    }
    project = make(tmp_path, files)
    app = the_app(project)
    assert limited_by(project, app) == "app = socketio.ASGIApp(None, app)"
    assert (app.reference, app.wrapped) == ("main:app", "socketio.ASGIApp")


def test_helper_that_gives_the_app_back_is_no_limit(tmp_path: Path) -> None:
    files = {
        "main.py": """
            from fastapi import FastAPI
            from starlette.middleware.gzip import GZipMiddleware
            def setup(application):
                application.add_middleware(GZipMiddleware)
                return application
            app = FastAPI()
            app = setup(app)
            """
    }
    app = the_app(make(tmp_path, files))
    assert (app.limit, app.wrapped, targets(app)) == (None, "", [GZIP])


@pytest.mark.parametrize(
    ("last", "limit"),
    [
        ("if __name__ == '__main__':\n    import uvicorn\n    uvicorn.run(app)", True),
        ("if '__main__' == __name__:\n    pass", True),
        ("import uvicorn\nuvicorn.run(app)", True),
        ("del app", True),
        ("handler = Mangum(app)", False),
        ("if __debug__:\n    pass", False),
    ],
)
def test_limits_at_module_level(tmp_path: Path, last: str, limit: bool) -> None:
    source = f"from fastapi import FastAPI\nfrom mangum import Mangum\napp = FastAPI()\nx = 1\n{last}\n"
    app = the_app(make(tmp_path, {"main.py": source}))
    if "import uvicorn\nuvicorn" in last:
        assert app.limit == 5
    else:
        assert app.limit == (4 if limit else None)


def test_early_return_limits(tmp_path: Path) -> None:
    files = {
        "main.py": """
            from fastapi import FastAPI
            def create(testing=False):
                app = FastAPI()
                @app.get("/")
                def index():
                    return 1
                if testing:
                    return app
                app.state.x = 1
                return app
            """
    }
    project = make(tmp_path, files)
    assert limited_by(project, the_app(project)).startswith("if testing")


def test_local_name_differs_from_the_exported_one(tmp_path: Path) -> None:
    files = {"main.py": "from fastapi import FastAPI\nfastapi_app = FastAPI()\nx = 1\napp = fastapi_app\n"}
    app = the_app(make(tmp_path, files))
    assert (app.name, app.reference, app.limit) == ("fastapi_app", "main:app", None)


def test_package_init_holds_the_app(tmp_path: Path) -> None:
    files = {
        "app/__init__.py": "from fastapi import FastAPI\napp = FastAPI()\n",
        "run.py": "import uvicorn\nuvicorn.run('app:app')\n",
    }
    app = the_app(make(tmp_path, files))
    assert (app.module, app.reference) == ("app", "app:app")


# Registrations


def test_registrations_in_order(tmp_path: Path) -> None:
    files = {
        "main.py": """
            from fastapi import APIRouter, FastAPI
            from fastapi.middleware.cors import CORSMiddleware
            from fastapi.middleware.gzip import GZipMiddleware
            import extra

            router = APIRouter()
            app = FastAPI()
            app.add_middleware(GZipMiddleware)
            if extra.debug:
                app.add_middleware(middleware_class=CORSMiddleware)

            @app.middleware("http")
            async def timing(request, call_next):
                return await call_next(request)

            app.middleware("http")(extra.audit)
            app.include_router(router)
            app.add_exception_handler(Exception, extra.on_error)

            @app.exception_handler(404)
            async def missing(request, exc): ...

            other.add_middleware(CORSMiddleware)
            """
    }
    app = the_app(make(tmp_path, files))
    assert [(entry.index, entry.target, entry.style, entry.conditional) for entry in app.middleware] == [
        (6, GZIP, "call", False),
        (7, CORS, "call", True),
        (8, "main.timing", "decorator", False),
        (9, "extra.audit", "call", False),
    ]
    assert [(entry.index, entry.target) for entry in app.routers] == [(10, "main.router")]
    assert [(entry.target, entry.function) for entry in app.handlers] == [
        ("builtins.Exception", "extra.on_error"),
        ("404", "main.missing"),
    ]


def test_loops(tmp_path: Path) -> None:
    files = {
        "main.py": """
            from fastapi import FastAPI
            from api import items, users
            import more
            app = FastAPI()
            for module in (items, users):
                app.include_router(module.router)
            ROUTERS = [items.router]
            for router in ROUTERS:
                app.include_router(router)
            for router in more.routers():
                app.include_router(router)
            """,
        "api/__init__.py": "",
        "api/items.py": "router = 1\n",
        "api/users.py": "router = 1\n",
    }
    app = the_app(make(tmp_path, files))
    assert [(entry.index, entry.target, entry.style) for entry in app.routers] == [
        (4, "api.items.router", "loop"),
        (4, "api.users.router", "loop"),
        (6, "api.items.router", "loop"),
        (7, "", "loop"),
    ]


def test_middleware_list_in_the_call(tmp_path: Path) -> None:
    files = {
        "main.py": """
            from fastapi import FastAPI
            from starlette.middleware import Middleware
            from starlette.middleware.gzip import GZipMiddleware
            from fastapi.middleware.cors import CORSMiddleware
            app = FastAPI(middleware=[Middleware(CORSMiddleware), Middleware(GZipMiddleware, minimum_size=5)])
            """
    }
    app = the_app(make(tmp_path, files))
    assert [(entry.target, entry.style) for entry in app.middleware] == [(CORS, "list"), (GZIP, "list")]
    assert app.middleware_list is not None
    assert (app.middleware_list.index, app.middleware_list.keyword) == (4, "middleware")


@pytest.mark.parametrize(
    "helper",
    [
        "def make_middleware():\n    return [Middleware(GZipMiddleware)]\n",
        "def make_middleware():\n    found = [Middleware(GZipMiddleware)]\n    return found\n",
    ],
)
def test_middleware_list_built_by_a_helper(tmp_path: Path, helper: str) -> None:
    files = {
        "server.py": (
            "from fastapi import FastAPI\nfrom starlette.middleware import Middleware\n"
            "from starlette.middleware.gzip import GZipMiddleware\n"
            f"{helper}\ndef create_app():\n    app_ = FastAPI(middleware=make_middleware())\n    return app_\n"
            "app = create_app()\n"
        )
    }
    app = the_app(make(tmp_path, files))
    assert app.middleware_argument == "make_middleware()"
    assert targets(app) == [GZIP]
    assert app.middleware_list is not None
    assert (app.middleware_list.body, app.middleware_list.index) == (((3, "body"),), 0)


def test_middleware_list_that_cannot_be_found(tmp_path: Path) -> None:
    files = {"main.py": "from fastapi import FastAPI\nimport stack\napp = FastAPI(middleware=stack.build(1))\n"}
    app = the_app(make(tmp_path, files))
    assert app.middleware_list is None
    assert [(entry.target, entry.style) for entry in app.middleware] == [("", "list")]


def test_helpers_are_followed(tmp_path: Path) -> None:
    files = {
        "pkg/__init__.py": "",
        "pkg/main.py": """
            from fastapi import FastAPI
            from prometheus_fastapi_instrumentator import Instrumentator
            from .setup import register, nothing
            app = FastAPI()
            register(app, debug=True)
            nothing(app)
            Instrumentator().instrument(app).expose(app)
            """,
        "pkg/setup.py": """
            from fastapi.middleware.cors import CORSMiddleware
            from .more import deeper
            def register(application, debug=False):
                if debug:
                    application.add_middleware(CORSMiddleware)
                deeper(target=application)
            def nothing(app):
                app.state.x = 1
            """,
        "pkg/more.py": """
            from starlette.middleware.gzip import GZipMiddleware
            def deeper(target):
                target.add_middleware(GZipMiddleware)

                @target.on_event("startup")
                async def start(): ...
            """,
    }
    app = the_app(make(tmp_path, files))
    instrumented = "prometheus_fastapi_instrumentator.Instrumentator.instrument"
    assert [(entry.index, entry.target, entry.style, str(entry.place)) for entry in app.middleware] == [
        (4, CORS, "helper", "pkg/setup.py:5"),
        (4, GZIP, "helper", "pkg/more.py:3"),
        (6, f"{instrumented}.expose", "helper", "pkg/main.py:7"),
        (6, instrumented, "helper", "pkg/main.py:7"),
    ]
    assert (app.lifespan.kind, str(app.lifespan.place)) == ("on_event", "pkg/more.py:5")


def test_helper_on_the_global_app(tmp_path: Path) -> None:
    files = {
        "main.py": """
            from fastapi import FastAPI
            import routes
            app = FastAPI()
            def api_routers():
                app.include_router(routes.router)
            api_routers()
            """
    }
    app = the_app(make(tmp_path, files))
    assert [(entry.index, entry.target) for entry in app.routers] == [(4, "routes.router")]


def test_registrations_by_modules_that_import_the_app(tmp_path: Path) -> None:
    files = {
        "pkg/__init__.py": "from fastapi import FastAPI\napp = FastAPI()\n",
        "pkg/wiring.py": """
            from pkg import app as the_app
            from starlette.middleware.gzip import GZipMiddleware
            the_app.add_middleware(GZipMiddleware)
            """,
        "pkg/unrelated.py": "from other import app\nfrom x import Y\napp.add_middleware(Y)\n",
    }
    app = the_app(make(tmp_path, files))
    assert [(entry.target, entry.outside) for entry in app.middleware] == [(GZIP, True)]


def test_recursive_helpers_end(tmp_path: Path) -> None:
    files = {
        "main.py": """
            from fastapi import FastAPI
            def one(app):
                two(app)
            def two(app):
                one(app)
            app = FastAPI()
            one(app)
            """
    }
    assert the_app(make(tmp_path, files)).reference == "main:app"


def test_mounts(tmp_path: Path) -> None:
    files = {
        "main.py": """
            from fastapi import FastAPI
            from starlette.staticfiles import StaticFiles
            from sub import api
            app = FastAPI()
            app.mount("/static", StaticFiles(directory="static"))
            app.mount("/api", api)
            """,
        "sub.py": "from fastapi import FastAPI\napi = FastAPI()\n",
    }
    project = make(tmp_path, files)
    app = the_app(project)
    assert [entry.target for entry in app.mounts] == ["starlette.staticfiles.StaticFiles", "sub.api"]
    assert (app.reference, len(project.apps)) == ("main:app", 2)


@pytest.mark.parametrize(
    "mounts",
    [
        "app = FastAPI()\napp.mount('/sub', FastAPI())",
        "app = FastAPI()\napp.mount('/sub', app=GZipMiddleware(FastAPI()), name='sub')",
        "app = FastAPI(routes=[Mount('/sub', app=FastAPI())])",
        "def create_app():\n    app = FastAPI()\n    app.mount('/sub', (FastAPI()))\n    return app\napp = create_app()",
        "app = FastAPI()\napp.mount('/a', FastAPI()); app.mount('/b', FastAPI())",
    ],
)
def test_an_app_made_where_it_is_mounted_is_not_the_one(mounts: str, tmp_path: Path) -> None:
    head = (
        "from fastapi import FastAPI\nfrom starlette.middleware.gzip import GZipMiddleware\n"
        "from starlette.routing import Mount\n"
    )
    project = make(tmp_path, {"main.py": head + mounts + "\n"})
    assert the_app(project).reference == "main:app"
    assert all(app.mounted for app in project.apps if app != project.app)


def test_a_nameless_app_beside_a_mount_of_something_else_is_not_mounted(tmp_path: Path) -> None:
    files = {
        "main.py": """
            from fastapi import FastAPI
            from starlette.staticfiles import StaticFiles
            app = FastAPI()
            app.mount("/static", StaticFiles(directory="static"))
            print(FastAPI())
            """
    }
    assert [app.mounted for app in make(tmp_path, files).apps] == [None, None]


def test_two_apps_mounted_on_each_other_in_one_file_are_asked_for(tmp_path: Path) -> None:
    files = {
        "main.py": """
            from fastapi import FastAPI
            app = FastAPI()
            api = FastAPI()
            app.mount("/api", api)
            """,
        "Dockerfile": 'CMD ["uvicorn", "main:app"]\n',
    }
    assert codes(make(tmp_path, files)) == ["several-apps"]
    assert the_app(make(tmp_path, files, app="main:api")).name == "api"


def test_very_deep_code_is_read(tmp_path: Path) -> None:
    branches = "if x == 0:\n    pass\n" + "".join(f"elif x == {n}:\n    pass\n" for n in range(1, 290))
    words = "text = " + " + ".join("'a'" for _ in range(900))
    source = f"from fastapi import FastAPI\nx = 1\n{words}\n{branches}app = FastAPI()\n"
    assert the_app(make(tmp_path, {"main.py": source})).reference == "main:app"


# Lifespan

SPAN = """
    from contextlib import asynccontextmanager
    from fastapi import FastAPI

    @asynccontextmanager
    async def lifespan(app):
        {body}

    app = FastAPI(lifespan=lifespan)
    """


def test_lifespan_function(tmp_path: Path) -> None:
    source = SPAN.format(
        body="async with app.db:\n            try:\n                yield {'x': 1}\n            finally: ..."
    )
    lifespan = the_app(make(tmp_path, {"main.py": source})).lifespan
    assert (lifespan.kind, lifespan.name) == ("function", "lifespan")
    assert (lifespan.body, lifespan.index) == (((2, "body"), (0, "body"), (0, "body")), 0)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("if app:\n            yield\n        else:\n            yield", "has 2 yields"),
        ("x = yield", "not a statement of its own"),
        ("pass", "has 0 yields"),
    ],
)
def test_lifespan_that_cannot_be_wrapped(tmp_path: Path, body: str, reason: str) -> None:
    lifespan = the_app(make(tmp_path, {"main.py": SPAN.format(body=body)})).lifespan
    assert lifespan.kind == "foreign"
    assert reason in lifespan.reason


def test_lifespan_imported_from_an_own_module(tmp_path: Path) -> None:
    files = {
        "app/main.py": "from fastapi import FastAPI\nfrom app.life import span\napp = FastAPI(lifespan=span)\n",
        "app/life.py": "import contextlib\n@contextlib.asynccontextmanager\nasync def span(app):\n    yield\n",
    }
    lifespan = the_app(make(tmp_path, files)).lifespan
    assert (lifespan.kind, str(lifespan.place), lifespan.body) == ("function", "app/life.py:3", ((1, "body"),))


def test_lifespan_nested_in_the_factory(tmp_path: Path) -> None:
    files = {
        "main.py": """
            from contextlib import asynccontextmanager
            from fastapi import FastAPI
            def create():
                @asynccontextmanager
                async def span(app):
                    yield
                return_value = FastAPI(lifespan=span)
                return return_value
            """
    }
    lifespan = the_app(make(tmp_path, files)).lifespan
    assert (lifespan.kind, lifespan.name, lifespan.body) == ("function", "create.span", ((2, "body"), (0, "body")))


@pytest.mark.parametrize(
    ("setup", "call"),
    [
        ("import fastapi_utils", "lifespan=fastapi_utils.span"),
        ("from own import make_span", "lifespan=make_span()"),
        ("class Span: ...", "lifespan=Span"),
        ("options = {}", "**options"),
    ],
)
def test_foreign_lifespans(tmp_path: Path, setup: str, call: str) -> None:
    source = f"from fastapi import FastAPI\n{setup}\napp = FastAPI({call})\n"
    app = the_app(make(tmp_path, {"main.py": source, "own.py": "def make_span(): ...\n"}))
    assert app.lifespan.kind == "foreign"
    assert app.lifespan.reason
    assert app.open_keywords == ("**" in call)


def test_lifespan_context_assignment(tmp_path: Path) -> None:
    source = "from fastapi import FastAPI\nfrom x import y\napp = FastAPI()\napp.router.lifespan_context = y\n"
    lifespan = the_app(make(tmp_path, {"main.py": source})).lifespan
    assert (lifespan.kind, str(lifespan.place)) == ("assigned", "main.py:4")


@pytest.mark.parametrize(
    "hook",
    [
        "@app.on_event('startup')\ndef start(): ...",
        "app.add_event_handler('startup', print)",
        "app.router.on_startup.append(print)",
        "app.on_event('shutdown')(print)",
    ],
)
def test_on_event(tmp_path: Path, hook: str) -> None:
    source = f"from fastapi import FastAPI\napp = FastAPI()\n{hook}\n"
    assert the_app(make(tmp_path, {"main.py": source})).lifespan.kind == "on_event"


def test_on_event_beside_a_lifespan_never_runs(tmp_path: Path) -> None:
    source = dedent(SPAN.format(body="yield")) + "@app.on_event('startup')\ndef start(): ...\n"
    app = the_app(make(tmp_path, {"main.py": source}))
    assert app.lifespan.kind == "function"
    assert [str(item.place) for item in app.evidence if "never runs" in item.what] == ["main.py:9"]


def test_no_lifespan(tmp_path: Path) -> None:
    source = "from fastapi import FastAPI\nbroker = x\napp = FastAPI(lifespan=None)\n"
    source += "@broker.on_event('startup')\ndef f(): ...\n"
    assert the_app(make(tmp_path, {"main.py": source})).lifespan.kind == "none"
