"""What a name in the user's code stands for: the one resolver everything else asks.

Names are resolved through imports, never matched as text: `from fastapi import FastAPI as F`, `import fastapi as fa`,
relative imports, and re-exports through the project's own modules all lead to `fastapi.FastAPI`.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from msgspec import Struct

from laterctl.project.source import Unreadable
from laterctl.project.statements import Function, Scope, blocks, bound_targets, expressions, is_main_guard, own_nodes
from laterctl.project.tree import Outside, Tree

_DEPTH = 12  # re-exports followed before giving up

_MOVED = {
    # FastAPI re-exports Starlette under its own name; the place of definition is the canonical one.
    "fastapi.middleware": "starlette.middleware",
    "fastapi.requests": "starlette.requests",
    "fastapi.responses": "starlette.responses",
    "fastapi.staticfiles": "starlette.staticfiles",
    "fastapi.templating": "starlette.templating",
    "fastapi.testclient": "starlette.testclient",
    "fastapi.websockets": "starlette.websockets",
    "pydantic.env_settings": "pydantic",
    "pydantic.fields": "pydantic",
    "pydantic.main": "pydantic",
    "pydantic.networks": "pydantic",
    "pydantic.types": "pydantic",
    "pydantic_settings.main": "pydantic_settings",
    "dynaconf.base": "dynaconf",
    "fastapi.applications": "fastapi",
    "fastapi.param_functions": "fastapi",
    "fastapi.security.api_key": "fastapi.security",
    "fastapi.security.http": "fastapi.security",
    "fastapi.security.oauth2": "fastapi.security",
    "fastapi.security.open_id_connect_url": "fastapi.security",
}
_SAME = {
    "fastapi.routing.APIRouter": "fastapi.APIRouter",
    "fastapi.exceptions.HTTPException": "fastapi.HTTPException",
    "fastapi.Request": "starlette.requests.Request",
    "fastapi.Response": "starlette.responses.Response",
    "fastapi.WebSocket": "starlette.websockets.WebSocket",
    "fastapi.concurrency.asynccontextmanager": "contextlib.asynccontextmanager",
    "fastapi.responses.ORJSONResponse": "fastapi.responses.ORJSONResponse",
    "fastapi.responses.UJSONResponse": "fastapi.responses.UJSONResponse",
    "dynaconf.LazySettings": "dynaconf.Dynaconf",
    "dynaconf.base.LazySettings": "dynaconf.Dynaconf",
}
_STARRED = {  # names that `from x import *` brings, for the packages that matter here
    "fastapi": ("FastAPI", "APIRouter", "Depends", "HTTPException", "Request", "Response"),
    "pydantic": ("BaseSettings", "BaseModel"),
    "pydantic_settings": ("BaseSettings", "SettingsConfigDict"),
    "dynaconf": ("Dynaconf", "settings"),
    "dependency_injector.containers": ("DeclarativeContainer", "DynamicContainer", "WiringConfiguration"),
}


def canonical(dotted: str) -> str:
    """Return the one dotted name used for something that can be imported from several places.

    FastAPI's re-exports of Starlette become Starlette's names, `fastapi.applications.FastAPI` becomes
    `fastapi.FastAPI`; anything else comes back as it is.
    """
    if dotted in _SAME:
        return _SAME[dotted]
    head = dotted.rpartition(".")[0]
    while head:
        if head in _MOVED:
            moved = _MOVED[head] + dotted[len(head) :]
            return _SAME.get(moved, moved)
        head = head.rpartition(".")[0]
    return dotted


def dotted_path(node: ast.AST) -> str:
    """Return `a.b.c` for a name or a chain of attributes, else `""`."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    return ".".join([node.id, *reversed(parts)])


def resolve(node: ast.AST, imports: Mapping[str, str]) -> str:
    """Return the canonical dotted name of a name or attribute by the imports in force, `""` when unknown.

    A subscript (`Generic[T]`) resolves to what is subscripted.
    """
    if isinstance(node, ast.Subscript):
        node = node.value
    path = dotted_path(node)
    head, _, rest = path.partition(".")
    if head not in imports:
        return ""
    return canonical(f"{imports[head]}.{rest}" if rest else imports[head])


def imports_of(tree: ast.Module, module: str, is_package: bool) -> dict[str, str]:
    """Map the names that a module's imports bind to what they stand for.

    Relative imports are made absolute from `module` (its own dotted name). Imports in branches count; a name that is
    bound again afterwards by an assignment, a function or a class is left out. `from x import *` is kept under the
    key `*x`.
    """
    names: dict[str, str] = {}
    _bind(tree.body, names, module if is_package else module.rpartition(".")[0])
    return names


