"""Finds what was done by hand: imports, calls, middleware, routes and definitions in the project's production code.

Every search looks at bytes first and parses only the files that may hold a match. Tests, documentation and examples
are left out, as are files that cannot be read.
"""

from __future__ import annotations

import ast
import posixpath
from collections.abc import Collection, Iterable, Iterator
from functools import partial

from msgspec import Struct

from laterctl.project import statements as bodies
from laterctl.project.application.registered import middleware_class
from laterctl.project.discover import Project
from laterctl.project.facts import App
from laterctl.project.names import Own, dotted_path
from laterctl.project.places import Place, is_test_or_docs
from laterctl.project.source import Unreadable
from laterctl.project.statements import (
    Scope,
    StatementRef,
    assigned_value,
    bound_targets,
    nodes,
    own_nodes,
    spots,
    wrapped_function,
)
from laterctl.project.tree import Outside

_METHODS = ("get", "post", "put", "patch", "delete", "head", "options", "trace", "api_route", "websocket", "route")
_SHAPES = ("abc.ABC", "pydantic.BaseModel", "typing.NamedTuple", "typing.Protocol", "typing.TypedDict")
_ADDERS = ("add_api_route", "add_route", "mount", "add_api_websocket_route", "add_websocket_route")


def imports(project: Project, modules: Collection[str]) -> list[Place]:
    """Return where a module of `modules`, or anything below it, is imported, also inside functions."""

    def wanted(dotted: str) -> bool:
        return any(dotted == module or dotted.startswith(f"{module}.") for module in modules)

    found: list[Place] = []
    for path in _files(project, {module.partition(".")[0] for module in modules}):
        for node in nodes(project.tree.python(path).tree):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            else:
                continue
            if any(wanted(name) for name in names) and not _is_own(project, names[0], path):
                found.append(Place(path, node.lineno))
    return sorted(set(found))


def _is_own(project: Project, dotted: str, path: str) -> bool:
    return project.names.module_file(dotted.partition(".")[0], path) is not None


def calls(project: Project, dotted: Collection[str]) -> list[Place]:
    """Return where something is called whose canonical dotted name is in `dotted`."""
    return [place for place, _ in _calls(project, dotted)]


def uses(project: Project, dotted: Collection[str]) -> list[Place]:
    """Return where something whose canonical dotted name is in `dotted` is used, outside of imports."""
    words = {name.rpartition(".")[2] for name in dotted}
    found: set[Place] = set()
    for path in _files(project, words):
        for spot in spots(project.tree.python(path).tree):
            found.update(
                Place(path, node.lineno)
                for node in own_nodes(spot.node)
                if isinstance(node, ast.Name | ast.Attribute) and _resolved(project, node, path, spot) in dotted
            )
    return sorted(found)


def _calls(project: Project, dotted: Collection[str]) -> Iterator[tuple[Place, ast.Call]]:
    words = {name.rpartition(".")[2] for name in dotted}
    for path in _files(project, words):
        for spot, node in bodies.calls(project.tree.python(path).tree):
            if _resolved(project, node.func, path, spot) in dotted:
                yield Place(path, node.lineno), node


def _resolved(project: Project, node: ast.expr, path: str, spot: StatementRef) -> str:
    """Return the dotted name of something of another distribution, `""` for what is the project's own or unknown."""
    found = project.names.lookup(node, path)
    if not found and spot.scope and dotted_path(node):
        found = project.names.lookup(node, path, spot.scope)
    return found if isinstance(found, str) else ""


def middleware(project: Project, classes: Collection[str]) -> list[Place]:
    """Return where a middleware class of `classes` (canonical dotted names) is put on the application.

    That is `x.add_middleware(Class)`, `Middleware(Class)` in a list, and `Class(app)` around one, wherever it stands
    and whatever `x` is, unless that is known to be another application of the project, which requests to this one do
    not come to.
    """
    below = _below(project)
    others = {item.place for other in _others(project) if other not in below for item in other.middleware}
    others -= {item.place for item in project.app.middleware} if project.app is not None else set()
    words = {name.rpartition(".")[2] for name in classes}
    found: dict[Place, bool] = {}
    for path in _files(project, words):
        for spot, node in bodies.calls(project.tree.python(path).tree):
            put = middleware_class(node, partial(_resolved, project, path=path, spot=spot))
            if put is not None and _resolved(project, put, path, spot) in classes:
                found[Place(path, node.lineno)] = put is node.func
    # One that is made by itself may be there for something else: those that are put on come first.
    return sorted(found.keys() - others, key=lambda place: (found[place], place))


