"""Pieces: the smallest things laterctl puts into a document, as values that a ledger can record.

A declared edit (`Middleware`, `Setting` ...) resolves into targets against the facts of one project. From then on only
the targets count: inspecting, taking back and sharing between features need neither the declaration nor discovery.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, ClassVar

from msgspec import Struct
from msgspec.structs import asdict

from laterctl.project.facts import BodyPath


class State(StrEnum):
    """What inspecting a target in a document can find."""

    ABSENT = "absent"
    PRESENT = "present"
    ALTERED = "altered"


class Inspection(Struct, frozen=True):
    """The state of a target, the line where it (or what became of it) stands, and words for a person."""

    state: State
    line: int = 0
    detail: str = ""


class Anchor(Struct, frozen=True):
    """Where a new statement goes: right after statement `after` (-1: first) of a list. Not recorded anywhere."""

    body: BodyPath
    after: int


class Target(Struct, frozen=True):
    """What all targets share: the file they live in, relative to the project root with forward slashes."""

    kind: ClassVar[str] = ""
    path: str

    @property
    def key(self) -> tuple[str, ...]:
        """What the target is about: two features that want the same target share it."""
        raise NotImplementedError

    def describe(self) -> str:
        """The target in words, for plans and the by-hand page."""
        raise NotImplementedError


class ImportName(Target, frozen=True):
    """One name of a `from` import at the top of a Python file. `source` is the absolute dotted name it stands for."""

    kind: ClassVar[str] = "import"
    module: str
    name: str
    asname: str = ""
    source: str = ""

    @property
    def key(self) -> tuple[str, ...]:
        return self.kind, self.path, self.module, self.name, self.asname

    @property
    def local(self) -> str:
        """The name that the import binds."""
        return self.asname or self.name

    def describe(self) -> str:
        alias = f" as {self.asname}" if self.asname else ""
        return f"from {self.module} import {self.name}{alias}"


class Statement(Target, frozen=True):
    """A statement in the list of statements of `scope` (a qualified name, `""` for the module).

    `order` sorts it among our other statements at the same place.
    """

    kind: ClassVar[str] = "statement"
    scope: str
    code: str
    order: tuple[int, str] = (0, "")

    @property
    def key(self) -> tuple[str, ...]:
        return self.kind, self.path, self.scope, self.code

    def describe(self) -> str:
        return self.code


class Argument(Target, frozen=True):
    """A keyword argument of the call that `holder` is assigned from (`app`, `self.app`; `return` when returned)."""

    kind: ClassVar[str] = "argument"
    scope: str
    holder: str
    keyword: str
    value: str

    @property
    def key(self) -> tuple[str, ...]:
        return self.kind, self.path, self.scope, self.holder, self.keyword

    def describe(self) -> str:
        return f"{self.holder} = ...({self.keyword}={self.value})"


class ListEntry(Target, frozen=True):
    """An entry of a list literal: what `holder` is assigned (`return`: what is returned), or `keyword` of its call.

    It stands behind `behind` entries of the user's; `order` sorts it among ours at the same place.
    """

    kind: ClassVar[str] = "entry"
    scope: str
    holder: str
    code: str
    keyword: str = ""
    behind: int = 0
    order: tuple[int, str] = (0, "")

    @property
    def key(self) -> tuple[str, ...]:
        return self.kind, self.path, self.scope, self.holder, self.keyword, self.code

    def describe(self) -> str:
        return self.code


class Block(Target, frozen=True):
    """A block put around the one `yield` statement of function `scope`. `header` ends with its colon."""

    kind: ClassVar[str] = "block"
    scope: str
    header: str

    @property
    def key(self) -> tuple[str, ...]:
        return self.kind, self.path, self.scope, self.header

    def describe(self) -> str:
        return f"{self.header} around the yield of {self.scope}()"


class Dependency(Target, frozen=True):
    """A declared dependency: a PEP 508 requirement in a home given by its form and TOML table."""

    kind: ClassVar[str] = "dependency"
    form: str
    table: tuple[str, ...]
    name: str
    requirement: str

    @property
    def key(self) -> tuple[str, ...]:
        return self.kind, self.path, ".".join(self.table), self.name

    def describe(self) -> str:
        return f"dependency {self.requirement}"


class TomlKey(Target, frozen=True):
    """A key of a TOML table. `value` is plain data; lists are tuples."""

    kind: ClassVar[str] = "toml"
    table: tuple[str, ...]
    name: str
    value: Any

    @property
    def key(self) -> tuple[str, ...]:
        return self.kind, self.path, ".".join(self.table), self.name

    def describe(self) -> str:
        return f"[{'.'.join(self.table)}] {self.name} = {self.value!r}"


class TextLine(Target, frozen=True):
    """A line of an ignore file, or `KEY=value` of an example environment file (`form` `ignore` or `env`)."""

    kind: ClassVar[str] = "line"
    form: str
    text: str

    @property
    def key(self) -> tuple[str, ...]:
        return self.kind, self.path, self.text.partition("=")[0] if self.form == "env" else self.text

    def describe(self) -> str:
        return self.text


class OwnedFile(Target, frozen=True):
    """A whole file of ours, with the content it was created with.

    `template` names its source; `open` is true for a file that other targets go into. `default_path` is its usual place
    below the application package or `tests/`, when a file of the user's stands there.
    """

    kind: ClassVar[str] = "file"
    lines: tuple[str, ...]
    template: str = ""
    open: bool = False
    default_path: str = ""

    @property
    def key(self) -> tuple[str, ...]:
        return self.kind, self.path

    def describe(self) -> str:
        return f"new file {self.path}"

    @property
    def text(self) -> str:
        """The content as it was created."""
        return "".join(self.lines)


class Record(Struct, frozen=True):
    """A target that a feature has in the project.

    `ours` is false when it stood there already (adopted: inspected, never removed). `replaced` is the user's text
    that the target, or another feature's target on the same target, took the place of. `imported` says of a dependency
    that the user's code imported it before it was declared: something else brings it too. `ledger_lost`, which is not
    recorded, marks a file that was found to be ours although no ledger knew it.
    """

    target: Target
    ours: bool = True
    replaced: str | None = None
    imported: bool = False
    ledger_lost: bool = False


KINDS: Mapping[str, type[Target]] = {
    item.kind: item
    for item in (ImportName, Statement, Argument, ListEntry, Block, Dependency, TomlKey, TextLine, OwnedFile)
}


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
    return data


def from_json(data: Mapping[str, Any]) -> Record:
    """Read a record back.

    Raises:
        ValueError: the kind is unknown or a field is missing or of the wrong type.
    """
    values = dict(data)
    try:
        kind = KINDS[values.pop("kind")]
        origin = values.pop("origin")
        replaced = values.pop("replaced", None)
        imported = bool(values.pop("imported", False))
        target = kind(**{name: frozen(value) for name, value in values.items()})
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a record of this version: {error}") from error
    if origin not in {"ours", "adopted"}:
        raise ValueError(f"unknown origin {origin!r}")
    return Record(target, origin == "ours", replaced, imported)


def frozen(value: Any) -> Any:
    """Return plain data with lists turned into tuples, so that it can be part of a target."""
    return tuple(frozen(item) for item in value) if isinstance(value, list | tuple) else value


def ours(records: Sequence[Record]) -> list[Record]:
    """The records of targets that laterctl put there itself."""
    return [record for record in records if record.ours]
