"""Where FastAPI objects are constructed, and under which names other modules get hold of them."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from msgspec import Struct, field
from msgspec.structs import replace

from laterctl.project.application.handed import FASTAPI, HandOver, hand_over, handed_out
from laterctl.project.names import Names, Own, dotted_path
from laterctl.project.places import Place, is_test_or_docs
from laterctl.project.source import Unreadable
from laterctl.project.statements import (
    Function,
    Scope,
    StatementRef,
    assigned_value,
    bound_targets,
    calls,
    expressions,
    nodes,
    own_body,
    spots,
)
from laterctl.project.tree import Outside

_CHAIN = 4  # factories that call factories


class Construction(Struct, frozen=True):
    """A call that makes a FastAPI object. `name` is the local expression that holds it, `""` when nothing does."""

    path: str
    spot: StatementRef
    call: ast.Call
    name: str
    subclass: Own | None = None
    provider: bool = False

    @property
    def place(self) -> Place:
        return Place(self.path, self.call.lineno)

    @property
    def qualname(self) -> str:
        """The qualified name of the function or class around it, `""` at module level."""
        return ".".join(node.name for node in self.spot.scope)

    @property
    def function(self) -> Function | None:
        """The innermost function around it."""
        last = self.spot.scope[-1] if self.spot.scope else None
        return last if isinstance(last, Function) else None


class Step(Struct, frozen=True):
    """A statement that binds the object to `name` on its way out: a call of a factory."""

    path: str
    spot: StatementRef
    name: str


class Export(Struct, frozen=True):
    """How to get the object from outside: attribute `attr` of file `path`, to be called when `factory`.

    `spot` is the module-level statement that binds it, `None` for a factory that nobody calls there. `steps` are the
    calls of factories in between, innermost first. `wrapped` names what the object is wrapped in, if anything; `lost`
    says why what is exported may be another application that was made of this one.
    """

    path: str
    attr: str
    place: Place
    factory: bool = False
    spot: StatementRef | None = None
    wrapped: str = ""
    lost: str = ""
    steps: tuple[Step, ...] = ()


class Candidate(Struct, frozen=True):
    """A FastAPI object in the project's code: all the calls that make it (two when an `if` decides) and its exports.

    `superseded` says that each name it was exported under holds another application of the project in the end.
    """

    sites: tuple[Construction, ...]
    exports: tuple[Export, ...] = field(default=())
    superseded: bool = False

    @property
    def site(self) -> Construction:
        return self.sites[0]


def find_sites(names: Names, paths: Iterable[str]) -> list[Construction]:
    """Return every construction of `fastapi.FastAPI`, or of a subclass, in `paths`; unreadable files are left out."""
    paths = list(paths)
    classes = _subclasses(names, paths)
    extra = names.tree.files_containing_any(own.name.encode() for own in classes)
    found: list[Construction] = []
    for path in dict.fromkeys([*paths, *extra]):
        try:
            found += _sites_in(names, path, classes)
        except (Unreadable, Outside):
            continue
    return found


def _subclasses(names: Names, paths: list[str]) -> set[Own]:
    found: set[Own] = set()
    for _ in range(3):
        before = len(found)
        for path in paths:
            try:
                for name, node in names.bound(path).items():
                    if isinstance(node, ast.ClassDef) and any(_is_app(names, base, path, found) for base in node.bases):
                        found.add(Own(path, name))
            except (Unreadable, Outside):
                continue
        if len(found) == before:
            break
    return found


def _is_app(names: Names, node: ast.expr, path: str, classes: set[Own]) -> bool:
    target = names.lookup(node, path)
    return target == FASTAPI or target in classes


def _sites_in(names: Names, path: str, classes: set[Own]) -> Iterator[Construction]:
    words = {own.name for own in classes} | {"FastAPI"}
    tree = names.tree.python(path).tree
    words |= {local for local, dotted in names.imports(path).items() if dotted.rpartition(".")[2] in words}
    for node in nodes(tree):
        if isinstance(node, ast.ImportFrom):  # also those inside functions
            words |= {alias.asname for alias in node.names if alias.asname and alias.name in words}
    for spot, node in calls(tree):
        if dotted_path(node.func).rpartition(".")[2] in words:
            target = _target(names, node.func, path, spot.scope)
            if target == FASTAPI:
                yield Construction(path, spot, node, _holder(spot.node, node))
            elif isinstance(target, Own) and target in classes:
                yield Construction(path, spot, node, _holder(spot.node, node), subclass=target)
        elif node.args and dotted_path(node.args[0]).rpartition(".")[2] in words:
            given = _target(names, node.args[0], path, spot.scope)
            if given == FASTAPI and names.resolve(node.func, path).startswith("dependency_injector."):
                yield Construction(path, spot, node, "", provider=True)


def _target(names: Names, node: ast.expr, path: str, scope: tuple[Scope, ...]) -> Own | str:
    local = any(isinstance(inner, ast.Import | ast.ImportFrom) for part in scope for inner in nodes(part))
    return names.lookup(node, path, scope if local else ())


def _holder(statement: ast.stmt, call: ast.Call) -> str:
    """Return the expression that the statement binds the call's value to."""
    if assigned_value(statement) is call:
        return next((text for target in bound_targets(statement) if (text := dotted_path(target))), "")
    for node in expressions(statement):
        if isinstance(node, ast.NamedExpr) and node.value is call:
            return node.target.id
    return ""


