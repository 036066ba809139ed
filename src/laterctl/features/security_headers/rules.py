"""Doctor rules of `security-headers`: headers sent twice, obsolete, or in a way that locks people out.

What the headers should be: OWASP HTTP Headers and REST Security cheat sheets; RFC 6797 for Strict-Transport-Security.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from laterctl.doctor.code import Code, Codebase, once
from laterctl.doctor.http import HeaderWrite, header_writes, http_middleware, is_asgi, middleware_of
from laterctl.doctor.rule import MAIN, Found, Rule, Severity
from laterctl.edits.app_statements import RANKS, rank_of
from laterctl.edits.context import is_ours
from laterctl.features import catalogue
from laterctl.patterns import pattern
from laterctl.project.application.registered import outermost_first
from laterctl.project.places import Place
from laterctl.project.statements import Function, Scope, nodes

OWN = "core.security_headers:SecurityHeadersMiddleware"
CSP = "content-security-policy"
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

_NGINX = pattern(
    r"""#.*|"[^"]*"|'[^']*'|(?P<brace>[{}])|\b(?P<passes>(?:proxy|uwsgi|grpc)_pass)\s|\badd_header\s+(?P<name>[\w-]+)"""
)
_MAX_AGE = pattern(r"max-age\s*=\s*[\"']?0*[1-9]", re.IGNORECASE)
_SCHEMES = {"https", b"https", "x-forwarded-proto", b"x-forwarded-proto"}


@once
def is_installed(codebase: Codebase) -> bool:
    """Whether the feature's middleware is put on an application."""
    package = f"{codebase.project.package_of('core')}."
    targets = [item.target for app in codebase.project.apps for item in app.middleware]
    return any(is_ours(target, OWN) and target.startswith(package) for target in targets)


def second_source(code: Code) -> Iterator[Found]:
    """Look for another middleware or library, where the feature's middleware should be the only one."""
    if not is_installed(code.codebase):
        return
    writes = [write for write in _writes(code) if write.name in SENT]
    middleware = http_middleware(code) if writes else []
    for write in writes:
        if any(node in middleware for node in code.enclosing(write.spot)):
            yield Found(write.line, f"{write.name} is set by another middleware too")
    for call in code.calls if code.mentions(b"secureasgimiddleware", b"secweb") else ():
        library = LIBRARIES.get(middleware_of(call))
        if library:
            yield Found(call.line, f"{library} sends the same headers")


def second_source_in_nginx(codebase: Codebase) -> Iterator[Found]:
    """Look for `add_header` in blocks that hand requests on, or contain one that does.

    What nginx serves itself has no other source. https://nginx.org/en/docs/http/ngx_http_headers_module.html
    """
    paths = [path for path in codebase.project.tree.files() if path.endswith(".conf")]
    for path, text in codebase.texts(paths if paths and is_installed(codebase) else ()):
        block: tuple[int, ...] = ()
        added: list[tuple[tuple[int, ...], int, str]] = []
        passing: list[tuple[int, ...]] = []
        for match in _NGINX.finditer(text):
            if match["brace"]:
                block = (*block, match.start()) if match["brace"] == "{" else block[:-1]
            elif match["passes"]:
                passing.append(block)
            elif match["name"] and match["name"].lower() in SENT:
                added.append((block, text.count("\n", 0, match.start()) + 1, match["name"]))
        for around, line, name in added:
            if any(inner[: len(around)] == around for inner in passing):
                yield Found(Place(path, line), f"nginx adds a second {name}")


def obsolete_filter(code: Code) -> Iterator[Found]:
    """Look for the XSS filter that is switched on; "0" switches it off."""
    for write in header_writes(code):
        if write.name == OBSOLETE and _text(code, write).lstrip().startswith("1"):
            yield Found(write.line, "X-XSS-Protection switches on a filter that browsers gave up")


def whatever_the_scheme(code: Code) -> Iterator[Found]:
    """Look for HSTS without a look at the scheme."""
    for write in header_writes(code):
        if write.name == HSTS and _MAX_AGE.search(_text(code, write)) and _is_unconditional(code, write):
            reason = "Strict-Transport-Security is sent over plain http too, which RFC 6797 (section 7.2) forbids"
            yield Found(write.line, reason)


def inside_of_answers(codebase: Codebase) -> Iterator[Found]:
    """Look for a middleware that answers by itself outside of the feature's own."""
    for app in codebase.project.apps if is_installed(codebase) else ():
        outside: list[str] = []
        for item in outermost_first(app):
            if is_ours(item.target, OWN):
                for name in outside:
                    reason = f"{name} is outside of the security headers, and its answers go without them"
                    yield Found(item.place, reason, f"add the security headers after {name}")
            rank = rank_of(item.target, catalogue.middleware())
            if rank and RANKS[rank] < RANKS["security-headers"]:
                outside.append(item.target.rpartition(".")[2])


