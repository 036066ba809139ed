"""Projects of the same repository that a manifest installs: members of a workspace, path dependencies, editable installs."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from laterctl.dialects.manifest import MANAGERS, named, pyproject, setup_cfg
from laterctl.dialects.manifest.base import PYPROJECT, Manifest, read_as_text
from laterctl.dialects.manifest.manager import tables_in
from laterctl.dialects.manifest.requirements import Lines, requirements_in
from laterctl.patterns import pattern
from laterctl.project.facts import DependencyHome, Requirement
from laterctl.project.places import Place
from laterctl.project.requirements_file import canonical_name, requirement_name
from laterctl.project.roots import repository_of
from laterctl.project.source import Unreadable
from laterctl.project.tomlfile import load_toml, table
from laterctl.project.tree import Outside, Tree

_SETUP = "setup.py"
_PATH = pattern(
    r"(?P<editable>-e|--editable)?[ \t=]*(?:[\w.-]+(?:\[(?P<named>[^\]]*)\])?[ \t]*@[ \t]*)?"
    r"(?P<file>file:(?://)?(?:/?\$\{PROJECT_ROOT\}/)?)?(?P<path>[^\s;#\[]+)(?:\[(?P<extras>[^\]]*)\])?"
)

Found = Iterator[tuple[Path, set[str]]]
"""Folders of projects, and the extras that are asked of them."""


def brought(tree: Tree, manifest: Manifest, files: Sequence[str]) -> Iterator[Requirement]:
    """Yield what is required by the projects that a manifest, or the requirements `files` that it consists of, installs.

    What these install from the repository themselves counts too. Places and homes are relative to the project of
    `tree`. What lies outside of its repository, and what cannot be read, is left out.
    """
    repository = repository_of(tree.root)
    waiting = list(_in_files(tree, files))
    if manifest.path == PYPROJECT:
        waiting += _in_project(tree, [item for item in manifest.requirements if not item.group], repository)
    seen: set[Path | None] = {None}
    while waiting:
        path, extras = waiting.pop()
        folder = _inside(path, repository)
        if folder is None or folder in seen:
            continue
        seen.add(folder)
        there = _tree_of(folder, tree)
        with suppress(Unreadable, Outside):
            listed = [item for item in _declared(there, repository) if item.group in extras]
            waiting += _in_project(there, listed, repository)
            yield from (replace(_moved(item, folder, tree.root), group="") for item in listed)


def _inside(path: Path, repository: Path) -> Path | None:
    """Return a folder with its links resolved, `None` for what is none or stands outside of a repository."""
    try:
        folder = path.resolve()
        return folder if folder.is_relative_to(repository) and folder.is_dir() else None
    except (OSError, ValueError):  # a loop of links; a NUL
        return None


def _tree_of(folder: Path, own: Tree) -> Tree:
    return own if folder == own.root else Tree(folder)


def _toml(tree: Tree) -> Mapping[str, Any]:
    """Return the pyproject.toml of a project, `{}` without one that can be read."""
    with suppress(Unreadable, Outside):
        return load_toml(tree, PYPROJECT) or {}
    return {}


def _moved(item: Requirement, folder: Path, root: Path) -> Requirement:
    """Return a requirement of the project in `folder` as the project at `root` sees it."""

    def moved(path: str) -> str:
        return Path(os.path.relpath(folder / path, root)).as_posix()

    home = replace(item.home, path=moved(item.home.path)) if item.home is not None else None
    return replace(item, place=Place(moved(item.place.path), item.place.line), home=home)


def _declared(tree: Tree, repository: Path) -> Iterator[Requirement]:
    """Yield what a project requires when it is installed."""
    project = _toml(tree)
    found = pyproject.find(tree, project) if project else None
    found = found if isinstance(found, Manifest) else setup_cfg.find(tree)
    yield from found.requirements if found is not None else ()
    for path in pyproject.named_files(project):
        yield from requirements_in(tree, path)
    yield from _in_setup(tree, repository)


def _in_setup(tree: Tree, repository: Path) -> Iterator[Requirement]:
    """Yield what a setup.py writes down as `install_requires`, and what stands in the text files that it names.

    Such a file is looked for beside it, and in the folders above.
    """
    try:
        module = ast.parse(read_as_text(tree, _SETUP))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    assigned = [node for node in module.body if isinstance(node, ast.Assign)]
    home = DependencyHome(Lines.kind, _SETUP)
    for passed in ast.walk(module):
        if isinstance(passed, ast.keyword) and passed.arg == "install_requires":
            names = {part.id for part in ast.walk(passed.value) if isinstance(part, ast.Name)}
            values = [node.value for node in assigned if names & set(map(ast.unparse, node.targets))]
            for entry in _strings(passed.value, *values):
                if name := requirement_name(entry.value):
                    yield Requirement(name, entry.value, Place(_SETUP, entry.lineno), home=home)
    files = {entry.value for entry in _strings(module) if entry.value.endswith(".txt")}
    for folder in _above(tree.root, repository):
        for path in sorted(files):
            with suppress(Unreadable, Outside):
                yield from (_moved(item, folder, tree.root) for item in requirements_in(Tree(folder), path))


def _strings(*values: ast.AST) -> Iterator[Any]:
    for value in values:
        for part in ast.walk(value):
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                yield part


def _above(folder: Path, repository: Path) -> Iterator[Path]:
    """Yield a folder of a repository, and those above it."""
    yield from (item for item in (folder, *folder.parents) if item.is_relative_to(repository))


def _in_files(tree: Tree, files: Sequence[str]) -> Found:
    """Yield the projects that requirements files name by their paths, from where pip runs or from the file."""
    for file in files:
        for line in read_as_text(tree, file).splitlines():
            for folder in (tree.root, (tree.root / file).parent):
                yield from _at(folder, line.strip())


def _at(folder: Path, entry: str) -> Found:
    """Yield the project that an entry names by its path from `folder`."""
    match = _PATH.match(entry)
    # Anything else without a slash or a dot is a distribution.
    if match and (match["editable"] or match["file"] or "/" in match["path"] or match["path"].startswith(".")):
        yield folder / match["path"], {"", *_names(f"{match['named']} {match['extras']}")}


def _in_project(tree: Tree, listed: Sequence[Requirement], repository: Path) -> Found:
    """Yield the projects from which what a project lists is taken, by its pyproject.toml or by that of its workspace."""
    extras = {item.name: {"", *_names(item.text.partition("[")[2].partition("]")[0])} for item in listed}
    for item in listed:
        yield from _at(tree.root, item.text) if "@" in item.text else ()
    root, workspace = _workspace(tree, repository)
    members: set[str] = set()
    for folder in {tree.root: None, root: None}:
        for name, place in _sources(_tree_of(folder, tree)):
            if name in extras and isinstance(place.get("path"), str):
                yield folder / place["path"], extras[name] | set(map(str, _listed(place.get("extras"))))
            elif name in extras and place.get("workspace"):
                members.add(name)
    yield from ((member, extras[name]) for name, member in _members(root, workspace) if name in members)


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _names(text: str) -> list[str]:
    return re.findall(r"[\w.-]+", text)


def _sources(tree: Tree) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the canonical names of what a pyproject.toml takes from somewhere, and from where."""
    project = _toml(tree)
    for name, source in (item for manager in MANAGERS for item in named(manager).sources(project).items()):
        yield from ((canonical_name(name), place) for place in tables_in({name: source}))


