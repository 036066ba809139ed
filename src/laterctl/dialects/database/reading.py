"""Reads from source code what is made for a database, and who uses it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

from msgspec.structs import replace

from laterctl.dialects.database.base import CreateAll, Made, Models, Sessions
from laterctl.patterns import pattern
from laterctl.project.facts import App
from laterctl.project.names import Names, Own, dotted_path
from laterctl.project.origin import is_signed
from laterctl.project.places import Place, is_test_or_docs
from laterctl.project.source import Unreadable
from laterctl.project.statements import (
    Function,
    Scope,
    StatementRef,
    assigned_value,
    bound_targets,
    expressions,
    nodes,
    own_nodes,
    spots,
    wrapped_function,
)
from laterctl.project.tree import Outside

PACKAGES = ("sqlalchemy", "sqlmodel")
_ENGINES = frozenset({"create_engine", "create_async_engine", "engine_from_config", "async_engine_from_config"})
_FACTORIES = frozenset({"sessionmaker", "async_sessionmaker", "scoped_session", "async_scoped_session"})
_SESSIONS = frozenset({"Session", "AsyncSession"})
_BASES = frozenset({"DeclarativeBase", "DeclarativeBaseNoMeta"})
_CACHES = frozenset({"functools.cache", "functools.lru_cache"})
_MANAGERS = frozenset({"contextlib.contextmanager", "contextlib.asynccontextmanager"})
_URL = pattern(r"ur[il]|dsn|database", re.IGNORECASE)
_PROVIDERS = "dependency_injector.providers."
_ENVIRONMENT = frozenset({"os.getenv", "os.environ.get"})
_METHODS = frozenset(
    {"get_secret_value", "unicode_string", "render_as_string", "as_posix", "replace", "strip", "encode"}
)


class Reading:
    """What stands in the files of the running application, and of no test, migration or file of ours."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._read: dict[str, tuple[StatementRef, ...]] = {}
        self._importing: dict[Scope, bool] = {}
        self._called: dict[str, Sequence[tuple[StatementRef, ast.Call, str]]] = {}

    @cached_property
    def files(self) -> Mapping[str, tuple[StatementRef, ...]]:
        """Statements by file, of the files that name one of the packages or what was made with them."""
        return self._statements(PACKAGES)

    def _statements(self, words: Sequence[str]) -> dict[str, tuple[StatementRef, ...]]:
        found = {}
        for path in self._names.tree.files_containing_any(word.encode() for word in words):
            # What features add is there or not: the database of the project is the same.
            if (
                path.endswith(".py")
                and not is_signed(self._names.tree, path)
                and not is_test_or_docs(path)
                and (every := self._spots(path))
            ):
                found[path] = every
        return found

    def _spots(self, path: str) -> tuple[StatementRef, ...]:
        """Return the statements of a file, none of one that cannot be read, and none of a migration."""
        if path not in self._read:
            try:
                tree = self._names.tree.python(path).tree
                migrates = bool({"alembic.context", "alembic.op"} & set(self._names.imports(path).values()))
            except (Unreadable, Outside):
                tree, migrates = ast.Module([], []), False
            self._read[path] = () if migrates else tuple(spots(tree))
        return self._read[path]

    def _scope(self, spot: StatementRef) -> tuple[Scope, ...]:
        """Return the functions and classes around a statement when one of them imports something itself."""
        for part in spot.scope:
            if part not in self._importing:
                self._importing[part] = any(isinstance(node, ast.ImportFrom | ast.Import) for node in nodes(part))
        return spot.scope if any(self._importing[part] for part in spot.scope) else ()

    @cached_property
    def engines(self) -> tuple[Made, ...]:
        """The calls that make engines."""
        return tuple(self._made(_ENGINES))

    @cached_property
    def factories(self) -> tuple[Made, ...]:
        """The calls that make session factories: of those that are kept, or else those inside of functions."""
        every = {(made.module, made.name): made for made in reversed(list(self._made(_FACTORIES)))}
        kept = {name: made for name, made in every.items() if made.held != "function"} or every
        return tuple(sorted(kept.values(), key=lambda made: made.place))

    def _made(self, functions: frozenset[str]) -> Iterator[Made]:
        makers: dict[Own, list[Made]] = {}
        for path, every in self.files.items():
            for spot, call, dotted in self._calls(path, every):
                if _is_of(dotted, functions):
                    made = self._described(path, spot, call, dotted)
                    maker = _outermost(spot)
                    if made.held == "function" and maker is not None and _gives(spot, call):
                        makers.setdefault(Own(path, maker.name), []).append(made)
                    else:
                        yield self._constructed(made, path, spot)
                elif dotted.startswith(_PROVIDERS) and call.args:
                    provided = self._names.lookup(wrapped_function(call.args[0]), path, spot.scope)
                    if isinstance(provided, str) and _is_of(provided, functions):
                        yield self._described(path, spot, call, provided, "container", call.args[1:])
        yield from self._users_of(makers)

    def _constructed(self, made: Made, path: str, spot: StatementRef) -> Made:
        """Complete an attribute whose URL is an argument of its class by what the class is made with."""
        owner, method = spot.scope[0] if spot.scope else None, spot.scope[-1] if spot.scope else None
        if made.held != "class" or not isinstance(owner, ast.ClassDef) or not isinstance(method, Function):
            return made
        parameters = [item.arg for item in method.args.args[1:]]
        if made.url not in parameters:
            return made
        for where, every in self._statements([owner.name]).items():
            for user, call, dotted in self._calls(where, every):
                provided = dotted.startswith(_PROVIDERS) and call.args
                func, given = (call.args[0], call.args[1:]) if provided else (call.func, call.args)
                if self._names.lookup(func, where, self._scope(user)) != Own(path, owner.name):
                    continue
                value = next((word.value for word in call.keywords if word.arg == made.url), None)
                value = value or dict(zip(parameters, given, strict=False)).get(made.url)
                if value is not None:
                    shown, setting = self._url(value, where, user)
                    return replace(made, url=shown, setting=setting)
        return made

    def _users_of(self, makers: Mapping[Own, list[Made]]) -> Iterator[Made]:
        """Yield what the project's own functions make, where it is kept: as variable, attribute or provider."""
        if not makers:
            return
        kept: set[Own] = set()
        for path, every in self._statements([own.name for own in makers]).items():
            for spot, call, _ in self._calls(path, every):
                by_provider = self._names.resolve(call.func, path, spot.scope).startswith(_PROVIDERS) and call.args
                target = self._names.lookup(call.args[0] if by_provider else call.func, path, spot.scope)
                if not isinstance(target, Own) or target not in makers:
                    continue
                held = "container" if by_provider else _held(spot)
                if held == "function" or not _holder(spot):
                    continue
                kept.add(target)
                given = call.args[1:] if by_provider else call.args
                yield self._described(path, spot, call, makers[target][0].call, held, given)
        yield from (made for own, found in makers.items() if own not in kept for made in found)

    def _described(
        self,
        path: str,
        spot: StatementRef,
        call: ast.Call,
        dotted: str,
        held: str = "",
        given: Sequence[ast.expr] | None = None,
    ) -> Made:
        words = {word.arg: word.value for word in call.keywords}
        arguments = call.args if given is None else given
        url = next((words[name] for name in ("url", "database_url") if name in words), None)
        url = url or next(iter(arguments), None)
        is_engine = _is_of(dotted, _ENGINES)
        shown, setting = self._url(url, path, spot) if url is not None and is_engine else ("", "")
        return Made(
            name=_named(spot) + _item(spot, call),
            call=dotted,
            held=held or _held(spot),
            place=Place(path, call.lineno),
            module=self._names.module_name(path),
            reached="" if held == "container" else self._reached(spot, call, path),
            url=shown,
            setting=setting,
        )

    def _reached(self, spot: StatementRef, call: ast.Call, path: str) -> str:
        """Return the expression by which another module gets the one object that a call makes, `""` when it cannot."""
        held, maker = _held(spot), next(iter(spot.scope), None)
        if held != "function" and not any(isinstance(each, Function) for each in spot.scope):
            return _named(spot) + _item(spot, call)
        if not isinstance(maker, ast.FunctionDef) or spot.scope != (maker,) or not _gives(spot, call):
            return ""
        spec = maker.args
        if len(spec.posonlyargs) + len(spec.args) > len(spec.defaults) or None in spec.kw_defaults:
            return ""
        marks = (item.func if isinstance(item, ast.Call) else item for item in maker.decorator_list)
        is_kept = held == "module" or any(self._names.resolve(item, path) in _CACHES for item in marks)
        return f"{maker.name}()" if is_kept else ""

    def _url(self, node: ast.expr, path: str, spot: StatementRef) -> tuple[str, str]:
        """Return the expression of a URL, and the setting it reads; a variable is looked up once."""
        shown = ast.unparse(node)
        if setting := self._setting(node, path):
            return shown, setting
        local = next((each for each in reversed(spot.scope) if isinstance(each, Function)), None)
        if isinstance(node, ast.Name) and local is not None:
            for part in nodes(local):
                if isinstance(part, ast.Assign) and any(dotted_path(target) == node.id for target in part.targets):
                    return shown, self._setting(part.value, path)
        return shown, self._traced(node, path, spot.scope)

    def _traced(self, node: ast.expr, path: str, scope: tuple[Scope, ...] = (), depth: int = 3) -> str:
        """Return the setting in what the module-level variables of an expression are."""
        found = []
        for part in nodes(node) if depth else ():
            value, home = self._bound(part, path, scope)
            if value is not None:
                found.append(self._setting(value, home) or self._traced(value, home, (), depth - 1))
        named = [setting for setting in found if setting]
        return next((setting for setting in named if _URL.search(setting)), next(iter(named), ""))

    def _bound(self, node: ast.AST, path: str, scope: tuple[Scope, ...]) -> tuple[ast.expr | None, str]:
        """Return what a module-level variable is bound to, and in which file."""
        if isinstance(node, ast.Name) and (statement := self._names.bound(path).get(node.id)) is not None:
            return assigned_value(statement), path
        target = self._names.lookup(node, path, scope) if isinstance(node, ast.Name | ast.Attribute) else ""
        if not isinstance(target, Own) or "." in target.name:
            return None, ""
        statement = self._names.statement(target)
        return (assigned_value(statement) if statement is not None else None), target.path

    def _setting(self, node: ast.expr, path: str) -> str:
        """Return the setting or the variable of the process that an expression reads, `""` when it reads none."""
        for part in nodes(node):
            if isinstance(part, ast.Subscript) and self._names.resolve(part.value, path) == "os.environ":
                return _text(part.slice)
            if isinstance(part, ast.Call) and part.args and (text := _text(part.args[0])):
                called = self._names.resolve(part.func, path)
                if called in _ENVIRONMENT or (isinstance(part.func, ast.Attribute) and part.func.attr == "get"):
                    return text
                target = self._names.lookup(part.func, path)
                statement = self._names.statement(target) if isinstance(target, Own) else None
                value = assigned_value(statement) if statement is not None else None
                if isinstance(value, ast.Call) and isinstance(target, Own):
                    made = self._names.resolve(value.func, target.path)
                    if made == "starlette.config.Config":
                        return text
        attributes = [part for part in nodes(node) if isinstance(part, ast.Attribute) and part.attr not in _METHODS]
        known = [part for part in attributes if not self._is_function(part, path)]
        return known[0].attr if known else ""

    def _is_function(self, node: ast.Attribute, path: str) -> bool:
        """Whether an attribute is one of a module that is no setting: `sqlalchemy.make_url`, `URL.create`."""
        found = self._names.resolve(node, path)
        return (
            found.startswith(tuple(f"{package}." for package in (*PACKAGES, "os", "pathlib"))) or node.attr == "create"
        )

    def _calls(self, path: str, every: Sequence[StatementRef]) -> Sequence[tuple[StatementRef, ast.Call, str]]:
        """Return the calls of a file with the dotted names of what is called."""
        if path not in self._called:
            found = [(spot, node) for spot in every for node in expressions(spot.node) if isinstance(node, ast.Call)]
            self._called[path] = [
                (spot, node, self._names.resolve(wrapped_function(node.func), path, self._scope(spot)))
                for spot, node in found
            ]
        return self._called[path]

    @cached_property
    def models(self) -> tuple[Models, ...]:
        """The declarative bases, SQLModel when a table derives from it, or else the metadata of Core tables."""
        found: list[Models] = []
        metadata: list[Models] = []
        for path, every in self.files.items():
            module = self._names.module_name(path)
            for spot in every:
                place = Place(path, spot.node.lineno)
                if isinstance(spot.node, ast.ClassDef) and not spot.scope:
                    kind = self._base(spot.node, path)
                    if kind == "sqlmodel" and not any(item.kind == kind for item in found):
                        found.append(Models("SQLModel", "sqlmodel", kind, place))
                    elif kind == "class":
                        found.append(Models(spot.node.name, module, kind, place))
                value = assigned_value(spot.node)
                if spot.scope or not isinstance(value, ast.Call) or not _holder(spot):
                    continue
                called = self._names.resolve(value.func, path)
                if _is_of(called, frozenset({"declarative_base", "automap_base"})) or (
                    isinstance(value.func, ast.Attribute) and value.func.attr == "generate_base"
                ):
                    found.append(Models(_holder(spot), module, "class", place))
                elif _is_of(called, frozenset({"MetaData"})):
                    metadata.append(Models(_holder(spot), module, "metadata", place))
        return tuple(found or metadata)

    @cached_property
    def tables(self) -> tuple[str, ...]:
        """The modules that have tables: classes with the name of one, and tables of Core."""
        return tuple(
            self._names.module_name(path)
            for path, every in self.files.items()
            if any(self._is_table(spot, path) for spot in every)
        )

    def _is_table(self, spot: StatementRef, path: str) -> bool:
        if isinstance(spot.node, ast.ClassDef):
            names = [target for item in spot.node.body for target in bound_targets(item)]
            is_named = any(dotted_path(name) == "__tablename__" for name in names)
            return is_named or any(word.arg == "table" for word in spot.node.keywords)
        value = assigned_value(spot.node)
        return isinstance(value, ast.Call) and _is_of(self._names.resolve(value.func, path), frozenset({"Table"}))

    def _base(self, node: ast.ClassDef, path: str) -> str:
        bases = [self._names.resolve(base, path) for base in node.bases]
        if any(_is_of(base, _BASES) for base in bases):
            return "class"
        is_table = any(word.arg == "table" for word in node.keywords)
        return "sqlmodel" if is_table and (("sqlmodel.SQLModel" in bases) or self._is_sqlmodel(node, path)) else ""

    def _is_sqlmodel(self, node: ast.ClassDef, path: str, depth: int = 5) -> bool:
        for base in node.bases if depth else ():
            target = self._names.lookup(base, path)
            if target in {"sqlmodel.SQLModel", "sqlmodel.main.SQLModel"}:
                return True
            statement = self._names.statement(target) if isinstance(target, Own) else None
            if not isinstance(target, Own) or not isinstance(statement, ast.ClassDef):
                continue
            if self._is_sqlmodel(statement, target.path, depth - 1):
                return True
        return False

    def sessions(self) -> tuple[Sessions, ...]:
        """Where sessions are opened, dependencies first; a function that only opens one for itself comes last."""
        factories = {Own(made.place.path, made.name) for made in self.factories if made.held == "module"}
        words = [*PACKAGES, *(own.name for own in factories)]
        found: dict[tuple[str, str], Sessions] = {}
        for path, every in self._statements(words).items():
            for spot, call, dotted in self._calls(path, every):
                if not any(isinstance(each, Function) for each in spot.scope):
                    continue
                makes = _is_of(dotted, _FACTORIES)
                if not makes and not self._opens(spot, call, dotted, path, factories):
                    continue
                kind = self._kind(spot, path)
                if kind != "function" or not makes:
                    name = ".".join(each.name for each in spot.scope)
                    found.setdefault((path, name), Sessions(name, kind, Place(path, call.lineno)))
        order = ("dependency", "middleware", "context", "container", "function")
        both = [*found.values(), *self._injected()]
        shared = [item for item in both if item.kind != "function"] or both
        return tuple(sorted(shared, key=lambda item: (order.index(item.kind), item.place)))

    def _opens(self, spot: StatementRef, call: ast.Call, dotted: str, path: str, factories: set[Own]) -> bool:
        """Whether a call gives a session: of a factory, also under a local name, or of the class."""
        func = call.func
        if isinstance(func, ast.Name):
            function = next(each for each in reversed(spot.scope) if isinstance(each, Function))
            for part in function.body:
                value = assigned_value(part)
                if isinstance(value, ast.Name) and any(dotted_path(item) == func.id for item in bound_targets(part)):
                    func = value
        made = isinstance(func, ast.Call) and _is_of(
            self._names.resolve(func.func, path, self._scope(spot)), _FACTORIES
        )
        target = self._names.lookup(func, path, self._scope(spot))
        return made or target in factories or _is_of(dotted, _SESSIONS) or self._is_provided(call)

    def _is_provided(self, call: ast.Call) -> bool:
        """Whether a call is that of a container's provider, or of what it gives: `container.session_factory()()`."""
        provided = {made.name.rpartition(".")[2] for made in self.factories if made.held in {"container", "class"}}
        func = call.func.func if isinstance(call.func, ast.Call) else call.func
        return isinstance(func, ast.Attribute) and func.attr in provided

    def _kind(self, spot: StatementRef, path: str) -> str:
        function = next(each for each in reversed(spot.scope) if isinstance(each, Function))
        parameters = [item.arg for item in (*function.args.posonlyargs, *function.args.args)]
        if function.name in {"dispatch", "__call__"} or "call_next" in parameters:
            return "middleware"
        if any(self._names.resolve(item, path, self._scope(spot)) in _MANAGERS for item in function.decorator_list):
            return "context"
        own = [part for part in function.body if not isinstance(part, Scope)]
        yields = any(isinstance(node, ast.Yield) for part in own for node in own_nodes(part))
        return "dependency" if yields else "function"

    def _injected(self) -> Iterator[Sessions]:
        """Yield the providers of a container that take its session factory."""
        provided = {made.name for made in self.factories if made.held == "container"}
        for path, every in self._statements(["dependency_injector"] if provided else []).items():
            for spot, call, dotted in self._calls(path, every):
                scope = ".".join(each.name for each in spot.scope)
                given = [*call.args[1:], *(word.value for word in call.keywords)]
                taken = {f"{scope}.{dotted_path(node).partition('.')[0]}" for node in given if dotted_path(node)}
                if dotted.startswith(_PROVIDERS) and scope and taken & provided:
                    yield Sessions(_named(spot), "container", Place(path, call.lineno))

    def create_all(self) -> tuple[CreateAll, ...]:
        """Return the places at which the application makes its own tables."""
        found = []
        for path, every in self._statements(["create_all"]).items():
            for spot in every:
                scope = ".".join(each.name for each in spot.scope)
                found += [
                    CreateAll(scope, Place(path, node.lineno))
                    for node in expressions(spot.node)
                    if isinstance(node, ast.Attribute)
                    and node.attr == "create_all"
                    and dotted_path(node.value).rpartition(".")[2].lower().endswith("metadata")
                ]
        return tuple(found)


