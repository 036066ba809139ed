"""Dynaconf objects, and the TOML file that shared settings are in."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from laterctl.project.facts import Evidence, Settings
from laterctl.project.names import Names, Own
from laterctl.project.places import Place, is_test_or_docs
from laterctl.project.settings_common import Found, bound, mostly_upper, text_of
from laterctl.project.statements import assigned_value, nodes
from laterctl.project.tomlfile import load_toml, table
from laterctl.project.tree import Tree
from laterctl.render import Expr


def find_dynaconf(names: Names) -> list[Found]:
    found = []
    for path in names.tree.files_containing(b"dynaconf"):
        if is_test_or_docs(path):
            continue
        for name, node in bound(names, path).items():
            value = assigned_value(node)
            if isinstance(value, ast.Call) and names.resolve(value.func, path) == "dynaconf.Dynaconf":
                found.append(Found(_dynaconf_facts(names, path, node, value), (Own(path, name),)))
    return found


def _dynaconf_facts(names: Names, path: str, node: ast.stmt, call: ast.Call) -> Settings:
    words = {word.arg: word.value for word in call.keywords if word.arg}
    toml = _settings_file(names.tree, path, words)
    switched = words.get("environments", words.get("environment"))
    environments = switched is not None and not (isinstance(switched, ast.Constant) and not switched.value)
    values = (load_toml(names.tree, toml) if toml else None) or {}
    top = "default" if environments else ""
    own = table(values, top) if top else values
    fields = [key for key, value in own.items() if top or not isinstance(value, dict) or not environments]
    place = Place(path, node.lineno)
    prefix = words.get("envvar_prefix", words.get("envvar_prefix_for_dynaconf"))
    if isinstance(prefix, ast.Constant) and prefix.value in {False, None, ""}:
        spelled = ""
    else:
        spelled = (text_of(prefix).split(",")[0].strip() or "DYNACONF").upper() + "_"
    return Settings(
        kind="dynaconf",
        path=path,
        module=names.module_name(path),
        access=Expr(""),
        environment=Expr(""),
        place=place,
        fields=tuple(fields),
        toml=toml,
        table=top,
        prefix=spelled,
        upper=mostly_upper(fields) if fields else True,
        evidence=(Evidence("Dynaconf object", place), *((Evidence("settings file", Place(toml, 1)),) if toml else ())),
    )


def _settings_file(tree: Tree, path: str, words: Mapping[str, ast.expr]) -> str:
    """Return the TOML file that shared, public settings are in: the first existing one that is named and not secret."""
    named: list[str] = []
    for key in ("settings_files", "settings_file", "preload", "includes"):
        for part in nodes(words[key]) if key in words else ():
            named += (
                [item.strip() for item in text_of(part).replace(";", ",").split(",")]
                if isinstance(part, ast.expr)
                else []
            )
    if not {"settings_files", "settings_file"} & set(words):
        named += ["settings.toml"]
    folder = path.rpartition("/")[0]
    above = [folder]
    while above[-1]:
        above.append(above[-1].rpartition("/")[0])
    root = text_of(words.get("root_path"))
    for name in named:
        if not name.endswith(".toml") or "secret" in name or name.endswith(".local.toml"):
            continue
        for place in dict.fromkeys(["", *([root] if root else []), *above]):
            candidate = "/".join(filter(None, (place, name.removeprefix("./"))))
            if not candidate.startswith(("/", "../")) and ".." not in candidate and tree.read(candidate) is not None:
                return candidate
    return ""
