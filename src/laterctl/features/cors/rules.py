"""Doctor rules of `cors`: what goes wrong with cross-origin requests, silently, in code written by hand.

Origins are compared the way browsers send them: RFC 6454, section 6.2.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from laterctl.doctor.code import Code, Codebase, Visit
from laterctl.doctor.http import header_writes, middleware_of
from laterctl.doctor.rule import Found, Rule, Severity
from laterctl.edits.app_statements import rank_of
from laterctl.edits.context import is_ours
from laterctl.features import catalogue
from laterctl.project.application.registered import outermost_first
from laterctl.project.facts import Registration
from laterctl.project.names import Names, Own
from laterctl.project.statements import Function, Scope, assigned_value, nodes

CORS = "starlette.middleware.cors.CORSMiddleware"
OWN = "core.cors:CorsMiddleware"
ANSWERING = frozenset({"starlette.middleware.authentication.AuthenticationMiddleware"})
"""Middleware that may answer a request without asking the application, beside rate limits."""

WRITTEN_BY_CORS = frozenset(
    f"access-control-{name}"
    for name in (
        "allow-origin",
        "allow-credentials",
        "allow-headers",
        "allow-methods",
        "allow-private-network",
        "expose-headers",
        "max-age",
    )
)

_NEEDLES = (b"CORSMiddleware",)
_SENT = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/?#@*A-Z]+")
_STRANGER = "https://stranger.invalid"
_TEXT_CALLS = {"os.getenv", "os.environ.get", "decouple.config"}
_SETTINGS_CLASSES = {"pydantic_settings.BaseSettings", "pydantic.BaseSettings"}
_DEPTH = 4  # from a name to the settings object, through functions that give it


def every_origin(call: Visit[ast.Call]) -> Iterator[Found]:
    """Look for origins, or a pattern, that any site matches."""
    if middleware_of(call) != CORS or call.literal("allow_credentials") is not True:
        return
    origins, pattern = call.literal("allow_origins"), call.literal("allow_origin_regex")
    if origins == "*" or (isinstance(origins, list | tuple | set) and "*" in origins):
        reason = 'with allow_origins=["*"] every website may call the API with its user\'s cookies'
        yield Found(call.line, reason)
    elif isinstance(pattern, str) and _matches_everyone(pattern):
        yield Found(call.line, f"the pattern {pattern!r} matches every origin, with credentials")


def origins_in_one_text(call: Visit[ast.Call]) -> Iterator[Found]:
    """Look for origins that are a text: a constant, an environment variable, a setting of type `str`."""
    origins = call.keyword("allow_origins")
    if origins is not None and middleware_of(call) == CORS and _is_text(call, call.code.value(origins)):
        reason = "the origins are one text, and every part of a text is in it: https://a.example matches .example"
        yield Found(call.line, reason)


def never_sent(call: Visit[ast.Call]) -> Iterator[Found]:
    """Look for listed origins that no browser sends."""
    origins = call.literal("allow_origins") if middleware_of(call) == CORS else None
    for entry in origins if isinstance(origins, list | tuple | set) else ():
        if isinstance(entry, str) and entry not in {"*", "null"} and not _SENT.fullmatch(entry):
            better = entry.rstrip("/").lower()
            fix = f"write {better!r}" if _SENT.fullmatch(better) else ""
            yield Found(call.line, f"{entry!r} never matches: browsers send scheme://host:port", fix)


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
            if rank_of(item.target, catalogue.middleware()) == "rate-limit" or item.target in ANSWERING:
                outside.append(item.target.rpartition(".")[2])


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
        names = call.code.codebase.project.names
        found = _settings_class(names, value.value, call.code.path)
        return found is not None and value.attr in _text_fields(found)
    return isinstance(value, ast.JoinedStr)


def _gives_text(call: Visit[ast.Call], value: ast.Call) -> bool:
    target = call.resolve(value.func)
    maker = call.code.value(value.func)
    if isinstance(maker, ast.Call) and call.resolve(maker.func) == "starlette.config.Config":
        target = "decouple.config"
    cast = next((item.value for item in value.keywords if item.arg == "cast"), None)
    return target in _TEXT_CALLS and (cast is None or (isinstance(cast, ast.Name) and cast.id == "str"))


def _settings_class(names: Names, node: ast.expr, path: str, depth: int = _DEPTH) -> ast.ClassDef | None:
    """Return the class of the settings that `settings`, `get_settings()` or `Settings()` gives, `None` if unknown."""
    called = isinstance(node, ast.Call)
    found = names.lookup(node.func if isinstance(node, ast.Call) else node, path)
    statement = names.statement(found) if isinstance(found, Own) else None
    if not isinstance(found, Own) or statement is None or depth == 0:
        return None
    if isinstance(statement, ast.ClassDef):
        return statement if called and _is_settings(names, statement, found.path) else None
    if isinstance(statement, Function):
        values = [item.value for item in nodes(statement) if isinstance(item, ast.Return)] if called else []
    else:
        values = [None if called else assigned_value(statement)]
    classes = (_settings_class(names, value, found.path, depth - 1) for value in values if value is not None)
    return next(filter(None, classes), None)


def _is_settings(names: Names, node: ast.ClassDef, path: str, depth: int = _DEPTH) -> bool:
    for base in node.bases:
        found = names.lookup(base, path)
        statement = names.statement(found) if isinstance(found, Own) else None
        if found in _SETTINGS_CLASSES:
            return True
        if isinstance(found, Own) and isinstance(statement, ast.ClassDef) and depth > 0:
            return _is_settings(names, statement, found.path, depth - 1)
    return False


def _text_fields(node: ast.ClassDef) -> set[str]:
    return {
        item.target.id
        for item in node.body
        if isinstance(item, ast.AnnAssign)
        and isinstance(item.target, ast.Name)
        and ast.unparse(item.annotation) in {"str", "str | None", "Optional[str]"}
    }


_START = """\
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

app = FastAPI()
"""
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
    ),
    good=(
        f'{_START}app.add_middleware(CORSMiddleware, allow_origins=["https://a.example"], allow_credentials=True)\n',
        f'{_START}app.add_middleware(CORSMiddleware, allow_origins=["*"])\n',
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
    bad=(f'{_START}app.add_middleware(CORSMiddleware, allow_origins=["https://a.example/"])  # CORS003\n',),
    good=(f'{_START}app.add_middleware(CORSMiddleware, allow_origins=["https://a.example"])\n',),
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
    ),
    good=(
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
    good=(f'{_START}app.add_middleware(CORSMiddleware, allow_origins=["https://a.example"])\n',),
)
