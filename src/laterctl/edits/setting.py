"""Settings: a field of the settings class, a key of Dynaconf's file, or an expression that reads the environment."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from laterctl.edits.context import FeatureContext, Resolved
from laterctl.project.facts import Settings
from laterctl.project.places import Place
from laterctl.refusal import Refusal, Refused
from laterctl.render import Expr, Import
from laterctl.targets.base import Anchor, frozen
from laterctl.targets.statement import Statement
from laterctl.targets.text_line import TextLine
from laterctl.targets.toml_key import TomlKey


class Setting(Struct, frozen=True):
    """A setting: lower-case name, type annotation for typed settings classes, default, and whether it is a secret.

    `example` is what an example environment file shows; `help` is one line for people. `imports` are names that the
    annotation needs, as `module:Name`.
    """

    name: str
    annotation: str
    default: Any = None
    secret: bool = False
    example: str = ""
    help: str = ""
    imports: tuple[str, ...] = ()

    def resolve(self, context: FeatureContext) -> Iterator[Resolved]:
        settings = context.project.settings
        if settings is not None and settings.kind == "pydantic" and settings.class_name:
            for source in self.imports:
                yield context.imported(settings.path, source)[0]
            yield _field(self, context, settings)
        elif settings is not None and settings.kind == "dynaconf" and settings.toml and _has_public_default(self):
            table = (settings.table,) if settings.table else ()
            yield Resolved(TomlKey(settings.toml, table, _key(self, settings), frozen(self.default)))
        yield from _example(self, context, settings)


def _has_public_default(setting: Setting) -> bool:
    return not setting.secret and setting.default is not None


def _field(setting: Setting, context: FeatureContext, settings: Settings) -> Resolved:
    name = _key(setting, settings)
    default = literal(setting.default, context.project.layout.style.quote)
    target = Statement(settings.path, settings.scope, f"{name}: {setting.annotation} = {default}", (20, name))
    if not any(record.target == target for record in context.records) and not context.is_present(target):
        _check_free(context, settings, target, name)
        if (own := _same_type(context, settings, name, setting.annotation)) is not None:
            target = Statement(settings.path, settings.scope, ast.unparse(own), target.order)
    return Resolved(target, Anchor(settings.body, _last_field(context, settings)))


def _check_free(context: FeatureContext, settings: Settings, target: Statement, name: str) -> None:
    """Refuse a name that the settings have already, in another way than as a field of this class.

    A property of that name would become the field's default, a field of a base class would lose its own, and one that
    is spelled in capitals would be read from the same variable.

    Raises:
        Refused: with the place.
    """
    body = _statements(context, settings)
    there: dict[str, int] = {}
    fields: set[str] = set()
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            there[node.name] = node.lineno
        elif isinstance(node, ast.Assign):
            there.update({target.id: node.lineno for target in node.targets if isinstance(target, ast.Name)})
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            fields.add(node.target.id)
            if node.target.id != name:
                there[node.target.id] = node.lineno
    there |= {field: settings.place.line for field in settings.fields if field not in fields}
    taken = next((other for other in there if other == name or other.lower() == name.lower()), None)
    if taken is not None:
        raise Refused(
            Refusal(
                "setting-exists",
                f"the settings have {taken} already, which is not what this feature reads",
                Place(settings.path, there[taken]),
                seen=taken,
                expected=target.describe(),
                remedy=f"make it `{target.describe()}`, with a default of your own choice, or rename yours",
                feature=context.feature,
            )
        )


def _same_type(context: FeatureContext, settings: Settings, name: str, annotation: str) -> ast.AnnAssign | None:
    """Return the user's own field of that name and type, whose default is the user's to choose."""
    wanted = ast.unparse(ast.parse(annotation, mode="eval"))
    for node in _statements(context, settings):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == name:
            return node if ast.unparse(node.annotation) == wanted else None
    return None


def _statements(context: FeatureContext, settings: Settings) -> list[ast.stmt]:
    statements: list[ast.stmt] = context.project.tree.python(settings.path).tree.body
    for ordinal, name in settings.body:
        statements = getattr(statements[ordinal], name)
    return statements


def _last_field(context: FeatureContext, settings: Settings) -> int:
    statements = _statements(context, settings)
    own = context.spots(settings.path)
    last = 0 if isinstance(statements[0], ast.Expr) and isinstance(statements[0].value, ast.Constant) else -1
    for ordinal, node in enumerate(statements):
        if isinstance(node, ast.Assign | ast.AnnAssign) and (settings.body, ordinal) not in own:
            last = ordinal
    return last


def _example(setting: Setting, context: FeatureContext, settings: Settings | None) -> Iterator[Resolved]:
    folder = context.project.manifest.path.rpartition("/")[0] if context.project.manifest else ""
    path = f"{folder}/.env.example" if folder else ".env.example"
    if context.project.tree.read(path) is None:
        return
    prefix = settings.prefix if settings is not None else ""
    value = setting.example or ("" if setting.secret or setting.default is None else env_literal(setting.default))
    yield Resolved(TextLine(path, "env", f"{prefix}{setting.name.upper()}={value}"))


def read(setting: Setting, context: FeatureContext) -> Expr:
    """Return the expression that reads a setting, for a template."""
    settings = context.project.settings
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


def variable(setting: Setting, context: FeatureContext) -> str:
    """Return the environment variable that sets a setting."""
    settings = context.project.settings
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
