"""What still needs a target that is about to go: the user's code, or our own code that the user has edited."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from laterctl.engine.ledger import Entry, records_of
from laterctl.project.names import imports_of, resolve
from laterctl.project.places import Place
from laterctl.project.source import Unreadable
from laterctl.project.statements import nodes
from laterctl.project.tree import Outside
from laterctl.refusal import Refusal
from laterctl.targets import document as converge
from laterctl.targets.base import (
    Argument,
    Block,
    Dependency,
    ImportName,
    ListEntry,
    OwnedFile,
    Record,
    State,
    Statement,
    Target,
    TextLine,
    TomlKey,
)
from laterctl.targets.python_text import Text, own_spots

if TYPE_CHECKING:
    from laterctl.edits.context import FeatureContext
    from laterctl.project.discover import Project

IMPORT_NAMES: Mapping[str, tuple[str, ...]] = {
    "pyjwt": ("jwt",),
    "python-multipart": ("python_multipart", "multipart"),
    "opentelemetry-sdk": ("opentelemetry.sdk",),
}
"""Modules of distributions that are not called like them."""


def is_imported(context: FeatureContext, distribution: str) -> bool:
    """Whether the user's own code imports a distribution."""
    own = {
        (item.target.path, item.target.module)
        for item in context.records
        if isinstance(item.target, ImportName) and item.ours
    }
    for module in _import_names(distribution):
        for path in context.project.tree.files_containing(module.rpartition(".")[2].encode()):
            if context.own_file(path):
                continue
            try:
                found = nodes(context.project.tree.python(path).tree)
            except (Unreadable, Outside):
                continue
            for node in found:
                if _imports_package(node, module) and (path, getattr(node, "module", "")) not in own:
                    return True
    return False


def _import_names(distribution: str) -> tuple[str, ...]:
    return IMPORT_NAMES.get(distribution, (distribution.replace("-", "_"),))


def check(
    project: Project, installed: Mapping[str, Entry], removed: Iterable[str], after: Iterable[Record]
) -> tuple[list[Refusal], dict[Target, str]]:
    """Look for what a removal would leave dangling.

    Returns:
        Refusals, one for each reference from the user's own code; and the targets that stay because the user edited
        something that binds to them, with the reason.
    """
    wanted = {record.target.key for record in after if record.ours}
    going = {
        name: [item for item in installed[name].records if item.ours and item.target.key not in wanted]
        for name in removed
    }
    search = UsageSearch(project, records_of(installed.values()), [item for items in going.values() for item in items])
    return search.refusals(), search.kept(going)


