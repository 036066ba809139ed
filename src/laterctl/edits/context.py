"""What a declared edit sees of a project while it resolves into targets."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct, field
from msgspec.structs import replace

from laterctl.project import origin
from laterctl.project.facts import App, BodyPath, Layout
from laterctl.project.places import ALTERNATIVE, Place
from laterctl.refusal import Note, Refusal, Refused
from laterctl.render import requote
from laterctl.targets.base import Binding, Record, State, Target
from laterctl.targets.import_name import ImportName
from laterctl.targets.resolved import Resolved

if TYPE_CHECKING:
    from laterctl.dialects.providers import ProviderSpec
    from laterctl.dialects.settings import SettingSpec
    from laterctl.project.discover import Project
    from laterctl.project.statements import Position


MOVABLE = frozenset({"core", "api"})
"""The folders below the application's package that the user may choose, or have a module of that name for."""


class Edit(Protocol):
    """A declared edit."""

    def resolve(self, context: FeatureContext) -> Iterator[Resolved]:
        """Yield the targets that this edit means in one project.

        Raises:
            Refused: the project has no safe place for it.
        """
        ...


class FeatureContext(Struct, frozen=True, dict=True):
    """One feature's view of one project: facts, options, and who else is there.

    `installed` are the records that the project has, `records` those and the ones of features resolved before this one
    in the same run. `settings` and `providers` map names to their declarations in all
    features that matter. `relocated` maps the usual place of an owned file to the place it has here, because a file of
    the user's stands in its way. `notes` collects warnings and notices. `previous` are the records that the feature
    has, when it is resolved anew. `tests` says whether its tests are dropped in.
    """

    project: Project
    feature: str
    options: Mapping[str, str | int | float | bool]
    installed: Sequence[Record]
    records: Sequence[Record]
    settings: Mapping[str, SettingSpec]
    providers: Mapping[str, ProviderSpec]
    relocated: Mapping[str, str] = field(default_factory=dict)
    declared_middleware: Callable[[], Mapping[str, str]] = dict
    notes: list[Note] = field(default_factory=list)
    previous: Sequence[Record] = ()
    tests: bool = True

    def module(self, place: str) -> str:
        """Return the dotted import path of a place below the application package, such as `core.cors`."""
        moved = self.relocated.get(f"{place.replace('.', '/')}.py")
        if moved is not None:
            place = moved.removesuffix(".py").replace("/", ".")
        head, dot, rest = place.partition(".")
        if head in MOVABLE:
            return self.project.package_of(head) + dot + rest
        package = self.project.layout.package
        return f"{package}.{place}" if package else place

    def path(self, place: str) -> str:
        """Return the path of a file given below the application package (`core/cors.py`) or in `tests/`."""
        place = self.relocated.get(place, place)
        layout = self.project.layout
        head, slash, rest = place.partition("/")
        if head == "tests":
            return f"{layout.tests}{slash}{rest}"
        if head in MOVABLE:
            return f"{self.project.folder_of(head)}{slash}{rest}"
        return f"{layout.folder}/{place}" if layout.folder not in {"", "."} else place

    def dotted(self, source: str) -> str:
        """Return the absolute dotted name of `source` (`core.cors:CORS` of ours, or `package.module:Name`)."""
        place, _, name = source.partition(":")
        own = place.split(".", 1)[0] in MOVABLE
        return f"{self.module(place) if own else place}.{name}"

    def imported(self, path: str, source: str, asname: str = "") -> tuple[Resolved, str]:
        """Return the import of `source` (`core.cors:CORS` of ours, or `package.module:Name`) and the name it binds.

        The import takes the form that the file uses for the project's own modules. `asname` is a name of our own choice:
        where the file has it for something else, it is another one.

        Raises:
            Refused: the name is bound to something else in that file.
        """
        absolute, _, name = self.dotted(source).rpartition(".")
        own = source.partition(":")[0].split(".", 1)[0] in MOVABLE
        module = self._spelled(path, absolute) if own else absolute
        return self._free(ImportName(path, module, name, asname, f"{absolute}.{name}"))

    def imported_from(self, path: str, module: str, name: str, asname: str = "") -> tuple[Resolved, str]:
        """Like `imported`, of a module by its absolute name, which may begin with `core` or `api` itself."""
        return self._free(ImportName(path, module, name, asname, f"{module}.{name}"))

    def _free(self, target: ImportName) -> tuple[Resolved, str]:
        if target.asname and self._taken(target) is not None:
            target = replace(target, asname=f"{ALTERNATIVE}{target.asname}")
        target = replace(target, module=self._module_of_the_user(target))
        self._check_free(target)
        return Resolved(target), target.local

    def _module_of_the_user(self, target: ImportName) -> str:
        """Return the module that a file takes the same thing from already, such as `pydantic.types`, else the usual one."""
        from laterctl.project.names import canonical

        if self.project.tree.read(target.path) is None:
            return target.module
        found = [
            node.module
            for node in self.project.tree.python(target.path).tree.body
            if isinstance(node, ast.ImportFrom) and node.module and not node.level
            for alias in node.names
            if (alias.name, alias.asname or "") == target.pair
            if canonical(f"{node.module}.{alias.name}") == canonical(target.source)
        ]
        return found[0] if found and target.module not in found else target.module

    def _spelled(self, path: str, absolute: str) -> str:
        from laterctl.project.bindings import spelled

        return spelled(self.project, path, absolute)

    def _taken(self, target: ImportName) -> tuple[Place, str] | None:
        """Return where a file binds an import's name to something else, and to what; `None` when it is free."""
        from laterctl.project.bindings import bound_to
        from laterctl.project.names import canonical

        place, dotted = bound_to(self.project, target.path, target.local)
        if place is None or dotted == canonical(target.source) or self.is_present(target):
            return None
        if self.is_recorded(target):
            return None  # it was ours, and the user put something else in its place
        return None if self.gives_up(target.path, target.local) else (place, dotted)

    def _check_free(self, target: ImportName) -> None:
        taken = self._taken(target)
        if taken is None:
            return
        place, dotted = taken
        raise Refused(
            Refusal(
                "name-clash",
                f"{target.path} already binds the name {target.local}",
                place,
                seen=dotted or target.local,
                expected=f"the name to be free for `{target.describe()}`",
                snippet=target.describe(),
                remedy=f"rename {target.local} in {target.path}, or paste the import under another name",
                feature=self.feature,
            )
        )

    def app(self, snippet: str) -> App:
        """Return the app to edit.

        Raises:
            Refused: there is none, discovery could not decide, or it is built in a way that cannot be edited.
        """
        app = self.project.app
        if app is None:
            raise Refused(self.undecided("app", snippet))
        if not app.editable:
            raise Refused(
                Refusal(
                    "app-not-editable",
                    f"the app cannot be edited safely: {app.reason}",
                    app.place,
                    snippet=snippet,
                    remedy="paste the lines by hand, then run the command again",
                    feature=self.feature,
                )
            )
        return app

    def not_importable(self, *, bare: bool = False) -> Refusal | None:
        """Return why no server imports the application, `None` when one can.

        With `bare` it has to be the FastAPI application itself, and nothing that it is wrapped in.
        """
        app = self.project.app
        if app is None:
            return self.undecided("app")
        if app.reference and not (bare and app.wrapped):
            return None
        return Refusal(
            "app-not-importable",
            "no module has the application under a name that a server can import",
            app.place,
            seen=f"{app.reference} is wrapped in {app.wrapped}" if app.reference else "",
            expected="MODULE:ATTR, as uvicorn takes it",
            remedy="give the application a name at the top of a module",
            feature=self.feature,
        )

    def undecided(self, fact: str, snippet: str = "") -> Refusal:
        """Return the refusal for a fact (see `Project.why_not`) that an edit cannot do without."""
        reason = self.project.why_not(fact)
        if reason is None:
            return Refusal(f"no-{fact}", f"the project has no {fact}", snippet=snippet, feature=self.feature)
        others = ", ".join(str(place) for place in reason.places[1:4])
        return Refusal(
            reason.code,
            reason.message,
            reason.places[0] if reason.places else None,
            seen=f"also at {others}" if others else "",
            snippet=snippet,
            remedy=reason.hint,
            feature=self.feature,
        )

    def spots(self, path: str) -> set[Position]:
        """Places of statements in a Python file that are ours."""
        return self._spots.setdefault(path, self._find_spots(path))

    @cached_property
    def _spots(self) -> dict[str, set[Position]]:
        return {}

    def _find_spots(self, path: str) -> set[Position]:
        from laterctl.targets.python_target import own_statements
        from laterctl.targets.python_text import read_text

        records = [record for record in self.records if record.target.path == path]
        return own_statements(read_text(self.project.tree.python(path).text), records) if records else set()

    def own_nodes(self, path: str) -> set[int]:
        """Identities of the syntax nodes in a Python file (of `read_text`) that are ours."""
        from laterctl.targets.document import Document
        from laterctl.targets.pruning import substitutes
        from laterctl.targets.python_text import read_text

        document = Document.of_text(path, read_text(self.project.tree.python(path).text))
        own = [record.target for record in self.records if record.ours and record.target.path == path]
        return set(substitutes(target.inspect(document) for target in own if not target.whole_file))

    def is_present(self, target: Target) -> bool:
        """Whether a target of a Python file is there already, in its own form: by hand, or because a ledger was lost."""
        from laterctl.targets.document import inspect

        return inspect(target, self.project.tree.read(target.path)).state is State.PRESENT

    def is_recorded(self, target: Target) -> bool:
        """Whether a target is in the ledger, or wanted by features resolved before, whatever the user made of it."""
        return any(record.target.key == target.key for record in self.records)

    def is_from_us(self, path: str) -> bool:
        """Whether a file is there and says that this feature brought it, or the ledger says so."""
        data = self.project.tree.read(path)
        return data is not None and (self.own_file(path) or origin.feature_of(path, data) == self.feature)

    def quoted(self, code: str) -> str:
        """Return code with its strings in the project's quotes."""
        return requote(code, self.project.layout.style.quote)

    def gives_up(self, path: str, name: str) -> bool:
        """Whether the feature itself binds a name at the top of a module now, which another wish of it may take over."""
        wanted = {Binding(what, path, name) for what in ("import", "name")}
        own = (record.target for record in self.previous if record.ours)
        return any(not wanted.isdisjoint(target.bindings()) and self.is_present(target) for target in own)

    def own_file(self, path: str) -> bool:
        """Whether a file is one of ours."""
        return any(record.target.whole_file and record.target.path == path for record in self.records)

    def warn(self, message: str, place: Place | None = None) -> None:
        """Say something beside the diff."""
        self._note(Note("warning", message, place, self.feature))

    def choice(self, message: str, place: Place | None = None) -> None:
        """Say in the plan what was chosen for this project, and why."""
        self._note(Note("choice", message, place, self.feature))

    def notice(self, message: str, place: Place | None = None) -> None:
        """Say something after success."""
        self._note(Note("notice", message, place, self.feature))

    def _note(self, note: Note) -> None:
        if note not in self.notes:
            self.notes.append(note)


def flat(edits: Iterable[Edit]) -> tuple[Edit, ...]:
    """Return edits with those that others hold in their place."""
    found: list[Edit] = []
    for edit in edits:
        inner: Iterable[Edit] = getattr(edit, "edits", ())
        found += flat(inner) if inner else [edit]
    return tuple(found)


def layout_of(project: Project) -> Layout:
    """Return the project's layout, with the modules that laterctl adds among the first-party ones."""
    layout = project.layout
    return replace(
        layout, first_party=layout.first_party | {project.package_of(head).partition(".")[0] for head in MOVABLE}
    )


def is_ours(target: str, source: str) -> bool:
    """Whether a dotted name may be the one of `source` (`core.cors:CorsMiddleware`), wherever this project keeps it."""
    module, _, name = source.partition(":")
    found, _, last = target.rpartition(".")
    return last == name and found.rpartition(".")[2].removeprefix(ALTERNATIVE) == module.rpartition(".")[2]


def user_statements(context: FeatureContext, path: str, body: BodyPath, ordinals: Sequence[int]) -> list[int]:
    """Leave out of `ordinals` the statements of a list that are ours."""
    own = context.spots(path)
    return [ordinal for ordinal in ordinals if (body, ordinal) not in own]
