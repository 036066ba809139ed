"""Whether a feature fits a project: floors, conflicts, and the same job done by hand."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from laterctl.dialects.manifest import declared_range
from laterctl.dialects.manifest.base import Manifest
from laterctl.edits import file as owned_file
from laterctl.edits.provider import Provider
from laterctl.edits.setting import Setting
from laterctl.engine.ledger import Entry
from laterctl.feature import ExistingSigns
from laterctl.features import catalogue
from laterctl.project.origin import ORIGIN, ORIGIN_COMMENT
from laterctl.project.places import Place
from laterctl.project.statements import nodes
from laterctl.refusal import Note, Refusal

if TYPE_CHECKING:
    from laterctl.edits.context import Edit, FeatureContext
    from laterctl.feature import Feature, Option, Value
    from laterctl.project.discover import Project


def blockers(
    feature: Feature,
    edits: Sequence[Edit],
    context: FeatureContext,
    installed: Mapping[str, Entry],
    *,
    renders: bool = True,
) -> list[Refusal]:
    """Return the reasons why a feature with these edits cannot go into a project; an empty list when it can.

    Without `renders` a file that stands where one of the feature's would is not compared with it, and taken for it.
    """
    found = [*_open(edits, context), *_floors(feature, context), *_conflicts(feature, installed)]
    if "fastapi" in feature.floors:
        found += _from_above(context)
    if feature.check is not None and (reason := feature.check(context)):
        found.append(replace(reason, feature=feature.name))
    return found or list(_by_hand(feature, edits, context, installed, renders=renders))


def _open(edits: Sequence[Edit], context: FeatureContext) -> Iterator[Refusal]:
    """What the feature builds on and discovery could not decide: nothing is put beside what may be there."""
    kinds: dict[type, str] = {Setting: "settings", Provider: "container"}
    for fact in sorted({kinds[type(edit)] for edit in edits if type(edit) in kinds}):
        if context.project.why_not(fact) is not None:
            yield context.undecided(fact)


def _conflicts(feature: Feature, installed: Mapping[str, Entry]) -> Iterator[Refusal]:
    """Whichever of the two declares it: the order in which they come in is nobody's business."""
    for name in installed:
        theirs = catalogue.feature(name).conflicts if name in catalogue.module_names() else ()
        if name in feature.conflicts or feature.name in theirs:
            yield Refusal(
                "conflict",
                f"{feature.name} and {name} exclude each other",
                feature=feature.name,
                remedy=f"have one of them; `laterctl remove {name}` takes out the other",
            )


def _from_above(context: FeatureContext) -> Iterator[Refusal]:
    """Refuse a project whose folder is itself a package: its modules, and ours, have names that begin outside of it."""
    app, tree, names = context.project.app, context.project.tree, context.project.names
    name = tree.root.name

    def is_here(top: str) -> bool:
        return tree.is_dir(top) or names.module_file_at_root(top) is not None

    if app is None or is_here(name):
        return
    for node in nodes(tree.python(app.path).tree):
        if not isinstance(node, ast.ImportFrom):
            continue
        top, _, rest = (node.module or "").partition(".")
        inner = rest.partition(".")[0] if top == name and not node.level else ""
        if node.level > app.path.count("/") or (inner and is_here(inner)):
            yield Refusal(
                "imported-from-above",
                f"the folder {name} is a package: what is in it is imported from the folder above",
                Place(app.path, node.lineno),
                seen=ast.unparse(node),
                expected="modules that are imported from the project's folder",
                remedy=f"keep the file that declares the dependencies beside {name}, and run laterctl there",
                feature=context.feature,
            )
            return


