"""Settings classes of pydantic-settings and pydantic 1, their objects and their getters."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from msgspec.structs import replace

from laterctl.project.application.find import own_body
from laterctl.project.facts import BodyPath, Evidence, Settings
from laterctl.project.names import Names, Own, dotted_path
from laterctl.project.places import Place, is_test_or_docs
from laterctl.project.settings_common import Found, bound, family, mostly_upper, text_of
from laterctl.project.statements import Function, assigned_value, bound_targets, spots
from laterctl.render import Expr

_BASES = {
    "pydantic_settings.BaseSettings": "pydantic",
    "pydantic.BaseSettings": "pydantic-v1",
    "pydantic.v1.BaseSettings": "pydantic-v1",
}


def find_pydantic(names: Names) -> list[Found]:
    classes = _settings_classes(names)
    if not classes:
        return []
    objects: dict[Own, list[Own]] = {own: [] for own in classes}
    getters: dict[Own, list[Own]] = {own: [] for own in classes}
    mixed: list[tuple[Own, set[Own]]] = []
    types = _Types(names, classes)
    for path in _paths_with(names, {own.name for own in classes}):
        for name, node in names.bound(path).items():
            if isinstance(node, ast.ClassDef):
                continue
            if isinstance(node, Function):
                own, made = Own(path, name), types.of_function(Own(path, name), node)
                kind = getters
                if _needs_arguments(node):
                    continue
            else:
                own, made, kind = Own(path, name), types.of_statement(node, path), objects
            chosen = _common(names, made, classes)
            if chosen is not None:
                kind[chosen].append(own)
            elif made:
                mixed.append((own, made))
    used = [own for own in classes if objects[own] or getters[own]]
    if mixed and not used:
        return [_mixed(names, own, made, classes) for own, made in mixed]
    if not used:
        return [_unreached(names, classes)]
    return [Found(_class_facts(names, own, classes[own]), tuple(objects[own]), tuple(getters[own])) for own in used]


def _unreached(names: Names, classes: Mapping[Own, str]) -> Found:
    """Describe classes of which no module holds an instance: a container or a function makes it."""
    bases = {base for own in classes for base in family(names, own)[1:]}
    leaves = sorted((own for own in classes if own not in bases), key=lambda own: (own.path, own.name))
    shown = ", ".join(own.name for own in leaves)
    facts = _class_facts(names, leaves[0], classes[leaves[0]])
    return Found(replace(facts, kind="other", reason=f"no module-level object or getter of {shown} was found"))


def _mixed(names: Names, own: Own, made: set[Own], classes: Mapping[Own, str]) -> Found:
    """Describe an object that may be of several classes with nothing of the project's in common."""
    shown = sorted(each.name for each in made)
    first = next(each for each in sorted(made, key=lambda each: each.name))
    reason = f"{own.name} is one of {', '.join(shown)}, which have no settings class of the project in common"
    return Found(replace(_class_facts(names, first, classes[first]), kind="other", reason=reason), (own,))


def _settings_classes(names: Names) -> dict[Own, str]:
    """Map the project's settings classes to their kind."""
    found: dict[Own, str] = {}
    paths = [path for path in names.tree.files_containing(b"Settings", b"BaseSettings") if not is_test_or_docs(path)]
    grown = True
    while grown:
        grown = False
        for path in paths:
            for name, node in bound(names, path).items():
                if not isinstance(node, ast.ClassDef) or Own(path, name) in found:
                    continue
                targets = [names.lookup(base, path) for base in node.bases]
                kinds = [_BASES.get(t, "") if isinstance(t, str) else found.get(t, "") for t in targets]
                kind = next(filter(None, kinds), "")
                if kind:
                    found[Own(path, name)] = kind
                    grown = True
        if grown:
            paths = _paths_with(names, {own.name for own in found})
    return found


def _paths_with(names: Names, words: set[str]) -> list[str]:
    found = names.tree.files_containing_any(word.encode() for word in words)
    return [path for path in found if not is_test_or_docs(path) and bound(names, path)]


