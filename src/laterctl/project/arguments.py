"""The keyword arguments of the calls that make an application, above all `middleware=`."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from laterctl.project.application.find import Construction
from laterctl.project.facts import ListSite, Registration
from laterctl.project.names import Names, Own, dotted_path
from laterctl.project.places import Place
from laterctl.project.statements import StatementRef, assigned_value, bound_targets, spots


def keywords_of(sites: Sequence[Construction]) -> tuple[tuple[str, ...], bool]:
    """Return the names of the keywords that the calls take, and whether a `**mapping` may bring more."""
    keywords = dict.fromkeys(word.arg for site in sites for word in site.call.keywords if word.arg)
    opened = any(word.arg is None for site in sites for word in site.call.keywords)
    return tuple(keywords), opened


def keyword(site: Construction, name: str) -> ast.expr | None:
    """Return the value of one keyword argument, `None` without it."""
    return next((word.value for word in site.call.keywords if word.arg == name), None)


def listed_middleware(names: Names, site: Construction, index: int) -> tuple[ListSite | None, list[Registration]]:
    """Read `middleware=` of a call: where its list literal stands, and the classes in it, outermost first.

    The literal may be in the call, in a variable, or returned by a function of the project. When there is none, the
    one registration has no target.
    """
    value = keyword(site, "middleware")
    if value is None:
        return None, []
    found = _list_literal(names, site, value)
    if found is None:
        return None, [Registration(index, "", "list", Place(site.path, value.lineno))]
    literal, where = found
    entries = []
    for element in literal.elts:
        target = element.args[0] if isinstance(element, ast.Call) and element.args else None
        dotted = names.spelled(target, where.path) if target is not None else ""
        entries.append(Registration(index, dotted, "list", Place(where.path, element.lineno)))
    return where, entries


def _list_literal(names: Names, site: Construction, value: ast.expr) -> tuple[ast.List, ListSite] | None:
    if isinstance(value, ast.List):
        return value, _list_site(site.path, site.spot, value, "middleware")
    every = list(spots(names.tree.python(site.path).tree))
    if isinstance(value, ast.Name) and site.spot.scope:
        local = _only(site.path, [s for s in every if s.scope == site.spot.scope and _binds(s, value.id)])
        if local is not None:
            return local
    called = isinstance(value, ast.Call)
    found = names.lookup(value.func if isinstance(value, ast.Call) else value, site.path)
    if not isinstance(found, Own):
        return None
    every = list(spots(names.tree.python(found.path).tree))
    if not called:
        return _only(found.path, [spot for spot in every if not spot.scope and _binds(spot, found.name)])
    inside = [spot for spot in every if [part.name for part in spot.scope] == [found.name]]
    returned = [spot for spot in inside if isinstance(spot.node, ast.Return)]
    names_returned = {
        dotted_path(spot.node.value) for spot in returned if isinstance(spot.node, ast.Return) and spot.node.value
    }
    bound = [spot for spot in inside if any(name and _binds(spot, name) for name in names_returned)]
    return _only(found.path, bound or returned)


def _binds(spot: StatementRef, name: str) -> bool:
    return any(dotted_path(target) == name for target in bound_targets(spot.node))


def _only(path: str, found: Sequence[StatementRef]) -> tuple[ast.List, ListSite] | None:
    """Return the list literal of the one statement there is, `None` when there are several or it is something else."""
    if len(found) != 1:
        return None
    node = found[0].node
    value = node.value if isinstance(node, ast.Return) else assigned_value(node)
    return (value, _list_site(path, found[0], value)) if isinstance(value, ast.List) else None


def _list_site(path: str, spot: StatementRef, value: ast.List, keyword: str = "") -> ListSite:
    return ListSite(path, spot.body, spot.index, Place(path, value.lineno), keyword)
