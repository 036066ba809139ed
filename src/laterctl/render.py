"""Renders the Jinja2 sources of owned files in the style of the user's project.

A template never asks which dialect it is in. It calls `provided('name')`, `setting_by_name()`, `module('core.x')`
and gets an expression; whatever that expression has to import is merged into the file's import block here, sorted
and grouped the way ruff's isort rules expect.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from laterctl.patterns import pattern

if TYPE_CHECKING:
    import jinja2

TEMPLATES = Path(__file__).parent / "templates"


class Import(Struct, frozen=True, order=True):
    """One name to import: `from module import name as asname`, or `import module` when `name` is empty.

    `module` is written as it stands in the source, leading dots included.
    """

    module: str
    name: str = ""
    asname: str = ""


class Expr(Struct, frozen=True):
    """A Python expression and the imports it needs."""

    text: str
    imports: tuple[Import, ...] = ()


class Style(Struct, frozen=True):
    """How the user's project writes Python.

    `quote` is `'` or `"`; `line_length` in characters; `newline` is the line ending of new files; `future` says
    whether files start with `from __future__ import annotations`.
    """

    quote: str = '"'
    line_length: int = 88
    newline: str = "\n"
    indent: str = "    "
    future: bool = False


class Context(Struct, frozen=True):
    """What a template may ask for. Built from a project by the engine, by hand in tests.

    `provided` and `module` map a provider name, and a dotted place below the application package (`core.cors`), to how
    this project spells them; `kept` gives the last statement of the file whose function makes what a provider gives,
    empty where a container keeps it; `engine` gives the engine of the database, `metadata` a list of what its tables
    belong to, and `current_user` the project's own dependency that returns the caller, `None` where there is none to
    import; so is `session`, which gives sessions of the database. `container` is the instance of the container that tests import, `None` without one.
    `variable` gives the name that a person writes to set a setting. `setting_by_name` reads the setting whose name is in
    the Python variable `name`, and `variable_by_name` gives the name that a person writes for it. `environment` is an
    expression of type `str`: the name of the environment the application runs in. `values` are plain values, such as
    options and test facts.
    """

    variable: Callable[[str], str]
    provided: Callable[[str], Expr]
    module: Callable[[str], str]
    environment: Expr
    kept: Callable[[str], Expr] = lambda _: Expr("")
    engine: Callable[[], Expr | None] = lambda: None
    container: Import | None = None
    metadata: Callable[[], Expr | None] = lambda: None
    current_user: Callable[[], Expr | None] = lambda: None
    session: Callable[[], Expr | None] = lambda: None
    setting_by_name: Expr = Expr("None")
    variable_by_name: str = "name"
    style: Style = Style()
    first_party: frozenset[str] = frozenset()
    values: Mapping[str, Any] = field(default_factory=dict)


def render(template: str, context: Context) -> str:
    """Render one template to the text of an owned file, with `\\n` line endings.

    Args:
        template: path below the template folder, such as `cors/core/cors.py.jinja`.
        context: the project's spelling of things.

    Returns:
        The text. Python files come back with their imports merged and sorted, and in the project's quotes.

    Raises:
        jinja2.TemplateError: the template is missing, asks for a name that the context does not have, or for an
            expression where it is no Python.
    """
    import jinja2

    needed: list[Import] = []
    is_python = template.removesuffix(".jinja").endswith(".py")

    def spelled(expr: Expr | None) -> str:
        if expr is None:
            raise jinja2.TemplateRuntimeError(f"{template} asks for what this project has not")
        if not is_python:
            raise jinja2.TemplateRuntimeError(f"{template} is no Python, and asks for the expression {expr.text}")
        needed.extend(expr.imports)
        return expr.text

    text = (
        _environment()
        .get_template(template)
        .render(
            {
                **context.values,
                "variable": context.variable,
                "provided": lambda name: spelled(context.provided(name)),
                "kept": lambda name: spelled(context.kept(name)),
                "engine": lambda: spelled(context.engine()),
                "metadata": lambda: spelled(context.metadata()),
                "current_user": lambda: spelled(context.current_user()),
                "session": lambda: spelled(context.session()),
                "environment": lambda: spelled(context.environment),
                "setting_by_name": lambda: spelled(context.setting_by_name),
                "variable_by_name": context.variable_by_name,
                "module": context.module,
                "module_import": lambda place: _module_import(place, context.module(place)),
                "container_import": lambda: _container_import(context.container),
            }
        )
    )
    if not is_python:
        return text
    return in_style(f"{text.rstrip()}\n" if text.strip() else "", needed, context.style, context.first_party)


def _module_import(place: str, dotted: str) -> str:
    """Spell the import that binds a module to its usual name, which is the last part of its place."""
    usual = place.rpartition(".")[2]
    package, _, name = dotted.rpartition(".")
    return f"from {package} import {name}" + (f" as {usual}" if name != usual else "")


def _container_import(instance: Import | None) -> str:
    """Spell the import that binds the container's instance to `container`."""
    if instance is None:
        raise LookupError("the project has no container that could be imported")
    alias = "" if instance.name == "container" else " as container"
    return f"from {instance.module} import {instance.name}{alias}"