class _Types:
    """Tells which settings classes an expression may be an instance of."""

    def __init__(self, names: Names, classes: Mapping[Own, str]) -> None:
        self._names = names
        self._classes = classes

    def of_statement(self, node: ast.stmt, path: str) -> set[Own]:
        if isinstance(node, ast.AnnAssign):
            stated = self._stated(node.annotation, path)
            if stated:
                return stated
        value = assigned_value(node)
        return self.of(value, path) if value is not None else set()

    def of_function(self, own: Own, node: Function, depth: int = 4) -> set[Own]:
        if node.returns is not None and (stated := self._stated(node.returns, own.path)):
            return stated
        found: set[Own] = set()
        for part in own_body(node):
            if isinstance(part, ast.Return) and part.value is not None:
                found |= self.of(part.value, own.path, depth, node)
        return found

    def of(self, node: ast.expr, path: str, depth: int = 4, function: Function | None = None) -> set[Own]:
        if depth == 0:
            return set()
        if isinstance(node, ast.IfExp):
            return self.of(node.body, path, depth - 1, function) | self.of(node.orelse, path, depth - 1, function)
        if isinstance(node, ast.BoolOp):
            return {own for value in node.values for own in self.of(value, path, depth - 1, function)}
        if isinstance(node, ast.Subscript):
            return self._of_mapping(node.value, path, depth, function)
        if isinstance(node, ast.Call):
            return self._of_call(node, path, depth, function)
        if isinstance(node, ast.Name | ast.Attribute):
            local = self._local(node, function)
            if local is not None:
                return self.of(local, path, depth - 1)
            target = self._names.lookup(node, path)
            statement = self._names.statement(target) if isinstance(target, Own) else None
            if isinstance(target, Own) and isinstance(statement, ast.Assign | ast.AnnAssign):
                value = assigned_value(statement)
                return self.of(value, target.path, depth - 1) if value is not None else set()
        return set()

    def _of_call(self, node: ast.Call, path: str, depth: int, function: Function | None) -> set[Own]:
        if isinstance(node.func, ast.Subscript):  # {"dev": Dev, "prod": Prod}[name]()
            return self._of_mapping(node.func.value, path, depth, function)
        if isinstance(node.func, ast.Attribute) and node.func.attr == "get":
            return self._of_mapping(node.func.value, path, depth, function)
        target = self._names.lookup(node.func, path)
        if not isinstance(target, Own):
            return set()
        if target in self._classes:
            return {target}
        statement = self._names.statement(target)
        return self.of_function(target, statement, depth - 1) if isinstance(statement, Function) else set()

    def _of_mapping(self, node: ast.expr, path: str, depth: int, function: Function | None) -> set[Own]:
        local = self._local(node, function)
        target = self._names.lookup(node, path) if not isinstance(node, ast.Dict) else ""
        statement = self._names.statement(target) if isinstance(target, Own) else None
        literal = node if isinstance(node, ast.Dict) else local or (assigned_value(statement) if statement else None)
        found: set[Own] = set()
        for value in literal.values if isinstance(literal, ast.Dict) else ():
            own = self._names.lookup(value, path)
            found |= {own} if isinstance(own, Own) and own in self._classes else self.of(value, path, depth - 1)
        return found

    def _local(self, node: ast.expr, function: Function | None) -> ast.expr | None:
        if function is None or not isinstance(node, ast.Name):
            return None
        for statement in function.body:
            if any(dotted_path(target) == node.id for target in bound_targets(statement)):
                return assigned_value(statement)
        return None

    def _stated(self, annotation: ast.expr, path: str) -> set[Own]:
        if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
            annotation = (
                ast.parse(annotation.value, mode="eval").body if annotation.value.isidentifier() else annotation
            )
        parts = [annotation.left, annotation.right] if isinstance(annotation, ast.BinOp) else [annotation]
        targets = [self._names.lookup(part, path) for part in parts]
        return {target for target in targets if isinstance(target, Own) and target in self._classes}


def _common(names: Names, made: set[Own], classes: Mapping[Own, str]) -> Own | None:
    """Return the class, or the nearest settings class that all of several derive from."""
    if len(made) < 2:
        return next(iter(made), None)
    families = [family(names, own) for own in sorted(made, key=lambda own: (own.path, own.name))]
    return next((own for own in families[0] if own in classes and all(own in family for family in families)), None)


def _needs_arguments(function: Function) -> bool:
    arguments = function.args
    return len(arguments.posonlyargs) + len(arguments.args) > len(arguments.defaults)


def _class_facts(names: Names, own: Own, kind: str) -> Settings:
    node = names.statement(own)
    assert isinstance(node, ast.ClassDef)
    body: BodyPath = next(spot.inner for spot in spots(names.tree.python(own.path).tree) if spot.node is node)
    fields = [field for each in family(names, own) for field in _fields(names.statement(each))]
    place = Place(own.path, node.lineno)
    return Settings(
        kind=kind,
        path=own.path,
        module=names.module_name(own.path),
        access=Expr(""),
        environment=Expr(""),
        place=place,
        class_name=own.name,
        body=body,
        fields=tuple(dict.fromkeys(fields)),
        prefix=next(filter(None, (_prefix(names.statement(each)) for each in family(names, own))), ""),
        upper=mostly_upper(fields),
        evidence=(Evidence(f"settings class {own.name}", place),),
    )


def _fields(node: ast.stmt | None) -> list[str]:
    found = []
    for member in node.body if isinstance(node, ast.ClassDef) else ():
        if isinstance(member, ast.AnnAssign):
            targets: list[ast.expr] = [member.target]
        else:
            targets = bound_targets(member) if isinstance(member, ast.Assign) else []
        found += [target.id for target in targets if isinstance(target, ast.Name)]
    return [name for name in found if name != "model_config" and not name.startswith("_")]


def _prefix(node: ast.stmt | None) -> str:
    """Return the `env_prefix` of a settings class: class keyword, `model_config`, or the inner `Config`."""
    if not isinstance(node, ast.ClassDef):
        return ""
    for word in node.keywords:
        if word.arg == "env_prefix":
            return text_of(word.value)
    for member in node.body:
        if isinstance(member, ast.ClassDef) and member.name == "Config":
            for inner in member.body:
                if any(dotted_path(target) == "env_prefix" for target in bound_targets(inner)):
                    return text_of(assigned_value(inner))
        elif any(dotted_path(target) == "model_config" for target in bound_targets(member)):
            value = assigned_value(member)
            if isinstance(value, ast.Call):
                return next((text_of(word.value) for word in value.keywords if word.arg == "env_prefix"), "")
            if isinstance(value, ast.Dict):
                pairs = zip(value.keys, value.values, strict=True)
                return next(
                    (text_of(item) for key, item in pairs if key is not None and text_of(key) == "env_prefix"), ""
                )
    return ""
