"""The user's configuration of laterctl: the table `[tool.laterctl]` of `pyproject.toml`, and what may stand in it."""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from msgspec import Struct

from laterctl.project.source import Unreadable
from laterctl.project.tomlfile import load_toml, table
from laterctl.project.tree import Tree

PYPROJECT = "pyproject.toml"
TABLE = "[tool.laterctl]"


class Key(Struct, frozen=True):
    """A key of the table: what it has to be, in words and as a test, what it decides, and an example."""

    name: str
    kind: str
    is_valid: Callable[[Any], bool]
    decides: str
    example: str
    fact: str
    """The part of `info --project` whose outcome it changes."""


def _is_module(value: Any) -> bool:
    return isinstance(value, str) and all(
        part.isidentifier() and not keyword.iskeyword(part) for part in value.split(".")
    )


def _is_reference(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    module, colon, name = value.partition(":")
    return bool(colon) and _is_module(module) and _is_module(name.removesuffix("()"))


def _is_folder(value: Any) -> bool:
    """Whether it is a folder of the project in its shortest form, not below a hidden one."""
    return isinstance(value, str) and all(
        re.fullmatch(r"[^\x00-\x1f\x7f\\:]+", part) and not part.startswith(".") for part in value.split("/")
    )


def _is_rules(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, str) for item in value))


KEYS = (
    Key("app", "MODULE:ATTR", _is_reference, "the application that is meant, as `--app` does", "shop.main:app", "app"),
    Key("settings", "MODULE:NAME", _is_reference, "the object that settings are read from", "shop.config:settings", "settings"),
    Key("container", "MODULE:CLASS", _is_reference, "the dependency-injector container", "shop.containers:Container", "container"),
    Key("database", "MODULE:NAME", _is_reference, "the engine of the database", "shop.db:engine", "database"),
    Key("core", "a module", _is_module, "the package for what has no routes", "shop.core", "layout"),
    Key("api", "a module", _is_module, "the package for modules with routes", "shop.api", "layout"),
    Key("tests", "a folder of the project, or false", lambda value: value is False or _is_folder(value), "the folder for tests; `false` adds features without theirs, as `--no-tests` does", "tests", "layout"),
    Key("python", "a path or a command", lambda value: isinstance(value, str) and bool(value), "the Python that `--prove` starts where the project has no virtual environment", ".venv/bin/python", ""),
    Key("prove", 'true, false or "tests"', lambda value: isinstance(value, bool) or value == "tests", "whether `--yes` proves as `--prove` or `--prove tests` does, where that is possible", "true", ""),
    Key("doctor.skip", "a list of rule ids", _is_rules, "the rules that `doctor` leaves out, as `--skip` does", '["JWT004"]', ""),
)  # fmt: skip
"""All keys there are."""


class Misconfigured(Unreadable):
    """A key of the table is unknown, or its value is not what it has to be."""

    def __init__(self, line: int, reason: str, hint: str) -> None:
        super().__init__(PYPROJECT, line, reason, hint, code="configuration")


def configuration(tree: Tree) -> Mapping[str, Any]:
    """Return the user's table, `{}` without one.

    Raises:
        Unreadable: pyproject.toml is broken.
        Misconfigured: a key is unknown, or has a value that it cannot have.
        laterctl.project.tree.Outside: pyproject.toml leads out of the project.
    """
    parsed = load_toml(tree, PYPROJECT)
    tool = table(parsed, "tool")
    if "laterctl" not in tool:
        return {}
    found = tool["laterctl"]
    if not isinstance(found, dict):
        raise Misconfigured(key_line(tree, "laterctl"), f"{TABLE} is no table", f"write {TABLE} and its keys below it")
    known = {key.name: key for key in KEYS}
    for name, value in _flat(found):
        line = key_line(tree, name)
        if name not in known:
            raise Misconfigured(line, f"{TABLE} has no key {name}", f"its keys are {', '.join(known)}")
        if not known[name].is_valid(value):
            key = known[name]
            raise Misconfigured(line, f"{name} in {TABLE} is {value!r}, not {key.kind}", f"such as {key.example}")
    return found


def configured(found: Mapping[str, Any], name: str) -> Any:
    """Return the value that a key has in a table, `None` when it has none."""
    return dict(_flat(found)).get(name)


def _flat(found: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the keys of a table; those of the table `doctor` in it with its name in front."""
    for name, value in found.items():
        if name == "doctor" and isinstance(value, dict):
            yield from ((f"doctor.{inner}", item) for inner, item in value.items())
        else:
            yield name, value


def key_line(tree: Tree, name: str) -> int:
    """Return the line of a key of the table, that of the table when it cannot be found."""
    lines = (tree.read(PYPROJECT) or b"").decode("utf-8", errors="replace").splitlines()
    section, start = "", 0
    for number, line in enumerate(lines, 1):
        header = re.match(r"\s*\[+\s*([^\[\]]+?)\s*\]", line)
        section = re.sub(r"[\s\"']", "", header[1]) if header else section
        key = "" if header else re.sub(r"[\s\"']", "", line.partition("=")[0])
        full = ".".join(filter(None, (section, key)))
        if full in {f"tool.laterctl.{name}", f"tool.{name}"} or full.startswith(f"tool.laterctl.{name}."):
            return number
        if full.startswith("tool.laterctl"):
            start = start or number
    start = start or 1
    last = re.compile(rf"(?:^|[\s{{,.\"']){re.escape(name.rpartition('.')[2])}[\"']?\s*=")  # in an inline table
    return next((number for number, line in enumerate(lines[start - 1 :], start) if last.search(line)), start)