def find_candidates(names: Names, paths: Iterable[str]) -> list[Candidate]:
    """Return the FastAPI objects that `paths` construct, with their exports."""
    groups: dict[tuple[str, str, str], list[Construction]] = {}
    for number, site in enumerate(find_sites(names, paths)):
        # Calls that bind one name in one scope make one application: an `if` chooses between them.
        key = site.name or f"#{number}"
        groups.setdefault((site.path, site.qualname, key), []).append(site)
    found = [Candidate(tuple(sites), tuple(find_exports(names, sites[0]))) for sites in groups.values()]
    kept = {Own(export.path, export.attr) for item in found for export in item.exports if not export.lost}
    return [_settled(item, kept) for item in found]


def _settled(candidate: Candidate, kept: set[Own]) -> Candidate:
    """Take from a candidate the exports under whose name another one is handed out in the end."""
    exports = tuple(each for each in candidate.exports if not each.lost or Own(each.path, each.attr) not in kept)
    return replace(candidate, exports=exports, superseded=bool(candidate.exports) and not exports)


def find_exports(names: Names, site: Construction) -> list[Export]:
    """Return how a constructed object can be imported: module attributes, then factories without arguments."""
    scope = site.spot.scope
    if not scope:
        return _module_exports(names, site.path, site.name, site.spot) if site.name else []
    if site.function is None:
        return [Export(site.path, f"{site.qualname}.{site.name}", site.place, spot=site.spot)] if site.name else []
    if site.name.startswith("self.") and len(scope) >= 2 and isinstance(scope[-2], ast.ClassDef):
        return _instance_exports(names, site.path, site.name, scope[-2])
    if returns(site.function, site.name, site.call):
        made = _maker_exports(names, Own(site.path, site.qualname), site.function, _CHAIN)
        return _marked(made, handed_out(names, site.path, scope, site.name, site.call))
    return []


def _marked(exports: Iterable[Export], handed: HandOver | None) -> list[Export]:
    """Add to exports what a factory of theirs hands the object to."""
    if handed is None:
        return list(exports)
    return [
        replace(export, wrapped=export.wrapped or handed.around, lost=export.lost or handed.lost) for export in exports
    ]


def returns(function: Function, name: str, call: ast.Call | None = None) -> bool:
    """Whether a function returns the object it holds as `name` (or the value of `call` itself)."""
    for node in own_body(function):
        value = node.value if isinstance(node, ast.Return) else None
        if value is not None and (value is call or (name and name in _returned(value))):
            return True
    return False


def _returned(value: ast.expr) -> set[str]:
    parts = value.elts if isinstance(value, ast.Tuple) else [value]
    found = {dotted_path(part) for part in parts}
    if isinstance(value, ast.Call):  # a wrapper: return ASGIApp(sio, app)
        found |= {dotted_path(argument) for argument in [*value.args, *(word.value for word in value.keywords)]}
    return found


def _module_exports(names: Names, path: str, name: str, spot: StatementRef) -> list[Export]:
    """Return the module-level names that hold an object first bound to `name` at `spot`."""
    found = {name: Export(path, name, Place(path, spot.node.lineno), spot=spot)}
    tree = names.tree.python(path).tree
    for other in spots(tree):
        if other.scope or other.node.lineno <= spot.node.lineno:
            continue
        value = assigned_value(other.node)
        targets = [target.id for target in bound_targets(other.node) if isinstance(target, ast.Name)]
        if value is None or not targets:
            continue
        handed = hand_over(names, value, path, set(found))
        lost = next((each.lost for each in found.values() if each.lost), "") if handed is not None else ""
        for target in targets:
            place = Place(path, other.node.lineno)
            if isinstance(value, ast.Name) and value.id in found:
                found[target] = replace(found[value.id], attr=target, place=place, spot=other)
            elif handed is not None and (target in found or target in {"app", "application"}):
                found[target] = Export(path, target, place, spot=other, wrapped=handed.around, lost=handed.lost or lost)
    return list(found.values())


def _instance_exports(names: Names, path: str, name: str, owner: ast.ClassDef) -> list[Export]:
    """Return the exports of an object held as `self.x` by a class: through instances, and factories that make one."""
    attr = name.removeprefix("self.")
    members = {attr}
    for member in owner.body:
        if isinstance(member, Function) and returns(member, name):
            members.add(member.name)
    found: list[Export] = []
    target = Own(path, owner.name)
    for user in _files_with(names, owner.name, path):
        try:
            found += _instances_in(names, user, target, members, attr)
        except (Unreadable, Outside):
            continue
    return found


