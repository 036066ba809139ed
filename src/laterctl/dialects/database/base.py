"""What is known about a project's database, and what its dialects answer."""

from __future__ import annotations

import re
from typing import ClassVar

from msgspec import Struct

from laterctl.dialects.providers.base import Providers, ProviderSpec
from laterctl.project.facts import Evidence
from laterctl.project.places import Place
from laterctl.render import Expr, Import


class Made(Struct, frozen=True):
    """A call that makes an engine or a session factory.

    `name` is what holds the object: `engine`, `Database.engine`, of a function its own name; `""` when nothing does.
    `call` is the dotted name of what is called. `held` says how others get hold of the object: `module` (a variable),
    `function` (what it returns, or a variable inside of it), `class` (an attribute) or `container` (a provider).
    `reached` is the expression by which others get the object from `module`: `engine`, `get_engine()`, `Database.engine`;
    `""` when they get none or a new one, or a container has it.
    `url` is the expression that gives the URL, as it is written there; `setting` the setting or the environment
    variable in it, `""` when it has none.
    """

    name: str
    call: str
    held: str
    place: Place
    module: str = ""
    reached: str = ""
    url: str = ""
    setting: str = ""


class Models(Struct, frozen=True):
    """What the tables belong to: `kind` is `class` (a declarative base), `sqlmodel`, or `metadata` (Core tables)."""

    name: str
    module: str
    kind: str
    place: Place


class Sessions(Struct, frozen=True):
    """Where code gets its sessions from.

    `kind` is `dependency` (a generator function that routes depend on), `context` (a context manager), `middleware`,
    `container` (a provider that takes the session factory) or `function` (one that opens a session itself).
    """

    name: str
    kind: str
    place: Place


class CreateAll(Struct, frozen=True):
    """A use of `metadata.create_all`, in function `scope`, `""` at module level: the application makes its tables."""

    scope: str
    place: Place


class Signs(Struct, frozen=True):
    """What tells one dialect from another: the engine's kind, the models, and the functions that make engines."""

    asynchronous: bool
    models: tuple[Models, ...]
    calls: tuple[str, ...]


class Database(Struct, frozen=True, kw_only=True):
    """A project's database; a dialect is a subclass in a module of its own.

    `engines` are the calls that make the engine, several where branches do; `factories` those of session factories;
    `tables` the modules that have tables.
    """

    kind: str = ""
    title: ClassVar[str] = ""

    asynchronous: bool
    place: Place
    engines: tuple[Made, ...] = ()
    factories: tuple[Made, ...] = ()
    models: tuple[Models, ...] = ()
    tables: tuple[str, ...] = ()
    sessions: tuple[Sessions, ...] = ()
    create_all: tuple[CreateAll, ...] = ()
    evidence: tuple[Evidence, ...] = ()

    def read(self, providers: Providers) -> Expr | None:
        """Return the expression that gives the engine to other modules, `None` when they cannot get at it."""
        made = self.engines[0]
        name = made.name.rpartition(".")[2]
        if made.held == "container":
            return providers.read(ProviderSpec(name, ""), "") if providers.has(name) else None
        if not made.reached:
            return None
        return Expr(made.reached, (Import(made.module, re.split(r"\W", made.reached)[0]),))

    def metadata(self) -> Expr:
        """Return the expression of a list with what the tables belong to."""
        shared = [item.name for item in self.models]
        names = [
            Import(item.module, item.name, f"{item.name}{number}" if shared.count(item.name) > 1 else "")
            for number, item in enumerate(self.models, 1)
        ]
        texts = [
            (name.asname or name.name) + ("" if item.kind == "metadata" else ".metadata")
            for item, name in zip(self.models, names, strict=True)
        ]
        return Expr(f"[{', '.join(texts)}]", tuple(names))

    def words(self) -> str:
        """Return what was found, for people."""
        return f"database {self.title} ({self.place})"

    @classmethod
    def fits(cls, signs: Signs) -> bool:
        """Whether what was found is of this dialect."""
        raise NotImplementedError
