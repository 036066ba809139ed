"""dependency-injector: the container that new providers go into, and how other modules reach its instance."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from msgspec import Struct, field

from laterctl.dialects.ground import Ground, after_docstring
from laterctl.dialects.providers.base import Providers, ProviderSpec
from laterctl.dialects.settings.base import imported
from laterctl.project.bindings import bound_to
from laterctl.project.facts import App, BodyPath, Evidence, Undecided
from laterctl.project.names import Names, Own, dotted_path, imports_of
from laterctl.project.places import Place, is_test_or_docs
from laterctl.project.source import Unreadable
from laterctl.project.statements import StatementRef, assigned_value, body_at, bound_targets, nodes, spots
from laterctl.project.tree import Outside
from laterctl.project.unreadable import unread
from laterctl.refusal import Refusal, Refused
from laterctl.render import Expr, Import
from laterctl.targets.base import Anchor
from laterctl.targets.resolved import Resolved
from laterctl.targets.statement import Statement

_BASE = "dependency_injector.containers.DeclarativeContainer"
_DYNAMIC = "dependency_injector.containers.DynamicContainer"
_PROVIDERS = "dependency_injector.providers"
_HINT = "container in [tool.laterctl], as module:Class"
_CALLED = r"(?i)container[^/]*\.py$"


class Container(Struct, frozen=True):
    """A dependency-injector container: class `class_name` in `path`, whose statements are list `body`.

    `access` gives the instance with the imports it needs, or is `None` when no module-level instance can be imported
    (`reason` says why). `instance` is what tests import, which may be in the application's own module. `providers` maps
    each provider's name to the ordinal of its statement.
    """

    title: ClassVar[str] = "dependency-injector"

    path: str
    module: str
    class_name: str
    body: BodyPath
    place: Place
    access: Expr | None
    instance: Import | None = None
    providers: Mapping[str, int] = field(default_factory=dict)
    editable: bool = True
    reason: str = ""
    evidence: tuple[Evidence, ...] = ()

    @property
    def scope(self) -> str:
        """The qualified name of the container class."""
        return self.class_name

    def words(self) -> str:
        """Return what was found, for people."""
        return f"container {self.class_name} ({self.place})"


class ContainerProviders(Providers):
    """Providers of a container that can be edited, and whose instance other modules can import."""

    def __init__(self, container: Container, access: Expr) -> None:
        self._container = container
        self._access = access

    def has(self, name: str) -> bool:
        """Whether the container has a provider of that name."""
        return name in self._container.providers

    def declare(self, spec: ProviderSpec, arguments: Sequence[str], ground: Ground) -> Iterator[Resolved]:
        """Yield the provider: a `Singleton`, or a `Callable` where the function keeps the object itself.

        Raises:
            Refused: the container has another provider of that name.
        """
        container = self._container
        wanted, local = ground.imported(container.path, spec.source)
        imported_provider, provider = _provider(ground, container, "Singleton" if spec.is_kept else "Callable")
        code = f"{spec.name} = {provider}({', '.join((local, *arguments))})"
        target = Statement(container.path, container.scope, code, (10, spec.name))
        statements = body_at(ground.project.tree.python(container.path).tree, container.body)
        existing = container.providers.get(spec.name)
        own = ground.spots(container.path)
        known = ground.is_recorded(target) or ground.is_present(target)
        if existing is not None and (container.body, existing) not in own and not known:
            raise Refused(
                Refusal(
                    "name-clash",
                    f"{container.class_name} already has a provider {spec.name}",
                    Place(container.path, statements[existing].lineno),
                    expected=f"no provider of that name, or `{code}`",
                    snippet=code,
                    remedy=f"rename the provider {spec.name}",
                    feature=ground.feature,
                )
            )
        users = [ordinal for ordinal in container.providers.values() if (container.body, ordinal) not in own]
        yield wanted
        if imported_provider is not None:
            yield imported_provider
        yield Resolved(target, Anchor(container.body, max(users, default=after_docstring(statements))))

    def instead(self) -> None:
        """Nothing is done instead: the container gets the providers."""

    def read(self, spec: ProviderSpec, module: str) -> Expr:
        """Return the call of the provider, so that overriding it counts."""
        return Expr(f"{self._access.text}.{spec.name}()", self._access.imports)

    def keep(self, spec: ProviderSpec) -> Expr:
        """Return nothing: the provider keeps it."""
        return Expr("")

    def forget(self, spec: ProviderSpec, module: str) -> Expr:
        """Return the reset of the provider."""
        return Expr(f"{self._access.text}.{spec.name}.reset", self._access.imports)


def _provider(ground: Ground, container: Container, kind: str) -> tuple[Resolved | None, str]:
    """How the container's file spells a class of `dependency_injector.providers`."""
    tree = ground.project.tree.python(container.path).tree
    names = imports_of(tree, container.module, container.path.endswith("__init__.py"))
    for local, dotted in names.items():
        if dotted == _PROVIDERS:
            return None, f"{local}.{kind}"
    if bound_to(ground.project, container.path, "providers")[0] is None:
        wanted, local = ground.imported(container.path, "dependency_injector:providers")
        return wanted, f"{local}.{kind}"
    wanted, local = ground.imported(container.path, f"dependency_injector.providers:{kind}")
    return wanted, local