def _workspace(tree: Tree, repository: Path) -> tuple[Path, Mapping[str, Any]]:
    """Return the folder and the table of the workspace that a project is in: its own and `{}` without one."""
    for folder in _above(tree.root, repository):
        if found := table(_toml(_tree_of(folder, tree)), "tool", "uv", "workspace"):
            return folder, found
    return tree.root, {}


def _members(root: Path, workspace: Mapping[str, Any]) -> Iterator[tuple[str, Path]]:
    """Yield the members of a workspace, by canonical name."""
    for given in map(str, _listed(workspace.get("members"))):
        with suppress(ValueError, NotImplementedError, OSError):  # a pattern that is none, or leads elsewhere
            for member in sorted(root.glob(given)):
                name = table(_toml(Tree(member)), "project").get("name")
                if isinstance(name, str):
                    yield canonical_name(name), member


def locked_with(tree: Tree) -> Iterator[tuple[Path, bool]]:
    """Yield the folders of the projects that have a part in the lock of one: itself, its workspace, path dependencies.

    Each with whether it is that project, or a member of its workspace.
    """
    repository = repository_of(tree.root)
    root, workspace = _workspace(tree, repository)
    members = {tree.root, root, *(member.resolve() for _, member in _members(root, workspace))}
    waiting = sorted(members)
    seen: set[Path | None] = {None}
    while waiting:
        folder = _inside(waiting.pop(0), repository)
        if folder is None or folder in seen:
            continue
        seen.add(folder)
        yield folder, folder in members
        there = _tree_of(folder, tree)
        waiting += [folder / place["path"] for _, place in _sources(there) if isinstance(place.get("path"), str)]
        with suppress(Unreadable, Outside):
            waiting += [other for other, _ in _in_project(there, list(_declared(there, repository)), repository)]