def imports_of_app(names: Names, app: App | None, made: Sequence[Made]) -> list[Made]:
    """Return what the application's file, or a module that it imports, holds; all of it when that is none."""
    if app is None:
        return list(made)
    near = {app.path}
    for dotted in names.imports(app.path).values():
        target = names.trace(dotted, app.path)
        if isinstance(target, Own):
            near.add(target.path)
    return [item for item in made if item.place.path in near] or list(made)


def _is_of(dotted: str, wanted: frozenset[str]) -> bool:
    package, _, name = dotted.partition(".")
    return package in PACKAGES and name.rpartition(".")[2] in wanted


def _outermost(spot: StatementRef) -> Function | None:
    """Return the module-level function that a statement is in, `None` when it is in a class or in none."""
    first = next(iter(spot.scope), None)
    return first if isinstance(first, Function) else None


def _gives(spot: StatementRef, call: ast.Call) -> bool:
    """Whether a function returns what a call of its makes."""
    if isinstance(spot.node, ast.Return):
        return True
    holder = _holder(spot)
    function = spot.scope[-1]
    given = [node.value for node in nodes(function) if isinstance(node, ast.Return) and node.value is not None]
    return any(dotted_path(value) == holder for value in given if holder)


def _holder(spot: StatementRef) -> str:
    """Return the first name that a statement binds."""
    return next((text for target in bound_targets(spot.node) if (text := dotted_path(target))), "")