class UsageSearch:
    def __init__(self, project: Project, records: list[Record], gone: list[Record]) -> None:
        self.project = project
        self.records = records
        self.gone = gone
        self.owned = {item.target.path for item in records if isinstance(item.target, OwnedFile) and item.ours}
        self.files = {item.target.path: item.target for item in gone if isinstance(item.target, OwnedFile)}
        self.modules = {project.module_of(path): path for path in self.files if path.endswith(".py")}
        self.texts: dict[str, Text] = {}

    def refusals(self) -> list[Refusal]:
        found = [*self._imported_modules(), *self._bound_names(), *self._dependencies()]
        unique: dict[tuple[str, Place | None], Refusal] = {}
        for item in found:
            unique.setdefault((item.message, item.place), item)
        return sorted(unique.values(), key=lambda item: (item.place or Place("", 0), item.message))

    def text(self, path: str) -> Text | None:
        """A Python document of the user's, `None` when it cannot be read."""
        if path not in self.texts:
            try:
                self.texts[path] = Text(self.project.tree.python(path).text)
            except (SyntaxError, Unreadable, Outside):
                return None
        return self.texts[path]

    def _users(self, needle: str) -> Iterator[tuple[str, Text, Mapping[str, str]]]:
        """Files that mention `needle` and are not going, with their imports."""
        for path in self.project.tree.files_containing(needle.encode()):
            if path in self.files:
                continue
            text = self.text(path)
            if text is not None:
                module = self.project.module_of(path)
                yield path, text, imports_of(text.tree, module, path.endswith("__init__.py"))

    def _own(self, path: str, text: Text) -> set[int]:
        """Identities of the nodes in a file that are ours or an edited form of ours."""
        records = [item for item in self.records if item.target.path == path]
        spots = own_spots(text, records)
        nodes = {id(item.node) for item in text.statements if item.spot in spots}
        for record in records:
            if not isinstance(record.target, Statement | ListEntry):
                continue
            inspection = converge.inspect(record.target, self.project.tree.read(path), records)
            if inspection.state is not State.ALTERED:
                continue
            if isinstance(record.target, ListEntry):
                edited = (node for node in ast.walk(text.tree) if ast.unparse(node) == inspection.detail)
                nodes.update(map(id, edited))
            else:
                nodes.update(id(item.node) for item in text.statements if item.node.lineno == inspection.line)
        return nodes

    def _imported_modules(self) -> Iterator[Refusal]:
        for module in self.modules:
            for path, text, _ in self._users(module.rpartition(".")[2]):
                own = self._own(path, text)
                ours = {
                    (item.target.module, item.target.name)
                    for item in self.records
                    if isinstance(item.target, ImportName) and item.target.path == path and item.ours
                }
                for node in ast.walk(text.tree):
                    if id(node) in own or not isinstance(node, ast.Import | ast.ImportFrom):
                        continue
                    if self._imports(node, module, path, ours):
                        yield self._refusal(f"{path} imports {module}", Place(path, node.lineno))

    def _imports(self, node: ast.Import | ast.ImportFrom, module: str, path: str, ours: set[tuple[str, str]]) -> bool:
        if isinstance(node, ast.Import):
            return any(alias.name == module for alias in node.names)
        base = _absolute(node, self.project.module_of(path), path.endswith("__init__.py"))
        text = "." * node.level + (node.module or "")
        names = [alias.name for alias in node.names if (text, alias.name) not in ours]
        return (base == module and bool(names)) or any(f"{base}.{name}" == module for name in names)

    def _bound_names(self) -> Iterator[Refusal]:
        for record in self.gone:
            target = record.target
            if isinstance(target, ImportName):
                yield from self._uses_in(target.path, target.local)
            elif isinstance(target, Statement):
                name = _binds(target.code)
                if not name:
                    continue
                if target.scope:
                    yield from self._attributes(target, name)
                else:
                    yield from self._uses_in(target.path, name)
                    yield from self._imports_of_name(self.project.module_of(target.path), name)

    def _uses_in(self, path: str, name: str) -> Iterator[Refusal]:
        text = self.text(path) if self.project.tree.read(path) is not None and path not in self.files else None
        if text is None:
            return
        own = self._own(path, text)
        arguments = {
            (record.target.keyword, record.target.value) for record in self.gone if isinstance(record.target, Argument)
        }
        entries = {record.target.code for record in self.gone if isinstance(record.target, ListEntry)}
        headers = {record.target.header for record in self.gone if isinstance(record.target, Block)}
        todo: list[ast.AST] = [text.tree]
        while todo:
            node = todo.pop()
            if id(node) in own or isinstance(node, ast.Import | ast.ImportFrom):
                continue
            if isinstance(node, ast.keyword) and (node.arg, ast.unparse(node.value)) in arguments:
                continue
            if isinstance(node, ast.Call) and entries and ast.unparse(node) in entries:
                continue
            if isinstance(node, ast.withitem) and any(ast.unparse(node) in header for header in headers):
                continue
            if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load):
                yield self._refusal(f"{path} uses {name}", Place(path, node.lineno))
                return
            todo.extend(ast.iter_child_nodes(node))

    def _imports_of_name(self, module: str, name: str) -> Iterator[Refusal]:
        for path, text, imports in self._users(name):
            own = self._own(path, text)
            for node in ast.walk(text.tree):
                if isinstance(node, ast.ImportFrom) and id(node) not in own:
                    base = _absolute(node, self.project.module_of(path), path.endswith("__init__.py"))
                    if base == module and any(alias.name == name for alias in node.names):
                        yield self._refusal(f"{path} uses {name} of {module}", Place(path, node.lineno))
                elif isinstance(node, ast.Attribute) and resolve(node, imports) == f"{module}.{name}":
                    yield self._refusal(f"{path} uses {name} of {module}", Place(path, node.lineno))

    def _attributes(self, target: Statement, name: str) -> Iterator[Refusal]:
        """Uses of a provider or a setting as an attribute of the container, the settings object, or their class."""
        owner = target.scope.rpartition(".")[2]
        accesses = {owner}
        for fact in (self.project.container, self.project.settings):
            if fact is not None and fact.path == target.path and fact.access is not None:
                accesses.add(fact.access.text)
        for path, text, _ in self._users(name):
            own = self._own(path, text)
            todo: list[ast.AST] = [text.tree]
            while todo:
                node = todo.pop()
                if id(node) in own:
                    continue
                if isinstance(node, ast.Attribute) and node.attr == name and ast.unparse(node.value) in accesses:
                    yield self._refusal(f"{path} uses {owner}.{name}", Place(path, node.lineno))
                    break
                todo.extend(ast.iter_child_nodes(node))

    def _dependencies(self) -> Iterator[Refusal]:
        for record in self.gone:
            target = record.target
            if not isinstance(target, Dependency) or record.replaced is not None or record.imported:
                continue
            for module in _import_names(target.name) if not self._declared_elsewhere(target) else ():
                for path, text, _ in self._users(module.rpartition(".")[2]):
                    if path in self.owned:
                        continue
                    own = self._own(path, text)
                    for node in ast.walk(text.tree):
                        if id(node) not in own and _imports_package(node, module):
                            assert isinstance(node, ast.stmt)
                            yield self._refusal(f"{path} imports {module} ({target.name})", Place(path, node.lineno))

    def _declared_elsewhere(self, target: Dependency) -> bool:
        manifest = self.project.manifest
        declared = sum(item.name == target.name for item in manifest.requirements) if manifest else 0
        homes = {item.target.key for item in self.gone if isinstance(item.target, Dependency)}
        return declared > sum(key[-1] == target.name for key in homes)

    def _refusal(self, message: str, place: Place) -> Refusal:
        return Refusal(
            "still-used",
            message,
            place,
            expected="no use of it outside the feature's own code",
            remedy="take the use out first, then remove the feature",
        )

    def kept(self, going: Mapping[str, list[Record]]) -> dict[Target, str]:
        """Pieces that the user edited, and all that they bind to."""
        roots: dict[Target, str] = {}
        for record in self.gone:
            data = self.project.tree.read(record.target.path)
            records = [item for item in self.records if item.target.path == record.target.path]
            ours = isinstance(record.target, OwnedFile | Statement | ListEntry) and data is not None
            if ours and converge.inspect(record.target, data, records).state is State.ALTERED:
                roots[record.target] = "edited"
        if not roots:
            return {}
        kept = dict(roots)
        todo = list(roots)
        while todo:
            target = todo.pop()
            for other in self._bound_by(target):
                if other not in kept:
                    kept[other] = "needed by what you edited"
                    todo.append(other)
        for records in going.values():
            if any(record.target in kept and isinstance(record.target, OwnedFile) for record in records):
                for record in records:
                    if isinstance(record.target, Dependency | TomlKey | TextLine) or _is_member(record.target):
                        kept.setdefault(record.target, "needed by what you edited")
        for record in self.gone:
            if isinstance(record.target, ImportName) and any(_uses(item, record.target) for item in kept):
                kept.setdefault(record.target, "needed by what you edited")
        return kept

    def _bound_by(self, target: Target) -> Iterator[Target]:
        """Owned files and imports that a target in the user's hands leads to."""
        text = self.text(target.path) if target.path.endswith(".py") else None
        if text is None:
            return
        if isinstance(target, OwnedFile):
            for module in _modules(text, self.project.module_of(target.path)):
                if module in self.modules:
                    yield self.files[self.modules[module]]
            folder = target.path.rpartition("/")[0]
            if f"{folder}/__init__.py" in self.files:
                yield self.files[f"{folder}/__init__.py"]
            return
        for record in self.gone:
            other = record.target
            if isinstance(other, ImportName) and other.path == target.path and _uses(target, other):
                yield other
                module = other.source.rpartition(".")[0]
                if module in self.modules:
                    yield self.files[self.modules[module]]


