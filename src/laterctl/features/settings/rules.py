"""Doctor rules of `settings`: settings classes that do not work with the pydantic that is installed.

What changed from version 1: https://docs.pydantic.dev/latest/migration/#basesettings-has-moved-to-pydantic-settings
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator

from laterctl.doctor.code import Codebase, Visit, argument_of, constant, once
from laterctl.doctor.rule import MAIN, Found, Rule, Severity
from laterctl.doctor.settings import is_settings, pydantic_version
from laterctl.patterns import pattern
from laterctl.project.names import dotted_path
from laterctl.project.statements import Function, assigned_value, bound_targets, nodes

_EXAMPLES = (".env.example", ".env.sample", ".env.template", ".env.dist", "env.example", ".env")
_LINE = pattern(r"^[ \t]*(?:export[ \t]+)?(?P<name>\w+)[ \t]*=[ \t]*(?P<value>[^\n]*?)[ \t]*$", re.MULTILINE)
_LISTS = frozenset({"list", "List", "set", "Set", "tuple", "Tuple", "Sequence", "frozenset", "dict", "Dict"})


def moved_class(visit: Visit[ast.ImportFrom]) -> Iterator[Found]:
    """Look for the import that pydantic 2 answers with an error, but where the code is ready for that."""
    node = visit.node
    if (
        node.level
        or node.module not in {"pydantic", "pydantic.env_settings"}
        or pydantic_version(visit.code.codebase) != 2
    ):
        return
    tried = any(isinstance(around, ast.Try | ast.If) for around in visit.code.enclosing(visit.spot))
    if any(alias.name == "BaseSettings" for alias in node.names) and not tried:
        yield Found(visit.line, "PydanticImportError: pydantic 2 has no BaseSettings")


def moved_attribute(visit: Visit[ast.Attribute]) -> Iterator[Found]:
    """Look for `pydantic.BaseSettings`."""
    named = visit.node.attr == "BaseSettings" and visit.resolve(visit.node) == "pydantic.BaseSettings"
    if named and pydantic_version(visit.code.codebase) == 2:
        yield Found(visit.line, "PydanticImportError: pydantic 2 has no BaseSettings")


def list_as_text(visit: Visit[ast.ClassDef]) -> Iterator[Found]:
    """Look for fields that hold several values, where the example of the environment separates them with commas."""
    code = visit.code
    if not is_settings(code, visit.node) or any(_reads_otherwise(node) for node in nodes(visit.node)):
        return
    values = _example(code.codebase)
    prefix = _prefix(visit.node)
    for item in visit.node.body:
        name = dotted_path(item.target) if isinstance(item, ast.AnnAssign) else ""
        if not isinstance(item, ast.AnnAssign) or not name or not _is_list(item.annotation):
            continue
        where, value = values.get(f"{prefix}{name}".upper(), ("", ""))
        if value and not _is_json(value):
            reason = f"{name} is read as JSON, and {where} gives it a text that is none: SettingsError at the start"
            yield Found(item.lineno, reason)


@once
def _example(codebase: Codebase) -> dict[str, tuple[str, str]]:
    """Map the variables of the example of an environment, in capitals, to the file and the value."""
    found: dict[str, tuple[str, str]] = {}
    for path, text in codebase.texts(_EXAMPLES):
        for match in _LINE.finditer(text):
            found.setdefault(match["name"].upper(), (path, match["value"].strip("\"'")))
    return found


def _prefix(node: ast.ClassDef) -> str:
    for item in node.body:
        value = assigned_value(item)
        if isinstance(value, ast.Call) and "model_config" in map(dotted_path, bound_targets(item)):
            return str(constant(argument_of(value, -1, "env_prefix")) or "")
        for inner in item.body if isinstance(item, ast.ClassDef) else ():
            if "env_prefix" in map(dotted_path, bound_targets(inner)):
                return str(constant(assigned_value(inner)) or "")
    return ""


def _reads_otherwise(node: ast.AST) -> bool:
    """Whether a class says itself how the environment is read."""
    return (isinstance(node, ast.keyword) and node.arg == "enable_decoding") or (
        isinstance(node, Function) and node.name in {"settings_customise_sources", "parse_env_var"}
    )


def _is_list(annotation: ast.expr) -> bool:
    """Whether every value of a type is read as JSON: `Annotated`, and unions with a text, may be read otherwise."""
    outer = annotation.value if isinstance(annotation, ast.Subscript) else annotation
    return dotted_path(outer).rpartition(".")[2] in _LISTS


def _is_json(value: str) -> bool:
    try:
        return not isinstance(json.loads(value), str | int | float)
    except ValueError:
        return False


_SETTINGS = "from {module} import BaseSettings\n\n\nclass Settings(BaseSettings):\n    key: str\n"
_PROJECT = '[project]\nname = "app"\ndependencies = ["fastapi", "pydantic>=2", "pydantic-settings"]\n'
_LISTED = "from pydantic_settings import BaseSettings\n\n\nclass Settings(BaseSettings):\n    origins: list[str] = []"

SET001 = Rule(
    id="SET001",
    title="BaseSettings is imported from pydantic, which is version 2",
    why="It has moved to a package of its own; the import raises a PydanticImportError. "
    "https://docs.pydantic.dev/latest/migration/#basesettings-has-moved-to-pydantic-settings",
    fix="from pydantic_settings import BaseSettings, and add pydantic-settings to the dependencies",
    severity=Severity.ERROR,
    needles=(b"BaseSettings",),
    scripts=True,
    checks={ast.ImportFrom: moved_class, ast.Attribute: moved_attribute},
    bad=(
        {
            MAIN: _SETTINGS.format(module="pydantic").replace("Settings\n", "Settings  # SET001\n", 1),
            "pyproject.toml": _PROJECT,
        },
    ),
    good=(
        {MAIN: _SETTINGS.format(module="pydantic_settings"), "pyproject.toml": _PROJECT},
        {MAIN: _SETTINGS.format(module="pydantic.v1"), "pyproject.toml": _PROJECT},
        {MAIN: _SETTINGS.format(module="pydantic"), "requirements.txt": "fastapi\npydantic<2\n"},
    ),
)
SET002 = Rule(
    id="SET002",
    title="A list in the settings is read as JSON, and the environment separates with commas",
    why="pydantic-settings parses the value of every list, set and dict as JSON, and the start ends in a SettingsError. "
    "https://docs.pydantic.dev/latest/concepts/pydantic_settings/#parsing-environment-variable-values",
    fix="write JSON there; or Annotated[list[str], NoDecode] with a validator that splits",
    severity=Severity.ERROR,
    needles=(b"BaseSettings",),
    checks={ast.ClassDef: list_as_text},
    bad=({MAIN: f"{_LISTED}  # SET002\n", ".env.example": "ORIGINS=http://localhost:3000,http://localhost\n"},),
    good=(
        {MAIN: f"{_LISTED}\n", ".env.example": 'ORIGINS=["http://localhost:3000"]\n'},
        {
            MAIN: f"{_LISTED}\n".replace("list[str]", "Annotated[list[str], NoDecode]"),
            ".env.example": "ORIGINS=http://localhost:3000,http://localhost\n",
        },
    ),
)
