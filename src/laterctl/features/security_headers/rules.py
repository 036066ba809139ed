"""Doctor rules of `security-headers`: headers sent twice, obsolete, or in a way that locks people out.

Each rule takes the path and the tree of one file and yields (rule id, line, reason, fix); those that depend on what is
registered on the application are run by `check_project`. What the headers should be:
OWASP HTTP Headers and REST Security cheat sheets; RFC 6797 for Strict-Transport-Security.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from laterctl.doctor.code import (
    Code,
    Found,
    HeaderWrite,
    code_of,
    enclosing,
    header_writes,
    http_middleware,
    is_asgi,
    registrations,
)
from laterctl.edits.app_statements import RANKS, rank_of
from laterctl.edits.context import is_ours
from laterctl.features.errors.rules import onion
from laterctl.project.places import Place
from laterctl.project.statements import Function, Scope

if TYPE_CHECKING:
    from laterctl.project.discover import Project

NEEDLES = (b"headers", b"-transport-security", b"x-xss-protection")
PROJECT_RULES = {
    "HDR001": "A second source of a header that the security headers middleware sends: another middleware, a library, "
    "or nginx, whose add_header does not replace what the application sent. A route that sets a header for its own "
    "answer is none: its value is the one that is sent.",
    "HDR004": "The security headers middleware is not outside of one that answers by itself (CORS, a rate limit, "
    "trusted hosts): such answers go without the headers.",
    "HDR005": 'Security headers are set by a BaseHTTPMiddleware or by `@app.middleware("http")`: unhandled errors and '
    "what is answered further outside go without them.",
}
OWN = "core.security_headers:SecurityHeadersMiddleware"

HSTS = "strict-transport-security"
OBSOLETE = "x-xss-protection"
SENT = frozenset(
    {
        "content-security-policy",
        "content-security-policy-report-only",
        "cross-origin-opener-policy",
        "cross-origin-resource-policy",
        "permissions-policy",
        "referrer-policy",
        HSTS,
        "x-content-type-options",
        "x-frame-options",
    }
)
"""What the feature sends; `cache-control` is left out here, because setting it is every route's business."""

LIBRARIES = {
    "secure.middleware.SecureASGIMiddleware": "secure",
    "secure.middleware.asgi.SecureASGIMiddleware": "secure",
    "secweb.SecWeb": "secweb",
    "Secweb.SecWeb": "secweb",
}

_NGINX = re.compile(
    r"""#.*|"[^"]*"|'[^']*'|(?P<brace>[{}])|\b(?P<passes>(?:proxy|uwsgi|grpc)_pass)\s|\badd_header\s+(?P<name>[\w-]+)"""
)
_MAX_AGE = re.compile(r"max-age\s*=\s*[\"']?0*[1-9]", re.IGNORECASE)
_SCHEMES = {"https", b"https", "x-forwarded-proto", b"x-forwarded-proto"}


def check_project(project: Project) -> Iterator[tuple[str, Place, str, str]]:
    """Yield what depends on the application: HDR001 and HDR004 with the feature's middleware, HDR005 without it."""
    installed = False
    for app in project.apps:
        seen: list[str] = []
        for item in onion(app):
            if is_ours(item.target, OWN) and item.target.startswith(f"{project.package_of('core')}."):
                installed = True
                for name in seen:
                    reason = f"{name} is outside of the security headers, and its answers go without them"
                    yield "HDR004", item.place, reason, f"add the security headers after {name}"
            rank = rank_of(item.target)
            if rank is not None and rank < RANKS["security-headers"]:
                seen.append(item.target.rpartition(".")[2])
    for path in project.tree.files() if installed else ():
        if path.endswith(".conf"):
            text = (project.tree.read(path) or b"").decode("utf-8", "replace")
            for rule, line, reason, fix in second_sources_in_nginx(text):
                yield rule, Place(path, line), reason, fix
    find = second_sources if installed else headers_by_hand
    for path, code in code_of(project, (b"headers", b"Secure", b"SecWeb")):
        for rule, line, reason, fix in find(path, code.tree):
            yield rule, Place(path, line), reason, fix


def second_sources(path: str, tree: ast.Module) -> Iterator[Found]:
    """Yield HDR001 for a file of an application that has the feature's middleware, as the only one that should."""
    code = Code(path, tree)
    middleware = list(http_middleware(code))
    for write in header_writes(code):
        if write.name in SENT and any(node in middleware for node in enclosing(code, write.spot)):
            yield "HDR001", write.line, f"{write.name} is set by another middleware too", "leave it to one of them"
    for found in registrations(code):
        if found.target in LIBRARIES:
            yield "HDR001", found.line, f"{LIBRARIES[found.target]} sends the same headers", "leave them to one of both"


