"""A declared dependency."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar

from msgspec.structs import replace

from laterctl.dialects.manifest import form_of
from laterctl.project.facts import DependencyHome
from laterctl.project.places import Place
from laterctl.project.source import Unreadable
from laterctl.project.statements import nodes
from laterctl.project.tree import Outside
from laterctl.refusal import Refusal
from laterctl.targets.base import Binding, Inspection, Record, State, of_kind
from laterctl.targets.document import Document
from laterctl.targets.text_target import TextTarget
from laterctl.targets.toml_key import TomlKey

if TYPE_CHECKING:
    from laterctl.codemods import toml
    from laterctl.project.discover import Project


class Dependency(TextTarget, frozen=True):
    """A PEP 508 requirement in a home given by its form and table (see `DependencyHome`).

    `provides` are the modules that the distribution brings, when they are not called like it.
    """

    kind: ClassVar[str] = "dependency"
    restorable: ClassVar[bool] = True
    form: str
    table: tuple[str, ...]
    name: str
    requirement: str
    provides: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, ...]:
        return self.kind, self.path, ".".join(self.table), self.name

    @property
    def requires(self) -> str:
        return self.requirement

    @property
    def home(self) -> DependencyHome:
        return DependencyHome(self.form, self.path, self.table)

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules that it brings."""
        return self.provides or (self.name.replace("-", "_"),)

    def describe(self) -> str:
        return f"dependency {self.requirement}"

    def inspect(self, document: Document) -> Inspection:
        found = form_of(self.home).declared(document.plain).get(self.name)
        return Inspection(State.ABSENT) if found is None else Inspection(State.PRESENT, 0, found)

    def as_found(self, document: Document) -> TextTarget:
        form = form_of(self.home)
        found = form.declared(document.plain).get(self.name)
        if found is None:
            return self
        key = form.key_of(document.plain, self.name)
        return TomlKey(self.path, self.table, key, found) if key else replace(self, requirement=found)

    def bindings(self) -> tuple[Binding, ...]:
        return (Binding("package", self.path, self.name, modules=self.modules),)

    def shared(self, other: Record) -> Record:
        # Each feature records its own wish; the join over all of them is taken when a document converges.
        return Record(self, other.ours, other.replaced, other.imported)

    def introduced(self, project: Project, records: Sequence[Record]) -> Record:
        return Record(self, imported=_is_imported(project, records, self.modules))

    def adopted(self, document: Document, inspection: Inspection) -> Record | Refusal:
        from laterctl.codemods import requirements

        declared = inspection.detail
        if not requirements.satisfiable(declared, self.requirement):
            message = f"{self.path} declares {declared}, which excludes {self.requirement}"
            return version_cap(message, _place(document.project, self), declared, self.requirement)
        if requirements.extras_of(self.requirement) - requirements.extras_of(declared):
            return Record(self, replaced=form_of(self.home).spelling(document.plain, self.name))
        return Record(self, ours=False)

    @classmethod
    def toml_pieces(cls, text: str, records: Sequence[Record]) -> list[toml.Piece]:
        own = of_kind([item for item in records if item.replaced is None], cls)
        return [piece for home in _homes(own) for piece in form_of(home).pieces(text, _joined(own, home))]

    @classmethod
    def converge_text(cls, text: str, before: Sequence[Record], after: Sequence[Record]) -> str:
        old, new = (of_kind([item for item in side if item.replaced is None], cls) for side in (before, after))
        for home in _homes([*old, *new]):
            text = form_of(home).converged(text, _joined(old, home), _joined(new, home))
        return text

    @classmethod
    def converge_first(cls, text: str, before: Sequence[Record], after: Sequence[Record]) -> str:
        """Give the user's own declarations the extras that are wanted, and their spelling back when nobody wants any."""
        from laterctl.codemods import requirements

        wanted = of_kind(after, cls)
        changed = {target.key: (target, record) for target, record in of_kind([*before, *after], cls).items()}
        for target, record in changed.values():
            if record.replaced is None:
                continue
            extras = {extra for item in wanted if item.key == target.key for extra in _extras_of(item)}
            declared = requirements.with_extras(record.replaced, sorted(extras)) if extras else record.replaced
            if target.name in form_of(target.home).declared(text):
                text = form_of(target.home).replaced(text, target.name, declared)
        return text


def version_cap(message: str, place: Place, seen: str, wanted: str) -> Refusal:
    """Return the refusal for a declaration that excludes what is wanted."""
    remedy = "raise the cap yourself: it is never raised for you"
    return Refusal("version-cap", message, place, seen=seen, expected=wanted, snippet=wanted, remedy=remedy)


def _extras_of(target: Dependency) -> frozenset[str]:
    from laterctl.codemods import requirements

    return requirements.extras_of(target.requirement)


def _homes(targets: Iterable[Dependency]) -> list[DependencyHome]:
    return sorted({item.home for item in targets}, key=lambda home: home.table)


def _joined(targets: Iterable[Dependency], home: DependencyHome) -> list[str]:
    """Return the join of our requirements in a home, one a distribution: united extras, highest floor."""
    wanted: dict[str, list[str]] = {}
    for target in targets:
        if target.home == home:
            wanted.setdefault(target.name, []).append(target.requirement)
    return [_join(items) for _, items in sorted(wanted.items())]


def _join(items: Sequence[str]) -> str:
    if len(set(items)) == 1:
        return items[0]
    from packaging.requirements import Requirement
    from packaging.version import Version

    parsed = [Requirement(item) for item in items]
    extras = sorted({extra for item in parsed for extra in item.extras})
    floors = [(Version(part.version), str(item.specifier)) for item in parsed for part in item.specifier]
    highest = max(floors)[1] if floors else ""
    return parsed[0].name + (f"[{','.join(extras)}]" if extras else "") + highest


def _place(project: Project | None, target: Dependency) -> Place:
    manifest = project.manifest if project is not None else None
    found = [item.place for item in manifest.requirements if item.name == target.name] if manifest else []
    return found[0] if found else Place(target.path, 1)


def _is_imported(project: Project, records: Sequence[Record], modules: Iterable[str]) -> bool:
    """Whether the user's own code imports one of `modules`."""
    files = {record.target.path for record in records if record.target.whole_file}
    for module in modules:
        for path in project.tree.files_containing(module.rpartition(".")[2].encode()):
            if path in files:
                continue
            try:
                tree = project.tree.python(path).tree
            except (Unreadable, Outside):
                continue
            document = Document(path, project.tree.read(path) or b"")
            own = {
                id(node)
                for record in records
                if record.ours and record.target.path == path
                for node, _ in record.target.inspect(document).nodes
            }
            for node in nodes(document.text.tree if own else tree):
                if imports_package(node, module, own):
                    return True
    return False


def imports_package(node: ast.AST, module: str, own: Iterable[int] = ()) -> bool:
    """Whether a node imports from package `module`, by names whose nodes are not among `own`."""
    if isinstance(node, ast.Import):
        return any(alias.name == module or alias.name.startswith(f"{module}.") for alias in node.names)
    if isinstance(node, ast.ImportFrom) and not node.level and node.module:
        mine = node.module == module or node.module.startswith(f"{module}.")
        return mine and any(id(alias) not in set(own) for alias in node.names)
    return False
