"""Requirements files of pip: which of them list what, and the entries in them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar

from laterctl.codemods import lines
from laterctl.dialects.manifest.base import Form, Manifest, only
from laterctl.dialects.manifest.compiled import compiled
from laterctl.patterns import pattern
from laterctl.project.facts import DependencyHome, Requirement, Undecided
from laterctl.project.places import Place
from laterctl.project.requirements_file import canonical_name, read_requirements
from laterctl.project.source import Unreadable, decoded
from laterctl.project.tree import Outside, Tree
from laterctl.project.unreadable import as_undecided

_DEV = pattern(r"dev|test|local|lint|doc|ci\b|type|format|debug|bench|extra|optional|lock|freeze", re.IGNORECASE)
_PRODUCTION = ("requirements.txt", "requirements.in", "base", "common", "main", "requirements", "prod", "production")


class Lines(Form):
    """A PEP 508 entry a line."""

    kind: ClassVar[str] = "lines"

    def requirements(self, text: str, group: str, above: int = 0) -> list[Requirement]:
        """Return what is listed below the first `above` lines of the file, as that of a group; no options."""
        found = [entry for entry in read_requirements(text) if not entry.is_option]
        path = self.home.path
        return [Requirement(item.name, item.text, Place(path, above + item.line), group, self.home) for item in found]

    def declared(self, text: str) -> dict[str, str]:
        return {entry.name: entry.text for entry in reversed(read_requirements(text))}

    def converged(self, text: str, before: Sequence[str], after: Sequence[str]) -> str:
        return lines.converge_requirements(text, before, after)

    def replaced(self, text: str, name: str, new: str) -> str:
        found = [entry for entry in read_requirements(text) if entry.name == canonical_name(name)]
        old = only(name, [entry.text for entry in found], found[-1].line if found else 1)
        return lines.replace_requirement(text, old, new)


class RequirementsFiles(Manifest, frozen=True):
    """Requirements files: a group is one of them."""

    def other_group(self, tree: Tree, name: str) -> DependencyHome:
        return group_file(tree, self.path, name)


def for_development(group: str) -> bool:
    """Whether a group, an extra or a file is called like what development needs."""
    return bool(_DEV.search(group))


def group_file(tree: Tree, home: str, name: str) -> DependencyHome:
    """Return the requirements file of a group, beside `home`; it may not exist yet."""
    new = _new_file(home, name)
    known = {canonical_name(path.rpartition(".")[0]): path for path in requirement_files(tree)}
    return DependencyHome("lines", known.get(canonical_name(new.rpartition(".")[0]), new))


def find(tree: Tree, named: Sequence[str], undecided: list[Undecided]) -> Manifest | None:
    """Return the manifest of the requirements files, those `named` elsewhere too; add those that cannot be read to `undecided`."""
    files: dict[str, list[Requirement]] = {}
    for path in dict.fromkeys([*(name for name in named if tree.exists(name)), *requirement_files(tree)]):
        try:
            files[path] = requirements_in(tree, path)
        except (Unreadable, Outside) as error:
            undecided.append(as_undecided(error))
    if not files:
        return None
    with_fastapi = [path for path in files if any(entry.name == "fastapi" for entry in files[path])]
    sources = [path for path in with_fastapi if compiled(tree, path) is None]
    home = min(sources or with_fastapi or files, key=_production_rank)
    requirements = [entry for path in (home, *(path for path in files if path != home)) for entry in files[path]]
    dev = DependencyHome("lines", dev_file(tree, home) or _new_file(home, "dev"))
    return RequirementsFiles("pip", home, DependencyHome("lines", home), dev, requirements=tuple(requirements))


def requirement_files(tree: Tree) -> list[str]:
    """Return the paths of the requirements files that are there.

    Where the root has none, those count that stand in folders without code, as of what deploys the application.
    """
    found = _lists(tree, "")
    if not found:
        listing = (path.partition("/") for path in tree.files() if path.endswith((".txt", ".in")))
        if aside := {folder for folder, slash, _ in listing if slash}:
            aside -= {path.partition("/")[0] for path in tree.python_files()}
        found = [path for folder in sorted(aside) for path in _lists(tree, f"{folder}/")]
    return [path for path in found if "constraint" not in path]


def _lists(tree: Tree, prefix: str) -> list[str]:
    """Return the requirements files that a folder has, and those in a folder for them there."""
    names = tree.names(prefix.rstrip("/"))
    found = [f"{prefix}{name}" for name in names if "requirements" in name and name.endswith((".txt", ".in"))]
    for folder in (f"{prefix}{name}" for name in ("requirements", "reqs", "deps")):
        if tree.is_dir(folder):
            found += [f"{folder}/{name}" for name in tree.names(folder) if name.endswith((".txt", ".in"))]
    return found


def requirements_in(tree: Tree, path: str) -> list[Requirement]:
    """Return the requirements of a requirements file; options and editable installs are left out too.

    Raises:
        Unreadable: the file is neither UTF-8 nor UTF-16 with its mark (nothing is guessed about it).
    """
    text = decoded(path, tree.read(path) or b"", wide=True)[0].removeprefix("\ufeff")
    group = "dev" if for_development(path.rpartition("/")[2].replace("requirements", "")) else ""
    return Lines(DependencyHome("lines", path)).requirements(text, group)


def dev_file(tree: Tree, home: str = "") -> str:
    """Return the requirements file of development that is edited, `""` without one; `home` is the one of production."""
    found = [path for path in requirement_files(tree) if _dev_rank(path)[0] < 9 and path != home]
    return min(found, key=lambda path: (compiled(tree, path) is not None, _dev_rank(path)), default="")


def _production_rank(path: str) -> tuple[bool, int, int, str]:
    name = path.rpartition("/")[2]
    stem = (
        name.rsplit(".", 1)[0].removeprefix("requirements-").removeprefix("requirements_").removesuffix("-requirements")
    )
    rank = next((number for number, likely in enumerate(_PRODUCTION) if likely in {name, stem}), len(_PRODUCTION))
    return bool(_DEV.search(stem)) and stem != "requirements", rank, path.count("/"), path


def _dev_rank(path: str) -> tuple[int, str]:
    name = path.rpartition("/")[2].lower()
    return next((number for number, word in enumerate(("dev", "test", "local")) if word in name), 9), path


def _new_file(home: str, group: str) -> str:
    folder, _, name = home.rpartition("/")
    suffix = name.rpartition(".")[2]
    new = (
        f"{group}.{suffix}"
        if folder and name.startswith(("base", "prod", "common", "main"))
        else f"requirements-{group}.{suffix}"
    )
    return f"{folder}/{new}" if folder else new