def _floors(feature: Feature, context: FeatureContext) -> Iterator[Refusal]:
    manifest = context.project.manifest
    if manifest is None:
        return
    elsewhere = context.project.why_not("app")
    if "fastapi" in feature.floors and elsewhere is not None and elsewhere.code == "project-below":
        yield context.undecided("app")
    elif "fastapi" in feature.floors and not _declares_fastapi(manifest):
        yield Refusal(
            "fastapi-undeclared",
            f"{manifest.path} does not declare fastapi, so it may not be the file that installs this app",
            Place(manifest.path, 1),
            expected=f"fastapi>={feature.floors['fastapi']}",
            remedy="declare fastapi there, or run it with -C in the folder whose manifest does",
            feature=feature.name,
        )
    for name, floor in feature.floors.items():
        if name == "python":
            yield from _python_floor(feature, context, manifest, floor)
            continue
        from laterctl.codemods import requirements

        for item in (*manifest.requirements, *manifest.brought, *manifest.constraints, *manifest.pinned):
            declared = declared_range(item)
            if item.name == name and not item.group and not requirements.satisfiable(declared, f"{name}>={floor}"):
                yield _below(feature, f"{item.text} excludes {name} {floor} and newer", item.place, f"{name}>={floor}")
        locked = manifest.locked.get(name)
        if locked and not requirements.satisfiable(f"{name}=={locked}", f"{name}>={floor}"):
            yield _below(
                feature,
                f"{manifest.lock} locks {name} {locked}, which is too old",
                _mention(context, manifest.lock, name),
                f"{name}>={floor}",
            )


def _declares_fastapi(manifest: Manifest) -> bool:
    declared = {item.name for item in (*manifest.requirements, *manifest.brought)}
    declared |= {"fastapi"} & manifest.locked.keys()
    return any(name.startswith("fastapi") for name in declared)


def _mention(context: FeatureContext, path: str, name: str) -> Place:
    """Return the first line of a manifest or a lock that is about `name`."""
    text = (context.project.tree.read(path) or b"").decode("utf-8", "replace")
    about = re.compile(rf"""^\s*(?:name = "{name}"|(?:requires-)?{name}(?:_requires)?\s*=)""")
    return Place(path, next((number for number, line in enumerate(text.splitlines(), 1) if about.match(line)), 1))


def _python_floor(feature: Feature, context: FeatureContext, manifest: Manifest, floor: str) -> Iterator[Refusal]:
    from laterctl.codemods.requirements import oldest_python

    oldest = oldest_python(manifest.requires_python) if manifest.requires_python else None
    if oldest is not None and oldest < tuple(map(int, floor.split("."))):
        yield _below(
            feature,
            f"the project supports Python 3.{oldest[1]}, which is too old",
            manifest.python_place or Place(manifest.path, 1),
            f"requires-python >= {floor}",
        )


def _below(feature: Feature, message: str, place: Place, expected: str) -> Refusal:
    return Refusal(
        "below-floor",
        message,
        place,
        expected=expected,
        feature=feature.name,
        remedy="raise it yourself, if the project can take it: your own limits are never changed",
    )


def chosen_by_project(
    feature: Feature, project: Project, given: Mapping[str, Value], installed: Mapping[str, Entry]
) -> Iterator[tuple[str, Value, Note]]:
    """Yield the options for which a project has a better value than the default: name, that value, what to say.

    `given` are the values that somebody chose.
    """
    from laterctl.project.signs import shared_prefix

    for option in feature.options:
        if option.name in given or (option.instead is None and not option.below_routers):
            continue
        own = _files_of(installed).union(project.tree.files_containing(ORIGIN_COMMENT))  # the ledger may be lost
        if option.below_routers and (shared := shared_prefix(project, own)):
            value, why = f"{shared[0]}{option.default}", f"your routers are below {shared[0]}"
            yield option.name, value, _chosen(feature, option, value, why, shared[1])
        if option.instead is None:
            continue
        jobs = [(option.by_hand, feature.values(given))]
        if option.by_hand == ExistingSigns() and option.default is not None:
            brought = map(catalogue.feature, option.requires.get(option.default, ()))
            jobs = [(item.by_hand, item.values({})) for item in brought]
        if found := [sighting for signs, values in jobs for sighting in _sightings(signs, project, values, own)]:
            what, place = found[0]
            why = f"{option.name} is done in your code already ({what})"
            yield option.name, option.instead, _chosen(feature, option, option.instead, why, place)


