"""What still needs a target that is about to go: the user's code, or our own code that the user has edited."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from msgspec import Struct

from laterctl.engine.ledger import Entry, records_of
from laterctl.project.names import imports_of, resolve
from laterctl.project.places import Place
from laterctl.project.source import Unreadable
from laterctl.project.statements import bound_names
from laterctl.project.tree import Outside
from laterctl.refusal import Refusal
from laterctl.targets.base import Binding, Record, State, Target
from laterctl.targets.document import Document, inspect
from laterctl.targets.pruning import Substitutes, substitutes
from laterctl.targets.python_text import Text

if TYPE_CHECKING:
    from laterctl.project.discover import Project

NEEDED = "needed by what you edited"


def check(
    project: Project, installed: Mapping[str, Entry], after: Sequence[Record], moved: Collection[Target] = ()
) -> tuple[list[Refusal], dict[Target, str]]:
    """Look for what would be left dangling when the project's records become `after`.

    Args:
        project, installed: the facts and the ledger.
        after: the records that there will be.
        moved: files that go to another path with what the user made of them.

    Returns:
        Refusals, one for each reference from the user's own code; and the targets that stay because the user edited
        something that binds to them, with the reason.
    """
    wanted = {record.target.key for record in after if record.ours}
    going = {
        name: [item for item in entry.records if item.ours and item.target.key not in wanted]
        for name, entry in installed.items()
    }
    gone = [item for items in going.values() for item in items]
    before = records_of(installed.values())
    dropped = list(_dropped(before, after))
    if not gone and not dropped:
        return [], {}
    given = {binding for record in after for binding in record.target.bindings()}
    search = UsageSearch(project, before, gone, dropped, given)
    return search.refusals(), search.kept(going, moved)


def _dropped(before: Sequence[Record], after: Sequence[Record]) -> Iterator[tuple[Record, Binding]]:
    """Yield the names that files of ours no longer bind in their new version."""
    new = {item.target.path: item.target for item in after if item.target.whole_file and item.ours}
    for record in before:
        target = new.get(record.target.path)
        if target is None or not record.target.whole_file or not target.path.endswith(".py") or target == record.target:
            continue
        old, now = (bound_names(ast.parse(item.created() or b"")) for item in (record.target, target))
        yield from ((record, Binding("name", target.path, name)) for name in sorted(old.keys() - now.keys()))


class Import(Struct, frozen=True):
    """An import in a file: the absolute module, the name taken from it (`""`: the module itself), and the line."""

    module: str
    name: str
    line: int


class FileUses:
    """What a Python file of the project uses, our own targets in it left out; read in one walk."""

    def __init__(self, project: Project, path: str, text: Text, own: Substitutes) -> None:
        self.names: dict[str, int] = {}
        self.attributes: dict[str, list[ast.Attribute]] = {}
        self.imports: list[Import] = []
        self.text = text
        self._module = project.module_of(path)
        self._is_package = path.endswith("__init__.py")
        todo: list[ast.AST] = [text.tree]
        while todo:
            node = todo.pop()
            if id(node) in own:
                todo.extend(own[id(node)])
                continue
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                self.names[node.id] = min(node.lineno, self.names.get(node.id, node.lineno))
            elif isinstance(node, ast.Attribute):
                self.attributes.setdefault(node.attr, []).append(node)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                self._import(node, own)
                continue
            todo.extend(ast.iter_child_nodes(node))

    def _import(self, node: ast.Import | ast.ImportFrom, own: Substitutes) -> None:
        names = [alias.name for alias in node.names if id(alias) not in own]
        if isinstance(node, ast.Import):
            self.imports += [Import(name, "", node.lineno) for name in names]
        else:
            base = _absolute(node, self._module, is_package=self._is_package)
            self.imports += [Import(base, name, node.lineno) for name in names]

    @cached_property
    def bound(self) -> Mapping[str, str]:
        """What the names that the file imports stand for."""
        return imports_of(self.text.tree, self._module, self._is_package)


class UsageSearch:
    """Looks for uses of what is about to go; each file that may hold one is read once."""

    def __init__(
        self,
        project: Project,
        records: Sequence[Record],
        gone: Sequence[Record],
        dropped: Sequence[tuple[Record, Binding]] = (),
        given: Collection[Binding] = (),
    ) -> None:
        self.project = project
        self.records: dict[str, list[Record]] = {}
        for record in records:
            self.records.setdefault(record.target.path, []).append(record)
        self.gone = gone
        self.dropped = dropped
        self.given = given
        self.owned = {item.target.path for item in records if item.target.whole_file and item.ours}
        self.files = {item.target.path: item.target for item in gone if item.target.whole_file}
        self.modules = {project.module_of(path): path for path in self.files if path.endswith(".py")}
        self._uses: dict[str, FileUses | None] = {}

    def refusals(self) -> list[Refusal]:
        """Return a refusal for each thing of the user's that uses what is about to go."""
        bindings = [(record, binding) for record in self.gone for binding in record.target.bindings()]
        bindings = [pair for pair in bindings if pair[1] not in self.given] + [*self.dropped]
        renewed = {binding.path for _, binding in self.dropped}
        needles = {needle.encode() for _, binding in bindings for needle in self._needles(binding)}
        found = self.project.tree.files_containing_any(sorted(needles))
        paths = [path for path in found if path not in self.files and path not in renewed]
        unique: dict[tuple[str, Place], Refusal] = {}
        for record, binding in bindings:
            for message, place in self._found(record, binding, paths):
                unique.setdefault((message, place), _still_used(message, place))
        return sorted(unique.values(), key=lambda item: (item.place or Place("", 0), item.message))

    def uses(self, path: str) -> FileUses | None:
        """What a file uses, `None` when it cannot be read."""
        if path not in self._uses:
            try:
                self.project.tree.python(path).text  # noqa: B018 - raises what a file that is no text does
                document = Document(path, self.project.tree.read(path) or b"", self.records.get(path, ()))
                own = substitutes(record.target.inspect(document) for record in document.records if record.ours)
                self._uses[path] = FileUses(self.project, path, document.text, own)
            except (SyntaxError, Unreadable, Outside, FileNotFoundError):
                self._uses[path] = None
        return self._uses[path]

    def _needles(self, binding: Binding) -> Iterator[str]:
        if binding.what == "module":
            yield self.project.module_of(binding.path).rpartition(".")[2]
        elif binding.what == "package":
            yield from (module.rpartition(".")[2] for module in binding.modules)
        else:
            yield binding.name

    def _found(self, record: Record, binding: Binding, paths: Sequence[str]) -> Iterator[tuple[str, Place]]:
        if binding.what in {"import", "name"}:
            whole = binding.path in self.files or record.target.whole_file
            uses = self.uses(binding.path) if not whole and self.project.tree.read(binding.path) is not None else None
            if uses is not None and binding.name in uses.names:
                yield f"{binding.path} uses {binding.name}", Place(binding.path, uses.names[binding.name])
        if binding.what == "import":
            return
        if binding.what == "package" and not self._is_last(record):
            return
        accesses = self._accesses(binding)
        for path in paths:
            uses = self.uses(path)
            if uses is not None and not (binding.what == "package" and path in self.owned):
                for message, line in self._in_file(binding, uses, accesses):
                    yield f"{path} {message}", Place(path, line)

    def _in_file(self, binding: Binding, uses: FileUses, accesses: set[str]) -> Iterator[tuple[str, int]]:
        module = self.project.module_of(binding.path)
        if binding.what == "module":
            for item in uses.imports:
                if module in {item.module, f"{item.module}.{item.name}"}:
                    yield f"imports {module}", item.line
        elif binding.what == "package":
            for package in binding.modules:
                for item in uses.imports:
                    if item.module == package or item.module.startswith(f"{package}."):
                        yield f"imports {package} ({binding.name})", item.line
        elif binding.what == "name":
            lines = [item.line for item in uses.imports if (item.module, item.name) == (module, binding.name)]
            nodes = uses.attributes.get(binding.name, ())
            lines += [node.lineno for node in nodes if resolve(node, uses.bound) == f"{module}.{binding.name}"]
            yield from ((f"uses {binding.name} of {module}", line) for line in lines)
        else:
            owner = binding.owner.rpartition(".")[2]
            nodes = uses.attributes.get(binding.name, ())
            lines = [node.lineno for node in nodes if ast.unparse(node.value) in accesses]
            if lines:
                yield f"uses {owner}.{binding.name}", min(lines)

    def _accesses(self, binding: Binding) -> set[str]:
        """How code names the class of a member, or its instance: the container, the settings object."""
        accesses = {binding.owner.rpartition(".")[2]}
        if binding.what == "member":
            for fact in (self.project.container, self.project.settings):
                if fact is not None and fact.path == binding.path and fact.access is not None:
                    accesses.add(fact.access.text)
        return accesses

    def _is_last(self, record: Record) -> bool:
        """Whether a dependency that goes is the only reason why its distribution is there."""
        if record.replaced is not None or record.imported:
            return False
        manifest, name = self.project.manifest, record.target.key[-1]
        declared = sum(item.name == name for item in manifest.requirements) if manifest else 0
        homes = {item.target.key for item in self.gone if item.target.requires}
        return declared <= sum(key[-1] == name for key in homes)

    def kept(self, going: Mapping[str, list[Record]], moved: Collection[Target]) -> dict[Target, str]:
        """Targets that the user edited, and all that they bind to; not those that are `moved` with the edits."""
        gone = [record.target for record in self.gone if record.target not in moved]
        kept: dict[Target, str] = {target: "edited" for target in gone if self._is_edited(target)}
        if not kept:
            return {}
        todo = list(kept)
        while todo:
            for other in self._bound_by(todo.pop()):
                if other not in kept:
                    kept[other] = NEEDED
                    todo.append(other)
        for records in going.values():
            if any(record.target in kept and record.target.whole_file for record in records):
                kept |= {item.target: NEEDED for item in records if item.target.serves_code and item.target not in kept}
        used = {(item.path, name) for item in kept for name in self._used_by(item)}
        for record in self.gone:
            if any((binding.path, binding.name) in used for binding in _imports_of(record.target)):
                kept.setdefault(record.target, NEEDED)
        return kept

    def _is_edited(self, target: Target) -> bool:
        data = self.project.tree.read(target.path) if target.live_when_edited else None
        found = inspect(target, data, self.records[target.path])
        return found.state is State.ALTERED

    def _used_by(self, target: Target) -> frozenset[str]:
        """The names that a piece of wiring takes from the module around it."""
        if target.whole_file:
            return frozenset()
        return target.uses(Document(target.path, self.project.tree.read(target.path) or b""))

    def _bound_by(self, target: Target) -> Iterator[Target]:
        """Owned files and imports that a target in the user's hands leads to."""
        if target.whole_file:
            uses = self.uses(target.path)
            for item in uses.imports if uses is not None else ():
                for module in (item.module, f"{item.module}.{item.name}"):
                    if module in self.modules:
                        yield self.files[self.modules[module]]
            folder = target.path.rpartition("/")[0]
            if f"{folder}/__init__.py" in self.files:
                yield self.files[f"{folder}/__init__.py"]
            return
        names = self._used_by(target)
        for record in self.gone:
            other = record.target
            if other.path != target.path or not any(binding.name in names for binding in _imports_of(other)):
                continue
            yield other
            for imported in other.imports(Document(other.path, b"")):
                if imported.module in self.modules:
                    yield self.files[self.modules[imported.module]]


def _imports_of(target: Target) -> Iterator[Binding]:
    return (binding for binding in target.bindings() if binding.what == "import")


def _still_used(message: str, place: Place) -> Refusal:
    return Refusal(
        "still-used",
        message,
        place,
        expected="no use of it outside the feature's own code",
        remedy="take the use out first, then remove the feature",
    )


def _absolute(node: ast.ImportFrom, module: str, *, is_package: bool) -> str:
    if not node.level:
        return node.module or ""
    parts = module.split(".")
    drop = node.level - 1 if is_package else node.level
    base = parts[: len(parts) - drop]
    return ".".join([*base, *([node.module] if node.module else [])])