class _Class(Struct, frozen=True):
    own: Own
    node: ast.ClassDef
    body: BodyPath


class _Instance(Struct, frozen=True):
    path: str
    name: str
    line: int
    scope: str


def find_container(names: Names, app: App | None, asked: str = "") -> tuple[Container | None, tuple[Undecided, ...]]:
    """Find the container class; `asked` is the user's `module:Class` (or `module:instance`)."""
    paths = [path for path in names.tree.files_containing(b"dependency_injector") if not is_test_or_docs(path)]
    if not paths:
        return None, unread(names.tree, [], called=_CALLED)
    classes = container_classes(names, paths)
    if not classes:
        dynamic = _dynamic(names, paths)
        return dynamic, unread(names.tree, ["dependency_injector"], called=_CALLED) if dynamic is None else ()
    instances = {item.own: _instances(names, item) for item in classes}
    overriding = {item.own: _overrides(names, item) for item in classes}
    overridden = {target for targets in overriding.values() for target in targets}
    if asked:
        wanted = [item for item in classes if _is_asked(names, item, instances[item.own], asked)]
        if not wanted:
            shown = ", ".join(names.spell(item.own) for item in classes)
            return None, (Undecided("container-not-found", f"no container {asked}; found: {shown}", _HINT),)
        return _describe(names, wanted[0], instances[wanted[0].own], app, overridden), ()
    nested = _nested(names, classes)
    outer = [item for item in classes if item.own not in nested and not overriding[item.own]] or classes
    for better in (
        [item for item in outer if any(not found.scope for found in instances[item.own])],
        [item for item in outer if instances[item.own]],
        [item for item in outer if _has_config(names, item)],
    ):
        if better:
            outer = better
        if len(outer) == 1:
            break
    if len(outer) > 1 and app is not None:
        outer = [item for item in outer if _imports(names, app.path, item, instances[item.own])] or outer
    if len(outer) > 1:
        places = tuple(Place(item.own.path, item.node.lineno) for item in outer)
        shown = ", ".join(names.spell(item.own) for item in outer)
        return None, (Undecided("several-containers", f"several containers: {shown}", _HINT, places),)
    return _describe(names, outer[0], instances[outer[0].own], app, overridden), ()


