"""Which files run in an application: its own, and what it imports, directly or through others."""

from __future__ import annotations

import re
from collections.abc import Iterator

from laterctl.patterns import pattern
from laterctl.project.discover import Project
from laterctl.project.origin import is_signed
from laterctl.project.places import is_test_or_docs
from laterctl.project.source import Unreadable
from laterctl.project.tree import Outside

_IMPORT = pattern(
    r"^[ \t]*(?:from[ \t]+(?P<source>\.*[\w.]*)[ \t]+import\b(?P<names>[ \t]*\([^)]*\)|(?:[^\n\\]|\\\n)*)"
    r"|import[ \t]+(?P<modules>[^\n#;]+))",
    re.MULTILINE,
)
_TEXT = pattern(r"[\"'](\.{0,3}[A-Za-z_]\w*(?:\.\w+)*)(?::\w+)?[\"']")
_LOADERS = pattern(r"import_module|__import__|iter_modules|walk_packages|entry_points|spec_from_file_location")
_NAME = pattern(r"\w+")


def imported(project: Project) -> frozenset[str] | None:
    """Return the files that the applications import, through others too; `None` without an application.

    Where a module loads others by names that are computed, all of its package counts, but for scripts; what features
    bring loads nothing of the user's. The text is searched instead of parsed: most of these files no rule looks at.
    """
    found: set[str] = set()
    todo = list(_first(project))
    while todo:
        path = todo.pop()
        if path not in found:
            found.add(path)
            text = text_of(project, path)
            todo += _imports(project, path, text)
            if _LOADERS.search(text) and not is_signed(project.tree, path):
                todo += _package(project, path)
    return frozenset(found) or None


def _first(project: Project) -> Iterator[str]:
    """Yield the files that make applications, hand them out, and put something on them."""
    for app in project.apps:
        yield app.path
        yield app.place.path
        served = project.file_of(app.reference.partition(":")[0], near=app.path) if app.reference else None
        if served:
            yield served
        yield from (item.place.path for item in (*app.middleware, *app.routers, *app.handlers, *app.mounts))


def _imports(project: Project, path: str, text: str) -> Iterator[str]:
    package = path.rpartition("/")[0].split("/")
    for match in _IMPORT.finditer(text):
        if match["modules"]:
            modules = [part.split()[0] for part in match["modules"].split(",") if part.strip()]
        else:
            source = _absolute(match["source"], package)
            names = _NAME.findall(re.sub(r"#[^\n]*", "", match["names"]))
            modules = [source, *(f"{source}.{name}" if source else name for name in names)]
        for module in modules:
            yield from _files(project, path, module)
    for match in _TEXT.finditer(text):
        dotted = _absolute(match[1], package)
        if "." in dotted and _files(project, path, dotted):
            yield from _files(project, path, dotted)


def _absolute(dotted: str, package: list[str]) -> str:
    """Return a name with leading dots as it is named from the project root."""
    name = dotted.lstrip(".")
    level = len(dotted) - len(name)
    parts = package[: len(package) - level + 1] if level else []
    return ".".join(part for part in (*parts, name) if part)


def _files(project: Project, path: str, dotted: str) -> list[str]:
    """Return the file of a module and those of the packages that it is in; `[]` for what is not the project's.

    Where nobody knows from where imports start, any module of that name may be the one.
    """
    names = project.names
    parts = dotted.split(".")
    for end in range(len(parts), 0, -1):
        module = ".".join(parts[:end])
        file = names.module_file(module, path) or names.module_file_at_root(module)
        found = [file] if file else names.files_ending(module.replace(".", "/")) if end > 1 else []
        if found:
            around = {
                f"{item.rsplit('/', up)[0]}/__init__.py" for item in found for up in range(1, item.count("/") + 1)
            }
            return [*found, *(item for item in around if item not in found and project.tree.exists(item))]
    return []


def _package(project: Project, path: str) -> Iterator[str]:
    """Yield the files of the top-most package that a file is in, without scripts."""
    stem = path.removesuffix(".py").removesuffix("/__init__")
    module = project.names.module_name(path)
    root = stem[: len(stem) - len(module)]
    folder = f"{root}{module.partition('.')[0]}/" if "." in module else root
    for item in project.python_files:
        if item.startswith(folder) and not is_test_or_docs(item) and "__main__" not in text_of(project, item):
            yield item


def text_of(project: Project, path: str) -> str:
    """Return the text of a file, `""` where it cannot be read."""
    try:
        return (project.tree.read(path) or b"").decode("utf-8", "replace")
    except (Unreadable, Outside):
        return ""