@cache
def _environment() -> jinja2.Environment:
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - the result is Python, not HTML
    )


def in_style(source: str, needed: Iterable[Import], style: Style, first_party: frozenset[str]) -> str:
    """Return Python source with `needed` merged into its import block, sorted, and in the style's quotes."""
    return requote(with_imports(source, needed, style, first_party), style.quote)


def section_of(module: str, first_party: frozenset[str]) -> int:
    """Rank a module as ruff's isort does: 0 future, 1 standard library, 2 third party, 3 first party, 4 relative."""
    if module.startswith("."):
        return 4
    top = module.split(".", 1)[0]
    if top == "__future__":
        return 0
    if top in first_party:
        return 3
    return 1 if top in sys.stdlib_module_names else 2


def name_sort_key(name: str) -> tuple[int, str, str]:
    """Sort imported names as isort's `order-by-type`: constants, then classes, then the rest."""
    kind = 0 if name.isupper() and len(name) > 1 else 1 if name[:1].isupper() else 2
    return kind, name.lower(), name


def import_line(module: str, names: Iterable[tuple[str, str]], style: Style) -> str:
    """Spell one `from` import (or `import module` when `names` is empty), wrapped when longer than a line."""
    listed = sorted(set(names), key=lambda pair: name_sort_key(pair[0]))
    if not listed:
        return f"import {module}\n"
    spelled = [name if not asname else f"{name} as {asname}" for name, asname in listed]
    line = f"from {module} import {', '.join(spelled)}"
    if len(line) <= style.line_length:
        return f"{line}\n"
    inner = "".join(f"{style.indent}{name},\n" for name in spelled)
    return f"from {module} import (\n{inner})\n"


def import_lines(module: str, names: Iterable[tuple[str, str]], style: Style) -> str:
    """Spell `from` imports of a module: a name with an alias on a line of its own, as isort has it by default."""
    groups = [[pair] for pair in names if pair[1]]
    if plain := [pair for pair in names if not pair[1]]:
        groups.append(plain)
    groups.sort(key=lambda group: min((*name_sort_key(name), asname) for name, asname in group))
    return "".join(import_line(module, group, style) for group in groups)


def with_imports(source: str, needed: Iterable[Import], style: Style, first_party: frozenset[str]) -> str:
    """Merge `needed` into the import block at the top of `source` and print the block in isort's order.

    The block is the run of import statements that follows the docstring. Comments inside it are not kept: templates
    do not have any there.
    """
    body = ast.parse(source).body
    start = 1 if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant) else 0
    stop = start
    plain: set[tuple[str, str]] = set()
    named: dict[str, set[tuple[str, str]]] = {}
    while stop < len(body) and isinstance(body[stop], ast.Import | ast.ImportFrom):
        node = body[stop]
        if isinstance(node, ast.Import):
            plain.update((alias.name, alias.asname or "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            named.setdefault(module, set()).update((alias.name, alias.asname or "") for alias in node.names)
        stop += 1
    for item in needed:
        if item.name:
            named.setdefault(item.module, set()).add((item.name, item.asname))
        else:
            plain.add((item.module, item.asname))
    if style.future and body[start:]:
        named.setdefault("__future__", set()).add(("annotations", ""))
    lines = source.splitlines(keepends=True)
    first = body[start].lineno - 1 if start < len(body) else len(lines)
    last = (body[stop - 1].end_lineno or 0) if stop > start else first
    sections: dict[int, list[str]] = {}
    for module, asname in sorted(plain, key=lambda pair: pair[0].lower()):
        text = f"import {module} as {asname}\n" if asname else f"import {module}\n"
        sections.setdefault(section_of(module, first_party), []).append(text)
    for module, names in sorted(named.items(), key=lambda pair: pair[0].lower()):
        sections.setdefault(section_of(module, first_party), []).append(import_lines(module, names, style))
    block = "\n".join("".join(sections[rank]) for rank in sorted(sections))
    if stop == start and block:
        block += "\n" if start == len(body) else "\n\n"
    return "".join([*lines[:first], block, *lines[last:]])


_LITERAL = pattern(
    r"""
    \#[^\n]*
  | (?P<triple>"{3}|'{3}) (?:[^\\"']+ | \\. | (?!(?P=triple)).)* (?P=triple)
  | "(?P<double>[^"\\\n]*(?:\\.[^"\\\n]*)*)"
  | '(?P<single>[^'\\\n]*(?:\\.[^'\\\n]*)*)'
    """,
    re.VERBOSE | re.DOTALL,
)


def requote(source: str, quote: str) -> str:
    """Rewrite one-line string literals with `quote` where that needs no escaping; triple-quoted ones stay."""

    def rewritten(match: re.Match[str]) -> str:
        body = match["double" if quote == "'" else "single"]
        return match[0] if body is None or re.search("[\"'\n]", body) else f"{quote}{body}{quote}"

    return _LITERAL.sub(rewritten, source)