def container_classes(names: Names, paths: list[str]) -> list[_Class]:
    """Return the classes that derive from DeclarativeContainer, also through other classes of the project."""
    found: dict[Own, _Class] = {}
    grown = True
    while grown:
        grown = False
        for path in paths:
            try:
                every = list(spots(names.tree.python(path).tree))
            except (Unreadable, Outside):
                continue
            for spot in every:
                if not isinstance(spot.node, ast.ClassDef) or spot.scope:
                    continue
                own = Own(path, spot.node.name)
                bases = [names.lookup(base, path) for base in spot.node.bases]
                if own not in found and any(
                    base == _BASE or (isinstance(base, Own) and base in found) for base in bases
                ):
                    found[own] = _Class(own, spot.node, spot.inner)
                    grown = True
    return list(found.values())


def _instances(names: Names, item: _Class) -> list[_Instance]:
    found: list[_Instance] = []
    for path in names.tree.files_containing(item.own.name.encode()):
        if is_test_or_docs(path):
            continue
        try:
            found += _instances_in(names, path, item)
        except (Unreadable, Outside):
            continue
    return found


def _instances_in(names: Names, path: str, item: _Class) -> list[_Instance]:
    found = []
    for spot in spots(names.tree.python(path).tree):
        value = assigned_value(spot.node)
        if isinstance(value, ast.Call) and names.lookup(value.func, path, _functions(spot)) == item.own:
            target = next((text for node in bound_targets(spot.node) if (text := dotted_path(node))), "")
            scope = ".".join(part.name for part in spot.scope)
            found.append(_Instance(path, target, spot.node.lineno, scope))
    return found


def _functions(spot: StatementRef) -> tuple[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, ...]:
    local = any(isinstance(node, ast.ImportFrom) for part in spot.scope for node in nodes(part))
    return spot.scope if local else ()


def _nested(names: Names, classes: list[_Class]) -> set[Own]:
    """Return the classes that another container holds through `providers.Container(...)`, or derives from."""
    owners = {item.own for item in classes}
    found: set[Own] = set()
    for item in classes:
        for base in item.node.bases:
            target = names.lookup(base, item.own.path)
            if isinstance(target, Own):
                found.add(target)
        for node in nodes(item.node):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            target = names.lookup(node.args[0], item.own.path)
            holds = names.resolve(node.func, item.own.path) == f"{_PROVIDERS}.Container"
            if holds and isinstance(target, Own) and target in owners:
                found.add(target)
    return found


def _overrides(names: Names, item: _Class) -> list[Own]:
    """Return the containers that a class overrides by its decorators."""
    found = []
    for decorator in item.node.decorator_list:
        if isinstance(decorator, ast.Call) and decorator.args:
            target = names.lookup(decorator.args[0], item.own.path)
            called = names.resolve(decorator.func, item.own.path)
            if called.startswith("dependency_injector.containers.") and isinstance(target, Own):
                found.append(target)
    return found


def _has_config(names: Names, item: _Class) -> bool:
    values = [assigned_value(statement) for statement in item.node.body]
    made = [names.resolve(value.func, item.own.path) for value in values if isinstance(value, ast.Call)]
    return f"{_PROVIDERS}.Configuration" in made


def _imports(names: Names, path: str, item: _Class, instances: list[_Instance]) -> bool:
    wanted = {item.own} | {Own(found.path, found.name) for found in instances if not found.scope}
    files = {own.path for own in wanted}
    for dotted in names.imports(path).values():
        target = names.trace(dotted, path)
        if isinstance(target, Own) and (target in wanted or (not target.name and target.path in files)):
            return True
    return path in files


def _is_asked(names: Names, item: _Class, instances: list[_Instance], asked: str) -> bool:
    module, _, attr = asked.partition(":")
    if names.module_name(item.own.path) == module and attr in {"", item.own.name}:
        return True
    return any(names.module_name(found.path) == module and found.name == attr for found in instances)


