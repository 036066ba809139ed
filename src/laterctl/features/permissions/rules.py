"""Doctor rules of `permissions`: doors that nobody guards.

What is meant to be open is not told apart from what was forgotten by the code alone: PERM002 leaves alone whatever may
be guarded in a way that it does not see.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from laterctl.doctor.code import Code, Codebase, Visit, once
from laterctl.doctor.http import is_verb
from laterctl.doctor.rule import Found, Rule, Severity
from laterctl.edits.file import CALLERS
from laterctl.patterns import pattern
from laterctl.project.names import dotted_path
from laterctl.project.signs import definitions

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_CHANGES = {"post", "put", "patch", "delete"}
_GUARDS = pattern(
    r"(?i)user|auth|token|permission|principal|caller|current|require|role|scope|admin|api_?key|login|sign|verif"
    r"|credential|account|member|owner|tenant|secret|password|security|protect"
)
_OPEN = pattern(r"(?i)register|sign|log-?(?:in|out)|token|hook|callback|contact|subscri|health|feedback|reset|refresh")
_HARMLESS = pattern(
    r"(?i)session|db|database|settings|config|engine|redis|cache|http|client|queue|logger|uow|page|query"
)
_GUARD_NAMES = pattern(r"(?i)permission|role|auth|login|scope|protect|require|admin")
_ASKS = {"Depends", "Security"}


def guard_above_the_route(function: Visit[_Function]) -> Iterator[Found]:
    """Look at the order of decorators."""
    decorators = function.node.decorator_list
    verbs = [number for number, item in enumerate(decorators) if is_verb(item)]
    for item in decorators[: verbs[-1]] if verbs else ():
        name = dotted_path(item.func if isinstance(item, ast.Call) else item).rpartition(".")[2]
        if not is_verb(item) and _GUARD_NAMES.search(name):
            yield Found(
                item.lineno, f"{function.node.name} is registered before @{name} is applied: nothing is checked"
            )


def unguarded(function: Visit[_Function]) -> Iterator[Found]:
    """Look for routes that change something and ask for no caller, where others do."""
    node = function.node
    verbs = [item for item in node.decorator_list if is_verb(item)]
    if len(verbs) != len(node.decorator_list) or not any(_changes(item) for item in verbs):
        return
    if any(_is_given(item, "dependencies") or _OPEN.search(ast.unparse(item)) for item in verbs):
        return
    if _GUARDS.search(ast.unparse(node)) or not all(map(_is_harmless, _asked(function))):
        return
    code = function.code
    if not _is_guarded(code) and _has_callers(code.codebase):
        yield Found(
            function.line, f"{node.name} changes something, and anybody may ask for it; other routes have callers"
        )


def _changes(verb: ast.expr) -> bool:
    return isinstance(verb, ast.Call) and isinstance(verb.func, ast.Attribute) and verb.func.attr in _CHANGES


def _is_given(call: ast.expr, name: str) -> bool:
    return isinstance(call, ast.Call) and any(item.arg in {name, None} for item in call.keywords)


def _asked(function: Visit[_Function]) -> Iterator[str]:
    """Yield the dependencies of a function, as written; aliases count by their names and by what they stand for."""
    arguments = function.node.args
    given = (*arguments.defaults, *(item for item in arguments.kw_defaults if item is not None))
    hints = [item.annotation for item in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    for node in (*given, *(item for item in hints if item is not None)):
        text = ast.unparse(node)
        found = function.code.codebase.statement(function.resolve(node), function.code.path)
        if found is not None and not isinstance(found[1], ast.ClassDef):
            text = ast.unparse(found[1])
        if any(word in text for word in _ASKS) or text.endswith("Dep"):
            yield text


def _is_harmless(asked: str) -> bool:
    """Whether a dependency is of the kind that asks for nobody."""
    return _HARMLESS.search(asked) is not None and _GUARDS.search(asked) is None


@once
def _is_guarded(code: Code) -> bool:
    """Whether the routers of a file may ask for a caller."""
    return any(call.target == "fastapi.APIRouter" and _is_given(call.node, "dependencies") for call in code.calls)


@once
def _has_callers(codebase: Codebase) -> bool:
    """Whether the project knows callers, and asks for them route by route: not for all of a router or an application."""
    if not definitions(codebase.project, (*CALLERS, "CurrentUser")):
        return False
    for code in codebase.containing(b"include_router", b"FastAPI", b"Middleware", b".middleware("):
        if code.mentions(b"authorization", b"authenticationmiddleware"):
            return False
        for call in code.calls:
            if (call.method == "include_router" or call.target == "fastapi.FastAPI") and _is_given(
                call.node, "dependencies"
            ):
                return False
    return True


_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_HEAD = """\
from typing import Annotated

from fastapi import Depends, FastAPI

app = FastAPI()


def get_current_user() -> str: ...


CurrentUser = Annotated[str, Depends(get_current_user)]


@app.get("/me")
def me(user: CurrentUser) -> str:
    return user


"""
_DELETE = '@app.delete("/items/{item_id}")\ndef delete(item_id: int{more}) -> None: ...{mark}\n'

PERM001 = Rule(
    id="PERM001",
    title="A check of permissions stands above the route decorator",
    why="The route is registered without it, and anybody gets in. "
    "https://docs.python.org/3/reference/compound_stmts.html#function-definitions",
    fix="put it below the route decorator, or ask by a dependency: laterctl add permissions",
    severity=Severity.ERROR,
    needles=(b"@",),
    checks=dict.fromkeys(_FUNCTIONS, guard_above_the_route),
    bad=(
        "from fastapi import FastAPI\n\nfrom app.access import require_permissions\n\napp = FastAPI()\n\n\n"
        '@require_permissions("delete")  # PERM001\n@app.delete("/items")\nasync def clear() -> None: ...\n',
    ),
    good=(
        "from fastapi import FastAPI\n\nfrom app.access import require_permissions\n\napp = FastAPI()\n\n\n"
        '@app.delete("/items")\n@require_permissions("delete")\nasync def clear() -> None: ...\n',
    ),
)
PERM002 = Rule(
    id="PERM002",
    title="A route that changes something asks for no caller",
    why="Others of the project do, and this one has no dependency, router or middleware that could do it in its place. "
    "https://owasp.org/API-Security/editions/2023/en/0xa5-broken-function-level-authorization/",
    fix="ask for a permission: dependencies=[require(Permission.WRITE)]; laterctl add permissions",
    needles=(b".post(", b".put(", b".patch(", b".delete("),
    checks=dict.fromkeys(_FUNCTIONS, unguarded),
    bad=(_HEAD + _DELETE.replace("{more}", "").replace("{mark}", "  # PERM002"),),
    good=(
        _HEAD + _DELETE.replace("{more}", ", user: CurrentUser").replace("{mark}", ""),
        _HEAD + _DELETE.replace("{more}", ", service: object = Depends(object)").replace("{mark}", ""),
        _HEAD.replace("FastAPI()", "FastAPI(dependencies=[Depends(print)])")
        + _DELETE.replace("{more}", "").replace("{mark}", ""),
    ),
)
