"""What is in the way of a target that is about to go, and what stays: edited wiring, the user's code, filled-in files."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from laterctl.engine.ledger import Entry, records_of
from laterctl.project.names import imports_of, resolve
from laterctl.project.places import Place
from laterctl.project.source import Unreadable
from laterctl.project.statements import bound_names
from laterctl.project.tree import Outside
from laterctl.refusal import Note, Refusal
from laterctl.targets.base import Binding, Inspection, Record, State, Target
from laterctl.targets.document import Document, inspect
from laterctl.targets.pruning import Substitutes, substitutes
from laterctl.targets.python_text import Text

if TYPE_CHECKING:
    from laterctl.project.discover import Project
    from laterctl.project.tree import Tree

EDITED = "edited"
NEEDED = "needed by what you edited"


def check(
    project: Project,
    installed: Mapping[str, Entry],
    after: Sequence[Record],
    moved: Collection[Target] = (),
    deleting: Collection[str] = (),
) -> tuple[list[Refusal], dict[Target, str]]:
    """Look for what would be left dangling when the project's records become `after`.

    Args:
        project, installed: the facts and the ledger.
        after: the records that there will be.
        moved: files that go to another path with what the user made of them.
        deleting: the features whose edited files are to go.

    Returns:
        Refusals, one for each piece of wiring that the user edited and for each reference from the user's own code; and
        the targets that stay because the user filled them in, or because such a target binds to them, with the reason.
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
    given = frozenset(binding for record in after for binding in record.target.bindings())
    search = UsageSearch(project, before, gone, dropped, given)
    spared = {item.target for name, items in going.items() if name not in deleting for item in items} - set(moved)
    kept = search.kept(going, spared)
    refusals = [*search.edited_wiring(going), *search.refusals()]
    return refusals, kept


def leftovers(
    installed: Mapping[str, Entry], entries: Mapping[str, Entry], kept: Mapping[Target, str]
) -> dict[str, Entry]:
    """Return the entries that know what stays of features that go, and what stays of others that they want no more.

    Args:
        installed: the ledger.
        entries: the entries that there will be otherwise.
        kept: the targets that stay, with the reason.
    """
    found: dict[str, Entry] = {}
    known: set[Target] = set()
    edited = {target for target, reason in kept.items() if reason == EDITED}
    # Those with something of the user's first: others need not know what these know.
    order = sorted(
        installed, key=lambda name: (edited.isdisjoint(item.target for item in installed[name].records), name)
    )
    for name in order:
        entry = installed[name]
        now = entries.get(name)
        had = {record.target for record in now.records} if now is not None else set()
        rest = [
            record
            for record in entry.records
            if record.ours and record.target not in had and _is_left(record.target, kept.get(record.target, ""))
        ]
        if now is None and not known.issuperset(targets := {record.target for record in rest}):
            known |= targets
            why = "needed" if edited.isdisjoint(targets) else "edited"
            found[name] = replace(entry, requested=False, left=why, records=tuple(rest))
        elif now is not None and rest:
            found[name] = replace(now, records=(*now.records, *(replace(item, left=True) for item in rest)))
    return found


def _dropped(before: Sequence[Record], after: Sequence[Record]) -> Iterator[tuple[Record, Binding]]:
    """Yield the names that files of ours no longer bind in their new version."""
    new = {item.target.path: item.target for item in after if item.target.whole_file and item.ours}
    for record in before:
        target = new.get(record.target.path)
        if target is None or not record.target.whole_file or not target.path.endswith(".py") or target == record.target:
            continue
        old, now = (bound_names(ast.parse(item.created() or b"")) for item in (record.target, target))
        yield from ((record, Binding("name", target.path, name)) for name in sorted(old.keys() - now.keys()))


def strangers(project: Project, before: Sequence[Record], after: Sequence[Record]) -> Iterator[Note]:
    """Name the lines of a `.env` with which the settings, that forbid what they do not know, do not load any more.

    Each is said twice, before the run is carried out and after it: the file is never edited.
    """
    settings = project.settings
    if settings is None or not settings.forbids_strangers(project.names):
        return
    stays = {binding for record in after for binding in record.target.bindings()}
    gone = {
        settings.environment_variable(binding.name).lower()
        for record in before
        for binding in record.target.bindings()
        if binding.what == "member" and binding.path == settings.path and binding not in stays
    }
    text = (project.tree.read(settings.dotenv) or b"").decode("utf-8", "replace") if gone else ""
    for number, line in enumerate(text.splitlines(), 1):
        name = line.strip().removeprefix("export ").partition("=")[0].strip()
        if name.lower() in gone:
            message = (
                f"{settings.dotenv} sets {name}, and {settings.scope} forbids what it does not know: "
                "the application does not start until you take the line out"
            )
            yield from (Note(level, message, Place(settings.dotenv, number)) for level in ("warning", "notice"))


