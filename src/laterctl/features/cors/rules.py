"""Doctor rules of `cors`: what goes wrong with cross-origin requests, silently, in code written by hand.

Each rule takes the path and the tree of one file and yields (rule id, line, reason, fix). Origins are compared the way
browsers send them: RFC 6454, section 6.2.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from laterctl.doctor.code import Code, Found, Registration, code_of, header_writes, registrations
from laterctl.edits.app_statements import RANKS, rank_of
from laterctl.edits.context import is_ours
from laterctl.features.errors.rules import onion
from laterctl.project.names import resolve
from laterctl.project.places import Place
from laterctl.project.statements import Scope

if TYPE_CHECKING:
    from laterctl.project.discover import Project

NEEDLES = (b"CORSMiddleware", b"CorsMiddleware", b"Access-Control-", b"access-control-")
PROJECT_RULES = {
    "CORS005": "CORS is not outside of a middleware that answers by itself (a rate limit, authentication): such an "
    "answer, and a preflight that it refuses, goes without the headers, so that pages cannot even read the status.",
}
ANSWERING = frozenset({"starlette.middleware.authentication.AuthenticationMiddleware"})
"""Middleware that may answer a request without asking the application, beside rate limits."""

CORS = "starlette.middleware.cors.CORSMiddleware"
OWN = "core.cors:CorsMiddleware"
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

_SENT = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/?#@*A-Z]+")
_STRANGER = "https://stranger.invalid"
_TEXT_CALLS = {"os.getenv", "os.environ.get", "decouple.config"}
_SETTINGS_CLASSES = {"pydantic_settings.BaseSettings", "pydantic.BaseSettings"}


def check_project(project: Project) -> Iterator[tuple[str, Place, str, str]]:
    """Yield what only the whole project shows: CORS005, and settings of CORS002 that are declared in another file."""
    for app in project.apps:
        seen: list[str] = []
        for item in onion(app):
            if _is_cors(item.target) and seen:
                reason = f"{seen[0]} is outside of CORS, and its answers go without CORS headers"
                yield "CORS005", item.place, reason, f"add CORS after {seen[0]}: what is added last is outside"
            if rank_of(item.target) == RANKS["rate-limit"] or item.target in ANSWERING:
                seen.append(item.target.rpartition(".")[2])
    known = _text_settings(project)
    for path, code in code_of(project, NEEDLES) if known else ():
        alone = set(check_cors002(path, code.tree))
        for rule, line, reason, fix in check_cors002(path, code.tree, known):
            if (rule, line, reason, fix) not in alone:
                yield rule, Place(path, line), reason, fix


def check_cors001(path: str, tree: ast.Module) -> Iterator[Found]:
    """Every origin is allowed, with credentials: any site acts as the user who visits it."""
    code = Code(path, tree)
    for found in _by_hand(code):
        if code.literal(found.keywords.get("allow_credentials", _NOTHING)) is not True:
            continue
        origins = code.literal(found.keywords.get("allow_origins", _NOTHING))
        pattern = code.literal(found.keywords.get("allow_origin_regex", _NOTHING))
        if _everyone(origins):
            yield "CORS001", found.line, _EVERY_SITE, _LIST_THEM
        elif isinstance(pattern, str) and _matches_everyone(pattern):
            reason = f"the pattern {pattern!r} matches every origin, with credentials"
            yield "CORS001", found.line, reason, _LIST_THEM


def check_cors002(path: str, tree: ast.Module, text_settings: Collection[str] = ()) -> Iterator[Found]:
    """The origins are one text: Starlette looks for the origin *in* it, and parts of the text match.

    `text_settings` are dotted names of settings known to be text, such as `app.config.settings.origins`; those that
    the file itself shows are found without.
    """
    code = Code(path, tree)
    for found in _by_hand(code):
        origins = found.keywords.get("allow_origins")
        if origins is not None and _is_text(code, origins, found.imports, text_settings):
            reason = "the origins are one text, and every part of a text is in it: https://a.example matches .example"
            yield "CORS002", found.line, reason, "give a list: split the text at its commas"


def check_cors003(path: str, tree: ast.Module) -> Iterator[Found]:
    """A listed origin is not in the form that browsers send, so that it never matches."""
    code = Code(path, tree)
    for found in _by_hand(code):
        origins = code.literal(found.keywords.get("allow_origins", _NOTHING))
        for entry in origins if isinstance(origins, list | tuple | set) else ():
            if isinstance(entry, str) and entry not in {"*", "null"} and not _SENT.fullmatch(entry):
                better = entry.rstrip("/").lower()
                fix = f"write {better!r}" if _SENT.fullmatch(better) else "write scheme://host or scheme://host:port"
                yield "CORS003", found.line, f"{entry!r} never matches: browsers send scheme://host:port", fix


def check_cors004(path: str, tree: ast.Module) -> Iterator[Found]:
    """Two CORS middlewares on one application: both answer, and the headers come twice or disagree."""
    seen: dict[tuple[object, ...], Registration] = {}
    for found in registrations(Code(path, tree)):
        if not found.group or not _is_cors(found.target):
            continue
        first = seen.setdefault(found.group, found)
        if first is not found:
            yield "CORS004", found.line, f"CORS is set up a second time; first in line {first.line}", "keep one of them"


def check_cors006(path: str, tree: ast.Module) -> Iterator[Found]:
    """A CORS header is set by hand: it disagrees with the middleware, and preflights do not have it.

    Said once a function, and not where the code asks a CORSMiddleware itself what to send.
    """
    code = Code(path, tree)
    seen: set[tuple[Scope, ...]] = set()
    asking = {spot.scope for call, spot, imports in code.calls() if _is_cors(resolve(call.func, imports))}
    for write in header_writes(code):
        scope = write.spot.scope
        if write.name in WRITTEN_BY_CORS and scope not in seen and not (scope and scope in asking):
            seen.add(scope)
            reason = f"{write.name} is set by hand: preflights go without it, and it may disagree with CORSMiddleware"
            yield "CORS006", write.line, reason, "leave it to CORSMiddleware: list the origin in its allow_origins"


_NOTHING = ast.Constant(None)
_EVERY_SITE = 'allow_origins=["*"] with allow_credentials=True: every website may call the API with its user\'s cookies'
_LIST_THEM = 'list the origins: allow_origins=["https://app.example.com"]; or drop allow_credentials'


def _by_hand(code: Code) -> Iterator[Registration]:
    return (found for found in registrations(code) if found.target == CORS)


def _is_cors(target: str) -> bool:
    return target == CORS or is_ours(target, OWN)


def _everyone(origins: object) -> bool:
    return origins == "*" or (isinstance(origins, list | tuple | set) and "*" in origins)


def _matches_everyone(pattern: str) -> bool:
    try:
        return re.fullmatch(pattern, _STRANGER) is not None
    except re.error:
        return False


def _is_text(code: Code, node: ast.expr, imports: Mapping[str, str], text_settings: Collection[str]) -> bool:
    value = code.value(node)
    if isinstance(value, ast.Constant):
        return isinstance(value.value, str) and value.value != "*"
    if isinstance(value, ast.Subscript):
        return resolve(value.value, imports) == "os.environ"
    if isinstance(value, ast.Call):
        return _gives_text(code, value, imports)
    if isinstance(value, ast.Attribute):
        return _spelled(value, imports) in text_settings or _is_text_field(code, value, imports)
    return isinstance(value, ast.JoinedStr)


def _text_settings(project: Project) -> frozenset[str]:
    """Return the settings that are annotated as text: `app.config.settings.origins`, `app.config.get_settings().x`."""
    settings = project.settings
    if settings is None or settings.kind not in {"pydantic", "pydantic-v1"} or not settings.class_name:
        return frozenset()
    holder = f"{settings.module}.{settings.access.text}"
    classes = [node for node in ast.walk(project.tree.python(settings.path).tree) if isinstance(node, ast.ClassDef)]
    return frozenset(
        f"{holder}.{name}" for node in classes if node.name == settings.class_name for name in _text_fields(node)
    )


def _text_fields(node: ast.ClassDef) -> set[str]:
    return {
        item.target.id
        for item in node.body
        if isinstance(item, ast.AnnAssign)
        and isinstance(item.target, ast.Name)
        and ast.unparse(item.annotation) in {"str", "str | None", "Optional[str]"}
    }


def _spelled(node: ast.Attribute, imports: Mapping[str, str]) -> str:
    """Return the resolved name of `settings.x`, or of `get_settings().x`."""
    if isinstance(node.value, ast.Call) and not node.value.args:
        return f"{resolve(node.value.func, imports)}().{node.attr}"
    return resolve(node, imports)


def _gives_text(code: Code, call: ast.Call, imports: Mapping[str, str]) -> bool:
    target = resolve(call.func, imports)
    maker = code.value(call.func)
    if isinstance(maker, ast.Call) and resolve(maker.func, imports) == "starlette.config.Config":
        target = "decouple.config"
    if target not in _TEXT_CALLS:
        return False
    cast = next((item.value for item in call.keywords if item.arg == "cast"), None)
    return cast is None or (isinstance(cast, ast.Name) and cast.id == "str")


def _is_text_field(code: Code, node: ast.Attribute, imports: Mapping[str, str]) -> bool:
    # `settings.origins`, where this file has `settings = Settings()` and the class says `origins: str`.
    built = code.value(node.value)
    if not isinstance(built, ast.Call) or not isinstance(built.func, ast.Name):
        return False
    classes = [item for item in code.tree.body if isinstance(item, ast.ClassDef) and item.name == built.func.id]
    return any(
        node.attr in _text_fields(found)
        for found in classes
        if any(resolve(base, imports) in _SETTINGS_CLASSES for base in found.bases)
    )