def second_sources_in_nginx(text: str) -> Iterator[Found]:
    """Yield HDR001 for the text of an nginx configuration: `add_header` adds a header to those of the application.

    Only for blocks that hand requests on, or contain one that does: what nginx serves itself has no other source.
    https://nginx.org/en/docs/http/ngx_http_headers_module.html
    """
    block: tuple[int, ...] = ()
    added: list[tuple[tuple[int, ...], int, str]] = []
    passing: list[tuple[int, ...]] = []
    for match in _NGINX.finditer(text):
        if match["brace"] == "{":
            block = (*block, match.start())
        elif match["brace"] == "}":
            block = block[:-1]
        elif match["passes"]:
            passing.append(block)
        elif match["name"] and match["name"].lower() in SENT:
            added.append((block, text.count("\n", 0, match.start()) + 1, match["name"]))
    for around, line, name in added:
        if any(inner[: len(around)] == around for inner in passing):
            yield "HDR001", line, f"nginx adds a second {name}", "remove it from one of both"


def check_hdr002(path: str, tree: ast.Module) -> Iterator[Found]:
    """The XSS filter is switched on: browsers removed it, and in old ones it opens holes of its own."""
    code = Code(path, tree)
    for write in header_writes(code):
        if write.name == OBSOLETE and _text(code, write).lstrip().startswith("1"):
            fix = "drop the header: a Content-Security-Policy does its job"
            yield "HDR002", write.line, "X-XSS-Protection switches on a filter that browsers gave up", fix


def check_hdr003(path: str, tree: ast.Module) -> Iterator[Found]:
    """Strict-Transport-Security is sent whatever the scheme, which RFC 6797 forbids in section 7.2.

    Browsers heed it only over https; there it counts for the whole host, `localhost` and its other ports included.
    """
    code = Code(path, tree)
    for write in header_writes(code):
        if write.name == HSTS and _MAX_AGE.search(_text(code, write)) and _is_unconditional(code, write):
            reason = "Strict-Transport-Security is sent over plain http too, which RFC 6797 (section 7.2) forbids"
            fix = 'send it only when request.url.scheme is "https"; behind a proxy, run uvicorn with --proxy-headers'
            yield "HDR003", write.line, reason, fix


def headers_by_hand(path: str, tree: ast.Module) -> Iterator[Found]:
    """Yield HDR005 for a file of an application that does not have the feature's middleware."""
    code = Code(path, tree)
    writes = [(write.name, enclosing(code, write.spot)) for write in header_writes(code)]
    for node in http_middleware(code):
        if isinstance(node, ast.ClassDef) and is_asgi(node):
            continue
        names = {name for name, around in writes if node in around and name in SENT | {OBSOLETE}}
        if len(names) > 1:
            reason = f"{node.name} sets {len(names)} security headers; unhandled errors go without"
            yield "HDR005", node.lineno, reason, f"remove {node.name} and run: laterctl add security-headers"


def _text(code: Code, write: HeaderWrite) -> str:
    value = code.literal(write.value)
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, str):
        return value
    parts: Sequence[ast.expr] = write.value.values if isinstance(write.value, ast.JoinedStr) else ()
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "1" for part in parts)


def _is_unconditional(code: Code, write: HeaderWrite) -> bool:
    # Inside the innermost function: no branch around it, and no look at a scheme anywhere.
    around = enclosing(code, write.spot)
    functions = [number for number, node in enumerate(around) if isinstance(node, Function)]
    if not functions:
        return False
    inner = around[functions[-1] :]
    if any(isinstance(node, ast.If | ast.Match | ast.While) for node in inner):
        return False
    outermost = around[min(number for number, node in enumerate(around) if isinstance(node, Scope))]
    return not any(_looks_at_scheme(node) for node in [*ast.walk(outermost), *ast.walk(write.spot.node)])


def _looks_at_scheme(node: ast.AST) -> bool:
    if isinstance(node, ast.IfExp):
        return True
    if isinstance(node, ast.Constant):
        return node.value == "scheme" or node.value in _SCHEMES
    return isinstance(node, ast.Attribute) and node.attr in {"scheme", "is_secure"}
