"""Doctor rules of `cors`: what goes wrong with cross-origin requests, silently, in code written by hand.

Origins are compared the way browsers send them: RFC 6454, section 6.2.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from laterctl.doctor.code import Code, Codebase, Visit, method_of
from laterctl.doctor.http import answers, header_writes, middleware_of
from laterctl.doctor.rule import MAIN, Found, Rule, Severity
from laterctl.doctor.settings import READERS, Field, Given, default_of, field_of, given, pydantic_version
from laterctl.edits.app_statements import rank_of
from laterctl.edits.context import is_ours
from laterctl.features import catalogue
from laterctl.patterns import pattern
from laterctl.project.application.registered import outermost_first
from laterctl.project.facts import Registration
from laterctl.project.names import Own, dotted_path
from laterctl.project.statements import Scope, nodes

CORS = "starlette.middleware.cors.CORSMiddleware"
OWN = "core.cors:CorsMiddleware"
AUTHENTICATION = "starlette.middleware.authentication.AuthenticationMiddleware"

# `expose-headers` is not among them: it belongs to a single answer, and a route may name what it sends.
WRITTEN_BY_CORS = frozenset(
    f"access-control-{name}"
    for name in (
        "allow-origin",
        "allow-credentials",
        "allow-headers",
        "allow-methods",
        "allow-private-network",
        "max-age",
    )
)

_NEEDLES = (b"CORSMiddleware",)
_SENT = pattern(r"[a-z][a-z0-9+.-]*://[^\s/?#@*A-Z]+")
_STRANGER = "https://stranger.invalid"
_URLS = frozenset(
    f"pydantic.{name}" for name in ("AnyHttpUrl", "HttpUrl", "AnyUrl", "networks.AnyHttpUrl", "networks.HttpUrl")
)
_TEXTS = frozenset({"str", "str | None", "Optional[str]"})


def every_origin(call: Visit[ast.Call]) -> Iterator[Found]:
    """Look for origins, or a pattern, that any site matches: written down, or where a variable is not set."""
    if middleware_of(call) != CORS or call.literal("allow_credentials") is not True:
        return
    origins, pattern = call.literal("allow_origins"), call.literal("allow_origin_regex")
    if _is_everyone(origins):
        reason = 'with allow_origins=["*"] every website may call the API with its user\'s cookies'
        yield Found(call.line, reason)
    elif isinstance(pattern, str) and _matches_everyone(pattern):
        yield Found(call.line, f"the pattern {pattern!r} matches every origin, with credentials")
    elif (node := call.keyword("allow_origins")) is not None and any(
        _is_everyone(item) for item in _defaults(call, node)
    ):
        reason = (
            "the origins are `*` when nothing sets them: every website may then call the API with its user's cookies"
        )
        yield Found(
            call.line, reason, "let nothing stand for no origin: drop the default `*`; or drop allow_credentials"
        )


def origins_in_one_text(call: Visit[ast.Call]) -> Iterator[Found]:
    """Look for origins that are a text: a constant, an environment variable, a setting of type `str`."""
    origins = call.keyword("allow_origins")
    if origins is not None and middleware_of(call) == CORS and _is_text(call, call.code.value(origins)):
        reason = "the origins are one text, and every part of a text is in it: https://a.example matches .example"
        yield Found(call.line, reason)


def never_sent(call: Visit[ast.Call]) -> Iterator[Found]:
    """Look for listed origins that no browser sends, and for those that pydantic ends with a slash."""
    if middleware_of(call) != CORS:
        return
    origins, node = call.literal("allow_origins"), call.keyword("allow_origins")
    for entry in origins if isinstance(origins, list | tuple | set) else ():
        if isinstance(entry, str) and entry not in {"*", "null"} and not _SENT.fullmatch(entry):
            better = entry.rstrip("/").lower()
            fix = f"write {better!r}" if _SENT.fullmatch(better) else ""
            yield Found(call.line, f"{entry!r} never matches: browsers send scheme://host:port", fix)
    source = _as_written(call, node) if node is not None else None
    field = field_of(call.code, source) if source is not None else None
    if field is not None and _holds_urls(field) and pydantic_version(call.code.codebase) != 1:
        reason = f"{ast.unparse(field.node.target)} holds URLs, which pydantic ends with a slash: none ever matches"
        yield Found(call.line, reason, 'give [str(origin).rstrip("/") for origin in ...], or make it list[str]')


def twice(codebase: Codebase) -> Iterator[Found]:
    """Look for a second CORS middleware on an application; two that stand in branches may never meet."""
    for app in codebase.project.apps:
        seen: list[Registration] = []
        for item in app.middleware:
            first = [other for other in seen if not (other.conditional and item.conditional)]
            if _is_cors(item.target) and first:
                yield Found(item.place, f"CORS is set up a second time; first in {first[0].place}")
            elif _is_cors(item.target):
                seen.append(item)


def inside_of_answers(codebase: Codebase) -> Iterator[Found]:
    """Look for a middleware that answers by itself outside of CORS."""
    for app in codebase.project.apps:
        outside: list[str] = []
        for item in outermost_first(app):
            if _is_cors(item.target) and outside:
                reason = f"{outside[0]} is outside of CORS, and its answers go without CORS headers"
                yield Found(item.place, reason, f"add CORS after {outside[0]}: what is added last is outside")
            if (
                rank_of(item.target, catalogue.middleware()) == "rate-limit"
                or _refuses(codebase, item)
                or answers(codebase, item)
            ):
                outside.append(item.target.rpartition(".")[2])


def _refuses(codebase: Codebase, item: Registration) -> bool:
    """Whether Starlette's authentication is put on with a backend that raises: that is what it answers."""
    if item.target != AUTHENTICATION:
        return False
    code = codebase.readable(item.place.path)
    for call in code.calls if code is not None else ():
        backend = call.keyword("backend") if call.line == item.place.line else None
        made = backend.func if isinstance(backend, ast.Call) else backend
        found = codebase.project.names.lookup(made, item.place.path, call.spot.scope) if made is not None else ""
        node = codebase.project.names.statement(found) if isinstance(found, Own) else None
        if node is not None and any(isinstance(part, ast.Raise) for part in nodes(node)):
            return True
    return False


