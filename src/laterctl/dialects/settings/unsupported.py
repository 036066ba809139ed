"""Ways of reading settings that are not extended: other libraries, and loaders of the project's own."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import ClassVar

from laterctl.dialects.settings.base import FROM_OS, IN_PROCESS, Settings, SettingSpec, imported
from laterctl.project.facts import App, Evidence
from laterctl.project.names import Names, dotted_path
from laterctl.project.places import Place, is_test_or_docs
from laterctl.project.source import Unreadable
from laterctl.project.statements import bound_targets, expressions, nodes, spots
from laterctl.project.tree import Outside
from laterctl.targets.resolved import Resolved

_READERS = {  # other ways to read settings, that this tool does not extend
    "decouple": "python-decouple",
    "environs": "environs",
    "starlette.config": "starlette.config.Config",
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

    def instead(self) -> str:
        """Return the reason."""
        return f"{self.reason}: {IN_PROCESS}"

    def example(self, spec: SettingSpec, declared: Sequence[Resolved]) -> str:
        """Return the line commented out: what the project itself makes of a name that it does not know is not known."""
        return f"# {super().example(spec, declared)}"


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
        if line := _loader_line(names, path, _is_called_so(path)):
            return _unsupported(names, Place(path, line), "settings are read by a loader of the project's own")
    for path in filter(_is_called_so, _reached(names, app.path)):
        if line := _environ_line(names, path):
            return _unsupported(names, Place(path, line), "settings are read by a module of the project's own")
    return None


def _is_called_so(path: str) -> bool:
    """Whether a module or its package is called like settings; the configuration of logging is something else."""
    parts = path.removesuffix(".py").removesuffix("/__init__").rsplit("/", 2)[-2:]
    return any(word in part for word in _WORDS for part in parts) and "log" not in parts[-1]


def _reached(names: Names, path: str) -> list[str]:
    """Return the modules that a file imports, and those that these import."""
    level = found = [path]
    for _ in range(2):
        level = [own.path for each in level for own in imported(names, each) if own.path not in found]
        found = list(dict.fromkeys([*found, *level]))
    return found[1:]


def _environ_line(names: Names, path: str) -> int:
    """Return the line where a module begins to read variables of the process into an object of its own, else 0.

    That is a class, or what a function gives out, or several constants; one alone is no system.
    """
    try:
        every = list(spots(names.tree.python(path).tree))
    except (Unreadable, Outside):
        return 0
    read = [
        (node.lineno, bool(spot.scope))
        for spot in every
        for node in expressions(spot.node)
        if isinstance(node, ast.Name | ast.Attribute) and names.resolve(node, path) in {"os.environ", "os.getenv"}
    ]
    made = any(isinstance(spot.node, ast.ClassDef) for spot in every)
    return read[0][0] if read and (len(read) > 1 or made or any(inside for _, inside in read)) else 0


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
