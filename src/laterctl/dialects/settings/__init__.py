"""Settings: Dynaconf, pydantic-settings, pydantic 1, starlette's `Config`, or the process's variables alone.

What stands outside of this package asks `settings_of(project)`, and never which dialect that is.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from msgspec.structs import replace

from laterctl.dialects.settings.base import SettingLine, Settings, SettingSpec, path_in
from laterctl.project.names import Names
from laterctl.project.places import is_test_or_docs
from laterctl.project.source import Unreadable
from laterctl.project.statements import nodes
from laterctl.project.tree import Outside

if TYPE_CHECKING:
    from laterctl.project.discover import Project

__all__ = ["SettingLine", "SettingSpec", "Settings", "setting_lines", "settings_of"]


def settings_of(project: Project) -> Settings:
    """Return the project's settings; where it has none, those of a project that reads the process's variables."""
    return project.settings or Settings()


def setting_lines(project: Project, name: str, value: str) -> tuple[SettingLine, ...]:
    """Return the lines of which each gives a secret its value in this project, the usual one first."""
    settings = settings_of(project)
    if not settings.dotenv:
        settings = replace(settings, dotenv=_loaded_by_hand(project.names))
    return settings.lines(name, value)


def _loaded_by_hand(names: Names) -> str:
    """Return the file that the project hands to python-dotenv itself, `""` when it does not."""
    for path in names.tree.files_containing(b"load_dotenv"):
        try:
            tree = names.tree.python(path).tree
        except (Unreadable, Outside):
            continue
        for node in nodes(tree) if not is_test_or_docs(path) else ():
            if isinstance(node, ast.Call) and names.resolve(node.func, path) in {
                "dotenv.load_dotenv",
                "dotenv.main.load_dotenv",
            }:
                words = {word.arg: word.value for word in node.keywords}
                return path_in(node.args[0] if node.args else words.get("dotenv_path")) or ".env"
    return ""
