"""What discovery finds out about the user's repository: facts, each with its place, and nothing that acts."""

from __future__ import annotations

from msgspec import Struct, field

from laterctl.project.places import Place
from laterctl.render import Style

BodyPath = tuple[tuple[int, str], ...]
"""A list of statements, as steps from the module: `((3, "body"), (0, "orelse"))`. `()` is the module itself.

A step is the ordinal of a compound statement in the list reached so far, and the field of it that holds the next
list (`body`, `orelse`, `finalbody`, or `handlers.N`). Ordinals are those of the standard library's `ast`.
"""


class Evidence(Struct, frozen=True):
    """Why discovery believes something: `what` in words, and where it stands."""

    what: str
    place: Place


class Undecided(Struct, frozen=True):
    """Something discovery could not decide. `code` is stable; `hint` names the flag or key that decides it."""

    code: str
    message: str
    hint: str
    places: tuple[Place, ...] = ()


class Registration(Struct, frozen=True):
    """A statement of the app's body that puts something on the app.

    `index` is the ordinal of the top-most statement in that body which contains it (an `if` counts as a whole);
    `target` is the resolved dotted name of the class, router or function, or `""` when it cannot be told.
    `style` is `call`, `decorator`, `list` (inside `FastAPI(middleware=[...])`), `loop` or `helper`
    (the app was handed to a function: what that registers when it is the project's own, else the function itself).
    `conditional` says that it stands under an `if`, in a `try` or in a loop. `function` is the dotted name of an
    exception handler (`target` is then the exception class or the status code). `outside` marks what is registered
    in another statement list, after the app's body has run (by the caller of a factory, or by another module);
    `index` is then the number of statements in the body.
    """

    index: int
    target: str
    style: str
    place: Place
    conditional: bool = False
    function: str = ""
    outside: bool = False


class ListSite(Struct, frozen=True):
    """A list literal that can be extended: the value of statement number `index` of `body` in file `path`.

    The literal is the assigned or returned value, or inside a call the value of keyword `keyword`.
    """

    path: str
    body: BodyPath
    index: int
    place: Place
    keyword: str = ""


class Lifespan(Struct, frozen=True):
    """How the app starts and stops.

    `kind`: `none`; `function` (own async context manager with exactly one `yield` statement, which is statement
    `index` of `body` in `path`); `on_event` (handlers, no lifespan); `assigned` (to `router.lifespan_context`, and not
    such a function: it takes the place of everything that was there before); `foreign` (imported from a place that
    cannot be edited, several yields, a class, or anything else). `name` is qualified by the functions around it.
    """

    kind: str = "none"
    place: Place | None = None
    name: str = ""
    body: BodyPath = ()
    index: int = 0
    reason: str = ""


class App(Struct, frozen=True):
    """One FastAPI application and the place where things are registered on it.

    `name` is the local expression that holds it (`app`, `self.app`); the constructing statement is number `index` of
    `body` in file `path`. Registrations must stand before statement `limit` of that body when it is not `None`
    (`return app`, `app = socketio.ASGIApp(app)`, `if __name__ == "__main__":`). `scope` is the qualified name of the
    function that builds the app, `""` at module level.
    `reference` is how others get hold of it: `package.module:attr`, `""` when nobody can; `factory` is true when
    `attr` must be called (it then takes no argument). `wrapped` is the dotted name of what `attr` is wrapped in, when
    it is not the FastAPI object itself (`socketio.ASGIApp`).
    `keywords` are those of the call; `open_keywords` is true when more may be passed or the call cannot take more
    (`**mapping`, a subclass, two calls in an `if`): then add no keyword, use statements.
    `middleware_argument` is the source of the call's `middleware=`, `""` without one; `middleware_list` is where its
    list literal stands, `None` when there is none to extend. `routers` are `include_router` calls, `mounts` are
    mounted applications. `mounted` is where another application mounts this one, which nothing serves by itself:
    its lifespan never runs.
    """

    path: str
    module: str
    name: str
    body: BodyPath
    index: int
    place: Place
    reference: str
    factory: bool = False
    scope: str = ""
    limit: int | None = None
    keywords: tuple[str, ...] = ()
    open_keywords: bool = False
    middleware: tuple[Registration, ...] = ()
    middleware_argument: str = ""
    middleware_list: ListSite | None = None
    mounts: tuple[Registration, ...] = ()
    wrapped: str = ""
    routers: tuple[Registration, ...] = ()
    handlers: tuple[Registration, ...] = ()
    lifespan: Lifespan = Lifespan()
    mounted: Place | None = None
    editable: bool = True
    reason: str = ""
    evidence: tuple[Evidence, ...] = ()

    @property
    def shown(self) -> str:
        """The application's name for people, and for the ledger: `module:attr`, of where it is made when need be."""
        return self.reference or f"{self.module}:{self.name or self.scope}"

    @property
    def holder(self) -> str:
        """The target that the constructing statement assigns to, as source text."""
        return self.name


class DependencyHome(Struct, frozen=True):
    """Where dependencies of one kind are written.

    `form`: `array` (a TOML array of PEP 508 strings at `table`, dotted), `poetry` (a TOML table of name = constraint,
    also in a Pipfile), `lines` (a requirements file) or `cfg` (a list in setup.cfg, or the pip list of a conda
    environment). `table` is a tuple of keys: `("project", "dependencies")`, of setup.cfg a section and a key:
    `("options", "install_requires")`.
    """

    form: str
    path: str
    table: tuple[str, ...] = ()


class Requirement(Struct, frozen=True):
    """One declared dependency: its canonical name, the text as written (PEP 508 or poetry's), and where.

    `home` is where it is edited, `None` when that is not known.
    """

    name: str
    text: str
    place: Place
    group: str = ""
    home: DependencyHome | None = None


class Layout(Struct, frozen=True):
    """Where code lives and how modules name each other.

    `package` is the dotted name that new modules are put below (`""` in a flat project), `folder` its directory,
    `import_root` the directory that absolute imports start from. `relative` is true when the app file imports its
    own package with leading dots. `tests` is the folder of tests (it may not exist yet). `first_party` are the
    top-level names of the project's own modules.
    """

    package: str
    folder: str
    import_root: str
    tests: str
    relative: bool = False
    first_party: frozenset[str] = frozenset()
    style: Style = field(default_factory=Style)
