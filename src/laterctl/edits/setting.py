"""Settings: a field of the settings class, a key of Dynaconf's file, or an expression that reads the environment."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from typing import Any

from laterctl.edits.pieces import Anchor, Statement, TextLine, TomlKey, frozen
from laterctl.edits.site import Setting, Site, Wanted
from laterctl.project.facts import Settings
from laterctl.render import Expr, Import


def resolve(setting: Setting, site: Site) -> Iterator[Wanted]:
    """Yield the pieces that a setting means under the project's own settings system."""
    settings = site.project.settings
    if settings is not None and settings.kind == "pydantic" and settings.class_name:
        for source in setting.imports:
            yield site.imported(settings.path, source)[0]
        yield _field(setting, site, settings)
    elif settings is not None and settings.kind == "dynaconf" and settings.toml and _has_public_default(setting):
        table = (settings.table,) if settings.table else ()
        yield Wanted(TomlKey(settings.toml, table, _key(setting, settings), frozen(setting.default)))
    yield from _example(setting, site, settings)


def _has_public_default(setting: Setting) -> bool:
    return not setting.secret and setting.default is not None


def _field(setting: Setting, site: Site, settings: Settings) -> Wanted:
    name = _key(setting, settings)
    default = literal(setting.default, site.project.layout.style.quote)
    piece = Statement(settings.path, settings.scope, f"{name}: {setting.annotation} = {default}", (20, name))
    return Wanted(piece, Anchor(settings.body, _last_field(site, settings)))


def _last_field(site: Site, settings: Settings) -> int:
    statements: list[ast.stmt] = site.project.tree.python(settings.path).tree.body
    for ordinal, name in settings.body:
        statements = getattr(statements[ordinal], name)
    own = site.spots(settings.path)
    last = 0 if isinstance(statements[0], ast.Expr) and isinstance(statements[0].value, ast.Constant) else -1
    for ordinal, node in enumerate(statements):
        if isinstance(node, ast.Assign | ast.AnnAssign) and (settings.body, ordinal) not in own:
            last = ordinal
    return last


def _example(setting: Setting, site: Site, settings: Settings | None) -> Iterator[Wanted]:
    folder = site.project.manifest.path.rpartition("/")[0] if site.project.manifest else ""
    path = f"{folder}/.env.example" if folder else ".env.example"
    if site.project.tree.read(path) is None:
        return
    prefix = settings.prefix if settings is not None else ""
    value = setting.example or ("" if setting.secret or setting.default is None else env_literal(setting.default))
    yield Wanted(TextLine(path, "env", f"{prefix}{setting.name.upper()}={value}"))


def read(setting: Setting, site: Site) -> Expr:
    """Return the expression that reads a setting, for a template."""
    settings = site.project.settings
    if settings is None or settings.kind not in {"pydantic", "dynaconf", "starlette"}:
        text = repr("" if setting.default is None else env_literal(setting.default))
        return Expr(f"os.environ.get({setting.name.upper()!r}, {text})", (Import("os"),))
    if settings.kind == "pydantic":
        return Expr(f"{settings.access.text}.{_key(setting, settings)}", settings.access.imports)
    if settings.kind == "dynaconf":
        default = literal(setting.default, "'")
        return Expr(f"{settings.access.text}.get({setting.name.upper()!r}, {default})", settings.access.imports)
    default = repr("" if setting.default is None else env_literal(setting.default))
    return Expr(f"{settings.access.text}({setting.name.upper()!r}, default={default})", settings.access.imports)


def variable(setting: Setting, site: Site) -> str:
    """Return the environment variable that sets a setting."""
    settings = site.project.settings
    return f"{settings.prefix if settings else ''}{setting.name}".upper()


def _key(setting: Setting, settings: Settings) -> str:
    return setting.name.upper() if settings.upper else setting.name


def literal(value: Any, quote: str) -> str:
    """Spell a default as Python source in the project's quotes."""
    if isinstance(value, str):
        text = json.dumps(value, ensure_ascii=False)
        return text if quote == '"' or "'" in value else f"'{text[1:-1]}'" if '"' not in value else text
    if isinstance(value, list):
        return "[" + ", ".join(literal(item, quote) for item in value) + "]"
    return repr(value)


def env_literal(value: Any) -> str:
    """Spell a default as the value of an environment variable."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(str(item) for item in value) if isinstance(value, list) else str(value)