def _chosen(feature: Feature, option: Option, value: Value, why: str, place: Place) -> Note:
    spelled = f"{feature.name}.{option.name}={str(value).lower()}"
    return Note("choice", f"{why}, so {spelled}; --set chooses otherwise", place, feature.name)


def by_hand(feature: Feature, project: Project, installed: Mapping[str, Entry]) -> list[tuple[str, Place]]:
    """Return what shows that a project does a feature's job already, and where; ours is none of it."""
    options = {option: value for option, value, _ in chosen_by_project(feature, project, {}, installed)}
    return _sightings(feature.by_hand, project, feature.values(options), _files_of(installed))


def _files_of(installed: Mapping[str, Entry]) -> set[str]:
    return {record.target.path for entry in installed.values() for record in entry.records if record.target.whole_file}


def _sightings(
    signs: ExistingSigns, project: Project, options: Mapping[str, Value], own: Collection[str]
) -> list[tuple[str, Place]]:
    """Return what shows that a project does a job already, outside of the files `own`, and where."""
    from laterctl.project import signs as sightings
    from laterctl.project.imported import imported

    found: list[tuple[str, Place]] = []
    if signs.imports:
        found += [("import", place) for place in sightings.imports(project, signs.imports)]
    if signs.middleware:
        found += [("middleware", place) for place in sightings.middleware(project, signs.middleware)]
    if signs.routes:
        paths = [route.format_map(options) for route in signs.routes]
        found += [("route", place) for place in sightings.routes(project, paths)]
    if signs.names:
        found += [("name", place) for place in sightings.definitions(project, signs.names)]
    if signs.calls and (places := sightings.calls(project, signs.calls)):
        running = imported(project)
        found += [("call", place) for place in places if running is None or place.path in running]
    if signs.headers:
        found += [("headers", place) for place in sightings.headers(project, signs.headers)]
    if project.manifest is not None:
        found += [
            ("dependency", item.place)
            for item in project.manifest.requirements
            if item.name in signs.dependencies and not item.group
        ]
    return [(what, place) for what, place in found if place.path not in own]


def signed_by(project: Project, feature: str) -> list[str]:
    """Return the Python files that say that they came from a feature, whatever the ledger knows."""
    return project.tree.files_containing(ORIGIN_COMMENT, f"# {ORIGIN}{feature}.".encode())


def _by_hand(
    feature: Feature, edits: Sequence[Edit], context: FeatureContext, installed: Mapping[str, Entry], *, renders: bool
) -> Iterator[Refusal]:
    if signed_by(context.project, feature.name):
        return  # its own code, of which the ledger was lost
    own = _files_of(installed)
    files = owned_file.files(edits)
    own |= {context.path(file.path) for file in files if not (renders and file.is_blocked(context))}
    outside = _sightings(feature.by_hand, context.project, context.options, own)
    if outside:
        what, place = outside[0]
        elsewhere = _elsewhere(feature, context) if all(what == "route" for what, _ in outside) else ""
        others = ", ".join(str(other) for _, other in outside[1:4])
        yield Refusal(
            "already-by-hand",
            f"the project does the job of {feature.name} already ({what})",
            place,
            seen=f"also at {others}" if others else "",
            expected="no second one: it is never doubled",
            remedy=f"keep yours, or take it out and run `laterctl add {feature.name}` again{elsewhere}",
            feature=feature.name,
        )


def _elsewhere(feature: Feature, context: FeatureContext) -> str:
    """Return the option that moves a feature's routes out of the way of those that are there, with what to say of it."""
    from laterctl.project import signs as sightings

    routes = feature.by_hand.routes
    moved = [item.name for item in feature.options if any(f"{{{item.name}}}" in route for route in routes)]
    fixed = [route for route in routes if "{" not in route]
    if not moved or sightings.routes(context.project, fixed):
        return ""
    return f", or have ours elsewhere: --set {feature.name}.{moved[0]}=/OTHER"