def _describe(
    names: Names, item: _Class, instances: list[_Instance], app: App | None, overridden: set[Own]
) -> Container:
    providers: dict[str, int] = {}
    for number, statement in enumerate(item.node.body):
        value = assigned_value(statement)
        if isinstance(value, ast.Call) and _is_provider(names, value, item.own.path):
            providers.update({text: number for node in bound_targets(statement) if (text := dotted_path(node))})
    place = Place(item.own.path, item.node.lineno)
    access, why = _access(names, item, instances, app)
    free = [found for found in instances if not found.scope and found.name.isidentifier()]
    editable, reason = True, why
    if item.own in overridden:
        editable, reason = False, f"another container overrides {item.own.name} (@containers.override)"
    evidence = [Evidence(f"container class {item.own.name}", place)]
    evidence += [Evidence("container instance", Place(found.path, found.line)) for found in instances]
    return Container(
        path=item.own.path,
        module=names.module_name(item.own.path),
        class_name=item.own.name,
        body=item.body,
        place=place,
        access=access,
        instance=next((Import(names.module_name(found.path), found.name) for found in free), None),
        providers=providers,
        editable=editable,
        reason=reason,
        evidence=tuple(evidence),
    )


def _is_provider(names: Names, call: ast.Call, path: str) -> bool:
    func: ast.expr = call.func
    while isinstance(func, ast.Attribute) and isinstance(func.value, ast.Call):
        func = func.value.func  # providers.Singleton(...).provided
    return names.resolve(func, path).startswith(f"{_PROVIDERS}.")


def _access(names: Names, item: _Class, instances: list[_Instance], app: App | None) -> tuple[Expr | None, str]:
    """Return how to reach the instance, or `None` and why that is not possible from other modules."""
    at_module = [found for found in instances if not found.scope and found.name and "." not in found.name]
    app_files = {app.path, *_reference_file(names, app)} if app is not None else set()
    free = [found for found in at_module if found.path not in app_files]
    shared = [found for found in free if found.path == item.own.path] or [
        found for found in free if _is_used(names, found)
    ]
    if shared:
        best = shared[0]
        return Expr(best.name, (Import(names.module_name(best.path), best.name),)), ""
    if free:
        return None, f"the instance in {Place(free[0].path, free[0].line)} is imported by no other module"
    if at_module:
        where = Place(at_module[0].path, at_module[0].line)
        return None, f"the instance is made in the application module ({where}); importing it would be a cycle"
    if instances:
        first = instances[0]
        how = f"made inside {first.scope}" if first.scope else f"held as {first.name or 'part of an expression'}"
        return None, f"the instance is {how} ({Place(first.path, first.line)})"
    return None, "no instance of the container was found"


def _is_used(names: Names, found: _Instance) -> bool:
    """Whether a module other than its own imports an instance, or reaches it through the module it is in."""
    module = found.path.removesuffix(".py").rpartition("/")[2]
    for path in names.tree.files_containing(module.encode()):
        if path == found.path or is_test_or_docs(path):
            continue
        targets = set(imported(names, path))
        through = f"{module}.{found.name}".encode() in (names.tree.read(path) or b"")
        if Own(found.path, found.name) in targets or (through and Own(found.path) in targets):
            return True
    return False


def _reference_file(names: Names, app: App) -> set[str]:
    path = names.module_file(app.reference.partition(":")[0], app.path)
    return {path} if path else set()


def _dynamic(names: Names, paths: list[str]) -> Container | None:
    for path in paths:
        try:
            every = list(spots(names.tree.python(path).tree))
        except (Unreadable, Outside):
            continue
        for spot in every:
            value = assigned_value(spot.node)
            if isinstance(value, ast.Call) and names.resolve(value.func, path) == _DYNAMIC:
                place = Place(path, spot.node.lineno)
                reason = "a DynamicContainer has no class that providers could be added to"
                evidence = (Evidence("DynamicContainer", place),)
                module = names.module_name(path)
                name = dotted_path(bound_targets(spot.node)[0])
                free = Import(module, name) if not spot.scope and name.isidentifier() else None
                return Container(
                    path, module, "", spot.body, place, None, free, editable=False, reason=reason, evidence=evidence
                )
    return None
