"""Where code lives, how modules name each other, and where absolute imports start from."""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterable, Sequence

from laterctl.project.application.served import Served
from laterctl.project.facts import App, Layout
from laterctl.project.names import Names
from laterctl.project.places import is_test_or_docs
from laterctl.project.source import Unreadable
from laterctl.project.statements import nodes
from laterctl.project.testpaths import testpaths
from laterctl.project.tree import Outside, Tree
from laterctl.render import Style

_ROUTERS = frozenset({"api", "router", "routers", "routes", "endpoints", "controllers", "views", "web", "http", "rest"})
_SHARED = frozenset({"common", "shared", "infrastructure", "infra", "lib", "libs"})
_PARTS = frozenset(
    {
        *(
            "api",
            "apis",
            "clients",
            "common",
            "config",
            "controllers",
            "core",
            "crud",
            "database",
            "db",
            "deps",
            "domain",
        ),
        *("dependencies", "endpoints", "exceptions", "handlers", "helpers", "lib", "libs", "middleware", "middlewares"),
        *("models", "repositories", "resources", "routers", "routes", "schemas", "services", "settings", "shared"),
        *("utils", "v1", "views", "web", "app_api", "app_core"),
    }
)
"""What parts of applications are called, so that a folder of that name is not the application's package."""


def import_roots(tree: Tree, paths: Iterable[str], served: Iterable[Served] = ()) -> tuple[str, ...]:
    """Return the folders that absolute imports start from, best first.

    Every absolute import in `paths` that names a module of the project votes for the folders from which it is found;
    what is `served` decides between folders that no import speaks for. The project root comes last.
    """
    paths = list(paths)
    votes: Counter[str] = Counter()
    modules = {path.removesuffix(".py").removesuffix("/__init__") for path in tree.python_files()}
    for path in paths:
        try:
            dotted = absolute_imports(tree.python(path).tree)
        except (Unreadable, Outside):
            continue
        for root in ancestors(path):
            votes[root] += sum(_found(name, root, modules) for name in dotted)
    meant = [reference.root_for(path) for reference in served for path in paths]
    started = Counter(root for root in meant if root is not None)
    both = sorted({*votes, *started}, key=lambda root: (-votes[root], -started[root], root.count("/"), root))
    ranked = [root for root in both if votes[root] or started[root]]
    return tuple(dict.fromkeys([*ranked, *(("src",) if tree.is_dir("src") else ()), ""]))


def absolute_imports(tree: ast.Module) -> list[str]:
    """Return the dotted names that a module imports absolutely, the standard library's left out."""
    found: list[str] = []
    for node in nodes(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return [name for name in found if name.partition(".")[0] not in sys.stdlib_module_names]


def ancestors(path: str) -> list[str]:
    """Return the folders above a file, the project root (`""`) first."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[:count]) for count in range(len(parts) + 1)]


def _found(dotted: str, root: str, modules: set[str]) -> bool:
    stem = "/".join(filter(None, (root, dotted.replace(".", "/"))))
    return stem in modules or ("." in dotted and stem.rpartition("/")[0] in modules)


def find_layout(names: Names, app_path: str, *, tests: str = "", style: Style | None = None) -> Layout:
    """Describe the layout around the app file.

    `tests` is the folder of tests where the user's configuration names it.
    """
    tree = names.tree
    module = names.module_name(app_path)
    stem = app_path.removesuffix(".py").removesuffix("/__init__")
    depth = module.count(".") + 1
    import_root = "/".join(stem.split("/")[:-depth])
    package = _package(tree, app_path, module, import_root) or _only_package(names, app_path, import_root)
    folder = "/".join(filter(None, (import_root, package.replace(".", "/"))))
    return Layout(
        package=package,
        folder=folder,
        import_root=import_root,
        tests=tests or _collected(_tests(tree, folder), testpaths(tree)),
        relative=_is_relative(names, app_path),
        first_party=_first_party(tree, import_root),
        style=style or Style(),
    )


def _package(tree: Tree, app_path: str, module: str, import_root: str) -> str:
    """Return the package of the application: the top-level one, or what is inside when that is a mere shell."""
    parts = module.split(".") if app_path.endswith("__init__.py") else module.split(".")[:-1]
    count = 1
    while count < len(parts) and _is_shell(tree, "/".join(filter(None, (import_root, *parts[:count]))), parts[count]):
        count += 1
    return ".".join(parts[:count])


def routers_package(names: Names, app: App, layout: Layout) -> str:
    """Return the package of routers that the application has; `""` when there is no such package.

    Its name says that it is one, or that all routers are in it, and several are. Of some with such names it is the one
    with the most routers. It may be the package that makes the application itself.
    """
    modules = {names.module_file(item.target.rpartition(".")[0], app.path) for item in app.routers}
    counted = Counter(path.rpartition("/")[0] if path else "" for path in modules)
    named = Counter({folder: n for folder, n in counted.items() if folder.rpartition("/")[2] in _ROUTERS})
    (folder, most), (_, next_most) = [*named.most_common(2), ("", 0), ("", 0)][:2]
    if most == next_most:
        folder = next(iter(counted)) if len(counted) == 1 and len(modules) > 1 and not named else ""
    own = layout.package if layout.package.rpartition(".")[2] == "api" else ""
    return _dotted_below(folder, layout) or own


def shared_package(tree: Tree, layout: Layout) -> str:
    """Return the package that the modules of the application share, by its name; `""` unless there is one such.

    It may be the package that makes the application itself.
    """
    if layout.package.rpartition(".")[2] == "core":
        return layout.package
    prefix = f"{layout.folder}/" if layout.folder else ""
    heads = {path[len(prefix) :].partition("/")[0] for path in tree.python_files() if path.startswith(prefix)}
    found = sorted(heads & _SHARED)
    return _dotted_below(f"{prefix}{found[0]}", layout) if len(found) == 1 else ""


def _dotted_below(folder: str, layout: Layout) -> str:
    """Return the dotted name of a folder inside the application's package, `""` for others."""
    root = f"{layout.import_root}/" if layout.import_root else ""
    inside = folder.startswith(f"{layout.folder}/" if layout.folder else "") and folder != layout.folder
    return folder.removeprefix(root).replace("/", ".") if inside else ""


def _is_shell(tree: Tree, folder: str, child: str) -> bool:
    """Whether a folder holds no code of its own beside the folder `child`."""
    for path in tree.python_files():
        if not path.startswith(f"{folder}/"):
            continue
        rest = path[len(folder) + 1 :]
        if rest == "__init__.py":
            if not _is_empty(tree, path):
                return False
        elif not rest.startswith(f"{child}/") and not is_test_or_docs(rest):
            return False
    return True


def _is_empty(tree: Tree, path: str) -> bool:
    """Whether a file has no statement but a docstring."""
    try:
        body = tree.python(path).tree.body
    except (Unreadable, Outside):
        return False
    return all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in body)