def imports_in(
    functions: Sequence[Scope], outer: Mapping[str, str], module: str, is_package: bool
) -> Mapping[str, str]:
    """Map names as seen inside nested functions, outermost first: `outer` without locals, plus local imports.

    A class body does not lend its names to the functions in it, so classes are stepped over.
    """
    names = dict(outer)
    for function in functions:
        if isinstance(function, ast.ClassDef):
            continue
        for name in _locals(function):
            names.pop(name, None)
        _bind(function.body, names, module if is_package else module.rpartition(".")[0])
    return names


@lru_cache(maxsize=1024)
def _locals(function: Function) -> frozenset[str]:
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    found = {argument.arg for argument in every if argument is not None}
    for statement in function.body:
        for node in own_nodes(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.add(node.id)
            elif isinstance(node, Scope):
                found.add(node.name)
    return frozenset(found)


def _bind(body: Iterable[ast.stmt], names: dict[str, str], package: str) -> None:
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            names.update(_imported(node, package))
        elif isinstance(node, Scope):
            names.pop(node.name, None)
        else:
            for target in node.targets if isinstance(node, ast.Delete) else bound_targets(node):
                if isinstance(target, ast.Name):
                    names.pop(target.id, None)
            _bind_branches(node, names, package)


def _imported(node: ast.Import | ast.ImportFrom, package: str) -> dict[str, str]:
    if isinstance(node, ast.Import):
        pairs = [(alias.asname or alias.name.partition(".")[0], alias) for alias in node.names]
        return {name: alias.name if alias.asname else name for name, alias in pairs}
    source = _absolute(node, package)
    before = f"{source}." if source else ""
    return {
        f"*{source}" if alias.name == "*" else alias.asname or alias.name: source
        if alias.name == "*"
        else before + alias.name
        for alias in node.names
    }


def _bind_branches(node: ast.stmt, names: dict[str, str], package: str) -> None:
    # Each branch starts from what was there; an import in any of them counts, the first one wins. So
    # `try: from a import X / except ImportError: X = None` leaves X as a's.
    branches: list[dict[str, str]] = []
    for _, block in blocks(node):
        branch = dict(names)
        _bind(block, branch, package)
        branches.append(branch)
    for branch in branches:
        for name, dotted in branch.items():
            if names.get(name) != dotted and not any(name in other for other in branches[: branches.index(branch)]):
                names[name] = dotted
    if len(branches) == 1:
        for name in [name for name in names if name not in branches[0]]:
            del names[name]


def _absolute(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    base = package
    for _ in range(node.level - 1):
        base = base.rpartition(".")[0]
    return ".".join(part for part in (base, node.module) if part)


class Own(Struct, frozen=True):
    """Something defined in the project: `name` (dotted below the module, `""` for the module) in file `path`."""

    path: str
    name: str = ""


class Names:
    """Resolves names across the modules of one tree.

    `roots` are the folders that absolute imports may start from, best first (`""` is the project root).
    """

    def __init__(self, tree: Tree, roots: Sequence[str] = ("", "src")) -> None:
        self.tree = tree
        self.roots = tuple(roots)
        self._imports: dict[tuple[str, tuple[Scope, ...]], Mapping[str, str]] = {}
        self._bound: dict[str, Mapping[str, ast.stmt]] = {}
        self._traced: dict[tuple[str, str], Own | str] = {}
        self._roots_near: dict[str, list[str]] = {}
        self._modules: dict[str, str] = {}
        self._folders: set[str] = set()
        self._last: defaultdict[str, list[str]] = defaultdict(list)  # by the last part of their names
        for path in tree.python_files():
            self._list(path)

    def _list(self, path: str) -> None:
        stem = _stem(path)
        self._modules[stem] = path
        folder, _, name = stem.rpartition("/")
        self._last[name].append(path)
        if path.endswith("/__init__.py"):
            self._folders.add(stem)
        while folder and folder not in self._folders:
            self._folders.add(folder)
            folder = folder.rpartition("/")[0]

    def with_files(self, tree: Tree, paths: Iterable[str]) -> Names:
        """Return the resolver for a tree that differs from this one's in `paths`: files changed, added or gone.

        Absolute imports go on starting where they do.
        """
        python = {path for path in paths if path.endswith(".py")}
        if any(not tree.exists(path) for path in python):
            return Names(tree, self.roots)
        names = Names.__new__(Names)
        names.tree, names.roots = tree, self.roots
        names._imports = {key: found for key, found in self._imports.items() if key[0] not in python}
        names._bound = {path: found for path, found in self._bound.items() if path not in python}
        names._modules, names._folders = dict(self._modules), set(self._folders)
        names._traced, names._roots_near = {}, self._roots_near
        names._last = defaultdict(list, {name: list(found) for name, found in self._last.items()})
        for path in sorted(python):
            if names._modules.get(_stem(path)) != path:
                names._list(path)
                names._last[_stem(path).rpartition("/")[2]].sort()
        return names

    def imports(self, path: str, scope: Sequence[Scope] = ()) -> Mapping[str, str]:
        """Return the imports of a file, or those seen inside nested functions of it.

        Own modules are named from the project root here, whatever the import root is.
        """
        key = (path, tuple(scope))
        if key not in self._imports:
            module, is_package = _stem(path).replace("/", "."), path.endswith("__init__.py")
            self._imports[key] = (
                imports_in(scope, self.imports(path), module, is_package)
                if scope
                else imports_of(self.tree.python(path).tree, module, is_package)
            )
        return self._imports[key]

    def resolve(self, node: ast.AST, path: str, scope: Sequence[Scope] = ()) -> str:
        """Return the dotted name of a name or attribute in file `path`, re-exports followed; `""` when unknown.

        Names of other distributions come back canonical; the project's own as `module.name`, the module being named
        from its import root.
        """
        found = self.lookup(node, path, scope)
        return self.spell(found) if isinstance(found, Own) else found

    def spelled(self, node: ast.AST, path: str, scope: Sequence[Scope] = ()) -> str:
        """Like `resolve`, but a name of a module that is not there (yet) comes back as its import spells it."""
        return self.resolve(node, path, scope) or resolve(node, self.imports(path, scope))

    def lookup(self, node: ast.AST, path: str, scope: Sequence[Scope] = ()) -> Own | str:
        """Like `resolve`, but the project's own things come back as an `Own`."""
        if isinstance(node, ast.Subscript):
            node = node.value
        dotted = dotted_path(node)
        head, _, rest = dotted.partition(".")
        if not head:
            return ""
        imports = self.imports(path, scope)
        if head in imports:
            return self.trace(f"{imports[head]}.{rest}" if rest else imports[head], path)
        if any(head in _locals(function) for function in scope if not isinstance(function, ast.ClassDef)):
            return ""
        return self._inside(path, dotted.split("."), _DEPTH)

    def trace(self, dotted: str, near: str) -> Own | str:
        """Follow an imported dotted name, written in file `near`, to where it is defined; `""` when it is lost."""
        key = dotted, near
        if key not in self._traced:
            self._traced[key] = self._trace(dotted, near, _DEPTH)
        return self._traced[key]

    def module_file(self, dotted: str, near: str) -> str | None:
        """Return the file of one of the project's modules, as imported in file `near`."""
        relative = dotted.replace(".", "/")
        for root in self._roots_for(near):
            path = self._modules.get(f"{root}/{relative}" if root else relative)
            if path is not None:
                return path
        return None

    def files_ending(self, ending: str) -> list[str]:
        """Return the modules whose path without `.py` or `/__init__.py` ends in `ending`, whole folders compared."""
        likely = self._last.get(ending.rpartition("/")[2], [])
        return [path for path in likely if f"/{_stem(path)}".endswith(f"/{ending}")]

    def module_file_at_root(self, dotted: str) -> str | None:
        """Return the file of a module named from the project root, as `imports` names relative imports."""
        return self._modules.get(dotted.replace(".", "/"))

    def module_name(self, path: str) -> str:
        """Return the dotted name under which the project's own code imports file `path`."""
        stem = _stem(path)
        for root in self._roots_for(path):
            if root and stem.startswith(f"{root}/"):
                return stem[len(root) + 1 :].replace("/", ".")
            if not root:
                return stem.replace("/", ".")
        return stem.replace("/", ".")

    def spell(self, found: Own) -> str:
        """Return the dotted name of an own thing: its module from the import root, and its name."""
        module = self.module_name(found.path)
        return f"{module}.{found.name}" if found.name else module

    def statement(self, found: Own) -> ast.stmt | None:
        """Return the top-level statement that binds an own thing last, `None` when there is none."""
        return self.bound(found.path).get(found.name.partition(".")[0])

    def bound(self, path: str) -> Mapping[str, ast.stmt]:
        """Map the names that a file's top level binds by anything but an import to the last such statement.

        What only a script binds, below `if __name__ == "__main__":`, is left out.
        """
        if path not in self._bound:
            self._bound[path] = _bindings(self.tree.python(path).tree.body)
        return self._bound[path]

    def is_own(self, dotted: str, near: str) -> bool:
        """Whether the first part of a dotted name is a module or a folder with modules of the project."""
        top = dotted.partition(".")[0]
        places = [f"{root}/{top}" if root else top for root in self._roots_for(near)]
        return any(place in self._modules or place in self._folders for place in places)

    def _roots_for(self, near: str) -> list[str]:
        if near not in self._roots_near:
            found = [root for root in self.roots if not root or near.startswith(f"{root}/")] or [""]
            nameless = _nameless(near)
            below = [root for root in found if f"{root}/".startswith(f"{nameless}/")] or [nameless]
            self._roots_near[near] = below if nameless else found
        return self._roots_near[near]

    def _trace(self, dotted: str, near: str, depth: int) -> Own | str:
        if depth == 0:
            return ""
        parts = dotted.split(".")
        lost = False
        for cut in range(len(parts), 0, -1):
            # Relative imports were made absolute from the project root, so that is always tried as well.
            head = ".".join(parts[:cut])
            path = self.module_file(head, near) or self._modules.get(head.replace(".", "/"))
            if path is None:
                continue
            if cut == len(parts):
                return self._rebound(parts, near, depth - 1) or Own(path)
            found = self._inside(path, parts[cut:], depth - 1)
            if found:
                return found
            lost = True
        return "" if lost else canonical(dotted)

    def _rebound(self, parts: list[str], near: str, depth: int) -> Own | str:
        # `from app.core import settings` is the object when app/core/__init__.py imports it under its module's name.
        head = "/".join(parts[:-1])
        for root in [*self._roots_for(near), ""]:
            path = self._modules.get(f"{root}/{head}" if root else head) if head else None
            if path is not None and path.endswith("__init__.py"):
                own = f"{_stem(path)}/{parts[-1]}".replace("/", ".")
                source = self._quiet_imports(path).get(parts[-1], own)
                return "" if source == own else self._trace(source, path, depth)
        return ""

    def _quiet_imports(self, path: str) -> Mapping[str, str]:
        try:
            return self.imports(path)
        except (Unreadable, Outside):
            return {}

    def _inside(self, path: str, parts: list[str], depth: int) -> Own | str:
        try:
            bound, imports = self.bound(path), self.imports(path)
        except (Unreadable, Outside):
            return ""
        name, rest = parts[0], parts[1:]
        if name in imports:
            return self._trace(".".join([imports[name], *rest]), path, depth - 1)
        if name in bound:
            value = getattr(bound[name], "value", None)
            if isinstance(bound[name], ast.Assign) and isinstance(value, ast.Name | ast.Attribute) and depth > 0:
                other = dotted_path(value)
                if other and other.split(".")[0] != name:
                    found = self._inside(path, [*other.split("."), *rest], depth - 1)
                    if found:
                        return found
            return Own(path, ".".join(parts))
        for key, source in imports.items():
            if key.startswith("*") and (found := self._starred(source, parts, path, depth - 1)):
                return found
        return ""

    def _starred(self, source: str, parts: list[str], near: str, depth: int) -> Own | str:
        if depth <= 0:
            return ""
        path = self.module_file(source, near) or self._modules.get(source.replace(".", "/"))
        if path is not None:
            return self._inside(path, parts, depth) if path != near else ""
        return canonical(".".join([source, *parts])) if parts[0] in _STARRED.get(source, ()) else ""


def _nameless(path: str) -> str:
    """Return the innermost folder above a file that no import can name (`my app`): imports start in it."""
    parts = path.split("/")[:-1]
    last = max((number for number, part in enumerate(parts) if not part.isidentifier()), default=-1)
    return "/".join(parts[: last + 1])


def _stem(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__")


def _bindings(body: Iterable[ast.stmt]) -> dict[str, ast.stmt]:
    found: dict[str, ast.stmt] = {}
    for node in body:
        if isinstance(node, Scope):
            found[node.name] = node
            continue
        if is_main_guard(node):  # no other module can import what a script binds
            continue
        for target in bound_targets(node):
            if isinstance(target, ast.Name):
                found[target.id] = node
        for inner in expressions(node):
            if isinstance(inner, ast.NamedExpr) and isinstance(inner.target, ast.Name):
                found[inner.target.id] = node
        for _, block in blocks(node):
            found.update(_bindings(block))
    return found
