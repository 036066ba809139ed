"""pydantic-settings: a settings class, and an object or a (cached) getter that gives its instance."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from laterctl.dialects.ground import Ground, after_docstring, is_docstring
from laterctl.dialects.settings.base import (
    FROM_OS,
    Found,
    Settings,
    SettingSpec,
    bound,
    family,
    literal,
    mostly_upper,
    path_in,
    text_of,
)
from laterctl.dialects.settings.pydantic_v1 import PydanticV1
from laterctl.dialects.settings.unsupported import as_unsupported
from laterctl.project.facts import BodyPath, Evidence
from laterctl.project.names import Names, Own, dotted_path
from laterctl.project.places import Place, is_test_or_docs
from laterctl.project.statements import Function, Scope, assigned_value, body_at, bound_targets, nodes, own_body, spots
from laterctl.refusal import Refusal, Refused
from laterctl.render import Expr, requote
from laterctl.targets.base import Anchor
from laterctl.targets.resolved import Resolved
from laterctl.targets.statement import Statement


class Pydantic(Settings, frozen=True, kw_only=True):
    """A settings class of pydantic-settings: each setting is a field."""

    kind: str = "pydantic"
    title: ClassVar[str] = "pydantic-settings"

    def declare(self, spec: SettingSpec, ground: Ground) -> Iterator[Resolved]:
        """Yield the field, with the imports of its annotation; nothing where the settings have one of that use already.

        Raises:
            Refused: the settings have something else of that name.
        """
        name = self.key(spec.name)
        statements = body_at(ground.project.tree.python(self.path).tree, self.body)
        quote = ground.project.layout.style.quote
        code = f"{name}: {requote(spec.annotation, quote)} = {literal(spec.default, quote)}"
        target = Statement(self.path, self.scope, code, (20, name), comment=spec.help)
        present = ground.is_recorded(target) or ground.is_present(target)
        if not present and self._is_the_users(ground, statements, spec, target):
            yield from self._edited(ground, statements, name)
            return
        for source in spec.imports:
            yield ground.imported(self.path, source)[0]
        yield Resolved(target, Anchor(self.body, self._last_field(ground, statements)))

    def _edited(self, ground: Ground, statements: list[ast.stmt], name: str) -> Iterator[Resolved]:
        """Yield a field that is in the ledger, as the user has it by now: it is adopted, and read as before."""
        bound = {item for record in ground.records for item in record.target.bindings()}
        if not any((item.what, item.path, item.name) == ("member", self.path, name) for item in bound):
            return
        for node in statements:
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == name:
                yield Resolved(Statement(self.path, self.scope, ast.unparse(node), (20, name)))

    def read(self) -> Expr:
        """Return the attribute, in capitals where the class has them; in either where it has both."""
        cases = {name.isupper() for name in self.types}
        usual = "name.upper()" if self.upper else "name"
        other = f", getattr({self.access.text}, {'name' if self.upper else 'name.upper()'}, None)"
        spelled = f"getattr({self.access.text}, {usual}{other if len(cases) > 1 else ''})"
        return Expr(spelled, self.access.imports)

    def variable_by_name(self) -> str:
        """Return the field's own letters behind the prefix, where the class insists on them."""
        if self.case_sensitive and not self.upper:
            return f"f'{self.prefix}{{name}}'"
        return Settings.variable_by_name(self)

    def key(self, name: str) -> str:
        """Return the setting's name as the class has it, or as it spells those it has."""
        usual = super().key(name)
        same = [there for there in self.types if there.lower() == name.lower()]
        return usual if usual in same or not same else same[0]

    def environment_variable(self, name: str) -> str:
        """Return the variable of a field: in capitals, unless the class insists on the field's own letters."""
        variable = f"{self.prefix}{self.key(name)}"
        return variable if self.case_sensitive else variable.upper()

    def example(self, spec: SettingSpec, declared: Sequence[Resolved]) -> str:
        """Return the line, commented out when it has no value and the field takes no empty text."""
        line = Settings.example(self, spec, declared) if declared else ""
        annotation = ast.parse(self.types.get(self.key(spec.name), spec.annotation), mode="eval").body
        return f"# {line}" if line.endswith("=") and not _takes_text(annotation) else line

    def forbids_strangers(self, names: Names) -> bool:
        """Tell whether `extra` is `forbid`, as it is when nothing else is said."""
        classes = [names.statement(each) for each in family(names, Own(self.path, self.class_name))]
        value = next((found for each in classes if (found := _option(each, "extra")) is not None), None)
        return bool(self.dotenv) and (value is None or ast.unparse(value).strip("'\"").endswith("forbid"))

    def running(self, names: Names, access: Expr) -> Expr:
        """Return the field that names the environment."""
        field = self.environment_field()
        if not field:
            return FROM_OS
        value = ".value" if _is_enum(names, self, field) else ""
        return Expr(f"str({access.text}.{field}{value})", access.imports)

    def _is_the_users(self, ground: Ground, statements: list[ast.stmt], spec: SettingSpec, target: Statement) -> bool:
        """Whether the settings have a setting of that name and use: a field, one of a base class, or a property.

        Raises:
            Refused: what has the name is of another type, which the code that reads it is not made for.
        """
        name = self.key(spec.name)
        if name not in self.types:
            return False
        own = ground.spots(self.path)
        there = [number for number, node in enumerate(statements) if name in _bound(node)]
        if any((self.body, number) in own for number in there):
            return False
        if fits(spec.annotation, self.types[name]):
            return True
        if there and isinstance(statements[there[-1]], ast.AnnAssign):
            return False  # a field of another type: the two are shown beside each other
        line = statements[there[-1]].lineno if there else self.place.line if self.place is not None else 1
        raise Refused(
            Refusal(
                "setting-exists",
                f"the settings have {name} already, which is not what this feature reads",
                Place(self.path, line),
                seen=f"{name}: {self.types[name]}" if self.types[name] else name,
                expected=target.describe(),
                remedy=f"make it `{target.describe()}`, with a default of your own choice, or rename yours",
                feature=ground.feature,
            )
        )

    def _last_field(self, ground: Ground, statements: list[ast.stmt]) -> int:
        own = ground.spots(self.path)
        last = after_docstring(statements)
        there = [(number, node) for number, node in enumerate(statements) if (self.body, number) not in own]
        for kinds in (ast.AnnAssign, ast.Assign):  # what is assigned may configure the class, or check a field
            if found := [number for number, node in there if isinstance(node, kinds)]:
                last = found[-1]
                break
        return last + int(last >= 0 and is_docstring(statements, last + 1))


