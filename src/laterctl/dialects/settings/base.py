"""What the dialects of settings share: the facts about them, and what each of them answers."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from msgspec import Struct, field

from laterctl.dialects.ground import Ground
from laterctl.patterns import pattern
from laterctl.project.facts import BodyPath, Evidence
from laterctl.project.names import Names, Own
from laterctl.project.places import Place
from laterctl.project.source import Unreadable
from laterctl.project.tree import Outside
from laterctl.render import Expr, Import
from laterctl.targets.resolved import Resolved

FROM_OS = Expr('os.environ.get("ENVIRONMENT", "")', (Import("os"),))
"""The environment's name in a project that has no setting for it."""

_PLAIN = pattern(r"[\w./:,@%+-]*")
"""A value that no reader of environment files takes for anything else."""

IN_PROCESS = "new settings are variables of the process"
"""What is done where the project's own settings are not extended."""

_ENVIRONMENT = (
    *("environment", "env", "app_environment", "app_env", "current_environment", "current_env", "environment_name"),
    *("env_name", "deploy_env", "deployment_environment", "fastapi_env", "env_state", "stage"),
)


_SOURCES: Mapping[str, str] = {
    "Literal": "typing",
    **dict.fromkeys(("SecretStr", "PositiveInt", "PositiveFloat", "NonNegativeInt", "NonNegativeFloat"), "pydantic"),
}
"""Where the types of settings come from that are not built in."""


class SettingSpec(Struct, frozen=True):
    """A setting that a feature has: lower-case name, type annotation, default, and whether it is a secret.

    Where only some texts are values, the annotation is a `Literal` of them, in single quotes. `help` is one line for
    people, who read it above the setting in an example environment file, too: with the unit where the name has none, and
    with how a secret is made.
    """

    name: str
    annotation: str
    default: Any = None
    secret: bool = False
    help: str = ""

    @property
    def imports(self) -> tuple[str, ...]:
        """The names that the annotation needs, as `module:Name`."""
        words = pattern(r"\b[A-Z]\w*").findall(self.annotation)
        return tuple(f"{_SOURCES[word]}:{word}" for word in words if word in _SOURCES)

    @property
    def choices(self) -> tuple[str, ...]:
        """The values that it may have where these are a few texts."""
        return tuple(pattern("'(.*?)'").findall(self.annotation))

    def words(self) -> str:
        """Return what it is for people, with the values that it may have where these are a few."""
        *others, last = self.choices or ("",)
        return f"{self.help}: {', '.join(others)} or {last}" if last else self.help


class SettingLine(Struct, frozen=True):
    """A line that gives a setting its value, and where it goes.

    `path` is the file, `""` when it can only be a variable of the process; `table` is the table of a TOML file.
    `environment` says that the line may also be given as a variable of the process.
    """

    text: str
    path: str = ""
    table: str = ""
    environment: bool = False

    def where(self) -> str:
        """Return the place in words."""
        if self.environment:
            return f"{self.path}, or the environment" if self.path else "the environment"
        return f"{self.path}, below [{self.table}]" if self.table else f"{self.path}, above the first table"


