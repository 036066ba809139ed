"""Why the layout is what it is. Looked for only when somebody asks: an edit does not need it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from laterctl.project.configuration import PYPROJECT, key_line
from laterctl.project.facts import Evidence
from laterctl.project.places import ALTERNATIVE, Place
from laterctl.project.source import Unreadable
from laterctl.project.statements import nodes
from laterctl.project.tree import Outside

if TYPE_CHECKING:
    from laterctl.project.discover import Project

_KEYS = re.compile(rb"[ \t]*(line[-_]length|max[-_]line[-_]length|quote-style|inline-quotes|indent-style)\s*[=:]")
_CONFIGURED = (".ruff.toml", "ruff.toml", PYPROJECT, ".flake8", "setup.cfg", "tox.ini")


def layout_evidence(project: Project) -> tuple[Evidence, ...]:
    """Return what speaks for the package, the import root, the folders and the style; `()` without an application."""
    return tuple(_evidence(project)) if project.app is not None else ()


def _evidence(project: Project) -> Iterator[Evidence]:
    app, layout = project.app, project.layout
    assert app is not None
    yield Evidence(f"package of the application: {layout.package or 'none, its modules lie flat'}", app.place)
    yield from _imports(project, app.path)
    for head in ("core", "api"):
        if project.config.get(head):
            yield Evidence(f"{head} was chosen", Place(PYPROJECT, key_line(project.tree, head)))
        elif home := project.homes.get(head):
            place = next(path for path in project.python_files if f"/{path}".startswith(f"/{project.folder_of(head)}/"))
            yield Evidence(f"new modules of {head} go to {home}", Place(place, 1))
        elif module := project.in_the_way(head):
            yield Evidence(f"{head} is a module of yours, so ours go to {ALTERNATIVE}{head}", Place(module, 1))
    if project.config.get("tests") is False:
        yield Evidence("features come without their tests", Place(PYPROJECT, key_line(project.tree, "tests")))
    elif project.config.get("tests"):
        yield Evidence("tests was chosen", Place(PYPROJECT, key_line(project.tree, "tests")))
    else:
        tests = [path for path in project.python_files if path.startswith(f"{layout.tests}/test_")]
        yield from (Evidence("a test", Place(path, 1)) for path in tests[:1])
    yield from _style(project, app.path)


def _imports(project: Project, app_path: str) -> Iterator[Evidence]:
    """The first import of an own module in the application's file, and the first that needs the import root."""
    root = project.layout.import_root
    seen = False
    for path in (app_path, *project.tree.files_containing(b"FastAPI"), *project.python_files):
        try:
            found = [node for node in nodes(project.tree.python(path).tree) if isinstance(node, ast.ImportFrom)]
        except (Unreadable, Outside):
            continue
        for node in found:
            own = bool(node.level) or (
                node.module is not None and project.names.module_file(node.module, path) is not None
            )
            if own and path == app_path and not seen and bool(node.level) == project.layout.relative:
                seen = True
                how = "relatively" if node.level else "absolutely"
                yield Evidence(f"own modules are imported {how}", Place(path, node.lineno))
            if own and root and not node.level:
                yield Evidence(f"absolute imports start from {root}/", Place(path, node.lineno))
                return
        if path != app_path and not root:
            return


def _style(project: Project, app_path: str) -> Iterator[Evidence]:
    keys: set[bytes] = set()
    for path in _CONFIGURED:
        for number, line in enumerate(_lines(project, path), 1):
            match = _KEYS.match(line)
            if match and match[1].replace(b"_", b"-") not in keys:
                keys.add(match[1].replace(b"_", b"-"))
                yield Evidence(match[1].decode(), Place(path, number))
    yield Evidence("the rest of the style is that of the application's file", Place(app_path, 1))


def _lines(project: Project, path: str) -> list[bytes]:
    try:
        return (project.tree.read(path) or b"").splitlines()
    except (Unreadable, Outside):
        return []
