"""Where the project reads its settings, and the expression with which other modules reach them."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from laterctl.dialects.settings import dynaconf, pydantic, starlette, unsupported
from laterctl.dialects.settings.base import Found, Settings, imported
from laterctl.project.facts import App, Undecided
from laterctl.project.names import Names, Own
from laterctl.project.places import Place, is_test_or_docs
from laterctl.project.unreadable import unread
from laterctl.render import Expr, Import

_HINT = "settings in [tool.laterctl], as module:object"
_DIALECTS = (dynaconf, pydantic, starlette)
_MARKS = ("BaseSettings", "Dynaconf", "starlette.config")
_CALLED = r"(?i)(?:conf|settings)[^/]*\.py$"
_NEAR = 3  # imports followed from the app file to find the settings it uses


def find_settings(
    names: Names, app: App | None, asked: str = "", apps: Sequence[App] = ()
) -> tuple[Settings | None, tuple[Undecided, ...]]:
    """Find the settings.

    Args:
        names: the resolver.
        app: the application; of several settings those count that its file imports.
        asked: the user's `module:object`, where a getter counts as an object.
        apps: the applications that `app` may be, while that is open.
    """
    found = [item for dialect in _DIALECTS for item in dialect.find(names)]
    if asked:
        wanted = [item for item in found if _is_asked(names, item, asked)]
        if not wanted:
            shown = ", ".join(names.spell(own) for item in found for own in (*item.objects, *item.getters)) or "none"
            return None, (Undecided("settings-not-found", f"no settings {asked}; found: {shown}", _HINT),)
        return _reached(names, wanted[0], app, asked), ()
    best = _nearest(names, found, [app] if app is not None else apps)
    for fits in (_is_well_named, lambda item: item.settings.class_name in {"Settings", "AppSettings", "Config"}):
        best = [item for item in best if fits(item)] or best
    if len(best) > 1:
        places = tuple(item.settings.place or Place(item.settings.path, 1) for item in best)
        shown = ", ".join(item.settings.class_name or item.settings.module for item in best)
        return None, (Undecided("several-settings", f"several settings: {shown}", _HINT, places),)
    if best:
        return _reached(names, best[0], app), ()
    other = unsupported.find(names, app)
    return other, unread(names.tree, _MARKS, called=_CALLED) if other is None else ()


def _is_well_named(item: Found) -> bool:
    return any(own.name in {"settings", "get_settings"} for own in (*item.objects, *item.getters))


def _is_asked(names: Names, item: Found, asked: str) -> bool:
    module, _, attr = asked.partition(":")
    attr = attr.removesuffix("()")
    every = (*item.objects, *item.getters, Own(item.settings.path, item.settings.class_name))
    return any(names.module_name(own.path) == module and attr in {"", own.name} for own in every)


def _nearest(names: Names, found: Sequence[Found], apps: Sequence[App]) -> list[Found]:
    """Return those that the applications' files import, or the modules these import, by the shortest way."""
    if len(found) < 2:
        return list(found)
    level = list(dict.fromkeys(app.path for app in apps))
    seen = set(level)
    for _ in range(_NEAR):
        following: list[str] = []
        hit: list[Found] = []
        for path in level:
            targets = list(imported(names, path))
            hit += [item for item in found if item not in hit and _touches(item, targets, path)]
            following += [own.path for own in targets if own.path not in seen]
            seen.update(following)
        if hit:
            return hit
        level = following
    return list(found)


def _touches(item: Found, targets: Sequence[Own], path: str) -> bool:
    own = {item.settings.path, *(own.path for own in (*item.objects, *item.getters))}
    return path in own or item.settings.reached_by(item, targets)


def _reached(names: Names, item: Found, app: App | None, asked: str = "") -> Settings:
    """Complete the facts with the expressions for the object and for the environment's name."""
    settings = item.settings
    own = _form(names, item, app, asked)
    if own is None:
        reason = settings.reason or f"no module-level object or getter of {settings.class_name} was found"
        return unsupported.as_unsupported(settings, reason)
    if app is not None and own.path in {app.path, names.module_file(app.reference.partition(":")[0], app.path)}:
        reason = "the settings object is made in the application module; importing it elsewhere would be a cycle"
        return unsupported.as_unsupported(settings, reason)
    access = _expression(names, own, own in item.getters, app)
    return replace(settings, access=access, environment=settings.running(names, access))


def _form(names: Names, item: Found, app: App | None, asked: str) -> Own | None:
    """Choose between several objects and getters: the app file's, else what most modules import, else the first."""
    every = [*item.objects, *item.getters]
    if len(every) < 2:
        return every[0] if every else None
    if asked:
        attr = asked.partition(":")[2].removesuffix("()")
        every = [own for own in every if own.name == attr] or every
    if app is not None:
        used = set(imported(names, app.path))
        mine = [own for own in every if own in used] or [own for own in every if Own(own.path) in used]
        if mine:
            return mine[0]
    counts = {own: sum(own in set(imported(names, path)) for path in _users(names, own)) for own in every}
    return max(every, key=lambda own: counts[own])


def _users(names: Names, own: Own) -> list[str]:
    return [
        path
        for path in names.tree.files_containing(own.name.encode())
        if path != own.path and not is_test_or_docs(path)
    ]


def _expression(names: Names, own: Own, called: bool, app: App | None) -> Expr:
    """Spell the object the way the app file reaches it, else by a plain import from its module."""
    call = "()" if called else ""
    for local, dotted in names.imports(app.path).items() if app is not None else ():
        target = names.trace(dotted, app.path) if app is not None else ""
        head, _, last = dotted.rpartition(".")
        holder = names.module_file(head, app.path) or names.module_file_at_root(head) if app is not None else None
        if target == own and holder is not None:
            return Expr(f"{last}{call}", (Import(names.module_name(holder), last),))
        if target == Own(own.path) and "." not in own.name and not local.startswith("*"):
            module = names.module_name(own.path)
            parent, _, name = module.rpartition(".")
            asname = local if local != name else ""
            item = Import(parent, name, asname) if parent else Import(module, "", asname)
            return Expr(f"{local}.{own.name}{call}", (item,))
    return Expr(f"{own.name}{call}", (Import(names.module_name(own.path), own.name),))