def _others(project: Project) -> list[App]:
    """Return the applications of the project beside the one that is meant; none while that is open."""
    app = project.app
    return [other for other in project.apps if app is not None and other.place != app.place]


def _below(project: Project) -> list[App]:
    """Return the applications that are mounted on the one that is meant, or on one of these."""
    found = [project.app] if project.app is not None else []
    for app in found:
        mounts = {item.place for item in app.mounts}
        found += [other for other in project.apps if other.mounted in mounts and other not in found]
    return found[1:]


def definitions(project: Project, names: Collection[str], *, idle: bool = False) -> list[Place]:
    """Return where a class, function or module-level name called one of `names` is defined.

    Imports do not count, nor does what does nothing (a stub, a protocol, a record of fields, a type without `Depends`),
    nor a path operation; with `idle` they do, but for imports.
    """
    found: list[Place] = []
    for path in _files(project, names):
        for spot in spots(project.tree.python(path).tree):
            inside = bool(spot.scope)
            if isinstance(spot.node, Scope):
                nested = any(not isinstance(part, ast.ClassDef) for part in spot.scope)
                if spot.node.name not in names or nested:
                    continue
                if idle or not (_does_nothing(project, spot.node, path) or _answers_alone(project, spot.node, path)):
                    found.append(Place(path, spot.node.lineno))
            elif inside or not any(dotted_path(target) in names for target in bound_targets(spot.node)):
                continue
            elif idle or not _is_type(project, spot.node, path):
                found.append(Place(path, spot.node.lineno))
    return sorted(set(found))


def _does_nothing(project: Project, node: ast.stmt, path: str) -> bool:
    """Whether a definition only says what something looks like."""
    if isinstance(node, ast.ClassDef):
        plain = all(project.names.resolve(base, path) in _SHAPES for base in node.bases)
        return plain and all(_does_nothing(project, item, path) for item in node.body)
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return all(_does_nothing(project, item, path) for item in node.body)
    if isinstance(node, ast.Raise):
        raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        return isinstance(raised, ast.Name) and raised.id == "NotImplementedError"
    said = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return said or isinstance(node, ast.Pass | ast.AnnAssign)


def _is_type(project: Project, node: ast.stmt, path: str) -> bool:
    """Whether a name is given a type on which nothing depends, as on `Annotated[X, Depends(f)]`."""
    value = assigned_value(node)
    if not isinstance(value, ast.Subscript) or not project.names.resolve(value, path).startswith("typing"):
        return False
    called = (part.func for part in nodes(value) if isinstance(part, ast.Call))
    return not any(dotted_path(func).rpartition(".")[2] in {"Depends", "Security"} for func in called)


def headers(project: Project, names: Collection[str]) -> list[Place]:
    """Return where modules give two or more of these HTTP headers a value, or one where that is all: the first of each.

    That is a key of a mapping, an item that is assigned, or the first of a pair or of several arguments, as text or
    as bytes. A list of names, as in a CORS configuration, sets none; what a single route or a folder of files sends is
    that of no other answer, nor is what goes with a download. A single header counts where something with headers gets it or a pair of bytes has it: the
    key of a mapping may be what is sent to somebody else.
    """
    named = _named if len(names) > 1 else _put
    spelled = {form for name in names for form in (name, name.lower(), name.title())}
    wanted = {name.lower() for name in names}
    found: list[Place] = []
    for path in _files(project, spelled):
        lines: dict[str, int] = {}
        tree = project.tree.python(path).tree
        alone = {id(part) for node in nodes(tree) if _answers_alone(project, node, path) for part in nodes(node)}
        for node in (name for part in nodes(tree) if id(part) not in alone for name in named(part, wanted)):
            if (value := _text(node)) in wanted:
                lines.setdefault(value, node.lineno)
        if len(lines) >= min(2, len(names)):
            found.append(Place(path, min(lines.values())))
    return found


