"""Doctor rules about CORS, security headers and the order of middleware: what they find, and what they leave alone."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
from pydantic import AnyHttpUrl, create_model

from laterctl.doctor.rule import MAIN as MAIN_FILE
from laterctl.finding import Finding
from tests.features import edge_app
from tests.ruling import found, lines, places

RULES = ["CORS001", "CORS002", "CORS003", "CORS004", "CORS006", "HDR001", "HDR002", "HDR003", "HDR005", "MW002"]

START = """\
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

app = FastAPI()
"""

SEED_HEADERS = """\
from fastapi import Request
from starlette.middleware.base import BaseHTTPMiddleware


class SecurityHeadersMiddleware(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next):
        response = await call_next(request)
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["X-Frame-Options"] = "DENY"
        response.headers["X-XSS-Protection"] = "1; mode=block"
        response.headers["Strict-Transport-Security"] = "max-age=31536000"
        return response
"""


INSTALLED = {
    "app/core/security_headers.py": "class SecurityHeadersMiddleware: ...\n",
    MAIN_FILE: "from fastapi import FastAPI\nfrom app.core.security_headers import SecurityHeadersMiddleware\n"
    "app = FastAPI()\napp.add_middleware(SecurityHeadersMiddleware)\n",
}
USED = "from app.module import *\napp.add_middleware(Headers)\n"


def check(rule: str, source: str) -> list[Finding]:
    """Return what a rule says about a module; HDR001, of a project that has the feature."""
    if rule == "HDR001":
        return found({**INSTALLED, MAIN_FILE: INSTALLED[MAIN_FILE] + USED, "app/module.py": dedent(source)}, [rule])
    return found(dedent(source), [rule])


def hdr001(source: str) -> list[int]:
    return sorted(item.place.line for item in check("HDR001", source) if item.place is not None)


CORS001_FOUND = [
    'app.add_middleware(CORSMiddleware, allow_origins=["*"], allow_credentials=True)',
    'app.add_middleware(CORSMiddleware, allow_origins=("https://a.example", "*"), allow_credentials=True)',
    'app.add_middleware(CORSMiddleware, allow_origin_regex=".*", allow_credentials=True)',
    'app.add_middleware(CORSMiddleware, allow_origin_regex=r"https?://.+", allow_credentials=True)',
    'app.add_middleware(middleware_class=CORSMiddleware, allow_origins=["*"], allow_credentials=True)',
    'origins = ["*"]\napp.add_middleware(CORSMiddleware, allow_origins=origins, allow_credentials=True)',
    'wrapped = CORSMiddleware(app, allow_origins=["*"], allow_credentials=True)',
]
CORS001_FINE = [
    'app.add_middleware(CORSMiddleware, allow_origins=["*"])',
    'app.add_middleware(CORSMiddleware, allow_origins=["*"], allow_credentials=False)',
    'app.add_middleware(CORSMiddleware, allow_origins=["*"], allow_credentials=settings.credentials)',
    'app.add_middleware(CORSMiddleware, allow_origins=["https://a.example"], allow_credentials=True)',
    r'app.add_middleware(CORSMiddleware, allow_origin_regex=r"https://.*\.a\.example", allow_credentials=True)',
    'app.add_middleware(CORSMiddleware, allow_origin_regex="(", allow_credentials=True)',
    "app.add_middleware(CORSMiddleware, allow_origins=load(), allow_credentials=True)",
    'app.add_middleware(CORSMiddleware, allow_origins=["*"], **options)',
    'class CORSMiddleware: ...\napp.add_middleware(CORSMiddleware, allow_origins=["*"], allow_credentials=True)',
    (
        "def add(origins):\n    app.add_middleware(CORSMiddleware, allow_origins=origins, allow_credentials=True)\n"
        'origins = ["*"]'
    ),
    (
        'origins = ["*"]\nif production:\n    origins = []\n'
        "app.add_middleware(CORSMiddleware, allow_origins=origins, allow_credentials=True)"
    ),
]


@pytest.mark.parametrize("source", CORS001_FOUND)
def test_cors001_finds(source: str) -> None:
    expected = len((START + source).splitlines())
    assert lines("CORS001", START + source) == [expected]


@pytest.mark.parametrize("source", CORS001_FINE)
def test_cors001_leaves_alone(source: str) -> None:
    assert check("CORS001", START + source) == []


@pytest.mark.parametrize(
    "imports",
    [
        "from starlette.middleware.cors import CORSMiddleware as C",
        "from fastapi.middleware import cors\nfrom starlette.middleware.cors import CORSMiddleware as C",
    ],
)
def test_names_are_resolved(imports: str) -> None:
    source = f'{imports}\napp.add_middleware(C, allow_origins=["*"], allow_credentials=True)\n'
    assert len(check("CORS001", source)) == 1


def test_imports_inside_a_factory_count() -> None:
    source = """\
        def create_app():
            from fastapi.middleware import cors
            app = FastAPI()
            app.add_middleware(cors.CORSMiddleware, allow_origins=["*"], allow_credentials=True)
            return app
        """
    assert lines("CORS001", source) == [4]


def test_the_list_of_the_constructor_counts() -> None:
    source = """\
        from fastapi import FastAPI
        from fastapi.middleware import Middleware
        from fastapi.middleware.cors import CORSMiddleware
        app = FastAPI(middleware=[Middleware(CORSMiddleware, allow_origins=["*"], allow_credentials=True)])
        """
    assert lines("CORS001", source) == [4]


@pytest.mark.parametrize(
    "source",
    [
        'app.add_middleware(CORSMiddleware, allow_origins="https://a.example")',
        'import os\napp.add_middleware(CORSMiddleware, allow_origins=os.getenv("ORIGINS", ""))',
        'import os\napp.add_middleware(CORSMiddleware, allow_origins=os.environ["ORIGINS"])',
        (
            'from os import environ as env\nORIGINS = env.get("ORIGINS")\n'
            "app.add_middleware(CORSMiddleware, allow_origins=ORIGINS)"
        ),
        (
            'from starlette.config import Config\nconfig = Config(".env")\n'
            'app.add_middleware(CORSMiddleware, allow_origins=config("ORIGINS"))'
        ),
        (
            'from starlette.config import Config\nconfig = Config(".env")\nORIGINS = config("ORIGINS", cast=str)\n'
            "app.add_middleware(CORSMiddleware, allow_origins=ORIGINS)"
        ),
        (
            "from pydantic_settings import BaseSettings\nclass Settings(BaseSettings):\n    origins: str = ''\n"
            "settings = Settings()\napp.add_middleware(CORSMiddleware, allow_origins=settings.origins)"
        ),
    ],
)
def test_cors002_finds(source: str) -> None:
    assert len(check("CORS002", START + source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        'app.add_middleware(CORSMiddleware, allow_origins=["https://a.example"])',
        'app.add_middleware(CORSMiddleware, allow_origins="*")',
        'import os\napp.add_middleware(CORSMiddleware, allow_origins=os.environ["ORIGINS"].split(","))',
        'import os\napp.add_middleware(CORSMiddleware, allow_origins=[os.environ["ORIGIN"]])',
        (
            "from starlette.config import Config\nfrom starlette.datastructures import CommaSeparatedStrings\n"
            'config = Config(".env")\n'
            'app.add_middleware(CORSMiddleware, allow_origins=config("ORIGINS", cast=CommaSeparatedStrings))'
        ),
        (
            "from pydantic_settings import BaseSettings\nclass Settings(BaseSettings):\n    origins: list[str] = []\n"
            "settings = Settings()\napp.add_middleware(CORSMiddleware, allow_origins=settings.origins)"
        ),
        "from app.config import settings\napp.add_middleware(CORSMiddleware, allow_origins=settings.origins)",
        "app.add_middleware(CORSMiddleware)",
    ],
)
def test_cors002_leaves_alone(source: str) -> None:
    assert check("CORS002", START + source) == []


@pytest.mark.parametrize(("field", "expected"), [("origins", ["app/main.py:6"]), ("other", [])])
def test_cors002_takes_the_type_of_a_setting_from_elsewhere(field: str, expected: list[str]) -> None:
    source = "from app.config import settings\napp.add_middleware(CORSMiddleware, allow_origins=settings.origins)"
    config = (
        "from pydantic_settings import BaseSettings\nclass Base(BaseSettings):\n    name: str\n"
        f"class Settings(Base):\n    {field}: str\nsettings = Settings()\n"
    )

    assert places({MAIN_FILE: START + source, "app/config.py": config}, "CORS002") == expected


@pytest.mark.parametrize(
    ("entry", "fix"),
    [
        ("https://a.example/", "write 'https://a.example'"),
        ("https://A.example", "write 'https://a.example'"),
        ("https://a.example/path", "write scheme"),
        ("a.example", "write scheme"),
        ("localhost:3000", "write scheme"),
        ("https://*.a.example", "write scheme"),
        ("https://user@a.example", "write scheme"),
    ],
)
def test_cors003_finds(entry: str, fix: str) -> None:
    source = f"app.add_middleware(CORSMiddleware, allow_origins=['https://b.example', {entry!r}])"
    (finding,) = check("CORS003", START + source)

    assert str(finding.place) == "app/main.py:5"
    assert repr(entry) in finding.message
    assert finding.fix.startswith(fix)


@pytest.mark.parametrize(
    "entry", ["*", "null", "https://a.example", "http://localhost:3000", "http://[::1]:80", "capacitor://localhost"]
)
def test_cors003_leaves_alone(entry: str) -> None:
    assert check("CORS003", f"{START}app.add_middleware(CORSMiddleware, allow_origins=[{entry!r}])") == []


@pytest.mark.parametrize(
    "source",
    [
        "app.add_middleware(CORSMiddleware)\napp.add_middleware(CORSMiddleware)",
        (
            "from app.core.cors import CorsMiddleware\n"
            "app.add_middleware(CORSMiddleware)\napp.add_middleware(CorsMiddleware)"
        ),
        (
            "from fastapi.middleware import Middleware\n"
            "other = FastAPI(middleware=[Middleware(CORSMiddleware), Middleware(CORSMiddleware)])"
        ),
    ],
)
def test_cors004_finds(source: str) -> None:
    assert len(check("CORS004", START + source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        "app.add_middleware(CORSMiddleware)",
        "api = FastAPI()\napp.add_middleware(CORSMiddleware)\napi.add_middleware(CORSMiddleware)",
        "if debug:\n    app.add_middleware(CORSMiddleware)\nelse:\n    app.add_middleware(CORSMiddleware)",
        "if debug:\n    app.add_middleware(CORSMiddleware)\nif not debug:\n    app.add_middleware(CORSMiddleware)",
        "def one():\n    app.add_middleware(CORSMiddleware)\ndef two():\n    app.add_middleware(CORSMiddleware)",
    ],
)
def test_cors004_leaves_alone(source: str) -> None:
    assert check("CORS004", START + source) == []


@pytest.mark.parametrize(
    "source",
    [
        'response.headers["Access-Control-Allow-Origin"] = "*"',
        'response.headers.setdefault("access-control-allow-origin", "*")',
        'response.headers.update({"Access-Control-Allow-Methods": "GET"})',
        'from fastapi.responses import JSONResponse\nJSONResponse({}, headers={"Access-Control-Allow-Origin": "*"})',
        'from fastapi import Response\nResponse(headers={"Access-Control-Allow-Headers": "X"})',
        'from fastapi import HTTPException\nraise HTTPException(400, headers={"Access-Control-Allow-Origin": "*"})',
        'headers.append((b"access-control-allow-origin", b"*"))',
    ],
)
def test_cors006_finds(source: str) -> None:
    assert lines("CORS006", source) == [len(source.splitlines())]


@pytest.mark.parametrize(
    "source",
    [
        'client.get("/", headers={"Access-Control-Request-Method": "GET"})',
        'allowed = response.headers["Access-Control-Allow-Origin"]',
        'assert response.headers.get("Access-Control-Allow-Origin") == "*"',
        'response.headers["X-Total-Count"] = "1"',
        'from fastapi import Response\nResponse(headers={"Access-Control-Expose-Headers": "X"})',
        'upstream.put_object(headers={"Access-Control-Allow-Origin": "*"})',
        'allowed = b"access-control-allow-origin" in headers',
    ],
)
def test_cors006_leaves_alone(source: str) -> None:
    assert check("CORS006", source) == []


FUNCTION_HEADERS = """\
from fastapi import FastAPI
app = FastAPI()

