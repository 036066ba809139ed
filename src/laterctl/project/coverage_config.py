"""Where a project configures coverage.py, in the order in which coverage.py looks.

The first file that is its own, or that has settings for it, is used alone; the others are ignored without a word.
https://coverage.readthedocs.io/en/latest/config.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from laterctl.project.tomlfile import InvalidToml, parse

OWN_FILES = (".coveragerc", ".coveragerc.toml")
FILES = (*OWN_FILES, "setup.cfg", "tox.ini", "pyproject.toml")
"""All places, best first; an own file counts even when it is empty."""

_REGEX_LISTS = {"exclude_lines", "exclude_also", "partial_branches", "partial_also"}


class Home(Struct, frozen=True):
    """One file with settings of coverage.py: `sections` maps `run`, `report` ... to their options."""

    path: str
    text: str
    sections: Mapping[str, Mapping[str, Any]]

    def has(self, section: str, option: str) -> bool:
        """Whether an option is set."""
        return option in self.sections.get(section, {})

    def values(self, section: str, option: str) -> tuple[str, ...]:
        """Return a list option, `()` when it is not set: INI files separate entries by lines, and most by commas."""
        value = self.sections.get(section, {}).get(option, ())
        if isinstance(value, str):
            separator = "\n" if option in _REGEX_LISTS else "[,\n]"
            value = [entry.strip() for entry in re.split(separator, value)]
        return tuple(str(entry) for entry in value if entry) if isinstance(value, list | tuple) else ()

    def value(self, section: str, option: str) -> str:
        """Return an option as text, `""` when it is not set."""
        return str(self.sections.get(section, {}).get(option, "")).strip()

    def line(self, option: str = "") -> int:
        """Return the line of an option, else that of the first section, else 1."""
        lines = self.text.splitlines()
        wanted = [rf"\s*[\"']?{re.escape(option)}[\"']?\s*[=:]"] if option else []
        for pattern in (*wanted, r"\s*\[.*(coverage|run|report)"):
            for number, line in enumerate(lines, 1):
                if re.match(pattern, line):
                    return number
        return 1


def homes(files: Mapping[str, str]) -> list[Home]:
    """Return the files that configure coverage.py, the one in force first.

    Args:
        files: the texts of those of `FILES` that exist, by name. One that cannot be parsed does not count.
    """
    found: list[Home] = []
    for name in FILES:
        text = files.get(name)
        sections = _sections(name, text) if text is not None else None
        if text is not None and (sections or (sections is not None and name in OWN_FILES)):
            found.append(Home(name, text, sections))
    return found


def _sections(name: str, text: str) -> dict[str, Mapping[str, Any]] | None:
    try:
        return _toml_sections(name, text) if name.endswith(".toml") else _ini_sections(name, text)
    except InvalidToml:
        return None


def _toml_sections(name: str, text: str) -> dict[str, Mapping[str, Any]]:
    data = parse(text)
    tool = data.get("tool", {})
    tables = tool.get("coverage", {}) if isinstance(tool, dict) else {}
    if name in OWN_FILES:
        tables = {**data, **(tables if isinstance(tables, dict) else {})}
    return {key: value for key, value in tables.items() if isinstance(value, dict)} if isinstance(tables, dict) else {}


def _ini_sections(name: str, text: str) -> dict[str, Mapping[str, Any]] | None:
    import configparser  # it costs, and few projects need it

    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(text)
    except configparser.Error:
        return None
    sections: dict[str, Mapping[str, Any]] = {}
    for section in parser.sections():
        head, _, rest = section.rpartition(":")
        if head == "coverage" or (not head and name in OWN_FILES):
            sections[rest] = dict(parser[section])
    return sections
