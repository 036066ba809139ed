"""What all kinds of target share: the smallest things laterctl puts into a document, as values for a ledger.

A declared edit (`Middleware`, `Setting` ...) resolves into targets against the facts of one project. From then on only
the targets count: inspecting, taking back and sharing between features need neither the declaration nor discovery.
Each kind is one module of this package with all its verbs; nobody outside asks which kind a target is.
"""

from __future__ import annotations

import ast
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from msgspec import Struct, ValidationError, convert
from msgspec.structs import asdict, replace

from laterctl.changeset import checked_path
from laterctl.project.facts import BodyPath, DependencyHome
from laterctl.project.places import Place
from laterctl.refusal import Refusal

if TYPE_CHECKING:
    from laterctl.project.discover import Project
    from laterctl.targets.document import Document


class State(StrEnum):
    """What inspecting a target in a document can find."""

    ABSENT = "absent"
    PRESENT = "present"
    ALTERED = "altered"


class Inspection(Struct, frozen=True):
    """What was found of a target: its state, the line where it (or what became of it) stands, words for a person.

    `nodes` are the syntax nodes that it is, or that became of it, each with what the user has there without it.
    """

    state: State
    line: int = 0
    detail: str = ""
    nodes: tuple[tuple[ast.AST, Sequence[ast.AST]], ...] = ()


class Anchor(Struct, frozen=True):
    """Where a new statement goes: right after statement `after` (-1: first) of a list. Not recorded anywhere."""

    body: BodyPath
    after: int


class Imported(Struct, frozen=True):
    """An import: the module, the name taken from it (`""`: the module itself), and the line."""

    module: str
    name: str = ""
    line: int = 1


class Effect(Struct, frozen=True):
    """What a target does to the running application: `what` (`router`, `middleware`, `lifespan`) by its dotted name."""

    what: str
    dotted: str


class Binding(Struct, frozen=True):
    """Something that a target gives to the rest of the project, which the user's code may have come to use.

    `what` is `module` (the file `path` can be imported), `name` (bound at the top of `path`), `import` (the same,
    by an import: other modules do not take it from there), `member` (bound in the class `owner` of `path`), or
    `package` (the distribution `name` is installed, and provides `modules`).
    """

    what: str
    path: str = ""
    name: str = ""
    owner: str = ""
    modules: tuple[str, ...] = ()


class Conflict(Exception):
    """Two features want different things of one target."""


class Target(Struct, frozen=True):
    """What should be there, in the file `path` (relative to the project root, with forward slashes).

    Attributes:
        kind: how the ledger calls it.
        restorable: whether `doctor --fix` may put it back where it is gone.
        live_when_edited: whether what a user made of it still does something that needs our code.
        whole_file: whether it is its document.
    """

    kind: ClassVar[str] = ""
    restorable: ClassVar[bool]
    live_when_edited: ClassVar[bool] = False
    whole_file: ClassVar[bool] = False
    path: str

    @property
    @abstractmethod
    def key(self) -> tuple[str, ...]:
        """What it is about: two features that want the same key share it."""

    @abstractmethod
    def describe(self) -> str:
        """Return it in words, for plans and the by-hand page."""

    @abstractmethod
    def inspect(self, document: Document) -> Inspection:
        """Find it in its document.

        Raises:
            laterctl.project.source.Unreadable: the document is not the text that it claims to be.
        """

    @abstractmethod
    def uses(self, document: Document) -> frozenset[str]:
        """Return the names that its code takes from the module around it."""

    @abstractmethod
    def imports(self, document: Document) -> Iterator[Imported]:
        """Yield the modules and names that it imports."""

    @abstractmethod
    def bindings(self) -> tuple[Binding, ...]:
        """Return what others may have come to use."""

    def verify(self) -> None:
        """Make sure that it can be worked with: a ledger may have been edited, or come from elsewhere.

        Raises:
            ValueError, SyntaxError: it leads out of the project, or is not what its kind needs.
        """
        checked_path(self.path)
        hash(self)
        _ = self.key, self.describe(), self.effect, self.requires, self.home
        if any(item.what != "module" and not item.name for item in self.bindings()):
            raise ValueError("it has no name")

    @property
    def effect(self) -> Effect | None:
        """What it does to the running application, when it does something that shows there."""
        return None

    @property
    def requires(self) -> str:
        """The distribution that it makes the project depend on, as a PEP 508 requirement; `""` for none."""
        return ""

    @property
    def serves_code(self) -> bool:
        """Whether code of its feature that the user has edited goes on needing it."""
        return False

    @property
    def home(self) -> DependencyHome | None:
        """Where it declares a dependency, when that is what it does."""
        return None

    def shared(self, other: Record) -> Record:
        """Return the record of this wish where another feature's record has the same key.

        Raises:
            Conflict: the two cannot both hold.
        """
        return Record(other.target, other.ours, other.replaced, other.imported)

    def introduced(self, project: Project, records: Sequence[Record]) -> Record:
        """Return the record of it as something new."""
        return Record(self)

    def adopted(self, document: Document, inspection: Inspection) -> Record | Refusal:
        """Return the record of what stands there by hand already, or why that does not do."""
        return Record(self, ours=False)

    def clash(self, inspection: Inspection) -> Refusal:
        """Return the refusal for something else that stands in its place."""
        return Refusal(
            "already-different",
            f"{self.path} has this in another form",
            Place(self.path, inspection.line),
            seen=inspection.detail,
            expected=self.describe(),
            snippet=self.describe(),
            remedy="change it by hand or remove it",
        )

    def equals(self, other: Target) -> bool:
        """Tell whether a recorded target of the same key is what is wanted, whatever else is noted about it."""
        return self == other

    def alternatives(self) -> Iterable[Target]:
        """Return other forms of it that do as well where they stand already."""
        return ()

    def succeeds(self, other: Target) -> bool:
        """Tell whether it is the document that `other` was, at another path."""
        return False

    @property
    def is_open(self) -> bool:
        """Whether other targets go into the document that it creates."""
        return False

    def is_lost(self, data: bytes) -> bool:
        """Whether a document that is there is the one that it creates, with targets whose ledger was lost in it."""
        return False

    @property
    def default_place(self) -> str:
        """Its usual place below the application package or `tests/`, when it could not go there; else `""`."""
        return ""

    def created(self, newline: str = "\n") -> bytes | None:
        """Return the document that it creates, with the project's line ends; `None` when it goes into one that is there."""
        return None