def blank_documentation(code: Code) -> Iterator[Found]:
    """Look for a policy on every answer, the page of the documentation among them, that its scripts do not meet."""
    apps = code.codebase.project.apps
    if not apps or all({"docs_url", "openapi_url"} & set(app.keywords) or app.open_keywords for app in apps):
        return
    writes = [write for write in header_writes(code) if write.name == CSP and _stops_scripts(_text(code, write))]
    middleware = http_middleware(code) if writes else []
    for write in writes:
        around = [node for node in code.enclosing(write.spot) if node in middleware]
        if around and not any(_looks_at_path(node) for node in nodes(around[0])):
            yield Found(write.line, "this policy stops the scripts of /docs and /redoc: the pages stay blank")


def _stops_scripts(policy: str) -> bool:
    """Whether a policy keeps Swagger's page from its script in the page, or from the one that it loads."""
    directives = {part.split()[0].lower(): part.split()[1:] for part in policy.split(";") if part.split()}
    scripts = directives.get("script-src", directives.get("default-src"))
    if scripts is None:
        return False
    loads = any(item in {"*", "https:"} or "jsdelivr.net" in item for item in scripts)
    return not loads or not any(item.startswith(("'unsafe-inline'", "'nonce-", "'sha")) for item in scripts)


def _looks_at_path(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str) and (node.value.startswith(("/docs", "/redoc")) or node.value == "path")
    return isinstance(node, ast.Attribute) and node.attr in {"path", "docs_url", "media_type"}


def headers_by_hand(code: Code) -> Iterator[Found]:
    """Look for middleware that sets at least two of the headers, until the feature is installed."""
    writes = [(write.name, code.enclosing(write.spot)) for write in _writes(code)]
    middleware = http_middleware(code) if writes and not is_installed(code.codebase) else []
    for node in middleware:
        if isinstance(node, ast.ClassDef) and is_asgi(node):
            continue
        names = {name for name, around in writes if node in around}
        if len(names) > 1:
            reason = f"{node.name} sets {len(names)} security headers; unhandled errors go without"
            yield Found(node.lineno, reason, f"remove {node.name} and run: laterctl add security-headers")


def _writes(code: Code) -> list[HeaderWrite]:
    """Return where a file sets one of the headers."""
    names = SENT | {OBSOLETE}
    spelled = code.mentions(*(name.encode() for name in names))
    return [write for write in header_writes(code) if write.name in names] if spelled else []


def _text(code: Code, write: HeaderWrite) -> str:
    value = code.literal(write.value)
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, str):
        return value
    parts = write.value.values if isinstance(write.value, ast.JoinedStr) else []
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "1" for part in parts)


def _is_unconditional(code: Code, write: HeaderWrite) -> bool:
    # Inside the innermost function: no branch around it, and no look at a scheme anywhere.
    around = code.enclosing(write.spot)
    functions = [number for number, node in enumerate(around) if isinstance(node, Function)]
    if not functions:
        return False
    inner = around[functions[-1] :]
    if any(isinstance(node, ast.If | ast.Match | ast.While) for node in inner):
        return False
    outermost = around[min(number for number, node in enumerate(around) if isinstance(node, Scope))]
    return not any(_looks_at_scheme(node) for node in [*nodes(outermost), *nodes(write.spot.node)])


def _looks_at_scheme(node: ast.AST) -> bool:
    if isinstance(node, ast.IfExp):
        return True
    if isinstance(node, ast.Constant):
        return node.value == "scheme" or node.value in _SCHEMES
    return isinstance(node, ast.Attribute) and node.attr in {"scheme", "is_secure"}


_MIDDLEWARE = """\
from fastapi import FastAPI, Request

app = FastAPI()


@app.middleware("http")
async def headers(request: Request, call_next):
    response = await call_next(request)
    response.headers["X-Frame-Options"] = "DENY"
    return response
"""
_FRAME = '    response.headers["X-Frame-Options"] = "DENY"\n'
_HSTS = '    response.headers["Strict-Transport-Security"] = "max-age=31536000"'
_POLICY = """    response.headers["Content-Security-Policy"] = "default-src 'self'\""""
_INSTALLED = {
    "app/core/security_headers.py": "class SecurityHeadersMiddleware: ...\n",
    MAIN: "from fastapi import FastAPI\nfrom fastapi.middleware.gzip import GZipMiddleware\n\n"
    "from app.core.security_headers import SecurityHeadersMiddleware\n\napp = FastAPI()\n"
    "app.add_middleware(GZipMiddleware)\napp.add_middleware(SecurityHeadersMiddleware)\n",
}
_INSIDE = _INSTALLED[MAIN].replace("app.add_middleware(GZipMiddleware)\n", "").rstrip("\n")

