"""Conda's environment files: what they list, and the list below `- pip:`, which is edited.

https://docs.conda.io/projects/conda/en/stable/user-guide/tasks/manage-environments.html
"""

from __future__ import annotations

from laterctl.codemods.lines import Block
from laterctl.dialects.manifest.base import Manifest, read_as_text
from laterctl.dialects.manifest.manager import Change, Manager
from laterctl.dialects.manifest.requirements import dev_file, requirements_in
from laterctl.dialects.manifest.setup_cfg import IndentedLines
from laterctl.install import Argv
from laterctl.patterns import pattern
from laterctl.project.facts import DependencyHome, Requirement
from laterctl.project.places import Place
from laterctl.project.requirements_file import canonical_name, read_requirements
from laterctl.project.source import split_lines
from laterctl.project.tree import Tree

FILES = ("environment.yml", "environment.yaml", "conda.yml", "conda.yaml")
MARKS = dict.fromkeys(FILES, b"dependencies")
HINT = "give {} a list `- pip:` with an entry, which is edited, or list fastapi in a requirements.txt"

_PIP = ("dependencies", "pip")

_ITEM = pattern(r"(?P<indent> *)- +(?P<entry>[^#\n]*)")
_SPEC = pattern(r"(?:[\w.-]+::)?(?P<name>[\w.-]+)\s*(?P<version>[<>=!~].*|\s[\d.*]+)?")


class Conda(Manager):
    name = "conda"
    left = "left to you: conda solves the whole environment anew"

    def commands(self, change: Change) -> tuple[Argv, ...]:
        return (("conda", "env", "update", "--file", change.manifest.path),) if change.homes else ()


MANAGER = Conda()


class PipList(IndentedLines):
    """The list below `- pip:`."""

    @classmethod
    def fits(cls, home: DependencyHome) -> bool:
        return super().fits(home) and home.table == _PIP

    def find(self, text: str) -> Block | None:
        return pip_list(text)


def find(tree: Tree) -> Manifest | None:
    """Return the manifest of a conda environment that has a list for pip, which is what is edited."""
    for path in FILES:
        text = read_as_text(tree, path)
        pip = pip_list(text)
        if pip is None or not pip.is_list:
            continue
        listed, python = requirements(path, text)
        home = DependencyHome("cfg", path, _PIP)
        dev = dev_file(tree)
        listed += requirements_in(tree, dev) if dev else []
        return Manifest(MANAGER.name, path, home, DependencyHome("lines", dev) if dev else home, python, tuple(listed))
    return None


def pip_list(text: str) -> Block | None:
    """Return the list below `- pip:` of the dependencies, `None` when there is none; the margin includes its dashes."""
    lines = [line.rstrip("\r\n") for line in split_lines(text)]
    for number in _items(lines):
        match = _ITEM.match(lines[number])
        if match is None or match["entry"].strip().strip("\"'") != "pip:":
            continue
        stop, margins = number + 1, set()
        while stop < len(lines) and (below := _ITEM.match(lines[stop])) and len(below["indent"]) > len(match["indent"]):
            margins.add(lines[stop][: below.start("entry")])
            stop += 1
        return Block(number + 1, "", number + 1, stop, margins.pop() if len(margins) == 1 else None)
    return None


def _items(lines: list[str]) -> range:
    """Return the numbers of the lines below `dependencies:`."""
    start = next((number + 1 for number, line in enumerate(lines) if line.rstrip() == "dependencies:"), len(lines))
    stop = start
    while stop < len(lines) and (not lines[stop].strip() or lines[stop][0] in " -#"):
        stop += 1
    return range(start, stop)


def requirements(path: str, text: str) -> tuple[list[Requirement], str]:
    """Return what an environment file lists, with conda's versions in the form of PEP 508, and the range of Python."""
    lines = [line.rstrip("\r\n") for line in split_lines(text)]
    pip = pip_list(text)
    inside = range(pip.start, pip.stop) if pip is not None else range(0)
    found, python = [], ""
    for number in _items(lines):
        item = _ITEM.match(lines[number])
        if item is None:
            continue
        entry = item["entry"].strip().strip("\"'")
        place = Place(path, number + 1)
        if number in inside:
            found += [Requirement(other.name, other.text, place) for other in read_requirements(entry)]
        elif spec := _SPEC.fullmatch(entry):
            version = _range((spec["version"] or "").strip())
            if spec["name"] == "python":
                python = version
            else:
                found.append(Requirement(canonical_name(spec["name"]), spec["name"] + version, place))
    return found, python


def _range(version: str) -> str:
    """Return one of conda's versions as a specifier: `=3.12` and `3.12` mean any 3.12, a build behind it is left out."""
    if not version or version[0] in "<>!~" or version.startswith("=="):
        return version
    number = version.lstrip("=").partition("=")[0].removesuffix(".*")
    return f"=={number}.*" if number else ""
