"""Doctor rules of `rate-limit`: limits that do not hold, silently."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from laterctl.doctor.code import Codebase, Visit, constant, method_of
from laterctl.doctor.http import is_verb
from laterctl.doctor.processes import kept_apart
from laterctl.doctor.rule import MAIN, Found, Rule, Severity
from laterctl.patterns import pattern
from laterctl.project.installed import file_of
from laterctl.project.places import Place
from laterctl.project.start_files import start_parts

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_LIMITS = {"limit", "shared_limit"}
_ANYBODY = pattern(r"(?:--forwarded-allow-ips|FORWARDED_ALLOW_IPS)\"?'?[\s=:,]+[\"']?\*[\"']?")
_SEPARATORS = re.compile(r"[,;|]")
_RATE = re.compile(r"\s*[0-9]+\s*(?:/|per)\s*[0-9]*\s*(?:second|minute|hour|day|month|year)s?\s*", re.IGNORECASE)


def counted_apart(codebase: Codebase) -> Iterator[Found]:
    """Look for places that start several processes, where each counts by itself."""
    what = "counts by itself, and together they let through as many times the rate"
    return kept_apart(codebase, "rate-limit", "store", what)


def anybody_is_a_proxy(codebase: Codebase) -> Iterator[Found]:
    """Look for servers that believe what anybody says about the client, where clients are counted."""
    if not _limits(codebase):
        return
    for path, lines in start_parts(codebase.project.tree, _ANYBODY):
        for number, line in lines:
            if found := _ANYBODY.search(line):
                reason = f"with {found[0]} clients choose the address that they are counted by"
                yield Found(Place(path, number), reason)


def anybody_is_a_proxy_of_run(call: Visit[ast.Call]) -> Iterator[Found]:
    """Look at `uvicorn.run`."""
    if call.target == "uvicorn.run" and call.literal("forwarded_allow_ips") == "*" and _limits(call.code.codebase):
        yield Found(call.line, 'with forwarded_allow_ips="*" clients choose the address that they are counted by')


def _limits(codebase: Codebase) -> bool:
    """Whether the project has the feature, or slowapi."""
    return codebase.project.tree.read(file_of("rate-limit")) is not None or any(codebase.containing(b"slowapi"))


def no_rate(function: Visit[_Function]) -> Iterator[Found]:
    """Look for limits that slowapi cannot read: it logs that, and limits nothing."""
    for decorator in _limiting(function):
        text = constant(decorator.args[0]) if decorator.args else None
        if isinstance(text, str) and not all(map(_RATE.fullmatch, _SEPARATORS.split(text))):
            yield Found(decorator.lineno, f"{text!r} is no rate, so that {function.node.name} has no limit")


def limit_above_the_route(function: Visit[_Function]) -> Iterator[Found]:
    """Look at the order of decorators."""
    verbs = [item.lineno for item in function.node.decorator_list if is_verb(item)]
    for decorator in _limiting(function):
        if decorator.lineno < max(verbs):
            yield Found(decorator.lineno, f"{function.node.name} is registered before its limit is put around it")


def _limiting(function: Visit[_Function]) -> Iterator[ast.Call]:
    """Yield the limits of slowapi among the decorators of a route."""
    decorators = function.node.decorator_list
    if any(map(is_verb, decorators)):
        for item in decorators:
            if isinstance(item, ast.Call) and method_of(item) in _LIMITS and _is_rate(item):
                yield item


def _is_rate(call: ast.Call) -> bool:
    """Whether a call is given a text that begins as a rate does."""
    text = constant(call.args[0]) if call.args else None
    return isinstance(text, str) and text.lstrip()[:1].isdigit()


_HEAD = """\
from fastapi import FastAPI, Request
from slowapi import Limiter
from slowapi.util import get_remote_address

app = FastAPI()
limiter = Limiter(key_func=get_remote_address)


"""
_ROUTE = '@app.get("/")\n@limiter.limit("5/minute")\nasync def home(request: Request): ...\n'
_INSTALLED = {
    MAIN: "from fastapi import FastAPI\n\napp = FastAPI()\n",
    file_of("rate-limit"): '{"feature": "rate-limit", "format": 1, "laterctl": "0.1.0", "options": {}, "records": [], '
    '"requested": true}',
}
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_SLOWAPI = (b".limit(", b".shared_limit(")

RL002 = Rule(
    id="RL002",
    title="Several processes count requests by themselves",
    why="The application is started as several workers or replicas, and rate-limit counts in the memory of each: "
    "a client may ask as often as the rate says of each of them.",
    fix="laterctl add rate-limit --set rate-limit.store=redis, or start one process",
    severity=Severity.ERROR,
    scripts=True,
    checks={Codebase: counted_apart},
    bad=({**_INSTALLED, "Dockerfile": "CMD gunicorn -w 4 app.main:app  # RL002\n"},),
    good=(
        {
            **_INSTALLED,
            file_of("rate-limit"): _INSTALLED[file_of("rate-limit")].replace("{}", '{"store": "redis"}'),
            "Dockerfile": "CMD gunicorn -w 4 app.main:app\n",
        },
    ),
)
RL003 = Rule(
    id="RL003",
    title="The server believes anybody about the address of the client",
    why="With `*` uvicorn takes the first address of X-Forwarded-For, which the client writes itself: each request may "
    "come from another, and none is limited. https://www.uvicorn.org/settings/#http",
    fix="name the addresses of the proxies: FORWARDED_ALLOW_IPS=10.0.0.0/8",
    severity=Severity.ERROR,
    scripts=True,
    checks={Codebase: anybody_is_a_proxy, ast.Call: anybody_is_a_proxy_of_run},
    bad=(
        {**_INSTALLED, "Dockerfile": "CMD uvicorn app.main:app --forwarded-allow-ips='*'  # RL003\n"},
        {**_INSTALLED, MAIN: f"import uvicorn\n{_INSTALLED[MAIN]}uvicorn.run(app, forwarded_allow_ips='*')  # RL003\n"},
    ),
    good=({**_INSTALLED, "Dockerfile": "CMD uvicorn app.main:app --forwarded-allow-ips=10.0.0.0/8\n"},),
)
RL005 = Rule(
    id="RL005",
    title="A rate that slowapi cannot read",
    why="It writes that into the log when the module is imported, and the route has no limit. "
    "https://limits.readthedocs.io/en/stable/quickstart.html#rate-limit-string-notation",
    fix='write "5/minute": a number, and second, minute, hour, day, month or year',
    severity=Severity.ERROR,
    needles=_SLOWAPI,
    checks=dict.fromkeys(_FUNCTIONS, no_rate),
    bad=(_HEAD + _ROUTE.replace('5/minute")', '5/min")  # RL005'),),
    good=(_HEAD + _ROUTE, _HEAD + _ROUTE.replace("5/minute", "5 per minute; 100 per 2 hours")),
)
RL006 = Rule(
    id="RL006",
    title="`@limiter.limit` stands above the route decorator",
    why="The route is registered without it and has no limit. https://slowapi.readthedocs.io/en/latest/#fastapi",
    fix="put it directly above the function, below the route decorator",
    severity=Severity.ERROR,
    needles=_SLOWAPI,
    checks=dict.fromkeys(_FUNCTIONS, limit_above_the_route),
    bad=(_HEAD + '@limiter.limit("5/minute")  # RL006\n@app.get("/")\nasync def home(request: Request): ...\n',),
    good=(_HEAD + _ROUTE,),
)
