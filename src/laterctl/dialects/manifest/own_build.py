"""Whether a package manager has to run code of the project's own to find out what it depends on.

Where the metadata is written down, managers read it. Where it is dynamic they ask the build backend, which may run
setup.py, hooks, or a backend that lies in the project itself.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from laterctl.dialects.manifest.base import PYPROJECT
from laterctl.project.places import Place
from laterctl.project.source import Unreadable
from laterctl.project.tomlfile import line_of, load_toml, table
from laterctl.project.tree import Outside, Tree

_HOOKS = (  # tables of build backends that name code of the project's
    ("tool", "hatch", "metadata", "hooks", "custom"),
    ("tool", "hatch", "build", "hooks", "custom"),
    ("tool", "pdm", "version", "getter"),
    ("tool", "pdm", "build", "custom-hook"),
    ("tool", "poetry", "build"),
)
_SCRIPTS = {"setuptools": "setup.py", "hatchling": "hatch_build.py", "pdm": "pdm_build.py", "": "setup.py"}


def folders(named: Iterable[object]) -> Iterator[str]:
    """Yield the folders below the project among paths that it names."""
    for item in named:
        folder = posixpath.normpath(item) if isinstance(item, str) and item else ""
        if folder and folder != "." and not folder.startswith(("..", "/")):
            yield folder


def tables_in(values: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the values that are tables, also those in arrays."""
    for value in values.values():
        yield from (item for item in (value if isinstance(value, list) else [value]) if isinstance(item, dict))


def runs_own_code(tree: Tree, folder: str, is_built: bool) -> Place | None:
    """Return the place that makes asking the project in `folder` for its metadata run code of its own, else `None`.

    With `is_built` it is built, also when its metadata is written down.
    """
    path, setup = posixpath.join(folder, PYPROJECT), posixpath.join(folder, "setup.py")
    try:
        project = load_toml(tree, path) or {}
        has_setup = tree.exists(setup)
    except (Unreadable, Outside):
        return None
    metadata, build = table(project, "project"), table(project, "build-system")
    if metadata and not metadata.get("dynamic") and not is_built:
        return None
    if not (build or has_setup):
        return None
    text = (tree.read(path) or b"").decode("utf-8", "replace")
    if build.get("backend-path"):
        return Place(path, line_of(text, ("build-system", "backend-path"), "backend-path"))
    for keys in _HOOKS:
        if keys[-1] in table(project, *keys[:-1]):
            return Place(path, line_of(text, keys, keys[-1]))
    if table(project, "tool", "hatch", "version").get("source") == "code":
        return Place(path, line_of(text, ("tool", "hatch", "version"), "source"))
    attributes = [item for item in tables_in(table(project, "tool", "setuptools", "dynamic")) if "attr" in item]
    if attributes:
        return Place(path, line_of(text, ("tool", "setuptools", "dynamic"), "attr"))
    backend = str(build.get("build-backend", ""))
    script = next(name for start, name in _SCRIPTS.items() if backend.startswith(start))
    if not build or backend.startswith(tuple(name for name in _SCRIPTS if name)):
        script = posixpath.join(folder, script)
        return Place(script, 1) if tree.exists(script) else None
    return None