def _instances_in(names: Names, path: str, target: Own, members: set[str], attr: str) -> Iterator[Export]:
    instances: dict[str, StatementRef] = {}
    taken = False
    for spot in spots(names.tree.python(path).tree):
        value = assigned_value(spot.node)
        bound = [node.id for node in bound_targets(spot.node) if isinstance(node, ast.Name)]
        if value is None or not bound:
            continue
        if isinstance(value, ast.Call) and not value.args and isinstance(value.func, ast.Attribute):
            value = value.func if value.func.attr in members else value
        made = isinstance(value, ast.Call) and _target(names, value.func, path, spot.scope) == target
        if spot.scope:
            yield from _of_instance(names, path, spot, bound[0], members) if made else ()
        elif made:
            instances[bound[0]] = spot
        elif isinstance(value, ast.Attribute) and value.attr in members:
            holder = value.value
            made = isinstance(holder, ast.Call) and names.lookup(holder.func, path) == target
            if made or (isinstance(holder, ast.Name) and holder.id in instances):
                taken = True
                yield Export(path, bound[0], Place(path, spot.node.lineno), spot=spot)
    if not taken:
        for name, spot in instances.items():
            yield Export(path, f"{name}.{attr}", Place(path, spot.node.lineno), spot=spot)


def _of_instance(names: Names, path: str, spot: StatementRef, name: str, members: set[str]) -> list[Export]:
    """Return the exports of a function that makes an instance, held as `name`, and returns its application."""
    function = spot.scope[-1]
    held = {f"{name}.{member}" for member in members}
    returned = {
        dotted_path(node.value.func if isinstance(node.value, ast.Call) else node.value)
        for node in (own_body(function) if isinstance(function, Function) else ())
        if isinstance(node, ast.Return) and node.value is not None
    }
    if not isinstance(function, Function) or not returned & held:
        return []
    return _maker_exports(names, Own(path, spot.qualname), function, _CHAIN)


def _maker_exports(
    names: Names, maker: Own, function: Function, depth: int, steps: tuple[Step, ...] = ()
) -> list[Export]:
    """Return the exports of what a factory returns: where it is called at module level, else the factory itself."""
    found: list[Export] = []
    outer: list[Export] = []
    for path in _files_with(names, maker.name.rpartition(".")[2], maker.path):
        try:
            for spot, call in _calls_of(names, path, maker):
                name = _holder(spot.node, call)
                through = (*steps, Step(path, spot, name)) if name else steps
                if not spot.scope and name:
                    made = _module_exports(names, path, name, spot)
                    found += [replace(export, steps=through) for export in made]
                    continue
                caller = spot.scope[-1] if spot.scope else None
                own = Own(path, spot.qualname)
                owner = spot.scope[-2] if len(spot.scope) > 1 else None
                if isinstance(owner, ast.ClassDef) and name.startswith("self."):
                    found += [replace(each, steps=through) for each in _instance_exports(names, path, name, owner)]
                elif isinstance(caller, Function) and own != maker and depth > 0 and returns(caller, name, call):
                    made = _maker_exports(names, own, caller, depth - 1, through)
                    outer += _marked(made, handed_out(names, path, spot.scope, name, call))
        except (Unreadable, Outside):
            continue
    found += outer
    if not _required(function) and "." not in maker.name:
        place = Place(maker.path, function.lineno)
        found.append(Export(maker.path, maker.name, place, factory=True, steps=steps))
    return found


def _files_with(names: Names, word: str, path: str) -> list[str]:
    """Return the files that may use something of a file: what tests make for themselves is not what is served."""
    found = names.tree.files_containing(word.encode())
    return [each for each in found if is_test_or_docs(path) or not is_test_or_docs(each)]


def _calls_of(names: Names, path: str, maker: Own) -> Iterator[tuple[StatementRef, ast.Call]]:
    word = maker.name.rpartition(".")[2]
    locals_ = {local for local, dotted in names.imports(path).items() if dotted.rpartition(".")[2] == word} | {word}
    for spot, node in calls(names.tree.python(path).tree):
        last = node.func.attr if isinstance(node.func, ast.Attribute) else dotted_path(node.func)
        if last not in locals_:
            continue
        if _target(names, node.func, path, spot.scope) == maker or _is_method(names, node.func, path, maker, spot):
            yield spot, node


def _is_method(names: Names, func: ast.expr, path: str, maker: Own, spot: StatementRef) -> bool:
    """Whether `func` is `Class().method`, `Class.method`, or `self.method` in the class, for the method `maker`."""
    owner, _, method = maker.name.rpartition(".")
    if not owner or not isinstance(func, ast.Attribute) or func.attr != method:
        return False
    if dotted_path(func.value) in {"self", "cls"}:
        return path == maker.path and spot.qualname.startswith(f"{owner}.")
    holder = func.value.func if isinstance(func.value, ast.Call) else func.value
    if isinstance(holder, ast.Name) and isinstance(bound := names.bound(path).get(holder.id), ast.Assign):
        holder = bound.value.func if isinstance(bound.value, ast.Call) else holder
    return names.lookup(holder, path) == Own(maker.path, owner)


def _required(function: Function) -> bool:
    """Whether a function cannot be called without arguments."""
    arguments = function.args
    positional = len(arguments.posonlyargs) + len(arguments.args) - len(arguments.defaults)
    return positional > 0 or any(default is None for default in arguments.kw_defaults)