def _named(spot: StatementRef) -> str:
    """Return the qualified name of what a statement binds; of a function that only makes it, the function's."""
    scope = ".".join(each.name for each in spot.scope)
    holder = _holder(spot)
    if holder.startswith(("self.", "cls.")):
        return f"{scope.partition('.')[0]}.{holder.partition('.')[2]}"
    if _is_global(spot, holder):
        return holder
    if any(isinstance(each, Function) for each in spot.scope):
        return scope
    return ".".join(filter(None, (scope, holder)))


def _item(spot: StatementRef, call: ast.Call) -> str:
    """Return the subscript of what is one of several in a mapping or a list: `["writer"]`."""
    value = assigned_value(spot.node)
    items: Sequence[tuple[ast.expr | None, ast.expr]] = ()
    if isinstance(value, ast.Dict):
        items = list(zip(value.keys, value.values, strict=True))
    elif isinstance(value, ast.List | ast.Tuple):
        items = [(ast.Constant(number), item) for number, item in enumerate(value.elts)]
    found = next((key for key, item in items if any(node is call for node in nodes(item))), None)
    return f"[{ast.unparse(found)}]" if found is not None else ""


def _held(spot: StatementRef) -> str:
    holder = _holder(spot)
    if not spot.scope:
        return "module" if holder else "function"
    if isinstance(spot.scope[-1], ast.ClassDef) or holder.startswith(("self.", "cls.")):
        return "class"
    return "module" if _is_global(spot, holder) else "function"


def _is_global(spot: StatementRef, name: str) -> bool:
    """Whether a function binds a variable of the module."""
    return bool(spot.scope) and any(
        isinstance(node, ast.Global) and name in node.names for node in nodes(spot.scope[-1])
    )


def _text(node: ast.expr) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
