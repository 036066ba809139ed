"""Whether a package manager has to run code of the project's own to find out what it depends on.

Where the metadata is written down, managers read it. Where it is dynamic they ask the build backend, which may run
setup.py, hooks, or a backend that lies in the project itself.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

from laterctl.project.places import Place
from laterctl.project.source import Unreadable
from laterctl.project.tomlfile import line_of, load_toml, table
from laterctl.project.tree import Outside, Tree

_PYPROJECT = "pyproject.toml"
_HOOKS = (  # tables of build backends that name code of the project's
    ("tool", "hatch", "metadata", "hooks", "custom"),
    ("tool", "hatch", "build", "hooks", "custom"),
    ("tool", "pdm", "version", "getter"),
    ("tool", "pdm", "build", "custom-hook"),
    ("tool", "poetry", "build"),
)
_SCRIPTS = {"setuptools": "setup.py", "hatchling": "hatch_build.py", "pdm": "pdm_build.py", "": "setup.py"}


def own_build(tree: Tree, manager: str, project: Mapping[str, Any]) -> Place | None:
    """Return the place that makes locking run code of the project's own, `None` when nothing of it runs.

    Looked at: the project itself, of which only uv asks the backend, and the projects in it that it depends on.
    """
    if manager == "uv" and "tool" in project and table(project, "tool", "uv").get("package") is False:
        first: list[tuple[str, Mapping[str, Any]]] = []
    else:
        first = [("", project)] if manager == "uv" else []
    below = [(folder, found) for folder in _local(project) if (found := _loaded(tree, folder)) is not None]
    for folder, found in [*first, *below] if manager in {"uv", "poetry", "pdm"} else []:
        # uv is told not to install what is local; the others build it.
        if (place := _runs_own_code(tree, folder, found, is_built=manager != "uv")) is not None:
            return place
    return None


def local_projects(project: Mapping[str, Any]) -> list[str]:
    """Return the names of the dependencies that uv takes from this machine."""
    sources = table(project, "tool", "uv", "sources")
    return sorted(name for name in sources if any("path" in item for item in _tables({name: sources[name]})))


def _loaded(tree: Tree, folder: str) -> Mapping[str, Any] | None:
    try:
        found = load_toml(tree, posixpath.join(folder, _PYPROJECT))
        if found is None and tree.exists(posixpath.join(folder, "setup.py")):
            return {}
    except (Unreadable, Outside):
        return None
    return found


def _local(project: Mapping[str, Any]) -> Iterator[str]:
    """Yield the folders below the project that it depends on."""
    named: list[object] = [item.get("path") for item in _tables(table(project, "tool", "uv", "sources"))]
    members = table(project, "tool", "uv", "workspace").get("members")
    named += [item.rstrip("/*") for item in members if isinstance(item, str)] if isinstance(members, list) else []
    poetry = table(project, "tool", "poetry")
    groups = [table(poetry, "group", name, "dependencies") for name in table(poetry, "group")]
    for dependencies in (table(poetry, "dependencies"), table(poetry, "dev-dependencies"), *groups):
        named += [item.get("path") for item in _tables(dependencies)]
    listed = table(project, "project").get("dependencies")
    for entry in listed if isinstance(listed, list) else ():
        if isinstance(entry, str) and "${PROJECT_ROOT}/" in entry:
            named.append(entry.partition("${PROJECT_ROOT}/")[2].partition(" ")[0].partition("#")[0])
    for item in named:
        folder = posixpath.normpath(item) if isinstance(item, str) and item else ""
        if folder and folder != "." and not folder.startswith(("..", "/")):
            yield folder


def _tables(values: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for value in values.values():
        yield from (item for item in (value if isinstance(value, list) else [value]) if isinstance(item, dict))


def _runs_own_code(tree: Tree, folder: str, project: Mapping[str, Any], *, is_built: bool) -> Place | None:
    metadata, build = table(project, "project"), table(project, "build-system")
    path = posixpath.join(folder, _PYPROJECT)
    if metadata and not metadata.get("dynamic") and not is_built:
        return None
    if not (build or tree.exists(posixpath.join(folder, "setup.py"))):
        return None
    text = (tree.read(path) or b"").decode("utf-8", "replace")
    if build.get("backend-path"):
        return Place(path, line_of(text, ("build-system", "backend-path"), "backend-path"))
    for keys in _HOOKS:
        if keys[-1] in table(project, *keys[:-1]):
            return Place(path, line_of(text, keys, keys[-1]))
    if table(project, "tool", "hatch", "version").get("source") == "code":
        return Place(path, line_of(text, ("tool", "hatch", "version"), "source"))
    attributes = [item for item in _tables(table(project, "tool", "setuptools", "dynamic")) if "attr" in item]
    if attributes:
        return Place(path, line_of(text, ("tool", "setuptools", "dynamic"), "attr"))
    backend = str(build.get("build-backend", ""))
    script = next(name for start, name in _SCRIPTS.items() if backend.startswith(start))
    if not build or backend.startswith(tuple(name for name in _SCRIPTS if name)):
        script = posixpath.join(folder, script)
        return Place(script, 1) if tree.exists(script) else None
    return None
