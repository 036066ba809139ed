"""Where an application is mounted in another one, which runs its own lifespan and not that of the mounted one."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from laterctl.project.application.find import Candidate
from laterctl.project.names import Names, Own, dotted_path
from laterctl.project.places import Place, is_test_or_docs
from laterctl.project.source import Unreadable
from laterctl.project.statements import StatementRef, calls, nodes
from laterctl.project.tree import Outside

_MOUNTS = frozenset({"starlette.routing.Mount", "starlette.routing.Host"})
_CONTEXT = ".router.lifespan_context"


def mounted_at(names: Names, candidate: Candidate) -> Place | None:
    """Return where an application is mounted, `None` when it is not or when the project runs its lifespan itself."""
    own = {Own(export.path, export.attr) for export in candidate.exports}
    site = candidate.site
    if site.name and not site.spot.scope:
        own.add(Own(site.path, site.name))
    found: Place | None = None
    for path in _paths(names, own, site.path):
        for spot, call in calls(names.tree.python(path).tree):
            if _enters(names, call, path, spot, own):
                return None
            if found is None and (given := _mounted(names, call, path, spot)) is not None:
                near = path == site.path and spot.scope == site.spot.scope
                local = near and bool(site.name) and dotted_path(given) == site.name
                called = given.func if isinstance(given, ast.Call) else given
                if local or site.call in nodes(given) or names.lookup(called, path, spot.scope) in own:
                    found = Place(path, call.lineno)
    return found


def _paths(names: Names, own: Iterable[Own], home: str) -> list[str]:
    """Return the files that may mount one of these, or enter its lifespan; `home` is where it is constructed."""
    modules = {each.path.removesuffix(".py").removesuffix("/__init__").rpartition("/")[2] for each in own}
    words = {path for word in (b"ount", b"lifespan_context") for path in names.tree.files_containing(word)}
    near = {path for module in modules for path in names.tree.files_containing(module.encode())}
    return [path for path in sorted(words & {*near, home, *(each.path for each in own)}) if _is_read(names, path)]


def _is_read(names: Names, path: str) -> bool:
    if not path.endswith(".py") or is_test_or_docs(path):
        return False
    try:
        _ = names.tree.python(path).tree
    except (Unreadable, Outside):
        return False
    return True


def _mounted(names: Names, call: ast.Call, path: str, spot: StatementRef) -> ast.expr | None:
    """Return what a call mounts."""
    method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    if method != "mount" and names.resolve(call.func, path, spot.scope) not in _MOUNTS:
        return None
    named = next((word.value for word in call.keywords if word.arg == "app"), None)
    return call.args[1] if len(call.args) > 1 else named


def _enters(names: Names, call: ast.Call, path: str, spot: StatementRef, own: Iterable[Own]) -> bool:
    """Whether a call is that of an application's lifespan: `sub.router.lifespan_context(sub)`."""
    text = dotted_path(call.func)
    if not text.endswith(_CONTEXT) or not isinstance(call.func, ast.Attribute):
        return False
    holder = call.func.value.value if isinstance(call.func.value, ast.Attribute) else call.func.value
    return names.lookup(holder, path, spot.scope) in set(own)
