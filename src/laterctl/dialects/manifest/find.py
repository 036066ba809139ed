"""Finds the manifest that installs the application."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from msgspec.structs import replace

from laterctl.dialects.manifest import conda, local, named, pipenv, pyproject, requirements, setup_cfg
from laterctl.dialects.manifest.base import PYPROJECT, Manifest, read_as_text
from laterctl.dialects.manifest.compiled import Compiled, compiled
from laterctl.patterns import pattern
from laterctl.project.facts import Evidence, Requirement, Undecided
from laterctl.project.places import Place
from laterctl.project.requirements_file import beside, canonical_name, includes
from laterctl.project.tomlfile import load_toml
from laterctl.project.tree import Tree

_PACKAGE = pattern(r'^\[\[package\]\]\s+name = "([^"]+)"\s+version = "([^"]+)"', re.MULTILINE)
_CONSTRAINED = pattern(r"(?:^|\s)(?:-c|--constraints?|PIP_CONSTRAINT|UV_CONSTRAINT)[ =]+(\S+\.(?:txt|in))")


class Locked(Mapping[str, str]):
    """Locked versions by canonical name; the lock file is read when first asked."""

    def __init__(self, tree: Tree, path: str) -> None:
        self._tree = tree
        self._path = path

    @cached_property
    def _versions(self) -> Mapping[str, str]:
        # uv, poetry and pdm all write name and version first; parsing a megabyte of TOML would take half a second.
        text = (self._tree.read(self._path) or b"").decode("utf-8", "replace").replace("\r\n", "\n")
        return {canonical_name(match[1]): match[2] for match in _PACKAGE.finditer(text)}

    def __getitem__(self, name: str) -> str:
        return self._versions[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._versions)

    def __len__(self) -> int:
        return len(self._versions)


def find_manifest(tree: Tree, served_by: Sequence[str] = ()) -> tuple[Manifest | None, tuple[Undecided, ...]]:
    """Find the manifest that installs the application.

    `served_by` are the container files and scripts; they decide between two manifests that both list FastAPI.

    Raises:
        Unreadable: pyproject.toml is not TOML, or not UTF-8.
    """
    undecided: list[Undecided] = []
    project = load_toml(tree, PYPROJECT)
    from_toml = pyproject.find(tree, project) if project is not None else None
    if from_toml is None or isinstance(from_toml, Undecided):
        from_toml = setup_cfg.find(tree) or from_toml
    from_lines = requirements.find(tree, pyproject.named_files(project or {}), undecided)
    if isinstance(from_toml, Undecided):
        if from_lines is None:
            return None, (from_toml, *undecided)
        from_toml = None
    chosen, other = from_toml, from_lines
    if from_toml is None or (from_lines is not None and _wins(tree, from_lines, from_toml, served_by)):
        chosen, other = from_lines, from_toml
    chosen = chosen or pipenv.find(tree) or conda.find(tree)
    if chosen is None:
        return None, tuple(undecided) or (_unsupported(tree),)
    listed = [*chosen.requirements, *(other.requirements if other is not None else ())]
    fastapi = [entry for entry in listed if entry.name == "fastapi"]
    return _completed(tree, chosen, project or {}, served_by, fastapi), tuple(undecided)


def _completed(
    tree: Tree, manifest: Manifest, project: Mapping[str, Any], served_by: Sequence[str], fastapi: Sequence[Requirement]
) -> Manifest:
    """Return a manifest with its lock, with what other files say about its versions, and with those compiled from it.

    `fastapi` is what lists FastAPI, in any manifest.
    """
    lock, manager, files = _lock(tree, manifest), manifest.manager, _included(tree, manifest)
    main = next((entry for entry in fastapi if entry.home in {None, manifest.runtime}), None)
    evidence = [Evidence(f"dependencies in {manifest.path}", main.place if main else Place(manifest.path, 1))]
    evidence += [Evidence(f"locked by {manager}", Place(lock, 1))] if lock else []
    pinned: list[Requirement] = []
    made: dict[str, Compiled] = {}
    for path in requirements.requirement_files(tree):
        if found := compiled(tree, path):
            made[path] = found
            if manifest.path in found.sources and not isinstance(manifest, requirements.RequirementsFiles):
                pinned += requirements.requirements_in(tree, path)
    range_, place = manifest.requires_python, Place(manifest.path, 1)
    if range_:
        place = Place(manifest.path, _python_line(tree, manifest.path))
    elif range_ := pyproject.requires_python(project):
        place = Place(PYPROJECT, _python_line(tree, PYPROJECT))
    return replace(
        manifest,
        lock=lock,
        locked=Locked(tree, lock) if lock else {},
        others=tuple(entry.place for entry in fastapi if entry is not main and entry.place.path not in made),
        evidence=tuple(evidence),
        requires_python=range_,
        python_place=place,
        compiled=made,
        pinned=tuple(pinned),
        constraints=tuple(_constraints(tree, manifest, files, project, served_by)),
        brought=tuple(dict.fromkeys(local.brought(tree, manifest, files))),
    )


def _python_line(tree: Tree, path: str) -> int:
    """Return the line of a manifest that limits Python."""
    about = re.compile(r"\s*(?:-\s+)?[\"']?(?:requires-)?python(?:_requires|_version)?[\"']?\s*[=:<>~]")
    lines = (tree.read(path) or b"").decode("utf-8", "replace").splitlines()
    return next((number for number, line in enumerate(lines, 1) if about.match(line)), 1)


def _included(tree: Tree, manifest: Manifest) -> list[str]:
    """Return the requirements files of a manifest, and those that they include."""
    waiting = [manifest.runtime.path, manifest.dev.path]
    found: list[str] = []
    while waiting:
        path = waiting.pop(0)
        if path not in found and path.endswith((".txt", ".in")):
            found.append(path)
            waiting += [beside(path, other) for what, other, _ in includes(read_as_text(tree, path)) if what == "r"]
    return found


def _constraints(
    tree: Tree, manifest: Manifest, listing: Sequence[str], project: Mapping[str, Any], served_by: Sequence[str]
) -> Iterator[Requirement]:
    """Yield the versions that hold for the manifest without being dependencies.

    These stand in constraint files that its requirements files, which are `listing`, or the files that install it
    name, and in the tables of the managers.
    """
    files: dict[str, None] = {}
    for path in listing:
        named_here = includes(read_as_text(tree, path))
        files.update(dict.fromkeys(beside(path, other) for what, other, _ in named_here if what == "c"))
    for path in served_by:
        for match in _CONSTRAINED.finditer(read_as_text(tree, path)):
            files[match[1].removeprefix("./")] = None
    for path in files:
        if path not in manifest.compiled and path != manifest.path:
            yield from requirements.requirements_in(tree, path) if tree.exists(path) else ()
    yield from named(manifest.manager).constraints(project, read_as_text(tree, PYPROJECT))


def _lock(tree: Tree, manifest: Manifest) -> str:
    lock = named(manifest.manager).lock
    return lock if lock and tree.read(lock) is not None else ""


def _lists_fastapi(manifest: Manifest) -> bool:
    return any(entry.name == "fastapi" for entry in manifest.requirements)


def _wins(tree: Tree, lines: Manifest, toml: Manifest, served_by: Sequence[str]) -> bool:
    """Whether the requirements files install production rather than pyproject.toml."""
    made = compiled(tree, lines.path)
    if made is not None and toml.path in made.sources:
        return False
    if _lists_fastapi(lines) != _lists_fastapi(toml):
        return _lists_fastapi(lines)
    if _lock(tree, toml):
        return False
    files = {entry.place.path for entry in lines.requirements}
    for path in served_by:
        text = (tree.read(path) or b"").decode("utf-8", "replace")
        if any(re.search(rf"(?:-r|--requirement)[ =]*\S*{re.escape(file)}", text) for file in files):
            return True
    return False


def _unsupported(tree: Tree) -> Undecided:
    marks = {**setup_cfg.MARKS, **conda.MARKS}
    present = [name for name, mark in marks.items() if mark in (tree.read(name) or b"")]
    if not present:
        hint = "create a pyproject.toml or a requirements.txt that lists fastapi"
        return Undecided("no-manifest", "no file that declares dependencies was found", hint)
    places = tuple(Place(name, _mention(tree, name)) for name in present)
    names = ", ".join(present)
    hint = "list fastapi in a requirements.txt, which is edited, and let that file install the dependencies"
    hint = conda.HINT.format(present[-1]) if present[-1] in conda.FILES else hint
    return Undecided("manifest-unsupported", f"dependencies are declared in {names}, which is not edited", hint, places)


def _mention(tree: Tree, path: str) -> int:
    """Return the line on which a manifest lists FastAPI, else that on which its list starts."""
    data = (tree.read(path) or b"").lower()
    start = max(data.find(b"install_requires"), 0)
    at = data.find(b"fastapi", start)
    return data[: at if at >= 0 else start].count(b"\n") + 1