def header_by_hand(code: Code) -> Iterator[Found]:
    """Look for a CORS header: once a function, and not where a CORSMiddleware is asked what to send."""
    seen: set[tuple[Scope, ...]] = set()
    writes = [write for write in header_writes(code) if write.name in WRITTEN_BY_CORS]
    asking = {call.spot.scope for call in code.calls if _is_cors(call.target)} if writes else set()
    for write in writes:
        scope = write.spot.scope
        if scope not in seen and not (scope and scope in asking):
            seen.add(scope)
            reason = f"{write.name} is set by hand: preflights go without it, and it may disagree with CORSMiddleware"
            yield Found(write.line, reason)


def _is_cors(target: str) -> bool:
    return target == CORS or is_ours(target, OWN)


def _is_everyone(origins: object) -> bool:
    return origins == "*" or (isinstance(origins, list | tuple | set) and "*" in origins)


def _defaults(call: Visit[ast.Call], node: ast.expr) -> Iterator[object]:
    """Yield what the origins are while no variable is set, as far as it is a literal."""
    read = _as_written(call, node)
    found = given(call, read) if isinstance(read, ast.Name | ast.Attribute) else Given(read, call.code)
    if found is not None and found.owner is None and found.node is not read:
        found = Given(_split(found.code, found.node), found.code)
    if found is None:
        return
    fallback = default_of(found.code, found.node)
    value = found.code.literal(fallback) if fallback is not None else None
    if found.owner is not None:
        value = found.code.literal(found.node)
    if isinstance(value, str):
        yield from (part.strip(" []\"'") for part in value.split(","))
    yield value


def _as_written(call: Visit[ast.Call], node: ast.expr) -> ast.expr:
    """Return what a list of origins is made of, where each is only made a text: `x` for `[str(o) for o in x]`."""
    return _split(call.code, call.code.value(node))


def _split(code: Code, node: ast.expr) -> ast.expr:
    while True:
        if isinstance(node, ast.ListComp) and len(node.generators) == 1 and _keeps(node.elt, node.generators[0]):
            node = code.value(node.generators[0].iter)
        elif isinstance(node, ast.Call) and method_of(node) == "split" and isinstance(node.func, ast.Attribute):
            node = code.value(node.func.value)
        elif isinstance(node, ast.Call) and dotted_path(node.func) in {"list", "json.loads"} and node.args:
            node = code.value(node.args[0])
        else:
            return node


def _keeps(element: ast.expr, loop: ast.comprehension) -> bool:
    """Whether an element of a comprehension is what it runs over, at most made a text or rid of blanks."""
    while True:
        if isinstance(element, ast.Call) and dotted_path(element.func) == "str" and len(element.args) == 1:
            element = element.args[0]
        elif isinstance(element, ast.Call) and method_of(element) in {"strip", "unicode_string"} and not element.args:
            element = element.func.value if isinstance(element.func, ast.Attribute) else element
        else:
            chooses = any(isinstance(node, ast.Compare) for condition in loop.ifs for node in nodes(condition))
            return ast.unparse(element) == ast.unparse(loop.target) and not chooses


