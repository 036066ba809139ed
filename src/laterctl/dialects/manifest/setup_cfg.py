"""setup.cfg of setuptools: lists of dependencies are a key, and below it one indented line an entry.

https://setuptools.pypa.io/en/latest/userguide/declarative_config.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import ClassVar

from laterctl.codemods.lines import Block
from laterctl.codemods.placement import TextEditError
from laterctl.dialects.manifest.base import DEV_GROUPS, Manifest
from laterctl.dialects.manifest.requirements import Lines, dev_file, for_development
from laterctl.patterns import pattern
from laterctl.project.facts import DependencyHome
from laterctl.project.requirements_file import canonical_name
from laterctl.project.source import decoded, split_lines
from laterctl.project.tree import Tree

SETUP_CFG = "setup.cfg"
MARKS = {SETUP_CFG: b"install_requires", "setup.py": b"setup("}
"""What these files contain when they declare dependencies."""

_RUNTIME = ("options", "install_requires")
_EXTRAS = "options.extras_require"
_NEW_DEV = "requirements-dev.txt"

_SECTION = pattern(r"\[([^\]]+)\]")
_KEY = pattern(r"([\w.-]+)\s*[=:]\s*(.*)")


class IndentedLines(Lines):
    """Lines of a requirements file, with a margin."""

    kind: ClassVar[str] = "cfg"

    def declared(self, text: str) -> dict[str, str]:
        return super().declared(self._block(text).body(text))

    def converged(self, text: str, before: Sequence[str], after: Sequence[str]) -> str:
        converged = super().converged
        return self._edited(text, lambda body: converged(body, before, after))

    def replaced(self, text: str, name: str, new: str) -> str:
        replaced = super().replaced
        return self._edited(text, lambda body: replaced(body, name, new))

    def find(self, text: str) -> Block | None:
        """Return the lines of the home, `None` when there are none."""
        return values(text).get(self.home.table)

    def _edited(self, text: str, edit: Callable[[str], str]) -> str:
        return self._block(text).edited(text, edit)

    def _block(self, text: str) -> Block:
        section, key = self.home.table
        block = self.find(text)
        if block is None:
            raise TextEditError(f"there is no {key} in [{section}]")
        if not block.is_list:
            raise TextEditError(f"the entries of {key} do not stand on lines of their own, at one margin", block.line)
        return block


def values(text: str) -> dict[tuple[str, ...], Block]:
    """Return the values of a `setup.cfg` by section and key; where a key is there twice, the first."""
    lines = [line.rstrip("\r\n") for line in split_lines(text.removeprefix("\ufeff"))]
    found: dict[tuple[str, ...], Block] = {}
    section = ""
    for number, line in enumerate(lines):
        if match := _SECTION.match(line):
            section = match[1]
        elif match := _KEY.match(line):
            stop = end = number + 1
            while end < len(lines) and (not lines[end].strip() or lines[end][0] in " \t#;"):
                end += 1
                if lines[end - 1][:1] in {" ", "\t"} and lines[end - 1].strip():
                    stop = end
            inline = re.split(r"\s[#;]", match[2])[0] if match[2][:1] not in {"#", ";"} else ""
            below = lines[number + 1 : stop]
            value = Block(number + 1, inline.strip(), number + 1, stop, _margin(below))
            found.setdefault((section, match[1].lower()), value)
    return found


def _margin(lines: list[str]) -> str | None:
    filled = [line for line in lines if line.strip()]
    margins = {line[: len(line) - len(line.lstrip())] for line in filled}
    # A line of blanks alone could not be told from one that lost its entry.
    return margins.pop() if len(margins) == 1 and all(line.strip() or not line for line in lines) else None


class SetupCfg(Manifest, frozen=True):
    """A setup.cfg."""

    def other_group(self, tree: Tree, name: str) -> DependencyHome:
        """Return the extra of that name, else a requirements file."""
        groups = {canonical_name(entry.group): entry.group for entry in self.requirements if entry.group}
        extra = groups.get(canonical_name(name))
        return DependencyHome("cfg", SETUP_CFG, (_EXTRAS, extra)) if extra else super().other_group(tree, name)


def find(tree: Tree) -> Manifest | None:
    """Return the manifest of a setup.cfg that lists its dependencies line by line.

    What setup.py passes itself wins over setup.cfg: then this is none.

    Raises:
        Unreadable: setup.cfg is not UTF-8.
    """
    data, mark = tree.read(SETUP_CFG), MARKS[SETUP_CFG]
    if data is None or mark not in data or mark in (tree.read("setup.py") or b""):
        return None
    text = decoded(SETUP_CFG, data)[0].removeprefix("\ufeff")
    found = values(text)
    runtime = found.get(_RUNTIME)
    if runtime is None or not runtime.is_list:
        return None
    lists = {key: value for key, value in found.items() if (key == _RUNTIME or key[0] == _EXTRAS) and value.is_list}
    requirements = [
        requirement
        for key in sorted(lists, key=lambda key: key != _RUNTIME)
        for requirement in IndentedLines(DependencyHome("cfg", SETUP_CFG, key)).requirements(
            lists[key].body(text), "" if key == _RUNTIME else key[1], lists[key].start
        )
    ]
    python = found.get(("options", "python_requires"))
    listed = (entry for entry in requirements if entry.name == "fastapi")
    best = next((entry for entry in listed if not for_development(entry.group)), None)
    home = _RUNTIME if best is None or not best.group else (_EXTRAS, best.group)
    extra = next((key for name in DEV_GROUPS if (key := (_EXTRAS, name)) in lists), None)
    dev = DependencyHome("cfg", SETUP_CFG, extra) if extra else DependencyHome("lines", dev_file(tree) or _NEW_DEV)
    range_ = python.inline if python is not None else ""
    return SetupCfg("pip", SETUP_CFG, DependencyHome("cfg", SETUP_CFG, home), dev, range_, tuple(requirements))