class Settings(Struct, frozen=True, kw_only=True):
    """Where and how the project reads its settings; a dialect is a subclass in a module of its own.

    `kind` is the dialect's name in JSON documents; `title` is the one for people. `access` is the expression that gives
    the settings object with the imports it needs: `settings` or `get_settings()`. `path` is the module, `body` the
    statements of the settings class `class_name`. `fields` are the settings that are known, in capitals when `upper`;
    `types` are the annotations of what the object has, properties and what base classes bring too, `""` without one.
    `toml` is the file of public settings, `table` its table for all environments. `prefix` is that of environment
    variables, with its underscore; `dotenv` is the file that gives the process variables, `secrets` the TOML file of
    secrets. `environment` is an expression of type `str` that names the running environment. `reason` says why these
    settings are not extended, where they are not.

    The methods here are those of a project that reads variables of the process with `os.environ`.
    """

    kind: str = "environment"
    title: ClassVar[str] = "environment variables"

    path: str = ""
    module: str = ""
    access: Expr = Expr("")
    environment: Expr = FROM_OS
    place: Place | None = None
    class_name: str = ""
    body: BodyPath = ()
    fields: tuple[str, ...] = ()
    types: Mapping[str, str] = field(default_factory=dict)
    toml: str = ""
    table: str = ""
    prefix: str = ""
    upper: bool = False
    dotenv: str = ""
    secrets: str = ""
    case_sensitive: bool = False
    reason: str = ""
    evidence: tuple[Evidence, ...] = ()

    @property
    def scope(self) -> str:
        """The qualified name of the settings class."""
        return self.class_name

    def words(self) -> str:
        """Return what was found, for people."""
        return f"settings {self.title}" + (f" ({self.place})" if self.place else "")

    def declare(self, spec: SettingSpec, ground: Ground) -> Iterator[Resolved]:
        """Yield the targets that make a setting known to the project.

        Raises:
            laterctl.refusal.Refused: the project has something else of that name.
        """
        yield from ()

    def instead(self) -> str:
        """Return why a setting cannot be written where the project has its own, and what is done; `""` where it can."""
        return ""

    def read(self) -> Expr:
        """Return the expression that reads the setting whose name, in lower case, is in the Python variable `name`.

        It gives `None` or `""` for one that is not set.
        """
        return Expr("os.environ.get(name.upper())", (Import("os"),))

    def environment_variable(self, name: str) -> str:
        """Return the variable of the process that gives a setting its value."""
        return name.upper()

    def variable_by_name(self) -> str:
        """Return an expression for the same, of the setting whose name is in the Python variable `name`."""
        prefix = self.environment_variable("")
        return f"f'{prefix}{{str(name).upper()}}'" if prefix else "str(name).upper()"

    def lines(self, name: str, value: str) -> tuple[SettingLine, ...]:
        """Return the lines of which each gives a secret its value, the usual one first."""
        return (SettingLine(f"{self.environment_variable(name)}={value}", self.dotenv, environment=True),)

    def example(self, spec: SettingSpec, declared: Sequence[Resolved]) -> str:
        """Return the line that a setting has in an example environment file, with which a copy of the file loads.

        Args:
            spec: the setting.
            declared: what `declare` gave for it.

        Returns:
            `KEY=value` with the default, also commented out; `""` when it is the project's own setting.
        """
        value = "" if spec.secret or spec.default is None else env_literal(spec.default)
        return f"{self.environment_variable(spec.name)}={value if _PLAIN.fullmatch(value) else json.dumps(value)}"

    def forbids_strangers(self, names: Names) -> bool:
        """Whether the application does not start while `dotenv` has a variable that is no setting."""
        return False

    def running(self, names: Names, access: Expr) -> Expr:
        """Return the expression that names the running environment, given the one for the settings object."""
        return FROM_OS

    def reached_by(self, found: Found, targets: Sequence[Own]) -> bool:
        """Whether one of the things that a file imports is these settings, or the module they are in."""
        reached = {*found.objects, *found.getters, *self._exported()}
        files = {own.path for own in (*found.objects, *found.getters)} | {self.path}
        return any(own in reached or (not own.name and own.path in files) for own in targets)

    def _exported(self) -> Iterator[Own]:
        """Yield the settings that are names of a module themselves."""
        yield from ()

    def key(self, name: str) -> str:
        """Return a setting's name as the project spells those it has."""
        return name.upper() if self.upper else name

    def environment_field(self) -> str:
        """Return the field that names the running environment, `""` without one."""
        known = {name.lower(): name for name in self.fields}
        return next((known[name] for name in _ENVIRONMENT if name in known), "")


class Found(Struct, frozen=True):
    """Settings that were found: the facts, and the module-level things through which they are reached."""

    settings: Settings
    objects: tuple[Own, ...] = ()
    getters: tuple[Own, ...] = ()


def bound(names: Names, path: str) -> Mapping[str, ast.stmt]:
    """Map the names that a file's top level binds to their statements, `{}` when it cannot be read."""
    try:
        return names.bound(path)
    except (Unreadable, Outside):
        return {}


def imported(names: Names, path: str) -> Iterator[Own]:
    """Yield the project's own things that a file imports."""
    try:
        imports = names.imports(path)
    except (Unreadable, Outside):
        return
    for key, dotted in imports.items():
        target = names.trace(dotted, path)
        if isinstance(target, Own) and not (key.startswith("*") and target.name):
            yield target


def family(names: Names, own: Own) -> list[Own]:
    """Return a class of the project and the classes of the project it derives from, nearest first."""
    found = [own]
    for each in found:
        node = names.statement(each)
        for base in node.bases if isinstance(node, ast.ClassDef) else ():
            target = names.lookup(base, each.path)
            if isinstance(target, Own) and target not in found:
                found.append(target)
    return found


def text_of(node: ast.expr | None) -> str:
    """Return the value of a string literal, `""` for anything else."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def path_in(node: ast.expr | None) -> str:
    """Return the file that an expression names: a text, the first of several, or the last part of a path.

    `BASE / ".env"` and `os.path.join(BASE, ".env")` are `.env`. `""` when it cannot be told.
    """
    if isinstance(node, ast.Tuple | ast.List):
        return path_in(node.elts[0]) if node.elts else ""
    if isinstance(node, ast.BinOp):
        return path_in(node.right)
    if isinstance(node, ast.Call):
        return path_in(node.args[-1]) if node.args else ""
    return text_of(node).removeprefix("./")


def mostly_upper(fields: Sequence[str]) -> bool:
    """Whether most names are written in capitals."""
    return sum(field.isupper() for field in fields) * 2 > len(fields)


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
