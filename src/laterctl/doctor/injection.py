"""What doctor rules know about a project's dependency-injector containers and about what is wired, over all files."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from msgspec import Struct, field

from laterctl.doctor.code import Code
from laterctl.project.names import Names, Own, resolve
from laterctl.project.source import Unreadable
from laterctl.project.statements import Function, Scope, bound_targets, expressions, spots_in
from laterctl.project.tree import Outside

PROVIDERS = "dependency_injector.providers"
CONTAINERS = "dependency_injector.containers"
WIRING = "dependency_injector.wiring"
MARKERS = frozenset(f"{WIRING}.{name}" for name in ("Provide", "Provider", "Closing"))

_RESOURCES = {"dependency_injector.resources.Resource": False, "dependency_injector.resources.AsyncResource": True}
_PLAIN = (ast.Assign, ast.AnnAssign, ast.Expr, ast.Pass, ast.FunctionDef, ast.AsyncFunctionDef)


class Resource(Struct, frozen=True):
    """A `providers.Resource`. `asynchronous` is `None` when what initialises it is not known.

    `closes` says whether it has something to do at shutdown, as far as is known.
    """

    line: int
    asynchronous: bool | None
    closes: bool


class Container(Struct, frozen=True):
    """A declarative container: what its class body binds, its resources, and its bases among the project's own.

    `whole` is false when it may have providers that are not seen here.
    """

    names: frozenset[str]
    resources: Mapping[str, Resource]
    bases: tuple[Own, ...]
    whole: bool


class Wired(Struct, frozen=True):
    """Files and folders that some `wire(...)` or `WiringConfiguration` names; `certain` when nothing else can be."""

    files: frozenset[str] = frozenset()
    folders: frozenset[str] = frozenset()
    certain: bool = True

    def covers(self, path: str) -> bool:
        """Whether the module in file `path` is wired."""
        return path in self.files or any(path.startswith(f"{folder}/") or not folder for folder in self.folders)


class Injection(Struct, frozen=True):
    """The containers of a project, by where they are defined, and what is wired."""

    names: Names
    containers: Mapping[Own, Container] = field(default_factory=dict)
    wired: Wired = Wired()
    shuts_down: bool = False

    @property
    def whole(self) -> bool:
        """Whether every provider of every container is known."""
        return bool(self.containers) and all(container.whole for container in self.containers.values())

    @property
    def resources(self) -> list[Resource]:
        """The resources of all containers."""
        return [found for container in self.containers.values() for found in container.resources.values()]

    def provided(self, own: Own) -> frozenset[str]:
        """Return what a container class binds, its bases included."""
        container = self.containers[own]
        return container.names.union(*(self.provided(base) for base in container.bases))

    def member(self, node: ast.expr, path: str, scope: tuple[Scope, ...] = ()) -> tuple[Own, str] | None:
        """Return the container and the first attribute that `Container.redis.provided.x` names, if it is one."""
        found = self.names.lookup(node, path, scope)
        if not isinstance(found, Own):
            return None
        head, _, rest = found.name.partition(".")
        own = Own(found.path, head)
        return (own, rest.partition(".")[0]) if own in self.containers and rest else None


def injection(names: Names) -> Injection:
    """Read the containers and the wiring of a project. Parses only files that mention them."""
    containers: dict[Own, Container] = {}
    classes = [(path, node) for path, tree in _holding(names, b"dependency_injector") for node in tree.body]
    waiting = [(path, node) for path, node in classes if isinstance(node, ast.ClassDef)]
    while True:
        # Once more after each round: a class is a container when one of its bases turned out to be one.
        found = {Own(path, node.name): _container(names, path, node, containers) for path, node in waiting}
        new = {own: container for own, container in found.items() if container is not None}
        if not new:
            break
        containers |= new
        waiting = [(path, node) for path, node in waiting if Own(path, node.name) not in new]
    shuts_down = bool(names.tree.files_containing(b"shutdown_resources"))
    return Injection(names, containers, wiring(names), shuts_down)


def wiring(names: Names) -> Wired:
    """Return what the `wire(...)` calls and wiring configurations of a project name."""
    files: set[str] = set()
    folders: set[str] = set()
    needles = (b"wire(", b"WiringConfiguration", b"register_loader_containers")
    paths = {path: tree for needle in needles for path, tree in _holding(names, needle)}
    certain = all(path in paths for path in names.tree.files_containing_any(needles))
    for path, tree in paths.items():
        code = Code(path, tree)
        for call, spot, imports in code.calls():
            kind = _wires(call, imports)
            if kind is None:
                continue
            certain = certain and kind != "loader" and all(keyword.arg for keyword in call.keywords)
            arguments = {keyword.arg: keyword.value for keyword in call.keywords}
            positional = call.args[1:] if kind == "function" else call.args
            arguments |= dict(zip(("modules", "packages"), positional, strict=False))
            package = _package(arguments.get("from_package"), path)
            for name in ("modules", "packages"):
                for item in _items(code, arguments.get(name)):
                    place = _module(names, item, path, spot.scope, package)
                    if place is None:
                        certain = False
                    elif place:
                        files.add(place)
                    if place and name == "packages" and place.endswith("__init__.py"):
                        folders.add(place.rpartition("/")[0])
    return Wired(frozenset(files), frozenset(folders), certain)


def _holding(names: Names, needle: bytes) -> Iterator[tuple[str, ast.Module]]:
    for path in names.tree.files_containing(needle):
        try:
            yield path, names.tree.python(path).tree
        except (Unreadable, Outside):
            continue


def _container(names: Names, path: str, node: ast.ClassDef, known: Mapping[Own, Container]) -> Container | None:
    bases = [names.lookup(base, path) for base in node.bases]
    own = tuple(base for base in bases if isinstance(base, Own) and base in known)
    if not own and f"{CONTAINERS}.DeclarativeContainer" not in bases:
        return None
    unknown = [base for base in bases if base not in own and base != f"{CONTAINERS}.DeclarativeContainer"]
    plain = all(isinstance(statement, _PLAIN) for statement in node.body)
    bound = {
        target.id for statement in node.body for target in bound_targets(statement) if isinstance(target, ast.Name)
    }
    bound.update(statement.name for statement in node.body if isinstance(statement, Function))
    whole = not unknown and plain and not node.decorator_list
    return Container(frozenset(bound), dict(_resources(names, path, node)), own, whole)


def _resources(names: Names, path: str, node: ast.ClassDef) -> Iterator[tuple[str, Resource]]:
    imports = names.imports(path)
    for statement in node.body:
        value = statement.value if isinstance(statement, ast.Assign | ast.AnnAssign) else None
        if not isinstance(value, ast.Call) or resolve(value.func, imports) != f"{PROVIDERS}.Resource":
            continue
        for target in bound_targets(statement):
            if isinstance(target, ast.Name):
                asynchronous, closes = _initialiser(names, path, value.args[0] if value.args else None)
                yield target.id, Resource(value.lineno, asynchronous, closes)


def _initialiser(names: Names, path: str, node: ast.expr | None) -> tuple[bool | None, bool]:
    found = names.lookup(node, path) if node is not None else ""
    made = names.statement(found) if isinstance(found, Own) and found.name and "." not in found.name else None
    if isinstance(made, Function) and not made.decorator_list:
        nodes = [node for statement in own_statements(made.body) for node in expressions(statement)]
        yields = any(isinstance(node, ast.Yield | ast.YieldFrom) for node in nodes)
        return isinstance(made, ast.AsyncFunctionDef), yields
    if isinstance(made, ast.ClassDef) and isinstance(found, Own):
        kinds = [_RESOURCES.get(names.resolve(base, found.path)) for base in made.bases]
        if len(kinds) == 1 and kinds[0] is not None:
            return kinds[0], any(isinstance(item, Function) and item.name == "shutdown" for item in made.body)
    return None, False


def own_statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements of a body and those in its branches and loops, not those of functions and classes in it."""
    for spot in spots_in(body, ()):
        if not spot.scope:
            yield spot.node


