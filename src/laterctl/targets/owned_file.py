"""A whole file of ours, compared by content."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

from msgspec.structs import replace

from laterctl.codemods.statements import same_code
from laterctl.project import origin
from laterctl.project.origin import ORIGIN
from laterctl.project.places import ALTERNATIVE, Place
from laterctl.refusal import Refusal
from laterctl.targets.base import Binding, Imported, Inspection, Record, State, Target
from laterctl.targets.document import Document
from laterctl.targets.pruning import is_without, substitutes

CHOOSE_FOLDERS = (
    'choose other folders: core = "package.module", api = "package.module" or tests = "folder" in [tool.laterctl]'
)
"""The remedy where the user has something of the same name."""


class OwnedFile(Target, frozen=True):
    """A whole file of ours, with the content it was created with.

    `template` names its source; `open` is true for a file that other targets go into. `default_path` is its usual
    place below the application package or `tests/`, when a file of the user's stands there.
    """

    kind: ClassVar[str] = "file"
    restorable: ClassVar[bool] = True
    live_when_edited: ClassVar[bool] = True
    whole_file: ClassVar[bool] = True
    text: str = ""
    template: str = ""
    open: bool = False
    default_path: str = ""

    @property
    def key(self) -> tuple[str, ...]:
        return self.kind, self.path

    def describe(self) -> str:
        return f"new file {self.path}"

    def inspect(self, document: Document) -> Inspection:
        text, base = (
            each.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
            for each in (document.data.decode("utf-8", errors="replace"), self.text)
        )
        if text == base:
            return Inspection(State.PRESENT, 1)
        if self.path.endswith(".py"):
            try:
                same = _is_base(document, text, base) if self.open else same_code(text, base)
            except SyntaxError as error:
                return Inspection(State.ALTERED, error.lineno or 1, "syntax error")
            if same:
                return Inspection(State.PRESENT, 1, "reformatted")
        return Inspection(State.ALTERED, _first_difference(text, base), "edited")

    def uses(self, document: Document) -> frozenset[str]:
        if not self.path.endswith(".py"):
            return frozenset()
        return frozenset(document.names.loads)

    def imports(self, document: Document) -> Iterator[Imported]:
        if self.path.endswith(".py"):
            yield from document.names.imports

    def bindings(self) -> tuple[Binding, ...]:
        return (Binding("module", self.path),) if self.path.endswith(".py") else ()

    def adopted(self, document: Document, inspection: Inspection) -> Record | Refusal:
        # An empty file may as well be the user's; one with a template says that it came from us.
        return Record(self, ours=bool(self.template), ledger_lost=bool(self.template))

    def clash(self, inspection: Inspection) -> Refusal:
        is_module = self.path.endswith(".py")
        return Refusal(
            "file-exists",
            f"{self.path} exists already and is not what this feature would write",
            Place(self.path, 1),
            expected=f"no file there, or none at {alternative(self.path)} either" if is_module else "no file there",
            snippet=self.text,
            remedy=f"move it away, or {CHOOSE_FOLDERS}" if is_module else "move it away, or merge the two by hand",
        )

    def alternatives(self) -> Iterable[Target]:
        text = origin.unsigned(self.path, self.text)  # as `laterctl new` writes it
        return (replace(self, text=text),) if text != self.text else ()

    def succeeds(self, other: Target) -> bool:
        return isinstance(other, OwnedFile) and bool(self.template) and self.template == other.template

    @property
    def is_open(self) -> bool:
        return self.open

    def is_lost(self, data: bytes) -> bool:
        first = self.text.partition("\n")[0]
        return self.open and first.startswith(f"# {ORIGIN}") and data.startswith(first.encode())

    @property
    def default_place(self) -> str:
        return self.default_path

    def created(self, newline: str = "\n") -> bytes | None:
        name = self.path.rpartition("/")[2].lower()
        is_script = self.text.startswith("#!") or "." not in name or name.startswith("dockerfile")
        return self.text.replace("\n", "\n" if is_script else newline).encode()  # scripts do not run with others


def alternative(place: str) -> str:
    """Return the other place of an owned file: `core/cors.py` is `core/app_cors.py` where the user has the former."""
    folder, slash, name = place.rpartition("/")
    if name.startswith("test_"):
        return f"{folder}{slash}test_{ALTERNATIVE}{name.removeprefix('test_')}"
    return f"{folder}{slash}{ALTERNATIVE}{name}"


def _is_base(document: Document, text: str, base: str) -> bool:
    """Whether an open file is what it was created with, but for the targets that went into it."""
    others = [item.target for item in document.records if item.ours and not item.target.whole_file]
    current = Document(document.path, text.encode())
    return is_without(current.text, substitutes(item.inspect(current) for item in others), base)


def _first_difference(left: str, right: str) -> int:
    for number, (one, other) in enumerate(zip(left.split("\n"), right.split("\n"), strict=False), 1):
        if one != other:
            return number
    return 1