@app.middleware("http")
async def headers(request, call_next):
    response = await call_next(request)
    response.headers["X-Frame-Options"] = "DENY"
    return response
"""
ASGI_HEADERS = """\
class Headers:
    async def __call__(self, scope, receive, send):
        async def send_more(message):
            message["headers"].append((b"x-content-type-options", b"nosniff"))
            await send(message)
        await self.app(scope, receive, send_more)
"""
ROUTE_HEADERS = """\
@router.get("/embed")
async def embed(response: Response):
    response.headers["X-Frame-Options"] = "SAMEORIGIN"
    response.headers["Content-Security-Policy"] = "frame-ancestors https://a.example"
"""


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (SEED_HEADERS, [8, 9, 11]),
        (FUNCTION_HEADERS, [7]),
        (ASGI_HEADERS, [4]),
        ("from secure.middleware import SecureASGIMiddleware\napp.add_middleware(SecureASGIMiddleware)", [2]),
        (ROUTE_HEADERS, []),
        (FUNCTION_HEADERS.replace("X-Frame-Options", "X-Request-ID"), []),
        (FUNCTION_HEADERS.replace("X-Frame-Options", "Cache-Control"), []),
        ("app.add_middleware(SecureASGIMiddleware)", []),
    ],
)
def test_hdr001(source: str, expected: list[int]) -> None:
    assert hdr001(source) == expected


NGINX = """\
server {
    # add_header X-Frame-Options DENY;
    add_header X-Frame-Options "DENY; {" always;
    add_header X-Cache-Status $upstream_cache_status;
    location /static {
        add_header Content-Security-Policy "default-src 'self'";
    }
    location / {
        add_header  strict-transport-security 'max-age=1';
        proxy_pass http://app:8000;
    }
}
server {
    add_header X-Frame-Options DENY;
    root /srv/www;
}
"""


def test_hdr001_in_a_configuration_of_nginx() -> None:
    assert places({**INSTALLED, "nginx.conf": NGINX}, "HDR001") == ["nginx.conf:3", "nginx.conf:9"]
    assert places({MAIN_FILE: START, "nginx.conf": NGINX}, "HDR001") == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (SEED_HEADERS, [10]),
        ('response.headers["X-XSS-Protection"] = "0"', []),
        ('response.headers.setdefault("x-xss-protection", "1; mode=block")', [1]),
        ('headers.append((b"x-xss-protection", b"1"))', [1]),
        ('VALUE = "1; mode=block"\nresponse.headers["X-XSS-Protection"] = VALUE', [2]),
        ('response.headers["X-XSS-Protection"] = settings.xss', []),
        ('assert response.headers["X-XSS-Protection"] == "1"', []),
    ],
)
def test_hdr002(source: str, expected: list[int]) -> None:
    assert lines("HDR002", source) == expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("", ""), [11]),
        (('"max-age=31536000"', 'f"max-age={AGE}"'), [11]),
        (('"max-age=31536000"', '"max-age=0"'), []),
        (('"max-age=31536000"', "settings.hsts"), []),
        (('        response.headers["Strict', '        if production:\n            response.headers["Strict'), []),
        (("        return response", '        assert request.url.scheme == "https"\n        return response'), []),
        (('"max-age=31536000"', '"max-age=1" if secure else "max-age=0"'), []),
        (("class Security", 'SCHEME = "https"\n\nclass Security'), [13]),
    ],
)
def test_hdr003_in_a_class(change: tuple[str, str], expected: list[int]) -> None:
    assert lines("HDR003", SEED_HEADERS.replace(*change, 1)) == expected


@pytest.mark.parametrize(("guard", "expected"), [("", [7]), ("    https = request.url.scheme\n", [])])
def test_hdr003_in_a_function(guard: str, expected: list[int]) -> None:
    source = FUNCTION_HEADERS.replace("X-Frame-Options", "Strict-Transport-Security").replace("DENY", "max-age=60")

    assert lines("HDR003", source.replace("    return", f"{guard}    return")) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (SEED_HEADERS, [5]),
        (FUNCTION_HEADERS.replace("    return", '    response.headers["Referrer-Policy"] = "origin"\n    return'), [5]),
        (SEED_HEADERS.replace("starlette.middleware.base", "app.base"), []),
        (FUNCTION_HEADERS, []),
        (ASGI_HEADERS, []),
        (
            (
                "from starlette.middleware.base import BaseHTTPMiddleware\n"
                "class One(BaseHTTPMiddleware):\n"
                "    async def dispatch(self, request, call_next):\n"
                "        response = await call_next(request)\n"
                '        response.headers["X-Frame-Options"] = "DENY"\n'
                "        return response\n"
            ),
            [],
        ),
    ],
)
def test_hdr005(source: str, expected: list[int]) -> None:
    assert lines("HDR005", source) == expected


READER = """\
from contextvars import ContextVar

