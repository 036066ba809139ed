"""`starlette.config.Config`: an object that is called with each setting's name."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import ClassVar

from laterctl.dialects.settings.base import (
    FROM_OS,
    Found,
    Settings,
    bound,
    path_in,
    text_of,
)
from laterctl.project.facts import Evidence
from laterctl.project.names import Names, Own, dotted_path
from laterctl.project.places import Place, is_test_or_docs
from laterctl.project.statements import assigned_value
from laterctl.render import Expr, Import


class Starlette(Settings, frozen=True, kw_only=True):
    """A `Config` object: what is read is declared where it is read, so that there is nothing to add."""

    kind: str = "starlette"
    title: ClassVar[str] = "starlette.config.Config"

    def read(self) -> Expr:
        """Return the call of the object."""
        return Expr(f"{self.access.text}(name.upper(), default=None)", self.access.imports)

    def environment_variable(self, name: str) -> str:
        """Return the variable: the prefix as it is written, and the name in capitals."""
        return f"{self.prefix}{name.upper()}"

    def running(self, names: Names, access: Expr) -> Expr:
        """Return the module's own name for the environment."""
        field = self.environment_field()
        return Expr(f"str({field})", (Import(self.module, field),)) if field else FROM_OS

    def _exported(self) -> Iterator[Own]:
        yield from (Own(self.path, field) for field in self.fields)


def find(names: Names) -> list[Found]:
    """Find the `Config` objects of a project."""
    found = []
    for path in names.tree.files_containing(b"starlette", b"starlette.config"):
        if is_test_or_docs(path):
            continue
        for name, node in bound(names, path).items():
            value = assigned_value(node)
            if isinstance(value, ast.Call) and names.resolve(value.func, path) == "starlette.config.Config":
                found.append(Found(_facts(names, path, name, node, value), (Own(path, name),)))
    return found


def _facts(names: Names, path: str, name: str, node: ast.stmt, call: ast.Call) -> Starlette:
    fields = []
    for field, statement in names.bound(path).items():
        value = assigned_value(statement)
        if isinstance(value, ast.Call) and dotted_path(value.func) == name:
            fields.append(field)
    place = Place(path, node.lineno)
    words = {word.arg: word.value for word in call.keywords}
    return Starlette(
        path=path,
        module=names.module_name(path),
        place=place,
        fields=tuple(fields),
        prefix=text_of(words.get("env_prefix")),
        upper=True,
        dotenv=path_in(call.args[0] if call.args else words.get("env_file")),
        evidence=(Evidence(f"starlette Config {name}", place),),
    )