class Record(Struct, frozen=True):
    """A target that a feature has in the project.

    `ours` is false when it stood there already (adopted: inspected, never removed). `replaced` is the user's text
    that the target, or another feature's target with the same key, took the place of. `imported` says of a dependency
    that the user's code imported it before it was declared: something else brings it too. `beside` names the feature
    without which the record does not hold. `empty` says that its document was there before, with nothing in it. `left`
    says that the feature does not want it any more, and that it stays because the user edited it, or something that
    needs it. `ledger_lost`, which is not recorded, marks a file that was found to be ours although no ledger knew it.
    """

    target: Target
    ours: bool = True
    replaced: str | None = None
    imported: bool = False
    beside: str = ""
    ledger_lost: bool = False
    empty: bool = False
    left: bool = False

    def elsewhere(self, target: Target) -> Record:
        """Return the record of a target that the user moved in its file: the text that it replaced is not there."""
        return replace(self, target=target, replaced=None)


T = TypeVar("T", bound=Target)


@cache
def kinds() -> Mapping[str, type[Target]]:
    """Return the kinds of target by name: what the modules of this package define."""
    package = import_module("laterctl.targets")
    for item in iter_modules(package.__path__):
        import_module(f"laterctl.targets.{item.name}")
    found: dict[str, type[Target]] = {}
    todo = list(Target.__subclasses__())
    while todo:
        kind = todo.pop()
        todo.extend(kind.__subclasses__())
        if "kind" in vars(kind):
            found[kind.kind] = kind
    return found


def of_kind(records: Sequence[Record], kind: type[T]) -> dict[T, Record]:
    """Return the records of one kind by target."""
    return {record.target: record for record in records if isinstance(record.target, kind)}


def to_json(record: Record) -> dict[str, Any]:
    """Return a record as plain JSON values; fields at their defaults are left out."""
    target = record.target
    data: dict[str, Any] = {"kind": target.kind}
    names = target.__struct_fields__
    defaults = dict(zip(reversed(names), reversed(target.__struct_defaults__), strict=False))
    for name, value in asdict(target).items():
        if name not in defaults or value != defaults[name]:
            data[name] = list(value) if isinstance(value, tuple) else value
    data["origin"] = "ours" if record.ours else "adopted"
    if record.replaced is not None:
        data["replaced"] = record.replaced
    if record.imported:
        data["imported"] = True
    if record.beside:
        data["beside"] = record.beside
    data |= {name: True for name in ("empty", "left") if getattr(record, name)}
    return data


def from_json(data: Mapping[str, Any]) -> Record:
    """Read a record back.

    Raises:
        ValueError: the kind is unknown or a field is missing or of the wrong type.
    """
    values = dict(data)
    try:
        kind = kinds()[values.pop("kind")]
        origin = values.pop("origin")
        replaced = values.pop("replaced", None)
        imported = bool(values.pop("imported", False))
        beside = str(values.pop("beside", ""))
        empty, left = (bool(values.pop(name, False)) for name in ("empty", "left"))
        target = convert({name: frozen(value) for name, value in values.items()}, kind)
        target.verify()
    except (KeyError, TypeError, SyntaxError, ValidationError) as error:
        raise ValueError(f"not a record of this version: {error}") from error
    if not (replaced is None or (isinstance(replaced, str) and replaced.strip())):
        raise ValueError(f"what was replaced is no text: {replaced!r}")
    if unknown := values.keys() - {*kind.__struct_fields__}:
        raise ValueError(f"not a record of this version: unknown field {min(unknown)}")
    if origin not in {"ours", "adopted"}:
        raise ValueError(f"unknown origin {origin!r}")
    return Record(target, origin == "ours", replaced, imported, beside, empty=empty, left=left)


def frozen(value: Any) -> Any:
    """Return plain data with lists turned into tuples, so that it can be part of a target."""
    return tuple(frozen(item) for item in value) if isinstance(value, list | tuple) else value


def ours(records: Sequence[Record]) -> list[Record]:
    """The records of targets that laterctl put there itself."""
    return [record for record in records if record.ours]