def altered(project: Project, records: Sequence[Record], targets: Collection[Target]) -> Iterator[Target]:
    """Yield the targets that are not as laterctl wrote them; `records` are all that the project has."""
    for target in targets:
        others = [item for item in records if item.target.path == target.path]
        found = inspect(target, project.tree.read(target.path), others)
        if found.state is State.ALTERED:
            yield target


def yours(tree: Tree, entries: Mapping[str, Entry]) -> dict[str, tuple[str, ...]]:
    """Return the files in which something of a removed feature is the user's now, by the feature's name.

    All files that its ledger names when none of them holds such a thing any more.

    Raises:
        laterctl.project.source.Unreadable, laterctl.project.tree.Outside: one of them cannot be read.
    """
    every = records_of(entries.values())
    found: dict[str, tuple[str, ...]] = {}
    for name, entry in entries.items():
        records = entry.records if entry.left == "edited" else ()
        paths = {item.target.path for item in records}
        others = {path: [item for item in every if item.target.path == path] for path in paths}
        filled = {
            item.target.path
            for item in records
            if _is_left(item.target, EDITED)
            and inspect(item.target, tree.read(item.target.path), others[item.target.path]).state is State.ALTERED
        }
        if paths:
            found[name] = tuple(sorted(filled or paths))
    return found


class Import(Struct, frozen=True):
    """An import in a file: the absolute module, the name taken from it (`""`: the module itself), and the line."""

    module: str
    name: str
    line: int


