"""What rules know about a project's dependency-injector containers and about what is wired, over all files."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping

from msgspec import Struct

from laterctl.dialects.providers.container import container_classes
from laterctl.doctor.code import Code, Codebase, Visit, once
from laterctl.project.names import Names, Own, resolve
from laterctl.project.statements import Function, Scope, assigned_value, bound_targets, expressions, nodes, spots_in

PROVIDERS = "dependency_injector.providers"
CONTAINERS = "dependency_injector.containers"
WIRING = "dependency_injector.wiring"
SINGLETONS = frozenset(
    f"{PROVIDERS}.{name}"
    for name in ("Singleton", "ThreadSafeSingleton", "ThreadLocalSingleton", "ContextLocalSingleton")
)
KEEPERS = SINGLETONS | {f"{PROVIDERS}.Factory"}

_WIRES = (b"wire(", b"WiringConfiguration", b"register_loader_containers")
_RESOURCES = {"dependency_injector.resources.Resource": False, "dependency_injector.resources.AsyncResource": True}
_PLAIN = (ast.Assign, ast.AnnAssign, ast.Expr, ast.Pass, ast.FunctionDef, ast.AsyncFunctionDef)


class Resource(Struct, frozen=True):
    """A `providers.Resource`. `asynchronous` is `None` when what initialises it is not known.

    `closes` says whether it has something to do at shutdown, as far as is known.
    """

    asynchronous: bool | None
    closes: bool


class Container(Struct, frozen=True):
    """A declarative container: its class, what its body binds, its resources, and its bases among the project's own.

    `whole` is false when it may have providers that are not seen here.
    """

    node: ast.ClassDef
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
    containers: Mapping[Own, Container]
    wired: Wired
    shuts_down: bool

    @property
    def whole(self) -> bool:
        """Whether every provider of every container is known."""
        return bool(self.containers) and all(container.whole for container in self.containers.values())

    @property
    def resources(self) -> list[Resource]:
        """The resources of all containers."""
        return [found for container in self.containers.values() for found in container.resources.values()]

    @property
    def bound(self) -> frozenset[str]:
        """What the containers bind, all together."""
        return frozenset().union(*(container.names for container in self.containers.values()))

    def provided(self, own: Own) -> frozenset[str] | None:
        """Return what a container class and its bases bind, `None` when not all of it is known."""
        container = self.containers[own]
        parts = [self.provided(base) for base in container.bases]
        known = [part for part in parts if part is not None]
        return container.names.union(*known) if container.whole and len(known) == len(parts) else None

    def member(self, node: ast.expr, path: str, scope: tuple[Scope, ...] = ()) -> tuple[Own, str] | None:
        """Return the container and the first attribute that `Container.redis.provided.x` names, if it is one."""
        found = self.names.lookup(node, path, scope)
        if not isinstance(found, Own):
            return None
        head, _, rest = found.name.partition(".")
        own = Own(found.path, head)
        return (own, rest.partition(".")[0]) if own in self.containers and rest else None


@once
def injection(codebase: Codebase) -> Injection:
    """Read the containers and the wiring of a project. Parses only files that mention them."""
    names = codebase.project.names
    classes = container_classes(names, names.tree.files_containing(b"dependency_injector"))
    owns = {item.own for item in classes}
    containers = {item.own: _container(names, item.own.path, item.node, owns) for item in classes}
    shuts_down = bool(names.tree.files_containing(b"shutdown_resources"))
    return Injection(names, containers, _wired(codebase) if containers else Wired(), shuts_down)


def injected_into(item: ast.stmt, imports: Mapping[str, str]) -> set[str]:
    """The names whose values a provider takes as arguments; `name.provider` hands over the provider itself."""
    value = assigned_value(item)
    if not isinstance(value, ast.Call) or not resolve(value.func, imports).startswith(f"{PROVIDERS}."):
        return set()
    inside = list(nodes(value))
    whole = {id(node.value) for node in inside if isinstance(node, ast.Attribute) and node.attr == "provider"}
    return {node.id for node in inside if isinstance(node, ast.Name) and id(node) not in whole}


def _wired(codebase: Codebase) -> Wired:
    """Return what the `wire(...)` calls and wiring configurations of a project name; those in tests count."""
    files: set[str] = set()
    folders: set[str] = set()
    codes = [codebase.readable(path) for path in codebase.project.tree.files_containing_any(_WIRES)]
    certain = all(code is not None for code in codes)
    for visit in (visit for code in codes if code is not None for visit in code.calls):
        kind = _wires(visit)
        if kind is None:
            continue
        certain = certain and kind != "loader" and all(keyword.arg for keyword in visit.node.keywords)
        first = int(kind == "function")
        package = _package(visit.keyword("from_package"), visit.code.path)
        for position, name in enumerate(("modules", "packages"), first):
            for item in _items(visit.code, visit.argument(position, name)):
                place = _module(codebase.project.names, item, visit, package)
                certain = certain and place is not None
                files.update([place] if place else [])
                if place and name == "packages" and place.endswith("__init__.py"):
                    folders.add(place.rpartition("/")[0])
    return Wired(frozenset(files), frozenset(folders), certain)


def _container(names: Names, path: str, node: ast.ClassDef, owns: set[Own]) -> Container:
    bases = [names.lookup(base, path) for base in node.bases]
    own = tuple(base for base in bases if isinstance(base, Own) and base in owns)
    unknown = [base for base in bases if base not in own and base != f"{CONTAINERS}.DeclarativeContainer"]
    plain = all(isinstance(statement, _PLAIN) for statement in node.body)
    targets = [target for statement in node.body for target in bound_targets(statement)]
    bound = {target.id for target in targets if isinstance(target, ast.Name)}
    bound.update(statement.name for statement in node.body if isinstance(statement, Function))
    whole = not unknown and plain and not node.decorator_list
    return Container(node, frozenset(bound), dict(_resources(names, path, node)), own, whole)


def _resources(names: Names, path: str, node: ast.ClassDef) -> Iterator[tuple[str, Resource]]:
    for statement in node.body:
        value = statement.value if isinstance(statement, ast.Assign | ast.AnnAssign) else None
        if isinstance(value, ast.Call) and names.resolve(value.func, path) == f"{PROVIDERS}.Resource":
            resource = _initialised(names, path, value.args[0] if value.args else None)
            targets = [target for target in bound_targets(statement) if isinstance(target, ast.Name)]
            yield from ((target.id, resource) for target in targets)


def _initialised(names: Names, path: str, node: ast.expr | None) -> Resource:
    found = names.lookup(node, path) if node is not None else ""
    made = names.statement(found) if isinstance(found, Own) and found.name and "." not in found.name else None
    if isinstance(made, Function) and not made.decorator_list:
        inside = [spot.node for spot in spots_in(made.body, ()) if not spot.scope]
        yields = any(isinstance(each, ast.Yield | ast.YieldFrom) for item in inside for each in expressions(item))
        return Resource(isinstance(made, ast.AsyncFunctionDef), yields)
    if isinstance(made, ast.ClassDef) and isinstance(found, Own):
        kinds = [_RESOURCES.get(names.resolve(base, found.path)) for base in made.bases]
        if len(kinds) == 1 and kinds[0] is not None:
            closes = any(isinstance(item, Function) and item.name == "shutdown" for item in made.body)
            return Resource(kinds[0], closes)
    return Resource(None, closes=False)


def _wires(visit: Visit[ast.Call]) -> str | None:
    known = {
        f"{WIRING}.register_loader_containers": "loader",
        f"{WIRING}.wire": "function",
        f"{CONTAINERS}.WiringConfiguration": "configuration",
    }
    return known.get(visit.target) or ("method" if visit.method == "wire" else None)


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


def _module(names: Names, node: ast.expr, visit: Visit[ast.Call], package: str | None) -> str | None:
    """Return the file of a module as `wire(...)` names it, `""` for one of another distribution, `None` if unknown."""
    path = visit.code.path
    if ast.unparse(node) in {"__name__", "sys.modules[__name__]"}:
        return path
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        dotted = _absolute(node.value, package)
        file = names.module_file(dotted, path) if dotted else None
        likely = names.files_ending(dotted.replace(".", "/")) if dotted and file is None else []
        if likely:
            return likely[0] if len(likely) == 1 else None
        return "" if file is None and dotted and not names.is_own(dotted, path) else file
    found = names.lookup(node, path, visit.spot.scope)
    if isinstance(found, Own):
        return None if found.name else found.path
    # Where nobody knows from where imports start, a module of the project's may look like another distribution's.
    likely = names.files_ending(found.replace(".", "/")) if found else []
    return None if len(likely) > 1 or not found else likely[0] if likely else ""


def _absolute(dotted: str, package: str | None) -> str | None:
    """Resolve a dotted name with leading dots as `importlib` does, `None` when the package is not known."""
    name = dotted.lstrip(".")
    level = len(dotted) - len(name)
    if not level:
        return dotted
    parts = package.split(".") if package else []
    return ".".join([*parts[: len(parts) - level + 1], name]) if len(parts) >= level else None
