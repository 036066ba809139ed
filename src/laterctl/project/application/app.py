"""One FastAPI application: the place where things are registered on it, and what is registered."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from keyword import iskeyword

from laterctl.project.application.find import Candidate, Construction, Export, returns
from laterctl.project.application.handed import gives_back
from laterctl.project.application.mounted import mounted_at
from laterctl.project.application.registered import Context, Registered, registered_on
from laterctl.project.arguments import keyword, keywords_of, listed_middleware
from laterctl.project.facts import App, BodyPath, Evidence, Lifespan
from laterctl.project.lifespan import lifespan_of
from laterctl.project.names import Names, Own, dotted_path
from laterctl.project.places import Place, is_test_or_docs
from laterctl.project.source import Unreadable
from laterctl.project.statements import (
    Function,
    Scope,
    assigned_value,
    body_at,
    bound_targets,
    is_main_guard,
    nodes,
    own_nodes,
)
from laterctl.project.tree import Outside

SERVERS = frozenset({"uvicorn.run", "hypercorn.run.run", "granian.Granian"})


def describe(names: Names, candidate: Candidate, export: Export | None, evidence: Sequence[Evidence]) -> App:
    """Describe one application. `export` is how others get hold of it, `evidence` why that is believed."""
    site = candidate.site
    path, name, body, index = site.path, site.name, *_anchor(candidate.sites)
    scope = site.spot.scope
    editable, reason = True, ""
    # An argument is put into the call of an assignment alone: `(app := FastAPI())` is extended by statements.
    assigned = assigned_value(site.spot.node) is site.call or not name
    open_keywords = len(candidate.sites) > 1 or site.subclass is not None or not assigned
    if not name and export is not None and export.steps:
        # A factory that returns the call itself: register where its caller holds the object.
        step = export.steps[0]
        path, name, body, index = step.path, step.name, step.spot.body, step.spot.index
        scope, open_keywords = step.spot.scope, True
    elif site.provider:
        editable, reason = False, "the application is built by a dependency-injector provider"
    elif not name:
        editable, reason = False, "no name holds the application: it is returned or wrapped where it is made"
    elif not candidate.exports and _is_kept(site):
        editable, reason = False, f"{site.qualname}() builds the application and does not hand it out"
    elif _is_global(scope[-1] if scope else None, name):
        editable, reason = False, f"{site.qualname}() binds the application to a global name"
    if editable and export is not None and export.lost:
        editable, reason = False, export.lost
    tree = names.tree.python(path).tree
    statements = body_at(tree, body)
    limit = _limit(names, path, statements, index, name, bool(scope)) if name else None
    found = _registered(names, candidate, export, path, body, index, name) if name else Registered()
    keywords, opened = keywords_of(candidate.sites)
    argument = keyword(site, "middleware")
    where, listed = listed_middleware(names, site, index)
    span = _lifespan(names, candidate, found, opened)
    module = names.module_name(export.path) if export is not None else ""
    importable = all(part.isidentifier() and not iskeyword(part) for part in module.split("."))
    reference = f"{module}:{export.attr}" if export is not None and importable else ""
    return App(
        path=path,
        module=names.module_name(path),
        name=name,
        body=body,
        index=index,
        place=site.place,
        reference=reference,
        factory=export is not None and export.factory,
        scope=".".join(part.name for part in scope),
        limit=limit,
        keywords=keywords,
        open_keywords=opened or open_keywords,
        middleware=(*listed, *found.middleware),
        middleware_argument=ast.unparse(argument) if argument is not None else "",
        middleware_list=where,
        routers=tuple(found.routers),
        handlers=tuple(found.handlers),
        mounts=tuple(found.mounts),
        wrapped=export.wrapped if export is not None else "",
        lifespan=span,
        mounted=None if evidence else mounted_at(names, candidate),
        editable=editable,
        reason=reason,
        evidence=(
            Evidence("FastAPI is constructed", site.place),
            *evidence,
            *_further(candidate, export),
            *_idle(span, found),
        ),
    )


def _further(candidate: Candidate, export: Export | None) -> list[Evidence]:
    """Return the other module-level calls of the factory: what is registered in it reaches them too."""
    made = {each.steps[-1].spot.node: each for each in candidate.exports if each.steps and not each.factory}
    mine = export.steps[-1].spot.node if export is not None and export.steps else None
    return [
        Evidence(f"the factory also makes {each.attr}", each.place) for node, each in made.items() if node is not mine
    ]


def _idle(span: Lifespan, found: Registered) -> list[Evidence]:
    """Return the handlers of `on_event` that never run because the application has a lifespan."""
    if not span.name:
        return []
    return [Evidence("an on_event handler that never runs beside a lifespan", place) for place in found.hooks]


def _anchor(sites: Sequence[Construction]) -> tuple[BodyPath, int]:
    """Return the statement after which the app exists: the call's, or the `if` whose branches hold the calls."""
    body, index = sites[-1].spot.body, sites[-1].spot.index
    for site in sites[:-1]:
        shared = 0
        other = site.spot.body
        while shared < min(len(body), len(other)) and body[shared] == other[shared]:
            shared += 1
        ordinals = [
            path[shared][0] if len(path) > shared else at for path, at in ((body, index), (other, site.spot.index))
        ]
        body, index = body[:shared], max(ordinals)
    return body, index


