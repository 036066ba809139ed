"""Dynaconf: an object, TOML files with a table for each environment, and variables with a prefix."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from laterctl.dialects.ground import Ground
from laterctl.dialects.settings.base import (
    FROM_OS,
    Found,
    SettingLine,
    Settings,
    SettingSpec,
    bound,
    mostly_upper,
    path_in,
    text_of,
)
from laterctl.project.facts import Evidence
from laterctl.project.names import Names, Own
from laterctl.project.places import Place, is_test_or_docs
from laterctl.project.statements import assigned_value, nodes
from laterctl.project.tomlfile import load_toml, table
from laterctl.project.tree import Tree
from laterctl.render import Expr
from laterctl.targets.base import frozen
from laterctl.targets.resolved import Resolved
from laterctl.targets.toml_key import TomlKey


class Dynaconf(Settings, frozen=True, kw_only=True):
    """A Dynaconf object. `toml` is its file of public settings, `secrets` the one of secrets, in the same tables."""

    kind: str = "dynaconf"
    title: ClassVar[str] = "Dynaconf"

    def declare(self, spec: SettingSpec, ground: Ground) -> Iterator[Resolved]:
        """Yield the key of the file of public settings; a setting without a default is in no file."""
        if self.toml and not spec.secret and spec.default is not None:
            table = (self.table,) if self.table else ()
            yield Resolved(TomlKey(self.toml, table, self.key(spec.name), frozen(spec.default)))

    def instead(self) -> str:
        """Say that there is no file to write to: there is none yet, or where it is follows when the project runs."""
        if self.toml:
            return ""
        return f"no TOML file of {self.access.text} was found to write to: new settings have their defaults in the code"

    def read(self) -> Expr:
        """Return the look-up, which does not care for capitals."""
        return Expr(f"{self.access.text}.get(name)", self.access.imports)

    def environment_variable(self, name: str) -> str:
        """Return the variable with the prefix that Dynaconf asks for."""
        return f"{self.prefix}{name}".upper()

    def example(self, spec: SettingSpec, declared: Sequence[Resolved]) -> str:
        """Return the line, commented out when a file has the setting: a variable would take precedence over that."""
        return "# " * bool(declared) + Settings.example(self, spec, declared)

    def lines(self, name: str, value: str) -> tuple[SettingLine, ...]:
        """Return the variable, and the key of the file of secrets where the project names one."""
        inherited = Settings.lines(self, name, value)
        if not self.secrets:
            return inherited
        key = SettingLine(f"{self.key(name)} = {json.dumps(value)}", self.secrets, self.table)
        return (*inherited, key)

    def running(self, names: Names, access: Expr) -> Expr:
        """Return the name of the environment that Dynaconf switched to, or the setting of that use where it switches none."""
        field = self.environment_field()
        if self.table:
            return Expr(f"str({access.text}.current_env)", access.imports)
        return Expr(f"str({access.text}.get({field.upper()!r}, ''))", access.imports) if field else FROM_OS


def find(names: Names) -> list[Found]:
    """Find the Dynaconf objects of a project."""
    found = []
    for path in names.tree.files_containing(b"dynaconf"):
        if is_test_or_docs(path):
            continue
        for name, node in bound(names, path).items():
            value = assigned_value(node)
            if isinstance(value, ast.Call) and names.resolve(value.func, path) == "dynaconf.Dynaconf":
                found.append(Found(_facts(names, path, node, value), (Own(path, name),)))
    return found


def _facts(names: Names, path: str, node: ast.stmt, call: ast.Call) -> Dynaconf:
    words = {word.arg: word.value for word in call.keywords if word.arg}
    files = list(_named_files(words))
    toml = _file(names.tree, path, words, [name for name in files if not _is_private(name)])
    environments = _is_true(words.get("environments", words.get("environment")))
    values = (load_toml(names.tree, toml) if toml else None) or {}
    top = "default" if environments else ""
    own = table(values, top) if top else values
    fields = [key for key, value in own.items() if top or not isinstance(value, dict) or not environments]
    place = Place(path, node.lineno)
    return Dynaconf(
        path=path,
        module=names.module_name(path),
        place=place,
        fields=tuple(fields),
        toml=toml,
        table=top,
        prefix=_prefix(words.get("envvar_prefix", words.get("envvar_prefix_for_dynaconf"))),
        upper=bool(fields) and mostly_upper(fields),
        dotenv=(path_in(words.get("dotenv_path")) or ".env") if _is_true(words.get("load_dotenv")) else "",
        secrets=_secrets(names.tree, path, words, files, toml),
        evidence=(Evidence("Dynaconf object", place), *((Evidence("settings file", Place(toml, 1)),) if toml else ())),
    )


def _is_true(node: ast.expr | None) -> bool:
    return node is not None and not (isinstance(node, ast.Constant) and not node.value)


def _prefix(node: ast.expr | None) -> str:
    """Return the prefix of variables; without one they begin with `DYNACONF_`, with an empty one with `_`."""
    if isinstance(node, ast.Constant) and (node.value is False or node.value is None):
        return ""
    if isinstance(node, ast.Constant) and node.value == "":
        return "_"
    return (text_of(node).split(",")[0].strip() or "DYNACONF").upper() + "_"


def _is_private(name: str) -> bool:
    return "secret" in name or name.endswith(".local.toml")


def _named_files(words: Mapping[str, ast.expr]) -> Iterator[str]:
    """Yield the names of settings files that a call gives, in order."""
    for key in ("settings_files", "settings_file", "preload", "includes", "secrets"):
        for part in nodes(words[key]) if key in words else ():
            if isinstance(part, ast.expr):
                yield from (item.strip() for item in text_of(part).replace(";", ",").split(","))
    if not {"settings_files", "settings_file"} & set(words):
        yield "settings.toml"


def _secrets(tree: Tree, path: str, words: Mapping[str, ast.expr], files: list[str], toml: str) -> str:
    """Return the TOML file of secrets: git has none of it, so that it may have to be made, beside the public one."""
    named = [name.removeprefix("./") for name in files if "secret" in name and name.endswith(".toml")]
    named = [name for name in named if not name.startswith("/") and ".." not in name]
    if there := _file(tree, path, words, named):
        return there
    folder = toml.rpartition("/")[0]
    return "/".join(filter(None, (folder, named[0].rpartition("/")[2]))) if named else ""


def _file(tree: Tree, path: str, words: Mapping[str, ast.expr], named: list[str]) -> str:
    """Return the first of the named TOML files that exists, where Dynaconf looks for them."""
    folder = path.rpartition("/")[0]
    above = [folder]
    while above[-1]:
        above.append(above[-1].rpartition("/")[0])
    root = text_of(words.get("root_path"))
    for name in named:
        if not name.endswith(".toml"):
            continue
        for place in dict.fromkeys(["", *([root] if root else []), *above]):
            candidate = "/".join(filter(None, (place, name.removeprefix("./"))))
            if not candidate.startswith(("/", "../")) and ".." not in candidate and tree.exists(candidate):
                return candidate
    return ""
