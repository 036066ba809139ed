"""Projects of the same repository that a manifest installs: members of a workspace, path dependencies, editable installs."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from laterctl.dialects.manifest import MANAGERS, named, pyproject, setup_cfg
from laterctl.dialects.manifest.base import PYPROJECT, Manifest, read_as_text
from laterctl.dialects.manifest.manager import tables_in
from laterctl.dialects.manifest.requirements import Lines, requirements_in
from laterctl.project.facts import DependencyHome, Requirement
from laterctl.project.places import Place
from laterctl.project.requirements_file import canonical_name, requirement_name
from laterctl.project.roots import repository_of
from laterctl.project.source import Unreadable
from laterctl.project.tomlfile import load_toml, table
from laterctl.project.tree import Outside, Tree

_SETUP = "setup.py"
_PATH = re.compile(
    r"(?:-e|--editable)?[ \t=]*(?:[\w.-]+(?:\[(?P<named>[^\]]*)\])?[ \t]*@[ \t]*)?"
    r"(?:file:(?://)?(?:/?\$\{PROJECT_ROOT\}/)?)?(?P<path>[^\s;#\[]*[./][^\s;#\[]*)(?:\[(?P<extras>[^\]]*)\])?"
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
    seen: set[Path] = set()
    while waiting:
        folder, extras = waiting.pop()
        folder = folder.resolve()
        if folder in seen or not folder.is_relative_to(repository) or not folder.is_dir():
            continue
        seen.add(folder)
        there = tree if folder == tree.root else Tree(folder)
        try:
            listed = [item for item in _declared(there, repository) if item.group in extras]
            waiting += _in_project(there, listed, repository)
        except (Unreadable, Outside):
            continue
        yield from (replace(_moved(item, folder, tree.root), group="") for item in listed)


def _moved(item: Requirement, folder: Path, root: Path) -> Requirement:
    """Return a requirement of the project in `folder` as the project at `root` sees it."""

    def moved(path: str) -> str:
        return Path(os.path.relpath(folder / path, root)).as_posix()

    home = replace(item.home, path=moved(item.home.path)) if item.home is not None else None
    return replace(item, place=Place(moved(item.place.path), item.place.line), home=home)


def _declared(tree: Tree, repository: Path) -> Iterator[Requirement]:
    """Yield what a project requires when it is installed."""
    project = load_toml(tree, PYPROJECT) or {}
    found = pyproject.find(tree, project)
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
    except (SyntaxError, ValueError):
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
            if (above := Tree(folder)).exists(path):
                yield from (_moved(item, folder, tree.root) for item in requirements_in(above, path))


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
    if match := _PATH.match(entry):
        yield folder / match["path"], {"", *re.findall(r"[\w.-]+", f"{match['named']} {match['extras']}")}


def _in_project(tree: Tree, listed: Sequence[Requirement], repository: Path) -> Found:
    """Yield the projects from which what a project lists is taken, by its pyproject.toml or by that of its workspace."""
    extras = {
        item.name: {"", *re.findall(r"[\w.-]+", item.text.partition("[")[2].partition("]")[0])} for item in listed
    }
    members: set[str] = set()
    for item in listed:
        yield from _at(tree.root, item.text) if "@" in item.text else ()
    for folder in _above(tree.root, repository):
        project = load_toml(tree if folder == tree.root else Tree(folder), PYPROJECT) or {}
        workspace = table(project, "tool", "uv", "workspace")
        sources = [item for name in MANAGERS for item in named(name).sources(project).items()]
        for name, source in sources if workspace or folder == tree.root else ():
            if (name := canonical_name(name)) not in extras:
                continue
            for place in tables_in({name: source}):
                if isinstance(place.get("path"), str):
                    yield folder / place["path"], {*extras[name], *place.get("extras", ())}
                elif place.get("workspace"):
                    members.add(name)
        if workspace:
            yield from ((member, extras[name]) for name, member in _members(folder, workspace) if name in members)
            return


def _members(root: Path, workspace: Mapping[str, Any]) -> Iterator[tuple[str, Path]]:
    """Yield the members of a workspace, by canonical name."""
    patterns = workspace.get("members")
    for pattern in patterns if isinstance(patterns, list) else ():
        relative = isinstance(pattern, str) and pattern and not pattern.startswith("/")
        for member in sorted(root.glob(pattern)) if relative else ():
            name = table(load_toml(Tree(member), PYPROJECT), "project").get("name") if member.is_dir() else None
            if isinstance(name, str):
                yield canonical_name(name), member