def _is_kept(site: Construction) -> bool:
    """Whether a function builds the application for itself alone."""
    function = site.function
    if function is None or site.name.startswith("self."):
        return False
    return not returns(function, site.name, site.call)


def _is_global(function: ast.AST | None, name: str) -> bool:
    if not isinstance(function, Function):
        return False
    return any(isinstance(node, ast.Global) and name in node.names for node in function.body)


def _limit(names: Names, path: str, statements: list[ast.stmt], index: int, name: str, in_function: bool) -> int | None:
    """Return the ordinal of the first statement that registrations must stand before."""
    for number in range(index + 1, len(statements)):
        node = statements[number]
        if is_main_guard(node):
            return number
        ends = not isinstance(node, Scope) and any(isinstance(part, ast.Return | ast.Yield) for part in own_nodes(node))
        if in_function and ends:
            return number
        if any(dotted_path(target) == name for target in bound_targets(node)):
            value = assigned_value(node)
            if not gives_back(names, value, path, {name}):
                return number
        if isinstance(node, ast.Delete) and any(dotted_path(target) == name for target in node.targets):
            return number
        called = node.value.func if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) else None
        if called is not None and names.resolve(called, path) in SERVERS:
            return number
    return None


def _registered(
    names: Names, candidate: Candidate, export: Export | None, path: str, body: BodyPath, index: int, name: str
) -> Registered:
    site = candidate.site
    tree = names.tree.python(path).tree
    scope = site.spot.scope if path == site.path else ()
    statements = body_at(tree, body)
    last = len(statements)
    found = Registered()
    if site.subclass is not None:
        found.extend(_by_subclass(names, site.subclass, index))
    found.extend(registered_on(names, path, statements, {name}, scope=scope, after=index))
    floor = _function_depth(tree, body)
    for cut in range(len(body) - 1, floor - 1, -1):  # an app made inside `if` or `with`: what follows further out
        around = body_at(tree, body[:cut])
        found.extend(
            registered_on(names, path, around, {name}, scope=scope, after=body[cut][0], index=last, outside=True)
        )
    if export is None:
        return found
    for step in export.steps:
        if (step.path, step.spot.body, step.spot.index) == (path, body, index):
            continue
        block = body_at(names.tree.python(step.path).tree, step.spot.body)
        found.extend(
            registered_on(
                names,
                step.path,
                block,
                {step.name},
                scope=step.spot.scope,
                after=step.spot.index,
                index=last,
                outside=True,
            )
        )
    found.extend(_by_importers(names, candidate, path, last))
    return found


def _function_depth(tree: ast.Module, body: BodyPath) -> int:
    """Return how many steps of `body` lead to the list of the innermost function or class."""
    depth = 0
    for cut in range(len(body)):
        node = body_at(tree, body[:cut])[body[cut][0]]
        if isinstance(node, Function | ast.ClassDef):
            depth = cut + 1
    return depth