def _wires(call: ast.Call, imports: Mapping[str, str]) -> str | None:
    target = resolve(call.func, imports)
    if target == f"{WIRING}.register_loader_containers":
        return "loader"
    if target == f"{WIRING}.wire":
        return "function"
    if target == f"{CONTAINERS}.WiringConfiguration":
        return "configuration"
    return "method" if isinstance(call.func, ast.Attribute) and call.func.attr == "wire" else None


def _package(node: ast.expr | None, path: str) -> str | None:
    """The package that relative names start from: `from_package`, or that of the file; `None` when it is not known."""
    if node is None or (isinstance(node, ast.Name) and node.id == "__package__"):
        return path.rpartition("/")[0].replace("/", ".")
    if isinstance(node, ast.Name) and node.id == "__name__":
        return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _items(code: Code, node: ast.expr | None) -> list[ast.expr]:
    value = code.value(node) if node is not None else None
    if value is None or (isinstance(value, ast.Constant) and value.value is None):
        return []
    return list(value.elts) if isinstance(value, ast.List | ast.Tuple | ast.Set) else [value]


def _module(names: Names, node: ast.expr, path: str, scope: tuple[Scope, ...], package: str | None) -> str | None:
    """Return the file of a module as `wire(...)` names it, `""` for one of another distribution, `None` if unknown."""
    if ast.unparse(node) in {"__name__", "sys.modules[__name__]"}:
        return path
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        dotted = _absolute(node.value, package)
        file = names.module_file(dotted, path) if dotted else None
        return "" if file is None and dotted and not names.is_own(dotted, path) else file
    found = names.lookup(node, path, scope)
    if isinstance(found, Own):
        return None if found.name else found.path
    return "" if found else None


def _absolute(dotted: str, package: str | None) -> str | None:
    """Resolve a dotted name with leading dots as `importlib` does, `None` when the package is not known."""
    name = dotted.lstrip(".")
    level = len(dotted) - len(name)
    if not level:
        return dotted
    parts = package.split(".") if package else []
    return ".".join([*parts[: len(parts) - level + 1], name]) if len(parts) >= level else None
