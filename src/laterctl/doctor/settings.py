"""What the source says a setting is: a constant, a class attribute, or a field of a settings class with its default."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from msgspec import Struct

from laterctl.doctor.code import Code, Codebase, Visit, argument_of, once
from laterctl.patterns import pattern
from laterctl.project.names import Own
from laterctl.project.statements import Function, assigned_value, bound_targets, nodes

SETTINGS_CLASSES = frozenset({"pydantic_settings.BaseSettings", "pydantic.BaseSettings"})
READERS = frozenset({"os.getenv", "os.environ.get", "decouple.config"})

_WRAPPERS = frozenset({"pydantic.SecretStr", "pydantic.SecretBytes", "pydantic.Field", "pydantic.fields.Field"})
_SECOND = pattern(r"(?:>=|==|~=|\^|>|~|\s)\s*2(?![\d])")
_FIRST = pattern(r"(?:==|~=|\^|(?<!>)~)\s*1(?![\d])|<\s*2(?![\d])(?!\.0*[1-9])")
_DEPTH = 4  # from a name to the settings object, through functions that give it


class Given(Struct, frozen=True):
    """An expression that a name stands for, in the file where it is written; the settings class it is a field of."""

    node: ast.expr
    code: Code
    owner: ast.ClassDef | None = None

    @property
    def default(self) -> ast.expr:
        """The expression, or what stands in for a variable that is not set: `"x"` for `os.getenv("KEY", "x")`."""
        fallback = default_of(self.code, self.node)
        return self.code.value(fallback) if fallback is not None else self.node


class Field(Struct, frozen=True):
    """A field of a settings class, and the file with it."""

    node: ast.AnnAssign
    owner: ast.ClassDef
    code: Code


@once
def pydantic_version(codebase: Codebase) -> int:
    """Return which version of pydantic is installed, 1 or 2, by the lock or the declared dependencies; 0: not known."""
    manifest = codebase.project.manifest
    if manifest is None:
        return 0
    if version := manifest.locked.get("pydantic", ""):
        return 1 if version.startswith("1.") else 2
    texts = {item.name: item.text for item in manifest.requirements}
    declared = texts.get("pydantic", "")
    if "pydantic-settings" in texts or _SECOND.search(declared):
        return 2
    return 1 if _FIRST.search(declared) else 0


def default_of(code: Code, node: ast.expr) -> ast.expr | None:
    """Return what a call that reads a variable gives when it is not set, `None` without it or for another call."""
    if not isinstance(node, ast.Call):
        return None
    target, maker = code.resolve(node.func), code.value(node.func)
    config = isinstance(maker, ast.Call) and code.resolve(maker.func) == "starlette.config.Config"
    return argument_of(node, 1, "default") if target in READERS or config else None


def given(visit: Visit[ast.Call], node: ast.expr) -> Given | None:
    """Return what a name or an attribute stands for in the project: `KEY`, `config.KEY`, `settings.key`.

    Secrets are unpacked: `settings.key.get_secret_value()`.
    """
    code = visit.code
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get_secret_value":
        node = node.func.value
    if not isinstance(node, ast.Name | ast.Attribute):
        return Given(node, code)
    if (value := code.value(node)) is not node:
        return Given(_unwrapped(code, value), code)
    field = field_of(code, node)
    if field is not None:
        return Given(_unwrapped(field.code, field.node.value), field.code, field.owner) if field.node.value else None
    names = code.codebase.project.names
    found = names.lookup(node, code.path, visit.spot.scope)
    statement = names.statement(found) if isinstance(found, Own) else None
    other = code.codebase.readable(found.path) if isinstance(found, Own) else None
    if not isinstance(found, Own) or statement is None or other is None:
        return None
    if isinstance(statement, ast.ClassDef):
        members = [item for item in statement.body if found.name.partition(".")[2] in _names(item)]
        statement = members[-1] if members else statement
    given_value = assigned_value(statement)
    return Given(_unwrapped(other, given_value), other) if given_value is not None else None


def field_of(code: Code, node: ast.expr) -> Field | None:
    """Return the field that `settings.key`, `get_settings().key` or `settings.part.key` is, if it is one."""
    found = settings_class(code, node.value) if isinstance(node, ast.Attribute) else None
    fields = _fields(found[0], found[1].name) if isinstance(node, ast.Attribute) and found is not None else ()
    return next((item for item in fields if isinstance(node, ast.Attribute) and _name(item.node) == node.attr), None)


def settings_class(code: Code, node: ast.expr, depth: int = _DEPTH) -> tuple[Code, ast.ClassDef] | None:
    """Return the class of the settings that `settings`, `get_settings()` or `Settings()` gives, `None` if unknown."""
    names = code.codebase.project.names
    called = isinstance(node, ast.Call)
    found = names.lookup(node.func if isinstance(node, ast.Call) else node, code.path)
    if isinstance(node, ast.Attribute) and depth > 0 and (field := field_of(code, node)) is not None:
        found, called = names.lookup(field.node.annotation, field.code.path), True
    statement = names.statement(found) if isinstance(found, Own) else None
    other = code.codebase.readable(found.path) if isinstance(found, Own) else None
    if statement is None or other is None or depth == 0:
        return None
    if isinstance(statement, ast.ClassDef):
        return (other, statement) if called and is_settings(other, statement) else None
    if isinstance(statement, Function):
        values = [item.value for item in nodes(statement) if isinstance(item, ast.Return)] if called else []
    else:
        values = [None if called else assigned_value(statement)]
    classes = (settings_class(other, value, depth - 1) for value in values if value is not None)
    return next(filter(None, classes), None)


def is_settings(code: Code, node: ast.ClassDef, depth: int = _DEPTH) -> bool:
    """Whether a class derives from pydantic's BaseSettings."""
    names = code.codebase.project.names
    for base in node.bases:
        found = names.lookup(base, code.path)
        statement = names.statement(found) if isinstance(found, Own) else None
        if found in SETTINGS_CLASSES:
            return True
        other = code.codebase.readable(found.path) if isinstance(found, Own) else None
        if (
            isinstance(statement, ast.ClassDef)
            and other is not None
            and depth > 0
            and is_settings(other, statement, depth - 1)
        ):
            return True
    return False


def _fields(code: Code, name: str, depth: int = _DEPTH) -> Iterator[Field]:
    """Yield the fields of a class and of its bases among the project's own, the class's own first."""
    names = code.codebase.project.names
    node = names.bound(code.path).get(name)
    if not isinstance(node, ast.ClassDef) or depth == 0:
        return
    yield from (Field(item, node, code) for item in node.body if isinstance(item, ast.AnnAssign) and _name(item))
    for base in node.bases:
        found = names.lookup(base, code.path)
        other = code.codebase.readable(found.path) if isinstance(found, Own) else None
        if isinstance(found, Own) and other is not None:
            yield from _fields(other, found.name, depth - 1)


def _name(item: ast.AnnAssign) -> str:
    return item.target.id if isinstance(item.target, ast.Name) else ""


def _names(item: ast.stmt) -> set[str]:
    return {target.id for target in bound_targets(item) if isinstance(target, ast.Name)}


def _unwrapped(code: Code, node: ast.expr) -> ast.expr:
    """Return the default of `Field(default=...)`, the value of `SecretStr(...)`; else the node."""
    while isinstance(node, ast.Call) and code.resolve(node.func) in _WRAPPERS:
        inner = argument_of(node, 0, "default", "secret_value")
        if inner is None:
            break
        node = inner
    return node
