"""Where pytest looks for tests, by the project's own configuration."""

from __future__ import annotations

import posixpath
from typing import Any

from laterctl.project.source import Unreadable
from laterctl.project.tomlfile import load_toml, table
from laterctl.project.tree import Outside, Tree

_INI = {"pytest.ini": "pytest", ".pytest.ini": "pytest", "tox.ini": "pytest", "setup.cfg": "tool:pytest"}
CONFIGURATIONS = (*_INI, "pyproject.toml")
"""The files that pytest may be configured in."""


def testpaths(tree: Tree) -> tuple[str, ...]:
    """Return the folders that pytest collects when it is given none, `()` when nothing says so; no patterns."""
    try:
        pytest = table(load_toml(tree, "pyproject.toml"), "tool", "pytest")
        found: Any = table(pytest, "ini_options").get("testpaths", pytest.get("testpaths")) or _from_ini(tree)
    except (Unreadable, Outside):
        return ()
    listed = found.split() if isinstance(found, str) else found
    paths = [posixpath.normpath(item) for item in listed if isinstance(item, str)]
    return tuple(path for path in paths if path != "." and not path.startswith(("..", "/")) and "*" not in path)


def _from_ini(tree: Tree) -> str:
    present = [name for name in _INI if b"testpaths" in (tree.read(name) or b"")]
    if not present:
        return ""
    import configparser  # it costs, and few projects need it

    for name in present:
        section = _INI[name]
        parser = configparser.ConfigParser(interpolation=None, strict=False)
        try:
            parser.read_string((tree.read(name) or b"").decode("utf-8", "replace"))
        except configparser.Error:
            continue
        if parser.has_section(section):
            return parser.get(section, "testpaths", fallback="")
    return ""
