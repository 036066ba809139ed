"""What was detected in a project, for people: each part with what speaks for it, and the keys that change it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from laterctl.project.application.served import find_served
from laterctl.project.configuration import KEYS, PYPROJECT, configured, key_line
from laterctl.project.discover import Project
from laterctl.project.facts import Evidence, Lifespan
from laterctl.project.layout_evidence import layout_evidence
from laterctl.project.places import Place
from laterctl.project.workers import several_workers
from laterctl.proof.dynamic import interpreter

NOTHING = "none"


class Reason(Struct, frozen=True):
    """A line about a part, and where it stands, when it stands somewhere."""

    what: str
    place: Place | None = None


class Choice(Struct, frozen=True):
    """A key of the configuration: how it may be written, or how it is and where."""

    key: str
    text: str
    place: Place | None = None


class Part(Struct, frozen=True):
    """A part of the portrait: what it is, what was found, why, and what changes that."""

    title: str
    found: str
    reasons: tuple[Reason, ...] = ()
    choices: tuple[Choice, ...] = ()


def portrait(project: Project) -> Iterator[Part]:
    """Yield what was found in a project, part by part; the middleware is drawn elsewhere."""
    parts = list(_parts(project))
    yield from parts
    told = "\n".join(part.found for part in parts)
    for item in project.undecided:
        if item.message not in told:
            reasons = [Reason("seen here", place) for place in item.places]
            yield Part("Undecided", item.message, (*reasons, Reason(f"then: {item.hint}")))


def _parts(project: Project) -> Iterator[Part]:
    yield _application(project)
    yield _settings(project)
    yield _environment(project)
    yield _container(project)
    yield _lifespan(project)
    yield _database(project)
    yield _manifest(project)
    yield _manager(project)
    if project.app is not None:
        yield _layout(project)
        yield _deployment(project)
    yield Part("Runs", _runs(project), (), _choices(project, "prove", "doctor.skip"))
    if project.notes:
        yield Part("Passed over", f"{len(project.notes)} files", _evidence(project.notes))


def _application(project: Project) -> Part:
    app = project.app
    choices = _choices(project, "app")
    others = [Reason(f"there is {other.shown}", other.place) for other in project.apps if other != app]
    if app is None:
        return Part("Application", _missing(project, "app"), (*others,), choices)
    made = f", made by {app.scope}()" if app.scope else ""
    reasons = [*_evidence(app.evidence), *others]
    reasons += [Reason(f"it is not edited: {app.reason}")] if app.reason else []
    return Part("Application", f"{app.shown}{made}", tuple(reasons), choices)


def _settings(project: Project) -> Part:
    found = project.settings
    choices = _choices(project, "settings")
    if found is None:
        return Part("Settings", _missing(project, "settings"), (), choices)
    reasons = [*_evidence(found.evidence)]
    reasons += [Reason(f"variables of the environment begin with {found.prefix}")] if found.prefix else []
    reasons += [Reason(f"{path} is read for {what}") for path, what in _files(found.dotenv, found.secrets)]
    reasons += [Reason(f"they are not extended: {found.reason}")] if found.reason else []
    return Part(
        "Settings", f"{found.title}: {found.access.text}" if found.access.text else found.title, (*reasons,), choices
    )


def _files(dotenv: str, secrets: str) -> Iterator[tuple[str, str]]:
    if dotenv:
        yield dotenv, "variables"
    if secrets:
        yield secrets, "secrets"


def _environment(project: Project) -> Part:
    python = interpreter(project)
    if isinstance(python, Path):
        shown = os.path.relpath(python, project.root) if python.is_relative_to(project.root) else str(python)
    reasons = [] if isinstance(python, Path) else [Reason(python)]
    if project.settings is not None:
        reasons.append(Reason(f"whether this is production is read from {project.settings.environment.text}"))
    return Part("Environment", shown if isinstance(python, Path) else NOTHING, (*reasons,), _choices(project, "python"))


def _container(project: Project) -> Part:
    found = project.container
    choices = _choices(project, "container")
    if found is None:
        return Part("Container", _missing(project, "container"), (), choices)
    reasons = [*_evidence(found.evidence)]
    reasons += [Reason(f"it is not extended: {found.reason}")] if found.reason else []
    return Part("Container", f"{found.title}: {found.module}:{found.class_name}", (*reasons,), choices)


_LIFESPANS = {
    "none": NOTHING,
    "function": "a function of yours",
    "on_event": "on_event handlers",
    "assigned": "assigned to the router",
    "foreign": "one that is not edited",
    "handed": "left to a function that is handed the application",
}


def _lifespan(project: Project) -> Part:
    found = project.app.lifespan if project.app is not None else Lifespan()
    name = f": {found.name}" if found.name else ""
    reasons = (Reason(found.reason or "it stands here", found.place),) if found.place or found.reason else ()
    return Part("Lifespan", f"{_LIFESPANS[found.kind]}{name}", reasons)


def _database(project: Project) -> Part:
    found = project.database
    choices = _choices(project, "database")
    if found is None:
        return Part("Database", _missing(project, "database"), (), choices)
    how = "" if "synchronous" in found.title else ", asynchronous" if found.asynchronous else ", synchronous"
    return Part("Database", f"{found.title}{how}", _evidence(found.evidence), choices)


def _manifest(project: Project) -> Part:
    found = project.manifest
    if found is None:
        return Part("Manifest", _missing(project, "manifest"))
    homes = [(found.runtime, "dependencies"), (found.dev, "those for development")]
    into = [Reason(f"{what} go to {'.'.join(home.table) or home.path}") for home, what in homes]
    python = [Reason(f"Python {found.requires_python}", found.python_place)] if found.requires_python else []
    return Part("Manifest", found.path, (*_evidence(found.evidence[:1]), *into, *python))


def _manager(project: Project) -> Part:
    found = project.manifest
    if found is None:
        return Part("Manager", NOTHING)
    if found.lock:
        return Part("Manager", found.manager, _evidence(found.evidence[1:]))
    text = (project.tree.read(found.path) or b"").decode("utf-8", "replace")
    lines = (number for number, line in enumerate(text.splitlines(), 1) if f"tool.{found.manager}" in line)
    stated = next(lines, None)
    if stated is not None:
        return Part("Manager", found.manager, (Reason("its table", Place(found.path, stated)),))
    return Part("Manager", found.manager, (Reason("there is no lock file; --install MANAGER takes another"),))


def _layout(project: Project) -> Part:
    layout = project.layout
    tests = "are left out" if project.config.get("tests") is False else f"go to {layout.tests}/"
    into = [
        Reason(f"modules without routes go to {project.folder_of('core')}/"),
        Reason(f"modules with routes go to {project.folder_of('api')}/"),
        Reason(f"tests {tests}"),
    ]
    where = f"package {layout.package} in {layout.folder}/" if layout.package else "modules in the project's folder"
    return Part(
        "Layout", where, (*into, *_evidence(layout_evidence(project))), _choices(project, "core", "api", "tests")
    )


def _deployment(project: Project) -> Part:
    app = project.app
    assert app is not None
    ours = {item.place for item in app.evidence}  # a manifest names much that is something else
    started = [item for item in find_served(project.tree) if item.strength > 1 and item.place in ours]
    starts = [Reason(f"{item.path or f'{item.module}:{item.attr}'} is started", item.place) for item in started]
    several = [
        Reason(f"several processes: {item.what}", item.place) for item in several_workers(project.tree, app.path)
    ]
    found = "several processes" if several else "one process, as far as is written down" if starts else NOTHING
    return Part("Deployment", found, (*starts, *several))


def _runs(project: Project) -> str:
    prove = configured(project.config, "prove")
    proof = "also run the tests" if prove == "tests" else "start the application" if prove else "only check"
    skip = configured(project.config, "doctor.skip")
    left = skip if isinstance(skip, str) else ", ".join(skip or ())
    return f"with --yes they {proof}; doctor leaves out {left or 'no rule'}"


def _missing(project: Project, fact: str) -> str:
    reason = project.why_not(fact)
    return f"not known: {reason.message} ({reason.hint})" if reason else NOTHING


def _evidence(found: tuple[Evidence, ...]) -> tuple[Reason, ...]:
    return tuple(Reason(item.what, item.place) for item in found)


def _choices(project: Project, *names: str) -> tuple[Choice, ...]:
    found = []
    for key in KEYS:
        if key.name in names:
            value = configured(project.config, key.name)
            place = Place(PYPROJECT, key_line(project.tree, key.name)) if value is not None else None
            found.append(Choice(key.name, key.kind if value is None else _toml(value), place))
    return tuple(found)


def _toml(value: object) -> str:
    import json

    return json.dumps(value, ensure_ascii=False)