_TEXTS = frozenset({"str", "SecretStr", "Optional", "Union", "None", "Literal", "Annotated"})
_NUMBERS = frozenset({"int", "float", "PositiveInt", "PositiveFloat", "NonNegativeInt", "NonNegativeFloat"})
_LISTS = frozenset({"list", "List", "set", "Set", "tuple", "Tuple", "Sequence", "frozenset", "str", "Union"})
_URL = ("Url", "URL", "Dsn")


def fits(wanted: str, annotation: str) -> bool:
    """Whether what our code makes of a setting of type `wanted` can be made of the user's, too."""
    try:
        words = set(_words(ast.parse(annotation, mode="eval").body))
    except SyntaxError:
        return False
    if not words:
        return False
    if wanted in _NUMBERS:
        return words <= _NUMBERS | {"Annotated"}
    if wanted == "bool":
        return words <= {"bool", "Annotated"}
    texts = _LISTS if wanted.startswith("list") else _TEXTS
    return all(word in texts or word.endswith(_URL) for word in words)


def _takes_text(node: ast.expr) -> bool:
    """Whether any text is a value of a type, the empty one as well."""
    if isinstance(node, ast.BinOp):
        return _takes_text(node.left) or _takes_text(node.right)
    if isinstance(node, ast.Subscript):
        members = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        return dotted_path(node.value).rpartition(".")[2] in {"Optional", "Union"} and any(map(_takes_text, members))
    return dotted_path(node).rpartition(".")[2] in {"str", "SecretStr"}