def _uses(target: Target, imported: ImportName) -> bool:
    if not isinstance(target, Statement | ListEntry) or target.path != imported.path:
        return False
    return any(isinstance(node, ast.Name) and node.id == imported.local for node in ast.walk(ast.parse(target.code)))


def _is_member(target: Target) -> bool:
    return isinstance(target, Statement) and bool(_binds(target.code)) and bool(target.scope)


def _binds(code: str) -> str:
    node = ast.parse(code).body[0]
    target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
    return target.id if isinstance(target, ast.Name) else ""


def _absolute(node: ast.ImportFrom, module: str, is_package: bool) -> str:
    if not node.level:
        return node.module or ""
    parts = module.split(".")
    drop = node.level - 1 if is_package else node.level
    base = parts[: len(parts) - drop]
    return ".".join([*base, *([node.module] if node.module else [])])


def _modules(text: Text, module: str) -> Iterator[str]:
    for node in ast.walk(text.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, module, is_package=False)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _imports_package(node: ast.AST, module: str) -> bool:
    if isinstance(node, ast.Import):
        return any(alias.name == module or alias.name.startswith(f"{module}.") for alias in node.names)
    if isinstance(node, ast.ImportFrom) and not node.level and node.module:
        return node.module == module or node.module.startswith(f"{module}.")
    return False
