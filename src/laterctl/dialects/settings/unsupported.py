"""Ways of reading settings that are not extended: other libraries, and loaders of the project's own."""

from __future__ import annotations

import ast
from typing import ClassVar

from laterctl.dialects.settings.base import FROM_OS, Settings, imported
from laterctl.project.facts import App, Evidence
from laterctl.project.names import Names, dotted_path
from laterctl.project.places import Place, is_test_or_docs
from laterctl.project.source import Unreadable
from laterctl.project.statements import bound_targets, expressions, nodes, spots
from laterctl.project.tree import Outside

_READERS = {  # other ways to read settings, that this tool does not extend
    "decouple": "python-decouple",
    "environs": "environs",
    "traitlets.config": "traitlets",
    "omegaconf": "OmegaConf",
    "hydra": "Hydra",
    "everett": "everett",
    "confuse": "confuse",
}

_LOADERS = frozenset(
    {"yaml.safe_load", "yaml.load", "json.load", "json.loads", "tomllib.load", "toml.load", "configparser.ConfigParser"}
)
_WORDS = ("config", "settings")


class Unsupported(Settings, frozen=True, kw_only=True):
    """Settings that are not extended, for a `reason`: what features need is read from the process's variables."""

    kind: str = "other"
    title: ClassVar[str] = "that are not extended"


def as_unsupported(settings: Settings, reason: str) -> Unsupported:
    """Return the facts about settings as those of settings that are not extended."""
    facts = {name: getattr(settings, name) for name in settings.__struct_fields__}
    return Unsupported(**facts | {"kind": Unsupported().kind, "reason": reason, "environment": FROM_OS, "dotenv": ""})


def find(names: Names, app: App | None) -> Unsupported | None:
    """Describe a way of reading settings that this tool does not extend; plain `os.environ` is none."""
    for package, title in _READERS.items():
        for path in names.tree.files_containing(package.partition(".")[0].encode()):
            if is_test_or_docs(path):
                continue
            line = _import_line(names, path, package)
            if line:
                return _unsupported(names, Place(path, line), f"settings are read with {title}")
    if app is None:
        return None
    for path in dict.fromkeys([app.path, *(own.path for own in imported(names, app.path))]):
        stem = path.rpartition("/")[2].removesuffix(".py")
        if line := _loader_line(names, path, any(word in stem for word in _WORDS)):
            return _unsupported(names, Place(path, line), "settings are read by a loader of the project's own")
    return None


def _import_line(names: Names, path: str, package: str) -> int:
    try:
        tree = names.tree.python(path).tree
    except (Unreadable, Outside):
        return 0
    for node in nodes(tree):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and not node.level and node.module:
            modules = [node.module]
        if any(module == package or module.startswith(f"{package}.") for module in modules):
            return node.lineno if isinstance(node, ast.stmt) else 0
    return 0


def _loader_line(names: Names, path: str, any_call: bool) -> int:
    """Return the line where a file is loaded into something called like settings, or anywhere when `any_call`."""
    try:
        every = list(spots(names.tree.python(path).tree))
    except (Unreadable, Outside):
        return 0
    for spot in every:
        targets = [dotted_path(target).lower() for target in bound_targets(spot.node)]
        if any("log" in target for target in targets):  # the configuration of logging is something else
            continue
        if not any_call and (spot.scope or not any(word in target for target in targets for word in _WORDS)):
            continue
        for node in expressions(spot.node):
            if isinstance(node, ast.Call) and names.resolve(node.func, path) in _LOADERS:
                return node.lineno
    return 0


def _unsupported(names: Names, place: Place, reason: str) -> Unsupported:
    return Unsupported(
        path=place.path,
        module=names.module_name(place.path),
        place=place,
        reason=reason,
        evidence=(Evidence(reason, place),),
    )