def _words(node: ast.expr) -> Iterator[str]:
    """Yield the names of the types in an annotation; the values of a `Literal` and what is `Annotated` are none."""
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str):
            yield from _words(ast.parse(node.value, mode="eval").body)
        else:
            yield str(node.value)
    elif isinstance(node, ast.Subscript):
        head = dotted_path(node.value).rpartition(".")[2]
        yield head
        inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        for each in inner if head != "Literal" else ():
            yield from _words(each)
            if head == "Annotated":
                break
    elif isinstance(node, ast.BinOp):
        yield from _words(node.left)
        yield from _words(node.right)
    else:
        yield dotted_path(node).rpartition(".")[2] or "?"


def _bound(node: ast.stmt) -> set[str]:
    """Return the names that a statement of a class binds."""
    if isinstance(node, Scope):
        return {node.name}
    targets = [node.target] if isinstance(node, ast.AnnAssign) else bound_targets(node)
    return {target.id for target in targets if isinstance(target, ast.Name)}


def _types(node: ast.stmt | None) -> dict[str, str]:
    """Map what a class has to its annotation: of properties the one of what they return."""
    found: dict[str, str] = {}
    for member in node.body if isinstance(node, ast.ClassDef) else ():
        annotation: ast.expr | None = None
        if isinstance(member, ast.AnnAssign):
            annotation = member.annotation
        elif isinstance(member, Function) and any(
            dotted_path(each.func if isinstance(each, ast.Call) else each).rpartition(".")[2].endswith("property")
            for each in member.decorator_list
        ):
            annotation = member.returns
        found |= {name: ast.unparse(annotation) if annotation is not None else "" for name in _bound(member)}
    return {name: annotation for name, annotation in found.items() if name not in {"model_config", "Config"}}


_BASES: Mapping[str, type[Settings]] = {
    "pydantic_settings.BaseSettings": Pydantic,
    "pydantic.BaseSettings": PydanticV1,
    "pydantic.v1.BaseSettings": PydanticV1,
}


def find(names: Names) -> list[Found]:
    """Find the settings classes of a project, those of pydantic 1 too: one object may be of either."""
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


def _unreached(names: Names, classes: Mapping[Own, type[Settings]]) -> Found:
    """Describe classes of which no module holds an instance: a container or a function makes it."""
    bases = {base for own in classes for base in family(names, own)[1:]}
    leaves = sorted((own for own in classes if own not in bases), key=lambda own: (own.path, own.name))
    shown = ", ".join(own.name for own in leaves)
    facts = _class_facts(names, leaves[0], classes[leaves[0]])
    return Found(as_unsupported(facts, f"no module-level object or getter of {shown} was found"))


def _mixed(names: Names, own: Own, made: set[Own], classes: Mapping[Own, type[Settings]]) -> Found:
    """Describe an object that may be of several classes with nothing of the project's in common."""
    shown = sorted(each.name for each in made)
    first = next(each for each in sorted(made, key=lambda each: each.name))
    reason = f"{own.name} is one of {', '.join(shown)}, which have no settings class of the project in common"
    return Found(as_unsupported(_class_facts(names, first, classes[first]), reason), (own,))


def _settings_classes(names: Names) -> dict[Own, type[Settings]]:
    """Map the project's settings classes to their dialect."""
    found: dict[Own, type[Settings]] = {}
    paths = [path for path in names.tree.files_containing(b"Settings", b"BaseSettings") if not is_test_or_docs(path)]
    grown = True
    while grown:
        grown = False
        for path in paths:
            for name, node in bound(names, path).items():
                if not isinstance(node, ast.ClassDef) or Own(path, name) in found:
                    continue
                targets = [names.lookup(base, path) for base in node.bases]
                dialects = [_BASES.get(t) if isinstance(t, str) else found.get(t) for t in targets]
                dialect = next(filter(None, dialects), None)
                if dialect is not None:
                    found[Own(path, name)] = dialect
                    grown = True
        if grown:
            paths = _paths_with(names, {own.name for own in found})
    return found