def _only_package(names: Names, app_path: str, import_root: str) -> str:
    """Return the package that an application beside it imports, where it is the project's only one; else `""`.

    A folder that is called like a part of an application (`routers`) is none, and with modules beside the application
    the project is a flat one.
    """
    prefix = f"{import_root}/" if import_root else ""
    paths = [path[len(prefix) :] for path in names.tree.python_files() if path.startswith(prefix)]
    paths = [path for path in paths if not is_test_or_docs(path) and f"{prefix}{path}" != app_path]
    tops = {path.partition("/")[0] for path in paths}
    top = next(iter(tops), "")
    if len(tops) != 1 or f"{top}/__init__.py" not in paths or top in _PARTS:
        return ""
    imported = absolute_imports(names.tree.python(app_path).tree)
    return top if any(name.partition(".")[0] == top for name in imported) else ""


def _tests(tree: Tree, folder: str) -> str:
    """Return the folder of tests; one beside the application's modules when there are several below them."""
    counted: Counter[str] = Counter()
    for path in (path for path in tree.python_files() if "test" in path):
        name = path.rpartition("/")[2]
        if name.startswith("test_") or name.endswith("_test.py") or name == "conftest.py":
            parts = path.split("/")[:-1]
            top = next((number for number, part in enumerate(parts) if part in {"tests", "test"}), None)
            if top is not None:
                counted["/".join(parts[: top + 1])] += 1
    beside = f"{folder}/tests" if folder else "tests"
    for likely in ("tests", "test", beside):
        if likely in counted:
            return likely
    if len(counted) == 1:
        return next(iter(counted))
    return beside if counted else "tests"


def _collected(folder: str, collected: Sequence[str]) -> str:
    """Return the folder of tests, or the first that pytest collects when it does not look there."""
    inside = any(folder == path or folder.startswith(f"{path}/") for path in collected)
    folders = [path for path in collected if not path.endswith(".py")]
    return folder if inside or not folders else folders[0]


def _is_relative(names: Names, app_path: str) -> bool:
    tree = names.tree.python(app_path).tree
    froms = [node for node in nodes(tree) if isinstance(node, ast.ImportFrom)]
    relative = sum(1 for node in froms if node.level)
    absolute = sum(1 for name in absolute_imports(tree) if names.is_own(name, app_path))
    return relative > absolute


def _first_party(tree: Tree, import_root: str) -> frozenset[str]:
    found: set[str] = set()
    for root in {import_root, ""}:
        prefix = f"{root}/" if root else ""
        tops = {path[len(prefix) :].partition("/")[0] for path in tree.python_files() if path.startswith(prefix)}
        found |= {top.removesuffix(".py") for top in tops}
    return frozenset(name for name in found if name.isidentifier() and name != "__init__")
