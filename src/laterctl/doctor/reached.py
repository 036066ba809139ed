"""Which code runs in an application: what its file imports, directly or through others, and what is used there.

Everything else is a script, a tool or left over: what it does is no business of the running application's.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

from laterctl.doctor.code import Codebase, once
from laterctl.project.places import Place, is_test_or_docs
from laterctl.project.source import Unreadable
from laterctl.project.statements import Scope, is_main_guard
from laterctl.project.tree import Outside

_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+(?P<source>\.*[\w.]*)[ \t]+import\b(?P<names>[ \t]*\([^)]*\)|(?:[^\n\\]|\\\n)*)"
    r"|import[ \t]+(?P<modules>[^\n#;]+))",
    re.MULTILINE,
)
_TEXT = re.compile(r"[\"'](\.{0,3}[A-Za-z_]\w*(?:\.\w+)*)(?::\w+)?[\"']")
_LOADERS = re.compile(r"import_module|__import__|iter_modules|walk_packages|entry_points|spec_from_file_location")
_NAME = re.compile(r"\w+")


@once
def imported(codebase: Codebase) -> frozenset[str] | None:
    """Return the files that the applications import, through others too; `None` without an application.

    Where a module loads others by names that are computed, all of its package counts, but for scripts. The text is
    searched instead of parsed: most of these files no rule looks at.
    """
    found: set[str] = set()
    todo = list(_first(codebase))
    while todo:
        path = todo.pop()
        if path not in found:
            found.add(path)
            text = _text(codebase, path)
            todo += _imports(codebase, path, text)
            if _LOADERS.search(text):
                todo += _package(codebase, path)
    return frozenset(found) or None


def is_reached(codebase: Codebase, place: Place) -> bool:
    """Whether what stands at a place runs in an application; true where there is none, but for `__main__` blocks.

    A function or a class that nothing in the project mentions is not reached, nor are tests, documentation and examples.
    """
    code = codebase.readable(place.path) if place.path.endswith(".py") else None
    if code is None:
        return True
    if is_test_or_docs(place.path):
        return False
    files = imported(codebase)
    if files is not None and place.path not in files:
        return False
    statement = next((node for node in code.tree.body if place.line in _lines(node)), None)
    if statement is None or files is None or not isinstance(statement, Scope) or statement.decorator_list:
        return statement is None or not is_main_guard(statement)
    builders = {app.scope.partition(".")[0] for app in codebase.project.apps}
    return statement.name in builders or _is_mentioned(codebase, place.path, statement)


def _first(codebase: Codebase) -> Iterator[str]:
    """Yield the files that make applications, hand them out, and put something on them."""
    for app in codebase.project.apps:
        yield app.path
        yield app.place.path
        served = codebase.project.file_of(app.reference.partition(":")[0], near=app.path) if app.reference else None
        if served:
            yield served
        yield from (item.place.path for item in (*app.middleware, *app.routers, *app.handlers, *app.mounts))


def _imports(codebase: Codebase, path: str, text: str) -> Iterator[str]:
    package = path.rpartition("/")[0].split("/")
    for match in _IMPORT.finditer(text):
        if match["modules"]:
            modules = [part.split()[0] for part in match["modules"].split(",") if part.strip()]
        else:
            source = _absolute(match["source"], package)
            names = _NAME.findall(re.sub(r"#[^\n]*", "", match["names"]))
            modules = [source, *(f"{source}.{name}" if source else name for name in names)]
        for module in modules:
            yield from _files(codebase, path, module)
    for match in _TEXT.finditer(text):
        dotted = _absolute(match[1], package)
        if "." in dotted and _files(codebase, path, dotted):
            yield from _files(codebase, path, dotted)


def _absolute(dotted: str, package: list[str]) -> str:
    """Return a name with leading dots as it is named from the project root."""
    name = dotted.lstrip(".")
    level = len(dotted) - len(name)
    parts = package[: len(package) - level + 1] if level else []
    return ".".join(part for part in (*parts, name) if part)


def _files(codebase: Codebase, path: str, dotted: str) -> list[str]:
    """Return the file of a module and those of the packages that it is in; `[]` for what is not the project's.

    Where nobody knows from where imports start, any module of that name may be the one.
    """
    names = codebase.project.names
    parts = dotted.split(".")
    for end in range(len(parts), 0, -1):
        module = ".".join(parts[:end])
        file = names.module_file(module, path) or names.module_file_at_root(module)
        found = [file] if file else names.files_ending(module.replace(".", "/")) if end > 1 else []
        if found:
            around = {
                f"{item.rsplit('/', up)[0]}/__init__.py" for item in found for up in range(1, item.count("/") + 1)
            }
            return [*found, *(item for item in around if item not in found and codebase.project.tree.exists(item))]
    return []


def _package(codebase: Codebase, path: str) -> Iterator[str]:
    """Yield the files of the top-most package that a file is in, without scripts."""
    stem = path.removesuffix(".py").removesuffix("/__init__")
    module = codebase.project.names.module_name(path)
    root = stem[: len(stem) - len(module)]
    folder = f"{root}{module.partition('.')[0]}/" if "." in module else root
    for item in codebase.project.python_files:
        if item.startswith(folder) and not is_test_or_docs(item) and "__main__" not in _text(codebase, item):
            yield item


def _text(codebase: Codebase, path: str) -> str:
    try:
        return (codebase.project.tree.read(path) or b"").decode("utf-8", "replace")
    except (Unreadable, Outside):
        return ""


def _lines(node: ast.stmt) -> range:
    decorators: Iterable[ast.expr] = getattr(node, "decorator_list", ())
    return range(min([node.lineno, *(item.lineno for item in decorators)]), (node.end_lineno or node.lineno) + 1)


def _is_mentioned(codebase: Codebase, path: str, definition: Scope) -> bool:
    """Whether a name of a module's top level stands anywhere but in its own definition and in tests."""
    word = re.compile(rf"\b{definition.name}\b")
    for file in codebase.project.tree.files_containing(definition.name.encode()):
        text = _text(codebase, file)
        if file == path:
            own = _lines(definition)
            text = "\n".join(line for number, line in enumerate(text.splitlines(), 1) if number not in own)
        if not is_test_or_docs(file) and word.search(text):
            return True
    return False