def _by_subclass(names: Names, subclass: Own, index: int) -> Registered:
    """Collect what the `__init__` of a subclass of FastAPI registers on itself."""
    node = names.statement(subclass)
    found = Registered()
    for member in node.body if isinstance(node, ast.ClassDef) else ():
        if isinstance(node, ast.ClassDef) and isinstance(member, Function) and member.name == "__init__":
            scope = (node, member)
            found.extend(
                registered_on(names, subclass.path, member.body, {"self"}, scope=scope, index=index, style="helper")
            )
    return found


def _last_part(path: str) -> str:
    """Return the last part of a file's module name, which every import of the module spells."""
    return path.removesuffix(".py").removesuffix("/__init__").rpartition("/")[2]


def _by_importers(names: Names, candidate: Candidate, app_path: str, last: int) -> Registered:
    """Collect what modules register that import the app object, or the module that holds it."""
    found = Registered()
    exports = {Own(export.path, export.attr) for export in candidate.exports if not export.factory}
    attrs = {own.name for own in exports}
    words = (
        *(b"middleware", b"include_router", b"exception_handler", b"on_event", b"add_event_handler"),
        b"lifespan_context",
    )
    modules = {_last_part(own.path).encode() for own in exports}
    paths = {path for module in modules for word in words for path in names.tree.files_containing(module, word)}
    for path in sorted(paths - {app_path}):
        if is_test_or_docs(path):
            continue
        try:
            imports = names.imports(path)
            held = {
                local
                for local, dotted in imports.items()
                if dotted.rpartition(".")[2] in attrs and names.trace(dotted, path) in exports
            }
            held |= {
                f"{local}.{own.name}"
                for local, dotted in imports.items()
                for own in exports
                if dotted.rpartition(".")[2] == _last_part(own.path) and names.trace(dotted, path) == Own(own.path)
            }
            if held:
                body = names.tree.python(path).tree.body
                found.extend(registered_on(names, path, body, held, index=last, outside=True, everywhere=True))
        except (Unreadable, Outside):
            continue
    return found


def _lifespan(names: Names, candidate: Candidate, found: Registered, opened: bool) -> Lifespan:
    if found.contexts:
        return _assigned_lifespan(names, found.contexts)
    site = candidate.site
    spans = []
    for each in candidate.sites:
        value = keyword(each, "lifespan")
        if value is not None:
            spans.append(lifespan_of(names, value, each.path, each.spot.scope))
    if site.subclass is not None and not spans:
        spans += _subclass_lifespan(names, site.subclass)
    if spans:
        same = all(span == spans[0] for span in spans) and len(spans) in {1, len(candidate.sites)}
        if same and spans[0] != Lifespan():
            return spans[0]
        if not same:
            return Lifespan("foreign", spans[0].place, spans[0].name, reason="the branches have different lifespans")
    startup = keyword(site, "on_startup") or keyword(site, "on_shutdown")
    if startup is not None:
        return Lifespan("on_event", Place(site.path, startup.lineno))
    if found.hooks:
        return Lifespan("on_event", found.hooks[0])
    if opened:
        reason = "the call takes a mapping of keywords that may hold a lifespan"
        return Lifespan("foreign", site.place, reason=reason)
    if found.strangers:
        first = found.strangers[0]
        reason = (
            f"{first.target or 'a call'}() is handed the app, and what it may do at the start lifespan= would disable"
        )
        return Lifespan("handed", first.place, reason=reason)
    return Lifespan()


def _assigned_lifespan(names: Names, contexts: Sequence[Context]) -> Lifespan:
    """Describe what is assigned to `router.lifespan_context`, which takes the place of everything before it."""
    last = contexts[-1]
    span = lifespan_of(names, last.value, last.place.path, last.scope)
    if len(contexts) == 1 and span.body:
        return span
    reason = "more than once" if len(contexts) > 1 else span.reason
    return Lifespan("assigned", last.place, reason=f"router.lifespan_context is assigned: {reason}")


def _subclass_lifespan(names: Names, subclass: Own) -> list[Lifespan]:
    node = names.statement(subclass)
    if node is None:
        return []
    for inner in nodes(node):
        if isinstance(inner, ast.Call) and isinstance(inner.func, ast.Attribute) and inner.func.attr == "__init__":
            for word in inner.keywords:
                if word.arg == "lifespan":
                    return [lifespan_of(names, word.value, subclass.path, ())]
    return []
