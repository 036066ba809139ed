"""Finds wiring of ours that a person pasted by hand, wherever in the project it stands."""

from __future__ import annotations

import ast

from laterctl.edits.pieces import Statement
from laterctl.edits.python_file import Located, Text
from laterctl.edits.site import Site
from laterctl.project.places import is_aside
from laterctl.project.source import Unreadable
from laterctl.project.tree import Outside

CALLS = frozenset({"add_middleware", "include_router", "add_exception_handler"})


def pasted(site: Site, source: str) -> Statement | None:
    """Return the statement of the user's that registers `source` (`core.cors:CorsMiddleware`), if there is one.

    It may stand in any production file, and name the thing in any way: names are resolved, statements of ours are left
    out. What is found is adopted, so that nothing is registered twice.
    """
    place, _, name = source.partition(":")
    dotted = f"{site.module(place)}.{name}"
    for path in site.project.tree.holding(place.rpartition(".")[2].encode()):
        if is_aside(path) or site.own_file(path):
            continue
        try:
            text = Text(site.project.tree.python(path).text)
        except (SyntaxError, Unreadable, Outside):
            continue
        own = site.spots(path)
        for item in text.statements:
            if item.spot not in own and _registers(site, path, item, dotted):
                return Statement(path, item.scope, text.code(item))
    return None


def _registers(site: Site, path: str, item: Located, dotted: str) -> bool:
    call = item.node.value if isinstance(item.node, ast.Expr) else None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute) or call.func.attr not in CALLS:
        return False
    return any(site.project.names.resolve(argument, path) == dotted for argument in call.args)