from fastapi import FastAPI
from starlette.middleware.base import BaseHTTPMiddleware

user = ContextVar("user")
app = FastAPI()


class Reader:
    async def __call__(self, scope, receive, send):
        await self.app(scope, receive, send)
        print(user.get())


class Plain:
    async def __call__(self, scope, receive, send):
        await self.app(scope, receive, send)


class Base(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        return await call_next(request)


"""


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("app.add_middleware(Base)\napp.add_middleware(Reader)", [26]),
        ("app.add_middleware(Reader)\napp.add_middleware(Base)", []),
        ("app.add_middleware(Base)\napp.add_middleware(Plain)", []),
        ("app.add_middleware(Plain)\napp.add_middleware(Reader)", []),
        ("other.add_middleware(Base)\napp.add_middleware(Reader)", []),
        ("app.add_middleware(BaseHTTPMiddleware, dispatch=f)\napp.add_middleware(Reader)", [26]),
        ('@app.middleware("http")\nasync def f(request, call_next): ...\napp.add_middleware(Reader)', [26]),
        ('@other.middleware("http")\nasync def f(request, call_next): ...\napp.add_middleware(Reader)', []),
        (
            (
                "from fastapi.middleware import Middleware\n"
                "application = FastAPI(middleware=[Middleware(Reader), Middleware(Base)])"
            ),
            [27],
        ),
        (
            (
                "from fastapi.middleware import Middleware\n"
                "application = FastAPI(middleware=[Middleware(Base), Middleware(Reader)])"
            ),
            [],
        ),
    ],
)
def test_mw002(source: str, expected: list[int]) -> None:
    assert lines("MW002", READER + source) == expected


@pytest.mark.parametrize(
    ("reads", "expected"), [("trace.get()", ["app/main.py:26"]), ("print(trace)", []), ("settings.get()", [])]
)
def test_mw002_knows_readers_of_other_modules(reads: str, expected: list[str]) -> None:
    logs = (
        "from app.core.trace import settings, trace\nclass AccessLog:\n"
        f"    async def __call__(self, scope, receive, send):\n        {reads}\n"
    )
    trace = "from contextvars import ContextVar\ntrace = ContextVar('trace')\nsettings = {}\n"
    main = READER + "from app.core.logs import AccessLog\napp.add_middleware(Base)\napp.add_middleware(AccessLog)\n"
    files = {MAIN_FILE: main, "app/core/logs.py": logs, "app/core/trace.py": trace}

    assert places(files, "MW002") == [place.replace("26", "27") for place in expected]


def test_mw002_leaves_branches_alone_that_never_meet() -> None:
    source = "if debug:\n    app.add_middleware(Base)\nelse:\n    app.add_middleware(Reader)\n"
    assert lines("MW002", READER + source) == []


PROJECT = {
    "pyproject.toml": "[project]\nname = 'app'\ndependencies = ['fastapi']\n",
    "app/__init__.py": "",
    "app/core/__init__.py": "",
    "app/core/cors.py": "class CorsMiddleware: ...\n",
    "app/core/security_headers.py": "class SecurityHeadersMiddleware: ...\n",
    "deploy/nginx.conf": NGINX,
    "tests/test_headers.py": SEED_HEADERS,
}
MAIN = """\
from fastapi import FastAPI
from fastapi.middleware import Middleware
from fastapi.middleware.cors import CORSMiddleware
from slowapi.middleware import SlowAPIMiddleware
from starlette.middleware.authentication import AuthenticationMiddleware

from app.core.cors import CorsMiddleware
from app.core.security_headers import SecurityHeadersMiddleware

app = FastAPI()
"""


BACKEND = "class Backend:\n    async def authenticate(self, conn):\n        raise AuthenticationError(conn)\n\n"
AUTHENTICATES = "app.add_middleware(AuthenticationMiddleware, backend=Backend())\n"
GATE = """\
from starlette.responses import JSONResponse, RedirectResponse, Response
@app.middleware("http")
async def gate(request, call_next):
    if not request.user:
        return JSONResponse({}, 401)
    return await call_next(request)
"""
BASE_GATE = """\
from fastapi import Response
from starlette.middleware.base import BaseHTTPMiddleware
class Gate(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        try:
            return await call_next(request)
        except ValueError:
            response = Response(status_code=500)
            return response
"""
ASGI_GATE = """\
from starlette.responses import JSONResponse
class Gate:
    async def __call__(self, scope, receive, send):
        if scope["type"] == "http":
            response = JSONResponse({}, 429)
            return await response(scope, receive, send)
        await self.app(scope, receive, send)
"""
REWRAPS = """\
from starlette.responses import Response
@app.middleware("http")
async def shrink(request, call_next):
    response = await call_next(request)
    return Response(content=small(response), headers=dict(response.headers))
"""


@pytest.mark.parametrize(
    ("origins", "reported"),
    [
        ('os.getenv("ORIGINS", "*").split(",")', True),
        ('[item.strip() for item in os.getenv("ORIGINS", "*").split(",")]', True),
        ('json.loads(os.environ.get("ORIGINS", \'["*"]\'))', True),
        ("settings.origins", True),
        ("get_settings().origins", True),
        ("[str(item) for item in settings.origins]", True),
        ("ORIGINS", True),
        ("settings.listed", False),
        ('os.getenv("ORIGINS", "").split(",")', False),
        ('os.getenv("ORIGINS").split(",")', False),
        ("[item for item in settings.origins if item != '*']", False),
        ("without_star(settings.origins)", False),
    ],
)
def test_cors001_reads_defaults(origins: str, reported: bool) -> None:
    config = (
        "import os\nfrom pydantic import Field\nfrom pydantic_settings import BaseSettings\n"
        "class Base(BaseSettings):\n    origins: list[str] = Field(default=['*'])\n    listed: list[str] = ['https://a.example']\n"
        "class Settings(Base):\n    name: str = ''\ndef get_settings():\n    return Settings()\nsettings = Settings()\n"
        "ORIGINS = os.environ.get('O', '*').split(',')\n"
    )
    use = f"app.add_middleware(CORSMiddleware, allow_origins={origins}, allow_credentials=True)\n"
    main = f"import os, json\nfrom app.config import *\n{MAIN}{use}"
    assert found_in(("CORS001",), main, config=config) == ([("CORS001", "app/main.py:13")] if reported else [])


@pytest.mark.parametrize(
    ("origins", "annotation", "reported"),
    [
        ("[str(o) for o in settings.origins]", "list[AnyHttpUrl]", True),
        ("[o.unicode_string() for o in settings.origins]", "List[HttpUrl]", True),
        ("settings.origins", "list[AnyHttpUrl] | str", True),
        ("list(get_settings().origins)", "list[AnyUrl]", True),
        ("[str(o).rstrip('/') for o in settings.origins]", "list[AnyHttpUrl]", False),
        ("[str(o) for o in settings.origins]", "list[str]", False),
        ("settings.all_origins", "list[AnyHttpUrl]", False),
    ],
)
def test_cors003_knows_what_pydantic_does_to_urls(origins: str, annotation: str, reported: bool) -> None:
    config = (
        "from pydantic import AnyHttpUrl, AnyUrl, HttpUrl\nfrom pydantic_settings import BaseSettings\n"
        f"class Settings(BaseSettings):\n    origins: {annotation} = []\n"
        "    @property\n    def all_origins(self):\n        return [str(o)[:-1] for o in self.origins]\n"
        "settings = Settings()\ndef get_settings():\n    return settings\n"
    )
    main = f"from app.config import get_settings, settings\n{MAIN}app.add_middleware(CORSMiddleware, allow_origins={origins})\n"
    assert found_in(("CORS003",), main, config=config) == ([("CORS003", "app/main.py:12")] if reported else [])


def test_what_cors003_says_of_urls_is_true() -> None:
    made = create_model("Settings", origin=(AnyHttpUrl, ...))(origin="https://a.example")
    assert str(made.origin) == "https://a.example/"


CORS_RULES = ("CORS002", "CORS005")
HEADER_RULES = ("HDR001", "HDR004", "HDR005")


def found_in(rules: tuple[str, ...], main: str, **more: str) -> list[tuple[str, str]]:
    files = PROJECT | {MAIN_FILE: main} | {f"app/{name}.py": text for name, text in more.items()}
    return [(item.rule, str(item.place)) for item in found(files, rules)]


@pytest.mark.parametrize(
    ("lines_of_main", "expected"),
    [
        ("app.add_middleware(CorsMiddleware)\napp.add_middleware(SlowAPIMiddleware)", ["app/main.py:11"]),
        ("app.add_middleware(CORSMiddleware)\napp.add_middleware(SlowAPIMiddleware)", ["app/main.py:11"]),
        ("app.add_middleware(CORSMiddleware)\napp.add_middleware(AuthenticationMiddleware)", []),
        (f"{BACKEND}app.add_middleware(CORSMiddleware)\n{AUTHENTICATES}", ["app/main.py:15"]),
        (f"{BACKEND.replace('raise', 'return')}app.add_middleware(CORSMiddleware)\n{AUTHENTICATES}", []),
        (f"app.add_middleware(CORSMiddleware)\n{GATE}", ["app/main.py:11"]),
        (f"{GATE}app.add_middleware(CORSMiddleware)\n", []),
        (f"app.add_middleware(CORSMiddleware)\n{GATE.replace('JSONResponse', 'RedirectResponse')}", []),
        (f"app.add_middleware(CORSMiddleware)\n{BASE_GATE}app.add_middleware(Gate)\n", ["app/main.py:11"]),
        (f"app.add_middleware(CORSMiddleware)\n{ASGI_GATE}app.add_middleware(Gate)\n", ["app/main.py:11"]),
        (f"app.add_middleware(CORSMiddleware)\n{REWRAPS}", []),
        ("app.add_middleware(SlowAPIMiddleware)\napp.add_middleware(CorsMiddleware)", []),
        ("app.add_middleware(SlowAPIMiddleware)", []),
        ("app.add_middleware(CorsMiddleware)\napp.add_middleware(SecurityHeadersMiddleware)", []),
    ],
)
def test_cors005(lines_of_main: str, expected: list[str]) -> None:
    assert found_in(CORS_RULES, MAIN + lines_of_main) == [("CORS005", place) for place in expected]


def test_cors005_in_the_list_of_the_constructor() -> None:
    wrong = "[Middleware(SlowAPIMiddleware), Middleware(CORSMiddleware)]"
    right = "[Middleware(CORSMiddleware), Middleware(SlowAPIMiddleware)]"

    assert found_in(CORS_RULES, MAIN.replace("FastAPI()", f"FastAPI(middleware={right})")) == []
    assert found_in(CORS_RULES, MAIN.replace("FastAPI()", f"FastAPI(middleware={wrong})")) == [
        ("CORS005", "app/main.py:10")
    ]


@pytest.mark.parametrize("access", ["settings.origins", "get_settings().origins"])
@pytest.mark.parametrize(("annotation", "reported"), [("str", True), ("list[str]", False)])
def test_cors002_reads_the_settings_of_the_project(access: str, annotation: str, reported: bool) -> None:
    getter = "@lru_cache\ndef get_settings() -> Settings:\n    return Settings()\n"
    tail = getter if access.startswith("get_settings") else "settings = Settings()\n"
    config = (
        "from functools import lru_cache\nfrom pydantic_settings import BaseSettings\n"
        f"class Settings(BaseSettings):\n    origins: {annotation} = ''\n{tail}"
    )
    name = access.partition("(")[0].partition(".")[0]
    main = MAIN + f"from app.config import {name}\napp.add_middleware(CORSMiddleware, allow_origins={access})\n"

    assert found_in(CORS_RULES, main, config=config) == ([("CORS002", "app/main.py:12")] if reported else [])


def test_headers_by_hand_until_the_feature_is_installed() -> None:
    by_hand = "from app.headers import SecurityHeadersMiddleware as Mine\napp.add_middleware(Mine)\n"
    without = found_in(HEADER_RULES, MAIN + by_hand, headers=SEED_HEADERS)
    installed = MAIN + by_hand + "app.add_middleware(SecurityHeadersMiddleware)\n"

    assert without == [("HDR005", "app/headers.py:5")]
    assert sorted(found_in(HEADER_RULES, installed, headers=SEED_HEADERS)) == [
        ("HDR001", "app/headers.py:11"),
        ("HDR001", "app/headers.py:8"),
        ("HDR001", "app/headers.py:9"),
        ("HDR001", "deploy/nginx.conf:3"),
        ("HDR001", "deploy/nginx.conf:9"),
    ]


@pytest.mark.parametrize(
    ("lines_of_main", "expected"),
    [
        ("app.add_middleware(CorsMiddleware)\napp.add_middleware(SecurityHeadersMiddleware)", []),
        ("app.add_middleware(SecurityHeadersMiddleware)\napp.add_middleware(CorsMiddleware)", ["app/main.py:11"]),
        ("app.add_middleware(SecurityHeadersMiddleware)\napp.add_middleware(SlowAPIMiddleware)", ["app/main.py:11"]),
    ],
)
def test_hdr004(lines_of_main: str, expected: list[str]) -> None:
    reported = found_in(HEADER_RULES, MAIN + lines_of_main)
    assert [place for rule, place in reported if rule == "HDR004"] == expected


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("profile", ["api", "html"])
def test_generated_code_has_no_finding(rule: str, profile: str, tmp_path: Path) -> None:
    edge_app.write_app(tmp_path, profile=profile)
    for path in sorted(tmp_path.glob("edge/core/*.py")):
        assert check(rule, path.read_text()) == [], path


def test_cors006_is_said_once_a_function() -> None:
    source = """
    async def answer(request, response):
        if request.cookies:
            response.headers["Access-Control-Allow-Origin"] = "https://a.example"
        else:
            response.headers["Access-Control-Allow-Origin"] = "*"

    async def other(response):
        response.headers["Access-Control-Max-Age"] = "5"
    """

    assert lines("CORS006", source) == [4, 9]


def test_cors006_leaves_code_alone_that_asks_the_middleware() -> None:
    source = """
    from fastapi.middleware.cors import CORSMiddleware

    async def crashed(request, response):
        cors = CORSMiddleware(app=app, allow_origins=ORIGINS)
        if cors.is_allowed_origin(request.headers["origin"]):
            response.headers["Access-Control-Allow-Origin"] = request.headers["origin"]
    """

    assert lines("CORS006", dedent(source)) == []


@pytest.mark.parametrize(
    "code",
    [
        "router.add_middleware(M)",
        "@router.middleware('http')\nasync def f(request, call_next): ...",
        "routers.users.add_middleware(M)",
        "from app.routers import users\nusers.add_middleware(M)",
    ],
)
def test_mw003_finds_middleware_on_a_router(code: str) -> None:
    files = {
        "app/routers.py": "from fastapi import APIRouter\nusers = APIRouter()\n",
        "app/main.py": f"from fastapi import APIRouter, FastAPI\nfrom app import routers\napp = FastAPI()\nrouter = APIRouter()\n{code}\n",
    }
    assert len(places(files, "MW003")) == 1
    assert places({**files, "app/main.py": files["app/main.py"].replace(code, "app.add_middleware(M)")}, "MW003") == []


@pytest.mark.parametrize(
    ("policy", "reported"),
    [
        ("default-src 'self'", True),
        ("default-src 'none'; frame-ancestors 'none'", True),
        ("default-src 'self'; script-src 'self' 'unsafe-inline'", True),
        ("default-src 'self'; script-src 'self' https://cdn.jsdelivr.net", True),
        ("default-src 'self'; script-src 'self' https://cdn.jsdelivr.net 'unsafe-inline'", False),
        ("frame-ancestors 'none'", False),
        ("default-src * 'unsafe-inline'", False),
    ],
)
def test_hdr006(policy: str, reported: bool) -> None:
    source = FUNCTION_HEADERS.replace('"X-Frame-Options"] = "DENY"', f'"Content-Security-Policy"] = "{policy}"')
    assert lines("HDR006", source) == ([7] if reported else [])
    assert lines("HDR006", source.replace("FastAPI()", "FastAPI(docs_url=None)")) == []
    asks = source.replace(
        "    response.headers", "    if request.url.path.startswith('/api'):\n        response.headers"
    )
    assert lines("HDR006", asks) == []


def test_hdr006_in_a_class_and_from_a_table() -> None:
    table = 'HEADERS = {"Content-Security-Policy": "default-src \'self\'"}\n'
    source = (
        f"from fastapi import FastAPI\nfrom starlette.middleware.base import BaseHTTPMiddleware\n{table}"
        "class Headers(BaseHTTPMiddleware):\n    async def dispatch(self, request, call_next):\n"
        "        response = await call_next(request)\n        response.headers.update(HEADERS)\n        return response\n"
        "app = FastAPI()\napp.add_middleware(Headers)\n"
    )
    assert len(lines("HDR006", source)) == 1
    route = "@app.get('/page')\nasync def page(response):\n    response.headers.update(HEADERS)\n"
    assert lines("HDR006", f"from fastapi import FastAPI\n{table}app = FastAPI()\n{route}") == []