def _answers_alone(project: Project, node: ast.AST, path: str) -> bool:
    """Whether a definition is a path operation, or a kind of `StaticFiles`."""
    if isinstance(node, ast.ClassDef):
        return any(project.names.resolve(base, path) == "starlette.staticfiles.StaticFiles" for base in node.bases)
    return isinstance(node, Scope) and any(
        isinstance(item, ast.Call)
        and isinstance(item.func, ast.Attribute)
        and item.func.attr in _METHODS
        and _text(next(iter(item.args), item)).startswith("/")
        for item in node.decorator_list
    )


def _text(node: ast.expr) -> str:
    """Return a text, or bytes as text, in lower case; `""` for anything else."""
    value = node.value if isinstance(node, ast.Constant) else ""
    value = value.decode("latin-1") if isinstance(value, bytes) else value
    return value.lower() if isinstance(value, str) else ""


def _named(node: ast.AST, headers: set[str]) -> list[ast.expr]:
    """Return the expressions that `node` gives a value by their name; two `headers` in a row are a list of names."""
    if isinstance(node, ast.Dict):
        keys = [key for key in node.keys if key is not None]
        return [] if any(_text(key) == "content-disposition" for key in keys) else keys
    if isinstance(node, ast.Assign):
        return [target.slice for target in node.targets if isinstance(target, ast.Subscript)]
    if isinstance(node, ast.Tuple | ast.List) and len(node.elts) == 2:
        return [] if _text(node.elts[1]) in headers else node.elts[:1]
    return node.args[:1] if isinstance(node, ast.Call) and len(node.args) > 1 else []


def _put(node: ast.AST, _headers: set[str]) -> list[ast.expr]:
    """Return the expressions that name a header which `node` puts on a message: `x.headers[...] = `, `(b"...", value)`."""
    if isinstance(node, ast.Assign):
        items = [target for target in node.targets if isinstance(target, ast.Subscript)]
        return [item.slice for item in items if dotted_path(item.value).rpartition(".")[2] == "headers"]
    pair = node.elts if isinstance(node, ast.Tuple) and len(node.elts) == 2 else []
    return [name for name in pair[:1] if isinstance(name, ast.Constant) and isinstance(name.value, bytes)]


class Route(Struct, frozen=True):
    """A route as written: its own path, every static prefix that may stand before it, and the object it is put on.

    `holder` is `None` where that is not a name of a module of the project.
    """

    path: str
    place: Place
    prefixes: tuple[str, ...]
    holder: Own | None = None

    @property
    def full(self) -> frozenset[str]:
        """The paths under which it may answer, without a trailing slash."""
        return frozenset((prefix + self.path).rstrip("/") or "/" for prefix in self.prefixes)


def routes(project: Project, paths: Collection[str]) -> list[Place]:
    """Return the routes that answer under one of `paths`, as far as prefixes are written as literals.

    A route below a prefix that cannot be read counts by its own path.
    """
    elsewhere = {Own(other.path, other.name) for other in _others(project)}
    wanted = {path.rstrip("/") or "/" for path in paths}
    last = {path.rstrip("/").rpartition("/")[2] for path in paths}
    found = [
        route.place for route in all_routes(project, last) if route.full & wanted and route.holder not in elsewhere
    ]
    return sorted(set(found))


def all_routes(project: Project, words: Iterable[str], within: str = "") -> list[Route]:
    """Return the routes of the files whose text contains one of `words`, or of the one `within` alone."""
    prefixes = _Prefixes(project)
    found: list[Route] = []
    for path in (path for path in _files(project, words) if within in {"", path}):
        for spot, node in bodies.calls(project.tree.python(path).tree):
            literal = _route_path(node, isinstance(spot.node, Scope))
            if literal is not None and isinstance(node.func, ast.Attribute):
                before = prefixes.of(node.func.value, path)
                holder = project.names.lookup(node.func.value, path)
                own = holder if isinstance(holder, Own) else None
                found.append(Route(literal, Place(path, node.lineno), before, own))
    return found


def _route_path(call: ast.Call, decorates: bool) -> str | None:
    """Return the literal path of a call that makes a route, else `None`."""
    method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    if method not in _ADDERS and not (decorates and method in _METHODS):
        return None
    named = [word.value for word in call.keywords if word.arg == "path"]
    literal = next(iter([*call.args[:1], *named]), None)
    value = literal.value if isinstance(literal, ast.Constant) else None
    return value if isinstance(value, str) and (not value or value.startswith("/")) else None