def _holds_urls(field: Field) -> bool:
    inside = [field.node.annotation, *(node for node in nodes(field.node.annotation))]
    targets = {field.code.resolve(node) for node in inside if isinstance(node, ast.Name | ast.Attribute)}
    return bool(targets & _URLS)


def _matches_everyone(pattern: str) -> bool:
    try:
        return re.fullmatch(pattern, _STRANGER) is not None
    except re.error:
        return False


def _is_text(call: Visit[ast.Call], value: ast.expr) -> bool:
    if isinstance(value, ast.Constant):
        return isinstance(value.value, str) and value.value != "*"
    if isinstance(value, ast.Subscript):
        return call.resolve(value.value) == "os.environ"
    if isinstance(value, ast.Call):
        return _gives_text(call, value)
    if isinstance(value, ast.Attribute):
        field = field_of(call.code, value)
        return field is not None and ast.unparse(field.node.annotation) in _TEXTS
    return isinstance(value, ast.JoinedStr)


def _gives_text(call: Visit[ast.Call], value: ast.Call) -> bool:
    target = call.resolve(value.func)
    maker = call.code.value(value.func)
    if isinstance(maker, ast.Call) and call.resolve(maker.func) == "starlette.config.Config":
        target = "decouple.config"
    cast = next((item.value for item in value.keywords if item.arg == "cast"), None)
    return target in READERS and (cast is None or (isinstance(cast, ast.Name) and cast.id == "str"))


_START = """\
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

app = FastAPI()
"""
_URLS_OF = """\
from pydantic import AnyHttpUrl
from pydantic_settings import BaseSettings


class Settings(BaseSettings):
    origins: list[AnyHttpUrl] = []


settings = Settings()
"""
_GATE = """\
@app.middleware("http")
async def gate(request, call_next):
    if "authorization" not in request.headers:
        return JSONResponse({"detail": "no token"}, status_code=401)
    return await call_next(request)


"""
_GATED = f"from fastapi.responses import JSONResponse\n{_START}"
_LIMITED = f"from slowapi.middleware import SlowAPIMiddleware\n{_START}"