HDR001 = Rule(
    id="HDR001",
    title="A second source of a header that the security headers middleware sends",
    why="Another middleware, a library, or nginx, whose add_header does not replace what the application sent: "
    "browsers get the header twice, and heed one of them or none. A route that sets a header for its own answer is no "
    "second source: its value is the one that is sent.",
    fix="leave it to one of them",
    needles=(b"headers", b"Secure", b"SecWeb"),
    checks={Code: second_source, Codebase: second_source_in_nginx},
    bad=(
        {
            **_INSTALLED,
            MAIN: f"{_INSTALLED[MAIN]}\nfrom app.frames import Frames\n\napp.add_middleware(Frames)\n",
            "app/frames.py": "class Frames:\n    async def __call__(self, scope, receive, send):\n"
            "        async def sending(message):\n"
            '            message["headers"].append((b"x-frame-options", b"DENY"))  # HDR001\n'
            "            await send(message)\n\n        await self.app(scope, receive, sending)\n",
        },
        {
            **_INSTALLED,
            "nginx.conf": "location / {\n    add_header X-Frame-Options DENY;  # HDR001\n"
            "    proxy_pass http://app:8000;\n}\n",
        },
    ),
    good=(
        {
            **_INSTALLED,
            "app/pages.py": 'def embed(response):\n    response.headers["X-Frame-Options"] = "SAMEORIGIN"\n',
            "nginx.conf": "location /static {\n    add_header X-Frame-Options DENY;\n    root /srv/www;\n}\n",
        },
    ),
)
HDR002 = Rule(
    id="HDR002",
    title="The XSS filter of old browsers is switched on",
    why="Browsers removed it, and in old ones it opens holes of its own. "
    "https://cheatsheetseries.owasp.org/cheatsheets/HTTP_Headers_Cheat_Sheet.html#x-xss-protection",
    fix="drop the header: a Content-Security-Policy does its job",
    needles=(b"X-XSS-Protection", b"x-xss-protection"),
    checks={Code: obsolete_filter},
    bad=(_MIDDLEWARE.replace(_FRAME, '    response.headers["X-XSS-Protection"] = "1; mode=block"  # HDR002\n'),),
    good=(_MIDDLEWARE.replace(_FRAME, '    response.headers["X-XSS-Protection"] = "0"\n'),),
)
HDR003 = Rule(
    id="HDR003",
    title="Strict-Transport-Security is sent whatever the scheme",
    why="RFC 6797 forbids it over plain http in section 7.2. Browsers heed it only over https; there it counts for the "
    "whole host, `localhost` and its other ports included.",
    fix='send it only when request.url.scheme is "https"; behind a proxy, run uvicorn with --proxy-headers',
    needles=(b"Strict-Transport-Security", b"strict-transport-security"),
    checks={Code: whatever_the_scheme},
    bad=(_MIDDLEWARE.replace(_FRAME, f"{_HSTS}  # HDR003\n"),),
    good=(_MIDDLEWARE.replace(_FRAME, f'    if request.url.scheme == "https":\n    {_HSTS}\n'),),
)
HDR004 = Rule(
    id="HDR004",
    title="The security headers middleware is not outside of one that answers by itself",
    why="What CORS, a rate limit or the check of trusted hosts answers goes without the headers.",
    fix="add the security headers last: what is added last is outside",
    needles=(b"SecurityHeadersMiddleware",),
    checks={Codebase: inside_of_answers},
    bad=({**_INSTALLED, MAIN: f"{_INSIDE}  # HDR004\napp.add_middleware(GZipMiddleware)\n"},),
    good=(_INSTALLED,),
)
HDR005 = Rule(
    id="HDR005",
    title="Security headers are set by a BaseHTTPMiddleware or a decorated function",
    why="Unhandled errors, and what is answered further outside, go without them.",
    fix="run: laterctl add security-headers",
    severity=Severity.INFO,
    needles=(b"headers",),
    checks={Code: headers_by_hand},
    bad=(
        _MIDDLEWARE.replace(_FRAME, f'{_FRAME}    response.headers["Referrer-Policy"] = "no-referrer"\n').replace(
            "call_next):", "call_next):  # HDR005"
        ),
    ),
    good=(_MIDDLEWARE,),
)
HDR006 = Rule(
    id="HDR006",
    title="A Content-Security-Policy on every answer leaves the documentation blank",
    why="The pages at /docs and /redoc hold a script and load another from cdn.jsdelivr.net; a policy that allows "
    "neither stops both. https://fastapi.tiangolo.com/how-to/custom-docs-ui-assets/",
    fix="leave the paths of the documentation out, or run: laterctl add security-headers",
    needles=(b"Content-Security-Policy", b"content-security-policy"),
    checks={Code: blank_documentation},
    bad=(_MIDDLEWARE.replace(_FRAME, f"{_POLICY}  # HDR006\n"),),
    good=(
        _MIDDLEWARE.replace(_FRAME, f'    if request.url.path != "/docs":\n    {_POLICY}\n'),
        _MIDDLEWARE.replace(_FRAME, f"{_POLICY}\n").replace("FastAPI()", "FastAPI(docs_url=None, redoc_url=None)"),
    ),
)