def _paths_with(names: Names, words: set[str]) -> list[str]:
    found = names.tree.files_containing_any(word.encode() for word in words)
    return [path for path in found if not is_test_or_docs(path) and bound(names, path)]


class _Types:
    """Tells which settings classes an expression may be an instance of."""

    def __init__(self, names: Names, classes: Mapping[Own, type[Settings]]) -> None:
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


def _common(names: Names, made: set[Own], classes: Mapping[Own, type[Settings]]) -> Own | None:
    """Return the class, or the nearest settings class that all of several derive from."""
    if len(made) < 2:
        return next(iter(made), None)
    families = [family(names, own) for own in sorted(made, key=lambda own: (own.path, own.name))]
    return next((own for own in families[0] if own in classes and all(own in family for family in families)), None)


def _needs_arguments(function: Function) -> bool:
    arguments = function.args
    return len(arguments.posonlyargs) + len(arguments.args) > len(arguments.defaults)


def _class_facts(names: Names, own: Own, dialect: type[Settings]) -> Settings:
    node = names.statement(own)
    assert isinstance(node, ast.ClassDef)
    body: BodyPath = next(spot.inner for spot in spots(names.tree.python(own.path).tree) if spot.node is node)
    classes = [names.statement(each) for each in family(names, own)]
    fields = [field for each in classes for field in _fields(each)]

    def option(name: str) -> ast.expr | None:
        return next((value for each in classes if (value := _option(each, name)) is not None), None)

    place = Place(own.path, node.lineno)
    sensitive = option("case_sensitive")
    return dialect(
        path=own.path,
        module=names.module_name(own.path),
        place=place,
        class_name=own.name,
        body=body,
        fields=tuple(dict.fromkeys(fields)),
        types={name: annotation for each in reversed(classes) for name, annotation in _types(each).items()},
        prefix=text_of(option("env_prefix")),
        upper=mostly_upper(fields),
        # pydantic 1 is not asked by what features add, so that its file is not read for them.
        dotenv=path_in(option("env_file")) if dialect is Pydantic else "",
        case_sensitive=isinstance(sensitive, ast.Constant) and bool(sensitive.value),
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


def _option(node: ast.stmt | None, name: str) -> ast.expr | None:
    """Return an option of a settings class: class keyword, `model_config`, or the inner `Config`."""
    if not isinstance(node, ast.ClassDef):
        return None
    for word in node.keywords:
        if word.arg == name:
            return word.value
    for member in node.body:
        if isinstance(member, ast.ClassDef) and member.name == "Config":
            for inner in member.body:
                if any(dotted_path(target) == name for target in bound_targets(inner)):
                    return assigned_value(inner)
        elif any(dotted_path(target) == "model_config" for target in bound_targets(member)):
            value = assigned_value(member)
            if isinstance(value, ast.Call):
                return next((word.value for word in value.keywords if word.arg == name), None)
            if isinstance(value, ast.Dict):
                pairs = zip(value.keys, value.values, strict=True)
                return next((item for key, item in pairs if text_of(key) == name), None)
    return None


def _is_enum(names: Names, settings: Settings, field: str) -> bool:
    """Whether a field's annotation is an enumeration of the project, whose `str()` is not its value."""
    for own in family(names, Own(settings.path, settings.class_name)):
        node = names.statement(own)
        for member in node.body if isinstance(node, ast.ClassDef) else ():
            if isinstance(member, ast.AnnAssign) and dotted_path(member.target) == field:
                for part in nodes(member.annotation):
                    target = names.lookup(part, own.path) if isinstance(part, ast.Name | ast.Attribute) else ""
                    other = names.statement(target) if isinstance(target, Own) else None
                    if isinstance(other, ast.ClassDef) and isinstance(target, Own):
                        bases = {names.resolve(base, target.path) for base in other.bases}
                        if bases & {"enum.Enum", "enum.StrEnum", "strenum.StrEnum"}:
                            return True
    return False
