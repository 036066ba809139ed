"""What is known about a project's manifest, and what the forms of its entries answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from msgspec import Struct, field

from laterctl.codemods.placement import TextEditError
from laterctl.dialects.manifest import named
from laterctl.project.facts import DependencyHome, Evidence, Requirement
from laterctl.project.places import Place
from laterctl.project.requirements_file import canonical_name
from laterctl.project.source import Unreadable, decoded
from laterctl.project.tree import Outside, Tree

if TYPE_CHECKING:
    from laterctl.codemods import toml
    from laterctl.dialects.manifest.compiled import Compiled

PYPROJECT = "pyproject.toml"
DEV_GROUPS = ("dev", "test", "tests", "testing")


class Manifest(Struct, frozen=True):
    """The file that declares dependencies.

    `manager` is the name of the manager. `runtime` and `dev` say where entries go; `dev` may name a home that
    does not exist yet. `requires_python` is the declared range or `""`. `lock` is the lock file's path or `""`;
    `locked` maps canonical names to locked versions. `others` are further places that list dependencies.
    `python_place` is where `requires_python` stands. `compiled` are the requirements files that are compiled from
    others, by path, and `pinned` what those pin that are compiled from this manifest. `constraints` are versions that
    hold without being dependencies. `brought` is what the projects of the same repository require that it installs.
    """

    manager: str
    path: str
    runtime: DependencyHome
    dev: DependencyHome
    requires_python: str = ""
    requirements: tuple[Requirement, ...] = ()
    lock: str = ""
    locked: Mapping[str, str] = field(default_factory=dict)
    others: tuple[Place, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    python_place: Place | None = None
    compiled: Mapping[str, Compiled] = field(default_factory=dict)
    pinned: tuple[Requirement, ...] = ()
    constraints: tuple[Requirement, ...] = ()
    brought: tuple[Requirement, ...] = ()

    def words(self) -> str:
        """Return what was found, for people."""
        return f"{self.manager} ({self.path})"

    def interpreter(self, root: Path) -> Path | None:
        """Return the Python of the project's own virtual environment, `None` when none is found; its manager may be asked."""
        return named(self.manager).interpreter(root)

    def group(self, tree: Tree, name: str) -> DependencyHome:
        """Return where the dependencies of any group go, for example those of `lint`; it may not exist yet.

        Raises:
            laterctl.project.source.Unreadable: the manifest cannot be read.
        """
        return self.dev if name in DEV_GROUPS else self.other_group(tree, name)

    def other_group(self, tree: Tree, name: str) -> DependencyHome:
        """Return where the dependencies of a group go that is not the one for development: a requirements file."""
        from laterctl.dialects.manifest.requirements import group_file

        return group_file(tree, "requirements.txt", name)


class Form(ABC):
    """How the entries of `home` are written; own entries are PEP 508 strings in every form.

    All verbs raise `TextEditError` when the text is not valid or cannot be edited safely.
    """

    kind: ClassVar[str]

    def __init__(self, home: DependencyHome) -> None:
        self.home = home

    @classmethod
    def fits(cls, home: DependencyHome) -> bool:
        """Whether the entries of a home are written so."""
        return home.form == cls.kind

    @classmethod
    def range_of(cls, item: Requirement) -> str:
        """Return what a requirement says about versions, as the form has it."""
        return item.text

    @abstractmethod
    def declared(self, text: str) -> dict[str, str]:
        """Return what is declared, by canonical names, as the form has it: the first where a name is there twice."""

    def spelling(self, text: str, name: str) -> str:
        """Return a declaration as it is written, which `replaced` can bring back. Raises `KeyError` for none."""
        return self.declared(text)[canonical_name(name)]

    def key_of(self, text: str, name: str) -> str:
        """Return the key of a declaration where they stand in a TOML table, else `""`."""
        return ""

    @abstractmethod
    def converged(self, text: str, before: Sequence[str], after: Sequence[str]) -> str:
        """Return a manifest with own entries `after` where it had `before`; `""` makes a new one.

        A missing array or table is made, and goes with its last own entry. An own entry that the user changed stays;
        one whose name is there with another text is an error.
        """

    @abstractmethod
    def replaced(self, text: str, name: str, new: str) -> str:
        """Return a manifest with the declaration of `name` written as `new`, in the same quotes.

        `new` is what `requirements.with_extras` or `spelling` gives; what `spelling` gave before brings the old text
        back exactly. Raises `KeyError` when `name` is not declared; twice is an error.
        """

    def pieces(self, text: str, entries: Sequence[str]) -> list[toml.Piece]:
        """Return what own entries are in a TOML document that gets other own pieces too, in one `toml.converge`."""
        return []


def read_as_text(tree: Tree, path: str) -> str:
    """Return the text of a file without its byte order mark, `""` when it cannot be read as text."""
    try:
        return decoded(path, tree.read(path) or b"", wide=True)[0].removeprefix("\ufeff")
    except (Unreadable, Outside):
        return ""


def only(name: str, declared: Sequence[str], line: int) -> str:
    """Return the one declaration of `name`. Raises `KeyError` for none, `TextEditError` for several."""
    if not declared:
        raise KeyError(name)
    if len(declared) > 1:
        raise TextEditError(f"{name} is declared {len(declared)} times", line)
    return declared[0]
