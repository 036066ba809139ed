"""Which of several FastAPI objects is the application: the one that is served, or the one the user names."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from laterctl.project.application.app import SERVERS, describe
from laterctl.project.application.find import Candidate, Construction, Export, find_candidates
from laterctl.project.application.handed import hand_over
from laterctl.project.application.served import Served
from laterctl.project.facts import App, Evidence, Undecided
from laterctl.project.names import Names, Own, dotted_path
from laterctl.project.places import Place, is_test_or_docs
from laterctl.project.roots import manifests_above, project_below
from laterctl.project.source import Unreadable
from laterctl.project.statements import assigned_value, calls, own_nodes
from laterctl.project.tree import Outside
from laterctl.project.unreadable import unread

_HINT = "laterctl --app MODULE:ATTR COMMAND, or app in [tool.laterctl]"
_LIKELY = ("app", "application", "api")
_SERVER_WORDS = (b"uvicorn", b"hypercorn", b"granian")
_CLI_DEFAULT = ("main.py", "app.py", "api.py", "app/main.py", "app/app.py", "app/api.py")  # fastapi_cli.discover


class Apps(Struct, frozen=True):
    """All applications found, best first, the one that is meant (`None` when undecided), and what stays open.

    `notes` names the files that look like they hold an application and cannot be read.
    """

    apps: tuple[App, ...]
    app: App | None
    undecided: tuple[Undecided, ...] = ()
    notes: tuple[Evidence, ...] = ()


class _Ranked(Struct, frozen=True):
    """A candidate, how strongly it is served (0 when it is not), by what, and the export that others use."""

    candidate: Candidate
    level: int
    evidence: tuple[Evidence, ...]
    export: Export | None


def find_apps(names: Names, served: Sequence[Served], asked: str = "") -> Apps:
    """Find the applications; `asked` is the user's `module:attr` (the attribute may be left out).

    Applications of another project, in a folder with a manifest of its own, only count when asked for.
    """
    files_containing = names.tree.files_containing(b"FastAPI")
    paths = [path for path in files_containing if not is_test_or_docs(path)]
    candidates = find_candidates(names, paths)
    if asked:
        candidates += find_candidates(names, [path for path in files_containing if is_test_or_docs(path)])
    below = {} if asked else {item.site.path: project_below(names.tree, item.site.path) for item in candidates}
    own = [item for item in candidates if not below.get(item.site.path)]
    if candidates and not own:
        return Apps((), None, (_below(sorted(set(below.values())), candidates),), _unreadable(names, paths))
    run = dict(_handed_to_a_server(names)) if own else {}
    ranked = sorted((_rank(names, candidate, served, run) for candidate in own), key=lambda item: -item.level)
    apps = [describe(names, item.candidate, item.export, item.evidence) for item in ranked]
    notes = _unreadable(names, paths)
    if asked:
        return _asked(names, asked, ranked, apps, notes)
    if not apps:
        return Apps((), None, (_nothing(names, files_containing),), notes)
    app = _chosen(names, ranked, apps)
    if isinstance(app, Undecided):
        return Apps(tuple(apps), None, (app,), notes)
    return Apps((app, *(other for other in apps if other.place != app.place)), app, (), notes)


def _unreadable(names: Names, paths: Iterable[str]) -> tuple[Evidence, ...]:
    notes: list[Evidence] = []
    for path in [*paths, *(path for path in sorted(names.tree.refused) if not is_test_or_docs(path))]:
        try:
            _ = names.tree.python(path).tree
        except Unreadable as error:
            hint = f" ({error.hint})" if error.hint else ""
            notes.append(Evidence(f"{error.reason}{hint}", Place(path, error.line)))
        except Outside as error:
            notes.append(Evidence(str(error), Place(path, 1)))
    return tuple(notes)


def _nothing(names: Names, files_containing: Sequence[str]) -> Undecided:
    hidden = unread(names.tree, ["FastAPI"], called=r"\.py$", wide=True)
    if hidden:
        places = tuple(place for item in hidden for place in item.places)
        message = f"no application was found; {hidden[0].message}"
        elsewhere = f"when the application is elsewhere: {_HINT}"
        return Undecided("app-unreadable", message, "; ".join(filter(None, [hidden[0].hint, elsewhere])), places)
    aside = find_candidates(names, [path for path in files_containing if is_test_or_docs(path)])
    if aside:
        places = tuple(candidate.site.place for candidate in aside)
        message = "the only FastAPI objects are in tests, documentation or examples"
        folders = sorted({project_below(names.tree, candidate.site.path) for candidate in aside} - {""})
        if folders:
            message = f"{message}; of these, projects of their own: {', '.join(folders)}"
        return Undecided("app-aside", message, " or ".join([*_into(folders), _HINT]), places)
    return Undecided("no-app", "no FastAPI application was found", f"laterctl -C DIR COMMAND, or {_HINT}")


def _below(folders: Sequence[str], candidates: Sequence[Candidate]) -> Undecided:
    places = tuple(candidate.site.place for candidate in candidates)
    what = "the application belongs to a project" if len(folders) == 1 else "the applications belong to projects"
    return Undecided("project-below", f"{what} further down: {', '.join(folders)}", " or ".join(_into(folders)), places)


def _into(folders: Sequence[str]) -> list[str]:
    return [f"laterctl -C {folder} COMMAND" for folder in folders]


def _rank(names: Names, candidate: Candidate, served: Sequence[Served], run: Mapping[Own, Place]) -> _Ranked:
    """Find what serves a candidate, and so the export that others use.

    What a module gives to a server itself says which export that is, not how strongly it is served: it may be a demo.
    """
    exports = {Own(export.path, export.attr): export for export in candidate.exports}
    hits: list[tuple[Served, Export]] = []
    attrs = {export.attr for export in candidate.exports} | {*_LIKELY, ""}
    for reference in served:
        if reference.attr not in attrs:  # spares parsing every entry point of a plugin
            continue
        for path in _files_meant(names, reference):
            target = _attribute(names, path, reference.attr or "app")
            export = (exports.get(target) or _handed(names, target, exports)) if target is not None else None
            if reference.path and export is None:
                export = next((item for item in candidate.exports if item.path == path), None)
            if export is not None:
                same = export.path == path
                hits.append((reference, export if same else replace(export, path=path, attr=reference.attr or "app")))
    if not hits:
        for target, place in run.items():
            export = exports.get(target) or _handed(names, target, exports)
            if export is not None:
                return _Ranked(candidate, 0, (Evidence("given to a server", place),), export)
        ordered = sorted(candidate.exports, key=lambda export: _export_order(candidate.site, export))
        return _Ranked(candidate, 0, (), ordered[0] if ordered else None)
    hits.sort(key=lambda hit: -hit[0].strength)
    evidence = [Evidence(f"served as {hit.path or f'{hit.module}:{hit.attr}'}", hit.place) for hit, _ in hits[:4]]
    return _Ranked(candidate, hits[0][0].strength, tuple(evidence), hits[0][1])


def _handed(names: Names, target: Own, exports: Mapping[Own, Export]) -> Export | None:
    """Return the export of an object that is bound to a call which is handed an exported one, in whatever module."""
    statement = names.statement(target)
    value = assigned_value(statement) if statement is not None else None
    for node in own_nodes(value) if isinstance(value, ast.Call) else ():
        if not isinstance(node, ast.Name | ast.Attribute):
            continue
        held = names.lookup(node, target.path)
        export = exports.get(held) if isinstance(held, Own) else None
        given = hand_over(names, value, target.path, {dotted_path(node)}) if export is not None else None
        if export is not None and given is not None:
            place = Place(target.path, node.lineno)
            return replace(
                export,
                path=target.path,
                attr=target.name,
                place=place,
                wrapped=given.around or export.wrapped,
                lost=given.lost or export.lost,
            )
    return None


def _handed_to_a_server(names: Names) -> Iterator[tuple[Own, Place]]:
    """Yield what modules give to a server themselves: `uvicorn.run(app)`."""
    for path in names.tree.files_containing(b"run", b"app"):
        if is_test_or_docs(path) or not any(word in (names.tree.read(path) or b"") for word in _SERVER_WORDS):
            continue
        try:
            for spot, call in calls(names.tree.python(path).tree):
                given = call.args[0] if call.args else None
                if (
                    isinstance(given, ast.Name | ast.Attribute)
                    and names.resolve(call.func, path, spot.scope) in SERVERS
                ):
                    target = names.lookup(given, path, spot.scope)
                    if isinstance(target, Own):
                        yield target, Place(path, call.lineno)
        except (Unreadable, Outside):
            continue


def _export_order(site: Construction, export: Export) -> tuple[bool, bool, bool, bool, bool]:
    return bool(export.lost), export.factory, bool(export.wrapped), export.attr not in _LIKELY, export.path != site.path


def _files_meant(names: Names, reference: Served) -> list[str]:
    """Return the files a reference may mean; those below the folder where it stands win over others."""
    meant = [path for path in names.files_ending(reference.ending) if not is_test_or_docs(path)]
    folder = reference.place.path.rpartition("/")[0]
    near = [path for path in meant if folder and path.startswith(f"{folder}/")]
    return near or meant


def _attribute(names: Names, path: str, attr: str) -> Own | None:
    try:
        found = names.lookup(ast.parse(attr, mode="eval").body, path)
    except (Unreadable, Outside, SyntaxError):
        return None
    return found if isinstance(found, Own) else None


def _asked(
    names: Names, asked: str, ranked: Sequence[_Ranked], apps: Sequence[App], notes: tuple[Evidence, ...]
) -> Apps:
    """Take the application the user names by `module:attr`, by `module`, or by its file."""
    module, _, attr = asked.partition(":")
    attr = attr.removesuffix("()")
    fits: list[App] = []
    for item, app in zip(ranked, apps, strict=True):
        exports = [export for export in item.candidate.exports if attr in {"", export.attr}]
        exports = [export for export in exports if module in _module_spellings(names, export.path)]
        if exports:
            export = min(exports, key=lambda export: _export_order(item.candidate.site, export))
            fits.append(describe(names, item.candidate, export, item.evidence))
        else:
            here = module in _module_spellings(names, app.path) and attr in {"", app.name}
            if here or asked in {app.reference, app.reference.partition(":")[0]}:
                fits.append(app)
    named = [app for app in fits if app.name == attr]
    if len(fits) > len(named) == 1 and len({app.reference for app in fits}) == 1:
        fits = named  # one function makes several: it is the local name that tells them apart
    if len(fits) == 1:
        rest = (app for app in apps if app.place != fits[0].place)
        return Apps((fits[0], *rest), fits[0], (), notes)
    if fits:
        return Apps(tuple(apps), None, (_several(f"{asked} may mean any of", fits),), notes)
    if not apps and notes:
        return Apps((), None, (_nothing(names, []),), notes)
    shown = ", ".join(app.shown for app in apps) or "none"
    places = tuple(app.place for app in apps)
    missing = Undecided("app-not-found", f"no application {asked}; found: {shown}", _HINT, places)
    return Apps(tuple(apps), None, (missing,), notes)


def _module_spellings(names: Names, path: str) -> set[str]:
    return {names.module_name(path), path.removesuffix(".py").replace("/", "."), path}


def _chosen(names: Names, ranked: Sequence[_Ranked], apps: Sequence[App]) -> App | Undecided:
    """Choose the application that is served; between several that mount each other in one file, ask.

    One that is made where it is mounted, so that nothing else can mean it, is none of them.
    """
    pairs = list(zip(ranked, apps, strict=True))
    pairs = [(item, app) for item, app in pairs if app.name or app.mounted is None] or pairs
    ranked, apps = [item for item, _ in pairs], [app for _, app in pairs]
    top = max((item.level for item in ranked if not item.candidate.superseded), default=0)
    mounted = {entry.target for app in apps for entry in app.mounts}
    best = [app for item, app in zip(ranked, apps, strict=True) if item.level == top and not item.candidate.superseded]
    outer = [app for app in best if not mounted & _spellings(app)] or best
    together = [app for app in apps if app.path == outer[0].path]
    if _mount_each_other(together):
        return _several("several applications in one file, one mounted on the other:", together)
    if len(outer) == 1:
        return outer[0]
    if top == 0:
        for path in _CLI_DEFAULT:
            likely = [app for app in outer if app.path == path]
            if len(likely) == 1:
                why = Evidence("what `fastapi run` serves by default", likely[0].place)
                return replace(likely[0], evidence=(*likely[0].evidence, why))
            if likely:
                break
    folders = sorted({folder for app in outer for folder, _ in manifests_above(names.tree, app.path)})
    return _several("several applications:", outer, folders)


def _several(message: str, apps: Sequence[App], folders: Sequence[str] = ()) -> Undecided:
    counted = Counter(app.shown for app in apps)
    shown = ", ".join(app.shown if counted[app.shown] == 1 else f"{app.module}:{app.name}" for app in apps)
    hint = " or ".join([*_into(folders), _HINT])
    return Undecided("several-apps", f"{message} {shown}", hint, tuple(app.place for app in apps))


def _spellings(app: App) -> set[str]:
    return {f"{app.module}.{app.name}", app.reference.replace(":", ".")}


def _mount_each_other(apps: Sequence[App]) -> bool:
    names = {spelling for app in apps for spelling in _spellings(app)}
    places = {app.mounted for app in apps}
    return any(entry.target in names or entry.place in places for app in apps for entry in app.mounts)
