"""Commands that only look: list, info, secret, explain."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from laterctl.engine import ledger
from laterctl.feature import Group
from laterctl.features import catalogue
from laterctl.patterns import pattern

if TYPE_CHECKING:
    import re

    from laterctl.dialects.settings import SettingLine
    from laterctl.engine.ledger import Entry
    from laterctl.feature import Feature
    from laterctl.project.discover import Project
    from laterctl.refusal import Refusal


class Listed(Struct, frozen=True):
    """A line of `list`: a feature and whether it is installed (`requested`, `automatic`, or `""`).

    `refused` says why it does not fit the project, `""` when nothing is known that speaks against it.
    """

    name: str
    group: str
    summary: str
    aliases: tuple[str, ...]
    installed: str = ""
    refused: str = ""


class Listing(Struct, frozen=True):
    """All listed features, and why it is not known which of them are installed, when it is not.

    `left` are the files in which something of a removed feature is the user's now, by its name.
    """

    features: tuple[Listed, ...]
    left: Mapping[str, tuple[str, ...]]
    unread: tuple[Refusal, ...] = ()


def listing(start: Path) -> Listing:
    """Return all listed features in the order of their groups, with what is installed around `start`."""
    installed, left, unread = _installed(start)
    features = (
        Listed(item.name, item.group, item.summary, item.aliases, _status(installed.get(item.name)))
        for item in sorted(catalogue.every(), key=lambda item: ([*Group].index(item.group), item.name))
        if not item.hidden
    )
    return Listing(tuple(features), left, unread)


def with_reasons(found: Listing, start: Path, app: str | None = None) -> Listing:
    """Return a listing that says why features do not fit the project, those that do not.

    It says nothing where no project can be made out.
    """
    from laterctl.commands.change import load_project
    from laterctl.commands.readable import readable
    from laterctl.engine.plan import unfit
    from laterctl.project.configuration import Misconfigured
    from laterctl.refusal import Refused

    if found.unread:
        return found
    try:
        with readable():
            project, installed = load_project(start, app)
            if project.app is None:
                return found
            reasons = {item: unfit(project, installed, item.name) for item in found.features if not item.installed}
    except (Refused, Misconfigured):
        return found
    told = {
        item: f"{reason.place}: {reason.message}" if reason.place else reason.message
        for item, reason in reasons.items()
        if reason
    }
    return replace(found, features=tuple(replace(item, refused=told.get(item, "")) for item in found.features))


def _status(entry: Entry | None) -> str:
    return "" if entry is None or entry.left else "requested" if entry.requested else "automatic"


def _installed(start: Path) -> tuple[Mapping[str, Entry], Mapping[str, tuple[str, ...]], tuple[Refusal, ...]]:
    from laterctl.commands.readable import readable
    from laterctl.engine import removal
    from laterctl.project.roots import find_root
    from laterctl.project.tree import Tree
    from laterctl.refusal import Refused

    try:
        with readable():
            tree = Tree(find_root(start))
            entries = ledger.load(tree)
            return entries, removal.yours(tree, entries), ()
    except Refused as refused:
        return {}, {}, tuple(refused.refusals)


def about(name: str) -> Feature:
    """Return a feature by name or alias. Raises `laterctl.features.catalogue.UnknownFeature`."""
    return catalogue.find(name) if name not in catalogue.module_names() else catalogue.feature(name)


def by_hand(entry: Entry) -> list[str]:
    """Return what an installed feature has in the project, or a removed one left there, in words."""
    left = " (left over)" if entry.left else ""
    return [
        f"{target.path}: {'the whole file' if target.whole_file else target.describe()}"
        f"{left if record.ours else ' (yours, adopted)'}"
        for record in entry.records
        for target in (record.target,)
    ]


def facts(project: Project) -> dict[str, Any]:
    """Return what discovery found out, as plain JSON values, each with its evidence."""
    from laterctl.project.configuration import KEYS, configured
    from laterctl.project.layout_evidence import layout_evidence
    from laterctl.project.places import Place

    def plain(value: Any) -> Any:
        if isinstance(value, Struct):
            title = {"title": value.title} if hasattr(value, "title") else {}
            return title | {name: plain(getattr(value, name)) for name in value.__struct_fields__}
        if isinstance(value, Place):
            return {"path": value.path, "line": value.line}
        if isinstance(value, Mapping):
            return {str(key): plain(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [plain(item) for item in value]
        if isinstance(value, set | frozenset):
            return sorted(plain(item) for item in value)
        return value

    missing = project.why_not("database")
    return {
        "root": project.root.name,
        "apps": plain(project.apps),
        "app": plain(project.app),
        "settings": plain(project.settings),
        "container": plain(project.container),
        "database": plain(project.database),
        "manifest": plain(project.manifest),
        # It is seen from the application.
        "layout": {**plain(project.layout), "evidence": plain(layout_evidence(project))} if project.app else None,
        "keys": [
            {"key": key.name, "fact": key.fact, "decides": key.decides, "value": configured(project.config, key.name)}
            for key in KEYS
        ],
        "undecided": plain((*project.undecided, *([missing] if missing else []))),
    }


class Secret(Struct, frozen=True):
    """Fresh key material: values by the environment variables that take them, and the lines to choose from.

    Each item of `lines` gives the value of one setting, in each way that the project reads it. `unknown` says why it
    is not known how the project reads its settings, when it is not.
    """

    values: Mapping[str, str]
    lines: tuple[tuple[SettingLine, ...], ...]
    unknown: str = ""


_PLACEHOLDER = pattern(r"\{(\w+)(?:\.(\w+))?\}")
_OFFER = pattern(r"laterctl add \S+ --set [\w-]+\.(\w+)=([^\s:]+)")


def notes(declared: Feature, project: Project, entry: Entry | None = None) -> list[str]:
    """Return what to do with a feature, in the names of a project, but for the options that have such a value already.

    `{setting_name}` is the variable that sets it there, and `{core.module}` the dotted path of a module of ours.
    """
    from laterctl.dialects.settings import settings_of
    from laterctl.targets.owned_file import alternative

    settings, values = settings_of(project), declared.values(entry.options if entry else {})
    moved = {record.target.default_place for record in entry.records} if entry else set()

    def spelled(match: re.Match[str]) -> str:
        name, module = match.groups()
        if not module:
            return settings.environment_variable(name)
        own = alternative(module) if f"{name}/{module}.py" in moved else module
        return f"{project.package_of(name)}.{own}"

    offers = ((note, _OFFER.search(note)) for note in declared.notes)
    open_ones = (note for note, offer in offers if not (offer and str(values.get(offer[1])) == offer[2]))
    return [_PLACEHOLDER.sub(spelled, note) for note in open_ones]


def secret(name: str, start: Path, app: str | None = None) -> Secret:
    """Return fresh key material for a feature, as the project around `start` reads it; nothing is written.

    Raises:
        laterctl.features.catalogue.UnknownFeature: there is no such feature.
        ValueError: the feature has no secret that can be made.
        laterctl.refusal.Refused: the project cannot be read.
    """
    from laterctl.commands.change import load_project
    from laterctl.commands.readable import readable
    from laterctl.dialects.settings import setting_lines, settings_of

    feature = catalogue.find(name)
    if feature.secret is None:
        raise ValueError(f"{feature.name} has no secret that can be made")
    made = feature.secret()
    with readable():
        project, _ = load_project(start, app)
        settings = settings_of(project)
        reason = project.why_not("settings")
        return Secret(
            {settings.environment_variable(setting): value for setting, value in made.items()},
            tuple(setting_lines(project, setting, value) for setting, value in made.items()),
            f"{reason.message} ({reason.hint})" if reason else "",
        )