CORS001 = Rule(
    id="CORS001",
    title="Every origin is allowed, with credentials",
    why="Any website acts as the user who visits it: Starlette answers with the origin that asks, and the browser "
    "sends the cookies. https://fetch.spec.whatwg.org/#cors-protocol-and-credentials",
    fix='list the origins: allow_origins=["https://app.example.com"]; or drop allow_credentials',
    severity=Severity.ERROR,
    needles=_NEEDLES,
    checks={ast.Call: every_origin},
    bad=(
        f'{_START}app.add_middleware(CORSMiddleware, allow_origins=["*"], allow_credentials=True)  # CORS001\n',
        f'{_START}app.add_middleware(CORSMiddleware, allow_origin_regex=".*", allow_credentials=True)  # CORS001\n',
        f'import os\n\n{_START}ORIGINS = os.environ.get("ORIGINS", "*").split(",")\n'
        "app.add_middleware(CORSMiddleware, allow_origins=ORIGINS, allow_credentials=True)  # CORS001\n",
    ),
    good=(
        f'{_START}app.add_middleware(CORSMiddleware, allow_origins=["https://a.example"], allow_credentials=True)\n',
        f'{_START}app.add_middleware(CORSMiddleware, allow_origins=["*"])\n',
        f'import os\n\n{_START}ORIGINS = os.environ.get("ORIGINS", "https://a.example").split(",")\n'
        "app.add_middleware(CORSMiddleware, allow_origins=ORIGINS, allow_credentials=True)\n",
        f"{_START}\n\ndef open_to_all() -> None:\n"
        '    app.add_middleware(CORSMiddleware, allow_origins=["*"], allow_credentials=True)\n',
    ),
)
CORS002 = Rule(
    id="CORS002",
    title="The allowed origins are one text",
    why="Starlette looks for the origin *in* what it is given, and in a text that finds parts: with "
    '"https://a.example", the origins "https://a" and "a.example" match as well.',
    fix="give a list: split the text at its commas",
    severity=Severity.ERROR,
    needles=_NEEDLES,
    checks={ast.Call: origins_in_one_text},
    bad=(
        f'import os\n\n{_START}app.add_middleware(CORSMiddleware, allow_origins=os.getenv("ORIGINS", ""))  # CORS002\n',
    ),
    good=(
        f'import os\n\n{_START}app.add_middleware(CORSMiddleware, allow_origins=os.getenv("ORIGINS", "").split(","))\n',
    ),
)
CORS003 = Rule(
    id="CORS003",
    title="A listed origin is not in the form that browsers send, so that it never matches",
    why="Browsers send scheme://host or scheme://host:port in lower case, without a path and without a slash at the "
    "end: RFC 6454, section 6.2. Starlette compares the whole text.",
    fix="write scheme://host or scheme://host:port",
    needles=_NEEDLES,
    checks={ast.Call: never_sent},
    bad=(
        f'{_START}app.add_middleware(CORSMiddleware, allow_origins=["https://a.example/"])  # CORS003\n',
        f"{_URLS_OF}{_START}app.add_middleware(CORSMiddleware, allow_origins=[str(o) for o in settings.origins])  # CORS003\n",
    ),
    good=(
        f'{_START}app.add_middleware(CORSMiddleware, allow_origins=["https://a.example"])\n',
        f"{_URLS_OF}{_START}origins = [str(origin).rstrip('/') for origin in settings.origins]\n"
        "app.add_middleware(CORSMiddleware, allow_origins=origins)\n",
        {
            MAIN: f"{_URLS_OF.replace('pydantic_settings', 'pydantic')}{_START}"
            "app.add_middleware(CORSMiddleware, allow_origins=[str(o) for o in settings.origins])\n",
            "requirements.txt": "fastapi\npydantic<2\n",
        },
    ),
)
CORS004 = Rule(
    id="CORS004",
    title="Two CORS middlewares on one application",
    why="Both answer: the headers come twice or disagree, and browsers then refuse the response.",
    fix="keep one of them",
    needles=(*_NEEDLES, b"CorsMiddleware"),
    checks={Codebase: twice},
    bad=(
        f'{_START}app.add_middleware(CORSMiddleware, allow_origins=["https://a.example"])\n'
        'app.add_middleware(CORSMiddleware, allow_origins=["https://b.example"])  # CORS004\n',
    ),
    good=(f'{_START}app.add_middleware(CORSMiddleware, allow_origins=["https://a.example", "https://b.example"])\n',),
)
CORS005 = Rule(
    id="CORS005",
    title="CORS is not outside of a middleware that answers by itself",
    why="The answer of a rate limit or of authentication, and a preflight that it refuses, goes without the headers, "
    "so that pages cannot even read the status.",
    fix="add CORS last: what is added last is outside",
    needles=(*_NEEDLES, b"CorsMiddleware"),
    checks={Codebase: inside_of_answers},
    bad=(
        f'{_LIMITED}app.add_middleware(CORSMiddleware, allow_origins=["https://a.example"])  # CORS005\n'
        "app.add_middleware(SlowAPIMiddleware)\n",
        f'{_GATED}app.add_middleware(CORSMiddleware, allow_origins=["https://a.example"])  # CORS005\n\n\n{_GATE}',
    ),
    good=(
        f'{_GATED}\n\n{_GATE}app.add_middleware(CORSMiddleware, allow_origins=["https://a.example"])\n',
        f"{_LIMITED}app.add_middleware(SlowAPIMiddleware)\n"
        'app.add_middleware(CORSMiddleware, allow_origins=["https://a.example"])\n',
    ),
)
CORS006 = Rule(
    id="CORS006",
    title="A CORS header is set by hand",
    why="Preflights do not pass through routes and go without it, and it may disagree with the middleware. Said once "
    "a function, and not where the code asks a CORSMiddleware itself what to send.",
    fix="leave it to CORSMiddleware: list the origin in its allow_origins",
    needles=(b"Access-Control-", b"access-control-"),
    checks={Code: header_by_hand},
    bad=(
        "from fastapi import FastAPI, Response\n\napp = FastAPI()\n\n\n"
        '@app.get("/")\ndef read(response: Response) -> str:\n'
        '    response.headers["Access-Control-Allow-Origin"] = "https://a.example"  # CORS006\n    return "ok"\n',
    ),
    good=(
        f'{_START}app.add_middleware(CORSMiddleware, allow_origins=["https://a.example"])\n',
        "from fastapi import FastAPI, Response\n\napp = FastAPI()\n\n\n"
        '@app.get("/")\ndef read(response: Response) -> str:\n'
        '    response.headers["Access-Control-Expose-Headers"] = "Content-Disposition"\n    return "ok"\n',
    ),
)