class FileUses:
    """What a Python file of the project uses, our own targets in it left out; read in one walk."""

    def __init__(self, project: Project, path: str, text: Text, own: Substitutes) -> None:
        self.names: dict[str, int] = {}
        self.parameters: dict[str, int] = {}
        self.attributes: dict[str, list[ast.Attribute]] = {}
        self.imports: list[Import] = []
        self._ours: dict[str, list[Import]] = {}
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
            elif isinstance(node, ast.arg):
                self.parameters.setdefault(node.arg, node.lineno)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                self._import(node, own)
                continue
            todo.extend(ast.iter_child_nodes(node))

    def _import(self, node: ast.Import | ast.ImportFrom, own: Substitutes) -> None:
        for alias in node.names:
            if isinstance(node, ast.ImportFrom):
                base = _absolute(node, self._module, is_package=self._is_package)
                found, local = Import(base, alias.name, node.lineno), alias.asname or alias.name
            else:
                found, local = Import(alias.name, "", node.lineno), alias.asname or alias.name.partition(".")[0]
            (self._ours.setdefault(local, []) if id(alias) in own else self.imports).append(found)

    @property
    def needed(self) -> list[Import]:
        """The user's imports, and those of ours whose names the user's code has come to use: they stay as well."""
        return [*self.imports, *(item for name in self._ours.keys() & self.names for item in self._ours[name])]

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
        given: frozenset[Binding] = frozenset(),
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
                found = [(item.target, item.target.inspect(document)) for item in document.records if item.ours]
                # What became of an argument of ours is the user's code; edited wiring has a refusal of its own.
                own = substitutes(
                    seen for target, seen in found if seen.state is State.PRESENT or target.live_when_edited
                )
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
                of = f" ({binding.name})" if binding.name != package else ""
                for item in uses.imports:
                    if item.module == package or item.module.startswith(f"{package}."):
                        yield f"imports {package}{of}", item.line
        elif binding.what == "name":
            lines = [item.line for item in uses.imports if (item.module, item.name) == (module, binding.name)]
            nodes = uses.attributes.get(binding.name, ())
            lines += [node.lineno for node in nodes if resolve(node, uses.bound) == f"{module}.{binding.name}"]
            if binding.path.endswith("conftest.py") and binding.name in uses.parameters:
                lines.append(uses.parameters[binding.name])  # pytest hands fixtures over by their names
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

    def edited_wiring(self, going: Mapping[str, Sequence[Record]]) -> Iterator[Refusal]:
        """Refuse to leave a piece of wiring that the user edited at work, without what it stands on."""
        for name, records in going.items():
            for target in (item.target for item in records if item.target.live_when_edited):
                found = self._inspected(target) if not _is_filled_in(target) else Inspection(State.ABSENT)
                if found.state is State.ALTERED:
                    yield _edited(name, target, found)

    def kept(self, going: Mapping[str, Sequence[Record]], spared: Collection[Target]) -> dict[Target, str]:
        """Return the targets among `spared` that the user filled in, and all that they bind to."""
        kept: dict[Target, str] = {
            record.target: EDITED
            for record in self.gone
            if record.target in spared
            and _is_filled_in(record.target)
            and self._inspected(record.target).state is State.ALTERED
        }
        if not kept:
            return {}
        todo = list(kept)
        while todo:
            for other in self._bound_by(todo.pop()):
                if other not in kept:
                    kept[other] = NEEDED
                    todo.append(other)
        kept |= {target: NEEDED for target in self._serving(going, kept) if target not in kept}
        used = {(item.path, name) for item in kept for name in self._used_by(item)}
        for record in self.gone:
            if any((binding.path, binding.name) in used for binding in _imports_of(record.target)):
                kept.setdefault(record.target, NEEDED)
        return kept

    def _serving(self, going: Mapping[str, Sequence[Record]], kept: Collection[Target]) -> Iterator[Target]:
        """Yield the dependencies, members and values that files which stay go on needing."""
        files = {item for item in kept if item.whole_file and item.created()}
        uses = [self.uses(item.path) for item in files if item.path.endswith(".py")]
        imported = {item.module for each in uses if each is not None for item in each.needed}
        modules = {module[:end] for module in imported for end in (*_dots(module), len(module))}
        named = {name for each in uses if each is not None for name in (*each.attributes, *each.names)}
        for records in going.values():
            stays = any(item.target in files for item in records)
            for target in (item.target for item in records if item.target.serves_code):
                bindings = target.bindings()
                if bindings and self.given.issuperset(bindings):
                    continue  # today's version has it in another form
                if not bindings or None in uses:
                    if stays:
                        yield target
                elif any(item.name in named or modules.intersection(item.modules) for item in bindings):
                    yield target

    def _inspected(self, target: Target) -> Inspection:
        return inspect(target, self.project.tree.read(target.path), self.records[target.path])

    def _used_by(self, target: Target) -> frozenset[str]:
        """The names that a piece of wiring takes from the module around it."""
        if target.whole_file:
            return frozenset()
        return target.uses(Document(target.path, self.project.tree.read(target.path) or b""))

    def _bound_by(self, target: Target) -> Iterator[Target]:
        """Owned files and imports that a target in the user's hands leads to."""
        if target.whole_file:
            uses = self.uses(target.path)
            for item in uses.needed if uses is not None else ():
                for module in (item.module, f"{item.module}.{item.name}"):
                    if module in self.modules:
                        yield self.files[self.modules[module]]
            folder = target.path.rpartition("/")[0]
            if f"{folder}/__init__.py" in self.files:
                yield self.files[f"{folder}/__init__.py"]
            return
        if target.path in self.files:
            yield self.files[target.path]
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


def _is_filled_in(target: Target) -> bool:
    """Whether it is something for the user to fill in: a file, or a member of a class. Anything else is wiring."""
    return target.live_when_edited and (target.whole_file or target.serves_code)


def _dots(module: str) -> Iterator[int]:
    return (at for at, letter in enumerate(module) if letter == ".")


def _is_left(target: Target, reason: str) -> bool:
    """Whether what stays for a reason is still ours to take out: not wiring that the user put something else for."""
    return reason == NEEDED or (reason == EDITED and (target.whole_file or target.serves_code))


def _edited(feature: str, target: Target, found: Inspection) -> Refusal:
    return Refusal(
        "edited",
        f"you edited what {feature} has in {target.path}, and it would stay at work",
        Place(target.path, found.line or 1),
        seen=found.detail,
        expected=target.describe(),
        remedy="take it out, or make it what it was, then run the command again",
        feature=feature,
    )


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