def shared_prefix(project: Project, apart: Collection[str] = ()) -> tuple[str, Place] | None:
    """Return the path below which the routers of a project have theirs, such as `/api`, and where one is included.

    `None` unless there are several with paths of their own, written as literals. Routers in the files `apart` do not
    count.
    """
    included = _Prefixes(project).innermost()
    found = {prefix: place for router, prefix, place in included if router.path not in apart}
    if len(found) < 2 or not all(prefix.startswith("/") for prefix in found):
        return None
    shared = posixpath.commonpath(found).partition("/{")[0].rstrip("/")
    return (shared, min(found.values())) if shared and "{" not in shared else None


class _Prefixes:
    """Static prefixes of routers: their own, and those of every `include_router` that names them."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._included: dict[Own, list[tuple[str, Own | None, Place]]] | None = None

    def innermost(self) -> Iterator[tuple[Own, str, Place]]:
        """Yield the routers that are included and include none, with what stands before their routes, and where."""
        holders = {holder for entries in self._includes().values() for _, holder, _ in entries}
        for own, entries in self._includes().items():
            if own not in holders:
                yield from ((own, prefix, entries[0][2]) for prefix in self._of(own, frozenset()))

    def of(self, node: ast.expr, path: str) -> tuple[str, ...]:
        """Return what may stand before a route of the object `node`, `("",)` when nothing is known."""
        own = self._project.names.lookup(node, path)
        return self._of(own, frozenset()) if isinstance(own, Own) else ("",)

    def _of(self, own: Own, seen: frozenset[Own]) -> tuple[str, ...]:
        base = self._base(own)
        included = self._includes().get(own, [])
        if not included or own in seen:
            return (base,)
        found: list[str] = []
        for prefix, holder, _ in included:
            outer = self._of(holder, seen | {own}) if holder is not None else ("",)
            found += [before + prefix + base for before in outer]
        return tuple(dict.fromkeys(found))

    def _base(self, own: Own) -> str:
        statement = self._project.names.statement(own)
        value = assigned_value(statement) if statement is not None else None
        return self._prefix(value) if isinstance(value, ast.Call) else ""

    def _prefix(self, call: ast.Call) -> str:
        for word in call.keywords:
            if word.arg == "prefix" and isinstance(word.value, ast.Constant):
                return str(word.value.value or "")
        return ""

    def _includes(self) -> dict[Own, list[tuple[str, Own | None, Place]]]:
        if self._included is None:
            self._included = {}
            for path in _files(self._project, {"include_router"}):
                for _, node in bodies.calls(self._project.tree.python(path).tree):
                    func = wrapped_function(node.func)
                    if isinstance(func, ast.Attribute) and func.attr == "include_router" and node.args:
                        self._note(node, func.value, path)
        return self._included

    def _note(self, node: ast.Call, holder: ast.expr, path: str) -> None:
        assert self._included is not None
        own = self._project.names.lookup(node.args[0], path)
        outer = self._project.names.lookup(holder, path)
        if isinstance(own, Own):
            entry = (self._prefix(node), outer if isinstance(outer, Own) else None, Place(path, node.lineno))
            self._included.setdefault(own, []).append(entry)


def _files(project: Project, words: Iterable[str]) -> Iterator[str]:
    """Yield the production files that contain one of `words` and parse; not those of another program."""
    elsewhere = tuple(_programs(project))
    for path in project.tree.files_containing_any(word.encode() for word in words):
        if is_test_or_docs(path) or path.startswith(elsewhere):
            continue
        try:
            _ = project.tree.python(path).tree
        except (Unreadable, Outside):
            continue
        yield path


def _programs(project: Project) -> Iterator[str]:
    """Yield the folders that imports of other applications start from, where this one's file takes nothing from."""
    app = project.app
    heads = {dotted.partition(".")[0] for dotted in project.names.imports(app.path).values()} if app is not None else ()
    for other in _others(project):
        stem = other.path.removesuffix(".py").removesuffix("/__init__")
        root = stem.removesuffix(other.module.replace(".", "/"))
        used = any(project.tree.is_dir(f"{root}{head}") or project.tree.exists(f"{root}{head}.py") for head in heads)
        if root and not used and app is not None and not app.path.startswith(root):
            yield root
